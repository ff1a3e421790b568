//! Counts the frames of a session's client, of whatever kind: pings and pongs cost as much as messages.

use std::{net::IpAddr, time::Duration};

use axum::extract::ws::Message;
use tokio::time::Instant;

use super::End;
use crate::{
    guard::{Quota, Rates, rate::Bucket},
    server::Intake,
};

/// A session that sends no more than this goes on even where its network sends too much: it may be a neighbour of whoever
/// floods. People who talk and type stay far below.
const CALM_FRAMES_MAX: u32 = 50;
const CALM_WINDOW: Duration = Duration::from_secs(5);

/// The client's end of a session, as limits count it.
#[derive(Clone, Debug)]
pub struct ClientEnd {
    /// The network from which the client comes.
    pub network: IpAddr,
    /// What its connection receives.
    pub intake: Intake,
}

/// The frames of one session.
pub struct Frames {
    client: ClientEnd,
    own: Bucket,
    /// How many have come since the present window began.
    recent: (Instant, u32),
}

impl Frames {
    pub fn new(rates: &Rates, client: ClientEnd) -> Self {
        client.intake.begin();
        Self { client, own: rates.bucket(Quota::FramesPerSession), recent: (Instant::now(), 0) }
    }

    /// Counts one more in the present window; says whether there are few.
    fn is_calm(&mut self) -> bool {
        let (begun, count) = &mut self.recent;
        if begun.elapsed() >= CALM_WINDOW {
            (*begun, *count) = (Instant::now(), 0);
        }
        *count = count.saturating_add(1);
        *count <= CALM_FRAMES_MAX
    }

    /// Counts what has come. A client that sends too much is not argued with: its session ends.
    pub fn count(
        &mut self,
        rates: &Rates,
        message: Option<&Result<Message, axum::Error>>,
    ) -> Result<(), End> {
        match message {
            Some(Ok(message)) => {
                self.client.intake.allow_message(length(message));
                // Its own first: who floods alone uses up nothing of its neighbours'.
                rates.fill(&mut self.own).map_err(|_| End::Flooding)?;
                let is_calm = self.is_calm();
                match rates.check(Quota::FramesPerAddress, &self.client.network) {
                    Err(_) if !is_calm => Err(End::Flooding),
                    _ => Ok(()),
                }
            }
            Some(Err(_)) if self.client.intake.is_exceeded() => Err(End::Flooding),
            Some(Err(_)) | None => Ok(()),
        }
    }
}

fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}
