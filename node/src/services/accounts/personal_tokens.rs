//! Personal access tokens, for scripts: sessions without a login, which a change of the password does not end.

use starling_protocol::{
    DisplayName, ErrorCode, EventDraft, SessionId, UserId, event::SessionKind, merge::session::SessionState,
};
use starling_web::{
    objects::{NewPersonalToken, PersonalToken},
    service::{Identity, Listed, Refusal},
};

use super::{
    AccountsService, Checked, password_of,
    sessions::{ended, living},
    unauthenticated,
};
use crate::{
    auth::{self, Code},
    services::render,
    store::{Records, Rows, StoreError},
};

impl AccountsService {
    pub(super) async fn list_tokens(&self, who: Identity) -> Result<Vec<Listed<PersonalToken>>, Refusal> {
        let now_ms = self.base.machine.now_ms();
        let living = self.base.look(move |records| living(records, who.user, now_ms)).await?;
        Ok(living.into_iter().filter_map(listed).collect())
    }

    pub(super) async fn make_token(
        &self,
        who: Identity,
        name: DisplayName,
        expires_in_s: Option<u64>,
    ) -> Result<NewPersonalToken, Refusal> {
        let user = who.user;
        let password = self.base.look(move |records| password_of(records, user, |password| password.change));
        let password = password.await?.ok_or_else(unauthenticated)?;
        if who.personal {
            // One that leaked would live on in others.
            return Err(Refusal::new(
                ErrorCode::Forbidden,
                "log in to make a token: a token makes no others",
            ));
        }
        let code = Code::new(self.base.machine.random());
        let now_ms = self.base.machine.now_ms();
        let expires_ms = expires_in_s.map(|seconds| now_ms.saturating_add(seconds.saturating_mul(1_000)));
        let checked = Checked { user, password };
        let kind = SessionKind::Personal(name.as_str().into());
        let id = self.open(checked, kind, (code.hash(), None), "", expires_ms).await?;
        let token = auth::PersonalToken { user: user.to_string(), id: id.to_string(), code };
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
    let (place, opened) = state.opened?;
    let SessionKind::Personal(name) = opened.kind else { return None };
    let (id, created_at) = (id.to_string(), render::time(place.hlc));
    let item = PersonalToken { id, name: name.into(), created_at, expires_at };
    Some(Listed { mark: place.to_string(), item })
}

/// Whether it is a personal access token.
pub fn is_token(state: &SessionState) -> bool {
    state.opened.as_ref().is_some_and(|(_, opened)| matches!(opened.kind, SessionKind::Personal(_)))
}

/// The event that ends all tokens of a user; none if he has none.
pub fn all_tokens_ended<T: Rows>(records: &Records<T>, user: UserId) -> Result<Vec<EventDraft>, StoreError> {
    let tokens = records.open_sessions(user)?.into_iter().filter(|(_, state)| is_token(state));
    Ok(ended(user, tokens.map(|(id, _)| id).collect()))
}

/// What a token that is not there is answered with.
pub fn no_such_token() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "you have no such token")
}
