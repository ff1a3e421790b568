//! The live part: sends the frames of all lanes in rounds, acks and cursors, and takes requests.

use std::{
    future::{pending, ready},
    mem,
    net::IpAddr,
    pin::Pin,
};

use starling_protocol::{Hlc, RoomId};
use tokio::time::{Instant, sleep_until};

use super::{
    Account, CHECK_EVERY, End, Never, Outbox, Socket,
    catch_up::{Backlog, available},
    is_alive,
    lane_set::LaneSet,
};
use crate::{
    lane::{CommitPoint, Frame, Lagged},
    live_frame::LiveFrame,
    objects::PresenceState,
    routes::AppState,
    service::{CaughtUp, Identity, Online, Post, Refusal, UserContext},
    session::{
        Posts, ResumePoint,
        catch_up_progress::CatchUpProgress,
        delivery::Delivery,
        keepalive::Keepalive,
        live::{CURSOR_EVERY, TAKE_FRAMES},
    },
};

/// The work of one request, done while frames go on. Its result may be a post for the writer.
pub(super) type PendingRequest<'a> = Pin<Box<dyn Future<Output = RequestOutcome> + Send + 'a>>;
/// The result of a request, with the id from its frame in the client's spelling.
pub(super) type RequestOutcome = (Option<String>, Result<Option<Post>, Refusal>);

pub struct AccountSession<'a> {
    pub(super) app: &'a AppState,
    pub(super) identity: Identity,
    /// The client's network.
    pub(super) network: IpAddr,
    /// Keeps the user online.
    _online: Online,
    pub(super) context: UserContext,
    /// The user has come to see more people since the client was told who is online.
    sees_more_people: bool,
    pub(super) lane_set: LaneSet,
    pub(super) delivery: Delivery,
    /// Changes to send from the store before the lanes go on.
    pub(super) backlog: Option<Backlog>,
    pub(super) catch_up_progress: CatchUpProgress,
    /// Whether this node holds everything that the client's cursor covers.
    pub(super) caught_up: bool,
    pub(super) cursor_at: Instant,
    /// When the last frame was sent.
    pub(super) frame_at: Instant,
    checked_at: Instant,
    pub(super) keepalive: Keepalive,
    pub(super) posts: Posts,
    /// A stamp that the client presented and this node may not hold: posts get greater ones.
    pub(super) min_hlc: Hlc,
    /// The last request, if it isn't finished. The session reads the next one after it.
    pub(super) pending_request: Option<PendingRequest<'a>>,
    frames: Vec<Frame>,
}

impl<'a> AccountSession<'a> {
    /// Takes positions in the lanes, sends the welcome, and reads what the client lacks.
    pub async fn begin<S: Socket>(
        app: &'a AppState,
        account: Account,
        outbox: &mut Outbox<S>,
    ) -> Result<Self, End> {
        let Account { identity, client, resume_point, after } = account;
        let network = client.network;
        // Followed before any read: later commits are in the lanes, whatever is read.
        let mut lane_set = LaneSet::new(&app.lanes, identity.user);
        let caught_up = match &resume_point {
            ResumePoint::Cursor(cursor, _) => app.rooms.catch_up(&cursor.vector).await == CaughtUp::All,
            ResumePoint::Nothing | ResumePoint::Unreadable(_) => true,
        };
        is_alive(app, identity).await?;
        let mut context = app.live.around(identity.user).await.map_err(End::Refused)?;
        for room in mem::take(&mut context.rooms) {
            lane_set.follow(room);
        }
        let min_hlc = match after {
            Some(after) => app.live.floor(after).await.map_err(End::Refused)?,
            None => Hlc::default(),
        };
        let now = Instant::now();
        let mut live = Self {
            app,
            identity,
            _online: app.live.come(identity.user),
            context,
            sees_more_people: false,
            lane_set,
            delivery: Delivery::new(CommitPoint { number: 0, vector: std::sync::Arc::default() }),
            backlog: None,
            catch_up_progress: CatchUpProgress::default(),
            caught_up,
            cursor_at: now,
            frame_at: now,
            checked_at: now,
            keepalive: Keepalive::new(&app.guard.rates, client),
            network,
            posts: Posts::new(),
            min_hlc,
            pending_request: None,
            frames: Vec::new(),
        };
        live.resume(resume_point, outbox).await?;
        Ok(live)
    }

