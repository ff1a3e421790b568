//! Damaged files: turns panics of redb into errors, and remembers the first damage that a running node found, so that
//! the node is no longer ready.

use std::{
    any::Any,
    cell::Cell,
    io,
    ops::Deref,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    path::Path,
    sync::Once,
    thread,
};

use redb::{Database, DatabaseError, StorageError};

use super::{Store, StoreError};

thread_local! {
    /// Whether a panic of this thread is caught and returned as an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    /// The message of the last such panic, and its place in the source.
    static PANIC: Cell<Option<String>> = const { Cell::new(None) };
}

/// Runs work on a file that may be damaged and turns its panics into errors: redb panics over some damage, even at open.
pub fn without_panic<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    quiet_guarded_panics();
    let outer = GUARDED.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    done.unwrap_or_else(|payload| {
        let said = PANIC.take().unwrap_or_else(|| text_of(&*payload));
        // Errors are one line.
        Err(StoreError::Damaged(said.split_whitespace().collect::<Vec<_>>().join(" ")))
    })
}

/// Keeps the hook from printing panics that become errors.
fn quiet_guarded_panics() {
    static ONCE: Once = Once::new();
    // A thread that panics already must not change the hook.
    if thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if !GUARDED.get() {
                return print(info);
            }
            let place = info.location().map(|place| {
                let file = Path::new(place.file()).file_name().unwrap_or_default();
                format!(", {}:{}", file.display(), place.line())
            });
            PANIC.set(Some(format!("{}{}", text_of(info.payload()), place.unwrap_or_default())));
        }));
    });
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// A database that may be damaged. Closing it doesn't panic.
#[derive(Debug)]
pub(super) struct GuardedDatabase(Option<Database>);

impl GuardedDatabase {
    pub(super) fn new(database: Database) -> Self {
        Self(Some(database))
    }
}

impl Deref for GuardedDatabase {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for GuardedDatabase {
    fn drop(&mut self) {
        let database = self.0.take();
        let _ = without_panic(|| {
            drop(database);
            Ok(())
        });
    }
}

impl StoreError {
    /// Converts the error of opening a file.
    pub(super) fn from_open(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::InUse,
            DatabaseError::UpgradeRequired(format) => Self::OtherFormat(format),
            DatabaseError::Storage(StorageError::Io(error)) => Self::from_io(error),
            error => Self::Open(error.to_string()),
        }
    }

    /// Converts the error of reading or writing a file.
    pub(super) fn from_io(error: io::Error) -> Self {
        match error.kind() {
            // redb's errors for a file that is no database, or a truncated one.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                Self::Open(error.to_string())
            }
            _ => Self::Io(error),
        }
    }

    /// Whether the file or its disk is damaged.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Open(_)
            | Self::Damaged(_)
            | Self::Io(_)
            | Self::Redb(_)
            | Self::Record(_)
            | Self::Event(_)
            | Self::Corrupt(_) => true,
            Self::InUse | Self::OtherFormat(_) | Self::Newer { .. } | Self::Stopped(_) => false,
        }
    }
}

impl Store {
    /// Runs work on the store, and remembers an error that shows damage: see [`Store::damage`].
    pub fn guarded<T>(&self, work: impl FnOnce(&Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let done = without_panic(|| work(self));
        if let Err(error) = &done
            && error.is_damage()
        {
            let first = self.damage.set(error.to_string()).is_ok();
            if first {
                tracing::error!(%error, "the store is damaged: this node is not ready until it is restarted with a sound one");
            }
        }
        done
    }

    /// The first error since the store was opened that showed damage.
    pub fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }
}
