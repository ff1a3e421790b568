//! What lanes keep, and for whom.

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
fn a_session_gets_what_is_pushed_after_it_came_in_order() {
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
fn the_ring_is_bounded_and_who_falls_behind_it_is_told() {
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

/// Promise 3: between the push of a commit's frames and its publication, a newcomer would find it neither in the
/// lane nor in a replay up to the published commit.
#[tokio::test]
async fn a_replay_reaches_every_commit_that_was_pushed_before_the_session_came() {
    let lanes = lanes();
    let vector = Arc::<VersionVector>::default();
    lanes.begin(1);
    let _session = lanes.subscribe(ROOM);
    let settled = lanes.settled();
    tokio::pin!(settled);
    let early = tokio::time::timeout(std::time::Duration::ZERO, settled.as_mut()).await;
    assert!(early.is_err(), "commit 1 is not published yet");
    lanes.publish(CommitPoint { number: 1, vector });
    assert_eq!(settled.await.number, 1);
}

#[test]
fn who_skips_to_the_end_is_told_whether_that_loses_what_was_never_logged() {
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
fn one_large_push_puts_nobody_behind() {
    let lanes = lanes();
    let mut session = lanes.subscribe(ROOM);
    let large = Utf8Bytes::from("x".repeat(BYTES_MAX / 2));
    let frames = (0..9).map(|n| Frame::new(n, Hlc(n), large.clone()));
    lanes.get(ROOM).unwrap().push(frames);
    assert_eq!(taken(&mut session, 99).map(|frames| frames.len()), Ok(9));
    lanes.get(ROOM).unwrap().push([frame(9)]);
    assert!(read(&session.lane.ring).bytes <= BYTES_MAX, "the next push brings it back to its bound");
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
