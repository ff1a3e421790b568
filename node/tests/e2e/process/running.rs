//! A process whose command line, output and limits the test chooses, and which is ended with the test.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use harness::process::free_port;
use harness::{PATIENCE, eventually, http};

/// A folder, a free address, and at most one node on them.
pub struct Running {
    pub home: TempDir,
    pub http: SocketAddr,
    child: Option<Child>,
}

impl Running {
    pub fn new() -> Self {
        let home = tempfile::Builder::new().prefix("starling-test-").tempdir().expect("a folder can be made");
        Self { home, http: SocketAddr::from(([127, 0, 0, 1], free_port())), child: None }
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// A file that gets what the process says.
    pub fn file(&self, name: &str) -> Stdio {
        File::create(self.home.path().join(name)).expect("a file can be made").into()
    }

    /// Reads what the process has written to `file(name)`.
    pub fn said(&self, name: &str) -> String {
        fs::read_to_string(self.home.path().join(name)).unwrap_or_default()
    }

    /// Starts it; what the test does not take goes to the files `stdout` and `stderr`.
    pub fn start(&mut self, command: &mut Command) {
        self.child = Some(command.stdin(Stdio::null()).spawn().expect("the command can be run"));
    }

    /// Starts it with its output in the files `stdout` and `stderr`, and waits until it is ready.
    pub async fn serve(&mut self, command: &mut Command) {
        let (out, err) = (self.file("stdout"), self.file("stderr"));
        self.start(command.stdout(out).stderr(err));
        self.ready().await;
    }

    /// Waits until it has said this on stdout: it is ready a moment before it says so.
    pub async fn until_said(&self, text: &str) {
        eventually(PATIENCE, &format!("it says: {text}"), async || {
            let said = self.said("stdout");
            if said.contains(text) { Ok(()) } else { Err(said) }
        })
        .await;
    }

    /// Waits until `/readyz` answers 200.
    pub async fn ready(&mut self) {
        let (http, home) = (self.http, self.home.path().to_owned());
        let child = self.child.as_mut().expect("it was started");
        eventually(PATIENCE, "the node is ready", async || {
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                let stderr = fs::read_to_string(home.join("stderr")).unwrap_or_default();
                return Err(format!("it ended: {status}\n{stderr}"));
            }
            match http::get(http, "/readyz").await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it was started");
        kill_process(Pid::from_child(child), signal).expect("a child takes signals");
    }

    /// Reads `/proc/PID/FILE` of the process.
    pub fn kernel(&self, file: &str) -> String {
        let pid = self.child.as_ref().expect("it was started").id();
        fs::read_to_string(Path::new("/proc").join(pid.to_string()).join(file)).unwrap_or_default()
    }

    /// The exit code; none if a signal has ended it.
    pub async fn exit(&mut self) -> Option<i32> {
        let child = self.child.as_mut().expect("it was started");
        let status = eventually(PATIENCE * 3, "the process ends", async || {
            child.try_wait().expect("a child can be asked").ok_or_else(|| "it runs".to_owned())
        })
        .await;
        self.child = None;
        status.code()
    }

    /// SIGTERM, and the exit code that follows.
    pub async fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.exit().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- stdout:\n{}\n--- stderr:\n{}", self.said("stdout"), self.said("stderr"));
        }
    }
}
