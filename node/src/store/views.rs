//! The views of users and rooms: for each its scope, its key and its record. Keys are bytes that sort: ids as they are,
//! positions as [`starling_protocol::Pos::to_bytes`].

use serde::{Deserialize, Serialize};
#[cfg(doc)]
use starling_protocol::text::lookalike_forms;
use starling_protocol::{
    DisplayName, Emoji, MessageId, NodeId, Pos, RoomId, RoomName, UserId, Username,
    event::{MessageKey, NotifyLevel, SecretFingerprint, SecretsReported},
    merge::{
        cluster::ClusterIdState,
        contact::Side,
        invite::InviteState,
        member::Member as MemberState,
        read_mark::{FoldedReadMark, ReadMark},
        register::Register,
        room::MemberRoomState,
        service_key::ServiceKeyState,
        session::SessionState,
        user::{ClaimState, UserState},
    },
};

use super::view_set::View;

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
    /// User; position → their claim to a name. The last valid claim counts.
    2 Claim: ClaimState;
    /// User; session → the session.
    3 Session: SessionState;
    /// User; other → the user's last stance on the other.
    4 ContactMine: Side;
    /// User; other → the other's last stance on the user.
    5 ContactTheirs: Side;
    /// User; room → their read mark.
    7 Read: ReadMark;
    /// User; room → their notification level.
    8 Notify: Register<NotifyLevel>;
    /// User; room, position → a message that mentioned them when it was posted; a later edit may have changed that.
    9 Mention: ();
    /// Bucket of a name; the name, 0, position → a claim to it: the user, and whether it was withdrawn. The first
    /// valid claim holds the name.
    10 Name: (UserId, bool);
    /// Bucket of an invite's id; the id → the invite's room.
    11 InviteRoom: RoomId;
    /// Room → the room, if it is a member room.
    12 Room: MemberRoomState;
    /// Room; user → their membership.
    13 Member: Register<MemberState>;
    /// Room; `succession` → a member. The first owns the room.
    14 Succession: ();
    /// Room; id of an invite → the invite.
    15 Invite: InviteState;
    /// Room; id of an invite, user → a user who joined by it.
    16 InviteUse: ();
    /// Room; message key, position → an edit. The last one shows.
    17 Edit: ();
    /// Room; message key → the deletion of a message, the first if there are several.
    18 Deleted: (Pos, UserId);
    /// Room; message key, user, emoji → whether it is on the message.
    19 Reaction: Register<bool>;
    /// Room; message key, position → a duplicate post of a message; an earlier post is listed.
    20 Duplicate: ();
    /// Room → its numbers of members and bans.
    21 RoomCounts: Counts;
    /// Room; user → a ban: those of `Member`, to be listed.
    22 Ban: ();
    /// Room; id → an invite that was not revoked.
    23 OpenInvite: ();
    /// Room; id of an invite → the number of users who joined by it.
    24 InviteUses: u32;
    /// User; room → their read mark, as far as it is written over folds.
    46 FoldedRead: FoldedReadMark;
    /// Cluster; service key → its seals.
    34 ServiceKey: ServiceKeyState;
    /// Cluster; node → the first event that forgets it.
    44 ForgottenNode: Pos;
    /// Cluster → its id.
    47 ClusterIdentity: ClusterIdState;
    /// Cluster; a secret → the last switch to it, from which other.
    48 SecretSwitch: Register<SecretFingerprint>;
    /// Cluster; node → the secrets that it has.
    49 SecretReport: Register<SecretsReported>;
    /// Bucket of a name; the name, 0, position → the nodes that a claim to it waited for, if its event names them.
    25 Waited: Vec<NodeId>;
}

/// Counts of a room's users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The number of members.
    pub members: u32,
    /// The number of banned users.
    pub banned: u32,
}

/// Key in [`Name`], or the prefix of all claims to a name.
pub fn username_key(name: &Username, pos: Option<Pos>) -> Vec<u8> {
    let mut key = [name.as_str().as_bytes(), &[0]].concat();
    key.extend(pos.iter().flat_map(|pos| pos.to_bytes()));
    key
}

/// Key in [`Mention`], or the prefix of a room's mentions.
pub fn mention_key(room: RoomId, pos: Option<Pos>) -> Vec<u8> {
    let mut key = room.0.to_vec();
    key.extend(pos.iter().flat_map(|pos| pos.to_bytes()));
    key
}

/// Key in [`Edit`] and [`Duplicate`].
pub fn message_pos_key(message: MessageKey, pos: Pos) -> Vec<u8> {
    [&message.to_bytes()[..], &pos.to_bytes()].concat()
}

