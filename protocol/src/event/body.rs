//! Every kind of event, its number and its encoding. A number is never used for anything else, a layout never changed:
//! what must change becomes another kind. Nodes keep kinds that they do not know as they are.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{
    InviteMade, InviteRevoked, MemberSet, MessageDeleted, MessageEdited, MessagePosted, NameShared,
    ReactionSet, RoomChanged, RoomCreated, RoomDeleted, RoomOpened, Scope, id_shard,
    messages::GuestPosted,
    people::{
        ClaimNarrowed, ClaimWithdrawn, ContactSet, NotifySet, PasswordChanged, PasswordRehashed,
        ProfileChanged, ReadMarked, RefreshUsed, ResetLinkMade, SessionOpened, SessionsEnded,
        SettingsChanged, UserDeleted, UserFlagged, UserRegistered, UserRegisteredAlone, UsernameChosen,
        UsernameChosenAlone,
    },
};
use crate::{
    DisplayName,
    codec::{self, DecodeError},
    limits::EVENT_BYTES_MAX,
};

/// Kind 2: messages that guests can write; others are of kind 4.
const GUEST_POSTED: u16 = 2;
/// Kind 5: registrations that don't name the nodes for which the claim waits; others are of kind 30.
const USER_REGISTERED_ALONE: u16 = 5;
/// Kind 6: choices of a name that don't name them; others are of kind 31.
const USERNAME_CHOSEN_ALONE: u16 = 6;

macro_rules! kinds {
    ($($number:literal => $kind:ident),+ $(,)?) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each kind's type says what it is")]
        pub enum EventBody {
            $($kind($kind),)+
            /// A kind of a newer version: stored and forwarded as it is, applied after an upgrade.
            Unknown {
                /// Its number.
                kind: u16,
                /// Its bytes.
                payload: Bytes,
            },
        }

        impl EventBody {
            pub(super) fn encode(&self) -> (u16, Bytes) {
                match self {
                    Self::MessagePosted(body) if let Some(posted) = GuestPosted::of(body) => {
                        (GUEST_POSTED, codec::encode(&posted))
                    }
                    Self::UserRegistered(body) if let Some(alone) = UserRegisteredAlone::of(body) => {
                        (USER_REGISTERED_ALONE, codec::encode(&alone))
                    }
                    Self::UsernameChosen(body) if let Some(alone) = UsernameChosenAlone::of(body) => {
                        (USERNAME_CHOSEN_ALONE, codec::encode(&alone))
                    }
                    $(Self::$kind(body) => ($number, codec::encode(body)),)+
                    Self::Unknown { kind, payload } => (*kind, payload.clone()),
                }
            }

            pub(super) fn decode(kind: u16, payload: Bytes) -> Result<Self, DecodeError> {
                match kind {
                    GUEST_POSTED => codec::decode::<GuestPosted>(&payload, EVENT_BYTES_MAX)
                        .map(|posted| Self::MessagePosted(posted.into())),
                    USER_REGISTERED_ALONE => codec::decode::<UserRegisteredAlone>(&payload, EVENT_BYTES_MAX)
                        .map(|registered| Self::UserRegistered(registered.into())),
                    USERNAME_CHOSEN_ALONE => codec::decode::<UsernameChosenAlone>(&payload, EVENT_BYTES_MAX)
                        .map(|chosen| Self::UsernameChosen(chosen.into())),
                    $($number => codec::decode(&payload, EVENT_BYTES_MAX).map(Self::$kind),)+
                    _ => Ok(Self::Unknown { kind, payload }),
                }
            }
        }

        $(impl From<$kind> for EventBody {
            fn from(body: $kind) -> Self {
                Self::$kind(body)
            }
        })+
    };
}

kinds! {
    1 => RoomCreated,
    3 => NameShared,
    4 => MessagePosted,
    7 => ClaimWithdrawn,
    8 => ProfileChanged,
    9 => PasswordChanged,
    10 => PasswordRehashed,
    11 => ResetLinkMade,
    12 => SessionOpened,
    13 => SessionsEnded,
    14 => RefreshUsed,
    15 => SettingsChanged,
    16 => UserFlagged,
    17 => UserDeleted,
    18 => ContactSet,
    19 => ReadMarked,
    20 => NotifySet,
    21 => RoomOpened,
    22 => RoomChanged,
    23 => RoomDeleted,
    24 => MemberSet,
    25 => InviteMade,
    26 => InviteRevoked,
    27 => MessageEdited,
    28 => MessageDeleted,
    29 => ReactionSet,
    30 => UserRegistered,
    31 => UsernameChosen,
    32 => ClaimNarrowed,
}

impl EventBody {
    /// The scopes, besides the event's own, of which views it changes: its digests are kept there too, and a resume of
    /// a user finds it there.
    pub fn touches(&self) -> BTreeSet<Scope> {
        match self {
            Self::MessagePosted(posted) => [id_shard(posted.id)]
                .into_iter()
                .chain(posted.mentions.iter().map(|&user| Scope::user(user)))
                .collect(),
            Self::UserRegistered(UserRegistered { username, .. })
            | Self::UsernameChosen(UsernameChosen { username, .. })
            | Self::ClaimNarrowed(ClaimNarrowed { username, .. })
            | Self::ClaimWithdrawn(ClaimWithdrawn { username, .. }) => [username.shard()].into(),
            Self::ContactSet(ContactSet { to, .. }) => [Scope::user(*to)].into(),
            Self::RoomOpened(RoomOpened::Direct { one, other }) => {
                [Scope::user(*one), Scope::user(*other)].into()
            }
            Self::MemberSet(MemberSet { user, .. }) => [Scope::user(*user)].into(),
            Self::InviteMade(InviteMade { code, .. }) | Self::InviteRevoked(InviteRevoked { code }) => {
                [code.shard()].into()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Without what its author wrote or must keep secret: the stub that takes the place of an erased event, the same
    /// on every node. What views are made of stays.
    #[must_use]
    pub fn erased(mut self) -> Self {
        match &mut self {
            Self::MessagePosted(MessagePosted { text, .. })
            | Self::MessageEdited(MessageEdited { text, .. }) => {
                *text = None;
            }
            Self::UserRegistered(UserRegistered { display_name, password, .. }) => {
                (*display_name, *password) = (None, None);
            }
            Self::ProfileChanged(ProfileChanged { display_name }) => *display_name = None::<DisplayName>,
            Self::PasswordChanged(PasswordChanged { password, .. })
            | Self::PasswordRehashed(PasswordRehashed { password, .. }) => *password = None,
            Self::SessionOpened(SessionOpened { key, user_agent, kind, .. }) => {
                (*key, *user_agent) = ([0; 32], "".into());
                if let super::SessionKind::Personal(name) = kind {
                    *name = "".into();
                }
            }
            Self::ResetLinkMade(ResetLinkMade { code_hash, .. }) => *code_hash = [0; 32],
            Self::SettingsChanged(SettingsChanged { settings }) => *settings = crate::Settings::default(),
            _ => {}
        }
        self
    }
}
