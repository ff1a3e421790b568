//! A user with two rooms in memory, whose messages are numbered as the commits that post them; and his client.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use serde_json::{Value, json};
use starling_protocol::{
    Cursor, CursorOwner, Emoji, ErrorCode, Hlc, MessageId, MessageKey, MessagePosted, MessageText, Pos,
    RoomId, Sender, SessionId, UserId, VersionVector, limits::REPLAY_EVENTS_MAX,
};
use tokio::sync::watch;

use crate::{
    drain::{Drain, Serving},
    lane::{CommitPoint, Frame, Lanes, Utf8Bytes},
    live_frame::RoomChange,
    metrics::WebMetrics,
    objects::{Message, User},
    service::{
        Authentication, Change, Credentials, Identity, LiveEvents, MessagePage, Messages, NewMessage, Online,
        Post, Refusal, UserContext, Wanted,
    },
    session::{
        ResumePoint,
        account::{self, Account},
        tests::{
            line::Line,
            support::{self, Memory, ORIGIN, point},
        },
    },
};

pub const ANN: UserId = UserId([1; 16]);
pub const BOB: UserId = UserId([2; 16]);
pub const EVE: UserId = UserId([3; 16]);
pub const STRANGER: UserId = UserId([4; 16]);
pub const ROOMS: [RoomId; 2] = [RoomId([1; 10]), RoomId([2; 10])];
pub const OTHER_ROOM: RoomId = RoomId([9; 10]);

/// What nodes keep for Ann.
pub struct World {
    pub lanes: Arc<Lanes>,
    pub alive: AtomicBool,
    around: Mutex<UserContext>,
    /// How often was asked for all that surrounds him.
    pub looked_around: AtomicU64,
    /// Messages: number, room, author.
    posted: Mutex<Vec<(u64, RoomId, UserId)>>,
    /// What rooms were shown.
    pub shown: Mutex<Vec<(RoomId, Utf8Bytes)>>,
}

fn frame(n: u64) -> String {
    json!({"type": "message", "n": n}).to_string()
}

/// Where a message is, if nothing is said of it.
pub fn room_of(n: u64) -> RoomId {
    if n.is_multiple_of(2) { ROOMS[0] } else { ROOMS[1] }
}

pub fn typing(user: UserId) -> String {
    json!({"type": "typing", "user": user.to_string()}).to_string()
}

/// A frame in short: its type, and what matters of it.
pub fn short(frame: &Value) -> String {
    let kind = frame["type"].as_str().unwrap();
    let part = ["n", "cursor", "code", "user"].iter().find_map(|part| match &frame[part] {
        Value::Null | Value::Object(_) => None,
        Value::String(text) => Some(format!(" {text}")),
        other => Some(format!(" {other}")),
    });
    format!("{kind}{}", part.unwrap_or_default())
}

impl World {
    fn around(&self) -> std::sync::MutexGuard<'_, UserContext> {
        self.around.lock().unwrap()
    }

    /// Pushes a message as a commit does, before its point is published.
    pub fn push(&self, n: u64, room: RoomId, by: UserId) {
        self.posted.lock().unwrap().push((n, room, by));
        if let Some(lane) = self.lanes.get(room) {
            lane.push([Frame { from: Some(by), ..Frame::new(n, Hlc(n), frame(n)) }]);
        }
    }

    pub fn publish(&self, n: u64) {
        self.lanes.publish(point(n));
    }

    pub fn commit(&self, n: u64, room: RoomId, by: UserId) {
        self.lanes.begin(n);
        self.push(n, room, by);
        self.publish(n);
    }

    pub fn invalidate(&self, n: u64) {
        self.lanes.get(ANN).unwrap().push([Frame::invalidate(n)]);
    }

    /// Shows something of the moment.
    pub fn show(&self, room: RoomId, by: UserId, text: String) {
        let frame = Frame { from: Some(by), ..Frame::new(Frame::EPHEMERAL, Hlc(0), text) };
        self.lanes.get(room).unwrap().push([frame]);
    }

    /// Changes a room for all who are in it; he is not any more if it is gone.
    pub fn change_room(&self, n: u64, room: RoomId, gone: bool) {
        if gone {
            self.around().rooms.remove(&room);
        }
        self.lanes.begin(n);
        self.lanes.get(room).unwrap().push([Frame::invalidate(n)]);
        self.publish(n);
    }

    pub fn come(&self, n: u64, room: RoomId) {
        self.around().rooms.insert(room);
        self.tell_room(n);
    }

    pub fn leave(&self, n: u64, room: RoomId) {
        self.around().rooms.remove(&room);
        self.tell_room(n);
    }

    fn tell_room(&self, n: u64) {
        let room = Frame::new(n, Hlc(0), r#"{"type":"room"}"#);
        self.lanes.get(ANN).unwrap().push([room, Frame::invalidate(n)]);
    }

    pub fn rename(&self, username: &str) {
        username.clone_into(&mut self.around().user.username);
    }

    /// The other side of the room is no contact any more.
    pub fn part(&self, n: u64, room: RoomId) {
        self.around().severed_rooms.insert(room);
        self.tell_room(n);
    }

    pub fn block(&self, user: UserId, by: UserId) {
        self.around().blocked.insert(user);
        self.around().blocked_by.insert(by);
    }

    pub fn unblock(&self, user: UserId) {
        self.around().blocked.remove(&user);
    }

    /// Which of the messages up to `n` he is to have, who was in all rooms all the time.
    pub fn due(&self, n: u64) -> Vec<u64> {
        self.posted.lock().unwrap().iter().map(|posted| posted.0).filter(|&posted| posted <= n).collect()
    }
}

