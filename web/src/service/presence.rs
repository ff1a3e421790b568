//! Presence in quick rooms: the people in each room, and their names.

use starling_protocol::{GuestId, GuestName, RoomId};
use tokio::sync::oneshot;

/// Somebody else in the room has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameInUse;

/// The presence of a session in a room. It ends when this is dropped, or when the node stops.
pub struct Lease {
    /// Resolves when a later session of the same guest takes over.
    pub taken_over: oneshot::Receiver<()>,
    /// Ends the presence; called when the lease is dropped.
    pub release: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}

/// The people in each quick room, on all reachable nodes.
pub trait Presence: Send + Sync + 'static {
    /// Enters a room under a name, unless somebody else in the room has it or is shown under it (compared case-folded).
    /// Guests who share a name, because nodes that were cut off from each other gave it to both, may each return under
    /// it. Users with an account enter under their user id and username.
    fn enter(&self, room: RoomId, guest: GuestId, name: GuestName, account: bool)
    -> Result<Lease, NameInUse>;

    /// Returns whether [`Presence::enter`] would succeed.
    fn is_free(&self, room: RoomId, guest: GuestId, name: &GuestName) -> bool;

    /// Returns the name under which a guest is shown while present: `name~xx` if they share it and were not the first.
    fn shown(&self, room: RoomId, guest: GuestId) -> Option<String>;

    /// Returns the names under which people in the room are shown, sorted.
    fn users(&self, room: RoomId) -> Vec<String>;
}
