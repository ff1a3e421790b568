//! What a session sends before it goes live: the welcome, and either the last messages (on a first visit or a resync)
//! or exactly what lies beyond the client's cursor.

use std::vec;

use starling_protocol::{
    Cursor, Hlc, Pos, VersionVector,
    frame::client::{ListedMessage, MessageObject, ServerFrame},
};

use super::{End, Outbox, Participant, ResumePoint, Socket};
use crate::{lane::CommitPoint, routes::AppState, service::CaughtUp};

/// Earlier messages on a first visit.
const HISTORY_MESSAGES: usize = 50;
/// The most names in a welcome: 1.3 MB if all are of the greatest length, which the write buffer must hold.
const USERS_MAX: usize = 10_000;
/// Messages in one read of a replay: bounds the memory of a session.
const REPLAY_BATCH_MESSAGES: usize = 100;

/// How far a replay came.
pub struct Replayed {
    /// The client has everything in the room up to here. Frames of later commits come from the lane.
    pub point: CommitPoint,
    /// The greatest stamp that the client has seen, in this session or before.
    pub greatest: Hlc,
}

/// Sends everything that was committed up to a commit point.
pub async fn run<S: Socket>(
    app: &AppState,
    participant: &Participant,
    outbox: &mut Outbox<S>,
) -> Result<Replayed, End> {
    match &participant.resume_point {
        ResumePoint::Nothing => {
            welcome(app, participant, outbox, &app.rooms.seal_empty(participant.owner())).await?;
            history(app, participant, outbox).await
        }
        ResumePoint::Unreadable(reason) => {
            tracing::debug!(%reason, "resync");
            resync(app, participant, outbox).await
        }
        ResumePoint::Cursor(cursor, text) => resume(app, participant, cursor, text, outbox).await,
    }
}

/// Tells the client who is here, and the cursor from which the following frames continue.
pub async fn welcome<S: Socket>(
    app: &AppState,
    participant: &Participant,
    outbox: &mut Outbox<S>,
    cursor: &str,
) -> Result<(), End> {
    let mut users = app.presence.users(participant.room);
    users.truncate(USERS_MAX);
    let shown = app.presence.shown(participant.room, participant.guest);
    let frame = ServerFrame::Welcome {
        room: participant.room.to_string(),
        username: shown.as_deref().unwrap_or(participant.name.as_str()),
        node: app.settings.node.clone(),
        cursor,
        users,
        public_urls: app.operations.public_urls(),
    };
    outbox.feed(frame.to_json()).await
}

async fn resume<S: Socket>(
    app: &AppState,
    participant: &Participant,
    cursor: &Cursor,
    text: &str,
    outbox: &mut Outbox<S>,
) -> Result<Replayed, End> {
    if app.rooms.catch_up(&cursor.vector).await != CaughtUp::All {
        return resync_after(app, participant, cursor, outbox).await;
    }
    let Some(mut backlog) = Backlog::beyond(app, participant, &cursor.vector).await? else {
        return resync_after(app, participant, cursor, outbox).await;
    };
    // The old cursor stays valid until all of this was sent.
    welcome(app, participant, outbox, text).await?;
    let mut greatest = cursor.greatest;
    while let Some(stamp) = backlog.send_some(app, participant, outbox).await? {
        greatest = greatest.max(stamp);
    }
    Ok(Replayed { point: backlog.point, greatest })
}

/// Messages that a client lacks, sent from the store in batches.
pub struct Backlog {
    positions: vec::IntoIter<Pos>,
    /// The commit up to which the backlog reaches.
    pub point: CommitPoint,
}

impl Backlog {
    /// Reads what was committed in the room beyond `from` before the session took its position in the lane. Returns
    /// `None` if it is more than a replay may send.
    pub async fn beyond(
        app: &AppState,
        participant: &Participant,
        from: &VersionVector,
    ) -> Result<Option<Self>, End> {
        let point = app.lanes.settled().await;
        let positions =
            app.rooms.beyond(participant.room, from.clone(), point.clone()).await.map_err(End::Refused)?;
        Ok(positions.map(|positions| Self { positions: positions.into_iter(), point }))
    }

    /// Returns the number of messages that are left.
    pub fn left(&self) -> usize {
        self.positions.len()
    }

    /// Sends the next batch and returns the greatest stamp in it; `None` if nothing was left.
    pub async fn send_some<S: Socket>(
        &mut self,
        app: &AppState,
        participant: &Participant,
        outbox: &mut Outbox<S>,
    ) -> Result<Option<Hlc>, End> {
        let positions: Vec<_> = self.positions.by_ref().take(REPLAY_BATCH_MESSAGES).collect();
        let Some(greatest) = positions.last().map(|pos| pos.hlc) else { return Ok(None) };
        let messages = app.rooms.messages_at(positions).await.map_err(End::Refused)?;
        send(participant, outbox, &messages, false).await?;
        Ok(Some(greatest))
    }
}

/// Resyncs a client that has seen more than this node can give: its posts still get stamps above that.
async fn resync_after<S: Socket>(
    app: &AppState,
    participant: &Participant,
    cursor: &Cursor,
    outbox: &mut Outbox<S>,
) -> Result<Replayed, End> {
    let shown = resync(app, participant, outbox).await?;
    Ok(Replayed { greatest: shown.greatest.max(cursor.greatest), ..shown })
}

/// Tells the client to load afresh, and starts as on a first visit.
async fn resync<S: Socket>(
    app: &AppState,
    participant: &Participant,
    outbox: &mut Outbox<S>,
) -> Result<Replayed, End> {
    app.metrics.resyncs.inc();
    let cursor = app.rooms.seal_empty(participant.owner());
    welcome(app, participant, outbox, &cursor).await?;
    outbox.feed(ServerFrame::Resync { cursor: &cursor }.to_json()).await?;
    history(app, participant, outbox).await
}

async fn history<S: Socket>(
    app: &AppState,
    participant: &Participant,
    outbox: &mut Outbox<S>,
) -> Result<Replayed, End> {
    let point = app.lanes.settled().await;
    let page = app.rooms.history(participant.room, None, HISTORY_MESSAGES, Some(point.clone()));
    let mut messages = page.await.map_err(End::Refused)?.messages;
    messages.reverse();
    send(participant, outbox, &messages, true).await?;
    let greatest = messages.last().map(|message| message.pos.hlc).unwrap_or_default();
    Ok(Replayed { point, greatest })
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
