//! The size limits of everything that comes from outside, with their reasons.
//! `protocol`, `web` and `node` enforce them. Tests try each at, below and above the limit.

/// Characters in a message body, at most.
pub const MESSAGE_CHARS_MAX: usize = 8_000;
/// Characters in a guest's name, at most, after trimming.
pub const GUEST_NAME_CHARS_MAX: usize = 32;
/// Characters in a room's name, at most, after trimming.
pub const ROOM_NAME_CHARS_MAX: usize = 80;
/// Characters in a username: the least and the most.
pub const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 3..=USERNAME_CHARS_MAX;
/// Characters in a username, at most.
pub const USERNAME_CHARS_MAX: usize = 32;
/// Characters in a user's display name, at most, after trimming.
pub const DISPLAY_NAME_CHARS_MAX: usize = 64;
/// Characters kept of a client's user agent; the rest is cut.
pub const USER_AGENT_CHARS_MAX: usize = 200;
/// Characters in a language tag, at most: the length that RFC 5646 recommends supporting (section 4.4.1).
pub const LANGUAGE_CHARS_MAX: usize = 35;
/// Concurrent logins of one account, at most. A further login ends the one that was used least recently.
pub const SESSIONS_MAX: usize = 100;
/// Personal access tokens of one account, at most.
pub const PERSONAL_TOKENS_MAX: usize = 50;
/// Characters in a room's topic, at most, after trimming.
pub const TOPIC_CHARS_MAX: usize = 250;
/// Bytes of an emoji, at most: enough for the longest sequences (families, flags of regions).
pub const EMOJI_BYTES_MAX: usize = 64;
/// Users mentioned in one message, at most.
pub const MENTIONS_MAX: usize = 50;
/// Files of one message, at most.
pub const FILES_PER_MESSAGE_MAX: usize = 10;
/// Extensions of one message, at most: fields of later versions, which this one keeps.
pub const MESSAGE_EXTENSIONS_MAX: usize = 16;
/// Bytes of all extensions of one message, at most. A message with these and the longest body stays far below
/// [`EVENT_BYTES_MAX`].
pub const MESSAGE_EXTENSIONS_BYTES_MAX: usize = 16 * 1024;
/// The latest time of an imported message, in Unix milliseconds: the end of the year 9999, the last that RFC 3339 writes.
pub const IMPORTED_MS_MAX: u64 = 253_402_300_799_999;
/// Different emoji on one message, at most.
pub const EMOJI_PER_MESSAGE_MAX: usize = 50;
/// Different emoji with which one user reacts to one message, at most. Removed reactions count, since they stay stored.
pub const EMOJI_PER_USER_MAX: usize = 50;
/// Reactions to one message, at most, including removed ones: a new reaction reads all of them.
pub const REACTIONS_PER_MESSAGE_MAX: usize = 1_000;
/// Edits of one message, at most: deleting the message erases all of them from the log.
pub const EDITS_PER_MESSAGE_MAX: usize = 100;
/// Characters in any id that a client sends, at most; ids are opaque and URL-safe.
pub const ID_CHARS_MAX: usize = 64;

/// Bytes in one WebSocket message from a client, at most; a longer one closes the socket with 1009.
/// The longest body fits in any JSON encoding: 8,000 characters are 96,000 bytes as pairs of `\u` escapes.
pub const CLIENT_FRAME_BYTES_MAX: usize = 128 * 1024;
/// Bytes in the body of an HTTP request without files, at most: the same as for a frame.
pub const REQUEST_BODY_BYTES_MAX: usize = 128 * 1024;
/// Characters in a search for people: fewer would match too many, and more can't match any name.
pub const PEOPLE_SEARCH_CHARS: std::ops::RangeInclusive<usize> = 2..=DISPLAY_NAME_CHARS_MAX;
/// People that a search finds, at most. A longer search text finds the others.
pub const PEOPLE_FOUND_MAX: usize = 20;
/// Items on a page of a list, unless the client asks for another number.
pub const PAGE_ITEMS: usize = 50;
/// Items on a page of a list, at most.
pub const PAGE_ITEMS_MAX: usize = 200;
/// Characters in a page token, at most: enough for a few ids, or for the longest room name and its id.
pub const PAGE_TOKEN_CHARS_MAX: usize = 1_024;
/// Characters in a sealed cursor, at most. A client whose vector doesn't fit gets a resync.
pub const CURSOR_CHARS_MAX: usize = 4_096;
/// Events that a resume replays, at most; if more are missing, the client must reload (`resync`).
pub const REPLAY_EVENTS_MAX: usize = 10_000;

