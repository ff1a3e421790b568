//! Every size limit on what comes from outside, in one place, with its reason.
//! `protocol`, `web` and `node` enforce them; tests try each at, below and above it.

/// Characters in a message body, at most.
pub const MESSAGE_CHARS_MAX: usize = 8_000;
/// Characters in a guest's name, at most, after trimming.
pub const GUEST_NAME_CHARS_MAX: usize = 32;
/// Characters in a room's name, at most, after trimming.
pub const ROOM_NAME_CHARS_MAX: usize = 80;
/// Characters in a user's name, at least and at most.
pub const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 3..=32;
/// Characters in what a user is shown as, at most, after trimming.
pub const DISPLAY_NAME_CHARS_MAX: usize = 64;
/// Characters of what a client says that it is; what is longer is cut.
pub const USER_AGENT_CHARS_MAX: usize = 200;
/// Characters in a language tag, at most: the longest that a tag should have (RFC 5646, 4.4.1).
pub const LANGUAGE_CHARS_MAX: usize = 35;
/// Logins of one account that live at once, at most: the one that was seen least lately ends when another begins.
pub const SESSIONS_MAX: usize = 100;
/// Personal access tokens of one account, at most.
pub const PERSONAL_TOKENS_MAX: usize = 50;
/// Characters in a room's topic, at most, after trimming.
pub const TOPIC_CHARS_MAX: usize = 250;
/// Bytes of an emoji, at most: the longest sequences (families, flags of regions) fit.
pub const EMOJI_BYTES_MAX: usize = 64;
/// Users whom one message may name.
pub const MENTIONS_MAX: usize = 50;
/// Different emoji on one message, at most.
pub const EMOJI_PER_MESSAGE_MAX: usize = 50;
/// Different emoji that one user ever puts on one message, at most: what he takes back stays noted.
pub const EMOJI_PER_USER_MAX: usize = 50;
/// Reactions to one message, at most, those that were taken back among them: all are looked at when one comes.
pub const REACTIONS_PER_MESSAGE_MAX: usize = 1_000;
/// Edits of one message, at most: all of them leave the log when it is deleted.
pub const EDITS_PER_MESSAGE_MAX: usize = 100;
/// Characters in any id that a client sends, at most; ids are opaque and URL-safe.
pub const ID_CHARS_MAX: usize = 64;

/// Bytes in one WebSocket message from a client, at most; beyond it the socket is closed with 1009.
/// The longest body fits however JSON writes it: 8,000 characters are 96,000 bytes as pairs of `\u` escapes.
pub const CLIENT_FRAME_BYTES_MAX: usize = 128 * 1024;
/// Bytes in the body of an HTTP request without files, at most: as of a frame.
pub const REQUEST_BODY_BYTES_MAX: usize = 128 * 1024;
/// Characters in a search for people, at least and at most: fewer would list half of everybody, more is no name.
pub const PEOPLE_SEARCH_CHARS: std::ops::RangeInclusive<usize> = 2..=DISPLAY_NAME_CHARS_MAX;
/// People whom a search finds, at most: whoever is not among them is found by more of his name.
pub const PEOPLE_FOUND_MAX: usize = 20;
/// Items on a page of a list, unless asked otherwise.
pub const PAGE_ITEMS: usize = 50;
/// Items on a page of a list, at most.
pub const PAGE_ITEMS_MAX: usize = 200;
/// Characters in the mark at which a page begins, at most: a few ids, or the longest name of a room and its id.
pub const PAGE_MARK_CHARS_MAX: usize = 1_024;
/// Characters in a sealed cursor, at most. A vector too large for it is answered by a resync.
pub const CURSOR_CHARS_MAX: usize = 4_096;
/// Events that a resume replays, at most; beyond it a client loads afresh (`resync`).
pub const REPLAY_EVENTS_MAX: usize = 10_000;

/// Unread messages of a room that are counted, at most: '999+' is enough to know.
pub const UNREAD_COUNT_MAX: usize = 1_000;
/// Rooms of which one user may be a member, at most; his direct rooms, which his contacts bound, are not counted.
pub const ROOMS_PER_USER_MAX: usize = 500;
/// Members of one room, at most. All of them are looked at once when the room is deleted.
pub const ROOM_MEMBERS_MAX: u32 = 10_000;
/// Users who are banned from one room, at most.
pub const ROOM_BANS_MAX: u32 = 10_000;
/// Invites of one room that are open at a time, at most.
pub const ROOM_INVITES_MAX: usize = 100;
/// Uses that an invite may be limited to, at most; without a limit it has none.
pub const INVITE_USES_MAX: u32 = 10_000;
/// Seconds for which an invite may be limited to hold: a minute to a year; without a limit it holds for ever.
pub const INVITE_EXPIRES_S: std::ops::RangeInclusive<u64> = 60..=31_536_000;

/// Bytes of one encoded event, at most: a full body (32 KB) with room for later kinds.
pub const EVENT_BYTES_MAX: usize = 128 * 1024;
/// Bytes of one record of a view, at most: far above the largest, a read mark of [`READ_MARK_ORIGINS_MAX`] origins.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Origins in one event of a read mark, at most: 34 bytes each, well within an event. A mark of more is several events.
pub const READ_MARK_EVENT_ORIGINS_MAX: usize = 3_000;
/// Events that one read mark is written as, at most; the origins that wrote last in the room go first.
pub const READ_MARK_EVENTS_MAX: usize = 8;
/// Origins that are kept of a read mark, at most; those with the most events.
pub const READ_MARK_ORIGINS_MAX: usize = 65_536;
/// Bytes of one peer frame, at most: a chunk of events (see below) and its envelope.
pub const PEER_FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of events in one commit's push or one pull's answer, at most; above it, another frame.
/// Small enough that a fresh push waits only milliseconds behind a chunk of catching up.
pub const EVENTS_CHUNK_BYTES_MAX: usize = 512 * 1024;
/// Events in one pull request, at most.
pub const PULL_EVENTS_MAX: u64 = 2_000;
/// Characters in the address that a node advertises, at most (a DNS name and a port).
pub const ADDRESS_CHARS_MAX: usize = 270;
/// Addresses that a node advertises, at most: a few networks, each in two address families.
pub const ADDRESSES_MAX: usize = 4;
/// Addresses from which a node was heard that are kept, at most; the newest stay.
pub const HEARD_AT_MAX: usize = 3;
/// Scopes and their digests in one answer, at most: far more than are needed to see what is wrong.
pub const SCOPES_MAX: usize = 1_000;
/// Members in one list, at most; far above any cluster in which every node holds the whole log.
pub const MEMBERS_MAX: usize = 1_000;
/// Presence entries in one peer frame, at most.
pub const PRESENCE_ENTRIES_MAX: usize = 1_000;

/// Milliseconds by which a client's or a peer's stamp may push a node's clock past its wall clock.
pub const CLOCK_LEAD_MS_MAX: u64 = 30_000;
