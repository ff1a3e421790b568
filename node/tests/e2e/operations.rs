//! Operators see the truth: `starling status` and `verify` against running and stopped nodes, and a node whose views are
//! wrong is found out by its peers; what a node says that has no files for more connections.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use harness::{
    Client, Cluster, Node, PATIENCE, eventually,
    http::{create_room, get},
    process::{run, starling},
};
use redb::{Database, ReadableTable as _, TableDefinition};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use tokio::net::TcpStream;

/// Peers compare every second and wait 10 s whether a difference lasts.
const FOUND_OUT_MAX: Duration = Duration::from_secs(30);

async fn command(name: &str, node: &Node, args: &[&str]) -> (Option<i32>, String) {
    let mut command = starling(&[name, "--data-dir"]);
    command.arg(node.data_dir()).args(args);
    let ended = run(command).await;
    (ended.code, ended.stdout + &ended.stderr)
}

async fn status(node: &Node) -> Value {
    let (code, text) = command("status", node, &["--json"]).await;
    assert_eq!(code, Some(0), "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn status_and_verify_speak_with_a_running_node_and_with_its_store() {
    let mut cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    Client::join(cluster[0].http, &room, "Ann").await.post("hello").await;
    eventually(PATIENCE, "all peers are in sync and show the same", async || {
        let status = status(&cluster[0]).await;
        let alike = |peer: &Value| peer["in_sync"] == true && peer["shards_equal"].as_u64() >= Some(1);
        let peers = status["peers"].as_array().cloned().unwrap_or_default();
        let well = status["state"] == "ready" && peers.len() == 2 && peers.iter().all(alike);
        if well { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    let (code, text) = command("status", &cluster[0], &[]).await;
    assert!(code == Some(0) && text.contains("state     ready") && text.contains("in sync"), "{text}");

    let (code, running) = command("verify", &cluster[0], &["--rooms"]).await;
    assert_eq!(code, Some(0), "{running}");
    let told = [&format!("room {room} "), "of 256 shards equal, 0 diverged", "events 2\n"];
    assert!(told.iter().all(|told| running.contains(*told)), "{running}");
    let (code, refused) = command("verify", &cluster[0], &["--rebuild"]).await;
    assert!(code == Some(2) && refused.contains("stop it"), "{refused}");

    let digest = |text: &str| text.lines().find(|line| line.starts_with("digest ")).map(str::to_owned);
    assert_eq!(cluster[0].stop().await, Some(0));
    let (code, stopped) = command("verify", &cluster[0], &[]).await;
    assert_eq!((code, digest(&stopped)), (Some(0), digest(&running)), "{stopped}");
    let (code, gone) = command("status", &cluster[0], &[]).await;
    assert!(code == Some(2) && gone.contains("no node runs"), "{gone}");
}

#[tokio::test]
async fn the_control_socket_is_its_owners_and_outlives_no_stop() {
    let mut node = Node::lone(&[]).await;
    let socket = node.data_dir().join("control.sock");
    assert_eq!(fs::metadata(&socket).expect("there is a socket").permissions().mode() & 0o777, 0o600);
    node.kill9().await;
    node.restart().await;
    assert_eq!(status(&node).await["state"], "ready", "a dead process's socket is replaced");
    assert_eq!(node.stop().await, Some(0));
    assert!(!socket.exists());
}

/// Promise 4: a node that shows something else than its peers although it holds the same is found out.
#[tokio::test]
async fn views_that_differ_are_found_and_named() {
    let mut cluster = Cluster::start(2).await;
    let room = create_room(cluster[0].http).await;
    Client::join(cluster[0].http, &room, "Ann").await.post("hello").await;
    assert_eq!(cluster[1].stop().await, Some(0));
    falsify_digest(&cluster[1].data_dir().join("starling.redb"));
    let (code, unsound) = command("verify", &cluster[1], &[]).await;
    assert!(code == Some(2) && unsound.contains("--rebuild"), "{unsound}");

    cluster[1].restart().await;
    for node in &cluster.nodes {
        eventually(FOUND_OUT_MAX, &format!("{} says what differs", node.name), async || {
            let health = get(node.http, "/readyz").await.map_err(|error| error.to_string())?.text();
            let metrics = get(node.http, "/metrics").await.map_err(|error| error.to_string())?.text();
            let counted = metrics
                .lines()
                .any(|line| line.starts_with("starling_digest_shards_diverged{") && line.ends_with(" 1"));
            if health.contains(&format!("room {room}")) && counted { Ok(()) } else { Err(health) }
        })
        .await;
    }
    assert_eq!(cluster[1].stop().await, Some(0));
    let (code, rebuilt) = command("verify", &cluster[1], &["--rebuild"]).await;
    assert_eq!(code, Some(0), "{rebuilt}");
    cluster[1].restart().await;
    eventually(PATIENCE, "all is well again", async || {
        let health = get(cluster[0].http, "/readyz").await.map_err(|error| error.to_string())?.text();
        if health.contains("something else") { Err(health) } else { Ok(()) }
    })
    .await;
}

/// Does what a bug in a merge rule would do: the views of one room differ.
fn falsify_digest(store: &Path) {
    const DIGESTS: TableDefinition<'_, &[u8], &[u8; 32]> = TableDefinition::new("digests");
    const ROOM: u8 = 1;
    let db = Database::open(store).expect("the store opens");
    let transaction = db.begin_write().expect("it can be written");
    {
        let mut table = transaction.open_table(DIGESTS).expect("there are digests");
        let rows: Vec<_> =
            table.iter().expect("they can be read").map(|row| row.expect("each of them")).collect();
        let row = rows.iter().map(|(key, digest)| (key.value().to_vec(), *digest.value()));
        let (key, mut digest) = row.into_iter().find(|(key, _)| key[1] == ROOM).expect("there is a room");
        drop(rows);
        digest[31] ^= 1;
        table.insert(&key[..], &digest).expect("it can be written");
    }
    transaction.commit().expect("it is durable");
}

/// Without files for more connections the node says so once, and health is still answered now and then.
#[tokio::test]
async fn a_node_without_files_for_more_connections_answers_health_and_logs_a_line() {
    let node = Node::lone(&[]).await;
    let pid = i32::try_from(node.pid()).ok().and_then(Pid::from_raw);
    let open = fs::read_dir(format!("/proc/{}/fd", node.pid())).expect("there is one").count();
    let limit = u64::try_from(open).expect("few") + 10;
    let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
    prlimit(pid, Resource::Nofile, limit).expect("a child's limits may be lowered");
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(node.http).await.expect("the kernel accepts"));
    }
    let log = || fs::read_to_string(node.beside("stderr")).expect("it is captured");
    let lines = || log().lines().filter(|line| line.contains("cannot accept connections")).count();
    eventually(PATIENCE, "it says so", async || if lines() > 0 { Ok(()) } else { Err(log()) }).await;
    eventually(PATIENCE, "health is answered", async || match get(node.http, "/readyz").await {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(lines(), 1, "{}", log());
}
