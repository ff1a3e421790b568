//! One WebSocket of a quick room. It sends a welcome, what the client lacks, then the live lane, until either side ends it.
//! This file has the live part: sends the lane's frames, acks and cursors, and takes posts.

mod catch_up;
mod replay;

use std::future::ready;

use starling_protocol::{
    MessageId, MessagePosted,
    frame::client::{self, ClientFrameError, GivenId},
};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::{self, Message};

use self::replay::Backlog;
use super::{
    TAKE_FRAMES,
    connection::Connection,
    core::SessionCore,
    delivery::{Delivery, Marks},
    deps::SessionDeps,
    end::{End, Never},
    group::Membership,
    keepalive::Received,
    lifecycle, login,
    participant::{Participant, ResumePoint},
    posts::refuse,
    socket::Socket,
};
use crate::{
    guard::{Quota, RoomWrite},
    lane::{Frame, Subscription},
    service::{Post, PostOutcome, Refusal},
};

/// Runs the session of a quick room to its end and closes the socket.
pub async fn run<S: Socket>(deps: Box<SessionDeps>, participant: Box<Participant>, socket: S) {
    // The session owns its participant: their name is free before the client sees the close frame.
    lifecycle::run(&deps, socket, async |connection| serve(&deps, participant, connection).await).await;
}

async fn serve<S: Socket>(
    deps: &SessionDeps,
    mut participant: Box<Participant>,
    connection: &mut Connection<S>,
) -> Result<Never, End> {
    // Subscribed before the replay: later commits are in the lane, whatever the replay reads.
    let subscription = deps.lanes.subscribe(participant.room);
    // Whatever happens once, or seldom, has its memory elsewhere, and only meanwhile.
    let replayed = Box::pin(replay::run(deps, &participant, connection)).await?;
    let above_hlc = match participant.last_seen_pos {
        Some(pos) => Some(deps.posting.above_hlc(pos).await.map_err(End::Refused)?),
        None => None,
    };
    // It is long, and no longer needed.
    participant.resume_point = ResumePoint::Nothing;
    let (client, delivery) = (participant.client.clone(), Delivery::new(replayed.point));
    let mut core = SessionCore::new(deps, participant.owner(), client, delivery, connection);
    core.greatest = replayed.greatest.max(above_hlc.unwrap_or_default());
    let mut session = QuickSession::new(core, &mut participant, subscription);
    let ended = session.run(connection).await;
    // A frame that the group has begun comes before the close frame.
    session.core.reclaim(connection);
    ended
}

struct QuickSession<'a> {
    core: SessionCore<'a>,
    participant: &'a mut Participant,
    lane: Subscription,
    _membership: Membership,
    marks: Marks,
    /// Messages that the lane no longer holds and the client lacks.
    backlog: Option<Backlog>,
    frames: Vec<Frame>,
}

impl<'a> QuickSession<'a> {
    fn new(core: SessionCore<'a>, participant: &'a mut Participant, lane: Subscription) -> Self {
        let deps = core.deps;
        let membership = deps.groups.join(participant.room, &core.reader, &lane, &deps.for_group());
        Self {
            core,
            participant,
            lane,
            _membership: membership,
            marks: Marks::default(),
            backlog: None,
            frames: Vec::new(),
        }
    }

    async fn run<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<Never, End> {
        let mut drain = self.core.deps.drain.clone();
        // First the cursor for the replay, then the frames that the lane has gathered since.
        self.core.send_cursor(connection).await?;
        self.deliver(connection).await?;
        let timer = sleep_until(Instant::now());
        let over = login::wait_for_end(self.core.deps, self.participant.identity);
        tokio::pin!(timer, over);
        loop {
            self.lend_if_idle(connection);
            let due = self.core.next_due();
            let is_lent = self.core.is_lent();
            // A timer that fires too early costs less than moving it with every frame.
            if due < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            // In this order: what is sent is written once nothing else is ready, so that acks and cursors are in the same
            // write as frames.
            tokio::select! {
                biased;
                _ = &mut self.participant.lease.taken_over => return Err(End::TakenOver),
                end = &mut over => return Err(end),
                () = drain.begun() => return Box::pin(self.hand_over(connection)).await,
                outcome = self.core.posts.next() => self.acknowledge(outcome, connection).await?,
                message = connection.next(), if self.core.posts.has_room() => {
                    Box::pin(self.incoming(message, connection)).await?;
                }
                () = &mut timer => self.on_timer(connection).await?,
                () = self.core.reader.returned(), if is_lent => self.core.reclaim(connection),
                () = self.lane.changed(), if !is_lent && self.backlog.is_none() => {
                    self.deliver(connection).await?;
                }
                () = ready(()), if self.backlog.is_some() => Box::pin(self.send_backlog(connection)).await?,
                () = ready(()), if !is_lent && connection.has_unsent() => connection.flush().await?,
            }
        }
    }

