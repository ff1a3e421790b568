//! Waiters for events to be durable on other nodes. A confirmation checks only the waiters that it may settle.
//! Heartbeats and changes of links check all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Millis, Output, Replica, Token, Until};
use crate::{NodeId, OriginId, Seq};

/// Answered waiters that may still get an upgrade, at most. They were told of fewer copies than they wanted. These are
/// some seconds' worth on a busy node that has just lost its peers. Beyond the limit, the one that would expire first
/// gets no upgrade.
const UPGRADES_MAX: usize = 65_536;

const FIRST_ORIGIN: OriginId = OriginId { node: NodeId([0; 16]), incarnation: 0 };

/// The terms of a waiter.
#[derive(Clone, Copy, Debug)]
struct Terms {
    until: Until,
    deadline: Millis,
    /// For how long after an answer with too few copies an upgrade may follow.
    upgrade_ms: u64,
}

#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiting: BTreeMap<(OriginId, Seq, Token), Terms>,
    deadlines: BTreeSet<(Millis, OriginId, Seq, Token)>,
    /// Waiters for an upgrade to as many copies as the first number, and their deadlines.
    upgrades: BTreeMap<(usize, OriginId, Seq, Token), Millis>,
    upgrade_ends: BTreeSet<(Millis, usize, OriginId, Seq, Token)>,
}

impl Waiters {
    fn remove(&mut self, token: Token, origin: OriginId, seq: Seq) -> Option<Terms> {
        let waiter = self.waiting.remove(&(origin, seq, token))?;
        self.deadlines.remove(&(waiter.deadline, origin, seq, token));
        Some(waiter)
    }

    fn remove_upgrade(&mut self, copies: usize, origin: OriginId, seq: Seq, token: Token) {
        if let Some(end) = self.upgrades.remove(&(copies, origin, seq, token)) {
            self.upgrade_ends.remove(&(end, copies, origin, seq, token));
        }
    }

    /// Returns the next deadline.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        let deadline = self.deadlines.first().map(|&(deadline, ..)| deadline);
        let upgrade_end = self.upgrade_ends.first().map(|&(end, ..)| end);
        [deadline, upgrade_end].into_iter().flatten().min()
    }

    /// Returns the number of waiters. The driver holds one callback for each.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.upgrades.len()
    }

    /// Returns the numbers of copies that waiters for an upgrade want.
    fn wanted_copies(&self) -> Vec<usize> {
        let mut all = Vec::new();
        let mut next = self.upgrades.first_key_value();
        while let Some((&(copies, ..), _)) = next {
            all.push(copies);
            let beyond = (copies + 1, FIRST_ORIGIN, Seq::NONE, Token::MIN);
            next = self.upgrades.range(beyond..).next();
        }
        all
    }
}

impl Replica {
    pub(super) fn add_waiter(&mut self, now: Millis, waiter: super::Waiter, out: &mut Vec<Output>) {
        let super::Waiter { token, origin, seq, until, wait_ms, upgrade_ms } = waiter;
        let deadline = now + wait_ms;
        self.waiters.waiting.insert((origin, seq, token), Terms { until, deadline, upgrade_ms });
        self.waiters.deadlines.insert((deadline, origin, seq, token));
        self.settle_one(now, token, origin, seq, out);
    }

    /// Answers the waiters whose deadline has passed.
    pub(super) fn expire(&mut self, now: Millis, out: &mut Vec<Output>) {
        while let Some(&(deadline, origin, seq, token)) = self.waiters.deadlines.first()
            && deadline <= now
        {
            self.answer(now, token, origin, seq, out);
        }
        while let Some(&(end, copies, origin, seq, token)) = self.waiters.upgrade_ends.first()
            && end <= now
        {
            self.waiters.remove_upgrade(copies, origin, seq, token);
            out.push(Output::UpgradeExpired(token));
        }
    }

