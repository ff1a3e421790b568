//! What the views of people and rooms are: the scope that each belongs to, its key, its record. Keys are bytes that
//! sort; ids as they are, places as [`starling_protocol::Pos::to_bytes`].

use serde::{Deserialize, Serialize};
#[cfg(doc)]
use starling_protocol::text::lookalike_forms;
use starling_protocol::{
    DisplayName, Emoji, MessageId, NodeId, Pos, RoomId, RoomName, UserId, Username,
    event::{MessageKey, NotifyLevel},
    merge::{
        contact::Side,
        invite::InviteState,
        member::Member as MemberState,
        read_mark::ReadMark,
        register::Register,
        room::MemberRoom,
        service_key::ServiceKeyState,
        session::SessionState,
        user::{ClaimState, UserState},
    },
};

use super::records::View;

macro_rules! views {
    ($($(#[$doc:meta])+ $tag:literal $view:ident: $record:ty;)+) => {$(
        $(#[$doc])+
        #[derive(Debug)]
        pub struct $view;

        impl View for $view {
            const TAG: u8 = $tag;
            type Record = $record;
        }
    )+};
}

views! {
    /// User → the account.
    1 User: UserState;
    /// User; place → a claim of his to a name. The last that counts is his.
    2 Claim: ClaimState;
    /// User; session → the session.
    3 Session: SessionState;
    /// User; other → what he said last of the other.
    4 ContactMine: Side;
    /// User; other → what the other said last of him.
    5 ContactTheirs: Side;
    /// User; room → how far he has read it.
    7 Read: ReadMark;
    /// User; room → of what he wants to be told.
    8 Notify: Register<NotifyLevel>;
    /// User; room, place → a message that named him when it was posted; edits may say otherwise since.
    9 Mention: ();
    /// Shard of a name; the name, 0, place → a claim to it: by whom, and whether it was withdrawn. The first that
    /// counts holds the name.
    10 Name: (UserId, bool);
    /// Shard of an invite's id; the id → the room to which it invites.
    11 InviteRoom: RoomId;
    /// Room → the room, if it is one of members.
    12 Room: MemberRoom;
    /// Room; user → how he stands to it.
    13 Member: Register<MemberState>;
    /// Room; `succession` → a member. The first owns the room.
    14 Succession: ();
    /// Room; id of an invite → the invite.
    15 Invite: InviteState;
    /// Room; id of an invite, user → somebody who came with it.
    16 InviteUse: ();
    /// Room; message key, place → an edit. The last shows.
    17 Edit: ();
    /// Room; message key → the deletion of a message, the first if there are several.
    18 Deleted: (Pos, UserId);
    /// Room; message key, user, emoji → whether it is on the message.
    19 Reaction: Register<bool>;
    /// Room; message key, place → a post of a message of which an earlier one is listed.
    20 Duplicate: ();
    /// Room → how many members and bans it has.
    21 RoomCounts: Counts;
    /// Room; user → a ban. What `Member` says, to be listed.
    22 Ban: ();
    /// Room; id → an invite that was not withdrawn.
    23 OpenInvite: ();
    /// Room; id of an invite → how many came with it.
    24 InviteUses: u32;
    /// Cluster; service key → its seals.
    34 ServiceKey: ServiceKeyState;
    /// Shard of a name; the name, 0, place → the nodes that a claim to it waited for, as far as it names them.
    25 Waited: Vec<NodeId>;
}

/// How many stand to a room in some way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// As members.
    pub members: u32,
    /// As banned.
    pub banned: u32,
}

/// Key in [`Name`], or the beginning of all claims to a name.
pub fn name_key(name: &Username, place: Option<Pos>) -> Vec<u8> {
    let mut key = [name.as_str().as_bytes(), &[0]].concat();
    key.extend(place.iter().flat_map(|place| place.to_bytes()));
    key
}

/// Key in [`Mention`], or the beginning of all of a room.
pub fn mention_key(room: RoomId, place: Option<Pos>) -> Vec<u8> {
    let mut key = room.0.to_vec();
    key.extend(place.iter().flat_map(|place| place.to_bytes()));
    key
}

/// Key in [`Edit`] and [`Duplicate`].
pub fn message_place_key(message: MessageKey, place: Pos) -> Vec<u8> {
    [&message.to_bytes()[..], &place.to_bytes()].concat()
}

/// Key in [`Reaction`].
pub fn reaction_key(message: MessageKey, user: UserId, emoji: &Emoji) -> Vec<u8> {
    [&message.to_bytes()[..], &user.0, emoji.as_str().as_bytes()].concat()
}

/// Index: display name, folded; 0; user.
pub fn display_name_index(name: &DisplayName, user: UserId) -> Vec<u8> {
    [b"n", name.folded().as_bytes(), &[0], &user.0].concat()
}

/// Index: what all display names that begin so have.
pub fn display_name_prefix(folded: &str) -> Vec<u8> {
    [b"n", folded.as_bytes()].concat()
}

/// Index: the id under which a later sender's message is listed → its key.
pub fn derived_id_index(id: MessageId) -> Vec<u8> {
    [&b"i"[..], id.as_bytes()].concat()
}

/// Index: one of the forms in which an account's name looks like another, 0, the name. See [`lookalike_forms`].
pub fn lookalike_index(form: usize, looks: &str, name: &str) -> Vec<u8> {
    [&lookalike_prefix(form, looks)[..], name.as_bytes()].concat()
}

/// Index: the beginning of all names that look so in one of the forms.
pub fn lookalike_prefix(form: usize, looks: &str) -> Vec<u8> {
    [if form == 0 { b"k" } else { b"K" }, looks.as_bytes(), &[0]].concat()
}

/// Index: name of a public room, folded; 0; room.
pub fn public_room_index(name: &RoomName, room: RoomId) -> Vec<u8> {
    [b"p", name.folded().as_bytes(), &[0], &room.0].concat()
}

/// Index: the beginning of all public rooms.
pub const PUBLIC_ROOMS: &[u8] = b"p";

/// Index: an account that administers the service.
pub fn administrator_index(user: UserId) -> Vec<u8> {
    [ADMINISTRATORS, &user.0].concat()
}

/// Index: the beginning of all administrators.
pub const ADMINISTRATORS: &[u8] = b"a";

/// Index: user, room → how he is a member of it. What [`Member`] says, the other way round, while there is a room: its
/// deletion is no matter of the user's scope.
pub fn member_of_index(user: UserId, room: RoomId) -> Vec<u8> {
    [&member_of_prefix(user)[..], &room.0].concat()
}

/// Index: the beginning of all rooms of a user.
pub fn member_of_prefix(user: UserId) -> Vec<u8> {
    [&b"m"[..], &user.0].concat()
}

/// Index: user, room that was deleted: he is a member of it as far as its members go, and may have to be told.
pub fn member_of_deleted_index(user: UserId, room: RoomId) -> Vec<u8> {
    [&member_of_deleted_prefix(user)[..], &room.0].concat()
}

/// Index: the beginning of all rooms of a user that were deleted.
pub fn member_of_deleted_prefix(user: UserId) -> Vec<u8> {
    [&b"d"[..], &user.0].concat()
}

/// Index: user, room of which he was a member at some time, as far as is known: he may be told more of it than others.
pub fn was_member_index(user: UserId, room: RoomId) -> Vec<u8> {
    [&b"w"[..], &user.0, &room.0].concat()
}

/// Index: user, another who said yes to him at some time, as far as is known: he may have seen that.
pub fn was_asked_index(user: UserId, by: UserId) -> Vec<u8> {
    [&b"q"[..], &user.0, &by.0].concat()
}

/// Index: user; a session of his that was not ended, or the beginning of all of them.
pub fn open_session_index(user: UserId, session: &[u8]) -> Vec<u8> {
    [b"s", &user.0[..], session].concat()
}

/// Index: room, place of an event there that names a user, the user. What [`Mention`] and the user's own scope say, by
/// room: with the event they go.
pub fn named_index(room: RoomId, place: Pos, user: UserId) -> Vec<u8> {
    [&named_prefix(room)[..], &place.to_bytes(), &user.0].concat()
}

/// Index: the beginning of all users whom events of a room name.
pub fn named_prefix(room: RoomId) -> Vec<u8> {
    [&b"@"[..], &room.0].concat()
}

/// The place and the user behind [`named_prefix`].
pub fn parse_named(key: &[u8]) -> Option<(Pos, UserId)> {
    let (place, user) = key.split_at_checked(Pos::BYTES)?;
    Some((Pos::from_bytes(place.try_into().ok()?), UserId(user.try_into().ok()?)))
}

/// Index: scopes whose events are still to be erased → up to which key of the scope that is done.
pub const TO_ERASE: &[u8] = b"e";
