//! Who may do what in rooms of members, against a model that knows nothing of events: whatever people do in whatever
//! order, what the model forbids does not succeed, what it allows does, and afterwards all have the roles that it says.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use starling_protocol::{
    ErrorCode, EventDraft, InviteCode, RoomName, Scope, UserId,
    event::{ContactSet, InviteMade, Membership, Role, Stance, Visibility},
};
use starling_web::service::RoomChange;

use super::decisions;
use crate::services::test_node::{ANN, BOB, EVE, Node, ROOM, STRANGER, new};

const PEOPLE: [UserId; 4] = [ANN, BOB, EVE, STRANGER];
/// Who are contacts.
const CONTACTS: [(UserId, UserId); 3] = [(ANN, STRANGER), (BOB, STRANGER), (ANN, EVE)];
const CODE: InviteCode = InviteCode([1; 10]);

#[derive(Clone, Copy, Debug)]
enum Act {
    Join(UserId),
    Follow(UserId),
    Leave(UserId),
    Post(UserId),
    Add(UserId, UserId, Role),
    SetRole(UserId, UserId, Role),
    Remove(UserId, UserId, bool),
    LiftBan(UserId, UserId),
    Rename(UserId),
    Show(UserId, bool),
    Invite(UserId),
    Delete(UserId),
}

/// One room and those around it.
#[derive(Clone, Debug)]
struct Model {
    exists: bool,
    public: bool,
    /// With the role that was given, and when he came.
    members: BTreeMap<UserId, (Role, usize)>,
    banned: BTreeSet<UserId>,
    now: usize,
}

type Verdict = Result<(), ErrorCode>;

impl Model {
    fn new() -> Self {
        let members = [(ANN, (Role::Owner, 0)), (BOB, (Role::Member, 1)), (EVE, (Role::Moderator, 2))];
        Self { exists: true, public: false, members: members.into(), banned: BTreeSet::new(), now: 3 }
    }

    fn role(&self, user: UserId) -> Option<Role> {
        let (given, _) = *self.members.get(&user).filter(|_| self.exists)?;
        let heir = self.members.iter().min_by_key(|&(&user, &(role, since))| (role, since, user));
        Some(if heir.is_some_and(|(&heir, _)| heir == user) { Role::Owner } else { given })
    }

    /// The role of a member, or what others are told.
    fn member(&self, user: UserId) -> Result<Role, ErrorCode> {
        let hidden = !self.exists || !self.public;
        self.role(user).ok_or(if hidden { ErrorCode::NotFound } else { ErrorCode::Forbidden })
    }

    fn leads(&self, user: UserId) -> Result<Role, ErrorCode> {
        let role = self.member(user)?;
        if role == Role::Member { Err(ErrorCode::Forbidden) } else { Ok(role) }
    }

    fn enter(&mut self, user: UserId, role: Role) {
        self.members.entry(user).or_insert((role, self.now));
    }

    fn give(&mut self, by: UserId, user: UserId, role: Role) {
        if role == Role::Owner && by != user {
            self.members.get_mut(&by).unwrap().0 = Role::Owner;
        }
        self.members.get_mut(&user).unwrap().0 = role;
    }

    fn act(&mut self, act: Act) -> Verdict {
        self.now += 1;
        match act {
            Act::Join(user) => {
                let known = self.exists && (self.public || self.members.contains_key(&user));
                check(known, ErrorCode::NotFound)?;
                check(!self.banned.contains(&user), ErrorCode::Forbidden)?;
                self.enter(user, Role::Member);
            }
            Act::Follow(user) => {
                check(self.exists && !self.banned.contains(&user), ErrorCode::NotFound)?;
                self.enter(user, Role::Member);
            }
            Act::Leave(user) | Act::Remove(user, _, false) if alone(act) => {
                self.member(user)?;
                self.members.remove(&user);
                self.exists = !self.members.is_empty();
            }
            Act::Leave(_) => unreachable!("one leaves alone"),
            Act::Post(user) => check(self.role(user).is_some(), ErrorCode::NotFound)?,
            Act::Add(by, user, role) => {
                let own = self.leads(by)?;
                check(!self.members.contains_key(&user), ErrorCode::AlreadyExists)?;
                let contacts = CONTACTS.contains(&(by, user)) || CONTACTS.contains(&(user, by));
                check(contacts, ErrorCode::NotContacts)?;
                check(!self.banned.contains(&user) && role >= own, ErrorCode::Forbidden)?;
                self.enter(user, role);
                self.give(by, user, role);
            }
            Act::SetRole(by, user, role) => {
                let own = self.member(by)?;
                let before = self.role(user).ok_or(ErrorCode::NotFound)?;
                let steps_down = by == user && role >= own;
                let may = own == Role::Owner || (own == Role::Moderator && before == Role::Member);
                check(steps_down || (may && role >= own), ErrorCode::Forbidden)?;
                if before != role {
                    self.give(by, user, role);
                }
            }
            Act::Remove(by, user, ban) => {
                let own = if by == user { self.member(by)? } else { self.leads(by)? };
                check(by != user, ErrorCode::Forbidden)?;
                let above = self.role(user).is_some_and(|role| role != Role::Member);
                check(own == Role::Owner || !above, ErrorCode::Forbidden)?;
                let was_member = self.members.contains_key(&user);
                check(ban || was_member, ErrorCode::NotFound)?;
                self.members.remove(&user);
                if ban {
                    self.banned.insert(user);
                }
            }
            Act::LiftBan(by, user) => {
                self.leads(by)?;
                check(self.banned.remove(&user), ErrorCode::NotFound)?;
            }
            Act::Rename(by) | Act::Invite(by) => {
                self.leads(by)?;
            }
            Act::Show(by, public) => {
                let own = self.leads(by)?;
                check(own == Role::Owner || public == self.public, ErrorCode::Forbidden)?;
                self.public = public;
            }
            Act::Delete(by) => {
                check(self.member(by)? == Role::Owner, ErrorCode::Forbidden)?;
                self.exists = false;
            }
        }
        Ok(())
    }
}

