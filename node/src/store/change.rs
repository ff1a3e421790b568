//! What a commit changes for those who look on: the writer tells it to the lanes of rooms and users.

use starling_protocol::{
    RoomId, UserId,
    event::MessageKey,
    frame::{client::ListedMessage, live::RoomChange},
};

/// Something that somebody may want to be told.
#[derive(Clone, Debug)]
pub enum Change {
    /// A message of a room of members is listed now, or listed otherwise than before.
    Posted(RoomId, ListedMessage),
    /// A message was edited, or has other reactions.
    Updated(RoomId, MessageKey),
    /// A message was deleted.
    Deleted(RoomId, MessageKey),
    /// Somebody has read on.
    Read(RoomId, UserId),
    /// A room was opened, is called otherwise, or is gone.
    Room(RoomId, RoomChange),
    /// Somebody stands otherwise to a room.
    Member(RoomId, UserId, RoomChange),
    /// The second stands otherwise to the first, in the first's eyes. Whoever blocks or unblocks is the first of one.
    Contact(UserId, UserId),
    /// Somebody's account or sessions have changed: who is served by one of them is looked at again.
    Account(UserId),
    /// Somebody is called or shown otherwise.
    Profile(UserId),
}
