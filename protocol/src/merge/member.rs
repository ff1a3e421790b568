//! Room membership: one register per room and user. A room without an owner passes to its longest-standing moderator,
//! or else to its longest-standing member.

use serde::{Deserialize, Serialize};

use super::register::{self, Register};
use crate::{
    Hlc, InviteId, Pos, UserId,
    event::{Membership, MembershipChanged, Role},
};

/// A user's membership state in a room. Users who were invited or banned have one too, and so have former members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The membership.
    pub membership: Membership,
    /// The time when they became a member; otherwise, the time when this membership began.
    pub since: Hlc,
    /// The invite that they used to join.
    pub invite: Option<InviteId>,
}

impl Member {
    /// Returns the role of a member; `None` if they are not one.
    pub fn role(&self) -> Option<Role> {
        match self.membership {
            Membership::Member(role) => Some(role),
            Membership::None | Membership::Invited | Membership::Banned => None,
        }
    }
}

/// Applies a membership event at `pos`.
pub fn apply(state: Option<Register<Member>>, pos: Pos, event: &MembershipChanged) -> Register<Member> {
    let since = event.since.unwrap_or(pos.hlc);
    let member = Member { membership: event.membership, since, invite: event.invite };
    register::apply(state, pos, member)
}

/// Returns the member's key in the order of succession; `None` if they are not a member. The first member in this order
/// owns the room, whatever their role.
pub fn succession_key(member: &Member, user: UserId) -> Option<[u8; 25]> {
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
