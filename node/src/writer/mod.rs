//! The writer: drains its queue, commits the batch, and only then notifies sessions, peers and callers. A thin wrapper
//! around `store::Committer`. A failed commit ends the process: after a failed fsync, the state of the disk is unknown.

mod checkpoint_timer;
mod gathering;
mod listener;
mod order;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use starling_protocol::{
    ErrorCode, Event, MessageId, Pos, Refusal, clock_majority::ClockVerdict, event::SenderKey,
    limits::EVENTS_CHUNK_BYTES_MAX, texts,
};
use starling_web::service::{Post, PostOutcome, Posted};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

use self::{checkpoint_timer::CheckpointTimer, gathering::Gathering};
pub use self::{
    listener::{CommitListener, CopiesWait, OnCopies, PendingAck},
    order::{STALL, ack_wait, replication_inputs},
};
use crate::{
    config::DurabilityConfig,
    disk_space::DiskSpace,
    environment::Environment,
    metrics::WriterMetrics,
    permissions::refuse_post_at_commit,
    store::{Commit, Committer, Op, OpResult, StoreError},
    supervisor::EndsProcess,
};

/// The most requests in the queue; beyond it, writes are refused.
const QUEUE_MAX: usize = 8_192;
/// The most requests in one commit: limits the wait of the last one.
const BATCH_REQUESTS_MAX: usize = 1_024;
/// The bytes of text in one commit, about: its push should be one frame.
const BATCH_BYTES_MAX: usize = EVENTS_CHUNK_BYTES_MAX;

/// A write, and where to send its result.
#[derive(Debug)]
enum Request {
    Post {
        post: Post,
        outcomes: mpsc::UnboundedSender<PostOutcome>,
    },
    Op {
        op: Op,
        done: oneshot::Sender<OpResult>,
    },
    Apply(Vec<Event>),
    /// Commit the earlier requests and end: sessions that don't end themselves would hold handles for ever.
    End,
}

/// A handle to the writer.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    queue: mpsc::Sender<Request>,
    space: DiskSpace,
    busy: Arc<Busy>,
    /// The clock's offset from an agreeing majority, in milliseconds; 0 if it agrees.
    clock_offset_ms: Arc<AtomicI64>,
    has_old_peers: Arc<AtomicBool>,
    refused: prometheus_client::metrics::counter::Counter,
}

/// The start of the commit in progress.
#[derive(Debug, Default)]
struct Busy(Mutex<Option<Instant>>);

impl Busy {
    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

impl WriterHandle {
    /// The number of requests in the queue.
    pub fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Whether the commit in progress has taken more than 1 s.
    pub fn is_stalled(&self) -> bool {
        self.busy.since().is_some_and(|since| since.elapsed() > STALL)
    }

    /// Sets the verdict on this node's clock. While a majority of the nodes agrees on another time, users cannot write
    /// here: later messages of others would be dated by the wrong clock.
    pub fn set_clock(&self, verdict: ClockVerdict) {
        let offset_ms = if let ClockVerdict::Wrong(ms) = verdict { ms } else { 0 };
        self.clock_offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    /// Sets whether a peer has a build of wire version 1; see [`Committer::set_has_old_peers`]. Commits that have begun
    /// are not affected.
    pub fn set_has_old_peers(&self, has_old_peers: bool) {
        self.has_old_peers.store(has_old_peers, Ordering::Relaxed);
    }

    fn admit_by_clock(&self) -> Result<(), Refusal> {
        let offset_ms = self.clock_offset_ms.load(Ordering::Relaxed);
        if offset_ms == 0 {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::Unavailable, texts::node::clock_wrong(offset_ms)))
    }

    /// Ends the writer once all earlier requests are durable.
    pub async fn end(&self) {
        let _ = self.queue.send(Request::End).await;
    }

    /// Queues a post without waiting.
    pub fn try_post(&self, post: Post, outcomes: mpsc::UnboundedSender<PostOutcome>) -> Result<(), Refusal> {
        self.enqueue_user(Request::Post { post, outcomes })
    }

    /// Commits an operation and waits until it is durable here.
    pub async fn commit(&self, op: Op) -> Result<OpResult, Refusal> {
        let (done, result) = oneshot::channel();
        self.enqueue_user(Request::Op { op, done })?;
        result.await.map_err(|_| Refusal::new(ErrorCode::Draining, texts::node::STOPPING))
    }

