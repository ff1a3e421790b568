//! One node of the model: its replica, its writer, its views of names, and the steps of `node` for a claim.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::{Model, Mutant, Step, WAIT_MS};
use crate::{
    Event, EventBody, EventDraft, Hlc, NodeId, OriginId, Pos, Scope, Seq, UserId, Username, VersionVector,
    event::{ClaimNarrowed, ClaimWithdrawn, UserRegistered},
    frame::peer::{ClaimAnswer, PeerFrame},
    merge::user::{may_grant_claim, narrow_waited_for},
    replica::{Claim, ClaimOutcome, Input, LinkId, Millis, Output, Replica, Token},
};

/// Events in an answer to a pull, at most.
const PULLED_MAX: usize = 8;

/// A node's view of a claim.
#[derive(Debug, Default)]
pub(super) struct Seen {
    withdrawn: bool,
    waited_for: Option<Vec<NodeId>>,
}

pub(super) struct Node {
    pub(super) replica: Replica,
    pub(super) origin: OriginId,
    /// The time by which its clock is ahead.
    pub(super) skew_ms: u64,
    /// The longest time to make received events durable.
    pub(super) apply_ms: u64,
    pub(super) links: BTreeMap<LinkId, usize>,
    pub(super) queue_is_full: bool,
    pub(super) tick_at: Millis,
    last_stamp: u64,
    log: BTreeMap<OriginId, Vec<Bytes>>,
    names: BTreeMap<Username, BTreeMap<Pos, Seen>>,
    applies: VecDeque<Vec<Event>>,
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The name was granted (201). These nodes confirmed it.
    Granted(Vec<NodeId>),
    /// The name is taken (409).
    Taken,
    /// The outcome is unknown (503). Says whether the node had stalled.
    Unknown { stalled: bool },
}

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) node: usize,
    pub(super) name: u8,
    pub(super) is_last: bool,
    pub(super) since: Millis,
    pub(super) waited_for: Vec<NodeId>,
    /// Those of them that wouldn't wait for the claimer at the start.
    pub(super) not_waiting: Vec<NodeId>,
    claim: Option<Pos>,
    pub(super) answer: Option<(Millis, Answer)>,
    /// The nodes without a confirmation that counts.
    pub(super) missing: Vec<NodeId>,
    /// Those of them that wouldn't wait for the claimer at the end.
    pub(super) not_waiting_at_end: Vec<NodeId>,
    /// The vector of each node when it confirmed the claim.
    pub(super) confirmed: BTreeMap<NodeId, VersionVector>,
}

impl Node {
    pub(super) fn new(number: u8, now: Millis) -> Self {
        Self {
            replica: Replica::new(VersionVector::default(), now),
            origin: OriginId { node: NodeId([number + 1; 16]), incarnation: 1 },
            skew_ms: 0,
            apply_ms: 1,
            links: BTreeMap::new(),
            queue_is_full: false,
            tick_at: Millis(0),
            last_stamp: 0,
            log: BTreeMap::new(),
            names: BTreeMap::new(),
            applies: VecDeque::new(),
        }
    }

    fn see(&mut self, event: &Event) {
        self.last_stamp = self.last_stamp.max(event.hlc.0);
        let (claim, username, waited_for, withdrawn) = match &event.body {
            EventBody::UserRegistered(UserRegistered { username, waited_for, .. }) => {
                (event.pos(), username, waited_for.as_deref(), false)
            }
            EventBody::ClaimNarrowed(ClaimNarrowed { username, claim, confirmed_by }) => {
                (*claim, username, Some(&confirmed_by[..]), false)
            }
            EventBody::ClaimWithdrawn(ClaimWithdrawn { username, claim }) => (*claim, username, None, true),
            _ => return,
        };
        let seen = self.names.entry(username.clone()).or_default().entry(claim).or_default();
        seen.withdrawn |= withdrawn;
        if let Some(nodes) = waited_for {
            seen.waited_for = Some(narrow_waited_for(seen.waited_for.take(), nodes));
        }
    }

    /// Returns the claims to a name that count.
    fn claims(&self, name: &Username) -> impl Iterator<Item = (Pos, Option<&[NodeId]>)> {
        let seen = self.names.get(name).into_iter().flatten().filter(|(_, seen)| !seen.withdrawn);
        seen.map(|(&pos, seen)| (pos, seen.waited_for.as_deref()))
    }
}

fn username(name: u8) -> Username {
    Username::parse(&format!("name{name}")).expect("a valid name")
}

