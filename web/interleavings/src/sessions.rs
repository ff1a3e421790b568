//! A writer and a session, in small. The session does what the two kinds in `web` do, on the same types, and fails when
//! its cursor would claim a frame that it neither took from a lane nor read from the store.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
};

use loom::{
    future::block_on,
    thread::{self, JoinHandle},
};
use starling_protocol::{Hlc, NodeId, OriginId, RoomId, UserId, VersionVector};

use super::{
    delivery::{Delivery, Marks},
    lane::{CommitPoint, Frame, LaneKey, Lanes, ReadySet, Subscription},
    lane_set::LaneSet,
};
use crate::sync::watch;

pub const ROOM: RoomId = RoomId([1; 10]);
pub const USER: UserId = UserId([1; 16]);
/// How many commits the writer makes.
pub const COMMITS: u64 = 2;
/// How many frames a session takes at once.
const TAKE: usize = 1;

pub fn own_origin() -> OriginId {
    OriginId { node: NodeId([1; 16]), incarnation: 1 }
}

pub fn point(number: u64) -> CommitPoint {
    CommitPoint { number, vector: Arc::new(VersionVector::default()) }
}

pub fn lanes() -> Arc<Lanes> {
    Arc::new(Lanes::new(point(0)))
}

/// Makes commits, each with one frame in the room.
pub fn write(lanes: &Lanes) {
    for number in 1..=COMMITS {
        lanes.publish_commit(point(number), Some(own_origin()), |lanes| {
            if let Some(lane) = lanes.get(ROOM) {
                lane.push([Frame::new(number, Hlc(number), number.to_string())]);
            }
        });
    }
}

/// Pushes a frame outside of any commit, as a session does for typing.
fn type_something(lanes: &Lanes) {
    if let Some(lane) = lanes.get(ROOM) {
        lane.push([Frame::new(Frame::EPHEMERAL, Hlc(0), "typing")]);
    }
}

/// The threads beside the session.
pub struct Others {
    threads: Vec<JoinHandle<()>>,
    done: Arc<watch::Sender<usize>>,
}

impl Others {
    pub fn start(lanes: &Arc<Lanes>, what: &[fn(&Lanes)]) -> Self {
        let mut others = Self { threads: Vec::new(), done: Arc::new(watch::Sender::new(0)) };
        for &run in what {
            let lanes = Arc::clone(lanes);
            others.spawn(move || run(&lanes));
        }
        others
    }

    pub fn spawn(&mut self, run: impl FnOnce() + 'static) {
        let done = self.done.clone();
        self.threads.push(thread::spawn(move || {
            run();
            done.send_if_modified(|count| {
                *count += 1;
                true
            });
        }));
    }

    /// Waits as a session does. Fails if the others are through and nothing has woken it.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let mut done = self.done.subscribe();
        let count = self.threads.len();
        let (mut future, mut all_done) = (pin!(future), pin!(done.wait_for(|done| *done == count)));
        let mut is_over = false;
        block_on(poll_fn(|context| {
            is_over = is_over || all_done.as_mut().poll(context).is_ready();
            let polled = future.as_mut().poll(context);
            assert!(polled.is_ready() || !is_over, "the session sleeps on, though there is something to send");
            polled
        }))
    }

    pub fn join(self) {
        for thread in self.threads {
            thread.join().expect("the thread ends");
        }
    }
}

/// A client: which commits it has, and what its cursor claims.
struct Client {
    lanes: Arc<Lanes>,
    delivery: Delivery,
    /// The greatest commit without a gap before it.
    has: u64,
}

impl Client {
    /// Replays from the store: what is in it by then.
    fn replay(lanes: &Arc<Lanes>, others: &Others) -> Self {
        let settled = others.wait(lanes.settled());
        let client = Self { lanes: Arc::clone(lanes), has: settled.number, delivery: Delivery::new(settled) };
        client.check_cursor();
        client
    }

