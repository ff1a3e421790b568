//! The data directory: the node's identity (`node.json`), the known members (`members.json`), the store. Inspecting it
//! changes nothing; it is made or written only once settings, ports and peers allow the start.

mod identity_changes;
mod private;
mod renewal;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use starling_protocol::{
    NodeId,
    frame::peer::{Member, ObservedAddress},
};
use thiserror::Error;

use self::private::Tightened;
pub use self::private::create_file as create_private_file;
use crate::key_derivation::RootKey;

const IDENTITY_FILE: &str = "node.json";
/// The identity before `--fresh`, or before the node was forgotten.
const OLD_IDENTITY_FILE: &str = "node.json.old";
const MEMBERS_FILE: &str = "members.json";
const STORE_FILE: &str = "starling.redb";
/// The suffix of unfinished files.
const UNFINISHED: &str = ".new";
/// File systems put this folder into the root of a volume.
const LOST_AND_FOUND: &str = "lost+found";

/// Why a directory cannot be a data directory. Each text is one line and says what to do.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// The directory or a file in it cannot be used.
    #[error("cannot use the data directory {0}: {1}; {advice}", advice = io_advice(.1))]
    Io(PathBuf, #[source] io::Error),
    /// The path is no directory.
    #[error("{0} is not a directory; give another --data-dir")]
    NotADirectory(PathBuf),
    /// The directory holds files of another program.
    #[error(
        "{0} holds files that are not Starling's ({1}); give an empty or missing directory with --data-dir"
    )]
    Foreign(PathBuf, String),
    /// A file of Starling cannot be parsed.
    #[error("{0} is damaged: {1}; restore it from a backup, or start with an empty --data-dir")]
    Damaged(PathBuf, String),
    /// The directory holds no node.
    #[error("there is no Starling node in {0}; name its directory with --data-dir")]
    Missing(PathBuf),
}

/// Returns advice on a file or directory that cannot be used, for the end of an error line.
pub fn io_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "this user may not use it: give it to the user that runs Starling (chown), or run Starling as its owner"
        }
        io::ErrorKind::ReadOnlyFilesystem => "its file system is mounted read-only: mount it for writing",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full: make room on it",
        _ => "check the disk, or give another --data-dir",
    }
}

/// The identity of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The node's id, drawn at random when the directory was made, in hexadecimal.
    node: String,
    /// The fingerprint of the cluster's key, once the node has joined one.
    pub cluster: Option<String>,
    /// The node's own secret, in hexadecimal. While the node is in no cluster it seals cursors, and the secrets of
    /// access tokens and service keys are derived from it; after a join it still opens old service keys.
    #[serde(rename = "cursor_key")]
    secret: String,
    /// Whether the store was made: if it is missing then, it was lost. Versions without this field made it at once.
    #[serde(default = "yes")]
    store_made: bool,
    /// Whether the store was lost and is not refilled yet: it is incomplete.
    #[serde(default, skip_serializing_if = "is_false")]
    refilling: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Identity {
    /// Makes an identity from random bytes.
    pub fn new(node: NodeId, secret: [u8; 32]) -> Self {
        let secret = blake3::Hash::from_bytes(secret).to_hex().to_string();
        Self { node: node.to_string(), cluster: None, secret, store_made: false, refilling: false }
    }

    /// Whether the node ever had a store.
    pub fn had_store(&self) -> bool {
        self.store_made
    }

    /// Returns the same identity, with a store.
    #[must_use]
    pub fn with_store(&self) -> Self {
        Self { store_made: true, ..self.clone() }
    }

    /// Whether the node lost its store and has not been refilled since.
    pub fn is_refilling(&self) -> bool {
        self.refilling
    }

    /// Returns the same identity, with a lost store.
    #[must_use]
    pub fn into_refilling(self) -> Self {
        Self { refilling: true, ..self }
    }

    /// Returns the same identity as part of a cluster, or of none.
    #[must_use]
    pub fn in_cluster(&self, fingerprint: Option<String>) -> Self {
        Self { cluster: fingerprint, ..self.clone() }
    }

    fn check(&self) -> Option<(NodeId, [u8; 32])> {
        let secret = blake3::Hash::from_hex(&self.secret).ok()?;
        Some((NodeId::parse(&self.node).ok()?, *secret.as_bytes()))
    }

    /// The node's id.
    pub fn node(&self) -> NodeId {
        self.check().expect("checked when it was read or made").0
    }

    /// The node's own secret. A node without a cluster seals cursors with it.
    pub fn secret(&self) -> [u8; 32] {
        self.check().expect("checked when it was read or made").1
    }

    /// The secret of access tokens of a node without a cluster. A node that joins one uses the cluster's secret and
    /// refuses older tokens; clients refresh theirs, which needs the log alone.
    pub fn token_secret(&self) -> [u8; 32] {
        RootKey::new("starling node 1", &self.secret()).expand(b"access tokens")
    }

    /// The key that seals the service keys of a node without a cluster. After a join it still opens them, so that they
    /// can be sealed again under the cluster's secret.
    pub fn sealing_key(&self) -> [u8; 32] {
        RootKey::new("starling node 1", &self.secret()).expand(b"service keys")
    }
}

