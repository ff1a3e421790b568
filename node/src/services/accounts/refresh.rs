//! Refreshes sessions. A refresh token works for one step; its successor is derived, so any node gives the same one.

use std::cmp::Ordering;

use starling_protocol::{
    Scope, SessionId, UserId,
    event::{RefreshTokenUsed, SessionKind},
};
use starling_web::{objects::LoggedIn, security_log::SecurityEvent, service::Refusal};

use super::{
    AccountsService, not_known_yet,
    session_lookup::{KnownSession, find_session},
    sessions::{SESSION_MS, end_events},
    unauthenticated,
};
use crate::{
    auth::{RefreshToken, Verdict},
    store::{Decide, Decision, StoreError, Tables},
};

impl AccountsService {
    pub(super) async fn refresh_session(&self, token: &str) -> Result<LoggedIn, Refusal> {
        let token = RefreshToken::parse(token).ok_or_else(unauthenticated)?;
        let user = UserId::parse(&token.user).ok().flatten().ok_or_else(unauthenticated)?;
        let session = SessionId::parse(&token.session).ok().flatten().ok_or_else(unauthenticated)?;
        let now_ms = self.context.environment.now_ms();
        let judge = async || {
            let known = self.look_up_session(user, session).await?;
            let opened = known.state.opened.as_ref();
            if !opened.is_some_and(|(_, opened)| known.is_alive && opened.kind == SessionKind::Tokens) {
                return Err(unauthenticated());
            }
            let family = known.family_key(self.service_keys.sealer()).ok_or_else(not_known_yet)?;
            Ok::<_, Refusal>(token.judge(&family, known.state.last_refresh_number))
        };
        let mut verdict = judge().await?;
        if verdict == Verdict::Unknown {
            self.context.driver.barrier().await;
            verdict = judge().await?;
        }
        let successor = match verdict {
            Verdict::Repeat { successor } => successor,
            Verdict::Rotate { used, successor } => {
                self.context
                    .commit_and_replicate(move |tables| use_token(tables, user, session, used, now_ms))
                    .await?;
                successor
            }
            Verdict::Reuse => {
                let decide = move |_: &Tables<'_>| Ok(Decision::Write(end_events(user, vec![session])));
                self.context.commit_and_replicate_from_reserve_without_catch_up(Decide::new(decide)).await?;
                SecurityEvent::RefreshReused.by(user).session(session).record();
                return Err(unauthenticated());
            }
            Verdict::Unknown => return Err(not_known_yet()),
            Verdict::Forged => return Err(unauthenticated()),
        };
        self.logged_in(user, session, successor).await
    }
}

fn use_token(
    tables: &Tables<'_>,
    user: UserId,
    session: SessionId,
    n: u64,
    now_ms: u64,
) -> Result<Decision, StoreError> {
    let known = find_session(&tables.records, user, session, now_ms)?.filter(|known| known.is_alive);
    let Some(KnownSession { state, .. }) = known else { return Ok(Decision::Refuse(unauthenticated())) };
    Ok(match state.last_refresh_number.cmp(&Some(n)) {
        Ordering::Less => {
            let body = RefreshTokenUsed { session, n, expires_ms: now_ms + SESSION_MS };
            Decision::one(Scope::user(user), body)
        }
        // Of two concurrent requests, both get the same successor.
        Ordering::Equal => Decision::Nothing,
        // The successor was used meanwhile.
        Ordering::Greater => Decision::Refuse(unauthenticated()),
    })
}

#[cfg(test)]
mod tests {
    use starling_protocol::{
        ErrorCode, EventDraft,
        event::{ServiceKeyId, SessionOpened},
    };

    use super::*;
    use crate::{
        services::test_node::{ANN, Node},
        store::OpResult,
    };

    #[test]
    fn a_token_is_refused_if_its_successor_was_used_meanwhile() {
        let mut node = Node::with_rooms();
        let account = node.store.records().unwrap().existing_account(ANN).unwrap().unwrap();
        let password = account.password().unwrap().change;
        let session = SessionId([1; 16]);
        let (kind, user_agent, expires_ms) = (SessionKind::Tokens, "".into(), Some(u64::MAX));
        let (key, service_key) = ([1; 32], Some(ServiceKeyId([1; 16])));
        let opened =
            SessionOpened { session, kind, password_pos: password, key, user_agent, expires_ms, service_key };
        node.write(EventDraft::new(Scope::user(ANN), opened));
        for (n, expected) in [(0, "used"), (0, "the same"), (1, "used"), (0, "refused")] {
            let outcome = match node.decide(move |tables| use_token(tables, ANN, session, n, 1_000)) {
                Ok(OpResult::Nothing) => "the same",
                Ok(_) => "used",
                Err(refusal) => {
                    assert_eq!(refusal.code, ErrorCode::Unauthenticated);
                    "refused"
                }
            };
            assert_eq!(outcome, expected, "token {n}");
        }
    }
}
