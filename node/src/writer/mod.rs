//! The writer: drains its queue, commits the batch, and only then tells lanes, peers and those who wait.
//! A thin wrapper around `store::Committer`. A commit that fails ends the process: after a failed fsync nobody
//! knows what the disk holds.

mod fan_out;
mod order;

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use starling_protocol::{
    ErrorCode, Event, MessageId, OriginId, Pos, clock_majority::ClockVerdict, limits::EVENTS_CHUNK_BYTES_MAX,
};
use starling_web::{
    lane::{CommitPoint, Lanes},
    service::{Post, PostOutcome, Posted, Refusal},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

pub use self::order::{STALL, ack_wait, replication_inputs};
use crate::{
    cluster::{DriverHandle, DriverInput, PresenceMap, Waiting},
    config::DurabilityConfig,
    disk_space::DiskSpace,
    environment::Environment,
    metrics::StoreMetrics,
    store::{Commit, Committer, Op, OpResult},
    supervisor::EndsProcess,
};

/// Requests that wait, at most; beyond it writes are refused.
const QUEUE_MAX: usize = 8_192;
/// Requests in one commit, at most: bounds how long the last waits.
const BATCH_REQUESTS_MAX: usize = 1_024;
/// Bytes of text in one commit, about: its push should be one frame.
const BATCH_BYTES_MAX: usize = EVENTS_CHUNK_BYTES_MAX;

/// A write, and who waits for it.
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
    /// Commit what came before and end: sessions that do not end themselves hold handles for ever.
    End,
}

/// How to reach the writer.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    queue: mpsc::Sender<Request>,
    own: Arc<OnceLock<OriginId>>,
    space: DiskSpace,
    busy: Arc<Busy>,
    /// By how many milliseconds the clock is outside an agreeing majority of the nodes; 0 if it is not.
    clock_outside_ms: Arc<AtomicI64>,
    refused: prometheus_client::metrics::counter::Counter,
}

