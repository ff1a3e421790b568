//! Frames as nodes send them, through the same way as in a run, with each kind of failure planted.
//! The first reader of a frame reads it in full and the others by comparison: both must notice.

use super::super::plan::Plan;
use super::*;
use crate::check::{self, Place};

const MESSAGES: u32 = 6;
const SENDER: usize = 0;

/// A state of one room on one node, with one sender and two receivers, all welcomed, and six messages sent.
fn state() -> State {
    let plan = Plan {
        title: "test",
        nodes: vec!["http://127.0.0.1:1".parse().unwrap()],
        rooms: 1,
        senders: 1,
        receivers: 2,
        rate: 1.0,
        warmup: std::time::Duration::ZERO,
        duration: std::time::Duration::ZERO,
        drain: std::time::Duration::ZERO,
        body_bytes: 20,
        seed: 1,
        resume: false,
        errors_allowed: false,
        lists: false,
        p99_limit_ms: None,
        copied_percent_min: None,
        processes: vec![],
    };
    let mut state = crate::load::phases::new_state(&plan, &["room".to_owned()]);
    state.window = 0..u64::MAX;
    for guest in 0..3 {
        state.take(guest, br#"{"type":"welcome","roomID":"room","cursor":"c0"}"#, 0);
    }
    for number in 0..MESSAGES {
        state.ledger.enter(0, 0, u64::from(number) * 1_000_000, check::State::Sent);
    }
    state
}

fn id(state: &State, number: u32) -> String {
    String::from_utf8(state.ids.encode(number).to_vec()).unwrap()
}

fn message(state: &State, number: u32) -> String {
    let mut post = Vec::new();
    state.body.post(number, &state.ids.encode(number), &mut post);
    let post: serde_json::Value = serde_json::from_slice(&post).unwrap();
    format!(
        r#"{{"type":"message","id":{},"roomID":"room","username":"s","guest":true,"body":{},"at":"t","pos":"p{number}"}}"#,
        post["id"], post["body"]
    )
}

fn ack(state: &State, number: u32, copies: u32) -> String {
    let id = id(state, number);
    format!(r#"{{"type":"ack","id":"{id}","at":"t","pos":"p{number}","copies":{copies}}}"#)
}

fn take(state: &mut State, guest: usize, frame: &str) {
    state.take(guest, frame.as_bytes(), 9_000_000);
}

/// Sends everything to everybody, except what `change` leaves out or puts in its stead, and judges.
fn check(change: impl Fn(&State, usize, u32) -> Vec<String>) -> (State, Vec<Check>) {
    let mut state = state();
    for number in 0..MESSAGES {
        let frame = ack(&state, number, 2);
        take(&mut state, SENDER, &frame);
        for guest in 0..3 {
            for frame in change(&state, guest, number) {
                take(&mut state, guest, &frame);
            }
        }
    }
    check::judge(&state.ledger, &state.receipts, &mut state.findings);
    let failed = Check::ALL.into_iter().filter(|&check| state.findings.of(check).count > 0).collect();
    (state, failed)
}

#[test]
fn a_good_run_passes_and_is_measured() {
    let (state, failed) = check(|state, _, number| vec![message(state, number)]);
    assert_eq!(failed, []);
    assert!(state.settled());
    assert_eq!(state.delivered, u64::from(MESSAGES) * 3);
    assert_eq!(state.rings[0].head(), u64::from(MESSAGES), "each frame is read in full once");
    let delivery = state.nodes[0].delivery.quantiles();
    assert_eq!((delivery.count, state.copies[2]), (18, 6));
    // Message 0 was due at 0 ms, message 5 at 5 ms, and all came at 9 ms.
    assert!((delivery.max_ms - 9.0).abs() < 0.01 && (delivery.p50_ms - 6.0).abs() < 0.01, "{delivery:?}");
}

#[test]
fn loss_is_found_at_any_reader() {
    for victim in 0..3 {
        let (state, failed) =
            check(
                |state, guest, number| {
                    if (guest, number) == (victim, 3) { vec![] } else { vec![message(state, number)] }
                },
            );
        assert_eq!(failed, [Check::Received], "at {victim}");
        assert!(!state.settled());
    }
}

#[test]
fn a_duplicate_is_found_at_any_reader() {
    for victim in 0..3 {
        let (_, failed) = check(|state, guest, number| {
            vec![message(state, number); if (guest, number) == (victim, 3) { 2 } else { 1 }]
        });
        assert_eq!(failed, [Check::Once], "at {victim}");
    }
}

#[test]
fn another_live_order_is_noted_and_loses_nothing() {
    let (state, failed) = check(|state, guest, number| {
        let swapped = if guest == 1 { number ^ 1 } else { number };
        vec![message(state, swapped)]
    });
    assert_eq!(failed, []);
    assert_eq!(state.notes.inversions, 3);
}

#[test]
fn a_changed_pos_or_body_is_found_at_any_reader() {
    for victim in 0..3 {
        let with = |from: &'static str, to: &'static str| {
            move |state: &State, guest: usize, number: u32| {
                let frame = message(state, number);
                vec![if (guest, number) == (victim, 3) { frame.replace(from, to) } else { frame }]
            }
        };
        let (_, failed) = check(with("\"p3\"", "\"p9\""));
        assert!(failed.contains(&Check::SameSet), "{failed:?} at {victim}");
        for (from, to) in [("00000003", "00000004"), ("\"room\"", "\"other\""), ("\"at\":\"t\",", "")] {
            let (_, failed) = check(with(from, to));
            assert_eq!(failed, [Check::Received, Check::Intact], "{to} at {victim}");
        }
    }
}

#[test]
fn errors_and_strange_frames_are_found() {
    let mut state = state();
    let id = id(&state, 1);
    take(
        &mut state,
        SENDER,
        &format!(r#"{{"type":"error","code":"rate_limited","detail":"slow","id":"{id}"}}"#),
    );
    assert_eq!((state.ledger.refused(), state.findings.of(Check::NoErrors).count), (1, 1));
    for (found, frame) in [(1, "no json"), (2, r#"{"type":"ack"}"#), (3, r#"{"type":"message"}"#)] {
        take(&mut state, SENDER, frame);
        assert_eq!(state.findings.of(Check::Intact).count, found, "{frame}");
    }
    take(&mut state, SENDER, r#"{"type":"joined","username":"x","guest":true,"at":"t"}"#);
    assert_eq!(state.findings.of(Check::Intact).count, 3);
}

#[test]
fn acks_belong_to_their_sender_and_never_lower_copies() {
    let mut state = state();
    let (two, one) = (ack(&state, 1, 2), ack(&state, 1, 1));
    take(&mut state, SENDER, &two);
    take(&mut state, SENDER, &two);
    assert!(state.findings.passed());
    take(&mut state, SENDER, &one);
    assert_eq!(state.findings.of(Check::Acks).count, 1);
    let other = ack(&state, 2, 2);
    take(&mut state, 1, &other);
    assert_eq!(state.findings.of(Check::Acks).count, 2);
}

#[test]
fn after_a_reconnect_what_comes_again_is_no_duplicate() {
    let (mut state, _) = check(|state, _, number| vec![message(state, number)]);
    state.receipts[1].reconnected();
    let replay = message(&state, 2).replace("{\"type\"", "{\"history\":true,\"type\"");
    take(&mut state, 1, &replay);
    assert_eq!((state.notes.repeats, state.notes.history), (1, 1));
    assert!(state.findings.passed());
    take(&mut state, 1, &replay);
    assert_eq!(state.findings.of(Check::Once).count, 1);
    assert_eq!(state.receipts[1].place, Place { room: 0, node: 0 });
}
