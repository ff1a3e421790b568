//! A session that lagged behind its lane continues from the store: as after a reconnect, but on the same connection.
//! Acks go out and posts come in between the batches.

use tokio::time::Instant;

use super::{End, Outbox, QuickSession, Socket};
use crate::session::replay::{self, Backlog};

impl QuickSession<'_> {
    /// Moves to the lane's end and reads from the store what lies between.
    pub(super) async fn start_catch_up<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        self.marks.clear();
        // Skipped before the read: later commits are in the lane, whatever is read.
        let presence_lost = self.lane.skip_to_end();
        let backlog = Backlog::beyond(self.app, self.participant, &self.delivery.sent().vector)
            .await?
            .ok_or(End::Lagged)?;
        if !self.catch_up_progress.note(backlog.left()) {
            return Err(End::Lagged);
        }
        self.app.metrics.catch_ups.inc();
        self.backlog = Some(backlog);
        if presence_lost {
            let sealed = self.app.rooms.seal(self.participant.owner(), self.delivery.sent(), self.greatest);
            replay::welcome(self.app, self.participant, outbox, &sealed.text).await?;
        }
        Ok(())
    }

    /// Sends the next batch of the backlog, and a cursor after the last.
    pub(super) async fn send_backlog<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        let Some(backlog) = &mut self.backlog else { return Ok(()) };
        self.frame_at = Instant::now();
        if let Some(greatest) = backlog.send_some(self.app, self.participant, outbox).await? {
            self.greatest = self.greatest.max(greatest);
            return Ok(());
        }
        self.delivery.catch_up(backlog.point.clone());
        self.backlog = None;
        self.send_cursor(outbox).await?;
        outbox.flush().await
    }
}
