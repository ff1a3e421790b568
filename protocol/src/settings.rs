//! What a user has set for himself, the same wherever he logs in.

use serde::{Deserialize, Serialize};

use crate::event::NotifyLevel;

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

impl Default for Settings {
    fn default() -> Self {
        Self { theme: Theme::System, language: "en".into(), notify: NotifyLevel::All, dnd_until_ms: None }
    }
}
