//! A user with two rooms in memory. The number of a message is that of the commit that posts it.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use serde_json::{Value, json};
use starling_protocol::{
    Emoji, ErrorCode, Hlc, MessageId, MessageKey, MessagePosted, MessageText, Pos, RoomId, Sender, UserId,
    VersionVector, limits::REPLAY_EVENTS_MAX,
};

use crate::{
    lane::{CommitPoint, Frame, Lanes},
    live_frame::RoomChange,
    objects::{Message, User},
    service::{
        Authentication, CountAgainstRoom, Credentials, Identity, LiveChange, LiveEvents, MessagePage,
        MessageQuery, Messages, NewMessage, Online, Post, Refusal, UserContext,
    },
    session::tests::support::{ORIGIN, point},
};

pub const ANN: UserId = UserId([1; 16]);
pub const BOB: UserId = UserId([2; 16]);
pub const EVE: UserId = UserId([3; 16]);
pub const STRANGER: UserId = UserId([4; 16]);
pub const ROOMS: [RoomId; 2] = [RoomId([1; 10]), RoomId([2; 10])];
pub const OTHER_ROOM: RoomId = RoomId([9; 10]);

/// The state that nodes keep for the user Ann.
pub struct World {
    pub lanes: Arc<Lanes>,
    pub alive: AtomicBool,
    context: Mutex<UserContext>,
    /// The number of reads of Ann's context.
    pub context_reads: AtomicU64,
    /// The messages: number, room and author.
    pub posted: Mutex<Vec<(u64, RoomId, UserId)>>,
    /// The frames that Ann's session broadcast, with their rooms.
    pub broadcasts: Mutex<Vec<(RoomId, String)>>,
}

fn frame(n: u64) -> String {
    json!({"type": "message", "n": n}).to_string()
}

/// Returns the room of a message in the history: they alternate.
pub fn history_room(n: u64) -> RoomId {
    if n.is_multiple_of(2) { ROOMS[0] } else { ROOMS[1] }
}

pub fn typing(user: UserId) -> String {
    json!({"type": "typing", "user": user.to_string()}).to_string()
}

/// Returns a frame in short: its type and its most important field.
pub fn short(frame: &Value) -> String {
    let kind = frame["type"].as_str().unwrap();
    let field = ["n", "cursor", "code", "user"].iter().find_map(|field| match &frame[field] {
        Value::Null | Value::Object(_) => None,
        Value::String(text) => Some(format!(" {text}")),
        other => Some(format!(" {other}")),
    });
    format!("{kind}{}", field.unwrap_or_default())
}

impl World {
    /// Holds `history` messages of Bob.
    pub fn new(history: u64) -> Arc<Self> {
        let lanes = Arc::new(Lanes::new(point(history)));
        let user =
            User { id: ANN.to_string(), username: "ann".into(), display_name: "Ann".into(), presence: None };
        let context = UserContext {
            user,
            rooms: ROOMS.into(),
            severed_rooms: HashSet::new(),
            contacts: HashSet::new(),
            blocked: HashSet::new(),
            blocked_by: HashSet::new(),
        };
        Arc::new(Self {
            lanes,
            alive: AtomicBool::new(true),
            context: Mutex::new(context),
            context_reads: AtomicU64::new(0),
            posted: Mutex::new((1..=history).map(|n| (n, history_room(n), BOB)).collect()),
            broadcasts: Mutex::default(),
        })
    }

    pub fn context(&self) -> std::sync::MutexGuard<'_, UserContext> {
        self.context.lock().unwrap()
    }

    /// Pushes a message, like a commit before it is published.
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
        self.lanes.begin_push(n);
        self.push(n, room, by);
        self.publish(n);
    }

    pub fn invalidate(&self, n: u64) {
        self.lanes.get(ANN).unwrap().push([Frame::invalidate(n)]);
    }

    /// Pushes an ephemeral frame.
    pub fn push_ephemeral(&self, room: RoomId, by: UserId, text: String) {
        let frame = Frame { from: Some(by), ..Frame::new(Frame::EPHEMERAL, Hlc(0), text) };
        self.lanes.get(room).unwrap().push([frame]);
    }

    /// Changes a room for all its members. If it is `gone`, Ann is no longer a member.
    pub fn change_room(&self, n: u64, room: RoomId, gone: bool) {
        if gone {
            self.context().rooms.remove(&room);
        }
        self.lanes.begin_push(n);
        self.lanes.get(room).unwrap().push([Frame::invalidate(n)]);
        self.publish(n);
    }

    pub fn join(&self, n: u64, room: RoomId) {
        self.context().rooms.insert(room);
        self.push_room_frame(n);
    }

    pub fn leave(&self, n: u64, room: RoomId) {
        self.context().rooms.remove(&room);
        self.push_room_frame(n);
    }

    fn push_room_frame(&self, n: u64) {
        let room = Frame::new(n, Hlc(0), r#"{"type":"room"}"#);
        self.lanes.get(ANN).unwrap().push([room, Frame::invalidate(n)]);
    }

    pub fn rename(&self, username: &str) {
        username.clone_into(&mut self.context().user.username);
    }

    /// Ends the contact with the other member of a direct room.
    pub fn sever(&self, n: u64, room: RoomId) {
        self.context().severed_rooms.insert(room);
        self.push_room_frame(n);
    }

    pub fn block(&self, user: UserId, by: UserId) {
        self.context().blocked.insert(user);
        self.context().blocked_by.insert(by);
    }

    pub fn unblock(&self, user: UserId) {
        self.context().blocked.remove(&user);
    }

    /// Returns the messages up to `n` that Ann must get if she is in both rooms all the time.
    pub fn messages_up_to(&self, n: u64) -> Vec<u64> {
        self.posted.lock().unwrap().iter().map(|posted| posted.0).filter(|&posted| posted <= n).collect()
    }
}

