//! Promise 13: restarts and replaced nodes cost nothing for ever. One long history without faults: nodes are started again and
//! again, and leave the cluster and are replaced by new ones; users post a little and read now and then.

use std::fmt;

use starling_node::{
    permissions::refuse_post_at_commit,
    services::{member_rooms::decisions as rooms, messages::read},
    store::{Decide, Op},
};
use starling_protocol::{
    Cursor, Event as LogEvent, EventBody, Hlc, MessageId, MessagePosted, MessageText, OriginId, RoomId,
    RoomName, Sender, Seq, Topic, UserId, cursor::NONCE_BYTES, event::Visibility, replica::Millis,
};
use starling_web::service::NewRoom;

use crate::{
    invariants::{self, folds::cursor_key},
    people::{Answer, Wish},
    world::World,
    writer::Request,
};

/// The nodes at each time: when one leaves, as many stay as `durability.copies` asks for.
const NODES: usize = 3;
/// Measurements in a history.
const MEASURED: usize = 10;
/// Replacements or starts between two read marks.
const MARK_EVERY: usize = 10;
/// Posts of which one measurement takes the median.
const POSTS: usize = 11;
/// The longest virtual time for a step: a new node pulls each origin by itself, and there are thousands.
const STEP_MS_MAX: u64 = 3_600_000;

/// The costs at some time of the history.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The starts and replacements before it.
    pub steps: usize,
    /// The origins in the log.
    pub origins: usize,
    pub cursor_chars: usize,
    pub mark_bytes: usize,
    /// Rows of the stored vector: the origins that its fold does not say.
    pub heads: usize,
    /// The bytes that the commit of a post writes to the disk.
    pub post_bytes: u64,
    /// The bytes that the commit of a read mark writes to the disk.
    pub mark_commit_bytes: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, origins, cursor_chars, mark_bytes, heads, post_bytes, mark_commit_bytes } = self;
        write!(
            f,
            "after {steps} starts and replacements, {origins} origins: a cursor has {cursor_chars} characters, a mark \
             {mark_bytes} bytes, the stored vector {heads} rows; a post writes {post_bytes} bytes, a mark {mark_commit_bytes}"
        )
    }
}

/// The history with its user and room.
struct Long {
    world: World,
    user: UserId,
    room: RoomId,
    posts: u64,
    last: MessageId,
    mark_bytes: usize,
}

/// Runs a history with this many starts, and as many replaced nodes; returns what things cost on the way.
pub fn run(count: usize) -> Vec<Cost> {
    let mut long = Long::new();
    let mut costs = Vec::new();
    for step in 1..=2 * count {
        // Each node in turn, now started again and now replaced.
        let node = step / 2 % NODES;
        if step % 2 == 0 {
            long.replace(node);
        } else {
            long.start_again(node);
        }
        long.post((node + 1) % NODES);
        if step % MARK_EVERY == 0 {
            long.mark(node);
        }
        if step % (2 * count / MEASURED).max(1) == 0 {
            costs.push(long.cost(step));
        }
    }
    long.check();
    costs
}

impl Long {
    fn new() -> Self {
        let mut long = Self {
            world: World::quiet(11, NODES),
            user: UserId([0; 16]),
            room: RoomId([7; 10]),
            posts: 0,
            last: MessageId::from_u128(0),
            mark_bytes: 0,
        };
        long.settle();
        assert!(long.world.register(0, "ann"), "the first node serves");
        let is_made = |world: &World| matches!(world.people.attempts[0].answer, Some(Answer::Made { .. }));
        long.run_until("the name is given", is_made);
        long.user = long.world.people.attempts[0].user;
        let (room, user) = (long.room, long.user);
        let (name, topic) = (RoomName::parse("den").unwrap(), Topic::parse("tea").unwrap());
        let new = NewRoom { name, topic, visibility: Visibility::Public };
        long.act(
            0,
            Op::Decide(Decide::new(move |tables| {
                rooms::decision(rooms::create(&tables.records, room, user, &new))
            })),
        );
        long
    }

    /// Runs the history until something holds.
    fn run_until(&mut self, what: &str, holds: impl Fn(&World) -> bool) {
        let until = self.world.now + STEP_MS_MAX;
        while !holds(&self.world) {
            self.world.step().expect("no promise is broken");
            assert!(self.world.now < until, "{what}: not within {STEP_MS_MAX} ms");
        }
    }

    /// Waits until all nodes hold the same, and nothing is to be committed.
    fn settle(&mut self) {
        self.run_until("all nodes hold the same", |world| {
            let Some(runs) = world.nodes.iter().map(|node| node.run.as_ref()).collect::<Option<Vec<_>>>()
            else {
                return false;
            };
            let linked = |run: &&crate::node::Run| {
                let in_sync = run.replica().in_sync_count(Millis(world.now));
                run.core.is_ready() && run.inbox.is_empty() && in_sync == NODES - 1
            };
            runs.iter().all(linked)
                && runs.windows(2).all(|pair| pair[0].committer.vector() == pair[1].committer.vector())
                && invariants::membership::differs(world).is_none()
        });
    }

