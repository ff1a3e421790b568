//! A socket made of channels, which accepts only as many frames as a test allows.

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

/// The time limit for the next frame. Frames usually come at once, or within some 200 ms.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server's end of a socket made of channels.
pub struct Wire {
    out: mpsc::UnboundedSender<Message>,
    incoming: mpsc::UnboundedReceiver<Message>,
    allowance: Arc<Mutex<Allowance>>,
}

/// The number of frames that a socket still accepts.
struct Allowance {
    frames: usize,
    waker: Option<Waker>,
}

/// The client's end of a socket made of channels.
pub struct Line {
    pub to_server: mpsc::UnboundedSender<Message>,
    from_server: mpsc::UnboundedReceiver<Message>,
    allowance: Arc<Mutex<Allowance>>,
}

impl Line {
    pub fn new() -> (Self, Wire) {
        let (out, from_server) = mpsc::unbounded_channel();
        let (to_server, incoming) = mpsc::unbounded_channel();
        let allowance = Arc::new(Mutex::new(Allowance { frames: usize::MAX, waker: None }));
        let wire = Wire { out, incoming, allowance: Arc::clone(&allowance) };
        (Self { to_server, from_server, allowance }, wire)
    }

    /// Lets the socket accept this many frames from now on.
    pub fn allow_frames(&self, frames: usize) {
        let mut allowance = self.allowance.lock().unwrap();
        allowance.frames = frames;
        if let Some(waker) = allowance.waker.take() {
            waker.wake();
        }
    }

    /// Returns the next frame as JSON, or the code with which the socket was closed.
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
        let mut allowance = self.allowance.lock().unwrap();
        if allowance.frames > 0 {
            return Poll::Ready(Ok(()));
        }
        allowance.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), axum::Error> {
        self.allowance.lock().unwrap().frames -= 1;
        self.out.send(message).map_err(axum::Error::new)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        Poll::Ready(Ok(()))
    }
}
