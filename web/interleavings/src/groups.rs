//! Sessions that lend their sockets to the groups of their lanes, in small. They fail when a frame is lost, mixed with another or
//! written after the user has left the room, and when a cursor claims a frame that was not written.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Instant,
};

use loom::future::block_on;
use starling_protocol::{CursorOwner, Hlc, RoomId};

use super::{
    delivery::Delivery,
    lane::{Frame, Lanes, Position, Subscription},
    reader::{Progress, Reader},
    run::Run,
    sessions::{COMMITS, Others, ROOM, USER, lanes, own_origin, point, write},
    visibility::Visibility,
    write_half::WriteHalf,
};

const OTHER_ROOM: RoomId = RoomId([2; 10]);
type NoCursor = fn(&Reader, &mut Progress) -> Vec<u8>;

/// A socket that may have room for one byte only at first. Its lock is never waited for: whoever writes has the reader's progress.
#[derive(Debug)]
struct Socket {
    written: Mutex<Vec<u8>>,
    is_narrow: bool,
}

impl Socket {
    fn new(is_narrow: bool) -> Arc<Self> {
        Arc::new(Self { written: Mutex::default(), is_narrow })
    }

    fn written(&self) -> Vec<u8> {
        self.written.lock().expect("nobody panicked").clone()
    }

    /// Returns whether all messages of the writer were written.
    fn is_complete(&self) -> bool {
        let messages = (1..=COMMITS).map(|number| Frame::new(number, Hlc(number), number.to_string()));
        self.written() == messages.flat_map(|frame| frame.wire).collect::<Vec<_>>()
    }
}

impl WriteHalf for Socket {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = self.written.try_lock().expect("only one writes");
        let room = if self.is_narrow && written.is_empty() { 1 } else { usize::MAX };
        let bytes = &slices[0][..slices[0].len().min(room)];
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// As a group: writes each run to the reader, until it has seen so many frames. It was awake already.
fn serve_group(mut lane: Subscription, reader: &Reader, position: &Position, frames: u64) {
    loop {
        let run = Run::take(&mut lane).expect("the lane is large enough");
        reader.deliver(position, &run, Instant::now(), None::<NoCursor>);
        if lane.position() == frames {
            return;
        }
        block_on(lane.changed());
    }
}

/// A session that lends its socket.
struct Lender {
    lane: Subscription,
    socket: Arc<Socket>,
    reader: Arc<Reader>,
    /// As long as the session has it.
    progress: Option<Progress>,
}

impl Lender {
    fn new(lane: Subscription, is_narrow: bool) -> Self {
        let socket = Socket::new(is_narrow);
        let write_half = Arc::clone(&socket) as Arc<dyn WriteHalf>;
        let reader = Arc::new(Reader::new(CursorOwner::User(USER), write_half));
        reader.follow(lane.shared_position().clone());
        let progress = Progress {
            delivery: Delivery::new(point(0)),
            greatest: Hlc(0),
            last_frame_at: Instant::now(),
            last_cursor_at: Instant::now(),
            unsent: Vec::new(),
        };
        Self { lane, socket, reader, progress: Some(progress) }
    }

    /// Follows the user's own lane, too.
    fn set_account(&self, own: &Subscription) {
        let [blocked, blocked_by] = Default::default();
        let visibility = Visibility { user: USER, blocked, blocked_by };
        self.reader.set_account(own.shared_position().clone(), Arc::new(visibility));
    }

    /// Returns whether the groups write from now on.
    fn lend(&mut self) -> bool {
        self.progress = self.progress.take().and_then(|progress| self.reader.lend(progress));
        self.progress.is_none()
    }

    fn reclaim(&mut self) {
        if let Some(progress) = self.reader.reclaim() {
            assert!(self.progress.replace(progress).is_none(), "both had it");
        }
    }

    /// Waits until the socket is given back, or has everything.
    fn wait(&self, others: &Others, has_everything: impl Fn(&Socket) -> bool) {
        let mut returned = pin!(self.reader.returned());
        others.wait(poll_fn(|context| {
            if has_everything(&self.socket) { Poll::Ready(()) } else { returned.as_mut().poll(context) }
        }));
    }

