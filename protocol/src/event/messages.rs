//! Events of messages. Their scope is the room. A message's key never changes; the id under which it is listed may.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    hlc::Hlc,
    id::{GuestId, HookId, MessageId, UserId},
    text::{DisplayName, Emoji, GuestName, MessageText},
};

/// The sender of a message. Only kind 43 of events knows bots and webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sender {
    /// Somebody without an account.
    Guest {
        /// The guest's id.
        id: GuestId,
        /// The name that they had when they posted.
        name: GuestName,
    },
    /// Somebody with an account.
    User(UserId),
    /// A program with an account. It has the same key as a user with this id.
    Bot(UserId),
    /// A webhook of the room: a program without an account.
    Hook {
        /// The webhook's id.
        id: HookId,
        /// The name that it gave itself in this message; `None` once it is erased.
        name: Option<DisplayName>,
    },
}

/// Identifies a sender under any name: a tag and the sender's id.
pub type SenderKey = [u8; 17];

impl Sender {
    const GUEST: u8 = 1;
    const USER: u8 = 2;
    const HOOK: u8 = 3;

    /// Returns the bytes that identify the sender.
    pub fn key(&self) -> SenderKey {
        let (tag, id) = match self {
            Self::Guest { id, .. } => (Self::GUEST, id.0),
            Self::User(id) | Self::Bot(id) => (Self::USER, id.0),
            Self::Hook { id, .. } => (Self::HOOK, id.0),
        };
        let mut key = [tag; 17];
        key[1..].copy_from_slice(&id);
        key
    }

    /// Returns the account; `None` for a guest and for a webhook.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::Guest { .. } | Self::Hook { .. } => None,
            Self::User(id) | Self::Bot(id) => Some(*id),
        }
    }

    /// Whether the sender is a guest.
    pub fn is_guest(&self) -> bool {
        matches!(self, Self::Guest { .. })
    }

    /// Whether the sender is a program.
    pub fn is_bot(&self) -> bool {
        matches!(self, Self::Bot(_) | Self::Hook { .. })
    }
}

/// Returns the account of a [`SenderKey`]; `None` for a guest's and for a webhook's.
pub fn sender_user(key: SenderKey) -> Option<UserId> {
    let (&tag, id) = key.split_first()?;
    (tag == Sender::USER).then(|| <[u8; 16]>::try_from(id).ok().map(UserId))?
}

/// Identifies a message: its sender and the id that the sender gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageKey {
    /// The result of [`Sender::key`].
    pub sender: SenderKey,
    /// The sender's id for the message.
    pub id: MessageId,
}

impl MessageKey {
    /// Returns the bytes for a table.
    pub fn to_bytes(self) -> [u8; 33] {
        let mut bytes = [0; 33];
        bytes[..17].copy_from_slice(&self.sender);
        bytes[17..].copy_from_slice(self.id.as_bytes());
        bytes
    }

    /// The inverse of [`MessageKey::to_bytes`].
    pub fn from_bytes(bytes: &[u8; 33]) -> Self {
        let (sender, id) = bytes.split_at(17);
        let sender = sender.try_into().expect("split at 17");
        Self { sender, id: MessageId::from_bytes(id.try_into().expect("16 of 33 remain")) }
    }
}

/// Two guests had the same name in the room at the same time, which only a network partition makes possible. Each
/// guest's node writes this event once it sees the other guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameShared {
    /// One of the two guests.
    pub guest: GuestId,
    /// The name, as the guest typed it.
    pub name: GuestName,
    /// The start of the guest's session. They had the name from then until this event.
    pub since: Hlc,
}

/// The author changed a message's text. The last edit is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageEdited {
    /// The edited message.
    pub message: MessageKey,
    /// The new text; `None` once it is erased.
    pub text: Option<MessageText>,
    /// The mentioned members, as the writing node knew them; `None` in edits of kind 27, which keep the mentions.
    #[serde(serialize_with = "serialize_inner", deserialize_with = "deserialize_some")]
    pub mentions: Option<Vec<UserId>>,
}

/// Kind 40 always has mentions, so its layout has no `Option`.
#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn serialize_inner<S: Serializer>(mentions: &Option<Vec<UserId>>, serializer: S) -> Result<S::Ok, S::Error> {
    mentions.as_deref().unwrap_or_default().serialize(serializer)
}

fn deserialize_some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<UserId>>, D::Error> {
    Vec::deserialize(deserializer).map(Some)
}

/// Kind 27: an edit that leaves the message's mentions as they are.
#[derive(Serialize, Deserialize)]
pub(super) struct TextEdited {
    message: MessageKey,
    text: Option<MessageText>,
}

impl TextEdited {
    pub(super) fn from_event(edited: &MessageEdited) -> Option<Self> {
        let MessageEdited { message, text, mentions: None } = edited else { return None };
        Some(Self { message: *message, text: text.clone() })
    }
}

impl From<TextEdited> for MessageEdited {
    fn from(TextEdited { message, text }: TextEdited) -> Self {
        Self { message, text, mentions: None }
    }
}

/// A message was deleted permanently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageDeleted {
    /// The deleted message.
    pub message: MessageKey,
    /// The user who deleted it.
    pub by: UserId,
}

/// A member added a reaction to a message or removed it. Per member, message and emoji the last event wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionChanged {
    /// The message.
    pub message: MessageKey,
    /// The member.
    pub user: UserId,
    /// The reaction.
    pub emoji: Emoji,
    /// Whether it was added.
    pub on: bool,
}
