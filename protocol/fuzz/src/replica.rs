//! A `Replica` among peers that say anything, over links that come and go, on a store that is slow or full. The bytes
//! are a program: which input comes next. What the node promises the state machine is kept; what peers say is not.

mod program;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::{self, Write},
};

use starling_protocol::{
    Event, NodeId, OriginId, VersionVector,
    frame::peer::{PeerFrame, ReplicaFrame},
    limits::{PEER_FRAME_BYTES_MAX, PULL_EVENTS_MAX},
    replica::{BEAT_MS, Claim, Input, LinkId, Millis, Output, Replica, Token, Until, Waiter},
};

use self::program::{Program, event, named, origin};

const OWN: OriginId = origin(1);
/// Reads for one link that are under way, at most.
const READS_MAX: usize = 16;
/// Steps of a program, at most.
const STEPS_MAX: usize = 400;
/// No waiter waits longer: 255 ms and as long for more copies, or two exchanges of a barrier.
const WAIT_MS_MAX: Millis = 1_000;
/// What its wall clock shows when the monotonic one shows 0.
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

/// A node around its state machine, with nothing else in it.
struct World {
    replica: Replica,
    now: Millis,
    /// What the store holds.
    stored: VersionVector,
    /// What was handed out to be stored, all before it included.
    handed: VersionVector,
    applies: VecDeque<Vec<Event>>,
    reads: VecDeque<(LinkId, OriginId, u64, u64)>,
    scope_reads: VecDeque<(LinkId, u8)>,
    links: BTreeMap<LinkId, NodeId>,
    last_link: LinkId,
    waiting: BTreeSet<Token>,
    /// Those who were told of too few copies and may hear better.
    hoping: BTreeSet<Token>,
    barred: BTreeSet<Token>,
    last_token: Token,
    /// Whether it has written, and so has an origin.
    has_written: bool,
    last_frame: Option<(LinkId, ReplicaFrame)>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            replica: Replica::new(VersionVector::default(), 0),
            now: 0,
            stored: VersionVector::default(),
            handed: VersionVector::default(),
            applies: VecDeque::new(),
            reads: VecDeque::new(),
            scope_reads: VecDeque::new(),
            links: BTreeMap::new(),
            last_link: 0,
            waiting: BTreeSet::new(),
            hoping: BTreeSet::new(),
            barred: BTreeSet::new(),
            last_token: 0,
            has_written: false,
            last_frame: None,
        }
    }
}

