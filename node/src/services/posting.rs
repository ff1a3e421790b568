//! Hands the messages of sessions to the writer.

use async_trait::async_trait;
use starling_protocol::{Hlc, Pos};
use starling_web::service::{Post, PostOutcome, Posting, Refusal};
use tokio::sync::mpsc;

use super::context::ServiceContext;

/// Implements [`Posting`].
pub struct PostingService {
    pub(crate) context: ServiceContext,
}

#[async_trait]
impl Posting for PostingService {
    fn post(&self, post: Post, outcomes: &mpsc::UnboundedSender<PostOutcome>) -> Result<(), Refusal> {
        self.context.writer.try_post(post, outcomes.clone())
    }

    async fn above_hlc(&self, after: Pos) -> Result<Hlc, Refusal> {
        let held = self.context.read(move |store| store.holds(after)).await?;
        Ok(if held { after.hlc } else { after.hlc.capped(self.context.environment.now_ms()) })
    }
}
