//! Secrets: given as a value or as a file that holds it, resolved in one place, never printed.

use std::{fmt, fs, path::PathBuf};

use super::ConfigError;

/// Characters that a cluster secret must have: 128 bits in hexadecimal. A leaf certificate can be tested against
/// guesses offline, so the secret must be beyond guessing.
pub const SECRET_CHARS_MIN: usize = 32;

/// What all nodes of a cluster share.
#[derive(Clone)]
pub struct ClusterSecret(String);

impl ClusterSecret {
    /// Its bytes, for deriving keys.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}

pub fn resolve(value: Option<String>, file: Option<PathBuf>) -> Result<Option<ClusterSecret>, ConfigError> {
    let secret = match (value, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(ConfigError::SecretTwice),
        (Some(value), None) => value,
        (None, Some(path)) => {
            fs::read_to_string(&path).map_err(|error| ConfigError::SecretFile(path, error))?
        }
    };
    let secret = secret.trim();
    if secret.chars().count() < SECRET_CHARS_MIN {
        return Err(ConfigError::SecretShort);
    }
    Ok(Some(ClusterSecret(secret.to_owned())))
}
