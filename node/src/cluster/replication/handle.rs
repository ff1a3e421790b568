//! How the rest of the node speaks with the driver: what it is told, what it may be asked, and what it reports.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use starling_protocol::{
    Digest, NodeId, OriginId, VersionVector,
    clock_majority::ClockVerdict,
    frame::peer::{Member, ReplicaFrame},
    replica::{ClaimOutcome, Input, LinkId, Millis, Until},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::confirmations::{CommittedClaim, WaitFor};
use crate::cluster::LinkSender;

/// `own_limit` while no peer is in sync: cursors may go as far as this node has.
pub(super) const NO_LIMIT: u64 = u64::MAX;

/// A driver that has not run for so long does not know how things are: it beats every second.
const DRIVER_SILENCE_MAX: Duration = Duration::from_millis(2_500);

/// Who waits until an event is durable elsewhere; called with the number of nodes that hold it, and once more if more
/// of them hold it soon after a disappointing answer.
pub type Settled = Box<dyn FnMut(usize) + Send>;

/// Somebody who waits for a durable event to be durable elsewhere.
pub struct Waiting {
    /// The event, and how long to wait.
    pub wait_for: WaitFor,
    /// What to do then.
    pub settled: Settled,
}

/// What the driver is told.
pub enum DriverInput {
    /// A link was admitted.
    LinkUp {
        /// To whom.
        peer: NodeId,
        /// How to send to it.
        sender: LinkSender,
        /// What it says of itself.
        member: Member,
    },
    /// A link is over.
    LinkDown(LinkId),
    /// A frame of replication came in.
    Frame(LinkId, ReplicaFrame),
    /// The writer has made a batch durable; these wait for it.
    Committed(Vec<Input>, Vec<Waiting>),
    /// Somebody waits for an event that is durable already.
    Wait(Waiting),
    /// Somebody wants to say 'no'.
    Barrier(oneshot::Sender<Option<usize>>),
    /// Somebody is about to claim a name and asks which nodes the claim has to wait for. No answer if this node is not
    /// ready.
    ClaimPeers(oneshot::Sender<Vec<NodeId>>),
    /// A claim on a name was committed, and what came of it is to be sent there.
    Claim(CommittedClaim, oneshot::Sender<ClaimOutcome>),
    /// Does somebody reachable hold all of this that this node lacks?
    Reachable(VersionVector, oneshot::Sender<bool>),
    /// The store would not take what was handed out.
    ApplyRefused,
    /// What the store was asked to read for a peer.
    Read(Input),
}

/// What the driver knows of a linked peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerReport {
    /// Which.
    pub peer: NodeId,
    /// Events that are here and that it is not known to have.
    pub lag: u64,
    /// Whether it is in sync.
    pub in_sync: bool,
    /// Of the 256 parts of all scopes: which it is known to show as this node does.
    pub parts_equal: usize,
    /// In which it shows something else, although the same events were applied.
    pub parts_diverged: usize,
}

/// The state of replication, a second old at most.
#[derive(Clone, Debug)]
pub struct Report {
    /// What this node's clock is worth.
    pub clock: ClockVerdict,
    /// The linked peers.
    pub peers: Vec<PeerReport>,
    /// Per origin that this node lacks events of: how many.
    pub missing: Vec<(OriginId, u64)>,
    /// Answers that are owed.
    pub waiting: usize,
    /// What this node shows.
    pub digest: Digest,
}

/// What others may know of the driver's state, without asking it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) own_limit: AtomicU64,
    pub(super) ready: AtomicBool,
    pub(super) refilling: AtomicBool,
    /// The clock of the two below.
    pub(super) started: Instant,
    /// When the driver last ran, in milliseconds.
    pub(super) ran_at: AtomicU64,
    pub(super) report: Mutex<Report>,
    /// Where a peer shows something else, as it was found out: node and scopes.
    pub(super) differences: Mutex<Vec<(NodeId, String)>>,
}