    fn send(&mut self, frames: Vec<Frame>) {
        for frame in frames {
            if frame.commit != Frame::EPHEMERAL && self.delivery.is_new(&frame) {
                assert_eq!(frame.commit, self.has + 1, "a frame is missing before this one");
                self.has = frame.commit;
                self.delivery.note_frame(&frame);
            }
        }
        self.check_cursor();
    }

    fn check_cursor(&self) {
        let claimed = self.delivery.sent().number;
        assert!(claimed <= self.has, "the cursor claims commit {claimed}, the client has {}", self.has);
        let known = claimed == 0 || self.lanes.own_origin().is_some();
        assert!(known, "a cursor for commit {claimed} does not know which entry is this node's own");
    }

    fn is_done(&self) -> bool {
        self.delivery.sent().number == COMMITS
    }

    /// Waits for frames, or, as a session's timer does, for the commit of those that no cursor covers yet.
    fn wait(&self, others: &Others, frames: impl Future<Output = ()>) {
        if self.delivery.sent().number < self.has {
            let mut commits = self.lanes.watch_commits();
            let published = others.wait(commits.wait_for(|point| point.number >= self.has));
            published.expect("the lanes are there");
        } else {
            others.wait(frames);
        }
    }
}

/// As the session of a quick room: one lane, with marks.
fn quick_session(lanes: &Arc<Lanes>, mut lane: Subscription, others: &Others) {
    let mut client = Client::replay(lanes, others);
    let mut marks = Marks::default();
    loop {
        let mut frames = Vec::new();
        let (end, point) = lane.take_with_commit(TAKE, &mut frames).expect("the lane is large enough");
        marks.set(end, point);
        client.send(frames);
        marks.pass(lane.position(), &mut client.delivery);
        client.check_cursor();
        if client.is_done() {
            return;
        }
        if end == lane.position() {
            client.wait(others, lane.changed());
        }
    }
}

/// As the session of an account: rounds through several lanes.
fn account_session(lanes: &Arc<Lanes>, mut lane_set: LaneSet<()>, others: &Others) {
    let mut client = Client::replay(lanes, others);
    while !client.is_done() {
        client.wait(others, lane_set.ready(false));
        lane_set.begin_round();
        let mut frames = Vec::new();
        while lane_set.take_next(TAKE, &mut frames).expect("the lane is large enough").is_some() {
            client.send(std::mem::take(&mut frames));
        }
        client.delivery.reach(lane_set.end_round().expect("the round is under way"));
        client.check_cursor();
    }
}

/// A session of a quick room comes while the writer writes.
pub fn quick() {
    let lanes = lanes();
    let others = Others::start(&lanes, &[write]);
    quick_session(&lanes, lanes.subscribe(ROOM), &others);
    others.join();
}

/// A session of an account comes while the writer writes.
pub fn account() {
    let lanes = lanes();
    let others = Others::start(&lanes, &[write]);
    let mut lane_set = LaneSet::new(&lanes, USER);
    lane_set.follow(ROOM, |_| ());
    account_session(&lanes, lane_set, &others);
    others.join();
}

/// A session is there already, while the writer writes and another session types.
pub fn overlapping_pushes() {
    let lanes = lanes();
    let lane = lanes.subscribe(ROOM);
    let others = Others::start(&lanes, &[write, type_something]);
    quick_session(&lanes, lane, &others);
    others.join();
}

/// A session starts to follow a room in which others are, one of whom types.
pub fn follow() {
    let lanes = lanes();
    let other_session = lanes.subscribe(ROOM);
    let others = Others::start(&lanes, &[type_something]);
    let ready_set = ReadySet::default();
    let lane = lanes.follow(ROOM, &ready_set);
    others.join();
    let is_marked = ready_set.take().contains(&LaneKey::Room(ROOM));
    assert!(is_marked || lane.end() == lane.position(), "the session sleeps on, though its lane has a frame");
    drop(other_session);
}
