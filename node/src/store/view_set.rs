//! Sets of views, for migration steps that change only some of them. Views that are derived from each other stand in one
//! group, and are cleared and derived together.

use std::ops::BitOr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::views::{
    Ban, Claim, ClusterIdentity, ContactMine, ContactTheirs, Deleted, Duplicate, Edit, FoldedRead,
    ForgottenNode, Invite, InviteRoom, InviteUse, InviteUses, Member, Mention, Name, Notify, OpenInvite,
    Reaction, Read, Room, RoomCounts, SecretReport, SecretSwitch, ServiceKey, Session, Succession, User,
    Waited,
};

/// A view: its number, which is never reused, and the type of its records.
pub trait View {
    /// The view's number within a scope.
    const TAG: u8;
    /// The type of a record.
    type Record: Serialize + DeserializeOwned;
}

/// A set of groups of views. The bits are stored while a rebuild runs, so none is ever reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewSet(u32);

impl ViewSet {
    /// No view.
    pub const NONE: Self = Self(0);
    /// All views, and the digests of applied events. A view that is in no group belongs to this set alone.
    pub const ALL: Self = Self(u32::MAX);
    /// Quick rooms.
    pub const QUICK_ROOMS: Self = Self(1);
    /// Names of guests.
    pub const GUEST_NAMES: Self = Self(1 << 1);
    /// Messages: their places, ids, duplicates and mentions.
    pub const MESSAGES: Self = Self(1 << 2);
    /// Edits of messages.
    pub const EDITS: Self = Self(1 << 3);
    /// Deletions of messages.
    pub const DELETIONS: Self = Self(1 << 4);
    /// Reactions to messages.
    pub const REACTIONS: Self = Self(1 << 5);
    /// Member rooms and their members.
    pub const MEMBER_ROOMS: Self = Self(1 << 6);
    /// Invites to rooms; their uses belong to the members.
    pub const INVITES: Self = Self(1 << 7);
    /// Accounts of users.
    pub const ACCOUNTS: Self = Self(1 << 8);
    /// Claims to usernames.
    pub const USERNAMES: Self = Self(1 << 9);
    /// Sessions of accounts.
    pub const SESSIONS: Self = Self(1 << 10);
    /// Contacts of users.
    pub const CONTACTS: Self = Self(1 << 11);
    /// Read marks.
    pub const READ_MARKS: Self = Self(1 << 12);
    /// Notification levels.
    pub const NOTIFY_LEVELS: Self = Self(1 << 13);
    /// Service keys.
    pub const SERVICE_KEYS: Self = Self(1 << 14);
    /// Forgotten nodes.
    pub const FORGOTTEN_NODES: Self = Self(1 << 15);
    /// The cluster's id, and the rotation of its secret.
    pub const CLUSTER_SECRETS: Self = Self(1 << 16);
}

/// The rows of a group that have no table of their own, and the kinds of events that change the group.
struct Group {
    set: ViewSet,
    /// Tags in `RECORDS`.
    records: &'static [u8],
    /// First bytes of keys in `INDEX`.
    indexes: &'static [u8],
    /// Numbers of event kinds.
    kinds: &'static [u16],
}

const fn group(set: ViewSet, records: &'static [u8], indexes: &'static [u8], kinds: &'static [u16]) -> Group {
    Group { set, records, indexes, kinds }
}

/// The views of member rooms.
const MEMBER_ROOMS: &[u8] =
    &[Room::TAG, Member::TAG, Succession::TAG, RoomCounts::TAG, Ban::TAG, InviteUse::TAG, InviteUses::TAG];

