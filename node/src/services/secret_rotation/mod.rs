//! Rotates the cluster's secret while the node runs: follows the secret file and the log, gives the keys of the secrets to all
//! that use them, reports what this node has, and switches the cluster when the operator says so. `cluster::phase` and
//! `cluster::adopt` decide. No secret and no key ever leaves this node.

mod follow;
mod switch;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use starling_protocol::{
    CursorKey, NodeId,
    event::{ClusterId, SecretFingerprint, SecretsReported},
};
use starling_web::lane::CommitPoint;
use tokio::sync::watch;

pub use self::follow::RotationTask;
use super::{administration::AdministrationService, context::ServiceContext};
use crate::{
    auth::{AccessTokens, ServiceKeySealer},
    cluster::{HeldKeys, Links, PeerEndpoint, Phase, phase},
    config::{ClusterSecrets, WatchedFile},
    data_dir::DataDirError,
    key_derivation::Replaceable,
    store::cluster::SecretLog,
};

/// Saves which secret is in use, for the next start.
pub type SaveSecret = Arc<dyn Fn(SecretFingerprint) -> Result<(), DataDirError> + Send + Sync>;

/// All that use keys of the cluster's secret, besides the links.
pub struct KeyUsers {
    /// Seals service keys.
    pub sealer: ServiceKeySealer,
    /// The key of the node's own secret, under which it sealed service keys while it was alone.
    pub lone_sealing_key: [u8; 32],
    /// Issues access tokens.
    pub tokens: Arc<AccessTokens>,
    /// Makes the code of `/setup/…`.
    pub administration: Arc<AdministrationService>,
    /// Seal cursors.
    pub cursor_keys: Replaceable<Vec<CursorKey>>,
}

impl KeyUsers {
    fn replace(&self, keys: &HeldKeys) {
        let HeldKeys { active, other, .. } = keys;
        let token_secrets: Vec<_> = other.iter().map(|keys| keys.token_secret).collect();
        self.tokens.replace_secrets(&active.token_secret, &token_secrets);
        self.administration.replace_secrets(&active.token_secret, &token_secrets);
        self.cursor_keys.replace(keys.all().map(|keys| CursorKey::new(&keys.cursor_key)).collect());
        self.sealer
            .replace(active.sealing_key, &self.opening_keys(other.iter().map(|keys| keys.sealing_key)));
    }

    /// Returns keys that open service keys, and that of the lone node.
    fn opening_keys(&self, others: impl Iterator<Item = [u8; 32]>) -> Vec<[u8; 32]> {
        others.chain([self.lone_sealing_key]).collect()
    }
}

/// The inputs of [`SecretRotation::new`].
pub struct SecretRotationStart {
    /// The store, the writer and the driver.
    pub context: ServiceContext,
    /// This node.
    pub node: NodeId,
    /// Knows the members, and closes links.
    pub links: Arc<Links>,
    /// Decides which nodes are accepted.
    pub peers: Arc<PeerEndpoint>,
    /// The secrets that were read at the start.
    pub secrets: ClusterSecrets,
    /// The file to watch, if they came from one.
    pub file: Option<PathBuf>,
    /// Their keys.
    pub keys: HeldKeys,
    /// All that use these keys.
    pub users: KeyUsers,
    /// Saves which secret is in use.
    pub save: SaveSecret,
    /// Announces commits.
    pub commits: watch::Receiver<CommitPoint>,
}

/// The rotation of the cluster's secret.
pub struct SecretRotation {
    context: ServiceContext,
    node: NodeId,
    links: Arc<Links>,
    peers: Arc<PeerEndpoint>,
    users: KeyUsers,
    save: SaveSecret,
    secrets: ClusterSecrets,
    file: Option<PathBuf>,
    commits: watch::Receiver<CommitPoint>,
    state: Mutex<State>,
}

/// The present state.
struct State {
    keys: HeldKeys,
    /// The log at the last look.
    log: SecretLog,
    cluster: Option<ClusterId>,
    /// The reason why the secrets in the file are not taken.
    problem: Option<String>,
}

/// The rotation, for `starling status`.
pub struct RotationStatus {
    /// The phase, and the members that it waits for.
    pub phase: Phase,
    /// Whether this node has the secret that a rotation leads to.
    pub has_new: bool,
    /// The reason why the secrets in the file are not taken.
    pub problem: Option<String>,
    /// The cluster's id, once it is drawn.
    pub cluster: Option<ClusterId>,
}

impl SecretRotation {
    /// Begins with the keys of the start.
    pub fn new(start: SecretRotationStart) -> Arc<Self> {
        let SecretRotationStart { context, node, links, peers, secrets, file, keys, users, save, commits } =
            start;
        let state = State { keys, log: SecretLog::default(), cluster: None, problem: None };
        let state = Mutex::new(state);
        Arc::new(Self { context, node, links, peers, users, save, secrets, file, commits, state })
    }

    /// Returns the task that follows the secret file and the log.
    pub fn task(self: &Arc<Self>) -> RotationTask {
        let file = self.file.clone().map(|path| (path, WatchedFile::new(Ok(self.secrets.clone()))));
        RotationTask::new(Arc::clone(self), file)
    }

    /// Returns the present phase.
    pub fn status(&self) -> RotationStatus {
        let members = self.links.known().into_iter().map(|member| member.node).collect::<BTreeSet<_>>();
        let state = self.state();
        let own = state.keys.report();
        let phase = phase(self.node, &own, &state.log, &members);
        let has_new = !matches!(phase, Phase::Distributing { to, .. } if !own.has(to));
        RotationStatus { phase, has_new, problem: state.problem.clone(), cluster: state.cluster }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> HeldKeys {
        self.state().keys.clone()
    }

    fn report(&self) -> SecretsReported {
        self.state().keys.report()
    }
}
