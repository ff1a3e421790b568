//! A session that lagged behind its lane continues from the store, as after a reconnect, but on the same connection. Between
//! the batches, acks go out and posts come in.

use super::{
    Connection, End, QuickSession, Socket,
    replay::{self, Backlog},
};

impl QuickSession<'_> {
    /// Moves to the lane's end, and reads the skipped messages from the store.
    pub(super) async fn start_catch_up<S: Socket>(
        &mut self,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        self.marks.clear();
        // Skipped before the read: later commits are in the lane, whatever is read.
        let ephemeral_skipped = self.lane.skip_to_end();
        let held = &self.core.delivery.sent().vector;
        let backlog = Backlog::read(self.core.deps, self.participant, held).await?.ok_or(End::Lagged)?;
        self.core.start_catch_up(backlog.left())?;
        self.backlog = Some(backlog);
        if ephemeral_skipped {
            replay::welcome(self.core.deps, self.participant, connection, &self.core.seal().text).await?;
        }
        Ok(())
    }

    /// Sends the next batch of the backlog, and a cursor after the last.
    pub(super) async fn send_backlog<S: Socket>(
        &mut self,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        let Some(backlog) = &mut self.backlog else { return Ok(()) };
        self.core.restart_cursor_timer();
        if let Some(greatest) = backlog.send_some(self.core.deps, self.participant, connection).await? {
            self.core.greatest = self.core.greatest.max(greatest);
            return Ok(());
        }
        let point = backlog.point.clone();
        self.backlog = None;
        self.core.finish_backlog(point, connection).await
    }
}
