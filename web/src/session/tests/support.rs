//! A session over channels, against services that keep one room in memory.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use axum::extract::FromRef as _;
use serde_json::Value;
use starling_protocol::{
    Cursor, CursorOwner, GuestId, GuestName, Hlc, NodeId, OriginId, Pos, RoomId, RoomName, Sender, Seq,
    VersionVector,
    cursor::CursorError,
    frame::client::{ListedMessage, MessageObject},
    limits::REPLAY_EVENTS_MAX,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    super::{frame_limit::ClientConnection, *},
    line::Line,
};
use crate::{
    drain::Drain,
    guard::Guard,
    lane::{CommitPoint, Frame, Lanes},
    metrics::WebMetrics,
    service::{
        CatchUpOutcome, Cursors, HistoryPage, Lease, NameInUse, Operations, Post, PostOutcome, Posted,
        Posting, Presence, QuickRooms, Refusal, RegistrationMode, SealedCursor, stub_services::StubServices,
    },
    state::{AppState, WebSettings},
};

pub const ROOM: RoomId = RoomId([1; 10]);
pub const ORIGIN: OriginId = OriginId { node: NodeId([1; 16]), incarnation: 1 };

/// One room in memory. A cursor's text is the number of its commit.
#[derive(Default)]
pub struct Memory {
    messages: Mutex<Vec<ListedMessage>>,
    /// Whether cursors must wait for a peer's confirmation.
    pub unconfirmed: AtomicBool,
    /// The names of the people in the room.
    pub users: Mutex<Vec<String>>,
    /// Called whenever a session reads its backlog. Commits that it makes are not in that backlog.
    pub on_catch_up: Mutex<Option<Box<dyn FnMut() + Send>>>,
}

fn message(n: u64) -> ListedMessage {
    let sender =
        starling_protocol::Sender::Guest { id: GuestId([1; 16]), name: GuestName::parse("Ann").unwrap() };
    let text = starling_protocol::MessageText::parse(&n.to_string()).unwrap();
    let id = starling_protocol::MessageId::from_u128(n.into());
    let pos = Pos { hlc: Hlc(n), origin: ORIGIN, seq: Seq(n) };
    ListedMessage {
        listed_id: id,
        pos,
        shown: "Ann".to_owned(),
        posted: starling_protocol::MessagePosted::new(id, sender, text),
    }
}

pub fn point(n: u64) -> CommitPoint {
    let vector: VersionVector = [(ORIGIN, Seq(n))].into_iter().collect();
    CommitPoint { number: n, vector: Arc::new(vector) }
}

#[async_trait]
impl QuickRooms for Memory {
    async fn create(&self, _: Option<RoomName>) -> Result<RoomId, Refusal> {
        Ok(ROOM)
    }

    async fn find(&self, _: RoomId) -> Result<Option<RoomName>, Refusal> {
        Ok(None)
    }

    async fn is_account_name(&self, _: &GuestName) -> Result<bool, Refusal> {
        Ok(false)
    }

    async fn history(
        &self,
        _: RoomId,
        _: Option<Pos>,
        limit: usize,
        within: Option<CommitPoint>,
    ) -> Result<HistoryPage, Refusal> {
        let within = within.expect("sessions read as of a commit");
        let messages = self.messages.lock().unwrap();
        let messages = messages.iter().filter(|m| within.vector.contains(ORIGIN, m.pos.seq));
        Ok(HistoryPage { messages: messages.rev().take(limit).cloned().collect(), more: false })
    }

    async fn positions_between(
        &self,
        _: RoomId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<Pos>>, Refusal> {
        let seqs = from.get(ORIGIN).0 + 1..=to.vector.get(ORIGIN).0;
        if let Some(on_catch_up) = &mut *self.on_catch_up.lock().unwrap() {
            on_catch_up();
        }
        let positions: Vec<_> = seqs.map(|n| message(n).pos).collect();
        Ok((positions.len() <= REPLAY_EVENTS_MAX).then_some(positions))
    }

    async fn messages_at(&self, positions: Vec<Pos>) -> Result<Vec<ListedMessage>, Refusal> {
        Ok(positions.into_iter().map(|pos| message(pos.seq.0)).collect())
    }
}

#[async_trait]
impl Posting for Memory {
    fn post(&self, post: Post, outcomes: &mpsc::UnboundedSender<PostOutcome>) -> Result<(), Refusal> {
        let pos = Pos { hlc: post.above_hlc.unwrap_or_default().next(), origin: ORIGIN, seq: Seq(1) };
        outcomes
            .send(PostOutcome {
                id: post.message.id,
                result: Ok(Posted { pos, copies: 2 }),
                is_upgrade: false,
            })
            .unwrap();
        Ok(())
    }

