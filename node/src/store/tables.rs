//! Every table of the store, with its keys and values; views can be rebuilt. Only `store` opens them. Records are
//! encoded by `protocol`'s codec; keys are bytes that sort.

use redb::TableDefinition;
use starling_protocol::{
    GuestId, GuestName, Hlc, MessageId, MessageKey, OriginId, Pos, RoomId, Scope, Seq, event::SenderKey,
};

/// Facts about the store itself: `schema_version` (u64, little-endian), `rebuilding` (present while views are
/// being rebuilt, so that an interrupted rebuild goes on), `erased` (counts the commits that erased something),
/// `scrubbed` (what `erased` was when free pages were last overwritten).
pub const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The rebuild of views that is not finished: `plan` → `plan::Plan`.
pub const REBUILD: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rebuild");

/// Zeros of a scrub, which take every free page of the file; empty otherwise.
pub const SCRATCH: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("scratch");

/// Table and key of rows that were erased or shortened since the last scrub: it writes their leaves anew. It belongs to
/// no view, so that a rebuild keeps what concerns the log.
pub const TO_REWRITE: TableDefinition<'_, (&str, &[u8]), ()> = TableDefinition::new("to_rewrite");

/// The log, the only source of truth: origin and seq (big-endian) → the event as its writer encoded it.
pub const LOG: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("log");

/// The version vector, as far as it differs from the fold in [`HEADS_BASE`]: origin → its highest seq in the log; 0 if the
/// fold has the origin and the log lacks it.
pub const HEADS: TableDefinition<'_, &[u8; 24], u64> = TableDefinition::new("heads");

/// The rank of the fold that [`HEADS`] is written over; empty before the first.
pub const HEADS_BASE: TableDefinition<'_, (), &[u8; 24]> = TableDefinition::new("heads_base");

/// All folds of the log, also those that lack a base: rank → the event's origin and seq, and the fold. It belongs to the log.
pub const FOLDS: TableDefinition<'_, &[u8; 24], &[u8]> = TableDefinition::new("folds");

/// View: scope, origin, seq → the event's stamp. A resume reads it: the events of a scope beyond a vector.
pub const SCOPES: TableDefinition<'_, &[u8], u64> = TableDefinition::new("scopes");

/// View: room → `merge::room::QuickRoomState`.
pub const QUICK_ROOMS: TableDefinition<'_, &[u8; 10], &[u8]> = TableDefinition::new("rooms");

/// View: room and position (big-endian) of each listed message; its text is in the log.
pub const TIMELINE: TableDefinition<'_, &[u8; 50], ()> = TableDefinition::new("timeline");

/// View: message id and sender key → `merge::message::MessageState`. The id comes first: those of most clients rise with
/// time, so their rows are added at the end. The earliest row of an id holds it.
pub const MESSAGES: TableDefinition<'_, &[u8; 33], &[u8]> = TableDefinition::new("messages_by_id");

/// View: room, name and guest → the stamp of their first claim of the name there (`merge::guest_name`).
pub const NAME_CLAIMS: TableDefinition<'_, &[u8; 42], &[u8]> = TableDefinition::new("name_claims");

/// View: room, name and the overlap group's start (big-endian) → `merge::guest_name::OverlapGroup`.
pub const NAME_GROUPS: TableDefinition<'_, &[u8; 34], &[u8]> = TableDefinition::new("name_runs");

/// View: scope, view and key → record: see `views`.
pub const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// View without a digest: an index of rows that belong to no scope: see `views`.
pub const INDEX: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("index");

/// View: shard and scope → `ScopeDigest` of the applied events and of the rows of the views above.
pub const DIGESTS: TableDefinition<'_, &[u8], &[u8; 32]> = TableDefinition::new("digests");

/// Key in [`LOG`].
pub fn log_key(origin: OriginId, seq: Seq) -> [u8; 32] {
    let mut key = [0; 32];
    key[..24].copy_from_slice(&origin.to_bytes());
    key[24..].copy_from_slice(&seq.0.to_be_bytes());
    key
}

/// The inverse of [`log_key`].
pub fn parse_log_key(key: &[u8; 32]) -> (OriginId, Seq) {
    let (origin, seq) = key.split_at(24);
    let origin = OriginId::from_bytes(origin.try_into().expect("split at 24"));
    (origin, Seq(u64::from_be_bytes(seq.try_into().expect("8 of 32 remain"))))
}

/// Key in [`SCOPES`]. It holds the length of the scope's id, so that no scope's keys lie among another's.
pub fn scope_key(scope: &Scope, origin: OriginId, seq: Seq) -> Vec<u8> {
    let mut key = scope_beginning(scope);
    key.extend_from_slice(&log_key(origin, seq));
    key
}

