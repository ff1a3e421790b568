//! Fuzzes a `Replica` with peers that send anything, links that come and go, and a store that is slow or full. The bytes
//! are a program that chooses the inputs. The driver of the replica is correct; the peers are not.

mod program;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::{self, Write},
};

use starling_protocol::{
    Event, NodeId, OriginId, Seq, VersionVector,
    frame::{
        peer::{PeerFrame, ReplicaFrame},
        wire::WireVersion,
    },
    limits::{PEER_FRAME_BYTES_MAX, PULL_EVENTS_MAX},
    replica::{Claim, HEARTBEAT_MS, Input, LinkId, Millis, Output, Replica, Token, Until, Waiter},
};

use self::program::{Program, event, fold, hello_folds, named_origins, origin};

const OWN: OriginId = origin(1);
/// Concurrent reads for one link, at most.
const READS_MAX: usize = 16;
/// Steps of a program, at most.
const STEPS_MAX: usize = 400;
/// The longest wait: 255 ms and as long for an upgrade, or two exchanges of a barrier.
const WAIT_MS_MAX: u64 = 1_000;
/// The wall clock at the monotonic time 0.
const WALL_MS: u64 = 1_700_000_000_000;

pub fn run(bytes: &[u8]) {
    let mut world = World::default();
    let mut program = Program(bytes);
    for _ in 0..STEPS_MAX {
        if world.step(&mut program).is_none() {
            break;
        }
    }
    world.assert_bounded();
    world.end();
}

/// The driver of the replica.
struct World {
    replica: Replica,
    now: Millis,
    /// The events in the store.
    stored: VersionVector,
    /// The events in the store or on their way to it.
    accepted: VersionVector,
    applies: VecDeque<Vec<Event>>,
    reads: VecDeque<(LinkId, OriginId, Seq, Seq)>,
    scope_reads: VecDeque<(LinkId, u8)>,
    links: BTreeMap<LinkId, NodeId>,
    last_link: u64,
    waiting: BTreeSet<Token>,
    /// Waiters that got too few copies and may get an upgrade.
    upgradable: BTreeSet<Token>,
    at_barrier: BTreeSet<Token>,
    last_token: u64,
    /// Whether the node has written, and so has an origin.
    has_written: bool,
    last_frame: Option<(LinkId, ReplicaFrame)>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            replica: Replica::new(VersionVector::default(), Millis(0)),
            now: Millis(0),
            stored: VersionVector::default(),
            accepted: VersionVector::default(),
            applies: VecDeque::new(),
            reads: VecDeque::new(),
            scope_reads: VecDeque::new(),
            links: BTreeMap::new(),
            last_link: 0,
            waiting: BTreeSet::new(),
            upgradable: BTreeSet::new(),
            at_barrier: BTreeSet::new(),
            last_token: 0,
            has_written: false,
            last_frame: None,
        }
    }
}

