//! The verdict over what was received live, at the end of a run.
//! Compares the ledger with every receiver's receipts; lists are compared in `listing`.

use super::ledger::{Ledger, Message, State};
use super::receipts::Receipts;
use super::{Check, Findings};

/// Messages without an ack.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unacked {
    /// Sent and never answered.
    pub(crate) unanswered: u64,
    /// Received by some guest, but never acked.
    pub(crate) received: u64,
}

/// Judges every message against every receiver of its room.
pub(crate) fn judge(ledger: &Ledger, receivers: &[Receipts], findings: &mut Findings) -> Unacked {
    let mut rooms: Vec<Vec<&Receipts>> = Vec::new();
    for receiver in receivers {
        let room = usize::try_from(receiver.place.room).expect("32 bits fit an address");
        if room >= rooms.len() {
            rooms.resize_with(room + 1, Vec::new);
        }
        rooms[room].push(receiver);
    }
    let mut unacked = Unacked::default();
    for (number, message) in ledger.numbered() {
        let room = usize::try_from(message.room).expect("32 bits fit an address");
        let members = rooms.get(room).map_or(&[][..], Vec::as_slice);
        judge_message(number, message, members, &mut unacked, findings);
    }
    unacked
}

fn judge_message(
    number: u32,
    message: &Message,
    members: &[&Receipts],
    unacked: &mut Unacked,
    findings: &mut Findings,
) {
    let having = members.iter().filter(|member| member.has(number)).count();
    if matches!(message.state, State::Due | State::Sent) {
        unacked.unanswered += 1;
        findings.add(Check::Answered, || format!("message {number} of sender {}", message.sender));
    }
    if message.state == State::Acked {
        for member in members.iter().filter(|member| !member.has(number)) {
            findings.add(Check::Received, || format!("message {number} was acked, {} lacks it", member.name));
        }
    } else {
        unacked.received += u64::from(having > 0);
        if having > 0 && having < members.len() {
            findings.add(Check::SameSet, || {
                format!("message {number} was not acked, {having} of {} have it", members.len())
            });
        }
        if having > 0 && message.state == State::Refused && !message.resent {
            findings.add(Check::Acks, || format!("message {number} was refused, and yet {having} have it"));
        }
    }
    let mut places = members.iter().filter(|member| member.has(number));
    let Some(one) = places.next() else { return };
    let pos = one.pos_of(number, message.pos);
    if let Some(other) = places.find(|member| member.pos_of(number, message.pos) != pos) {
        findings.add(Check::SameSet, || {
            format!("message {number} is at one pos for {}, at another for {}", one.name, other.name)
        });
    }
    // A resend may be acked with the place of the copy that lost; what was received holds.
    if message.state == State::Acked && !message.resent && message.ack_pos != pos {
        findings.add(Check::Acks, || format!("message {number} was acked with another pos than received"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::receipts::Place;
    use super::*;

    const MESSAGES: u32 = 10;

    /// A run of ten messages in one room with three receivers, all well, then changed by `plant`.
    fn check(skip: Option<(usize, u32)>, plant: impl FnOnce(&mut Ledger, &mut [Receipts])) -> Vec<Check> {
        let mut ledger = Ledger::new(1);
        let mut receivers: Vec<_> =
            (0..3).map(|node| Receipts::new(Place { room: 0, node }, format!("r{node}"))).collect();
        for _ in 0..MESSAGES {
            let number = ledger.enter(0, 0, 0, State::Sent);
            let pos = u64::from(number) * 2 + 1;
            ledger.get_mut(number).unwrap().pos = pos;
            ledger.ack(number, pos, 3);
            for (index, receiver) in receivers.iter_mut().enumerate() {
                if skip != Some((index, number)) {
                    receiver.deliver(number, pos, pos);
                }
            }
        }
        plant(&mut ledger, &mut receivers);
        let mut findings = Findings::default();
        judge(&ledger, &receivers, &mut findings);
        Check::ALL.into_iter().filter(|&check| findings.of(check).count > 0).collect()
    }

    #[test]
    fn a_good_run_passes() {
        assert_eq!(check(None, |_, _| {}), []);
    }

    #[test]
    fn loss_at_one_receiver_is_found() {
        for number in [0, 4, MESSAGES - 1] {
            assert_eq!(check(Some((1, number)), |_, _| {}), [Check::Received]);
        }
    }

    #[test]
    fn a_differing_place_at_one_receiver_is_found() {
        let found = check(None, |_, receivers| {
            receivers[2].deliver(4, 999, 9);
        });
        assert_eq!(found, [Check::SameSet]);
    }

    #[test]
    fn an_ack_with_another_place_is_found() {
        let found = check(None, |ledger, _| {
            ledger.ack(4, 999, 3);
        });
        assert_eq!(found, [Check::Acks]);
    }

    #[test]
    fn unanswered_messages_are_found_and_must_come_to_all_or_none() {
        let found = check(None, |ledger, _| {
            ledger.enter(0, 0, 0, State::Sent);
        });
        assert_eq!(found, [Check::Answered]);
        let found = check(None, |ledger, receivers| {
            let number = ledger.enter(0, 0, 0, State::Sent);
            ledger.get_mut(number).unwrap().pos = 77;
            receivers[0].deliver(number, 77, 77);
        });
        assert_eq!(found, [Check::SameSet, Check::Answered]);
    }

    #[test]
    fn a_refused_message_that_comes_nevertheless_is_found() {
        let found = check(None, |ledger, receivers| {
            let number = ledger.enter(0, 0, 0, State::Sent);
            ledger.get_mut(number).unwrap().pos = 77;
            ledger.refuse(number);
            for receiver in receivers {
                receiver.deliver(number, 77, 77);
            }
        });
        assert_eq!(found, [Check::Acks]);
    }
}
