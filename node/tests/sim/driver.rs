//! Drives the core of a node's driver, and carries out its outputs as `node`'s driver does.

use std::collections::VecDeque;

use bytes::Bytes;
use rand::RngExt;
use starling_node::{
    cluster::DriverCore,
    store::{Decide, Op, Tables},
    writer::STALL,
};
use starling_protocol::{
    Event as LogEvent, EventBody, EventDraft, Hlc,
    event::Stance,
    frame::{
        peer::{Confirm, ReplicaFrame},
        wire::WireVersion,
    },
    limits::SCOPES_MAX,
    replica::{Input, Millis, Output},
};

use crate::{
    invariants,
    mutants::Mutant,
    world::{Event, World},
    writer::{Owed, Request},
};

impl World {
    /// Gives a node's replica an input.
    pub fn feed(&mut self, node: usize, input: Input) {
        self.remember(node, &input);
        self.drive(node, |core, now, out| core.handle(now, input, out));
    }

    /// Gives the core of a node's driver an input and carries out its outputs.
    pub fn drive<T>(
        &mut self,
        node: usize,
        decide: impl FnOnce(&mut DriverCore<Owed>, Millis, &mut Vec<Output>) -> T,
    ) -> Option<T> {
        let (now, start) = (Millis(self.now), self.nodes[node].starts);
        self.nodes[node].hung_since = None;
        let mut outputs = Vec::new();
        let decided = decide(&mut self.nodes[node].run.as_mut()?.core, now, &mut outputs);
        let mut answers = VecDeque::new();
        let mut refused = Vec::new();
        for output in outputs {
            match self.carry_out(node, output) {
                Some(input @ (Input::SendRefused(_) | Input::ApplyRefused)) => refused.push(input),
                answer => answers.extend(answer),
            }
        }
        for input in refused {
            self.nodes[node].run.as_mut()?.core.refuse(now, input);
        }
        for input in answers {
            self.feed(node, input);
        }
        let run = self.nodes[node].run.as_mut()?;
        // No store is ever refilled: a node that loses its store is a new node.
        run.core.update(now, false, &mut Vec::new());
        self.fold(node, now);
        let run = self.nodes[node].run.as_mut()?;
        let tick = run.core.next_tick(now + 1).0;
        if tick < run.tick_at || run.tick_at <= now.0 {
            run.tick_at = tick;
            self.schedule(tick - now.0, Event::Tick { node, start });
        }
        let checked = invariants::bounds::check(self, node).and(invariants::damage::explained(self, node));
        if let Err(violation) = checked {
            self.violated(violation);
        }
        Some(decided)
    }

