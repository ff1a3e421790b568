//! Anti-entropy: which ranges to ask of whom. One range per origin is asked for at a time, of the node that
//! wrote it if it is linked, otherwise of any that has it.

use std::collections::BTreeMap;

use super::{LinkId, Millis, link::Link};
use crate::{OriginId, VersionVector, limits::PULL_EVENTS_MAX};

/// While the writer itself is linked, its push is probably on its way: others are asked only after this.
const PUSH_GRACE_MS: Millis = 100;
/// An answer that takes longer is not waited for. It comes on an ordered stream, so it is late rather than lost (unless
/// the peer's queue was full): asking another for the same while this node is busy would only make it busier, and the
/// next answer later still.
const ANSWER_MS_MAX: Millis = 5_000;
/// How soon to ask again after an empty answer, or when the store's queue was full.
const RETRY_MS: Millis = 200;
/// How long to ask for nothing while the store takes nothing: its disk is full.
const PAUSE_MS_MAX: Millis = 5_000;
/// Ranges asked of one peer at once, at most: one that it reads, and the next. More would only wait here.
const ASKED_PER_LINK_MAX: usize = 2;

#[derive(Debug)]
struct Want {
    /// Since when something is missing.
    since: Millis,
    asked: Option<Asked>,
    /// Turns from peer to peer with each attempt.
    attempts: usize,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Nobody, while pausing.
    link: Option<LinkId>,
    deadline: Millis,
}

#[derive(Debug, Default)]
pub(super) struct PullPlanner(BTreeMap<OriginId, Want>);

impl PullPlanner {
    /// A peer has `seq` of an origin of which `accepted` is here.
    pub(super) fn note(&mut self, origin: OriginId, seq: u64, accepted: u64, now: Millis) {
        if seq > accepted {
            self.0.entry(origin).or_insert(Want { since: now, asked: None, attempts: 0 });
        }
    }

    /// An answer has come.
    pub(super) fn answered(&mut self, origin: OriginId, link: LinkId, empty: bool, now: Millis) {
        let Some(want) = self.0.get_mut(&origin) else { return };
        if want.asked.is_some_and(|asked| asked.link == Some(link)) {
            want.asked = empty.then_some(Asked { link: None, deadline: now + RETRY_MS });
            want.attempts += usize::from(empty);
        }
    }

    /// Asks for nothing for a moment: the longer, the more often the store has refused what came.
    pub(super) fn pause(&mut self, now: Millis, refusals: u32) {
        let pause = (RETRY_MS << refusals.min(5)).min(PAUSE_MS_MAX);
        for want in self.0.values_mut() {
            want.asked = Some(Asked { link: None, deadline: now + pause });
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = OriginId> + '_ {
        self.0.keys().copied()
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.0
            .values()
            .map(|want| want.asked.map_or(want.since + PUSH_GRACE_MS, |asked| asked.deadline))
            .min()
    }

    /// The pulls to send now: `(link, origin, from, to)`. Forgets what is no longer missing.
    pub(super) fn plan(
        &mut self,
        now: Millis,
        accepted: &VersionVector,
        links: &BTreeMap<LinkId, Link>,
    ) -> Vec<(LinkId, OriginId, u64, u64)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut load: BTreeMap<LinkId, usize> = BTreeMap::new();
        for asked in self.0.values().filter_map(|want| want.asked) {
            if let Some(link) = asked.link {
                *load.entry(link).or_default() += 1;
            }
        }
        let mut pulls = Vec::new();
        self.0.retain(|&origin, want| {
            let have = accepted.get(origin);
            let holders: Vec<_> =
                links.iter().filter(|(_, link)| link.confirmed.get(origin) > have).collect();
            if holders.is_empty() {
                return false;
            }
            if let Some(asked) = want.asked {
                let lost = asked.link.is_some_and(|link| !links.contains_key(&link));
                if now < asked.deadline && !lost {
                    return true;
                }
                want.asked = None;
                want.attempts += 1;
            }
            let writer = holders.iter().find(|(_, link)| link.peer == origin.node);
            let writer_linked = links.values().any(|link| link.peer == origin.node);
            if writer.is_none() && writer_linked && now < want.since + PUSH_GRACE_MS {
                return true;
            }
            let (&link_id, link) = match writer {
                Some(writer) if want.attempts == 0 => *writer,
                _ => holders[want.attempts % holders.len()],
            };
            let load = load.entry(link_id).or_default();
            if *load >= ASKED_PER_LINK_MAX {
                want.asked = Some(Asked { link: None, deadline: now + RETRY_MS });
                return true;
            }
            *load += 1;
            let to = link.confirmed.get(origin).min(have + PULL_EVENTS_MAX);
            want.asked = Some(Asked { link: Some(link_id), deadline: now + ANSWER_MS_MAX });
            pulls.push((link_id, origin, have + 1, to));
            true
        });
        pulls
    }
}