impl World {
    /// Runs one step of the program; `None` at its end.
    fn step(&mut self, program: &mut Program) -> Option<()> {
        let input = match program.byte()? % 16 {
            0 => {
                let byte = program.byte()?;
                let peer = NodeId([byte % 3 + 2; 16]);
                self.last_link += 1;
                self.links.retain(|_, linked| *linked != peer);
                let link = LinkId(self.last_link);
                self.links.insert(link, peer);
                let folds = hello_folds(byte / 32);
                Input::LinkUp { link, peer, version: WireVersion::V2, folds }
            }
            1 => {
                let link = self.link(program)?;
                self.links.remove(&link);
                Input::LinkDown(link)
            }
            2 => self.commit(u64::from(program.byte()? % 4) + 1),
            3 => self.apply(),
            4 => {
                // The newest is refused: the queue has accepted the earlier ones.
                let Some(refused) = self.applies.pop_back() else { return Some(()) };
                drop(refused);
                self.accepted = self.stored.clone();
                Input::ApplyRefused
            }
            5 => {
                let Some((link, origin, from, to)) = self.reads.pop_front() else { return Some(()) };
                let held = from.0..=to.min(self.stored.get(origin)).0;
                let events = held.take(2).map(|seq| event(origin, Seq(seq))).collect();
                Input::ReadDone { link, origin, from, events }
            }
            6 => Input::SendRefused(self.link(program)?),
            7 => self.add_waiter(program)?,
            8 => {
                self.last_token += 1;
                let token = Token(self.last_token);
                self.at_barrier.insert(token);
                Input::Barrier(token)
            }
            9 | 10 => {
                let byte = program.byte()?;
                self.now = self.now + u64::from(byte) * 8;
                self.handle(Input::LocalStatus { wall_ms: WALL_MS + self.now.0, stalled: byte % 4 == 3 });
                Input::Tick
            }
            11 => match program.byte()? % 8 {
                0 => Input::Resumed,
                6 => Input::Folded(fold(program.byte()?)),
                4 | 5 => Input::Refilling(program.byte()? % 2 == 0),
                1 => {
                    let Some((link, shard)) = self.scope_reads.pop_front() else { return Some(()) };
                    Input::ScopesRead { link, shard, scopes: program.scopes()? }
                }
                _ => Input::Digests(program.digests()?),
            },
            _ => {
                let (link, frame) = (self.link(program)?, program.frame()?);
                if !self.has_written && named_origins(&frame).contains(&OWN) {
                    // The origin is drawn at the first write: no peer can know it before.
                    return Some(());
                }
                self.last_frame = Some((link, frame.clone()));
                Input::Frame(link, frame)
            }
        };
        self.handle(input);
        Some(())
    }

    fn link(&self, program: &mut Program) -> Option<LinkId> {
        // It may be a link that is gone.
        Some(LinkId(u64::from(program.byte()?) % (self.last_link + 1)))
    }

    /// Makes a waiter for durability, or a claim.
    fn add_waiter(&mut self, program: &mut Program) -> Option<Input> {
        let (origin, seq) = (program.origin()?, program.seq()?);
        let until = match program.byte()? % 5 {
            0 => Some(Until::InSync),
            4 => None,
            copies => Some(Until::Copies(copies.into())),
        };
        let (wait_ms, upgrade_ms) = (program.byte()?.into(), program.byte()?.into());
        self.last_token += 1;
        let (token, since) = (Token(self.last_token), self.now);
        self.waiting.insert(token);
        Some(if let Some(until) = until {
            Input::Await(Waiter { token, origin, seq, until, wait_ms, upgrade_ms })
        } else {
            let waited_for = vec![NodeId([2; 16]), NodeId([4; 16])];
            Input::Claim(Claim { token, origin, seq, since, wait_ms, waited_for })
        })
    }

    fn commit(&mut self, count: u64) -> Input {
        self.has_written = true;
        let (head, first) = (self.stored.get(OWN), self.stored.get(OWN).next());
        let last = head + count;
        self.stored.advance(OWN, last);
        self.accepted.advance(OWN, last);
        Input::Committed {
            origin: OWN,
            first,
            events: (first.0..=last.0).map(|seq| event(OWN, Seq(seq))).collect(),
        }
    }

    /// The store makes the oldest waiting events durable.
    fn apply(&mut self) -> Input {
        let mut new_heads = BTreeMap::new();
        for event in self.applies.pop_front().unwrap_or_default() {
            assert!(event.seq <= self.stored.get(event.origin).next(), "the events have a gap");
            if self.stored.advance(event.origin, event.seq) {
                self.accepted.advance(event.origin, event.seq);
                new_heads.insert(event.origin, event.seq);
            }
        }
        Input::Applied(new_heads.into_iter().collect())
    }

