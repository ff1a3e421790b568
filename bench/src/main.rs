//! `starling-bench`: load on Starling nodes, and a check of what became of it.
//! Talks to nodes as any client does, over HTTP and WebSocket, and shares no code with them.
//! Exit codes: 0 all checks passed, 1 some failed, 2 the run could not be carried out.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod attack;
mod check;
mod fanout;
mod flood;
mod http;
mod idle;
mod ids;
mod latency;
mod load;
mod node;
mod number;
mod options;
mod people;
mod process;
mod quick;
mod rooms;
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
    Idle(idle::Options),
    Start(start::Options),
    Flood(flood::Options),
    Attack(attack::Options),
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
    /// An idle connection could not be made.
    #[error(transparent)]
    Connect(#[from] ws::ConnectError),
    /// Idle connections were made but not all welcomed.
    #[error("{0} connections were not welcomed within 30 s")]
    NoWelcome(usize),
    /// A start could not be measured.
    #[error(transparent)]
    Start(#[from] start::StartError),
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
        Command::Fanout(options) => on_one_thread(fanout::run(options)),
        Command::Idle(options) => on_one_thread(idle::run(options)),
        Command::Start(options) => start::run(&options),
        Command::Flood(options) => on_one_thread(flood::run(options)),
        Command::Attack(options) => on_one_thread(attack::run(options)),
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
