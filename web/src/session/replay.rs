//! What a session sends before it goes live: the welcome, and either the last messages (a first visit, a resync)
//! or exactly what lies beyond the cursor that the client brought.

use starling_protocol::{
    Cursor,
    frame::client::{ListedMessage, MessageObject, ServerFrame},
};

use super::{Brought, End, Outbox, Seat, Socket};
use crate::{lane::CommitPoint, routes::Web};

/// Earlier messages that a first visit is shown.
const HISTORY_MESSAGES: usize = 50;
/// Messages read at once while replaying: bounds what a session holds in memory.
const REPLAY_BATCH_MESSAGES: usize = 100;

/// Sends all that was committed up to a commit point; frames of later commits are the lane's.
pub async fn run<S: Socket>(web: &Web, seat: &Seat, outbox: &mut Outbox<S>) -> Result<CommitPoint, End> {
    match &seat.brought {
        Brought::Nothing => {
            welcome(web, seat, outbox, &web.rooms.seal_empty(seat.guest, seat.room)).await?;
            history(web, seat, outbox).await
        }
        Brought::Unreadable(reason) => {
            tracing::debug!(%reason, "resync");
            resync(web, seat, outbox).await
        }
        Brought::Cursor(cursor, text) => resume(web, seat, cursor, text, outbox).await,
    }
}

async fn welcome<S: Socket>(web: &Web, seat: &Seat, outbox: &mut Outbox<S>, cursor: &str) -> Result<(), End> {
    let frame = ServerFrame::Welcome {
        room: seat.room.to_string(),
        username: seat.name.as_str(),
        node: web.settings.node.clone(),
        cursor,
        users: web.presence.users(seat.room),
        public_urls: web.operations.public_urls(),
    };
    outbox.feed(frame.to_json()).await
}

async fn resume<S: Socket>(
    web: &Web,
    seat: &Seat,
    cursor: &Cursor,
    text: &str,
    outbox: &mut Outbox<S>,
) -> Result<CommitPoint, End> {
    if !web.rooms.catch_up(&cursor.vector).await {
        return resync(web, seat, outbox).await;
    }
    let point = web.lanes.settled().await;
    let beyond = web.rooms.beyond(seat.room, cursor.vector.clone(), point.clone());
    let Some(places) = beyond.await.map_err(End::Refused)? else {
        return resync(web, seat, outbox).await;
    };
    // The old cursor stands until all of this has been sent.
    welcome(web, seat, outbox, text).await?;
    for places in places.chunks(REPLAY_BATCH_MESSAGES) {
        let messages = web.rooms.messages_at(places.to_vec()).await.map_err(End::Refused)?;
        send(seat, outbox, &messages, false).await?;
    }
    Ok(point)
}

/// Tells the client to load afresh, and begins as on a first visit.
async fn resync<S: Socket>(web: &Web, seat: &Seat, outbox: &mut Outbox<S>) -> Result<CommitPoint, End> {
    web.metrics.resyncs.inc();
    let cursor = web.rooms.seal_empty(seat.guest, seat.room);
    welcome(web, seat, outbox, &cursor).await?;
    outbox.feed(ServerFrame::Resync { cursor: &cursor }.to_json()).await?;
    history(web, seat, outbox).await
}

async fn history<S: Socket>(web: &Web, seat: &Seat, outbox: &mut Outbox<S>) -> Result<CommitPoint, End> {
    let point = web.lanes.settled().await;
    let page = web.rooms.history(seat.room, None, HISTORY_MESSAGES, Some(point.clone()));
    let mut messages = page.await.map_err(End::Refused)?.messages;
    messages.reverse();
    send(seat, outbox, &messages, true).await?;
    Ok(point)
}

async fn send<S: Socket>(
    seat: &Seat,
    outbox: &mut Outbox<S>,
    messages: &[ListedMessage],
    history: bool,
) -> Result<(), End> {
    for message in messages {
        outbox.feed(MessageObject::new(seat.room, message, history).to_json()).await?;
    }
    Ok(())
}
