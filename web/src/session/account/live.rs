//! The live part of an account session: sends the frames of all lanes in rounds, acks and cursors, and takes requests.

use std::{
    future::{pending, ready},
    mem,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
};

use starling_protocol::{CursorOwner, Hlc, RoomId, UserId};
use tokio::time::{Instant, sleep_until};

use super::{
    SessionUser,
    catch_up::{Backlog, user_presence},
    lane_set::LaneSet,
};
use crate::{
    lane::{CommitPoint, Frame, Lagged, Subscription},
    live_frame::LiveFrame,
    objects::PresenceState,
    service::{CatchUpOutcome, Identity, Online, Post, PostOutcome, Refusal, UserContext},
    session::{
        TAKE_FRAMES,
        connection::Connection,
        core::SessionCore,
        delivery::Delivery,
        deps::SessionDeps,
        end::{End, Never},
        group::Membership,
        login::{CHECK_EVERY, check_login},
        participant::ResumePoint,
        socket::Socket,
        visibility::Visibility,
    },
};

/// The work of one request, which runs while the session keeps sending frames. Its result may be a post for the writer.
pub(super) type PendingRequest<'a> = Pin<Box<dyn Future<Output = RequestOutcome> + Send + 'a>>;
/// The result of a request, with the id from its frame in the client's spelling.
pub(super) type RequestOutcome = (Option<String>, Result<Option<Post>, Refusal>);

pub struct AccountSession<'a> {
    pub(super) core: SessionCore<'a>,
    pub(super) identity: Identity,
    /// The client's network.
    pub(super) network: IpAddr,
    /// Keeps the user online.
    _online: Online,
    /// Its `rooms` are empty: `lane_set` has them. So are its sets of blocked people: `visibility` has them.
    pub(super) context: UserContext,
    visibility: Arc<Visibility>,
    /// Whether the user may see more people than when the client last got the list of online users.
    sees_more_people: bool,
    pub(super) lane_set: LaneSet<Membership>,
    /// Changes to send from the store before more frames of the lanes.
    pub(super) backlog: Option<Backlog>,
    /// Whether this node holds everything that the client's cursor covers.
    pub(super) node_holds_cursor: bool,
    login_checked_at: Instant,
    /// A stamp that the client presented and this node may not hold: posts get greater ones.
    pub(super) above_hlc: Hlc,
    /// The last request, if it isn't finished. The session reads the next one after it.
    pub(super) pending_request: Option<PendingRequest<'a>>,
    frames: Vec<Frame>,
}

impl<'a> AccountSession<'a> {
    /// Takes positions in the lanes, sends the welcome, and reads what the client lacks.
    pub async fn begin<S: Socket>(
        deps: &'a SessionDeps,
        user: Box<SessionUser>,
        connection: &mut Connection<S>,
    ) -> Result<Self, End> {
        let SessionUser { identity, client, resume_point, last_seen_pos } = *user;
        let network = client.network;
        // Followed before any read: later commits are in the lanes, whatever is read.
        let mut lane_set = LaneSet::new(&deps.lanes, identity.user);
        let node_holds_cursor = match &resume_point {
            ResumePoint::Cursor(cursor, _) => {
                deps.cursors.wait_for(&cursor.vector).await == CatchUpOutcome::All
            }
            ResumePoint::Nothing | ResumePoint::Unreadable(_) => true,
        };
        check_login(deps, identity).await?;
        let mut context = deps.live.user_context(identity.user).await.map_err(End::Refused)?;
        let above_hlc = match last_seen_pos {
            Some(pos) => deps.live.above_hlc_unless_held(pos).await.map_err(End::Refused)?,
            None => Hlc::default(),
        };
        let nothing_sent = Delivery::new(CommitPoint { number: 0, vector: Arc::default() });
        let core = SessionCore::new(deps, CursorOwner::User(identity.user), client, nothing_sent, connection);
        let visibility = take_visibility(&mut context, identity.user);
        core.reader.set_account(lane_set.own_position().clone(), Arc::clone(&visibility));
        for room in mem::take(&mut context.rooms) {
            lane_set.follow(room, |lane| deps.groups.join(room, &core.reader, lane, &deps.for_group()));
        }
        let mut session = Self {
            core,
            identity,
            _online: deps.live.mark_online(identity.user),
            context,
            visibility,
            sees_more_people: false,
            lane_set,
            backlog: None,
            node_holds_cursor,
            login_checked_at: Instant::now(),
            network,
            above_hlc,
            pending_request: None,
            frames: Vec::new(),
        };
        session.resume(resume_point, connection).await?;
        Ok(session)
    }

