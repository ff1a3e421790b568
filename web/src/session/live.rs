//! The live part of a session: sends the lane's frames, acks and cursors, and takes posts.

mod catch_up;

use std::{future::ready, time::Duration};

use axum::extract::ws::Message;
use starling_protocol::{
    Hlc, MessageId, MessagePosted,
    frame::client::{self, ClientFrameError, GivenId, ServerFrame},
};
use tokio::time::{Instant, sleep_until};

use super::{
    End, Never, Outbox, Participant, Posts, Socket, account,
    catch_up_progress::CatchUpProgress,
    delivery::{Delivery, Marks},
    keepalive::{Keepalive, Received},
    posts::refuse,
    replay::{Backlog, Replayed},
};
use crate::{
    guard::{Quota, Written},
    lane::{Frame, Subscription},
    routes::AppState,
    service::{Post, PostOutcome, Refusal},
};

/// The most time between the last frame and its cursor. While frames flow, a cursor follows this often.
pub const CURSOR_EVERY: Duration = Duration::from_millis(200);
/// The most frames that are taken from the lane at once.
pub const TAKE_FRAMES: usize = 64;

pub struct QuickSession<'a> {
    app: &'a AppState,
    participant: &'a mut Participant,
    lane: Subscription,
    delivery: Delivery,
    marks: Marks,
    /// Messages that the lane no longer holds and the client lacks.
    backlog: Option<Backlog>,
    catch_up_progress: CatchUpProgress,
    cursor_at: Instant,
    /// When the last frame was sent.
    frame_at: Instant,
    keepalive: Keepalive,
    /// The greatest stamp that the client was shown or acked in this room. Its posts get greater ones.
    greatest: Hlc,
    posts: Posts,
    frames: Vec<Frame>,
}

impl<'a> QuickSession<'a> {
    pub fn new(
        app: &'a AppState,
        participant: &'a mut Participant,
        lane: Subscription,
        replayed: Replayed,
        after: Option<Hlc>,
    ) -> Self {
        let now = Instant::now();
        let client = participant.client.clone();
        Self {
            app,
            participant,
            lane,
            delivery: Delivery::new(replayed.point),
            marks: Marks::default(),
            backlog: None,
            catch_up_progress: CatchUpProgress::default(),
            greatest: replayed.greatest.max(after.unwrap_or_default()),
            cursor_at: now,
            frame_at: now,
            keepalive: Keepalive::new(&app.guard.rates, client),
            posts: Posts::new(),
            frames: Vec::new(),
        }
    }

    pub async fn run<S: Socket>(mut self, outbox: &mut Outbox<S>) -> Result<Never, End> {
        let mut drain = self.app.drain.clone();
        // First the cursor for the replay, then the frames that the lane has gathered since.
        self.send_cursor(outbox).await?;
        self.deliver(outbox, CURSOR_EVERY).await?;
        let timer = sleep_until(Instant::now());
        let over = account::wait_for_end(self.app, self.participant.identity);
        tokio::pin!(timer, over);
        loop {
            let due = self.next_due();
            // A timer that fires too early costs less than moving it with every frame.
            if due < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            tokio::select! {
                () = self.lane.changed(), if self.backlog.is_none() => {
                    self.deliver(outbox, CURSOR_EVERY).await?;
                }
                () = ready(()), if self.backlog.is_some() => self.send_backlog(outbox).await?,
                outcome = self.posts.next() => self.acknowledge(outcome, outbox).await?,
                message = outbox.next(), if self.posts.has_room() => {
                    self.incoming(message, outbox).await?;
                }
                () = &mut timer => self.on_timer(outbox).await?,
                _ = &mut self.participant.lease.taken_over => return Err(End::TakenOver),
                end = &mut over => return Err(end),
                () = drain.begun() => return self.hand_over(outbox).await,
            }
        }
    }

    /// This node stops serving: sends the acks of posts in flight and the frames that are there, then ends the
    /// session.
    async fn hand_over<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<Never, End> {
        self.posts.notify_pending(self.app, outbox).await?;
        while !self.deliver(outbox, CURSOR_EVERY).await? {}
        Err(End::Elsewhere(self.app.drain.serving()))
    }

    fn next_due(&self) -> Instant {
        let ping_due = self.keepalive.due();
        if self.delivery.needs_cursor() { ping_due.min(self.frame_at + CURSOR_EVERY) } else { ping_due }
    }