    pub async fn run<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<Never, End> {
        let mut drain = self.app.drain.clone();
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        loop {
            let due = self.next_due();
            if due < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            let busy = self.backlog.is_some() || self.lane_set.in_round();
            tokio::select! {
                () = self.lane_set.ready(), if !busy => {
                    self.lane_set.begin_round();
                    self.step(outbox).await?;
                }
                () = ready(()), if busy => self.step(outbox).await?,
                outcome = self.posts.next() => self.posts.notify(self.app, outcome, outbox, |_, _| {}).await?,
                outcome = await_request(&mut self.pending_request) => self.finish_request(outcome, outbox).await?,
                message = outbox.next(), if self.posts.has_room() && self.pending_request.is_none() => {
                    self.incoming(message, outbox).await?;
                }
                () = &mut timer => self.on_timer(outbox).await?,
                () = drain.begun() => return self.hand_over(outbox).await,
            }
        }
    }

    /// This node stops serving: sends the acks of posts in flight and the frames that are there, then ends the
    /// session.
    async fn hand_over<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<Never, End> {
        self.posts.notify_pending(self.app, outbox).await?;
        // The next node sends the backlog.
        if self.backlog.is_none() {
            self.lane_set.begin_round();
            while self.lane_set.in_round() && self.backlog.is_none() {
                self.step(outbox).await?;
            }
        }
        outbox.flush().await?;
        Err(End::Elsewhere(self.app.drain.serving()))
    }

    fn next_due(&self) -> Instant {
        let due = self.keepalive.due().min(self.checked_at + CHECK_EVERY);
        if self.cursor_is_due() { due.min(self.frame_at + CURSOR_EVERY) } else { due }
    }

    /// Whether a frame was sent that no complete cursor covers.
    pub(super) fn cursor_is_due(&self) -> bool {
        self.backlog.is_none() && self.delivery.needs_cursor()
    }