    /// Lets the group write the lane's frames, if the session has nothing else to send.
    fn lend_if_idle<S: Socket>(&mut self, connection: &Connection<S>) {
        if self.backlog.is_some() || !self.lane.is_at_end() {
            return;
        }
        self.core.lend_if_idle(connection);
        if self.core.is_lent() {
            // An idle session keeps no buffers.
            (self.frames, self.marks) = (Vec::new(), Marks::default());
        }
    }

    /// This node stops serving: sends the acks of posts in flight and the frames that are there, then ends the
    /// session.
    async fn hand_over<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<Never, End> {
        self.core.reclaim(connection);
        self.core.send_last_acks(connection).await?;
        while !self.deliver(connection).await? {}
        self.core.hand_over()
    }

    /// Sends one batch of the lane's frames, and a cursor if one is needed and the last is old. Returns whether no frame of the
    /// lane is left.
    async fn deliver<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<bool, End> {
        if self.backlog.is_some() {
            // The backlog goes first. A client that has to leave meanwhile gets it from the next node.
            return Ok(true);
        }
        self.frames.clear();
        let Ok((end, point)) = self.lane.take_with_commit(TAKE_FRAMES, &mut self.frames) else {
            Box::pin(self.start_catch_up(connection)).await?;
            return Ok(false);
        };
        self.marks.set(end, point);
        let mut delivered = 0;
        for frame in self.frames.drain(..) {
            if self.core.delivery.is_new(&frame) {
                self.core.greatest = self.core.greatest.max(frame.hlc);
                self.core.delivery.note_frame(&frame);
                connection.feed_frame(&frame).await?;
                delivered += 1;
            }
        }
        self.core.note_frames_sent(delivered);
        self.marks.pass(self.lane.position(), &mut self.core.delivery);
        if self.core.should_send_cursor() {
            self.core.send_cursor(connection).await?;
        }
        let at_end = end == self.lane.position();
        if at_end {
            self.core.on_lanes_empty();
        }
        Ok(at_end)
    }

    async fn on_timer<S: Socket>(&mut self, connection: &mut Connection<S>) -> Result<(), End> {
        if self.core.is_lent() && Instant::now() < self.core.next_due() {
            return Ok(());
        }
        self.core.reclaim(connection);
        if self.core.take_cursor_timeout() {
            self.deliver(connection).await?;
        }
        self.core.on_silence(connection)
    }

    async fn incoming<S: Socket>(
        &mut self,
        message: Option<tungstenite::Result<Message>>,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        self.core.reclaim(connection);
        match self.core.keepalive.on_frame(&self.core.deps.guard.rates, message)? {
            Received::Text(text) => self.frame(client::parse_post(&text), text.len(), connection).await,
            Received::Binary => self.frame(Err(ClientFrameError::Binary), 0, connection).await,
            Received::Nothing => Ok(()),
        }
    }

    /// Counts a frame, readable or not, and serves it.
    async fn frame<S: Socket>(
        &mut self,
        post: Result<client::ClientPost, ClientFrameError>,
        bytes: usize,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        let (rates, participant_id) = (&self.core.deps.guard.rates, self.participant.id);
        let written = RoomWrite {
            network: self.participant.client.network,
            account: self.participant.identity.map(|identity| identity.user),
            room: Some(self.participant.room),
            bytes,
        };
        let counted = rates.check(Quota::MessagesPerSession, &participant_id);
        if let Err(refusal) = counted.and_then(|()| rates.check_room_write(&written)) {
            let given = |post: &client::ClientPost| post.id.as_ref().map(GivenId::to_text);
            let id = post.as_ref().map_or_else(ClientFrameError::id, given);
            refuse(self.core.deps, connection, &refusal, id).await?;
            return rates.check(Quota::FloodingPerSession, &participant_id).map_err(|_| End::Flooding);
        }
        match post {
            Ok(post) => self.post(post, connection).await,
            Err(error) => {
                let refusal = Refusal::new(error.code(), error.to_string());
                refuse(self.core.deps, connection, &refusal, error.id()).await
            }
        }
    }

    async fn post<S: Socket>(
        &mut self,
        post: client::ClientPost,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        self.core.deps.metrics.posts.inc();
        let id = post.id.as_ref().map_or_else(MessageId::now_v7, |given| given.id);
        if let Some(given) = &post.id {
            self.core.posts.note_spelling(given);
        }
        let echoed = post.id.as_ref().map_or_else(|| id.to_string(), GivenId::to_text);
        let message = MessagePosted::new(id, self.participant.sender.clone(), post.text);
        let post = Post { room: self.participant.room, message, above_hlc: Some(self.core.greatest) };
        match self.core.posts.submit(|outcomes| self.core.deps.posting.post(post, outcomes)) {
            Ok(()) => Ok(()),
            Err(refusal) => refuse(self.core.deps, connection, &refusal, Some(echoed)).await,
        }
    }

    async fn acknowledge<S: Socket>(
        &mut self,
        outcome: PostOutcome,
        connection: &mut Connection<S>,
    ) -> Result<(), End> {
        self.core.reclaim(connection);
        let SessionCore { deps, posts, greatest, .. } = &mut self.core;
        posts.send_outcomes(deps, outcome, connection, |_, pos| *greatest = pos.hlc.max(*greatest)).await
    }
}
