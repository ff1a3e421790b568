//! The asking side: a command speaks with the node that runs on a data directory.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{Answer, Question, SOCKET};

/// Why there is no answer. Each says what to do, in one line.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no node runs on {0}; start it, or name its directory with --data-dir")]
    NotRunning(PathBuf),
    /// The socket cannot be used.
    #[error("cannot speak with the node over {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// The node says why.
    #[error("{0}")]
    Refused(String),
    /// It is of another version, perhaps.
    #[error("the node gave another answer")]
    OtherAnswer,
}

/// Asks the node that runs on a data directory, and shows its progress to `progress`.
pub fn ask(data_dir: &Path, question: &Question, mut progress: impl FnMut(&str)) -> Result<Answer, AskError> {
    let path = data_dir.join(SOCKET);
    let mut stream = UnixStream::connect(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NotRunning(data_dir.into()),
        _ => AskError::Io(path.clone(), error),
    })?;
    let broken = |error| AskError::Io(path.clone(), error);
    let line = serde_json::to_string(question).expect("a question always encodes");
    stream.write_all(format!("{line}\n").as_bytes()).map_err(broken)?;
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(broken)?;
        match serde_json::from_str(&line).map_err(|error| broken(error.into()))? {
            Answer::Progress(text) => progress(&text),
            Answer::Error(text) => return Err(AskError::Refused(text)),
            answer => return Ok(answer),
        }
    }
    Err(broken(io::ErrorKind::UnexpectedEof.into()))
}
