//! Promises 3 and 8: a session that lags behind its lane continues from the store on the same connection, and its client
//! misses nothing. A session that can't keep up even so is closed, and its client must resume.

use std::sync::Arc;

use starling_protocol::{Hlc, limits::REPLAY_EVENTS_MAX};
use tokio_tungstenite::tungstenite::Message;

use super::{
    super::ResumePoint,
    support::{Client, ROOM, commit},
};
use crate::{drain::Serving, lane::Frame};

/// More messages than a lane holds, but few enough to be replayed.
const MANY: u64 = 9_000;

/// Connects a client to an empty room.
async fn connected() -> Client {
    let mut client = Client::connect(0, ResumePoint::Nothing);
    client.expect(&["welcome 0", "cursor 0"]).await;
    client
}

/// Reads until a cursor covers `last`, or to the end of the connection. Returns the frames that are not messages.
async fn read_on(client: &mut Client, last: u64) -> Vec<String> {
    let mut others = Vec::new();
    loop {
        let frame = client.next().await;
        assert!(client.got.len() < 100_000, "neither closed nor up to date");
        let over = frame == format!("cursor {last}") || frame.starts_with("close");
        if !frame.starts_with("message") {
            others.push(frame);
        }
        if over {
            return others;
        }
    }
}

/// Commits the next number of `rounds` more messages at each catch-up.
fn commit_meanwhile(client: &Client, rounds: impl IntoIterator<Item = u64, IntoIter: Send + 'static>) {
    let lanes = Arc::clone(&client.lanes);
    let (mut rounds, mut last) = (rounds.into_iter(), MANY);
    *client.memory.on_catch_up.lock().unwrap() = Some(Box::new(move || {
        let more = rounds.next().unwrap_or(0);
        (last + 1..=last + more).for_each(|n| commit(&lanes, n));
        last += more;
    }));
}

#[tokio::test]
async fn a_lagging_session_gets_everything_on_the_same_connection() {
    let mut client = connected().await;
    // There is no await in between, so the session cannot run, as if its socket accepted nothing.
    (1..=MANY).for_each(|n| client.commit(n));
    assert_eq!(read_on(&mut client, MANY).await, [format!("cursor {MANY}")]);
    assert_eq!((client.got.len() as u64, client.repeats), (MANY, 0));
    client.commit(MANY + 1);
    client.expect(&["message 9001", "cursor 9001"]).await;
    assert_eq!((client.metrics.catch_ups.get(), client.metrics.lagged_sessions.get()), (1, 0));
}

#[tokio::test]
async fn a_client_that_reads_at_half_the_rate_of_the_room_gets_few_repeats() {
    let mut client = connected().await;
    let mut last = 0;
    while client.metrics.catch_ups.get() == 0 {
        (last + 1..=last + 128).for_each(|n| client.commit(n));
        last += 128;
        client.allow_frames(64);
        for _ in 0..64 {
            client.next().await;
        }
    }
    client.allow_frames(usize::MAX);
    read_on(&mut client, last).await;
    assert_eq!(client.got.len() as u64, last);
    assert!(client.repeats <= 256, "{} of {last} came twice", client.repeats);
}

#[tokio::test]
async fn a_client_that_missed_presence_frames_gets_the_current_users() {
    let mut client = connected().await;
    client.memory.users.lock().unwrap().push("Bob".into());
    let joined = r#"{"type":"joined","username":"Bob"}"#;
    let frame = Frame::new(Frame::EPHEMERAL, Hlc::default(), joined);
    client.lanes.get(ROOM).unwrap().push([frame]);
    (1..=MANY).for_each(|n| client.commit(n));
    assert_eq!(read_on(&mut client, MANY).await, ["welcome 0".to_owned(), format!("cursor {MANY}")]);
    assert_eq!(client.present, ["Ann", "Bob"]);
}

#[tokio::test]
async fn a_session_whose_backlog_shrinks_catches_up() {
    let mut client = connected().await;
    let rounds = [8_900, 8_800, 8_700, 8_600, 8_500];
    let last = MANY + rounds.iter().sum::<u64>();
    commit_meanwhile(&client, rounds);
    (1..=MANY).for_each(|n| client.commit(n));
    let others = read_on(&mut client, last).await;
    assert_eq!(others.len(), 6, "a cursor after each catch-up: {others:?}");
    assert_eq!(client.got.len() as u64, last);
}

#[tokio::test]
async fn a_session_whose_backlog_does_not_shrink_is_closed() {
    let mut client = connected().await;
    commit_meanwhile(&client, std::iter::repeat(MANY));
    (1..=MANY).for_each(|n| client.commit(n));
    let others = read_on(&mut client, u64::MAX).await;
    assert_eq!(others, ["cursor 9000", "cursor 18000", "cursor 27000", "close 4002"]);
    assert_eq!(client.got.len() as u64, 3 * MANY);
    assert_eq!((client.metrics.catch_ups.get(), client.metrics.lagged_sessions.get()), (3, 1));
}

#[tokio::test]
async fn a_session_that_lacks_more_than_a_replay_may_send_is_closed() {
    for (backlog, end) in
        [(REPLAY_EVENTS_MAX as u64, "cursor 10000"), (REPLAY_EVENTS_MAX as u64 + 1, "close 4002")]
    {
        let mut client = connected().await;
        (1..=backlog).for_each(|n| client.commit(n));
        assert_eq!(read_on(&mut client, backlog).await, [end]);
    }
}

#[tokio::test]
async fn posts_are_acked_while_the_session_catches_up() {
    let mut client = connected().await;
    let to_server = client.line.to_server.clone();
    *client.memory.on_catch_up.lock().unwrap() =
        Some(Box::new(move || to_server.send(Message::text("hello")).unwrap()));
    (1..=MANY).for_each(|n| client.commit(n));
    assert_eq!(read_on(&mut client, MANY).await, ["ack".to_owned(), format!("cursor {MANY}")]);
}

#[tokio::test]
async fn a_stopping_node_closes_a_session_that_is_catching_up() {
    let mut client = connected().await;
    let (drain, lanes) = (client.drain.clone(), Arc::clone(&client.lanes));
    *client.memory.on_catch_up.lock().unwrap() = Some(Box::new(move || {
        commit(&lanes, MANY + 1);
        drain.send_replace(Serving::Stopping);
    }));
    (1..=MANY).for_each(|n| client.commit(n));
    let others = read_on(&mut client, MANY).await;
    assert_eq!(others, ["close 1001"]);
    assert!(!client.got.contains(&(MANY + 1)), "sent before the backlog");
}
