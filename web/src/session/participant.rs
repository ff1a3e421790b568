//! The person in a session of a quick room, and the point from which a client resumes.

use starling_protocol::{Cursor, CursorOwner, GuestId, GuestName, Pos, RoomId, Sender, cursor::CursorError};

use super::frame_limit::ClientConnection;
use crate::service::{Identity, Lease};

/// The person in a session, and the point from which their client resumes.
pub struct Participant {
    /// The room.
    pub room: RoomId,
    /// The id under which they are present: a guest's id, or the user id of somebody who joined under their username.
    pub id: GuestId,
    /// The name that they asked for.
    pub name: GuestName,
    /// The sender of their messages.
    pub sender: Sender,
    /// Their account and its login, if they have one.
    pub identity: Option<Identity>,
    /// The client's connection.
    pub client: ClientConnection,
    /// Keeps the person present in the room.
    pub lease: Lease,
    /// The cursor from which the client resumes.
    pub resume_point: ResumePoint,
    /// The greatest position of a message that the client has shown or got an ack for.
    pub last_seen_pos: Option<Pos>,
}

impl Participant {
    /// The owner of the client's cursors.
    pub fn owner(&self) -> CursorOwner {
        CursorOwner::Guest { id: self.id, room: self.room }
    }
}

/// The point from which a client resumes.
pub enum ResumePoint {
    /// The client has no cursor.
    Nothing,
    /// A readable cursor, and its text.
    Cursor(Cursor, String),
    /// A cursor that this node cannot read, or that belongs to another room.
    Unreadable(CursorError),
}
