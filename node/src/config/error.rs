//! The errors of the configuration.

use std::path::PathBuf;

use thiserror::Error;

use super::SECRET_CHARS_MIN;
use crate::auth::InvalidCost;

/// The reason why the configuration cannot be used: one line that says what to do.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The configuration file is not valid.
    #[error("the configuration file {0} is wrong: {1}")]
    Toml(PathBuf, String),
    /// The secret file cannot be read.
    #[error("cannot read the secret file {0}: {1}")]
    SecretFile(PathBuf, std::io::Error),
    /// The secret was given as a value and as a file.
    #[error("set the cluster secret or its file, not both")]
    SecretTwice,
    /// The secret is too short.
    #[error(
        "the cluster secret is too short: it needs at least {SECRET_CHARS_MIN} characters; \
         'starling cluster secret' prints a good one"
    )]
    SecretShort,
    /// The secret is long enough, but can be guessed.
    #[error(
        "the cluster secret can be guessed: it repeats itself or has few different characters; \
         'starling cluster secret' prints a good one"
    )]
    SecretWeak,
    /// The secret is far too long.
    #[error("the cluster secret is longer than 64 KiB: is it the right file?")]
    SecretLong,
    /// There are more than two secrets.
    #[error(
        "there are more than two lines of cluster secrets: give one, or the new one in the first line and the old one in \
         the second while the secret is rotated"
    )]
    SecretLines,
    /// Both secrets are the same.
    #[error(
        "the two cluster secrets are the same: the first line must be a new one, such as 'starling cluster secret' prints"
    )]
    SecretsEqual,
    /// Not all files of an operator's CA are given.
    #[error("an own CA needs all three files: cluster.ca, cluster.cert and cluster.key")]
    CertificatePart,
    /// There are settings of a cluster, but no secret.
    #[error(
        "a cluster needs a secret that all its nodes share: create one with 'starling cluster secret' \
         and pass it with --cluster-secret-file"
    )]
    SecretMissing,
    /// A setting is not an address.
    #[error("{setting} is '{value}': expected HOST:PORT, for example node1.example:7946")]
    Address {
        /// The name of the setting.
        setting: &'static str,
        /// The value that was given.
        value: String,
    },
    /// A number is out of its range.
    #[error("{setting} is {value}: expected {expected}")]
    Number {
        /// The name of the setting.
        setting: &'static str,
        /// The value that was given.
        value: u64,
        /// The values that are allowed.
        expected: &'static str,
    },
    /// A text cannot be parsed.
    #[error("{setting} is '{value}': {expected}")]
    Text {
        /// The name of the setting.
        setting: &'static str,
        /// The value that was given.
        value: String,
        /// The values that are allowed.
        expected: String,
    },
    /// The cost of password hashes is out of its limits.
    #[error("auth: {0}")]
    Cost(#[from] InvalidCost),
    /// The cost of password hashes is below the minimum.
    #[error(
        "auth.memory_kib must be at least 19456 and auth.passes at least 2, or passwords are cheap to guess; tests can \
         set auth.weak_hashes"
    )]
    WeakHashes,
    /// The public URL is not valid.
    #[error("http.public_url is '{0}': {1}; expected an address such as https://chat.example")]
    PublicUrl(String, &'static str),
}
