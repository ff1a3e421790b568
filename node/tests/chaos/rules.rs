//! The rules for the ledger and the lists of the nodes. Each returns a description of what is wrong. Tests check the
//! rules themselves: each finds its planted fault.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ledger::{Held, Key, Ledger, Message};
use harness::Posted;

/// The most findings that a report names.
const SHOWN_MAX: usize = 5;
/// A report of a message includes the events of its guest in this time before and after it.
const AROUND: Duration = Duration::from_secs(1);

/// Whether the loss of an acked message breaks no promise: one copy was acked, and the disk with it is lost.
fn is_excused(ledger: &Ledger, message: &Message) -> bool {
    message.copies <= 1 && matches!(message.held, Held::On(disk) if ledger.places.is_lost(disk))
}

/// Messages that must be there.
fn promised(ledger: &Ledger, room: usize) -> impl Iterator<Item = Key> {
    let acked = ledger.messages_of(room).filter(|(_, message)| message.is_acked());
    acked.filter(|(_, message)| !is_excused(ledger, message)).map(|(key, _)| key)
}

/// The number of acked messages that were, or may have been, lost with their only disk, as they may be.
pub(crate) fn excused(ledger: &Ledger) -> usize {
    let messages = ledger.guests.iter().flat_map(|guest| &guest.messages);
    messages.filter(|message| message.is_acked() && is_excused(ledger, message)).count()
}

/// Compares the lists of the nodes for one room; returns the differences.
pub(crate) fn wrong_lists(ledger: &Ledger, room: usize, lists: &[Vec<Posted>]) -> Vec<String> {
    let mut found = Vec::new();
    for (node, list) in lists.iter().enumerate() {
        let mut times: BTreeMap<Key, usize> = BTreeMap::new();
        let mut unknown = Vec::new();
        for posted in list {
            match ledger.key_of(posted) {
                Some(key) => *times.entry(key).or_default() += 1,
                None => unknown.push(posted.body.clone()),
            }
        }
        let lost = promised(ledger, room).filter(|key| !times.contains_key(key));
        let doubled = times.iter().filter(|(_, times)| **times > 1).map(|(&key, _)| key);
        let say = |what: &str| format!("the list of node {node} {what}");
        report(&mut found, &say("lacks"), &bodies(ledger, lost));
        report(&mut found, &say("has twice"), &bodies(ledger, doubled));
        report(&mut found, &say("has what nobody sent:"), &unknown);
        report(&mut found, &say("is in another order than they were sent:"), &out_of_order(ledger, list));
        if list != &lists[0] {
            let at = list.iter().zip(&lists[0]).position(|(here, there)| here != there);
            let (here, there) = (list.len(), lists[0].len());
            found.push(format!("the lists of node {node} ({here}) and node 0 ({there}) differ at {at:?}"));
        }
    }
    found
}

/// Messages that stand above an earlier one of the same sender.
fn out_of_order(ledger: &Ledger, list: &[Posted]) -> Vec<String> {
    let mut latest = BTreeMap::new();
    let mut found = Vec::new();
    for posted in list {
        let Some(Key { sender, number }) = ledger.key_of(posted) else { continue };
        let greatest = latest.entry(sender).or_insert(number);
        if number < *greatest {
            found.push(posted.body.clone());
        }
        *greatest = number.max(*greatest);
    }
    found
}

/// Acked messages that a guest of their room was never shown, with what happened to both around that time.
pub(crate) fn gaps(ledger: &Ledger) -> Vec<String> {
    let mut found = Vec::new();
    for (reader, guest) in ledger.guests.iter().enumerate() {
        let lacking: Vec<_> =
            promised(ledger, guest.room).filter(|&key| !ledger.was_shown(reader, key)).collect();
        let say = format!("{} was never shown", guest.name);
        report(&mut found, &say, &bodies(ledger, lacking.iter().copied()));
        if let Some(&first) = lacking.first() {
            found.extend(around(ledger, first, reader));
        }
    }
    found
}

