//! Hashes passwords with Argon2id, as PHC strings (`$argon2id$v=19$m=19456,t=2,p=1$…`). Passwords are hashed and compared in
//! NFC, so that it does not matter how a keyboard composes an `ä`.

use std::{net::IpAddr, sync::Arc};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash,
};
use data_encoding::BASE64URL_NOPAD;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;

use super::{
    login_queue::Caller,
    password_pool::{Overloaded, PasswordPool},
};
use crate::environment::Environment;

/// Memory of one hash, at most, in KiB. It also limits what a stored hash may demand of this node.
const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Passes of one hash, at most, also of stored ones.
const PASSES_MAX: u32 = 64;
/// Lanes of one hash, at most, also of stored ones.
const LANES_MAX: u32 = 64;

/// The cost of one hash, and so of one guess. All nodes of a cluster should have the same: a node spends its own cost on
/// unknown users, so with different costs the time of a login would tell whether a user exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes, computed one after the other.
    pub lanes: u32,
}

impl Cost {
    /// The minimum for real passwords, and the default: 19 MiB, 2 passes, 1 lane.
    pub const MIN: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

    /// Refuses a cost beyond the limits of argon2 or of this node.
    pub fn check(self) -> Result<(), InvalidCost> {
        self.params().map(|_| ())
    }

    fn params(self) -> Result<Params, InvalidCost> {
        let Self { memory_kib, passes, lanes } = self;
        if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
            return Err(InvalidCost);
        }
        Params::new(memory_kib, passes, lanes, None).map_err(|_| InvalidCost)
    }
}

/// The cost is beyond the limits of argon2 or of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the cost of a password hash must be 8 KiB per lane to {MEMORY_KIB_MAX} KiB, 1 to {PASSES_MAX} passes, and 1 to \
     {LANES_MAX} lanes"
)]
pub struct InvalidCost;

/// The result of verifying a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether the password is right.
    pub ok: bool,
    /// Whether to hash it again: it is right, but was hashed at less than today's cost, or not in NFC.
    pub needs_rehash: bool,
}

/// Hashes and verifies passwords, on the threads of a pool.
pub struct Passwords {
    pool: PasswordPool,
    hasher: Arc<Hasher>,
    environment: Arc<dyn Environment>,
}

impl Passwords {
    /// Starts the pool, and computes one hash in the caller's thread.
    pub fn start(
        environment: &Arc<dyn Environment>,
        cost: Cost,
        workers: usize,
    ) -> Result<Self, InvalidCost> {
        let hasher = Arc::new(Hasher::new(
            cost,
            &BASE64URL_NOPAD.encode(&environment.random::<32>()),
            &environment.random(),
        )?);
        Ok(Self {
            pool: PasswordPool::start(environment, workers),
            hasher,
            environment: Arc::clone(environment),
        })
    }

    /// Hashes a new password; returns a PHC string. `Overloaded` if it isn't done within 4 s.
    pub async fn hash(&self, caller: Caller<'_>, password: String) -> Result<String, Overloaded> {
        let (hasher, salt) = (Arc::clone(&self.hasher), self.environment.random());
        self.pool.run(caller, move || hasher.hash(&password, &salt)).await
    }

    /// Verifies a password against a PHC string. `None` stands for an unknown user: it takes as long, and is wrong.
    pub async fn verify(
        &self,
        caller: Caller<'_>,
        phc: Option<String>,
        password: String,
    ) -> Result<Verified, Overloaded> {
        let hasher = Arc::clone(&self.hasher);
        self.pool.run(caller, move || hasher.verify(phc.as_deref(), &password)).await
    }

    /// Remembers, until this process ends, that an account has logged in from an address: it goes ahead of strangers there.
    pub fn remember(&self, address: IpAddr, account: &str) {
        self.pool.remember(address, account);
    }

    /// Whether the account is remembered to have logged in from the address.
    pub fn is_known(&self, address: IpAddr, account: &str) -> bool {
        self.pool.is_known(address, account)
    }
}

/// Hashes and verifies on the calling thread.
struct Hasher {
    argon2: Argon2<'static>,
    /// The hash of a random password, for unknown users.
    unknown: String,
}

impl Hasher {
    fn new(cost: Cost, unknown_password: &str, salt: &[u8; 16]) -> Result<Self, InvalidCost> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?);
        let mut hasher = Self { argon2, unknown: String::new() };
        hasher.unknown = hasher.hash(unknown_password, salt);
        Ok(hasher)
    }

    fn hash(&self, password: &str, salt: &[u8; 16]) -> String {
        let password = password.nfc().collect::<String>();
        let phc: PasswordHash = self.argon2.hash_password_with_salt(password.as_bytes(), salt).expect(
            "the cost was checked, the salt is 16 bytes, and no request comes near argon2's longest password",
        );
        phc.to_string()
    }

    fn verify(&self, phc: Option<&str>, password: &str) -> Verified {
        let known = phc.and_then(parse_phc);
        let (phc, params) =
            known.clone().unwrap_or_else(|| parse_phc(&self.unknown).expect("it was made here"));
        let is_right = |password: &String| self.argon2.verify_password(password.as_bytes(), &phc).is_ok();
        // The number of forms depends only on the typed password, so that the time does not tell whether the user exists.
        let right = forms(password).iter().position(is_right).filter(|_| known.is_some());
        let ok = right.is_some();
        let today = self.argon2.params();
        let needs_rehash = ok
            && (right != Some(0)
                || params.m_cost() < today.m_cost()
                || params.t_cost() < today.t_cost()
                || params.p_cost() < today.p_cost());
        Verified { ok, needs_rehash }
    }
}

