//! Claims on names, as `node`'s accounts service makes them: committed, confirmed by every node in sync both ways,
//! withdrawn if another claim wins or the outcome is unknown.

use rand::RngExt;
use starling_node::{
    cluster::{CommittedClaim, DriverCore},
    store::{Decide, Decision, Op},
};
use starling_protocol::{
    ErrorCode, EventDraft, NodeId, Pos, Scope, UserId, Username,
    event::{ClaimNarrowed, ClaimWithdrawn, UserRegistered},
    replica::{ClaimOutcome, Millis},
};

use super::{Promise, Wish};
use crate::{
    mutants::Mutant,
    node::{Run, Space},
    world::World,
    writer::{Owed, Request},
};

/// The number of claims on one name at once when nothing is broken.
const RIVALS: usize = 3;

/// An attempt to register under a name.
#[derive(Debug)]
pub struct Attempt {
    pub user: UserId,
    pub name: Username,
    /// The time of the request.
    pub since: u64,
    /// Whether nothing was broken then.
    pub was_well: bool,
    /// The node that received the request.
    pub node: NodeId,
    /// The nodes for which the claim waits.
    pub waited_for: Vec<NodeId>,
    pub claim: Option<Pos>,
    /// The answer; `None` if the node crashed before it.
    pub answer: Option<Answer>,
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The user got the name (201); whether nothing was broken from before the request until then.
    Made { well: bool },
    /// The name belongs to another user (409).
    Taken,
    /// The outcome is unknown (503).
    Unknown,
}

impl World {
    /// A guest asks a node for an account; false if the node cannot accept that now.
    pub fn register(&mut self, node: usize, name: &str) -> bool {
        if !self.nodes[node].serves(self.now) {
            return false;
        }
        let Some(waited_for) = self.drive(node, DriverCore::claim_peers).flatten() else { return false };
        let (user, name) = (UserId(self.rng.random()), Username::parse(name).unwrap());
        let (number, claimed) = (self.people.attempts.len(), name.clone());
        let (asked, named) = (self.nodes[node].id, waited_for.clone());
        let decide = Decide::new(move |tables| {
            if tables.records.holder(&claimed)?.is_some() {
                return Ok(Decision::refuse(ErrorCode::UsernameTaken, "it belongs to another"));
            }
            let (username, password) = (claimed.clone(), Some("secret".into()));
            let waited_for = Some(named.clone());
            let registered =
                UserRegistered { username, display_name: None, password, admin: false, waited_for };
            Ok(Decision::one(Scope::user(user), registered))
        });
        let (since, was_well) = (self.now, self.is_well());
        let taken = self.request(node, Request::People(Wish::Claim(number), Op::Decide(decide)));
        if taken {
            let (claim, answer) = (None, None);
            let attempt = Attempt { user, name, since, was_well, node: asked, waited_for, claim, answer };
            self.people.attempts.push(attempt);
        }
        taken
    }

    /// Makes several claims on one name on any nodes at the same time, once all faults are mended.
    pub fn register_at_once(&mut self) {
        if self.people.early.is_some() || !self.is_well() {
            return;
        }
        let early = self.people.attempts.len();
        for _ in 0..RIVALS {
            let node = self.some_member();
            self.register(node, "the-last-name");
        }
        self.people.early = Some(early).filter(|&early| early < self.people.attempts.len());
    }

    /// Whether nothing is broken, and every node has every other one in sync.
    fn is_well(&self) -> bool {
        let members = self.members();
        let is_well = |&node: &usize| {
            let machine = &self.nodes[node];
            let is_free = machine.hung_since.is_none() && machine.stalled_until <= self.now;
            let has_space = machine.space == Space::Enough && !machine.disk.is_failing();
            // Each sees the other in sync.
            let run = machine.run.as_ref();
            // A member that is about to be forgotten starts anew, and its claims end with its process.
            let forgets = |run: &Run| run.inbox.iter().any(|request| matches!(request, Request::Forget(_)));
            let counted = run.map(|run| run.replica().claim_peers(Millis(self.now))).unwrap_or_default();
            let in_sync: Vec<_> = self.peers_in_sync(node).map(|(peer, _)| peer).collect();
            let is_linked = members.iter().all(|peer| {
                *peer == node || in_sync.contains(peer) && counted.contains(&self.nodes[*peer].id)
            });
            machine.serves(self.now) && is_free && has_space && is_linked && !run.is_some_and(forgets)
        };
        self.network.is_calm() && members.iter().all(is_well)
    }

    /// Makes two claims on one name on two nodes at nearly the same time, whatever is broken.
    pub fn contest(&mut self, nodes: [usize; 2]) {
        let name = format!("both{}", self.people.attempts.len());
        for node in nodes {
            self.register(node, &name);
        }
    }