impl World {
    /// One choice of the program; `None` at its end.
    fn step(&mut self, program: &mut Program) -> Option<()> {
        let input = match program.byte()? % 16 {
            0 => {
                let peer = NodeId([program.byte()? % 3 + 2; 16]);
                self.last_link += 1;
                self.links.retain(|_, linked| *linked != peer);
                self.links.insert(self.last_link, peer);
                Input::LinkUp { link: self.last_link, peer }
            }
            1 => {
                let link = self.link(program)?;
                self.links.remove(&link);
                Input::LinkDown(link)
            }
            2 => self.commit(u64::from(program.byte()? % 4) + 1),
            3 => self.apply(),
            4 => {
                // The newest is refused: a queue takes what came before.
                let Some(refused) = self.applies.pop_back() else { return Some(()) };
                drop(refused);
                self.handed = self.stored.clone();
                Input::ApplyRefused
            }
            5 => {
                let Some((link, origin, from, to)) = self.reads.pop_front() else { return Some(()) };
                let held = from..=to.min(self.stored.get(origin));
                let events = held.take(2).map(|seq| event(origin, seq)).collect();
                Input::ReadDone { link, origin, from, events }
            }
            6 => Input::SendRefused(self.link(program)?),
            7 => {
                let (origin, seq) = (program.origin()?, program.number()?);
                let until = match program.byte()? % 5 {
                    0 => Some(Until::InSync),
                    4 => None,
                    copies => Some(Until::Copies(copies.into())),
                };
                let (wait_ms, raise_ms) = (program.byte()?.into(), program.byte()?.into());
                self.last_token += 1;
                self.waiting.insert(self.last_token);
                let (token, since) = (self.last_token, self.now);
                if let Some(until) = until {
                    Input::Await(Waiter { token, origin, seq, until, wait_ms, raise_ms })
                } else {
                    let waited_for = vec![NodeId([2; 16]), NodeId([4; 16])];
                    Input::Claim(Claim { token, origin, seq, since, wait_ms, waited_for })
                }
            }
            8 => {
                self.last_token += 1;
                self.barred.insert(self.last_token);
                Input::Barrier(self.last_token)
            }
            9 | 10 => {
                let byte = program.byte()?;
                self.now += Millis::from(byte) * 8;
                self.handle(Input::LocalStatus { wall_ms: WALL_MS + self.now, stalled: byte % 4 == 3 });
                Input::Tick
            }
            11 => match program.byte()? % 8 {
                0 => Input::Resumed,
                4 | 5 => Input::Refilling(program.byte()? % 2 == 0),
                1 => {
                    let Some((link, part)) = self.scope_reads.pop_front() else { return Some(()) };
                    Input::ScopesRead { link, part, scopes: program.scopes()? }
                }
                _ => Input::Digests(program.digests()?),
            },
            _ => {
                let (link, frame) = (self.link(program)?, program.frame()?);
                if !self.has_written && named(&frame).contains(&OWN) {
                    // Its name is drawn at its first write: nobody can have said it before.
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
        // One that is gone, too.
        Some(LinkId::from(program.byte()?) % (self.last_link + 1))
    }

    fn commit(&mut self, count: u64) -> Input {
        self.has_written = true;
        let first = self.stored.get(OWN) + 1;
        let last = first + count - 1;
        self.stored.advance(OWN, last);
        self.handed.advance(OWN, last);
        Input::Committed { origin: OWN, first, events: (first..=last).map(|seq| event(OWN, seq)).collect() }
    }

    /// The store makes durable what waits longest.
    fn apply(&mut self) -> Input {
        let mut rose = BTreeMap::new();
        for event in self.applies.pop_front().unwrap_or_default() {
            assert!(event.seq <= self.stored.get(event.origin) + 1, "the store is given a gap");
            if self.stored.advance(event.origin, event.seq) {
                self.handed.advance(event.origin, event.seq);
                rose.insert(event.origin, event.seq);
            }
        }
        Input::Applied(rose.into_iter().collect())
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
                    let frame = PeerFrame::decode(&bytes).expect("what is sent can be read");
                    assert!(matches!(frame, PeerFrame::Replica(_)));
                }
                Output::Apply(events) => {
                    for event in &events {
                        assert_eq!(event.seq, self.handed.get(event.origin) + 1, "handed out with a gap");
                        assert!(!self.has_written || event.origin != OWN, "its own event came back");
                        self.handed.advance(event.origin, event.seq);
                    }
                    self.applies.push_back(events);
                }
                Output::Read { link, origin, from, to } => {
                    assert!(self.links.contains_key(&link) && from > 0);
                    assert!(to.saturating_sub(from) < PULL_EVENTS_MAX, "{from}..={to} is more than a pull");
                    self.reads.push_back((link, origin, from, to));
                    self.assert_reads_bounded(link);
                }
                Output::ReadScopes { link, part } => {
                    self.scope_reads.push_back((link, part));
                    self.assert_reads_bounded(link);
                }
                Output::CompareScopes { peer, .. } => {
                    assert!(self.links.values().any(|linked| *linked == peer));
                }
                Output::Settled { token, copies, more } => {
                    assert!(self.waiting.remove(&token) || self.hoping.remove(&token) && !more, "told twice");
                    assert!((1..=self.links.len() + 1).contains(&copies));
                    if more {
                        self.hoping.insert(token);
                    }
                }
                Output::Claimed(token, _) => assert!(self.waiting.remove(&token), "told twice"),
                Output::UpgradeExpired(token) => assert!(self.hoping.remove(&token), "told twice"),
                Output::BarrierPassed(token, _) => assert!(self.barred.remove(&token), "passed twice"),
                Output::Close(link, _) => closed.push(link),
            }
        }
        assert_eq!(self.replica.held(), &self.stored);
        assert!(!is_tick || self.replica.next_tick() > self.now, "after a tick the next one is due at once");
        for link in closed {
            if self.links.remove(&link).is_some() {
                self.handle(Input::LinkDown(link));
            }
        }
        // What the node asks for its figures and its cursors.
        self.replica.lag(self.now).for_each(drop);
        let _ = (self.replica.own_limit(self.now), self.replica.called_in_sync(self.now));
        self.replica.claim_peers(self.now).into_iter().for_each(drop);
        let _ = (self.replica.clock(self.now), self.replica.agreements().count());
        assert_eq!(self.replica.waiting(), self.waiting.len() + self.hoping.len());
        assert!(self.replica.reachable(&self.stored));
    }

    fn assert_reads_bounded(&self, link: LinkId) {
        let scopes = self.scope_reads.iter().filter(|read| read.0 == link).count();
        assert!(self.reads.iter().filter(|read| read.0 == link).count() + scopes <= READS_MAX);
    }

    /// What a peer says again and again is kept once: memory grows with what there is, not with what is said of it.
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

    /// All links go down: nobody is left waiting.
    fn end(mut self) {
        while let Some((link, _)) = self.links.pop_first() {
            self.handle(Input::LinkDown(link));
        }
        let end = self.now + BEAT_MS + WAIT_MS_MAX;
        while self.now < end {
            self.now = self.replica.next_tick().max(self.now + 1);
            self.handle(Input::Tick);
        }
        let owed = [&self.waiting, &self.hoping, &self.barred];
        assert!(owed.iter().all(|tokens| tokens.is_empty()), "answers are owed: {owed:?}");
        assert_eq!(self.replica.missing().count(), 0, "nobody is left to ask");
    }
}

/// Counts what would be written: a measure of everything that a value holds.
struct Size(usize);

impl Write for Size {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}
