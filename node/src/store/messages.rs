//! Messages as they are listed: by place, by id, by page; with what was done to them since. As of one read transaction.

use std::ops::Bound;

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};
use starling_protocol::{
    Event, EventBody, Hlc, MessageId, Pos, RoomId, Scope, Sender, UserId, VersionVector,
    event::{MessageEdited, MessageKey, MessagePosted},
    frame::client::ListedMessage,
    merge::message::{self, IdHolder, MessageState},
};

use super::{
    StoreError, apply,
    names::NamesReader,
    records::{Records, RecordsReader, Rows},
    tables,
};

/// Messages that are passed over for one page, at most: it is shorter then.
const PASSED_OVER_MAX: usize = 2_000;

/// The tables in which messages are found. Not to be held across an await, as no transaction is.
pub struct MessagesReader {
    pub(super) log: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    pub(super) timeline: ReadOnlyTable<&'static [u8; 50], ()>,
    ids: ReadOnlyTable<&'static [u8; 16], &'static [u8]>,
    messages: ReadOnlyTable<&'static [u8; 33], &'static [u8]>,
    pub(super) scopes: ReadOnlyTable<&'static [u8], u64>,
    names: NamesReader,
    /// People and rooms of members, as of the same moment.
    pub records: RecordsReader,
    /// The names found so far: one look-up for each guest and name, however many messages.
    shown: Vec<(RoomId, Sender, String)>,
}

/// A part of a room's timeline.
#[derive(Debug)]
pub struct Stretch {
    /// Its messages, in the order in which they were looked for.
    pub messages: Vec<ListedMessage>,
    /// Behind which place to go on, if there may be more.
    pub next: Option<Pos>,
}

/// Which way a timeline is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the newest to the oldest.
    Back,
    /// From the oldest to the newest.
    Forth,
}

/// The key of the message that is listed under an id: its holder's, or that of a later sender's.
pub fn key_of<T: Rows>(
    ids: &impl ReadableTable<&'static [u8; 16], &'static [u8]>,
    records: &Records<T>,
    listed_id: MessageId,
) -> Result<Option<MessageKey>, StoreError> {
    let holder: Option<IdHolder> = apply::get(ids, listed_id.as_bytes())?;
    match holder {
        Some(holder) => Ok(Some(MessageKey { sender: holder.sender, id: listed_id })),
        None => records.derived(listed_id),
    }
}

