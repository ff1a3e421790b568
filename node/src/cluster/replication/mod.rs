//! The driver of `protocol`'s replication: one task that owns the [`DriverCore`], gives it inputs and carries out its
//! outputs. It awaits nothing but its inbox: if a queue is full, it refuses the output instead of waiting.

mod compare;
mod confirmations;
mod driver_core;
mod handle;
mod old_peers;
mod readiness;
mod refill;
mod report;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use starling_protocol::{
    Event, NodeId, ScopeDigest, VersionVector,
    frame::peer::Member,
    limits::SCOPES_MAX,
    replica::{ClaimOutcome, Input, LinkId, Millis, Output},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

pub use self::{
    confirmations::CommittedClaim,
    driver_core::DriverCore,
    handle::{Claiming, DriverHandle, DriverInput, PeerReport, Report},
    readiness::{CaughtUp, StartState},
    refill::EndRefill,
};
use self::{handle::NO_LIMIT, old_peers::OldPeers};
use super::{LinkSender, Links};
use crate::{
    environment::Environment,
    metrics::ClusterMetrics,
    store::{Decide, Op, Store, StoreError, Tables},
    supervisor::EndsProcess,
    writer::{OnCopies, PendingAck, WriterHandle},
};

struct LinkTo {
    peer: NodeId,
    sender: LinkSender,
}

/// Where to send an answer.
enum Responder {
    Copies(OnCopies),
    Barrier(oneshot::Sender<Option<usize>>),
    Claim(oneshot::Sender<ClaimOutcome>),
}

/// The task that replicates.
pub struct Driver {
    environment: Arc<dyn Environment>,
    core: DriverCore<Responder>,
    inbox: mpsc::Receiver<DriverInput>,
    handle: DriverHandle,
    links: HashMap<LinkId, LinkTo>,
    old_peers: OldPeers,
    writer: WriterHandle,
    store: Arc<Store>,
    cluster_links: Option<(Arc<Links>, mpsc::Sender<Member>)>,
    metrics: ClusterMetrics,
    /// `Some` while a lost store is not refilled.
    refill: Option<EndRefill>,
    started: Instant,
    next_report: Millis,
}

/// The parts of a [`Driver`].
pub struct DriverParts {
    /// Runs reads for peers.
    pub environment: Arc<dyn Environment>,
    /// The events that the store holds.
    pub held: VersionVector,
    /// The digests of its views.
    pub digests: Vec<(u8, ScopeDigest)>,
    /// The driver's inbox, both ends.
    pub inbox: (mpsc::Sender<DriverInput>, mpsc::Receiver<DriverInput>),
    /// Makes events of other nodes durable.
    pub writer: WriterHandle,
    /// Reads ranges of events for peers.
    pub store: Arc<Store>,
    /// The links, and the channel for new ones; `None` for a node without a cluster.
    pub links: Option<(Arc<Links>, mpsc::Sender<Member>)>,
    /// Whether the node knows of peers to catch up with before it is ready.
    pub knows_peers: bool,
    /// Ends the refill of a lost store; `None` if no refill is under way.
    pub refill: Option<EndRefill>,
    /// Metrics of the cluster.
    pub metrics: ClusterMetrics,
}

impl Driver {
    /// Creates the driver and its handle; [`Driver::run`] runs it.
    pub fn new(parts: DriverParts) -> (Self, DriverHandle) {
        let (sender, inbox) = parts.inbox;
        let handle = DriverHandle::new(sender, !parts.knows_peers, parts.refill.is_some());
        let start = StartState {
            knows_peers: parts.knows_peers,
            is_clustered: parts.links.is_some(),
            is_refilling: parts.refill.is_some(),
        };
        let driver = Self {
            environment: parts.environment,
            core: DriverCore::new(Millis(0), parts.held, parts.digests, start),
            inbox,
            handle: handle.clone(),
            links: HashMap::new(),
            old_peers: OldPeers::default(),
            writer: parts.writer,
            store: parts.store,
            cluster_links: parts.links,
            metrics: parts.metrics,
            refill: parts.refill,
            started: handle.shared.started,
            next_report: Millis(0),
        };
        driver.share_folds();
        (driver, handle)
    }

    /// Runs until the task is dropped.
    pub async fn run(mut self) {
        let _without_it = EndsProcess("driver");
        // Before any peer is heard: its clock is compared with this node's.
        let (wall_ms, stalled) = self.local_status();
        self.drive(|core, now, out| core.set_local_status(now, wall_ms, stalled, out));
        loop {
            let tick = self.started + Duration::from_millis(self.core.next_tick(self.now()).0);
            tokio::select! {
                // A full inbox does not delay a tick.
                biased;
                () = tokio::time::sleep_until(tick) => {
                    let (wall_ms, stalled) = self.local_status();
                    self.drive(|core, now, out| core.tick(now, wall_ms, stalled, out));
                }
                Some(input) = self.inbox.recv() => self.input(input),
            }
            self.publish();
            self.report();
        }
    }