/// The prefix of a scope's keys in [`SCOPES`] and [`RECORDS`].
pub fn scope_beginning(scope: &Scope) -> Vec<u8> {
    let length = u8::try_from(scope.id.len()).unwrap_or(u8::MAX);
    let mut key = Vec::with_capacity(2 + scope.id.len() + 32);
    key.extend_from_slice(&[scope.kind, length]);
    key.extend_from_slice(&scope.id);
    key
}

/// The origin and seq at the end of a key of [`SCOPES`].
pub fn parse_scope_key(key: &[u8]) -> Option<(OriginId, Seq)> {
    key.last_chunk::<32>().map(parse_log_key)
}

/// The scope at the beginning of a key of [`SCOPES`].
pub fn parse_scope(key: &[u8]) -> Option<Scope> {
    let (&[kind, length], rest) = key.split_first_chunk()?;
    Some(Scope { kind, id: rest.get(..usize::from(length))?.into() })
}

/// Key in [`TIMELINE`].
pub fn timeline_key(room: RoomId, pos: Pos) -> [u8; 50] {
    let mut key = [0; 50];
    key[..10].copy_from_slice(&room.0);
    key[10..].copy_from_slice(&pos.to_bytes());
    key
}

/// The end of a room's keys in [`TIMELINE`].
pub fn timeline_end(room: RoomId) -> [u8; 50] {
    let mut key = [u8::MAX; 50];
    key[..10].copy_from_slice(&room.0);
    key
}

/// The position in a key of [`TIMELINE`].
pub fn timeline_pos(key: &[u8; 50]) -> Pos {
    Pos::from_bytes(key[10..].try_into().expect("40 of 50 remain"))
}

/// The room in a key of [`TIMELINE`].
pub fn timeline_room(key: &[u8; 50]) -> RoomId {
    RoomId(key[..10].try_into().expect("10 of 50"))
}

/// Key in [`DIGESTS`].
pub fn digest_key(shard: u8, scope: &Scope) -> Vec<u8> {
    [&[shard, scope.kind], &scope.id[..]].concat()
}

/// The scope in a key of [`DIGESTS`].
pub fn parse_digest_key(key: &[u8]) -> Option<Scope> {
    let (&[_shard, kind], id) = key.split_first_chunk()?;
    Some(Scope { kind, id: id.into() })
}

/// Key in [`MESSAGES`].
pub fn message_key(MessageKey { sender, id }: MessageKey) -> [u8; 33] {
    let mut key = [0; 33];
    key[..16].copy_from_slice(id.as_bytes());
    key[16..].copy_from_slice(&sender);
    key
}

/// The sender in a key of [`MESSAGES`].
pub fn message_sender(key: &[u8; 33]) -> SenderKey {
    key[16..].try_into().expect("17 of 33 remain")
}

/// The first and the last key of a message id in [`MESSAGES`].
pub fn message_id_range(id: MessageId) -> [[u8; 33]; 2] {
    [[0; 17], [u8::MAX; 17]].map(|sender| message_key(MessageKey { sender, id }))
}

/// A room and the folded form of a guest name, hashed: keys have one length.
pub type NameKey = [u8; 26];

/// The prefix of a name's keys in [`NAME_CLAIMS`] and [`NAME_GROUPS`].
pub fn guest_name_key(room: RoomId, name: &GuestName) -> NameKey {
    let hash = blake3::derive_key("starling 2026 guest name in a key", name.folded().as_bytes());
    let mut key = [0; 26];
    key[..10].copy_from_slice(&room.0);
    key[10..].copy_from_slice(&hash[..16]);
    key
}

/// Key in [`NAME_CLAIMS`].
pub fn name_claim_key(name: NameKey, guest: GuestId) -> [u8; 42] {
    let mut key = [0; 42];
    key[..26].copy_from_slice(&name);
    key[26..].copy_from_slice(&guest.0);
    key
}

/// Key in [`NAME_GROUPS`].
pub fn name_group_key(name: NameKey, start: Hlc) -> [u8; 34] {
    let mut key = [0; 34];
    key[..26].copy_from_slice(&name);
    key[26..].copy_from_slice(&start.0.to_be_bytes());
    key
}

/// The room in a key of [`NAME_CLAIMS`] or [`NAME_GROUPS`].
pub fn name_room<const N: usize>(key: &[u8; N]) -> RoomId {
    RoomId(key[..10].try_into().expect("keys begin with a room"))
}

const _: () = assert!(size_of::<GuestId>() == 16, "a sender key is a tag and a guest id");
