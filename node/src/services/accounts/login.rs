//! Login by name and password. Neither the answer nor its time tells whether the name exists.

use std::collections::HashSet;

use starling_protocol::{EventDraft, Pos, Scope, UserId, Username, event::PasswordRehashed};
use starling_web::{
    security_log::SecurityEvent,
    service::{Client, Refusal, Secret},
};

use super::{AccountsService, Checked, bad_credentials, overloaded, password_of};
use crate::{
    auth::Caller,
    services::context::catching_up,
    store::{Decide, Decision, Records, Rows, StoreError, Tables},
};

/// Accounts tried for one name, at most: its holder, and those that lost the name after a split.
const CANDIDATES_MAX: usize = 8;

/// An account that the typed name may mean.
struct Candidate {
    user: UserId,
    password_change: Pos,
    hash: String,
    /// Whether the typed name is the account's current one, and not one that it lost after a split.
    is_own_name: bool,
}

impl AccountsService {
    /// Checks a name and a password.
    pub(super) async fn check(
        &self,
        client: Client<'_>,
        name: &str,
        Secret(password): Secret,
    ) -> Result<Checked, Refusal> {
        let account = name.trim().to_ascii_lowercase();
        let caller = Caller::Stranger { address: client.address, account: &account };
        let ready = self.context.driver.is_ready();
        self.context.driver.barrier().await;
        let typed = account.clone();
        let candidates = self.context.read_records(move |records| candidates(records, &typed)).await?;
        // The account whose password is being guessed, for the security log.
        let meant = candidates.first().map(|candidate| candidate.user);
        let failed = || {
            SecurityEvent::LoginFailed.by(meant).record();
            if ready { bad_credentials() } else { catching_up() }
        };
        if candidates.is_empty() {
            self.passwords.verify(caller, None, password).await.map_err(overloaded)?;
            return Err(failed());
        }
        for Candidate { user, password_change, hash, is_own_name } in candidates {
            let verified = self.passwords.verify(caller, Some(hash), password.clone());
            let verified = verified.await.map_err(overloaded)?;
            if verified.ok {
                if is_own_name {
                    self.passwords.remember(client.address, &account);
                }
                let checked = Checked { user, password_change };
                if verified.needs_rehash {
                    tokio::spawn(self.clone().rehash(checked, password));
                }
                return Ok(checked);
            }
        }
        Err(failed())
    }

    /// Hashes a password again, at today's cost.
    async fn rehash(self, Checked { user, password_change: change }: Checked, password: String) {
        // Under load it is left to the next login.
        let Ok(hash) = self.passwords.hash(Caller::LoggedIn(user), password).await else { return };
        let hash: Box<str> = hash.into();
        let decide = Decide::new(move |tables: &Tables<'_>| {
            if password_of(&tables.records, user, |password| password.change)? != Some(change) {
                return Ok(Decision::Nothing);
            }
            let rehashed = PasswordRehashed { change, password: Some(hash.clone()) };
            Ok(Decision::Write(vec![EventDraft::new(Scope::user(user), rehashed).above(change.hlc)]))
        });
        let _ = self.context.commit_local(decide).await;
    }
}

/// The accounts that a typed name may mean: its holder, then the accounts that lost the name after a split; or the one
/// account whose new name (`name~xxxx`) it is.
fn candidates<T: Rows>(records: &Records<T>, typed: &str) -> Result<Vec<Candidate>, StoreError> {
    let base = typed.split_once('~').map_or(typed, |(base, _)| base);
    let Ok(name) = Username::parse(base) else { return Ok(Vec::new()) };
    let mut candidates = Vec::new();
    let mut seen = HashSet::new();
    for (claim, user) in records.claims(&name)? {
        // Accounts that have chosen another name since are found under that one.
        let current = records.claim_of(user)?.is_some_and(|(current, _)| current == claim);
        let is_own_name = records.username(user)?.is_some_and(|shown| shown == typed);
        let meant = base == typed || is_own_name;
        if !current || !meant || !seen.insert(user) || candidates.len() == CANDIDATES_MAX {
            continue;
        }
        let password = password_of(records, user, |password| (password.change, password.hash.to_owned()))?;
        candidates.extend(password.map(|(password_change, hash)| Candidate {
            user,
            password_change,
            hash,
            is_own_name,
        }));
    }
    Ok(candidates)
}
