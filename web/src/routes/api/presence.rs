//! Adds presence to the users in a list, for callers who may know it: about their contacts, and the members of their rooms.
//! If either user has blocked the other, they are shown as offline.

use std::collections::HashSet;

use starling_protocol::UserId;

use crate::{
    objects::{PresenceState, User},
    service::{LiveEvents, Refusal},
};

/// Sets the presence of each user, except of the caller.
pub async fn fill<'a>(
    live: &dyn LiveEvents,
    caller: UserId,
    users: impl Iterator<Item = &'a mut User>,
) -> Result<(), Refusal> {
    let others = users.filter_map(|user| Some((user.id.parse::<UserId>().ok()?, user)));
    let others: Vec<_> = others.filter(|(id, _)| *id != caller).collect();
    let ids = others.iter().map(|&(id, _)| id).collect();
    let online: HashSet<_> = live.online_among(caller, ids).await?.into_iter().collect();
    for (id, user) in others {
        let state = if online.contains(&id) { PresenceState::Online } else { PresenceState::Offline };
        user.presence = Some(state);
    }
    Ok(())
}
