//! A `Replica` among peers that say anything, over links that come and go, on a store that is slow or full. The bytes
//! are a program: which input comes next. What the node promises the state machine is kept; what peers say is not.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::{self, Write},
};

use bytes::Bytes;
use starling_protocol::{
    Event, EventBody, EventDraft, Hlc, NodeId, OriginId, Scope, VersionVector,
    frame::peer::{Confirm, PeerFrame, ReplicaFrame},
    limits::{PEER_FRAME_BYTES_MAX, PULL_EVENTS_MAX},
    replica::{BEAT_MS, Input, LinkId, Millis, Output, Replica, Token, Until},
};

const OWN: OriginId = origin(1);
/// Reads for one link that are under way, at most.
const READS_MAX: usize = 16;
/// Steps of a program, at most.
const STEPS_MAX: usize = 400;
/// No waiter waits longer: 255 ms, and a barrier's exchange that runs before the one that it needs.
const WAIT_MS_MAX: Millis = 1_000;

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

const fn origin(n: u8) -> OriginId {
    OriginId { node: NodeId([n; 16]), incarnation: n as u64 }
}

fn event(origin: OriginId, seq: u64) -> Bytes {
    let body = EventBody::Unknown { kind: 999, payload: Bytes::new() };
    let draft = EventDraft { scope: Scope { kind: 0, id: Box::default() }, body, floor: None };
    Event::new(origin, seq, Hlc(seq), draft).encoded().clone()
}

/// Bytes read as choices.
struct Program<'a>(&'a [u8]);

impl Program<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// A small number, or one at the end of the range.
    fn number(&mut self) -> Option<u64> {
        let byte = u64::from(self.byte()?);
        Some(if byte < 250 { byte } else { u64::MAX - (255 - byte) })
    }

    /// An origin of this node or of one of three peers.
    fn origin(&mut self) -> Option<OriginId> {
        self.byte().map(|byte| origin(byte % 4 + 1))
    }

    fn entries(&mut self) -> Option<Vec<(OriginId, u64)>> {
        (0..self.byte()? % 5).map(|_| Some((self.origin()?, self.number()?))).collect()
    }

    /// Events in a row, or any that follow nothing, or what is none.
    fn events(&mut self) -> Option<Vec<Bytes>> {
        let (origin, first, how) = (self.origin()?, self.number()?, self.byte()?);
        let count = u64::from(how % 4);
        Some(match how / 64 {
            0 => vec![Bytes::from_static(b"\x01no event")],
            1 => vec![event(origin, first), event(self.origin()?, self.number()?)],
            _ => (0..count).map(|n| event(origin, first.saturating_add(n))).collect(),
        })
    }

    fn frame(&mut self) -> Option<ReplicaFrame> {
        Some(match self.byte()? % 8 {
            0 => ReplicaFrame::Vector(self.entries()?.into_iter().collect()),
            1 => {
                let (rose, flags) = (self.entries()?, self.byte()?);
                let own_head = if flags & 2 == 0 { None } else { Some((self.origin()?, self.number()?)) };
                ReplicaFrame::Confirm(Confirm { rose, own_head, in_step: flags & 1 == 1 })
            }
            2 => ReplicaFrame::Pull { origin: self.origin()?, from: self.number()?, to: self.number()? },
            3 => ReplicaFrame::Push(self.events()?),
            4 => ReplicaFrame::Pulled { origin: self.origin()?, events: self.events()? },
            5 => ReplicaFrame::Probe(self.number()?),
            6 => ReplicaFrame::Probed(self.number()?, self.entries()?.into_iter().collect()),
            _ => {
                let length = usize::from(self.byte()?).min(self.0.len());
                let (raw, rest) = self.0.split_at(length);
                self.0 = rest;
                match PeerFrame::decode(raw) {
                    Ok(PeerFrame::Replica(frame)) => frame,
                    _ => ReplicaFrame::Push(Vec::new()),
                }
            }
        })
    }
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
    links: BTreeMap<LinkId, NodeId>,
    last_link: LinkId,
    waiting: BTreeSet<Token>,
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
            links: BTreeMap::new(),
            last_link: 0,
            waiting: BTreeSet::new(),
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
                let until = match program.byte()? % 4 {
                    0 => Until::InStep,
                    copies => Until::Copies(copies.into()),
                };
                let wait_ms = program.byte()?.into();
                self.last_token += 1;
                self.waiting.insert(self.last_token);
                Input::Await { token: self.last_token, origin, seq, until, wait_ms }
            }
            8 => {
                self.last_token += 1;
                self.barred.insert(self.last_token);
                Input::Barrier(self.last_token)
            }
            9 | 10 => {
                self.now += Millis::from(program.byte()?) * 8;
                Input::Tick
            }
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
                    assert!(self.reads.iter().filter(|read| read.0 == link).count() <= READS_MAX);
                }
                Output::Settled { token, copies } => {
                    assert!(self.waiting.remove(&token), "settled twice");
                    assert!((1..=self.links.len() + 1).contains(&copies));
                }
                Output::BarrierPassed(token) => assert!(self.barred.remove(&token), "passed twice"),
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
        let _ = (self.replica.own_limit(self.now), self.replica.called_in_step(self.now));
        assert!(self.replica.reachable(&self.stored));
    }

    /// What a peer says again and again is kept once: memory grows with what there is, not with what is said of it.
    fn assert_bounded(&mut self) {
        let Some((link, frame)) = self.last_frame.take() else { return };
        let mut sizes = [0, 0];
        for (repetitions, size) in [1, 200].into_iter().zip(&mut sizes) {
            for _ in 0..repetitions {
                self.handle(Input::Frame(link, frame.clone()));
            }
            let mut written = Size(0);
            write!(written, "{:?}", self.replica).expect("counting never fails");
            *size = written.0;
        }
        assert!(sizes[1] <= sizes[0] + 400, "grew from {} to {} by {frame:?}", sizes[0], sizes[1]);
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
        assert!(self.waiting.is_empty() && self.barred.is_empty(), "{:?} {:?}", self.waiting, self.barred);
        assert_eq!(self.replica.missing().count(), 0, "nobody is left to ask");
    }
}

/// The origins that a frame names.
fn named(frame: &ReplicaFrame) -> Vec<OriginId> {
    let of_event = |bytes: &Bytes| Event::decode(bytes.clone()).ok().map(|event| event.origin);
    match frame {
        ReplicaFrame::Push(events) => events.iter().filter_map(of_event).collect(),
        ReplicaFrame::Pulled { origin, events } => {
            events.iter().filter_map(of_event).chain([*origin]).collect()
        }
        ReplicaFrame::Vector(vector) | ReplicaFrame::Probed(_, vector) => {
            vector.iter().map(|(origin, _)| origin).collect()
        }
        ReplicaFrame::Confirm(confirm) => {
            confirm.rose.iter().chain(&confirm.own_head).map(|(origin, _)| *origin).collect()
        }
        ReplicaFrame::Pull { origin, .. } => vec![*origin],
        ReplicaFrame::Probe(_) => Vec::new(),
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
