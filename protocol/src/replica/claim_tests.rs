//! Claims on names, each promise of `claims.rs`: single steps, and two replicas under many schedules.

use std::collections::VecDeque;

use super::tests::{Bench, OWN, THEIRS, event};
use super::*;
use crate::{Event, frame::peer::Confirm};

const WAIT_MS: Millis = 4_000;

fn claim(token: Token, seq: u64, since: Millis) -> Input {
    Input::Claim(Claim { token, origin: OWN, seq, since, wait_ms: WAIT_MS })
}

fn outcomes(outputs: &[Output]) -> Vec<(Token, ClaimOutcome)> {
    let outcomes = outputs.iter().filter_map(|output| match output {
        Output::Claimed(token, outcome) => Some((*token, *outcome)),
        _ => None,
    });
    outcomes.collect()
}

fn confirmed(seq: u64, own_head: u64) -> Input {
    let confirm = Confirm {
        rose: vec![(OWN, seq)],
        own_head: (own_head > 0).then_some((THEIRS, own_head)),
        in_step: true,
        ..Confirm::default()
    };
    Input::Frame(1, ReplicaFrame::Confirm(confirm))
}

fn push(seq: u64) -> Input {
    Input::Frame(1, ReplicaFrame::Push(vec![event(THEIRS, seq)]))
}

/// A replica with a peer in step that waits with claim 7, its first event.
fn claiming() -> Bench {
    let mut bench = Bench::linked(VersionVector::default());
    bench.commit(1);
    assert_eq!(outcomes(&bench.step(claim(7, 1, 0))), []);
    bench
}

#[test]
fn who_is_alone_holds_his_claim_at_once() {
    let mut bench = Bench { replica: Replica::new(VersionVector::default(), 0), now: 0 };
    bench.step(Input::Own { wall_ms: 0, stalled: true });
    bench.commit(1);
    assert_eq!(outcomes(&bench.step(claim(7, 1, 0))), [(7, ClaimOutcome::Held)]);
}

/// What was only received is in no view yet: an earlier claim among it would not be seen.
#[test]
fn a_confirmation_counts_once_what_it_names_is_durable_here() {
    let mut bench = claiming();
    bench.step(push(1));
    assert_eq!(outcomes(&bench.step(confirmed(1, 1))), []);
    assert_eq!(outcomes(&bench.step(Input::Applied(vec![(THEIRS, 1)]))), [(7, ClaimOutcome::Held)]);
}

/// The peer's queue was full: neither its own events nor its confirmation came, and it pulls the claim.
#[test]
fn a_claim_waits_for_what_a_full_queue_has_swallowed() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.step(Input::SendRefused(1));
    assert_eq!(bench.commit(1), [], "nothing is pushed to it");
    assert_eq!(outcomes(&bench.step(claim(7, 1, 0))), [], "and it is waited for all the same");
    bench.now = BEAT_MS;
    bench.step(Input::Tick);
    bench.step(Input::Frame(1, ReplicaFrame::Pull { origin: OWN, from: 1, to: 1 }));
    bench.step(Input::ReadDone { link: 1, origin: OWN, from: 1, events: vec![event(OWN, 1)] });
    // All that was lost is told by its next whole vector, which names its head, too.
    let vector = ReplicaFrame::Vector([(OWN, 1), (THEIRS, 2)].into_iter().collect());
    let out = bench.step(Input::Frame(1, vector));
    assert_eq!(outcomes(&out), []);
    let events = vec![event(THEIRS, 1), event(THEIRS, 2)];
    bench.step(Input::Frame(1, ReplicaFrame::Pulled { origin: THEIRS, events }));
    assert_eq!(outcomes(&bench.step(Input::Applied(vec![(THEIRS, 1)]))), []);
    assert_eq!(outcomes(&bench.step(Input::Applied(vec![(THEIRS, 2)]))), [(7, ClaimOutcome::Held)]);
}

#[test]
fn a_peer_that_goes_on_writing_does_not_hold_up_a_claim() {
    let mut bench = claiming();
    bench.step(push(1));
    bench.step(confirmed(1, 1));
    bench.step(push(2));
    bench.step(confirmed(1, 2));
    assert_eq!(outcomes(&bench.step(Input::Applied(vec![(THEIRS, 1)]))), [(7, ClaimOutcome::Held)]);
}

