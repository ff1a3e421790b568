//! A model of permissions on contacts, rooms and messages, after the public contract: sets and lists, without events,
//! rounds or stamps.

use std::collections::{BTreeMap, BTreeSet};

use starling_protocol::{
    ErrorCode::{self, AlreadyExists, Forbidden, NotContacts, NotFound},
    UserId,
    event::Role,
};
use starling_web::service::ContactAction;

use crate::services::test_node::{ANN, BOB, EVE};

/// A room: a named one by its number, or the direct room of two users, the smaller id first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Named(usize),
    Direct(UserId, UserId),
}

#[derive(Clone, Copy, Debug)]
pub enum Act {
    Contact(UserId, ContactAction, UserId),
    Direct(UserId, UserId),
    In(Place, UserId, Doing),
    Follow(UserId, usize),
    To(usize, UserId, Handling),
}

/// An action in a room.
#[derive(Clone, Copy, Debug)]
pub enum Doing {
    SeeRoom,
    SeeMessages,
    SeeMembers,
    SeeBans,
    SetNotify,
    Join,
    Leave,
    Post,
    MarkRead(usize),
    Rename,
    Show(bool),
    Delete,
    Invite(Option<u32>),
    Withdraw(usize),
    Add(UserId, Role),
    SetRole(UserId, Role),
    Remove(UserId, bool),
    LiftBan(UserId),
}

/// An action on a message.
#[derive(Clone, Copy, Debug)]
pub enum Handling {
    Edit,
    Delete,
    React(bool),
}

pub type Verdict = Result<(), ErrorCode>;

#[derive(Clone, Debug)]
pub struct Named {
    pub exists: bool,
    pub public: bool,
    /// The role that was given to each member, and when they joined.
    pub members: BTreeMap<UserId, (Role, usize)>,
    pub banned: BTreeSet<UserId>,
}

#[derive(Clone, Debug)]
pub struct Said {
    pub place: Place,
    pub author: UserId,
    pub deleted: bool,
    reactions: BTreeSet<UserId>,
}

#[derive(Clone, Debug)]
struct Invite {
    room: usize,
    max_uses: Option<u32>,
    used_by: BTreeSet<UserId>,
    withdrawn: bool,
}

#[derive(Clone, Debug)]
pub struct Model {
    pub named: [Named; 2],
    /// The pairs whose room was made.
    direct: BTreeSet<Place>,
    /// Pairs (one, other) where the first wants the second as a contact.
    wants: BTreeSet<(UserId, UserId)>,
    /// Pairs where the first last said yes to the second, which keeps the direct room on their list.
    said_yes: BTreeSet<(UserId, UserId)>,
    /// Pairs where the first has blocked the second.
    pub blocks: BTreeSet<(UserId, UserId)>,
    pub said: Vec<Said>,
    invites: Vec<Invite>,
    now: usize,
}

pub fn pair(one: UserId, other: UserId) -> Place {
    Place::Direct(one.min(other), one.max(other))
}

fn check(holds: bool, code: ErrorCode) -> Verdict {
    if holds { Ok(()) } else { Err(code) }
}

impl Named {
    /// The role of a user; the heir of the room is its owner.
    pub fn role(&self, user: UserId) -> Option<Role> {
        let (given, _) = *self.members.get(&user).filter(|_| self.exists)?;
        let heir = self.members.iter().min_by_key(|&(&user, &(role, since))| (role, since, user));
        Some(if heir.is_some_and(|(&heir, _)| heir == user) { Role::Owner } else { given })
    }

    /// The role of a member, or the refusal for others.
    fn member(&self, user: UserId) -> Result<Role, ErrorCode> {
        self.role(user).ok_or(if self.exists && self.public { Forbidden } else { NotFound })
    }

    fn leader(&self, user: UserId) -> Result<Role, ErrorCode> {
        self.member(user).and_then(|role| if role == Role::Member { Err(Forbidden) } else { Ok(role) })
    }

    fn enter(&mut self, user: UserId, role: Role, now: usize) {
        self.members.entry(user).or_insert((role, now));
    }

    fn give(&mut self, by: UserId, user: UserId, role: Role) {
        if role == Role::Owner && by != user {
            self.members.entry(by).and_modify(|(own, _)| *own = Role::Owner);
        }
        self.members.entry(user).and_modify(|(before, _)| *before = role);
    }

    fn leave(&mut self, user: UserId) -> Verdict {
        self.member(user)?;
        self.members.remove(&user);
        self.exists = !self.members.is_empty();
        Ok(())
    }

    fn set_role(&mut self, by: UserId, user: UserId, role: Role) -> Verdict {
        let own = self.member(by)?;
        let before = self.role(user).ok_or(NotFound)?;
        let steps_down = by == user && role >= own;
        let may = own == Role::Owner || (own == Role::Moderator && before == Role::Member);
        check(steps_down || (may && role >= own), Forbidden)?;
        if before != role {
            self.give(by, user, role);
        }
        Ok(())
    }

