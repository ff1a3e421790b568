//! Decides contact requests, answers, removals and blocks, within the commit. A block is kept from the blocked user:
//! their requests are treated as if the other had declined.

use starling_protocol::{
    ErrorCode, EventDraft, Scope, UserId,
    event::{MemberRoomCreated, Stance, direct_room},
    merge::contact::Relation,
    texts,
};
use starling_web::service::ContactAction;

use crate::{
    permissions,
    store::{Decision, Records, Rows, StoreError},
};

/// Decides one action of a user on their contact with another.
pub fn act<T: Rows>(
    records: &Records<T>,
    user: UserId,
    act: ContactAction,
    other: UserId,
) -> Result<Decision, StoreError> {
    let sides = records.sides(user, other)?;
    // A user can still remove or unblock a deleted account, which takes its direct room off their list.
    let takes_back = matches!(act, ContactAction::Remove | ContactAction::Unblock) && sides.mine.is_some();
    if !takes_back && records.existing_account(other)?.is_none() {
        return Ok(Decision::Refuse(permissions::no_such_user()));
    }
    let stance = match (act, sides.relation()) {
        // The other has removed this user, whose own yes still keeps the direct room on their list.
        (ContactAction::Remove, Relation::None)
            if sides.mine.is_some_and(|mine| mine.stance == Stance::Yes)
                && records.member_room(direct_room(user, other))?.is_some() =>
        {
            Stance::None
        }
        (ContactAction::Request, Relation::None | Relation::Incoming)
        | (ContactAction::Accept, Relation::Incoming) => Stance::Yes,
        (ContactAction::Decline, Relation::Incoming)
        | (ContactAction::Remove, Relation::Incoming | Relation::Outgoing | Relation::Accepted)
        | (ContactAction::Unblock, Relation::Blocked) => Stance::None,
        (ContactAction::Accept, Relation::Accepted) | (ContactAction::Block, Relation::Blocked) => {
            return Ok(Decision::Nothing);
        }
        (ContactAction::Block, _) => Stance::Blocked,
        (refused, relation) => return Ok(refuse(refused, relation)),
    };
    let draft = EventDraft::new(Scope::user(user), sides.saying(other, stance));
    Ok(Decision::Write(vec![draft.above(sides.last_pos().map(|last| last.hlc))]))
}

fn refuse(act: ContactAction, relation: Relation) -> Decision {
    let (code, detail) = match (act, relation) {
        (ContactAction::Request, Relation::Blocked) => {
            (ErrorCode::AlreadyExists, texts::accounts::BLOCKED_BY_YOU)
        }
        (ContactAction::Request, Relation::Accepted) => {
            (ErrorCode::AlreadyExists, texts::accounts::ALREADY_CONTACT)
        }
        (ContactAction::Request, _) => (ErrorCode::AlreadyExists, texts::accounts::ALREADY_ASKED),
        (ContactAction::Accept | ContactAction::Decline, _) => {
            (ErrorCode::NotFound, texts::accounts::NOT_ASKED)
        }
        (ContactAction::Unblock, _) => (ErrorCode::NotFound, texts::accounts::NOT_BLOCKED),
        (ContactAction::Remove, Relation::Blocked) => {
            (ErrorCode::NotFound, texts::accounts::BLOCKED_NO_CONTACT)
        }
        (ContactAction::Remove | ContactAction::Block, _) => {
            (ErrorCode::NotFound, texts::accounts::NO_CONTACT)
        }
    };
    Decision::refuse(code, detail)
}

/// Creates the direct room of two contacts.
pub fn direct<T: Rows>(records: &Records<T>, user: UserId, other: UserId) -> Result<Decision, StoreError> {
    if records.existing_account(other)?.is_none() {
        return Ok(Decision::Refuse(permissions::no_such_user()));
    }
    let sides = records.sides(user, other)?;
    if sides.relation() != Relation::Accepted {
        return Ok(Decision::Refuse(permissions::not_contacts()));
    }
    let room = direct_room(user, other);
    if records.member_room(room)?.is_some() {
        return Ok(Decision::Nothing);
    }
    let created = MemberRoomCreated::Direct { one: user.min(other), other: user.max(other) };
    let draft = EventDraft::new(Scope::room(room), created);
    Ok(Decision::Write(vec![draft.above(sides.last_pos().map(|last| last.hlc))]))
}
