//! A user's settings. They are the same in all of the user's sessions.

use serde::{Deserialize, Serialize};

use crate::{event::NotifyLevel, limits::LANGUAGE_CHARS_MAX};

/// The color theme of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Theme {
    /// The system's theme.
    #[default]
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// All settings of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The color theme.
    pub theme: Theme,
    /// A language tag (BCP 47) of at most 35 characters.
    pub language: Box<str>,
    /// The notification level of rooms that have none of their own.
    pub notify: NotifyLevel,
    /// The end of do-not-disturb (Unix milliseconds).
    pub dnd_until_ms: Option<u64>,
}

/// Parses a language tag; `None` if it is malformed.
pub fn parse_language(text: &str) -> Option<Box<str>> {
    let is_subtag =
        |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (text.len() <= LANGUAGE_CHARS_MAX && text.split('-').all(is_subtag)).then(|| text.into())
}

impl Default for Settings {
    fn default() -> Self {
        Self { theme: Theme::System, language: "en".into(), notify: NotifyLevel::All, dnd_until_ms: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_tag_consists_of_short_subtags() {
        let longest = "abcdefgh-abcdefgh-abcdefgh-abcdefgh";
        assert_eq!(longest.len(), LANGUAGE_CHARS_MAX);
        for tag in ["en", "de-CH-1901", longest] {
            assert_eq!(parse_language(tag).as_deref(), Some(tag));
        }
        for other in ["", "-", "en-", "en_US", "abcdefghi", "dé", &format!("{longest}-a"), "en US"] {
            assert_eq!(parse_language(other), None, "{other}");
        }
    }
}
