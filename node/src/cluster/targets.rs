//! An address to keep linked: the node that should be there, the node that answered there, and the time of the next dial.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use starling_protocol::NodeId;
use tokio::time::Instant;

use super::{
    Links,
    admission::{Dialled, TurnedAway},
    join_addresses::AddressState,
};

/// Pause after the first failed attempt; doubles up to the maximum.
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// The longest pause after rejected attempts: nobody corrects a wrong secret within seconds.
const TURNED_AWAY_BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// The time for which the node that answered is expected to be there, unless it has moved.
const ANSWER_HOLDS: Duration = Duration::from_mins(1);
/// How long an address is kept after a name last led to it.
const FORGET_AFTER: Duration = Duration::from_mins(1);
/// How long a node is still expected at an address to which its description, or a name in it, no longer leads.
const EXPECTATION_HOLDS: Duration = Duration::from_secs(15);

/// A node that should be at an address, and the number of the description that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ExpectedNode {
    pub(super) node: NodeId,
    pub(super) number: u64,
}

/// An address to keep linked.
#[derive(Debug)]
pub(super) struct Target {
    ip: IpAddr,
    /// The nodes that should be there.
    expected: BTreeMap<NodeId, Expectation>,
    answered: Option<Answer>,
    turned_away: Option<TurnedAway>,
    dialling: bool,
    not_before: Option<Instant>,
    failures: u32,
    /// The time at which a name last led to it.
    pub(super) seen_at: Instant,
    /// The time at which a join address last led to it.
    pub(super) seen_as_join_at: Option<Instant>,
    /// Whether it only led to nodes that were forgotten.
    is_forgotten: bool,
}

/// Why a node should be at an address.
#[derive(Clone, Copy, Debug)]
struct Expectation {
    /// The number of its description.
    number: u64,
    /// The time at which this node learned of it.
    since: Instant,
    /// The last time at which the description led here.
    seen_at: Instant,
    /// The pause between attempts to link the node, which has been away for long; zero if it is linked.
    pause: Duration,
}

/// The node that answered last: better than a description, but another node may be there by now.
#[derive(Clone, Copy, Debug)]
struct Answer {
    node: NodeId,
    /// The node as it was known then.
    as_known: Known,
    at: Instant,
}

/// The facts that change when a node moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    /// The node's process, if it is linked.
    process: Option<u64>,
    /// The number of its description.
    number: Option<u64>,
    /// Whether the address that it answered at is one of this machine.
    is_own_address: bool,
}

impl Known {
    fn of(node: NodeId, ip: IpAddr, links: &Links) -> Self {
        Self {
            process: links.process_of(node),
            // The number of this node's own description rises with each address over which a link comes up.
            number: if node == links.me() { None } else { links.members.number_of(node) },
            is_own_address: node == links.me() && links.is_own_address(ip),
        }
    }
}

impl Target {
    pub(super) fn new(ip: IpAddr, seen_at: Instant) -> Self {
        Self {
            ip,
            expected: BTreeMap::new(),
            answered: None,
            turned_away: None,
            dialling: false,
            not_before: None,
            failures: 0,
            seen_at,
            seen_as_join_at: None,
            is_forgotten: false,
        }
    }

    /// Sets a node that should be here, and the pause between attempts to link it.
    pub(super) fn expect(
        &mut self,
        ExpectedNode { node, number }: ExpectedNode,
        pause: Duration,
        now: Instant,
    ) {
        self.is_forgotten = false;
        match self.expected.get_mut(&node) {
            Some(expected) if expected.number >= number => {
                if pause < expected.pause {
                    // It was heard of again.
                    (self.failures, self.not_before) = (0, None);
                }
                (expected.seen_at, expected.pause) = (now, pause);
            }
            _ => {
                self.expected.insert(node, Expectation { number, since: now, seen_at: now, pause });
                // Earlier failures say nothing of a node that is new here.
                (self.failures, self.not_before) = (0, None);
            }
        }
    }

    /// Forgets nodes that should be elsewhere by now: they have another description, or a name no longer leads here. And those
    /// that are no members any more.
    pub(super) fn forget_moved(&mut self, now: Instant, links: &Links) {
        let mut forgets = false;
        self.expected.retain(|&node, expected| {
            let is_forgotten = links.members.is_forgotten(node);
            forgets |= is_forgotten;
            let is_newest = links.members.number_of(node).is_none_or(|number| number <= expected.number);
            !is_forgotten && is_newest && now < expected.seen_at + EXPECTATION_HOLDS + expected.pause
        });
        self.is_forgotten |= forgets && self.expected.is_empty() && self.seen_as_join_at.is_none();
    }

