//! Draws the acts of users: contacts and blocks, rooms with their members, messages, edits and deletions. `node`'s own
//! decisions check them within the commit.

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use starling_node::{
    permissions::{refuse_post_at_commit, rooms::Denied},
    services::{
        contacts::decide as contacts,
        member_rooms::decisions::{self as rooms, Drafts},
        messages::{change, read},
    },
    store::{Decide, Decision, Op, RecordsWriter, StoreError, Tables},
};
use starling_protocol::{
    DisplayName, Emoji, EventBody, MessageId, MessagePosted, MessageText, RoomId, RoomName, Scope, Sender,
    Topic, UserId, VersionVector,
    event::{ProfileChanged, Role, UserDeleted, Visibility, direct_room},
    folded_vector::SignedSeq,
};
use starling_web::service::{ContactAction, NewRoom, RoomUpdate};

use crate::{mutants::Mutant, world::World};

/// The most rooms with a name in a history.
const NAMED_MAX: usize = 3;
/// Edits and deletions concern one of this many newest messages.
const RECENT: usize = 4;
/// Earlier vectors that are kept for read marks.
const SENT_BEFORE_MAX: usize = 6;

fn decide(f: impl Fn(&Tables<'_>) -> Result<Decision, StoreError> + Send + Sync + 'static) -> Op {
    Op::Decide(Decide::new(f))
}

fn of_rooms(f: impl Fn(&RecordsWriter<'_>) -> Drafts + Send + Sync + 'static) -> Op {
    decide(move |tables| rooms::decision(f(&tables.records)))
}

impl World {
    /// Draws what a user does on a node next; `None` if it makes no sense there.
    pub fn wish(&mut self, node: usize) -> Option<Op> {
        let accounts = self.people.accounts();
        let (user, other) = (*accounts.choose(&mut self.rng)?, *accounts.choose(&mut self.rng)?);
        if self.people.read_much
            && self.rng.random_bool(0.6)
            && let Some(&(author, room, id)) = self.people.posts.choose(&mut self.rng)
        {
            return self.about_reading(node, author, room, id);
        }
        match self.rng.random_range(0..100) {
            0..24 if user != other => Some(self.about_contact(user, other)),
            24..50 => Some(self.about_room(user, other)),
            50..97 => self.about_message(node, user, other),
            97..98 => Some(about_account(user)),
            98..100 => Some(decide(move |tables| {
                Ok(match tables.records.existing_account(user)? {
                    Some(_) => Decision::one(Scope::user(user), UserDeleted {}),
                    None => Decision::Nothing,
                })
            })),
            _ => None,
        }
    }

    fn about_contact(&mut self, user: UserId, other: UserId) -> Op {
        use ContactAction::{Accept, Block, Decline, Remove, Request, Unblock};
        if self.rng.random_bool(0.1) {
            self.people.rooms.push(direct_room(user, other));
            return decide(move |tables| contacts::direct(&tables.records, user, other));
        }
        let act = pick(&mut self.rng, &[Request, Request, Accept, Accept, Decline, Remove, Block, Unblock]);
        decide(move |tables| contacts::act(&tables.records, user, act, other))
    }

    fn about_room(&mut self, user: UserId, other: UserId) -> Op {
        let rng = &mut self.rng;
        let known = self.people.rooms.choose(rng).copied();
        let what = rng.random_range(0..20);
        let name = RoomName::parse(pick(rng, &["den", "hall"])).unwrap();
        let Some(room) = known.filter(|_| what > 2 || self.people.rooms.len() >= NAMED_MAX) else {
            let room = RoomId(rng.random());
            self.people.rooms.push(room);
            let new = NewRoom { name, topic: Topic::parse("tea").unwrap(), visibility: Visibility::Public };
            return of_rooms(move |records| rooms::create(records, room, user, &new));
        };
        let role = pick(rng, &[Role::Owner, Role::Moderator, Role::Member]);
        let ban = rng.random_bool(0.5);
        match what {
            0..9 => of_rooms(move |records| rooms::join(records, room, user)),
            9..10 => of_rooms(move |records| rooms::leave(records, room, user)),
            10..12 => of_rooms(move |records| rooms::add(records, room, user, other, role)),
            12..15 => of_rooms(move |records| rooms::set_role(records, room, user, other, role)),
            15..17 => of_rooms(move |records| rooms::remove(records, room, user, other, ban)),
            17..18 => of_rooms(move |records| rooms::lift_ban(records, room, user, other)),
            18..19 => {
                let change = RoomUpdate { name: Some(name), ..RoomUpdate::default() };
                of_rooms(move |records| rooms::change(records, room, user, &change))
            }
            _ => of_rooms(move |records| rooms::delete(records, room, user)),
        }
    }

    fn about_message(&mut self, node: usize, user: UserId, other: UserId) -> Option<Op> {
        let what = self.rng.random_range(0..20);
        let number = self.coverage.acts + self.now;
        let text = MessageText::parse(&format!("secret {number}")).unwrap();
        if what < 8 {
            let room = *self.people.rooms.choose(&mut self.rng)?;
            let id = MessageId::from_u128(self.rng.random());
            self.people.posts.push((user, room, id));
            let posted =
                MessagePosted { mentions: vec![other], ..MessagePosted::new(id, Sender::User(user), text) };
            return Some(Op::Post { room, posted, above_hlc: None, check: refuse_post_at_commit });
        }
        let recent = self.people.posts.len().saturating_sub(RECENT);
        let (author, room, id) = *self.people.posts[recent..].choose(&mut self.rng)?;
        Some(match what {
            8..13 => decide(move |tables| change::edit(tables, author, id, &text)),
            13..16 => {
                let (emoji, on) = (Emoji::parse("+").unwrap(), self.rng.random_bool(0.6));
                decide(move |tables| change::react(tables, user, id, &emoji, on))
            }
            16..17 => decide(move |tables| change::delete(tables, author, id)),
            _ => return self.about_reading(node, user, room, id),
        })
    }

    /// Marks a room as read. The user may have been sent less than the node holds now, also from before a fold.
    fn about_reading(&mut self, node: usize, user: UserId, room: RoomId, id: MessageId) -> Option<Op> {
        let held = VersionVector::clone(self.nodes[node].run.as_ref()?.committer.vector());
        let before = self.people.sent_before.choose(&mut self.rng).cloned();
        let sent = before.filter(|sent| held.covers(sent) && self.rng.random_bool(0.5));
        if self.people.sent_before.len() < SENT_BEFORE_MAX {
            self.people.sent_before.push(held);
        } else {
            let replaced = self.rng.random_range(0..SENT_BEFORE_MAX);
            self.people.sent_before[replaced] = held;
        }
        let run = self.nodes[node].run.as_ref()?;
        let mark = run.read(|store| match read::mark(store, user, room, id, sent.as_ref()) {
            Err(Denied::Failed(error)) => Err(error),
            mark => Ok(mark.ok()),
        });
        let mut mark = mark.flatten()?;
        mark.over_folds = run.replica().peers_know_folds();
        let is_unsigned = self.mutant == Some(Mutant::UnsignedEntries);
        Some(decide(move |tables| {
            let decision = read::decide(tables, user, &mark)?;
            Ok(if is_unsigned { without_signs(decision) } else { decision })
        }))
    }
}

/// For a planted bug: says of all entries of a mark that they are above its fold.
fn without_signs(mut decision: Decision) -> Decision {
    let Decision::Write(drafts) = &mut decision else { return decision };
    for draft in drafts {
        let EventBody::FoldedReadMarked(mark) = &mut draft.body else { continue };
        for signed in mark.seen.iter_mut().flat_map(|seen| seen.difference.values_mut()) {
            if let SignedSeq::Below(seq) = *signed {
                *signed = SignedSeq::Above(seq);
            }
        }
    }
    decision
}

fn about_account(user: UserId) -> Op {
    let display_name = Some(DisplayName::parse("secret").unwrap());
    decide(move |tables| {
        let Some(account) = tables.records.existing_account(user)? else { return Ok(Decision::Nothing) };
        let changed = ProfileChanged { display_name: display_name.clone() };
        Ok(Decision::one_above(account.changed_at(), Scope::user(user), changed))
    })
}

fn pick<T: Copy>(rng: &mut StdRng, from: &[T]) -> T {
    *from.choose(rng).expect("it is not empty")
}
