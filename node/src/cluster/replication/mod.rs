//! The driver of `protocol`'s replication: one task that owns the [`Replica`], feeds it what happens and carries out
//! what it asks for. It awaits nothing but its inbox: a full queue is told to the replica, never waited for.

mod compare;
mod handle;
mod refill;
mod report;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use starling_protocol::{
    Event, NodeId, ScopeDigest, VersionVector,
    frame::peer::Member,
    limits::SCOPES_MAX,
    replica::{Claim, ClaimOutcome, Input, LinkId, Millis, Output, Replica, Token, Waiter},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use self::handle::NO_LIMIT;
pub use self::{
    handle::{Claiming, DriverHandle, DriverInput, PeerReport, Report},
    refill::EndRefill,
};
use super::{LinkSender, Links};
use crate::{
    environment::Environment,
    metrics::ClusterMetrics,
    store::{Store, StoreError},
    supervisor::EndsProcess,
    writer::{Settled, Waiting, WriterHandle},
};

/// A starting node that knows of peers, but hears none, serves after this.
const ALONE_AFTER: Duration = Duration::from_secs(1);
/// One that slept serves alone after this: its peers were there before, and may have to dial it anew.
const ALONE_AFTER_SLEEP: Duration = Duration::from_secs(4);
/// How long a claim on a name waits for the nodes in sync both ways: one that has fallen silent is out of sync after 3 s.
/// With the hash and the commit that makes 4 s at most.
const CLAIM_WAIT_MS: Millis = 3_500;
/// A driver that runs so much later than it wanted to has not run at all: the process was stopped.
const SLEPT_MS_MIN: Millis = 1_000;

struct LinkTo {
    peer: NodeId,
    sender: LinkSender,
}

/// The task.
pub struct Driver {
    machine: Arc<dyn Environment>,
    replica: Replica,
    inbox: mpsc::Receiver<DriverInput>,
    handle: DriverHandle,
    links: HashMap<LinkId, LinkTo>,
    settled: HashMap<Token, Settled>,
    barriers: HashMap<Token, oneshot::Sender<Option<usize>>>,
    claims: HashMap<Token, oneshot::Sender<ClaimOutcome>>,
    next_token: Token,
    writer: WriterHandle,
    store: Arc<Store>,
    admitted: Option<(Arc<Links>, mpsc::Sender<Member>)>,
    metrics: ClusterMetrics,
    /// While the store that was lost isn't refilled.
    refill: Option<EndRefill>,
    started: Instant,
    /// When it serves although nobody calls it in sync, if it hears nobody.
    alone_at: Instant,
    next_report: Millis,
    outputs: Vec<Output>,
}

/// What a driver is made of.
pub struct DriverParts {
    /// Runs reads for peers.
    pub machine: Arc<dyn Environment>,
    /// What the store holds.
    pub held: VersionVector,
    /// Digests of what it shows.
    pub digests: Vec<(u8, ScopeDigest)>,
    /// The driver's inbox, both ends.
    pub inbox: (mpsc::Sender<DriverInput>, mpsc::Receiver<DriverInput>),
    /// Where events of others are made durable.
    pub writer: WriterHandle,
    /// Where ranges for peers are read.
    pub store: Arc<Store>,
    /// The links, and whom to tell of new ones; nothing for a node without a cluster.
    pub links: Option<(Arc<Links>, mpsc::Sender<Member>)>,
    /// Whether the node knows of peers to catch up with before it is ready.
    pub knows_peers: bool,
    /// How to keep that the store is refilled, if it was lost and has not been since.
    pub refill: Option<EndRefill>,
    /// What is measured.
    pub metrics: ClusterMetrics,
}

impl Driver {
    /// Makes the driver; [`Driver::run`] runs it.
    pub fn new(parts: DriverParts) -> (Self, DriverHandle) {
        let (sender, inbox) = parts.inbox;
        let handle = DriverHandle::new(sender, !parts.knows_peers, parts.refill.is_some());
        let mut replica = Replica::new(parts.held, 0);
        for known in [Input::Digests(parts.digests), Input::Refilling(parts.refill.is_some())] {
            replica.handle(0, known, &mut Vec::new());
        }
        let driver = Self {
            machine: parts.machine,
            replica,
            inbox,
            handle: handle.clone(),
            links: HashMap::new(),
            settled: HashMap::new(),
            barriers: HashMap::new(),
            claims: HashMap::new(),
            next_token: 0,
            writer: parts.writer,
            store: parts.store,
            admitted: parts.links,
            metrics: parts.metrics,
            refill: parts.refill,
            started: handle.shared.started,
            alone_at: Instant::now() + ALONE_AFTER,
            next_report: 0,
            outputs: Vec::new(),
        };
        (driver, handle)
    }

