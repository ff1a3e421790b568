//! The asking side: a command speaks with the node that runs on a data directory.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

use super::{Answer, Question, SOCKET, socket_path::SocketPath};

/// How long a node may say nothing. One that works on an answer says so every two seconds.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Why there is no answer. Each says what to do, in one line.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no node runs on {0}; start it, or name its directory with --data-dir")]
    NotRunning(PathBuf),
    /// It is stopped, or hangs.
    #[error(
        "the node that runs on {0} has not answered for {secs} s: it hangs or was suspended; look into its log, and \
         continue (kill -CONT) or restart it",
        secs = SILENCE_MAX.as_secs()
    )]
    Silent(PathBuf),
    /// The socket is its owner's alone.
    #[error(
        "only the user that the node on {0} runs as may speak with it: run this command as that user, or as root"
    )]
    Denied(PathBuf),
    /// The socket cannot be used.
    #[error("cannot speak with the node over {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// The node says why.
    #[error("{0}")]
    Refused(String),
    /// It is of another version, perhaps.
    #[error("the node gave an answer that this command does not know: use the binary that the node runs")]
    OtherAnswer,
}

/// Asks the node that runs on a data directory, and shows its progress to `progress`.
pub fn ask(data_dir: &Path, question: &Question, mut progress: impl FnMut(&str)) -> Result<Answer, AskError> {
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NotRunning(data_dir.into()),
        io::ErrorKind::PermissionDenied => AskError::Denied(data_dir.into()),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => AskError::Silent(data_dir.into()),
        _ => AskError::Io(data_dir.join(SOCKET), error),
    };
    let mut stream = connect(data_dir).map_err(broken)?;
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

fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    let path = SocketPath::new(data_dir, SOCKET)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Also bounds how long the kernel waits for a node that accepts nobody.
    socket.set_write_timeout(Some(SILENCE_MAX))?;
    socket.set_read_timeout(Some(SILENCE_MAX))?;
    socket.connect(&SockAddr::unix(&path)?)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}
