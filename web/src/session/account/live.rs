//! The live part: rounds through the lanes out, requests in, acks and cursors between them.

use std::{
    future::{pending, ready},
    mem,
    net::IpAddr,
    pin::Pin,
};

use starling_protocol::{Hlc, RoomId};
use tokio::time::{Instant, sleep_until};

use super::{
    Account, End, LOOK_EVERY, Never, Outbox, Socket,
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
        keepalive::Keepalive,
        live::{CURSOR_EVERY, TAKE_FRAMES},
    },
};

/// What a request waits for, while frames go on: a post that may be handed to the writer, or nothing more.
pub(super) type Doing<'a> = Pin<Box<dyn Future<Output = Done> + Send + 'a>>;
/// What came of a request, with the id in its frame as the client wrote it.
pub(super) type Done = (Option<String>, Result<Option<Post>, Refusal>);

pub struct AccountSession<'a> {
    pub(super) web: &'a AppState,
    pub(super) identity: Identity,
    /// The client's network.
    pub(super) network: IpAddr,
    /// His presence.
    _online: Online,
    pub(super) around: UserContext,
    /// Since he was told who is there, he came to know more people.
    sees_more: bool,
    pub(super) lane_set: LaneSet,
    /// All commits up to here have been sent.
    pub(super) sent: CommitPoint,
    /// What is to be sent from the store before the lanes go on.
    pub(super) backlog: Option<Backlog>,
    pub(super) catch_up_progress: CatchUpProgress,
    /// Whether this node holds all that the client's cursor covers.
    pub(super) caught_up: bool,
    /// The greatest commit of a frame that was sent; its point may not have been published yet.
    pub(super) shown: u64,
    /// Up to which commit the client has been given a complete cursor.
    pub(super) cursor_number: Option<u64>,
    pub(super) cursor_at: Instant,
    /// When the last frame was sent.
    pub(super) frame_at: Instant,
    looked_at: Instant,
    pub(super) keepalive: Keepalive,
    pub(super) posts: Posts,
    /// What the client has shown that this node may not hold: posts are stamped above it.
    pub(super) min_hlc: Hlc,
    /// What the last request waits for; the next is read after that.
    pub(super) doing: Option<Doing<'a>>,
    frames: Vec<Frame>,
}

impl<'a> AccountSession<'a> {
    /// Takes the positions in the lanes, sends the welcome, and finds out what the client lacks.
    pub async fn begin<S: Socket>(
        web: &'a AppState,
        account: Account,
        outbox: &mut Outbox<S>,
    ) -> Result<Self, End> {
        let Account { identity, client, resume_point, after } = account;
        let network = client.network;
        // Followed first: what is committed from here on is in the lanes, whatever is read.
        let mut lane_set = LaneSet::new(&web.lanes, identity.user);
        let caught_up = match &resume_point {
            ResumePoint::Cursor(cursor, _) => web.rooms.catch_up(&cursor.vector).await == CaughtUp::All,
            ResumePoint::Nothing | ResumePoint::Unreadable(_) => true,
        };
        is_alive(web, identity).await?;
        let mut around = web.live.user_context(identity.user).await.map_err(End::Refused)?;
        for room in mem::take(&mut around.rooms) {
            lane_set.follow(room);
        }
        let min_hlc = match after {
            Some(after) => web.live.min_hlc(after).await.map_err(End::Refused)?,
            None => Hlc::default(),
        };
        let now = Instant::now();
        let mut live = Self {
            web,
            identity,
            _online: web.live.mark_online(identity.user),
            around,
            sees_more: false,
            lane_set,
            sent: CommitPoint { number: 0, vector: std::sync::Arc::default() },
            backlog: None,
            catch_up_progress: CatchUpProgress::default(),
            caught_up,
            shown: 0,
            cursor_number: None,
            cursor_at: now,
            frame_at: now,
            looked_at: now,
            keepalive: Keepalive::new(&web.guard.rates, client),
            network,
            posts: Posts::new(),
            min_hlc,
            doing: None,
            frames: Vec::new(),
        };
        live.resume(resume_point, outbox).await?;
        Ok(live)
    }