    /// Runs until the task is dropped.
    pub async fn run(mut self) {
        let _without_it = EndsProcess("driver");
        // Before any peer is heard: its clock is compared with this node's.
        self.set_local_status();
        loop {
            let due = self.replica.next_tick().max(self.now());
            let tick = self.started + Duration::from_millis(due);
            tokio::select! {
                // A tick is not held up by a full inbox.
                biased;
                () = tokio::time::sleep_until(tick) => {
                    self.notice_sleep(due);
                    self.set_local_status();
                    self.handle(Input::Tick);
                }
                Some(input) = self.inbox.recv() => {
                    self.notice_sleep(due);
                    self.told(input);
                }
            }
            self.publish();
            self.report();
        }
    }

    fn set_local_status(&mut self) {
        // Whoever cannot read is not waited for either.
        let stalled = self.writer.is_stalled() || self.store.damage().is_some();
        self.handle(Input::LocalStatus { wall_ms: self.machine.now_ms(), stalled });
    }

    fn now(&self) -> Millis {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The process was stopped and goes on: what it knew of others is old, and they may have gone on without it.
    fn notice_sleep(&mut self, due: Millis) {
        if self.now() < due + SLEPT_MS_MIN {
            return;
        }
        tracing::warn!(
            ms = self.now() - due,
            "the process did not run for a while: exchanging vectors first"
        );
        if self.admitted.is_some() {
            self.handle.shared.ready.store(false, Ordering::Relaxed);
            self.alone_at = Instant::now() + ALONE_AFTER_SLEEP;
        }
        self.handle(Input::Resumed);
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        self.next_token
    }

    fn told(&mut self, input: DriverInput) {
        match input {
            DriverInput::LinkUp { peer, sender, member } => {
                let link = sender.id();
                let Some((links, linked)) = &self.admitted else { return };
                // Of two links admitted at nearly the same time, the news may come in either order.
                if links.is_current(peer, link) {
                    let _ = linked.try_send(member);
                    self.links.retain(|_, old| old.peer != peer);
                    self.links.insert(link, LinkTo { peer, sender });
                    self.handle(Input::LinkUp { link, peer });
                }
            }
            DriverInput::LinkDown(link) => {
                self.links.remove(&link);
                self.handle(Input::LinkDown(link));
            }
            DriverInput::Frame(link, frame) => self.handle(Input::Frame(link, frame)),
            DriverInput::Committed(inputs, waiting) => {
                for input in inputs {
                    self.handle(input);
                }
                for waiting in waiting {
                    self.wait(waiting);
                }
            }
            DriverInput::Wait(waiting) => self.wait(waiting),
            DriverInput::Barrier(passed) => {
                let token = self.token();
                self.barriers.insert(token, passed);
                self.handle(Input::Barrier(token));
            }
            DriverInput::ClaimPeers(answer) => {
                let _ = answer.send(self.replica.claim_peers(self.now()));
            }
            DriverInput::Claim { origin, seq, since, waited_for, answer } => {
                let token = self.token();
                self.claims.insert(token, answer);
                let wait_ms = CLAIM_WAIT_MS;
                self.handle(Input::Claim(Claim { token, origin, seq, since, wait_ms, waited_for }));
            }
            DriverInput::Reachable(vector, answer) => {
                let _ = answer.send(self.replica.reachable(&vector));
            }
            DriverInput::ApplyRefused => self.handle(Input::ApplyRefused),
            DriverInput::Read(input) => self.handle(input),
        }
    }

    fn wait(&mut self, waiting: Waiting) {
        let Waiting { origin, seq, until, wait_ms, upgrade_ms, settled } = waiting;
        let token = self.token();
        self.settled.insert(token, settled);
        self.handle(Input::Await(Waiter { token, origin, seq, until, wait_ms, upgrade_ms }));
    }

    fn handle(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let mut outputs = std::mem::take(&mut self.outputs);
            self.replica.handle(self.now(), input, &mut outputs);
            let mut refused = Vec::new();
            for output in outputs.drain(..) {
                refused.extend(self.carry_out(output));
            }
            self.outputs = outputs;
            for input in refused {
                // A refusal makes the replica hold back; it never asks for more because of one.
                self.replica.handle(self.now(), input, &mut self.outputs);
            }
            debug_assert!(self.outputs.is_empty(), "a refusal has no effect but to hold back");
        }
    }

