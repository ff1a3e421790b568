//! Three nodes under load while one is killed, links are cut, and a node is left alone with its users.
//! Afterwards all list the same messages in one order, every acked one once, and nobody lacks any.

#![expect(clippy::panic, reason = "a guest who sees a promise broken fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod actor;
mod ledger;
mod network;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actor::Actor;
use ledger::{Ledger, locked, violations};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use support::http::{create_room, try_list_all};
use support::proxy::Rule;
use support::{Cluster, Node, PATIENCE, eventually};
use tokio::sync::watch;
use tokio::task::JoinSet;

const ROOMS: usize = 3;
const SENDERS: usize = 10;
const RECEIVERS: usize = 6;
/// Each sender's: 300 messages a second together.
const RATE_HZ: u32 = 30;
/// What is posted between one step and the next: a second and a half of it.
const STEP: usize = 450;
/// How long a step, or the settling at the end, may take on a machine that does other things too.
const SLOW: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acked_is_lost_or_doubled_whatever_breaks() {
    let seed = support::seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::start_seeded(3, seed).await;
    let mut load = Load::start(&cluster, &mut rng).await;
    let mut order = [0, 1, 2];
    order.shuffle(&mut rng);
    let [x, y, z] = order;

    load.goes_on("before anything breaks").await;
    cluster[x].kill9().await;
    load.goes_on("while a node is dead").await;
    cluster[x].restart().await;
    load.goes_on("with the node back").await;
    cluster.cut(y, z);
    load.goes_on("while a link is cut").await;
    cluster.heal(y, z);
    load.goes_on("with the link healed").await;
    load.has_sender_on(y, &cluster[y]).await;
    cluster.isolate(y);
    cluster.in_step(y, 0).await;
    load.goes_on("while a node is alone with a sender").await;
    cluster.rejoin(y);
    load.goes_on("with the lonely node back").await;
    cluster.network.set(x, y, Rule { loss: 0.05, delay: Duration::from_millis(20), ..Rule::default() });
    cluster[z].kill9().await;
    load.goes_on("over one bad link, with another node dead").await;
    cluster[z].restart().await;
    cluster.heal(x, y);
    load.goes_on("with everything well").await;

    load.ends_well(&cluster.nodes).await;
}

/// All actors, and what they know.
struct Load {
    rooms: Vec<String>,
    ledger: Arc<Mutex<Ledger>>,
    actors: JoinSet<()>,
    sending: watch::Sender<bool>,
    expected: usize,
}

impl Load {
    async fn start(cluster: &Cluster, rng: &mut StdRng) -> Self {
        let nodes: Vec<_> = cluster.nodes.iter().map(|node| node.http).collect();
        let mut rooms = Vec::new();
        for number in 0..ROOMS {
            rooms.push(create_room(nodes[number % nodes.len()]).await);
        }
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let (sending, phase) = watch::channel(true);
        let mut actors = JoinSet::new();
        for number in 0..SENDERS + RECEIVERS {
            let actor = Actor {
                name: format!("actor {number}"),
                room: rooms[number % ROOMS].clone(),
                rate_hz: (number < SENDERS).then_some(RATE_HZ),
                nodes: nodes.clone(),
                rng: StdRng::seed_from_u64(rng.random()),
                ledger: ledger.clone(),
                sending: phase.clone(),
            };
            locked(&ledger).note_reader(&actor.name, &actor.room);
            actors.spawn(actor.run());
        }
        Self { rooms, ledger, actors, sending, expected: 0 }
    }

    /// Waits until another step's worth of messages has been acked.
    async fn goes_on(&mut self, when: &str) {
        self.expected = self.expected.max(locked(&self.ledger).acked.len()) + STEP;
        let expected = self.expected;
        eprintln!("{when}: up to {expected} acked");
        let (ledger, actors) = (&self.ledger, &mut self.actors);
        eventually(SLOW, &format!("{when}: {expected} messages acked"), async || {
            unharmed(actors);
            let acked = locked(ledger).acked.len();
            if acked >= expected {
                Ok(())
            } else {
                Err(format!("{acked} acked; {}", locked(ledger).summary()))
            }
        })
        .await;
    }

    async fn has_sender_on(&mut self, at: usize, node: &Node) {
        let (ledger, actors) = (&self.ledger, &mut self.actors);
        eventually(SLOW, &format!("a sender is on {}", node.name), async || {
            unharmed(actors);
            let places = locked(ledger).places.clone();
            let found = (0..SENDERS).any(|number| places.get(&format!("actor {number}")) == Some(&at));
            if found { Ok(()) } else { Err(format!("{places:?}")) }
        })
        .await;
    }

    /// Stops the senders, and checks everything that was promised.
    async fn ends_well(mut self, nodes: &[Node]) {
        self.sending.send_replace(false);
        let (ledger, actors) = (&self.ledger, &mut self.actors);
        eventually(SLOW, "everything that was sent is acked", async || {
            unharmed(actors);
            let ledger = locked(ledger);
            let unacked = ledger.sent.len() - ledger.acked.len();
            if unacked == 0 { Ok(()) } else { Err(format!("{unacked} unacked; {}", ledger.summary())) }
        })
        .await;
        for room in &self.rooms {
            eventually(SLOW, "all nodes list the same, every acked message once", async || {
                unharmed(actors);
                let mut lists = Vec::new();
                for node in nodes {
                    lists.push(try_list_all(node.http, room).await.map_err(|error| error.to_string())?);
                }
                none(&violations(&locked(ledger), room, &lists))
            })
            .await;
        }
        eventually(PATIENCE, "nobody lacks anything", async || {
            unharmed(actors);
            none(&locked(ledger).gaps())
        })
        .await;
        eprintln!("{}", locked(&self.ledger).summary());
    }
}

/// Fails with an actor's own words if one has failed.
fn unharmed(actors: &mut JoinSet<()>) {
    if let Some(Err(error)) = actors.try_join_next() {
        std::panic::resume_unwind(error.into_panic());
    }
}

fn none(violations: &[String]) -> Result<(), String> {
    if violations.is_empty() { Ok(()) } else { Err(violations.join("\n")) }
}
