//! All guests of a run and their rooms: starts them, watches that none fails and that service goes on, and ends them.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::actor::Actor;
use crate::ledger::{Ledger, locked};
use harness::http::create_room;
use harness::{Cluster, eventually};

/// In each room two guests post and one only reads; every third guest stays on a node as long as possible.
const SENDERS: usize = 2;
const GUESTS: usize = 3;

/// The rate of posts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) rooms: usize,
    /// The posts of each sender per second.
    pub(crate) hz: u32,
}

pub(crate) struct Load {
    ledger: Arc<Mutex<Ledger>>,
    actors: JoinSet<()>,
    sending: watch::Sender<bool>,
}

impl Load {
    pub(crate) async fn start(cluster: &Cluster, rate: Rate, rng: &mut StdRng) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        for (at, node) in cluster.nodes.iter().enumerate() {
            let mut ledger = locked(&ledger);
            ledger.places.add(node.http);
            ledger.places.set_open(at, node.is_running());
        }
        let open = locked(&ledger).places.open();
        for room in 0..rate.rooms {
            let id = create_room(cluster[open[room % open.len()]].http).await;
            locked(&ledger).rooms.push(id);
        }
        let (sending, phase) = watch::channel(true);
        let mut actors = JoinSet::new();
        for number in 0..rate.rooms * GUESTS {
            let (name, room) = (format!("guest {number}"), number % rate.rooms);
            let guest = locked(&ledger).add_guest(&name, room);
            let actor = Actor {
                guest,
                name,
                room: locked(&ledger).rooms[room].clone(),
                rate_hz: (number / rate.rooms < SENDERS).then_some(rate.hz),
                wanders: room % GUESTS != number / rate.rooms,
                rng: StdRng::seed_from_u64(rng.random()),
                ledger: ledger.clone(),
                sending: phase.clone(),
            };
            actors.spawn(actor.run());
        }
        Self { ledger, actors, sending }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    /// Lets the load go on for this time. Some guests must be served, whatever is broken.
    pub(crate) async fn goes_on(&mut self, lasts: Duration) {
        let before = self.ledger().acked;
        tokio::time::sleep(lasts).await;
        let (ledger, actors) = (&self.ledger, &mut self.actors);
        eventually(Duration::from_secs(5), "somebody is served", async || {
            unharmed(actors);
            let ledger = locked(ledger);
            if ledger.acked > before { Ok(()) } else { Err(ledger.summary()) }
        })
        .await;
    }

    /// Ends new posts and waits until all are acked.
    pub(crate) async fn quiet(&mut self, deadline: Duration) {
        self.sending.send_replace(false);
        let (ledger, actors) = (&self.ledger, &mut self.actors);
        eventually(deadline, "everything that was sent is acked", async || {
            unharmed(actors);
            let ledger = locked(ledger);
            let unacked = ledger.sent - ledger.acked;
            if unacked == 0 { Ok(()) } else { Err(format!("{unacked} unacked; {}", ledger.summary())) }
        })
        .await;
    }

    /// Waits until `wrong` finds nothing more; returns its last finding at the deadline.
    pub(crate) async fn until_right(
        &mut self,
        deadline: Duration,
        wrong: impl Fn(&Ledger) -> Vec<String>,
    ) -> Vec<String> {
        let end = tokio::time::Instant::now() + deadline;
        loop {
            unharmed(&mut self.actors);
            let found = wrong(&self.ledger());
            if found.is_empty() || tokio::time::Instant::now() > end {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends all guests.
    pub(crate) async fn end(&mut self) {
        self.actors.shutdown().await;
    }
}

/// Panics with the message of an actor that has failed.
fn unharmed(actors: &mut JoinSet<()>) {
    if let Some(Err(error)) = actors.try_join_next() {
        std::panic::resume_unwind(error.into_panic());
    }
}
