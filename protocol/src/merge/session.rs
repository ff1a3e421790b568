//! Sessions: opened once; ending wins; of the refresh tokens used, the greatest number counts.

use serde::{Deserialize, Serialize};

use crate::{EventBody, Hlc, Pos, event::SessionKind, event::SessionOpened};

/// What is known of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// How it was opened; nothing while that event is not here.
    pub opened: Option<(Pos, SessionOpened)>,
    /// Whether it was ended.
    pub ended: bool,
    /// The greatest number of a refresh token that was used.
    pub used: Option<u64>,
    /// When one was used last.
    pub used_at: Hlc,
    /// The latest end that was granted (Unix milliseconds).
    renewed_ms: u64,
}

impl SessionState {
    /// Whether it lives at `now_ms` (Unix milliseconds), if `password` is the change of its user's password that holds.
    /// Whether its user may be here at all is another question.
    pub fn is_alive(&self, now_ms: u64, password: Pos) -> bool {
        let Some((_, opened)) = &self.opened else { return false };
        let personal = matches!(opened.kind, SessionKind::Personal(_));
        let expires_ms = opened.expires_ms.map(|end| end.max(self.renewed_ms));
        !self.ended && (personal || opened.password == password) && expires_ms.is_none_or(|end| now_ms < end)
    }
}

/// Applies an event of the session's user at `place` that is about this session.
pub fn applied(state: Option<SessionState>, place: Pos, body: &EventBody) -> SessionState {
    let mut state = state.unwrap_or_default();
    match body {
        EventBody::SessionOpened(opened) if state.opened.as_ref().is_none_or(|(first, _)| place < *first) => {
            state.opened = Some((place, opened.clone()));
        }
        EventBody::SessionsEnded(_) => state.ended = true,
        EventBody::RefreshUsed(used) => {
            state.used = state.used.max(Some(used.n));
            state.used_at = state.used_at.max(place.hlc);
            state.renewed_ms = state.renewed_ms.max(used.expires_ms);
        }
        _ => {}
    }
    state
}

/// A session of a deleted user, of which nothing secret stays. One that comes later comes as a stub.
pub fn erased(mut state: SessionState) -> SessionState {
    if let Some((place, opened)) = state.opened.take()
        && let EventBody::SessionOpened(erased) = EventBody::from(opened).erased()
    {
        state.opened = Some((place, erased));
    }
    state
}
