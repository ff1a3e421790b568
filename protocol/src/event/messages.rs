//! Events of messages; their scope is the room. A message is named by its key, which never changes, whatever id it
//! is listed under.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{Emoji, GuestId, GuestName, Hlc, MessageId, MessageText, Scope, UserId};

/// Who wrote a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sender {
    /// Somebody without an account, under the name he had then.
    Guest {
        /// Who it is.
        id: GuestId,
        /// What he called himself.
        name: GuestName,
    },
    /// Somebody with an account.
    User(UserId),
}

/// Bytes that identify a sender whatever he calls himself: a tag and his id.
pub type SenderKey = [u8; 17];

impl Sender {
    const GUEST: u8 = 1;
    const USER: u8 = 2;

    /// What identifies the sender.
    pub fn key(&self) -> SenderKey {
        let (tag, id) = match self {
            Self::Guest { id, .. } => (Self::GUEST, id.0),
            Self::User(id) => (Self::USER, id.0),
        };
        let mut key = [tag; 17];
        key[1..].copy_from_slice(&id);
        key
    }

    /// The user, if he has an account.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::Guest { .. } => None,
            Self::User(id) => Some(*id),
        }
    }
}

/// The user behind a [`SenderKey`], if it is one's.
pub fn user_of(key: SenderKey) -> Option<UserId> {
    let (&tag, id) = key.split_first()?;
    (tag == Sender::USER).then(|| <[u8; 16]>::try_from(id).ok().map(UserId))?
}

/// Names a message: its sender and the id that he gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageKey {
    /// [`Sender::key`].
    pub sender: SenderKey,
    /// His id for it.
    pub id: MessageId,
}

impl MessageKey {
    /// As bytes, for a table.
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

/// A message was posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePosted {
    /// The id that its sender gave it.
    pub id: MessageId,
    /// Who wrote it.
    pub sender: Sender,
    /// What he wrote; nothing once it is erased.
    pub text: Option<MessageText>,
    /// The id, as it was listed, of the message that it answers.
    pub reply_to: Option<MessageId>,
    /// The members whom it names, as its writer knew them.
    pub mentions: Vec<UserId>,
}

impl MessagePosted {
    /// A message that answers nothing and names nobody.
    pub fn new(id: MessageId, sender: Sender, text: MessageText) -> Self {
        Self { id, sender, text: Some(text), reply_to: None, mentions: Vec::new() }
    }

    /// Names it.
    pub fn key(&self) -> MessageKey {
        MessageKey { sender: self.sender.key(), id: self.id }
    }

    /// What was written; empty once it is erased.
    pub fn body(&self) -> &str {
        self.text.as_ref().map(MessageText::as_str).unwrap_or_default()
    }
}

/// Kind 2: what guests posted before there were accounts, and still do.
#[derive(Serialize, Deserialize)]
pub(super) struct GuestPosted {
    id: MessageId,
    #[serde(deserialize_with = "guest")]
    sender: Sender,
    text: MessageText,
}

impl GuestPosted {
    pub(super) fn of(posted: &MessagePosted) -> Option<Self> {
        let MessagePosted { id, sender, text: Some(text), reply_to: None, mentions } = posted else {
            return None;
        };
        let plain = sender.user().is_none() && mentions.is_empty();
        plain.then(|| Self { id: *id, sender: sender.clone(), text: text.clone() })
    }
}

/// Users post by kind 4: each message has one kind.
fn guest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sender, D::Error> {
    let sender = Sender::deserialize(deserializer)?;
    if sender.user().is_none() { Ok(sender) } else { Err(D::Error::custom("a user among guests")) }
}

impl From<GuestPosted> for MessagePosted {
    fn from(GuestPosted { id, sender, text }: GuestPosted) -> Self {
        Self::new(id, sender, text)
    }
}

/// A guest had a name in the room while another guest had it too, which only the sides of a split let happen: written
/// by the node that held his session, once it saw the other's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameShared {
    /// Who.
    pub guest: GuestId,
    /// The name, as he typed it.
    pub name: GuestName,
    /// When his session began. He had the name from then to the event.
    pub since: Hlc,
}

/// The author gave a message another text. The last edit shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageEdited {
    /// Which message.
    pub message: MessageKey,
    /// What it says now; nothing once it is erased.
    pub text: Option<MessageText>,
    /// The members whom it names now, as its writer knew them; nothing in edits of kind 27, which leave them as they
    /// were.
    #[serde(serialize_with = "some", deserialize_with = "to_some")]
    pub mentions: Option<Vec<UserId>>,
}

/// Kind 40 always says whom the message names.
#[expect(clippy::ref_option, reason = "serde hands a reference")]
fn some<S: Serializer>(mentions: &Option<Vec<UserId>>, serializer: S) -> Result<S::Ok, S::Error> {
    mentions.as_deref().unwrap_or_default().serialize(serializer)
}

fn to_some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<UserId>>, D::Error> {
    Vec::deserialize(deserializer).map(Some)
}

/// Kind 27: an edit that says nothing of whom the message names.
#[derive(Serialize, Deserialize)]
pub(super) struct TextEdited {
    message: MessageKey,
    text: Option<MessageText>,
}

impl TextEdited {
    pub(super) fn of(edited: &MessageEdited) -> Option<Self> {
        let MessageEdited { message, text, mentions: None } = edited else { return None };
        Some(Self { message: *message, text: text.clone() })
    }
}

impl From<TextEdited> for MessageEdited {
    fn from(TextEdited { message, text }: TextEdited) -> Self {
        Self { message, text, mentions: None }
    }
}

/// A message was deleted, for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageDeleted {
    /// Which message.
    pub message: MessageKey,
    /// By whom.
    pub by: UserId,
}

/// A member put an emoji on a message, or took it away. The last of each member, message and emoji holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionSet {
    /// On which message.
    pub message: MessageKey,
    /// Who.
    pub user: UserId,
    /// Which.
    pub emoji: Emoji,
    /// Whether it is there.
    pub on: bool,
}

/// Where the use of a message id belongs: who used it first is no matter of a single room.
pub fn id_shard(id: MessageId) -> Scope {
    Scope::shard(id.as_bytes()[0])
}