    pub async fn run<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<Never, End> {
        let mut drain = self.core.deps.drain.clone();
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        loop {
            self.lend_if_idle(connection);
            let due = self.core.next_due().min(self.login_checked_at + CHECK_EVERY);
            if due < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            let (busy, is_lent) = (self.is_busy(), self.core.is_lent());
            // In this order: what is sent is written once nothing else is ready, so that acks and cursors are in the
            // same write as frames.
            tokio::select! {
                biased;
                () = drain.begun() => return Box::pin(self.hand_over(connection)).await,
                outcome = self.core.posts.next() => self.acknowledge(outcome, connection).await?,
                outcome = await_request(&mut self.pending_request) => Box::pin(self.finish_request(outcome, connection)).await?,
                message = connection.next(), if self.core.posts.has_room() && self.pending_request.is_none() => {
                    Box::pin(self.incoming(message, connection)).await?;
                }
                () = &mut timer => self.on_timer(connection).await?,
                () = self.core.reader.returned(), if is_lent => self.core.reclaim(connection),
                () = self.lane_set.ready(is_lent), if !busy => {
                    self.core.reclaim(connection);
                    self.lane_set.begin_round();
                    self.step(connection).await?;
                }
                () = ready(()), if busy => self.step(connection).await?,
                () = ready(()), if !is_lent && connection.has_unsent() => connection.flush().await?,
            }
        }
    }

    /// Returns whether there are frames to send.
    fn is_busy(&self) -> bool {
        self.backlog.is_some() || self.lane_set.in_round()
    }

    /// Lets the groups write the frames of the rooms, if the session has nothing else to send.
    fn lend_if_idle<S: Socket>(&mut self, connection: &Connection<S>) {
        if self.is_busy() || self.pending_request.is_some() {
            return;
        }
        self.core.lend_if_idle(connection);
        if self.core.is_lent() {
            // An idle session keeps no buffers.
            self.frames = Vec::new();
        }
    }

    /// This node stops serving: sends the acks of posts in flight and the frames that are there, then ends the
    /// session.
    async fn hand_over<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<Never, End> {
        self.core.reclaim(connection);
        self.core.send_last_acks(connection).await?;
        // The next node sends the backlog.
        self.empty_lanes(connection).await?;
        connection.flush().await?;
        self.core.hand_over()
    }

    /// Sends all frames that the lanes have now, unless there is a backlog.
    pub(super) async fn empty_lanes<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<(), End> {
        if self.backlog.is_none() {
            self.lane_set.begin_round();
        }
        while self.lane_set.in_round() && self.backlog.is_none() {
            self.step(connection).await?;
        }
        Ok(())
    }

    async fn acknowledge<S: Socket>(
        &mut self,
        outcome: PostOutcome,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        self.core.reclaim(connection);
        self.core.posts.send_outcomes(self.core.deps, outcome, connection, |_, _| {}).await
    }

    async fn on_timer<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<(), End> {
        if self.login_checked_at.elapsed() >= CHECK_EVERY {
            self.login_checked_at = Instant::now();
            check_login(self.core.deps, self.identity).await?;
        }
        if self.core.is_lent() && Instant::now() < self.core.next_due() {
            return Ok(());
        }
        self.core.reclaim(connection);
        if self.core.take_cursor_timeout() {
            // The cursor follows at the end of the round.
            self.lane_set.begin_round();
        }
        self.core.on_silence(connection)
    }

    /// Sends one batch of the backlog or of the lanes.
    async fn step<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<(), End> {
        // First, because the user may be logged out, or no longer in a room.
        self.send_own_lane(connection).await?;
        if self.backlog.is_some() {
            return Box::pin(self.send_backlog(connection)).await;
        }
        let mut frames = mem::take(&mut self.frames);
        let delivered = match self.lane_set.take_next(TAKE_FRAMES, &mut frames) {
            Err(Lagged) => Box::pin(self.start_catch_up(connection)).await,
            Ok(Some(room)) => self.deliver(room, &frames, connection).await,
            Ok(None) => self.finish_round(connection).await,
        };
        frames.clear();
        self.frames = frames;
        delivered
    }

    async fn finish_round<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<(), End> {
        let Some(point) = self.lane_set.end_round() else { return Ok(()) };
        self.core.delivery.reach(point);
        if self.core.should_send_cursor() {
            self.core.send_cursor(connection).await?;
        }
        self.core.on_lanes_empty();
        Ok(())
    }

    /// Sends the frames of the user's own lane.
    async fn send_own_lane<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<(), End> {
        while self.lane_set.own_is_ready() {
            let mut frames = Vec::new();
            if self.lane_set.take_own(TAKE_FRAMES, &mut frames).is_err() {
                return Box::pin(self.start_catch_up(connection)).await;
            }
            if frames.iter().any(Frame::is_invalidation) {
                Box::pin(self.refresh_context(connection)).await?;
            }
            self.send(&frames, connection).await?;
            Box::pin(self.send_online_users(connection)).await?;
        }
        Ok(())
    }

