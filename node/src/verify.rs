//! `starling verify`: checks the store of a stopped node, and can rebuild its views from the log.

use std::{
    io::{IsTerminal, Write, stderr},
    path::Path,
};

use crate::{
    data_dir::{DataDir, DataDirError},
    node::StartError,
    store::Store,
};

/// Checks, and rebuilds first if asked to; prints what it found, the digest of all views last.
pub fn run(data_dir: &Path, rebuild: bool) -> Result<(), StartError> {
    let (dir, identity) = DataDir::inspect(data_dir)?;
    if identity.is_none() || !dir.store_file().exists() {
        return Err(DataDirError::Missing(data_dir.into()).into());
    }
    let file = dir.store_file();
    let failed = |error| StartError::store(&file, error);
    let store = Store::open_file(&file).map_err(failed)?;
    if rebuild {
        store.rebuild(progress).map_err(failed)?;
    }
    let report = store.verify().map_err(failed)?;
    println!("events {}", report.events);
    println!("origins {}", report.origins);
    println!("digest {}", report.digest);
    Ok(())
}

fn progress(done: u64) {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\rrebuilding: {done} events");
        let _ = stderr().flush();
    }
}
