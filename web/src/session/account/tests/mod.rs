//! Tests of account sessions: the frames that a client gets from several lanes, their order, what its cursors cover, and when
//! the session ends.

mod client;
mod random;
mod world;

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use starling_protocol::{cursor::CursorError, limits::REPLAY_EVENTS_MAX};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use self::{
    client::{Client, cursor},
    world::{ANN, BOB, EVE, ROOMS, typing},
};
use crate::{
    drain::Serving,
    session::{ResumePoint, group::CURSOR_AFTER},
};

#[tokio::test]
async fn a_first_connection_gets_the_real_cursor_and_then_its_lanes() {
    let mut client = Client::connect(2, ResumePoint::Nothing);
    client.expect(&["welcome 0", "cursor 2"]).await;
    client.world.commit(3, ROOMS[0], BOB);
    client.expect(&["message 3", "cursor 3"]).await;
    client.world.commit(4, ROOMS[1], EVE);
    client.expect(&["message 4", "cursor 4"]).await;
}

/// Most of the memory of an idle session is its task.
#[tokio::test]
async fn a_session_is_small() {
    let bytes = Client::connected().await.session_bytes;
    assert!(bytes <= 1_536, "{bytes}");
}

#[tokio::test]
async fn a_resume_gets_exactly_what_it_lacks_of_all_rooms() {
    let mut client = Client::connect(6, cursor(3));
    client.expect(&["welcome 3", "message 4", "message 5", "message 6", "cursor 6"]).await;
}

#[tokio::test]
async fn a_cursor_that_cannot_be_continued_is_answered_by_resync() {
    for resume_point in [ResumePoint::Unreadable(CursorError::Unreadable), cursor(5_000)] {
        let mut client = Client::connect(1, resume_point);
        client.expect(&["welcome 0", "resync 0", "cursor 1"]).await;
    }
}

#[tokio::test]
async fn a_frame_seen_before_its_commit_is_published_is_covered_by_the_next_cursor() {
    let mut client = Client::connected().await;
    client.world.push(1, ROOMS[0], BOB);
    client.expect(&["message 1"]).await;
    client.world.publish(1);
    client.expect(&["cursor 1"]).await;
}

#[tokio::test]
async fn a_cursor_is_offered_again_until_it_covers_what_was_sent() {
    let mut client = Client::connected().await;
    client.memory.unconfirmed.store(true, Ordering::Relaxed);
    client.world.commit(1, ROOMS[0], BOB);
    client.expect(&["message 1", "cursor behind", "cursor behind"]).await;
    client.memory.unconfirmed.store(false, Ordering::Relaxed);
    client.expect(&["cursor 1"]).await;
}

/// Promise 3: the groups of two rooms write for one session, in the order of each room; no cursor claims what a group of the other
/// room has not written yet.
#[tokio::test(start_paused = true)]
async fn groups_of_two_rooms_write_for_one_session() {
    let mut client = Client::connected().await;
    for n in 1..=40 {
        // Seldom enough that the session lends its socket before, and the cursor is the groups'.
        tokio::time::sleep(CURSOR_AFTER * 2).await;
        client.line.take_writes();
        client.world.push(4 * n - 3, ROOMS[0], BOB);
        client.world.push(4 * n - 2, ROOMS[1], BOB);
        client.world.push(4 * n - 1, ROOMS[1], EVE);
        client.world.commit(4 * n, ROOMS[0], EVE);
        client.until(&format!("cursor {}", 4 * n)).await;
        assert!(client.line.take_writes() <= 3, "each group writes once, and then a cursor follows at most");
    }
    assert_eq!(client.got.len(), 160);
    assert_eq!(client.metrics.deliveries.get(), 160);
}

/// Promise: a cursor follows the last frame that was sent within 200 ms, whatever happens that is not shown.
#[tokio::test(start_paused = true)]
async fn hidden_frames_do_not_delay_a_cursor() {
    let mut client = Client::connected().await;
    client.world.commit(1, ROOMS[0], BOB);
    client.expect(&["message 1"]).await;
    let sent = Instant::now();
    tokio::time::sleep(CURSOR_AFTER * 9 / 10).await;
    client.world.push_ephemeral(ROOMS[0], ANN, typing(ANN));
    client.expect(&["cursor 1"]).await;
    assert!(sent.elapsed() <= CURSOR_AFTER, "it came after {:?}", sent.elapsed());
}

#[tokio::test]
async fn a_socket_ends_with_the_session_of_its_account() {
    let mut client = Client::connected().await;
    client.world.invalidate(1);
    client.world.publish(1);
    client.world.commit(2, ROOMS[0], BOB);
    client.expect(&["message 2", "cursor 2"]).await;
    client.world.alive.store(false, Ordering::Relaxed);
    client.world.invalidate(3);
    client.expect(&["close 4001"]).await;
}

