//! Why the configuration cannot be used.

use std::path::PathBuf;

use thiserror::Error;

use super::SECRET_CHARS_MIN;
use crate::auth::InvalidCost;

/// Why the configuration cannot be used. Each says what to do, in one line.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file named by `--config`.
    #[error("cannot read the configuration file {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// Its contents.
    #[error("the configuration file {0} is wrong: {1}")]
    Toml(PathBuf, String),
    /// A secret's file.
    #[error("cannot read the secret file {0}: {1}")]
    SecretFile(PathBuf, std::io::Error),
    /// The same secret twice.
    #[error("give the cluster secret or the file that holds it, not both")]
    SecretTwice,
    /// Guessable.
    #[error(
        "the cluster secret is too short: it needs at least {SECRET_CHARS_MIN} characters; \
         'starling cluster secret' makes a good one"
    )]
    SecretShort,
    /// Cluster settings without one.
    #[error(
        "a cluster needs a secret that all its nodes share: make one with 'starling cluster secret' \
         and give it with --cluster-secret-file"
    )]
    SecretMissing,
    /// Not an address.
    #[error("{setting} is '{value}': expected HOST:PORT, for example node1.example:7946")]
    Address {
        /// Which setting.
        setting: &'static str,
        /// What it was.
        value: String,
    },
    /// A number out of its range.
    #[error("{setting} is {value}: expected {expected}")]
    Number {
        /// Which setting.
        setting: &'static str,
        /// What it was.
        value: u64,
        /// What it may be.
        expected: &'static str,
    },
    /// A text that cannot be read.
    #[error("{setting} is '{value}': {expected}")]
    Text {
        /// Which setting.
        setting: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        expected: String,
    },
    /// What a password costs.
    #[error("auth: {0}")]
    Cost(#[from] InvalidCost),
    /// Cheap to guess.
    #[error(
        "auth.memory_kib and auth.passes are below 19456 and 2: passwords would be cheap to guess; tests may, \
         with auth.weak_hashes"
    )]
    WeakHashes,
    /// Not a URL that users can open.
    #[error("http.public_url is '{0}': {1}; expected an address such as https://chat.example")]
    PublicUrl(String, &'static str),
}