/// Key in [`Reaction`].
pub fn reaction_key(message: MessageKey, user: UserId, emoji: &Emoji) -> Vec<u8> {
    [&message.to_bytes()[..], &user.0, emoji.as_str().as_bytes()].concat()
}

/// Index: display name, folded; 0; user.
pub fn display_name_index(name: &DisplayName, user: UserId) -> Vec<u8> {
    [b"n", name.folded().as_bytes(), &[0], &user.0].concat()
}

/// Index: the prefix of display names.
pub fn display_name_prefix(folded: &str) -> Vec<u8> {
    [b"n", folded.as_bytes()].concat()
}

/// Index: the id under which a later sender's message is listed → its key.
pub fn derived_id_index(id: MessageId) -> Vec<u8> {
    [&b"i"[..], id.as_bytes()].concat()
}

/// Index: a form in which an account's name looks like another, 0, the name. See [`lookalike_forms`].
pub fn lookalike_index(form: usize, looks: &str, name: &str) -> Vec<u8> {
    [&lookalike_prefix(form, looks)[..], name.as_bytes()].concat()
}

/// Index: the prefix of all names with these looks in one form.
pub fn lookalike_prefix(form: usize, looks: &str) -> Vec<u8> {
    [if form == 0 { b"k" } else { b"K" }, looks.as_bytes(), &[0]].concat()
}

/// Index: name of a public room, folded; 0; room.
pub fn public_room_index(name: &RoomName, room: RoomId) -> Vec<u8> {
    [b"p", name.folded().as_bytes(), &[0], &room.0].concat()
}

/// Index: the prefix of all public rooms.
pub const PUBLIC_ROOMS: &[u8] = b"p";

/// Index: an account that administers the service.
pub fn administrator_index(user: UserId) -> Vec<u8> {
    [ADMINISTRATORS, &user.0].concat()
}

/// Index: the prefix of all administrators.
pub const ADMINISTRATORS: &[u8] = b"a";

/// Index: user, room → their membership. It mirrors [`Member`] while the room exists: the deletion of a room doesn't
/// belong to the user's scope.
pub fn member_of_index(user: UserId, room: RoomId) -> Vec<u8> {
    [&member_of_prefix(user)[..], &room.0].concat()
}

/// Index: the prefix of a user's rooms.
pub fn member_of_prefix(user: UserId) -> Vec<u8> {
    [&b"m"[..], &user.0].concat()
}

/// Index: user, deleted room with the user among its members: their sessions may have to show the deletion.
pub fn member_of_deleted_index(user: UserId, room: RoomId) -> Vec<u8> {
    [&member_of_deleted_prefix(user)[..], &room.0].concat()
}

/// Index: the prefix of a user's deleted rooms.
pub fn member_of_deleted_prefix(user: UserId) -> Vec<u8> {
    [&b"d"[..], &user.0].concat()
}

/// Index: user, room that they were ever a member of, as far as known: they may learn more of it than others.
pub fn was_member_index(user: UserId, room: RoomId) -> Vec<u8> {
    [&b"w"[..], &user.0, &room.0].concat()
}

/// Index: user, another who ever asked or accepted them, as far as known: the user may have seen that.
pub fn was_asked_index(user: UserId, by: UserId) -> Vec<u8> {
    [&b"q"[..], &user.0, &by.0].concat()
}

/// Index: user, open session; or the prefix of the user's open sessions.
pub fn open_session_index(user: UserId, session: &[u8]) -> Vec<u8> {
    [b"s", &user.0[..], session].concat()
}

/// Index: room, position of an event that mentions a user, the user. It mirrors [`Mention`] by room, so that mentions
/// go with the event.
pub fn room_mention_index(room: RoomId, pos: Pos, user: UserId) -> Vec<u8> {
    [&room_mentions_prefix(room)[..], &pos.to_bytes(), &user.0].concat()
}

/// Index: the prefix of all mentions in a room.
pub fn room_mentions_prefix(room: RoomId) -> Vec<u8> {
    [&b"@"[..], &room.0].concat()
}

/// The position and the user after [`room_mentions_prefix`].
pub fn parse_room_mention(key: &[u8]) -> Option<(Pos, UserId)> {
    let (pos, user) = key.split_at_checked(Pos::BYTES)?;
    Some((Pos::from_bytes(pos.try_into().ok()?), UserId(user.try_into().ok()?)))
}

/// Index: scope with events to erase → the key of the scope up to which they are erased.
pub const TO_ERASE: &[u8] = b"e";