    fn start_again(&mut self, node: usize) {
        self.world.end(node);
        self.world.start(node);
        self.settle();
    }

    fn replace(&mut self, node: usize) {
        assert!(self.world.begin_leave(node), "enough nodes stay");
        self.run_until("the node has left", |world| world.nodes[node].gone);
        self.world.replace(node);
        self.settle();
    }

    /// Lets a node commit something, and waits until all have it.
    fn act(&mut self, node: usize, op: Op) {
        assert!(self.world.request(node, Request::People(Wish::Act, op)), "the node accepts it");
        self.settle();
    }

    fn post(&mut self, node: usize) {
        self.posts += 1;
        self.last = MessageId::from_u64_pair(1, self.posts);
        let text = MessageText::parse(&format!("message {}", self.posts)).unwrap();
        let posted = MessagePosted::new(self.last, Sender::User(self.user), text);
        let room = self.room;
        self.act(node, Op::Post { room, posted, above_hlc: None, check: refuse_post_at_commit });
    }

    /// The user reads everything.
    fn mark(&mut self, node: usize) {
        let run = self.world.nodes[node].run.as_ref().expect("it runs");
        let (user, room) = (self.user, self.room);
        let mark = read::mark(&run.store, user, room, self.last, None).ok();
        let mut mark = mark.expect("the user is a member of the room");
        mark.over_folds = run.replica().peers_know_folds();
        self.act(node, Op::Decide(Decide::new(move |tables| read::decide(tables, user, &mark))));
        let run = self.world.nodes[node].run.as_ref().expect("it runs");
        let own = run.own.expect("it has written");
        let head = run.committer.vector().get(own);
        self.mark_bytes = mark_bytes(&run.store, own, head).expect("the mark is its last event but a fold");
    }

    fn written_bytes(&self, node: usize) -> u64 {
        self.world.nodes[node].disk.written_bytes()
    }

    fn cost(&mut self, steps: usize) -> Cost {
        let node = 0;
        // A checkpoint may follow any commit, so the middle of several is taken.
        let (mut post_bytes, mut mark_commit_bytes) = (Vec::new(), Vec::new());
        for _ in 0..POSTS {
            let before = self.written_bytes(node);
            self.post(node);
            let between = self.written_bytes(node);
            self.mark(node);
            post_bytes.push(between - before);
            mark_commit_bytes.push(self.written_bytes(node) - between);
        }
        post_bytes.sort_unstable();
        mark_commit_bytes.sort_unstable();
        let run = self.world.nodes[node].run.as_ref().expect("it runs");
        let vector = run.committer.vector();
        let (key, owner) = cursor_key();
        let fold = run.replica().cursor_fold(Millis(self.world.now));
        let cursor = Cursor { owner, vector: vector.written_over(fold), greatest: Hlc::default() };
        let cursor_chars = key.seal(&cursor, [0; NONCE_BYTES]).map_or(usize::MAX, |text| text.len());
        Cost {
            steps,
            origins: vector.iter().len(),
            cursor_chars,
            mark_bytes: self.mark_bytes,
            heads: vector.difference().len(),
            post_bytes: post_bytes[POSTS / 2],
            mark_commit_bytes: mark_commit_bytes[POSTS / 2],
        }
    }

    /// Checks that every message is there, that all has been read, and that all nodes show the same.
    fn check(&mut self) {
        self.mark(0);
        let digests: Vec<_> = self
            .world
            .nodes
            .iter()
            .map(|node| {
                let store = &node.run.as_ref().expect("it runs").store;
                let mut reader = store.room_reader().unwrap();
                let mark = reader.read_mark(self.user, self.room).unwrap().expect("it was set");
                let (_, last) = reader.messages.find_by_listed_id(self.last).unwrap().expect("it is listed");
                assert!(mark.covers(last.pos), "the last message is unread");
                store.verify().expect("the store is sound").digest
            })
            .collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "the nodes show different things");
        let mut messages = self.world.nodes[0].run.as_ref().expect("it runs").store.messages().unwrap();
        for number in 1..=self.posts {
            let id = MessageId::from_u64_pair(1, number);
            assert!(messages.find_by_listed_id(id).unwrap().is_some(), "message {number} is lost");
        }
    }
}

/// The size of the read mark at the end of an origin's log; a fold may follow it.
fn mark_bytes(store: &starling_node::store::Store, origin: OriginId, head: Seq) -> Option<usize> {
    let from = Seq(head.0.saturating_sub(2).max(1));
    let events = store.read_events(origin, from, head).ok()?.into_iter().rev();
    let mut events = events.map(|event| LogEvent::decode(event).expect("the log decodes"));
    let is_mark =
        |event: &LogEvent| matches!(event.body, EventBody::ReadMarked(_) | EventBody::FoldedReadMarked(_));
    events.find(is_mark).map(|event| event.encoded().len())
}
