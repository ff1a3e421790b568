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
        }
    }

    /// Sets the node that should be here.
    pub(super) fn expect(&mut self, expected: Option<ExpectedNode>, now: Instant) {
        let Some(ExpectedNode { node, number }) = expected else { return };
        match self.expected.get_mut(&node) {
            Some(expected) if expected.number >= number => expected.seen_at = now,
            _ => {
                self.expected.insert(node, Expectation { number, since: now, seen_at: now });
                // Earlier failures say nothing of a node that is new here.
                (self.failures, self.not_before) = (0, None);
            }
        }
    }

    /// Forgets nodes that should be elsewhere by now: they have another description, or a name no longer leads here.
    pub(super) fn forget_moved(&mut self, now: Instant, links: &Links) {
        self.expected.retain(|&node, expected| {
            let is_newest = links.members.number_of(node).is_none_or(|number| number <= expected.number);
            is_newest && now < expected.seen_at + EXPECTATION_HOLDS
        });
    }

    pub(super) fn is_dialling(&self) -> bool {
        self.dialling
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

    /// Handles the end of an attempt.
    pub(super) fn ended(&mut self, dialled: Dialled, lasted: Duration, links: &Links) {
        let now = Instant::now();
        self.dialling = false;
        self.turned_away = if let Dialled::TurnedAway(reason) = dialled { Some(reason) } else { None };
        if let Dialled::Answered(node) = dialled {
            self.answered = Some(Answer { node, as_known: Known::of(node, self.ip, links), at: now });
        }
        // A lasting link was no failure.
        self.failures = if lasted > BACK_OFF_MAX * 2 { 0 } else { (self.failures + 1).min(8) };
        let max = if self.turned_away.is_some() { TURNED_AWAY_BACK_OFF_MAX } else { BACK_OFF_MAX };
        let pause = BACK_OFF_MIN * 2_u32.pow(self.failures.saturating_sub(1));
        self.not_before = Some(now + pause.min(max));
    }
}
