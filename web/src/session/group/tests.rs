//! Tests of groups: what they write at once, what they leave to the session, and when they end.

use std::{
    io::{self, IoSlice},
    sync::atomic::AtomicUsize,
    task::{Context, Poll},
};

use axum::extract::FromRef as _;
use starling_protocol::{CursorOwner, Hlc, UserId};
use tokio::task::yield_now;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::{
    drain::Drain,
    lane::{Frame, Lanes},
    metrics::WebMetrics,
    session::{
        ResumePoint, SessionDeps,
        delivery::Delivery,
        tests::support::{self, Client, Memory, ROOM, cursor, point},
        visibility::Visibility,
        write_half::WriteHalf,
    },
};

const USER: UserId = UserId([1; 16]);

/// A socket that has room for a number of bytes.
#[derive(Debug, Default)]
struct Narrow {
    room: AtomicUsize,
    written: Mutex<Vec<u8>>,
}

impl WriteHalf for Narrow {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let count = bytes.len().min(self.room.load(Ordering::Relaxed));
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room.fetch_sub(count, Ordering::Relaxed);
        lock(&self.written).extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        unreachable!("only sessions wait")
    }
}

fn lanes() -> Arc<Lanes> {
    Arc::new(Lanes::new(point(0)))
}

/// Returns three frames of different lengths.
fn frames() -> [Frame; 3] {
    [(1, 3), (2, 200), (3, 0)].map(|(n, length)| Frame::new(n, Hlc(n), "x".repeat(length)))
}

type NoCursor = fn(&Reader, &mut Progress) -> Vec<u8>;

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn progress() -> Progress {
    Progress {
        delivery: Delivery::new(point(0)),
        greatest: Hlc(0),
        last_frame_at: now(),
        last_cursor_at: now(),
        unsent: Vec::new(),
    }
}

fn reader(socket: &Arc<Narrow>) -> Reader {
    Reader::new(CursorOwner::User(USER), Arc::clone(socket) as Arc<dyn WriteHalf>)
}

/// Returns a reader that has taken the first frames of the lane, and has lent its socket before the others came.
fn lent_reader(socket: &Arc<Narrow>, lane: &Subscription, progress: Progress, taken: u64) -> Reader {
    let reader = reader(socket);
    assert!(reader.lend(progress).is_none());
    lane.shared_position().set(taken);
    reader.follow(lane.shared_position().clone());
    reader
}

fn wide() -> Arc<Narrow> {
    Arc::new(Narrow { room: AtomicUsize::new(usize::MAX), ..Narrow::default() })
}

/// Promise 3: wherever the socket is full, whatever was not written is left to the session, and every begun frame is
/// continued. A cursor is noted only if it was begun.
#[test]
fn a_write_may_end_anywhere() {
    let lanes = lanes();
    let (mut lane, of_reader) = (lanes.subscribe(ROOM), lanes.subscribe(ROOM));
    lanes.get(ROOM).unwrap().push(frames());
    lanes.publish(point(3));
    let run = Run::take(&mut lane).unwrap();
    let cursor = b"cursor".to_vec();
    for skip in 0..=3 {
        let mut all: Vec<u8> = frames()[skip..].iter().flat_map(|frame| frame.wire.to_vec()).collect();
        let of_frames = all.len();
        all.extend_from_slice(&cursor);
        for room in 0..=all.len() {
            let socket = Arc::new(Narrow { room: AtomicUsize::new(room), ..Narrow::default() });
            let reader = lent_reader(&socket, &of_reader, progress(), skip as u64);
            let cursor = |_: &Reader, progress: &mut Progress| {
                progress.delivery.note_cursor();
                cursor.clone()
            };
            reader.deliver(of_reader.shared_position(), &run, now(), Some(cursor));
            let progress = reader.reclaim().unwrap();
            let mut sent = lock(&socket.written).clone();
            assert_eq!(sent.len(), room);
            sent.extend_from_slice(&progress.unsent);
            let position = usize::try_from(of_reader.position()).unwrap();
            let rest: Vec<u8> = frames()[position..].iter().flat_map(|frame| frame.wire.to_vec()).collect();
            if room > of_frames {
                assert_eq!((sent, rest.len()), (all.clone(), 0));
                assert_eq!(progress.delivery.sent().number, if skip < 3 { 3 } else { 0 });
            } else {
                sent.extend_from_slice(&rest);
                assert_eq!(sent, all[..of_frames], "skip {skip}, room {room}");
                assert_eq!(progress.delivery.sent().number, 0, "not all was sent");
                let has_frames = position > skip;
                assert_eq!(progress.greatest, Hlc(if has_frames { of_reader.position() } else { 0 }));
            }
        }
    }
}

