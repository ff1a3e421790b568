//! People and each other: contacts, the search for people, the rooms of two.

use async_trait::async_trait;
use starling_protocol::UserId;

use super::Refusal;
use crate::objects::{Contact, ContactState, Room, User};

/// What somebody does about somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactAct {
    /// Asks to be contacts, or agrees if the other had asked. `AlreadyExists` where that was done before.
    Ask,
    /// Agrees to be contacts. `NotFound` where the other does not ask.
    Accept,
    /// Does not agree. `NotFound` where the other does not ask.
    Decline,
    /// Ends it: a contact, a request of either side. `NotFound` where there is none.
    Remove,
    /// Wants nothing of the other, who is not told.
    Block,
    /// Ends a block. `NotFound` where there is none.
    Unblock,
}

/// People and each other.
#[async_trait]
pub trait Contacts: Send + Sync + 'static {
    /// Those who stand to a user in one of these ways, in the order of their ids, behind `after`; `limit` at most.
    async fn list(
        &self,
        user: UserId,
        states: Vec<ContactState>,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Contact>, Refusal>;

    /// Who is shown under a name, in any case of letters. `NotFound` is only said after catching up with the peers in
    /// step.
    async fn named(&self, username: String) -> Result<UserId, Refusal>;

    /// Does something about somebody else; returns how they stand then when every peer in sync has it, or after 250 ms.
    /// `NotFound` for one who is not there.
    async fn act(&self, user: UserId, act: ContactAct, other: UserId) -> Result<Contact, Refusal>;

    /// People whose names or display names begin with a text, in any case of letters: some of them, never all. Not
    /// those who have blocked the one who asks.
    async fn search(&self, user: UserId, text: String, limit: usize) -> Result<Vec<User>, Refusal>;

    /// The room of two contacts, and whether it was made now. `NotFound` for one who is not there, `NotContacts`.
    async fn direct(&self, user: UserId, other: UserId) -> Result<(Room, bool), Refusal>;
}