    /// Works as [`WriterHandle::commit`], for erasure and revocation: they may use the disk space that is reserved for
    /// replication.
    pub async fn commit_from_reserve(&self, op: Op) -> Result<OpResult, Refusal> {
        let (done, result) = oneshot::channel();
        if !self.space.admits_from_reserve() {
            // Below the peers' limit, users are refused too: this gives the refusal.
            self.space.admit_users()?;
        }
        self.enqueue(Request::Op { op, done })?;
        result.await.map_err(|_| Refusal::new(ErrorCode::Draining, texts::node::STOPPING))
    }

    fn enqueue_user(&self, request: Request) -> Result<(), Refusal> {
        self.space.admit_users()?;
        self.admit_by_clock()?;
        self.enqueue(request)
    }

    fn enqueue(&self, request: Request) -> Result<(), Refusal> {
        self.queue.try_send(request).map_err(|_| {
            self.refused.inc();
            Refusal::new(ErrorCode::Overloaded, texts::node::QUEUE_FULL)
        })
    }

    /// Queues a request without waiting; returns whether the queue and the disk had room.
    fn enqueue_internal(&self, request: Request) -> bool {
        self.space.admits_from_reserve() && self.queue.try_send(request).is_ok()
    }

    /// Queues an operation that nobody waits for; returns whether the queue and the disk had room.
    pub fn try_op(&self, op: Op) -> bool {
        self.enqueue_internal(Request::Op { op, done: oneshot::channel().0 })
    }

    /// Commits an operation of the node itself and waits until it is durable here; `None` if the queue or the disk had
    /// no room.
    pub async fn commit_internal(&self, op: Op) -> Option<OpResult> {
        let (done, result) = oneshot::channel();
        if !self.enqueue_internal(Request::Op { op, done }) {
            return None;
        }
        result.await.ok()
    }

    /// Queues events of other nodes without waiting; returns whether the queue and the disk had room.
    pub fn try_apply(&self, events: Vec<Event>) -> bool {
        self.enqueue_internal(Request::Apply(events))
    }
}

/// A writer that has not started.
pub struct Writer {
    committer: Committer,
    queue: mpsc::Receiver<Request>,
    durability: DurabilityConfig,
    busy: Arc<Busy>,
    has_old_peers: Arc<AtomicBool>,
    metrics: WriterMetrics,
}

impl Writer {
    /// Makes the writer and its handle.
    pub fn new(
        committer: Committer,
        durability: DurabilityConfig,
        space: DiskSpace,
        metrics: WriterMetrics,
    ) -> (Self, WriterHandle) {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let refused = metrics.refused.clone();
        let (busy, has_old_peers) = (Arc::<Busy>::default(), Arc::<AtomicBool>::default());
        let handle = WriterHandle {
            queue: sender,
            space,
            busy: Arc::clone(&busy),
            clock_offset_ms: Arc::default(),
            has_old_peers: Arc::clone(&has_old_peers),
            refused,
        };
        (Self { committer, queue, durability, busy, has_old_peers, metrics }, handle)
    }

    /// Runs on a thread of its own until [`WriterHandle::end`] is called or all handles are gone. The listener
    /// receives each commit.
    pub fn start(self, environment: Arc<dyn Environment>, listener: impl CommitListener) -> JoinHandle<()> {
        Arc::clone(&environment).spawn_thread("writer", Box::pin(self.run(environment, listener)))
    }

    async fn run(mut self, environment: Arc<dyn Environment>, mut listener: impl CommitListener) {
        let _ends_process = EndsProcess("writer");
        let (mut checkpoint, mut gathering) = (CheckpointTimer::default(), Gathering::default());
        let mut ending = false;
        while !ending {
            if checkpoint.is_due() || self.committer.store().needs_checkpoint() {
                self.checkpoint();
                checkpoint.note_checkpoint();
            }
            let Some(next) = checkpoint.wait_for(self.queue.recv()).await else { continue };
            let Some(first) = next else { break };
            if let Request::Post { post, .. } = &first {
                let author = post.message.sender.key();
                environment.block_for(gathering.pause(Instant::now(), author, self.queue.len()));
            }
            let batch;
            (batch, ending) = self.take_batch(first);
            let (ops, responders): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            gathering.note_commit(Instant::now(), ops.iter().filter_map(author));
            let commit = self.commit(&*environment, &ops);
            if commit.has_events() {
                checkpoint.note_commit();
            }
            self.pass_on(commit, responders, &mut listener).await;
        }
        self.checkpoint();
    }