    async fn on_timer<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        if self.cursor_is_due() && self.frame_at.elapsed() >= CURSOR_EVERY {
            // The cursor follows at the end of the round. If it can't be complete yet, the next try follows as much
            // later.
            self.frame_at = Instant::now();
            self.lane_set.begin_round();
        }
        if self.checked_at.elapsed() >= CHECK_EVERY {
            self.checked_at = Instant::now();
            is_alive(self.app, self.identity).await?;
        }
        self.keepalive.on_timer(outbox).await
    }

    /// Sends one batch of the backlog or of the lanes.
    async fn step<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        // First, because the user may be logged out, or no longer in a room.
        self.take_own(outbox).await?;
        if self.backlog.is_some() {
            return self.send_backlog(outbox).await;
        }
        let mut frames = mem::take(&mut self.frames);
        let delivered = match self.lane_set.take_next(TAKE_FRAMES, &mut frames) {
            Err(Lagged) => self.start_catch_up(outbox).await,
            Ok(Some(room)) => self.deliver(room, &frames, outbox).await,
            Ok(None) => self.round_over(outbox).await,
        };
        frames.clear();
        self.frames = frames;
        delivered
    }

    async fn round_over<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        let Some(point) = self.lane_set.end_round() else { return Ok(()) };
        self.delivery.reach(point);
        if self.cursor_is_old() {
            self.send_cursor(outbox).await?;
        }
        self.catch_up_progress = CatchUpProgress::default();
        outbox.flush().await
    }

    /// Sends the frames of the user's own lane.
    async fn take_own<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        while self.lane_set.own_is_ready() {
            let mut frames = Vec::new();
            if self.lane_set.take_own(TAKE_FRAMES, &mut frames).is_err() {
                return self.start_catch_up(outbox).await;
            }
            if frames.iter().any(Frame::is_invalidation) {
                self.invalidate(outbox).await?;
            }
            self.send(&frames, outbox).await?;
            self.send_online_users(outbox).await?;
        }
        Ok(())
    }

    /// Sends frames of a room's lane.
    async fn deliver<S: Socket>(
        &mut self,
        room: RoomId,
        frames: &[Frame],
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        // A commit pushes to users before rooms: if it removed the user from the room, their own lane has that by
        // now.
        self.take_own(outbox).await?;
        if self.backlog.is_some() || !self.lane_set.follows(room) {
            return Ok(());
        }
        self.send(frames, outbox).await?;
        if frames.iter().any(|frame| frame.is_invalidation() && self.delivery.is_new(frame)) {
            // The user's own lane announces all other changes to what they see.
            let (frame, is_in) = self.app.live.room(self.identity.user, room).await.map_err(End::Refused)?;
            if !is_in {
                self.invalidate(outbox).await?;
            }
            outbox.feed(frame).await?;
            self.send_online_users(outbox).await?;
        }
        Ok(())
    }

    /// Sends those frames that the user may see and no replay has sent.
    async fn send<S: Socket>(&mut self, frames: &[Frame], outbox: &mut Outbox<S>) -> Result<(), End> {
        let mut delivered = 0;
        for frame in frames {
            if !self.delivery.is_new(frame) {
                continue;
            }
            self.delivery.note_frame(frame);
            if !frame.is_invalidation() && self.is_visible(frame) {
                outbox.feed(frame.text.clone()).await?;
                delivered += 1;
            }
        }
        self.frame_at = Instant::now();
        self.app.metrics.deliveries.inc_by(delivered);
        Ok(())
    }

    fn is_visible(&self, frame: &Frame) -> bool {
        let Some(from) = frame.from else { return true };
        let UserContext { blocked, blocked_by, .. } = &self.context;
        // Users don't see their own presence and typing.
        let of_the_moment = frame.commit == Frame::EPHEMERAL;
        let hidden = of_the_moment && (from == self.identity.user || blocked_by.contains(&from));
        !hidden && !blocked.contains(&from)
    }

    /// Reads the user's account, rooms, blocks and profile again, and sends what differs. Ends the session if the
    /// user is logged out.
    pub(super) async fn invalidate<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        self.checked_at = Instant::now();
        is_alive(self.app, self.identity).await?;
        let user = self.identity.user;
        let context = self.app.live.around(user).await.map_err(End::Refused)?;
        let before = mem::replace(&mut self.context, context);
        if self.context.user != before.user {
            self.welcome_again(outbox).await?;
        }
        let rooms = mem::take(&mut self.context.rooms);
        self.lane_set.retain(|room| rooms.contains(&room));
        let hidden = |context: &UserContext| &context.blocked | &context.blocked_by;
        let (hidden, hidden_before) = (hidden(&self.context), hidden(&before));
        self.sees_more_people |=
            !self.context.contacts.is_subset(&before.contacts) || !hidden_before.is_subset(&hidden);
        for room in rooms {
            // Followed before the client hears of the room and loads its pages: so nothing is lost between.
            if self.lane_set.follow(room) {
                self.sees_more_people = true;
                if !self.context.severed_rooms.contains(&room) {
                    let online = LiveFrame::Presence(available(user, PresenceState::Online));
                    self.app.live.show(room, user, online.to_json().into());
                }
            }
        }
        let gone: Vec<_> = hidden.difference(&hidden_before).copied().collect();
        if !gone.is_empty() {
            // The user must not learn that a stranger blocked them.
            for gone in self.app.live.known(user, gone).await.map_err(End::Refused)? {
                let frame = LiveFrame::Presence(available(gone, PresenceState::Offline));
                outbox.feed(frame.to_json()).await?;
            }
        }
        Ok(())
    }

    /// Sends who is online, if the user has come to see more people.
    pub(super) async fn send_online_users<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        if mem::take(&mut self.sees_more_people) {
            for there in self.app.live.online(self.identity.user).await.map_err(End::Refused)? {
                let frame = LiveFrame::Presence(available(there, PresenceState::Online));
                outbox.feed(frame.to_json()).await?;
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
