//! 'No' is only said after catching up: a refusal that rests on something missing first learns what the peers
//! in step have and waits until it is here. One exchange runs and one waits, however many ask.

use std::collections::BTreeSet;

use super::{LinkId, Millis, Token};
use crate::VersionVector;

/// Exchanges begin at least so far apart: many askers share one.
const SPACING_MS: Millis = 20;
/// Nobody waits longer.
const WAIT_MS_MAX: Millis = 250;

#[derive(Debug)]
struct Exchange {
    id: u64,
    deadline: Millis,
    tokens: Vec<Token>,
    /// Those who have not answered.
    unanswered: BTreeSet<LinkId>,
    /// What those had who have.
    target: VersionVector,
}

#[derive(Debug, Default)]
pub(super) struct Barrier {
    running: Option<Exchange>,
    /// Asked after the running exchange began: they need the next.
    next: Vec<Token>,
    /// When the first of them asked.
    next_since: Millis,
    next_id: u64,
    not_before: Millis,
}

/// What [`Barrier::drive`] wants done.
pub(super) struct Step {
    pub(super) passed: Vec<Token>,
    pub(super) probe: Vec<LinkId>,
    pub(super) exchange: u64,
}

impl Barrier {
    pub(super) fn wait(&mut self, now: Millis, token: Token) {
        if self.next.is_empty() {
            self.next_since = now;
        }
        self.next.push(token);
    }

    /// Names one exchange, or another probe.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn len(&self) -> usize {
        self.next.len() + self.running.as_ref().map_or(0, |exchange| exchange.tokens.len())
    }

    pub(super) fn probed(&mut self, id: u64, link: LinkId, vector: &VersionVector) {
        if let Some(exchange) = self.running.as_mut().filter(|exchange| exchange.id == id) {
            exchange.unanswered.remove(&link);
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
        self.running.as_ref().map(|exchange| exchange.deadline).or(begin)
    }

    pub(super) fn drive(&mut self, now: Millis, held: &VersionVector, in_step: BTreeSet<LinkId>) -> Step {
        let mut step = Step { passed: Vec::new(), probe: Vec::new(), exchange: 0 };
        let over = |exchange: &Exchange| {
            now >= exchange.deadline || exchange.unanswered.is_empty() && held.covers(&exchange.target)
        };
        if let Some(exchange) = self.running.take_if(|exchange| over(exchange)) {
            step.passed = exchange.tokens;
        }
        if self.running.is_none() && !self.next.is_empty() {
            if in_step.is_empty() {
                step.passed.append(&mut self.next);
            } else if now >= self.not_before {
                step.exchange = self.fresh_id();
                self.not_before = now + SPACING_MS;
                step.probe = in_step.iter().copied().collect();
                self.running = Some(Exchange {
                    id: step.exchange,
                    // Also who had to wait for the exchange before waits no longer than that in all.
                    deadline: self.next_since + WAIT_MS_MAX,
                    tokens: std::mem::take(&mut self.next),
                    unanswered: in_step,
                    target: VersionVector::default(),
                });
            }
        }
        step
    }
}
