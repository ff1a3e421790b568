//! Reads rooms for a user's list: unread counts, the last message, the time of the last activity. One reader is one
//! read transaction.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadableDatabase};
use starling_protocol::{
    Event, EventBody, Hlc, MessageId, MessagePosted, NodeId, OriginId, Pos, RoomId, RoomName, Scope, Seq,
    UserId,
    event::sender_user,
    frame::client::ListedMessage,
    limits::UNREAD_COUNT_MAX,
    merge::{contact::Relation, member::Member, room::QuickRoomState},
};

use super::{
    Store, StoreError, apply, folds::FoldsReader, messages::MessagesReader, records::RecordsReader, tables,
};

/// The most uncounted messages (the viewer's own, deleted ones) that the count of one room skips; the count ends there.
/// The same limit holds for other events that are skipped on the way to messages that arrived late.
const PASSED_OVER_MAX: usize = UNREAD_COUNT_MAX;
/// The most messages that one reader reads for the unread counts of all its rooms: enough for ten rooms with nothing
/// read. In the rooms beyond it, every message counts as unread without being read from the log.
const UNREAD_READS_MAX: usize = 20 * UNREAD_COUNT_MAX;
/// The number of messages that are read in each room even beyond that limit: enough for most rooms.
const UNREAD_READS_PER_ROOM_MIN: usize = 50;
/// Messages of blocked users to skip while looking for the last message to show.
const HIDDEN_MAX: usize = 50;
/// An upper bound of all origins.
const LAST_ORIGIN: OriginId = OriginId { node: NodeId([u8::MAX; 16]), incarnation: u64::MAX };

/// An upper bound of all positions.
const LAST: Pos = Pos { hlc: Hlc(u64::MAX), origin: LAST_ORIGIN, seq: Seq::MAX };

/// A user's unread messages of a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// The number of messages, up to [`UNREAD_COUNT_MAX`].
    pub messages: usize,
    /// The number of those that mention the user.
    pub mentions: usize,
}

/// Reads rooms in one transaction. Never hold it across an await.
pub struct RoomReader {
    /// Messages, users and rooms, in the same transaction.
    pub messages: MessagesReader,
    quick: ReadOnlyTable<&'static [u8; 10], &'static [u8]>,
    pub(super) folds: FoldsReader,
    /// The number of messages that unread counts may still read.
    reads_left: usize,
}

/// A user, and a cache of the users that they have blocked.
struct Viewer {
    user: UserId,
    blocked: BTreeMap<UserId, bool>,
}

/// A count of unread messages in progress.
struct Count {
    unread: Unread,
    viewer: Viewer,
    passed_over: usize,
    reads_left: usize,
}

impl Count {
    fn is_over(&self) -> bool {
        self.unread.messages == UNREAD_COUNT_MAX || self.passed_over == PASSED_OVER_MAX
    }
}

impl Store {
    /// Opens a reader of rooms in a new read transaction.
    pub fn room_reader(&self) -> Result<RoomReader, StoreError> {
        let transaction = self.db.begin_read()?;
        Ok(RoomReader {
            messages: MessagesReader::read(&transaction)?,
            quick: transaction.open_table(tables::QUICK_ROOMS)?,
            folds: FoldsReader::read(&transaction, &self.folds)?,
            reads_left: UNREAD_READS_MAX,
        })
    }
}

impl RoomReader {
    /// The views of users and rooms, in the same transaction.
    pub fn records(&self) -> &RecordsReader {
        &self.messages.records
    }

    /// Reads a quick room if it exists, with its name if it has one.
    pub fn quick_room(&self, room: RoomId) -> Result<Option<Option<RoomName>>, StoreError> {
        let state: Option<QuickRoomState> = apply::get(&self.quick, &room.0)?;
        Ok(state.map(|state| state.name))
    }

    /// Returns the position of the last message of a room with the stamp `as_of` or an earlier one.
    pub fn last_pos(&self, room: RoomId, as_of: Hlc) -> Result<Option<Pos>, StoreError> {
        self.before(room, Pos { hlc: as_of, ..LAST })?.next().transpose()
    }

    /// Reads the last message of a room that a user sees: not one of a user that they have blocked.
    pub fn last_message(&mut self, room: RoomId, user: UserId) -> Result<Option<ListedMessage>, StoreError> {
        let mut viewer = Viewer { user, blocked: BTreeMap::new() };
        let mut shown = None;
        for pos in self.before(room, LAST)?.take(HIDDEN_MAX) {
            let pos = pos?;
            if let Some(posted) = self.posted_at(pos)?
                && !viewer.has_blocked(self.records(), &posted)?
            {
                shown = Some(pos);
                break;
            }
        }
        shown.map(|pos| self.messages.read_listed_at(pos)).transpose()
    }

    /// Returns the id of the last message at or before a position.
    pub fn message_at_or_before(&mut self, room: RoomId, pos: Pos) -> Result<Option<MessageId>, StoreError> {
        let pos = self.before(room, pos)?.next().transpose()?;
        let message = pos.map(|pos| self.messages.read_listed_at(pos)).transpose()?;
        Ok(message.map(|message| message.listed_id))
    }

