//! Posts messages. Whom a message addresses is resolved before the commit, which decides again whether the user may post.

use starling_protocol::{
    ErrorCode, MessagePosted, RoomId, Sender, UserId,
    event::{MessageKey, PostDetails},
    texts,
};
use starling_web::{
    objects::Message,
    service::{CountAgainstRoom, NewMessage, Post, Refusal},
};
use tokio::sync::mpsc;

use super::mentions;
use crate::{
    permissions::{no_such_message, other_direct_member, refuse_post, rooms::Denied},
    services::{context::ServiceContext, render},
    store::{Store, StoreError},
};

/// A post that is ready to be committed.
pub struct PreparedPost {
    pub post: Post,
    key: MessageKey,
    /// Whether this sender has already posted a message with this id.
    pub already_posted: bool,
}

/// Resolves whom a message addresses, and stamps it above everything that this node holds in the room, as its author may
/// have seen that. (The session has waited for their cursor.)
pub fn prepare(
    store: &Store,
    user: UserId,
    room: RoomId,
    message: &NewMessage,
) -> Result<PreparedPost, Denied> {
    let mut reader = store.messages()?;
    if let Some(refusal) = refuse_post(&reader.records, room, user)? {
        return Err(refusal.into());
    }
    let sender = Sender::User(user);
    let key = MessageKey { sender: sender.key(), id: message.id };
    let mut reply_author = None;
    if let Some(reply_to) = message.reply_to {
        let answered = reader.find_by_listed_id(reply_to)?.filter(|(answered_in, _)| *answered_in == room);
        let (_, answered) = answered.ok_or_else(no_such_message)?;
        reply_author = answered.posted.sender.user().filter(|author| *author != user);
    }
    let last = reader.last_pos(room)?.map(|pos| pos.hlc);
    let direct_peer = other_direct_member(&reader.records, room, user)?;
    let details = PostDetails { reply_author, direct_peer, ..PostDetails::default() };
    let posted = MessagePosted {
        mentions: mentions::mentioned_members(&reader.records, room, user, message.text.as_str())?,
        reply_to: message.reply_to,
        details: Some(Box::new(details)),
        ..MessagePosted::new(message.id, sender, message.text.clone())
    };
    let post = Post { room, message: posted, above_hlc: last.max(Some(message.above_hlc)) };
    Ok(PreparedPost { post, key, already_posted: reader.state(key)?.is_some() })
}

/// Posts a message, waits for the commit, and returns the message and whether it was posted before. `count` charges the
/// rate limit, and is called once the user is known to be allowed to post.
pub async fn post(
    context: &ServiceContext,
    user: UserId,
    room: RoomId,
    message: NewMessage,
    count: CountAgainstRoom<'_>,
) -> Result<(Message, bool), Refusal> {
    let PreparedPost { post, key, already_posted } =
        context.query(move |store| prepare(store, user, room, &message)).await?;
    count()?;
    let (sender, mut outcomes) = mpsc::unbounded_channel();
    context.writer.try_post(post, sender)?;
    let outcome = outcomes.recv().await;
    outcome.ok_or_else(|| Refusal::new(ErrorCode::Draining, texts::node::STOPPING))?.result?;
    let show = move |store: &Store| {
        let mut reader = store.messages()?;
        let (room, message) = reader
            .message(key)?
            .ok_or_else(|| StoreError::Corrupt("a message that was just posted is not there".into()))?;
        render::message_object(&reader, room, &message)
    };
    Ok((context.read(show).await?, already_posted))
}
