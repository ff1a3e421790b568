//! All kinds of events, with their numbers and encodings. A number is never reused and a layout never changes: a change
//! needs a new kind. Nodes store kinds that they don't know unchanged. The numbers in use are in `kinds!` and in the
//! constants above it; those of messages are in `posted`. The next is 50; 33, 36 to 39 and 41 were left out.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    ClusterIdDrawn, InviteMade, InviteRevoked, MemberRoomChanged, MemberRoomCreated, MemberRoomDeleted,
    MembershipChanged, MessageDeleted, MessageEdited, MessagePosted, NameShared, QuickRoomCreated,
    ReactionChanged, Scope, SecretSwitched, SecretsReported,
    messages::TextEdited,
    people::{
        ClaimNarrowed, ClaimWithdrawn, FoldedReadMarked, NotifyLevelChanged, PasswordChanged,
        PasswordChangedPayload, PasswordRehashed, ProfileChanged, ReadMarked, RefreshTokenUsed,
        ResetLinkMade, SessionOpened, SessionsEnded, SettingsChanged, StanceChanged, UnkeyedSessionOpened,
        UserDeleted, UserFlagged, UserRegistered, UserRegisteredV1, UsernameChosen, UsernameChosenV1,
    },
    service_key::ServiceKeySealed,
};
use crate::{
    DisplayName, NodeId,
    codec::{self, DecodeError},
    fold::VectorFolded,
};

/// Kind 27: edits that keep the mentions of the message; others have kind 40.
const TEXT_EDITED: u16 = 27;
/// Kind 9: password changes that keep personal access tokens.
const PASSWORD_CHANGED_KEEPING_TOKENS: u16 = 9;
/// Kind 42: password changes that end personal access tokens.
const PASSWORD_CHANGED: u16 = 42;
/// Kind 12: sessions without a service key; others have kind 35.
const UNKEYED_SESSION_OPENED: u16 = 12;
/// Kind 5: registrations that don't list the nodes that the claim waits for; others have kind 30.
const USER_REGISTERED_V1: u16 = 5;
/// Kind 6: chosen usernames that don't list these nodes; others have kind 31.
const USERNAME_CHOSEN_V1: u16 = 6;

/// A node is no member of the cluster any more: it has left, or an operator has forgotten it. Its scope is the cluster. It
/// holds for ever: the process of a forgotten node goes on under a new id. Its events stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeForgotten {
    /// The node. The event's origin is its own if it has left.
    pub node: NodeId,
}

