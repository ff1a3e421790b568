//! One WebSocket of a quick room: welcome, what it lacks, then the live lane, until either side ends it. `account` is
//! one of somebody with an account, who follows all his rooms.
//! Routes start it after all checks; it is generic over the socket, so it is tested over channels.

pub mod account;
mod catch_up_progress;
mod frames;
mod keepalive;
mod live;
mod outbox;
mod posts;
mod replay;
#[cfg(test)]
pub mod tests;

use std::sync::Arc;

use axum::extract::ws::{CloseCode, Message, close_code};
use futures_util::{Sink, Stream};
use starling_protocol::{Cursor, CursorOwner, GuestId, GuestName, Pos, RoomId, Sender, cursor::CursorError};

pub use self::frames::ClientEnd;
use self::{live::QuickSession, outbox::Outbox, posts::Posts};
use crate::{
    drain::Serving,
    routes::AppState,
    service::{Identity, Lease, Refusal},
};

/// What a session needs of its socket.
pub trait Socket:
    Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}

impl<T> Socket for T where
    T: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}

/// Who sits down, with what he brings from an earlier session.
pub struct Participant {
    /// Where.
    pub room: RoomId,
    /// Who: of somebody with an account, his user id.
    pub guest: GuestId,
    /// Under which name.
    pub name: GuestName,
    /// As whom he posts.
    pub sender: Sender,
    /// The session of his account, if he has one.
    pub identity: Option<Identity>,
    /// Their end of the socket.
    pub client: ClientEnd,
    /// His presence.
    pub lease: Lease,
    /// The cursor from which the client resumes.
    pub resume_point: ResumePoint,
    /// The greatest place that he has shown or that was acked to him.
    pub after: Option<Pos>,
}

impl Participant {
    fn owner(&self) -> CursorOwner {
        CursorOwner::Guest { id: self.guest, room: self.room }
    }
}

/// The cursor from which a client resumes.
pub enum ResumePoint {
    /// None: it is here for the first time.
    Nothing,
    /// One to go on from, and its text.
    Cursor(Cursor, String),
    /// One that cannot be read here, or that belongs to another room.
    Unreadable(CursorError),
}

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The client has said goodbye and is owed an answer (RFC 6455, section 5.5.1).
    Closed,
    /// The connection is gone, or nobody is at its other end.
    Gone,
    /// Users are not served here any longer: resume elsewhere now.
    Elsewhere(Serving),
    /// A later session of the same guest goes on.
    TakenOver,
    /// The session of the account has ended: a logout, another password.
    LoggedOut,
    /// The lane has moved on beyond it: resume.
    Lagged,
    /// It goes on posting although it is refused.
    Flooding,
    /// A frame beyond the hard limit.
    TooBig,
    /// A frame that breaks the WebSocket protocol or is not UTF-8.
    Malformed,
    /// Something that the session needs cannot be had.
    Refused(Refusal),
}

impl End {
    fn close(&self) -> Option<(CloseCode, &'static str)> {
        Some(match self {
            Self::Closed | Self::Gone => return None,
            Self::Elsewhere(serving) => (close_code::AWAY, serving.goodbye()),
            Self::TakenOver => (4001, "a later connection of this guest goes on"),
            Self::LoggedOut => (4001, "the session has ended, log in again"),
            Self::Lagged => (4002, "too slow, resume with the last cursor"),
            Self::Flooding => (4003, "too many messages or other frames"),
            Self::TooBig => (close_code::SIZE, "a frame may have 128 KiB"),
            Self::Malformed => (close_code::POLICY, "not a valid WebSocket frame"),
            Self::Refused(_) => (close_code::AWAY, "this node cannot go on now, resume elsewhere"),
        })
    }
}

/// Runs a session to its end and says goodbye.
pub async fn run<S: Socket>(web: Arc<AppState>, participant: Participant, socket: S) {
    web.metrics.sessions.inc();
    let mut outbox = Outbox::new(socket);
    let ended = serve(&web, participant, &mut outbox).await;
    finish(&web, ended, outbox).await;
}

/// Says goodbye.
async fn finish<S: Socket>(web: &AppState, ended: Result<Never, End>, outbox: Outbox<S>) {
    let end = match ended {
        Ok(never) => match never {},
        Err(end) => end,
    };
    if matches!(end, End::Lagged) {
        web.metrics.lagged_sessions.inc();
    }
    match &end {
        End::Refused(refusal) => {
            tracing::warn!(code = refusal.code.as_str(), detail = %refusal.detail, "session cannot go on");
        }
        end => tracing::debug!(?end, "session over"),
    }
    if let Some((code, reason)) = end.close() {
        outbox.close(code, reason).await;
    } else if matches!(end, End::Closed) {
        outbox.answer_close().await;
    }
    web.metrics.sessions.dec();
}

enum Never {}

async fn serve<S: Socket>(
    web: &Arc<AppState>,
    mut participant: Participant,
    outbox: &mut Outbox<S>,
) -> Result<Never, End> {
    // Subscribed first: what is committed from here on is in the lane, whatever the replay reads.
    let subscription = web.lanes.subscribe(participant.room);
    let replayed = replay::run(web, &participant, outbox).await?;
    let after = match participant.after {
        Some(after) => Some(web.rooms.min_hlc(after).await.map_err(End::Refused)?),
        None => None,
    };
    QuickSession::new(web, &mut participant, subscription, replayed, after).run(outbox).await
}
