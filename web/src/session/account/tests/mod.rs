//! What a live socket is sent of several lanes, in which order, what its cursors promise, and when it ends.

mod client;
mod random;
mod world;

use std::sync::atomic::Ordering;

use axum::extract::ws::Message;
use serde_json::{Value, json};
use starling_protocol::cursor::CursorError;

use self::{
    client::{Client, cursor},
    world::{ANN, BOB, EVE, ROOMS, typing},
};
use crate::{drain::Serving, lane::Utf8Bytes, session::ResumePoint};

#[tokio::test]
async fn a_first_connection_gets_the_real_cursor_and_then_its_lanes() {
    let mut client = Client::connect(2, ResumePoint::Nothing);
    client.expect(&["welcome 0", "cursor 2"]).await;
    client.world.commit(3, ROOMS[0], BOB);
    client.expect(&["message 3", "cursor 3"]).await;
    client.world.commit(4, ROOMS[1], EVE);
    client.expect(&["message 4", "cursor 4"]).await;
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
async fn who_is_called_otherwise_is_told_by_a_welcome_from_where_he_is() {
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
        assert!(next.starts_with("cursor"), "he is called as before: {next}");
        next = client.next().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_expires_ends_its_socket() {
    let mut client = Client::connected().await;
    client.world.alive.store(false, Ordering::Relaxed);
    tokio::time::advance(super::CHECK_EVERY).await;
    client.expect(&["close 4001"]).await;
}

#[tokio::test]
async fn who_was_removed_is_sent_nothing_of_the_room_any_more() {
    let mut client = Client::connected().await;
    // He reads nothing until all of it is there: the frame of the room rang first.
    client.line.make_room(0);
    client.world.commit(1, ROOMS[1], BOB);
    client.world.leave(2, ROOMS[0]);
    client.world.commit(3, ROOMS[0], BOB);
    client.world.commit(4, ROOMS[1], BOB);
    client.line.make_room(usize::MAX);
    client.until("message 4").await;
    assert!(!client.got.contains(&3), "he is not in the room any more");
}

/// A change of a room that thousands are in makes each of them read that room, and nothing else.
#[tokio::test]
async fn what_changes_of_a_room_is_looked_at_alone_unless_it_is_gone() {
    let mut client = Client::connected().await;
    let looked = |client: &Client| client.world.looked_around.load(Ordering::Relaxed);
    let before = looked(&client);
    client.world.change_room(1, ROOMS[0], false);
    client.until("room").await;
    assert_eq!(looked(&client), before);
    client.world.change_room(2, ROOMS[0], true);
    client.until("room").await;
    assert_eq!(looked(&client), before + 1);
    assert!(client.world.lanes.get(ROOMS[0]).is_none(), "he follows it no longer");
}

#[tokio::test]
async fn of_a_room_that_he_comes_into_nothing_is_lost_from_then_on() {
    let mut client = Client::connected().await;
    client.world.leave(1, ROOMS[0]);
    client.world.publish(1);
    client.world.commit(2, ROOMS[1], BOB);
    client.until("cursor 2").await;
    client.world.come(3, ROOMS[0]);
    client.world.publish(3);
    // When he hears of it, the lane is followed already.
    client.until("room").await;
    let shown = client.world.shown.lock().unwrap().clone();
    let is_presence = |(room, frame): &(_, Utf8Bytes)| *room == ROOMS[0] && frame.contains("online");
    assert!(shown.len() == 1 && shown.iter().all(is_presence), "his room-mates see him come: {shown:?}");
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
    for who in [BOB, EVE, ANN, world::STRANGER] {
        client.world.show(ROOMS[0], who, typing(who));
    }
    client.world.commit(4, ROOMS[0], ANN);
    let mut frames = Vec::new();
    while frames.last().is_none_or(|last| last != "message 4") {
        frames.push(client.next().await);
    }
    frames.retain(|frame| !frame.starts_with("cursor"));
    assert_eq!(frames, ["message 3", &format!("typing {}", world::STRANGER), "message 4"]);
    // What was left out is covered like the rest.
    client.until("cursor 4").await;
    // That a stranger has blocked him, he is not told; whom he sees again, he is.
    client.world.block(BOB, world::STRANGER);
    client.world.invalidate(5);
    client.world.publish(5);
    client.expect(&["cursor 5"]).await;
    client.world.unblock(BOB);
    // What was hidden meanwhile, a client loads by pages.
    client.got.insert(2);
    client.world.invalidate(6);
    client.world.publish(6);
    client.expect(&["presence", "cursor 6"]).await;
}

#[tokio::test]
async fn who_is_no_contact_any_more_is_not_shown_typing() {
    let mut client = Client::connected().await;
    client.world.part(1, ROOMS[0]);
    client.world.publish(1);
    client.until("room").await;
    for room in ROOMS {
        let typing = json!({"type": "typing", "room_id": room.to_string()});
        client.line.to_server.send(Message::text(typing.to_string())).unwrap();
    }
    client.line.to_server.send(Message::text(r#"{"type":"ping"}"#)).unwrap();
    client.until("pong").await;
    let shown: Vec<_> = client.world.shown.lock().unwrap().iter().map(|(room, _)| *room).collect();
    assert_eq!(shown, [ROOMS[1]]);
}

#[tokio::test]
async fn who_falls_behind_goes_on_from_the_store() {
    let mut client = Client::connected().await;
    client.line.make_room(0);
    let all = 20_000;
    // More than a lane holds, less than is replayed.
    for n in 1..=all {
        client.world.commit(n, world::room_of(n), BOB);
        if n % 500 == 0 {
            tokio::task::yield_now().await;
        }
    }
    client.line.make_room(usize::MAX);
    let last = client.until_or_closed(&format!("cursor {all}")).await;
    assert!(last == format!("cursor {all}") || last == "close 4002", "{last}");
}

#[tokio::test]
async fn comings_and_goings_that_were_lost_are_made_up_for() {
    let mut client = Client::connected().await;
    client.line.make_room(0);
    client.world.show(ROOMS[0], BOB, r#"{"type":"presence"}"#.into());
    let all = 9_000;
    (1..=all).for_each(|n| client.world.commit(n, ROOMS[0], BOB));
    client.line.make_room(usize::MAX);
    client.until("welcome 0").await;
    client.until(&format!("cursor {all}")).await;
    assert_eq!(client.got.len() as u64, all);
    assert_eq!(client.metrics.catch_ups.get(), 1);
}

#[tokio::test]
async fn a_stopping_node_delivers_what_it_has_and_says_goodbye() {
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
    let [(room, frame)] = &client.world.shown.lock().unwrap()[..] else { panic!("one is told") };
    let frame: Value = serde_json::from_str(frame).unwrap();
    assert_eq!((*room, &frame["user"]["id"]), (ROOMS[0], &json!(ANN.to_string())));
}