    fn remove(&mut self, by: UserId, user: UserId, ban: bool) -> Verdict {
        if by == user {
            self.member(by)?;
            return if ban { Err(Forbidden) } else { self.leave(by) };
        }
        let own = self.leader(by)?;
        let leads = self.role(user).is_some_and(|role| role != Role::Member);
        check(own == Role::Owner || !leads, Forbidden)?;
        let was_member = self.members.remove(&user).is_some();
        if ban {
            self.banned.insert(user);
        }
        check(ban || was_member, NotFound)
    }
}

impl Model {
    /// The state in which the test node begins.
    pub fn new() -> Self {
        let members = [(ANN, (Role::Owner, 0)), (BOB, (Role::Member, 1)), (EVE, (Role::Moderator, 2))];
        let room = Named { exists: true, public: false, members: members.into(), banned: BTreeSet::new() };
        Self {
            named: [room.clone(), room],
            direct: BTreeSet::new(),
            wants: BTreeSet::new(),
            said_yes: BTreeSet::new(),
            blocks: BTreeSet::new(),
            said: Vec::new(),
            invites: Vec::new(),
            now: 3,
        }
    }

    pub fn act(&mut self, act: Act) -> Verdict {
        self.now += 1;
        match act {
            Act::Contact(user, act, other) => self.contact(user, act, other),
            Act::Direct(user, other) => {
                check(self.are_contacts(user, other), NotContacts)?;
                self.direct.insert(pair(user, other));
                Ok(())
            }
            Act::In(place @ Place::Direct(one, other), user, doing) => {
                check(self.is_in(place, user), NotFound)?;
                match doing {
                    Doing::Post => {
                        check(self.are_contacts(one, other), NotContacts)?;
                        self.say(place, user);
                        Ok(())
                    }
                    Doing::MarkRead(n) => check(self.is_said_in(place, n), NotFound),
                    Doing::SeeRoom
                    | Doing::SeeMessages
                    | Doing::SeeMembers
                    | Doing::SetNotify
                    | Doing::Join => Ok(()),
                    _ => Err(Forbidden),
                }
            }
            Act::In(Place::Named(n), user, doing) => self.in_named(n, user, doing),
            Act::Follow(user, n) => self.follow(user, n),
            Act::To(n, user, handling) => self.handle(n, user, handling),
        }
    }

    pub fn are_contacts(&self, one: UserId, other: UserId) -> bool {
        self.wants.contains(&(one, other)) && self.wants.contains(&(other, one))
    }

    /// Whether a user is a member of a room that exists.
    pub fn is_in(&self, place: Place, user: UserId) -> bool {
        match place {
            Place::Named(n) => self.named[n].role(user).is_some(),
            Place::Direct(one, other) => self.direct.contains(&place) && [one, other].contains(&user),
        }
    }

    fn sees(&self, user: UserId, said: &Said) -> bool {
        self.is_in(said.place, user) && !self.blocks.contains(&(user, said.author))
    }

    /// The numbers of the messages that a user sees in a room.
    pub fn shown(&self, place: Place, user: UserId) -> Vec<usize> {
        let in_room = self.said.iter().enumerate().filter(|(_, said)| said.place == place);
        in_room.filter(|(_, said)| self.sees(user, said)).map(|(n, _)| n).collect()
    }

    fn say(&mut self, place: Place, author: UserId) {
        self.said.push(Said { place, author, deleted: false, reactions: BTreeSet::new() });
    }

    fn is_said_in(&self, place: Place, n: usize) -> bool {
        self.said.get(n).is_some_and(|said| said.place == place)
    }

    fn contact(&mut self, user: UserId, act: ContactAction, other: UserId) -> Verdict {
        let blocked = self.blocks.contains(&(user, other));
        let (mine, theirs) = (self.wants.contains(&(user, other)), self.wants.contains(&(other, user)));
        match act {
            ContactAction::Request => check(!blocked && !mine, AlreadyExists)?,
            ContactAction::Accept => check(!blocked && theirs, NotFound)?,
            ContactAction::Decline => check(!blocked && theirs && !mine, NotFound)?,
            ContactAction::Remove => {
                let listed =
                    self.said_yes.contains(&(user, other)) && self.direct.contains(&pair(user, other));
                check(!blocked && (mine || theirs || listed), NotFound)?;
            }
            ContactAction::Unblock => check(blocked, NotFound)?,
            ContactAction::Block if blocked => return Ok(()),
            ContactAction::Block => {}
        }
        if let ContactAction::Request | ContactAction::Accept = act {
            self.wants.insert((user, other));
            self.said_yes.insert((user, other));
            return Ok(());
        }
        self.said_yes.remove(&(user, other));
        self.wants.remove(&(user, other));
        self.wants.remove(&(other, user));
        if act == ContactAction::Block {
            self.blocks.insert((user, other));
        } else {
            self.blocks.remove(&(user, other));
        }
        Ok(())
    }

