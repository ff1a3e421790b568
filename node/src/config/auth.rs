//! The section `[auth]`: the cost of a password hash, and the number of hashes at once.

use clap::Args;
use serde::Deserialize;

use super::{ConfigError, in_range};
use crate::auth::{Cost, default_workers};

/// Settings of password hashing.
#[derive(Clone, Copy, Debug)]
pub struct AuthConfig {
    /// The cost of one hash; should be the same on all nodes of a cluster.
    pub cost: Cost,
    /// Hashes computed at once.
    pub workers: usize,
}

/// The section in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthFile {
    memory_kib: Option<u32>,
    passes: Option<u32>,
    lanes: Option<u32>,
    workers: Option<u64>,
    weak_hashes: Option<bool>,
}

/// The flags and environment variables.
#[derive(Args, Debug)]
pub struct AuthFlags {
    /// Memory for hashing a password (argon2id), in KiB [default: 19456].
    #[arg(long = "auth-memory-kib", env = "STARLING_AUTH_MEMORY_KIB", value_name = "KIB")]
    memory_kib: Option<u32>,
    /// Passes over that memory [default: 2].
    #[arg(long = "auth-passes", env = "STARLING_AUTH_PASSES", value_name = "N")]
    passes: Option<u32>,
    /// Lanes of argon2id (its parameter p), computed one after the other [default: 1].
    #[arg(long = "auth-lanes", env = "STARLING_AUTH_LANES", value_name = "N")]
    lanes: Option<u32>,
    /// Passwords checked at once [default: half of the cores].
    #[arg(long = "auth-workers", env = "STARLING_AUTH_WORKERS", value_name = "N")]
    workers: Option<u64>,
    /// Allow a cost below the default; for tests only, never for real passwords [default: false].
    #[arg(long = "auth-weak-hashes", env = "STARLING_AUTH_WEAK_HASHES", value_name = "BOOL")]
    weak_hashes: Option<bool>,
}

impl AuthConfig {
    /// Resolves the settings: flags and environment win over the file, and the file over the defaults.
    pub fn resolve(flags: &AuthFlags, file: &AuthFile) -> Result<Self, ConfigError> {
        let cost = Cost {
            memory_kib: flags.memory_kib.or(file.memory_kib).unwrap_or(Cost::MIN.memory_kib),
            passes: flags.passes.or(file.passes).unwrap_or(Cost::MIN.passes),
            lanes: flags.lanes.or(file.lanes).unwrap_or(Cost::MIN.lanes),
        };
        cost.check()?;
        let weak = cost.memory_kib < Cost::MIN.memory_kib || cost.passes < Cost::MIN.passes;
        if weak && !flags.weak_hashes.or(file.weak_hashes).unwrap_or(false) {
            return Err(ConfigError::WeakHashes);
        }
        let workers = flags.workers.or(file.workers).unwrap_or(default_workers() as u64);
        let workers = in_range("auth.workers", workers, 1..=256, "1 to 256")?;
        Ok(Self { cost, workers: usize::try_from(workers).unwrap_or(1) })
    }
}
