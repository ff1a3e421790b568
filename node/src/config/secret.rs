//! The secret of the cluster, given as a value or in a file, and never printed.

use std::{
    fmt, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{ClusterConfig, ConfigError, secret_strength::is_guessable};

/// Characters in a cluster secret, at least: 128 bits in hexadecimal. Guesses can be tested offline against a leaf
/// certificate, so the secret must be unguessable.
pub const SECRET_CHARS_MIN: usize = 32;

/// The secret that all nodes of a cluster share.
#[derive(Clone)]
pub struct ClusterSecret(String);

impl ClusterSecret {
    /// The bytes, for deriving keys.
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
    /// Warns if other users of this machine can read the file with the secret.
    pub fn warn_if_secret_is_readable(&self) {
        let Some(file) = &self.secret_from else { return };
        let Some(mode) = mode_if_readable_by_others(file) else { return };
        tracing::warn!(
            file = %file.display(),
            mode = format!("{mode:04o}"),
            "other users of this machine can read the cluster secret, which gives full control: protect the file (chmod 600), \
             and create a new secret if you don't trust these users"
        );
    }
}

/// The permissions of a file, if others than its owner can read it.
fn mode_if_readable_by_others(file: &Path) -> Option<u32> {
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
    // Some editors add an invisible byte order mark.
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

    /// Promise: invisible characters that an editor adds don't change the secret.
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

    /// Promise: a long but guessable secret is refused, and the error says how to get a good one.
    #[test]
    fn a_long_secret_that_repeats_itself_is_refused() {
        for weak in ["a".repeat(64), "0123456789abcdef".repeat(4), "changeme".repeat(8)] {
            let refused = from_file(&weak).unwrap_err();
            assert!(matches!(refused, ConfigError::SecretWeak), "{weak}");
            assert!(refused.to_string().contains("starling cluster secret"));
        }
    }

    /// Promise: a file with the secret that others can read is noticed.
    #[test]
    fn the_file_that_others_can_read_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, SECRET).unwrap();
        for (mode, open) in [(0o600, false), (0o400, false), (0o711, false), (0o640, true), (0o604, true)] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(mode_if_readable_by_others(&path).is_some(), open, "{mode:o}");
        }
        assert_eq!(mode_if_readable_by_others(&dir.path().join("absent")), None);
    }
}
