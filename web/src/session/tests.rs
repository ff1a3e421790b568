//! Tests of quick sessions: the frames that a client gets, their order, and what its cursors cover.

mod catch_up;
pub mod line;
pub mod support;

use std::sync::atomic::Ordering;

use starling_protocol::cursor::CursorError;
use tokio_tungstenite::tungstenite::Message;

use self::support::{Client, cursor, point};
use super::ResumePoint;

#[tokio::test]
async fn a_first_visit_gets_history_then_a_cursor_then_the_lane() {
    let mut client = Client::connect(2, ResumePoint::Nothing);
    client.expect(&["welcome 0", "history message 1", "history message 2", "cursor 2"]).await;
    client.commit(3);
    client.expect(&["message 3", "cursor 3"]).await;
}

/// Most of the memory of an idle session is its task.
#[tokio::test]
async fn a_session_is_small() {
    let bytes = Client::connect(0, ResumePoint::Nothing).session_bytes;
    assert!(bytes <= 1_536, "{bytes}");
}

#[tokio::test]
async fn a_resume_gets_exactly_what_it_lacks() {
    let mut client = Client::connect(4, cursor(2));
    client.expect(&["welcome 2", "message 3", "message 4", "cursor 4"]).await;
}

#[tokio::test]
async fn a_cursor_that_cannot_be_continued_is_answered_by_resync() {
    for resume_point in [ResumePoint::Unreadable(CursorError::Unreadable), cursor(5_000)] {
        let mut client = Client::connect(1, resume_point);
        client.expect(&["welcome 0", "resync 0", "history message 1", "cursor 1"]).await;
    }
}

#[tokio::test]
async fn a_frame_seen_before_its_commit_is_published_is_covered_by_the_next_cursor() {
    let mut client = Client::connect(1, cursor(1));
    client.expect(&["welcome 1", "cursor 1"]).await;
    client.push(2);
    client.expect(&["message 2"]).await;
    client.lanes.publish(point(2));
    client.expect(&["cursor 2"]).await;
}

#[tokio::test]
async fn a_cursor_is_offered_again_until_it_covers_what_was_sent() {
    let mut client = Client::connect(1, cursor(1));
    client.expect(&["welcome 1", "cursor 1"]).await;
    client.memory.unconfirmed.store(true, Ordering::Relaxed);
    client.commit(2);
    client.expect(&["message 2", "cursor behind", "cursor behind"]).await;
    client.memory.unconfirmed.store(false, Ordering::Relaxed);
    client.expect(&["cursor 2"]).await;
}

#[tokio::test]
async fn a_stopping_node_sends_what_it_has_and_closes() {
    let mut client = Client::connect(0, ResumePoint::Nothing);
    client.expect(&["welcome 0", "cursor 0"]).await;
    client.commit(1);
    client.drain.send_replace(crate::drain::Serving::Stopping);
    client.expect(&["message 1"]).await;
    let mut last = client.next().await;
    if last == "cursor 1" {
        last = client.next().await;
    }
    assert_eq!(last, "close 1001");
}

#[tokio::test]
async fn a_later_session_of_the_same_guest_takes_over() {
    let mut client = Client::connect(0, ResumePoint::Nothing);
    client.expect(&["welcome 0", "cursor 0"]).await;
    client.take_over.take().unwrap().send(()).unwrap();
    client.expect(&["close 4001"]).await;
}

#[tokio::test]
async fn posts_are_acked_and_bad_frames_are_refused_without_closing() {
    let mut client = Client::connect(0, ResumePoint::Nothing);
    client.expect(&["welcome 0", "cursor 0"]).await;
    for (frame, answer) in [
        (Message::text("hello"), "ack"),
        (Message::text("{}"), "error bad_request"),
        (Message::binary("hello"), "error bad_request"),
        (Message::text(r#"{"body":""}"#), "error invalid"),
        (Message::text(r#"{"body":"again"}"#), "ack"),
    ] {
        client.line.to_server.send(frame).unwrap();
        client.expect(&[answer]).await;
    }
}