/// A data directory, or a directory that may become one.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Inspects a directory without changing anything; returns the identity in it, if there is one.
    pub fn inspect(path: &Path) -> Result<(Self, Option<Identity>), DataDirError> {
        let dir = Self { path: path.into() };
        let io = |error| DataDirError::Io(path.into(), error);
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((dir, None)),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(DataDirError::NotADirectory(path.into()));
            }
            Err(error) => return Err(io(error)),
            Ok(metadata) if !metadata.is_dir() => return Err(DataDirError::NotADirectory(path.into())),
            Ok(_) => {}
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(io)? {
            let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
            // A crash may leave an unfinished file.
            if name != LOST_AND_FOUND && !name.ends_with(UNFINISHED) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Ok((dir, None));
        }
        if !names.iter().any(|name| name == IDENTITY_FILE) {
            if names.iter().any(|name| name == STORE_FILE) {
                return Err(DataDirError::Damaged(path.into(), format!("{IDENTITY_FILE} is missing")));
            }
            names.sort();
            names.truncate(3);
            return Err(DataDirError::Foreign(path.into(), names.join(", ")));
        }
        let identity: Identity =
            dir.read(IDENTITY_FILE)?.ok_or_else(|| DataDirError::Missing(path.into()))?;
        if identity.check().is_none() {
            return Err(DataDirError::Damaged(path.join(IDENTITY_FILE), "invalid node id or secret".into()));
        }
        Ok((dir, Some(identity)))
    }

    /// Makes the directory if it is missing, for the node's own user alone.
    pub fn create(&self) -> Result<(), DataDirError> {
        private::create_dir(&self.path).map_err(|error| DataDirError::Io(self.path.clone(), error))
    }

    /// Closes the directory and its files to other users, and warns if they were open.
    pub fn tighten(&self) {
        let Tightened { was_open, open, failed } = match private::tighten(&self.path) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "cannot look at the permissions of the data directory");
                return;
            }
        };
        if was_open {
            tracing::warn!(
                open = Tightened::list(&open),
                "other users of this machine could use the data directory; it is closed to them now. They may have read \
                 messages, password hashes and secrets: unless you trust them, have passwords changed"
            );
        }
        if !failed.is_empty() {
            tracing::warn!(
                failed = Tightened::list(&failed),
                "cannot close this to other users: they may read secrets; run the node as the owner of its data directory"
            );
        }
    }

    /// The path of the store.
    pub fn store_file(&self) -> PathBuf {
        self.path.join(STORE_FILE)
    }

    /// Whether there is a store; an empty file counts as none.
    pub fn has_store(&self) -> Result<bool, DataDirError> {
        let file = self.store_file();
        match fs::metadata(&file) {
            Ok(metadata) => Ok(metadata.len() > 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(DataDirError::Io(file, error)),
        }
    }

    /// Writes a new identity over that of a node that lost its store, which is kept beside it.
    pub fn replace_identity(&self, identity: &Identity) -> Result<(), DataDirError> {
        let old = self.path.join(OLD_IDENTITY_FILE);
        fs::copy(self.path.join(IDENTITY_FILE), &old).map_err(|error| DataDirError::Io(old, error))?;
        self.write_identity(identity)
    }

    /// Writes the identity of a new node; fails if another process makes a node here at the same time.
    pub fn create_identity(&self, identity: &Identity) -> Result<(), DataDirError> {
        self.write(IDENTITY_FILE, identity, |from, to| {
            match fs::hard_link(from, to) {
                Ok(()) => fs::remove_file(from),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
                // The file system has no hard links.
                Err(_) => fs::rename(from, to),
            }
        })
    }

    /// Writes the identity.
    pub fn write_identity(&self, identity: &Identity) -> Result<(), DataDirError> {
        self.write(IDENTITY_FILE, identity, |from, to| fs::rename(from, to))
    }

    /// Reads the members that the node knew at its last run.
    pub fn read_members(&self) -> Result<Vec<Member>, DataDirError> {
        let members: Vec<KnownMember> = self.read(MEMBERS_FILE)?.unwrap_or_default();
        let parse = |member: KnownMember| {
            let node = NodeId::parse(&member.node).ok()?;
            let (number, observed_addresses) = (member.number, member.observed_addresses);
            let first = Some(member.address).filter(|address| !address.is_empty());
            let addresses = first.into_iter().chain(member.more_addresses).collect();
            Some(Member { node, number, addresses, public_url: None, observed_addresses })
        };
        Ok(members.into_iter().filter_map(parse).collect())
    }

    /// Writes the known members for the next start.
    pub fn write_members(&self, members: &[Member]) -> Result<(), DataDirError> {
        let members: Vec<_> = members
            .iter()
            .map(|member| KnownMember {
                node: member.node.to_string(),
                address: member.addresses.first().cloned().unwrap_or_default(),
                more_addresses: member.addresses.iter().skip(1).cloned().collect(),
                number: member.number,
                observed_addresses: member.observed_addresses.clone(),
            })
            .collect();
        self.write(MEMBERS_FILE, &members, |from, to| fs::rename(from, to))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, DataDirError> {
        let path = self.path.join(name);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DataDirError::Io(path, error)),
            Ok(text) => text,
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| DataDirError::Damaged(path, error.to_string()))
    }

    /// Writes a file under another name and moves it into `place`: a crash leaves the old file or the new one.
    fn write<T: Serialize>(
        &self,
        name: &str,
        value: &T,
        place: impl FnOnce(&Path, &Path) -> io::Result<()>,
    ) -> Result<(), DataDirError> {
        let path = self.path.join(name);
        let temporary = self.path.join(format!("{name}.{}{UNFINISHED}", std::process::id()));
        let text = serde_json::to_vec_pretty(value).expect("plain records always encode");
        let replace = || {
            let mut options = File::options();
            options.write(true).create(true).truncate(true);
            // The file holds a key.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            place(&temporary, &path)?;
            File::open(&self.path)?.sync_all()
        };
        replace().map_err(|error| {
            let _ = fs::remove_file(&temporary);
            DataDirError::Io(path.clone(), error)
        })
    }
}

