//! The posts of a session on their way to being durable, and what is told of them: acks, refusals, and what is refused
//! before it gets so far.

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

/// Posts of one session that are not acked yet; beyond it nothing more is read from it.
const IN_FLIGHT_MAX: usize = 64;
/// Ids whose spelling by the client is kept for their acks, at most: of the posts in flight, and of those of which a
/// later ack may tell of more copies.
const SPELLINGS_MAX: usize = 2 * IN_FLIGHT_MAX;
/// How long a stopping node waits for the acks that it owes a session.
const HAND_OVER_MAX: Duration = Duration::from_secs(1);

/// The posts of one session that wait for their outcomes.
pub struct Posts {
    outcomes: mpsc::UnboundedReceiver<PostOutcome>,
    sender: mpsc::UnboundedSender<PostOutcome>,
    in_flight: usize,
    /// Ids that clients did not write as the service does, the latest last.
    spelled: VecDeque<GivenId>,
}

impl Posts {
    pub fn new() -> Self {
        let (sender, outcomes) = mpsc::unbounded_channel();
        Self { outcomes, sender, in_flight: 0, spelled: VecDeque::new() }
    }

    /// Notes how the client has written an id: acks and refusals of it carry it so.
    pub fn note(&mut self, given: &GivenId) {
        self.spelled.retain(|known| known.id != given.id);
        if *given.text != given.id.to_string() {
            if self.spelled.len() == SPELLINGS_MAX {
                self.spelled.pop_front();
            }
            self.spelled.push_back(given.clone());
        }
    }

    /// An id as the client has written it.
    fn spelling(&self, id: MessageId) -> String {
        let given = self.spelled.iter().rev().find(|given| given.id == id);
        given.map_or_else(|| id.to_string(), |given| given.text.as_ref().into())
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
        web: &AppState,
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
                Err(refusal) => refuse(web, outbox, &refusal, Some(spelling)).await?,
            }
            next = self.outcomes.try_recv().ok();
        }
        outbox.flush().await
    }

    /// Tells what is owed, of a session that is to end.
    pub async fn tell_owed<S: Socket>(&mut self, web: &AppState, outbox: &mut Outbox<S>) -> Result<(), End> {
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

/// Tells the client that it may not; `id` is what its frame had.
pub async fn refuse<S: Socket>(
    web: &AppState,
    outbox: &mut Outbox<S>,
    refusal: &Refusal,
    id: Option<String>,
) -> Result<(), End> {
    web.metrics.refused_frames.inc();
    let frame = ServerFrame::Error { code: refusal.code, detail: &refusal.detail, id };
    outbox.feed(frame.to_json()).await?;
    outbox.flush().await
}
