//! 'No' is only said after catching up: a refusal that rests on something missing first learns what the peers
//! in sync have and waits until it is here. One exchange runs and one waits, however many ask.

use std::collections::BTreeSet;

use super::{LinkId, Millis, Token};
use crate::VersionVector;

/// Exchanges begin at least so far apart: many askers share one.
const SPACING_MS: Millis = 20;
/// Nobody waits longer.
const WAIT_MS_MAX: Millis = 250;

/// One who waits, and until when.
type Asker = (Token, Millis);

#[derive(Debug)]
struct Exchange {
    id: u64,
    askers: Vec<Asker>,
    /// Those who have not answered.
    unanswered: BTreeSet<LinkId>,
    /// How many have.
    answered: usize,
    /// What those had who have.
    target: VersionVector,
}

#[derive(Debug, Default)]
pub(super) struct Barrier {
    running: Option<Exchange>,
    /// Asked after the running exchange began: they need the next.
    next: Vec<Asker>,
    next_id: u64,
    not_before: Millis,
}

/// What [`Barrier::drive`] wants done.
pub(super) struct Step {
    /// Who need not wait any more, with what [`super::Output::BarrierPassed`] says.
    pub(super) passed: Vec<(Token, Option<usize>)>,
    pub(super) probe: Vec<LinkId>,
    pub(super) exchange: u64,
}

impl Barrier {
    pub(super) fn wait(&mut self, now: Millis, token: Token) {
        self.next.push((token, now + WAIT_MS_MAX));
    }

    /// Names one exchange, or another probe.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn len(&self) -> usize {
        self.next.len() + self.running.as_ref().map_or(0, |exchange| exchange.askers.len())
    }

    pub(super) fn probed(&mut self, id: u64, link: LinkId, vector: &VersionVector) {
        if let Some(exchange) = self.running.as_mut().filter(|exchange| exchange.id == id) {
            exchange.answered += usize::from(exchange.unanswered.remove(&link));
            exchange.target.merge(vector);
        }
    }

    pub(super) fn link_gone(&mut self, link: LinkId) {
        if let Some(exchange) = &mut self.running {
            exchange.unanswered.remove(&link);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        let begin = (self.running.is_none() && !self.next.is_empty()).then_some(self.not_before);
        // They asked in order.
        let running = self.running.as_ref().and_then(|exchange| exchange.askers.first());
        let waiting = running.or(self.next.first()).map(|&(_, deadline)| deadline);
        [begin, waiting].into_iter().flatten().min()
    }

    pub(super) fn drive(&mut self, now: Millis, held: &VersionVector, in_sync: BTreeSet<LinkId>) -> Step {
        let mut step = Step { passed: Vec::new(), probe: Vec::new(), exchange: 0 };
        let over = |exchange: &Exchange| exchange.unanswered.is_empty() && held.covers(&exchange.target);
        if let Some(exchange) = self.running.take_if(|exchange| over(exchange)) {
            let answered = Some(exchange.answered);
            step.passed.extend(exchange.askers.into_iter().map(|(token, _)| (token, answered)));
        }
        // Nobody waits longer, also who had to wait for the exchange before.
        let running = self.running.as_mut().map(|exchange| &mut exchange.askers);
        for askers in [running, Some(&mut self.next)].into_iter().flatten() {
            step.passed.extend(askers.extract_if(.., |asker| asker.1 <= now).map(|(token, _)| (token, None)));
        }
        self.running.take_if(|exchange| exchange.askers.is_empty());
        if self.running.is_none() && !self.next.is_empty() {
            if in_sync.is_empty() {
                step.passed.extend(self.next.drain(..).map(|(token, _)| (token, Some(0))));
            } else if now >= self.not_before {
                step.exchange = self.fresh_id();
                self.not_before = now + SPACING_MS;
                step.probe = in_sync.iter().copied().collect();
                self.running = Some(Exchange {
                    id: step.exchange,
                    askers: std::mem::take(&mut self.next),
                    unanswered: in_sync,
                    answered: 0,
                    target: VersionVector::default(),
                });
            }
        }
        step
    }
}
