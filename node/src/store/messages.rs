//! Reads messages by position, by id and by page, with their edits, as of one read transaction.

use std::ops::Bound;

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};
use starling_protocol::{
    Event, EventBody, Hlc, MessageId, Pos, RoomId, Scope, Sender, UserId, VersionVector,
    event::{MessageEdited, MessageKey, MessagePosted},
    frame::client::ListedMessage,
    merge::message::{self, MessageState},
};

use super::{
    StoreError,
    message_ids::{MessageIds, MessageIdsReader},
    names::NamesReader,
    records::{Records, RecordsReader, Rows},
    tables,
};

/// A page is cut short after this many hidden messages.
const PASSED_OVER_MAX: usize = 2_000;

/// Reads messages within one transaction. Never hold it across an await.
pub struct MessagesReader {
    pub(super) log: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    pub(super) timeline: ReadOnlyTable<&'static [u8; 50], ()>,
    ids: MessageIdsReader,
    pub(super) scopes: ReadOnlyTable<&'static [u8], u64>,
    names: NamesReader,
    /// Users and their rooms, in the same transaction.
    pub records: RecordsReader,
    /// Cache of shown names: one look-up per sender, not per message.
    shown: Vec<(RoomId, Sender, String)>,
}

/// A part of a room's timeline.
#[derive(Debug)]
pub struct TimelineSlice {
    /// Its messages, in the direction of the read.
    pub messages: Vec<ListedMessage>,
    /// The position after which to continue, if there may be more.
    pub next: Option<Pos>,
}

/// The direction in which a timeline is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the newest to the oldest.
    Backward,
    /// From the oldest to the newest.
    Forward,
}

/// Returns the key of the message that is listed under an id. Of several senders that used one id, the first holds it;
/// the others are listed under derived ids.
pub fn key_of<I, T: Rows>(
    ids: &MessageIds<I>,
    records: &Records<T>,
    listed_id: MessageId,
) -> Result<Option<MessageKey>, StoreError>
where
    I: ReadableTable<&'static [u8; 33], &'static [u8]>,
{
    match ids.holder(listed_id)? {
        Some(key) => Ok(Some(key)),
        None => records.derived(listed_id),
    }
}

