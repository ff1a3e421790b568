//! What a client lacks, from the store: at a resume, and when the session has fallen behind one of its lanes. Both go
//! the same way, while acks go out and requests come in between the batches.

use std::{sync::Arc, vec};

use starling_protocol::{CursorOwner, Hlc, UserId, VersionVector, frame::client::ServerFrame};
use tokio::time::Instant;

use super::{End, Outbox, Socket, live::AccountSession};
use crate::{
    lane::CommitPoint,
    live_frame::{Available, LiveFrame},
    objects::PresenceState,
    service::Change,
    session::{ResumePoint, keepalive::PING_AFTER, live::CURSOR_EVERY},
};

/// Things told at once: bounds what a session holds in memory.
const BATCH: usize = 100;

/// What a client lacks, up to a commit point.
pub struct Backlog {
    due: vec::IntoIter<Change>,
    point: CommitPoint,
}

/// Whether somebody is online, in a frame.
pub(super) fn available(user: UserId, state: PresenceState) -> Available {
    Available { user_id: user.to_string(), state }
}

impl AccountSession<'_> {
    /// Sends the welcome, and finds out what the client lacks.
    pub(super) async fn resume<S: Socket>(
        &mut self,
        resume_point: ResumePoint,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        let nothing = self.web.rooms.seal_empty(self.owner());
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
                    self.sent = CommitPoint { number: 0, vector: cursor.vector.into() };
                    self.backlog = Some(backlog);
                    // The old cursor stands until all of this has been sent.
                    return self.welcome(&text, outbox).await;
                }
                true
            }
        };
        self.welcome(&nothing, outbox).await?;
        if resync {
            self.web.metrics.resyncs.inc();
            outbox.feed(ServerFrame::Resync { cursor: &nothing }.to_json()).await?;
        }
        // The client loads its rooms by pages: it has all of this, then, but how far others have read.
        self.sent = self.web.lanes.settled().await;
        self.shown = self.sent.number;
        let held = Arc::clone(&self.sent.vector);
        self.backlog = self.beyond(&held).await?;
        Ok(())
    }

    /// Tells the client who he is, who is there, and from which cursor what follows goes on.
    pub(super) async fn welcome<S: Socket>(
        &mut self,
        cursor: &str,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        let online = self.web.live.online(self.identity.user).await.map_err(End::Refused)?;
        let frame = LiveFrame::Welcome {
            user: &self.around.user,
            node: &self.web.settings.node,
            cursor,
            heartbeat_s: PING_AFTER.as_secs(),
            presence: online.into_iter().map(|user| available(user, PresenceState::Online)).collect(),
            public_urls: self.web.operations.public_urls(),
        };
        outbox.feed(frame.to_json()).await
    }

    /// What was committed beyond `from` before the session took its positions in the lanes; `None` if it is too much.
    async fn beyond(&mut self, from: &VersionVector) -> Result<Option<Backlog>, End> {
        let point = self.web.lanes.settled().await;
        let due = self.web.live.beyond(self.identity.user, from.clone(), point.clone()).await;
        Ok(due.map_err(End::Refused)?.map(|due| Backlog { due: due.into_iter(), point }))
    }

    /// A lane has moved on beyond the session: begins anew at the end of all of them and reads from the store what lies
    /// between.
    pub(super) async fn start_catch_up<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        // Skipped first: what is committed from here on is in the lanes, whatever is read.
        let presence_lost = self.lane_set.skip();
        self.invalidate(outbox).await?;
        let held = Arc::clone(&self.sent.vector);
        let backlog = self.beyond(&held).await?.ok_or(End::Lagged)?;
        if !self.catch_up_progress.made(backlog.due.len()) {
            return Err(End::Lagged);
        }
        self.web.metrics.catch_ups.inc();
        self.backlog = Some(backlog);
        if presence_lost {
            self.welcome_again(outbox).await?;
        }
        Ok(())
    }

    /// Tells the client anew who he is and who is there.
    pub(super) async fn welcome_again<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        let sealed = self.web.rooms.seal(self.owner(), &self.sent, Hlc::default());
        self.welcome(&sealed.text, outbox).await
    }

    /// Sends the next batch of what the client lacks, and the cursor behind the last.
    pub(super) async fn send_missed<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        let Some(backlog) = &mut self.backlog else { return Ok(()) };
        self.frame_at = Instant::now();
        let batch: Vec<_> = backlog.due.by_ref().take(BATCH).collect();
        if !batch.is_empty() {
            return self.tell(batch, outbox).await;
        }
        self.sent = backlog.point.clone();
        self.shown = self.shown.max(self.sent.number);
        self.backlog = None;
        self.tell_who_is_there(outbox).await?;
        self.send_cursor(outbox).await?;
        outbox.flush().await
    }

    /// Sends what there is now of these things.
    pub(super) async fn tell<S: Socket>(
        &mut self,
        due: Vec<Change>,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        if due.is_empty() {
            return Ok(());
        }
        for frame in self.web.live.render(self.identity.user, due).await.map_err(End::Refused)? {
            outbox.feed(frame).await?;
        }
        Ok(())
    }

    pub(super) fn owner(&self) -> CursorOwner {
        CursorOwner::User(self.identity.user)
    }

    /// Sends a cursor as of what was sent.
    pub(super) async fn send_cursor<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        self.cursor_at = Instant::now();
        let sealed = self.web.rooms.seal(self.owner(), &self.sent, Hlc::default());
        if sealed.complete {
            self.cursor_number = Some(self.sent.number);
        }
        outbox.feed(ServerFrame::Cursor { cursor: &sealed.text }.to_json()).await
    }

    /// Whether a cursor is to travel with what is sent now.
    pub(super) fn cursor_is_old(&self) -> bool {
        self.cursor_is_due() && self.cursor_at.elapsed() >= CURSOR_EVERY
    }
}
