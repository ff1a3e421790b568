//! One WebSocket of a quick room: a welcome, what the client lacks, then the live lane, until either side ends it.
//! `account` has the socket of an account, which follows all rooms of its user. Routes start a session after all
//! checks. It is generic over the socket, so tests run it over channels.

pub mod account;
mod catch_up_progress;
pub mod close;
mod delivery;
mod frames;
mod keepalive;
mod live;
mod outbox;
mod posts;
mod replay;
#[cfg(test)]
pub mod tests;

use std::sync::Arc;

use axum::extract::ws::Message;
use futures_util::{Sink, Stream};
use starling_protocol::{Cursor, CursorOwner, GuestId, GuestName, Pos, RoomId, Sender, cursor::CursorError};

use self::{close::Closing, live::QuickSession, outbox::Outbox, posts::Posts};
pub use self::{frames::ClientEnd, keepalive::PING_AFTER};
use crate::{
    drain::Serving,
    routes::AppState,
    service::{Identity, Lease, Refusal},
};

/// The socket under a session.
pub trait Socket:
    Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}

impl<T> Socket for T where
    T: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}

/// The person in a session, and what the client brought from an earlier one.
pub struct Participant {
    /// The room.
    pub room: RoomId,
    /// The guest's id; of a user with an account, their user id.
    pub guest: GuestId,
    /// The name that they asked for.
    pub name: GuestName,
    /// The sender of their messages.
    pub sender: Sender,
    /// The session of their account, if they have one.
    pub identity: Option<Identity>,
    /// The client's end of the socket.
    pub client: ClientEnd,
    /// Keeps them present in the room.
    pub lease: Lease,
    /// The cursor from which the client resumes.
    pub resume_point: ResumePoint,
    /// The greatest position that the client presented or was acked.
    pub after: Option<Pos>,
}

impl Participant {
    fn owner(&self) -> CursorOwner {
        CursorOwner::Guest { id: self.guest, room: self.room }
    }
}

/// The point from which a client resumes.
pub enum ResumePoint {
    /// The client is here for the first time.
    Nothing,
    /// A readable cursor, and its text.
    Cursor(Cursor, String),
    /// A cursor that this node cannot read, or that belongs to another room.
    Unreadable(CursorError),
}

/// The reason for the end of a session.
#[derive(Debug)]
enum End {
    /// The client closed the socket and waits for the close frame in reply (RFC 6455, section 5.5.1).
    Closed,
    /// The connection is gone, or the client no longer answers.
    Gone,
    /// This node no longer serves users: the client should resume elsewhere.
    Elsewhere(Serving),
    /// A later session of the same guest takes over.
    TakenOver,
    /// The session of the account ended: a logout, or a new password.
    LoggedOut,
    /// The session was too slow for its lane: the client should resume.
    Lagged,
    /// The client kept sending although it was refused.
    Flooding,
    /// The client sent a frame beyond the hard limit.
    TooBig,
    /// The client sent a frame that breaks the WebSocket protocol or isn't UTF-8.
    Malformed,
    /// A service that the session needs refused.
    Refused(Refusal),
}

impl End {
    fn close(&self) -> Option<(Closing, &'static str)> {
        Some(match self {
            Self::Closed | Self::Gone => return None,
            Self::Elsewhere(serving) => (Closing::GoingAway, serving.close_reason()),
            Self::TakenOver => (Closing::SessionEnded, "a later connection of this guest goes on"),
            Self::LoggedOut => (Closing::SessionEnded, "the session has ended, log in again"),
            Self::Lagged => (Closing::TooSlow, "too slow, resume with the last cursor"),
            Self::Flooding => (Closing::Rate, "too many messages or other frames"),
            Self::TooBig => (Closing::TooBig, "a frame may have 128 KiB"),
            Self::Malformed => (Closing::Policy, "not a valid WebSocket frame"),
            Self::Refused(_) => (Closing::GoingAway, "this node cannot go on now, resume elsewhere"),
        })
    }
}

/// Runs a session to its end and closes the socket.
pub async fn run<S: Socket>(app: Arc<AppState>, participant: Participant, socket: S) {
    app.metrics.sessions.inc();
    let mut outbox = Outbox::new(socket);
    let ended = serve(&app, participant, &mut outbox).await;
    finish(&app, ended, outbox).await;
}

/// Closes the socket with the reason.
async fn finish<S: Socket>(app: &AppState, ended: Result<Never, End>, outbox: Outbox<S>) {
    let end = match ended {
        Ok(never) => match never {},
        Err(end) => end,
    };
    if matches!(end, End::Lagged) {
        app.metrics.lagged_sessions.inc();
    }
    match &end {
        End::Refused(refusal) => {
            tracing::warn!(code = refusal.code.as_str(), detail = %refusal.detail, "session cannot go on");
        }
        end => tracing::debug!(?end, "session over"),
    }
    if let Some((closing, reason)) = end.close() {
        outbox.close(closing.code(), reason).await;
    } else if matches!(end, End::Closed) {
        outbox.answer_close().await;
    }
    app.metrics.sessions.dec();
}

enum Never {}

async fn serve<S: Socket>(
    app: &Arc<AppState>,
    mut participant: Participant,
    outbox: &mut Outbox<S>,
) -> Result<Never, End> {
    // Subscribed before the replay: later commits are in the lane, whatever the replay reads.
    let subscription = app.lanes.subscribe(participant.room);
    let replayed = replay::run(app, &participant, outbox).await?;
    let after = match participant.after {
        Some(after) => Some(app.rooms.floor(after).await.map_err(End::Refused)?),
        None => None,
    };
    QuickSession::new(app, &mut participant, subscription, replayed, after).run(outbox).await
}
