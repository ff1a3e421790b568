//! Asks for a password on the terminal without showing it, or reads it from standard input.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use thiserror::Error;

use crate::texts;

/// Bytes read of a password, at most: more than a password may have.
const BYTES_MAX: u64 = 4_096;

/// The reason why there is no password: one line that says what to do.
#[derive(Debug, Error)]
pub enum PromptError {
    /// Standard input is not a terminal.
    #[error("there is no terminal to ask for the password: pass it with --password-stdin")]
    NoTerminal,
    /// The two inputs differ.
    #[error("the passwords don't match; nothing was changed")]
    Differ,
    /// The input could not be read.
    #[error("cannot read the password: {0}")]
    Io(#[from] io::Error),
}

/// Returns a new password: the first line of standard input, or one typed twice on the terminal.
pub fn new_password(name: &str, from_stdin: bool) -> Result<String, PromptError> {
    let stdin = io::stdin();
    if from_stdin {
        return Ok(read_line(&mut stdin.lock())?);
    }
    if !stdin.is_terminal() {
        return Err(PromptError::NoTerminal);
    }
    let first = prompt_hidden(&texts::new_password(name))?;
    if prompt_hidden(texts::REPEAT_PASSWORD)? == first { Ok(first) } else { Err(PromptError::Differ) }
}

/// Reads a line, without its end.
fn read_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.take(BYTES_MAX).read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

fn prompt_hidden(prompt: &str) -> io::Result<String> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    write!(io::stderr(), "{prompt}")?;
    io::stderr().flush()?;
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let _restore = Restore(before);
    read_line(&mut stdin.lock())
}

/// Restores the settings of the terminal when dropped.
struct Restore(Termios);

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
