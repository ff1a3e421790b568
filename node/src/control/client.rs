//! The client side of the control socket: sends a command to the node that runs on a data directory.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

use super::{Answer, Question, SOCKET, socket_path::SocketPath};

/// How long a node may be silent. While it works on an answer, it sends a line every two seconds.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The reason why a command has no answer: one line that says what to do.
#[derive(Debug, Error)]
pub enum AskError {
    /// No node listens.
    #[error("no node runs on {0}; start it, or give its directory with --data-dir")]
    NotRunning(PathBuf),
    /// The node is suspended, or hangs.
    #[error(
        "the node that runs on {0} has not answered for {secs} s: it hangs or was suspended; check its log, then resume \
         (kill -CONT) or restart it",
        secs = SILENCE_MAX.as_secs()
    )]
    Silent(PathBuf),
    /// The caller is another user than the owner of the socket.
    #[error(
        "only the user who runs the node on {0} can use its control socket: run this command as that user, or as root"
    )]
    Denied(PathBuf),
    /// The socket cannot be used.
    #[error("cannot use the control socket {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// The node has refused the command, and says why.
    #[error("{0}")]
    Refused(String),
    /// The node is perhaps of another version.
    #[error("the node sent an answer that this command does not understand: use the same binary as the node")]
    OtherAnswer,
}

/// Sends a question to the node that runs on a data directory, and calls `progress` with lines about the work.
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
    // Also bounds the wait for a node that accepts no connections.
    socket.set_write_timeout(Some(SILENCE_MAX))?;
    socket.set_read_timeout(Some(SILENCE_MAX))?;
    socket.connect(&SockAddr::unix(&path)?)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}
