//! Room membership: one register a room and user. A room that is left without owner belongs to its longest-standing
//! moderator, else member.

use serde::{Deserialize, Serialize};

use super::register::{self, Register};
use crate::{
    Hlc, InviteId, Pos, UserId,
    event::{MemberSet, Membership, Role},
};

/// How somebody stands to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// How.
    pub membership: Membership,
    /// Since when he has been a member.
    pub since: Hlc,
    /// The invite with which he came.
    pub invite: Option<InviteId>,
}

impl Member {
    /// His role, if he is a member.
    pub fn role(&self) -> Option<Role> {
        match self.membership {
            Membership::Member(role) => Some(role),
            Membership::None | Membership::Invited | Membership::Banned => None,
        }
    }
}

/// Applies what an event says of its user at `place`.
pub fn set(state: Option<Register<Member>>, place: Pos, event: &MemberSet) -> Register<Member> {
    let since = event.since.unwrap_or(place.hlc);
    let member = Member { membership: event.membership, since, invite: event.invite };
    register::written(state, place, member)
}

/// Members in the order in which a room passes to them: who comes first owns it, whatever his role.
pub fn succession(member: &Member, user: UserId) -> Option<[u8; 25]> {
    let role = member.role()?;
    let mut key = [0; 25];
    key[0] = match role {
        Role::Owner => 0,
        Role::Moderator => 1,
        Role::Member => 2,
    };
    key[1..9].copy_from_slice(&member.since.0.to_be_bytes());
    key[9..].copy_from_slice(&user.0);
    Some(key)
}