    /// Makes a fold if one is due, as the driver does.
    fn fold(&mut self, node: usize, now: Millis) {
        let knows_folds = self.wire_version(node) >= WireVersion::V2;
        let machine = &mut self.nodes[node];
        let Some(run) = machine.run.as_mut().filter(|run| knows_folds && run.membership.receives()) else {
            return;
        };
        if let Some(plan) = run.core.plan_fold(now, machine.id) {
            let decide = Decide::new(move |tables: &Tables<'_>| tables.decide_fold(&plan));
            self.request(node, Request::Fold(Op::Decide(decide)));
        }
    }

    pub fn tick(&mut self, node: usize) {
        if self.nodes[node].run.as_ref().is_some_and(|run| run.tick_at <= self.now) {
            self.tick_now(node);
        }
    }

    pub fn tick_now(&mut self, node: usize) {
        let stall_ms = u64::try_from(STALL.as_millis()).unwrap();
        let machine = &mut self.nodes[node];
        let Some(run) = &mut machine.run else { return };
        run.knows_damage = run.is_damaged();
        let stalled = machine.stalled_since.is_some_and(|since| self.now > since + stall_ms)
            || run.knows_damage && self.mutant != Some(Mutant::DamageNotTold)
            || !run.membership.receives();
        let wall_ms = self.wall_ms(node);
        self.drive(node, |core, now, out| core.tick(now, wall_ms, stalled, out));
    }

    fn carry_out(&mut self, node: usize, output: Output) -> Option<Input> {
        let start = self.nodes[node].starts;
        match output {
            Output::Send(link, frame) => self.send(node, link, &frame),
            Output::Apply(events) => self.apply(node, events),
            Output::Read { link, origin, from, to } => {
                let run = self.nodes[node].run.as_ref()?;
                // As `node` does it: the answer to a failed read is empty, and the peer asks another node.
                let mut events = run.read(|store| store.read_events(origin, from, to)).unwrap_or_default();
                if self.mutant == Some(Mutant::PullWithGap) && !events.is_empty() {
                    events.remove(0);
                }
                let input = Input::ReadDone { link, origin, from, events };
                let after = self.rng.random_range(0..5);
                self.schedule(after, Event::Feed { node, start, input });
                None
            }
            Output::Settled { token, copies, may_upgrade } => {
                let run = self.nodes[node].run.as_mut()?;
                let owed = if may_upgrade {
                    run.core.responder_mut(token)?.clone()
                } else {
                    run.core.take_responder(token)?
                };
                self.settled(node, &owed, copies);
                None
            }
            Output::UpgradeExpired(token) => {
                self.nodes[node].run.as_mut()?.core.take_responder(token);
                None
            }
            Output::ReadScopes { link, shard } => {
                let run = self.nodes[node].run.as_ref()?;
                let scopes = run.read(|store| store.scopes_of(shard, SCOPES_MAX)).unwrap_or_default();
                Some(Input::ScopesRead { link, shard, scopes })
            }
            Output::CompareScopes { peer, scopes } => {
                let run = self.nodes[node].run.as_ref()?;
                let compared = run.read(|store| invariants::digests::compared(store, peer, &scopes));
                if let Some(Some(violation)) = compared {
                    self.violated(violation);
                }
                None
            }
            Output::BarrierEnded(token, _) => {
                let run = self.nodes[node].run.as_mut()?;
                if let Some(Owed::Search(search)) = run.core.take_responder(token) {
                    self.searched(node, &search);
                }
                None
            }
            Output::ClaimWaitEnded(token, outcome) => {
                let run = self.nodes[node].run.as_mut()?;
                if let Some(Owed::Claim(attempt)) = run.core.take_responder(token) {
                    self.claimed(node, attempt, outcome);
                }
                None
            }
            Output::Close(_, error) => {
                self.violated(format!("a peer breaks the protocol: {error}"));
                None
            }
        }
    }

    fn apply(&mut self, node: usize, mut events: Vec<LogEvent>) -> Option<Input> {
        match self.mutant {
            Some(Mutant::UnknownDropped) => {
                events.retain(|event| !matches!(event.body, EventBody::Unknown { .. }));
            }
            Some(Mutant::StampedOnArrival) => {
                let hlc = Hlc::from_unix_ms(self.wall_ms(node));
                for event in &mut events {
                    let draft =
                        EventDraft { scope: event.scope.clone(), body: event.body.clone(), above_hlc: None };
                    *event = LogEvent::new(event.origin, event.seq, hlc, draft);
                }
            }
            Some(Mutant::BlockNotMerged) => {
                let is_block =
                    |body: &_| matches!(body, EventBody::StanceChanged(set) if set.stance == Stance::Blocked);
                for event in events.iter_mut().filter(|event| is_block(&event.body)) {
                    event.body = EventBody::Unknown { kind: 0, payload: Bytes::new() };
                }
            }
            _ => {}
        }
        let receives = |run: &crate::node::Run| run.membership.receives();
        if !self.nodes[node].run.as_ref().is_some_and(receives) && self.mutant != Some(Mutant::LeaverReceives)
        {
            return Some(Input::ApplyRefused);
        }
        let rose: Vec<_> = events.iter().map(|event| (event.origin, event.seq)).collect();
        let refused = !self.request(node, Request::Apply(events));
        match self.mutant {
            Some(Mutant::ConfirmBeforeDurable) if !refused => Some(Input::Applied(rose)),
            Some(Mutant::RefusalForgotten) => None,
            _ => refused.then_some(Input::ApplyRefused),
        }
    }

    fn remember(&mut self, node: usize, input: &Input) {
        let Input::Frame(link, frame) = input else { return };
        if self.mutant != Some(Mutant::CopiesOfEarlierLink) {
            return;
        }
        let Some(peer) = self.network.other_end(*link, node) else { return };
        let Some(run) = &mut self.nodes[node].run else { return };
        let remembered = run.remembered.entry(peer).or_default();
        match frame {
            ReplicaFrame::Vector(vector) => remembered.merge(vector),
            ReplicaFrame::Confirm(Confirm { new_heads, own_head, .. }) => {
                for &(origin, seq) in new_heads.iter().chain(own_head) {
                    remembered.advance(origin, seq);
                }
            }
            _ => {}
        }
    }
}