#[test]
fn a_claim_does_not_wait_for_a_peer_that_falls_out_of_step() {
    let ends: [(fn() -> Input, Millis); 3] = [
        (|| Input::Tick, SILENCE_MS_MAX + 1),
        (|| Input::LinkDown(1), 0),
        (|| Input::Frame(1, ReplicaFrame::Confirm(Confirm { stalled: true, ..Confirm::default() })), 0),
    ];
    for (end, now) in ends {
        // It owes its confirmation, or what that named.
        for owes_events in [false, true] {
            let mut bench = claiming();
            if owes_events {
                assert_eq!(outcomes(&bench.step(confirmed(1, 9))), []);
            }
            bench.now = now;
            assert_eq!(outcomes(&bench.step(end())), [(7, ClaimOutcome::Held)], "{:?}", end());
        }
    }
}

#[test]
fn a_claim_that_is_not_confirmed_in_time_ends() {
    let mut bench = claiming();
    for now in [1_000, 2_000, 3_000] {
        bench.now = now;
        assert_eq!(outcomes(&bench.step(confirmed(0, 0))), []);
    }
    assert!(bench.replica.next_tick() <= WAIT_MS && bench.replica.waiting() == 1);
    bench.now = WAIT_MS;
    assert_eq!(outcomes(&bench.step(Input::Tick)), [(7, ClaimOutcome::NotConfirmed)]);
    assert_eq!((outcomes(&bench.step(confirmed(1, 0))), bench.replica.waiting()), (vec![], 0));
}

/// Peers that were told of a stall, or heard nothing for long, do not wait for this node: they may have decided.
#[test]
fn who_stalled_since_the_claim_began_does_not_hold_it() {
    let stalled = |stalled| Input::Own { wall_ms: 0, stalled };
    for input in [stalled(true), Input::Woke] {
        let mut bench = claiming();
        assert_eq!(outcomes(&bench.step(input)), [(7, ClaimOutcome::Stalled)]);
    }
    // It was over when the claim came, or just before it began.
    let mut bench = Bench::linked(VersionVector::default());
    bench.now = 5_000;
    bench.step(stalled(true));
    bench.now = 5_500;
    bench.step(stalled(false));
    bench.commit(1);
    bench.step(confirmed(1, 0));
    bench.now = 8_000;
    assert_eq!(outcomes(&bench.step(claim(7, 1, 0))), [(7, ClaimOutcome::Stalled)]);
    assert_eq!(outcomes(&bench.step(claim(8, 1, 7_499))), [(8, ClaimOutcome::Stalled)]);
    assert_eq!(outcomes(&bench.step(claim(9, 1, 7_500))), [(9, ClaimOutcome::Held)]);
}

/// Promise 8.
#[test]
fn claims_that_wait_are_bounded() {
    let mut bench = claiming();
    for token in 8..2_000 {
        bench.step(claim(token, 1, 0));
    }
    assert_eq!(bench.replica.waiting(), 1_024);
    assert_eq!(outcomes(&bench.step(claim(2_000, 1, 0))), [(2_000, ClaimOutcome::NotConfirmed)]);
}

/// One of two nodes that claim the same name: a replica, its writer, and the queue to the other.
struct Claimer {
    replica: Replica,
    origin: OriginId,
    log: Vec<Bytes>,
    /// The number of its claim.
    claimed: Option<u64>,
    has_asked: bool,
    outcome: Option<ClaimOutcome>,
    sent: VecDeque<ReplicaFrame>,
    queue_is_full: bool,
    applies: VecDeque<Vec<Event>>,
}

struct Pair {
    claimers: [Claimer; 2],
    now: Millis,
    schedule: u64,
}

impl Pair {
    fn linked(schedule: u64) -> Self {
        let claimers = [OWN, THEIRS].map(|origin| Claimer {
            replica: Replica::new(VersionVector::default(), 0),
            origin,
            log: Vec::new(),
            claimed: None,
            has_asked: false,
            outcome: None,
            sent: VecDeque::new(),
            queue_is_full: false,
            applies: VecDeque::new(),
        });
        let mut pair = Self { claimers, now: 0, schedule };
        pair.feed(0, Input::LinkUp { link: 1, peer: THEIRS.node });
        pair.feed(1, Input::LinkUp { link: 1, peer: OWN.node });
        pair.deliver_all();
        assert!(pair.claimers.iter().all(|claimer| claimer.replica.in_step_count(0) == 1));
        pair
    }

