//! A session that fell behind its lane goes on from the store: the same path as a reconnect, on the same connection.
//! Acks go out and posts come in between the batches.

use tokio::time::Instant;

use super::{End, Live, Outbox, Socket};
use crate::session::replay::{self, Missed};

impl Live<'_> {
    /// The lane has moved on beyond the session: begins anew at its end and reads from the store what lies between.
    pub(super) async fn fall_behind<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        self.marks.clear();
        // Skipped first: what is committed from here on is in the lane, whatever is read.
        let presence_lost = self.lane.skip();
        let missed = Missed::beyond(self.web, self.seat, &self.sent.vector).await?.ok_or(End::Lagged)?;
        if !self.headway.made(missed.left()) {
            return Err(End::Lagged);
        }
        self.web.metrics.catch_ups.inc();
        self.missed = Some(missed);
        if presence_lost {
            let sealed = self.web.rooms.seal(self.seat.owner(), &self.sent, self.greatest);
            replay::welcome(self.web, self.seat, outbox, &sealed.text).await?;
        }
        Ok(())
    }

    /// Sends the next batch of what the session lacks, and the cursor behind the last.
    pub(super) async fn send_missed<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        let Some(missed) = &mut self.missed else { return Ok(()) };
        self.frame_at = Instant::now();
        if let Some(greatest) = missed.send_some(self.web, self.seat, outbox).await? {
            self.greatest = self.greatest.max(greatest);
            return Ok(());
        }
        self.sent = missed.point.clone();
        self.shown = self.shown.max(self.sent.number);
        self.missed = None;
        self.send_cursor(outbox).await?;
        outbox.flush().await
    }
}
