//! A session that somebody names: found here, or nowhere, or maybe elsewhere.

use starling_protocol::{
    SessionId, UserId,
    merge::{session::SessionState, user::UserState},
};
use starling_web::service::Refusal;

use super::{AccountsService, not_known_yet, unauthenticated};
use crate::store::{Records, Rows, StoreError};

/// A session that was opened, or ended, as far as this node knows.
pub struct Known {
    pub state: SessionState,
    /// Whether it lives, and its user may be here.
    pub lives: bool,
    /// Whether its user administers the service.
    pub admin: bool,
}

impl AccountsService {
    /// Looks a session up. That it does not live is only said after catching up with the peers in step, and that it has
    /// never been only if these are all nodes of the cluster.
    pub(super) async fn known(&self, user: UserId, session: SessionId) -> Result<Known, Refusal> {
        let now_ms = self.base.machine.now_ms();
        let ready = self.base.driver.is_ready();
        let found = self.base.look(move |records| known(records, user, session, now_ms)).await?;
        if let Some(found) = found.filter(|known| known.lives) {
            return Ok(found);
        }
        let answered = self.base.driver.barrier().await;
        let found = self.base.look(move |records| known(records, user, session, now_ms)).await?;
        let members = self.members.as_ref().map_or(0, |members| members.count());
        found.filter(|_| ready).ok_or_else(|| {
            if ready && answered == Some(members) { unauthenticated() } else { not_known_yet() }
        })
    }
}

/// What the views say of a session.
pub fn known<T: Rows>(
    records: &Records<T>,
    user: UserId,
    session: SessionId,
    now_ms: u64,
) -> Result<Option<Known>, StoreError> {
    let state = records.session(user, session)?.filter(|state| state.opened.is_some() || state.ended);
    let Some(state) = state else { return Ok(None) };
    let account = records.user(user)?.filter(|account| !account.is_disabled());
    let password = account.as_ref().and_then(UserState::password).map(|password| password.change);
    let ends = account.as_ref().map(UserState::session_ends).unwrap_or_default();
    let lives = password.is_some_and(|password| state.is_alive(now_ms, password, ends));
    Ok(Some(Known { state, lives, admin: account.is_some_and(|account| account.is_admin()) }))
}