#[derive(Serialize, Deserialize)]
struct KnownMember {
    node: String,
    address: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more_addresses: Vec<String>,
    /// 0 in files from before member descriptions were numbered.
    #[serde(default)]
    number: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    observed_addresses: Vec<ObservedAddress>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known members, the node itself included, survive a restart; files from before descriptions were numbered are
    /// read.
    #[test]
    fn members_are_kept_and_older_files_are_read() {
        let home = tempfile::tempdir().unwrap();
        let dir = DataDir { path: home.path().into() };
        let node = NodeId([7; 16]);
        fs::write(home.path().join(MEMBERS_FILE), format!(r#"[{{"node":"{node}","address":"a:1"}}]"#))
            .unwrap();
        let old = Member {
            node,
            number: 0,
            addresses: vec!["a:1".into()],
            public_url: None,
            observed_addresses: Vec::new(),
        };
        assert_eq!(dir.read_members().unwrap(), std::slice::from_ref(&old));
        let observed_addresses = vec![ObservedAddress { at_ms: 5, address: "10.0.0.1:2".into() }];
        for addresses in [vec![], vec!["a:1".to_owned(), "b:1".to_owned()]] {
            let member = Member {
                number: 9,
                addresses,
                observed_addresses: observed_addresses.clone(),
                ..old.clone()
            };
            dir.write_members(std::slice::from_ref(&member)).unwrap();
            assert_eq!(dir.read_members().unwrap(), [member]);
        }
    }
}