    fn handle(&mut self, input: Input) {
        let is_tick = matches!(input, Input::Tick);
        let mut outputs = Vec::new();
        self.replica.handle(self.now, input, &mut outputs);
        let mut closed = Vec::new();
        for output in outputs {
            match output {
                Output::Send(link, bytes) => {
                    assert!(self.links.contains_key(&link), "a frame for a link that is gone");
                    assert!(bytes.len() <= PEER_FRAME_BYTES_MAX);
                    let frame = PeerFrame::decode(&bytes).expect("sent frames decode");
                    assert!(matches!(frame, PeerFrame::Replica(_)));
                }
                Output::Apply(events) => {
                    for event in &events {
                        assert_eq!(event.seq, self.accepted.get(event.origin) + 1, "the events have a gap");
                        assert!(!self.has_written || event.origin != OWN, "its own event came back");
                        self.accepted.advance(event.origin, event.seq);
                    }
                    self.applies.push_back(events);
                }
                Output::Read { link, origin, from, to } => {
                    assert!(self.links.contains_key(&link) && from > Seq::NONE);
                    assert!(to.count_after(from) < PULL_EVENTS_MAX, "{from}..={to} is more than a pull");
                    self.reads.push_back((link, origin, from, to));
                    self.assert_reads_bounded(link);
                }
                Output::ReadScopes { link, shard } => {
                    self.scope_reads.push_back((link, shard));
                    self.assert_reads_bounded(link);
                }
                Output::CompareScopes { peer, .. } => {
                    assert!(self.links.values().any(|linked| *linked == peer));
                }
                Output::Settled { token, copies, may_upgrade } => {
                    assert!(
                        self.waiting.remove(&token) || self.upgradable.remove(&token) && !may_upgrade,
                        "answered twice"
                    );
                    assert!((1..=self.links.len() + 1).contains(&copies));
                    if may_upgrade {
                        self.upgradable.insert(token);
                    }
                }
                Output::ClaimWaitEnded(token, _) => assert!(self.waiting.remove(&token), "answered twice"),
                Output::UpgradeExpired(token) => assert!(self.upgradable.remove(&token), "answered twice"),
                Output::BarrierEnded(token, _) => assert!(self.at_barrier.remove(&token), "ended twice"),
                Output::Close(link, _) => closed.push(link),
            }
        }
        assert_eq!(self.replica.held(), &self.stored);
        assert!(!is_tick || self.replica.next_tick() > self.now, "the next tick is already due after a tick");
        for link in closed {
            if self.links.remove(&link).is_some() {
                self.handle(Input::LinkDown(link));
            }
        }
        // Calls the functions for metrics and cursors.
        self.replica.lag(self.now).for_each(drop);
        let _ = (self.replica.cursor_limit(self.now), self.replica.peers_see_us_in_sync(self.now));
        self.replica.claim_peers(self.now).into_iter().for_each(drop);
        let _ = (self.replica.judge_clock(self.now), self.replica.agreements().count());
        assert_eq!(self.replica.waiting(), self.waiting.len() + self.upgradable.len());
        assert!(self.replica.reachable(&self.stored));
    }

    fn assert_reads_bounded(&self, link: LinkId) {
        let scopes = self.scope_reads.iter().filter(|read| read.0 == link).count();
        assert!(self.reads.iter().filter(|read| read.0 == link).count() + scopes <= READS_MAX);
    }

    /// Asserts that memory doesn't grow if a peer repeats a frame.
    fn assert_bounded(&mut self) {
        let Some((link, frame)) = self.last_frame.take() else { return };
        let mut sizes = [0, 0];
        for (repetitions, size) in [1, 64].into_iter().zip(&mut sizes) {
            for _ in 0..repetitions {
                self.handle(Input::Frame(link, frame.clone()));
            }
            let mut written = Size(0);
            write!(written, "{:?}", self.replica).expect("counting never fails");
            *size = written.0;
        }
        assert!(sizes[1] <= sizes[0] + 150, "grew from {} to {} by {frame:?}", sizes[0], sizes[1]);
    }

    /// Takes all links down and asserts that no waiter remains.
    fn end(mut self) {
        while let Some((link, _)) = self.links.pop_first() {
            self.handle(Input::LinkDown(link));
        }
        let end = self.now + HEARTBEAT_MS + WAIT_MS_MAX;
        while self.now < end {
            self.now = self.replica.next_tick().max(self.now + 1);
            self.handle(Input::Tick);
        }
        let pending = [&self.waiting, &self.upgradable, &self.at_barrier];
        assert!(pending.iter().all(|tokens| tokens.is_empty()), "pending answers: {pending:?}");
        assert_eq!(self.replica.missing().count(), 0, "no peer is left to ask");
    }
}

/// Counts written bytes. The debug text of a value measures everything in it.
struct Size(usize);

impl Write for Size {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}
