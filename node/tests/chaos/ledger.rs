//! What the guests of the chaos test sent, got acked and were shown, and the rules that all of it must obey.
//! The rules are checked themselves: each planted fault must be found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::support::Posted;

/// A report names the first few only.
const SHOWN_MAX: usize = 5;
/// What happened to a guest so long before and after a message is told with it.
const AROUND: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) sent: BTreeMap<String, Sent>,
    pub(crate) acked: BTreeSet<String>,
    /// On which node each guest is just now.
    pub(crate) places: BTreeMap<String, usize>,
    pub(crate) resyncs: usize,
    pub(crate) closed: usize,
    shown: BTreeMap<String, Shown>,
    /// What happened to each guest and to each message, and when; only told when something is wrong.
    trails: BTreeMap<String, Vec<(Instant, String)>>,
}

#[derive(Debug)]
pub(crate) struct Sent {
    room: String,
    sender: String,
    number: u32,
    body: String,
}

#[derive(Debug)]
struct Shown {
    room: String,
    ids: BTreeSet<String>,
    times: usize,
}

pub(crate) fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// From now on this guest must be shown every acked message of the room.
    pub(crate) fn note_reader(&mut self, reader: &str, room: &str) {
        let none = Shown { room: room.to_owned(), ids: BTreeSet::new(), times: 0 };
        self.shown.insert(reader.to_owned(), none);
    }

    pub(crate) fn note_sent(&mut self, room: &str, sender: &str, number: u32, id: &str, body: &str) {
        let [room, sender, body] = [room, sender, body].map(str::to_owned);
        self.sent.insert(id.to_owned(), Sent { room, sender, number, body });
    }

    pub(crate) fn note_shown(&mut self, reader: &str, posted: &Posted) {
        let sent = self.sent.get(&posted.id);
        let sent = sent.unwrap_or_else(|| panic!("{reader} is shown what nobody sent: {posted:?}"));
        let as_sent =
            (&sent.room, &sent.sender, &sent.body) == (&posted.room, &posted.username, &posted.body);
        assert!(as_sent, "{reader} is shown {posted:?}, sent was {sent:?}");
        let shown = self.shown.get_mut(reader).expect("every reader was noted");
        shown.ids.insert(posted.id.clone());
        shown.times += 1;
    }

    /// Notes what happened to a guest or to a message.
    pub(crate) fn note(&mut self, whom: &str, what: String) {
        self.trails.entry(whom.to_owned()).or_default().push((Instant::now(), what));
    }

    /// Acked messages that a guest of their room was never shown, with what happened to both around that time.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for (reader, shown) in &self.shown {
            let acked = self.acked.iter().filter(|id| self.sent[*id].room == shown.room);
            let lacking: Vec<_> = acked.filter(|id| !shown.ids.contains(*id)).collect();
            report(&mut gaps, &format!("{reader} was never shown"), &self.bodies(&lacking));
            if let Some(first) = lacking.first() {
                gaps.extend(self.around(first, reader));
            }
        }
        gaps
    }

    /// What happened to a message, and to a guest from a second before to a second after.
    fn around(&self, message: &str, reader: &str) -> Vec<String> {
        let [of_message, of_reader] =
            [message, reader].map(|whom| self.trails.get(whom).map_or(&[][..], Vec::as_slice));
        let Some(&(start, _)) = of_message.first() else { return Vec::new() };
        let end = of_message.last().map_or(start, |(at, _)| *at);
        let near = of_reader.iter().filter(|(at, _)| *at + AROUND > start && *at < end + AROUND);
        let mut all: Vec<_> = of_message.iter().chain(near).collect();
        all.sort_by_key(|(at, _)| *at);
        let since = |at: Instant| at.saturating_duration_since(all[0].0).as_micros();
        all.iter().map(|(at, what)| format!("  {:>8} µs {what}", since(*at))).collect()
    }

    pub(crate) fn summary(&self) -> String {
        let (ids, times) = self
            .shown
            .values()
            .fold((0, 0), |(ids, times), shown| (ids + shown.ids.len(), times + shown.times));
        let (sent, acked, resyncs, closed) = (self.sent.len(), self.acked.len(), self.resyncs, self.closed);
        format!(
            "{sent} sent, {acked} acked, {ids} shown and {} again, {resyncs} resyncs, {closed} closed",
            times - ids
        )
    }

    fn bodies(&self, ids: &[&String]) -> Vec<String> {
        ids.iter()
            .map(|id| self.sent.get(*id).map_or_else(|| (*id).clone(), |sent| sent.body.clone()))
            .collect()
    }
}

