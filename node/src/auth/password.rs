//! Passwords: which are accepted, and argon2id over them as PHC strings (`$argon2id$v=19$m=19456,t=2,p=1$…`).

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash,
};
use thiserror::Error;

use super::{
    login_queue::Caller,
    password_pool::{Overloaded, PasswordPool},
};
use crate::machine::Machine;

/// Characters in a password, at least.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Bytes in a password, at most: beyond any that is remembered or made by a password manager.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Memory of one hash, at most, in KiB: what a stored hash may ask of this node, too.
const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Passes of one hash, at most, likewise.
const PASSES_MAX: u32 = 64;
/// Lanes of one hash, at most, likewise.
const LANES_MAX: u32 = 64;

/// Refused whatever else they are; see the file for where they come from.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let file = include_str!("common_passwords.txt");
    file.lines().filter(|line| !line.starts_with('#')).collect()
});

/// Why a new password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WeakPassword {
    /// Fewer than 8 characters.
    #[error("must have at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// More than 256 bytes.
    #[error("must have at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// Among those that are tried first, in whatever case.
    #[error("is among the commonest; choose another")]
    TooCommon,
}

impl WeakPassword {
    /// Looks at a new password; those that are set already are not judged again.
    pub fn check(password: &str) -> Result<(), Self> {
        if password.chars().count() < PASSWORD_CHARS_MIN {
            Err(Self::TooShort)
        } else if password.len() > PASSWORD_BYTES_MAX {
            Err(Self::TooLong)
        } else if COMMON.contains(password.to_lowercase().as_str()) {
            Err(Self::TooCommon)
        } else {
            Ok(())
        }
    }
}

/// What one guess costs. All nodes of a cluster should have the same: a node spends its own cost on unknown users, so
/// the time of a login would tell them from those whose password was hashed at another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes, which are worked through one after the other.
    pub lanes: u32,
}

impl Cost {
    /// The least that is sane for real passwords (19 MiB, 2 passes, 1 lane), and the default.
    pub const MIN: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

    /// Whether argon2 and this node can bear it.
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

/// Out of what argon2 or this node can bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a password's cost is 8 KiB a lane to {MEMORY_KIB_MAX} KiB, 1 to {PASSES_MAX} passes, 1 to {LANES_MAX} lanes"
)]
pub struct InvalidCost;

/// What came of a password at login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// It is right.
    pub ok: bool,
    /// It is right, and was hashed at less than today's cost: hash it again.
    pub needs_rehash: bool,
}

/// Hashes and verifies, in turn.
pub struct Passwords {
    pool: PasswordPool,
    hasher: Arc<Hasher>,
    machine: Arc<dyn Machine>,
}

impl Passwords {
    /// Starts the pool; one hash is made here and now.
    pub fn start(machine: &Arc<dyn Machine>, cost: Cost, workers: usize) -> Result<Self, InvalidCost> {
        let hasher = Arc::new(Hasher::new(cost, &machine.random::<32>(), &machine.random())?);
        Ok(Self { pool: PasswordPool::start(machine, workers), hasher, machine: Arc::clone(machine) })
    }

    /// The PHC string of a password that was checked.
    pub async fn hash(&self, caller: Caller<'_>, password: String) -> Result<String, Overloaded> {
        let (hasher, salt) = (Arc::clone(&self.hasher), self.machine.random());
        self.pool.run(caller, move || hasher.hash(password.as_bytes(), &salt)).await
    }

    /// Whether the password is the one of this PHC string; `None` is an unknown user's, which takes as long and is wrong.
    pub async fn verify(
        &self,
        caller: Caller<'_>,
        phc: Option<String>,
        password: String,
    ) -> Result<Verified, Overloaded> {
        let hasher = Arc::clone(&self.hasher);
        self.pool.run(caller, move || hasher.verify(phc.as_deref(), password.as_bytes())).await
    }

    /// An account was made or entered from there: it goes ahead of strangers from now on, on this node until it ends.
    pub fn remember(&self, address: IpAddr, account: &str) {
        self.pool.remember(address, account);
    }

    /// Whether that is so.
    pub fn is_known(&self, address: IpAddr, account: &str) -> bool {
        self.pool.is_known(address, account)
    }
}

