//! The live part of a session: the lane out, posts in, acks and cursors between them.

mod behind;

use std::{collections::VecDeque, future::ready, time::Duration};

use axum::extract::ws::Message;
use starling_protocol::{
    Hlc, MessageId, MessagePosted, Sender,
    frame::client::{self, ClientFrameError, ServerFrame},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite;

use self::behind::Headway;
use super::{
    End, Never, Outbox, Seat, Socket,
    replay::{Missed, Shown},
};
use crate::{
    guard::Quota,
    lane::{CommitPoint, Frame, Subscription},
    routes::Web,
    service::{Post, PostOutcome, Refusal},
};

/// A cursor follows the last frame after this at the latest; while frames flow, one travels with them this often.
const CURSOR_EVERY: Duration = Duration::from_millis(200);
/// A silent client is asked whether it is there after this, and given up after twice as long.
const PING_AFTER: Duration = Duration::from_secs(30);
/// How long a stopping node waits for the acks that it owes a session.
const HAND_OVER_MAX: Duration = Duration::from_secs(1);
/// Posts of one session that are not acked yet; beyond it nothing more is read from it.
const POSTS_IN_FLIGHT_MAX: usize = 64;
/// Frames taken from the lane at once.
const TAKE_FRAMES: usize = 64;
/// Marks kept, at most: as many as a slow session sets on its way through a full lane.
const MARKS_MAX: usize = 128;

pub struct Live<'a> {
    web: &'a Web,
    seat: &'a mut Seat,
    lane: Subscription,
    /// All commits up to here have been sent.
    sent: CommitPoint,
    /// Places in the lane, in order, each with a commit whose frames lie before it: `sent` once it is reached.
    marks: VecDeque<(u64, CommitPoint)>,
    /// What the lane no longer has of what the session lacks.
    missed: Option<Missed>,
    headway: Headway,
    /// The greatest commit of a frame that was sent; its point may not have been published yet.
    shown: u64,
    /// Up to which commit the client has been given a complete cursor.
    cursor_number: Option<u64>,
    cursor_at: Instant,
    /// When the last frame was sent.
    frame_at: Instant,
    heard_at: Instant,
    pinged: bool,
    /// The greatest stamp that the client was shown or acked in this room; its posts are stamped above it.
    greatest: Hlc,
    outcomes: mpsc::UnboundedReceiver<PostOutcome>,
    outcomes_sender: mpsc::UnboundedSender<PostOutcome>,
    in_flight: usize,
    frames: Vec<Frame>,
}

impl<'a> Live<'a> {
    pub fn new(
        web: &'a Web,
        seat: &'a mut Seat,
        lane: Subscription,
        replayed: Shown,
        after: Option<Hlc>,
    ) -> Self {
        let (outcomes_sender, outcomes) = mpsc::unbounded_channel();
        let now = Instant::now();
        Self {
            web,
            seat,
            lane,
            shown: replayed.point.number,
            sent: replayed.point,
            marks: VecDeque::new(),
            missed: None,
            headway: Headway::default(),
            greatest: replayed.greatest.max(after.unwrap_or_default()),
            cursor_number: None,
            cursor_at: now,
            frame_at: now,
            heard_at: now,
            pinged: false,
            outcomes,
            outcomes_sender,
            in_flight: 0,
            frames: Vec::new(),
        }
    }

    pub async fn run<S: Socket>(mut self, outbox: &mut Outbox<S>) -> Result<Never, End> {
        let mut drain = self.web.drain.clone();
        // The cursor as of the replay, then what the lane has gathered meanwhile.
        self.send_cursor(outbox).await?;
        self.deliver(outbox, CURSOR_EVERY).await?;
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        loop {
            let due = self.next_due();
            // A timer that fires too early costs less than one that is moved with every frame.
            if due < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            tokio::select! {
                () = self.lane.changed(), if self.missed.is_none() => {
                    self.deliver(outbox, CURSOR_EVERY).await?;
                }
                () = ready(()), if self.missed.is_some() => self.send_missed(outbox).await?,
                Some(outcome) = self.outcomes.recv() => self.acknowledge(outcome, outbox).await?,
                message = outbox.next(), if self.in_flight < POSTS_IN_FLIGHT_MAX => {
                    self.incoming(message, outbox).await?;
                }
                () = &mut timer => self.on_timer(outbox).await?,
                _ = &mut self.seat.lease.taken_over => return Err(End::TakenOver),
                () = drain.begun() => return self.hand_over(outbox).await,
            }
        }
    }

