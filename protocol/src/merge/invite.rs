//! Invites: made once; revoking wins. Uses are the members who joined with the invite.

use serde::{Deserialize, Serialize};

use crate::event::InviteMade;

/// The state of an invite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteState {
    /// The event that made it; `None` until that arrives.
    pub made: Option<InviteMade>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// Applies the making of the invite, or with `None` its revocation.
pub fn apply(state: Option<InviteState>, made: Option<&InviteMade>) -> InviteState {
    let mut state = state.unwrap_or_default();
    match made {
        // Ids are random, so only one event makes the invite.
        Some(made) => state.made = state.made.or_else(|| Some(made.clone())),
        None => state.revoked = true,
    }
    state
}