/// Describes the history of a message, and of a guest from a second before to a second after.
fn around(ledger: &Ledger, key: Key, reader: usize) -> Vec<String> {
    let Some((sent, acked)) = ledger.life_of(key) else { return Vec::new() };
    let end = acked.unwrap_or(sent);
    let mut all = vec![(sent, "it is sent".to_owned())];
    all.extend(acked.map(|at| (at, format!("it is acked: {:?}", ledger.message(key)))));
    let near = |at: Instant| at + AROUND > sent && at < end + AROUND;
    let notes = ledger.guests[reader].notes.iter().filter(|(at, _)| near(*at));
    all.extend(notes.map(|(at, note)| (*at, format!("{note:?}"))));
    all.sort_by_key(|(at, _)| *at);
    let since = |at: Instant| at.saturating_duration_since(all[0].0).as_micros();
    all.iter().map(|(at, what)| format!("  {:>8} µs {what}", since(*at))).collect()
}

/// In a rolling restart from `begin` on, each node may cost a guest one session.
pub(crate) fn dropped_twice(ledger: &Ledger, begin: Instant) -> Vec<String> {
    let mut times: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for dropped in ledger.dropped.iter().filter(|dropped| dropped.when >= begin) {
        *times.entry((dropped.guest, dropped.at)).or_default() += 1;
    }
    let twice = times.iter().filter(|(_, times)| **times > 1);
    twice
        .map(|((guest, at), times)| {
            format!("{} lost {times} sessions to one restart of node {at}", ledger.guests[*guest].name)
        })
        .collect()
}

/// Checks the outputs of `starling verify`: they must be equal.
pub(crate) fn different(said: &[(String, String)]) -> Vec<String> {
    let others = said.iter().skip(1).filter(|(_, what)| *what != said[0].1);
    others.map(|(name, what)| format!("{name} says {what:?}, {} {:?}", said[0].0, said[0].1)).collect()
}

fn bodies(ledger: &Ledger, keys: impl Iterator<Item = Key>) -> Vec<String> {
    keys.map(|key| format!("{} by {} {:?}", key.number, ledger.guests[key.sender].name, ledger.message(key)))
        .collect()
}

