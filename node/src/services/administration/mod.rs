//! Administration of accounts, by administrators and operators: lists accounts, grants and revokes administration, disables
//! accounts, and creates links for choosing a new password.

mod reset;

use std::sync::Arc;

use async_trait::async_trait;
use starling_protocol::{
    ErrorCode, Hlc, Pos, RoomId, Scope, UserId, event::UserFlagged, merge::user::UserState, texts,
};
use starling_web::{
    objects::ManagedUser,
    security_log::{Entry, SecurityEvent},
    service::{Administration, Client, Identity, Refusal, ResetLink, Secret, UserFlags},
};

use super::{
    ServiceContext,
    member_rooms::decisions::{self, decision},
    render,
};
use crate::{
    auth::{Code, Passwords},
    key_derivation::{Replaceable, RootKey},
    permissions::{self, rooms::Denied},
    store::{Decision, Records, Rows, StoreError, Tables},
};

/// The operator or user that makes a request.
#[derive(Clone, Copy, Debug)]
pub enum Asker {
    /// The operator of the node, over the control socket.
    Operator,
    /// A user, who must be an administrator.
    User(UserId),
}

impl Asker {
    /// A user with a login. A personal access token, which may leak, is refused.
    fn logged_in(who: Identity) -> Result<Self, Refusal> {
        if who.personal {
            return Err(Refusal::new(ErrorCode::Forbidden, texts::accounts::TOKEN_LISTS_ONLY));
        }
        Ok(Self::User(who.user))
    }

    fn log_entry(self, event: SecurityEvent) -> Entry {
        match self {
            Self::Operator => event.by_operator(),
            Self::User(user) => event.by(user),
        }
    }

    fn check_admin<T: Rows>(self, records: &Records<T>) -> Result<Option<Refusal>, StoreError> {
        match self {
            Self::Operator => Ok(None),
            Self::User(user) => permissions::refuse_administration(records, user),
        }
    }
}

/// Implements `web`'s trait of administration, and the commands on the control socket.
#[derive(Clone)]
pub struct AdministrationService {
    context: ServiceContext,
    passwords: Arc<Passwords>,
    /// The first is shown, all are taken.
    setup: Replaceable<Vec<Code>>,
}

#[async_trait]
impl Administration for AdministrationService {
    async fn users(
        &self,
        by: UserId,
        prefix: String,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<ManagedUser>, Refusal> {
        let prefix = prefix.to_ascii_lowercase();
        self.context.query_local(move |store| list(&store.records()?, by, &prefix, after, limit)).await
    }

    async fn change(&self, by: Identity, user: UserId, flags: UserFlags) -> Result<ManagedUser, Refusal> {
        self.flag(Asker::logged_in(by)?, user, flags).await?;
        let found = self.context.read_records(move |records| managed_user(records, user)).await?;
        found.ok_or_else(permissions::no_such_user)
    }

    async fn make_reset_link(&self, by: Identity, user: UserId) -> Result<ResetLink, Refusal> {
        self.reset_link(Asker::logged_in(by)?, user).await
    }

    async fn add_owner(&self, by: Identity, room: RoomId, user: UserId) -> Result<(), Refusal> {
        let asker = Asker::logged_in(by)?;
        let decide = move |tables: &Tables<'_>| match asker.check_admin(&tables.records)? {
            Some(refusal) => Ok(Decision::Refuse(refusal)),
            None => decision(decisions::add_owner(&tables.records, room, by.user, user)),
        };
        self.context.commit_and_replicate(decide).await.map(drop)
    }

    async fn is_setup_code(&self, code: &str) -> Result<bool, Refusal> {
        let setup = self.setup.get();
        let is_right = Code::parse(code).is_some_and(|code| setup.iter().any(|setup| code.is(&setup.hash())));
        Ok(is_right && self.first_administrator().await?.is_none())
    }

    async fn reset_link_username(&self, code: &str) -> Result<String, Refusal> {
        Ok(self.find_reset_link(code).await?.1)
    }

    async fn reset_password(
        &self,
        client: Client<'_>,
        code: &str,
        password: Secret,
    ) -> Result<String, Refusal> {
        self.reset(client, code, password).await
    }
}

impl AdministrationService {
    /// Makes the service. All nodes of a cluster have the same token secret, so `/setup/…` works on each of them; codes
    /// of the secrets `also` work, too.
    pub fn new(
        context: ServiceContext,
        passwords: Arc<Passwords>,
        token_secret: &[u8; 32],
        also: &[[u8; 32]],
    ) -> Self {
        Self { context, passwords, setup: Replaceable::new(setup_codes(token_secret, also)) }
    }

    /// Replaces the token secrets, as [`AdministrationService::new`] takes them.
    pub fn replace_secrets(&self, token_secret: &[u8; 32], also: &[[u8; 32]]) {
        self.setup.replace(setup_codes(token_secret, also));
    }

    /// The account with a name as it is shown, which may be `name~xxxx`.
    pub async fn find_by_shown_name(&self, name: String) -> Result<UserId, Refusal> {
        let unknown = Refusal::new(ErrorCode::NotFound, texts::accounts::no_account_named(&name));
        self.context.find_or_catch_up(move |records| records.find_by_shown_name(&name)).await?.ok_or(unknown)
    }

