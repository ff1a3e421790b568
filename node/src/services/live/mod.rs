//! Live sockets: the rooms and contacts of a user, changes to catch up with, and presence.

mod backlog;
mod render_changes;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use starling_protocol::{Hlc, Pos, RoomId, UserId, VersionVector, merge::contact::Relation};
use starling_web::{
    lane::CommitPoint,
    live_frame::RoomChange,
    service::{LiveChange, LiveEvents, Online, Refusal, UserContext},
};

use super::{context::ServiceContext, render};
use crate::{
    cluster::PresenceMap,
    permissions::{cannot_see_presence, may_interact},
    store::{Records, RecordsReader, Rows, StoreError},
};

/// Contacts and room members who are checked for being online, at most.
const LOOKED_AT_MAX: usize = 10_000;

/// Implements [`LiveEvents`].
pub struct LiveService {
    pub(crate) context: ServiceContext,
    /// Knows who is online.
    pub presence: Arc<PresenceMap>,
}

#[async_trait]
impl LiveEvents for LiveService {
    async fn user_context(&self, user: UserId) -> Result<UserContext, Refusal> {
        self.context.read_records(move |records| user_context(records, user)).await
    }

    async fn online(&self, user: UserId) -> Result<Vec<UserId>, Refusal> {
        let visible_users = self.context.read_records(move |records| visible_users(records, user)).await?;
        Ok(self.presence.online(visible_users))
    }

    async fn online_among(&self, user: UserId, others: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
        let seen = move |records: &RecordsReader| {
            let mut seen = Vec::new();
            for other in others {
                if !cannot_see_presence(records, user, other)? {
                    seen.push(other);
                }
            }
            Ok(seen)
        };
        Ok(self.presence.online(self.context.read_records(seen).await?))
    }

    async fn known(&self, user: UserId, others: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
        self.context.read_records(move |records| known_users(records, user, others)).await
    }

    async fn changes_between(
        &self,
        user: UserId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<LiveChange>>, Refusal> {
        self.context.read(move |store| backlog::collect_changes(store, user, &from, &to.vector)).await
    }

    async fn render(&self, user: UserId, changes: Vec<LiveChange>) -> Result<Vec<String>, Refusal> {
        self.context.read(move |store| render_changes::frames(store, user, &changes)).await
    }

    async fn room(&self, user: UserId, room: RoomId) -> Result<(String, bool), Refusal> {
        self.context
            .read(move |store| {
                render_changes::room(&mut store.room_reader()?, user, room, RoomChange::Updated)
            })
            .await
    }

    async fn above_hlc_unless_held(&self, after: Pos) -> Result<Hlc, Refusal> {
        let held = self.context.read(move |store| store.holds(after)).await?;
        Ok(if held { Hlc::default() } else { after.hlc.capped(self.context.environment.now_ms()) })
    }

    fn mark_online(&self, user: UserId) -> Online {
        self.presence.mark_online(user)
    }

    fn broadcast(&self, room: RoomId, user: UserId, frame: String) {
        self.presence.broadcast_everywhere(room, user, &frame);
    }
}

fn user_context<T: Rows>(records: &Records<T>, user: UserId) -> Result<UserContext, StoreError> {
    let mut context = UserContext {
        user: render::user(records, user)?,
        rooms: HashSet::new(),
        severed_rooms: HashSet::new(),
        contacts: HashSet::new(),
        blocked: HashSet::new(),
        blocked_by: HashSet::new(),
    };
    for room in rooms(records, user)? {
        if records.member_room(room)?.is_some() {
            context.rooms.insert(room);
            if !may_interact(records, room, user)? {
                context.severed_rooms.insert(room);
            }
        }
    }
    for acquaintance in records.acquaintances(user, UserId([0; 16]))? {
        let (other, sides) = acquaintance?;
        if sides.relation() == Relation::Accepted {
            context.contacts.insert(other);
        }
        if sides.blocks() {
            context.blocked.insert(other);
        }
        if sides.is_blocked() {
            context.blocked_by.insert(other);
        }
    }
    Ok(context)
}

fn known_users<T: Rows>(
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

/// The member rooms of a user.
fn rooms<T: Rows>(records: &Records<T>, user: UserId) -> Result<Vec<RoomId>, StoreError> {
    let rooms = records.rooms_of(user)?.into_iter();
    Ok(rooms.filter(|(_, member)| member.role().is_some()).map(|(room, _)| room).collect())
}

/// A user's contacts, and the members of their rooms except severed ones; without users who have blocked them or whom they
/// have blocked.
fn visible_users<T: Rows>(records: &Records<T>, user: UserId) -> Result<HashSet<UserId>, StoreError> {
    let UserContext { rooms, severed_rooms, contacts: mut visible_users, blocked, blocked_by, .. } =
        user_context(records, user)?;
    for &room in rooms.difference(&severed_rooms) {
        for member in records.members(room, &[])? {
            if visible_users.len() >= LOOKED_AT_MAX {
                break;
            }
            visible_users.insert(member?.0);
        }
    }
    visible_users.retain(|other| *other != user && !blocked.contains(other) && !blocked_by.contains(other));
    Ok(visible_users)
}