fn report(found: &mut Vec<String>, what: &str, which: &[String]) {
    if !which.is_empty() {
        let first = &which[..which.len().min(SHOWN_MAX)];
        found.push(format!("{what} {} messages, as {first:?}", which.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::body_of;
    use crate::places::Seat;

    /// Ann's first messages, acked by node 0 with two copies; Bob reads.
    fn ledger(count: u32) -> Ledger {
        let mut ledger = Ledger { rooms: vec!["room".to_owned()], ..Ledger::default() };
        for port in [1, 2] {
            ledger.places.add(([127, 0, 0, 1], port).into());
        }
        assert_eq!([ledger.add_guest("ann", 0), ledger.add_guest("bob", 0)], [0, 1]);
        for number in 0..count {
            assert_eq!(ledger.send(0), Key { sender: 0, number });
            ack(&mut ledger, number, 2);
        }
        ledger
    }

    fn seat(ledger: &Ledger) -> Seat {
        ledger.places.seat(0)
    }

    fn ack(ledger: &mut Ledger, number: u32, copies: u32) {
        let id = Key { sender: 0, number }.id();
        ledger.note_acked(seat(ledger), &id, copies);
    }

    fn posted(number: u32) -> Posted {
        let [room, username, at] = ["room", "ann", ""].map(str::to_owned);
        let (id, body) = (Key { sender: 0, number }.id(), body_of("ann", number));
        Posted { id, room, username, guest: true, body, at, pos: format!("{number:04}"), history: false }
    }

    fn check(expected: Option<&str>, plant: impl FnOnce(&mut Vec<Vec<Posted>>)) {
        let mut lists = vec![(0..10).map(posted).collect::<Vec<_>>(); 3];
        plant(&mut lists);
        let found = wrong_lists(&ledger(10), 0, &lists);
        let as_expected =
            expected.map_or(found.is_empty(), |word| found.iter().any(|what| what.contains(word)));
        assert!(as_expected, "expected {expected:?}, found {found:?}");
    }

    #[test]
    fn planted_faults_are_found() {
        check(None, |_| {});
        check(Some("lacks"), |lists| lists.iter_mut().for_each(|list| _ = list.remove(4)));
        check(Some("has twice"), |lists| lists.iter_mut().for_each(|list| list.push(list[3].clone())));
        check(Some("nobody sent"), |lists| lists.iter_mut().for_each(|list| list.push(posted(77))));
        check(Some("nobody sent"), |lists| lists.iter_mut().for_each(|list| list[2].body.push('x')));
        check(Some("another order"), |lists| lists.iter_mut().for_each(|list| list.swap(2, 3)));
        check(Some("differ"), |lists| lists[1][5].pos.push('x'));
        check(Some("differ"), |lists| _ = lists[2].pop());
    }

    #[test]
    fn a_gap_is_found() {
        let mut ledger = ledger(3);
        let here = seat(&ledger);
        for (reader, number) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2)] {
            ledger.note_shown(reader, here, &posted(number));
        }
        assert!(gaps(&ledger)[0].contains("bob was never shown 1 messages"), "{:?}", gaps(&ledger));
        ledger.note_shown(1, here, &posted(1));
        assert!(gaps(&ledger).is_empty(), "{:?}", gaps(&ledger));
    }

    #[test]
    fn only_what_one_lost_disk_held_may_be_lost() {
        let lacks = |ledger: &Ledger| wrong_lists(ledger, 0, &[Vec::new()]).len();
        for copies in [1, 2] {
            let mut ledger = ledger(0);
            let key = ledger.send(0);
            ack(&mut ledger, key.number, copies);
            assert_eq!(lacks(&ledger), 1, "the disk is there");
            let old = seat(&ledger);
            ledger.places.new_disk(0, false);
            assert_eq!((lacks(&ledger), excused(&ledger)), if copies == 1 { (0, 1) } else { (1, 0) });
            // A later ack, or a guest who was shown it elsewhere, proves another copy.
            let mut raised = ledger;
            let there = raised.places.seat(1);
            raised.note_shown(1, old, &posted(0));
            assert_eq!(lacks(&raised), usize::from(copies == 2));
            raised.note_shown(1, there, &posted(0));
            assert_eq!(lacks(&raised), 1);
        }
        let mut ledger = ledger(0);
        let key = ledger.send(0);
        ack(&mut ledger, key.number, 1);
        ledger.places.new_disk(0, true);
        assert_eq!(lacks(&ledger), 1, "who leaves politely hands over");
    }

    #[test]
    fn sessions_that_end_without_need_are_found() {
        let mut ledger = ledger(0);
        let early = seat(&ledger);
        ledger.note_dropped(1, early, None, 0);
        ledger.note_refused(1, early, 404, "not_found");
        assert_eq!((ledger.needless.len(), ledger.complaints.len()), (2, 1));
        ledger.places.is_told_nothing(0);
        ledger.note_refused(1, early, 503, "unavailable");
        ledger.places.all_is_told();
        assert_eq!((ledger.needless.len(), ledger.complaints.len()), (2, 1));
        ledger.places.shake(0);
        let begin = Instant::now();
        ledger.note_dropped(1, early, Some(1001), 3);
        assert!(dropped_twice(&ledger, begin).is_empty());
        ledger.places.calm(0);
        ledger.note_dropped(1, early, Some(1001), 3);
        assert_eq!(ledger.needless.len(), 2, "it began before the node was shaken");
        assert_eq!(dropped_twice(&ledger, begin).len(), 1);
        let late = seat(&ledger);
        ledger.note_dropped(1, late, Some(4002), 0);
        assert_eq!(ledger.needless.len(), 3);
    }

    #[test]
    fn strange_frames_and_other_digests_are_found() {
        let mut ledger = ledger(1);
        let here = seat(&ledger);
        ledger.note_shown(1, here, &posted(7));
        ledger.note_acked(here, "00000007-0000-4000-8000-000000000000", 2);
        assert_eq!(ledger.complaints.len(), 2);
        let said = |what: [&str; 3]| different(&what.map(|what| (String::new(), what.to_owned()))).len();
        assert_eq!([said(["x", "x", "x"]), said(["x", "y", "x"]), said(["x", "y", "y"])], [0, 1, 2]);
    }
}
