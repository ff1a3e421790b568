//! `Node`: one real `starling` process with its own data directory, ports and captured output.
//! Children are ended by their own pid when the test ends; a failing test shows the tail of what they said.

use std::collections::HashSet;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::small_disk::SmallDisk;
use super::{PATIENCE, eventually, http};
use crate::permit::Permit;

/// A node may wait 20 s for its peers before it leaves.
const LEAVE: Duration = Duration::from_secs(30);
/// Lines of a node's output that a failing test shows.
const TAIL_LINES: usize = 60;

/// Arguments of a node to which one address may say as much as it likes.
pub const NO_MESSAGE_LIMITS: [&str; 14] = [
    "--limit-messages-per-session",
    "0",
    "--limit-messages-per-address",
    "0",
    "--limit-messages-per-room",
    "0",
    "--limit-bytes-per-address",
    "0",
    "--limit-bytes-per-room",
    "0",
    "--limit-frames-per-session",
    "0",
    "--limit-frames-per-address",
    "0",
];

/// One node. It keeps its ports and its data directory over restarts.
pub struct Node {
    pub name: String,
    pub http: SocketAddr,
    /// The disk that holds the data, if not the machine's; unmounted before `home` is removed.
    pub small_disk: Option<SmallDisk>,
    home: TempDir,
    /// Another build than the one under test.
    binary: Option<PathBuf>,
    args: Vec<String>,
    child: Option<Child>,
    _permit: Permit,
}

impl Node {
    /// A node that is not started yet; `args` come after `serve --listen … --data-dir …`.
    pub fn new(name: &str, args: &[&str]) -> Self {
        let home = tempfile::Builder::new().prefix("starling-test-").tempdir().expect("a folder can be made");
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self {
            name: name.to_owned(),
            http,
            small_disk: None,
            home,
            binary: None,
            args: owned(args),
            child: None,
            _permit: Permit::acquire(),
        }
    }

    /// One node alone, ready.
    pub async fn lone(args: &[&str]) -> Self {
        let mut node = Self::new("lone", args);
        node.start();
        node.wait_ready().await;
        node
    }

    pub fn add_args(&mut self, args: &[&str]) {
        self.args.extend(owned(args));
    }

    /// From its next start on, the node runs another build; `None` is the one under test.
    pub fn use_binary(&mut self, binary: Option<&Path>) {
        self.binary = binary.map(Path::to_owned);
    }

    pub fn data_dir(&self) -> PathBuf {
        self.small_disk.as_ref().map_or(self.home.path(), SmallDisk::path).join("data")
    }

    /// Returns the output of `starling status --json`, or the reason why there is none.
    pub async fn status(&self) -> Result<Value, String> {
        let mut command = starling(&["status", "--json", "--data-dir"]);
        command.arg(self.data_dir());
        let ended = run(command).await;
        serde_json::from_str(&ended.stdout).map_err(|_| ended.stderr)
    }

    /// A place beside the data directory, for copies and configuration files.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The full command line of this node.
    pub fn command(&self) -> Command {
        let binary = self.binary.clone().unwrap_or_else(binary);
        let mut command = program(&binary, &["serve", "--listen", &self.http.to_string(), "--data-dir"]);
        command.arg(self.data_dir()).args(&self.args);
        command
    }

    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let child = self
            .command()
            .stdin(Stdio::null())
            .stdout(append(&self.home.path().join("stdout")))
            .stderr(append(&self.home.path().join("stderr")))
            .spawn()
            .expect("the starling binary can be run");
        self.child = Some(child);
    }

    /// Puts the data of a node that was never started on a disk of so many MiB, or says why that cannot be.
    pub fn on_small_disk(&mut self, mib: u64) -> Result<(), String> {
        self.small_disk = Some(SmallDisk::mount(self.beside("disk"), mib)?);
        Ok(())
    }

    /// Throws the data of a node away that does not run.
    pub fn empty_disk(&self) {
        assert!(self.child.is_none(), "{} runs", self.name);
        fs::remove_dir_all(self.data_dir()).expect("what a node wrote can be removed");
    }

    /// Whether the process has ended by itself; `start` may then be called again.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let ended = self.child.as_mut()?.try_wait().expect("a child can be asked")?;
        self.child = None;
        Some(ended)
    }

    /// Waits until `/readyz` answers 200.
    pub async fn wait_ready(&mut self) {
        self.wait_ready_within(PATIENCE).await;
    }

    /// As `wait_ready`, where there is much to catch up with.
    pub async fn wait_ready_within(&mut self, deadline: Duration) {
        let name = self.name.clone();
        let http = self.http;
        let child = self.child.as_mut().expect("a node that is waited for was started");
        eventually(deadline, &format!("{name} is ready"), async || {
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                return Err(format!("it ended: {status}"));
            }
            match http::get(http, "/readyz").await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// SIGTERM, and the exit code that follows.
    pub async fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait_exit().await.code()
    }

    /// SIGTERM without waiting for what follows.
    pub fn ask_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    pub async fn kill9(&mut self) {
        self.signal(Signal::KILL);
        self.wait_exit().await;
    }

    /// Hangs the process (SIGSTOP) until `resume`. Its threads may run on for a moment on other cores: returns when none
    /// does any more.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.pid());
        let runs = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // Behind the name, which is in brackets; a thread that has just ended says nothing.
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('T'))
        };
        let deadline = Instant::now() + PATIENCE;
        while fs::read_dir(&tasks).is_ok_and(|tasks| tasks.flatten().any(runs)) && Instant::now() < deadline {
            std::thread::yield_now();
        }
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts a node that was stopped or killed, and waits until it is ready.
    pub async fn restart(&mut self) {
        self.start();
        self.wait_ready().await;
    }

    pub async fn wait_exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a node that ends was started");
        eventually(LEAVE, &format!("{} ends", self.name), async || {
            child.try_wait().expect("a child can be asked").ok_or_else(|| "it runs".to_owned())
        })
        .await
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// The process's id, for what the kernel knows of it.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a node that is looked at was started").id()
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("a node that is sent a signal was started");
        kill_process(Pid::from_child(child), signal).expect("a child takes signals");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            say_how_to_repeat();
            for stream in ["stdout", "stderr"] {
                let label = format!("{} {}, {stream}", self.name, self.http);
                print_tail(&label, &self.home.path().join(stream));
            }
        }
    }
}

