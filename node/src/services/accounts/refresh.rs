//! Refresh: a token is good for one step. Its successor is derived, so any node gives the same one.

use starling_protocol::{
    Scope, SessionId, UserId,
    event::{RefreshUsed, SessionKind},
    merge::session::SessionState,
};
use starling_web::{objects::LoggedIn, service::Refusal};

use super::{
    AccountsService, not_known_yet, password_of,
    sessions::{SESSION_MS, ended},
    unauthenticated,
};
use crate::{
    auth::{FamilyKey, RefreshToken, Verdict},
    store::{Decide, Decision, Records, Rows, StoreError, Tables},
};

impl AccountsService {
    pub(super) async fn go_on(&self, token: &str) -> Result<LoggedIn, Refusal> {
        let token = RefreshToken::parse(token).ok_or_else(unauthenticated)?;
        let user = UserId::parse(&token.user).ok().flatten().ok_or_else(unauthenticated)?;
        let session = SessionId::parse(&token.session).ok().flatten().ok_or_else(unauthenticated)?;
        let now_ms = self.base.machine.now_ms();
        let known = self.base.find(move |records| known(records, user, session, now_ms)).await?;
        let Known { state, lives } = known.ok_or_else(|| self.unknown_session())?;
        let opened = state.opened.filter(|(_, opened)| lives && opened.kind == SessionKind::Tokens);
        let (_, opened) = opened.ok_or_else(unauthenticated)?;
        let successor = match token.judge(&FamilyKey::new(&opened.key), state.used) {
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

/// A session whose opening is here.
struct Known {
    state: SessionState,
    /// Whether it lives, and its user may be here.
    lives: bool,
}

fn known<T: Rows>(
    records: &Records<T>,
    user: UserId,
    session: SessionId,
    now_ms: u64,
) -> Result<Option<Known>, StoreError> {
    let Some(state) = records.session(user, session)?.filter(|state| state.opened.is_some()) else {
        return Ok(None);
    };
    let password = password_of(records, user, |password| password.change)?;
    let lives = password.is_some_and(|password| state.is_alive(now_ms, password));
    Ok(Some(Known { state, lives }))
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
