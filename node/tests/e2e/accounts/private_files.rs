//! Promise: what a node keeps is nobody else's on its machine: the directory and every file in it are closed to other users,
//! whatever the umask is; what was open is closed at the next start, and the operator is told.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use harness::account::CHEAP_HASHES;
use harness::cluster::new_secret;
use harness::process::{free_port, run, starling};
use harness::{Account, Node, PATIENCE, eventually, http};

/// A node under another umask than the test's.
struct UnderUmask(Child);

impl UnderUmask {
    fn start(node: &Node, umask: &str) -> Self {
        let command = node.command();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
        shell.arg(command.get_program()).args(command.get_args());
        shell.env_remove("STARLING_CONFIG").stdin(Stdio::null()).stdout(Stdio::null());
        let stderr = fs::File::create(node.beside("said")).expect("a file can be made");
        Self(shell.stderr(stderr).spawn().expect("a shell can be run"))
    }

    async fn stop(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).expect("a child takes signals");
        eventually(PATIENCE, "it ends", async || {
            self.0.try_wait().expect("a child can be asked").ok_or_else(|| "it runs".to_owned())
        })
        .await;
    }
}

impl Drop for UnderUmask {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn ready(node: &Node) {
    eventually(PATIENCE, "it is ready", async || match http::get(node.http, "/readyz").await {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o7777
}

/// The permissions of all files in a directory, by their names.
fn modes(dir: &Path) -> BTreeMap<String, u32> {
    let entries = fs::read_dir(dir).expect("its owner can list it").flatten();
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), mode(&entry.path()))).collect()
}

#[tokio::test]
async fn a_new_data_directory_is_its_owners_alone_whatever_the_umask() {
    for umask in ["000", "022", "777"] {
        let mut node = Node::new("lone", &CHEAP_HASHES);
        // What is written when a cluster is known, too.
        let secret = new_secret().await;
        node.add_args(&[
            "--cluster-secret",
            &secret,
            "--cluster-listen",
            &format!("127.0.0.1:{}", free_port()),
        ]);
        node.add_args(&["--join", "127.0.0.1:9"]);
        let running = UnderUmask::start(&node, umask);
        ready(&node).await;
        Account::register(node.http, "ann").await;
        assert_eq!(mode(&node.data_dir()), 0o700, "umask {umask}");
        let modes = modes(&node.data_dir());
        for name in ["node.json", "starling.redb", "control.sock"] {
            assert!(modes.contains_key(name), "{modes:?}");
        }
        assert!(modes.values().all(|mode| *mode == 0o600), "umask {umask}: {modes:?} (in decimal)");
        running.stop().await;
        let said = fs::read_to_string(node.beside("said")).expect("it is captured");
        assert!(!said.contains("other users"), "nothing was open: {said}");
    }
}

#[tokio::test]
async fn what_was_open_is_closed_at_start_with_a_warning_that_names_it() {
    let mut node = Node::lone(&CHEAP_HASHES).await;
    node.stop().await;
    let dir = node.data_dir();
    let within = dir.join("within");
    fs::create_dir(&within).expect("a folder can be made");
    for (path, open) in [
        (dir.clone(), 0o755),
        (dir.join("starling.redb"), 0o644),
        (dir.join("node.json"), 0o640),
        (within.clone(), 0o777),
    ] {
        fs::set_permissions(path, Permissions::from_mode(open)).expect("its owner can");
    }
    // Whatever a link leads to is not the node's.
    let elsewhere = node.beside("elsewhere");
    fs::write(&elsewhere, "x").expect("a file can be made");
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o644)).expect("its owner can");
    std::os::unix::fs::symlink(&elsewhere, dir.join("link")).expect("a link can be made");
    node.restart().await;
    assert_eq!((mode(&dir), mode(&within), mode(&elsewhere)), (0o700, 0o700, 0o644));
    let mut modes = modes(&dir);
    modes.retain(|name, _| !["within", "link"].contains(&name.as_str()));
    assert!(modes.values().all(|mode| *mode == 0o600), "{modes:?} (in decimal)");
    let said = fs::read_to_string(node.beside("stderr")).expect("it is captured");
    let warning = said.lines().find(|line| line.contains("WARN") && line.contains("may have read"));
    let warning = warning.unwrap_or_else(|| panic!("no warning: {said}"));
    for part in ["(0755)", "starling.redb (0644)", "node.json (0640)", "within (0777)"] {
        assert!(warning.contains(part), "{warning}");
    }
    node.stop().await;
    fs::remove_file(node.beside("stderr")).expect("it has said something");
    node.restart().await;
    let said = fs::read_to_string(node.beside("stderr")).expect("it is captured");
    assert!(!said.contains("other users"), "that is done: {said}");
}

#[tokio::test]
async fn a_cluster_secret_is_written_for_its_owner_alone_and_one_that_others_can_read_draws_a_warning() {
    let mut node = Node::new("lone", &CHEAP_HASHES);
    let secret = node.beside("secret");
    let make = || {
        let mut command = starling(&["cluster", "secret", "--out"]);
        command.arg(&secret);
        run(command)
    };
    let first = make().await;
    assert_eq!((first.code, first.stdout.as_str()), (Some(0), ""), "{first:?}");
    let written = fs::read_to_string(&secret).expect("it is there");
    assert_eq!((mode(&secret), written.trim().len()), (0o600, 64));
    let again = make().await;
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("already exists"), "{again:?}");
    assert_eq!(fs::read_to_string(&secret).expect("it is there"), written, "it is not overwritten");

    let file = secret.display().to_string();
    let listen = format!("127.0.0.1:{}", free_port());
    node.add_args(&["--cluster-secret-file", &file, "--cluster-listen", &listen]);
    node.start();
    node.wait_ready().await;
    let said = || fs::read_to_string(node.beside("stderr")).expect("it is captured");
    assert!(!said().contains("can read the cluster secret"), "{}", said());
    node.stop().await;
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).expect("its owner can");
    node.restart().await;
    let said = fs::read_to_string(node.beside("stderr")).expect("it is captured");
    let warning = said.lines().find(|line| line.contains("can read the cluster secret"));
    assert!(warning.is_some_and(|line| line.contains(&file) && line.contains("0644")), "{said}");
}
