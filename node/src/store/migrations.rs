//! Numbered steps that bring a store of an earlier version to this one, each in one transaction, and name the views that are
//! derived again after the last one. Step n brings version n - 1 to n; a step is never changed once released.

use bytes::Bytes;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError,
    WriteTransaction,
};
use starling_protocol::{Event, digest::VIEWS_VERSION, limits::EVENT_BYTES_MAX};

use super::{
    StoreError,
    apply::create_views,
    plan::{Plan, plan_rebuild},
    scrub, tables,
    view_set::ViewSet,
    write_transaction,
};

/// A step from one version to the next.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Changes of the log and of tables, in the step's transaction; it creates views that are new.
    change: fn(&WriteTransaction) -> Result<(), StoreError>,
    /// The views whose rows are different from now on.
    views: ViewSet,
    /// The kinds of events that were unknown until now: their events, which the log may hold, are applied.
    kinds: &'static [u16],
}

impl Step {
    /// Derives these views again.
    pub const fn rebuild(views: ViewSet) -> Self {
        Self { change: change_nothing, views, kinds: &[] }
    }

    /// Applies the events of kinds that were unknown until now. No view that other events change is derived again.
    pub const fn learn(kinds: &'static [u16]) -> Self {
        Self { change: change_nothing, views: ViewSet::NONE, kinds }
    }

    /// Also changes the log or tables.
    #[must_use]
    pub const fn with(self, change: fn(&WriteTransaction) -> Result<(), StoreError>) -> Self {
        Self { change, ..self }
    }
}

/// All steps. The views of all that a store needs are derived together, at the end. Until version 8 each step derived all
/// views again.
pub const STEPS: &[Step] = &[
    Step::rebuild(ViewSet::NONE).with(create_tables),
    // 2: the views have digests.
    Step::rebuild(ViewSet::ALL),
    // 3: the views tell guests of one name apart.
    Step::rebuild(ViewSet::ALL).with(create_views),
    // 4: users and their rooms have views.
    Step::rebuild(ViewSet::ALL).with(create_views),
    // 5: account names have an index by their looks, and emoji are counted in one form.
    Step::rebuild(ViewSet::ALL),
    // 6: accounts record up to which point their sessions have ended: disabling ends them for good, a new password ends
    // tokens.
    Step::rebuild(ViewSet::ALL),
    // 7: service keys have a view, and sessions name the key that they were opened under.
    Step::rebuild(ViewSet::ALL),
    // 8: stubs keep no content, and no event is longer than the limit. The rebuild of the views also rewrites every stub
    // of the log.
    Step::rebuild(ViewSet::ALL).with(shorten_events),
    // 9: messages of kind 43. An earlier version kept them as an unknown kind, if a node of a newer one sent any.
    Step::learn(&[43]),
    // 10: forgotten nodes have a view. Earlier versions kept such events of newer nodes without applying them.
    Step::learn(&[44]),
    // 11: the vector is written over folds, and read marks too.
    Step::learn(&[45, 46]).with(super::folds::create_tables),
    // 12: the cluster's id and the rotation of its secret have views.
    Step::learn(&[47, 48, 49]),
    // 13: one table finds messages by their ids, and ids count in the digests of rooms.
    Step::rebuild(ViewSet::ALL).with(drop_message_tables),
];

/// The version that this build reads and writes.
pub const SCHEMA_VERSION: u64 = STEPS.len() as u64;

const _: () =
    assert!(SCHEMA_VERSION == VIEWS_VERSION as u64, "a step that changes views raises their version");

const KEY: &str = "schema_version";

#[expect(clippy::unnecessary_wraps, reason = "a step's change may fail")]
fn change_nothing(_: &WriteTransaction) -> Result<(), StoreError> {
    Ok(())
}

fn create_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(tables::LOG)?;
    transaction.open_table(tables::HEADS)?;
    create_views(transaction)
}

/// Drops the tables of messages and of their ids that versions up to 12 had.
fn drop_message_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    for name in ["messages", "message_ids"] {
        transaction.delete_table(TableDefinition::<&[u8], &[u8]>::new(name))?;
    }
    create_views(transaction)
}

fn shorten_events(transaction: &WriteTransaction) -> Result<(), StoreError> {
    let mut log = transaction.open_table(tables::LOG)?;
    let mut too_long = Vec::new();
    for row in log.iter()? {
        let (key, event) = row?;
        if event.value().len() > EVENT_BYTES_MAX {
            too_long.push((*key.value(), Bytes::copy_from_slice(event.value())));
        }
    }
    for (key, event) in too_long {
        let shortened = Event::shortened(event)?;
        if shortened.encoded().len() > EVENT_BYTES_MAX {
            return Err(StoreError::Corrupt(format!(
                "the log holds an event of more than {EVENT_BYTES_MAX} bytes"
            )));
        }
        log.insert(&key, &shortened.encoded()[..])?;
    }
    if !log.is_empty()? {
        // Earlier versions left erased content in free pages.
        transaction.open_table(tables::META)?.insert(scrub::ERASED, 1)?;
    }
    drop(log);
    create_views(transaction)
}

/// Reads the version of a store; 0 if it is empty.
fn version(db: &Database) -> Result<u64, StoreError> {
    match db.begin_read()?.open_table(tables::META) {
        Ok(meta) => Ok(meta.get(KEY)?.map_or(0, |version| version.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Brings the store to the version of the last of `steps`, and plans the rebuild of the views that they change; refuses a
/// store of a newer version.
pub fn migrate(db: &Database, steps: &[Step]) -> Result<(), StoreError> {
    let (found, known) = (version(db)?, steps.len() as u64);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, step) in (1_u64..).zip(steps).filter(|&(version, _)| version > found) {
        write_transaction(db, |transaction| {
            (step.change)(transaction)?;
            plan_rebuild(transaction, &Plan::new(step.views, step.kinds))?;
            transaction.open_table(tables::META)?.insert(KEY, version)?;
            Ok(())
        })?;
    }
    Ok(())
}