#[async_trait]
impl Authentication for World {
    async fn identify(&self, _: Credentials<'_>) -> Result<Identity, Refusal> {
        unreachable!("the routes do")
    }

    async fn is_alive(&self, _: Identity) -> Result<bool, Refusal> {
        Ok(self.alive.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl LiveEvents for World {
    async fn around(&self, _: UserId) -> Result<UserContext, Refusal> {
        self.looked_around.fetch_add(1, Ordering::Relaxed);
        Ok(World::around(self).clone())
    }

    async fn online(&self, _: UserId) -> Result<Vec<UserId>, Refusal> {
        Ok(vec![BOB])
    }

    async fn online_among(&self, _: UserId, _: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
        unreachable!("the routes do")
    }

    async fn known(&self, _: UserId, others: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
        Ok(others.into_iter().filter(|&other| other != STRANGER).collect())
    }

    async fn beyond(
        &self,
        user: UserId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<Change>>, Refusal> {
        let sender = Sender::User(user).key();
        let within = from.get(ORIGIN) + 1..=to.vector.get(ORIGIN);
        let posted = self.posted.lock().unwrap();
        let due = posted.iter().filter(|(n, ..)| within.contains(n)).map(|&(n, room, _)| Change::Message {
            room,
            key: MessageKey { sender, id: MessageId::from_u128(n.into()) },
            fresh: true,
        });
        let due: Vec<_> = due.collect();
        Ok((due.len() <= REPLAY_EVENTS_MAX).then_some(due))
    }

    async fn tell(&self, _: UserId, due: Vec<Change>) -> Result<Vec<String>, Refusal> {
        let around = World::around(self);
        let tell = |due| match due {
            Change::Message { room, key, .. } if around.rooms.contains(&room) => {
                Some(frame(key.id.as_u128().try_into().unwrap()))
            }
            Change::Room { change: RoomChange::Removed, .. } => {
                Some(r#"{"type":"room","removed":true}"#.into())
            }
            _ => None,
        };
        Ok(due.into_iter().filter_map(tell).collect())
    }

    async fn room(&self, _: UserId, room: RoomId) -> Result<(String, bool), Refusal> {
        Ok((r#"{"type":"room"}"#.into(), World::around(self).rooms.contains(&room)))
    }

    async fn floor(&self, after: Pos) -> Result<Hlc, Refusal> {
        Ok(after.hlc)
    }

    fn come(&self, _: UserId) -> Online {
        Online(None)
    }

    fn show(&self, room: RoomId, _: UserId, frame: Utf8Bytes) {
        self.shown.lock().unwrap().push((room, frame));
    }
}

#[async_trait]
impl Messages for World {
    async fn prepare(&self, user: UserId, room: RoomId, message: NewMessage) -> Result<Post, Refusal> {
        if !World::around(self).rooms.contains(&room) {
            return Err(Refusal::new(ErrorCode::NotFound, "there is no such room"));
        }
        let message = MessagePosted::new(message.id, Sender::User(user), message.text);
        Ok(Post { room, message, min_hlc: None })
    }

    async fn post(&self, _: UserId, _: RoomId, _: NewMessage) -> Result<(Message, bool), Refusal> {
        unreachable!()
    }

    async fn page(&self, _: UserId, _: RoomId, _: Wanted, _: usize) -> Result<MessagePage, Refusal> {
        unreachable!()
    }

    async fn message(&self, _: UserId, _: MessageId) -> Result<Message, Refusal> {
        unreachable!()
    }

    async fn edit(&self, _: UserId, _: MessageId, _: MessageText) -> Result<Message, Refusal> {
        unreachable!()
    }

    async fn delete(&self, _: UserId, _: MessageId) -> Result<(), Refusal> {
        unreachable!()
    }

    async fn react(&self, _: UserId, _: MessageId, _: Emoji, _: bool) -> Result<(), Refusal> {
        unreachable!()
    }

    async fn read(
        &self,
        _: UserId,
        _: RoomId,
        _: MessageId,
        _: Option<VersionVector>,
    ) -> Result<(), Refusal> {
        Err(Refusal::new(ErrorCode::NotFound, "there is no such message"))
    }
}

pub fn cursor(n: u64) -> ResumePoint {
    let vector = [(ORIGIN, n)].into_iter().collect();
    ResumePoint::Cursor(Cursor { owner: CursorOwner::User(ANN), vector, greatest: Hlc(0) }, n.to_string())
}

/// Ann's client. It keeps an eye on the cursors: none may cover what was not sent.
pub struct Client {
    pub world: Arc<World>,
    pub memory: Arc<Memory>,
    pub metrics: WebMetrics,
    pub drain: watch::Sender<Serving>,
    pub line: Line,
    /// All up to here was there before.
    covered: u64,
    /// The messages that came.
    pub got: BTreeSet<u64>,
}

impl Client {
    /// Connects to a world of so many messages.
    pub fn connect(history: u64, resume_point: ResumePoint) -> Self {
        let lanes = Arc::new(Lanes::new(point(history)));
        let user =
            User { id: ANN.to_string(), username: "ann".into(), display_name: "Ann".into(), presence: None };
        let nobody = HashSet::new;
        let around = UserContext {
            user,
            rooms: ROOMS.into(),
            severed_rooms: HashSet::new(),
            contacts: nobody(),
            blocked: nobody(),
            blocked_by: nobody(),
        };
        let world = Arc::new(World {
            lanes: Arc::clone(&lanes),
            alive: AtomicBool::new(true),
            around: Mutex::new(around),
            looked_around: AtomicU64::new(0),
            posted: Mutex::new((1..=history).map(|n| (n, room_of(n), BOB)).collect()),
            shown: Mutex::default(),
        });
        let (memory, metrics) = (Arc::new(Memory::default()), WebMetrics::default());
        let (drain, draining) = Drain::new();
        let mut web = support::web(&memory, &lanes, metrics.clone(), draining);
        let shared = Arc::get_mut(&mut web).unwrap();
        shared.authentication = world.clone();
        shared.live = world.clone();
        shared.messages = world.clone();
        let covered = match &resume_point {
            ResumePoint::Cursor(cursor, _) => cursor.vector.get(ORIGIN),
            _ => history,
        };
        let identity = Identity { user: ANN, session: SessionId([1; 16]), admin: false, personal: false };
        let (line, wire) = Line::new();
        let client = support::client_end();
        tokio::spawn(account::run(web, Account { identity, client, resume_point, after: None }, wire));
        Self { world, memory, metrics, drain, line, covered, got: BTreeSet::new() }
    }

    /// Connected to a world without any messages.
    pub async fn connected() -> Self {
        let mut client = Self::connect(0, ResumePoint::Nothing);
        client.expect(&["welcome 0", "cursor 0"]).await;
        client
    }

    /// The next frame, in short.
    pub async fn next(&mut self) -> String {
        let frame = match self.line.next().await {
            Ok(frame) => frame,
            Err(code) => return format!("close {code}"),
        };
        if frame["type"] == "message" {
            self.got.insert(frame["n"].as_u64().unwrap());
        }
        if frame["type"] == "cursor" {
            self.check(frame["cursor"].as_str().unwrap().parse().unwrap_or(0));
        }
        short(&frame)
    }

    fn check(&self, cursor: u64) {
        let around = self.world.around();
        let posted = self.world.posted.lock().unwrap();
        let lacked = posted.iter().find(|(n, room, by)| {
            let due = around.rooms.contains(room) && !around.blocked.contains(by);
            due && (self.covered + 1..=cursor).contains(n) && !self.got.contains(n)
        });
        assert_eq!(lacked, None, "cursor {cursor} covers what was not sent");
    }

    pub async fn expect(&mut self, frames: &[&str]) {
        for frame in frames {
            assert_eq!(self.next().await, *frame);
        }
    }

    pub async fn until(&mut self, frame: &str) {
        let last = self.until_or_closed(frame).await;
        assert_eq!(last, frame);
    }

    pub async fn until_or_closed(&mut self, frame: &str) -> String {
        loop {
            let next = self.next().await;
            if next == frame || next.starts_with("close") {
                return next;
            }
        }
    }
}
