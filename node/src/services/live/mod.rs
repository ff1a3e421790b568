//! What live sockets stand on, in terms of the store and of presence.

mod backlog;
mod tell;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use starling_protocol::{Hlc, Pos, RoomId, UserId, VersionVector, merge::contact::Relation};
use starling_web::{
    lane::{CommitPoint, Utf8Bytes},
    live_frame::RoomChange,
    service::{Change, LiveEvents, Online, Refusal, UserContext},
};

use super::{context::ServiceContext, render};
use crate::{
    cluster::PresenceMap,
    permissions::are_in_touch,
    store::{Records, RecordsReader, Rows, StoreError},
};

/// Contacts and room-mates who are looked at for whether they are online, at most.
const LOOKED_AT_MAX: usize = 10_000;

/// Implements [`LiveEvents`].
pub struct LiveService {
    /// What it stands on.
    pub base: ServiceContext,
    /// Who is online.
    pub presence: Arc<PresenceMap>,
}

#[async_trait]
impl LiveEvents for LiveService {
    async fn around(&self, user: UserId) -> Result<UserContext, Refusal> {
        self.base.look(move |records| around(records, user)).await
    }

    async fn online(&self, user: UserId) -> Result<Vec<UserId>, Refusal> {
        let mates = self.base.look(move |records| mates(records, user)).await?;
        Ok(self.presence.online(mates))
    }

    async fn online_among(&self, user: UserId, others: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
        let seen = move |records: &RecordsReader| {
            let mut seen = Vec::new();
            for other in others {
                let sides = records.sides(user, other)?;
                if !sides.blocks() && !sides.is_blocked() {
                    seen.push(other);
                }
            }
            Ok(seen)
        };
        Ok(self.presence.online(self.base.look(seen).await?))
    }

    async fn known(&self, user: UserId, others: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
        self.base.look(move |records| known(records, user, others)).await
    }

    async fn beyond(
        &self,
        user: UserId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<Change>>, Refusal> {
        self.base.read(move |store| backlog::missed(store, user, &from, &to.vector)).await
    }

    async fn tell(&self, user: UserId, due: Vec<Change>) -> Result<Vec<String>, Refusal> {
        self.base.read(move |store| tell::frames(store, user, &due)).await
    }

    async fn room(&self, user: UserId, room: RoomId) -> Result<(String, bool), Refusal> {
        self.base
            .read(move |store| tell::room(&mut store.room_reader()?, user, room, RoomChange::Updated))
            .await
    }

    async fn floor(&self, after: Pos) -> Result<Hlc, Refusal> {
        let held = self.base.read(move |store| store.holds(after)).await?;
        Ok(if held { Hlc::default() } else { after.hlc.capped(self.base.machine.now_ms()) })
    }

    fn come(&self, user: UserId) -> Online {
        self.presence.mark_online(user)
    }

    fn show(&self, room: RoomId, user: UserId, frame: Utf8Bytes) {
        self.presence.broadcast_everywhere(room, user, frame);
    }
}

fn around<T: Rows>(records: &Records<T>, user: UserId) -> Result<UserContext, StoreError> {
    let mut around = UserContext {
        user: render::user(records, user)?,
        rooms: HashSet::new(),
        severed_rooms: HashSet::new(),
        contacts: HashSet::new(),
        blocked: HashSet::new(),
        blocked_by: HashSet::new(),
    };
    for room in rooms(records, user)? {
        if records.member_room(room)?.is_some() {
            around.rooms.insert(room);
            if !are_in_touch(records, room, user)? {
                around.severed_rooms.insert(room);
            }
        }
    }
    for acquaintance in records.acquaintances(user, UserId([0; 16]))? {
        let (other, sides) = acquaintance?;
        if sides.relation() == Relation::Accepted {
            around.contacts.insert(other);
        }
        if sides.blocks() {
            around.blocked.insert(other);
        }
        if sides.is_blocked() {
            around.blocked_by.insert(other);
        }
    }
    Ok(around)
}

fn known<T: Rows>(
    records: &Records<T>,
    user: UserId,
    others: Vec<UserId>,
) -> Result<Vec<UserId>, StoreError> {
    let rooms = rooms(records, user)?;
    let mut known = Vec::new();
    for other in others {
        let mut is_known = records.sides(user, other)?.mine.is_some();
        for &room in &rooms {
            is_known = is_known || records.role(room, other)?.is_some();
        }
        if is_known {
            known.push(other);
        }
    }
    Ok(known)
}

/// The rooms of members in which a user is.
fn rooms<T: Rows>(records: &Records<T>, user: UserId) -> Result<Vec<RoomId>, StoreError> {
    let rooms = records.rooms_of(user)?.into_iter();
    Ok(rooms.filter(|(_, member)| member.role().is_some()).map(|(room, _)| room).collect())
}

/// A user's contacts, and those who share a room with him that is not quiet; nobody between whom and him there is a block.
fn mates<T: Rows>(records: &Records<T>, user: UserId) -> Result<HashSet<UserId>, StoreError> {
    let UserContext { rooms, severed_rooms, contacts: mut mates, blocked, blocked_by, .. } =
        around(records, user)?;
    for &room in rooms.difference(&severed_rooms) {
        for member in records.members(room, &[])? {
            if mates.len() >= LOOKED_AT_MAX {
                break;
            }
            mates.insert(member?.0);
        }
    }
    mates.retain(|mate| *mate != user && !blocked.contains(mate) && !blocked_by.contains(mate));
    Ok(mates)
}
