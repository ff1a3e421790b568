//! A session is opened once, and ending it wins. Its refresh counter is the greatest number used. A password change ends
//! the account's other logins, but not the session in which it was made; each session therefore stores the position of the
//! last change made in it.

use serde::{Deserialize, Serialize};

use super::user::SessionEnds;
use crate::{EventBody, Hlc, Pos, event::SessionKind, event::SessionOpened};

/// The state of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// The event that opened it, and its position; `None` until that arrives.
    pub opened: Option<(Pos, SessionOpened)>,
    /// Whether it was ended.
    pub ended: bool,
    /// The greatest number of a used refresh token.
    pub last_refresh_number: Option<u64>,
    /// The last use of a refresh token.
    pub used_at: Hlc,
    /// The latest end of all renewals (Unix milliseconds).
    renewed_until_ms: u64,
    /// The position of the last password change made in it.
    last_password_change: Option<Pos>,
}

impl SessionState {
    /// Whether the session is valid at `now_ms` (Unix milliseconds). `password_pos` is the position of the event that
    /// set its user's current password; `ends` says which of the account's sessions have ended. Doesn't check whether
    /// the account is disabled.
    pub fn is_alive(&self, now_ms: u64, password_pos: Pos, ends: SessionEnds) -> bool {
        let Some((pos, opened)) = &self.opened else { return false };
        let personal = matches!(opened.kind, SessionKind::Personal(_));
        // The log holds its family key, so everybody who can read the log could forge its tokens.
        if !personal && opened.service_key.is_none() {
            return false;
        }
        let has_password =
            opened.password_pos == password_pos || self.last_password_change == Some(password_pos);
        let counts = if personal {
            ends.tokens <= Some(opened.password_pos)
        } else {
            has_password && ends.logins < Some(*pos)
        };
        !self.ended && counts && ends.all < Some(*pos) && self.expires_ms().is_none_or(|end| now_ms < end)
    }

    /// Returns its end unless it is renewed (Unix milliseconds); `None` if it never expires.
    pub fn expires_ms(&self) -> Option<u64> {
        let (_, opened) = self.opened.as_ref()?;
        Some(opened.expires_ms?.max(self.renewed_until_ms))
    }

    /// Returns the time of its last use: when it was opened or last renewed.
    pub fn seen_at(&self) -> Hlc {
        self.opened.as_ref().map_or(self.used_at, |(pos, _)| pos.hlc.max(self.used_at))
    }
}

/// Applies an event at `pos`. The caller passes only events that are about this session: `SessionsEnded` if it lists the
/// session, `PasswordChanged` if the session stays open.
pub fn apply(state: Option<SessionState>, pos: Pos, body: &EventBody) -> SessionState {
    let mut state = state.unwrap_or_default();
    match body {
        EventBody::SessionOpened(opened) if state.opened.as_ref().is_none_or(|(first, _)| pos < *first) => {
            state.opened = Some((pos, opened.clone()));
        }
        EventBody::SessionsEnded(_) => state.ended = true,
        EventBody::RefreshTokenUsed(used) => {
            state.last_refresh_number = state.last_refresh_number.max(Some(used.n));
            state.used_at = state.used_at.max(pos.hlc);
            state.renewed_until_ms = state.renewed_until_ms.max(used.expires_ms);
        }
        EventBody::PasswordChanged(_) => {
            state.last_password_change = state.last_password_change.max(Some(pos));
        }
        _ => {}
    }
    state
}