    /// Takes what waits in the queue, as far as it fits one commit; returns also whether the writer has to end.
    fn take_batch(&mut self, first: Request) -> (Vec<(Op, Responder)>, bool) {
        let (mut batch, mut bytes, mut next) = (Vec::new(), 0, Some(first));
        while let Some(request) = next {
            bytes += size(&request);
            match split(request) {
                Some(request) => batch.push(request),
                None => return (batch, true),
            }
            let full = batch.len() >= BATCH_REQUESTS_MAX || bytes >= BATCH_BYTES_MAX;
            next = if full { None } else { self.queue.try_recv().ok() };
        }
        (batch, false)
    }

    fn commit(&mut self, environment: &dyn Environment, ops: &[Op]) -> Commit {
        let begun = Instant::now();
        self.busy.set(Some(begun));
        self.committer.set_has_old_peers(self.has_old_peers.load(Ordering::Relaxed));
        let commit = self.committer.commit(environment.now_ms(), environment.random_u64(), ops);
        self.busy.set(None);
        self.metrics.batch_requests.observe(as_f64(ops.len()));
        self.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
        commit.unwrap_or_else(|error| end_process(&error))
    }

    /// Writes what the journal holds to the store's own file.
    fn checkpoint(&self) {
        self.busy.set(Some(Instant::now()));
        if let Err(error) = self.committer.checkpoint() {
            end_process(&error);
        }
        self.busy.set(None);
    }

    /// Passes a durable batch on: to sessions first, then to callers here, then to peers.
    async fn pass_on(
        &self,
        mut commit: Commit,
        responders: Vec<Responder>,
        listener: &mut impl CommitListener,
    ) {
        if let Some(own) = &commit.own {
            self.metrics.events.inc_by(own.events.len() as u64);
        }
        if commit.has_events() {
            self.metrics.commits.inc();
        }
        listener.publish(&commit);
        let results = std::mem::take(&mut commit.results);
        let mut waiting = Vec::new();
        for (responder, result) in responders.into_iter().zip(results) {
            match responder {
                Responder::Post { id, outcomes } => match result {
                    OpResult::Done(pos) => waiting.push(self.pending_ack(id, pos, outcomes)),
                    refused => {
                        let _ = outcomes.send(PostOutcome {
                            id,
                            is_upgrade: false,
                            result: Err(refusal(refused)),
                        });
                    }
                },
                Responder::Op(done) => {
                    let _ = done.send(result);
                }
                Responder::None => {}
            }
        }
        listener.replicate(commit, waiting).await;
    }

    fn pending_ack(
        &self,
        id: MessageId,
        pos: Pos,
        outcomes: mpsc::UnboundedSender<PostOutcome>,
    ) -> PendingAck {
        let mut is_upgrade = false;
        PendingAck {
            wait_for: order::ack_wait(pos, self.durability),
            on_copies: Box::new(move |copies| {
                let _ = outcomes.send(PostOutcome { id, result: Ok(Posted { pos, copies }), is_upgrade });
                is_upgrade = true;
            }),
        }
    }
}

fn end_process(error: &StoreError) -> ! {
    tracing::error!(%error, "cannot write to the store: the process ends, so that nothing acked is lost");
    std::process::exit(1)
}

/// Where to send a request's result.
enum Responder {
    Post { id: MessageId, outcomes: mpsc::UnboundedSender<PostOutcome> },
    Op(oneshot::Sender<OpResult>),
    None,
}

/// Splits a request into its operation and where to send the result; `None` if the writer has to end.
fn split(request: Request) -> Option<(Op, Responder)> {
    Some(match request {
        Request::Post { post, outcomes } => {
            let Post { room, message: posted, above_hlc } = post;
            let id = posted.id;
            (
                Op::Post { room, posted, above_hlc, check: refuse_post_at_commit },
                Responder::Post { id, outcomes },
            )
        }
        Request::Op { op, done } => (op, Responder::Op(done)),
        Request::Apply(events) => (Op::Received(events), Responder::None),
        Request::End => return None,
    })
}

/// The author of a post.
fn author(op: &Op) -> Option<SenderKey> {
    if let Op::Post { posted, .. } = op { Some(posted.sender.key()) } else { None }
}

fn size(request: &Request) -> usize {
    match request {
        Request::Post { post, .. } => post.message.body().len(),
        Request::Op { .. } | Request::End => 0,
        Request::Apply(events) => events.iter().map(|event| event.encoded().len()).sum(),
    }
}

fn refusal(result: OpResult) -> Refusal {
    match result {
        OpResult::Refused(refusal) => refusal,
        _ => Refusal::new(ErrorCode::Unavailable, texts::node::FAILED),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a batch has at most 1,024 requests")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
