//! The rules of registration: the operator's setting, and the source of a registration.

use std::{fmt, str::FromStr};

use serde::Deserialize;
use starling_protocol::InviteCode;

/// The setting `registration.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationMode {
    /// Everybody may register.
    #[default]
    Open,
    /// People with an invite to a room may register.
    Invite,
    /// Nobody may register; operators create accounts.
    Closed,
}

/// The text is not a mode.
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

/// The right by which an account is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationSource {
    /// The user registers, with an invite if they have one.
    Public(Option<InviteCode>),
    /// The user has the setup link, which a node prints while there is no administrator. They become the first one.
    Setup,
    /// The operator creates the account.
    Operator {
        /// Whether the account becomes an administrator.
        admin: bool,
    },
}