    /// Sends one batch of the lane's frames, and a cursor if one is needed and the last is at least `cursor_age` old.
    /// Returns whether the lane is drained.
    async fn deliver<S: Socket>(
        &mut self,
        outbox: &mut Outbox<S>,
        cursor_age: Duration,
    ) -> Result<bool, End> {
        if self.backlog.is_some() {
            // The backlog goes first. A client that has to leave meanwhile gets it from the next node.
            return outbox.flush().await.map(|()| true);
        }
        self.frames.clear();
        let Ok((end, point)) = self.lane.take_with_commit(TAKE_FRAMES, &mut self.frames) else {
            self.start_catch_up(outbox).await?;
            return Ok(false);
        };
        self.marks.set(end, point);
        let mut delivered = 0;
        for frame in self.frames.drain(..) {
            if self.delivery.is_new(&frame) {
                self.greatest = self.greatest.max(frame.hlc);
                self.delivery.note_frame(&frame);
                outbox.feed(frame.text).await?;
                delivered += 1;
            }
        }
        if delivered > 0 {
            self.frame_at = Instant::now();
            self.app.metrics.deliveries.inc_by(delivered);
        }
        self.marks.pass(self.lane.position(), &mut self.delivery);
        if self.delivery.needs_cursor() && self.cursor_at.elapsed() >= cursor_age {
            self.send_cursor(outbox).await?;
        }
        let drained = end == self.lane.position();
        if drained {
            self.catch_up_progress = CatchUpProgress::default();
            outbox.flush().await?;
        }
        Ok(drained)
    }

    async fn send_cursor<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        self.cursor_at = Instant::now();
        let sealed = self.app.rooms.seal(self.participant.owner(), self.delivery.sent(), self.greatest);
        if sealed.complete {
            self.delivery.note_cursor();
        }
        outbox.feed(ServerFrame::Cursor { cursor: &sealed.text }.to_json()).await
    }

    async fn on_timer<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        if self.delivery.needs_cursor() && self.frame_at.elapsed() >= CURSOR_EVERY {
            // If the cursor can't be complete yet, the next try follows as much later.
            self.frame_at = Instant::now();
            self.deliver(outbox, Duration::ZERO).await?;
        }
        self.keepalive.on_timer(outbox).await
    }

    async fn incoming<S: Socket>(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        match self.keepalive.on_frame(&self.app.guard.rates, message)? {
            Received::Text(text) => self.frame(client::parse_post(&text), text.len(), outbox).await,
            Received::Binary => self.frame(Err(ClientFrameError::Binary), 0, outbox).await,
            Received::Nothing => Ok(()),
        }
    }

    /// Counts a frame, readable or not, and serves it.
    async fn frame<S: Socket>(
        &mut self,
        post: Result<client::ClientPost, ClientFrameError>,
        bytes: usize,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        let (rates, guest) = (&self.app.guard.rates, self.participant.guest);
        let written = Written {
            network: self.participant.client.network,
            account: self.participant.identity.map(|identity| identity.user),
            room: Some(self.participant.room),
            bytes,
        };
        let counted = rates.check(Quota::MessagesPerSession, &guest);
        if let Err(refusal) = counted.and_then(|()| rates.check_written(&written)) {
            let given = |post: &client::ClientPost| post.id.as_ref().map(GivenId::to_text);
            let id = post.as_ref().map_or_else(ClientFrameError::id, given);
            refuse(self.app, outbox, &refusal, id).await?;
            return rates.check(Quota::FloodingPerSession, &guest).map_err(|_| End::Flooding);
        }
        match post {
            Ok(post) => self.post(post, outbox).await,
            Err(error) => {
                let refusal = Refusal::new(error.code(), error.to_string());
                refuse(self.app, outbox, &refusal, error.id()).await
            }
        }
    }

    async fn post<S: Socket>(&mut self, post: client::ClientPost, outbox: &mut Outbox<S>) -> Result<(), End> {
        self.app.metrics.posts.inc();
        let id = post.id.as_ref().map_or_else(MessageId::now_v7, |given| given.id);
        if let Some(given) = &post.id {
            self.posts.note(given);
        }
        let echoed = post.id.as_ref().map_or_else(|| id.to_string(), GivenId::to_text);
        let message = MessagePosted::new(id, self.participant.sender.clone(), post.text);
        let post = Post { room: self.participant.room, message, min_hlc: Some(self.greatest) };
        match self.posts.submit(|outcomes| self.app.rooms.post(post, outcomes)) {
            Ok(()) => Ok(()),
            Err(refusal) => refuse(self.app, outbox, &refusal, Some(echoed)).await,
        }
    }

    async fn acknowledge<S: Socket>(
        &mut self,
        outcome: PostOutcome,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        let greatest = &mut self.greatest;
        self.posts.notify(self.app, outcome, outbox, |_, pos| *greatest = pos.hlc.max(*greatest)).await
    }
}
