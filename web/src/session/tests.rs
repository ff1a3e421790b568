//! Sessions over channels, against services that keep one room in memory. What is tested is what a client gets, in
//! which order, and what its cursors promise.

use std::{
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use async_trait::async_trait;
use serde_json::Value;
use starling_protocol::{
    Hlc, NodeId, OriginId, RoomName, VersionVector,
    frame::client::{ListedMessage, MessageObject},
};
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::{
    drain::Drain,
    lane::{CommitPoint, Frame, Lanes},
    metrics::WebMetrics,
    routes::WebSettings,
    service::{HistoryPage, NameInUse, Operations, Post, PostOutcome, Posted, Presence, Rooms, SealedCursor},
};

const ROOM: RoomId = RoomId([1; 10]);
const ORIGIN: OriginId = OriginId { node: NodeId([1; 16]), incarnation: 1 };

/// One room in memory. A cursor's text is the number of its commit.
#[derive(Default)]
struct Memory {
    messages: Mutex<Vec<ListedMessage>>,
    /// Whether cursors must wait for a peer's confirmation.
    unconfirmed: AtomicBool,
}

fn message(n: u64) -> ListedMessage {
    let sender =
        starling_protocol::Sender::Guest { id: GuestId([1; 16]), name: GuestName::parse("Ann").unwrap() };
    let text = starling_protocol::MessageText::parse(&n.to_string()).unwrap();
    let id = starling_protocol::MessageId::from_u128(n.into());
    let pos = Pos { hlc: Hlc(n), origin: ORIGIN, seq: n };
    ListedMessage {
        listed_id: id,
        pos,
        shown: "Ann".to_owned(),
        posted: starling_protocol::MessagePosted { id, sender, text },
    }
}

fn point(n: u64) -> CommitPoint {
    let vector: VersionVector = [(ORIGIN, n)].into_iter().collect();
    CommitPoint { number: n, vector: Arc::new(vector) }
}

#[async_trait]
impl Rooms for Memory {
    async fn create(&self, _: Option<RoomName>) -> Result<RoomId, Refusal> {
        Ok(ROOM)
    }

    async fn find(&self, _: RoomId) -> Result<Option<RoomName>, Refusal> {
        Ok(None)
    }

    fn post(&self, post: Post, outcomes: &mpsc::UnboundedSender<PostOutcome>) -> Result<(), Refusal> {
        let pos = Pos { hlc: post.floor.unwrap_or_default().next(), origin: ORIGIN, seq: 1 };
        outcomes
            .send(PostOutcome { id: post.id, result: Ok(Posted { pos, copies: 2 }), again: false })
            .unwrap();
        Ok(())
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

    async fn catch_up(&self, vector: &VersionVector) -> bool {
        vector.get(ORIGIN) < 1_000
    }

    async fn beyond(
        &self,
        _: RoomId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<Pos>>, Refusal> {
        let seqs = from.get(ORIGIN) + 1..=to.vector.get(ORIGIN);
        Ok(Some(seqs.map(|n| message(n).pos).collect()))
    }

    async fn messages_at(&self, places: Vec<Pos>) -> Result<Vec<ListedMessage>, Refusal> {
        Ok(places.into_iter().map(|pos| message(pos.seq)).collect())
    }

    async fn floor(&self, after: Pos) -> Result<Hlc, Refusal> {
        Ok(after.hlc)
    }

    fn seal(&self, _: GuestId, _: RoomId, point: &CommitPoint, _: Hlc) -> SealedCursor {
        let complete = !self.unconfirmed.load(Ordering::Relaxed);
        SealedCursor { text: if complete { point.number.to_string() } else { "behind".into() }, complete }
    }

    fn seal_empty(&self, _: GuestId, _: RoomId) -> String {
        "0".into()
    }

    fn open(&self, _: &str) -> Result<Cursor, CursorError> {
        Err(CursorError::Unreadable)
    }
}

impl Presence for Memory {
    fn enter(&self, _: RoomId, _: GuestId, _: GuestName) -> Result<Lease, NameInUse> {
        Err(NameInUse)
    }

    fn is_free(&self, _: RoomId, _: GuestId, _: &GuestName) -> bool {
        true
    }

    fn shown(&self, _: RoomId, _: GuestId) -> Option<String> {
        None
    }

    fn users(&self, _: RoomId) -> Vec<String> {
        vec!["Ann".into()]
    }
}

impl Operations for Memory {
    fn troubles(&self) -> Vec<String> {
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

/// The server's end of a socket made of channels.
struct Wire {
    out: mpsc::UnboundedSender<Message>,
    incoming: mpsc::UnboundedReceiver<Message>,
}

impl Stream for Wire {
    type Item = Result<Message, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_recv(cx).map(|message| message.map(Ok))
    }
}

impl Sink<Message> for Wire {
    type Error = axum::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), axum::Error> {
        self.out.send(message).map_err(axum::Error::new)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Ready(Ok(()))
    }
}

/// A client, and everything around its session.
struct Client {
    memory: Arc<Memory>,
    lanes: Arc<Lanes>,
    drain: tokio::sync::watch::Sender<crate::drain::Serving>,
    take_over: Option<oneshot::Sender<()>>,
    to_server: mpsc::UnboundedSender<Message>,
    from_server: mpsc::UnboundedReceiver<Message>,
}

impl Client {
    /// A client in a room of `history` messages.
    fn connect(history: u64, brought: Brought) -> Self {
        let memory = Arc::new(Memory::default());
        memory.messages.lock().unwrap().extend((1..=history).map(message));
        let lanes = Arc::new(Lanes::new(point(history)));
        let (drain, draining) = Drain::new();
        let web = Arc::new(Web {
            rooms: memory.clone(),
            presence: memory.clone(),
            operations: memory.clone(),
            lanes: Arc::clone(&lanes),
            metrics: WebMetrics::default(),
            settings: WebSettings { node: "node".into(), guests_enabled: true, metrics: false },
            drain: draining,
        });
        let (take_over, taken) = oneshot::channel();
        let seat = Seat {
            room: ROOM,
            guest: GuestId([1; 16]),
            name: GuestName::parse("Ann").unwrap(),
            lease: Lease { taken_over: taken, release: None },
            brought,
            after: None,
        };
        let (out, from_server) = mpsc::unbounded_channel();
        let (to_server, incoming) = mpsc::unbounded_channel();
        tokio::spawn(run(web, seat, Wire { out, incoming }));
        Self { memory, lanes, drain, take_over: Some(take_over), to_server, from_server }
    }

    /// Pushes a message into the lane as a commit does, before its point is published.
    fn push(&self, n: u64) {
        let text = MessageObject::new(ROOM, &message(n), false).to_json().into();
        self.lanes.get(ROOM).unwrap().push([Frame { commit: n, hlc: Hlc(n), text }]);
    }

    fn commit(&self, n: u64) {
        self.push(n);
        self.lanes.publish(point(n));
    }

    /// The next frame, in short: its type, and the body or cursor.
    async fn next(&mut self) -> String {
        match self.from_server.recv().await {
            Some(Message::Text(text)) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                let part = |name: &str| frame[name].as_str().map(|part| format!(" {part}"));
                let history = if frame["history"] == true { "history " } else { "" };
                let part = part("body").or(part("cursor")).or(part("code")).unwrap_or_default();
                format!("{history}{}{part}", frame["type"].as_str().unwrap())
            }
            Some(Message::Close(Some(close))) => format!("close {}", close.code),
            other => format!("{other:?}"),
        }
    }

    async fn expect(&mut self, frames: &[&str]) {
        for frame in frames {
            assert_eq!(self.next().await, *frame);
        }
    }
}

fn cursor(n: u64) -> Brought {
    let vector = [(ORIGIN, n)].into_iter().collect();
    let cursor = Cursor { guest: GuestId([1; 16]), room: ROOM, vector, greatest: Hlc(n) };
    Brought::Cursor(cursor, n.to_string())
}

#[tokio::test]
async fn a_first_visit_gets_history_then_a_cursor_then_the_lane() {
    let mut client = Client::connect(2, Brought::Nothing);
    client.expect(&["welcome 0", "history message 1", "history message 2", "cursor 2"]).await;
    client.commit(3);
    client.expect(&["message 3", "cursor 3"]).await;
}

#[tokio::test]
async fn a_resume_gets_exactly_what_it_lacks() {
    let mut client = Client::connect(4, cursor(2));
    client.expect(&["welcome 2", "message 3", "message 4", "cursor 4"]).await;
}

#[tokio::test]
async fn a_cursor_that_cannot_be_continued_is_answered_by_resync() {
    for brought in [Brought::Unreadable(CursorError::Unreadable), cursor(5_000)] {
        let mut client = Client::connect(1, brought);
        client.expect(&["welcome 0", "resync 0", "history message 1", "cursor 1"]).await;
    }
}

#[tokio::test]
async fn a_frame_seen_before_its_commit_is_published_is_covered_by_the_next_cursor() {
    let mut client = Client::connect(1, cursor(1));
    client.expect(&["welcome 1", "cursor 1"]).await;
    client.push(2);
    client.expect(&["message 2"]).await;
    client.lanes.publish(point(2));
    client.expect(&["cursor 2"]).await;
}

#[tokio::test]
async fn a_cursor_is_offered_again_until_it_covers_what_was_sent() {
    let mut client = Client::connect(1, cursor(1));
    client.expect(&["welcome 1", "cursor 1"]).await;
    client.memory.unconfirmed.store(true, Ordering::Relaxed);
    client.commit(2);
    client.expect(&["message 2", "cursor behind", "cursor behind"]).await;
    client.memory.unconfirmed.store(false, Ordering::Relaxed);
    client.expect(&["cursor 2"]).await;
}

#[tokio::test]
async fn who_falls_behind_the_lane_is_told_to_resume() {
    let mut client = Client::connect(0, Brought::Nothing);
    client.expect(&["welcome 0", "cursor 0"]).await;
    // No await between: the session cannot run, as if its socket took nothing.
    (1..=9_000).for_each(|n| client.commit(n));
    client.expect(&["close 4002"]).await;
}

#[tokio::test]
async fn a_stopping_node_delivers_what_it_has_and_says_goodbye() {
    let mut client = Client::connect(0, Brought::Nothing);
    client.expect(&["welcome 0", "cursor 0"]).await;
    client.commit(1);
    client.drain.send_replace(crate::drain::Serving::Stopping);
    client.expect(&["message 1"]).await;
    let mut last = client.next().await;
    if last == "cursor 1" {
        last = client.next().await;
    }
    assert_eq!(last, "close 1001");
}

#[tokio::test]
async fn a_later_session_of_the_same_guest_takes_over() {
    let mut client = Client::connect(0, Brought::Nothing);
    client.expect(&["welcome 0", "cursor 0"]).await;
    client.take_over.take().unwrap().send(()).unwrap();
    client.expect(&["close 4001"]).await;
}

#[tokio::test]
async fn posts_are_acked_and_bad_frames_are_refused_without_closing() {
    let mut client = Client::connect(0, Brought::Nothing);
    client.expect(&["welcome 0", "cursor 0"]).await;
    for (frame, answer) in [
        (Message::text("hello"), "ack"),
        (Message::text("{}"), "error bad_request"),
        (Message::binary("hello".as_bytes()), "error bad_request"),
        (Message::text(r#"{"body":""}"#), "error invalid"),
        (Message::text(r#"{"body":"again"}"#), "ack"),
    ] {
        client.to_server.send(frame).unwrap();
        client.expect(&[answer]).await;
    }
}
