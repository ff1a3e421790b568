//! The error of every service: a code of the public contract with a text for people.

use std::borrow::Cow;

use starling_protocol::ErrorCode;

/// Why a service did not do what it was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code that programs match on.
    pub code: ErrorCode,
    /// What is wrong and what to do about it, for people.
    pub detail: Cow<'static, str>,
    /// Seconds after which to try again, where that is known.
    pub retry_after: Option<u32>,
    /// With `Invalid`: the field that is out of its limits.
    pub field: Option<&'static str>,
}

impl Refusal {
    /// Returns a refusal with its text.
    pub fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), retry_after: None, field: None }
    }

    /// Returns an `Invalid` about one field.
    pub fn invalid(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { field: Some(field), ..Self::new(ErrorCode::Invalid, detail) }
    }

    /// Adds the seconds after which to try again.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}
