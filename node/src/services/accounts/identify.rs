//! Whose credentials these are: read, looked up, compared, in this order.

use async_trait::async_trait;
use starling_protocol::{ErrorCode, SessionId, UserId, event::SessionKind};
use starling_web::service::{Authentication, Credentials, Identity, Refusal};

use super::{
    AccountsService,
    known::{Known, known},
    unauthenticated,
};
use crate::auth::{BrowserToken, Code, FamilyKey, PersonalToken, TokenError};

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
        let Known { state, lives, admin } = self.known(user, session).await?;
        let opened = state.opened.as_ref().map(|(_, opened)| opened).filter(|_| lives);
        let proven = opened.is_some_and(|opened| match &proof {
            Proof::Signed => opened.kind == SessionKind::Tokens,
            Proof::Cookie(token) => {
                opened.kind == SessionKind::Cookie && token.is_authentic(&FamilyKey::new(&opened.key))
            }
            Proof::Personal(code) => matches!(opened.kind, SessionKind::Personal(_)) && code.is(&opened.key),
        });
        let personal = matches!(proof, Proof::Personal(_));
        if proven { Ok(Identity { user, session, admin, personal }) } else { Err(unauthenticated()) }
    }

    async fn is_alive(&self, identity: Identity) -> Result<bool, Refusal> {
        let now_ms = self.base.machine.now_ms();
        let Identity { user, session, .. } = identity;
        let known = self.base.look(move |records| known(records, user, session, now_ms)).await?;
        Ok(known.is_some_and(|known| known.lives))
    }
}

impl AccountsService {
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
