//! What services read: pages of a room, what lies beyond a cursor, ranges of the log for peers.
//! Each call is one short read transaction; none is held across an await.

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase};
use starling_protocol::{
    Event, EventBody, GuestId, GuestName, Hlc, OriginId, Pos, RoomId, Scope, Sender, VersionVector,
    frame::client::ListedMessage,
    limits::EVENTS_CHUNK_BYTES_MAX,
    merge::{
        guest_name::Standing,
        message::{self, IdHolder, MessageState},
        room::RoomState,
    },
};

use super::{Store, StoreError, apply, names::NamesReader, records::RecordsReader, tables};

/// Part of a room's timeline, newest first.
#[derive(Debug)]
pub struct Page {
    /// The messages.
    pub messages: Vec<ListedMessage>,
    /// Whether there are earlier ones.
    pub more: bool,
}

/// The tables that give a listed message at a place.
pub(super) struct Listing {
    pub(super) log: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    ids: ReadOnlyTable<&'static [u8; 16], &'static [u8]>,
    messages: ReadOnlyTable<&'static [u8; 33], &'static [u8]>,
    names: NamesReader,
    pub(super) records: RecordsReader,
    /// The names found so far: one look-up for each guest and name, however many messages.
    shown: Vec<(RoomId, Sender, String)>,
}

impl Store {
    /// The room, if it exists.
    pub fn room(&self, room: RoomId) -> Result<Option<RoomState>, StoreError> {
        apply::get(&self.db.begin_read()?.open_table(tables::ROOMS)?, &room.0)
    }

    /// Whether the log holds the event at a place.
    pub fn holds(&self, pos: Pos) -> Result<bool, StoreError> {
        let log = self.db.begin_read()?.open_table(tables::LOG)?;
        let Some(bytes) = log.get(&tables::log_key(pos.origin, pos.seq))? else { return Ok(false) };
        Ok(Event::decode(Bytes::copy_from_slice(bytes.value()))?.hlc == pos.hlc)
    }

    /// Messages of a room before a place, newest first; only those of commits up to `within`, if given.
    pub fn page(
        &self,
        room: RoomId,
        before: Option<Pos>,
        limit: usize,
        within: Option<&VersionVector>,
    ) -> Result<Page, StoreError> {
        let transaction = self.db.begin_read()?;
        let mut listing = Listing::of(&transaction)?;
        let timeline = transaction.open_table(tables::TIMELINE)?;
        let from = tables::timeline_key(room, Pos::MIN);
        let to = before.map_or_else(|| timeline_end(room), |before| tables::timeline_key(room, before));
        let mut page = Page { messages: Vec::new(), more: false };
        for entry in timeline.range::<&[u8; 50]>(&from..&to)?.rev() {
            let pos = tables::timeline_pos(entry?.0.value());
            if within.is_some_and(|vector| !vector.contains(pos.origin, pos.seq)) {
                continue;
            }
            if page.messages.len() == limit {
                page.more = true;
                break;
            }
            page.messages.extend(listing.at(pos)?);
        }
        Ok(page)
    }

    /// The places of a room's messages that are within `to` and beyond `from`, in order. Places of messages that
    /// were listed elsewhere since are among them. `None` if there are more than `limit`.
    pub fn beyond(
        &self,
        room: RoomId,
        from: &VersionVector,
        to: &VersionVector,
        limit: usize,
    ) -> Result<Option<Vec<Pos>>, StoreError> {
        let scopes = self.db.begin_read()?.open_table(tables::SCOPES)?;
        let scope = Scope::room(room);
        let mut places = Vec::new();
        for (origin, head) in to.beyond(from) {
            let first = tables::scope_key(&scope, origin, from.get(origin) + 1);
            let last = tables::scope_key(&scope, origin, head);
            for entry in scopes.range(&first[..]..=&last[..])? {
                let (key, hlc) = entry?;
                let (origin, seq) = tables::parse_scope_key(key.value())
                    .ok_or_else(|| StoreError::Corrupt("a scope key is too short".into()))?;
                places.push(Pos { hlc: Hlc(hlc.value()), origin, seq });
                if places.len() > limit {
                    return Ok(None);
                }
            }
        }
        places.sort_unstable();
        Ok(Some(places))
    }

