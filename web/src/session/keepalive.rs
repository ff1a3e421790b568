//! Finds out whether the client is still there: pings a silent one, and ends the session if it doesn't answer.

use std::time::Duration;

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::{
    connection::Connection,
    end::End,
    frame_limit::{ClientConnection, FrameLimit},
    socket::Socket,
};
use crate::guard::Rates;

/// A client that is silent for this long is pinged, and its session ends after twice as long.
pub const PING_AFTER: Duration = Duration::from_secs(30);

/// The time of the client's last frame, and the limit on its frames.
pub struct Keepalive {
    last_frame_at: Instant,
    pinged: bool,
    frame_limit: FrameLimit,
}

/// A frame from the client.
pub enum Received {
    Text(Utf8Bytes),
    Binary,
    /// A ping or a pong, which only shows that the client is there.
    Nothing,
}

impl Keepalive {
    pub fn new(rates: &Rates, client: ClientConnection) -> Self {
        Self { last_frame_at: Instant::now(), pinged: false, frame_limit: FrameLimit::new(rates, client) }
    }

    /// Returns the time at which to call [`Keepalive::on_timer`] next.
    pub fn due(&self) -> Instant {
        self.last_frame_at + if self.pinged { 2 * PING_AFTER } else { PING_AFTER }
    }

    /// Notes that the client is there, and sorts what it sent.
    pub fn on_frame(
        &mut self,
        rates: &Rates,
        message: Option<tungstenite::Result<Message>>,
    ) -> Result<Received, End> {
        self.frame_limit.count(rates, message.as_ref())?;
        self.last_frame_at = Instant::now();
        self.pinged = false;
        match message {
            Some(Ok(Message::Text(text))) => Ok(Received::Text(text)),
            Some(Ok(Message::Binary(_))) => Ok(Received::Binary),
            // The connection has the reply to a ping already.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Received::Nothing),
            Some(Ok(Message::Close(_))) => Err(End::Closed),
            None => Err(End::Gone),
            Some(Err(error)) => Err(end_of(&error)),
        }
    }

    /// Pings a silent client, or ends the session.
    pub fn on_timer<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<(), End> {
        match self.last_frame_at.elapsed() {
            silent if silent >= 2 * PING_AFTER => Err(End::Gone),
            silent if silent >= PING_AFTER && !self.pinged => {
                self.pinged = true;
                connection.ping();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Returns the end of the session for a failed read.
fn end_of(error: &tungstenite::Error) -> End {
    use tungstenite::Error;
    match error {
        Error::Capacity(_) => End::TooBig,
        Error::Protocol(_) | Error::Utf8(_) => End::Malformed,
        _ => End::Gone,
    }
}