    async fn above_hlc(&self, after: Pos) -> Result<Hlc, Refusal> {
        Ok(after.hlc)
    }
}

#[async_trait]
impl Cursors for Memory {
    async fn wait_for(&self, vector: &VersionVector) -> CatchUpOutcome {
        match vector.get(ORIGIN).0 {
            ..1_000 => CatchUpOutcome::All,
            1_000..10_000 => CatchUpOutcome::Missing,
            _ => CatchUpOutcome::TooSlow,
        }
    }

    fn seal(&self, _: CursorOwner, point: &CommitPoint, _: Hlc) -> SealedCursor {
        let complete = !self.unconfirmed.load(Ordering::Relaxed);
        SealedCursor { text: if complete { point.number.to_string() } else { "behind".into() }, complete }
    }

    fn seal_empty(&self, _: CursorOwner) -> String {
        "0".into()
    }

    async fn open(&self, text: &str) -> Result<Cursor, CursorError> {
        let n: u64 = text.parse().map_err(|_| CursorError::Unreadable)?;
        let owner = CursorOwner::Guest { id: GuestId([1; 16]), room: ROOM };
        Ok(Cursor { owner, vector: [(ORIGIN, Seq(n))].into_iter().collect(), greatest: Hlc(n) })
    }
}

impl Presence for Memory {
    fn enter(&self, _: RoomId, _: GuestId, _: GuestName, _: bool) -> Result<Lease, NameInUse> {
        Err(NameInUse)
    }

    fn is_free(&self, _: RoomId, _: GuestId, _: &GuestName) -> bool {
        true
    }

    fn shown(&self, _: RoomId, _: GuestId) -> Option<String> {
        None
    }

    fn users(&self, _: RoomId) -> Vec<String> {
        self.users.lock().unwrap().clone()
    }
}

impl Operations for Memory {
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }

    fn not_ready(&self) -> Vec<String> {
        Vec::new()
    }

    fn metrics(&self) -> String {
        String::new()
    }

