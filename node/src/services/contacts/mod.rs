//! Contacts, the search for people, and direct rooms.

pub mod decide;
mod search;

use async_trait::async_trait;
use starling_protocol::{UserId, event::direct_room};
use starling_web::{
    objects::{Contact, ContactState, Room, User},
    service::{ContactAction, Contacts, Refusal},
};

use super::{context::ServiceContext, render};
use crate::{
    permissions,
    store::{RecordsReader, StoreError, Tables},
};

/// Implements [`Contacts`].
pub struct ContactsService {
    pub(crate) context: ServiceContext,
}

#[async_trait]
impl Contacts for ContactsService {
    async fn list(
        &self,
        user: UserId,
        states: Vec<ContactState>,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Contact>, Refusal> {
        self.context.read_records(move |records| list(records, user, &states, after, limit)).await
    }

    async fn find_by_username(&self, username: String) -> Result<UserId, Refusal> {
        let found =
            self.context.find_or_catch_up(move |records| records.find_by_shown_name(&username)).await?;
        found.ok_or_else(permissions::no_such_user)
    }

    async fn act(&self, user: UserId, act: ContactAction, other: UserId) -> Result<Contact, Refusal> {
        let decide = move |tables: &Tables<'_>| decide::act(&tables.records, user, act, other);
        match act {
            ContactAction::Block | ContactAction::Decline | ContactAction::Remove => {
                self.context.commit_and_replicate_from_reserve(decide).await
            }
            ContactAction::Request | ContactAction::Accept | ContactAction::Unblock => {
                self.context.commit_and_replicate(decide).await
            }
        }?;
        self.context.read_records(move |records| render::contact(records, user, other)).await
    }

    async fn search(&self, user: UserId, text: String, limit: usize) -> Result<Vec<User>, Refusal> {
        self.context.read_records(move |records| search::people(records, user, &text, limit)).await
    }

    async fn open_direct_room(&self, user: UserId, other: UserId) -> Result<(Room, bool), Refusal> {
        let made = self
            .context
            .commit_and_replicate(move |tables| decide::direct(&tables.records, user, other))
            .await?;
        let id = direct_room(user, other);
        let room =
            self.context.read(move |store| render::room_object(&mut store.room_reader()?, id, user)).await?;
        Ok((room.ok_or_else(permissions::no_such_room)?, made.is_some()))
    }
}

fn list(
    records: &RecordsReader,
    user: UserId,
    states: &[ContactState],
    after: Option<UserId>,
    limit: usize,
) -> Result<Vec<Contact>, StoreError> {
    let mut contacts = Vec::new();
    for acquaintance in records.acquaintances(user, after.unwrap_or(UserId([0; 16])))? {
        let (other, sides) = acquaintance?;
        let wanted = Some(other) != after && states.contains(&render::contact_state(sides.relation()));
        // Deleted accounts are left out.
        if wanted && records.existing_account(other)?.is_some() {
            contacts.push(render::contact_of(records, other, sides)?);
        }
        if contacts.len() == limit {
            break;
        }
    }
    Ok(contacts)
}
