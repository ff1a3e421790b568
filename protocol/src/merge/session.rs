//! Sessions: opened once; ending wins; of the refresh tokens used, the greatest number counts; a change of the password
//! that was made in one keeps it. Of its user's changes the last holds, so of those that kept it only the last matters.

use serde::{Deserialize, Serialize};

use super::user::SessionEnds;
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
    /// The last change of the password that was made in it.
    kept: Option<Pos>,
}

impl SessionState {
    /// Whether it lives at `now_ms` (Unix milliseconds), if `password` is the change of its user's password that holds,
    /// and sessions of the account have ended up to `ends`. Whether its user may be here at all is another question.
    pub fn is_alive(&self, now_ms: u64, password: Pos, ends: SessionEnds) -> bool {
        let Some((place, opened)) = &self.opened else { return false };
        let personal = matches!(opened.kind, SessionKind::Personal(_));
        // The log held its family key, for whoever can read it.
        if !personal && opened.service_key.is_none() {
            return false;
        }
        let of_password = opened.password == password || self.kept == Some(password);
        let right = if personal {
            ends.tokens <= Some(opened.password)
        } else {
            of_password && ends.logins < Some(*place)
        };
        !self.ended && right && ends.all < Some(*place) && self.expires_ms().is_none_or(|end| now_ms < end)
    }

    /// When it ends unless it is renewed (Unix milliseconds).
    pub fn expires_ms(&self) -> Option<u64> {
        let (_, opened) = self.opened.as_ref()?;
        Some(opened.expires_ms?.max(self.renewed_ms))
    }

    /// When its user was seen last: as it was opened, or renewed.
    pub fn seen_at(&self) -> Hlc {
        self.opened.as_ref().map_or(self.used_at, |(place, _)| place.hlc.max(self.used_at))
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
        EventBody::PasswordChanged(_) => state.kept = state.kept.max(Some(place)),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{NodeId, OriginId, SessionId, event};

    const OPENED: Pos = at(1);
    const NONE: SessionEnds = SessionEnds { logins: None, tokens: None, all: None };

    const fn at(ms: u64) -> Pos {
        Pos { hlc: Hlc(ms << 16), origin: OriginId { node: NodeId([1; 16]), incarnation: 1 }, seq: ms }
    }

    fn opened(kind: SessionKind) -> EventBody {
        keyed(kind, Some(event::ServiceKeyId([1; 16])))
    }

    fn keyed(kind: SessionKind, service_key: Option<event::ServiceKeyId>) -> EventBody {
        let (session, password, user_agent) = (SessionId([1; 16]), OPENED, "".into());
        let (key, expires_ms) = ([1; 32], Some(1_000));
        SessionOpened { session, kind, password, key, user_agent, expires_ms, service_key }.into()
    }

    fn used(n: u64, expires_ms: u64) -> EventBody {
        event::RefreshUsed { session: SessionId([1; 16]), n, expires_ms }.into()
    }

    fn kept() -> EventBody {
        event::PasswordChanged { password: None, keeps: Some(SessionId([1; 16])), keep_tokens: false }.into()
    }

    fn logins(up_to: Pos) -> SessionEnds {
        SessionEnds { logins: Some(up_to), ..NONE }
    }

    fn after(events: &[(Pos, EventBody)]) -> SessionState {
        events.iter().fold(None, |state, (place, body)| Some(applied(state, *place, body))).unwrap()
    }

    #[test]
    fn a_session_lives_under_the_password_it_was_opened_or_kept_with_until_its_end() {
        let open = (OPENED, opened(SessionKind::Tokens));
        let state = after(std::slice::from_ref(&open));
        assert!(state.is_alive(999, OPENED, NONE) && !state.is_alive(1_000, OPENED, NONE));
        assert!(!state.is_alive(1, at(2), NONE), "another password");
        let state = after(&[(at(3), kept()), open.clone(), (at(2), kept()), (at(4), used(0, 2_000))]);
        assert!(state.is_alive(1_999, at(3), NONE) && !state.is_alive(2_000, at(3), NONE));
        assert!(!state.is_alive(1, at(2), NONE), "that change was changed again");
        let personal = after(&[(OPENED, opened(SessionKind::Personal("script".into())))]);
        assert!(personal.is_alive(1, at(2), NONE));
        assert!(personal.is_alive(1, OPENED, logins(at(2))), "only logins were ended");
        let ended = event::SessionsEnded { sessions: vec![SessionId([1; 16])], all_logins: false }.into();
        assert!(!after(&[(at(9), ended), open.clone()]).is_alive(1, OPENED, NONE));
        let state = after(&[open]);
        assert!(!state.is_alive(1, OPENED, logins(at(2))), "all logins were ended later");
        assert!(state.is_alive(1, OPENED, logins(Pos::MIN)), "it was opened after that");
    }

    /// Promise: a personal token ends with a change of the password, unless that keeps tokens, and with a login it shares
    /// that being disabled ends it for good.
    #[test]
    fn a_token_ends_with_its_password_and_everything_ends_where_the_account_was_shut_out() {
        let token = after(&[(at(2), opened(SessionKind::Personal("script".into())))]);
        assert!(token.is_alive(1, at(5), SessionEnds { tokens: Some(OPENED), ..NONE }), "its own password");
        assert!(!token.is_alive(1, at(5), SessionEnds { tokens: Some(at(2)), ..NONE }), "a later one");
        for kind in [SessionKind::Personal("script".into()), SessionKind::Tokens, SessionKind::Cookie] {
            let session = after(&[(at(4), opened(kind))]);
            let shut_out = |at: Pos| SessionEnds { all: Some(at), ..NONE };
            assert!(session.is_alive(1, OPENED, shut_out(at(3))), "it was opened afterwards");
            assert!(!session.is_alive(1, OPENED, shut_out(at(5))));
        }
    }

    #[test]
    fn a_browsers_session_that_is_used_is_seen_later_but_ends_no_later() {
        let state = after(&[(OPENED, opened(SessionKind::Cookie)), (at(500), used(0, 1_000))]);
        assert_eq!(state.seen_at(), at(500).hlc);
        assert!(state.is_alive(999, OPENED, NONE) && !state.is_alive(1_000, OPENED, NONE));
    }

    /// Promise: the family keys that the log of an earlier version holds open nothing; personal tokens, of which it holds
    /// hashes, go on.
    #[test]
    fn a_session_without_a_service_key_has_ended() {
        for (kind, lives) in [
            (SessionKind::Tokens, false),
            (SessionKind::Cookie, false),
            (SessionKind::Personal("script".into()), true),
        ] {
            let state = after(&[(OPENED, keyed(kind.clone(), None))]);
            assert_eq!(state.is_alive(1, OPENED, SessionEnds::default()), lives, "{kind:?}");
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
            prop_assert_eq!(after(&ordered), after(&events));
        }
    }
}
