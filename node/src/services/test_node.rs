//! For tests: a node with a store in memory, users and rooms, but no cluster. It takes events of another node when the
//! test says so.

use std::sync::Arc;

use starling_protocol::{
    DisplayName, Emoji, Event, EventDraft, Hlc, MessageId, MessageText, NodeId, Pos, RoomId, RoomName, Scope,
    Seq, Topic, UserId, Username,
    event::{MemberRoomCreated, Membership, MembershipChanged, Role, UserRegistered, Visibility},
};
use starling_web::{
    objects::Message,
    service::{MessagePage, MessageQuery, NewMessage, PageCursor, Refusal},
};

use super::{
    messages::{change, pages, post},
    render,
};
use crate::{
    permissions::{refuse_post_at_commit, rooms::Denied},
    store::{Commit, Committer, Decide, Decision, Op, OpResult, Store, StoreError, Tables},
};

pub const ROOM: RoomId = RoomId([1; 10]);
pub const OTHER_ROOM: RoomId = RoomId([2; 10]);
pub const ANN: UserId = UserId([1; 16]);
pub const BOB: UserId = UserId([2; 16]);
pub const EVE: UserId = UserId([3; 16]);
pub const STRANGER: UserId = UserId([4; 16]);

/// A store and its committer.
pub struct Node {
    pub store: Arc<Store>,
    committer: Committer,
    /// The wall clock, in Unix milliseconds.
    pub now_ms: u64,
    /// All commits so far.
    pub commits: Vec<Commit>,
}

pub fn empty() -> Arc<Store> {
    Arc::new(Store::in_memory().unwrap())
}

pub fn id(n: u128) -> MessageId {
    MessageId::from_u128(n)
}

pub fn text(text: &str) -> MessageText {
    MessageText::parse(text).unwrap()
}

pub fn new(n: u128, body: &str) -> NewMessage {
    NewMessage { id: id(n), text: text(body), reply_to: None, above_hlc: Hlc::default() }
}

pub fn member(user: UserId, room: RoomId, role: Role) -> EventDraft {
    let membership = Membership::Member(role);
    let set = MembershipChanged { user, membership, since: None, invite: None, by: ANN };
    EventDraft::new(Scope::room(room), set)
}

/// The refusal, if that is why something was denied; panics if the store could not be read.
pub fn refusal_of<T>(result: Result<T, Denied>) -> Result<T, Refusal> {
    result.map_err(|denied| match denied {
        Denied::Refused(refusal) => refusal,
        Denied::Failed(error) => panic!("{error}"),
    })
}

impl Node {
    pub fn new(n: u8) -> Self {
        let store = empty();
        let committer = Committer::new(Arc::clone(&store), NodeId([n; 16]), 1_000).unwrap();
        Self { store, committer, now_ms: 1_000, commits: Vec::new() }
    }

    /// Ann owns two rooms in which Bob is a member and Eve a moderator; `STRANGER` is in none.
    pub fn with_rooms() -> Self {
        let mut node = Self::new(1);
        for (user, name) in [(ANN, "ann"), (BOB, "bob"), (EVE, "eve"), (STRANGER, "stranger")] {
            let registered = UserRegistered {
                username: Username::parse(name).unwrap(),
                display_name: Some(DisplayName::parse(&format!("known as {name}")).unwrap()),
                password: Some("hash".into()),
                admin: false,
                waited_for: None,
            };
            node.write(EventDraft::new(Scope::user(user), registered));
        }
        for room in [ROOM, OTHER_ROOM] {
            let (name, topic) = (RoomName::parse("room").unwrap(), Topic::default());
            let created = MemberRoomCreated::Named { name, topic, visibility: Visibility::Private };
            node.write(EventDraft::new(Scope::room(room), created));
            for (user, role) in [(ANN, Role::Owner), (BOB, Role::Member), (EVE, Role::Moderator)] {
                node.write(member(user, room, role));
            }
        }
        node
    }

    pub fn with_rooms_twice() -> (Self, Self) {
        let (one, mut two) = (Self::with_rooms(), Self::new(2));
        two.take_from(&one);
        (one, two)
    }

    pub fn commit(&mut self, op: Op) -> OpResult {
        self.now_ms += 10;
        let mut commit = self.committer.commit(self.now_ms, 1, &[op]).unwrap();
        let result = commit.results.remove(0);
        self.commits.push(commit);
        result
    }

    pub fn write(&mut self, draft: EventDraft) {
        self.decide(move |_| Ok(Decision::Write(vec![draft.clone()]))).unwrap();
    }