    /// The wall clock, and whether this node is stalled: peers don't wait for one that cannot read, or takes nothing more, either.
    fn local_status(&self) -> (u64, bool) {
        let stalled = self.writer.is_stalled() || self.store.damage().is_some() || !self.is_receiving();
        (self.environment.now_ms(), stalled)
    }

    fn is_receiving(&self) -> bool {
        self.handle.shared.receiving.load(Ordering::SeqCst)
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn input(&mut self, input: DriverInput) {
        match input {
            DriverInput::LinkUp { peer, sender, member, folds } => {
                let link = sender.id();
                let Some((links, new_links)) = &self.cluster_links else { return };
                // Of two links admitted at nearly the same time, the news may come in either order.
                if links.is_current(peer, link) {
                    let _ = new_links.try_send(member);
                    self.links.retain(|_, old| old.peer != peer);
                    let version = sender.version();
                    self.old_peers.link_up(peer, version);
                    // Before the peer is pushed any commit.
                    self.writer.set_has_old_peers(self.old_peers.any());
                    self.links.insert(link, LinkTo { peer, sender });
                    self.handle(Input::LinkUp { link, peer, version, folds });
                }
            }
            DriverInput::LinkDown(link) => {
                self.links.remove(&link);
                self.handle(Input::LinkDown(link));
            }
            DriverInput::Frame(link, frame) => self.handle(Input::Frame(link, frame)),
            DriverInput::Heard(link) => self.handle(Input::Heard(link)),
            DriverInput::Committed(inputs, waiting) => {
                let has_fold = inputs.iter().any(|input| matches!(input, Input::Folded(_)));
                for input in inputs {
                    self.handle(input);
                }
                if has_fold {
                    self.share_folds();
                }
                for waiting in waiting {
                    self.wait(waiting);
                }
            }
            DriverInput::Wait(waiting) => self.wait(waiting),
            DriverInput::Barrier(passed) => {
                self.drive(|core, now, out| core.barrier(now, Responder::Barrier(passed), out));
            }
            DriverInput::ClaimPeers(answer) => {
                // Dropped without an answer if the node is not ready.
                if let Some(peers) = self.drive(DriverCore::claim_peers) {
                    let _ = answer.send(peers);
                }
            }
            DriverInput::Claim(claim, answer) => {
                self.drive(|core, now, out| core.claim(now, claim, Responder::Claim(answer), out));
            }
            DriverInput::Holders(vector, answer) => {
                let _ = answer.send(self.core.replica().holders(self.now(), &vector));
            }
            DriverInput::Reachable(vector, answer) => {
                let _ = answer.send(self.core.replica().reachable(&vector));
            }
            DriverInput::ApplyRefused => self.handle(Input::ApplyRefused),
            DriverInput::Read(input) => self.handle(input),
        }
    }

    fn wait(&mut self, waiting: PendingAck) {
        let PendingAck { wait_for, on_copies } = waiting;
        self.drive(|core, now, out| core.wait(now, wait_for, Responder::Copies(on_copies), out));
    }

    fn handle(&mut self, input: Input) {
        self.drive(|core, now, out| core.handle(now, input, out));
    }

    /// Gives the core an input and carries out its outputs.
    fn drive<T>(
        &mut self,
        decide: impl FnOnce(&mut DriverCore<Responder>, Millis, &mut Vec<Output>) -> T,
    ) -> T {
        let (now, mut outputs) = (self.now(), Vec::new());
        let decided = decide(&mut self.core, now, &mut outputs);
        if !self.core.is_ready() {
            // Before any answer leaves: the process may have been suspended.
            self.handle.shared.ready.store(false, Ordering::Relaxed);
        }
        let refused: Vec<_> = outputs.into_iter().filter_map(|output| self.carry_out(output)).collect();
        for input in refused {
            self.core.refuse(self.now(), input);
        }
        decided
    }

    /// Carries out an output; returns the refusal if that is not possible.
    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Send(link, frame) => return self.send(link, frame),
            Output::Apply(events) => return self.apply(events),
            Output::Read { link, origin, from, to } => {
                let events = move |store: &Store| store.read_events(origin, from, to);
                self.read(events, move |events| Input::ReadDone { link, origin, from, events });
            }
            Output::ReadScopes { link, shard } => {
                let scopes = move |store: &Store| store.scopes_of(shard, SCOPES_MAX);
                self.read(scopes, move |scopes| Input::ScopesRead { link, shard, scopes });
            }
            Output::CompareScopes { peer, scopes } => {
                let (store, shared) = (Arc::clone(&self.store), Arc::clone(&self.handle.shared));
                self.environment
                    .run_blocking(Box::new(move || compare::compare(&store, &shared, peer, &scopes)));
            }
            Output::Settled { token, copies, may_upgrade } => {
                if let Some(Responder::Copies(on_copies)) = self.core.responder_mut(token) {
                    on_copies(copies);
                }
                if !may_upgrade {
                    self.core.take_responder(token);
                }
            }
            Output::UpgradeExpired(token) => drop(self.core.take_responder(token)),
            Output::BarrierEnded(token, answered) => {
                if let Some(Responder::Barrier(passed)) = self.core.take_responder(token) {
                    let _ = passed.send(answered);
                }
            }
            Output::ClaimWaitEnded(token, outcome) => {
                if let Some(Responder::Claim(answer)) = self.core.take_responder(token) {
                    let _ = answer.send(outcome);
                }
            }
            Output::Close(link, error) => {
                if let (Some(to), Some((links, _))) = (self.links.get(&link), &self.cluster_links) {
                    links.close_broken(to.peer, link, &error.to_string());
                }
            }
        }
        None
    }