    /// Counts a member's unread messages: those after their mark, and earlier ones that arrived since. Without a mark,
    /// it counts what arrived since they joined. Their own messages, deleted ones and those of users that they have
    /// blocked don't count. The cost grows with the unread messages alone, up to a limit for all rooms of this reader;
    /// beyond it, every message counts as unread without being read from the log.
    pub fn unread(&mut self, room: RoomId, user: UserId, member: &Member) -> Result<Unread, StoreError> {
        let reads_left = self.reads_left.max(UNREAD_READS_PER_ROOM_MIN);
        let viewer = Viewer { user, blocked: BTreeMap::new() };
        let mut count = Count { unread: Unread::default(), viewer, passed_over: 0, reads_left };
        self.count_unread(&mut count, room, member)?;
        self.reads_left = self.reads_left.saturating_sub(reads_left - count.reads_left);
        Ok(count.unread)
    }

    fn count_unread(&self, count: &mut Count, room: RoomId, member: &Member) -> Result<(), StoreError> {
        let mark = self.read_mark(count.viewer.user, room)?;
        let joined = Pos { hlc: member.since, ..LAST };
        let read = mark.as_ref().map_or(joined, |mark| mark.pos.max(joined));
        let (read, end) = (tables::timeline_key(room, read), tables::timeline_key(room, LAST));
        let after_mark = (Bound::Excluded(&read), Bound::Included(&end));
        for row in self.messages.timeline.range::<&[u8; 50]>(after_mark)?.rev() {
            self.count(count, room, tables::timeline_pos(row?.0.value()))?;
            if count.is_over() {
                return Ok(());
            }
        }
        let Some(mark) = mark else { return Ok(()) };
        let mut rows = 0;
        let scope = Scope::room(room);
        for (origin, _) in self.folds.vector()?.beyond(&mark.seen) {
            let first = tables::scope_key(&scope, origin, mark.seen.get(origin).saturating_add(1));
            let last = tables::scope_key(&scope, origin, Seq::MAX);
            for row in self.messages.scopes.range::<&[u8]>(&first[..]..=&last[..])? {
                let (key, hlc) = row?;
                let pos = Pos { hlc: Hlc(hlc.value()), origin, seq: scope_row(key.value())?.1 };
                // The marked message was read, even if the mark's vector lacks it.
                let late = joined < pos && pos < mark.pos;
                if late && self.messages.timeline.get(&tables::timeline_key(room, pos))?.is_some() {
                    self.count(count, room, pos)?;
                }
                rows += 1;
                if rows == UNREAD_COUNT_MAX + 2 * PASSED_OVER_MAX || count.is_over() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Counts a listed message, unless it is the viewer's own, deleted, or from a blocked user.
    fn count(&self, count: &mut Count, room: RoomId, pos: Pos) -> Result<(), StoreError> {
        let Count { unread, viewer, passed_over, reads_left } = count;
        if *reads_left == 0 {
            unread.messages += 1;
            return Ok(());
        }
        *reads_left -= 1;
        let posted = self.posted_at(pos)?.filter(|posted| posted.text.is_some());
        let theirs = posted.filter(|posted| posted.sender.user() != Some(viewer.user));
        match theirs {
            Some(posted) if !viewer.has_blocked(self.records(), &posted)? => {
                unread.messages += 1;
                unread.mentions += usize::from(self.messages.mentions_user(room, &posted, viewer.user)?);
            }
            _ => *passed_over += 1,
        }
        Ok(())
    }

    /// Returns the positions of listed messages back in time, starting with `pos`.
    fn before(
        &self,
        room: RoomId,
        pos: Pos,
    ) -> Result<impl Iterator<Item = Result<Pos, StoreError>> + use<>, StoreError> {
        let (first, last) = (tables::timeline_key(room, Pos::MIN), tables::timeline_key(room, pos));
        let rows = self.messages.timeline.range::<&[u8; 50]>(&first..=&last)?;
        Ok(rows.rev().map(|row| Ok(tables::timeline_pos(row?.0.value()))))
    }

    fn posted_at(&self, pos: Pos) -> Result<Option<MessagePosted>, StoreError> {
        let Some(bytes) = self.messages.log.get(&tables::log_key(pos.origin, pos.seq))? else {
            return Ok(None);
        };
        Ok(match Event::decode(Bytes::copy_from_slice(bytes.value()))?.body {
            EventBody::MessagePosted(posted) => Some(posted),
            _ => None,
        })
    }
}

impl Viewer {
    fn has_blocked(&mut self, records: &RecordsReader, posted: &MessagePosted) -> Result<bool, StoreError> {
        let Some(sender) = sender_user(posted.sender.key()) else { return Ok(false) };
        if let Some(&blocked) = self.blocked.get(&sender) {
            return Ok(blocked);
        }
        let blocked = sender != self.user && records.relation(self.user, sender)? == Relation::Blocked;
        self.blocked.insert(sender, blocked);
        Ok(blocked)
    }
}

fn scope_row(key: &[u8]) -> Result<(OriginId, Seq), StoreError> {
    tables::parse_scope_key(key).ok_or_else(|| StoreError::Corrupt("a scope key is too short".into()))
}