/// Since when the writer has been busy with one commit.
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
    /// Under which origin this process writes, once it has written.
    pub fn own_origin(&self) -> Option<OriginId> {
        self.own.get().copied()
    }

    /// Requests that wait.
    pub fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Whether one commit has been going on for more than 1 s.
    pub fn is_stalled(&self) -> bool {
        self.busy.since().is_some_and(|since| since.elapsed() > STALL)
    }

    /// Takes the verdict on this node's clock: while a majority of the nodes agrees on another time, users write nothing
    /// here, or it would date what others write after it.
    pub fn set_clock(&self, verdict: ClockVerdict) {
        let outside_ms = if let ClockVerdict::Outside(ms) = verdict { ms } else { 0 };
        self.clock_outside_ms.store(outside_ms, Ordering::Relaxed);
    }

    fn admit_by_clock(&self) -> Result<(), Refusal> {
        let outside_ms = self.clock_outside_ms.load(Ordering::Relaxed);
        if outside_ms == 0 {
            return Ok(());
        }
        let side = if outside_ms > 0 { "ahead of" } else { "behind" };
        let detail = format!(
            "nothing was written: the clock of this node is {} s {side} those of most other nodes; use another node, \
             and ask the operator to set this one's clock",
            outside_ms.unsigned_abs() / 1_000
        );
        Err(Refusal::new(ErrorCode::Unavailable, detail))
    }

    /// Ends the writer once all that was handed over before is durable.
    pub async fn end(&self) {
        let _ = self.queue.send(Request::End).await;
    }

    /// Hands over a post without waiting.
    pub fn try_post(&self, post: Post, outcomes: mpsc::UnboundedSender<PostOutcome>) -> Result<(), Refusal> {
        self.enqueue_user(Request::Post { post, outcomes })
    }

    /// Commits one thing and waits until it is durable here.
    pub async fn commit(&self, op: Op) -> Result<OpResult, Refusal> {
        let (done, result) = oneshot::channel();
        self.enqueue_user(Request::Op { op, done })?;
        result.await.map_err(|_| Refusal::new(ErrorCode::Draining, "this node is stopping, use another"))
    }

    /// As [`WriterHandle::commit`], for what may use the room that is kept for replication, erasure and revocation.
    pub async fn commit_reserved(&self, op: Op) -> Result<OpResult, Refusal> {
        let (done, result) = oneshot::channel();
        if !self.space.admits_peers() {
            self.space.admit_users()?;
        }
        self.enqueue(Request::Op { op, done })?;
        result.await.map_err(|_| Refusal::new(ErrorCode::Draining, "this node is stopping, use another"))
    }

    fn enqueue_user(&self, request: Request) -> Result<(), Refusal> {
        self.space.admit_users()?;
        self.admit_by_clock()?;
        self.enqueue(request)
    }

    fn enqueue(&self, request: Request) -> Result<(), Refusal> {
        self.queue.try_send(request).map_err(|_| {
            self.refused.inc();
            Refusal::new(ErrorCode::Overloaded, "the node has too much to write; try again in a second")
        })
    }

    /// Without waiting; says whether there was room for it, in the queue and on disk.
    fn enqueue_internal(&self, request: Request) -> bool {
        self.space.admits_peers() && self.queue.try_send(request).is_ok()
    }

    /// Hands over something that nobody waits for; says whether there was room for it, in the queue and on disk.
    pub fn try_op(&self, op: Op) -> bool {
        self.enqueue_internal(Request::Op { op, done: oneshot::channel().0 })
    }

    /// Commits one thing that no user asked for and waits until it is durable here; nothing if there was no room for it.
    pub async fn commit_internal(&self, op: Op) -> Option<OpResult> {
        let (done, result) = oneshot::channel();
        if !self.enqueue_internal(Request::Op { op, done }) {
            return None;
        }
        result.await.ok()
    }

    /// Hands over events of others without waiting; says whether there was room for them, in the queue and on disk.
    pub fn try_apply(&self, events: Vec<Event>) -> bool {
        self.enqueue_internal(Request::Apply(events))
    }
}

/// A writer that is to be started once the driver is there.
pub struct Writer {
    committer: Committer,
    queue: mpsc::Receiver<Request>,
    own: Arc<OnceLock<OriginId>>,
    lanes: Arc<Lanes>,
    durability: DurabilityConfig,
    busy: Arc<Busy>,
    metrics: StoreMetrics,
}

impl Writer {
    /// Makes the writer, and the handle with which it is reached.
    pub fn new(
        committer: Committer,
        lanes: Arc<Lanes>,
        durability: DurabilityConfig,
        space: DiskSpace,
        metrics: StoreMetrics,
    ) -> (Self, WriterHandle) {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let own = Arc::new(OnceLock::new());
        let refused = metrics.refused.clone();
        let busy = Arc::<Busy>::default();
        let handle = WriterHandle {
            queue: sender,
            own: Arc::clone(&own),
            space,
            busy: Arc::clone(&busy),
            clock_outside_ms: Arc::default(),
            refused,
        };
        (Self { committer, queue, own, lanes, durability, busy, metrics }, handle)
    }

    /// Runs on a thread of its own until all handles are gone.
    pub fn start(
        self,
        machine: Arc<dyn Environment>,
        driver: DriverHandle,
        presence: Arc<PresenceMap>,
    ) -> JoinHandle<()> {
        Arc::clone(&machine).spawn_thread("writer", Box::pin(self.run(machine, driver, presence)))
    }