impl Model {
    pub(super) fn feed(&mut self, node: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.nodes[node].replica.handle(self.now, input, &mut out);
            for output in out {
                match output {
                    Output::Send(link, _) if self.nodes[node].queue_is_full => {
                        inputs.push_back(Input::SendRefused(link));
                    }
                    Output::Send(link, bytes) => match PeerFrame::decode(&bytes).expect("it is a frame") {
                        PeerFrame::Replica(frame) => self.send(node, link, frame),
                        other => panic!("a replica must not send {other:?}"),
                    },
                    Output::Apply(events) => {
                        self.nodes[node].applies.push_back(events);
                        if self.nodes[node].applies.len() == 1 {
                            let most = self.nodes[node].apply_ms;
                            let after = 1 + self.below(most);
                            self.after(after, Step::Apply(node));
                        }
                    }
                    Output::Read { link, origin, from, to } => {
                        let log = self.nodes[node].log.get(&origin).map_or(&[][..], |log| &log[..]);
                        let from_index = usize::try_from(from.0).expect("it is small") - 1;
                        let count = usize::try_from(to.next().count_after(from))
                            .expect("it is small")
                            .min(PULLED_MAX);
                        let events = log.iter().skip(from_index).take(count).cloned().collect();
                        inputs.push_back(Input::ReadDone { link, origin, from, events });
                    }
                    Output::ClaimWaitEnded(attempt, outcome) => {
                        let attempt = usize::try_from(attempt.0).expect("it is small");
                        let after = self.below(20);
                        self.after(after, Step::Decide(attempt, outcome));
                    }
                    Output::Close(_, error) => panic!("{error}"),
                    _ => {}
                }
            }
        }
        let next_tick = self.nodes[node].replica.next_tick();
        if next_tick != self.nodes[node].tick_at || self.nodes[node].tick_at <= self.now {
            self.nodes[node].tick_at = next_tick.max(self.now + 1);
            self.at(self.nodes[node].tick_at, Step::Tick(node));
        }
    }

    pub(super) fn apply(&mut self, node: usize) {
        let Some(events) = self.nodes[node].applies.pop_front() else { return };
        let Some(last) = events.last() else { return };
        let new_heads = vec![(last.origin, last.seq)];
        for event in &events {
            let log = self.nodes[node].log.entry(event.origin).or_default();
            assert_eq!(Seq(log.len() as u64 + 1), event.seq, "the events have a gap");
            log.push(event.encoded().clone());
            self.nodes[node].see(event);
        }
        if !self.nodes[node].applies.is_empty() {
            let most = self.nodes[node].apply_ms;
            let after = 1 + self.below(most);
            self.after(after, Step::Apply(node));
        }
        self.feed(node, Input::Applied(new_heads));
    }

    fn commit(&mut self, node: usize, bodies: Vec<EventBody>) -> Pos {
        let (now, at) = (self.now, &mut self.nodes[node]);
        let first = at.log.get(&at.origin).map_or(0, Vec::len) as u64 + 1;
        let mut encoded = Vec::new();
        let mut last = Pos { hlc: Hlc(0), origin: at.origin, seq: Seq::NONE };
        for (seq, body) in (first..).zip(bodies) {
            at.last_stamp = (at.last_stamp + 1).max((now + at.skew_ms).0 << 16);
            let draft = EventDraft::new(Scope::user(UserId([1; 16])), body);
            let event = Event::new(at.origin, Seq(seq), Hlc(at.last_stamp), draft);
            at.see(&event);
            last = event.pos();
            encoded.push(event.encoded().clone());
        }
        let origin = at.origin;
        at.log.entry(origin).or_default().extend(encoded.iter().cloned());
        self.feed(node, Input::Committed { origin, first: Seq(first), events: encoded });
        last
    }

    pub(super) fn post(&mut self, node: usize, count: usize) {
        let post = || EventBody::Unknown { kind: 9_999, payload: Bytes::from_static(b"post") };
        self.commit(node, std::iter::repeat_with(post).take(count).collect());
    }

    /// Begins an attempt to claim a name. The nodes to wait for are determined before the commit.
    pub(super) fn begin(&mut self, node: usize, name: u8, is_last: bool) {
        let waited_for = self.nodes[node].replica.claim_peers(self.now);
        let not_waiting = self.not_waiting(node, &waited_for);
        let (since, not_waiting_at_end) = (self.now, Vec::new());
        self.attempts.push(Attempt {
            node,
            name,
            is_last,
            since,
            waited_for,
            not_waiting,
            claim: None,
            answer: None,
            not_waiting_at_end,
            missing: Vec::new(),
            confirmed: BTreeMap::new(),
        });
        let after = 1 + self.below(50);
        self.after(after, Step::Commit(self.attempts.len() - 1));
    }

    /// Returns those of `waited_for` that wouldn't wait for `node`.
    fn not_waiting(&self, node: usize, waited_for: &[NodeId]) -> Vec<NodeId> {
        let claimer = self.nodes[node].origin.node;
        let lacks = |other: &&Node| {
            let id = other.origin.node;
            waited_for.contains(&id) && !other.replica.claim_peers(self.now).contains(&claimer)
        };
        self.nodes.iter().filter(lacks).map(|other| other.origin.node).collect()
    }

    /// Records a confirmation of a claim.
    pub(super) fn note_confirmation(&mut self, from: NodeId, answer: &ClaimAnswer) {
        let Some(held) = &answer.held else { return };
        let is_claim = |attempt: &&mut Attempt| {
            attempt.claim.is_some_and(|claim| (claim.origin, claim.seq) == (answer.origin, answer.seq))
        };
        if let Some(attempt) = self.attempts.iter_mut().find(is_claim) {
            attempt.confirmed.entry(from).or_insert_with(|| held.clone());
        }
    }

    fn answer(&mut self, attempt: usize, answer: Answer) {
        self.attempts[attempt].answer = Some((self.now, answer));
    }

    pub(super) fn commit_claim(&mut self, attempt: usize) {
        let Attempt { node, name, ref waited_for, .. } = self.attempts[attempt];
        let username = username(name);
        if self.nodes[node].claims(&username).next().is_some() {
            return self.answer(attempt, Answer::Taken);
        }
        let waited_for = Some(waited_for.clone());
        let registered =
            UserRegistered { username, display_name: None, password: None, admin: false, waited_for };
        self.attempts[attempt].claim = Some(self.commit(node, vec![registered.into()]));
        let after = self.below(20);
        self.after(after, Step::Ask(attempt));
    }

    pub(super) fn ask(&mut self, attempt: usize) {
        let Attempt { node, since, claim, ref waited_for, .. } = self.attempts[attempt];
        let Pos { origin, seq, .. } = claim.expect("it was committed");
        if self.is(Mutant::Unconfirmed) {
            return self.decide(attempt, ClaimOutcome::Confirmed(waited_for.clone()));
        }
        let (token, waited_for) = (attempt as u64, waited_for.clone());
        self.feed(
            node,
            Input::Claim(Claim { token: Token(token), origin, seq, since, wait_ms: WAIT_MS, waited_for }),
        );
    }

    pub(super) fn decide(&mut self, attempt: usize, outcome: ClaimOutcome) {
        let Attempt { node, name, claim, ref waited_for, .. } = self.attempts[attempt];
        let (username, claim) = (username(name), claim.expect("it was committed"));
        let is_narrower =
            matches!(&outcome, ClaimOutcome::Confirmed(heard) if heard.len() < waited_for.len());
        let own = self.nodes[node].origin.node;
        let others = self.nodes[node].claims(&username).filter(|&(other, _)| other != claim);
        let wins = match self.mutant {
            Some(Mutant::OnlyEarlier) => others.map(|(other, _)| other).all(|other| claim < other),
            _ => may_grant_claim(claim, own, others),
        };
        let answer = match outcome {
            ClaimOutcome::Confirmed(heard) if wins => Answer::Granted(heard),
            ClaimOutcome::Confirmed(_) => Answer::Taken,
            ClaimOutcome::NotConfirmed => Answer::Unknown { stalled: false },
            ClaimOutcome::Stalled => Answer::Unknown { stalled: true },
        };
        match &answer {
            Answer::Granted(heard) if is_narrower && !self.is(Mutant::NotNarrowed) => {
                let narrowed = ClaimNarrowed { username, claim, confirmed_by: heard.clone() };
                self.commit(node, vec![narrowed.into()]);
            }
            Answer::Granted(_) => {}
            _ => {
                let held = self.nodes[node].replica.held();
                let Attempt { waited_for, confirmed, .. } = &self.attempts[attempt];
                let is_heard = |node: &&NodeId| confirmed.get(node).is_some_and(|named| held.covers(named));
                let missing: Vec<_> = waited_for.iter().filter(|node| !is_heard(node)).copied().collect();
                self.attempts[attempt].not_waiting_at_end = self.not_waiting(node, &missing);
                self.attempts[attempt].missing = missing;
                self.commit(node, vec![ClaimWithdrawn { username, claim }.into()]);
            }
        }
        self.answer(attempt, answer);
    }
}
