//! Identifies the user and the session behind credentials: parses them, looks the session up, and compares.

use async_trait::async_trait;
use starling_protocol::{
    ErrorCode, Scope, SessionId, UserId,
    event::{RefreshTokenUsed, SessionKind},
    merge::session::SessionState,
    texts,
};
use starling_web::service::{Authentication, Credentials, Identity, Refusal};

use super::{
    AccountsService, not_known_yet,
    session_lookup::{KnownSession, find_session},
    unauthenticated,
};
use crate::{
    auth::{BrowserToken, Code, PersonalToken, TokenError},
    store::{Decide, Decision, Tables},
};

/// The least time between two records that a browser's session is used.
const SEEN_EVERY_MS: u64 = 24 * 3_600 * 1_000;

/// The proof that credentials belong to the session that they name.
enum Proof {
    /// The signature of an access token, which was verified already.
    Signed,
    Cookie(BrowserToken),
    Personal(Code),
}

#[async_trait]
impl Authentication for AccountsService {
    async fn identify(&self, credentials: Credentials<'_>) -> Result<Identity, Refusal> {
        let (user, session, proof) = self.parse(credentials)?;
        let known = self.look_up_session(user, session).await?;
        let opened = known.state.opened.as_ref().map(|(_, opened)| opened).filter(|_| known.is_alive);
        let opened = opened.ok_or_else(unauthenticated)?;
        let proven = match &proof {
            Proof::Signed => opened.kind == SessionKind::Tokens,
            Proof::Cookie(token) if opened.kind == SessionKind::Cookie => {
                token.is_authentic(&known.family_key(self.service_keys.sealer()).ok_or_else(not_known_yet)?)
            }
            Proof::Cookie(_) => false,
            Proof::Personal(code) => matches!(opened.kind, SessionKind::Personal(_)) && code.is(&opened.key),
        };
        let KnownSession { state, admin, .. } = known;
        if !proven {
            return Err(unauthenticated());
        }
        if matches!(proof, Proof::Cookie(_)) && self.should_note_use(&state) {
            tokio::spawn(self.clone().note_use(user, session));
        }
        let personal = matches!(proof, Proof::Personal(_));
        Ok(Identity { user, session, admin, personal })
    }

    async fn is_alive(&self, identity: Identity) -> Result<bool, Refusal> {
        let now_ms = self.context.environment.now_ms();
        let Identity { user, session, .. } = identity;
        let known =
            self.context.read_records(move |records| find_session(records, user, session, now_ms)).await?;
        Ok(known.is_some_and(|known| known.is_alive))
    }
}

impl AccountsService {
    /// Whether the last recorded use of a browser's session is a day old.
    fn should_note_use(&self, state: &SessionState) -> bool {
        self.context.environment.now_ms() >= state.seen_at().unix_ms() + SEEN_EVERY_MS
    }

    /// Records that a browser's session is used. That doesn't extend it.
    async fn note_use(self, user: UserId, session: SessionId) {
        let accounts = self.clone();
        let decide = Decide::new(move |tables: &Tables<'_>| {
            // One of several concurrent requests may have recorded it.
            let state =
                tables.records.session(user, session)?.filter(|state| accounts.should_note_use(state));
            let expires_ms = state.and_then(|state| state.expires_ms());
            let noted =
                |expires_ms| Decision::one(Scope::user(user), RefreshTokenUsed { session, n: 0, expires_ms });
            Ok(expires_ms.map_or(Decision::Nothing, noted))
        });
        // If it fails, the next request tries again.
        let _ = self.context.commit_local(decide).await;
    }

    /// The session that credentials name, and what is still to be proven.
    fn parse(&self, credentials: Credentials<'_>) -> Result<(UserId, SessionId, Proof), Refusal> {
        let named = |user: &str, session: &str, proof| {
            let user = UserId::parse(user).ok().flatten().ok_or_else(unauthenticated)?;
            let session = SessionId::parse(session).ok().flatten().ok_or_else(unauthenticated)?;
            Ok((user, session, proof))
        };
        match credentials {
            Credentials::Cookie(text) => {
                let token = BrowserToken::parse(text).ok_or_else(unauthenticated)?;
                named(&token.user.clone(), &token.session.clone(), Proof::Cookie(token))
            }
            Credentials::Bearer(text) => {
                if let Some(token) = PersonalToken::parse(text) {
                    return named(&token.user, &token.id, Proof::Personal(token.code));
                }
                let holder = self.tokens.verify(text, self.context.environment.now_ms()).map_err(
                    |error| match error {
                        TokenError::Expired => {
                            Refusal::new(ErrorCode::TokenExpired, texts::accounts::TOKEN_EXPIRED)
                        }
                        TokenError::Invalid => unauthenticated(),
                    },
                )?;
                named(&holder.user, &holder.session, Proof::Signed)
            }
        }
    }
}
