//! What a client lacks: the events of its user's scope and of his rooms beyond a vector, as the things that they
//! changed, each once. How these things are now is found out when they are rendered.

use std::collections::{HashMap, HashSet};

use starling_protocol::{
    EventBody, Pos, RoomId, Scope, UserId, VersionVector,
    event::{ContactSet, MemberSet, Membership, MessageDeleted, MessageEdited, ReactionSet, RoomOpened},
    limits::REPLAY_EVENTS_MAX,
};
use starling_web::{live_frame::RoomChange, service::Change};

use super::rooms;
use crate::{
    permissions,
    store::{MessagesReader, Store, StoreError},
};

/// All that changed for a user within `to` beyond `from`, in the order of the last changes; `None` if it is too much.
pub fn collect_changes(
    store: &Store,
    user: UserId,
    from: &VersionVector,
    to: &VersionVector,
) -> Result<Option<Vec<Change>>, StoreError> {
    let reader = store.messages()?;
    let mut found = ChangeCollector { reader, user, changes: HashMap::new(), joined: HashSet::new() };
    let mut left = REPLAY_EVENTS_MAX;
    let mut beyond = |scope: &Scope| -> Result<_, StoreError> {
        let places = store.beyond(scope, from, to, left)?;
        left -= places.as_ref().map_or(0, Vec::len);
        Ok(places)
    };
    let Some(places) = beyond(&Scope::user(user))? else { return Ok(None) };
    for pos in places {
        found.own(pos)?;
    }
    let (rooms, deleted) =
        (rooms(&found.reader.records, user)?, found.reader.records.deleted_rooms_of(user)?);
    for room in rooms.into_iter().chain(deleted) {
        // What he came into is loaded by pages.
        if found.joined.contains(&room) {
            continue;
        }
        let Some(places) = beyond(&Scope::room(room))? else { return Ok(None) };
        for pos in places {
            found.of_room(room, pos)?;
        }
        found.other_side(room)?;
    }
    let mut changes: Vec<_> = found.changes.into_values().collect();
    changes.sort_unstable_by_key(|(pos, _)| *pos);
    Ok(Some(changes.into_iter().map(|(_, changes)| changes).collect()))
}

struct ChangeCollector {
    reader: MessagesReader,
    user: UserId,
    /// By what it is about: where that was changed last, and how.
    changes: HashMap<Change, (Pos, Change)>,
    /// Rooms in which he was not.
    joined: HashSet<RoomId>,
}

impl ChangeCollector {
    fn add(&mut self, pos: Pos, changes: Change) {
        let about = match changes {
            Change::Message { room, key, .. } => Change::Message { room, key, fresh: false },
            Change::Room { room, .. } => Change::Room { room, change: RoomChange::Updated },
            Change::Read { .. } | Change::Contact(_) => changes,
        };
        let (last, known) = self.changes.entry(about).or_insert((pos, changes));
        *last = pos.max(*last);
        match (known, changes) {
            (Change::Message { fresh, .. }, Change::Message { fresh: true, .. }) => *fresh = true,
            // That he came is rendered, whatever came of it then; if he is gone, it is that.
            (Change::Room { change, .. }, Change::Room { change: then, .. })
                if *change != RoomChange::Joined =>
            {
                *change = then;
            }
            _ => {}
        }
    }

    /// An event of the user's own scope, or one that is indexed there.
    fn own(&mut self, pos: Pos) -> Result<(), StoreError> {
        let Some(event) = self.reader.event(pos)? else { return Ok(()) };
        match (event.body, event.scope.as_room(), event.scope.as_user()) {
            (EventBody::MemberSet(set), Some(room), _) => self.stands(pos, room, &set)?,
            (EventBody::RoomOpened(RoomOpened::Direct { .. }), Some(room), _) => self.joined(pos, room),
            (EventBody::ContactSet(ContactSet { to, .. }), _, Some(by)) => {
                let other = if by == self.user { to } else { by };
                let records = &self.reader.records;
                // Of a stranger's block one is not to know, nor that it was lifted.
                if records.sides(self.user, other)?.mine.is_some() || records.was_asked(self.user, other)? {
                    self.add(pos, Change::Contact(other));
                }
            }
            (EventBody::ReadMarked(marked), _, Some(user)) => {
                self.add(pos, Change::Read { room: marked.room, user });
            }
            _ => {}
        }
        Ok(())
    }

    fn stands(&mut self, pos: Pos, room: RoomId, set: &MemberSet) -> Result<(), StoreError> {
        match set.membership {
            // Whether he was a member when he was rendered last, his cursor does not say: a role that was given elsewhere
            // may have undone that he was removed. A client that loads the room once more lacks nothing.
            Membership::Member(_) => self.joined(pos, room),
            Membership::None | Membership::Banned if self.reader.records.was_member(self.user, room)? => {
                self.add(pos, Change::Room { room, change: RoomChange::Removed });
            }
            // That does not concern him yet: he may not even know of the room.
            Membership::Invited | Membership::None | Membership::Banned => {}
        }
        Ok(())
    }

    fn joined(&mut self, pos: Pos, room: RoomId) {
        self.joined.insert(room);
        self.add(pos, Change::Room { room, change: RoomChange::Joined });
    }

    /// An event of a room in which the user is.
    fn of_room(&mut self, room: RoomId, pos: Pos) -> Result<(), StoreError> {
        let Some(event) = self.reader.event(pos)? else { return Ok(()) };
        let (key, fresh) = match event.body {
            EventBody::MessagePosted(posted) => (posted.key(), true),
            EventBody::MessageEdited(MessageEdited { message, .. })
            | EventBody::MessageDeleted(MessageDeleted { message, .. })
            | EventBody::ReactionSet(ReactionSet { message, .. }) => (message, false),
            // That he is a member of it may have been known before.
            EventBody::RoomOpened(_) => {
                self.joined(pos, room);
                return Ok(());
            }
            EventBody::RoomChanged(_) => {
                self.add(pos, Change::Room { room, change: RoomChange::Updated });
                return Ok(());
            }
            EventBody::RoomDeleted(_) => {
                self.add(pos, Change::Room { room, change: RoomChange::Removed });
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.add(pos, Change::Message { room, key, fresh });
        Ok(())
    }

    /// How far the other side of a direct room has read. His mark is in his own scope, and when he made it is not known:
    /// it is rendered in any case.
    fn other_side(&mut self, room: RoomId) -> Result<(), StoreError> {
        let Some(other) = permissions::other_side(&self.reader.records, room, self.user)? else {
            return Ok(());
        };
        if let Some(mark) = self.reader.records.read_mark(other, room)? {
            self.add(mark.pos, Change::Read { room, user: other });
        }
        Ok(())
    }
}
