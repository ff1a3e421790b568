//! Writes to stdout and stderr without panicking: they may be a closed pipe, or a file on a full disk. `println!` panics
//! there, so this crate prints only through this module.

use std::{
    fmt::Display,
    io::{self, Write, stderr, stdout},
};

use thiserror::Error;

/// Writing the result of a command has failed.
#[derive(Debug, Error)]
#[error("cannot write the result: {0}")]
pub struct OutputError(#[source] io::Error);

/// Writes a line to stdout, ignoring errors: the line is only informative.
pub fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

/// Writes a line to stderr, ignoring errors: there is nowhere left to report them.
pub fn print_to_stderr(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}

/// Writes the result of a command to stdout, with a newline at its end. A reader that stops early (`| head -1`) is no error;
/// a full disk is one, or the caller would take an empty file for the result.
pub fn print_result(result: impl Display) -> Result<(), OutputError> {
    let text = result.to_string();
    let mut out = stdout().lock();
    let written = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(OutputError(error)),
        _ => Ok(()),
    }
}

/// Stderr for log lines; lines that cannot be written are dropped.
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