/// Who removes himself leaves.
fn alone(act: Act) -> bool {
    matches!(act, Act::Leave(_)) || matches!(act, Act::Remove(by, user, _) if by == user)
}

fn check(holds: bool, code: ErrorCode) -> Verdict {
    if holds { Ok(()) } else { Err(code) }
}

fn does(node: &mut Node, act: Act, n: u8) -> Verdict {
    let done = match act {
        Act::Join(user) => node.act(move |records| decisions::join(records, ROOM, user)),
        Act::Follow(user) => node.act(move |records| decisions::join_with(records, CODE, user, 0)),
        Act::Leave(user) => node.act(move |records| decisions::leave(records, ROOM, user)),
        Act::Post(user) => {
            return node.post(user, ROOM, &new(n.into(), "x")).map(drop).map_err(|refusal| refusal.code);
        }
        Act::Add(by, user, role) => node.act(move |records| decisions::add(records, ROOM, by, user, role)),
        Act::SetRole(by, user, role) => {
            node.act(move |records| decisions::set_role(records, ROOM, by, user, role))
        }
        Act::Remove(by, user, ban) => {
            node.act(move |records| decisions::remove(records, ROOM, by, user, ban))
        }
        Act::LiftBan(by, user) => node.act(move |records| decisions::lift_ban(records, ROOM, by, user)),
        Act::Rename(by) => {
            let name = Some(RoomName::parse(&format!("room {n}")).unwrap());
            let change = RoomChange { name, ..RoomChange::default() };
            node.act(move |records| decisions::change(records, ROOM, by, &change))
        }
        Act::Show(by, public) => {
            let visibility = Some(if public { Visibility::Public } else { Visibility::Private });
            let change = RoomChange { visibility, ..RoomChange::default() };
            node.act(move |records| decisions::change(records, ROOM, by, &change))
        }
        Act::Invite(by) => {
            let made = InviteMade { code: InviteCode([n; 10]), by, max_uses: None, expires_ms: None };
            node.act(move |records| decisions::make_invite(records, ROOM, &made, 0))
        }
        Act::Delete(by) => node.act(move |records| decisions::delete(records, ROOM, by)),
    };
    done.map(drop).map_err(|refusal| refusal.code)
}

fn acts() -> impl Strategy<Value = Act> {
    let who = || prop::sample::select(&PEOPLE[..]);
    let role = || prop::sample::select(&[Role::Owner, Role::Moderator, Role::Member][..]);
    prop_oneof![
        3 => who().prop_map(Act::Join),
        3 => who().prop_map(Act::Follow),
        2 => who().prop_map(Act::Leave),
        2 => who().prop_map(Act::Post),
        3 => (who(), who(), role()).prop_map(|(by, user, role)| Act::Add(by, user, role)),
        6 => (who(), who(), role()).prop_map(|(by, user, role)| Act::SetRole(by, user, role)),
        4 => (who(), who(), any::<bool>()).prop_map(|(by, user, ban)| Act::Remove(by, user, ban)),
        3 => (who(), who()).prop_map(|(by, user)| Act::LiftBan(by, user)),
        1 => who().prop_map(Act::Rename),
        3 => (who(), any::<bool>()).prop_map(|(by, public)| Act::Show(by, public)),
        1 => who().prop_map(Act::Invite),
        1 => who().prop_map(Act::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_the_model_forbids_does_not_succeed(acts in prop::collection::vec(acts(), 1..40)) {
        let mut node = Node::with_rooms();
        for (one, other) in CONTACTS.into_iter().flat_map(|(one, other)| [(one, other), (other, one)]) {
            let yes = ContactSet { to: other, round: 1, stance: Stance::Yes };
            node.write(EventDraft::new(Scope::user(one), yes));
        }
        does(&mut node, Act::Invite(ANN), CODE.0[0]).unwrap();
        let mut model = Model::new();
        for (n, act) in (2_u8..).zip(acts) {
            let expected = model.act(act);
            prop_assert_eq!(does(&mut node, act, n), expected, "{:?} with {:?}", act, model);
            let records = node.store.records().unwrap();
            for user in PEOPLE {
                prop_assert_eq!(records.role(ROOM, user).unwrap(), model.role(user), "{:?}, then {:?}", act, model);
                let standing = records.standing_in(ROOM, user).unwrap();
                let banned = standing.is_some_and(|standing| standing.membership == Membership::Banned);
                prop_assert_eq!(banned, model.banned.contains(&user));
            }
            let members = u32::try_from(model.members.len()).unwrap();
            prop_assert_eq!(records.room_counts(ROOM).unwrap().members, members);
        }
        node.verify();
    }
}
