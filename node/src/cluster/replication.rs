//! The driver of `protocol`'s replication: one task that owns the [`Replica`], feeds it what happens and carries out
//! what it asks for. It awaits nothing but its inbox: a full queue is told to the replica, never waited for.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use starling_protocol::{
    Event, NodeId, OriginId, VersionVector,
    frame::peer::{Member, ReplicaFrame},
    replica::{Input, LinkId, Millis, Output, Replica, Token, Until},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{LinkSender, Links};
use crate::{metrics::ClusterMetrics, store::Store, supervisor::EndsProcess, writer::WriterHandle};

/// A starting node that knows of peers, but hears none, serves after this.
const ALONE_AFTER: Duration = Duration::from_secs(1);
/// `own_limit` while no peer is in step: cursors may go as far as this node has.
const NO_LIMIT: u64 = u64::MAX;

/// Who waits until an event is durable elsewhere; called with the number of nodes that hold it.
pub type Settled = Box<dyn FnOnce(usize) + Send>;

/// Somebody who waits for a durable event to be durable elsewhere.
pub struct Waiting {
    /// The event's origin.
    pub origin: OriginId,
    /// The event's sequence number.
    pub seq: u64,
    /// For what to wait.
    pub until: Until,
    /// How long at most.
    pub wait_ms: Millis,
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
    Barrier(oneshot::Sender<()>),
    /// Does somebody reachable hold all of this that this node lacks?
    Reachable(VersionVector, oneshot::Sender<bool>),
    /// The store would not take what was handed out.
    ApplyRefused,
    /// A range that a peer asked for was read.
    Read(Input),
}

/// What others may know of the driver's state, without asking it.
#[derive(Debug)]
struct Shared {
    own_limit: AtomicU64,
    ready: AtomicBool,
}

/// How to reach the driver.
#[derive(Clone, Debug)]
pub struct DriverHandle {
    inbox: mpsc::Sender<DriverInput>,
    shared: Arc<Shared>,
}

impl DriverHandle {
    /// Tells the driver something.
    pub async fn send(&self, input: DriverInput) {
        let _ = self.inbox.send(input).await;
    }

    /// The same, from a thread.
    pub fn blocking_send(&self, input: DriverInput) {
        let _ = self.inbox.blocking_send(input);
    }

    /// Up to where cursors may go in this process's own log.
    pub fn own_limit(&self) -> u64 {
        self.shared.own_limit.load(Ordering::Acquire)
    }

    /// Whether the node has caught up since its start.
    pub fn is_ready(&self) -> bool {
        self.shared.ready.load(Ordering::Relaxed)
    }

    /// Waits for an event to be durable elsewhere; gives the number of nodes that hold it.
    pub async fn wait(&self, origin: OriginId, seq: u64, until: Until, wait_ms: Millis) -> usize {
        let (sender, copies) = oneshot::channel();
        let settled = Box::new(move |copies| {
            let _ = sender.send(copies);
        });
        self.send(DriverInput::Wait(Waiting { origin, seq, until, wait_ms, settled })).await;
        copies.await.unwrap_or(1)
    }

    /// Returns once this node holds what its peers in step had when asked, or after 250 ms.
    pub async fn barrier(&self) {
        let (sender, passed) = oneshot::channel();
        self.send(DriverInput::Barrier(sender)).await;
        let _ = passed.await;
    }

    /// Whether somebody reachable holds all of `vector` that this node lacks.
    pub async fn reachable(&self, vector: VersionVector) -> bool {
        let (sender, answer) = oneshot::channel();
        self.send(DriverInput::Reachable(vector, sender)).await;
        answer.await.unwrap_or(false)
    }
}

struct LinkTo {
    peer: NodeId,
    sender: LinkSender,
}

/// The task.
pub struct Driver {
    replica: Replica,
    inbox: mpsc::Receiver<DriverInput>,
    handle: DriverHandle,
    links: HashMap<LinkId, LinkTo>,
    settled: HashMap<Token, Settled>,
    barriers: HashMap<Token, oneshot::Sender<()>>,
    next_token: Token,
    writer: WriterHandle,
    store: Arc<Store>,
    admitted: Option<(Arc<Links>, mpsc::Sender<Member>)>,
    metrics: ClusterMetrics,
    started: Instant,
    outputs: Vec<Output>,
}

