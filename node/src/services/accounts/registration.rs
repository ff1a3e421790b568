//! Registration: the password is hashed, the name claimed, and the first session opened, in this order.

use starling_protocol::{EventDraft, NodeId, Scope, UserId, event::UserRegistered};
use starling_web::{
    security_log::SecurityEvent,
    service::{Client, Refusal, Registration, RegistrationSource},
};

use super::{
    AccountsService, Checked,
    admission::{Applicant, admit, invited},
    claim::{self, Claimant},
    overloaded,
};
use crate::{
    auth::Caller,
    store::{Decide, Decision, Tables},
};

impl AccountsService {
    /// Makes an account for a stranger.
    pub(super) async fn enrol(
        &self,
        client: Client<'_>,
        registration: Registration,
    ) -> Result<Checked, Refusal> {
        let account = registration.username.to_string();
        let caller = Caller::Stranger { address: client.address, account: &account };
        let door = registration.door;
        let checked = self.make_account(caller, registration).await?;
        let event = match door {
            RegistrationSource::Setup => SecurityEvent::SetupCompleted,
            _ => SecurityEvent::AccountRegistered,
        };
        event.by(checked.user).record();
        self.passwords.remember(client.address, &account);
        Ok(checked)
    }

    /// Makes an account as the operator says.
    pub async fn add(&self, registration: Registration) -> Result<(), Refusal> {
        let Checked { user, .. } = self.make_account(Caller::Operator, registration).await?;
        SecurityEvent::AccountAdded.by_operator().to(user).record();
        Ok(())
    }

    /// Makes an account. The name is certain when it returns.
    pub(super) async fn make_account(
        &self,
        caller: Caller<'_>,
        registration: Registration,
    ) -> Result<Checked, Refusal> {
        let Registration { username, password, display_name, door } = registration;
        let applicant = Applicant {
            door,
            mode: self.mode,
            service_keys: self.service_keys.keys().clone(),
            now_ms: self.base.machine.now_ms(),
        };
        let (name, asking) = (username.clone(), applicant.clone());
        let refuse = move |records: &crate::store::RecordsReader| {
            let refused = claim::refuse_taken(records, &name)?;
            Ok(refused.or(admit(records, &asking)?.err()))
        };
        // Before a hash is spent on it, and a claim made that is withdrawn again.
        self.base.driver.barrier().await;
        if let Some(refusal) = self.base.look(refuse).await? {
            return Err(refusal);
        }
        let hash: Box<str> = self.passwords.hash(caller, password.0).await.map_err(overloaded)?.into();
        let user = UserId(self.base.machine.random());
        let name = username.clone();
        let claimant = Claimant { user, name, is_setup: door == RegistrationSource::Setup };
        let decide = move |waited_for: Vec<NodeId>| {
            Decide::new(move |tables: &Tables<'_>| {
                if let Some(refusal) = claim::refuse_taken(&tables.records, &username)? {
                    return Ok(Decision::Refuse(refusal));
                }
                let admin = match admit(&tables.records, &applicant)? {
                    Ok(admin) => admin,
                    Err(refusal) => return Ok(Decision::Refuse(refusal)),
                };
                let (username, display_name) = (username.clone(), display_name.clone());
                let (password, waited_for) = (Some(hash.clone()), Some(waited_for.clone()));
                let registered = UserRegistered { username, display_name, password, admin, waited_for };
                // The claim is the last: its place is what is confirmed.
                let mut drafts = match invited(&tables.records, &applicant, user)? {
                    Ok(drafts) => drafts,
                    Err(refusal) => return Ok(Decision::Refuse(refusal)),
                };
                drafts.push(EventDraft::new(Scope::user(user), registered));
                Ok(Decision::Write(drafts))
            })
        };
        let password = claim::claim(&self.base, claimant, decide).await?;
        Ok(Checked { user, password })
    }
}