    /// Returns two nodes of which the first would wait for the second with a claim, but not the second for the first. That
    /// lasts for moments only, so chance alone seldom puts two claims into it.
    pub fn one_sided_pair(&self) -> Option<[usize; 2]> {
        let waits = |node: usize, other: usize| {
            let run = self.nodes[node].run.as_ref().filter(|run| run.core.is_ready())?;
            Some(run.replica().claim_peers(Millis(self.now)).contains(&self.nodes[other].id))
        };
        let members = self.members();
        let pairs = members.iter().flat_map(|&one| members.iter().map(move |&other| [one, other]));
        let is_one_sided =
            |&[one, other]: &[usize; 2]| waits(one, other) == Some(true) && waits(other, one) == Some(false);
        pairs.filter(|[one, other]| one != other).find(is_one_sided)
    }

    /// Handles that a claim is durable on its own node.
    pub fn claim_committed(&mut self, node: usize, number: usize, claim: Pos) {
        let attempt = &mut self.people.attempts[number];
        attempt.claim = Some(claim);
        let (since, waited_for) = (attempt.since, attempt.waited_for.clone());
        if self.mutant == Some(Mutant::NameGivenUnconfirmed) {
            return self.claimed(node, number, ClaimOutcome::Confirmed(waited_for));
        }
        let Pos { origin, seq, .. } = claim;
        let claim = CommittedClaim { origin, seq, since: Millis(since), waited_for };
        self.drive(node, |core, now, out| core.claim(now, claim, Owed::Claim(number), out));
    }

    /// Handles the outcome of a claim and answers the user.
    pub fn claimed(&mut self, node: usize, number: usize, outcome: ClaimOutcome) {
        let is_well = self.is_well();
        let Some(run) = self.nodes[node].run.as_ref() else { return };
        let attempt = &mut self.people.attempts[number];
        let claim = attempt.claim.expect("it was committed");
        let wins = run.read_records(|records| {
            if self.mutant == Some(Mutant::ClaimOneSided) {
                let claims = records.claims(&attempt.name)?;
                return Ok(claims.first().is_some_and(|&(first, _)| first == claim));
            }
            records.may_grant_claim(&attempt.name, claim)
        });
        let Some(wins) = wins else { return self.answer_attempt(node, number, Answer::Unknown) };
        let well = is_well && attempt.was_well && self.people.troubled_at < attempt.since;
        let answer = match outcome {
            ClaimOutcome::Confirmed(heard) if wins && heard.len() < attempt.waited_for.len() => {
                attempt.waited_for.clone_from(&heard);
                let (user, name) = (attempt.user, attempt.name.clone());
                return self.narrow(
                    node,
                    number,
                    ClaimNarrowed { username: name, claim, confirmed_by: heard },
                    user,
                );
            }
            ClaimOutcome::Confirmed(_) if wins => Answer::Made { well },
            ClaimOutcome::Confirmed(_) => Answer::Taken,
            ClaimOutcome::NotConfirmed | ClaimOutcome::Stalled => Answer::Unknown,
        };
        self.answer_attempt(node, number, answer);
    }

    /// Records that a claim did not wait for nodes that fell out of sync, before it is decided.
    fn narrow(&mut self, node: usize, number: usize, narrowed: ClaimNarrowed, user: UserId) {
        let decide = Decide::new(move |tables| {
            if tables.records.may_grant_claim(&narrowed.username, narrowed.claim)? {
                return Ok(Decision::one(Scope::user(user), narrowed.clone()));
            }
            Ok(Decision::refuse(ErrorCode::UsernameTaken, "it belongs to another"))
        });
        if !self.request(node, Request::People(Wish::Narrowing(number), Op::Decide(decide))) {
            self.answer_attempt(node, number, Answer::Unknown);
        }
    }

    /// Answers the user, and withdraws a claim that did not get the name.
    pub fn answer_attempt(&mut self, node: usize, number: usize, answer: Answer) {
        let Some(run) = self.nodes[node].run.as_ref() else { return };
        let attempt = &mut self.people.attempts[number];
        let claim = attempt.claim.expect("it was committed");
        attempt.answer = Some(answer);
        if let Answer::Made { .. } = answer {
            let copies = run.replica().copies(claim.origin, claim.seq);
            self.coverage.names += 1;
            self.people.promises.push(Promise { pos: claim, copies, forgiven: false });
        } else if self.mutant != Some(Mutant::ClaimNotWithdrawn) {
            let (scope, username) = (Scope::user(attempt.user), attempt.name.clone());
            self.coverage.withdrawals += 1;
            let withdrawn = EventDraft::new(scope, ClaimWithdrawn { username, claim });
            let decide = Decide::new(move |_| Ok(Decision::Write(vec![withdrawn.clone()])));
            self.request(node, Request::People(Wish::Withdrawal, Op::Decide(decide)));
        }
    }
}