#[async_trait]
impl Authentication for World {
    async fn identify(&self, _: Credentials<'_>) -> Result<Identity, Refusal> {
        unreachable!("only routes call this")
    }

    async fn is_alive(&self, _: Identity) -> Result<bool, Refusal> {
        Ok(self.alive.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl LiveEvents for World {
    async fn user_context(&self, _: UserId) -> Result<UserContext, Refusal> {
        self.context_reads.fetch_add(1, Ordering::Relaxed);
        Ok(World::context(self).clone())
    }

    async fn online(&self, _: UserId) -> Result<Vec<UserId>, Refusal> {
        Ok(vec![BOB])
    }

    async fn online_among(&self, _: UserId, _: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
        unreachable!("only routes call this")
    }

    async fn known(&self, _: UserId, others: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
        Ok(others.into_iter().filter(|&other| other != STRANGER).collect())
    }

    async fn changes_between(
        &self,
        user: UserId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<LiveChange>>, Refusal> {
        let sender = Sender::User(user).key();
        let within = from.get(ORIGIN).0 + 1..=to.vector.get(ORIGIN).0;
        let posted = self.posted.lock().unwrap();
        let changes =
            posted.iter().filter(|(n, ..)| within.contains(n)).map(|&(n, room, _)| LiveChange::Message {
                room,
                key: MessageKey { sender, id: MessageId::from_u128(n.into()) },
                fresh: true,
            });
        let changes: Vec<_> = changes.collect();
        Ok((changes.len() <= REPLAY_EVENTS_MAX).then_some(changes))
    }

    async fn render(&self, _: UserId, changes: Vec<LiveChange>) -> Result<Vec<String>, Refusal> {
        let context = World::context(self);
        let render = |change| match change {
            LiveChange::Message { room, key, .. } if context.rooms.contains(&room) => {
                Some(frame(key.id.as_u128().try_into().unwrap()))
            }
            LiveChange::Room { change: RoomChange::Removed, .. } => {
                Some(r#"{"type":"room","removed":true}"#.into())
            }
            _ => None,
        };
        Ok(changes.into_iter().filter_map(render).collect())
    }

    async fn room(&self, _: UserId, room: RoomId) -> Result<(String, bool), Refusal> {
        Ok((r#"{"type":"room"}"#.into(), World::context(self).rooms.contains(&room)))
    }

    async fn above_hlc_unless_held(&self, after: Pos) -> Result<Hlc, Refusal> {
        Ok(after.hlc)
    }

    fn mark_online(&self, _: UserId) -> Online {
        Online(None)
    }

    fn broadcast(&self, room: RoomId, _: UserId, frame: String) {
        self.broadcasts.lock().unwrap().push((room, frame));
    }
}

#[async_trait]
impl Messages for World {
    async fn prepare(&self, user: UserId, room: RoomId, message: NewMessage) -> Result<Post, Refusal> {
        if !World::context(self).rooms.contains(&room) {
            return Err(Refusal::new(ErrorCode::NotFound, "there is no such room"));
        }
        let message = MessagePosted::new(message.id, Sender::User(user), message.text);
        Ok(Post { room, message, above_hlc: None })
    }

    async fn post(
        &self,
        _: UserId,
        _: RoomId,
        _: NewMessage,
        _: CountAgainstRoom<'_>,
    ) -> Result<(Message, bool), Refusal> {
        unreachable!()
    }

    async fn page(&self, _: UserId, _: RoomId, _: MessageQuery, _: usize) -> Result<MessagePage, Refusal> {
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

    async fn mark_read(
        &self,
        _: UserId,
        _: RoomId,
        _: MessageId,
        _: Option<VersionVector>,
    ) -> Result<(), Refusal> {
        Err(Refusal::new(ErrorCode::NotFound, "there is no such message"))
    }
}
