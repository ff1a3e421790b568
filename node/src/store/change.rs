//! The changes of a commit: those that live sessions may have to show, which `fan_out` renders into the lanes of rooms and
//! users, and those of the members of the cluster.

use starling_protocol::{
    NodeId, RoomId, UserId,
    event::MessageKey,
    frame::{client::ListedMessage, live::RoomChange},
};

/// A change that a session, or a link, may have to apply.
#[derive(Clone, Debug)]
pub enum Change {
    /// A message of a member room is newly listed, has moved, or has another listed id.
    Posted(RoomId, ListedMessage),
    /// A message was edited, or its reactions have changed.
    Updated(RoomId, MessageKey),
    /// A message was deleted.
    Deleted(RoomId, MessageKey),
    /// A user has read further in a room.
    Read(RoomId, UserId),
    /// A room was created (`Joined`), changed (`Updated`) or deleted (`Removed`).
    Room(RoomId, RoomChange),
    /// A user's membership of a room has changed.
    Member(RoomId, UserId, RoomChange),
    /// The relation of the first user to the second has changed, as the first sees it. A block or unblock names its author
    /// first.
    Contact(UserId, UserId),
    /// A user's account or sessions have changed: their live sessions are checked again.
    Account(UserId),
    /// A user's name or display name has changed.
    Profile(UserId),
    /// A node was forgotten. It shows in no session; the links apply it.
    NodeForgotten(NodeId),
}
