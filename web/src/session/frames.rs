//! Counts the frames of a session's client, of whatever kind: pings and pongs cost as much as messages.

use std::net::IpAddr;

use axum::extract::ws::Message;

use super::End;
use crate::{
    guard::{Quota, Rates, rate::Bucket},
    server::Intake,
};

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
}

impl Frames {
    pub fn new(rates: &Rates, client: ClientEnd) -> Self {
        client.intake.begin();
        Self { client, own: rates.bucket(Quota::FramesPerSession) }
    }

    /// Counts what has come. A client that sends too much is not argued with: its session ends.
    pub fn count(
        &mut self,
        rates: &Rates,
        message: Option<&Result<Message, axum::Error>>,
    ) -> Result<(), End> {
        match message {
            Some(Ok(message)) => {
                self.client.intake.saw(length(message));
                // Its own first: who floods alone uses up nothing of its neighbours'.
                let counted = rates.fill(&mut self.own);
                counted
                    .and_then(|()| rates.check(Quota::FramesPerAddress, &self.client.network))
                    .map_err(|_| End::Flooding)
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
