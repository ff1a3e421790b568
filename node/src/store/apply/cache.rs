//! What posts ask about their rooms and senders, kept by the committer from batch to batch. Posts, and what else comes
//! with every message, change nothing of it; every other event clears it.

use std::collections::{BTreeMap, BTreeSet};

use starling_protocol::{EventBody, Refusal, RoomId, Scope, Sender, UserId, event::SenderKey};

use super::Tables;
use crate::store::{
    PostCheck, StoreError,
    views::{Deleted, Room},
};

/// Answers that are kept at most: limits the memory.
const ANSWERS_MAX: usize = 10_000;

/// Answers as of the last event that was applied.
#[derive(Debug, Default)]
pub struct PostCache {
    rooms: BTreeMap<Scope, RoomFacts>,
    usernames: BTreeMap<UserId, String>,
    /// Rooms in which a sender may post, with the check that found it.
    allowed: BTreeSet<(RoomId, SenderKey, usize)>,
}

/// What a post must know about its room.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoomFacts {
    /// Whether it is a member room.
    pub(super) is_member_room: bool,
    /// Whether it was deleted.
    pub(super) is_deleted: bool,
    /// Whether any message in it was deleted.
    pub(super) has_deletions: bool,
}

impl PostCache {
    /// Forgets all answers if an event may have changed one, or if there are too many.
    pub(super) fn applied(&mut self, body: &EventBody) {
        let changes_none = matches!(
            body,
            EventBody::MessagePosted(_)
                | EventBody::MessageEdited(_)
                | EventBody::ReactionChanged(_)
                | EventBody::ReadMarked(_)
                | EventBody::FoldedReadMarked(_)
                | EventBody::NotifyLevelChanged(_)
        );
        let count = self.rooms.len() + self.usernames.len() + self.allowed.len();
        if !changes_none || count > ANSWERS_MAX {
            *self = Self::default();
        }
    }
}

impl Tables<'_> {
    /// Reads what posts must know about a room.
    pub(super) fn room_facts(&self, room: &Scope) -> Result<RoomFacts, StoreError> {
        if let Some(facts) = self.cache.borrow().rooms.get(room) {
            return Ok(*facts);
        }
        let state = self.records.get::<Room>(room, &[])?;
        let facts = RoomFacts {
            is_member_room: state.is_some(),
            is_deleted: state.is_some_and(|state| state.deleted),
            has_deletions: self.records.scan::<Deleted>(room, &[])?.next().transpose()?.is_some(),
        };
        self.cache.borrow_mut().rooms.insert(room.clone(), facts);
        Ok(facts)
    }

    /// Returns the shown name of a user; empty if they have none.
    pub(super) fn username(&self, user: UserId) -> Result<String, StoreError> {
        if let Some(name) = self.cache.borrow().usernames.get(&user) {
            return Ok(name.clone());
        }
        let name = self.records.username(user)?.unwrap_or_default();
        self.cache.borrow_mut().usernames.insert(user, name.clone());
        Ok(name)
    }

    /// Returns why a sender may not post in a room; `None` if they may.
    pub fn refuse_post(
        &self,
        room: RoomId,
        sender: &Sender,
        check: PostCheck,
    ) -> Result<Option<Refusal>, StoreError> {
        let asked = (room, sender.key(), check as usize);
        if self.cache.borrow().allowed.contains(&asked) {
            return Ok(None);
        }
        let refusal = check(self, room, sender)?;
        if refusal.is_none() {
            self.cache.borrow_mut().allowed.insert(asked);
        }
        Ok(refusal)
    }
}
