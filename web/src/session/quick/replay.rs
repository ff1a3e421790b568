//! Sends the frames before a session goes live: the welcome, and either the last messages (on a first visit or a resync) or
//! exactly the messages beyond the client's cursor.

use std::vec;

use starling_protocol::{
    Cursor, Hlc, Pos, VersionVector,
    frame::client::{ListedMessage, MessageObject, ServerFrame},
};

use crate::{
    lane::CommitPoint,
    service::CatchUpOutcome,
    session::{
        connection::Connection,
        deps::SessionDeps,
        end::End,
        participant::{Participant, ResumePoint},
        socket::Socket,
    },
};

/// The greatest number of earlier messages that a first visit gets.
const HISTORY_MESSAGES: usize = 50;
/// The most names in a welcome: 1.3 MB if all have the greatest length. The write buffer must hold them.
const USERS_MAX: usize = 10_000;
/// The number of messages in one read of a replay. It bounds the memory of a session.
const REPLAY_BATCH_MESSAGES: usize = 100;

/// The point that a replay reached.
pub struct Replayed {
    /// The client has everything in the room up to here. Frames of later commits come from the lane.
    pub point: CommitPoint,
    /// The greatest stamp that the client has seen, in this session or before.
    pub greatest: Hlc,
}

/// Sends everything in the room up to a commit point.
pub async fn run<S: Socket>(
    deps: &SessionDeps,
    participant: &Participant,
    connection: &mut Connection<S>,
) -> Result<Replayed, End> {
    match &participant.resume_point {
        ResumePoint::Nothing => {
            welcome(deps, participant, connection, &deps.cursors.seal_empty(participant.owner())).await?;
            history(deps, participant, connection).await
        }
        ResumePoint::Unreadable(reason) => {
            tracing::debug!(%reason, "resync");
            resync(deps, participant, connection).await
        }
        ResumePoint::Cursor(cursor, text) => resume(deps, participant, cursor, text, connection).await,
    }
}

/// Sends the client the users in the room, and the cursor from which the following frames continue.
pub async fn welcome<S: Socket>(
    deps: &SessionDeps,
    participant: &Participant,
    connection: &mut Connection<S>,
    cursor: &str,
) -> Result<(), End> {
    let mut users = deps.presence.users(participant.room);
    users.truncate(USERS_MAX);
    let shown = deps.presence.shown(participant.room, participant.id);
    let frame = ServerFrame::Welcome {
        room: participant.room.to_string(),
        username: shown.as_deref().unwrap_or(participant.name.as_str()),
        node: deps.settings.node.clone(),
        cursor,
        users,
        public_urls: deps.operations.public_urls(),
    };
    connection.feed(frame.to_json()).await
}

async fn resume<S: Socket>(
    deps: &SessionDeps,
    participant: &Participant,
    cursor: &Cursor,
    text: &str,
    connection: &mut Connection<S>,
) -> Result<Replayed, End> {
    if deps.cursors.wait_for(&cursor.vector).await != CatchUpOutcome::All {
        return resync_after(deps, participant, cursor, connection).await;
    }
    let Some(mut backlog) = Backlog::read(deps, participant, &cursor.vector).await? else {
        return resync_after(deps, participant, cursor, connection).await;
    };
    // The old cursor stays valid until all of this was sent.
    welcome(deps, participant, connection, text).await?;
    let mut greatest = cursor.greatest;
    while let Some(stamp) = backlog.send_some(deps, participant, connection).await? {
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
    /// Reads the messages that were committed in the room beyond `from` before the session took its position in the lane.
    /// Returns `None` if there are more than a replay may send.
    pub async fn read(
        deps: &SessionDeps,
        participant: &Participant,
        from: &VersionVector,
    ) -> Result<Option<Self>, End> {
        let point = deps.lanes.settled().await;
        let positions = deps
            .quick_rooms
            .positions_between(participant.room, from.clone(), point.clone())
            .await
            .map_err(End::Refused)?;
        Ok(positions.map(|positions| Self { positions: positions.into_iter(), point }))
    }

    /// Returns the number of messages that are left.
    pub fn left(&self) -> usize {
        self.positions.len()
    }

    /// Sends the next batch and returns the greatest stamp in it; `None` if nothing was left.
    pub async fn send_some<S: Socket>(
        &mut self,
        deps: &SessionDeps,
        participant: &Participant,
        connection: &mut Connection<S>,
    ) -> Result<Option<Hlc>, End> {
        let positions: Vec<_> = self.positions.by_ref().take(REPLAY_BATCH_MESSAGES).collect();
        let Some(greatest) = positions.last().map(|pos| pos.hlc) else { return Ok(None) };
        let messages = deps.quick_rooms.messages_at(positions).await.map_err(End::Refused)?;
        send(participant, connection, &messages, false).await?;
        Ok(Some(greatest))
    }
}

/// Resyncs a client that this node cannot bring up to date from its cursor. Its posts still get stamps above everything that
/// it has seen.
async fn resync_after<S: Socket>(
    deps: &SessionDeps,
    participant: &Participant,
    cursor: &Cursor,
    connection: &mut Connection<S>,
) -> Result<Replayed, End> {
    let shown = resync(deps, participant, connection).await?;
    Ok(Replayed { greatest: shown.greatest.max(cursor.greatest), ..shown })
}

/// Tells the client to discard what it shows, and starts as on a first visit.
async fn resync<S: Socket>(
    deps: &SessionDeps,
    participant: &Participant,
    connection: &mut Connection<S>,
) -> Result<Replayed, End> {
    deps.metrics.resyncs.inc();
    let cursor = deps.cursors.seal_empty(participant.owner());
    welcome(deps, participant, connection, &cursor).await?;
    connection.feed(ServerFrame::Resync { cursor: &cursor }.to_json()).await?;
    history(deps, participant, connection).await
}

async fn history<S: Socket>(
    deps: &SessionDeps,
    participant: &Participant,
    connection: &mut Connection<S>,
) -> Result<Replayed, End> {
    let point = deps.lanes.settled().await;
    let page = deps.quick_rooms.history(participant.room, None, HISTORY_MESSAGES, Some(point.clone()));
    let mut messages = page.await.map_err(End::Refused)?.messages;
    messages.reverse();
    send(participant, connection, &messages, true).await?;
    let greatest = messages.last().map(|message| message.pos.hlc).unwrap_or_default();
    Ok(Replayed { point, greatest })
}

async fn send<S: Socket>(
    participant: &Participant,
    connection: &mut Connection<S>,
    messages: &[ListedMessage],
    history: bool,
) -> Result<(), End> {
    for message in messages {
        connection.feed(MessageObject::new(participant.room, message, history).to_json()).await?;
    }
    Ok(())
}
