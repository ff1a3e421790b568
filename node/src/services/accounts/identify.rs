//! Whose credentials these are: read, looked up, compared, in this order.

use async_trait::async_trait;
use starling_protocol::{ErrorCode, SessionId, UserId, event::SessionKind, merge::session::SessionState};
use starling_web::service::{Authentication, Credentials, Identity, Refusal};

use super::{AccountsService, not_known_yet, unauthenticated};
use crate::{
    auth::{BrowserToken, Code, FamilyKey, PersonalToken, TokenError},
    store::{Records, Rows, StoreError},
};

/// How credentials of a named session are proven.
enum Proof {
    /// By the signature that was verified already.
    Signed,
    Cookie(BrowserToken),
    Personal(Code),
}

#[async_trait]
impl Authentication for AccountsService {
    async fn identify(&self, credentials: Credentials<'_>) -> Result<Identity, Refusal> {
        let (user, session, proof) = self.read(credentials)?;
        let now_ms = self.base.machine.now_ms();
        // A login is on every reachable node when it is answered; 'no' is only said after catching up all the same.
        let found = self.base.find(move |records| living(records, user, session, now_ms)).await?;
        let Some((state, admin)) = found else { return Err(self.missing(user, session, &proof).await?) };
        let opened = state.opened.as_ref().map(|(_, opened)| opened);
        let proven = opened.is_some_and(|opened| match &proof {
            Proof::Signed => opened.kind == SessionKind::Tokens,
            Proof::Cookie(token) => {
                opened.kind == SessionKind::Cookie && token.is_authentic(&FamilyKey::new(&opened.key))
            }
            Proof::Personal(code) => matches!(opened.kind, SessionKind::Personal(_)) && code.is(&opened.key),
        });
        if proven { Ok(Identity { user, session, admin }) } else { Err(unauthenticated()) }
    }

    async fn is_alive(&self, identity: Identity) -> Result<bool, Refusal> {
        let now_ms = self.base.machine.now_ms();
        let Identity { user, session, .. } = identity;
        self.base.look(move |records| Ok(living(records, user, session, now_ms)?.is_some())).await
    }
}

impl AccountsService {
    /// What to say of a session that does not live here, after catching up.
    async fn missing(&self, user: UserId, session: SessionId, proof: &Proof) -> Result<Refusal, Refusal> {
        let known = self.base.look(move |records| records.session(user, session)).await?;
        Ok(match proof {
            _ if known.is_some_and(|known| known.opened.is_some() || known.ended) => unauthenticated(),
            // A node has opened it: who signs is one of us.
            Proof::Signed => not_known_yet(),
            Proof::Cookie(_) | Proof::Personal(_) => self.unknown_session(),
        })
    }

    /// Which session the credentials name, and what is still to be proven.
    fn read(&self, credentials: Credentials<'_>) -> Result<(UserId, SessionId, Proof), Refusal> {
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
                let holder =
                    self.tokens.verify(text, self.base.machine.now_ms()).map_err(|error| match error {
                        TokenError::Expired => {
                            Refusal::new(ErrorCode::TokenExpired, "the access token has expired; refresh it")
                        }
                        TokenError::Invalid => unauthenticated(),
                    })?;
                named(&holder.user, &holder.session, Proof::Signed)
            }
        }
    }
}

/// A session, if it lives and its user may be here; with whether he administers the service.
fn living<T: Rows>(
    records: &Records<T>,
    user: UserId,
    session: SessionId,
    now_ms: u64,
) -> Result<Option<(SessionState, bool)>, StoreError> {
    let Some(account) = records.user(user)?.filter(|account| !account.is_disabled()) else { return Ok(None) };
    let Some(password) = account.password().map(|password| password.change) else { return Ok(None) };
    let session = records.session(user, session)?.filter(|session| session.is_alive(now_ms, password));
    Ok(session.map(|session| (session, account.is_admin())))
}
