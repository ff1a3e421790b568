//! Barriers: before a node answers 'not found', it asks the peers in sync for their vectors and waits until it holds
//! all of their events. At most one exchange runs and one waits, for any number of waiters.

use std::{collections::BTreeSet, sync::Arc};

use super::{LinkId, Millis, Token};
use crate::{Fold, VersionVector};

/// The least time between the starts of two exchanges: many waiters share one.
const SPACING_MS: u64 = 20;
/// The longest wait.
const WAIT_MS_MAX: u64 = 250;

/// A waiter and its deadline.
type BarrierWaiter = (Token, Millis);

#[derive(Debug)]
struct Exchange {
    id: u64,
    waiters: Vec<BarrierWaiter>,
    /// The links without an answer.
    unanswered: BTreeSet<LinkId>,
    /// The number of answers.
    answered: usize,
    /// The merged vectors of the answers.
    target: VersionVector,
}

#[derive(Debug, Default)]
pub(super) struct Barrier {
    running: Option<Exchange>,
    /// Waiters that came after the start of the running exchange. They need the next one.
    next: Vec<BarrierWaiter>,
    next_id: u64,
    not_before: Millis,
}

/// The result of [`Barrier::drive`].
pub(super) struct Step {
    /// The waits that have ended, with the values of [`super::Output::BarrierEnded`].
    pub(super) ended: Vec<(Token, Option<usize>)>,
    /// The links to send a probe with the id `exchange_id` to.
    pub(super) probe: Vec<LinkId>,
    pub(super) exchange_id: u64,
}

impl Barrier {
    pub(super) fn add(&mut self, now: Millis, token: Token) {
        self.next.push((token, now + WAIT_MS_MAX));
    }

    /// Returns an id for an exchange or for another probe.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn len(&self) -> usize {
        self.next.len() + self.running.as_ref().map_or(0, |exchange| exchange.waiters.len())
    }

    pub(super) fn on_probed(&mut self, id: u64, link: LinkId, vector: &VersionVector) {
        if let Some(exchange) = self.running.as_mut().filter(|exchange| exchange.id == id) {
            exchange.answered += usize::from(exchange.unanswered.remove(&link));
            exchange.target.merge(vector);
        }
    }

    /// Writes the target over another fold.
    pub(super) fn rebase(&mut self, fold: &Arc<Fold>) {
        if let Some(exchange) = &mut self.running {
            exchange.target.rebase(fold);
        }
    }

    pub(super) fn remove_link(&mut self, link: LinkId) {
        if let Some(exchange) = &mut self.running {
            exchange.unanswered.remove(&link);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        let begin = (self.running.is_none() && !self.next.is_empty()).then_some(self.not_before);
        // Waiters are in the order of their deadlines.
        let running = self.running.as_ref().and_then(|exchange| exchange.waiters.first());
        let waiting = running.or(self.next.first()).map(|&(_, deadline)| deadline);
        [begin, waiting].into_iter().flatten().min()
    }

    pub(super) fn drive(&mut self, now: Millis, held: &VersionVector, in_sync: BTreeSet<LinkId>) -> Step {
        let mut step = Step { ended: Vec::new(), probe: Vec::new(), exchange_id: 0 };
        let is_done = |exchange: &Exchange| exchange.unanswered.is_empty() && held.covers(&exchange.target);
        if let Some(exchange) = self.running.take_if(|exchange| is_done(exchange)) {
            let answered = Some(exchange.answered);
            step.ended.extend(exchange.waiters.into_iter().map(|(token, _)| (token, answered)));
        }
        // The longest wait includes the wait for an earlier exchange.
        let running = self.running.as_mut().map(|exchange| &mut exchange.waiters);
        for waiters in [running, Some(&mut self.next)].into_iter().flatten() {
            step.ended
                .extend(waiters.extract_if(.., |waiter| waiter.1 <= now).map(|(token, _)| (token, None)));
        }
        self.running.take_if(|exchange| exchange.waiters.is_empty());
        if self.running.is_none() && !self.next.is_empty() {
            if in_sync.is_empty() {
                step.ended.extend(self.next.drain(..).map(|(token, _)| (token, Some(0))));
            } else if now >= self.not_before {
                step.exchange_id = self.fresh_id();
                self.not_before = now + SPACING_MS;
                step.probe = in_sync.iter().copied().collect();
                self.running = Some(Exchange {
                    id: step.exchange_id,
                    waiters: std::mem::take(&mut self.next),
                    unanswered: in_sync,
                    answered: 0,
                    target: VersionVector::default(),
                });
            }
        }
        step
    }
}
