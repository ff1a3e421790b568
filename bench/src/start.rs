//! `start`: how long a node takes from being started to being ready, and how much memory it holds then.
//! Each run has a fresh data directory. Blocking on purpose: nothing else happens meanwhile.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::BenchError;
use crate::http::{Head, head_end};
use crate::number::{float, round3};
use crate::options::many;
use crate::process::Process;

/// Pause between two looks at `/readyz`.
const POLL: Duration = Duration::from_millis(1);
/// A node that is not ready by then has failed.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// A node that has not ended by then, after SIGTERM, is killed and the run fails.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// Rest after readiness before memory is read.
const REST: Duration = Duration::from_secs(2);

/// Time from start to readiness, and memory at rest
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The server
    #[arg(long, value_name = "PATH")]
    binary: PathBuf,
    /// Number of starts
    #[arg(long, default_value = "10", value_name = "N", value_parser = many)]
    runs: usize,
    /// Fail if the median is above this
    #[arg(long, value_name = "MS")]
    max_ms: Option<f64>,
    /// Fail if it holds more memory, 2 s after the last start
    #[arg(long, value_name = "MIB")]
    max_rss_mb: Option<f64>,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// More arguments for `serve`
    #[arg(last = true)]
    more: Vec<OsString>,
}

/// Why a start could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The server could not be started, or its directory not be made.
    #[error("{0}")]
    Io(#[from] io::Error),
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

#[derive(Debug, Serialize)]
struct Report {
    runs_ms: Vec<f64>,
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
    rss_mib: f64,
    /// The longest time from SIGTERM to the end, in ms.
    end_max_ms: f64,
    passed: bool,
}

/// Runs it; true if within the limits.
pub(crate) fn run(options: &Options) -> Result<bool, BenchError> {
    let mut ready_ms = Vec::with_capacity(options.runs);
    let mut end_max_ms: f64 = 0.0;
    let mut resident_kib = 0;
    for index in 0..options.runs {
        let home = tempfile::tempdir()?;
        let mut server = Server::start(options, home.path())?;
        ready_ms.push(millis(server.wait_until_ready()?));
        if index + 1 == options.runs {
            sleep(REST);
            resident_kib = server.process().rss_kib()?;
        }
        end_max_ms = end_max_ms.max(millis(server.end()?));
    }
    let mut sorted = ready_ms.clone();
    sorted.sort_by(f64::total_cmp);
    let median_ms = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    let rss_mib = round3(float(resident_kib) / 1024.0);
    let report = Report {
        median_ms,
        min_ms: sorted[0],
        max_ms: sorted[sorted.len() - 1],
        runs_ms: ready_ms,
        rss_mib,
        end_max_ms,
        passed: options.max_ms.is_none_or(|limit| median_ms <= limit)
            && options.max_rss_mb.is_none_or(|limit| rss_mib <= limit),
    };
    crate::options::publish(&report, &report.text(), options.json.as_deref())?;
    Ok(report.passed)
}

impl Report {
    fn text(&self) -> String {
        format!(
            "start: {} times, each with an empty data directory\n\n  ready after  {:.1} ms (median; {:.1} to {:.1})\n  \
             RSS at rest  {:.1} MiB\n  ended after  {:.1} ms at most\n\n{}\n",
            self.runs_ms.len(),
            self.median_ms,
            self.min_ms,
            self.max_ms,
            self.rss_mib,
            self.end_max_ms,
            if self.passed { "passed" } else { "FAILED" }
        )
    }
}

/// A server that was started here; killed if it is dropped before it ended.
struct Server {
    child: Child,
    began: Instant,
    address: SocketAddr,
    log: PathBuf,
}

impl Server {
    fn start(options: &Options, home: &Path) -> Result<Self, StartError> {
        // Free now; that somebody else takes it within a moment is unlikely, and would be seen.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = home.join("output.log");
        let output = File::create(&log)?;
        let mut command = Command::new(&options.binary);
        command.arg("serve").arg("--listen").arg(address.to_string());
        command.arg("--data-dir").arg(home.join("data")).args(&options.more);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let began = Instant::now();
        Ok(Self { child: command.spawn()?, began, address, log })
    }

    fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// The time from its start until `/readyz` said 200.
    fn wait_until_ready(&mut self) -> Result<Duration, StartError> {
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
        let ask = || -> io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(1))?;
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

    /// Ends it as an operator would; the time that it took.
    fn end(mut self) -> Result<Duration, BenchError> {
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

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn millis(time: Duration) -> f64 {
    round3(time.as_secs_f64() * 1_000.0)
}