/// The forms of a password to try: in NFC; then, for hashes of earlier versions, as it was typed, and decomposed, as some
/// keyboards type it. An ASCII password has one form.
fn forms(password: &str) -> Vec<String> {
    let mut forms = vec![password.nfc().collect::<String>()];
    for form in [password.to_owned(), password.nfd().collect()] {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

/// Parses an argon2id hash within the limits of this node; `None` for any other.
fn parse_phc(phc: &str) -> Option<(PasswordHash, Params)> {
    let phc = PasswordHash::new(phc).ok().filter(|phc| phc.algorithm == Algorithm::Argon2id.ident())?;
    let params = Params::try_from(&phc).ok()?;
    let cost = Cost { memory_kib: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() };
    cost.params().ok()?;
    Some((phc, params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::ThisMachine;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
    const CALLER: Caller<'static> = Caller::Operator;

    #[test]
    fn the_default_cost_and_the_limits_hold() {
        let hasher = Hasher::new(Cost::MIN, "nobody", &[1; 16]).unwrap();
        assert!(hasher.unknown.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hasher.unknown);
        for cost in [
            Cost { memory_kib: 7, ..CHEAP },
            Cost { passes: 0, ..CHEAP },
            Cost { memory_kib: MEMORY_KIB_MAX + 1, ..CHEAP },
            Cost { passes: PASSES_MAX + 1, ..CHEAP },
            Cost { memory_kib: 8 * 65, lanes: LANES_MAX + 1, ..CHEAP },
        ] {
            assert!(cost.params().is_err(), "{cost:?}");
        }
    }

    #[tokio::test]
    async fn right_wrong_unknown_and_outdated() {
        let environment: Arc<dyn Environment> = Arc::new(ThisMachine);
        let passwords = Passwords::start(&environment, CHEAP, 1).unwrap();
        let verify = async |phc: &str, password: &str| {
            passwords.verify(CALLER, Some(phc.into()), password.into()).await.unwrap()
        };
        let right = passwords.hash(CALLER, "a right one".into()).await.unwrap();
        assert_ne!(right, passwords.hash(CALLER, "a right one".into()).await.unwrap(), "salted");
        assert_eq!(verify(&right, "a right one").await, Verified { ok: true, needs_rehash: false });
        let wrong = Verified { ok: false, needs_rehash: false };
        assert_eq!(verify(&right, "a wrong one").await, wrong);
        assert_eq!(passwords.verify(CALLER, None, "a right one".into()).await.unwrap(), wrong);
        let huge = right.replace("m=8,", "m=4194304,");
        for unreadable in ["", "$argon2id$", &right[..right.len() - 1], &huge] {
            assert_eq!(verify(unreadable, "a right one").await, wrong, "{unreadable}");
        }
        let dearer = Passwords::start(&environment, Cost { passes: 2, ..CHEAP }, 1).unwrap();
        let outdated = dearer.verify(CALLER, Some(right), "a right one".into()).await.unwrap();
        assert_eq!(outdated, Verified { ok: true, needs_rehash: true });
    }

    /// Promise: a password works however its characters are composed, also with a hash of an earlier version that did not
    /// normalise; such a hash is replaced at the next login.
    #[test]
    fn passwords_are_compared_in_nfc_and_old_hashes_of_other_forms_work() {
        let hasher = Hasher::new(CHEAP, "nobody", &[1; 16]).unwrap();
        let (composed, decomposed) = ("p\u{e4}ssw\u{f6}rter", "pa\u{308}sswo\u{308}rter");
        let mixed = "p\u{e4}sswo\u{308}rter";
        let new = hasher.hash(decomposed, &[2; 16]);
        let right = |needs_rehash| Verified { ok: true, needs_rehash };
        for typed in [composed, decomposed, mixed] {
            assert_eq!(hasher.verify(Some(&new), typed), right(false), "{typed:?}");
        }
        let earlier = |password: &str| {
            let phc: PasswordHash =
                hasher.argon2.hash_password_with_salt(password.as_bytes(), &[3; 16]).unwrap();
            phc.to_string()
        };
        assert_eq!(hasher.verify(Some(&earlier(decomposed)), decomposed), right(true));
        assert_eq!(hasher.verify(Some(&earlier(decomposed)), composed), right(true), "from another keyboard");
        assert_eq!(hasher.verify(Some(&earlier(mixed)), mixed), right(true), "as it was typed");
        assert_eq!(hasher.verify(Some(&earlier(composed)), decomposed), right(false));
        assert!(!hasher.verify(Some(&new), "passworter").ok, "an umlaut is no plain letter");
    }

    /// Promise: an unknown user looks like a wrong password. No password opens the hash for unknown users.
    #[test]
    fn unknown_users_are_verified_at_the_same_cost_and_never_right() {
        let hasher = Hasher::new(CHEAP, "nobody", &[1; 16]).unwrap();
        let (_, params) = parse_phc(&hasher.unknown).unwrap();
        let (_, user_params) = parse_phc(&hasher.hash("a right one", &[2; 16])).unwrap();
        assert_eq!(params, user_params);
        assert!(hasher.verify(Some(&hasher.unknown), "nobody").ok, "the hash is a real one");
        assert!(!hasher.verify(None, "nobody").ok, "but it belongs to no user");
    }
}
