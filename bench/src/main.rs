//! `starling-bench`: load on Starling nodes, and a check of what became of it.
//! Talks to nodes as any client does, over HTTP and WebSocket, and shares no code with them.
//! Exit codes: 0 all checks passed, 1 some failed, 2 the run could not be carried out.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod attack;
mod check;
mod comparison;
mod dialect;
mod fanout;
mod flood;
mod http;
mod idle;
mod ids;
mod latency;
mod load;
mod machine;
mod measure;
mod node;
mod number;
mod options;
mod pairs;
mod peer;
mod people;
mod posts;
mod process;
mod quick;
mod rooms;
mod rounds;
mod schedule;
mod server;
mod start;
mod table;
mod wire;
mod ws;

/// Load generator for Starling
#[derive(Debug, Parser)]
#[command(name = "starling-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Quick(quick::Options),
    Fanout(fanout::Options),
    Pairs(pairs::Options),
    Posts(posts::Options),
    Idle(idle::Options),
    Start(start::Options),
    Flood(flood::Options),
    Attack(attack::Options),
    Peer(peer::Options),
}

/// Why a run could not be carried out.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    /// The load could not be put on.
    #[error(transparent)]
    Load(#[from] load::LoadError),
    /// A room could not be made.
    #[error(transparent)]
    Room(#[from] rooms::RoomError),
    /// Somebody could not be registered or let into a room.
    #[error(transparent)]
    Http(#[from] http::HttpError),
    /// A connection could not be made.
    #[error(transparent)]
    Connect(#[from] ws::ConnectError),
    /// A server that acknowledges nothing was to be measured by its acks.
    #[error("{0} acknowledges nothing: only Starling nodes do")]
    NoAcks(String),
    /// Messages that come before a measurement did not arrive.
    #[error("{0}")]
    Preparation(String),
    /// A server is not there.
    #[error(transparent)]
    Start(#[from] server::StartError),
    /// A process could not be observed.
    #[error(transparent)]
    Process(#[from] process::ProcessError),
    /// A report could not be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Quick(options) => on_one_thread(quick::run(options)),
        Command::Fanout(options) => fanout::run(&options),
        Command::Pairs(options) => pairs::run(&options),
        Command::Posts(options) => posts::run(&options),
        Command::Idle(options) => idle::run(&options),
        Command::Start(options) => start::run(&options),
        Command::Flood(options) => on_one_thread(flood::run(options)),
        Command::Attack(options) => on_one_thread(attack::run(options)),
        Command::Peer(options) => peer::run(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("starling-bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs `work` on this thread alone: it shares its machine with the nodes that it measures.
fn on_one_thread(work: impl Future<Output = Result<bool, BenchError>>) -> Result<bool, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}
