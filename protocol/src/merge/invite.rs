//! Invites: made once; revoking wins. Uses are counted by those who came with it.

use serde::{Deserialize, Serialize};

use crate::event::InviteMade;

/// What is known of an invite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteState {
    /// How it was made; nothing while that event is not here.
    pub made: Option<InviteMade>,
    /// Whether it was withdrawn.
    pub revoked: bool,
}

/// Applies its making, or (with nothing) its withdrawal.
pub fn applied(state: Option<InviteState>, made: Option<&InviteMade>) -> InviteState {
    let mut state = state.unwrap_or_default();
    match made {
        // Ids are drawn at random: there is one event that makes it.
        Some(made) => state.made = state.made.or_else(|| Some(made.clone())),
        None => state.revoked = true,
    }
    state
}
