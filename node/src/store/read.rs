//! Reads for services and peers: pages of a room, the events after a cursor, ranges of the log. Each call is one short
//! read transaction; none is held across an await.

use bytes::Bytes;
use redb::ReadableDatabase;
use starling_protocol::{
    Event, GuestId, GuestName, Hlc, OriginId, Pos, RoomId, Scope, Seq, VersionVector,
    frame::client::ListedMessage,
    limits::EVENTS_CHUNK_BYTES_MAX,
    merge::{guest_name::NameClaim, room::QuickRoomState},
};

use super::{MessagesReader, Store, StoreError, apply, names::NamesReader, tables};

/// A page of a room's timeline, newest first.
#[derive(Debug)]
pub struct Page {
    /// The messages.
    pub messages: Vec<ListedMessage>,
    /// Whether there are earlier messages.
    pub more: bool,
}

impl Store {
    /// Reads a quick room, if it exists.
    pub fn quick_room(&self, room: RoomId) -> Result<Option<QuickRoomState>, StoreError> {
        apply::get(&self.db.begin_read()?.open_table(tables::QUICK_ROOMS)?, &room.0)
    }

    /// Whether the log holds the event at a position.
    pub fn holds(&self, pos: Pos) -> Result<bool, StoreError> {
        let log = self.db.begin_read()?.open_table(tables::LOG)?;
        let Some(bytes) = log.get(&tables::log_key(pos.origin, pos.seq))? else { return Ok(false) };
        Ok(Event::decode(Bytes::copy_from_slice(bytes.value()))?.hlc == pos.hlc)
    }

    /// Opens a reader of messages in a new read transaction. Never hold it across an await.
    pub fn messages(&self) -> Result<MessagesReader, StoreError> {
        MessagesReader::read(&self.db.begin_read()?)
    }

    /// Reads the messages of a room before a position, newest first; only those of commits up to `within`, if given.
    pub fn page(
        &self,
        room: RoomId,
        before: Option<Pos>,
        limit: usize,
        within: Option<&VersionVector>,
    ) -> Result<Page, StoreError> {
        let transaction = self.db.begin_read()?;
        let mut listing = MessagesReader::read(&transaction)?;
        let timeline = transaction.open_table(tables::TIMELINE)?;
        let from = tables::timeline_key(room, Pos::MIN);
        let to =
            before.map_or_else(|| tables::timeline_end(room), |before| tables::timeline_key(room, before));
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
            page.messages.push(listing.read_listed_at(pos)?);
        }
        Ok(page)
    }

    /// Returns the positions of a scope's events beyond `from` and up to `to`, in order; some may belong to messages
    /// that moved in the list since. `None` if there are more than `limit`.
    pub fn scope_events_after(
        &self,
        scope: &Scope,
        from: &VersionVector,
        to: &VersionVector,
        limit: usize,
    ) -> Result<Option<Vec<Pos>>, StoreError> {
        let scopes = self.db.begin_read()?.open_table(tables::SCOPES)?;
        let mut positions = Vec::new();
        for (origin, head) in to.beyond(from) {
            let first = tables::scope_key(scope, origin, from.get(origin).next());
            let last = tables::scope_key(scope, origin, head);
            for entry in scopes.range(&first[..]..=&last[..])? {
                let (key, hlc) = entry?;
                let (origin, seq) = tables::parse_scope_key(key.value())
                    .ok_or_else(|| StoreError::Corrupt("a scope key is too short".into()))?;
                positions.push(Pos { hlc: Hlc(hlc.value()), origin, seq });
                if positions.len() > limit {
                    return Ok(None);
                }
            }
        }
        positions.sort_unstable();
        Ok(Some(positions))
    }

    /// Reads the listed messages at these positions; leaves out positions without one.
    pub fn messages_at(&self, positions: &[Pos]) -> Result<Vec<ListedMessage>, StoreError> {
        let mut listing = self.messages()?;
        positions.iter().filter_map(|&pos| listing.find_at(pos).transpose()).collect()
    }

    /// Reads a guest's claim to a name, if they ever claimed it.
    pub fn name_claim(
        &self,
        room: RoomId,
        name: &GuestName,
        guest: GuestId,
    ) -> Result<Option<NameClaim>, StoreError> {
        NamesReader::read(&self.db.begin_read()?)?.name_claim(room, name, guest)
    }

    /// Reads encoded events of an origin from `from` to `to`, as many as fit a chunk.
    pub fn read_events(&self, origin: OriginId, from: Seq, to: Seq) -> Result<Vec<Bytes>, StoreError> {
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

    /// Returns the greatest stamp among the heads of the log. Stamps within an origin need not rise, so this is a lower
    /// bound; it only ever moves a clock forward.
    pub(super) fn greatest_head_hlc(&self, vector: &VersionVector) -> Result<Hlc, StoreError> {
        let log = self.db.begin_read()?.open_table(tables::LOG)?;
        let mut greatest = Hlc::default();
        // A fold was stamped after the events that it covers.
        let folded = vector.base().map(|base| base.event());
        for (origin, seq) in vector.difference().chain(folded) {
            if let Some(bytes) = log.get(&tables::log_key(origin, seq))? {
                greatest = greatest.max(Event::decode(Bytes::copy_from_slice(bytes.value()))?.hlc);
            }
        }
        Ok(greatest)
    }
}
