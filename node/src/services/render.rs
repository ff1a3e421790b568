//! Makes the objects of the public API (users, messages, contacts) from what the store holds.

mod message;
mod room;

use std::collections::BTreeMap;

use starling_protocol::{
    Hlc, MessageKey, RoomId, Sender, UserId,
    event::MemberRoomCreated,
    frame::client::{ListedMessage, format_time},
    merge::contact::{Relation, Sides},
};
use starling_web::objects::{self, Contact, ContactState, MessageSender, User};

pub use self::{
    message::message_object,
    room::{gone_room, room_object},
};
use crate::store::{Person, Records, Rows, StoreError};

/// The wall-clock time of a stamp, as the API writes it.
pub fn time(hlc: Hlc) -> String {
    format_time(hlc)
}

/// A time in Unix milliseconds, as the API writes it.
pub fn time_ms(ms: u64) -> String {
    format_time(Hlc::from_unix_ms(ms))
}

/// A user, without their presence.
pub fn user<T: Rows>(records: &Records<T>, id: UserId) -> Result<User, StoreError> {
    let Person { id, username, display_name } = records.person(id)?;
    Ok(User { id: id.to_string(), username, display_name, presence: None })
}

/// A relation, as the API names it.
pub fn contact_state(relation: Relation) -> ContactState {
    match relation {
        Relation::Accepted => ContactState::Accepted,
        Relation::Incoming => ContactState::Incoming,
        Relation::Outgoing => ContactState::Outgoing,
        Relation::Blocked => ContactState::Blocked,
        Relation::None => ContactState::None,
    }
}

/// The contact `other` of a user.
pub fn contact<T: Rows>(records: &Records<T>, user: UserId, other: UserId) -> Result<Contact, StoreError> {
    contact_of(records, other, records.sides(user, other)?)
}

/// The contact `other` of the user whose side is `sides.mine`.
pub fn contact_of<T: Rows>(records: &Records<T>, other: UserId, sides: Sides) -> Result<Contact, StoreError> {
    let since = time(sides.decided_at().map_or(Hlc::default(), |pos| pos.hlc));
    Ok(Contact { user: user(records, other)?, state: contact_state(sides.relation()), since })
}

/// The author of a message.
pub fn sender<T: Rows>(records: &Records<T>, message: &ListedMessage) -> Result<MessageSender, StoreError> {
    match &message.posted.sender {
        Sender::User(id) | Sender::Bot(id) => {
            let User { id, username, display_name, .. } = user(records, *id)?;
            Ok(MessageSender {
                id,
                username,
                display_name,
                guest: false,
                bot: message.posted.sender.is_bot(),
            })
        }
        sender @ (Sender::Guest { .. } | Sender::Hook { .. }) => Ok(MessageSender {
            id: String::new(),
            username: message.shown.clone(),
            display_name: message.shown.clone(),
            guest: sender.is_guest(),
            bot: sender.is_bot(),
        }),
    }
}

/// The reactions to a message: for each emoji, the ids of the users.
pub fn reactions<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    message: MessageKey,
) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for reaction in records.reactions(room, message)? {
        let (user, emoji, on) = reaction?;
        if on {
            shown.entry(emoji).or_default().push(user.to_string());
        }
    }
    Ok(shown)
}

/// The kind of a member room.
pub fn room_kind(created: &MemberRoomCreated) -> objects::RoomKind {
    match created {
        MemberRoomCreated::Direct { .. } => objects::RoomKind::Direct,
        MemberRoomCreated::Named { .. } => objects::RoomKind::Room,
    }
}