/// What a driver is made of.
pub struct DriverParts {
    /// What the store holds.
    pub held: VersionVector,
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
    /// What is measured.
    pub metrics: ClusterMetrics,
}

impl Driver {
    /// Makes the driver; [`Driver::run`] runs it.
    pub fn new(parts: DriverParts) -> (Self, DriverHandle) {
        let (sender, inbox) = parts.inbox;
        let shared =
            Shared { own_limit: AtomicU64::new(NO_LIMIT), ready: AtomicBool::new(!parts.knows_peers) };
        let handle = DriverHandle { inbox: sender, shared: Arc::new(shared) };
        let driver = Self {
            replica: Replica::new(parts.held, 0),
            inbox,
            handle: handle.clone(),
            links: HashMap::new(),
            settled: HashMap::new(),
            barriers: HashMap::new(),
            next_token: 0,
            writer: parts.writer,
            store: parts.store,
            admitted: parts.links,
            metrics: parts.metrics,
            started: Instant::now(),
            outputs: Vec::new(),
        };
        (driver, handle)
    }

    /// Runs until the task is dropped.
    pub async fn run(mut self) {
        let _without_it = EndsProcess("driver");
        loop {
            let tick = self.started + Duration::from_millis(self.replica.next_tick());
            tokio::select! {
                Some(input) = self.inbox.recv() => self.told(input),
                () = tokio::time::sleep_until(tick) => {
                    self.handle(Input::Tick);
                    self.measure();
                }
            }
            self.publish();
        }
    }

    fn now(&self) -> Millis {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
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
            DriverInput::Reachable(vector, answer) => {
                let _ = answer.send(self.replica.reachable(&vector));
            }
            DriverInput::ApplyRefused => self.handle(Input::ApplyRefused),
            DriverInput::Read(input) => self.handle(input),
        }
    }

    fn wait(&mut self, waiting: Waiting) {
        let Waiting { origin, seq, until, wait_ms, settled } = waiting;
        let token = self.token();
        self.settled.insert(token, settled);
        self.handle(Input::Await { token, origin, seq, until, wait_ms });
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
                let (store, handle) = (Arc::clone(&self.store), self.handle.clone());
                tokio::task::spawn_blocking(move || {
                    let events = store.range(origin, from, to).unwrap_or_else(|error| {
                        tracing::error!(%error, "cannot read the log for a peer");
                        Vec::new()
                    });
                    handle.blocking_send(DriverInput::Read(Input::ReadDone { link, origin, from, events }));
                });
                None
            }
            Output::Settled { token, copies } => {
                if let Some(settled) = self.settled.remove(&token) {
                    settled(copies);
                }
                None
            }
            Output::BarrierPassed(token) => {
                if let Some(passed) = self.barriers.remove(&token) {
                    let _ = passed.send(());
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

    fn send(&self, link: LinkId, frame: Bytes) -> Option<Input> {
        let to = self.links.get(&link)?;
        to.sender.try_send(frame).is_err().then_some(Input::SendRefused(link))
    }

    fn apply(&self, events: Vec<Event>) -> Option<Input> {
        (!self.writer.try_apply(events)).then_some(Input::ApplyRefused)
    }

    /// Lets others know.
    fn publish(&mut self) {
        let now = self.now();
        let shared = &self.handle.shared;
        shared.own_limit.store(self.replica.own_limit(now).unwrap_or(NO_LIMIT), Ordering::Release);
        if !shared.ready.load(Ordering::Relaxed) {
            let ready = match self.replica.called_in_step(now) {
                Some(called) => called,
                None => self.started.elapsed() >= ALONE_AFTER,
            };
            if ready {
                tracing::info!(peers_in_step = self.replica.in_step_count(now), "caught up");
                shared.ready.store(true, Ordering::Relaxed);
            }
        }
    }

    fn measure(&self) {
        self.metrics.measure(self.replica.lag(self.now()), self.replica.missing());
    }
}
