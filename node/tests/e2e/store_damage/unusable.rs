//! Promise 10: a store or directory that cannot be used is refused with the reason and what to do about it, and is never
//! called damaged for it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use redb::{Database, TableDefinition};
use rustix::mount::{MountFlags, mount_remount};

use super::{Template, check_refusal};
use harness::process::{run, starling};
use harness::{Node, folder};

const NOBODY: u32 = 65_534;

fn verify(node: &Node) -> Command {
    let mut command = starling(&["verify", "--data-dir"]);
    command.arg(node.data_dir());
    command
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode can be changed");
}

#[tokio::test]
async fn what_may_not_be_read_is_a_matter_of_permissions() {
    let template = Template::new(1).await;
    let node = template.copy("foreign");
    // Root may read everything, so somebody else tries.
    let is_root = rustix::process::getuid().is_root();
    let as_somebody_else = |mut command: Command| {
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let (dir, identity, store) =
        (node.data_dir(), node.data_dir().join("node.json"), node.data_dir().join("starling.redb"));
    chmod(node.data_dir().parent().expect("it is in a folder"), 0o755);
    chmod(&dir, 0o777);
    chmod(&identity, 0o644);
    chmod(&store, 0);
    for command in [node.command(), verify(&node)] {
        let words = ["starling.redb", "permission denied", "chown"];
        check_refusal(&run(as_somebody_else(command)).await, &words).expect("it is refused");
    }
    chmod(&identity, 0);
    let words = ["node.json", "permission denied", "chown"];
    check_refusal(&run(as_somebody_else(node.command())).await, &words).expect("it is refused");
    chmod(&dir, 0);
    let words = ["data directory", "permission denied", "chown"];
    check_refusal(&run(as_somebody_else(node.command())).await, &words).expect("it is refused");
    chmod(&dir, 0o700);
}

#[tokio::test]
async fn a_read_only_disk_is_said_to_be_one() {
    let template = Template::new(1).await;
    let mut node = Node::new("read-only", &[]);
    if let Err(why) = node.on_small_disk(64) {
        return harness::skip("a disk of its own", &why);
    }
    folder::copy(&template.node.data_dir(), &node.data_dir());
    let disk = node.data_dir().parent().expect("it is on a disk").to_owned();
    mount_remount(&disk, MountFlags::RDONLY, "").expect("it can be made read-only");
    for command in [node.command(), verify(&node)] {
        check_refusal(&run(command).await, &["read-only", "mount it for writing"]).expect("it is refused");
    }
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_not_called_damaged() {
    let template = Template::new(1).await;
    let node = template.copy("newer");
    let database = Database::open(node.data_dir().join("starling.redb")).expect("it is sound");
    let transaction = database.begin_write().expect("nobody else writes");
    let meta: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    transaction.open_table(meta).expect("it is there").insert("schema_version", 99).expect("it is written");
    transaction.commit().expect("it is written");
    drop(database);
    for command in [node.command(), verify(&node)] {
        let ended = run(command).await;
        check_refusal(&ended, &["version 99", "run a newer one"]).expect("it is refused");
        assert!(!ended.stderr.contains("damaged") && !ended.stderr.contains("--fresh"), "{ended:?}");
    }
}

#[tokio::test]
async fn what_is_no_store_is_refused_with_the_ways_out() {
    let template = Template::new(1).await;
    let node = template.copy("garbage");
    fs::write(node.data_dir().join("starling.redb"), "garbage ".repeat(10_000)).expect("it can be written");
    let words = ["damaged or no Starling store", "backup", "--fresh"];
    for command in [node.command(), verify(&node)] {
        check_refusal(&run(command).await, &words).expect("it is refused");
    }
}
