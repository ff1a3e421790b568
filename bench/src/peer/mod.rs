//! `peer`: servers to compare with. They speak just enough of the contract of quick rooms for the same generator: rooms are
//! made by `POST /create-room` and entered over `/ws?roomID=&username=`; everybody in a room gets each text as it was sent.
//! They keep nothing and check nothing.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

use crate::BenchError;

mod broadcast;
mod floor;

/// Servers to compare with: they deliver, and nothing else
#[derive(Debug, Args)]
pub(crate) struct Options {
    kind: Kind,
    /// The address to listen at
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// One thread and one epoll: the least that delivery costs
    Floor,
    /// axum's tutorial: a task for each reader, and tokio's broadcast channel
    Axum,
}

/// Serves until it is ended by a signal.
pub(crate) fn run(options: &Options) -> Result<bool, BenchError> {
    crate::process::raise_open_files();
    match options.kind {
        Kind::Floor => floor::serve(options.listen)?,
        Kind::Axum => broadcast::serve(options.listen)?,
    }
    Ok(true)
}
