//! Messages of member rooms: posts, pages, edits, deletions, reactions and read marks.

pub mod change;
mod code;
mod erasure;
#[cfg(test)]
mod mark_tests;
mod mentions;
pub(super) mod pages;
pub(super) mod post;
pub mod read;
#[cfg(test)]
mod stub_tests;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use starling_protocol::{Emoji, MessageId, MessageText, RoomId, UserId, VersionVector};
use starling_web::{
    objects::Message,
    service::{CountAgainstRoom, MessagePage, MessageQuery, Messages, NewMessage, Post, Refusal},
};

pub use self::erasure::{Erasure, Scrubbing};
use super::{context::ServiceContext, render};
use crate::{
    permissions::{may_see, no_such_message},
    store::Store,
};

/// Implements [`Messages`].
pub struct MessagesService {
    pub(crate) context: ServiceContext,
}

#[async_trait]
impl Messages for MessagesService {
    async fn prepare(&self, user: UserId, room: RoomId, message: NewMessage) -> Result<Post, Refusal> {
        let query = move |store: &Store| post::prepare(store, user, room, &message);
        Ok(self.context.query(query).await?.post)
    }

    async fn post(
        &self,
        user: UserId,
        room: RoomId,
        message: NewMessage,
        count: CountAgainstRoom<'_>,
    ) -> Result<(Message, bool), Refusal> {
        post::post(&self.context, user, room, message, count).await
    }

    async fn page(
        &self,
        user: UserId,
        room: RoomId,
        query: MessageQuery,
        limit: usize,
    ) -> Result<MessagePage, Refusal> {
        self.context.query(move |store| pages::page(store, user, room, query, limit)).await
    }

    async fn message(&self, user: UserId, id: MessageId) -> Result<Message, Refusal> {
        let query = move |store: &Store| {
            let mut reader = store.messages()?;
            let (room, message) = reader.find_by_listed_id(id)?.ok_or_else(no_such_message)?;
            if !may_see(&reader.records, room, user, &message.posted.sender)? {
                return Err(no_such_message().into());
            }
            Ok(render::message_object(&reader, room, &message)?)
        };
        self.context.query(query).await
    }

    async fn edit(&self, user: UserId, id: MessageId, text: MessageText) -> Result<Message, Refusal> {
        self.context.commit_and_replicate(move |tables| change::edit(tables, user, id, &text)).await?;
        self.message(user, id).await
    }

    async fn delete(&self, user: UserId, id: MessageId) -> Result<(), Refusal> {
        self.context
            .commit_and_replicate_from_reserve(move |tables| change::delete(tables, user, id))
            .await?;
        Ok(())
    }

    async fn react(&self, user: UserId, id: MessageId, emoji: Emoji, on: bool) -> Result<(), Refusal> {
        self.context.commit_and_replicate(move |tables| change::react(tables, user, id, &emoji, on)).await?;
        Ok(())
    }

    async fn mark_read(
        &self,
        user: UserId,
        room: RoomId,
        message: MessageId,
        seen: Option<VersionVector>,
    ) -> Result<(), Refusal> {
        let query = move |store: &Store| read::mark(store, user, room, message, seen.as_ref());
        let mut mark = self.context.query(query).await?;
        mark.over_folds = self.context.driver.peers_know_folds();
        self.context.commit_and_replicate(move |tables| read::decide(tables, user, &mark)).await?;
        Ok(())
    }
}
