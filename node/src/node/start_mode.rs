//! Decides with which store and identity a node starts, from what its data directory holds.

use super::StartError;
use crate::{
    config::Config,
    data_dir::{DataDir, Identity},
};

/// The store and identity with which a node starts.
#[derive(Clone, Copy, Debug)]
pub(super) enum StartMode {
    /// None yet: a new directory.
    New,
    /// The identity of the last run, and its store if one was made.
    KeepIdentity,
    /// The old identity and an empty store: the store was lost, and peers refill it. The identity may stay the same, as each
    /// start writes under a new origin.
    Refill,
    /// A new identity and an empty store, in the directory of a node that lost its store (`--fresh`).
    Fresh,
}

impl StartMode {
    pub(super) fn choose(
        dir: &DataDir,
        found: Option<&Identity>,
        config: &Config,
    ) -> Result<Self, StartError> {
        let file = || dir.store_file().display().to_string();
        match found {
            None => Ok(Self::New),
            Some(identity) if dir.has_store()? => match config.fresh {
                false => Ok(Self::KeepIdentity),
                // The store is only partly refilled.
                true if identity.is_refilling() => Ok(Self::Fresh),
                true => Err(StartError::NotLost(file())),
            },
            Some(_) if config.fresh => Ok(Self::Fresh),
            Some(identity) if !identity.had_store() => Ok(Self::KeepIdentity),
            Some(_) if config.cluster.is_some() => Ok(Self::Refill),
            Some(_) => Err(StartError::StoreLost(file())),
        }
    }
}