#[tokio::test]
async fn a_renamed_user_gets_another_welcome_with_the_current_cursor() {
    let mut client = Client::connected().await;
    client.world.commit(1, ROOMS[0], BOB);
    client.expect(&["message 1", "cursor 1"]).await;
    client.world.rename("ann~1234");
    client.world.invalidate(2);
    client.world.publish(2);
    client.expect(&["welcome 1"]).await;
    client.world.invalidate(3);
    client.world.publish(3);
    client.world.commit(4, ROOMS[0], BOB);
    let mut next = client.next().await;
    while next != "message 4" {
        assert!(next.starts_with("cursor"), "the name did not change again: {next}");
        next = client.next().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_expires_ends_its_socket() {
    let mut client = Client::connected().await;
    client.world.alive.store(false, Ordering::Relaxed);
    tokio::time::advance(crate::session::login::CHECK_EVERY).await;
    client.expect(&["close 4001"]).await;
}

#[tokio::test]
async fn a_removed_member_gets_no_more_messages_of_the_room() {
    let mut client = Client::connected().await;
    // The client reads nothing until everything is pushed; the room's lane was marked ready first.
    client.line.allow_frames(0);
    client.world.commit(1, ROOMS[1], BOB);
    client.world.leave(2, ROOMS[0]);
    client.world.commit(3, ROOMS[0], BOB);
    client.world.commit(4, ROOMS[1], BOB);
    client.line.allow_frames(usize::MAX);
    client.until("message 4").await;
    assert!(!client.got.contains(&3), "she is not in the room any more");
}

/// Promise: a change to a room with thousands of members makes each session read only that room.
#[tokio::test]
async fn a_room_change_makes_a_session_read_only_that_room_unless_the_user_left_it() {
    let mut client = Client::connected().await;
    let reads = |client: &Client| client.world.context_reads.load(Ordering::Relaxed);
    let before = reads(&client);
    client.world.change_room(1, ROOMS[0], false);
    client.until("room").await;
    assert_eq!(reads(&client), before);
    client.world.change_room(2, ROOMS[0], true);
    client.until("room").await;
    assert_eq!(reads(&client), before + 1);
    assert!(client.world.lanes.get(ROOMS[0]).is_none(), "the session does not follow it any more");
}

#[tokio::test]
async fn a_new_member_misses_nothing_after_joining() {
    let mut client = Client::connected().await;
    client.world.leave(1, ROOMS[0]);
    client.world.publish(1);
    client.world.commit(2, ROOMS[1], BOB);
    client.until("cursor 2").await;
    client.world.join(3, ROOMS[0]);
    client.world.publish(3);
    // The session follows the lane before the client learns of the room.
    client.until("room").await;
    let broadcasts = client.world.broadcasts.lock().unwrap().clone();
    let is_presence = |(room, frame): &(_, String)| *room == ROOMS[0] && frame.contains("online");
    let is_announced = broadcasts.len() == 1 && broadcasts.iter().all(is_presence);
    assert!(is_announced, "the other members see that she is online: {broadcasts:?}");
    client.world.commit(4, ROOMS[0], BOB);
    client.until("message 4").await;
}

#[tokio::test]
async fn blocks_hide_messages_one_way_and_presence_both_ways() {
    let mut client = Client::connected().await;
    client.world.block(BOB, EVE);
    client.world.invalidate(1);
    client.world.publish(1);
    client.expect(&["presence", "presence"]).await;
    client.world.commit(2, ROOMS[0], BOB);
    client.world.commit(3, ROOMS[0], EVE);
    for user in [BOB, EVE, ANN, world::STRANGER] {
        client.world.push_ephemeral(ROOMS[0], user, typing(user));
    }
    client.world.commit(4, ROOMS[0], ANN);
    let mut frames = Vec::new();
    while frames.last().is_none_or(|last| last != "message 4") {
        frames.push(client.next().await);
    }
    frames.retain(|frame| !frame.starts_with("cursor"));
    assert_eq!(frames, ["message 3", &format!("typing {}", world::STRANGER), "message 4"]);
    // The cursor also covers the messages that were left out.
    client.until("cursor 4").await;
    // She does not learn that a stranger has blocked her, but she gets the presence of a user whom she unblocks.
    client.world.block(BOB, world::STRANGER);
    client.world.invalidate(5);
    client.world.publish(5);
    client.expect(&["cursor 5"]).await;
    client.world.unblock(BOB);
    // A client loads messages that were hidden meanwhile in pages.
    client.got.insert(2);
    client.world.invalidate(6);
    client.world.publish(6);
    client.expect(&["presence", "cursor 6"]).await;
}

#[tokio::test]
async fn typing_is_not_sent_to_a_former_contact() {
    let mut client = Client::connected().await;
    client.world.sever(1, ROOMS[0]);
    client.world.publish(1);
    client.until("room").await;
    for room in ROOMS {
        let typing = json!({"type": "typing", "room_id": room.to_string()});
        client.line.to_server.send(Message::text(typing.to_string())).unwrap();
    }
    client.line.to_server.send(Message::text(r#"{"type":"ping"}"#)).unwrap();
    client.until("pong").await;
    let rooms: Vec<_> = client.world.broadcasts.lock().unwrap().iter().map(|(room, _)| *room).collect();
    assert_eq!(rooms, [ROOMS[1]]);
}

/// Promise 3: a client that falls behind lacks nothing afterwards, or is told to resume.
#[tokio::test]
async fn a_lagging_session_continues_from_the_store_or_is_closed() {
    let limit = REPLAY_EVENTS_MAX as u64;
    for (all, end, catches_up) in [(limit, "cursor 10000", true), (limit + 1, "close 4002", false)] {
        let mut client = Client::connected().await;
        client.line.allow_frames(0);
        // One room has more than its lane holds; the lane of the other doesn't overflow.
        (1..=all).for_each(|n| client.world.commit(n, ROOMS[usize::from(n.is_multiple_of(10))], BOB));
        client.line.allow_frames(usize::MAX);
        assert_eq!(client.until_or_closed("cursor 10000").await, end);
        assert_eq!(client.got.len() as u64 == all, catches_up);
        let counts = (client.metrics.catch_ups.get(), client.metrics.lagged_sessions.get());
        assert_eq!(counts, if catches_up { (1, 0) } else { (0, 1) });
    }
}

#[tokio::test]
async fn a_client_that_missed_presence_frames_gets_another_welcome() {
    let mut client = Client::connected().await;
    client.line.allow_frames(0);
    client.world.push_ephemeral(ROOMS[0], BOB, r#"{"type":"presence"}"#.into());
    let all = 9_000;
    (1..=all).for_each(|n| client.world.commit(n, ROOMS[0], BOB));
    client.line.allow_frames(usize::MAX);
    client.until("welcome 0").await;
    client.until(&format!("cursor {all}")).await;
    assert_eq!(client.got.len() as u64, all);
    assert_eq!(client.metrics.catch_ups.get(), 1);
}

#[tokio::test]
async fn a_stopping_node_sends_what_it_has_and_closes() {
    let mut client = Client::connected().await;
    client.world.commit(1, ROOMS[0], BOB);
    client.drain.send_replace(Serving::Stopping);
    assert_eq!(client.until_or_closed("never").await, "close 1001");
    assert!(client.got.contains(&1));
}

#[tokio::test]
async fn requests_are_answered_and_bad_ones_refused_without_closing() {
    let mut client = Client::connected().await;
    let id = "00000000-0000-0000-0000-000000000007";
    let send = |room: &str| json!({"type": "send", "id": id, "room_id": room, "body": "hi"});
    let mut unknown = send(&ROOMS[0].to_string());
    unknown["more"] = json!(1);
    for (request, answer) in [
        (send(&ROOMS[0].to_string()), "ack"),
        (send(&world::OTHER_ROOM.to_string()), "error not_found"),
        (unknown, "error bad_request"),
        (json!({"type": "typing", "room_id": world::OTHER_ROOM.to_string()}), "error not_found"),
        (json!({"type": "read", "room_id": ROOMS[0].to_string(), "message_id": id}), "error not_found"),
        (json!({"type": "ping"}), "pong"),
        (json!(7), "error bad_request"),
    ] {
        let text =
            if request == json!(7) { Message::binary(vec![7]) } else { Message::text(request.to_string()) };
        client.line.to_server.send(text).unwrap();
        let frame = client.line.next().await.unwrap();
        assert_eq!(world::short(&frame), answer, "{request}");
        if answer.starts_with("error") && request["type"] == "send" {
            assert_eq!(frame["id"], id);
        }
    }
    client
        .line
        .to_server
        .send(Message::text(json!({"type": "typing", "room_id": ROOMS[0].to_string()}).to_string()))
        .unwrap();
    client.line.to_server.send(Message::text(r#"{"type":"ping"}"#)).unwrap();
    client.expect(&["pong"]).await;
    let [(room, frame)] = &client.world.broadcasts.lock().unwrap()[..] else { panic!("one broadcast") };
    let frame: Value = serde_json::from_str(frame).unwrap();
    assert_eq!((*room, &frame["user"]["id"]), (ROOMS[0], &json!(ANN.to_string())));
}
