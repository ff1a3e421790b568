//! Anti-entropy: plans which ranges to pull from which peers. One range per origin is pulled at a time, first from the
//! node that wrote it, otherwise from any peer that has it.

use std::collections::BTreeMap;

use super::{LinkId, Millis, link::Link};
use crate::{OriginId, Seq, VersionVector, limits::PULL_EVENTS_MAX};

/// While the writer itself is linked, its push is probably on its way. Other peers are asked only after this time.
const PUSH_GRACE_MS: u64 = 100;
/// The longest wait for an answer. Links are ordered streams, so an answer is late rather than lost (unless the peer's
/// queue was full). A shorter wait would make a busy node pull the same range twice, which delays answers further.
const ANSWER_MS_MAX: u64 = 5_000;
/// The time before asking again after an empty answer or a refusal by the store.
const RETRY_MS: u64 = 200;
/// The longest pause while the store refuses everything, for example because the disk is full.
const PAUSE_MS_MAX: u64 = 5_000;
/// Concurrent pulls from one peer, at most: the one that it reads, and the next.
const PULLS_PER_LINK_MAX: usize = 2;

#[derive(Debug)]
struct MissingOrigin {
    /// The time when events were first missing.
    since: Millis,
    wait: Option<Wait>,
    /// How often a wait for this origin has ended without events. It selects the peer to ask: 0 is the node that wrote
    /// the events, if it has them.
    turn: usize,
}

/// A wait before the next pull of an origin.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// Waits for the answer of the peer at this link until a deadline.
    Answer(LinkId, Millis),
    /// Pauses until a time.
    Pause(Millis),
}

impl Wait {
    fn deadline(self) -> Millis {
        match self {
            Self::Answer(_, deadline) | Self::Pause(deadline) => deadline,
        }
    }

    /// Returns the link of the peer that was asked; `None` during a pause.
    fn link(self) -> Option<LinkId> {
        match self {
            Self::Answer(link, _) => Some(link),
            Self::Pause(_) => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct PullPlanner(BTreeMap<OriginId, MissingOrigin>);

impl PullPlanner {
    /// Notes that a peer has an origin's events up to `seq`, while this node has them up to `accepted`.
    pub(super) fn note(&mut self, origin: OriginId, seq: Seq, accepted: Seq, now: Millis) {
        if seq > accepted {
            self.0.entry(origin).or_insert(MissingOrigin { since: now, wait: None, turn: 0 });
        }
    }

    /// Handles the answer to a pull.
    pub(super) fn on_answer(&mut self, origin: OriginId, link: LinkId, empty: bool, now: Millis) {
        let Some(missing) = self.0.get_mut(&origin) else { return };
        if missing.wait.and_then(Wait::link) == Some(link) {
            // After the pause it is the next peer's turn.
            missing.wait = empty.then_some(Wait::Pause(now + RETRY_MS));
        }
    }

    /// Pauses all pulls, exponentially longer with each consecutive refusal by the store.
    pub(super) fn pause(&mut self, now: Millis, refusals: u32) {
        let pause = (RETRY_MS << refusals.min(5)).min(PAUSE_MS_MAX);
        for missing in self.0.values_mut() {
            missing.wait = Some(Wait::Pause(now + pause));
        }
    }

    pub(super) fn missing_origins(&self) -> impl Iterator<Item = OriginId> + '_ {
        self.0.keys().copied()
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.0
            .values()
            .map(|missing| missing.wait.map_or(missing.since + PUSH_GRACE_MS, Wait::deadline))
            .min()
    }

    /// Returns the pulls to send now: `(link, origin, from, to)`. Drops the ranges that are no longer missing.
    pub(super) fn plan(
        &mut self,
        now: Millis,
        accepted: &VersionVector,
        links: &BTreeMap<LinkId, Link>,
    ) -> Vec<(LinkId, OriginId, Seq, Seq)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut load: BTreeMap<LinkId, usize> = BTreeMap::new();
        for link in self.0.values().filter_map(|missing| missing.wait?.link()) {
            *load.entry(link).or_default() += 1;
        }
        let mut pulls = Vec::new();
        self.0.retain(|&origin, missing| {
            let head = accepted.get(origin);
            let holders: Vec<_> =
                links.iter().filter(|(_, link)| link.confirmed.get(origin) > head).collect();
            if holders.is_empty() {
                return false;
            }
            if let Some(wait) = missing.wait {
                let lost = wait.link().is_some_and(|link| !links.contains_key(&link));
                if now < wait.deadline() && !lost {
                    return true;
                }
                missing.wait = None;
                missing.turn += 1;
            }
            let origin_holder = holders.iter().find(|(_, link)| link.peer == origin.node);
            let origin_is_linked = links.values().any(|link| link.peer == origin.node);
            if origin_holder.is_none() && origin_is_linked && now < missing.since + PUSH_GRACE_MS {
                return true;
            }
            let (&link_id, link) = match origin_holder {
                Some(holder) if missing.turn == 0 => *holder,
                _ => holders[missing.turn % holders.len()],
            };
            let load = load.entry(link_id).or_default();
            if *load >= PULLS_PER_LINK_MAX {
                missing.wait = Some(Wait::Pause(now + RETRY_MS));
                return true;
            }
            *load += 1;
            let to = link.confirmed.get(origin).min(head + PULL_EVENTS_MAX);
            missing.wait = Some(Wait::Answer(link_id, now + ANSWER_MS_MAX));
            pulls.push((link_id, origin, head.next(), to));
            true
        });
        pulls
    }
}
