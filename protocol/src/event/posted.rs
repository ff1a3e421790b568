//! The event of a posted message, and its three layouts. Kinds 2 and 4 are those that builds of wire version 1 know. Kind 43
//! says more, and takes what later versions add: see DECISIONS.md, 'One next kind of message'.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::messages::{MessageKey, Sender};
use crate::{
    codec::{self, DecodeError},
    id::{FileId, MessageId, UserId},
    limits::{
        FILES_PER_MESSAGE_MAX, IMPORTED_MS_MAX, MENTIONS_MAX, MESSAGE_EXTENSIONS_BYTES_MAX,
        MESSAGE_EXTENSIONS_MAX,
    },
    text::MessageText,
};

/// A message was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagePosted {
    /// The id that its sender gave it.
    pub id: MessageId,
    /// The sender.
    pub sender: Sender,
    /// The text; `None` once it is erased, and for a message that has only files.
    pub text: Option<MessageText>,
    /// The listed id of the message that this one replies to.
    pub reply_to: Option<MessageId>,
    /// The mentioned members, as the writing node knew them.
    pub mentions: Vec<UserId>,
    /// The fields that only kind 43 has; `None` for kinds 2 and 4.
    pub details: Option<Box<PostDetails>>,
}

/// The parts of a message that only kind 43 has. With the mentions, `everyone`, `reply_author` and `direct_peer` are all
/// whom a message addresses: notifications derive from this one event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostDetails {
    /// Whether this is a stub: its content is erased.
    pub is_erased: bool,
    /// Whether it mentions all members of the room.
    pub everyone: bool,
    /// The author of the message that this one replies to, unless they reply to themselves.
    pub reply_author: Option<UserId>,
    /// The other member of a direct room.
    pub direct_peer: Option<UserId>,
    /// Its files, [`FILES_PER_MESSAGE_MAX`] at most.
    #[serde(deserialize_with = "at_most::<_, _, FILES_PER_MESSAGE_MAX>")]
    pub files: Vec<FileId>,
    /// The message under which it hangs.
    pub thread: Option<MessageKey>,
    /// For an imported message the time at which it was sent, in Unix milliseconds.
    #[serde(deserialize_with = "imported_ms")]
    pub imported_ms: Option<u64>,
    /// Fields of later versions.
    pub extensions: PostExtensions,
}

/// Fields of later versions, each a tag and its bytes. This build keeps and forwards them. They are content: an erasure
/// removes them, so nothing about a stub may depend on them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PostExtensions(Vec<(u16, Bytes)>);

impl PostExtensions {
    /// Makes extensions; `None` if the tags don't ascend, or there are more than [`MESSAGE_EXTENSIONS_MAX`], or more than
    /// [`MESSAGE_EXTENSIONS_BYTES_MAX`] bytes in them.
    pub fn new(extensions: Vec<(u16, Bytes)>) -> Option<Self> {
        let bytes: usize = extensions.iter().map(|(_, bytes)| bytes.len()).sum();
        let ascends = extensions.is_sorted_by(|one, next| one.0 < next.0);
        let fits = extensions.len() <= MESSAGE_EXTENSIONS_MAX && bytes <= MESSAGE_EXTENSIONS_BYTES_MAX;
        (ascends && fits).then_some(Self(extensions))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for PostExtensions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let extensions = Vec::deserialize(deserializer)?;
        Self::new(extensions).ok_or_else(|| D::Error::custom("too many extensions, or out of order"))
    }
}

fn at_most<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MAX: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let all = Vec::deserialize(deserializer)?;
    if all.len() > MAX { Err(D::Error::custom(format_args!("more than {MAX}"))) } else { Ok(all) }
}

fn imported_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let imported_ms = Option::<u64>::deserialize(deserializer)?;
    if imported_ms.is_none_or(|ms| ms <= IMPORTED_MS_MAX) {
        return Ok(imported_ms);
    }
    Err(D::Error::custom("a time after the year 9999"))
}

impl MessagePosted {
    /// Makes a message without a reply and mentions, of the oldest kind that knows its sender.
    pub fn new(id: MessageId, sender: Sender, text: MessageText) -> Self {
        let details = sender.is_bot().then(Box::default);
        Self { id, sender, text: Some(text), reply_to: None, mentions: Vec::new(), details }
    }

    /// Returns the message's key.
    pub fn key(&self) -> MessageKey {
        MessageKey { sender: self.sender.key(), id: self.id }
    }

    /// Returns the text; empty if there is none.
    pub fn body(&self) -> &str {
        self.text.as_ref().map(MessageText::as_str).unwrap_or_default()
    }

    /// Whether this is a stub: its content is erased.
    pub fn is_erased(&self) -> bool {
        self.details.as_ref().map_or(self.text.is_none(), |details| details.is_erased)
    }

    /// Returns the ids of its files.
    pub fn files(&self) -> &[FileId] {
        self.details.as_ref().map(|details| &details.files[..]).unwrap_or_default()
    }

    /// Returns the time at which an imported message was sent, in Unix milliseconds.
    pub fn imported_ms(&self) -> Option<u64> {
        self.details.as_ref()?.imported_ms
    }

    /// Whether another message has the same content, so that it may be this one, sent again. Whom it addresses doesn't
    /// count: names may have changed since. A stub has no content left to compare.
    pub fn has_same_content(&self, other: &Self) -> bool {
        let thread = |posted: &Self| posted.details.as_ref().and_then(|details| details.thread);
        let content = |posted| (thread(posted), posted.files());
        (&self.text, self.reply_to) == (&other.text, other.reply_to) && content(self) == content(other)
    }

