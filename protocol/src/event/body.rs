//! Every kind of event, its number and its encoding. A number is never used for anything else, a layout never changed:
//! what must change becomes another kind. Nodes keep kinds that they do not know as they are.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{
    InviteMade, InviteRevoked, MemberSet, MessageDeleted, MessageEdited, MessagePosted, NameShared,
    ReactionSet, RoomChanged, RoomCreated, RoomDeleted, RoomOpened, Scope, id_shard,
    messages::{GuestPosted, TextEdited},
    people::{
        ClaimNarrowed, ClaimWithdrawn, ContactSet, NotifySet, PasswordChange, PasswordChanged,
        PasswordRehashed, ProfileChanged, ReadMarked, RefreshUsed, ResetLinkMade, SessionOpened,
        SessionsEnded, SettingsChanged, UnkeyedSessionOpened, UserDeleted, UserFlagged, UserRegistered,
        UserRegisteredAlone, UsernameChosen, UsernameChosenAlone,
    },
    service_key::ServiceKeySealed,
};
use crate::{
    DisplayName,
    codec::{self, DecodeError},
};

/// Kind 2: messages that guests can write; others are of kind 4.
const GUEST_POSTED: u16 = 2;
/// Kind 27: edits that leave it open whom the message names; others are of kind 40.
const TEXT_EDITED: u16 = 27;
/// Kind 9: changes of a password that keep personal access tokens.
const PASSWORD_CHANGED_KEEPING_TOKENS: u16 = 9;
/// Kind 42: changes of a password that end them.
const PASSWORD_CHANGED: u16 = 42;
/// Kind 12: sessions without a service key; others are of kind 35.
const UNKEYED_SESSION_OPENED: u16 = 12;
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
            PasswordChanged(PasswordChanged),
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
                    Self::MessageEdited(body) if let Some(edited) = TextEdited::of(body) => {
                        (TEXT_EDITED, codec::encode(&edited))
                    }
                    Self::PasswordChanged(body) => {
                        let kind =
                            if body.keep_tokens { PASSWORD_CHANGED_KEEPING_TOKENS } else { PASSWORD_CHANGED };
                        (kind, codec::encode(&PasswordChange::of(body)))
                    }
                    Self::SessionOpened(body) if let Some(opened) = UnkeyedSessionOpened::of(body) => {
                        (UNKEYED_SESSION_OPENED, codec::encode(&opened))
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

            pub(super) fn decode(kind: u16, payload: Bytes, bytes_max: usize) -> Result<Self, DecodeError> {
                match kind {
                    GUEST_POSTED => codec::decode::<GuestPosted>(&payload, bytes_max)
                        .map(|posted| Self::MessagePosted(posted.into())),
                    TEXT_EDITED => codec::decode::<TextEdited>(&payload, bytes_max)
                        .map(|edited| Self::MessageEdited(edited.into())),
                    PASSWORD_CHANGED_KEEPING_TOKENS | PASSWORD_CHANGED => {
                        codec::decode::<PasswordChange>(&payload, bytes_max).map(|change| {
                            change.into_event(kind == PASSWORD_CHANGED_KEEPING_TOKENS).into()
                        })
                    }
                    UNKEYED_SESSION_OPENED => codec::decode::<UnkeyedSessionOpened>(&payload, bytes_max)
                        .map(|opened| Self::SessionOpened(opened.into())),
                    USER_REGISTERED_ALONE => codec::decode::<UserRegisteredAlone>(&payload, bytes_max)
                        .map(|registered| Self::UserRegistered(registered.into())),
                    USERNAME_CHOSEN_ALONE => codec::decode::<UsernameChosenAlone>(&payload, bytes_max)
                        .map(|chosen| Self::UsernameChosen(chosen.into())),
                    $($number => codec::decode(&payload, bytes_max).map(Self::$kind),)+
                    _ => Ok(Self::Unknown { kind, payload }),
                }
            }
        }

        impl From<PasswordChanged> for EventBody {
            fn from(body: PasswordChanged) -> Self {
                Self::PasswordChanged(body)
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
    10 => PasswordRehashed,
    11 => ResetLinkMade,
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
    28 => MessageDeleted,
    29 => ReactionSet,
    30 => UserRegistered,
    31 => UsernameChosen,
    32 => ClaimNarrowed,
    34 => ServiceKeySealed,
    35 => SessionOpened,
    40 => MessageEdited,
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
            Self::InviteMade(InviteMade { id, .. }) | Self::InviteRevoked(InviteRevoked { id }) => {
                [id.shard()].into()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Without what its author wrote or must keep secret: the stub that takes the place of an erased event, the same
    /// on every node. Only what all nodes need to make the same views of it stays: ids, senders, stamps.
    #[must_use]
    pub fn erased(mut self) -> Self {
        match &mut self {
            Self::MessagePosted(MessagePosted { text, reply_to, mentions, .. }) => {
                (*text, *reply_to) = (None, None);
                mentions.clear();
            }
            Self::MessageEdited(MessageEdited { text, mentions, .. }) => {
                *text = None;
                // An edit of kind 27 stays one: it has none.
                if let Some(mentions) = mentions {
                    mentions.clear();
                }
            }
            Self::RoomOpened(opened) => opened.erase(),
            Self::RoomChanged(RoomChanged { name, topic, .. }) => (*name, *topic) = (None, None),
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

    /// Whether a message's event is a stub, be it one that an earlier version left more in.
    pub fn is_message_stub(&self) -> bool {
        match self {
            Self::MessagePosted(posted) => posted.text.is_none(),
            Self::MessageEdited(edited) => edited.text.is_none(),
            _ => false,
        }
    }
}