    async fn run(mut self, machine: Arc<dyn Environment>, driver: DriverHandle, presence: Arc<PresenceMap>) {
        let _without_it = EndsProcess("writer");
        let mut ending = false;
        while !ending && let Some(first) = self.queue.recv().await {
            let mut batch = Vec::new();
            let mut bytes = 0;
            let mut next = Some(first);
            while let Some(request) = next {
                bytes += size(&request);
                match split(request) {
                    Some(request) => batch.push(request),
                    None => ending = true,
                }
                let full = ending || batch.len() >= BATCH_REQUESTS_MAX || bytes >= BATCH_BYTES_MAX;
                next = if full { None } else { self.queue.try_recv().ok() };
            }
            let (ops, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let begun = Instant::now();
            self.busy.set(Some(begun));
            let commit = match self.committer.commit(machine.now_ms(), machine.random_u64(), &ops) {
                Ok(commit) => commit,
                Err(error) => {
                    tracing::error!(%error, "cannot write to the store: ending before anything is lost");
                    std::process::exit(1);
                }
            };
            self.busy.set(None);
            self.metrics.batch_requests.observe(as_f64(ops.len()));
            self.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
            self.tell(commit, replies, &driver, &presence).await;
        }
    }

    /// The batch is durable: lanes first, then the commit point, then peers and those who wait.
    async fn tell(&self, commit: Commit, replies: Vec<Reply>, driver: &DriverHandle, presence: &PresenceMap) {
        self.lanes.begin(commit.number);
        fan_out::fan_out(&self.lanes, self.committer.store(), &commit);
        let Commit { number, vector, results, own, received, digests, renamed, .. } = commit;
        if !renamed.is_empty() {
            presence.renamed(renamed);
        }
        if let Some(own) = &own {
            self.metrics.events.inc_by(own.events.len() as u64);
            // Before the commit point: a cursor must know which entry is its own.
            self.own.get_or_init(|| own.origin);
        }
        let inputs = order::replication_inputs(own, received, digests);
        if !inputs.is_empty() {
            self.metrics.commits.inc();
            self.lanes.publish(CommitPoint { number, vector });
        }
        let mut waiting = Vec::new();
        for (reply, result) in replies.into_iter().zip(results) {
            match reply {
                Reply::Post { id, outcomes } => match result {
                    OpResult::Done(pos) => waiting.push(self.ack_when_durable(id, pos, outcomes)),
                    refused => {
                        let _ =
                            outcomes.send(PostOutcome { id, again: false, result: Err(refusal(refused)) });
                    }
                },
                Reply::Op(done) => {
                    let _ = done.send(result);
                }
                Reply::None => {}
            }
        }
        if !inputs.is_empty() || !waiting.is_empty() {
            driver.send(DriverInput::Committed(inputs, waiting)).await;
        }
    }

    fn ack_when_durable(
        &self,
        id: MessageId,
        pos: Pos,
        outcomes: mpsc::UnboundedSender<PostOutcome>,
    ) -> Waiting {
        let mut again = false;
        Waiting {
            wait_for: order::ack_wait(pos, self.durability),
            settled: Box::new(move |copies| {
                let _ = outcomes.send(PostOutcome { id, result: Ok(Posted { pos, copies }), again });
                again = true;
            }),
        }
    }
}

/// Who is to be told of a request's result.
enum Reply {
    Post { id: MessageId, outcomes: mpsc::UnboundedSender<PostOutcome> },
    Op(oneshot::Sender<OpResult>),
    None,
}

/// What to commit and whom to tell; `None` if the writer is to end.
fn split(request: Request) -> Option<(Op, Reply)> {
    Some(match request {
        Request::Post { post, outcomes } => {
            let Post { room, message: posted, min_hlc } = post;
            let id = posted.id;
            (Op::Post { room, posted, min_hlc }, Reply::Post { id, outcomes })
        }
        Request::Op { op, done } => (op, Reply::Op(done)),
        Request::Apply(events) => (Op::Received(events), Reply::None),
        Request::End => return None,
    })
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
        _ => Refusal::new(ErrorCode::Unavailable, "the node could not do that; try again"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a batch has at most 1,024 requests")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
