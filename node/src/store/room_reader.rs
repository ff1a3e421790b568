//! Rooms as somebody finds them who comes back: what he has not read, what was said last, when something last
//! happened. All of it as of one moment.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadableDatabase};
use starling_protocol::{
    Event, EventBody, Hlc, MessageId, MessagePosted, NodeId, OriginId, Pos, RoomId, RoomName, Scope, UserId,
    event::sender_user,
    frame::client::ListedMessage,
    limits::UNREAD_COUNT_MAX,
    merge::{contact::Relation, member::Member, room::RoomState},
};

use super::{Store, StoreError, apply, messages::MessagesReader, records::RecordsReader, tables};

/// Messages that do not count (one's own, deleted ones) and that are passed over for the unread of one room, at most; it
/// is what was counted by then. As many again of other events are passed over for what came late.
const PASSED_OVER_MAX: usize = UNREAD_COUNT_MAX;
/// Messages that are looked at for the unread of all rooms of a reader, at most: ten rooms in which nothing was read for
/// long. What is left of a page of such rooms counts unseen.
const UNREAD_LOOKS_MAX: usize = 20 * UNREAD_COUNT_MAX;
/// Messages that are looked at for each room all the same: those of most rooms.
const UNREAD_LOOKS_LEAST: usize = 50;
/// Messages of blocked people that are passed over to find the last one to show.
const HIDDEN_MAX: usize = 50;
/// Above every origin.
const LAST_ORIGIN: OriginId = OriginId { node: NodeId([u8::MAX; 16]), incarnation: u64::MAX };

/// Above every place.
const LAST: Pos = Pos { hlc: Hlc(u64::MAX), origin: LAST_ORIGIN, seq: u64::MAX };

/// What somebody has not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Messages, counted up to [`UNREAD_COUNT_MAX`].
    pub messages: usize,
    /// Those among them that name him.
    pub mentions: usize,
}

/// Reads rooms. Not to be held across an await.
pub struct RoomReader {
    /// Messages, and the views of people and rooms, as of the same moment.
    pub messages: MessagesReader,
    quick: ReadOnlyTable<&'static [u8; 10], &'static [u8]>,
    /// How many messages may still be looked at to count the unread of rooms.
    looks: usize,
}

/// Somebody, and whom he has blocked, as far as that was asked.
struct Reader {
    user: UserId,
    blocked: BTreeMap<UserId, bool>,
}

/// Unread messages as they are counted.
struct Count {
    unread: Unread,
    reader: Reader,
    passed_over: usize,
    looks: usize,
}

impl Count {
    fn is_over(&self) -> bool {
        self.unread.messages == UNREAD_COUNT_MAX || self.passed_over == PASSED_OVER_MAX
    }
}

impl Store {
    /// Rooms as they are now.
    pub fn room_reader(&self) -> Result<RoomReader, StoreError> {
        let transaction = self.db.begin_read()?;
        Ok(RoomReader {
            messages: MessagesReader::read(&transaction)?,
            quick: transaction.open_table(tables::ROOMS)?,
            looks: UNREAD_LOOKS_MAX,
        })
    }
}

impl RoomReader {
    /// The views of people and rooms, as of the same moment.
    pub fn records(&self) -> &RecordsReader {
        &self.messages.records
    }

    /// A quick room, if it exists: its name, if it has one.
    pub fn quick_room(&self, room: RoomId) -> Result<Option<Option<RoomName>>, StoreError> {
        let state: Option<RoomState> = apply::get(&self.quick, &room.0)?;
        Ok(state.map(|state| state.name))
    }

    /// The place of the last message of a room that is stamped `as_of` or before.
    pub fn last_place(&self, room: RoomId, as_of: Hlc) -> Result<Option<Pos>, StoreError> {
        self.before(room, Pos { hlc: as_of, ..LAST })?.next().transpose()
    }

    /// The last message of a room that a user is shown: not one of somebody whom he has blocked.
    pub fn last_message(&mut self, room: RoomId, user: UserId) -> Result<Option<ListedMessage>, StoreError> {
        let mut reader = Reader { user, blocked: BTreeMap::new() };
        let mut shown = None;
        for place in self.before(room, LAST)?.take(HIDDEN_MAX) {
            let place = place?;
            if let Some(posted) = self.posted_at(place)?
                && !reader.has_blocked(self.records(), &posted)?
            {
                shown = Some(place);
                break;
            }
        }
        shown.map(|place| self.messages.listed_at(place)).transpose()
    }

    /// The id of the last message at or before a place.
    pub fn message_at_or_before(
        &mut self,
        room: RoomId,
        place: Pos,
    ) -> Result<Option<MessageId>, StoreError> {
        let place = self.before(room, place)?.next().transpose()?;
        let message = place.map(|place| self.messages.listed_at(place)).transpose()?;
        Ok(message.map(|message| message.listed_id))
    }

