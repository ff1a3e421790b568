//! Anti-entropy: plans which ranges to pull from which peers. One range per origin is pulled at a time, first from the
//! node that wrote it, otherwise from any peer that has it.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

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
/// Concurrent pulls from one peer, at most; it reads 16 at a time. Most origins of a cluster are old and short.
const PULLS_PER_LINK_MAX: usize = 8;
/// Events in concurrent pulls from one peer, at most: the full range that it reads, and the next.
const EVENTS_PER_LINK_MAX: u64 = 2 * PULL_EVENTS_MAX;
/// A round ends after so many origins whose peers are all busy: its cost must not grow with the number of missing origins.
const BUSY_MAX: usize = 16;

#[derive(Debug)]
struct MissingOrigin {
    /// The time when events were first missing.
    since: Millis,
    /// How often a wait for this origin has ended without events. It selects the peer to ask.
    turn: usize,
    /// The place of the peer that was asked first among those that have the events: the one that wrote them, or else one
    /// that is asked for little.
    first: usize,
}

/// A wait before the next pull of an origin.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// Waits until this time for the push of the node that wrote the events.
    Push(Millis),
    /// Waits for the answer of the peer at this link until a deadline.
    Answer { link: LinkId, events: u64, deadline: Millis },
    /// Pauses until a time.
    Pause(Millis),
}

impl Wait {
    fn deadline(self) -> Millis {
        match self {
            Self::Push(deadline) | Self::Answer { deadline, .. } | Self::Pause(deadline) => deadline,
        }
    }

    /// Returns the link of the peer that was asked; `None` if none was.
    fn link(self) -> Option<LinkId> {
        match self {
            Self::Answer { link, .. } => Some(link),
            Self::Push(_) | Self::Pause(_) => None,
        }
    }
}

/// The pulls from a peer that are not answered.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    pulls: usize,
    events: u64,
}

impl Load {
    fn add(&mut self, events: u64) {
        self.pulls += 1;
        self.events += events;
    }

    fn has_room(self, events: u64) -> bool {
        self.pulls == 0 || (self.pulls < PULLS_PER_LINK_MAX && self.events + events <= EVENTS_PER_LINK_MAX)
    }
}

/// A pull to send now.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) link: LinkId,
    pub(super) origin: OriginId,
    pub(super) from: Seq,
    pub(super) to: Seq,
}

/// The outcome of looking at a missing origin.
enum Look {
    Asks(Pull),
    Waits,
    /// All peers that have the events are asked for enough.
    Busy,
    /// No peer has more than this node.
    NotMissing,
}

/// Knows what is missing and what was asked for.
#[derive(Debug, Default)]
pub(super) struct PullPlanner {
    missing: BTreeMap<OriginId, MissingOrigin>,
    /// The missing origins that wait.
    waits: BTreeMap<OriginId, Wait>,
    /// The next round begins behind this origin, so that each has its turn: with the first one whose peers were busy.
    last: Option<OriginId>,
}

impl PullPlanner {
    /// Notes that a peer has an origin's events up to `seq`, while this node has them up to `accepted`.
    pub(super) fn note(&mut self, origin: OriginId, seq: Seq, accepted: Seq, now: Millis) {
        if seq > accepted {
            self.missing.entry(origin).or_insert(MissingOrigin { since: now, turn: 0, first: 0 });
        }
    }

    /// Whether events of an origin are missing.
    pub(super) fn lacks(&self, origin: OriginId) -> bool {
        self.missing.contains_key(&origin)
    }

    /// Notes that no peer has more of an origin than this node.
    pub(super) fn drop_origin(&mut self, origin: OriginId) {
        self.missing.remove(&origin);
        self.waits.remove(&origin);
    }

    /// Handles the answer to a pull.
    pub(super) fn on_answer(&mut self, origin: OriginId, link: LinkId, empty: bool, now: Millis) {
        if self.waits.get(&origin).and_then(|wait| wait.link()) == Some(link) {
            if empty {
                // After the pause it is the next peer's turn.
                self.waits.insert(origin, Wait::Pause(now + RETRY_MS));
            } else {
                self.waits.remove(&origin);
            }
        }
    }

    /// Pauses all pulls, exponentially longer with each consecutive refusal by the store.
    pub(super) fn pause(&mut self, now: Millis, refusals: u32) {
        let pause = (RETRY_MS << refusals.min(5)).min(PAUSE_MS_MAX);
        self.waits = self.missing.keys().map(|&origin| (origin, Wait::Pause(now + pause))).collect();
    }

