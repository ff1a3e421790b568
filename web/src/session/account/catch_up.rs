//! What a client lacks, read from the store: at a resume, and when the session lagged behind one of its lanes. Acks
//! go out and requests come in between the batches.

use std::{sync::Arc, vec};

use starling_protocol::{CursorOwner, Hlc, UserId, VersionVector, frame::client::ServerFrame};
use tokio::time::Instant;

use super::{End, Outbox, Socket, live::AccountSession};
use crate::{
    lane::CommitPoint,
    live_frame::{Available, LiveFrame},
    objects::PresenceState,
    service::Change,
    session::{ResumePoint, delivery::Delivery, keepalive::PING_AFTER, live::CURSOR_EVERY},
};

/// Changes in one batch: bounds the memory of a session.
const BATCH: usize = 100;

/// Changes that a client lacks, up to a commit point.
pub struct Backlog {
    changes: vec::IntoIter<Change>,
    point: CommitPoint,
}

/// Returns the part of a frame that says whether a user is online.
pub(super) fn available(user: UserId, state: PresenceState) -> Available {
    Available { user_id: user.to_string(), state }
}

impl AccountSession<'_> {
    /// Sends the welcome, and reads what the client lacks.
    pub(super) async fn resume<S: Socket>(
        &mut self,
        resume_point: ResumePoint,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        let nothing = self.app.rooms.seal_empty(self.owner());
        let resync = match resume_point {
            ResumePoint::Nothing => false,
            ResumePoint::Unreadable(reason) => {
                tracing::debug!(%reason, "resync");
                true
            }
            ResumePoint::Cursor(cursor, text) => {
                if self.caught_up
                    && let Some(backlog) = self.beyond(&cursor.vector).await?
                {
                    self.delivery = Delivery::new(CommitPoint { number: 0, vector: cursor.vector.into() });
                    self.backlog = Some(backlog);
                    // The old cursor stays valid until all of this was sent.
                    return self.welcome(&text, outbox).await;
                }
                true
            }
        };
        self.welcome(&nothing, outbox).await?;
        if resync {
            self.app.metrics.resyncs.inc();
            outbox.feed(ServerFrame::Resync { cursor: &nothing }.to_json()).await?;
        }
        // The client loads its rooms by pages, so it lacks only how far others have read.
        self.delivery = Delivery::new(self.app.lanes.settled().await);
        let held = Arc::clone(&self.delivery.sent().vector);
        self.backlog = self.beyond(&held).await?;
        Ok(())
    }

    /// Tells the client its user, who is online, and the cursor from which the following frames continue.
    pub(super) async fn welcome<S: Socket>(
        &mut self,
        cursor: &str,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        let online = self.app.live.online(self.identity.user).await.map_err(End::Refused)?;
        let frame = LiveFrame::Welcome {
            user: &self.context.user,
            node: &self.app.settings.node,
            cursor,
            heartbeat_s: PING_AFTER.as_secs(),
            presence: online.into_iter().map(|user| available(user, PresenceState::Online)).collect(),
            public_urls: self.app.operations.public_urls(),
        };
        outbox.feed(frame.to_json()).await
    }

    /// Reads what was committed beyond `from` before the session took its positions in the lanes. Returns `None` if
    /// it is too much.
    async fn beyond(&mut self, from: &VersionVector) -> Result<Option<Backlog>, End> {
        let point = self.app.lanes.settled().await;
        let changes = self.app.live.beyond(self.identity.user, from.clone(), point.clone()).await;
        Ok(changes.map_err(End::Refused)?.map(|changes| Backlog { changes: changes.into_iter(), point }))
    }

    /// Moves to the end of all lanes and reads from the store what lies between.
    pub(super) async fn start_catch_up<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        // Skipped before the read: later commits are in the lanes, whatever is read.
        let presence_lost = self.lane_set.skip_to_end();
        self.invalidate(outbox).await?;
        let held = Arc::clone(&self.delivery.sent().vector);
        let backlog = self.beyond(&held).await?.ok_or(End::Lagged)?;
        if !self.catch_up_progress.note(backlog.changes.len()) {
            return Err(End::Lagged);
        }
        self.app.metrics.catch_ups.inc();
        self.backlog = Some(backlog);
        if presence_lost {
            self.welcome_again(outbox).await?;
        }
        Ok(())
    }

    /// Sends another welcome, with the current user and who is online.
    pub(super) async fn welcome_again<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        let sealed = self.app.rooms.seal(self.owner(), self.delivery.sent(), Hlc::default());
        self.welcome(&sealed.text, outbox).await
    }

    /// Sends the next batch of the backlog, and a cursor after the last.
    pub(super) async fn send_backlog<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        let Some(backlog) = &mut self.backlog else { return Ok(()) };
        self.frame_at = Instant::now();
        let batch: Vec<_> = backlog.changes.by_ref().take(BATCH).collect();
        if !batch.is_empty() {
            return self.send_changes(batch, outbox).await;
        }
        self.delivery.catch_up(backlog.point.clone());
        self.backlog = None;
        self.send_online_users(outbox).await?;
        self.send_cursor(outbox).await?;
        outbox.flush().await
    }

    /// Sends the current state of what changed.
    pub(super) async fn send_changes<S: Socket>(
        &mut self,
        changes: Vec<Change>,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        if changes.is_empty() {
            return Ok(());
        }
        for frame in self.app.live.tell(self.identity.user, changes).await.map_err(End::Refused)? {
            outbox.feed(frame).await?;
        }
        Ok(())
    }

    pub(super) fn owner(&self) -> CursorOwner {
        CursorOwner::User(self.identity.user)
    }

    /// Sends a cursor for everything that was sent.
    pub(super) async fn send_cursor<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        self.cursor_at = Instant::now();
        let sealed = self.app.rooms.seal(self.owner(), self.delivery.sent(), Hlc::default());
        if sealed.complete {
            self.delivery.note_cursor();
        }
        outbox.feed(ServerFrame::Cursor { cursor: &sealed.text }.to_json()).await
    }

    /// Whether a cursor should follow the frames that are sent now.
    pub(super) fn cursor_is_old(&self) -> bool {
        self.cursor_is_due() && self.cursor_at.elapsed() >= CURSOR_EVERY
    }
}
