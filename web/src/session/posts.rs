//! The posts of a session until they are durable, and the replies to them: acks and refusals.

use std::{collections::VecDeque, future::pending, time::Duration};

use starling_protocol::{
    MessageId, Pos,
    frame::client::{self, GivenId, ServerFrame},
};
use tokio::{sync::mpsc, time::timeout};

use super::{connection::Connection, deps::SessionDeps, end::End, socket::Socket};
use crate::service::{PostOutcome, Refusal};

/// The most posts of one session without an ack. Beyond it the session reads nothing from its client.
const IN_FLIGHT_MAX: usize = 64;
/// The most ids that are kept in the client's spelling: those of the posts in flight, and of posts that may still get an ack
/// with more copies.
const SPELLINGS_MAX: usize = 2 * IN_FLIGHT_MAX;
/// A stopping node waits this long for the acks of a session's posts.
const HAND_OVER_MAX: Duration = Duration::from_secs(1);

/// The channel of outcomes.
type Channel = (mpsc::UnboundedSender<PostOutcome>, mpsc::UnboundedReceiver<PostOutcome>);

/// The posts of one session that wait for their outcomes.
pub struct Posts {
    /// Made for the first post, and freed in silence: it has memory for 32 outcomes at once.
    channel: Option<Channel>,
    in_flight: usize,
    /// The ids that the client spells differently from the service, oldest first.
    spellings: VecDeque<GivenId>,
}

impl Posts {
    pub fn new() -> Self {
        Self { channel: None, in_flight: 0, spellings: VecDeque::new() }
    }

    /// Notes the client's spelling of an id, for acks and refusals.
    pub fn note_spelling(&mut self, given: &GivenId) {
        self.spellings.retain(|known| known.id != given.id);
        if *given.text != given.id.to_string() {
            if self.spellings.len() == SPELLINGS_MAX {
                self.spellings.pop_front();
            }
            self.spellings.push_back(given.clone());
        }
    }

    /// Returns an id in the client's spelling.
    fn spelling(&self, id: MessageId) -> String {
        let given = self.spellings.iter().rev().find(|given| given.id == id);
        given.map_or_else(|| id.to_string(), |given| given.text.as_ref().into())
    }

    /// Returns whether the client may send more posts.
    pub fn has_room(&self) -> bool {
        self.in_flight < IN_FLIGHT_MAX
    }

    /// Returns whether posts wait for their outcomes.
    pub fn are_pending(&self) -> bool {
        self.in_flight > 0
    }

    /// Submits a post with `post`, which gets the sender for its outcomes.
    pub fn submit(
        &mut self,
        post: impl FnOnce(&mpsc::UnboundedSender<PostOutcome>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let (sender, _) = self.channel.get_or_insert_with(mpsc::unbounded_channel);
        post(sender)?;
        self.in_flight += 1;
        Ok(())
    }

    /// Returns the next outcome.
    ///
    /// Cancellation safety: no outcome is lost when the future is dropped.
    pub async fn next(&mut self) -> PostOutcome {
        match &mut self.channel {
            Some((_, outcomes)) => outcomes.recv().await.expect("this holds a sender"),
            None => pending().await,
        }
    }

    /// Frees the memory of earlier posts, if no outcome of theirs can come.
    pub fn free_if_idle(&mut self) {
        // Nobody else has a sender any more, and so nothing comes after the second check.
        let is_over = |(_, outcomes): &Channel| outcomes.sender_strong_count() == 1 && outcomes.is_empty();
        if self.in_flight == 0 && self.channel.as_ref().is_some_and(is_over) {
            (self.channel, self.spellings) = (None, VecDeque::new());
        }
    }

    /// Sends the client an outcome and all others that wait. Calls `acked` with the position of each posted
    /// message.
    pub async fn send_outcomes<S: Socket>(
        &mut self,
        deps: &SessionDeps,
        outcome: PostOutcome,
        connection: &mut Connection<S>,
        mut acked: impl FnMut(MessageId, Pos),
    ) -> Result<(), End> {
        let mut next = Some(outcome);
        while let Some(PostOutcome { id, result, is_upgrade }) = next {
            self.in_flight -= usize::from(!is_upgrade);
            let spelling = self.spelling(id);
            match result {
                Ok(posted) => {
                    acked(id, posted.pos);
                    let ack = ServerFrame::Ack {
                        id: &spelling,
                        at: client::format_time(posted.pos.hlc),
                        pos: posted.pos.to_string(),
                        copies: posted.copies,
                    };
                    connection.feed(ack.to_json()).await?;
                }
                Err(refusal) => refuse(deps, connection, &refusal, Some(spelling)).await?,
            }
            next = self.channel.as_mut().and_then(|(_, outcomes)| outcomes.try_recv().ok());
        }
        Ok(())
    }

    /// Sends the outcomes of the posts in flight before the session ends.
    pub async fn send_pending_outcomes<S: Socket>(
        &mut self,
        deps: &SessionDeps,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        let all = async {
            while self.in_flight > 0 {
                let outcome = self.next().await;
                self.send_outcomes(deps, outcome, connection, |_, _| {}).await?;
                connection.flush().await?;
            }
            Ok(())
        };
        timeout(HAND_OVER_MAX, all).await.unwrap_or(Ok(()))
    }
}

/// Sends the client a refusal; `id` is the one in its frame.
pub async fn refuse<S: Socket>(
    deps: &SessionDeps,
    connection: &mut Connection<S>,
    refusal: &Refusal,
    id: Option<String>,
) -> Result<(), End> {
    deps.metrics.refused_frames.inc();
    let frame = ServerFrame::Error { code: refusal.code, detail: &refusal.detail, id };
    connection.feed(frame.to_json()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: no outcome is lost, also of an ack with more copies that comes long after the first.
    #[tokio::test]
    async fn the_channel_is_freed_once_no_outcome_can_come() {
        let (mut posts, mut service) = (Posts::new(), None);
        let outcome = |n| PostOutcome {
            id: MessageId::from_u128(n),
            result: Err(Refusal::new(starling_protocol::ErrorCode::Overloaded, "")),
            is_upgrade: false,
        };
        let kept = |sender: &mpsc::UnboundedSender<_>| {
            service = Some(sender.clone());
            Ok(())
        };
        posts.submit(kept).unwrap();
        posts.free_if_idle();
        let sender = service.take().unwrap();
        sender.send(outcome(1)).unwrap();
        assert_eq!(posts.next().await.id, MessageId::from_u128(1));
        posts.in_flight = 0;
        posts.free_if_idle();
        sender.send(outcome(2)).unwrap();
        drop(sender);
        posts.free_if_idle();
        assert_eq!(posts.next().await.id, MessageId::from_u128(2), "it came after the first");
        posts.free_if_idle();
        assert!(posts.channel.is_none());
        let at_once = |sender: &mpsc::UnboundedSender<_>| {
            sender.send(outcome(3)).unwrap();
            Ok(())
        };
        posts.submit(at_once).unwrap();
        assert_eq!(posts.next().await.id, MessageId::from_u128(3));
    }
}
