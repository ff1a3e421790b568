//! The password of a user who is logged in: confirms actions with it, and changes it.

use starling_protocol::{EventDraft, Scope, event::PasswordChanged};
use starling_web::{
    security_log::SecurityEvent,
    service::{Identity, Refusal, Secret},
};

use super::{
    AccountsService, Checked, overloaded, password_of, require_login, unauthenticated, wrong_password,
};
use crate::{
    auth::Caller,
    store::{Decision, Tables},
};

impl AccountsService {
    /// Checks the password of a user who is logged in.
    pub(super) async fn confirm(&self, who: Identity, Secret(password): Secret) -> Result<Checked, Refusal> {
        let present = self.context.read_records(move |records| {
            password_of(records, who.user, |password| (password.change, password.hash.to_owned()))
        });
        let (change, hash) = present.await?.ok_or_else(unauthenticated)?;
        let verified = self.passwords.verify(Caller::LoggedIn(who.user), Some(hash), password).await;
        if verified.map_err(overloaded)?.ok {
            Ok(Checked { user: who.user, password_change: change })
        } else {
            SecurityEvent::PasswordCheckFailed.by(who.user).session(who.session).record();
            Err(wrong_password())
        }
    }

    pub(super) async fn replace_own_password(
        &self,
        who: Identity,
        present: Secret,
        Secret(new): Secret,
        keep_tokens: bool,
    ) -> Result<(), Refusal> {
        require_login(who, "change the password")?;
        let Checked { user, password_change: change } = self.confirm(who, present).await?;
        let hash: Box<str> =
            self.passwords.hash(Caller::LoggedIn(user), new).await.map_err(overloaded)?.into();
        let decide = move |tables: &Tables<'_>| {
            if password_of(&tables.records, user, |password| password.change)? != Some(change) {
                return Ok(Decision::Refuse(wrong_password()));
            }
            let (password, kept_session) = (Some(hash.clone()), Some(who.session));
            let changed = PasswordChanged { password, kept_session, keep_tokens };
            Ok(Decision::Write(vec![EventDraft::new(Scope::user(user), changed).above(change.hlc)]))
        };
        self.context.commit_and_replicate_from_reserve(decide).await?;
        let changed = SecurityEvent::PasswordChanged.by(user).session(who.session);
        changed.detail(if keep_tokens { "tokens are kept" } else { "tokens end" }).record();
        Ok(())
    }
}
