//! The part that both kinds of session share: when a cursor is due and which one, the client's silence, its posts, and
//! catching up.

use std::{sync::Arc, time::Duration};

use starling_protocol::{CursorOwner, Hlc, frame::client::ServerFrame};
use tokio::time::Instant;

use super::{
    catch_up_progress::CatchUpProgress,
    connection::Connection,
    delivery::Delivery,
    deps::SessionDeps,
    end::{End, Never},
    frame_limit::ClientConnection,
    group::{
        CURSOR_AFTER, is_cursor_due,
        reader::{Progress, Reader},
    },
    keepalive::Keepalive,
    posts::Posts,
    socket::Socket,
};
use crate::{lane::CommitPoint, service::SealedCursor};

/// The shared part of a session.
pub struct SessionCore<'a> {
    pub deps: &'a SessionDeps,
    owner: CursorOwner,
    /// This session, as its groups see it.
    pub reader: Arc<Reader>,
    /// Whether the groups write for this session.
    is_lent: bool,
    pub delivery: Delivery,
    pub posts: Posts,
    pub keepalive: Keepalive,
    /// The greatest stamp that the client was shown or acked in a quick room: part of its cursor.
    pub greatest: Hlc,
    progress: CatchUpProgress,
    /// Whether changes from the store are sent before more frames of the lanes.
    catching_up: bool,
    cursor_times: CursorTimes,
}

/// When cursors were and are due.
struct CursorTimes {
    last_at: Instant,
    /// Whether a cursor is due however new the last one is, because no frame was sent for [`CURSOR_AFTER`].
    is_overdue: bool,
    /// Whether frames were sent within [`CURSOR_AFTER`] before the last ones.
    frames_flow: bool,
    /// The start of the wait for a cursor: the last frame, or the last timeout.
    timer_from: Instant,
}

impl<'a> SessionCore<'a> {
    pub fn new<S: Socket>(
        deps: &'a SessionDeps,
        owner: CursorOwner,
        client: ClientConnection,
        delivery: Delivery,
        connection: &Connection<S>,
    ) -> Self {
        let now = Instant::now();
        Self {
            deps,
            owner,
            reader: Arc::new(Reader::new(owner, connection.write_half())),
            is_lent: false,
            delivery,
            posts: Posts::new(),
            keepalive: Keepalive::new(&deps.guard.rates, client),
            greatest: Hlc::default(),
            progress: CatchUpProgress::default(),
            catching_up: false,
            cursor_times: CursorTimes {
                last_at: now,
                is_overdue: false,
                frames_flow: false,
                timer_from: now,
            },
        }
    }

    /// Returns the time at which a cursor or a ping is due. While the groups write, they send the
    /// cursors for their frames, and this session for its own.
    pub fn next_due(&self) -> Instant {
        let due = self.keepalive.due();
        if self.needs_cursor() { due.min(self.cursor_times.timer_from + CURSOR_AFTER) } else { due }
    }

    /// Returns whether a frame was sent that no complete cursor covers, and no backlog is being sent.
    fn needs_cursor(&self) -> bool {
        !self.catching_up && self.delivery.needs_cursor()
    }

    /// Returns whether a cursor should follow the frames that are sent now, because the last is old or overdue.
    pub fn should_send_cursor(&self) -> bool {
        let since_frame = if self.cursor_times.frames_flow { Duration::ZERO } else { CURSOR_AFTER };
        self.needs_cursor()
            && (self.cursor_times.is_overdue
                || is_cursor_due(since_frame, self.cursor_times.last_at.elapsed()))
    }

    /// Returns whether a cursor is needed and [`CURSOR_AFTER`] has passed since the last frame. If so, starts that time again,
    /// because the next cursor may not be complete either.
    pub fn take_cursor_timeout(&mut self) -> bool {
        let over = self.needs_cursor() && self.cursor_times.timer_from.elapsed() >= CURSOR_AFTER;
        if over {
            self.cursor_times.timer_from = Instant::now();
            self.cursor_times.is_overdue = true;
        }
        over
    }

    /// Counts frames of lanes that were sent now.
    pub fn note_frames_sent(&mut self, delivered: u64) {
        // Frames that were not shown don't delay the cursor.
        if delivered > 0 {
            self.cursor_times.frames_flow = self.cursor_times.timer_from.elapsed() < CURSOR_AFTER;
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
        self.cursor_times.last_at = Instant::now();
        self.cursor_times.is_overdue = false;
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

    /// Waits for [`CURSOR_AFTER`] from now on before a cursor is due: a batch of a backlog was sent.
    pub fn restart_cursor_timer(&mut self) {
        self.cursor_times.timer_from = Instant::now();
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

    /// Returns whether the groups write for this session.
    pub fn is_lent(&self) -> bool {
        self.is_lent
    }

    /// Lets the groups write if the session has nothing of its own to send and is up to date in all its lanes.
    pub fn lend_if_idle<S: Socket>(&mut self, connection: &Connection<S>) {
        if self.is_lent || self.catching_up || self.posts.are_pending() || connection.has_unsent() {
            return;
        }
        let progress = Progress {
            delivery: self.delivery.clone(),
            greatest: self.greatest,
            last_frame_at: self.cursor_times.timer_from.into_std(),
            last_cursor_at: self.cursor_times.last_at.into_std(),
            unsent: Vec::new(),
        };
        self.is_lent = self.reader.lend(progress).is_none();
    }

    /// Writes for itself again, from the progress that the groups have made.
    pub fn reclaim<S: Socket>(&mut self, connection: &mut Connection<S>) {
        self.is_lent = false;
        let Some(progress) = self.reader.reclaim() else { return };
        let Progress { delivery, greatest, last_frame_at, last_cursor_at, unsent } = progress;
        self.delivery = delivery;
        self.greatest = greatest;
        self.cursor_times.last_at = last_cursor_at.into();
        self.cursor_times.timer_from = last_frame_at.into();
        connection.continue_frame(unsent);
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