    /// Writes what was begun, and then what is in the lane.
    fn write(&mut self) {
        let progress = self.progress.as_mut().expect("the session has it");
        let mut wire = std::mem::take(&mut progress.unsent);
        let mut frames = Vec::new();
        let (_, point) =
            self.lane.take_with_commit(usize::MAX, &mut frames).expect("the lane is large enough");
        for frame in frames {
            progress.delivery.note_frame(&frame);
            wire.extend_from_slice(&frame.wire);
        }
        progress.delivery.reach(point);
        self.socket.written.try_lock().expect("only one writes").extend_from_slice(&wire);
        let (claimed, has) = (progress.delivery.sent().number, self.socket.written().len() / 3);
        assert!(claimed <= has as u64, "the cursor claims commit {claimed}, the client has {has}");
    }
}

/// A session lends its socket to a group while the writer writes, takes it back for an ack, and lends it again.
pub fn lent() {
    let lanes = lanes();
    let (lane, group_lane) = (lanes.subscribe(ROOM), lanes.subscribe(ROOM));
    let mut session = Lender::new(lane, true);
    let mut others = Others::start(&lanes, &[write]);
    let (reader, position) = (Arc::clone(&session.reader), session.lane.shared_position().clone());
    others.spawn(move || serve_group(group_lane, &reader, &position, COMMITS));
    let mut has_ack = true;
    while !session.socket.is_complete() {
        if session.lend() {
            if !std::mem::take(&mut has_ack) {
                session.wait(&others, Socket::is_complete);
            }
            session.reclaim();
        }
        session.write();
    }
    others.join();
    assert!(session.socket.is_complete(), "something was written twice");
}

/// Makes a commit for each of these lanes.
fn write_to(lanes: &Lanes, rooms: &[Option<RoomId>]) {
    for (number, &room) in (1..).zip(rooms) {
        lanes.publish_commit(point(number), Some(own_origin()), |lanes| {
            let lane = room.map_or_else(|| lanes.get(USER), |room| lanes.get(room));
            if let Some(lane) = lane {
                lane.push([Frame::new(number, Hlc(number), number.to_string())]);
            }
        });
    }
}

/// A session lends its socket while a frame is pushed that the group may have passed by.
pub fn passed_by() {
    let lanes = lanes();
    let (lane, group_lane) = (lanes.subscribe(ROOM), lanes.subscribe(ROOM));
    let mut session = Lender::new(lane, false);
    let mut others = Others::start(&lanes, &[|lanes| write_to(lanes, &[Some(ROOM)])]);
    let (reader, position) = (Arc::clone(&session.reader), session.lane.shared_position().clone());
    others.spawn(move || serve_group(group_lane, &reader, &position, 1));
    if session.lend() {
        session.wait(&others, |socket| !socket.written().is_empty());
    } else {
        session.write();
    }
    others.join();
    assert_eq!(session.socket.written().len(), 3, "the frame was written once");
}

/// The groups of two rooms serve the session of an account. The frame of the first commit comes late.
pub fn lent_to_two() {
    let lanes = lanes();
    let own = lanes.subscribe(USER);
    let (lane, other_lane) = (lanes.subscribe(ROOM), lanes.subscribe(OTHER_ROOM));
    let group_lanes = [lanes.subscribe(OTHER_ROOM), lanes.subscribe(ROOM)];
    let mut session = Lender::new(lane, false);
    session.set_account(&own);
    session.reader.follow(other_lane.shared_position().clone());
    let (reader, socket) = (Arc::clone(&session.reader), Arc::clone(&session.socket));
    let positions = [other_lane.shared_position().clone(), session.lane.shared_position().clone()];
    assert!(session.lend(), "nothing was pushed yet");
    let mut others = Others::start(&lanes, &[|lanes| write_to(lanes, &[Some(ROOM), Some(OTHER_ROOM)])]);
    others.spawn(move || {
        for (mut lane, position) in group_lanes.into_iter().zip(positions) {
            block_on(lane.changed());
            let run = Run::take(&mut lane).expect("the lane is large enough");
            let cursor = |_: &Reader, progress: &mut Progress| {
                // The frames of the run come before the cursor.
                let has = socket.written().len() / 3 + run.frames(0).len();
                let claimed = progress.delivery.sent().number;
                assert!(claimed <= has as u64, "the cursor claims commit {claimed}, the client has {has}");
                Vec::new()
            };
            reader.deliver(&position, &run, Instant::now(), Some(cursor));
        }
    });
    others.join();
    assert_eq!(session.socket.written().len(), 6, "both frames were written");
}

/// A user leaves a room while its group writes: their own lane says so before the room has another frame.
pub fn lent_by_a_former_member() {
    let lanes = lanes();
    let (mut own, lane, mut group_lane) =
        (lanes.subscribe(USER), lanes.subscribe(ROOM), lanes.subscribe(ROOM));
    let mut session = Lender::new(lane, false);
    session.set_account(&own);
    let (reader, position) = (Arc::clone(&session.reader), session.lane.shared_position().clone());
    assert!(session.lend(), "nothing was pushed yet");
    let mut others = Others::start(&lanes, &[|lanes| write_to(lanes, &[None, Some(ROOM)])]);
    others.spawn(move || {
        block_on(group_lane.changed());
        let run = Run::take(&mut group_lane).expect("the lane is large enough");
        reader.deliver(&position, &run, Instant::now(), None::<NoCursor>);
    });
    others.wait(own.changed());
    session.reclaim();
    own.take(1, &mut Vec::new()).expect("the lane is large enough");
    session.reader.leave(session.lane.shared_position());
    assert!(session.lend(), "there is nothing else");
    others.join();
    assert!(session.socket.written().is_empty(), "the user is no longer in the room");
}
