//! Replaces a password without the present one: through a reset link, or by the operator.

use starling_protocol::{
    ErrorCode, Scope, UserId,
    event::{PasswordChanged, ResetLinkMade},
    merge::user::UserState,
    texts,
};
use starling_web::{
    security_log::SecurityEvent,
    service::{Client, Refusal, ResetLink, Secret},
};

use super::{AdministrationService, Asker};
use crate::{
    auth::{Caller, Code},
    permissions,
    services::{accounts::overloaded, render},
    store::{Decision, Records, Rows, StoreError, Tables},
};

/// The lifetime of a reset link.
const RESET_LINK_MS: u64 = 24 * 60 * 60 * 1_000;

/// The permission to replace a password.
#[derive(Clone)]
enum Authority {
    Operator,
    Link(Code),
}

impl AdministrationService {
    /// Creates a link with which the owner of an account chooses a new password.
    pub async fn reset_link(&self, by: Asker, user: UserId) -> Result<ResetLink, Refusal> {
        let code = Code::new(self.context.environment.random());
        let expires_ms = self.context.environment.now_ms() + RESET_LINK_MS;
        let made = ResetLinkMade { code_hash: code.hash(), expires_ms };
        self.context
            .commit_and_replicate(move |tables| {
                if let Some(refusal) = by.check_admin(&tables.records)? {
                    return Ok(Decision::Refuse(refusal));
                }
                let Some(account) = tables.records.existing_account(user)? else {
                    return Ok(Decision::Refuse(permissions::no_such_user()));
                };
                Ok(Decision::one_above(account.changed_at(), Scope::user(user), made.clone()))
            })
            .await?;
        by.log_entry(SecurityEvent::ResetLinkMade).to(user).record();
        Ok(ResetLink { code: format!("{user}.{}", code.text()), expires_at: render::time_ms(expires_ms) })
    }

    /// Sets a password, which was checked already, for the operator.
    pub async fn set_password(&self, user: UserId, password: Secret) -> Result<(), Refusal> {
        self.replace_password(Caller::Operator, user, Authority::Operator, password).await
    }

    /// The user and the username of a valid link.
    pub(super) async fn find_reset_link(&self, text: &str) -> Result<(UserId, String), Refusal> {
        let (user, code) = parse_link(text).ok_or_else(no_such_link)?;
        let now_ms = self.context.environment.now_ms();
        let found = self.context.find_or_catch_up(move |records| {
            if !records.existing_account(user)?.is_some_and(|account| is_valid(&account, &code, now_ms)) {
                return Ok(None);
            }
            records.username(user)
        });
        Ok((user, found.await?.ok_or_else(no_such_link)?))
    }

    /// Replaces a password through a link; returns the username.
    pub(super) async fn reset(
        &self,
        client: Client<'_>,
        text: &str,
        password: Secret,
    ) -> Result<String, Refusal> {
        let (user, username) = self.find_reset_link(text).await?;
        let (_, code) = parse_link(text).ok_or_else(no_such_link)?;
        let caller = Caller::Stranger { address: client.address, account: &username };
        self.replace_password(caller, user, Authority::Link(code), password).await?;
        Ok(username)
    }

    async fn replace_password(
        &self,
        caller: Caller<'_>,
        user: UserId,
        authority: Authority,
        Secret(password): Secret,
    ) -> Result<(), Refusal> {
        let hash: Box<str> = self.passwords.hash(caller, password).await.map_err(overloaded)?.into();
        let now_ms = self.context.environment.now_ms();
        let decide = move |tables: &Tables<'_>| decide(&tables.records, user, &authority, &hash, now_ms);
        self.context.commit_and_replicate_from_reserve(decide).await?;
        match &caller {
            Caller::Operator => SecurityEvent::PasswordReset.by_operator().to(user),
            _ => SecurityEvent::PasswordReset.by(user).detail("by a reset link"),
        }
        .record();
        Ok(())
    }
}

fn decide<T: Rows>(
    records: &Records<T>,
    user: UserId,
    authority: &Authority,
    hash: &str,
    now_ms: u64,
) -> Result<Decision, StoreError> {
    let account = records.existing_account(user)?;
    let Some(account) = account.filter(|account| match authority {
        Authority::Operator => true,
        Authority::Link(code) => is_valid(account, code, now_ms),
    }) else {
        return Ok(Decision::Refuse(match authority {
            Authority::Operator => permissions::no_such_user(),
            Authority::Link(_) => no_such_link(),
        }));
    };
    // Somebody else may have the personal access tokens, too: they end.
    let changed = PasswordChanged { password: Some(hash.into()), kept_session: None, keep_tokens: false };
    // Stamped above the link, which this uses up.
    Ok(Decision::one_above(account.changed_at(), Scope::user(user), changed))
}

fn is_valid(account: &UserState, code: &Code, now_ms: u64) -> bool {
    account.reset_link().is_some_and(|link| code.is(&link.code_hash) && now_ms < link.expires_ms)
}

/// The user and the code in a link. It names its user, so that only their link is compared.
fn parse_link(text: &str) -> Option<(UserId, Code)> {
    let (user, code) = text.split_once('.')?;
    Some((UserId::parse(user).ok().flatten()?, Code::parse(code)?))
}

fn no_such_link() -> Refusal {
    Refusal::new(ErrorCode::NotFound, texts::accounts::RESET_LINK_INVALID)
}
