//! Secrets: given as a value or as a file that holds it, resolved in one place, never printed.

use std::{
    fmt, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

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
        let Some(mode) = open_to_others(file) else { return };
        tracing::warn!(
            file = %file.display(),
            mode = format!("{mode:04o}"),
            "other users of this machine can read the cluster secret, with which they can do anything: close the file to \
             them (chmod 600), and if they are not to be trusted make a new secret"
        );
    }
}

/// The permissions of a file, if others than its owner can read it.
fn open_to_others(file: &Path) -> Option<u32> {
    let mode = fs::metadata(file).ok()?.permissions().mode() & 0o7777;
    (mode & 0o044 != 0).then_some(mode)
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

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};

    use super::*;

    const SECRET: &str = "92f1c07ae86b435dd9a01e6f72c4b853";

    fn from_file(content: &str) -> Result<ClusterSecret, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, content).unwrap();
        resolve(None, Some(path)).map(|secret| secret.expect("it was given"))
    }

    /// Promise: what an editor adds that nobody sees makes no other secret.
    #[test]
    fn a_byte_order_mark_and_blanks_are_no_part_of_a_secret() {
        for content in [
            SECRET.into(),
            format!("\u{feff}{SECRET}"),
            format!("\u{feff}{SECRET}\r\n"),
            format!(" {SECRET}\n\n"),
        ] {
            assert_eq!(from_file(&content).unwrap().as_bytes(), SECRET.as_bytes(), "{content:?}");
        }
    }

    /// Promise: a secret that is long but can be guessed is refused, with the way to a good one.
    #[test]
    fn a_long_secret_that_repeats_itself_is_refused() {
        for weak in ["a".repeat(64), "0123456789abcdef".repeat(4), "changeme".repeat(8)] {
            let refused = from_file(&weak).unwrap_err();
            assert!(matches!(refused, ConfigError::SecretWeak), "{weak}");
            assert!(refused.to_string().contains("starling cluster secret"));
        }
    }

    /// Promise: a secret that others can read is noticed, wherever it stands.
    #[test]
    fn the_file_that_others_can_read_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, SECRET).unwrap();
        for (mode, open) in [(0o600, false), (0o400, false), (0o711, false), (0o640, true), (0o604, true)] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(open_to_others(&path).is_some(), open, "{mode:o}");
        }
        assert_eq!(open_to_others(&dir.path().join("absent")), None);
    }
}
