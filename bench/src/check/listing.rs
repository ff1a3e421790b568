//! Compares the lists of one room as the nodes give them at the end of a run.
//! They must be one list: the same ids in the same order, newest first, every acked message once.

use std::collections::HashSet;

use super::ledger::{Ledger, State, pos_hash};
use super::receipts::Receipts;
use super::{Check, Findings};
use crate::ids::IdCodec;
use crate::wire::ListedMessage;

/// One node's list of a room, newest first.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The node's address, for the report.
    pub(crate) node: String,
    /// The messages, newest first.
    pub(crate) messages: Vec<ListedMessage>,
}

/// Compares the `lists` of `room` with each other, with the acks, and with what its `members` received.
pub(crate) fn compare_lists(
    room: u32,
    lists: &[Listing],
    ids: IdCodec,
    ledger: &Ledger,
    members: &[&Receipts],
    findings: &mut Findings,
) {
    let Some(first) = lists.first() else { return };
    for other in &lists[1..] {
        same_lists(room, first, other, findings);
    }
    for list in lists {
        newest_first(room, list, findings);
        each_once(room, list, ids, ledger, members, findings);
    }
}

fn same_lists(room: u32, first: &Listing, other: &Listing, findings: &mut Findings) {
    if first.messages == other.messages {
        return;
    }
    let same = first.messages.iter().zip(&other.messages).take_while(|(a, b)| a == b).count();
    findings.add(Check::ListsAgree, || {
        let show = |list: &Listing| {
            list.messages.get(same).map_or("nothing".to_owned(), |m| format!("{} at {}", m.id, m.pos))
        };
        format!(
            "room {room}: from entry {same} on {} has {} ({} in all), {} has {} ({} in all)",
            first.node,
            show(first),
            first.messages.len(),
            other.node,
            show(other),
            other.messages.len()
        )
    });
}

fn newest_first(room: u32, list: &Listing, findings: &mut Findings) {
    for pair in list.messages.windows(2) {
        if pair[0].pos <= pair[1].pos {
            findings.add(Check::ListsAgree, || {
                format!("room {room}: {} lists {} before {}", list.node, pair[0].pos, pair[1].pos)
            });
        }
    }
}

fn each_once(
    room: u32,
    list: &Listing,
    ids: IdCodec,
    ledger: &Ledger,
    members: &[&Receipts],
    findings: &mut Findings,
) {
    let mut listed = HashSet::with_capacity(list.messages.len());
    for entry in &list.messages {
        let known = ids.decode(entry.id.as_bytes()).and_then(|number| Some((number, ledger.get(number)?)));
        let Some((number, message)) = known.filter(|(_, message)| message.room == room) else {
            findings.add(Check::Intact, || format!("{} lists {}, which nobody sent", list.node, entry.id));
            continue;
        };
        if !listed.insert(number) {
            findings.add(Check::Listed, || format!("{} lists message {number} twice", list.node));
        }
        let pos = pos_hash(&entry.pos);
        let elsewhere = |member: &&&Receipts| member.has(number) && member.pos_of(number, message.pos) != pos;
        if let Some(member) = members.iter().find(elsewhere) {
            findings.add(Check::Listed, || {
                format!("{} lists message {number} at another pos than {} received", list.node, member.name)
            });
        }
    }
    for (number, message) in ledger.numbered() {
        if message.room == room && message.state == State::Acked && !listed.contains(&number) {
            findings.add(Check::Listed, || {
                format!("{} does not list message {number}, which was acked", list.node)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::receipts::Place;
    use super::*;

    const MESSAGES: u32 = 5;

    fn ids() -> IdCodec {
        IdCodec::new(1, "room")
    }

    fn pos(number: u32) -> String {
        format!("{number:04}")
    }

    fn listed(number: u32) -> ListedMessage {
        let id = String::from_utf8(ids().encode(number).to_vec()).unwrap();
        ListedMessage { id, pos: pos(number) }
    }

    /// Compares the true list on one node with what `change` makes of it on another.
    fn check(change: impl FnOnce(&mut Vec<ListedMessage>)) -> Vec<Check> {
        let mut ledger = Ledger::new(1);
        let mut member = Receipts::new(Place { room: 0, node: 0 }, "r".into());
        for _ in 0..MESSAGES {
            let number = ledger.enter(0, 0, 0, State::Sent);
            let hash = pos_hash(&pos(number));
            ledger.ack(number, hash, 2);
            ledger.get_mut(number).unwrap().pos = hash;
            member.deliver(number, hash, hash);
        }
        let messages: Vec<_> = (0..MESSAGES).rev().map(listed).collect();
        let mut other = messages.clone();
        change(&mut other);
        let lists = [Listing { node: "a".into(), messages }, Listing { node: "b".into(), messages: other }];
        let mut findings = Findings::default();
        compare_lists(0, &lists, ids(), &ledger, &[&member], &mut findings);
        Check::ALL.into_iter().filter(|&check| findings.of(check).count > 0).collect()
    }

    #[test]
    fn equal_lists_pass() {
        assert_eq!(check(|_| {}), []);
    }

    #[test]
    fn loss_on_a_node_is_found() {
        assert_eq!(check(|list| drop(list.remove(2))), [Check::ListsAgree, Check::Listed]);
        assert_eq!(check(|list| drop(list.pop())), [Check::ListsAgree, Check::Listed]);
    }

    #[test]
    fn a_duplicate_on_a_node_is_found() {
        assert_eq!(check(|list| list.insert(2, listed(2))), [Check::ListsAgree, Check::Listed]);
    }

    #[test]
    fn a_differing_order_is_found() {
        assert_eq!(check(|list| list.swap(1, 2)), [Check::ListsAgree]);
    }

    #[test]
    fn a_differing_pos_is_found() {
        assert_eq!(check(|list| list[0].pos = "9999".into()), [Check::ListsAgree, Check::Listed]);
    }

    #[test]
    fn a_message_that_nobody_sent_is_found() {
        assert_eq!(
            check(|list| list[0].id = listed(77).id),
            [Check::Intact, Check::ListsAgree, Check::Listed]
        );
    }
}