/// Unread messages of a room that are counted, at most: clients show '999+' beyond.
pub const UNREAD_COUNT_MAX: usize = 1_000;
/// Rooms of one member, at most. Direct rooms don't count, since the number of contacts limits them.
pub const ROOMS_PER_USER_MAX: usize = 500;
/// Members of one room, at most: deleting the room reads all of them.
pub const ROOM_MEMBERS_MAX: u32 = 10_000;
/// Banned users of one room, at most.
pub const ROOM_BANS_MAX: u32 = 10_000;
/// Open invites of one room, at most.
pub const ROOM_INVITES_MAX: usize = 100;
/// The greatest limit on the uses of an invite. An invite may also have no limit.
pub const INVITE_USES_MAX: u32 = 10_000;
/// Seconds until an invite expires: a minute to a year. An invite may also never expire.
pub const INVITE_EXPIRES_S: std::ops::RangeInclusive<u64> = 60..=31_536_000;

/// Bytes of one encoded event, at most: above the largest, a read mark of [`READ_MARK_EVENT_ORIGINS_MAX`] origins
/// (102 KB). A full message body takes 32 KB.
pub const EVENT_BYTES_MAX: usize = 128 * 1024;
/// Bytes of one record of a view, at most: far above the largest, a read mark of [`READ_MARK_ORIGINS_MAX`] origins.
pub const VIEW_ROW_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Origins in one read mark event, at most: they take 34 bytes each. A mark with more origins is several events.
pub const READ_MARK_EVENT_ORIGINS_MAX: usize = 3_000;
/// Events of one read mark, at most. If there are more origins, those that wrote in the room last are kept.
pub const READ_MARK_EVENTS_MAX: usize = 8;
/// Origins kept of a read mark, at most: those with the most events.
pub const READ_MARK_ORIGINS_MAX: usize = 65_536;
/// Bytes of one peer frame, at most: more than a chunk of events and its envelope.
pub const PEER_FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of events in one push or one answer to a pull, at most; more need another frame.
/// Small enough that a new commit waits only milliseconds behind a chunk of older events.
pub const EVENTS_CHUNK_BYTES_MAX: usize = 512 * 1024;
/// Events in one pull request, at most.
pub const PULL_EVENTS_MAX: u64 = 2_000;
/// Characters in an advertised address of a node, at most (a DNS name and a port).
pub const ADDRESS_CHARS_MAX: usize = 270;
/// Advertised addresses of a node, at most: a few networks with two address families each.
pub const ADDRESSES_MAX: usize = 4;
/// Observed source addresses kept of a node, at most: the newest.
pub const OBSERVED_ADDRESSES_MAX: usize = 3;
/// Scopes with digests in one answer, at most: far more than needed to find an error.
pub const SCOPES_MAX: usize = 1_000;
/// Members in one list, at most: far more nodes than a cluster of full copies can have.
pub const CLUSTER_MEMBERS_MAX: usize = 1_000;
/// Presence entries in one peer frame, at most.
pub const PRESENCE_ENTRIES_MAX: usize = 1_000;

/// Milliseconds by which a received stamp may move a node's logical clock ahead of its wall clock, at most.
pub const CLOCK_LEAD_MS_MAX: u64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Other nodes, clients and stored logs rely on these: a smaller limit would refuse what is there.
    #[test]
    fn limits_in_bytes_never_shrink() {
        assert_eq!([CLIENT_FRAME_BYTES_MAX, REQUEST_BODY_BYTES_MAX, EVENT_BYTES_MAX], [131_072; 3]);
        assert_eq!([VIEW_ROW_BYTES_MAX, PEER_FRAME_BYTES_MAX], [4_194_304; 2]);
        assert_eq!(EVENTS_CHUNK_BYTES_MAX, 524_288);
    }
}