    /// Whether the address is still of use.
    pub(super) fn is_kept(&self, now: Instant) -> bool {
        let is_wanted = !self.expected.is_empty() || now < self.seen_at + FORGET_AFTER;
        self.dialling || (is_wanted && !self.is_forgotten)
    }

    /// Whether the address may be dialled now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.dialling && self.not_before.is_none_or(|not_before| now >= not_before)
    }

    /// Whether the node at this address is linked, as far as known.
    pub(super) fn is_already_linked(&self, links: &Links) -> bool {
        let is_linked = |node: NodeId| node == links.me() || links.has(node);
        if let Some(answer) = self.answered.filter(|answer| answer.at.elapsed() < ANSWER_HOLDS) {
            if !is_linked(answer.node) {
                return false;
            }
            // A node that has moved here is not linked yet.
            let moved_in =
                |(&other, expected): (&NodeId, &Expectation)| expected.since > answer.at && !is_linked(other);
            if answer.as_known == Known::of(answer.node, self.ip, links) {
                return !self.expected.iter().any(moved_in);
            }
        }
        !self.expected.is_empty() && self.expected.keys().all(|&node| is_linked(node))
    }

    /// Returns what is probably at this address.
    pub(super) fn address_state(&self, links: &Links) -> AddressState {
        let answered =
            self.answered.is_some_and(|answer| answer.at.elapsed() < ANSWER_HOLDS && self.failures == 0);
        if answered || self.is_already_linked(links) {
            AddressState::Node
        } else if self.turned_away == Some(TurnedAway::OtherSecret) {
            AddressState::OtherSecret
        } else if self.turned_away == Some(TurnedAway::NoCommonVersion) {
            AddressState::NoCommonVersion
        } else {
            AddressState::Nobody
        }
    }

    /// Forgets earlier failures: they say nothing of the present keys.
    pub(super) fn dial_at_once(&mut self) {
        (self.failures, self.not_before) = (0, None);
    }

    pub(super) fn begin(&mut self) {
        self.dialling = true;
    }

    /// Returns the pause for nodes that have been away for long; zero for a join address.
    fn absence_pause(&self, now: Instant) -> Duration {
        if self.seen_as_join_at.is_some_and(|at| now < at + FORGET_AFTER) {
            return Duration::ZERO;
        }
        self.expected.values().map(|expected| expected.pause).min().unwrap_or_default()
    }

    /// Handles the end of an attempt. `chance` is a random number.
    pub(super) fn ended(&mut self, dialled: Dialled, lasted: Duration, links: &Links, chance: u64) {
        let now = Instant::now();
        self.dialling = false;
        self.turned_away = if let Dialled::TurnedAway(reason) = dialled { Some(reason) } else { None };
        if let Dialled::Answered(node) = dialled {
            self.answered = Some(Answer { node, as_known: Known::of(node, self.ip, links), at: now });
        }
        // A lasting link was no failure.
        self.failures = if lasted > BACK_OFF_MAX * 2 { 0 } else { (self.failures + 1).min(8) };
        let max = if self.turned_away.is_some() { TURNED_AWAY_BACK_OFF_MAX } else { BACK_OFF_MAX };
        let back_off = (BACK_OFF_MIN * 2_u32.pow(self.failures.saturating_sub(1))).min(max);
        let pause = back_off.max(with_jitter(self.absence_pause(now), chance));
        self.not_before = Some(now + pause);
    }
}

/// Lengthens a pause by up to a quarter, so that not all nodes dial one that comes back at the same moment.
fn with_jitter(pause: Duration, chance: u64) -> Duration {
    let part = u32::try_from(chance % 256).expect("below 256");
    pause + pause * part / 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Issue 11: addresses of members that are gone are dialled after growing pauses, join addresses as before, and one
    /// that is heard of again at once.
    #[test]
    fn an_address_of_a_member_that_is_gone_is_rarely_dialled() {
        let (start, minute) = (Instant::now(), Duration::from_mins(1));
        let gone = ExpectedNode { node: NodeId([1; 16]), number: 7 };
        let mut target = Target::new(IpAddr::from([127, 0, 0, 1]), start);
        target.expect(gone, minute, start);
        assert_eq!(target.absence_pause(start), minute);
        assert!(
            (minute..=minute * 5 / 4).contains(&with_jitter(minute, 255)) && with_jitter(minute, 0) == minute
        );
        target.not_before = Some(start + minute);
        target.expect(gone, minute, start);
        assert!(!target.is_due(start), "no news");
        target.expect(gone, Duration::ZERO, start);
        assert!(target.is_due(start), "it was heard of");
        target.expect(gone, minute, start);
        target.seen_as_join_at = Some(start);
        assert_eq!(target.absence_pause(start), Duration::ZERO);
        assert_eq!(target.absence_pause(start + minute), minute, "no join address leads here any more");
    }
}