/// How to reach the driver.
#[derive(Clone, Debug)]
pub struct DriverHandle {
    pub(super) inbox: mpsc::Sender<DriverInput>,
    pub(super) shared: Arc<Shared>,
}

impl DriverHandle {
    /// How to reach a driver behind this inbox.
    pub(super) fn new(inbox: mpsc::Sender<DriverInput>, ready: bool, refilling: bool) -> Self {
        let report = Report {
            clock: ClockVerdict::Agrees,
            peers: Vec::new(),
            missing: Vec::new(),
            waiting: 0,
            digest: Digest::default(),
        };
        let shared = Shared {
            own_limit: AtomicU64::new(NO_LIMIT),
            ready: AtomicBool::new(ready && !refilling),
            refilling: AtomicBool::new(refilling),
            started: Instant::now(),
            ran_at: AtomicU64::new(0),
            report: Mutex::new(report),
            differences: Mutex::default(),
        };
        Self { inbox, shared: Arc::new(shared) }
    }

    /// Tells the driver something.
    pub async fn send(&self, input: DriverInput) {
        let _ = self.inbox.send(input).await;
    }

    /// Up to where cursors may go in this process's own log.
    pub fn own_limit(&self) -> u64 {
        self.shared.own_limit.load(Ordering::Acquire)
    }

    /// Whether the node has caught up since its start, or since it slept; also if the driver has yet to notice that
    /// it did.
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

    /// Where peers show something else than this node: which peer, and a text that names some scopes.
    pub fn differences(&self) -> Vec<(NodeId, String)> {
        self.shared.differences.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Inputs that wait for the driver.
    pub fn queued(&self) -> usize {
        self.inbox.max_capacity() - self.inbox.capacity()
    }

    /// Waits for an event to be durable elsewhere; gives the number of nodes that hold it.
    pub async fn wait(&self, origin: OriginId, seq: u64, until: Until, wait_ms: Millis) -> usize {
        let (sender, copies) = oneshot::channel();
        let mut sender = Some(sender);
        let settled = Box::new(move |copies| {
            if let Some(sender) = sender.take() {
                let _ = sender.send(copies);
            }
        });
        let wait_for = WaitFor { origin, seq, until, wait_ms, raise_ms: 0 };
        self.send(DriverInput::Wait(Waiting { wait_for, settled })).await;
        copies.await.unwrap_or(1)
    }

    /// Begins a claim on a name; to be called before the claim is committed. `None` if this node is not ready: it
    /// cannot know what its peers have.
    pub async fn begin_claim(&self) -> Option<Claiming<'_>> {
        let since = u64::try_from(self.shared.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if !self.is_ready() {
            return None;
        }
        let (answer, waited_for) = oneshot::channel();
        self.send(DriverInput::ClaimPeers(answer)).await;
        Some(Claiming { driver: self, since, waited_for: waited_for.await.ok()? })
    }

    /// Returns once this node holds what its peers in sync had when asked, with how many these were; or after 250 ms
    /// with nothing.
    pub async fn barrier(&self) -> Option<usize> {
        let (sender, passed) = oneshot::channel();
        self.send(DriverInput::Barrier(sender)).await;
        passed.await.ok().flatten()
    }

    /// Whether somebody reachable holds all of `vector` that this node lacks.
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
    /// On the driver's clock.
    since: Millis,
    /// The nodes for which the claim will wait; its event must name them.
    pub waited_for: Vec<NodeId>,
}

impl Claiming<'_> {
    /// Waits, for 4 s at most, until each of the nodes to wait for has confirmed the committed claim and this node holds
    /// what that node held then. Only after [`ClaimOutcome::Held`] do the views say whether the name is this claim's.
    pub async fn confirmed(self, origin: OriginId, seq: u64) -> ClaimOutcome {
        let (answer, outcome) = oneshot::channel();
        let claim = CommittedClaim { origin, seq, since: self.since, waited_for: self.waited_for };
        self.driver.send(DriverInput::Claim(claim, answer)).await;
        // The driver is gone: the process ends.
        outcome.await.unwrap_or(ClaimOutcome::Stalled)
    }
}