    /// Reads for a peer on a thread that may block. If the read fails, the answer is empty, and the peer asks another node.
    fn read<T: Default + Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
        answer: impl FnOnce(T) -> Input + Send + 'static,
    ) {
        let (environment, store, handle) =
            (Arc::clone(&self.environment), Arc::clone(&self.store), self.handle.clone());
        let read = move || {
            store.guarded(read).unwrap_or_else(|error| {
                tracing::error!(%error, "cannot read the store for a peer");
                T::default()
            })
        };
        tokio::spawn(async move {
            let found = environment.blocking(read).await.unwrap_or_default();
            handle.send(DriverInput::Read(answer(found))).await;
        });
    }

    fn send(&self, link: LinkId, frame: Bytes) -> Option<Input> {
        let to = self.links.get(&link)?;
        to.sender.try_send(frame).is_err().then_some(Input::SendRefused(link))
    }

    fn apply(&self, events: Vec<Event>) -> Option<Input> {
        let taken = self.is_receiving() && self.writer.try_apply(events);
        (!taken).then_some(Input::ApplyRefused)
    }

    /// Publishes the state that other tasks read. Also decides whether the node has become ready, and then ends a
    /// refill.
    fn publish(&mut self) {
        let now = self.now();
        let shared = &self.handle.shared;
        shared.ran_at.store(now.0, Ordering::Relaxed);
        shared.cursor_limit.store(
            self.core.replica().cursor_limit(now).map_or(NO_LIMIT, |limit| limit.0),
            Ordering::Release,
        );
        shared.peers_know_folds.store(self.core.replica().peers_know_folds(), Ordering::Relaxed);
        let fold = self.core.replica().cursor_fold(now).cloned();
        *shared.cursor_fold.lock().unwrap_or_else(PoisonError::into_inner) = fold;
        let is_waiting_for_peer =
            self.cluster_links.as_ref().is_some_and(|(links, _)| links.is_waiting_for_peer());
        if let Some(caught_up) = self.drive(|core, now, out| core.update(now, is_waiting_for_peer, out)) {
            if caught_up.refilled {
                self.end_refill();
            }
            tracing::info!(peers_in_sync = caught_up.peers_in_sync, "caught up");
            // The verdict on the clock comes first.
            self.next_report = Millis(0);
            self.report();
            self.handle.shared.ready.store(true, Ordering::Relaxed);
        }
        if let Some((links, _)) = &self.cluster_links
            && self.old_peers.drop_forgotten(|node| links.has_forgotten(node))
        {
            self.writer.set_has_old_peers(self.old_peers.any());
        }
        self.fold();
    }

    /// Lets the hellos of further links name the newest folds.
    fn share_folds(&self) {
        if let Some((links, _)) = &self.cluster_links {
            links.set_folds(self.core.replica().newest_folds());
        }
    }

    /// Makes a fold if one is due. If the writer refuses it, another follows in a minute.
    fn fold(&mut self) {
        // Without a cluster there is nobody else.
        let me = self.cluster_links.as_ref().map_or(NodeId([0; 16]), |(links, _)| links.me());
        // A node that leaves for good hands over all that it has written: it writes nothing more.
        if self.is_receiving()
            && let Some(plan) = self.core.plan_fold(self.now(), me)
        {
            let decide = Decide::new(move |tables: &Tables<'_>| tables.decide_fold(&plan));
            if !self.writer.try_op(Op::Decide(decide)) {
                tracing::debug!("the writer has no room for a fold");
            }
        }
    }
}
