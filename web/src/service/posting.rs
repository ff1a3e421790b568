//! Posts to rooms of all kinds, and their outcomes.

use async_trait::async_trait;
use starling_protocol::{Hlc, MessageId, MessagePosted, Pos, Refusal, RoomId};
use tokio::sync::mpsc;

/// A message to post.
#[derive(Clone, Debug)]
pub struct Post {
    /// The room.
    pub room: RoomId,
    /// The message.
    pub message: MessagePosted,
    /// The stamp that the message's own must exceed: that of the latest message that its sender has seen, or of the message
    /// that it replies to.
    pub above_hlc: Option<Hlc>,
}

/// A durable post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its position in the room.
    pub pos: Pos,
    /// The number of nodes on which it is durable.
    pub copies: usize,
}

/// The outcome of a post.
#[derive(Debug)]
pub struct PostOutcome {
    /// The message.
    pub id: MessageId,
    /// The post, or why it was refused.
    pub result: Result<Posted, Refusal>,
    /// Whether this is the second outcome, after more nodes have stored the message.
    pub is_upgrade: bool,
}

/// Hands new messages to the writer.
#[async_trait]
pub trait Posting: Send + Sync + 'static {
    /// Hands a post to the writer without waiting. The outcome follows when the message is durable on as many nodes as
    /// configured, or after the configured wait; in the latter case a second outcome follows if that many nodes have it
    /// within 10 s. Callers must bound the number of first outcomes that they wait for.
    fn post(&self, post: Post, outcomes: &mpsc::UnboundedSender<PostOutcome>) -> Result<(), Refusal>;

    /// For a session of a quick room: returns the stamp that the client's posts must exceed, if the client has already
    /// received the message at `after`: the stamp of `after` if this node holds that message, otherwise one that does
    /// not run ahead of the wall clock.
    async fn above_hlc(&self, after: Pos) -> Result<Hlc, Refusal>;
}
