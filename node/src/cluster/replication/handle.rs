//! The interface of the driver to the rest of the node: its inputs, its questions and its reports.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use starling_protocol::{
    Digest, Fold, NodeId, OriginId, Seq, VersionVector,
    clock_majority::ClockVerdict,
    frame::peer::{Member, ReplicaFrame},
    replica::{ClaimOutcome, HelloFolds, Input, LinkId, Millis, Until},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::confirmations::CommittedClaim;
use crate::{
    cluster::LinkSender,
    writer::{CopiesWait, PendingAck},
};

/// The value of `cursor_limit` while no peer is in sync: cursors may include all events of this node.
pub(super) const NO_LIMIT: u64 = u64::MAX;

/// A driver ticks every second; after this silence its knowledge of peers is outdated.
const DRIVER_SILENCE_MAX: Duration = Duration::from_millis(2_500);

/// An input of the driver.
pub enum DriverInput {
    /// A link was admitted.
    LinkUp {
        /// The node at its other end.
        peer: NodeId,
        /// Sends to the peer.
        sender: LinkSender,
        /// The peer, as it describes itself.
        member: Member,
        /// The folds in both hellos; `None` if the peer reads no vectors over folds.
        folds: Option<HelloFolds>,
    },
    /// A link has ended.
    LinkDown(LinkId),
    /// A frame of replication came in.
    Frame(LinkId, ReplicaFrame),
    /// A part of a long frame came in.
    Heard(LinkId),
    /// The writer has made a batch durable; the second part are the waits for copies of it.
    Committed(Vec<Input>, Vec<PendingAck>),
    /// A wait for copies of an event that is durable here already.
    Wait(PendingAck),
    /// A service is about to answer that something does not exist; it waits for a barrier.
    Barrier(oneshot::Sender<Option<usize>>),
    /// A service is about to claim a name and asks which nodes the claim has to wait for. There is no answer if this node
    /// is not ready.
    ClaimPeers(oneshot::Sender<Vec<NodeId>>),
    /// A claim on a name was committed; the sender takes its outcome.
    Claim(CommittedClaim, oneshot::Sender<ClaimOutcome>),
    /// Asks which peers in sync have confirmed all of a vector.
    Holders(VersionVector, oneshot::Sender<Vec<NodeId>>),
    /// Asks whether reachable peers hold all of a vector that this node lacks.
    Reachable(VersionVector, oneshot::Sender<bool>),
    /// The writer refused events of a peer.
    ApplyRefused,
    /// The store has read something for a peer.
    Read(Input),
}

/// The state of replication with a linked peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerReport {
    /// The peer.
    pub peer: NodeId,
    /// The number of events that are here and that the peer is not known to have.
    pub lag: u64,
    /// Whether the peer is in sync.
    pub in_sync: bool,
    /// The number of shards, of 256, in which its views are known to equal those of this node.
    pub shards_equal: usize,
    /// The number of shards in which its views differ, although it applied the same events.
    pub shards_diverged: usize,
}

/// The state of replication, a second old at most.
#[derive(Clone, Debug)]
pub struct Report {
    /// The verdict on this node's clock.
    pub clock: ClockVerdict,
    /// The linked peers.
    pub peers: Vec<PeerReport>,
    /// The number of missing events by origin.
    pub missing: Vec<(OriginId, u64)>,
    /// The number of answers that are pending.
    pub pending_replies: usize,
    /// The digest of this node's views.
    pub digest: Digest,
}

/// The driver's state that others may read without asking it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cursor_limit: AtomicU64,
    /// The fold that cursors may be written over.
    pub(super) cursor_fold: Mutex<Option<Arc<Fold>>>,
    /// Whether all linked peers know folds.
    pub(super) peers_know_folds: AtomicBool,
    pub(super) ready: AtomicBool,
    pub(super) refilling: AtomicBool,
    /// Whether this node takes what its peers write.
    pub(super) receiving: AtomicBool,
    /// The start of the driver's clock.
    pub(super) started: Instant,
    /// The time of the driver's last run, in milliseconds.
    pub(super) ran_at: AtomicU64,
    pub(super) report: Mutex<Report>,
    /// The peers whose views differ, each with a text that names some scopes.
    pub(super) differences: Mutex<Vec<(NodeId, String)>>,
}

/// A handle to the driver.
#[derive(Clone, Debug)]
pub struct DriverHandle {
    pub(super) inbox: mpsc::Sender<DriverInput>,
    pub(super) shared: Arc<Shared>,
}

impl DriverHandle {
    /// Creates the handle of a driver with this inbox.
    pub(super) fn new(inbox: mpsc::Sender<DriverInput>, ready: bool, refilling: bool) -> Self {
        let report = Report {
            clock: ClockVerdict::Agrees,
            peers: Vec::new(),
            missing: Vec::new(),
            pending_replies: 0,
            digest: Digest::default(),
        };
        let shared = Shared {
            cursor_limit: AtomicU64::new(NO_LIMIT),
            cursor_fold: Mutex::default(),
            peers_know_folds: AtomicBool::new(true),
            ready: AtomicBool::new(ready && !refilling),
            receiving: AtomicBool::new(true),
            refilling: AtomicBool::new(refilling),
            started: Instant::now(),
            ran_at: AtomicU64::new(0),
            report: Mutex::new(report),
            differences: Mutex::default(),
        };
        Self { inbox, shared: Arc::new(shared) }
    }