/// Shows the end of a node's output under a label, for a test that fails.
pub fn print_tail(label: &str, output: &Path) {
    let text = fs::read_to_string(output).unwrap_or_default();
    let skipped = text.lines().count().saturating_sub(TAIL_LINES);
    let tail: Vec<_> = text.lines().skip(skipped).collect();
    eprintln!("--- {label}:\n{}", tail.join("\n"));
}

fn say_how_to_repeat() {
    static SAID: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let command = super::how_to_repeat();
    let mut said = SAID.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if said.get_or_insert_default().insert(command.clone()) {
        eprintln!("--- repeat with: {command}");
    }
}

/// A process that ended by itself.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end, which must come within a few seconds.
pub async fn run(command: Command) -> Ended {
    run_with_input(command, b"").await
}

/// As `run`, of a command that reads.
pub async fn run_with_input(mut command: Command, input: &[u8]) -> Ended {
    let home = tempfile::tempdir().expect("a folder can be made");
    let [out, err] = ["stdout", "stderr"].map(|name| home.path().join(name));
    let given = home.path().join("stdin");
    fs::write(&given, input).expect("a file can be written");
    let given = File::open(given).expect("a file can be read");
    command.stdin(given).stdout(append(&out)).stderr(append(&err));
    let mut child = command.spawn().expect("the starling binary can be run");
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            break Some(status);
        }
        if start.elapsed() > LEAVE {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let read = |path: &Path| fs::read_to_string(path).expect("captured output can be read");
    let (stdout, stderr) = (read(&out), read(&err));
    let Some(status) = status else {
        panic!("{command:?} did not end within {LEAVE:?}\n--- stdout:\n{stdout}\n--- stderr:\n{stderr}");
    };
    Ended { code: status.code(), stdout, stderr }
}

/// `starling` with these arguments and none of the caller's `STARLING_…` settings.
pub fn starling(args: &[&str]) -> Command {
    program(&binary(), args)
}

/// As `starling`, of any build.
fn program(binary: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STARLING_")) {
        command.env_remove(name);
    }
    command.args(args).env("RUST_BACKTRACE", "1");
    command
}

/// Returns the path of the `starling` binary, which cargo builds before the tests of its package, one folder above them.
pub fn binary() -> PathBuf {
    let tests = this_program().parent().expect("a test program lies in a folder").to_owned();
    tests.parent().expect("cargo puts tests into `deps`").join("starling")
}

/// Returns the name of the running test program, without the hash that cargo adds.
pub fn test_program() -> String {
    let program = this_program();
    let name = program.file_stem().expect("a program has a name").to_string_lossy();
    name.rsplit_once('-').map_or(&*name, |(name, _)| name).to_owned()
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("a running program has a path")
}

/// A port that nobody holds, for TCP and UDP alike, below those that the system gives to outgoing connections:
/// a node that is down for a while finds its port free again. No port is handed out twice by one process.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run side by side begin at different places.
    let start = u16::try_from(std::process::id() * 61 % u32::from(COUNT)).expect("it is below COUNT");
    for _ in 0..COUNT {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

fn append(path: &Path) -> File {
    File::options().create(true).append(true).open(path).expect("a file can be opened")
}

fn owned(args: &[&str]) -> Vec<String> {
    args.iter().map(|&arg| arg.to_owned()).collect()
}