    /// One of many things happens next; the schedule's number alone says which.
    fn step(&mut self) {
        // SplitMix64.
        self.schedule = self.schedule.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.schedule ^ (self.schedule >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32;
        let at = usize::from(mixed % 2 == 1);
        match mixed / 2 % 16 {
            0 | 1 => self.claim(at),
            2 => self.commit(at),
            3..=5 => self.ask(at),
            6..=9 => self.deliver(at),
            10..=12 => self.apply(at),
            13 => self.claimers[at].queue_is_full ^= true,
            _ => {
                self.now += 30;
                self.feed(at, Input::Tick);
            }
        }
    }

    fn commit(&mut self, at: usize) {
        let Claimer { origin, log, .. } = &mut self.claimers[at];
        let (origin, first) = (*origin, log.len() as u64 + 1);
        log.push(event(origin, first));
        self.feed(at, Input::Committed { origin, first, events: vec![event(origin, first)] });
    }

    fn sees_other(&self, at: usize) -> bool {
        let other = &self.claimers[1 - at];
        other.claimed.is_some_and(|seq| self.claimers[at].replica.held().contains(other.origin, seq))
    }

    /// As a writer does: not if the name is taken.
    fn claim(&mut self, at: usize) {
        if self.claimers[at].claimed.is_none() && !self.sees_other(at) {
            assert_eq!(self.claimers[1 - at].outcome, None, "this claim comes later and was not foreseen");
            self.claimers[at].claimed = Some(self.claimers[at].log.len() as u64 + 1);
            self.commit(at);
        }
    }

    fn ask(&mut self, at: usize) {
        let Claimer { origin, claimed, has_asked, .. } = &mut self.claimers[at];
        if let Some(seq) = *claimed
            && !std::mem::replace(has_asked, true)
        {
            let claim = Claim { token: 1, origin: *origin, seq, since: 0, wait_ms: WAIT_MS };
            self.feed(at, Input::Claim(claim));
        }
    }

    fn deliver(&mut self, to: usize) {
        if let Some(frame) = self.claimers[1 - to].sent.pop_front() {
            self.feed(to, Input::Frame(1, frame));
        }
    }

    fn apply(&mut self, at: usize) {
        if let Some(last) = self.claimers[at].applies.pop_front().and_then(|mut events| events.pop()) {
            self.feed(at, Input::Applied(vec![(last.origin, last.seq)]));
        }
    }

    fn deliver_all(&mut self) {
        while self.claimers.iter().any(|claimer| !claimer.sent.is_empty() || !claimer.applies.is_empty()) {
            for at in [0, 1] {
                self.deliver(at);
                self.apply(at);
            }
        }
    }

    fn feed(&mut self, at: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.claimers[at].replica.handle(self.now, input, &mut out);
            for output in out {
                let claimer = &mut self.claimers[at];
                match output {
                    Output::Send(..) if claimer.queue_is_full => inputs.push_back(Input::SendRefused(1)),
                    Output::Send(_, bytes) => match PeerFrame::decode(&bytes).unwrap() {
                        PeerFrame::Replica(frame) => claimer.sent.push_back(frame),
                        other => panic!("{other:?} is not the replica's to send"),
                    },
                    Output::Apply(events) => claimer.applies.push_back(events),
                    Output::Read { link, origin, from, .. } => {
                        let events = claimer.log[usize::try_from(from).unwrap() - 1..].to_vec();
                        inputs.push_back(Input::ReadDone { link, origin, from, events });
                    }
                    Output::Claimed(_, outcome) => {
                        claimer.outcome = Some(outcome);
                        let is_alone = self.claimers[1 - at].claimed.is_none();
                        assert!(is_alone || self.sees_other(at), "told before it has seen the other's claim");
                    }
                    other => panic!("{other:?} was not expected"),
                }
            }
        }
    }
}

/// Exactly one of two simultaneous registrations succeeds: whatever comes when, whoever is told that he holds a name
/// sees the other's claim, or the other saw his before it committed one.
#[test]
fn of_two_claims_at_once_each_sees_the_other_before_it_is_decided() {
    let mut both = 0;
    for schedule in 0..10_000 {
        let result = std::panic::catch_unwind(|| {
            let mut pair = Pair::linked(schedule << 32);
            (0..100).for_each(|_| pair.step());
            pair.claimers.iter_mut().for_each(|claimer| claimer.queue_is_full = false);
            for at in [0, 1] {
                pair.ask(at);
            }
            while pair.claimers.iter().any(|claimer| claimer.has_asked && claimer.outcome.is_none()) {
                pair.now += 100;
                for at in [0, 1] {
                    pair.feed(at, Input::Tick);
                }
                pair.deliver_all();
            }
            let held = pair.claimers.iter().filter(|claimer| claimer.claimed.is_some());
            held.inspect(|claimer| assert_eq!(claimer.outcome, Some(ClaimOutcome::Held))).count()
        });
        match result {
            Ok(claims) => both += usize::from(claims == 2),
            Err(panic) => {
                eprintln!("that was schedule {schedule}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(both > 1_000, "only {both} schedules had two claims at once");
}
