//! Texts from users, parsed once on arrival into types that can't hold an invalid value.
//! Frames and events contain these types, so no other code checks lengths again.

mod emoji;
mod names;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use thiserror::Error;
use unicase::UniCase;

pub use self::names::{collide, lookalike_forms};
use crate::{
    event::scope::Scope,
    limits::{
        DISPLAY_NAME_CHARS_MAX, EMOJI_BYTES_MAX, GUEST_NAME_CHARS_MAX, MESSAGE_CHARS_MAX,
        ROOM_NAME_CHARS_MAX, TOPIC_CHARS_MAX, USERNAME_CHARS, USERNAME_CHARS_MAX,
    },
};

/// The reason why a text was refused. The text of the error is shown to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TextError {
    /// The text is empty (names: after trimming).
    #[error("must not be empty")]
    Empty,
    /// The text has more characters than the limit.
    #[error("must be at most {0} characters")]
    TooLong(usize),
    /// The text has more bytes than the limit.
    #[error("must be at most {0} bytes")]
    TooManyBytes(usize),
    /// The text has fewer or more characters than allowed.
    #[error("must be {0} to {1} characters")]
    Length(usize, usize),
    /// A username contains a character that isn't allowed.
    #[error("can contain only the characters a-z 0-9 _ . -")]
    Username,
    /// The text contains a control character (such as a line break). In reactions also: an invisible character, one that
    /// changes the direction of text, or whitespace.
    #[error("must not contain control characters")]
    Control,
    /// The name contains a character that shows nothing. Spaces are fine, and so are characters that join or separate
    /// the letters or emoji around them.
    #[error("must not contain invisible characters")]
    Invisible,
    /// The text contains `~`, which Starling puts before the suffixes of names.
    #[error("must not contain ~, which is reserved")]
    Tilde,
}

/// Whether a character is a control, one of the common invisible ones (such as U+200B), or one that changes the
/// direction of text. For reactions; names and topics have a stricter rule in [`names`].
fn is_control_or_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// Returns the form in which names are compared: Unicode case folding, then NFKC, since folding may decompose letters
/// (`ᾂ` into `ἂι`). Stored keys and merge rules depend on it.
pub fn folded(name: &str) -> Box<str> {
    names::composed(&UniCase::unicode(name).to_folded_case()).into()
}

/// Like [`folded`], for a text that was not parsed as a name: normalizes it (NFKC) first.
pub fn fold_query(text: &str) -> Box<str> {
    folded(&names::composed(text))
}

/// Deserializes a reaction, from a peer or from the log.
fn within_emoji_bytes<'de, D: Deserializer<'de>>(text: D) -> Result<Box<str>, D::Error> {
    let text = Box::<str>::deserialize(text)?;
    check_emoji_bytes(&text).map(|()| text).map_err(D::Error::custom)
}

fn check_emoji_bytes(text: &str) -> Result<(), TextError> {
    match text.len() {
        0 => Err(TextError::Empty),
        bytes if bytes > EMOJI_BYTES_MAX => Err(TextError::TooManyBytes(EMOJI_BYTES_MAX)),
        _ => Ok(()),
    }
}

/// Deserializes a text of 1 to `CHARS_MAX` characters, from a peer or from the log. Limits elsewhere depend on this one.
/// The characters are not checked again: if that rule becomes stricter, logs must stay readable.
fn within_chars<'de, D: Deserializer<'de>, const CHARS_MAX: usize>(text: D) -> Result<Box<str>, D::Error> {
    let text = Box::<str>::deserialize(text)?;
    check_length(&text, CHARS_MAX).map(|()| text).map_err(D::Error::custom)
}

/// Like [`within_chars`], but the text may be empty.
fn within_chars_or_empty<'de, D: Deserializer<'de>, const CHARS_MAX: usize>(
    text: D,
) -> Result<Box<str>, D::Error> {
    let text = Box::<str>::deserialize(text)?;
    match check_length(&text, CHARS_MAX) {
        Ok(()) | Err(TextError::Empty) => Ok(text),
        Err(error) => Err(D::Error::custom(error)),
    }
}