impl MessagesReader {
    pub(super) fn read(transaction: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            log: transaction.open_table(tables::LOG)?,
            timeline: transaction.open_table(tables::TIMELINE)?,
            ids: MessageIdsReader::read(transaction)?,
            scopes: transaction.open_table(tables::SCOPES)?,
            names: NamesReader::read(transaction)?,
            records: RecordsReader::read(transaction)?,
            shown: Vec::new(),
        })
    }

    /// Reads the event at a position of the log.
    pub fn event(&self, pos: Pos) -> Result<Option<Event>, StoreError> {
        let Some(bytes) = self.log.get(&tables::log_key(pos.origin, pos.seq))? else { return Ok(None) };
        Ok(Some(Event::decode(Bytes::copy_from_slice(bytes.value()))?))
    }

    /// Reads the message at a position; `None` if the event there is no message, or an earlier post replaced it.
    pub fn find_at(&mut self, pos: Pos) -> Result<Option<ListedMessage>, StoreError> {
        let Some(EventBody::MessagePosted(posted)) = self.event(pos)?.map(|event| event.body) else {
            return Ok(None);
        };
        let MessageKey { sender, id } = posted.key();
        let posts = self.ids.with_id(id)?;
        let Some((_, state)) = posts.iter().find(|(by, state)| *by == sender && state.pos() == pos) else {
            return Ok(None);
        };
        let listed_id =
            message::id_holder(&posts).map_or(id, |holder| message::listed_id(holder, sender, id));
        let shown = self.shown(state.room, &posted.sender)?;
        Ok(Some(ListedMessage { listed_id, pos, shown, posted }))
    }

    /// Reads the message at a position of the timeline; fails if it isn't in the log, so that no list silently lacks one.
    pub(super) fn read_listed_at(&mut self, pos: Pos) -> Result<ListedMessage, StoreError> {
        let missing = || StoreError::Corrupt("a listed message is not in the log".into());
        self.find_at(pos)?.ok_or_else(missing)
    }

    /// Reads a message and its room.
    pub fn message(&mut self, key: MessageKey) -> Result<Option<(RoomId, ListedMessage)>, StoreError> {
        let Some(state) = self.state(key)? else { return Ok(None) };
        Ok(self.find_at(state.pos())?.map(|message| (state.room, message)))
    }

    /// Reads the message that is listed under an id, and its room.
    pub fn find_by_listed_id(
        &mut self,
        id: MessageId,
    ) -> Result<Option<(RoomId, ListedMessage)>, StoreError> {
        match key_of(&self.ids, &self.records, id)? {
            Some(key) => self.message(key),
            None => Ok(None),
        }
    }

    /// Reads the state of a message, if it was posted.
    pub fn state(&self, key: MessageKey) -> Result<Option<MessageState>, StoreError> {
        self.ids.state(key)
    }

    /// Returns the id under which a message is listed.
    pub fn listed_id(&self, key: MessageKey) -> Result<MessageId, StoreError> {
        let holder = self.ids.holder(key.id)?;
        Ok(holder.map_or(key.id, |holder| message::listed_id(holder.sender, key.sender, key.id)))
    }

    fn shown(&mut self, room: RoomId, sender: &Sender) -> Result<String, StoreError> {
        if let Some((.., shown)) = self.shown.iter().find(|known| (known.0, &known.1) == (room, sender)) {
            return Ok(shown.clone());
        }
        let shown = match sender {
            Sender::Guest { id, name } => self.names.shown(room, *id, name)?,
            Sender::User(user) | Sender::Bot(user) => self.records.username(*user)?.unwrap_or_default(),
            Sender::Hook { name, .. } => name.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        self.shown.push((room, sender.clone(), shown.clone()));
        Ok(shown)
    }

    /// Reads the text and time of a message's last edit; `None` if it was never edited, or is erased.
    pub fn edited(&self, room: RoomId, key: MessageKey) -> Result<Option<(String, Hlc)>, StoreError> {
        let Some(pos) = self.records.last_edit(room, key)? else { return Ok(None) };
        let Some(EventBody::MessageEdited(edited)) = self.event(pos)?.map(|event| event.body) else {
            return Err(StoreError::Corrupt("an edit is not in the log".into()));
        };
        Ok(edited.text.map(|text| (text.as_str().to_owned(), pos.hlc)))
    }

    /// Whether a message mentions a user. The last edit that has mentions counts, otherwise the post.
    pub fn mentions_user(
        &self,
        room: RoomId,
        posted: &MessagePosted,
        user: UserId,
    ) -> Result<bool, StoreError> {
        let edit = self.records.last_edit(room, posted.key())?;
        let edited = edit.map_or(Ok(None), |pos| self.event(pos))?;
        Ok(match edited.map(|event| event.body) {
            Some(EventBody::MessageEdited(MessageEdited { mentions: Some(mentions), .. })) => {
                mentions.contains(&user)
            }
            _ => posted.mentions.contains(&user),
        })
    }

    /// Returns the position of the last message of a room.
    pub fn last_pos(&self, room: RoomId) -> Result<Option<Pos>, StoreError> {
        let (first, last) = (tables::timeline_key(room, Pos::MIN), tables::timeline_end(room));
        let last = self.timeline.range::<&[u8; 50]>(&first..&last)?.next_back().transpose()?;
        Ok(last.map(|(key, _)| tables::timeline_pos(key.value())))
    }

    /// Reads up to `limit` messages of a room between two positions, without those that `hides` selects.
    pub fn read_slice(
        &mut self,
        room: RoomId,
        between: (Bound<Pos>, Bound<Pos>),
        direction: Direction,
        limit: usize,
        hides: impl Fn(&RecordsReader, &ListedMessage) -> Result<bool, StoreError>,
    ) -> Result<TimelineSlice, StoreError> {
        let (begin, end) = ([0; Pos::BYTES], [u8::MAX; Pos::BYTES]);
        let key = |bound: Bound<Pos>, open: [u8; Pos::BYTES]| match bound {
            Bound::Included(pos) => Bound::Included(tables::timeline_key(room, pos)),
            Bound::Excluded(pos) => Bound::Excluded(tables::timeline_key(room, pos)),
            Bound::Unbounded => Bound::Included(tables::timeline_key(room, Pos::from_bytes(open))),
        };
        let (from, to) = (key(between.0, begin), key(between.1, end));
        let mut range = self.timeline.range::<&[u8; 50]>((from.as_ref(), to.as_ref()))?;
        let mut slice = TimelineSlice { messages: Vec::new(), next: None };
        let (mut last, mut looked_at) = (None, 0);
        while let Some(entry) = match direction {
            Direction::Backward => range.next_back(),
            Direction::Forward => range.next(),
        } {
            if slice.messages.len() == limit || looked_at == limit + PASSED_OVER_MAX {
                slice.next = last;
                break;
            }
            let pos = tables::timeline_pos(entry?.0.value());
            (last, looked_at) = (Some(pos), looked_at + 1);
            let message = self.read_listed_at(pos)?;
            if !hides(&self.records, &message)? {
                slice.messages.push(message);
            }
        }
        Ok(slice)
    }

    /// Returns, for each origin, the position of its last event in the room that the vector covers.
    pub fn last_events_in(
        &self,
        room: RoomId,
        from: &VersionVector,
        to: &VersionVector,
    ) -> Result<Vec<Pos>, StoreError> {
        let scope = Scope::room(room);
        let mut written = Vec::new();
        for (origin, head) in to.beyond(from) {
            let first = tables::scope_key(&scope, origin, from.get(origin).next());
            let last = tables::scope_key(&scope, origin, head);
            if let Some(entry) = self.scopes.range(&first[..]..=&last[..])?.next_back() {
                let (key, hlc) = entry?;
                let pos = tables::parse_scope_key(key.value());
                written.extend(pos.map(|(origin, seq)| Pos { hlc: Hlc(hlc.value()), origin, seq }));
            }
        }
        Ok(written)
    }
}
