//! The posts of a session on their way to being durable, and what is told of them: acks, refusals, and what is refused
//! before it gets so far.

use std::time::Duration;

use starling_protocol::{
    MessageId, Pos,
    frame::client::{self, ServerFrame},
};
use tokio::{sync::mpsc, time::timeout};

use super::{End, Outbox, Socket};
use crate::{
    routes::Web,
    service::{PostOutcome, Refusal},
};

/// Posts of one session that are not acked yet; beyond it nothing more is read from it.
const IN_FLIGHT_MAX: usize = 64;
/// How long a stopping node waits for the acks that it owes a session.
const HAND_OVER_MAX: Duration = Duration::from_secs(1);

/// The posts of one session that wait for their outcomes.
pub struct Posts {
    outcomes: mpsc::UnboundedReceiver<PostOutcome>,
    sender: mpsc::UnboundedSender<PostOutcome>,
    in_flight: usize,
}

impl Posts {
    pub fn new() -> Self {
        let (sender, outcomes) = mpsc::unbounded_channel();
        Self { outcomes, sender, in_flight: 0 }
    }

    /// Whether the client may send more.
    pub fn has_room(&self) -> bool {
        self.in_flight < IN_FLIGHT_MAX
    }

    /// Hands a post over, whose outcomes are to go to the sender.
    pub fn hand_over(
        &mut self,
        post: impl FnOnce(&mpsc::UnboundedSender<PostOutcome>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        post(&self.sender)?;
        self.in_flight += 1;
        Ok(())
    }

    /// The next outcome.
    ///
    /// Cancellation safety: no outcome is lost when the future is dropped.
    pub async fn next(&mut self) -> PostOutcome {
        self.outcomes.recv().await.expect("this holds a sender")
    }

    /// Tells the client of an outcome and of all that are there behind it; `acked` is told the place of each.
    pub async fn tell<S: Socket>(
        &mut self,
        web: &Web,
        outcome: PostOutcome,
        outbox: &mut Outbox<S>,
        mut acked: impl FnMut(MessageId, Pos),
    ) -> Result<(), End> {
        let mut next = Some(outcome);
        while let Some(PostOutcome { id, result, again }) = next {
            self.in_flight -= usize::from(!again);
            match result {
                Ok(posted) => {
                    acked(id, posted.pos);
                    let ack = ServerFrame::Ack {
                        id,
                        at: client::at(posted.pos.hlc),
                        pos: posted.pos.to_string(),
                        copies: posted.copies,
                    };
                    outbox.feed(ack.to_json()).await?;
                }
                Err(refusal) => refuse(web, outbox, &refusal, Some(id)).await?,
            }
            next = self.outcomes.try_recv().ok();
        }
        outbox.flush().await
    }

    /// Tells what is owed, of a session that is to end.
    pub async fn tell_owed<S: Socket>(&mut self, web: &Web, outbox: &mut Outbox<S>) -> Result<(), End> {
        let owed = async {
            while self.in_flight > 0 {
                let outcome = self.next().await;
                self.tell(web, outcome, outbox, |_, _| {}).await?;
            }
            Ok(())
        };
        timeout(HAND_OVER_MAX, owed).await.unwrap_or(Ok(()))
    }
}

/// Tells the client that it may not.
pub async fn refuse<S: Socket>(
    web: &Web,
    outbox: &mut Outbox<S>,
    refusal: &Refusal,
    id: Option<MessageId>,
) -> Result<(), End> {
    web.metrics.refused_frames.inc();
    let frame = ServerFrame::Error { code: refusal.code, detail: &refusal.detail, id };
    outbox.feed(frame.to_json()).await?;
    outbox.flush().await
}