    fn public_urls(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Returns the state of handlers and sessions, over one room in memory.
pub fn app_state(memory: &Arc<Memory>, lanes: &Arc<Lanes>, metrics: WebMetrics, drain: Drain) -> AppState {
    AppState {
        authentication: Arc::new(StubServices),
        accounts: Arc::new(StubServices),
        administration: Arc::new(StubServices),
        contacts: Arc::new(StubServices),
        guard: Arc::new(Guard::default()),
        member_rooms: Arc::new(StubServices),
        messages: Arc::new(StubServices),
        quick_rooms: memory.clone(),
        posting: memory.clone(),
        cursors: memory.clone(),
        presence: memory.clone(),
        live: Arc::new(StubServices),
        operations: memory.clone(),
        lanes: Arc::clone(lanes),
        groups: Arc::default(),
        metrics: Arc::new(metrics),
        settings: Arc::new(WebSettings {
            node: "node".into(),
            quick_rooms_enabled: true,
            registration: RegistrationMode::Open,
            public_url: None,
            metrics: true,
        }),
        drain,
    }
}

/// Pushes a message into the lane, like a commit before it is published.
pub fn push(lanes: &Lanes, n: u64) {
    let text = MessageObject::new(ROOM, &message(n), false).to_json();
    lanes.get(ROOM).unwrap().push([Frame::new(n, Hlc(n), text)]);
}

pub fn commit(lanes: &Lanes, n: u64) {
    push(lanes, n);
    lanes.publish(point(n));
}

/// A client, and everything around its session. It checks that no cursor covers a message that was not sent.
pub struct Client {
    pub memory: Arc<Memory>,
    pub lanes: Arc<Lanes>,
    pub metrics: WebMetrics,
    pub drain: tokio::sync::watch::Sender<crate::drain::Serving>,
    pub take_over: Option<oneshot::Sender<()>>,
    pub line: Line,
    /// The size of the session's task.
    pub session_bytes: usize,
    /// The messages up to this one need not be sent.
    covered: u64,
    /// The people in the room, by the last welcome.
    pub present: Vec<String>,
    /// The messages that were received.
    pub got: BTreeSet<u64>,
    /// The number of messages that were received again.
    pub repeats: usize,
}

impl Client {
    /// Connects a client to a room of `history` messages.
    pub fn connect(history: u64, resume_point: ResumePoint) -> Self {
        let memory = Arc::new(Memory { users: Mutex::new(vec!["Ann".into()]), ..Memory::default() });
        memory.messages.lock().unwrap().extend((1..=history).map(message));
        let lanes = Arc::new(Lanes::new(point(history)));
        let (drain, draining) = Drain::new();
        let metrics = WebMetrics::default();
        let state = app_state(&memory, &lanes, metrics.clone(), draining);
        let (take_over, taken) = oneshot::channel();
        let covered = match &resume_point {
            ResumePoint::Cursor(cursor, _) => cursor.vector.get(ORIGIN).0,
            _ => 0,
        };
        let participant = Participant {
            room: ROOM,
            id: GuestId([1; 16]),
            name: GuestName::parse("Ann").unwrap(),
            sender: Sender::Guest { id: GuestId([1; 16]), name: GuestName::parse("Ann").unwrap() },
            identity: None,
            client: client_connection(),
            lease: Lease { taken_over: taken, release: None },
            resume_point,
            last_seen_pos: None,
        };
        let (line, wire) = Line::new();
        let deps = Box::new(SessionDeps::from_ref(&state));
        let session = quick::run(deps, Box::new(participant), Box::new(wire));
        let session_bytes = size_of_val(&session);
        tokio::spawn(session);
        Self {
            memory,
            lanes,
            metrics,
            drain,
            take_over: Some(take_over),
            line,
            session_bytes,
            covered,
            present: Vec::new(),
            got: BTreeSet::new(),
            repeats: 0,
        }
    }

    /// Lets the socket accept this many frames from now on.
    pub fn allow_frames(&self, frames: usize) {
        self.line.allow_frames(frames);
    }

    pub fn push(&self, n: u64) {
        push(&self.lanes, n);
    }

    pub fn commit(&self, n: u64) {
        commit(&self.lanes, n);
    }

    /// Returns the next frame in short: its type, and its body, cursor or code.
    pub async fn next(&mut self) -> String {
        match self.line.next().await {
            Ok(frame) => {
                let part = |name: &str| frame[name].as_str().map(|part| format!(" {part}"));
                let history = if frame["history"] == true { "history " } else { "" };
                self.note(&frame);
                let part = part("body").or(part("cursor")).or(part("code")).unwrap_or_default();
                format!("{history}{}{part}", frame["type"].as_str().unwrap())
            }
            Err(code) => format!("close {code}"),
        }
    }

    fn note(&mut self, frame: &Value) {
        let number = |name: &str| frame[name].as_str().and_then(|text| text.parse::<u64>().ok());
        match frame["type"].as_str() {
            Some("message") => self.repeats += usize::from(!self.got.insert(number("body").unwrap())),
            Some("welcome") => {
                let users = frame["users"].as_array().unwrap().iter();
                self.present = users.map(|name| name.as_str().unwrap().to_owned()).collect();
            }
            Some("resync") => self.covered = 0,
            Some("cursor") => {
                let lacked =
                    (self.covered + 1..=number("cursor").unwrap_or(0)).find(|n| !self.got.contains(n));
                assert_eq!(lacked, None, "{frame} covers what was not sent");
            }
            _ => {}
        }
    }

    pub async fn expect(&mut self, frames: &[&str]) {
        for frame in frames {
            assert_eq!(self.next().await, *frame);
        }
    }
}

/// Returns the end of a client that is connected over channels.
pub fn client_connection() -> ClientConnection {
    ClientConnection {
        network: std::net::Ipv4Addr::LOCALHOST.into(),
        receive_budget: crate::server::ReceiveBudget::default(),
    }
}

pub fn cursor(n: u64) -> ResumePoint {
    let vector = [(ORIGIN, Seq(n))].into_iter().collect();
    let owner = CursorOwner::Guest { id: GuestId([1; 16]), room: ROOM };
    let cursor = Cursor { owner, vector, greatest: Hlc(n) };
    ResumePoint::Cursor(cursor, n.to_string())
}
