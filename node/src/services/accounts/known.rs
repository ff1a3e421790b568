//! A session that somebody names: found here, or nowhere, or maybe elsewhere.

use starling_protocol::{
    SessionId, UserId,
    event::SessionOpened,
    merge::{service_key::ServiceKeyState, session::SessionState, user::UserState},
};
use starling_web::service::Refusal;

use super::{AccountsService, not_known_yet, unauthenticated};
use crate::{
    auth::{FamilyKey, ServiceKeys},
    store::{Records, Rows, StoreError},
};

/// A session that was opened, or ended, as far as this node knows.
pub struct Known {
    pub state: SessionState,
    /// Whether it lives, and its user may be here.
    pub lives: bool,
    /// Whether its user administers the service.
    pub admin: bool,
    /// The service key under which it was opened, as it is sealed.
    sealed: Option<ServiceKeyState>,
}

impl Known {
    /// The key of its tokens; nothing while its service key is not here, or not under a secret that this node has.
    pub fn family(&self, keys: &ServiceKeys) -> Option<FamilyKey> {
        let (_, SessionOpened { key, service_key, .. }) = self.state.opened.as_ref()?;
        Some(keys.open((*service_key)?, self.sealed.as_ref()?)?.family(key))
    }

    /// Whether all is here that its tokens are judged by.
    fn is_whole(&self, keys: &ServiceKeys) -> bool {
        let keyed = self.state.opened.as_ref().is_some_and(|(_, opened)| opened.service_key.is_some());
        !keyed || self.sealed.as_ref().is_some_and(|sealed| keys.has_seal(sealed))
    }
}

impl AccountsService {
    /// Looks a session up. That it does not live, and that its key is missing, is only said after catching up with the
    /// peers in sync, and that it has never been only if these are all nodes of the cluster.
    pub(super) async fn known(&self, user: UserId, session: SessionId) -> Result<Known, Refusal> {
        let now_ms = self.base.machine.now_ms();
        let ready = self.base.driver.is_ready();
        let found = self.base.look(move |records| known(records, user, session, now_ms)).await?;
        if let Some(found) = found.filter(|known| known.lives && known.is_whole(self.service_keys.keys())) {
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
    let service_key = state.opened.as_ref().and_then(|(_, opened)| opened.service_key);
    let sealed = service_key.map(|key| records.service_key(key)).transpose()?.flatten();
    let lives = password.is_some_and(|password| state.is_alive(now_ms, password, ends));
    Ok(Some(Known { state, lives, admin: account.is_some_and(|account| account.is_admin()), sealed }))
}
