//! Follows the secret file and the log, and takes over what they say.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use starling_protocol::{
    Scope,
    event::{SecretFingerprint, SecretsReported},
};
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::SecretRotation;
use crate::{
    cluster::{Adopted, HeldKeys, KeyError, Phase, adopt},
    config::{ClusterSecrets, WatchedFile},
    data_dir::DataDirError,
    store::{Decision, Tables, cluster::SecretLog},
    supervisor::SupervisedTask,
    texts,
};

/// The interval of looks at the file and the log.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// For this long after a change, links are checked again: a handshake may have begun before it.
const CHECK_LINKS: Duration = Duration::from_secs(15);

/// The reason why this node can't follow at present. It tries again.
#[derive(Debug, Error)]
enum FollowError {
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Save(#[from] DataDirError),
    #[error("{0}")]
    Refused(String),
}

/// The secret file, and what it held: secrets, or the reason why it is not usable.
pub(super) type SecretFile = (PathBuf, WatchedFile<Result<ClusterSecrets, String>>);

/// The task that follows the file and the log.
pub struct RotationTask {
    rotation: Arc<SecretRotation>,
    file: Option<SecretFile>,
    given: ClusterSecrets,
    /// Whether the node has the keys of `given`.
    is_taken: bool,
    /// The reasons why what the file holds can't be read, and can't be taken.
    problems: [Option<String>; 2],
    /// The number of the last commit that was looked at.
    seen: Option<u64>,
    /// The secrets that links and users of keys go by: this node's, and the retired ones.
    applied: (SecretsReported, BTreeSet<SecretFingerprint>),
    check_links_until: Instant,
    /// The last failure, so that it is logged once.
    failure: Option<String>,
}

impl RotationTask {
    pub(super) fn new(rotation: Arc<SecretRotation>, file: Option<SecretFile>) -> Self {
        Self {
            file,
            given: rotation.secrets.clone(),
            is_taken: true,
            problems: [None, None],
            seen: None,
            applied: (rotation.report(), BTreeSet::new()),
            check_links_until: Instant::now(),
            failure: None,
            rotation,
        }
    }

    /// Reads the file, and takes its secrets if they are usable.
    async fn read_file(&mut self) {
        let Some((path, file)) = &mut self.file else { return };
        let path = path.clone();
        let read = move || ClusterSecrets::read(&path).map_err(|error| error.to_string());
        let Some(found) = self.rotation.context.environment.blocking(read).await else { return };
        match file.look(found) {
            None => {}
            Some(Ok(secrets)) => {
                (self.given, self.is_taken) = (secrets, false);
                (self.seen, self.problems[0]) = (None, None);
            }
            Some(Err(reason)) => self.problems[0] = Some(texts::secret_file_unusable(reason)),
        }
    }

    /// Shows the problem that stands, and logs it if it is new.
    fn show_problem(&self) {
        let problem = self.problems.iter().flatten().next().cloned();
        let mut state = self.rotation.state();
        if state.problem != problem {
            if let Some(problem) = &problem {
                tracing::warn!("{problem}");
            }
            state.problem = problem;
        }
    }

    /// Returns the keys for the secrets that the file holds and the one that the cluster has switched to.
    fn choose_keys(&mut self, switched_to: Option<SecretFingerprint>) -> Result<HeldKeys, FollowError> {
        let current = self.rotation.keys();
        if !self.is_taken {
            if let Adopted::Keys(keys) = adopt(&current, &self.given, switched_to)? {
                (self.is_taken, self.problems[1]) = (true, None);
                return Ok(keys);
            }
            self.problems[1] = Some(texts::SECRET_IN_USE_REMOVED.to_owned());
        }
        Ok(switched_to.and_then(|switched_to| current.using(switched_to)).unwrap_or(current))
    }

    /// Takes over what the file and the log say.
    async fn follow(&mut self) -> Result<(), FollowError> {
        let read =
            self.rotation.context.read_records(|records| Ok((records.secret_log()?, records.cluster_id()?)));
        let (log, cluster) = read.await.map_err(|refusal| FollowError::Refused(refusal.detail.into()))?;
        let keys = self.choose_keys(log.switched_to())?;
        self.apply(keys, log.retired())?;
        {
            let mut state = self.rotation.state();
            (state.log, state.cluster) = (log.clone(), cluster);
        }
        if self.rotation.status().phase == Phase::LeftBehind {
            self.problems[1] = Some(texts::LEFT_BEHIND.to_owned());
        }
        self.report(&log).await
    }

    /// Gives the keys to all that use them, if they are others than before.
    fn apply(&mut self, keys: HeldKeys, retired: BTreeSet<SecretFingerprint>) -> Result<(), FollowError> {
        let next = (keys.report(), retired);
        if next == self.applied {
            return Ok(());
        }
        let rotation = &self.rotation;
        rotation.peers.replace_keys(&keys, &next.1)?;
        rotation.users.replace(&keys);
        let switches = next.0.uses != self.applied.0.uses;
        rotation.state().keys = keys;
        if switches {
            (rotation.save)(next.0.uses)?;
            tracing::info!(
                "this node uses the new cluster secret now, and refuses nodes that only have the old one"
            );
        } else if next.0 != self.applied.0 {
            tracing::info!(
                secrets = next.0.secrets().count(),
                "the cluster secrets of this node have changed"
            );
        }
        self.applied = next;
        self.check_links_until = Instant::now() + CHECK_LINKS;
        Ok(())
    }

    /// Tells the others which secrets this node has, if they don't know. A cluster whose secret is never rotated has no
    /// such reports.
    async fn report(&self, log: &SecretLog) -> Result<(), FollowError> {
        let own = self.rotation.report();
        let node = self.rotation.node;
        let is_known = |log: &SecretLog| log.reports.get(&node) == Some(&own);
        if is_known(log) || (own.older.is_none() && log.is_empty()) {
            return Ok(());
        }
        let reported = own.clone();
        let decide = move |tables: &Tables<'_>| {
            let is_known = tables.records.secret_log()?.reports.get(&node) == Some(&reported);
            Ok(if is_known { Decision::Nothing } else { Decision::one(Scope::cluster(), reported.clone()) })
        };
        let done = self.rotation.context.commit_and_replicate_from_reserve(decide).await;
        done.map(drop).map_err(|refusal| FollowError::Refused(refusal.detail.into()))
    }
}

impl SupervisedTask for RotationTask {
    fn name(&self) -> &'static str {
        "cluster secret"
    }

    async fn run(&mut self) {
        let mut every = interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            self.read_file().await;
            let number = self.rotation.commits.borrow().number;
            if self.seen != Some(number) {
                match self.follow().await {
                    Ok(()) => (self.seen, self.failure) = (Some(number), None),
                    Err(error) => {
                        let failure = Some(error.to_string());
                        if self.failure != failure {
                            tracing::warn!(%error, "cannot take over the cluster secrets yet; trying again");
                            self.failure = failure;
                        }
                    }
                }
            }
            self.show_problem();
            if Instant::now() < self.check_links_until {
                self.rotation.links.close_untrusted(&self.rotation.peers);
            }
        }
    }
}
