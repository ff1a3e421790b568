//! The secret of the cluster, given as a value or in a file, and never printed.

use std::{
    fmt,
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{ClusterConfig, ConfigError, secret_strength::is_guessable};

/// Characters in a cluster secret, at least: 128 bits in hexadecimal. Guesses can be tested offline against a leaf
/// certificate, so the secret must be unguessable.
pub const SECRET_CHARS_MIN: usize = 32;

/// Bytes in a secret file, less than this.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The secret that all nodes of a cluster share.
#[derive(Clone, PartialEq, Eq)]
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

pub fn resolve(value: Option<String>, file: Option<PathBuf>) -> Result<Option<ClusterSecrets>, ConfigError> {
    match (value, file) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(ConfigError::SecretTwice),
        (Some(value), None) => ClusterSecrets::parse(&value).map(Some),
        (None, Some(path)) => ClusterSecrets::read(&path).map(Some),
    }
}

/// The secrets of a node: one, or two while the cluster's secret is being rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSecrets {
    /// The first line.
    pub newest: ClusterSecret,
    /// The second line.
    pub older: Option<ClusterSecret>,
}

impl ClusterSecrets {
    /// Reads a file with one or two lines.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        // A longer file is refused for its length, whatever it holds.
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
        read.map_err(|error| ConfigError::SecretFile(path.into(), error))?;
        Self::parse(&text)
    }

    /// Parses one or two lines.
    fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() as u64 >= FILE_BYTES_MAX {
            return Err(ConfigError::SecretLong);
        }
        // Some editors add an invisible byte order mark.
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let mut lines = lines.filter(|line| !line.is_empty());
        let newest = check(lines.next().unwrap_or_default())?;
        let older = lines.next().map(check).transpose()?;
        if lines.next().is_some() {
            return Err(ConfigError::SecretLines);
        }
        if older.as_ref().is_some_and(|older| older.0 == newest.0) {
            return Err(ConfigError::SecretsEqual);
        }
        Ok(Self { newest, older })
    }
}

/// Checks that a secret cannot be guessed.
fn check(secret: &str) -> Result<ClusterSecret, ConfigError> {
    if secret.chars().count() < SECRET_CHARS_MIN {
        return Err(ConfigError::SecretShort);
    }
    if is_guessable(secret) {
        return Err(ConfigError::SecretWeak);
    }
    Ok(ClusterSecret(secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};

    use super::*;

    const SECRET: &str = "92f1c07ae86b435dd9a01e6f72c4b853";

    const OLDER: &str = "c6a3f1de-90b7-4f52-8a1c-7e35d20b94f8";

    fn from_file(content: &str) -> Result<ClusterSecrets, ConfigError> {
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
            let secrets = from_file(&content).unwrap();
            assert_eq!(secrets.newest.as_bytes(), SECRET.as_bytes(), "{content:?}");
            assert!(secrets.older.is_none(), "{content:?}");
        }
    }

    /// Promise: while the secret is rotated, a file holds the new one and the old one, in this order.
    #[test]
    fn two_lines_are_two_secrets() {
        for content in [format!("{SECRET}\n{OLDER}\n"), format!("\u{feff}{SECRET}\r\n\r\n {OLDER} ")] {
            let ClusterSecrets { newest, older } = from_file(&content).unwrap();
            assert_eq!(newest.as_bytes(), SECRET.as_bytes(), "{content:?}");
            assert_eq!(older.unwrap().as_bytes(), OLDER.as_bytes(), "{content:?}");
        }
    }

    /// Bad input: a second secret equal to the first, a third one, or a weak one in either line. No error shows a secret.
    #[test]
    fn equal_secrets_a_third_line_and_a_weak_line_are_refused() {
        let refused = |content: String| {
            let error = from_file(&content).unwrap_err();
            assert!(!error.to_string().contains(SECRET) && !error.to_string().contains('\n'), "{error}");
            error
        };
        assert!(matches!(refused(format!("{SECRET}\n{SECRET}\n")), ConfigError::SecretsEqual));
        let third = format!("{SECRET}\n{OLDER}\n52341662315546231125364415236641352261435241632514");
        assert!(matches!(refused(third), ConfigError::SecretLines));
        assert!(matches!(refused(format!("{SECRET}\nshort")), ConfigError::SecretShort));
        assert!(matches!(refused(format!("{}\n{SECRET}", "a".repeat(64))), ConfigError::SecretWeak));
        assert!(matches!(refused("\n\n".into()), ConfigError::SecretShort));
        assert!(matches!(refused("x".repeat(70_000)), ConfigError::SecretLong));
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