    /// Changes the flags of an account; returns whether anything has changed.
    pub async fn flag(&self, by: Asker, user: UserId, flags: UserFlags) -> Result<bool, Refusal> {
        let decide = move |tables: &Tables<'_>| decide_flags(&tables.records, by, user, flags);
        let takes_away = flags.disabled == Some(true) || flags.admin == Some(false);
        let before = self
            .context
            .read_records(move |records| records.existing_account(user))
            .await?
            .unwrap_or_default();
        let decided = if takes_away {
            self.context.commit_and_replicate_from_reserve(decide).await
        } else {
            self.context.commit_and_replicate(decide).await
        }?;
        if decided.is_some() {
            record(by, user, flags, &before);
        }
        Ok(decided.is_some())
    }

    /// The code for `/setup/…`, the same on every node; `None` once there is an administrator.
    pub async fn setup_code(&self) -> Result<Option<String>, Refusal> {
        Ok(self.first_administrator().await?.is_none().then(|| self.setup.get()[0].text()))
    }

    async fn first_administrator(&self) -> Result<Option<UserId>, Refusal> {
        self.context.find_or_catch_up(|records| records.administrators()?.next().transpose()).await
    }
}

/// The codes of `/setup/…`, the one to be shown first.
fn setup_codes(token_secret: &[u8; 32], also: &[[u8; 32]]) -> Vec<Code> {
    let code = |secret: &[u8; 32]| {
        let key = RootKey::new("starling setup 1", secret).expand(b"the first administrator");
        Code::new(*key.first_chunk().expect("a key is longer than a code"))
    };
    std::iter::once(token_secret).chain(also).map(code).collect()
}

/// Writes the changes into the security log.
fn record(by: Asker, user: UserId, UserFlags { admin, disabled }: UserFlags, before: &UserState) {
    use SecurityEvent::{AccountDisabled, AccountEnabled, AdminGranted, AdminRevoked};

    let admin = admin.filter(|admin| *admin != before.is_admin());
    let admin = admin.map(|admin| if admin { AdminGranted } else { AdminRevoked });
    let disabled = disabled.filter(|disabled| *disabled != before.is_disabled());
    let disabled = disabled.map(|disabled| if disabled { AccountDisabled } else { AccountEnabled });
    for event in admin.into_iter().chain(disabled) {
        by.log_entry(event).to(user).record();
    }
}

fn decide_flags<T: Rows>(
    records: &Records<T>,
    by: Asker,
    user: UserId,
    flags: UserFlags,
) -> Result<Decision, StoreError> {
    if let Some(refusal) = by.check_admin(records)? {
        return Ok(Decision::Refuse(refusal));
    }
    let Some(account) = records.existing_account(user)? else {
        return Ok(Decision::Refuse(permissions::no_such_user()));
    };
    let admin = flags.admin.filter(|admin| *admin != account.is_admin());
    let disabled = flags.disabled.filter(|disabled| *disabled != account.is_disabled());
    if admin.is_none() && disabled.is_none() {
        return Ok(Decision::Nothing);
    }
    let steps_down = admin == Some(false) || disabled == Some(true);
    if steps_down && let Some(refusal) = permissions::refuse_demotion(records, user)? {
        return Ok(Decision::Refuse(refusal));
    }
    // Stamped above all known sessions, too: sessions that a disabling did not know end when the account is enabled again.
    let sessions = records.open_sessions(user)?.into_iter();
    let opened = sessions.filter_map(|(_, state)| state.opened.map(|(pos, _)| pos.hlc)).max();
    let above = opened.filter(|_| disabled.is_some()).max(Some(account.changed_at()));
    Ok(Decision::one_above(above.unwrap_or_default(), Scope::user(user), UserFlagged { admin, disabled }))
}

fn list<T: Rows>(
    records: &Records<T>,
    by: UserId,
    prefix: &str,
    after: Option<UserId>,
    limit: usize,
) -> Result<Vec<ManagedUser>, Denied> {
    if let Some(refusal) = permissions::refuse_administration(records, by)? {
        return Err(refusal.into());
    }
    let after = after.map(|user| records.claim_of(user)).transpose()?.flatten();
    let users = records.existing_accounts(prefix, after.as_ref(), limit)?;
    let shown = users.into_iter().map(|user| managed_user(records, user)).filter_map(Result::transpose);
    Ok(shown.collect::<Result<_, _>>()?)
}

fn managed_user<T: Rows>(records: &Records<T>, user: UserId) -> Result<Option<ManagedUser>, StoreError> {
    let Some(account) = records.existing_account(user)? else { return Ok(None) };
    let person = records.person(user)?;
    let created = account.registered.map_or(Hlc::default(), |Pos { hlc, .. }| hlc);
    Ok(Some(ManagedUser {
        id: user.to_string(),
        username: person.username,
        display_name: person.display_name,
        created_at: render::time(created),
        admin: account.is_admin(),
        disabled: account.is_disabled(),
    }))
}