    fn in_named(&mut self, n: usize, user: UserId, doing: Doing) -> Verdict {
        let contacts = |other| self.are_contacts(user, other);
        let adds_contact = matches!(doing, Doing::Add(other, _) if contacts(other));
        let marked = matches!(doing, Doing::MarkRead(message) if self.is_said_in(Place::Named(n), message));
        let now = self.now;
        let room = &mut self.named[n];
        match doing {
            Doing::SeeRoom => check(room.exists && (room.public || room.role(user).is_some()), NotFound),
            Doing::SeeMessages => check(room.role(user).is_some(), NotFound),
            Doing::SeeMembers | Doing::SetNotify => room.member(user).map(drop),
            Doing::SeeBans | Doing::Rename => room.leader(user).map(drop),
            Doing::Join => {
                check(room.exists && (room.public || room.members.contains_key(&user)), NotFound)?;
                check(!room.banned.contains(&user), Forbidden)?;
                room.enter(user, Role::Member, now);
                Ok(())
            }
            Doing::Leave => room.leave(user),
            Doing::Post => {
                check(room.role(user).is_some(), NotFound)?;
                self.say(Place::Named(n), user);
                Ok(())
            }
            Doing::MarkRead(_) => check(room.role(user).is_some() && marked, NotFound),
            Doing::Show(public) => {
                let own = room.leader(user)?;
                check(own == Role::Owner || public == room.public, Forbidden)?;
                room.public = public;
                Ok(())
            }
            Doing::Delete => {
                check(room.member(user)? == Role::Owner, Forbidden)?;
                room.exists = false;
                Ok(())
            }
            Doing::Invite(max_uses) => {
                room.leader(user)?;
                self.invites.push(Invite { room: n, max_uses, used_by: BTreeSet::new(), withdrawn: false });
                Ok(())
            }
            Doing::Withdraw(invite) => {
                room.leader(user)?;
                let invite = self.invites.get_mut(invite);
                let invite = invite.filter(|invite| invite.room == n && !invite.withdrawn);
                invite.ok_or(NotFound)?.withdrawn = true;
                Ok(())
            }
            Doing::Add(other, role) => {
                let own = room.leader(user)?;
                check(!room.members.contains_key(&other), AlreadyExists)?;
                check(adds_contact, NotContacts)?;
                check(!room.banned.contains(&other) && role >= own, Forbidden)?;
                room.enter(other, role, now);
                room.give(user, other, role);
                Ok(())
            }
            Doing::SetRole(other, role) => room.set_role(user, other, role),
            Doing::Remove(other, ban) => room.remove(user, other, ban),
            Doing::LiftBan(other) => {
                room.leader(user)?;
                check(room.banned.remove(&other), NotFound)
            }
        }
    }

    fn follow(&mut self, user: UserId, n: usize) -> Verdict {
        let invite = self.invites.get_mut(n).ok_or(NotFound)?;
        let room = &mut self.named[invite.room];
        if room.role(user).is_some() {
            return Ok(());
        }
        let used_up = invite.max_uses.is_some_and(|max| invite.used_by.len() >= max as usize);
        check(room.exists && !invite.withdrawn && !used_up && !room.banned.contains(&user), NotFound)?;
        invite.used_by.insert(user);
        room.enter(user, Role::Member, self.now);
        Ok(())
    }

    fn handle(&mut self, n: usize, user: UserId, handling: Handling) -> Verdict {
        let said = self.said.get(n).ok_or(NotFound)?;
        let place = said.place;
        let leads = matches!(place, Place::Named(n) if self.named[n].role(user).is_some_and(|role| role < Role::Member));
        // Owners and moderators can also delete messages of users they have blocked.
        let deletes = matches!(handling, Handling::Delete) && leads;
        check(deletes || self.sees(user, said), NotFound)?;
        let may_post = match place {
            Place::Direct(one, other) => self.are_contacts(one, other),
            Place::Named(_) => true,
        };
        let said = &mut self.said[n];
        if let Handling::Delete = handling {
            check(said.author == user || leads, Forbidden)?;
            said.deleted = true;
            return Ok(());
        }
        check(!said.deleted, NotFound)?;
        match handling {
            Handling::Edit => {
                check(said.author == user, Forbidden)?;
                check(may_post, NotContacts)
            }
            Handling::React(on) => {
                check(!on || may_post || said.reactions.contains(&user), NotContacts)?;
                if on {
                    said.reactions.insert(user)
                } else {
                    said.reactions.remove(&user)
                };
                Ok(())
            }
            Handling::Delete => unreachable!("handled above"),
        }
    }
}