    /// Sends an input, waiting while the inbox is full.
    pub async fn send(&self, input: DriverInput) {
        let _ = self.inbox.send(input).await;
    }

    /// The greatest sequence number of this process that cursors may include.
    pub fn cursor_limit(&self) -> Seq {
        Seq(self.shared.cursor_limit.load(Ordering::Acquire))
    }

    /// Whether all linked peers know folds: events that older versions don't know wait for that.
    pub fn peers_know_folds(&self) -> bool {
        self.shared.peers_know_folds.load(Ordering::Relaxed)
    }

    /// The newest fold that cursors may be written over, if there is one: all peers in sync know it.
    pub fn cursor_fold(&self) -> Option<Arc<Fold>> {
        self.shared.cursor_fold.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the node has caught up since its start, or since it was suspended, even if the driver has not noticed the
    /// suspension yet.
    pub fn is_ready(&self) -> bool {
        let ran_at = Duration::from_millis(self.shared.ran_at.load(Ordering::Relaxed));
        let silence = self.shared.started.elapsed().saturating_sub(ran_at);
        self.shared.ready.load(Ordering::Relaxed) && silence < DRIVER_SILENCE_MAX
    }

    /// Whether the store was lost, and no peer that holds the data has seen this node in sync since.
    pub fn is_refilling(&self) -> bool {
        self.shared.refilling.load(Ordering::Relaxed)
    }

    /// The state of replication.
    pub fn report(&self) -> Report {
        self.shared.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The peers whose views differ from those of this node, each with a text that names some scopes.
    pub fn differences(&self) -> Vec<(NodeId, String)> {
        self.shared.differences.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of inputs that wait for the driver.
    pub fn queued(&self) -> usize {
        self.inbox.max_capacity() - self.inbox.capacity()
    }

    /// Waits for an event to be durable elsewhere; returns the number of nodes that hold it.
    pub async fn wait(&self, origin: OriginId, seq: Seq, until: Until, wait_ms: u64) -> usize {
        let (sender, copies) = oneshot::channel();
        let mut sender = Some(sender);
        let on_copies = Box::new(move |copies| {
            if let Some(sender) = sender.take() {
                let _ = sender.send(copies);
            }
        });
        let wait_for = CopiesWait { origin, seq, until, wait_ms, upgrade_ms: 0 };
        self.send(DriverInput::Wait(PendingAck { wait_for, on_copies })).await;
        copies.await.unwrap_or(1)
    }

    /// Begins a claim on a name; call it before the claim is committed. `None` if this node is not ready, because it may
    /// lack events of its peers.
    pub async fn begin_claim(&self) -> Option<Claiming<'_>> {
        let since = Millis(u64::try_from(self.shared.started.elapsed().as_millis()).unwrap_or(u64::MAX));
        if !self.is_ready() {
            return None;
        }
        let (answer, waited_for) = oneshot::channel();
        self.send(DriverInput::ClaimPeers(answer)).await;
        Some(Claiming { driver: self, since, waited_for: waited_for.await.ok()? })
    }

    /// Waits until this node holds all events that its peers in sync have now. Returns the number of peers that
    /// answered; `None` if it took more than 250 ms.
    pub async fn barrier(&self) -> Option<usize> {
        let (sender, passed) = oneshot::channel();
        self.send(DriverInput::Barrier(sender)).await;
        passed.await.ok().flatten()
    }

    /// Returns the peers in sync that hold all of `vector`, as they have confirmed.
    pub async fn holders(&self, vector: VersionVector) -> Vec<NodeId> {
        let (sender, answer) = oneshot::channel();
        self.send(DriverInput::Holders(vector, sender)).await;
        answer.await.unwrap_or_default()
    }

    /// Stops taking what peers write, before this node leaves for good: no peer may count on a copy here that nobody takes over.
    /// Once this returns, nothing more is given to the writer. Peers don't wait for this node then.
    pub async fn stop_receiving(&self) {
        self.shared.receiving.store(false, Ordering::SeqCst);
        // The driver handles one input at a time: whatever it did before is over when it answers.
        self.holders(VersionVector::default()).await;
    }

    /// Takes again what peers write.
    pub fn resume_receiving(&self) {
        self.shared.receiving.store(true, Ordering::SeqCst);
    }

    /// Whether reachable peers hold all of `vector` that this node lacks.
    pub async fn reachable(&self, vector: VersionVector) -> bool {
        let (sender, answer) = oneshot::channel();
        self.send(DriverInput::Reachable(vector, sender)).await;
        answer.await.unwrap_or(false)
    }
}

/// A claim on a name that is about to be committed.
#[derive(Debug)]
pub struct Claiming<'a> {
    driver: &'a DriverHandle,
    /// The start of the claim on the driver's clock.
    since: Millis,
    /// The nodes for which the claim will wait; its event must name them.
    pub waited_for: Vec<NodeId>,
}

impl Claiming<'_> {
    /// Waits, for 4 s at most, until each of the nodes to wait for has confirmed the committed claim and this node holds
    /// all events that they held then. Only after [`ClaimOutcome::Confirmed`] do the views show whose name it is.
    pub async fn confirmed(self, origin: OriginId, seq: Seq) -> ClaimOutcome {
        let (answer, outcome) = oneshot::channel();
        let claim = CommittedClaim { origin, seq, since: self.since, waited_for: self.waited_for };
        self.driver.send(DriverInput::Claim(claim, answer)).await;
        // The driver is gone: the process ends.
        outcome.await.unwrap_or(ClaimOutcome::Stalled)
    }
}