    pub async fn run<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<Never, End> {
        let mut drain = self.web.drain.clone();
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
                outcome = self.posts.next() => self.posts.tell(self.web, outcome, outbox, |_, _| {}).await?,
                done = done(&mut self.doing) => self.done(done, outbox).await?,
                message = outbox.next(), if self.posts.has_room() && self.doing.is_none() => {
                    self.incoming(message, outbox).await?;
                }
                () = &mut timer => self.on_timer(outbox).await?,
                () = drain.begun() => return self.hand_over(outbox).await,
            }
        }
    }

    /// He goes elsewhere: acks that are owed and frames that are there still go out first.
    async fn hand_over<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<Never, End> {
        self.posts.tell_owed(self.web, outbox).await?;
        // The backlog is sent there.
        if self.backlog.is_none() {
            self.lane_set.begin_round();
            while self.lane_set.in_round() && self.backlog.is_none() {
                self.step(outbox).await?;
            }
        }
        outbox.flush().await?;
        Err(End::Elsewhere(self.web.drain.serving()))
    }

    fn next_due(&self) -> Instant {
        let due = self.keepalive.due().min(self.looked_at + LOOK_EVERY);
        if self.cursor_is_due() { due.min(self.frame_at + CURSOR_EVERY) } else { due }
    }

    /// Whether a frame was sent that no complete cursor covers.
    pub(super) fn cursor_is_due(&self) -> bool {
        self.backlog.is_none() && self.cursor_number.is_none_or(|number| number < self.shown)
    }

    async fn on_timer<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        if self.cursor_is_due() && self.frame_at.elapsed() >= CURSOR_EVERY {
            // Comes with the end of the round. If it cannot be complete yet, the next follows as late.
            self.frame_at = Instant::now();
            self.lane_set.begin_round();
        }
        if self.looked_at.elapsed() >= LOOK_EVERY {
            self.looked_at = Instant::now();
            is_alive(self.web, self.identity).await?;
        }
        self.keepalive.beat(outbox).await
    }

    /// Sends some of the backlog, or of what the lanes have.
    async fn step<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        // First: he may have to go, or be no longer in a room.
        self.take_own(outbox).await?;
        if self.backlog.is_some() {
            return self.send_missed(outbox).await;
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
        if self.sent.number < self.shown {
            self.sent = point;
        }
        if self.cursor_is_old() {
            self.send_cursor(outbox).await?;
        }
        self.catch_up_progress = CatchUpProgress::default();
        outbox.flush().await
    }

    /// Sends what is in his own lane.
    async fn take_own<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        while self.lane_set.own_has_rung() {
            let mut frames = Vec::new();
            if self.lane_set.take_own(TAKE_FRAMES, &mut frames).is_err() {
                return self.start_catch_up(outbox).await;
            }
            if frames.iter().any(Frame::is_look_again) {
                self.invalidate(outbox).await?;
            }
            self.send(&frames, outbox).await?;
            self.tell_who_is_there(outbox).await?;
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
        // A commit tells users before rooms: if he was removed before any of these, his own lane says so by now.
        self.take_own(outbox).await?;
        if self.backlog.is_some() || !self.lane_set.follows(room) {
            return Ok(());
        }
        self.send(frames, outbox).await?;
        if frames.iter().any(|frame| frame.is_look_again() && frame.commit > self.sent.number) {
            // Of all else that surrounds him, his own lane says when it has changed.
            let (frame, is_in) = self.web.live.room(self.identity.user, room).await.map_err(End::Refused)?;
            if !is_in {
                self.invalidate(outbox).await?;
            }
            outbox.feed(frame).await?;
            self.tell_who_is_there(outbox).await?;
        }
        Ok(())
    }

    /// Sends those frames that he is to see. What a replay has covered is left out.
    async fn send<S: Socket>(&mut self, frames: &[Frame], outbox: &mut Outbox<S>) -> Result<(), End> {
        let mut delivered = 0;
        for frame in frames.iter().filter(|frame| frame.commit > self.sent.number) {
            if frame.commit != Frame::EPHEMERAL {
                self.shown = self.shown.max(frame.commit);
            }
            if !frame.is_look_again() && self.is_shown(frame) {
                outbox.feed(frame.text.clone()).await?;
                delivered += 1;
            }
        }
        self.frame_at = Instant::now();
        self.web.metrics.deliveries.inc_by(delivered);
        Ok(())
    }

    fn is_shown(&self, frame: &Frame) -> bool {
        let Some(from) = frame.from else { return true };
        let UserContext { blocked, blocked_by, .. } = &self.around;
        // That he himself is there or typing is no news to him.
        let of_the_moment = frame.commit == Frame::EPHEMERAL;
        let hidden = of_the_moment && (from == self.identity.user || blocked_by.contains(&from));
        !hidden && !blocked.contains(&from)
    }

    /// Looks at what surrounds him: his session may be over, he may be in other rooms, or have another name. Frames tell
    /// him so.
    pub(super) async fn invalidate<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        self.looked_at = Instant::now();
        is_alive(self.web, self.identity).await?;
        let user = self.identity.user;
        let around = self.web.live.user_context(user).await.map_err(End::Refused)?;
        let before = mem::replace(&mut self.around, around);
        if self.around.user != before.user {
            self.welcome_again(outbox).await?;
        }
        let rooms = mem::take(&mut self.around.rooms);
        self.lane_set.leave(|room| rooms.contains(&room));
        let hidden = |around: &UserContext| &around.blocked | &around.blocked_by;
        let (hidden, hidden_before) = (hidden(&self.around), hidden(&before));
        self.sees_more |=
            !self.around.contacts.is_subset(&before.contacts) || !hidden_before.is_subset(&hidden);
        for room in rooms {
            // Before the client hears of it and loads its pages: nothing lies between.
            if self.lane_set.follow(room) {
                self.sees_more = true;
                if !self.around.severed_rooms.contains(&room) {
                    let online = LiveFrame::Presence(available(user, PresenceState::Online));
                    self.web.live.broadcast(room, user, online.to_json().into());
                }
            }
        }
        let gone: Vec<_> = hidden.difference(&hidden_before).copied().collect();
        if !gone.is_empty() {
            // That a stranger has blocked him, he is not to know.
            for gone in self.web.live.known(user, gone).await.map_err(End::Refused)? {
                let frame = LiveFrame::Presence(available(gone, PresenceState::Offline));
                outbox.feed(frame.to_json()).await?;
            }
        }
        Ok(())
    }

    /// Tells who is there, once he has been told by what he came to see more people.
    pub(super) async fn tell_who_is_there<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        if mem::take(&mut self.sees_more) {
            for there in self.web.live.online(self.identity.user).await.map_err(End::Refused)? {
                let frame = LiveFrame::Presence(available(there, PresenceState::Online));
                outbox.feed(frame.to_json()).await?;
            }
        }
        Ok(())
    }
}

async fn done(doing: &mut Option<Doing<'_>>) -> Done {
    match doing {
        Some(doing) => doing.await,
        None => pending().await,
    }
}