    /// Users go elsewhere: acks that are owed and frames that are there still go out first.
    async fn hand_over<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<Never, End> {
        let owed = async {
            while self.in_flight > 0 {
                let Some(outcome) = self.outcomes.recv().await else { break };
                self.acknowledge(outcome, outbox).await?;
            }
            Ok(())
        };
        timeout(HAND_OVER_MAX, owed).await.unwrap_or(Ok(()))?;
        while !self.deliver(outbox, CURSOR_EVERY).await? {}
        Err(End::Elsewhere(self.web.drain.serving()))
    }

    fn next_due(&self) -> Instant {
        let ping_due = self.heard_at + if self.pinged { 2 * PING_AFTER } else { PING_AFTER };
        if self.cursor_is_due() { ping_due.min(self.frame_at + CURSOR_EVERY) } else { ping_due }
    }

    /// Whether a frame was sent that no complete cursor covers.
    fn cursor_is_due(&self) -> bool {
        self.cursor_number.is_none_or(|number| number < self.shown)
    }

    /// Sends what the lane has, as much as is taken at once, and a cursor if one is due that is so old. Says whether that
    /// was all.
    async fn deliver<S: Socket>(
        &mut self,
        outbox: &mut Outbox<S>,
        cursor_age: Duration,
    ) -> Result<bool, End> {
        if self.missed.is_some() {
            // That comes first; who is sent elsewhere meanwhile gets it there.
            return outbox.flush().await.map(|()| true);
        }
        // Read before the lane's end: all frames of this commit are before that.
        let point = self.web.lanes.commit_point();
        self.frames.clear();
        let Ok(end) = self.lane.take(TAKE_FRAMES, &mut self.frames) else {
            self.fall_behind(outbox).await?;
            return Ok(false);
        };
        if self.marks.len() < MARKS_MAX {
            self.marks.push_back((end, point));
        }
        let mut delivered = 0;
        for frame in self.frames.drain(..) {
            // The replay has covered earlier commits.
            if frame.commit > self.sent.number {
                self.greatest = self.greatest.max(frame.hlc);
                outbox.feed(frame.text).await?;
                delivered += 1;
                if frame.commit != Frame::EPHEMERAL {
                    self.shown = self.shown.max(frame.commit);
                }
            }
        }
        if delivered > 0 {
            self.frame_at = Instant::now();
            self.web.metrics.deliveries.inc_by(delivered);
        }
        while let Some((_, point)) = self.marks.pop_front_if(|(end, _)| *end <= self.lane.position()) {
            if self.sent.number < self.shown {
                self.sent = point;
            }
        }
        if self.cursor_is_due() && self.cursor_at.elapsed() >= cursor_age {
            self.send_cursor(outbox).await?;
        }
        let drained = end == self.lane.position();
        if drained {
            self.headway = Headway::default();
            outbox.flush().await?;
        }
        Ok(drained)
    }