macro_rules! kinds {
    ($($number:literal => $kind:ident),+ $(,)?) => {
        /// The content of an event, by its kind.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each variant's type has docs")]
        pub enum EventBody {
            $($kind($kind),)+
            /// Kinds 2, 4 and 43.
            MessagePosted(MessagePosted),
            PasswordChanged(PasswordChanged),
            /// An event of a newer version: stored and forwarded unchanged, applied after an upgrade.
            Unknown {
                /// The number of the kind.
                kind: u16,
                /// The encoded body.
                payload: Bytes,
            },
        }

        impl EventBody {
            pub(super) fn encode(&self) -> (u16, Bytes) {
                match self {
                    Self::MessagePosted(body) => body.encode(),
                    Self::MessageEdited(body) if let Some(edited) = TextEdited::from_event(body) => {
                        (TEXT_EDITED, codec::encode(&edited))
                    }
                    Self::PasswordChanged(body) => {
                        let kind =
                            if body.keep_tokens { PASSWORD_CHANGED_KEEPING_TOKENS } else { PASSWORD_CHANGED };
                        (kind, codec::encode(&PasswordChangedPayload::from_event(body)))
                    }
                    Self::SessionOpened(body) if let Some(opened) = UnkeyedSessionOpened::from_event(body) => {
                        (UNKEYED_SESSION_OPENED, codec::encode(&opened))
                    }
                    Self::UserRegistered(body) if let Some(v1) = UserRegisteredV1::from_event(body) => {
                        (USER_REGISTERED_V1, codec::encode(&v1))
                    }
                    Self::UsernameChosen(body) if let Some(v1) = UsernameChosenV1::from_event(body) => {
                        (USERNAME_CHOSEN_V1, codec::encode(&v1))
                    }
                    $(Self::$kind(body) => ($number, codec::encode(body)),)+
                    Self::Unknown { kind, payload } => (*kind, payload.clone()),
                }
            }

            pub(super) fn decode(kind: u16, payload: Bytes, bytes_max: usize) -> Result<Self, DecodeError> {
                match kind {
                    _ if MessagePosted::KINDS.contains(&kind) => {
                        MessagePosted::decode(kind, &payload, bytes_max).map(Self::MessagePosted)
                    }
                    TEXT_EDITED => codec::decode::<TextEdited>(&payload, bytes_max)
                        .map(|edited| Self::MessageEdited(edited.into())),
                    PASSWORD_CHANGED_KEEPING_TOKENS | PASSWORD_CHANGED => {
                        codec::decode::<PasswordChangedPayload>(&payload, bytes_max).map(|change| {
                            change.into_event(kind == PASSWORD_CHANGED_KEEPING_TOKENS).into()
                        })
                    }
                    UNKEYED_SESSION_OPENED => codec::decode::<UnkeyedSessionOpened>(&payload, bytes_max)
                        .map(|opened| Self::SessionOpened(opened.into())),
                    USER_REGISTERED_V1 => codec::decode::<UserRegisteredV1>(&payload, bytes_max)
                        .map(|registered| Self::UserRegistered(registered.into())),
                    USERNAME_CHOSEN_V1 => codec::decode::<UsernameChosenV1>(&payload, bytes_max)
                        .map(|chosen| Self::UsernameChosen(chosen.into())),
                    $($number => codec::decode(&payload, bytes_max).map(Self::$kind),)+
                    _ => Ok(Self::Unknown { kind, payload }),
                }
            }
        }

        impl From<MessagePosted> for EventBody {
            fn from(body: MessagePosted) -> Self {
                Self::MessagePosted(body)
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
    1 => QuickRoomCreated,
    3 => NameShared,
    7 => ClaimWithdrawn,
    8 => ProfileChanged,
    10 => PasswordRehashed,
    11 => ResetLinkMade,
    13 => SessionsEnded,
    14 => RefreshTokenUsed,
    15 => SettingsChanged,
    16 => UserFlagged,
    17 => UserDeleted,
    18 => StanceChanged,
    19 => ReadMarked,
    20 => NotifyLevelChanged,
    21 => MemberRoomCreated,
    22 => MemberRoomChanged,
    23 => MemberRoomDeleted,
    24 => MembershipChanged,
    25 => InviteMade,
    26 => InviteRevoked,
    28 => MessageDeleted,
    29 => ReactionChanged,
    30 => UserRegistered,
    31 => UsernameChosen,
    32 => ClaimNarrowed,
    34 => ServiceKeySealed,
    35 => SessionOpened,
    40 => MessageEdited,
    44 => NodeForgotten,
    45 => VectorFolded,
    46 => FoldedReadMarked,
    47 => ClusterIdDrawn,
    48 => SecretSwitched,
    49 => SecretsReported,
}

impl EventBody {
    /// Returns the other scopes that the event names and whose views it changes. It counts in their digests too, and a
    /// session that resumes in such a scope replays it. (A post can also change a message in another room that used the
    /// same id; that room is not listed.)
    pub fn other_scopes(&self) -> BTreeSet<Scope> {
        match self {
            Self::MessagePosted(posted) => posted.mentions.iter().map(|&user| Scope::user(user)).collect(),
            Self::UserRegistered(UserRegistered { username, .. })
            | Self::UsernameChosen(UsernameChosen { username, .. })
            | Self::ClaimNarrowed(ClaimNarrowed { username, .. })
            | Self::ClaimWithdrawn(ClaimWithdrawn { username, .. }) => [username.claim_scope()].into(),
            Self::StanceChanged(StanceChanged { to, .. }) => [Scope::user(*to)].into(),
            Self::MemberRoomCreated(MemberRoomCreated::Direct { one, other }) => {
                [Scope::user(*one), Scope::user(*other)].into()
            }
            Self::MembershipChanged(MembershipChanged { user, .. }) => [Scope::user(*user)].into(),
            Self::InviteMade(InviteMade { id, .. }) | Self::InviteRevoked(InviteRevoked { id }) => {
                [id.lookup_scope()].into()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Returns the stub that replaces an erased event, without anything that its author wrote or must keep secret. It is
    /// the same on every node. It keeps what all nodes need to build the same views: ids, senders, stamps.
    #[must_use]
    pub fn erased(mut self) -> Self {
        match &mut self {
            Self::MessagePosted(posted) => posted.erase(),
            Self::MessageEdited(MessageEdited { text, mentions, .. }) => {
                *text = None;
                // An edit of kind 27 has no mentions, and must keep its kind.
                if let Some(mentions) = mentions {
                    mentions.clear();
                }
            }
            Self::MemberRoomCreated(created) => created.erase(),
            Self::MemberRoomChanged(MemberRoomChanged { name, topic, .. }) => (*name, *topic) = (None, None),
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

    /// Whether this is the stub of a message. Stubs of earlier versions may hold more than today's.
    pub fn is_message_stub(&self) -> bool {
        match self {
            Self::MessagePosted(posted) => posted.is_erased(),
            Self::MessageEdited(edited) => edited.text.is_none(),
            _ => false,
        }
    }
}
