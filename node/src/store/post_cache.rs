//! Answers to what posts ask about their rooms and senders, kept by the committer from batch to batch. Posts, and what else
//! comes with every message, change nothing of it; every other event clears it.

use std::collections::{BTreeMap, BTreeSet};

use starling_protocol::{EventBody, RoomId, Scope, UserId, event::SenderKey};

/// Answers that are kept at most: limits the memory.
const ANSWERS_MAX: usize = 10_000;

/// Answers as of the last event that was applied.
#[derive(Debug, Default)]
pub struct PostCache {
    /// The rooms, by their scopes.
    pub rooms: BTreeMap<Scope, RoomFacts>,
    /// The shown names of users.
    pub usernames: BTreeMap<UserId, String>,
    /// Rooms in which a sender may post, with the check that found it.
    pub allowed: BTreeSet<(RoomId, SenderKey, usize)>,
}

/// A room, as far as its posts depend on it.
#[derive(Clone, Copy, Debug)]
pub struct RoomFacts {
    /// Whether it is a member room.
    pub is_member_room: bool,
    /// Whether it was deleted.
    pub is_deleted: bool,
    /// Whether any message in it was deleted.
    pub has_deletions: bool,
}

impl PostCache {
    /// Forgets all answers if an event may have changed one, or if there are too many.
    pub fn applied(&mut self, body: &EventBody) {
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