/// The work itself.
struct Hasher {
    argon2: Argon2<'static>,
    /// Of a password that nobody knows.
    nobody: String,
}

impl Hasher {
    fn new(cost: Cost, unknown_password: &[u8], salt: &[u8; 16]) -> Result<Self, InvalidCost> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?);
        let mut hasher = Self { argon2, nobody: String::new() };
        hasher.nobody = hasher.hash(unknown_password, salt);
        Ok(hasher)
    }

    fn hash(&self, password: &[u8], salt: &[u8; 16]) -> String {
        let phc: PasswordHash = self.argon2.hash_password_with_salt(password, salt).expect(
            "the cost was checked, the salt is 16 bytes, and no request comes near argon2's longest password",
        );
        phc.to_string()
    }

    fn verify(&self, phc: Option<&str>, password: &[u8]) -> Verified {
        let known = phc.and_then(readable);
        let (phc, params) =
            known.clone().unwrap_or_else(|| readable(&self.nobody).expect("it was made here"));
        let ok = self.argon2.verify_password(password, &phc).is_ok() && known.is_some();
        let today = self.argon2.params();
        let needs_rehash = ok
            && (params.m_cost() < today.m_cost()
                || params.t_cost() < today.t_cost()
                || params.p_cost() < today.p_cost());
        Verified { ok, needs_rehash }
    }
}

/// An argon2id hash within this node's limits. Any other is nobody's.
fn readable(phc: &str) -> Option<(PasswordHash, Params)> {
    let phc = PasswordHash::new(phc).ok().filter(|phc| phc.algorithm == Algorithm::Argon2id.ident())?;
    let params = Params::try_from(&phc).ok()?;
    let cost = Cost { memory_kib: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() };
    cost.params().ok()?;
    Some((phc, params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ThisMachine;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
    const CALLER: Caller<'static> = Caller::Operator;

    #[test]
    fn a_password_has_8_characters_to_256_bytes_and_is_not_among_the_commonest() {
        let longest = "x".repeat(PASSWORD_BYTES_MAX);
        for fine in ["xkcd 936", "ääääüüüü", longest.as_str()] {
            assert_eq!(WeakPassword::check(fine), Ok(()), "{fine}");
        }
        assert_eq!(WeakPassword::check("ääääüüü"), Err(WeakPassword::TooShort));
        assert_eq!(WeakPassword::check(&"x".repeat(257)), Err(WeakPassword::TooLong));
        for common in ["password", "PASSWORD1", "12345678", "iLoveYou"] {
            assert_eq!(WeakPassword::check(common), Err(WeakPassword::TooCommon), "{common}");
        }
        assert_eq!(COMMON.len(), 5_000);
        assert!(COMMON.iter().all(|common| common.chars().count() >= PASSWORD_CHARS_MIN));
    }

    #[test]
    fn the_default_cost_is_what_is_promised_and_limits_hold() {
        let hasher = Hasher::new(Cost::MIN, b"nobody", &[1; 16]).unwrap();
        assert!(hasher.nobody.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hasher.nobody);
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
        let machine: Arc<dyn Machine> = Arc::new(ThisMachine);
        let passwords = Passwords::start(&machine, CHEAP, 1).unwrap();
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
        let dearer = Passwords::start(&machine, Cost { passes: 2, ..CHEAP }, 1).unwrap();
        let outdated = dearer.verify(CALLER, Some(right), "a right one".into()).await.unwrap();
        assert_eq!(outdated, Verified { ok: true, needs_rehash: true });
    }

    /// Promise: nothing tells an unknown user from a wrong password. Nobody's hash is one that nobody's password opens.
    #[test]
    fn nobody_is_verified_at_the_same_cost_and_never_right() {
        let hasher = Hasher::new(CHEAP, b"nobody", &[1; 16]).unwrap();
        let (_, params) = readable(&hasher.nobody).unwrap();
        let (_, of_user) = readable(&hasher.hash(b"a right one", &[2; 16])).unwrap();
        assert_eq!(params, of_user);
        assert!(hasher.verify(Some(&hasher.nobody), b"nobody").ok, "the hash is a real one");
        assert!(!hasher.verify(None, b"nobody").ok, "yet no user is behind it");
    }
}
