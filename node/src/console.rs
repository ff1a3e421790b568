//! Writes to the terminal. A node must not end because nobody reads what it says: its stdout may be a closed pipe or a
//! file on a full disk. `println!` panics there, so nothing else in this crate prints.

use std::{
    fmt::Display,
    io::{self, Write, stderr, stdout},
};

use thiserror::Error;

/// The result of a command could not be written.
#[derive(Debug, Error)]
#[error("cannot write the result: {0}")]
pub struct OutputError(#[source] io::Error);

/// Writes a line to stdout. Errors are ignored: the line is a courtesy.
pub fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

/// Writes a line to stderr. Errors are ignored: there is nowhere left to report them.
pub fn complain(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}

/// Writes what a command was asked for to stdout, with a newline at its end. A reader that has seen enough (`| head -1`)
/// is no error; a full disk is one, as the caller would take an empty file for the result.
pub fn print_result(result: impl Display) -> Result<(), OutputError> {
    let text = result.to_string();
    let mut out = stdout().lock();
    let written = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(OutputError(error)),
        _ => Ok(()),
    }
}

/// Stderr for log lines: a line that cannot be written is dropped.
#[derive(Clone, Copy, Debug)]
pub struct LossyStderr;

impl Write for LossyStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = stderr().flush();
        Ok(())
    }
}
