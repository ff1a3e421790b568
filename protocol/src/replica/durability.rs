//! Who waits for which event to be durable elsewhere, and until when. Costs what is settled, not what waits.

use std::collections::{BTreeMap, BTreeSet};

use super::{Millis, Token, Until};
use crate::OriginId;

#[derive(Debug, Default)]
pub(super) struct Awaits {
    waiting: BTreeMap<(OriginId, u64, Token), (Until, Millis)>,
    deadlines: BTreeSet<(Millis, OriginId, u64, Token)>,
}

impl Awaits {
    pub(super) fn insert(
        &mut self,
        token: Token,
        origin: OriginId,
        seq: u64,
        until: Until,
        deadline: Millis,
    ) {
        self.waiting.insert((origin, seq, token), (until, deadline));
        self.deadlines.insert((deadline, origin, seq, token));
    }

    pub(super) fn get(&self, token: Token, origin: OriginId, seq: u64) -> Option<Until> {
        self.waiting.get(&(origin, seq, token)).map(|&(until, _)| until)
    }

    pub(super) fn remove(&mut self, token: Token, origin: OriginId, seq: u64) {
        if let Some((_, deadline)) = self.waiting.remove(&(origin, seq, token)) {
            self.deadlines.remove(&(deadline, origin, seq, token));
        }
    }

    /// Those who wait for an event of `origin` up to `seq`.
    pub(super) fn through(&self, origin: OriginId, seq: u64) -> Vec<(Token, u64)> {
        let range = (origin, 0, 0)..=(origin, seq, Token::MAX);
        self.waiting.range(range).map(|(&(_, seq, token), _)| (token, seq)).collect()
    }

    pub(super) fn all(&self) -> Vec<(Token, OriginId, u64)> {
        self.waiting.keys().map(|&(origin, seq, token)| (token, origin, seq)).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|&(deadline, ..)| deadline)
    }

    pub(super) fn pop_expired(&mut self, now: Millis) -> Option<(Token, OriginId, u64)> {
        let &(deadline, origin, seq, token) = self.deadlines.first()?;
        (deadline <= now).then(|| {
            self.remove(token, origin, seq);
            (token, origin, seq)
        })
    }
}
