//! Refusals of requests. The store, permissions and services make refusals; `web` renders them.

use std::borrow::Cow;

use crate::ErrorCode;

/// A refused request: the stable code, and what the user can do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: ErrorCode,
    /// The text for the user.
    pub detail: Cow<'static, str>,
    /// Seconds after which a retry makes sense, where that is known.
    pub retry_after: Option<u32>,
    /// With [`ErrorCode::Invalid`]: the field that is out of its limits.
    pub field: Option<&'static str>,
}

impl Refusal {
    /// Makes a refusal with its text.
    pub fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), retry_after: None, field: None }
    }

    /// Refuses a field that is out of its limits.
    pub fn invalid(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { field: Some(field), ..Self::new(ErrorCode::Invalid, detail) }
    }

    /// Adds the seconds after which a retry makes sense.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}