/// What is wrong with the lists that the nodes give of one room; nothing if all is well.
pub(crate) fn violations(ledger: &Ledger, room: &str, lists: &[Vec<Posted>]) -> Vec<String> {
    let mut found = Vec::new();
    for (node, list) in lists.iter().enumerate() {
        let listed: Vec<_> = list.iter().map(|message| &message.id).collect();
        let unique: BTreeSet<_> = listed.iter().copied().collect();
        let acked = ledger.acked.iter().filter(|id| ledger.sent[*id].room == room);
        let lost: Vec<_> = acked.filter(|id| !unique.contains(id)).collect();
        let mut seen = BTreeSet::new();
        let doubled: Vec<_> = listed.iter().copied().filter(|id| !seen.insert(*id)).collect();
        let unknown: Vec<_> = unique.iter().copied().filter(|id| !ledger.sent.contains_key(*id)).collect();
        let say = |what: &str| format!("node {node} {what}");
        report(&mut found, &say("lost"), &ledger.bodies(&lost));
        report(&mut found, &say("lists twice"), &ledger.bodies(&doubled));
        report(&mut found, &say("lists what nobody sent:"), &ledger.bodies(&unknown));
        report(&mut found, &say("lists in another order than they were sent:"), &out_of_order(ledger, list));
        if list != &lists[0] {
            let at = list.iter().zip(&lists[0]).position(|(here, there)| here != there);
            found.push(format!(
                "node {node} ({}) and node 0 ({}) differ at {at:?}",
                list.len(),
                lists[0].len()
            ));
        }
    }
    found
}

/// Messages that stand above an earlier one of the same sender.
fn out_of_order(ledger: &Ledger, list: &[Posted]) -> Vec<String> {
    let mut latest = BTreeMap::new();
    let mut found = Vec::new();
    for sent in list.iter().filter_map(|message| ledger.sent.get(&message.id)) {
        let greatest = latest.entry(&sent.sender).or_insert(sent.number);
        if sent.number < *greatest {
            found.push(sent.body.clone());
        }
        *greatest = sent.number.max(*greatest);
    }
    found
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

    fn posted(number: u32) -> Posted {
        let [room, username, at] = ["room", "ann", ""].map(str::to_owned);
        let (id, body, pos) = (format!("id {number}"), format!("body {number}"), format!("{number:04}"));
        Posted { id, room, username, guest: true, body, at, pos, history: false }
    }

    fn check(expected: Option<&str>, plant: impl FnOnce(&mut Vec<Vec<Posted>>)) {
        let mut ledger = Ledger::default();
        for number in 0..10 {
            let message = posted(number);
            ledger.note_sent("room", "ann", number, &message.id, &message.body);
            ledger.acked.insert(message.id);
        }
        let mut lists = vec![(0..10).map(posted).collect::<Vec<_>>(); 3];
        plant(&mut lists);
        let found = violations(&ledger, "room", &lists);
        let as_expected =
            expected.map_or(found.is_empty(), |word| found.iter().any(|what| what.contains(word)));
        assert!(as_expected, "expected {expected:?}, found {found:?}");
    }

    #[test]
    fn planted_faults_are_found() {
        check(None, |_| {});
        check(Some("lost"), |lists| lists.iter_mut().for_each(|list| _ = list.remove(4)));
        check(Some("lists twice"), |lists| lists.iter_mut().for_each(|list| list.push(list[3].clone())));
        check(Some("nobody sent"), |lists| lists.iter_mut().for_each(|list| list.push(posted(77))));
        check(Some("another order"), |lists| lists.iter_mut().for_each(|list| list.swap(2, 3)));
        check(Some("differ"), |lists| lists[1][5].pos.push('x'));
        check(Some("differ"), |lists| _ = lists[2].pop());
    }

    #[test]
    fn a_gap_is_found() {
        let mut ledger = Ledger::default();
        ledger.note_reader("bob", "room");
        for number in 0..3 {
            let message = posted(number);
            ledger.note_sent("room", "ann", number, &message.id, &message.body);
            ledger.acked.insert(message.id.clone());
            if number != 1 {
                ledger.note_shown("bob", &message);
            }
        }
        assert_eq!(ledger.gaps().len(), 1, "{:?}", ledger.gaps());
        ledger.note_shown("bob", &posted(1));
        assert!(ledger.gaps().is_empty(), "{:?}", ledger.gaps());
    }
}
