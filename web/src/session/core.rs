//! The part that both kinds of session share: when a cursor is due and which one, the client's silence, its posts, and
//! catching up.

use starling_protocol::{CursorOwner, Hlc, frame::client::ServerFrame};
use tokio::time::Instant;

use super::{
    catch_up_progress::CatchUpProgress,
    connection::Connection,
    delivery::Delivery,
    deps::SessionDeps,
    end::{End, Never},
    frame_limit::ClientConnection,
    group::{CURSOR_EVERY, reader::Progress},
    keepalive::Keepalive,
    posts::Posts,
    socket::Socket,
};
use crate::{lane::CommitPoint, service::SealedCursor};

/// The shared part of a session.
pub struct SessionCore<'a> {
    pub deps: &'a SessionDeps,
    owner: CursorOwner,
    pub delivery: Delivery,
    pub posts: Posts,
    pub keepalive: Keepalive,
    /// The greatest stamp that the client was shown or acked in a quick room: part of its cursor.
    pub greatest: Hlc,
    progress: CatchUpProgress,
    /// Whether changes from the store are sent before more frames of the lanes.
    catching_up: bool,
    last_cursor_at: Instant,
    /// Whether a cursor is due however new the last one is, because no frame was sent for [`CURSOR_EVERY`].
    is_overdue: bool,
    /// The start of the wait for a cursor: the last frame, or the last timeout.
    cursor_timer_from: Instant,
}

impl<'a> SessionCore<'a> {
    pub fn new(
        deps: &'a SessionDeps,
        owner: CursorOwner,
        client: ClientConnection,
        delivery: Delivery,
    ) -> Self {
        let now = Instant::now();
        Self {
            deps,
            owner,
            delivery,
            posts: Posts::new(),
            keepalive: Keepalive::new(&deps.guard.rates, client),
            greatest: Hlc::default(),
            progress: CatchUpProgress::default(),
            catching_up: false,
            last_cursor_at: now,
            is_overdue: false,
            cursor_timer_from: now,
        }
    }

    /// Returns the time at which a cursor or a ping is due. While the session `is_lent`, its group sends the cursors.
    pub fn next_due(&self, is_lent: bool) -> Instant {
        let due = self.keepalive.due();
        if self.needs_cursor() && !is_lent { due.min(self.cursor_timer_from + CURSOR_EVERY) } else { due }
    }

    /// Returns whether a frame was sent that no complete cursor covers, and no backlog is being sent.
    fn needs_cursor(&self) -> bool {
        !self.catching_up && self.delivery.needs_cursor()
    }

    /// Returns whether a cursor should follow the frames that are sent now, because the last is old or overdue.
    pub fn should_send_cursor(&self) -> bool {
        self.needs_cursor() && (self.is_overdue || self.last_cursor_at.elapsed() >= CURSOR_EVERY)
    }

    /// Returns whether a cursor is needed and [`CURSOR_EVERY`] has passed since the last frame. If so, starts that time again,
    /// because the next cursor may not be complete either.
    pub fn take_cursor_timeout(&mut self) -> bool {
        let over = self.needs_cursor() && self.cursor_timer_from.elapsed() >= CURSOR_EVERY;
        if over {
            self.cursor_timer_from = Instant::now();
            self.is_overdue = true;
        }
        over
    }

    /// Counts frames of lanes that were sent now.
    pub fn note_frames_sent(&mut self, delivered: u64) {
        // Frames that were not shown don't delay the cursor.
        if delivered > 0 {
            self.restart_cursor_timer();
            self.deps.metrics.deliveries.inc_by(delivered);
        }
    }

    /// Seals a cursor for everything that was sent.
    pub fn seal(&self) -> SealedCursor {
        self.deps.cursors.seal(self.owner, self.delivery.sent(), self.greatest)
    }

    /// Seals a cursor that covers no commit.
    pub fn seal_empty(&self) -> String {
        self.deps.cursors.seal_empty(self.owner)
    }

    /// Sends a cursor for everything that was sent.
    pub async fn send_cursor<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<(), End> {
        self.last_cursor_at = Instant::now();
        self.is_overdue = false;
        let sealed = self.seal();
        if sealed.complete {
            self.delivery.note_cursor();
        }
        connection.feed(ServerFrame::Cursor { cursor: &sealed.text }.to_json()).await
    }

    /// Begins to catch up with a backlog of the store. Ends a session that falls behind again and again.
    pub fn start_catch_up(&mut self, backlog: usize) -> Result<(), End> {
        if !self.progress.note(backlog) {
            return Err(End::Lagged);
        }
        self.deps.metrics.catch_ups.inc();
        self.begin_backlog();
        Ok(())
    }

    /// Holds cursors back until a backlog was sent.
    pub fn begin_backlog(&mut self) {
        self.catching_up = true;
    }

    /// Waits for [`CURSOR_EVERY`] from now on before a cursor is due: a batch of a backlog was sent.
    pub fn restart_cursor_timer(&mut self) {
        self.cursor_timer_from = Instant::now();
    }

    /// Sends the cursor after a backlog that reached up to a commit.
    pub async fn finish_backlog<S: Socket>(
        &mut self,
        point: CommitPoint,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        self.catching_up = false;
        self.delivery.catch_up(point);
        self.send_cursor(connection).await
    }

    /// Notes that no frame of the lanes is left.
    pub fn on_lanes_empty(&mut self) {
        self.progress = CatchUpProgress::default();
    }

    /// Returns whether the group may write for this session: it has nothing of its own to send.
    pub fn may_lend(&self) -> bool {
        !self.catching_up && !self.posts.are_pending()
    }

    /// Returns the progress up to a position, to lend it to the group.
    pub fn progress(&self, position: u64) -> Progress {
        Progress {
            position,
            delivery: self.delivery.clone(),
            greatest: self.greatest,
            last_cursor_at: self.last_cursor_at.into_std(),
            unsent: Vec::new(),
        }
    }

    /// Continues from the progress that the group has made. Returns the position in the lane.
    pub fn reclaim<S: Socket>(&mut self, progress: Progress, connection: &mut Connection<S>) -> u64 {
        let Progress { position, delivery, greatest, last_cursor_at, unsent } = progress;
        self.delivery = delivery;
        self.greatest = greatest;
        // The group's frames came after that cursor, so the next one comes in time.
        self.last_cursor_at = last_cursor_at.into();
        self.cursor_timer_from = self.last_cursor_at;
        connection.continue_frame(unsent);
        position
    }

    /// Pings a silent client, or ends the session, and frees what a silent client doesn't need.
    pub fn on_silence<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<(), End> {
        self.posts.free_if_idle();
        self.keepalive.on_timer(connection)
    }

    /// Sends the acks of posts in flight, before the session ends because this node stops serving.
    pub async fn send_last_acks<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<(), End> {
        self.posts.send_pending_outcomes(self.deps, connection).await
    }

    /// Ends the session on this node.
    pub fn hand_over(&self) -> Result<Never, End> {
        Err(End::Elsewhere(self.deps.drain.serving()))
    }
}
