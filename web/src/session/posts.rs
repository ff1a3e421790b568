//! The posts of a session until they are durable, and the replies to them: acks and refusals.

use std::{collections::VecDeque, time::Duration};

use starling_protocol::{
    MessageId, Pos,
    frame::client::{self, GivenId, ServerFrame},
};
use tokio::{sync::mpsc, time::timeout};

use super::{End, Outbox, Socket};
use crate::{
    routes::AppState,
    service::{PostOutcome, Refusal},
};

/// The most posts of one session without an ack. Beyond it the session reads nothing from its client.
const IN_FLIGHT_MAX: usize = 64;
/// The most ids that are kept in the client's spelling: those of the posts in flight, and of posts whose ack may be
/// followed by one with more copies.
const SPELLINGS_MAX: usize = 2 * IN_FLIGHT_MAX;
/// A stopping node waits this long for the acks of a session's posts.
const HAND_OVER_MAX: Duration = Duration::from_secs(1);

/// The posts of one session that wait for their outcomes.
pub struct Posts {
    outcomes: mpsc::UnboundedReceiver<PostOutcome>,
    sender: mpsc::UnboundedSender<PostOutcome>,
    in_flight: usize,
    /// Ids that the client wrote in another way than the service does, oldest first.
    spellings: VecDeque<GivenId>,
}

impl Posts {
    pub fn new() -> Self {
        let (sender, outcomes) = mpsc::unbounded_channel();
        Self { outcomes, sender, in_flight: 0, spellings: VecDeque::new() }
    }

    /// Notes the client's spelling of an id, for acks and refusals.
    pub fn note(&mut self, given: &GivenId) {
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

    /// Whether the client may send more.
    pub fn has_room(&self) -> bool {
        self.in_flight < IN_FLIGHT_MAX
    }

    /// Submits a post with `post`, which gets the sender for its outcomes.
    pub fn submit(
        &mut self,
        post: impl FnOnce(&mpsc::UnboundedSender<PostOutcome>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        post(&self.sender)?;
        self.in_flight += 1;
        Ok(())
    }

    /// Returns the next outcome.
    ///
    /// Cancellation safety: no outcome is lost when the future is dropped.
    pub async fn next(&mut self) -> PostOutcome {
        self.outcomes.recv().await.expect("this holds a sender")
    }

    /// Sends the client an outcome and all that wait behind it. Calls `acked` with the position of each posted
    /// message.
    pub async fn notify<S: Socket>(
        &mut self,
        app: &AppState,
        outcome: PostOutcome,
        outbox: &mut Outbox<S>,
        mut acked: impl FnMut(MessageId, Pos),
    ) -> Result<(), End> {
        let mut next = Some(outcome);
        while let Some(PostOutcome { id, result, again }) = next {
            self.in_flight -= usize::from(!again);
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
                    outbox.feed(ack.to_json()).await?;
                }
                Err(refusal) => refuse(app, outbox, &refusal, Some(spelling)).await?,
            }
            next = self.outcomes.try_recv().ok();
        }
        outbox.flush().await
    }

    /// Sends the outcomes of the posts in flight before the session ends.
    pub async fn notify_pending<S: Socket>(
        &mut self,
        app: &AppState,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        let pending = async {
            while self.in_flight > 0 {
                let outcome = self.next().await;
                self.notify(app, outcome, outbox, |_, _| {}).await?;
            }
            Ok(())
        };
        timeout(HAND_OVER_MAX, pending).await.unwrap_or(Ok(()))
    }
}

/// Sends the client a refusal; `id` is the one in its frame.
pub async fn refuse<S: Socket>(
    app: &AppState,
    outbox: &mut Outbox<S>,
    refusal: &Refusal,
    id: Option<String>,
) -> Result<(), End> {
    app.metrics.refused_frames.inc();
    let frame = ServerFrame::Error { code: refusal.code, detail: &refusal.detail, id };
    outbox.feed(frame.to_json()).await?;
    outbox.flush().await
}