    /// The listed messages at these places; places at which none is listed give nothing.
    pub fn messages_at(&self, places: &[Pos]) -> Result<Vec<ListedMessage>, StoreError> {
        let mut listing = Listing::of(&self.db.begin_read()?)?;
        places.iter().filter_map(|&pos| listing.at(pos).transpose()).collect()
    }

    /// How a guest stands under a name, if he ever claimed it.
    pub fn standing(
        &self,
        room: RoomId,
        name: &GuestName,
        guest: GuestId,
    ) -> Result<Option<Standing>, StoreError> {
        NamesReader::read(&self.db.begin_read()?)?.standing(room, name, guest)
    }

    /// Encoded events of an origin, from `from` to `to` at most, as many as fit a chunk.
    pub fn range(&self, origin: OriginId, from: u64, to: u64) -> Result<Vec<Bytes>, StoreError> {
        let log = self.db.begin_read()?.open_table(tables::LOG)?;
        let (first, last) = (tables::log_key(origin, from), tables::log_key(origin, to.max(from)));
        let mut events = Vec::new();
        let mut bytes = 0;
        for entry in log.range::<&[u8; 32]>(&first..=&last)? {
            let event = Bytes::copy_from_slice(entry?.1.value());
            bytes += event.len();
            if bytes > EVENTS_CHUNK_BYTES_MAX && !events.is_empty() {
                break;
            }
            events.push(event);
        }
        Ok(events)
    }

    /// The greatest stamp among the heads of the log. (Stamps within an origin need not rise, so this is a lower
    /// bound; it only ever moves a clock forward.)
    pub(super) fn greatest(&self, vector: &VersionVector) -> Result<Hlc, StoreError> {
        let log = self.db.begin_read()?.open_table(tables::LOG)?;
        let mut greatest = Hlc::default();
        for (origin, seq) in vector.iter() {
            if let Some(bytes) = log.get(&tables::log_key(origin, seq))? {
                greatest = greatest.max(Event::decode(Bytes::copy_from_slice(bytes.value()))?.hlc);
            }
        }
        Ok(greatest)
    }
}

impl Listing {
    pub(super) fn of(transaction: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            log: transaction.open_table(tables::LOG)?,
            ids: transaction.open_table(tables::MESSAGE_IDS)?,
            messages: transaction.open_table(tables::MESSAGES)?,
            names: NamesReader::read(transaction)?,
            records: RecordsReader::read(transaction)?,
            shown: Vec::new(),
        })
    }

    /// The message listed at a place; `None` if the event there is no message, or one that an earlier post replaced.
    pub(super) fn at(&mut self, pos: Pos) -> Result<Option<ListedMessage>, StoreError> {
        let Some(bytes) = self.log.get(&tables::log_key(pos.origin, pos.seq))? else { return Ok(None) };
        let event = Event::decode(Bytes::copy_from_slice(bytes.value()))?;
        let EventBody::MessagePosted(posted) = event.body else { return Ok(None) };
        let sender = posted.sender.key();
        let state: Option<MessageState> =
            apply::get(&self.messages, &tables::message_key(sender, posted.id))?;
        let Some(MessageState { room, .. }) = state.filter(|state| state.pos() == pos) else {
            return Ok(None);
        };
        let holder: Option<IdHolder> = apply::get(&self.ids, posted.id.as_bytes())?;
        let listed_id = holder.map_or(posted.id, |holder| message::listed_id(&holder, sender, posted.id));
        let shown = self.shown(room, &posted.sender)?;
        Ok(Some(ListedMessage { listed_id, pos, shown, posted }))
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
}

/// Behind the last message of a room.
fn timeline_end(room: RoomId) -> [u8; 50] {
    let mut key = [u8::MAX; 50];
    key[..10].copy_from_slice(&room.0);
    key
}