impl MessagesReader {
    pub(super) fn read(transaction: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            log: transaction.open_table(tables::LOG)?,
            timeline: transaction.open_table(tables::TIMELINE)?,
            ids: transaction.open_table(tables::MESSAGE_IDS)?,
            messages: transaction.open_table(tables::MESSAGES)?,
            scopes: transaction.open_table(tables::SCOPES)?,
            names: NamesReader::read(transaction)?,
            records: RecordsReader::read(transaction)?,
            shown: Vec::new(),
        })
    }

    /// The event that the log holds at a place.
    pub fn event(&self, pos: Pos) -> Result<Option<Event>, StoreError> {
        let Some(bytes) = self.log.get(&tables::log_key(pos.origin, pos.seq))? else { return Ok(None) };
        Ok(Some(Event::decode(Bytes::copy_from_slice(bytes.value()))?))
    }

    /// The message listed at a place; `None` if the event there is no message, or one that an earlier post replaced.
    pub fn at(&mut self, pos: Pos) -> Result<Option<ListedMessage>, StoreError> {
        let Some(EventBody::MessagePosted(posted)) = self.event(pos)?.map(|event| event.body) else {
            return Ok(None);
        };
        match self.state(posted.key())?.filter(|state| state.pos() == pos) {
            Some(state) => self.listed(&state, posted).map(Some),
            None => Ok(None),
        }
    }

    /// The message at a place of the timeline: a list is never shorter because one cannot be found.
    pub(super) fn listed_at(&mut self, pos: Pos) -> Result<ListedMessage, StoreError> {
        let missing = || StoreError::Corrupt("a listed message is not in the log".into());
        self.at(pos)?.ok_or_else(missing)
    }

    /// A message, with its room.
    pub fn of(&mut self, key: MessageKey) -> Result<Option<(RoomId, ListedMessage)>, StoreError> {
        let Some(state) = self.state(key)? else { return Ok(None) };
        Ok(self.at(state.pos())?.map(|message| (state.room, message)))
    }

    /// The message that is listed under an id, with its room.
    pub fn listed_as(&mut self, id: MessageId) -> Result<Option<(RoomId, ListedMessage)>, StoreError> {
        match key_of(&self.ids, &self.records, id)? {
            Some(key) => self.of(key),
            None => Ok(None),
        }
    }

    /// Where a message stands, if it was posted.
    pub fn state(&self, key: MessageKey) -> Result<Option<MessageState>, StoreError> {
        apply::get(&self.messages, &key.to_bytes())
    }

    fn listed(&mut self, state: &MessageState, posted: MessagePosted) -> Result<ListedMessage, StoreError> {
        let (pos, listed_id) = (state.pos(), self.listed_id(posted.key())?);
        let shown = self.shown(state.room, &posted.sender)?;
        Ok(ListedMessage { listed_id, pos, shown, posted })
    }

    /// The id under which a message is listed.
    pub fn listed_id(&self, key: MessageKey) -> Result<MessageId, StoreError> {
        let holder: Option<IdHolder> = apply::get(&self.ids, key.id.as_bytes())?;
        Ok(holder.map_or(key.id, |holder| message::listed_id(&holder, key.sender, key.id)))
    }

    fn shown(&mut self, room: RoomId, sender: &Sender) -> Result<String, StoreError> {
        if let Some((.., shown)) = self.shown.iter().find(|known| (known.0, &known.1) == (room, sender)) {
            return Ok(shown.clone());
        }
        let shown = match sender {
            Sender::Guest { id, name } => self.names.shown(room, *id, name)?,
            Sender::User(user) => self.records.username(*user)?.unwrap_or_default(),
        };
        self.shown.push((room, sender.clone(), shown.clone()));
        Ok(shown)
    }

    /// What a message says since its last edit, and when that was; nothing if it was never edited, or is erased.
    pub fn edited(&self, room: RoomId, key: MessageKey) -> Result<Option<(String, Hlc)>, StoreError> {
        let Some(pos) = self.records.last_edit(room, key)? else { return Ok(None) };
        let Some(EventBody::MessageEdited(edited)) = self.event(pos)?.map(|event| event.body) else {
            return Err(StoreError::Corrupt("an edit is not in the log".into()));
        };
        Ok(edited.text.map(|text| (text.as_str().to_owned(), pos.hlc)))
    }

    /// Whether a message names a user: as its last edit says, or else as it was posted.
    pub fn names(&self, room: RoomId, posted: &MessagePosted, user: UserId) -> Result<bool, StoreError> {
        let edit = self.records.last_edit(room, posted.key())?;
        let edited = edit.map_or(Ok(None), |pos| self.event(pos))?;
        Ok(match edited.map(|event| event.body) {
            Some(EventBody::MessageEdited(MessageEdited { mentions: Some(mentions), .. })) => {
                mentions.contains(&user)
            }
            _ => posted.mentions.contains(&user),
        })
    }

    /// The place of the last message of a room.
    pub fn last_place(&self, room: RoomId) -> Result<Option<Pos>, StoreError> {
        let (first, last) = (tables::timeline_key(room, Pos::MIN), tables::timeline_end(room));
        let last = self.timeline.range::<&[u8; 50]>(&first..&last)?.next_back().transpose()?;
        Ok(last.map(|(key, _)| tables::timeline_pos(key.value())))
    }

    /// So many messages of a room between two places, in one direction, without those that `hides` tells.
    pub fn stretch(
        &mut self,
        room: RoomId,
        between: (Bound<Pos>, Bound<Pos>),
        direction: Direction,
        limit: usize,
        hides: impl Fn(&RecordsReader, &ListedMessage) -> Result<bool, StoreError>,
    ) -> Result<Stretch, StoreError> {
        let (begin, end) = ([0; Pos::BYTES], [u8::MAX; Pos::BYTES]);
        let key = |bound: Bound<Pos>, open: [u8; Pos::BYTES]| match bound {
            Bound::Included(pos) => Bound::Included(tables::timeline_key(room, pos)),
            Bound::Excluded(pos) => Bound::Excluded(tables::timeline_key(room, pos)),
            Bound::Unbounded => Bound::Included(tables::timeline_key(room, Pos::from_bytes(open))),
        };
        let (from, to) = (key(between.0, begin), key(between.1, end));
        let mut range = self.timeline.range::<&[u8; 50]>((from.as_ref(), to.as_ref()))?;
        let mut stretch = Stretch { messages: Vec::new(), next: None };
        let (mut last, mut looked_at) = (None, 0);
        while let Some(entry) = match direction {
            Direction::Back => range.next_back(),
            Direction::Forth => range.next(),
        } {
            if stretch.messages.len() == limit || looked_at == limit + PASSED_OVER_MAX {
                stretch.next = last;
                break;
            }
            let pos = tables::timeline_pos(entry?.0.value());
            (last, looked_at) = (Some(pos), looked_at + 1);
            let message = self.listed_at(pos)?;
            if !hides(&self.records, &message)? {
                stretch.messages.push(message);
            }
        }
        Ok(stretch)
    }

    /// Of what a vector covers, the place of the last event of each origin that wrote in a room.
    pub fn written_in(&self, room: RoomId, vector: &VersionVector) -> Result<Vec<Pos>, StoreError> {
        let scope = Scope::room(room);
        let mut written = Vec::new();
        for (origin, head) in vector.iter() {
            let (first, last) =
                (tables::scope_key(&scope, origin, 1), tables::scope_key(&scope, origin, head));
            if let Some(entry) = self.scopes.range(&first[..]..=&last[..])?.next_back() {
                let (key, hlc) = entry?;
                let place = tables::parse_scope_key(key.value());
                written.extend(place.map(|(origin, seq)| Pos { hlc: Hlc(hlc.value()), origin, seq }));
            }
        }
        Ok(written)
    }
}