    async fn send_cursor<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        self.cursor_at = Instant::now();
        let sealed = self.web.rooms.seal(self.seat.guest, self.seat.room, &self.sent, self.greatest);
        if sealed.complete {
            self.cursor_number = Some(self.sent.number);
        }
        outbox.feed(ServerFrame::Cursor { cursor: &sealed.text }.to_json()).await
    }

    async fn on_timer<S: Socket>(&mut self, outbox: &mut Outbox<S>) -> Result<(), End> {
        if self.cursor_is_due() && self.frame_at.elapsed() >= CURSOR_EVERY {
            // If it cannot be complete yet, the next follows as late.
            self.frame_at = Instant::now();
            self.deliver(outbox, Duration::ZERO).await?;
        }
        match self.heard_at.elapsed() {
            silent if silent >= 2 * PING_AFTER => Err(End::Gone),
            silent if silent >= PING_AFTER && !self.pinged => {
                self.pinged = true;
                outbox.ping().await
            }
            _ => Ok(()),
        }
    }

    async fn incoming<S: Socket>(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        self.heard_at = Instant::now();
        self.pinged = false;
        match message {
            Some(Ok(Message::Text(text))) => self.frame(client::parse_post(&text), outbox).await,
            Some(Ok(Message::Binary(_))) => self.frame(Err(ClientFrameError::Binary), outbox).await,
            // axum answers pings itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_))) | None => Err(End::Gone),
            Some(Err(error)) => Err(end_of(error)),
        }
    }

    /// A frame counts, whether it can be read or not.
    async fn frame<S: Socket>(
        &mut self,
        post: Result<client::ClientPost, ClientFrameError>,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        let (rates, guest) = (&self.web.guard.rates, self.seat.guest);
        if let Err(refusal) = rates.check(Quota::MessagesPerSession, &guest) {
            let id = post.as_ref().map_or_else(ClientFrameError::id, |post| post.id);
            self.refuse(&refusal, id, outbox).await?;
            return rates.check(Quota::FloodingPerSession, &guest).map_err(|_| End::Flooding);
        }
        match post {
            Ok(post) => self.post(post, outbox).await,
            Err(error) => {
                self.refuse(&Refusal::new(error.code(), error.to_string()), error.id(), outbox).await
            }
        }
    }

    async fn post<S: Socket>(&mut self, post: client::ClientPost, outbox: &mut Outbox<S>) -> Result<(), End> {
        self.web.metrics.posts.inc();
        let id = post.id.unwrap_or_else(MessageId::now_v7);
        let sender = Sender::Guest { id: self.seat.guest, name: self.seat.name.clone() };
        let message = MessagePosted::new(id, sender, post.text);
        let post = Post { room: self.seat.room, message, floor: Some(self.greatest) };
        match self.web.rooms.post(post, &self.outcomes_sender) {
            Ok(()) => {
                self.in_flight += 1;
                Ok(())
            }
            Err(refusal) => self.refuse(&refusal, Some(id), outbox).await,
        }
    }

    async fn acknowledge<S: Socket>(
        &mut self,
        outcome: PostOutcome,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        let mut next = Some(outcome);
        while let Some(PostOutcome { id, result, again }) = next {
            self.in_flight -= usize::from(!again);
            match result {
                Ok(posted) => {
                    self.greatest = self.greatest.max(posted.pos.hlc);
                    let ack = ServerFrame::Ack {
                        id,
                        at: client::at(posted.pos.hlc),
                        pos: posted.pos.to_string(),
                        copies: posted.copies,
                    };
                    outbox.feed(ack.to_json()).await?;
                }
                Err(refusal) => self.refuse(&refusal, Some(id), outbox).await?,
            }
            next = self.outcomes.try_recv().ok();
        }
        outbox.flush().await
    }

    async fn refuse<S: Socket>(
        &mut self,
        refusal: &Refusal,
        id: Option<MessageId>,
        outbox: &mut Outbox<S>,
    ) -> Result<(), End> {
        self.web.metrics.refused_frames.inc();
        let frame = ServerFrame::Error { code: refusal.code, detail: &refusal.detail, id };
        outbox.feed(frame.to_json()).await?;
        outbox.flush().await
    }
}

/// What a failed read means for the session.
fn end_of(error: axum::Error) -> End {
    use tungstenite::Error;
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(_)) => End::TooBig,
        Some(Error::Protocol(_) | Error::Utf8(_)) => End::Malformed,
        _ => End::Gone,
    }
}
