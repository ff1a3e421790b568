//! What a session sends before it goes live: the welcome, and either the last messages (a first visit, a resync)
//! or exactly what lies beyond the cursor that the client brought.

use std::vec;

use starling_protocol::{
    Cursor, Hlc, Pos, VersionVector,
    frame::client::{ListedMessage, MessageObject, ServerFrame},
};

use super::{End, Outbox, Participant, ResumePoint, Socket};
use crate::{lane::CommitPoint, routes::AppState, service::CaughtUp};

/// Earlier messages that a first visit is shown.
const HISTORY_MESSAGES: usize = 50;
/// Names in a welcome, at most: 1.3 MB of the longest ones, which the write buffer must hold.
const USERS_MAX: usize = 10_000;
/// Messages read at once while replaying: bounds what a session holds in memory.
const REPLAY_BATCH_MESSAGES: usize = 100;

/// What a client has been sent.
pub struct Shown {
    /// Everything in the room up to here; frames of later commits are the lane's.
    pub point: CommitPoint,
    /// The greatest stamp that it has seen, here or before.
    pub greatest: Hlc,
}

/// Sends all that was committed up to a commit point.
pub async fn run<S: Socket>(
    web: &AppState,
    participant: &Participant,
    outbox: &mut Outbox<S>,
) -> Result<Shown, End> {
    match &participant.resume_point {
        ResumePoint::Nothing => {
            welcome(web, participant, outbox, &web.rooms.seal_empty(participant.owner())).await?;
            history(web, participant, outbox).await
        }
        ResumePoint::Unreadable(reason) => {
            tracing::debug!(%reason, "resync");
            resync(web, participant, outbox).await
        }
        ResumePoint::Cursor(cursor, text) => resume(web, participant, cursor, text, outbox).await,
    }
}

/// Tells the client who is here, and from which cursor what follows goes on.
pub async fn welcome<S: Socket>(
    web: &AppState,
    participant: &Participant,
    outbox: &mut Outbox<S>,
    cursor: &str,
) -> Result<(), End> {
    let mut users = web.presence.users(participant.room);
    users.truncate(USERS_MAX);
    let shown = web.presence.shown(participant.room, participant.guest);
    let frame = ServerFrame::Welcome {
        room: participant.room.to_string(),
        username: shown.as_deref().unwrap_or(participant.name.as_str()),
        node: web.settings.node.clone(),
        cursor,
        users,
        public_urls: web.operations.public_urls(),
    };
    outbox.feed(frame.to_json()).await
}

async fn resume<S: Socket>(
    web: &AppState,
    participant: &Participant,
    cursor: &Cursor,
    text: &str,
    outbox: &mut Outbox<S>,
) -> Result<Shown, End> {
    if web.rooms.catch_up(&cursor.vector).await != CaughtUp::All {
        return resync_after(web, participant, cursor, outbox).await;
    }
    let Some(mut backlog) = Backlog::beyond(web, participant, &cursor.vector).await? else {
        return resync_after(web, participant, cursor, outbox).await;
    };
    // The old cursor stands until all of this has been sent.
    welcome(web, participant, outbox, text).await?;
    let mut greatest = cursor.greatest;
    while let Some(stamp) = backlog.send_some(web, participant, outbox).await? {
        greatest = greatest.max(stamp);
    }
    Ok(Shown { point: backlog.point, greatest })
}

/// What a client lacks, sent to it from the store in batches.
pub struct Backlog {
    places: vec::IntoIter<Pos>,
    /// All of it was committed up to here.
    pub point: CommitPoint,
}

impl Backlog {
    /// What was committed in the room beyond `from` before the session took its position in the lane; `None` if it is
    /// more than can be replayed.
    pub async fn beyond(
        web: &AppState,
        participant: &Participant,
        from: &VersionVector,
    ) -> Result<Option<Self>, End> {
        let point = web.lanes.settled().await;
        let places =
            web.rooms.beyond(participant.room, from.clone(), point.clone()).await.map_err(End::Refused)?;
        Ok(places.map(|places| Self { places: places.into_iter(), point }))
    }

    /// How many messages are left to be sent.
    pub fn left(&self) -> usize {
        self.places.len()
    }

    /// Sends the next batch and returns the greatest stamp in it; `None` if there was nothing left.
    pub async fn send_some<S: Socket>(
        &mut self,
        web: &AppState,
        participant: &Participant,
        outbox: &mut Outbox<S>,
    ) -> Result<Option<Hlc>, End> {
        let places: Vec<_> = self.places.by_ref().take(REPLAY_BATCH_MESSAGES).collect();
        let Some(greatest) = places.last().map(|pos| pos.hlc) else { return Ok(None) };
        let messages = web.rooms.messages_at(places).await.map_err(End::Refused)?;
        send(participant, outbox, &messages, false).await?;
        Ok(Some(greatest))
    }
}

/// A resync of a client that has seen more than this node can give: what it posts still goes above that.
async fn resync_after<S: Socket>(
    web: &AppState,
    participant: &Participant,
    cursor: &Cursor,
    outbox: &mut Outbox<S>,
) -> Result<Shown, End> {
    let shown = resync(web, participant, outbox).await?;
    Ok(Shown { greatest: shown.greatest.max(cursor.greatest), ..shown })
}

/// Tells the client to load afresh, and begins as on a first visit.
async fn resync<S: Socket>(
    web: &AppState,
    participant: &Participant,
    outbox: &mut Outbox<S>,
) -> Result<Shown, End> {
    web.metrics.resyncs.inc();
    let cursor = web.rooms.seal_empty(participant.owner());
    welcome(web, participant, outbox, &cursor).await?;
    outbox.feed(ServerFrame::Resync { cursor: &cursor }.to_json()).await?;
    history(web, participant, outbox).await
}

async fn history<S: Socket>(
    web: &AppState,
    participant: &Participant,
    outbox: &mut Outbox<S>,
) -> Result<Shown, End> {
    let point = web.lanes.settled().await;
    let page = web.rooms.history(participant.room, None, HISTORY_MESSAGES, Some(point.clone()));
    let mut messages = page.await.map_err(End::Refused)?.messages;
    messages.reverse();
    send(participant, outbox, &messages, true).await?;
    let greatest = messages.last().map(|message| message.pos.hlc).unwrap_or_default();
    Ok(Shown { point, greatest })
}

async fn send<S: Socket>(
    participant: &Participant,
    outbox: &mut Outbox<S>,
    messages: &[ListedMessage],
    history: bool,
) -> Result<(), End> {
    for message in messages {
        outbox.feed(MessageObject::new(participant.room, message, history).to_json()).await?;
    }
    Ok(())
}
