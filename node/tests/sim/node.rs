//! A machine with its disk and clock, the process on it made of the real parts, and how it starts, crashes and hangs.
//! Carries out what the replica asks for, as `node`'s driver does.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use harness::disk::{Disk, Image};
use rand::RngExt;
use starling_node::store::{Committer, Store};
use starling_protocol::{
    Event as LogEvent, EventBody, EventDraft, Hlc, NodeId, OriginId, VersionVector,
    event::Stance,
    frame::peer::{Confirm, ReplicaFrame},
    limits::SCOPES_MAX,
    replica::{Input, Output, Replica, Token},
};

use crate::{
    invariants,
    mutants::Mutant,
    rooms::Search,
    world::{Event, World},
    writer::{Owed, Request},
};

/// A commit that takes longer is told to the peers.
const STALL_MS: u64 = 1_000;
/// Who did nothing for longer exchanges vectors first.
const SLEPT_MS_MIN: u64 = 1_000;
/// Who starts and hears nobody serves alone then.
const ALONE_AFTER_MS: u64 = 1_000;
/// Who slept and hears nobody serves alone then.
const ALONE_AFTER_SLEEP_MS: u64 = 4_000;

/// A running process.
#[derive(Debug)]
pub struct Run {
    pub store: Arc<Store>,
    pub committer: Committer,
    pub replica: Replica,
    pub own: Option<OriginId>,
    pub inbox: VecDeque<Request>,
    pub owed: BTreeMap<Token, Owed>,
    pub searches: BTreeMap<Token, Search>,
    next_token: Token,
    tick_at: u64,
    /// After its start or a sleep, until its peers call it in sync: when it serves alone if it hears none. It denies
    /// nothing in between, and claims no name.
    pub alone_at: Option<u64>,
    /// For a planted bug: what each node confirmed on any link.
    pub remembered: BTreeMap<usize, VersionVector>,
}

impl Run {
    /// A name for somebody who waits.
    pub fn token(&mut self) -> Token {
        self.next_token += 1;
        self.next_token
    }
}

/// For whom a disk has space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Enough,
    PeersOnly,
    Nothing,
}

/// A machine.
#[derive(Debug)]
pub struct Node {
    pub id: NodeId,
    pub disk: Disk,
    pub starts: u32,
    pub skew_ms: i64,
    pub run: Option<Run>,
    pub space: Space,
    /// A store was made on its disk.
    has_store: bool,
    /// Since when it has done nothing, and will not before that other time.
    pub hung_since: Option<u64>,
    pub hung_until: u64,
    /// Since when a commit has not come to its end, and will not before that other time.
    pub stalled_since: Option<u64>,
    pub stalled_until: u64,
    /// It takes no sessions and posts, and ends when others hold its log.
    pub leaving: bool,
    /// It will never be back.
    pub gone: bool,
    /// What its disk holds.
    pub durable: VersionVector,
    /// What its disk held before it was rolled back or lost.
    pub formerly: VersionVector,
    /// What is put back if its disk is rolled back.
    pub backup: Option<(Image, VersionVector)>,
    /// For a planted bug: the origin of the last process.
    pub incarnation: Option<u64>,
}

impl Node {
    pub fn new(id: NodeId, mutant: Option<Mutant>) -> Self {
        Self {
            id,
            disk: Disk::new(mutant == Some(Mutant::FsyncSkipped)),
            starts: 0,
            skew_ms: 0,
            run: None,
            space: Space::Enough,
            has_store: false,
            hung_since: None,
            hung_until: 0,
            stalled_since: None,
            stalled_until: 0,
            leaving: false,
            gone: false,
            durable: VersionVector::default(),
            formerly: VersionVector::default(),
            backup: None,
            incarnation: None,
        }
    }

    /// Whether a session may begin here.
    pub fn serves(&self, now: u64) -> bool {
        self.run.is_some() && !self.leaving && self.hung_until <= now
    }
}