    /// What a member has not read: what stands behind his mark, and what has come before it since. Without a mark, what
    /// came since he joined. Not his own messages, nor those that were deleted, nor those of people whom he has blocked.
    /// Costs as much as there is unread, whatever there was before, and no more than a bound; the bound of all rooms
    /// that one reader is asked for leaves the rest of theirs unseen, where each message counts.
    pub fn unread(&mut self, room: RoomId, user: UserId, member: &Member) -> Result<Unread, StoreError> {
        let looks = self.looks.max(UNREAD_LOOKS_LEAST);
        let reader = Reader { user, blocked: BTreeMap::new() };
        let mut count = Count { unread: Unread::default(), reader, passed_over: 0, looks };
        self.count_unread(&mut count, room, member)?;
        self.looks = self.looks.saturating_sub(looks - count.looks);
        Ok(count.unread)
    }

    fn count_unread(&self, count: &mut Count, room: RoomId, member: &Member) -> Result<(), StoreError> {
        let mark = self.records().read_mark(count.reader.user, room)?;
        let joined = Pos { hlc: member.since, ..LAST };
        let read = mark.as_ref().map_or(joined, |mark| mark.pos.max(joined));
        let (read, end) = (tables::timeline_key(room, read), tables::timeline_key(room, LAST));
        let behind = (Bound::Excluded(&read), Bound::Included(&end));
        for row in self.messages.timeline.range::<&[u8; 50]>(behind)?.rev() {
            self.count(count, room, tables::timeline_pos(row?.0.value()))?;
            if count.is_over() {
                return Ok(());
            }
        }
        let Some(mark) = mark else { return Ok(()) };
        let mut rows = 0;
        let scope = Scope::room(room);
        let end = tables::scope_key(&scope, LAST_ORIGIN, u64::MAX);
        let mut from = tables::scope_beginning(&scope);
        // From each origin that has written here to the next: what was seen of it is skipped.
        while let Some(row) = self.messages.scopes.range::<&[u8]>(&from[..]..=&end[..])?.next().transpose()? {
            let (origin, _) = scope_row(row.0.value())?;
            let first = tables::scope_key(&scope, origin, mark.seen.get(origin).saturating_add(1));
            let last = tables::scope_key(&scope, origin, u64::MAX);
            for row in self.messages.scopes.range::<&[u8]>(&first[..]..=&last[..])? {
                let (key, hlc) = row?;
                let place = Pos { hlc: Hlc(hlc.value()), origin, seq: scope_row(key.value())?.1 };
                // What was marked was read, even if the vector was given before it came.
                let late = joined < place && place < mark.pos;
                if late && self.messages.timeline.get(&tables::timeline_key(room, place))?.is_some() {
                    self.count(count, room, place)?;
                }
                rows += 1;
                if rows == UNREAD_COUNT_MAX + 2 * PASSED_OVER_MAX || count.is_over() {
                    return Ok(());
                }
            }
            from = [&last[..], &[0]].concat();
        }
        Ok(())
    }

    /// Counts a listed message, if it counts.
    fn count(&self, count: &mut Count, room: RoomId, place: Pos) -> Result<(), StoreError> {
        let Count { unread, reader, passed_over, looks } = count;
        if *looks == 0 {
            unread.messages += 1;
            return Ok(());
        }
        *looks -= 1;
        let posted = self.posted_at(place)?.filter(|posted| posted.text.is_some());
        let theirs = posted.filter(|posted| posted.sender.user() != Some(reader.user));
        match theirs {
            Some(posted) if !reader.has_blocked(self.records(), &posted)? => {
                unread.messages += 1;
                unread.mentions += usize::from(self.messages.names(room, &posted, reader.user)?);
            }
            _ => *passed_over += 1,
        }
        Ok(())
    }

    /// Places of listed messages, from one on back in time.
    fn before(
        &self,
        room: RoomId,
        place: Pos,
    ) -> Result<impl Iterator<Item = Result<Pos, StoreError>> + use<>, StoreError> {
        let (first, last) = (tables::timeline_key(room, Pos::MIN), tables::timeline_key(room, place));
        let rows = self.messages.timeline.range::<&[u8; 50]>(&first..=&last)?;
        Ok(rows.rev().map(|row| Ok(tables::timeline_pos(row?.0.value()))))
    }

    fn posted_at(&self, place: Pos) -> Result<Option<MessagePosted>, StoreError> {
        let Some(bytes) = self.messages.log.get(&tables::log_key(place.origin, place.seq))? else {
            return Ok(None);
        };
        Ok(match Event::decode(Bytes::copy_from_slice(bytes.value()))?.body {
            EventBody::MessagePosted(posted) => Some(posted),
            _ => None,
        })
    }
}

impl Reader {
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

fn scope_row(key: &[u8]) -> Result<(OriginId, u64), StoreError> {
    tables::parse_scope_key(key).ok_or_else(|| StoreError::Corrupt("a scope key is too short".into()))
}
