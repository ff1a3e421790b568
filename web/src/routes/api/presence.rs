//! Whether those are there whom a list shows to somebody who may know it: his contacts, and the members of his rooms. Who
//! has blocked him, or was blocked by him, is shown as if he were not.

use std::collections::HashSet;

use starling_protocol::UserId;

use crate::{
    objects::{PresenceState, User},
    service::{LiveEvents, Refusal},
};

/// Says of each whether he is there, besides of the asker himself.
pub async fn fill<'a>(
    live: &dyn LiveEvents,
    asker: UserId,
    shown: impl Iterator<Item = &'a mut User>,
) -> Result<(), Refusal> {
    let others = shown.filter_map(|user| Some((user.id.parse::<UserId>().ok()?, user)));
    let others: Vec<_> = others.filter(|(id, _)| *id != asker).collect();
    let ids = others.iter().map(|&(id, _)| id).collect();
    let online: HashSet<_> = live.online_among(asker, ids).await?.into_iter().collect();
    for (id, user) in others {
        let state = if online.contains(&id) { PresenceState::Online } else { PresenceState::Offline };
        user.presence = Some(state);
    }
    Ok(())
}
