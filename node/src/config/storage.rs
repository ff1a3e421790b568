//! The section `[storage]`: the store's memory, the disk space that is kept for replication, and how long erased text stays.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::{ConfigError, in_range};

const MIB: u64 = 1024 * 1024;
/// Default of `storage.cache_mib`.
const CACHE_MIB: u64 = 16;
/// Default of `storage.reserve_mib`.
const RESERVE_MIB: u64 = 256;
/// Default of `storage.scrub_after_s`: deleted text is gone within 24 hours.
const SCRUB_AFTER_S: u64 = 43_200;

/// Settings of the store.
#[derive(Clone, Copy, Debug)]
pub struct StorageConfig {
    /// The most bytes of the store's pages in memory. The operating system caches the file besides.
    pub cache_bytes: usize,
    /// Free bytes of the disk below which users cannot write.
    pub reserve_bytes: u64,
    /// The longest time that erased text stays in free pages.
    pub scrub_after: Duration,
}

/// The section in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageFile {
    cache_mib: Option<u64>,
    reserve_mib: Option<u64>,
    scrub_after_s: Option<u64>,
}

/// The flags and environment variables.
#[derive(Args, Debug)]
pub struct StorageFlags {
    /// MiB of the store that are kept in memory, besides what the operating system caches [default: 16].
    #[arg(long = "storage-cache-mib", env = "STARLING_STORAGE_CACHE_MIB", value_name = "MIB")]
    cache_mib: Option<u64>,
    /// Free MiB of the disk reserved for replication; below it, writes of users are refused [default: 256].
    #[arg(long = "storage-reserve-mib", env = "STARLING_STORAGE_RESERVE_MIB", value_name = "MIB")]
    reserve_mib: Option<u64>,
    /// Seconds that deleted text may stay in free pages of the store's file [default: 43200].
    #[arg(long = "storage-scrub-after-s", env = "STARLING_STORAGE_SCRUB_AFTER_S", value_name = "S")]
    scrub_after_s: Option<u64>,
}

impl StorageConfig {
    /// Resolves the settings: flags and environment win over the file, and the file over the defaults.
    pub fn resolve(flags: &StorageFlags, file: &StorageFile) -> Result<Self, ConfigError> {
        let cache = flags.cache_mib.or(file.cache_mib).unwrap_or(CACHE_MIB);
        let cache = in_range("storage.cache_mib", cache, 1..=1_048_576, "1 to 1048576")?;
        let reserve = flags.reserve_mib.or(file.reserve_mib).unwrap_or(RESERVE_MIB);
        let reserve = in_range("storage.reserve_mib", reserve, 0..=1_048_576, "0 to 1048576")?;
        let scrub_after_s = flags.scrub_after_s.or(file.scrub_after_s).unwrap_or(SCRUB_AFTER_S);
        let scrub_after_s = in_range("storage.scrub_after_s", scrub_after_s, 1..=82_800, "1 to 82800")?;
        Ok(Self {
            cache_bytes: usize::try_from(cache * MIB).unwrap_or(usize::MAX),
            reserve_bytes: reserve * MIB,
            scrub_after: Duration::from_secs(scrub_after_s),
        })
    }
}
