//! The section `[auth]`: what a password costs to check, and how many are checked at once.

use clap::Args;
use serde::Deserialize;

use super::{ConfigError, in_range};
use crate::auth::{Cost, default_workers};

/// How passwords are hashed.
#[derive(Clone, Copy, Debug)]
pub struct AuthConfig {
    /// What one hash costs. All nodes of a cluster should have the same.
    pub cost: Cost,
    /// Hashes at once.
    pub workers: usize,
}

/// In the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthFile {
    memory_kib: Option<u32>,
    passes: Option<u32>,
    lanes: Option<u32>,
    workers: Option<u64>,
    weak_hashes: Option<bool>,
}

/// On the command line and in the environment.
#[derive(Args, Debug)]
pub struct AuthFlags {
    /// Memory that hashing a password takes (argon2id), in KiB [default: 19456].
    #[arg(long = "auth-memory-kib", env = "STARLING_AUTH_MEMORY_KIB", value_name = "KIB")]
    memory_kib: Option<u32>,
    /// Passes over that memory [default: 2].
    #[arg(long = "auth-passes", env = "STARLING_AUTH_PASSES", value_name = "N")]
    passes: Option<u32>,
    /// Lanes of argon2id: its parallelism [default: 1].
    #[arg(long = "auth-lanes", env = "STARLING_AUTH_LANES", value_name = "N")]
    lanes: Option<u32>,
    /// Passwords that are checked at once [default: half of the cores].
    #[arg(long = "auth-workers", env = "STARLING_AUTH_WORKERS", value_name = "N")]
    workers: Option<u64>,
    /// Let the cost be below its default: for tests, never for passwords of people [default: false].
    #[arg(long = "auth-weak-hashes", env = "STARLING_AUTH_WEAK_HASHES", value_name = "BOOL")]
    weak_hashes: Option<bool>,
}

impl AuthConfig {
    /// Resolves flags and environment over the file over the defaults.
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