/// Erases the secrets of a deleted user's session. Sessions that arrive later arrive as stubs.
pub fn erase(mut state: SessionState) -> SessionState {
    if let Some((pos, opened)) = state.opened.take()
        && let EventBody::SessionOpened(erased) = EventBody::from(opened).erased()
    {
        state.opened = Some((pos, erased));
    }
    state
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{NodeId, OriginId, Seq, SessionId, event};

    const OPENED: Pos = at(1);
    const NONE: SessionEnds = SessionEnds { logins: None, tokens: None, all: None };

    const fn at(ms: u64) -> Pos {
        Pos { hlc: Hlc(ms << 16), origin: OriginId { node: NodeId([1; 16]), incarnation: 1 }, seq: Seq(ms) }
    }

    fn opened(kind: SessionKind) -> EventBody {
        keyed(kind, Some(event::ServiceKeyId([1; 16])))
    }

    fn keyed(kind: SessionKind, service_key: Option<event::ServiceKeyId>) -> EventBody {
        let (session, password_pos, user_agent) = (SessionId([1; 16]), OPENED, "".into());
        let (key, expires_ms) = ([1; 32], Some(1_000));
        SessionOpened { session, kind, password_pos, key, user_agent, expires_ms, service_key }.into()
    }

    fn used(n: u64, expires_ms: u64) -> EventBody {
        event::RefreshTokenUsed { session: SessionId([1; 16]), n, expires_ms }.into()
    }

    fn kept() -> EventBody {
        event::PasswordChanged { password: None, kept_session: Some(SessionId([1; 16])), keep_tokens: false }
            .into()
    }

    fn logins(up_to: Pos) -> SessionEnds {
        SessionEnds { logins: Some(up_to), ..NONE }
    }

    fn state_after(events: &[(Pos, EventBody)]) -> SessionState {
        events.iter().fold(None, |state, (pos, body)| Some(apply(state, *pos, body))).unwrap()
    }

    #[test]
    fn a_session_is_valid_with_its_password_until_its_end() {
        let open = (OPENED, opened(SessionKind::Tokens));
        let state = state_after(std::slice::from_ref(&open));
        assert!(state.is_alive(999, OPENED, NONE) && !state.is_alive(1_000, OPENED, NONE));
        assert!(!state.is_alive(1, at(2), NONE), "another password");
        let state = state_after(&[(at(3), kept()), open.clone(), (at(2), kept()), (at(4), used(0, 2_000))]);
        assert!(state.is_alive(1_999, at(3), NONE) && !state.is_alive(2_000, at(3), NONE));
        assert!(!state.is_alive(1, at(2), NONE), "that password was changed again");
        let personal = state_after(&[(OPENED, opened(SessionKind::Personal("script".into())))]);
        assert!(personal.is_alive(1, at(2), NONE));
        assert!(personal.is_alive(1, OPENED, logins(at(2))), "only logins were ended");
        let ended = event::SessionsEnded { sessions: vec![SessionId([1; 16])], all_logins: false }.into();
        assert!(!state_after(&[(at(9), ended), open.clone()]).is_alive(1, OPENED, NONE));
        let state = state_after(&[open]);
        assert!(!state.is_alive(1, OPENED, logins(at(2))), "all logins were ended later");
        assert!(state.is_alive(1, OPENED, logins(Pos::MIN)), "it was opened after that");
    }

    /// Promise: a password change ends personal access tokens, unless it keeps them. Disabling the account ends logins and
    /// tokens permanently.
    #[test]
    fn a_password_change_ends_tokens_and_disabling_the_account_ends_all_sessions() {
        let token = state_after(&[(at(2), opened(SessionKind::Personal("script".into())))]);
        assert!(token.is_alive(1, at(5), SessionEnds { tokens: Some(OPENED), ..NONE }), "its own password");
        assert!(!token.is_alive(1, at(5), SessionEnds { tokens: Some(at(2)), ..NONE }), "a later one");
        for kind in [SessionKind::Personal("script".into()), SessionKind::Tokens, SessionKind::Cookie] {
            let session = state_after(&[(at(4), opened(kind))]);
            let disabled = |at: Pos| SessionEnds { all: Some(at), ..NONE };
            assert!(session.is_alive(1, OPENED, disabled(at(3))), "it was opened afterwards");
            assert!(!session.is_alive(1, OPENED, disabled(at(5))));
        }
    }

    #[test]
    fn using_a_browsers_session_does_not_prolong_it() {
        let state = state_after(&[(OPENED, opened(SessionKind::Cookie)), (at(500), used(0, 1_000))]);
        assert_eq!(state.seen_at(), at(500).hlc);
        assert!(state.is_alive(999, OPENED, NONE) && !state.is_alive(1_000, OPENED, NONE));
    }

    /// Promise: family keys in the log of an earlier version are useless. Personal access tokens stay valid, since the log
    /// holds only their hashes.
    #[test]
    fn a_session_without_a_service_key_has_ended() {
        for (kind, is_alive) in [
            (SessionKind::Tokens, false),
            (SessionKind::Cookie, false),
            (SessionKind::Personal("script".into()), true),
        ] {
            let state = state_after(&[(OPENED, keyed(kind.clone(), None))]);
            assert_eq!(state.is_alive(1, OPENED, SessionEnds::default()), is_alive, "{kind:?}");
        }
    }

    proptest! {
        #[test]
        fn the_order_of_events_and_their_repetition_do_not_matter(
            order in Just((0..7).chain(0..7).collect::<Vec<usize>>()).prop_shuffle(),
        ) {
            let ended = event::SessionsEnded { sessions: Vec::new(), all_logins: false };
            let events = [
                (at(1), opened(SessionKind::Tokens)),
                (at(2), opened(SessionKind::Cookie)),
                (at(3), used(0, 5)),
                (at(4), used(1, 4)),
                (at(5), kept()),
                (at(6), kept()),
                (at(7), ended.into()),
            ];
            let ordered: Vec<_> = order.iter().map(|&at| events[at].clone()).collect();
            prop_assert_eq!(state_after(&ordered), state_after(&events));
        }
    }
}