    pub fn decide(
        &mut self,
        decide: impl Fn(&Tables<'_>) -> Result<Decision, StoreError> + Send + Sync + 'static,
    ) -> Result<OpResult, Refusal> {
        match self.commit(Op::Decide(Decide::new(decide))) {
            OpResult::Refused(refusal) => Err(refusal),
            done => Ok(done),
        }
    }

    /// Posts a message; returns whether it was posted before.
    pub fn post(&mut self, user: UserId, room: RoomId, message: &NewMessage) -> Result<bool, Refusal> {
        let prepared = refusal_of(post::prepare(&self.store, user, room, message))?;
        let (room, above_hlc) = (prepared.post.room, prepared.post.above_hlc);
        let op = Op::Post { room, posted: prepared.post.message, above_hlc, check: refuse_post_at_commit };
        match self.commit(op) {
            OpResult::Refused(refusal) => Err(refusal),
            _ => Ok(prepared.already_posted),
        }
    }

    pub fn say(&mut self, user: UserId, n: u128, body: &str) {
        assert_eq!(self.post(user, ROOM, &new(n, body)), Ok(false));
    }

    pub fn edit(&mut self, user: UserId, n: u128, body: &str) -> Result<OpResult, Refusal> {
        let body = text(body);
        self.decide(move |tables| change::edit(tables, user, id(n), &body))
    }

    pub fn delete(&mut self, user: UserId, n: u128) -> Result<OpResult, Refusal> {
        self.decide(move |tables| change::delete(tables, user, id(n)))
    }

    pub fn react(&mut self, user: UserId, n: u128, emoji: &str, on: bool) -> Result<OpResult, Refusal> {
        let emoji = Emoji::parse(emoji).unwrap();
        self.decide(move |tables| change::react(tables, user, id(n), &emoji, on))
    }

    /// Takes all events of the other node that this one lacks.
    pub fn take_from(&mut self, other: &Self) {
        let (has, theirs) = (self.store.vector().unwrap(), other.store.vector().unwrap());
        for (origin, head) in theirs.beyond(&has) {
            let mut next = has.get(origin).next();
            while next <= head {
                let events = other.store.read_events(origin, next, head).unwrap();
                next = next + events.len() as u64;
                let events = events.into_iter().map(|event| Event::decode(event).unwrap());
                self.commit(Op::Received(events.collect()));
            }
        }
    }

    pub fn page(&self, user: UserId, query: MessageQuery, limit: usize) -> Result<MessagePage, Refusal> {
        refusal_of(pages::page(&self.store, user, ROOM, query, limit))
    }

    pub fn numbers(&self, query: MessageQuery, limit: usize) -> (Vec<u128>, Option<PageCursor>) {
        let MessagePage { items, next } = self.page(ANN, query, limit).unwrap();
        (items.iter().map(|message| MessageId::try_parse(&message.id).unwrap().as_u128()).collect(), next)
    }

    /// The position of a message.
    pub fn pos(&self, n: u128) -> Pos {
        self.store.messages().unwrap().find_by_listed_id(id(n)).unwrap().unwrap().1.pos
    }

    pub fn shown(&self, n: u128) -> Message {
        let mut reader = self.store.messages().unwrap();
        let (room, message) = reader.find_by_listed_id(id(n)).unwrap().unwrap();
        render::message_object(&reader, room, &message).unwrap()
    }

    /// Whether any event of the log contains the text.
    pub fn holds(&self, text: &str) -> bool {
        let finds = |event: &bytes::Bytes| event.windows(text.len()).any(|part| part == text.as_bytes());
        self.store.vector().unwrap().iter().any(|(origin, head)| {
            (1..=head.0)
                .map(Seq)
                .any(|seq| self.store.read_events(origin, seq, seq).unwrap().iter().any(finds))
        })
    }

    /// Erases until nothing is left to erase; returns the number of commits.
    pub fn erase(&mut self) -> usize {
        let mut commits = 1;
        while self.commit(Op::Erase) == (OpResult::Erased { more: true }) {
            commits += 1;
        }
        assert!(!self.store.records().unwrap().has_pending_erasures().unwrap());
        commits
    }

    /// Checks that a rebuild from the log gives the same views.
    pub fn verify(&self) {
        let digest = self.store.verify().unwrap().digest;
        assert_eq!(self.store.verify_against_rebuild(&empty(), |_| Ok(())).unwrap().digest, digest);
    }
}