    /// Answers a waiter with the present number of copies.
    fn answer(&mut self, now: Millis, token: Token, origin: OriginId, seq: Seq, out: &mut Vec<Output>) {
        let Some(waiter) = self.waiters.remove(token, origin, seq) else { return };
        let copies = self.copies(origin, seq);
        let wanted = match waiter.until {
            Until::Copies(wanted) if waiter.upgrade_ms > 0 && copies < wanted => Some(wanted),
            Until::Copies(_) | Until::InSync => None,
        };
        out.push(Output::Settled { token, copies, may_upgrade: wanted.is_some() });
        if let Some(wanted) = wanted {
            let end = now + waiter.upgrade_ms;
            self.waiters.upgrades.insert((wanted, origin, seq, token), end);
            self.waiters.upgrade_ends.insert((end, wanted, origin, seq, token));
        }
        if self.waiters.upgrades.len() > UPGRADES_MAX
            && let Some(&(_, copies, origin, seq, token)) = self.waiters.upgrade_ends.first()
        {
            self.waiters.remove_upgrade(copies, origin, seq, token);
            out.push(Output::UpgradeExpired(token));
        }
    }

    fn is_settled(&self, now: Millis, origin: OriginId, seq: Seq, until: Until) -> bool {
        match until {
            // Without a peer in sync there is nothing to wait for.
            Until::Copies(copies) => self.copies(origin, seq) >= copies || self.in_sync(now).next().is_none(),
            Until::InSync => self.in_sync(now).all(|link| link.confirmed.contains(origin, seq)),
        }
    }

    fn settle_one(&mut self, now: Millis, token: Token, origin: OriginId, seq: Seq, out: &mut Vec<Output>) {
        let until = self.waiters.waiting.get(&(origin, seq, token)).map(|waiter| waiter.until);
        if until.is_some_and(|until| self.is_settled(now, origin, seq, until)) {
            self.answer(now, token, origin, seq, out);
        }
    }

    /// Answers waiters after a peer confirmed an origin's events up to `seq`.
    pub(super) fn settle_through(&mut self, now: Millis, origin: OriginId, seq: Seq, out: &mut Vec<Output>) {
        let range = (origin, Seq::NONE, Token::MIN)..=(origin, seq, Token::MAX);
        let reached: Vec<_> =
            self.waiters.waiting.range(range).map(|(&(_, seq, token), _)| (token, seq)).collect();
        for (token, seq) in reached {
            self.settle_one(now, token, origin, seq, out);
        }
        for copies in self.waiters.wanted_copies() {
            let range = (copies, origin, Seq::NONE, Token::MIN)
                ..=(copies, origin, self.common_head(copies, origin), Token::MAX);
            let reached: Vec<_> = self.waiters.upgrades.range(range).map(|(&key, _)| key).collect();
            for (_, origin, seq, token) in reached {
                self.waiters.remove_upgrade(copies, origin, seq, token);
                out.push(Output::Settled { token, copies: self.copies(origin, seq), may_upgrade: false });
            }
        }
    }

    /// Checks all waiters, because peers have come into sync or fallen out of it.
    pub(super) fn settle_all(&mut self, now: Millis, out: &mut Vec<Output>) {
        let all: Vec<_> =
            self.waiters.waiting.keys().map(|&(origin, seq, token)| (token, origin, seq)).collect();
        for (token, origin, seq) in all {
            self.settle_one(now, token, origin, seq, out);
        }
    }

    /// Returns the sequence number up to which `copies` nodes, including this one, hold the log of an origin.
    fn common_head(&self, copies: usize, origin: OriginId) -> Seq {
        let mut heads: Vec<_> = self.links.values().map(|link| link.confirmed.get(origin)).collect();
        heads.push(self.held.get(origin));
        heads.sort_unstable_by(|a, b| b.cmp(a));
        copies.checked_sub(1).and_then(|index| heads.get(index)).copied().unwrap_or(Seq::NONE)
    }
}
