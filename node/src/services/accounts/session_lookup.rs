//! Looks up the session that credentials name. A session that is unknown here may exist on another node.

use starling_protocol::{
    SessionId, UserId,
    event::SessionOpened,
    merge::{service_key::ServiceKeyState, session::SessionState, user::UserState},
};
use starling_web::service::Refusal;

use super::{AccountsService, not_known_yet, unauthenticated};
use crate::{
    auth::{FamilyKey, ServiceKeySealer},
    store::{Records, Rows, StoreError},
};

/// A session that this node knows to have been opened or ended.
pub struct KnownSession {
    pub state: SessionState,
    /// Whether the session is alive and its account enabled.
    pub is_alive: bool,
    /// Whether the user administers the service.
    pub admin: bool,
    /// The sealed service key under which the session was opened.
    sealed: Option<ServiceKeyState>,
}

impl KnownSession {
    /// The key of the session's tokens; `None` while its service key is missing or sealed under an unknown secret.
    pub fn family_key(&self, keys: &ServiceKeySealer) -> Option<FamilyKey> {
        let (_, SessionOpened { key, service_key, .. }) = self.state.opened.as_ref()?;
        Some(keys.open((*service_key)?, self.sealed.as_ref()?)?.family(key))
    }

    /// Whether the service key is here, if the session needs one.
    fn has_its_service_key(&self, keys: &ServiceKeySealer) -> bool {
        let keyed = self.state.opened.as_ref().is_some_and(|(_, opened)| opened.service_key.is_some());
        !keyed || self.sealed.as_ref().is_some_and(|sealed| keys.has_seal(sealed))
    }
}

impl AccountsService {
    /// Looks a session up. Says that it is not alive, or that its key is missing, only after catching up with the peers in
    /// sync, and that it never existed only if these are all nodes of the cluster.
    pub(super) async fn look_up_session(
        &self,
        user: UserId,
        session: SessionId,
    ) -> Result<KnownSession, Refusal> {
        let now_ms = self.context.environment.now_ms();
        let ready = self.context.driver.is_ready();
        let found =
            self.context.read_records(move |records| find_session(records, user, session, now_ms)).await?;
        if let Some(found) =
            found.filter(|known| known.is_alive && known.has_its_service_key(self.service_keys.sealer()))
        {
            return Ok(found);
        }
        let answered = self.context.driver.barrier().await;
        let found =
            self.context.read_records(move |records| find_session(records, user, session, now_ms)).await?;
        let members = self.members.as_ref().map_or(0, |members| members.count());
        found.filter(|_| ready).ok_or_else(|| {
            if ready && answered == Some(members) { unauthenticated() } else { not_known_yet() }
        })
    }
}

/// A session according to the views; `None` if they know nothing of it.
pub fn find_session<T: Rows>(
    records: &Records<T>,
    user: UserId,
    session: SessionId,
    now_ms: u64,
) -> Result<Option<KnownSession>, StoreError> {
    let state = records.session(user, session)?.filter(|state| state.opened.is_some() || state.ended);
    let Some(state) = state else { return Ok(None) };
    let account = records.existing_account(user)?.filter(|account| !account.is_disabled());
    let password = account.as_ref().and_then(UserState::password).map(|password| password.change);
    let ends = account.as_ref().map(UserState::session_ends).unwrap_or_default();
    let service_key = state.opened.as_ref().and_then(|(_, opened)| opened.service_key);
    let sealed = service_key.map(|key| records.service_key(key)).transpose()?.flatten();
    let is_alive = password.is_some_and(|password| state.is_alive(now_ms, password, ends));
    Ok(Some(KnownSession {
        state,
        is_alive,
        admin: account.is_some_and(|account| account.is_admin()),
        sealed,
    }))
}
