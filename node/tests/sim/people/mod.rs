//! People: they claim names, and those whose name is sure make contacts, block, open rooms, write there, and delete
//! what they made. What may be is decided by the product's own decisions; what was answered must hold in the end.

mod intents;
mod names;

use rand::{RngExt, seq::IndexedRandom};
use starling_node::store::{Op, OpResult};
use starling_protocol::{MessageId, Pos, RoomId, UserId, replica::Until};

pub use self::names::{Answer, Attempt};
use crate::{
    invariants::read_your_writes,
    mutants::Mutant,
    world::{Event, World},
    writer::{Owed, Request},
};

/// All people, and what they have come to.
#[derive(Debug, Default)]
pub struct People {
    pub attempts: Vec<Attempt>,
    /// How many of the first of them were made before all was mended and well.
    pub early: Option<usize>,
    /// Rooms of members that somebody wanted to open.
    rooms: Vec<RoomId>,
    /// What somebody wanted to post, by whom and where.
    posts: Vec<(UserId, RoomId, MessageId)>,
    pub promises: Vec<Promise>,
    /// When something went wrong last.
    pub troubled_at: u64,
    /// A node has forgotten what it confirmed.
    pub disk_went_back: bool,
}

/// Somebody was told that something is so.
#[derive(Debug)]
pub struct Promise {
    /// By which event.
    pub pos: Pos,
    /// On how many nodes it was then.
    pub copies: usize,
    /// It went with its only disk.
    pub forgiven: bool,
}

/// For what a node's writer is asked, and by whom.
#[derive(Clone, Copy, Debug)]
pub enum Wish {
    /// Somebody does something.
    Act,
    /// The claim of an attempt to register.
    Claim(usize),
    /// What says that it did not wait for some nodes.
    Narrowing(usize),
    /// Its withdrawal.
    Withdrawal,
    /// The node itself: something that was deleted is to leave the log.
    Erasure,
}

impl Wish {
    /// Whether a disk that is full for users takes it.
    pub fn may_use_reserve(self) -> bool {
        matches!(self, Self::Withdrawal | Self::Erasure)
    }
}

impl People {
    /// Those whose name is sure.
    fn accounts(&self) -> Vec<UserId> {
        let made = |attempt: &&Attempt| matches!(attempt.answer, Some(Answer::Made { .. }));
        self.attempts.iter().filter(made).map(|attempt| attempt.user).collect()
    }
}

impl World {
    /// Somebody does something.
    pub fn people_act(&mut self) {
        if self.healed_at.is_some() {
            self.register_at_once();
        } else if self.people.accounts().len() < 2 || self.rng.random_bool(0.15) {
            let (node, name) = (self.some_member(), self.rng.random_range(0..6));
            self.register(node, &format!("name{name}"));
        } else if self.rng.random_bool(0.1) {
            self.contest();
        } else {
            let node = self.some_member();
            if let Some(op) = self.wish(node) {
                self.request(node, Request::People(Wish::Act, op.clone()));
                // His other device does the same, elsewhere.
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

    /// What somebody wished is durable, or was refused.
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

    /// Whoever acted is answered.
    pub fn act_answered(&mut self, node: usize, pos: Pos, copies: usize, since: u64) {
        if let Err(violation) = read_your_writes::answered(self, node, pos, since) {
            self.violated(violation);
        }
        self.coverage.acts += 1;
        self.people.promises.push(Promise { pos, copies, forgiven: false });
    }

    /// Each node takes out of its log what was deleted as a whole, as its part for that does.
    pub fn erase(&mut self) {
        for node in self.members() {
            if self.has_to_erase(node) && self.request(node, Request::People(Wish::Erasure, Op::Erase)) {
                self.coverage.erasures += 1;
            }
        }
    }

    /// Whether something that was deleted is still in a node's log.
    pub fn has_to_erase(&self, node: usize) -> bool {
        let run = self.nodes[node].run.as_ref();
        run.filter(|_| self.mutant != Some(Mutant::ErasureForgotten)).is_some_and(|run| {
            let records = run.store.records().expect("the store reads");
            records.has_to_erase().expect("the store reads")
        })
    }
}
