//! Users: they claim names; those with an account make contacts, block, create rooms, post there and delete. The
//! product's own decisions check each act; an answered act must hold in the end.

mod intents;
mod names;

use rand::{RngExt, seq::IndexedRandom};
use starling_node::store::{Op, OpResult, Records};
use starling_protocol::{MessageId, NodeId, Pos, RoomId, UserId, VersionVector, replica::Until};

pub use self::names::{Answer, Attempt};
use crate::{
    invariants::read_your_writes,
    mutants::Mutant,
    world::{Event, World},
    writer::{Owed, Request},
};

/// The chance that an act is two claims on one name, while one node would wait for the other and not the other way round.
const ONE_SIDED_CHANCE: f64 = 0.2;

/// All users, with their claims and acts.
#[derive(Debug, Default)]
pub struct People {
    pub attempts: Vec<Attempt>,
    /// The number of attempts that were made before all faults were mended.
    pub early: Option<usize>,
    /// Member rooms that a user wanted to create.
    rooms: Vec<RoomId>,
    /// Messages that users wanted to post, with their authors and rooms.
    posts: Vec<(UserId, RoomId, MessageId)>,
    pub promises: Vec<Promise>,
    /// Whether most acts are about reading, as they are for people.
    pub read_much: bool,
    /// Vectors of some nodes at earlier times: what a user may have been sent when they read.
    sent_before: Vec<VersionVector>,
    /// The time of the last fault.
    pub troubled_at: u64,
    /// Whether a node has lost events that it had confirmed.
    pub disk_went_back: bool,
}

/// An act that was answered.
#[derive(Debug)]
pub struct Promise {
    /// The position of its event.
    pub pos: Pos,
    /// The number of copies in the answer.
    pub copies: usize,
    /// Whether it was lost with its only disk.
    pub forgiven: bool,
}

/// The purpose of a request to a node's writer.
#[derive(Clone, Copy, Debug)]
pub enum Wish {
    /// An act of a user.
    Act,
    /// The claim of an attempt to register.
    Claim(usize),
    /// The record that a claim did not wait for some nodes.
    Narrowing(usize),
    /// The withdrawal of a claim.
    Withdrawal,
    /// The node itself removes deleted events from the log.
    Erasure,
}

impl Wish {
    /// Whether a disk without space for users accepts it.
    pub fn may_use_reserve(self) -> bool {
        matches!(self, Self::Withdrawal | Self::Erasure)
    }
}

impl People {
    /// Whether a claim is under way that a node was asked for since its start.
    pub fn claims_on(&self, node: NodeId, started_at: u64) -> bool {
        let of_node = |attempt: &&Attempt| attempt.node == node && attempt.since >= started_at;
        self.attempts.iter().filter(of_node).any(|attempt| attempt.answer.is_none())
    }

    /// Returns the users with an account.
    fn accounts(&self) -> Vec<UserId> {
        let made = |attempt: &&Attempt| matches!(attempt.answer, Some(Answer::Made { .. }));
        self.attempts.iter().filter(made).map(|attempt| attempt.user).collect()
    }
}

impl World {
    /// Draws and does an act of a user.
    pub fn people_act(&mut self) {
        if self.healed_at.is_some() {
            self.register_at_once();
        } else if let Some(nodes) = self.one_sided_pair().filter(|_| self.rng.random_bool(ONE_SIDED_CHANCE)) {
            self.contest(nodes);
        } else if self.people.accounts().len() < 2 || self.rng.random_bool(0.15) {
            let (node, name) = (self.some_member(), self.rng.random_range(0..6));
            self.register(node, &format!("name{name}"));
        } else if self.rng.random_bool(0.1) {
            let nodes = [self.some_member(), self.some_member()];
            self.contest(nodes);
        } else {
            let node = self.some_member();
            if let Some(op) = self.wish(node) {
                self.request(node, Request::People(Wish::Act, op.clone()));
                // Their other device does the same, elsewhere.
                if self.rng.random_bool(0.2) {
                    let elsewhere = self.some_member();
                    self.request(elsewhere, Request::People(Wish::Act, op));
                }
            }
        }
        let after = self.rng.random_range(10..90);
        self.schedule(after, Event::People);
    }

    fn some_member(&mut self) -> usize {
        *self.members().choose(&mut self.rng).expect("somebody stays")
    }

    /// Handles the result of a user's request: it is durable, or was refused.
    pub fn wish_committed(&mut self, node: usize, wish: Wish, result: OpResult) {
        match (wish, result) {
            (Wish::Act, OpResult::Done(pos)) => {
                self.wait_for_metadata(node, pos, Until::InSync, Owed::Act { pos, since: self.now });
            }
            (Wish::Claim(attempt), OpResult::Done(pos)) => self.claim_committed(node, attempt, pos),
            (Wish::Narrowing(attempt), OpResult::Done(_)) => {
                self.answer_attempt(node, attempt, Answer::Made { well: false });
            }
            (Wish::Narrowing(attempt), _) => self.answer_attempt(node, attempt, Answer::Taken),
            (Wish::Claim(attempt), _) => self.people.attempts[attempt].answer = Some(Answer::Taken),
            _ => {}
        }
    }

    /// Answers an act.
    pub fn act_answered(&mut self, node: usize, pos: Pos, copies: usize, since: u64) {
        if let Err(violation) = read_your_writes::answered(self, node, pos, since) {
            self.violated(violation);
        }
        self.coverage.acts += 1;
        self.people.promises.push(Promise { pos, copies, forgiven: false });
    }

    /// Each node removes deleted events from its log, as its task for erasure does.
    pub fn erase(&mut self) {
        for node in self.members() {
            if self.has_pending_erasures(node)
                && self.request(node, Request::People(Wish::Erasure, Op::Erase))
            {
                self.coverage.erasures += 1;
            }
        }
    }

    /// Whether deleted text is still in a node's log.
    pub fn has_pending_erasures(&self, node: usize) -> bool {
        let run = self.nodes[node].run.as_ref();
        run.filter(|_| self.mutant != Some(Mutant::ErasureForgotten))
            .and_then(|run| run.read_records(Records::has_pending_erasures))
            .unwrap_or_default()
    }
}
