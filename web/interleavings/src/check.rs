//! Runs the scenarios with the code as it is and with each mutant.

use std::{
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::variants;

/// How often a thread may lose the processor where it could have gone on. Most known bugs of this kind need one or two.
const PREEMPTIONS_MAX: usize = 3;

/// Runs a scenario in every order of its steps. Returns how many were tried, and what was found.
fn explore(scenario: fn(), preemptions: usize) -> (usize, Result<(), String>) {
    let tried = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tried);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 10_000;
    let checked = catch_unwind(AssertUnwindSafe(|| {
        model.check(move || {
            count.fetch_add(1, Ordering::Relaxed);
            scenario();
        });
    }));
    let found = checked.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    });
    (tried.load(Ordering::Relaxed), found)
}

/// Writes a line that is seen without `--nocapture`, too.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn assert_passes(name: &str, scenario: fn(), preemptions: usize) {
    let (tried, found) = explore(scenario, preemptions);
    say(&format!("{name}: {tried} orders tried, with up to {preemptions} preemptions"));
    assert_eq!(found, Ok(()), "{name}, after {tried} orders");
}

fn assert_mutant_found(name: &str, scenario: fn()) {
    let (tried, found) = explore(scenario, PREEMPTIONS_MAX);
    let found = found.expect_err(&format!("{name} was not found in {tried} orders"));
    say(&format!("{name}: mutant found in order {tried}: {found}"));
}

#[test]
fn a_quick_session_misses_nothing_that_its_cursor_claims() {
    assert_passes("quick session", variants::unchanged::sessions::quick, PREEMPTIONS_MAX);
}

#[test]
fn an_account_session_misses_nothing_that_its_cursor_claims() {
    assert_passes("account session", variants::unchanged::sessions::account, PREEMPTIONS_MAX);
}

#[test]
fn a_lane_that_a_session_starts_to_follow_announces_its_frames() {
    assert_passes("following a room", variants::unchanged::sessions::follow, PREEMPTIONS_MAX);
}

#[test]
fn overlapping_pushes_leave_no_session_asleep() {
    assert_passes("overlapping pushes", variants::unchanged::sessions::overlapping_pushes, 2);
}

#[test]
fn a_session_that_lends_its_socket_misses_nothing() {
    assert_passes("lent socket", variants::unchanged::groups::lent, 2);
}

#[test]
fn a_session_misses_no_frame_that_its_group_has_passed_by() {
    assert_passes("passed by", variants::unchanged::groups::passed_by, PREEMPTIONS_MAX);
}

#[test]
fn a_socket_that_is_lent_to_two_groups_gets_no_cursor_too_early() {
    assert_passes("lent to two groups", variants::unchanged::groups::lent_to_two, PREEMPTIONS_MAX);
}

#[test]
fn a_lent_socket_gets_nothing_of_a_room_that_the_user_has_left() {
    assert_passes("former member", variants::unchanged::groups::lent_by_a_former_member, PREEMPTIONS_MAX);
}

#[test]
fn a_commit_point_read_after_the_frames_is_found() {
    assert_mutant_found("quick session", variants::commit_point_read_after_frames::sessions::quick);
    assert_mutant_found("account session", variants::commit_point_read_after_ready_set::sessions::account);
}

#[test]
fn readiness_checked_before_insertion_is_found() {
    assert_mutant_found("following a room", variants::readiness_checked_before_insertion::sessions::follow);
}

#[test]
fn an_own_origin_set_after_publishing_is_found() {
    assert_mutant_found("quick session", variants::own_origin_set_after_publishing::sessions::quick);
}

#[test]
fn a_lane_marked_before_its_frames_are_in_is_found() {
    assert_mutant_found("account session", variants::lane_marked_before_frames_are_in::sessions::account);
}

#[test]
fn a_replay_that_does_not_wait_for_the_writer_is_found() {
    assert_mutant_found("quick session", variants::replay_up_to_the_commit_point_of_now::sessions::quick);
}

#[test]
fn a_lane_end_that_goes_back_is_found() {
    assert_mutant_found("overlapping pushes", variants::lane_end_goes_back::sessions::overlapping_pushes);
}

#[test]
fn an_end_that_is_read_before_the_socket_is_lent_is_found() {
    assert_mutant_found("lent socket", variants::end_read_before_lending::groups::lent);
}

#[test]
fn a_socket_that_is_given_back_without_a_wake_is_found() {
    assert_mutant_found("lent socket", variants::reader_returned_without_a_wake::groups::lent);
}

#[test]
fn a_socket_that_both_keep_is_found() {
    assert_mutant_found("lent socket", variants::lent_and_kept::groups::lent);
}

#[test]
fn a_begun_frame_that_is_forgotten_is_found() {
    assert_mutant_found("lent socket", variants::begun_frame_forgotten::groups::lent);
}

#[test]
fn a_lane_end_that_is_counted_late_is_found() {
    assert_mutant_found("passed by", variants::end_counted_after_the_frames_are_found::groups::passed_by);
}

#[test]
fn a_cursor_beyond_another_lane_is_found() {
    assert_mutant_found("lent to two groups", variants::cursor_beyond_another_lane::groups::lent_to_two);
}

#[test]
fn an_own_lane_that_is_not_looked_at_is_found() {
    assert_mutant_found("former member", variants::own_lane_not_looked_at::groups::lent_by_a_former_member);
}

#[test]
fn a_group_that_writes_to_a_former_member_is_found() {
    assert_mutant_found("former member", variants::written_to_after_leaving::groups::lent_by_a_former_member);
}
