//! Registration: hashes the password, claims the name, and opens the first session, in this order.

use starling_protocol::{EventDraft, NodeId, Scope, UserId, event::UserRegistered};
use starling_web::{
    security_log::SecurityEvent,
    service::{Client, Refusal, Registration, RegistrationSource},
};

use super::{
    AccountsService, Checked,
    admission::{Applicant, check_registration, membership_drafts},
    claim::{self, Claimant},
    overloaded,
};
use crate::{
    auth::Caller,
    services::member_rooms::decisions::decision,
    store::{Decide, Store, Tables},
};

impl AccountsService {
    /// Creates the account of a visitor, or of the first administrator.
    pub(super) async fn register_stranger(
        &self,
        client: Client<'_>,
        registration: Registration,
    ) -> Result<Checked, Refusal> {
        let account = registration.username.to_string();
        let caller = Caller::Stranger { address: client.address, account: &account };
        let source = registration.source;
        let checked = self.make_account(caller, registration).await?;
        let event = match source {
            RegistrationSource::Setup => SecurityEvent::SetupCompleted,
            _ => SecurityEvent::AccountRegistered,
        };
        event.by(checked.user).record();
        self.passwords.remember(client.address, &account);
        Ok(checked)
    }

    /// Creates an account for the operator.
    pub async fn add(&self, registration: Registration) -> Result<(), Refusal> {
        let Checked { user, .. } = self.make_account(Caller::Operator, registration).await?;
        SecurityEvent::AccountAdded.by_operator().to(user).record();
        Ok(())
    }

    /// Creates an account. When it returns, no other account can get the name.
    pub(super) async fn make_account(
        &self,
        caller: Caller<'_>,
        registration: Registration,
    ) -> Result<Checked, Refusal> {
        let Registration { username, password, display_name, source } = registration;
        let applicant = Applicant {
            source,
            mode: self.mode,
            service_keys: self.service_keys.sealer().clone(),
            now_ms: self.context.environment.now_ms(),
        };
        let (name, early) = (username.clone(), applicant.clone());
        let check = move |store: &Store| {
            let records = store.records()?;
            claim::check_free(&records, &name)?;
            check_registration(&records, &early)
        };
        // Checked early: a refused registration costs no hash, and no claim that has to be withdrawn.
        self.context.driver.barrier().await;
        self.context.query_local(check).await?;
        let hash: Box<str> = self.passwords.hash(caller, password.0).await.map_err(overloaded)?.into();
        let user = UserId(self.context.environment.random());
        let name = username.clone();
        let claimant = Claimant { user, name, is_setup: source == RegistrationSource::Setup };
        let decide = move |waited_for: Vec<NodeId>| {
            Decide::new(move |tables: &Tables<'_>| {
                let drafts = || {
                    claim::check_free(&tables.records, &username)?;
                    let admin = check_registration(&tables.records, &applicant)?;
                    let (username, display_name) = (username.clone(), display_name.clone());
                    let (password, waited_for) = (Some(hash.clone()), Some(waited_for.clone()));
                    let registered = UserRegistered { username, display_name, password, admin, waited_for };
                    let mut drafts = membership_drafts(&tables.records, &applicant, user)?;
                    // The claim comes last: peers confirm the position of the last event.
                    drafts.push(EventDraft::new(Scope::user(user), registered));
                    Ok(drafts)
                };
                decision(drafts())
            })
        };
        let password_change = claim::claim(&self.context, claimant, decide).await?;
        Ok(Checked { user, password_change })
    }
}
