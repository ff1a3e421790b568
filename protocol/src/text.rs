//! Text that users give, parsed once at the edge into types that cannot hold an invalid value.
//! Frames and events carry these types; nothing behind the edge checks lengths again.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use thiserror::Error;
use unicase::UniCase;

use crate::limits::{GUEST_NAME_CHARS_MAX, MESSAGE_CHARS_MAX, ROOM_NAME_CHARS_MAX};

/// Why a text was not accepted; the words are shown to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TextError {
    /// Nothing is left after trimming.
    #[error("must not be empty")]
    Empty,
    /// More characters than the limit.
    #[error("must be at most {0} characters")]
    TooLong(usize),
    /// A control character.
    #[error("must not contain control characters")]
    Control,
}

fn parse_name(text: &str, chars_max: usize) -> Result<Box<str>, TextError> {
    let text = text.trim();
    check_length(text, chars_max)?;
    if text.chars().any(is_control) {
        return Err(TextError::Control);
    }
    Ok(text.into())
}

/// Controls, and the invisible characters that turn text around or hide in it: a name made of
/// them would look like somebody else's.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// The form in which guest names are compared: Unicode case folding.
pub fn folded(name: &str) -> Box<str> {
    UniCase::unicode(name).to_folded_case().into()
}

/// What is read from peers and from the log keeps the limit too: bounds elsewhere rest on it. Its characters are not
/// judged again: that rule may become stricter, and must not make a log unreadable.
fn within<'de, D: Deserializer<'de>, const CHARS_MAX: usize>(text: D) -> Result<Box<str>, D::Error> {
    let text = Box::<str>::deserialize(text)?;
    check_length(&text, CHARS_MAX).map(|()| text).map_err(D::Error::custom)
}

fn check_length(text: &str, chars_max: usize) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    // Most texts are shorter in bytes than the limit in characters.
    if text.len() > chars_max && text.chars().nth(chars_max).is_some() {
        return Err(TextError::TooLong(chars_max));
    }
    Ok(())
}

/// A guest's name: 1 to 32 characters without controls, trimmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestName(#[serde(deserialize_with = "within::<_, GUEST_NAME_CHARS_MAX>")] Box<str>);

impl GuestName {
    /// Parses what a user typed.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        parse_name(text, GUEST_NAME_CHARS_MAX).map(Self)
    }

    /// The name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which names are compared.
    pub fn folded(&self) -> Box<str> {
        folded(&self.0)
    }
}

impl fmt::Display for GuestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A room's name: 1 to 80 characters without controls, trimmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomName(#[serde(deserialize_with = "within::<_, ROOM_NAME_CHARS_MAX>")] Box<str>);

impl RoomName {
    /// Parses what a user typed.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        parse_name(text, ROOM_NAME_CHARS_MAX).map(Self)
    }

    /// The name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A message's body: 1 to 8,000 characters, kept exactly as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageText(#[serde(deserialize_with = "within::<_, MESSAGE_CHARS_MAX>")] Box<str>);

impl MessageText {
    /// Parses a body.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        check_length(text, MESSAGE_CHARS_MAX)?;
        Ok(Self(text.into()))
    }

    /// The body.
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
        assert_eq!(name("Ann\u{202E}"), Err(TextError::Control));
        for chars in [GUEST_NAME_CHARS_MAX - 1, GUEST_NAME_CHARS_MAX] {
            assert!(name(&"ß".repeat(chars)).is_ok());
        }
        assert_eq!(
            name(&"ß".repeat(GUEST_NAME_CHARS_MAX + 1)),
            Err(TextError::TooLong(GUEST_NAME_CHARS_MAX))
        );
    }

    #[test]
    fn what_is_read_keeps_the_limit_but_is_not_judged_again() {
        let read = |text: &str| {
            let bytes = crate::codec::encode(&text);
            crate::codec::decode::<GuestName>(&bytes, bytes.len()).is_ok()
        };
        assert!(read(&"ß".repeat(GUEST_NAME_CHARS_MAX)) && read("a\u{202E}"));
        assert!(!read(&"ß".repeat(GUEST_NAME_CHARS_MAX + 1)) && !read(""));
    }

    #[test]
    fn names_compare_case_folded() {
        let folded = |text: &str| GuestName::parse(text).unwrap().folded();
        assert_eq!(folded("STRASSE"), folded("straße"));
        assert_eq!(folded("Ann"), folded("aNN"));
        assert_ne!(folded("Ann"), folded("Anna"));
    }

    #[test]
    fn a_body_is_measured_in_characters_at_its_limit() {
        for unit in ["x", "é", "🐦"] {
            assert!(MessageText::parse(&unit.repeat(MESSAGE_CHARS_MAX - 1)).is_ok());
            assert!(MessageText::parse(&unit.repeat(MESSAGE_CHARS_MAX)).is_ok());
            assert!(MessageText::parse(&unit.repeat(MESSAGE_CHARS_MAX + 1)).is_err());
        }
        assert_eq!(MessageText::parse(""), Err(TextError::Empty));
        assert_eq!(MessageText::parse(" a ").unwrap().as_str(), " a ");
    }
}
