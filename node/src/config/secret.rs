//! Secrets: given as a value or as a file that holds it, resolved in one place, never printed.

use std::{fmt, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use super::{ClusterConfig, ConfigError, secret_strength::is_guessable};

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

impl ClusterConfig {
    /// Warns if other users of this machine can read the file in which the secret stands.
    pub fn warn_of_open_secret(&self) {
        let Some(file) = &self.secret_from else { return };
        let Ok(metadata) = fs::metadata(file) else { return };
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o044 != 0 {
            tracing::warn!(
                file = %file.display(),
                mode = format!("{mode:04o}"),
                "other users of this machine can read the cluster secret, with which they can do anything: close the file \
                 to them (chmod 600), and if they are not to be trusted make a new secret"
            );
        }
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
    // Some editors put a byte order mark in front, which nobody sees.
    let secret = secret.trim_start_matches('\u{feff}').trim();
    if secret.chars().count() < SECRET_CHARS_MIN {
        return Err(ConfigError::SecretShort);
    }
    if is_guessable(secret) {
        return Err(ConfigError::SecretWeak);
    }
    Ok(Some(ClusterSecret(secret.to_owned())))
}
