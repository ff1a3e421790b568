//! Contacts, the search for people, and direct rooms.

use async_trait::async_trait;
use starling_protocol::{Refusal, UserId};

use crate::objects::{Contact, ContactState, Room, User};

/// An action on a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactAction {
    /// Sends a contact request, or accepts the other's. `AlreadyExists` if that was done before.
    Request,
    /// Accepts a request. `NotFound` if there is none.
    Accept,
    /// Declines a request. `NotFound` if there is none.
    Decline,
    /// Removes a contact, or a request of either side. `NotFound` if there is none.
    Remove,
    /// Blocks the other, who is not notified.
    Block,
    /// Ends a block. `NotFound` if there is none.
    Unblock,
}

/// Contacts, the search for people, and direct rooms.
#[async_trait]
pub trait Contacts: Send + Sync + 'static {
    /// Returns up to `limit` contacts of a user in these states, in the order of their ids, after `after`.
    async fn list(
        &self,
        user: UserId,
        states: Vec<ContactState>,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Contact>, Refusal>;

    /// Returns the user with a username, in any case of letters. Catches up with the peers in sync before it returns
    /// `NotFound`.
    async fn find_by_username(&self, username: String) -> Result<UserId, Refusal>;

    /// Performs an action. Returns the contact when every peer in sync has the change, or after 250 ms. `NotFound` if the
    /// other user does not exist.
    async fn act(&self, user: UserId, action: ContactAction, other: UserId) -> Result<Contact, Refusal>;

    /// Returns some people whose usernames or display names begin with a text, in any case of letters, except those who
    /// have blocked `user`.
    async fn search(&self, user: UserId, text: String, limit: usize) -> Result<Vec<User>, Refusal>;

    /// Returns the direct room of two contacts, and whether it was created now. Errors: `NotFound` if the other user does
    /// not exist, `NotContacts`.
    async fn open_direct_room(&self, user: UserId, other: UserId) -> Result<(Room, bool), Refusal>;
}
