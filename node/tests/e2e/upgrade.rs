//! A rolling upgrade of three nodes from an older build to this one, under load: promise 12. `compose/rolling-upgrade.sh`
//! builds the older one and runs this.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use harness::client::post_frame;
use harness::http::{create_room, list_all};
use harness::process::{NO_MESSAGE_LIMITS, run};
use harness::{Client, Cluster, Frame, PATIENCE, eventually};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

const GUESTS: usize = 6;
/// The pause of a guest between an ack and the next post.
const PAUSE: Duration = Duration::from_millis(20);
/// Words of log lines that an upgrade must not cause.
const ALARMS: [&str; 5] = ["diverged", "refused", "breaks the protocol", "does not decode", "panicked"];

/// A guest who posts, and goes on at another node when theirs stops.
struct Guest {
    client: Client,
    nodes: Vec<SocketAddr>,
    at: usize,
    acked: BTreeSet<String>,
    seen: BTreeSet<String>,
}

impl Guest {
    /// Posts until `end`, each message until it is acked.
    async fn chat(mut self, mut end: watch::Receiver<bool>) -> Self {
        while !*end.borrow_and_update() {
            let id = Uuid::new_v4().to_string();
            timeout(2 * PATIENCE, self.post(&id)).await.expect("a post is acked by some node");
            self.acked.insert(id);
            tokio::time::sleep(PAUSE).await;
        }
        self
    }

    async fn post(&mut self, id: &str) {
        loop {
            if self.client.try_send(post_frame(id, "said during the upgrade")).await.is_ok() {
                loop {
                    match self.client.advance().await {
                        Frame::Ack { id: acked, .. } if acked == id => return,
                        Frame::Closed(_) | Frame::Error { .. } => break,
                        Frame::Resync { .. } => panic!("a cursor holds over an upgrade"),
                        _ => {}
                    }
                }
            }
            self.go_on_elsewhere().await;
        }
    }

    async fn go_on_elsewhere(&mut self) {
        self.note_seen();
        let Client { room, name, cursor, after, .. } = &self.client;
        loop {
            self.at = (self.at + 1) % self.nodes.len();
            let node = self.nodes[self.at];
            // The next node may be the one that is being upgraded.
            if let Ok(client) = Client::connect(node, room, name, Some(cursor), after.as_deref()).await {
                self.client = client;
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn note_seen(&mut self) {
        self.seen.extend(self.client.messages.iter().map(|posted| posted.id.clone()));
    }
}

fn old_binary() -> PathBuf {
    std::env::var_os("STARLING_OLD_BINARY").expect("compose/rolling-upgrade.sh names the older build").into()
}

#[tokio::test]
#[ignore = "needs an older build: compose/rolling-upgrade.sh"]
async fn three_nodes_are_upgraded_under_load_and_nothing_is_lost() {
    let old = old_binary();
    let mut cluster = Cluster::prepare(3, 0).await;
    for node in &mut cluster.nodes {
        node.add_args(&NO_MESSAGE_LIMITS);
        node.use_binary(Some(&old));
    }
    cluster.start_first(3).await;
    let room = create_room(cluster[0].http).await;
    let nodes: Vec<_> = cluster.nodes.iter().map(|node| node.http).collect();
    let end = watch::Sender::new(false);
    let mut guests = JoinSet::new();
    for number in 0..GUESTS {
        let at = number % nodes.len();
        let client = Client::join(nodes[at], &room, &format!("Guest {number}")).await;
        let guest = Guest { client, nodes: nodes.clone(), at, acked: BTreeSet::new(), seen: BTreeSet::new() };
        guests.spawn(guest.chat(end.subscribe()));
    }
    for upgraded in 0..3 {
        assert_eq!(cluster[upgraded].stop().await, Some(0));
        cluster[upgraded].use_binary(None);
        cluster[upgraded].restart().await;
        cluster.linked().await;
    }
    end.send_replace(true);
    let mut guests = guests.join_all().await;
    let acked: BTreeSet<_> = guests.iter().flat_map(|guest| guest.acked.clone()).collect();
    eprintln!("{} messages were acked during the upgrade", acked.len());
    for guest in &mut guests {
        guest.note_seen();
        let missing = acked.difference(&guest.seen).cloned().collect();
        guest.client.until_ids(&missing).await;
    }
    let listed = list_all(nodes[0], &room).await.into_iter().map(|posted| posted.id).collect::<Vec<_>>();
    for id in &acked {
        assert_eq!(listed.iter().filter(|listed| *listed == id).count(), 1, "{id}");
    }
    for node in &cluster.nodes {
        eventually(PATIENCE, "all list the same", async || {
            let ids: Vec<_> = list_all(node.http, &room).await.into_iter().map(|posted| posted.id).collect();
            harness::same(&ids, &listed)
        })
        .await;
        let lines = std::fs::read_to_string(node.beside("stderr")).expect("a node logs");
        let alarm = lines.lines().find(|line| ALARMS.iter().any(|alarm| line.contains(alarm)));
        assert_eq!(alarm, None, "on {}", node.name);
    }
    is_not_taken_back(&mut cluster, &old).await;
}

/// The older build refuses the upgraded store in one line, and leaves it as it is.
async fn is_not_taken_back(cluster: &mut Cluster, old: &Path) {
    assert_eq!(cluster[0].stop().await, Some(0));
    cluster[0].use_binary(Some(old));
    let ended = run(cluster[0].command()).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.lines().last().is_some_and(|line| line.contains("newer")), "{}", ended.stderr);
    cluster[0].use_binary(None);
    cluster[0].restart().await;
}
