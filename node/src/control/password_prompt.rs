//! Asks for a password on a terminal, which does not show it, or reads it from a pipe.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use thiserror::Error;

/// Bytes that are read of a password: more than any may have.
const BYTES_MAX: u64 = 4_096;

/// Why there is no password. Each says what to do, in one line.
#[derive(Debug, Error)]
pub enum PromptError {
    /// Nobody to ask.
    #[error("there is no terminal to ask for the password: give it with --password-stdin")]
    NoTerminal,
    /// Two spellings.
    #[error("the two passwords differ; nothing was changed")]
    Differ,
    /// The input cannot be read.
    #[error("cannot read the password: {0}")]
    Io(#[from] io::Error),
}

/// A new password: the first line of a pipe, or what is typed twice.
pub fn new_password(name: &str, from_stdin: bool) -> Result<String, PromptError> {
    let stdin = io::stdin();
    if from_stdin {
        return Ok(line(&mut stdin.lock())?);
    }
    if !stdin.is_terminal() {
        return Err(PromptError::NoTerminal);
    }
    let first = hidden(&format!("New password for {name}: "))?;
    if hidden("Once more: ")? == first { Ok(first) } else { Err(PromptError::Differ) }
}

/// A line without its end.
fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.take(BYTES_MAX).read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

fn hidden(prompt: &str) -> io::Result<String> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    write!(io::stderr(), "{prompt}")?;
    io::stderr().flush()?;
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let _shown_again = Restore(before);
    line(&mut stdin.lock())
}

/// Puts the terminal back as it was.
struct Restore(Termios);

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