    pub(super) fn missing_origins(&self) -> impl Iterator<Item = OriginId> + '_ {
        self.missing.keys().copied()
    }

    /// The time of the next round. One follows each frame of a peer anyway, so origins whose peers are busy need none.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.waits.values().map(|wait| wait.deadline()).min()
    }

    /// Returns the pulls to send now. Drops the origins that are no longer missing.
    pub(super) fn plan(
        &mut self,
        now: Millis,
        accepted: &VersionVector,
        links: &BTreeMap<LinkId, Link>,
    ) -> Vec<Pull> {
        let mut load = self.end_waits(now, links);
        let (mut pulls, mut busy, mut last) = (Vec::new(), 0, self.last);
        for _ in 0..self.missing.len() {
            let Some(origin) = self.behind(last) else { break };
            last = Some(origin);
            match self.look(origin, now, accepted, links, &load) {
                Look::Asks(pull) => {
                    let events = pull.to.count_after(accepted.get(origin));
                    load.entry(pull.link).or_default().add(events);
                    let deadline = now + ANSWER_MS_MAX;
                    self.waits.insert(origin, Wait::Answer { link: pull.link, events, deadline });
                    pulls.push(pull);
                }
                Look::Waits => {}
                Look::Busy => busy += 1,
                Look::NotMissing => self.drop_origin(origin),
            }
            if busy == 0 {
                self.last = last;
            } else if busy == BUSY_MAX {
                break;
            }
        }
        pulls
    }

    /// Ends the waits that are over, and returns what peers are asked for now.
    fn end_waits(&mut self, now: Millis, links: &BTreeMap<LinkId, Link>) -> BTreeMap<LinkId, Load> {
        let mut load: BTreeMap<LinkId, Load> = BTreeMap::new();
        self.waits.retain(|origin, wait| {
            if let Wait::Push(_) = wait {
                // Looked at again: by now the writer may have said that it holds the events.
                return false;
            }
            let lost = wait.link().is_some_and(|link| !links.contains_key(&link));
            if now >= wait.deadline() || lost {
                if let Some(missing) = self.missing.get_mut(origin) {
                    missing.turn += 1;
                }
                return false;
            }
            if let Wait::Answer { link, events, .. } = *wait {
                load.entry(link).or_default().add(events);
            }
            true
        });
        load
    }

    /// Returns the missing origin behind another one, or the first.
    fn behind(&self, last: Option<OriginId>) -> Option<OriginId> {
        let behind = last.and_then(|last| self.missing.range((Excluded(last), Unbounded)).next());
        behind.or_else(|| self.missing.iter().next()).map(|(&origin, _)| origin)
    }

    fn look(
        &mut self,
        origin: OriginId,
        now: Millis,
        accepted: &VersionVector,
        links: &BTreeMap<LinkId, Link>,
        load: &BTreeMap<LinkId, Load>,
    ) -> Look {
        let Some(missing) = self.missing.get_mut(&origin) else { return Look::NotMissing };
        if self.waits.contains_key(&origin) {
            return Look::Waits;
        }
        let head = accepted.get(origin);
        let holders: Vec<_> = links.iter().filter(|(_, link)| link.confirmed.get(origin) > head).collect();
        if holders.is_empty() {
            return Look::NotMissing;
        }
        let writer = holders.iter().position(|(_, link)| link.peer == origin.node);
        let push_until = missing.since + PUSH_GRACE_MS;
        if writer.is_none() && now < push_until && links.values().any(|link| link.peer == origin.node) {
            self.waits.insert(origin, Wait::Push(push_until));
            return Look::Waits;
        }
        let load = |link: &LinkId| load.get(link).copied().unwrap_or_default();
        if missing.turn == 0 {
            let least = || (0..holders.len()).min_by_key(|&place| load(holders[place].0).pulls);
            missing.first = writer.or_else(least).unwrap_or_default();
        }
        let (&link, holder) = holders[(missing.first + missing.turn) % holders.len()];
        let to = holder.confirmed.get(origin).min(head + PULL_EVENTS_MAX);
        if !load(&link).has_room(to.count_after(head)) {
            return Look::Busy;
        }
        Look::Asks(Pull { link, origin, from: head.next(), to })
    }
}