    /// Gives back what could not be done.
    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Send(link, frame) => self.send(link, frame),
            Output::Apply(events) => self.apply(events),
            Output::Read { link, origin, from, to } => {
                let events = move |store: &Store| store.range(origin, from, to);
                self.read(events, move |events| Input::ReadDone { link, origin, from, events });
                None
            }
            Output::Settled { token, copies, may_upgrade } => {
                if let Some(settled) = self.settled.get_mut(&token) {
                    settled(copies);
                }
                if !may_upgrade {
                    self.settled.remove(&token);
                }
                None
            }
            Output::UpgradeExpired(token) => {
                self.settled.remove(&token);
                None
            }
            Output::ReadScopes { link, shard } => {
                let scopes = move |store: &Store| store.scopes_of(shard, SCOPES_MAX);
                self.read(scopes, move |scopes| Input::ScopesRead { link, shard, scopes });
                None
            }
            Output::CompareScopes { peer, scopes } => {
                let (store, shared) = (Arc::clone(&self.store), Arc::clone(&self.handle.shared));
                self.machine.run_blocking(Box::new(move || compare::compare(&store, &shared, peer, &scopes)));
                None
            }
            Output::BarrierPassed(token, answered) => {
                if let Some(passed) = self.barriers.remove(&token) {
                    let _ = passed.send(answered);
                }
                None
            }
            Output::Claimed(token, outcome) => {
                if let Some(answer) = self.claims.remove(&token) {
                    let _ = answer.send(outcome);
                }
                None
            }
            Output::Close(link, error) => {
                if let (Some(to), Some((links, _))) = (self.links.get(&link), &self.admitted) {
                    links.close_broken(to.peer, link, &error.to_string());
                }
                None
            }
        }
    }

    /// Reads for a peer on a thread that may block. If that fails the answer is empty, and the peer asks another.
    fn read<T: Default + Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
        answer: impl FnOnce(T) -> Input + Send + 'static,
    ) {
        let (machine, store, handle) =
            (Arc::clone(&self.machine), Arc::clone(&self.store), self.handle.clone());
        let read = move || {
            store.guarded(read).unwrap_or_else(|error| {
                tracing::error!(%error, "cannot read the store for a peer");
                T::default()
            })
        };
        tokio::spawn(async move {
            let found = machine.blocking(read).await.unwrap_or_default();
            handle.send(DriverInput::Read(answer(found))).await;
        });
    }

    fn send(&self, link: LinkId, frame: Bytes) -> Option<Input> {
        let to = self.links.get(&link)?;
        to.sender.try_send(frame).is_err().then_some(Input::SendRefused(link))
    }

    fn apply(&self, events: Vec<Event>) -> Option<Input> {
        (!self.writer.try_apply(events)).then_some(Input::ApplyRefused)
    }

    /// Whether it does not serve before it has heard a peer: it was told so, or its store was lost.
    fn expects_peer(&self) -> bool {
        self.refill.is_some() || self.admitted.as_ref().is_some_and(|(links, _)| links.expects_peer())
    }

    /// Lets others know.
    fn publish(&mut self) {
        let now = self.now();
        let shared = &self.handle.shared;
        shared.ran_at.store(now, Ordering::Relaxed);
        shared.own_limit.store(self.replica.own_limit(now).unwrap_or(NO_LIMIT), Ordering::Release);
        if !shared.ready.load(Ordering::Relaxed) {
            let ready = match self.replica.peers_see_us_in_sync(now) {
                Some(called) => called,
                None => !self.expects_peer() && Instant::now() >= self.alone_at,
            };
            if ready {
                self.end_refill();
                tracing::info!(peers_in_sync = self.replica.in_sync_count(now), "caught up");
                // Not before the clock has been judged by them.
                self.next_report = 0;
                self.report();
                self.handle.shared.ready.store(true, Ordering::Relaxed);
            }
        }
    }
}
