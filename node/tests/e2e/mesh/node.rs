//! One `starling` process on a machine of its own, and what `starling status` says of it.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::mesh::network::Machines;
use harness::account::CHEAP_HASHES;
use harness::process::{binary, print_tail, starling};

/// The address of a node for users, on its machine.
pub const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
/// A stopping node waits 20 s for others to hold its log.
const STOP_MAX: Duration = Duration::from_secs(30);

pub struct Node {
    at: usize,
    home: TempDir,
    child: Option<Child>,
}

impl Node {
    pub fn new(at: usize) -> Self {
        let home = tempfile::Builder::new().prefix("starling-mesh-").tempdir().expect("a folder can be made");
        Self { at, home, child: None }
    }

    pub fn start(&mut self, machines: &Machines, secret: &str, join: &[String]) {
        assert!(self.child.is_none(), "node {} runs already", self.at);
        let output = |name: &str| {
            let path = self.home.path().join(name);
            File::options().create(true).append(true).open(path).expect("a file can be opened")
        };
        let mut command = machines.command(self.at, &binary());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STARLING_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--listen", &HTTP.to_string(), "--cluster-secret", secret]);
        command.args(CHEAP_HASHES).arg("--data-dir").arg(self.data_dir());
        command.args(join.iter().flat_map(|join| ["--join", join]));
        command.stdin(Stdio::null()).stdout(output("stdout")).stderr(output("stderr"));
        self.child = Some(command.spawn().expect("ip can be run"));
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.home.path().join("data")
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Ends it: in order, or as a crash does.
    pub fn end(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else { return };
        kill_process(Pid::from_child(&child), signal).expect("a child takes signals");
        let begun = Instant::now();
        while child.try_wait().expect("a child can be asked").is_none() {
            assert!(begun.elapsed() < STOP_MAX, "node {} does not end", self.at);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the output of `starling status --json`, or the reason why there is none.
    pub fn status(&self) -> Result<Value, String> {
        let mut command = starling(&["status", "--json", "--data-dir"]);
        let ended = command.arg(self.data_dir()).output().expect("the starling binary can be run");
        serde_json::from_slice(&ended.stdout)
            .map_err(|_| String::from_utf8_lossy(&ended.stderr).trim().to_owned())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            print_tail(&format!("node {}", self.at), &self.home.path().join("stderr"));
        }
    }
}
