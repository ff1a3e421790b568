//! The frames that a user doesn't see: those of people whom they blocked, the presence and typing of people who blocked them,
//! and their own.

use std::collections::HashSet;

use starling_protocol::UserId;

use crate::lane::Frame;

/// The people whose frames a user doesn't see.
#[derive(Debug)]
pub struct Visibility {
    /// The user.
    pub user: UserId,
    /// People they have blocked, who are not shown to them at all.
    pub blocked: HashSet<UserId>,
    /// People who have blocked them, whose presence and typing are not shown to them.
    pub blocked_by: HashSet<UserId>,
}

impl Visibility {
    /// Returns whether the user sees a frame.
    pub fn shows(&self, frame: &Frame) -> bool {
        frame.from.is_none_or(|from| self.shows_user(from, frame.is_ephemeral()))
    }

    /// Returns whether the user sees what another does, logged or ephemeral.
    pub fn shows_user(&self, from: UserId, is_ephemeral: bool) -> bool {
        let is_hidden = is_ephemeral && (from == self.user || self.blocked_by.contains(&from));
        !is_hidden && !self.blocked.contains(&from)
    }

    /// Returns all people of whom something is hidden.
    pub fn hidden(&self) -> HashSet<UserId> {
        &self.blocked | &self.blocked_by
    }
}
