//! Who may have an account: what the operator has set, and on whose word somebody comes.

use std::{fmt, str::FromStr};

use serde::Deserialize;
use starling_protocol::InviteCode;

/// The setting `registration.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationMode {
    /// Everybody registers.
    #[default]
    Open,
    /// Whoever has an invite to a room.
    Invite,
    /// Nobody; operators make accounts.
    Closed,
}

/// None of the modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrationModeError;

impl fmt::Display for RegistrationModeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected open, invite or closed")
    }
}

impl std::error::Error for RegistrationModeError {}

impl FromStr for RegistrationMode {
    type Err = RegistrationModeError;

    fn from_str(text: &str) -> Result<Self, RegistrationModeError> {
        match text {
            "open" => Ok(Self::Open),
            "invite" => Ok(Self::Invite),
            "closed" => Ok(Self::Closed),
            _ => Err(RegistrationModeError),
        }
    }
}

/// On whose word somebody gets an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationSource {
    /// His own, with an invite if he has one.
    Public(Option<InviteCode>),
    /// He has the address that a start without any administrator prints: he becomes the first.
    Setup,
    /// The operator's.
    Operator {
        /// Whether he is to administer the service.
        admin: bool,
    },
}