    /// Whether all lists and times keep their limits, so that any node can decode the event.
    pub(super) fn is_within_limits(&self) -> bool {
        let fits = |details: &PostDetails| {
            details.files.len() <= FILES_PER_MESSAGE_MAX
                && details.imported_ms.is_none_or(|ms| ms <= IMPORTED_MS_MAX)
        };
        self.mentions.len() <= MENTIONS_MAX && self.details.as_deref().is_none_or(fits)
    }

    /// Returns the message as kind 43, or as [`MessagePosted::without_details`] if a peer has an older build.
    #[must_use]
    pub fn for_peers(self, has_old_peers: bool) -> Self {
        if has_old_peers { self.without_details() } else { self.with_details() }
    }

    /// Returns the message as kind 43.
    #[must_use]
    pub fn with_details(mut self) -> Self {
        self.details.get_or_insert_default();
        self
    }

    /// Returns the message as builds of wire version 1 know it, kind 2 or 4: besides the mentions, it does not say whom it
    /// addresses. If these kinds can't say the rest (files, a mention of everyone, a bot …), it stays kind 43.
    #[must_use]
    pub fn without_details(mut self) -> Self {
        let is_needed = self.details.as_deref().is_some_and(|details| {
            let PostDetails {
                is_erased,
                everyone,
                reply_author: _,
                direct_peer: _,
                files,
                thread,
                imported_ms,
                extensions,
            } = details;
            *is_erased
                || *everyone
                || !files.is_empty()
                || thread.is_some()
                || imported_ms.is_some()
                || !extensions.is_empty()
        });
        if self.text.is_some() && !is_needed && !self.sender.is_bot() {
            self.details = None;
        }
        self
    }

    /// Removes what its sender wrote. The id, the sender and the time stay, since views need them.
    pub(super) fn erase(&mut self) {
        (self.text, self.reply_to) = (None, None);
        self.mentions.clear();
        if self.sender.is_bot() {
            // It has kind 43 in any case.
            self.details.get_or_insert_default();
        }
        if let Sender::Hook { name, .. } = &mut self.sender {
            *name = None;
        }
        if let Some(details) = &mut self.details {
            let imported_ms = details.imported_ms;
            **details = PostDetails { is_erased: true, imported_ms, ..PostDetails::default() };
        }
    }

    /// The kinds of its layouts.
    pub(super) const KINDS: [u16; 3] = [GUEST_POSTED, USER_POSTED, POSTED];

    pub(super) fn encode(&self) -> (u16, Bytes) {
        let Self { id, sender, text, reply_to, mentions, details } = self.clone();
        let Some(details) = details.or_else(|| sender.is_bot().then(Box::default)) else {
            return match text {
                Some(text) if sender.is_guest() && reply_to.is_none() && mentions.is_empty() => {
                    (GUEST_POSTED, codec::encode(&GuestPosted { id, sender, text }))
                }
                text => (USER_POSTED, codec::encode(&UserPosted { id, sender, text, reply_to, mentions })),
            };
        };
        let details = *details;
        (POSTED, codec::encode(&Posted { id, sender, text, reply_to, mentions, details }))
    }

    pub(super) fn decode(kind: u16, payload: &[u8], bytes_max: usize) -> Result<Self, DecodeError> {
        match kind {
            GUEST_POSTED => codec::decode(payload, bytes_max)
                .map(|GuestPosted { id, sender, text }| Self::new(id, sender, text)),
            USER_POSTED => codec::decode(payload, bytes_max).map(
                |UserPosted { id, sender, text, reply_to, mentions }| Self {
                    id,
                    sender,
                    text,
                    reply_to,
                    mentions,
                    details: None,
                },
            ),
            _ => codec::decode(payload, bytes_max).map(
                |Posted { id, sender, text, reply_to, mentions, details }| Self {
                    id,
                    sender,
                    text,
                    reply_to,
                    mentions,
                    details: Some(Box::new(details)),
                },
            ),
        }
    }
}

const GUEST_POSTED: u16 = 2;
const USER_POSTED: u16 = 4;
const POSTED: u16 = 43;

/// Kind 2: messages of guests, without replies and mentions.
#[derive(Serialize, Deserialize)]
struct GuestPosted {
    id: MessageId,
    #[serde(deserialize_with = "only_guest")]
    sender: Sender,
    text: MessageText,
}

/// Kind 4: other messages of guests and users, and stubs.
#[derive(Serialize, Deserialize)]
struct UserPosted {
    id: MessageId,
    #[serde(deserialize_with = "no_bot")]
    sender: Sender,
    text: Option<MessageText>,
    reply_to: Option<MessageId>,
    mentions: Vec<UserId>,
}

/// Kind 43: any message.
#[derive(Serialize, Deserialize)]
struct Posted {
    id: MessageId,
    sender: Sender,
    text: Option<MessageText>,
    reply_to: Option<MessageId>,
    #[serde(deserialize_with = "at_most::<_, _, MENTIONS_MAX>")]
    mentions: Vec<UserId>,
    details: PostDetails,
}

/// Refuses users: they post with kind 4, and each message must have only one possible kind.
fn only_guest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sender, D::Error> {
    let sender = Sender::deserialize(deserializer)?;
    if sender.is_guest() { Ok(sender) } else { Err(D::Error::custom("kind 2 is of guests alone")) }
}

/// Refuses bots: the builds that know no other kind don't know them.
fn no_bot<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sender, D::Error> {
    let sender = Sender::deserialize(deserializer)?;
    if sender.is_bot() { Err(D::Error::custom("kind 4 is of guests and users alone")) } else { Ok(sender) }
}
