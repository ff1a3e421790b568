//! A post: what it says of others is found out before, whether it may be is decided when it is committed.

use starling_protocol::{ErrorCode, MessagePosted, RoomId, Sender, UserId, event::MessageKey};
use starling_web::{
    objects::Message,
    service::{Count, NewMessage, Post, Refusal},
};
use tokio::sync::mpsc;

use super::mentions;
use crate::{
    permissions::{may_post, no_such_message, rooms::Denied},
    services::{context::ServiceContext, render},
    store::{Store, StoreError},
};

/// A post that may be committed.
pub struct PreparedPost {
    pub post: Post,
    key: MessageKey,
    /// A message of this sender and id is here already.
    pub already_posted: bool,
}

/// Whom it names, what it answers, and above what it is stamped: everything that this node holds in the room, for
/// whoever posts may have seen that. (His cursor was waited for.)
pub fn prepare(
    store: &Store,
    user: UserId,
    room: RoomId,
    message: &NewMessage,
) -> Result<PreparedPost, Denied> {
    let mut reader = store.messages()?;
    if let Some(refusal) = may_post(&reader.records, room, user)? {
        return Err(refusal.into());
    }
    let sender = Sender::User(user);
    let key = MessageKey { sender: sender.key(), id: message.id };
    if let Some(reply_to) = message.reply_to
        && reader.listed_as(reply_to)?.is_none_or(|(answered_in, _)| answered_in != room)
    {
        return Err(no_such_message().into());
    }
    let last = reader.last_place(room)?.map(|place| place.hlc);
    let posted = MessagePosted {
        mentions: mentions::mentioned_members(&reader.records, room, user, message.text.as_str())?,
        reply_to: message.reply_to,
        ..MessagePosted::new(message.id, sender, message.text.clone())
    };
    let post = Post { room, message: posted, min_hlc: last.max(Some(message.after)) };
    Ok(PreparedPost { post, key, already_posted: reader.state(key)?.is_some() })
}

/// Posts what may be and counts it, waits for the outcome, and shows what came of it.
pub async fn post(
    context: &ServiceContext,
    user: UserId,
    room: RoomId,
    message: NewMessage,
    count: Count<'_>,
) -> Result<(Message, bool), Refusal> {
    let PreparedPost { post, key, already_posted } =
        context.ask(move |store| prepare(store, user, room, &message)).await?;
    count()?;
    let (sender, mut outcomes) = mpsc::unbounded_channel();
    context.writer.try_post(post, sender)?;
    let outcome = outcomes.recv().await;
    outcome.ok_or_else(|| Refusal::new(ErrorCode::Draining, "this node is stopping, use another"))?.result?;
    let show = move |store: &Store| {
        let mut reader = store.messages()?;
        let (room, message) = reader
            .of(key)?
            .ok_or_else(|| StoreError::Corrupt("a message that was just posted is not there".into()))?;
        render::message_object(&reader, room, &message)
    };
    Ok((context.read(show).await?, already_posted))
}