    /// Sends frames of a room's lane.
    async fn deliver<S: Socket>(
        &mut self,
        room: RoomId,
        frames: &[Frame],
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        // A commit is pushed to the lanes of users before those of rooms. So if it removed the user from the room, their
        // own lane already has that change.
        self.send_own_lane(connection).await?;
        if self.backlog.is_some() || !self.lane_set.follows(room) {
            return Ok(());
        }
        self.send(frames, connection).await?;
        if frames.iter().any(|frame| frame.is_invalidation() && self.core.delivery.is_new(frame)) {
            // All other changes that the user may see come in their own lane.
            let (frame, is_in) =
                self.core.deps.live.room(self.identity.user, room).await.map_err(End::Refused)?;
            if !is_in {
                Box::pin(self.refresh_context(connection)).await?;
            }
            connection.feed(frame).await?;
            Box::pin(self.send_online_users(connection)).await?;
        }
        Ok(())
    }

    /// Sends those frames that the user may see and no replay has sent.
    async fn send<S: Socket>(&mut self, frames: &[Frame], connection: &mut Connection<S>) -> Result<(), End> {
        let mut delivered = 0;
        for frame in frames {
            if !self.core.delivery.is_new(frame) {
                continue;
            }
            self.core.delivery.note_frame(frame);
            if !frame.is_invalidation() && self.visibility.shows(frame) {
                connection.feed_frame(frame).await?;
                delivered += 1;
            }
        }
        self.core.note_frames_sent(delivered);
        Ok(())
    }

    /// Reads the user's account, rooms, blocks and profile again, and sends what differs. Ends the session if the
    /// user is logged out.
    pub(super) async fn refresh_context<S: Socket>(
        &mut self,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        self.login_checked_at = Instant::now();
        check_login(self.core.deps, self.identity).await?;
        let user = self.identity.user;
        let context = self.core.deps.live.user_context(user).await.map_err(End::Refused)?;
        let before = mem::replace(&mut self.context, context);
        if self.context.user != before.user {
            self.welcome_again(connection).await?;
        }
        let visibility = take_visibility(&mut self.context, user);
        let hidden_before = mem::replace(&mut self.visibility, visibility).hidden();
        let hidden = self.visibility.hidden();
        self.core.reader.set_account(self.lane_set.own_position().clone(), Arc::clone(&self.visibility));
        let rooms = mem::take(&mut self.context.rooms);
        self.lane_set.retain(|room| rooms.contains(&room));
        self.sees_more_people |=
            !self.context.contacts.is_subset(&before.contacts) || !hidden_before.is_subset(&hidden);
        for room in rooms {
            // Followed before the client learns of the room and loads its messages, so that nothing is lost in between.
            let (deps, reader) = (self.core.deps, &self.core.reader);
            let join = |lane: &Subscription| deps.groups.join(room, reader, lane, &deps.for_group());
            if self.lane_set.follow(room, join) {
                self.sees_more_people = true;
                if !self.context.severed_rooms.contains(&room) {
                    let online = LiveFrame::Presence(user_presence(user, PresenceState::Online));
                    self.core.deps.live.broadcast(room, user, online.to_json());
                }
            }
        }
        let newly_hidden: Vec<_> = hidden.difference(&hidden_before).copied().collect();
        if !newly_hidden.is_empty() {
            // The user must not learn that a stranger blocked them.
            for other in self.core.deps.live.known(user, newly_hidden).await.map_err(End::Refused)? {
                let frame = LiveFrame::Presence(user_presence(other, PresenceState::Offline));
                connection.feed(frame.to_json()).await?;
            }
        }
        Ok(())
    }

    /// Sends the list of online users again, if the user may see more people than before.
    pub(super) async fn send_online_users<S: Socket>(
        &mut self,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        if mem::take(&mut self.sees_more_people) {
            for user in self.core.deps.live.online(self.identity.user).await.map_err(End::Refused)? {
                let frame = LiveFrame::Presence(user_presence(user, PresenceState::Online));
                connection.feed(frame.to_json()).await?;
            }
        }
        Ok(())
    }
}

async fn await_request(pending_request: &mut Option<PendingRequest<'_>>) -> RequestOutcome {
    match pending_request {
        Some(pending_request) => pending_request.await,
        None => pending().await,
    }
}

/// Moves the sets of blocked people out of a context.
fn take_visibility(context: &mut UserContext, user: UserId) -> Arc<Visibility> {
    let (blocked, blocked_by) = (mem::take(&mut context.blocked), mem::take(&mut context.blocked_by));
    Arc::new(Visibility { user, blocked, blocked_by })
}
