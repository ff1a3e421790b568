//! Personal access tokens, for scripts: sessions without a login. They end with a password change, unless the user keeps
//! them. They can't create further tokens or end other sessions.

use starling_protocol::{
    DisplayName, ErrorCode, SessionId, event::SessionKind, merge::session::SessionState, texts,
};
use starling_web::{
    objects::{NewPersonalToken, PersonalToken},
    security_log::SecurityEvent,
    service::{Identity, Listed, Refusal, Secret},
};

use super::{AccountsService, require_login, sessions::live_sessions};
use crate::{
    auth::{self, Code},
    services::render,
};

impl AccountsService {
    pub(super) async fn list_tokens(&self, who: Identity) -> Result<Vec<Listed<PersonalToken>>, Refusal> {
        let now_ms = self.context.environment.now_ms();
        let live_sessions =
            self.context.read_records(move |records| live_sessions(records, who.user, now_ms)).await?;
        Ok(live_sessions.into_iter().filter_map(listed).collect())
    }

    pub(super) async fn make_token(
        &self,
        who: Identity,
        name: DisplayName,
        password: Secret,
        expires_in_s: u64,
    ) -> Result<NewPersonalToken, Refusal> {
        // A leaked token must not create others.
        require_login(who, "make a token")?;
        // Asks for the password, so that nobody creates a token in a browser left open.
        let checked = self.confirm(who, password).await?;
        let code = Code::new(self.context.environment.random());
        let now_ms = self.context.environment.now_ms();
        let expires_ms = Some(now_ms.saturating_add(expires_in_s.saturating_mul(1_000)));
        let kind = SessionKind::Personal(name.as_str().into());
        let id = self.open(checked, kind, (code.hash(), None), "", expires_ms).await?;
        SecurityEvent::TokenMade.by(who.user).session(id).record();
        let token = auth::PersonalToken { user: who.user.to_string(), id: id.to_string(), code };
        Ok(NewPersonalToken {
            id: id.to_string(),
            name: name.as_str().to_owned(),
            created_at: render::time_ms(now_ms),
            expires_at: expires_ms.map(render::time_ms),
            token: token.text(),
        })
    }
}

fn listed((id, state): (SessionId, SessionState)) -> Option<Listed<PersonalToken>> {
    let expires_at = state.expires_ms().map(render::time_ms);
    let (pos, opened) = state.opened?;
    let SessionKind::Personal(name) = opened.kind else { return None };
    let (id, created_at) = (id.to_string(), render::time(pos.hlc));
    let item = PersonalToken { id, name: name.into(), created_at, expires_at };
    Some(Listed { sort_key: pos.to_string(), item })
}

/// Whether a session is a personal access token.
pub fn is_personal_token(state: &SessionState) -> bool {
    state.opened.as_ref().is_some_and(|(_, opened)| matches!(opened.kind, SessionKind::Personal(_)))
}

/// The refusal of an unknown token.
pub fn no_such_token() -> Refusal {
    Refusal::new(ErrorCode::NotFound, texts::accounts::NO_SUCH_TOKEN)
}