/// A new kind is added to the groups whose views it changes.
const GROUPS: &[Group] = &[
    group(ViewSet::QUICK_ROOMS, &[], b"", &[1]),
    group(ViewSet::GUEST_NAMES, &[], b"", &[2, 3, 4, 43]),
    // Deletions of messages and rooms remove mentions.
    group(ViewSet::MESSAGES, &[Mention::TAG, Duplicate::TAG], b"i@", &[2, 4, 23, 28, 43]),
    group(ViewSet::EDITS, &[Edit::TAG], b"", &[27, 40]),
    group(ViewSet::DELETIONS, &[Deleted::TAG], b"", &[28]),
    group(ViewSet::REACTIONS, &[Reaction::TAG], b"", &[29]),
    group(ViewSet::MEMBER_ROOMS, MEMBER_ROOMS, b"pmdw", &[21, 22, 23, 24]),
    group(ViewSet::INVITES, &[Invite::TAG, OpenInvite::TAG, InviteRoom::TAG], b"", &[25, 26]),
    group(ViewSet::ACCOUNTS, &[User::TAG], b"na", &[5, 8, 9, 10, 11, 13, 15, 16, 17, 30, 42]),
    group(ViewSet::USERNAMES, &[Claim::TAG, Name::TAG, Waited::TAG], b"kK", &[5, 6, 7, 30, 31, 32]),
    group(ViewSet::SESSIONS, &[Session::TAG], b"s", &[9, 12, 13, 14, 17, 35, 42]),
    group(ViewSet::CONTACTS, &[ContactMine::TAG, ContactTheirs::TAG], b"q", &[18]),
    group(ViewSet::READ_MARKS, &[Read::TAG, FoldedRead::TAG], b"", &[19, 46]),
    group(ViewSet::NOTIFY_LEVELS, &[Notify::TAG], b"", &[20]),
    group(ViewSet::SERVICE_KEYS, &[ServiceKey::TAG], b"", &[34]),
    group(ViewSet::FORGOTTEN_NODES, &[ForgottenNode::TAG], b"", &[44]),
    group(
        ViewSet::CLUSTER_SECRETS,
        &[ClusterIdentity::TAG, SecretSwitch::TAG, SecretReport::TAG],
        b"",
        &[47, 48, 49],
    ),
];

impl BitOr for ViewSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl ViewSet {
    /// Whether it has all groups of another set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it has no views.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn groups(self) -> impl Iterator<Item = &'static Group> {
        GROUPS.iter().filter(move |group| self.contains(group.set))
    }

    /// Whether it has the records with a tag.
    pub fn has_record(self, tag: u8) -> bool {
        self == Self::ALL || self.groups().any(|group| group.records.contains(&tag))
    }

    /// Whether it has the rows of the index whose keys begin as this one.
    pub fn has_index(self, key: &[u8]) -> bool {
        self == Self::ALL || key.first().is_some_and(|first| self.index_prefixes().any(|has| has == *first))
    }

    /// The first bytes of keys in the index, of a set that has not all views.
    pub fn index_prefixes(self) -> impl Iterator<Item = u8> {
        self.groups().flat_map(|group| group.indexes.iter().copied())
    }

    /// Whether events of a kind change views of the set.
    pub fn is_changed_by(self, kind: u16) -> bool {
        self == Self::ALL || self.groups().any(|group| group.kinds.contains(&kind))
    }

    /// Makes a set of any bits, for tests.
    #[cfg(test)]
    pub fn from_bits(bits: u32) -> Self {
        GROUPS
            .iter()
            .filter(|group| Self(bits).contains(group.set))
            .fold(Self::NONE, |all, group| all | group.set)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use starling_protocol::{Event, EventBody, EventDraft, Hlc, NodeId, OriginId, Scope, Seq};

    use super::*;

    /// Kinds that change no view of a group.
    const OF_NO_GROUP: [u16; 1] = [45];

    fn is_known(kind: u16) -> bool {
        let body = EventBody::Unknown { kind, payload: Bytes::new() };
        let draft = EventDraft { scope: Scope::cluster(), body, above_hlc: None };
        let event = Event::new(OriginId { node: NodeId([1; 16]), incarnation: 1 }, Seq(1), Hlc(1), draft);
        let decoded = Event::decode(event.encoded().clone()).map(|event| event.body);
        !matches!(decoded, Ok(EventBody::Unknown { .. }))
    }

    /// Promise 12: a rebuild of some views misses no event that changes them; `any_order` tests whether the groups are right.
    #[test]
    fn each_kind_of_event_says_which_views_it_changes() {
        let unsaid = |kind: &u16| {
            is_known(*kind)
                && !OF_NO_GROUP.contains(kind)
                && !GROUPS.iter().any(|group| group.kinds.contains(kind))
        };
        let unsaid: Vec<u16> = (1..1_000).filter(unsaid).collect();
        assert_eq!(unsaid, [0_u16; 0], "add them to their groups in GROUPS");
        assert!(is_known(42) && !is_known(999));
    }
}
