//! `starling verify`: checks the log and the views of a stopped node or, through its control socket, of a running one.
//! It can rebuild the views of a stopped node.

use std::{
    io::{IsTerminal, Write, stderr},
    path::PathBuf,
};

use thiserror::Error;

use crate::{
    config::VerifyFlags,
    console::{OutputError, print_result},
    control::{self, Answer, AskError, Question},
    data_dir::{DataDir, DataDirError},
    store::{Store, StoreError, UnusableStore},
    texts,
    verify::{Findings, VerifyError, verify_against_rebuild},
};

/// Why the command has no result, or what is wrong with the store.
#[derive(Debug, Error)]
pub enum VerifyCommandError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The check failed.
    #[error(transparent)]
    Check(#[from] VerifyError),
    /// The running node did not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The result cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The node has no store.
    #[error("the node in {0} has no store to check: it was lost or not made yet")]
    NoStore(PathBuf),
    /// A running node's views can't be rebuilt.
    #[error("a node runs on {0}: stop it to rebuild its views")]
    Running(PathBuf),
}

/// Checks the store in a data directory and prints the findings, the digest of all views last.
pub fn run(flags: &VerifyFlags) -> Result<(), VerifyCommandError> {
    let data_dir = &flags.data_dir;
    let (dir, identity) = DataDir::inspect(data_dir)?;
    if identity.is_none() {
        return Err(DataDirError::Missing(data_dir.into()).into());
    }
    if !dir.has_store()? {
        return Err(VerifyCommandError::NoStore(data_dir.into()));
    }
    let file = dir.store_file();
    let findings = match Store::open_file(&file) {
        Err(StoreError::InUse) if flags.rebuild => return Err(VerifyCommandError::Running(data_dir.into())),
        Err(StoreError::InUse) => {
            match control::ask(data_dir, &Question::Verify { scopes: flags.rooms }, show)? {
                Answer::Verified(findings) => findings,
                _ => return Err(AskError::OtherAnswer.into()),
            }
        }
        Err(error) => return Err(VerifyError::from(UnusableStore::new(&file, error)).into()),
        Ok(store) => {
            let progress = |done| {
                show(&texts::checking(done));
                Ok(())
            };
            let check = store.guarded(|store| {
                if flags.rebuild {
                    store.rebuild(|done| show(&texts::rebuilding(done)))?;
                }
                store.verify()?;
                Ok(verify_against_rebuild(store, data_dir, progress))
            });
            let report = check.map_err(VerifyError::from)??;
            Findings::new(&report, flags.rooms)
        }
    };
    Ok(print_result(findings)?)
}

fn show(progress: &str) {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r{progress}");
        let _ = stderr().flush();
    }
}
