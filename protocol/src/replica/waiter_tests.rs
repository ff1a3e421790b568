//! Tests of waiters for copies: when they are answered, and which answers are upgraded later.

use super::tests::{Bench, OWN, in_sync_confirm};
use super::*;

/// A replica with two peers in sync, and three events of its own.
fn with_own_events() -> Bench {
    let mut bench = Bench::with_two_peers();
    for seq in 1..=3 {
        bench.commit(Seq(seq));
    }
    bench
}

fn confirm_from(bench: &mut Bench, link: LinkId, seq: Seq) -> Vec<(Token, usize, bool)> {
    let confirm = in_sync_confirm(vec![(OWN, seq)]);
    answers(bench.step(Input::Frame(link, ReplicaFrame::Confirm(confirm))))
}

/// The answers: token, copies, whether an upgrade may follow.
fn answers(outputs: Vec<Output>) -> Vec<(Token, usize, bool)> {
    let answers = outputs.into_iter().filter_map(|output| match output {
        Output::Settled { token, copies, may_upgrade } => Some((token, copies, may_upgrade)),
        _ => None,
    });
    answers.collect()
}

fn wait(token: Token, seq: Seq, until: Until, upgrade_ms: u64) -> Input {
    Input::Await(Waiter { token, origin: OWN, seq, until, wait_ms: 200, upgrade_ms })
}

fn tick(bench: &mut Bench, now: Millis) -> Vec<(Token, usize, bool)> {
    bench.now = now;
    answers(bench.step(Input::Tick))
}

/// Promise 1: an ack comes with exactly the copies that were asked for, as soon as they are there.
#[test]
fn a_waiter_is_answered_with_the_copies_that_it_wants() {
    let mut bench = with_own_events();
    for (token, copies) in [(1, 1), (2, 2), (3, 3)] {
        let at_once = answers(bench.step(wait(Token(token), Seq(2), Until::Copies(copies), 0)));
        assert_eq!(at_once.len(), usize::from(copies == 1));
    }
    assert_eq!(confirm_from(&mut bench, LinkId(1), Seq(1)), [], "an earlier event");
    assert_eq!(confirm_from(&mut bench, LinkId(1), Seq(2)), [(Token(2), 2, false)]);
    assert_eq!(confirm_from(&mut bench, LinkId(2), Seq(3)), [(Token(3), 3, false)]);
    assert_eq!(bench.replica.waiting(), 0);
}

/// Promise 1: an answer without enough copies says whether an upgrade may follow. Only waiters for copies get one.
#[test]
fn only_a_waiter_for_copies_that_asks_for_it_may_be_upgraded() {
    let mut bench = with_own_events();
    for (token, until, upgrade_ms) in
        [(1, Until::Copies(2), 0), (2, Until::Copies(2), 500), (3, Until::InSync, 500)]
    {
        assert_eq!(answers(bench.step(wait(Token(token), Seq(1), until, upgrade_ms))), []);
    }
    let mut ended = tick(&mut bench, Millis(200));
    ended.sort_unstable();
    assert_eq!(ended, [(Token(1), 1, false), (Token(2), 1, true), (Token(3), 1, false)]);
    assert_eq!(bench.replica.waiting(), 1);
}

/// Promise 1: each answer is upgraded once as many copies are there as its waiter wanted.
#[test]
fn answers_are_upgraded_at_the_copies_that_they_wanted() {
    let mut bench = with_own_events();
    bench.step(wait(Token(1), Seq(1), Until::Copies(2), 10_000));
    bench.step(wait(Token(2), Seq(1), Until::Copies(3), 10_000));
    bench.step(wait(Token(3), Seq(3), Until::Copies(3), 10_000));
    assert_eq!(tick(&mut bench, Millis(200)).len(), 3);
    assert_eq!(confirm_from(&mut bench, LinkId(1), Seq(3)), [(Token(1), 2, false)]);
    assert_eq!(confirm_from(&mut bench, LinkId(2), Seq(1)), [(Token(2), 3, false)]);
    assert_eq!(confirm_from(&mut bench, LinkId(2), Seq(3)), [(Token(3), 3, false)]);
    assert_eq!(bench.replica.waiting(), 0);
}

/// A waiter for all peers in sync waits for each of them, and for none that has gone.
#[test]
fn a_waiter_for_peers_in_sync_waits_for_all_of_them() {
    let mut bench = with_own_events();
    bench.step(wait(Token(1), Seq(1), Until::InSync, 0));
    bench.step(wait(Token(2), Seq(2), Until::InSync, 0));
    assert_eq!(confirm_from(&mut bench, LinkId(1), Seq(3)), []);
    assert_eq!(confirm_from(&mut bench, LinkId(2), Seq(1)), [(Token(1), 3, false)]);
    assert_eq!(answers(bench.step(Input::LinkDown(LinkId(2)))), [(Token(2), 2, false)]);
}

/// The deadline of each waiter holds, in whatever order they come.
#[test]
fn each_waiter_is_answered_at_its_own_deadline() {
    let mut bench = with_own_events();
    bench.step(wait(Token(1), Seq(1), Until::Copies(2), 0));
    bench.now = Millis(50);
    bench.step(wait(Token(2), Seq(1), Until::Copies(2), 0));
    assert_eq!(tick(&mut bench, Millis(199)), []);
    assert_eq!(tick(&mut bench, Millis(200)), [(Token(1), 1, false)]);
    assert_eq!(tick(&mut bench, Millis(249)), []);
    assert_eq!(tick(&mut bench, Millis(250)), [(Token(2), 1, false)]);
}
