//! Tests of lanes: the frames that they keep, and the sessions that get them.

use starling_protocol::Hlc;

use super::*;

const ROOM: RoomId = RoomId([1; 10]);

fn lanes() -> Arc<Lanes> {
    let vector = Arc::default();
    Arc::new(Lanes::new(CommitPoint { number: 0, vector }))
}

fn frame(n: usize) -> Frame {
    Frame::new(n as u64, Hlc(n as u64), format!("{n:04}"))
}

fn taken(subscription: &mut Subscription, max: usize) -> Result<Vec<u64>, Lagged> {
    let mut frames = Vec::new();
    subscription.take(max, &mut frames)?;
    Ok(frames.iter().map(|frame| frame.commit).collect())
}

#[test]
fn a_session_gets_later_pushes_in_order() {
    let lanes = lanes();
    let mut first = lanes.subscribe(ROOM);
    let lane = lanes.get(ROOM).unwrap();
    lane.push([frame(1), frame(2)]);
    let mut second = lanes.subscribe(ROOM);
    lane.push([frame(3)]);
    assert_eq!(taken(&mut first, 2), Ok(vec![1, 2]));
    assert_eq!(taken(&mut first, 2), Ok(vec![3]));
    assert_eq!(taken(&mut second, 2), Ok(vec![3]));
    assert_eq!(taken(&mut second, 2), Ok(vec![]));
}

#[test]
fn the_ring_is_bounded_and_a_session_beyond_it_lags() {
    let lanes = lanes();
    let mut session = lanes.subscribe(ROOM);
    let lane = lanes.get(ROOM).unwrap();
    lane.push((0..FRAMES_MAX).map(frame));
    assert_eq!(taken(&mut session, 1), Ok(vec![0]));
    lane.push([frame(FRAMES_MAX)]);
    assert_eq!(taken(&mut session, 1), Ok(vec![1]));
    lane.push([frame(FRAMES_MAX + 1), frame(FRAMES_MAX + 2)]);
    assert_eq!(taken(&mut session, 1), Err(Lagged));
}

/// Nothing grows without a bound: a room in which nobody posts any more keeps no frames, however many it had.
#[test]
fn old_frames_go_and_newer_ones_stay() {
    let lanes = lanes();
    let (mut slow, mut quick) = (lanes.subscribe(ROOM), lanes.subscribe(ROOM));
    let lane = lanes.get(ROOM).unwrap();
    lane.push((0..100).map(frame));
    assert_eq!(taken(&mut quick, 100).unwrap().len(), 100);
    lanes.drop_old_frames();
    assert_eq!(taken(&mut slow, 1), Ok(vec![0]), "they have just come");
    lane.push([frame(100)]);
    lanes.drop_old_frames();
    assert_eq!(taken(&mut slow, 1), Err(Lagged));
    assert_eq!(taken(&mut quick, 2), Ok(vec![100]));
    assert_eq!(read(&lane.ring).bytes, frame(100).wire.len());
    lanes.drop_old_frames();
    assert_eq!((read(&lane.ring).bytes, read(&lane.ring).frames.capacity()), (0, 0));
    lane.push([frame(101)]);
    assert_eq!(taken(&mut quick, 2), Ok(vec![101]));
}

/// Promise 3: a session that subscribes between the push of a commit's frames and its publication does not miss them. It would
/// find them neither in the lane nor in a replay up to the last published commit.
#[tokio::test]
async fn a_replay_reaches_every_commit_that_was_pushed_before_the_session_subscribed() {
    let lanes = lanes();
    let vector = Arc::<VersionVector>::default();
    lanes.begin_push(1);
    let _session = lanes.subscribe(ROOM);
    let settled = lanes.settled();
    tokio::pin!(settled);
    let early = tokio::time::timeout(std::time::Duration::ZERO, settled.as_mut()).await;
    assert!(early.is_err(), "commit 1 is not published yet");
    lanes.publish(CommitPoint { number: 1, vector });
    assert_eq!(settled.await.number, 1);
}

#[test]
fn skipping_to_the_end_reports_whether_ephemeral_frames_are_lost() {
    let lanes = lanes();
    let mut session = lanes.subscribe(ROOM);
    let lane = lanes.get(ROOM).unwrap();
    lane.push([frame(1)]);
    assert!(!session.skip_to_end());
    lane.push([Frame { commit: Frame::EPHEMERAL, ..frame(0) }]);
    lane.push((0..=FRAMES_MAX).map(frame));
    assert_eq!(taken(&mut session, 1), Err(Lagged));
    assert!(session.skip_to_end());
    lane.push([frame(2)]);
    assert_eq!(taken(&mut session, 9), Ok(vec![2]));
    assert!(!session.skip_to_end());
}

#[test]
fn one_large_push_makes_no_session_lag() {
    let lanes = lanes();
    let mut session = lanes.subscribe(ROOM);
    let large = "x".repeat(BYTES_MAX / 2);
    let frames = (0..9).map(|n| Frame::new(n, Hlc(n), &large));
    lanes.get(ROOM).unwrap().push(frames);
    assert_eq!(taken(&mut session, 99).map(|frames| frames.len()), Ok(9));
    lanes.get(ROOM).unwrap().push([frame(9)]);
    assert!(
        read(&session.position.lane.ring).bytes <= BYTES_MAX,
        "the next push brings it back to its bound"
    );
}

#[test]
fn a_lane_ends_with_its_last_session() {
    let lanes = lanes();
    let (first, second) = (lanes.subscribe(ROOM), lanes.subscribe(ROOM));
    drop(first);
    assert!(lanes.get(ROOM).is_some());
    drop(second);
    assert!(lanes.get(ROOM).is_none());
}