/// Promise 3: the group leaves it to the session to pick the frames that no replay has sent.
#[tokio::test]
async fn a_run_that_a_replay_has_covered_in_part_is_left_to_the_session() {
    let lanes = lanes();
    let (mut lane, of_reader) = (lanes.subscribe(ROOM), lanes.subscribe(ROOM));
    lanes.get(ROOM).unwrap().push(frames());
    let run = Run::take(&mut lane).unwrap();
    let socket = wide();
    let replayed = Progress { delivery: Delivery::new(point(2)), ..progress() };
    let reader = lent_reader(&socket, &of_reader, replayed, 0);
    assert_eq!(reader.deliver(of_reader.shared_position(), &run, now(), None::<NoCursor>).frames, 0);
    reader.returned().await;
    assert!(reader.reclaim().is_some());
    assert_eq!((of_reader.position(), lock(&socket.written).len()), (0, 0));
}

/// Promise: blocks hide messages, and a removed member gets no more of them, whoever writes.
#[tokio::test]
async fn frames_that_are_not_for_everybody_are_left_to_the_session() {
    const OTHER: UserId = UserId([2; 16]);
    let frame = |n, from| Frame { from: Some(from), ..Frame::new(n, Hlc(n), "{}") };
    let check = async |frame: Frame, blocked: &[UserId], own: Option<Frame>, is_written: bool| {
        let lanes = lanes();
        let (mut lane, of_reader, of_user) =
            (lanes.subscribe(ROOM), lanes.subscribe(ROOM), lanes.subscribe(USER));
        let socket = wide();
        let reader = lent_reader(&socket, &of_reader, progress(), 0);
        let [blocked, blocked_by] = [blocked, &[]].map(|users| users.iter().copied().collect());
        let visibility = Visibility { user: USER, blocked, blocked_by };
        reader.set_account(of_user.shared_position().clone(), Arc::new(visibility));
        lanes.get(USER).unwrap().push(own);
        lanes.get(ROOM).unwrap().push([frame]);
        let run = Run::take(&mut lane).unwrap();
        reader.deliver(of_reader.shared_position(), &run, now(), None::<NoCursor>);
        assert_eq!(!lock(&socket.written).is_empty(), is_written);
        assert_eq!(of_reader.position(), u64::from(is_written));
        if !is_written {
            reader.returned().await;
        }
    };
    check(frame(1, OTHER), &[], None, true).await;
    check(frame(1, USER), &[], None, true).await;
    check(frame(Frame::EPHEMERAL, OTHER), &[], None, true).await;
    check(frame(Frame::EPHEMERAL, USER), &[], None, false).await;
    check(frame(1, OTHER), &[OTHER], None, false).await;
    check(frame(2, OTHER), &[], Some(Frame::invalidate(1)), false).await;
    check(Frame::invalidate(1), &[], None, false).await;
}

#[tokio::test(start_paused = true)]
async fn all_frames_that_wait_and_their_cursor_are_one_write() {
    let mut client = Client::connect(1, cursor(1));
    client.expect(&["welcome 1", "cursor 1"]).await;
    // The session lends its socket before the frames come, and no cursor was sent for a while.
    tokio::time::sleep(CURSOR_AFTER).await;
    client.line.take_writes();
    (2..=5).for_each(|n| client.commit(n));
    client.expect(&["message 2", "message 3", "message 4", "message 5", "cursor 5"]).await;
    assert_eq!(client.line.take_writes(), 1);
    assert_eq!(client.metrics.deliveries.get(), 4);
}

/// Promise 3: frames are never mixed, whoever writes and however little the socket takes at once.
#[tokio::test]
async fn frames_come_whole_though_the_socket_takes_a_few_bytes_at_once() {
    let mut client = Client::connect(0, ResumePoint::Nothing);
    client.expect(&["welcome 0", "cursor 0"]).await;
    let mut acks = 0;
    for n in 1..=200 {
        client.line.limit_bytes_at_once(usize::try_from(n % 50 + 1).unwrap());
        client.commit(n);
        if n % 3 == 0 {
            client.line.to_server.send(Message::text("hello")).unwrap();
        }
        while !client.got.contains(&n) {
            acks += usize::from(client.next().await == "ack");
        }
    }
    while acks < 66 {
        acks += usize::from(client.next().await == "ack");
    }
    assert_eq!((client.got.len(), client.repeats), (200, 0));
    client.take_over.take().unwrap().send(()).unwrap();
    while client.next().await != "close 4001" {}
}

#[tokio::test]
async fn a_group_ends_with_its_last_reader() {
    let lanes = lanes();
    let state = support::app_state(&Arc::<Memory>::default(), &lanes, WebMetrics::default(), Drain::new().1);
    let deps = SessionDeps::from_ref(&state);
    let join = || {
        let reader = Arc::new(reader(&Arc::default()));
        deps.groups.join(ROOM, &reader, &lanes.subscribe(ROOM), &deps.for_group())
    };
    let (first, second) = (join(), join());
    assert_eq!(lock(&deps.groups.by_room)[&ROOM].len(), 1, "few readers share a group");
    drop(first);
    assert!(lanes.get(ROOM).is_some());
    drop(second);
    assert!(lock(&deps.groups.by_room).is_empty());
    while lanes.get(ROOM).is_some() {
        yield_now().await;
    }
}
