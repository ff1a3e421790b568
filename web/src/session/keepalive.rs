//! Whether the client is still there: a silent one is asked, and given up if it does not answer.

use std::time::Duration;

use axum::extract::ws::Message;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;

use super::{ClientEnd, End, Outbox, Socket, frames::Frames};
use crate::guard::Rates;

/// A silent client is asked whether it is there after this, and given up after twice as long.
pub const PING_AFTER: Duration = Duration::from_secs(30);

/// When the client was heard last.
pub struct Keepalive {
    heard_at: Instant,
    pinged: bool,
    frames: Frames,
}

/// What has come from the client.
pub enum Heard {
    /// A text frame.
    Text(axum::extract::ws::Utf8Bytes),
    /// A binary frame.
    Binary,
    /// It is there.
    Nothing,
}

impl Keepalive {
    pub fn new(rates: &Rates, client: ClientEnd) -> Self {
        Self { heard_at: Instant::now(), pinged: false, frames: Frames::new(rates, client) }
    }

    /// When [`Keepalive::beat`] is to be called next.
    pub fn due(&self) -> Instant {
        self.heard_at + if self.pinged { 2 * PING_AFTER } else { PING_AFTER }
    }

    /// Notes that the client is there, and says what has come.
    pub fn heard(
        &mut self,
        rates: &Rates,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<Heard, End> {
        self.frames.count(rates, message.as_ref())?;
        self.heard_at = Instant::now();
        self.pinged = false;
        match message {
            Some(Ok(Message::Text(text))) => Ok(Heard::Text(text)),
            Some(Ok(Message::Binary(_))) => Ok(Heard::Binary),
            // axum answers pings itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Heard::Nothing),
            Some(Ok(Message::Close(_))) => Err(End::Closed),
            None => Err(End::Gone),
            Some(Err(error)) => Err(end_of(error)),
        }
    }

    /// Asks a silent client, or gives it up.
    pub async fn beat<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        match self.heard_at.elapsed() {
            silent if silent >= 2 * PING_AFTER => Err(End::Gone),
            silent if silent >= PING_AFTER && !self.pinged => {
                self.pinged = true;
                outbox.ping().await
            }
            _ => Ok(()),
        }
    }
}

/// What a failed read means for the session.
fn end_of(error: axum::Error) -> End {
    use tungstenite::Error;
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(_)) => End::TooBig,
        Some(Error::Protocol(_) | Error::Utf8(_)) => End::Malformed,
        _ => End::Gone,
    }
}
