//! The process: what it does with its output, signals, environment, limits and command line.
//! What a start refuses is in `bad_start.rs`.

mod command_line;
mod control;
mod environment;
mod open_files;
mod output;
mod running;
mod signals;

use std::path::Path;
use std::process::Command;

use harness::process::starling;

/// `starling serve` on these addresses, with its data there.
fn serve(listen: &str, data: &Path) -> Command {
    let mut command = starling(&["serve", "--listen", listen, "--data-dir"]);
    command.arg(data);
    command
}

/// A command that says something about the node whose data are there.
fn about(words: &[&str], data: &Path) -> Command {
    let mut command = starling(words);
    command.arg("--data-dir").arg(data);
    command
}
