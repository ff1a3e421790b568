//! What a user has set for himself, the same wherever he logs in.

use serde::{Deserialize, Serialize};

use crate::{event::NotifyLevel, limits::LANGUAGE_CHARS_MAX};

/// How pages look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Theme {
    /// As the system does.
    #[default]
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How pages look.
    pub theme: Theme,
    /// A language tag (BCP 47) of at most 35 characters.
    pub language: Box<str>,
    /// Of what to be told, where a room says nothing else.
    pub notify: NotifyLevel,
    /// Not to be disturbed until then (Unix milliseconds).
    pub dnd_until_ms: Option<u64>,
}

/// A language tag as it is kept; nothing if the text is none.
pub fn language(text: &str) -> Option<Box<str>> {
    let is_part =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (text.len() <= LANGUAGE_CHARS_MAX && text.split('-').all(is_part)).then(|| text.into())
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
    fn a_language_is_a_tag_of_short_parts() {
        let longest = "abcdefgh-abcdefgh-abcdefgh-abcdefgh";
        assert_eq!(longest.len(), LANGUAGE_CHARS_MAX);
        for tag in ["en", "de-CH-1901", longest] {
            assert_eq!(language(tag).as_deref(), Some(tag));
        }
        for other in ["", "-", "en-", "en_US", "abcdefghi", "dé", &format!("{longest}-a"), "en US"] {
            assert_eq!(language(other), None, "{other}");
        }
    }
}