fn check_length(text: &str, chars_max: usize) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    // Most texts have fewer bytes than the limit in characters.
    if text.len() > chars_max && text.chars().nth(chars_max).is_some() {
        return Err(TextError::TooLong(chars_max));
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])+ $name:ident, $max:ident, $within:literal) => {
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name(#[serde(deserialize_with = $within)] Box<str>);

        impl $name {
            /// Parses the user's input.
            pub fn parse(text: &str) -> Result<Self, TextError> {
                names::parse(text, $max).map(Self)
            }

            /// Returns the name as it is shown.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the form in which names are compared.
            pub fn folded(&self) -> Box<str> {
                folded(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A guest's name: 1 to 32 characters, without `~`, controls and characters that show nothing
    /// ([`TextError::Invisible`]); each run of whitespace is one space, with none at the ends.
    GuestName, GUEST_NAME_CHARS_MAX, "within_chars::<_, GUEST_NAME_CHARS_MAX>"
);
name!(
    /// A room's name: 1 to 80 characters, by the rule of [`GuestName`].
    RoomName, ROOM_NAME_CHARS_MAX, "within_chars::<_, ROOM_NAME_CHARS_MAX>"
);
name!(
    /// A user's display name: 1 to 64 characters, by the rule of [`GuestName`].
    DisplayName, DISPLAY_NAME_CHARS_MAX, "within_chars::<_, DISPLAY_NAME_CHARS_MAX>"
);

impl GuestName {
    /// Makes the name under which a user appears in a quick room, from their username or a suffixed `name~xxxx`.
    /// It is cut to the length of a guest's name. The suffix is never cut, since the rest alone is another account's name.
    pub fn from_username(username: &str) -> Self {
        let (name, suffix) = username.split_at(username.find('~').unwrap_or(username.len()));
        let name_chars_max = GUEST_NAME_CHARS_MAX.saturating_sub(suffix.chars().count());
        let chars = name.chars().take(name_chars_max).chain(suffix.chars()).take(GUEST_NAME_CHARS_MAX);
        Self(chars.collect::<String>().into())
    }
}

/// A username: 3 to 32 of the characters `a-z 0-9 _ . -`. Capital letters are converted to small ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Username(#[serde(deserialize_with = "within_chars::<_, USERNAME_CHARS_MAX>")] Box<str>);

impl Username {
    /// Parses the user's input.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim().to_ascii_lowercase();
        if !USERNAME_CHARS.contains(&text.chars().count()) {
            return Err(TextError::Length(*USERNAME_CHARS.start(), *USERNAME_CHARS.end()));
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
        if !text.chars().all(allowed) {
            return Err(TextError::Username);
        }
        Ok(Self(text.into()))
    }

    /// Returns the username.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the scope of claims to it. The bucket is its first character, so that similar usernames share one.
    pub fn claim_scope(&self) -> Scope {
        Scope::cluster_bucket(self.0.as_bytes().first().copied().unwrap_or_default())
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A room's topic: up to 250 characters, trimmed; may be empty. The characters of a [`RoomName`] and `~` are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic(#[serde(deserialize_with = "within_chars_or_empty::<_, TOPIC_CHARS_MAX>")] Box<str>);

impl Topic {
    /// Parses the user's input.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        match check_length(text, TOPIC_CHARS_MAX) {
            Err(TextError::Empty) => Ok(Self::default()),
            Err(error) => Err(error),
            Ok(()) => names::check_visible(text).map(|()| Self(text.into())),
        }
    }

    /// Returns the text as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A reaction: an emoji or another short text of up to 64 bytes, without whitespace, controls and invisible characters
/// (except the zero-width joiner). With and without U+FE0F it is the same one ([`Emoji::normal`]).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Emoji(#[serde(deserialize_with = "within_emoji_bytes")] Box<str>);

impl Emoji {
    /// Parses the client's input and normalizes it.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        // A zero-width joiner connects the parts of an emoji. Other invisible characters are refused.
        let forbidden = |c: char| c.is_whitespace() || (is_control_or_invisible(c) && c != '\u{200D}');
        check_emoji_bytes(text)?;
        if text.chars().any(forbidden) {
            return Err(TextError::Control);
        }
        let text = emoji::normal(text);
        check_emoji_bytes(&text).map(|()| Self(text))
    }

    /// Returns the form in which emoji are compared and counted. Stored emoji may have another form.
    #[must_use]
    pub fn normal(&self) -> Self {
        Self(emoji::normal(&self.0))
    }

    /// Returns the text as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A message's body: 1 to 8,000 characters, kept exactly as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageText(#[serde(deserialize_with = "within_chars::<_, MESSAGE_CHARS_MAX>")] Box<str>);

impl MessageText {
    /// Parses the user's input.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        check_length(text, MESSAGE_CHARS_MAX)?;
        Ok(Self(text.into()))
    }

    /// Returns the body.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_bounded_and_free_of_controls() {
        let name = |text: &str| GuestName::parse(text).map(|name| name.as_str().to_owned());
        assert_eq!(name("  Ann  "), Ok("Ann".to_owned()));
        assert_eq!(name(" \t "), Err(TextError::Empty));
        assert_eq!(name("a\u{0}b"), Err(TextError::Control));
        assert_eq!(name("Ann\u{202E}"), Err(TextError::Invisible));
        for chars in [GUEST_NAME_CHARS_MAX - 1, GUEST_NAME_CHARS_MAX] {
            assert!(name(&"ß".repeat(chars)).is_ok());
        }
        assert_eq!(
            name(&"ß".repeat(GUEST_NAME_CHARS_MAX + 1)),
            Err(TextError::TooLong(GUEST_NAME_CHARS_MAX))
        );
    }

    /// Promise: a topic takes the characters that names take, and no more shows nothing.
    #[test]
    fn a_topic_has_the_characters_of_names() {
        let topic = |text: &str| Topic::parse(text).map(|topic| topic.as_str().to_owned());
        for text in ["", "👩‍💻 team", "می‌خواهم", "1️⃣ ~ 2", "Ann’s room"] {
            assert_eq!(topic(text), Ok(text.to_owned()));
        }
        assert_eq!(topic("\u{3164}"), Err(TextError::Invisible));
        assert_eq!(topic("a\u{AD}b"), Err(TextError::Invisible));
        assert_eq!(topic("a\nb"), Err(TextError::Control));
    }

    /// Promise: a reaction of a peer keeps the limit in bytes, as one of a client does.
    #[test]
    fn a_reaction_has_at_most_64_bytes_from_wherever_it_comes() {
        let longest = "é".repeat(EMOJI_BYTES_MAX / 2);
        for (text, fits) in [("", false), (&*longest, true), (&*format!("{longest}e"), false)] {
            assert_eq!(Emoji::parse(text).is_ok(), fits);
            let encoded = crate::codec::encode(&text);
            assert_eq!(crate::codec::decode::<Emoji>(&encoded, 1_000).is_ok(), fits, "{text:?}");
        }
    }

    #[test]
    fn the_suffix_of_a_username_is_never_cut() {
        let longest = "a".repeat(32);
        for (username, shown) in [
            ("ann", "ann".to_owned()),
            ("ann~x1y2", "ann~x1y2".to_owned()),
            (&longest, longest.clone()),
            (&format!("{longest}~x1y2"), format!("{}~x1y2", "a".repeat(27))),
        ] {
            assert_eq!(GuestName::from_username(username).as_str(), shown);
        }
    }

    #[test]
    fn decoding_checks_the_length_but_not_the_characters() {
        let decodes = |text: &str| {
            let bytes = crate::codec::encode(&text);
            crate::codec::decode::<GuestName>(&bytes, bytes.len()).is_ok()
        };
        assert!(decodes(&"ß".repeat(GUEST_NAME_CHARS_MAX)) && decodes("a\u{202E}"));
        assert!(!decodes(&"ß".repeat(GUEST_NAME_CHARS_MAX + 1)) && !decodes(""));
    }

    #[test]
    fn names_compare_case_folded() {
        let folded = |text: &str| GuestName::parse(text).unwrap().folded();
        assert_eq!(folded("STRASSE"), folded("straße"));
        assert_eq!(folded("Ann"), folded("aNN"));
        assert_ne!(folded("Ann"), folded("Anna"));
        assert_eq!(
            folded("\u{1F82}\u{313}"),
            folded("\u{1F02}\u{1F30}"),
            "folding decomposes a letter, and NFKC composes it again"
        );
    }

    #[test]
    fn the_limit_of_a_body_counts_characters() {
        for unit in ["x", "é", "🐦"] {
            assert!(MessageText::parse(&unit.repeat(MESSAGE_CHARS_MAX - 1)).is_ok());
            assert!(MessageText::parse(&unit.repeat(MESSAGE_CHARS_MAX)).is_ok());
            assert!(MessageText::parse(&unit.repeat(MESSAGE_CHARS_MAX + 1)).is_err());
        }
        assert_eq!(MessageText::parse(""), Err(TextError::Empty));
        assert_eq!(MessageText::parse(" a ").unwrap().as_str(), " a ");
    }
}
