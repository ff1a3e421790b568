//! Collects what a client has missed: the objects changed by events beyond a vector, in the user's scope and their rooms,
//! each once. Their present state is read when they are rendered.

use std::collections::{HashMap, HashSet};

use starling_protocol::{
    EventBody, Pos, RoomId, Scope, UserId, VersionVector,
    event::{
        FoldedReadMarked, MemberRoomCreated, Membership, MembershipChanged, MessageDeleted, MessageEdited,
        ReactionChanged, ReadMarked, StanceChanged,
    },
    limits::REPLAY_EVENTS_MAX,
};
use starling_web::{live_frame::RoomChange, service::LiveChange};

use super::rooms;
use crate::{
    permissions,
    store::{MessagesReader, Store, StoreError},
};

/// All changes for a user within `to` and beyond `from`, in the order of each object's last change; `None` if there are
/// more than [`REPLAY_EVENTS_MAX`] events.
pub fn collect_changes(
    store: &Store,
    user: UserId,
    from: &VersionVector,
    to: &VersionVector,
) -> Result<Option<Vec<LiveChange>>, StoreError> {
    let reader = store.messages()?;
    let mut collector = ChangeCollector { reader, user, changes: HashMap::new(), joined: HashSet::new() };
    let mut left = REPLAY_EVENTS_MAX;
    let mut events_after = |scope: &Scope| -> Result<_, StoreError> {
        let positions = store.scope_events_after(scope, from, to, left)?;
        left -= positions.as_ref().map_or(0, Vec::len);
        Ok(positions)
    };
    let Some(positions) = events_after(&Scope::user(user))? else { return Ok(None) };
    for pos in positions {
        collector.add_own_event(pos)?;
    }
    let (rooms, deleted) =
        (rooms(&collector.reader.records, user)?, collector.reader.records.deleted_rooms_of(user)?);
    for room in rooms.into_iter().chain(deleted) {
        // The client loads rooms that the user has joined by pages.
        if collector.joined.contains(&room) {
            continue;
        }
        let Some(positions) = events_after(&Scope::room(room))? else { return Ok(None) };
        for pos in positions {
            collector.add_room_event(room, pos)?;
        }
        collector.add_read_mark_of_other(room)?;
    }
    let mut changes: Vec<_> = collector.changes.into_values().collect();
    changes.sort_unstable_by_key(|(pos, _)| *pos);
    Ok(Some(changes.into_iter().map(|(_, change)| change).collect()))
}

struct ChangeCollector {
    reader: MessagesReader,
    user: UserId,
    /// For each object: the position of its last change, and the change.
    changes: HashMap<LiveChange, (Pos, LiveChange)>,
    /// Rooms that the user has joined.
    joined: HashSet<RoomId>,
}

impl ChangeCollector {
    fn add(&mut self, pos: Pos, change: LiveChange) {
        let object = match change {
            LiveChange::Message { room, key, .. } => LiveChange::Message { room, key, fresh: false },
            LiveChange::Room { room, .. } => LiveChange::Room { room, change: RoomChange::Updated },
            LiveChange::Read { .. } | LiveChange::Contact(_) => change,
        };
        let (last, known) = self.changes.entry(object).or_insert((pos, change));
        *last = pos.max(*last);
        match (known, change) {
            (LiveChange::Message { fresh, .. }, LiveChange::Message { fresh: true, .. }) => *fresh = true,
            // A join outweighs later changes of the room.
            (LiveChange::Room { change, .. }, LiveChange::Room { change: then, .. })
                if *change != RoomChange::Joined =>
            {
                *change = then;
            }
            _ => {}
        }
    }

    /// Adds an event of the user's own scope, or one that is indexed there.
    fn add_own_event(&mut self, pos: Pos) -> Result<(), StoreError> {
        let Some(event) = self.reader.event(pos)? else { return Ok(()) };
        match (event.body, event.scope.as_room(), event.scope.as_user()) {
            (EventBody::MembershipChanged(set), Some(room), _) => self.add_membership(pos, room, &set)?,
            (EventBody::MemberRoomCreated(MemberRoomCreated::Direct { .. }), Some(room), _) => {
                self.add_joined(pos, room);
            }
            (EventBody::StanceChanged(StanceChanged { to, .. }), _, Some(by)) => {
                let other = if by == self.user { to } else { by };
                let records = &self.reader.records;
                // A stranger's block, and its end, are kept from the user.
                if records.sides(self.user, other)?.mine.is_some() || records.was_asked(self.user, other)? {
                    self.add(pos, LiveChange::Contact(other));
                }
            }
            (
                EventBody::ReadMarked(ReadMarked { room, .. })
                | EventBody::FoldedReadMarked(FoldedReadMarked { room, .. }),
                _,
                Some(user),
            ) => {
                self.add(pos, LiveChange::Read { room, user });
            }
            _ => {}
        }
        Ok(())
    }

    fn add_membership(&mut self, pos: Pos, room: RoomId, set: &MembershipChanged) -> Result<(), StoreError> {
        match set.membership {
            // The cursor doesn't tell whether the user was a member before: a role given on another node may have undone
            // their removal. Loading the room once more is always right.
            Membership::Member(_) => self.add_joined(pos, room),
            Membership::None | Membership::Banned if self.reader.records.was_member(self.user, room)? => {
                self.add(pos, LiveChange::Room { room, change: RoomChange::Removed });
            }
            // The user was never a member, and may not even know of the room.
            Membership::Invited | Membership::None | Membership::Banned => {}
        }
        Ok(())
    }

    fn add_joined(&mut self, pos: Pos, room: RoomId) {
        self.joined.insert(room);
        self.add(pos, LiveChange::Room { room, change: RoomChange::Joined });
    }

    /// Adds an event of a room that the user is in.
    fn add_room_event(&mut self, room: RoomId, pos: Pos) -> Result<(), StoreError> {
        let Some(event) = self.reader.event(pos)? else { return Ok(()) };
        let (key, fresh) = match event.body {
            EventBody::MessagePosted(posted) => (posted.key(), true),
            EventBody::MessageEdited(MessageEdited { message, .. })
            | EventBody::MessageDeleted(MessageDeleted { message, .. })
            | EventBody::ReactionChanged(ReactionChanged { message, .. }) => (message, false),
            // The membership may have been known before the room.
            EventBody::MemberRoomCreated(_) => {
                self.add_joined(pos, room);
                return Ok(());
            }
            EventBody::MemberRoomChanged(_) => {
                self.add(pos, LiveChange::Room { room, change: RoomChange::Updated });
                return Ok(());
            }
            EventBody::MemberRoomDeleted(_) => {
                self.add(pos, LiveChange::Room { room, change: RoomChange::Removed });
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.add(pos, LiveChange::Message { room, key, fresh });
        Ok(())
    }

    /// Adds the read mark of the other user of a direct room. It is in their scope, so it is not known whether it is new:
    /// it is always added.
    fn add_read_mark_of_other(&mut self, room: RoomId) -> Result<(), StoreError> {
        let Some(other) = permissions::other_direct_member(&self.reader.records, room, self.user)? else {
            return Ok(());
        };
        if let Some(mark) = self.reader.records.read_mark_pos(other, room)? {
            self.add(mark, LiveChange::Read { room, user: other });
        }
        Ok(())
    }
}
