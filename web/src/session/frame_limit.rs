//! Limits how many frames a client may send in one session. Every kind counts: pings and pongs cost as much as
//! messages.

use std::{net::IpAddr, time::Duration};

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{self, Message};

use super::end::End;
use crate::{
    guard::{Quota, Rates, rate::Bucket},
    server::ReceiveBudget,
};

/// A session within this limit continues even while its network sends too much: it may be a neighbour of the one that
/// floods. People who talk and type stay far below.
const CALM_FRAMES_MAX: u32 = 50;
const CALM_WINDOW: Duration = Duration::from_secs(5);

/// The connection of a client, for the limits.
#[derive(Clone, Debug)]
pub struct ClientConnection {
    /// The client's network.
    pub network: IpAddr,
    /// Counts the bytes that the connection receives.
    pub receive_budget: ReceiveBudget,
}

/// The frame limit of one WebSocket.
pub struct FrameLimit {
    client: ClientConnection,
    own: Bucket,
    /// The start of the current window, and the number of frames in it.
    recent: (Instant, u32),
}

impl FrameLimit {
    pub fn new(rates: &Rates, client: ClientConnection) -> Self {
        client.receive_budget.start_limit();
        Self { client, own: rates.bucket(Quota::FramesPerSession), recent: (Instant::now(), 0) }
    }

    /// Counts a frame in the current window. Returns whether there are few.
    fn is_calm(&mut self) -> bool {
        let (begun, count) = &mut self.recent;
        if begun.elapsed() >= CALM_WINDOW {
            (*begun, *count) = (Instant::now(), 0);
        }
        *count = count.saturating_add(1);
        *count <= CALM_FRAMES_MAX
    }

    /// Counts what the client sent. A session over the limit ends without a warning.
    pub fn count(
        &mut self,
        rates: &Rates,
        message: Option<&tungstenite::Result<Message>>,
    ) -> Result<(), End> {
        match message {
            Some(Ok(message)) => {
                self.client.receive_budget.allow_message(length(message));
                // The session's own limit comes first, so that a single flooder does not use up its neighbours' limit.
                rates.check_bucket(&mut self.own).map_err(|_| End::Flooding)?;
                let is_calm = self.is_calm();
                match rates.check(Quota::FramesPerAddress, &self.client.network) {
                    Err(_) if !is_calm => Err(End::Flooding),
                    _ => Ok(()),
                }
            }
            Some(Err(_)) if self.client.receive_budget.is_exceeded() => Err(End::Flooding),
            Some(Err(_)) | None => Ok(()),
        }
    }
}

fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) | Message::Frame(_) => 0,
    }
}
