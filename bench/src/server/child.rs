//! A server that is started here: waits until it is ready, ends it as an operator would, and kills it if all else fails.
//! Blocking on purpose: nothing else happens meanwhile.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::BenchError;
use crate::http::{Head, head_end};
use crate::process::Process;

/// Pause between two looks at a server.
const POLL: Duration = Duration::from_millis(1);
/// A server that is not ready by then has failed.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// A server that has not ended by then, after SIGTERM, is killed and the run fails.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a server is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// It could not be started, or its directory not be made.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The program could not be run.
    #[error("{program} could not be started: {source}")]
    Program {
        /// The program.
        program: String,
        /// The error of the system.
        source: io::Error,
    },
    /// It ended by itself, or was not ready within 30 s.
    #[error("{what}; its output ends with:\n{log}")]
    NotReady {
        /// A description.
        what: String,
        /// The end of what it printed.
        log: String,
    },
    /// It did not end within 30 s of SIGTERM.
    #[error("it did not end within 30 s of SIGTERM and was killed")]
    NotEnded,
}

/// The sign that a server is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// `/readyz` says 200.
    Readyz,
    /// It accepts connections.
    Accepts,
}

/// A server that was started here; killed if it is dropped before it ended.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    began: Instant,
    address: SocketAddr,
    readiness: Readiness,
    log: PathBuf,
}

/// An address on loopback. Free now; that somebody else takes it within a moment is unlikely, and would be seen.
pub(crate) fn free_address() -> Result<SocketAddr, StartError> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl ServerProcess {
    /// Starts `command`, which listens at `address`. What it prints goes to the file `log`.
    pub(crate) fn start(
        mut command: Command,
        address: SocketAddr,
        readiness: Readiness,
        log: PathBuf,
    ) -> Result<Self, StartError> {
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let began = Instant::now();
        let child = command.spawn().map_err(|source| StartError::Program {
            program: command.get_program().to_string_lossy().into_owned(),
            source,
        })?;
        Ok(Self { child, began, address, readiness, log })
    }

    /// The process.
    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Waits until it is ready; returns the time since its start.
    pub(crate) fn wait_until_ready(&mut self) -> Result<Duration, StartError> {
        loop {
            if self.is_ready() {
                return Ok(self.began.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.not_ready(format!("the server ended with {status}")));
            }
            if self.began.elapsed() > READY_TIMEOUT {
                return Err(self.not_ready("the server was not ready within 30 s".into()));
            }
            sleep(POLL);
        }
    }

    fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)) else {
            return false;
        };
        if self.readiness == Readiness::Accepts {
            return true;
        }
        let mut ask = || -> io::Result<Vec<u8>> {
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            let host = self.address;
            write!(stream, "GET /readyz HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        };
        let Ok(answer) = ask() else { return false };
        let head = head_end(&answer).and_then(|end| Head::parse(&answer[..end]));
        head.is_some_and(|head| head.status == 200)
    }

    fn not_ready(&self, what: String) -> StartError {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let log = lines[lines.len().saturating_sub(20)..].join("\n");
        StartError::NotReady { what, log }
    }

    /// Ends it as an operator would; returns the time that it took.
    pub(crate) fn end(mut self) -> Result<Duration, BenchError> {
        let began = Instant::now();
        self.process().terminate()?;
        while began.elapsed() < END_TIMEOUT {
            if self.child.try_wait().map_err(StartError::from)?.is_some() {
                return Ok(began.elapsed());
            }
            sleep(POLL);
        }
        Err(StartError::NotEnded.into())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
