//! A socket made of channels, which takes only as many frames as it is told.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::extract::ws::Message;
use futures_util::{Sink, Stream};
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};

/// Every frame that is waited for comes at once or within some 200 ms.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server's end of a socket made of channels.
pub struct Wire {
    out: mpsc::UnboundedSender<Message>,
    incoming: mpsc::UnboundedReceiver<Message>,
    room: Arc<Mutex<Room>>,
}

/// How much a socket takes before its client reads on.
struct Room {
    frames: usize,
    waker: Option<Waker>,
}

/// The client's end.
pub struct Line {
    pub to_server: mpsc::UnboundedSender<Message>,
    from_server: mpsc::UnboundedReceiver<Message>,
    room: Arc<Mutex<Room>>,
}

impl Line {
    pub fn new() -> (Self, Wire) {
        let (out, from_server) = mpsc::unbounded_channel();
        let (to_server, incoming) = mpsc::unbounded_channel();
        let room = Arc::new(Mutex::new(Room { frames: usize::MAX, waker: None }));
        let wire = Wire { out, incoming, room: Arc::clone(&room) };
        (Self { to_server, from_server, room }, wire)
    }

    /// From now on the socket takes so many frames.
    pub fn make_room(&self, frames: usize) {
        let mut room = self.room.lock().unwrap();
        room.frames = frames;
        if let Some(waker) = room.waker.take() {
            waker.wake();
        }
    }

    /// The next frame as JSON, or the code with which the socket was closed.
    pub async fn next(&mut self) -> Result<Value, u16> {
        let frame = timeout(PATIENCE, self.from_server.recv()).await;
        match frame.expect("a frame comes") {
            Some(Message::Text(text)) => Ok(serde_json::from_str(&text).unwrap()),
            Some(Message::Close(Some(close))) => Err(close.code),
            other => panic!("{other:?}"),
        }
    }
}

impl Stream for Wire {
    type Item = Result<Message, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_recv(cx).map(|message| message.map(Ok))
    }
}

impl Sink<Message> for Wire {
    type Error = axum::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        let mut room = self.room.lock().unwrap();
        if room.frames > 0 {
            return Poll::Ready(Ok(()));
        }
        room.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), axum::Error> {
        self.room.lock().unwrap().frames -= 1;
        self.out.send(message).map_err(axum::Error::new)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Ready(Ok(()))
    }
}
