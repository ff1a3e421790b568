//! Reads the changes that a client lacks from the store: at a resume, and when the session lagged behind one of its lanes.
//! Between the batches, acks go out and requests come in.

use std::{sync::Arc, vec};

use starling_protocol::{UserId, VersionVector, frame::client::ServerFrame};

use super::live::AccountSession;
use crate::{
    lane::CommitPoint,
    live_frame::{LiveFrame, UserPresence},
    objects::PresenceState,
    service::LiveChange,
    session::{
        connection::Connection, delivery::Delivery, end::End, keepalive::PING_AFTER,
        participant::ResumePoint, socket::Socket,
    },
};

/// The number of changes in one batch. It bounds the memory of a session.
const BATCH: usize = 100;

/// Changes that a client lacks, up to a commit point.
pub struct Backlog {
    changes: vec::IntoIter<LiveChange>,
    point: CommitPoint,
}

/// Returns the part of a frame that says whether a user is online.
pub(super) fn user_presence(user: UserId, state: PresenceState) -> UserPresence {
    UserPresence { user_id: user.to_string(), state }
}

impl AccountSession<'_> {
    /// Sends the welcome, and reads what the client lacks.
    pub(super) async fn resume<S: Socket>(
        &mut self,
        resume_point: ResumePoint,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        let empty_cursor = self.core.seal_empty();
        let resync = match resume_point {
            ResumePoint::Nothing => false,
            ResumePoint::Unreadable(reason) => {
                tracing::debug!(%reason, "resync");
                true
            }
            ResumePoint::Cursor(cursor, text) => {
                if self.node_holds_cursor
                    && let Some(backlog) = self.read_backlog(&cursor.vector).await?
                {
                    self.core.delivery =
                        Delivery::new(CommitPoint { number: 0, vector: cursor.vector.into() });
                    self.backlog = Some(backlog);
                    self.core.begin_backlog();
                    // The old cursor stays valid until all of this was sent.
                    return self.welcome(&text, connection).await;
                }
                true
            }
        };
        self.welcome(&empty_cursor, connection).await?;
        if resync {
            self.core.deps.metrics.resyncs.inc();
            connection.feed(ServerFrame::Resync { cursor: &empty_cursor }.to_json()).await?;
        }
        // The client loads its rooms in pages, so it lacks only the read positions of others, which `changes_between`
        // returns even for an empty range.
        self.core.delivery = Delivery::new(self.core.deps.lanes.settled().await);
        let held = Arc::clone(&self.core.delivery.sent().vector);
        self.backlog = self.read_backlog(&held).await?;
        if self.backlog.is_some() {
            self.core.begin_backlog();
        }
        Ok(())
    }

    /// Sends the client its user, the users who are online, and the cursor from which the following frames continue.
    pub(super) async fn welcome<S: Socket>(
        &mut self,
        cursor: &str,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        let online = self.core.deps.live.online(self.identity.user).await.map_err(End::Refused)?;
        let frame = LiveFrame::Welcome {
            user: &self.context.user,
            node: &self.core.deps.settings.node,
            cursor,
            heartbeat_s: PING_AFTER.as_secs(),
            presence: online.into_iter().map(|user| user_presence(user, PresenceState::Online)).collect(),
            public_urls: self.core.deps.operations.public_urls(),
        };
        connection.feed(frame.to_json()).await
    }

    /// Reads the changes that were committed beyond `from` before the session took its positions in the lanes. Returns
    /// `None` if there are too many.
    async fn read_backlog(&mut self, from: &VersionVector) -> Result<Option<Backlog>, End> {
        let point = self.core.deps.lanes.settled().await;
        let changes =
            self.core.deps.live.changes_between(self.identity.user, from.clone(), point.clone()).await;
        Ok(changes.map_err(End::Refused)?.map(|changes| Backlog { changes: changes.into_iter(), point }))
    }

    /// Moves to the end of all lanes, and reads the skipped changes from the store.
    pub(super) async fn start_catch_up<S: Socket>(
        &mut self,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        // Skipped before the read: later commits are in the lanes, whatever is read.
        let ephemeral_skipped = self.lane_set.skip_to_end();
        self.refresh_context(connection).await?;
        let held = Arc::clone(&self.core.delivery.sent().vector);
        let backlog = self.read_backlog(&held).await?.ok_or(End::Lagged)?;
        self.core.start_catch_up(backlog.changes.len())?;
        self.backlog = Some(backlog);
        if ephemeral_skipped {
            self.welcome_again(connection).await?;
        }
        Ok(())
    }

    /// Sends another welcome, with the current state of the user and of presence.
    pub(super) async fn welcome_again<S: Socket>(
        &mut self,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        self.welcome(&self.core.seal().text, connection).await
    }

    /// Sends the next batch of the backlog, and a cursor after the last.
    pub(super) async fn send_backlog<S: Socket>(
        &mut self,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        let Some(backlog) = &mut self.backlog else { return Ok(()) };
        self.core.restart_cursor_timer();
        let batch: Vec<_> = backlog.changes.by_ref().take(BATCH).collect();
        if !batch.is_empty() {
            return self.send_changes(batch, connection).await;
        }
        let point = backlog.point.clone();
        self.backlog = None;
        self.send_online_users(connection).await?;
        self.core.finish_backlog(point, connection).await
    }

    /// Sends the current state of everything that changed.
    pub(super) async fn send_changes<S: Socket>(
        &mut self,
        changes: Vec<LiveChange>,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        if changes.is_empty() {
            return Ok(());
        }
        for frame in self.core.deps.live.render(self.identity.user, changes).await.map_err(End::Refused)? {
            connection.feed(frame).await?;
        }
        Ok(())
    }
}
