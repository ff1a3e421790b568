//! Refresh: a token is good for one step. Its successor is derived, so any node gives the same one.

use starling_protocol::{
    Scope, SessionId, UserId,
    event::{RefreshUsed, SessionKind},
};
use starling_web::{objects::LoggedIn, service::Refusal};

use super::{
    AccountsService,
    known::{Known, known},
    not_known_yet,
    sessions::{SESSION_MS, ended},
    unauthenticated,
};
use crate::{
    auth::{FamilyKey, RefreshToken, Verdict},
    store::{Decide, Decision, StoreError, Tables},
};

impl AccountsService {
    pub(super) async fn go_on(&self, token: &str) -> Result<LoggedIn, Refusal> {
        let token = RefreshToken::parse(token).ok_or_else(unauthenticated)?;
        let user = UserId::parse(&token.user).ok().flatten().ok_or_else(unauthenticated)?;
        let session = SessionId::parse(&token.session).ok().flatten().ok_or_else(unauthenticated)?;
        let now_ms = self.base.machine.now_ms();
        let judge = async || {
            let Known { state, lives, .. } = self.known(user, session).await?;
            let opened = state.opened.filter(|(_, opened)| lives && opened.kind == SessionKind::Tokens);
            let (_, opened) = opened.ok_or_else(unauthenticated)?;
            Ok::<_, Refusal>(token.judge(&FamilyKey::new(&opened.key), state.used))
        };
        let mut verdict = judge().await?;
        if verdict == Verdict::Unknown {
            self.base.driver.barrier().await;
            verdict = judge().await?;
        }
        let successor = match verdict {
            Verdict::Repeat { successor } => successor,
            Verdict::Rotate { used, successor } => {
                self.base.decide(move |tables| use_token(tables, user, session, used, now_ms)).await?;
                successor
            }
            Verdict::Reuse => {
                let decide = move |_: &Tables<'_>| Ok(Decision::Write(ended(user, vec![session])));
                self.base.revoke(Decide::new(decide)).await?;
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
    let known = known(&tables.records, user, session, now_ms)?.filter(|known| known.lives);
    let Some(Known { state, .. }) = known else { return Ok(Decision::Refuse(unauthenticated())) };
    // Two at once: both are answered with the same successor.
    if state.used >= Some(n) {
        return Ok(Decision::Nothing);
    }
    let body = RefreshUsed { session, n, expires_ms: now_ms + SESSION_MS };
    Ok(Decision::one(Scope::user(user), body))
}
