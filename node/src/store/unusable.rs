//! The error of a store file that cannot be used, with advice for the operator.

use std::path::Path;

use thiserror::Error;

use super::StoreError;

/// The store in a file cannot be used. The text says why, and what to do.
#[derive(Debug, Error)]
#[error("cannot use the store {file}: {error}{advice}", advice = advice(error))]
pub struct UnusableStore {
    file: String,
    error: Box<StoreError>,
}

impl UnusableStore {
    /// Names the file of a store's error.
    pub fn new(file: &Path, error: StoreError) -> Self {
        Self { file: file.display().to_string(), error: Box::new(error) }
    }
}

fn advice(error: &StoreError) -> &'static str {
    match error {
        StoreError::Io(_) => "",
        error if error.is_damage() => {
            "; put a backup in its place, or move it away: a node of a cluster is then refilled by its peers, and any \
             node begins with an empty store by --fresh"
        }
        _ => "",
    }
}