impl World {
    /// The numbers of those who are not gone for ever.
    pub fn members(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&node| !self.nodes[node].gone).collect()
    }

    pub fn wall_ms(&self, node: usize) -> u64 {
        (Self::EPOCH_MS + self.now).saturating_add_signed(self.nodes[node].skew_ms)
    }

    pub fn start(&mut self, node: usize) {
        let (wall_ms, count) = (self.wall_ms(node), self.nodes.len());
        let machine = &mut self.nodes[node];
        if machine.gone || machine.run.is_some() {
            return;
        }
        let store = match Store::open_backend(machine.disk.clone()) {
            Ok(store) => Arc::new(store),
            // The disk began to fail again while the store was being opened: the next start finds what is there.
            Err(_) if machine.disk.is_failing() => {
                self.crash(node);
                let machine = &mut self.nodes[node];
                if !machine.has_store {
                    // It was being made under another name; the next start makes it anew.
                    machine.disk = Disk::new(self.mutant == Some(Mutant::FsyncSkipped));
                }
                return;
            }
            Err(error) => return self.violated(format!("node {node} cannot open its store: {error}")),
        };
        machine.has_store = true;
        machine.starts += 1;
        self.origins += 1;
        let committer = Committer::new(Arc::clone(&store), machine.id, wall_ms).expect("the store opens");
        let held = VersionVector::clone(committer.vector());
        let lacks = machine.durable.beyond(&held).next();
        // A commit that failed may have become durable all the same.
        machine.durable.merge(&held);
        let mut replica = Replica::new(held, self.now);
        replica.handle(self.now, Input::Digests(committer.digests()), &mut Vec::new());
        machine.run = Some(Run {
            store,
            committer,
            replica,
            own: None,
            inbox: VecDeque::new(),
            owed: BTreeMap::new(),
            searches: BTreeMap::new(),
            next_token: 0,
            tick_at: u64::MAX,
            alone_at: (count > 1).then_some(self.now + ALONE_AFTER_MS),
            remembered: BTreeMap::new(),
        });
        if let Some((origin, seq)) = lacks {
            self.violated(format!("node {node} has forgotten {origin:?}:{seq}, which it had made durable"));
        }
        self.feed(node, Input::Tick);
    }

    /// The process ends at once and what was not synced is lost; it is started again after a while.
    pub fn crash(&mut self, node: usize) {
        self.end(node);
        let after = self.rng.random_range(10..3_000);
        self.schedule(after, Event::Start(node));
    }

    pub fn end(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        // The disk first: a store that is closed in peace would write what a dead process cannot.
        machine.disk = machine.disk.crash(&mut self.rng);
        machine.run = None;
        (machine.hung_since, machine.stalled_since) = (None, None);
        (machine.hung_until, machine.stalled_until) = (0, 0);
    }

    /// Feeds a node's replica and carries out what it asks for.
    pub fn feed(&mut self, node: usize, input: Input) {
        self.remember(node, &input);
        let mut inputs = VecDeque::from([input]);
        if let Some(since) = self.nodes[node].hung_since.take()
            && self.now >= since + SLEPT_MS_MIN
            && let Some(run) = self.nodes[node].run.as_mut()
        {
            // Before anything else, as the driver does it.
            inputs.push_front(Input::Resumed);
            run.alone_at = Some(self.now + ALONE_AFTER_SLEEP_MS);
        }
        while let Some(input) = inputs.pop_front() {
            let now = self.now;
            let Some(run) = self.nodes[node].run.as_mut() else { return };
            let mut outputs = Vec::new();
            run.replica.handle(now, input, &mut outputs);
            for output in outputs {
                inputs.extend(self.carry_out(node, output));
            }
        }
        let start = self.nodes[node].starts;
        let Some(run) = self.nodes[node].run.as_mut() else { return };
        run.alone_at = run.alone_at.filter(|&at| match run.replica.peers_see_us_in_sync(self.now) {
            Some(called) => !called,
            None => self.now < at,
        });
        let tick = run.replica.next_tick().max(self.now + 1);
        if tick < run.tick_at || run.tick_at <= self.now {
            run.tick_at = tick;
            self.schedule(tick - self.now, Event::Tick { node, start });
        }
        if let Err(violation) = invariants::bounds::check(self, node) {
            self.violated(violation);
        }
    }

    pub fn tick(&mut self, node: usize) {
        if self.nodes[node].run.as_ref().is_some_and(|run| run.tick_at <= self.now) {
            let stalled = self.nodes[node].stalled_since.is_some_and(|since| self.now > since + STALL_MS);
            self.feed(node, Input::LocalStatus { wall_ms: self.wall_ms(node), stalled });
            self.feed(node, Input::Tick);
        }
    }

    fn carry_out(&mut self, node: usize, output: Output) -> Option<Input> {
        let start = self.nodes[node].starts;
        match output {
            Output::Send(link, frame) => self.send(node, link, &frame),
            Output::Apply(events) => self.apply(node, events),
            Output::Read { link, origin, from, to } => {
                let run = self.nodes[node].run.as_ref()?;
                let mut events = run.store.range(origin, from, to).expect("the store reads");
                if self.mutant == Some(Mutant::PullWithGap) && !events.is_empty() {
                    events.remove(0);
                }
                let input = Input::ReadDone { link, origin, from, events };
                let after = self.rng.random_range(0..5);
                self.schedule(after, Event::Feed { node, start, input });
                None
            }
            Output::Settled { token, copies, may_upgrade } => {
                self.settled(node, token, copies);
                if !may_upgrade {
                    self.nothing_more(node, token);
                }
                None
            }
            Output::UpgradeExpired(token) => {
                self.nothing_more(node, token);
                None
            }
            Output::ReadScopes { link, shard } => {
                let run = self.nodes[node].run.as_ref()?;
                let scopes = run.store.scopes_of(shard, SCOPES_MAX).expect("the store reads");
                Some(Input::ScopesRead { link, shard, scopes })
            }
            Output::CompareScopes { peer, scopes } => {
                let run = self.nodes[node].run.as_ref()?;
                if let Err(violation) = invariants::digests::compared(&run.store, peer, &scopes) {
                    self.violated(violation);
                }
                None
            }
            Output::BarrierPassed(token, _) => {
                self.searched(node, token);
                None
            }
            Output::Claimed(token, outcome) => {
                let owed = self.nodes[node].run.as_mut()?.owed.remove(&token);
                if let Some(Owed::Claim(attempt)) = owed {
                    self.claimed(node, attempt, outcome);
                }
                None
            }
            Output::Close(_, error) => {
                self.violated(format!("a peer sends what is no event: {error}"));
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
                        EventDraft { scope: event.scope.clone(), body: event.body.clone(), min_hlc: None };
                    *event = LogEvent::new(event.origin, event.seq, hlc, draft);
                }
            }
            Some(Mutant::BlockNotMerged) => {
                let is_block =
                    |body: &_| matches!(body, EventBody::ContactSet(set) if set.stance == Stance::Blocked);
                for event in events.iter_mut().filter(|event| is_block(&event.body)) {
                    event.body = EventBody::Unknown { kind: 0, payload: Bytes::new() };
                }
            }
            _ => {}
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
