//! Who waits for which event to be durable elsewhere, and until when. Costs what is settled, not what waits.

use std::collections::{BTreeMap, BTreeSet};

use super::{Millis, Output, Replica, Token, Until};
use crate::{NodeId, OriginId};

/// Waiters that were told less than they wanted and may hear better, at most: some seconds of a busy node that has
/// just lost its peers. Those beyond it have heard the truth; it only isn't raised any more.
const RAISES_MAX: usize = 65_536;

const FIRST_ORIGIN: OriginId = OriginId { node: NodeId([0; 16]), incarnation: 0 };

/// One who waits.
#[derive(Clone, Copy, Debug)]
struct Await {
    until: Until,
    deadline: Millis,
    /// For how long after a disappointing answer a better one is worth giving.
    raise_ms: Millis,
}

#[derive(Debug, Default)]
pub(super) struct Awaits {
    waiting: BTreeMap<(OriginId, u64, Token), Await>,
    deadlines: BTreeSet<(Millis, OriginId, u64, Token)>,
    /// Told that there are fewer copies than the first number: until when they may hear better.
    raises: BTreeMap<(usize, OriginId, u64, Token), Millis>,
    raise_ends: BTreeSet<(Millis, usize, OriginId, u64, Token)>,
}

impl Awaits {
    fn remove(&mut self, token: Token, origin: OriginId, seq: u64) -> Option<Await> {
        let waiter = self.waiting.remove(&(origin, seq, token))?;
        self.deadlines.remove(&(waiter.deadline, origin, seq, token));
        Some(waiter)
    }

    fn remove_raise(&mut self, copies: usize, origin: OriginId, seq: u64, token: Token) {
        if let Some(end) = self.raises.remove(&(copies, origin, seq, token)) {
            self.raise_ends.remove(&(end, copies, origin, seq, token));
        }
    }

    /// When somebody has waited long enough.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        let deadline = self.deadlines.first().map(|&(deadline, ..)| deadline);
        let raise_end = self.raise_ends.first().map(|&(end, ..)| end);
        [deadline, raise_end].into_iter().flatten().min()
    }

    /// How many wait: the driver's memory holds one callback for each.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.raises.len()
    }

    /// The numbers of copies that are still hoped for.
    fn hoped_for(&self) -> Vec<usize> {
        let mut all = Vec::new();
        let mut next = self.raises.first_key_value();
        while let Some((&(copies, ..), _)) = next {
            all.push(copies);
            let beyond = (copies + 1, FIRST_ORIGIN, 0, 0);
            next = self.raises.range(beyond..).next();
        }
        all
    }
}

impl Replica {
    pub(super) fn wait(&mut self, now: Millis, waiter: super::Waiter, out: &mut Vec<Output>) {
        let super::Waiter { token, origin, seq, until, wait_ms, raise_ms } = waiter;
        let deadline = now + wait_ms;
        self.awaits.waiting.insert((origin, seq, token), Await { until, deadline, raise_ms });
        self.awaits.deadlines.insert((deadline, origin, seq, token));
        self.settle_one(now, token, origin, seq, out);
    }

    /// Tells those whose time is over.
    pub(super) fn expire(&mut self, now: Millis, out: &mut Vec<Output>) {
        while let Some(&(deadline, origin, seq, token)) = self.awaits.deadlines.first()
            && deadline <= now
        {
            self.answer(now, token, origin, seq, out);
        }
        while let Some(&(end, copies, origin, seq, token)) = self.awaits.raise_ends.first()
            && end <= now
        {
            self.awaits.remove_raise(copies, origin, seq, token);
            out.push(Output::UpgradeExpired(token));
        }
    }

    /// Tells a waiter the truth now.
    fn answer(&mut self, now: Millis, token: Token, origin: OriginId, seq: u64, out: &mut Vec<Output>) {
        let Some(waiter) = self.awaits.remove(token, origin, seq) else { return };
        let copies = self.copies(origin, seq);
        let wanted = match waiter.until {
            Until::Copies(wanted) if waiter.raise_ms > 0 && copies < wanted => Some(wanted),
            Until::Copies(_) | Until::InSync => None,
        };
        out.push(Output::Settled { token, copies, more: wanted.is_some() });
        if let Some(wanted) = wanted {
            let end = now + waiter.raise_ms;
            self.awaits.raises.insert((wanted, origin, seq, token), end);
            self.awaits.raise_ends.insert((end, wanted, origin, seq, token));
        }
        if self.awaits.raises.len() > RAISES_MAX
            && let Some(&(_, copies, origin, seq, token)) = self.awaits.raise_ends.first()
        {
            self.awaits.remove_raise(copies, origin, seq, token);
            out.push(Output::UpgradeExpired(token));
        }
    }

    fn is_settled(&self, now: Millis, origin: OriginId, seq: u64, until: Until) -> bool {
        match until {
            // With no peer in sync there is nobody to wait for.
            Until::Copies(copies) => self.copies(origin, seq) >= copies || self.in_sync(now).next().is_none(),
            Until::InSync => self.in_sync(now).all(|link| link.confirmed.contains(origin, seq)),
        }
    }

    fn settle_one(&mut self, now: Millis, token: Token, origin: OriginId, seq: u64, out: &mut Vec<Output>) {
        let until = self.awaits.waiting.get(&(origin, seq, token)).map(|waiter| waiter.until);
        if until.is_some_and(|until| self.is_settled(now, origin, seq, until)) {
            self.answer(now, token, origin, seq, out);
        }
    }

    /// A peer has told that it holds an origin's events up to `seq`.
    pub(super) fn settle_through(&mut self, now: Millis, origin: OriginId, seq: u64, out: &mut Vec<Output>) {
        let range = (origin, 0, 0)..=(origin, seq, Token::MAX);
        let reached: Vec<_> =
            self.awaits.waiting.range(range).map(|(&(_, seq, token), _)| (token, seq)).collect();
        for (token, seq) in reached {
            self.settle_one(now, token, origin, seq, out);
        }
        for copies in self.awaits.hoped_for() {
            let range = (copies, origin, 0, 0)..=(copies, origin, self.held_by(copies, origin), Token::MAX);
            let reached: Vec<_> = self.awaits.raises.range(range).map(|(&key, _)| key).collect();
            for (_, origin, seq, token) in reached {
                self.awaits.remove_raise(copies, origin, seq, token);
                out.push(Output::Settled { token, copies: self.copies(origin, seq), more: false });
            }
        }
    }

    /// Peers have come into step or fallen out of it: looks at all who wait.
    pub(super) fn settle_all(&mut self, now: Millis, out: &mut Vec<Output>) {
        let all: Vec<_> =
            self.awaits.waiting.keys().map(|&(origin, seq, token)| (token, origin, seq)).collect();
        for (token, origin, seq) in all {
            self.settle_one(now, token, origin, seq, out);
        }
    }

    /// Up to where so many nodes, this one counted, hold the log of an origin.
    fn held_by(&self, copies: usize, origin: OriginId) -> u64 {
        let mut heads: Vec<_> = self.links.values().map(|link| link.confirmed.get(origin)).collect();
        heads.push(self.held.get(origin));
        heads.sort_unstable_by(|a, b| b.cmp(a));
        copies.checked_sub(1).and_then(|index| heads.get(index)).copied().unwrap_or(0)
    }
}
