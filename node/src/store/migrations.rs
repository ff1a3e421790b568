//! Numbered steps that bring a store of an earlier version to this one, each in one transaction.
//! Runs once at open. Step n brings version n - 1 to n; a step is never changed once released.

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableError, WriteTransaction};
use starling_protocol::{Event, EventBody, Scope, digest::VIEWS_VERSION, limits::EVENT_BYTES_MAX};

use super::{StoreError, apply::Tables, scrub, tables, verify::is_rebuilding};

type Step = fn(&WriteTransaction) -> Result<(), StoreError>;

const STEPS: &[Step] = &[
    create_tables,
    add_digests,
    tell_guests_apart,
    keep_people,
    index_lookalikes,
    end_sessions_for_good,
    keep_service_keys,
    shorten_events,
    know_cluster,
];

/// The version that this build reads and writes.
pub const SCHEMA_VERSION: u64 = STEPS.len() as u64;

const _: () =
    assert!(SCHEMA_VERSION == VIEWS_VERSION as u64, "a step that changes views raises their version");

const KEY: &str = "schema_version";

/// 1: the tables of the first release.
fn create_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(tables::LOG)?;
    transaction.open_table(tables::HEADS)?;
    super::apply::create_views(transaction)
}

/// Lets the views be derived from the log again; an empty log needs no rebuild.
fn rebuild_unless_empty(transaction: &WriteTransaction) -> Result<(), StoreError> {
    if transaction.open_table(tables::LOG)?.is_empty()? {
        return Ok(());
    }
    super::verify::begin_rebuild(transaction)
}

/// 2: the views have digests; a rebuild makes them.
fn add_digests(transaction: &WriteTransaction) -> Result<(), StoreError> {
    rebuild_unless_empty(transaction)
}

/// 3: the views tell guests of one name apart.
fn tell_guests_apart(transaction: &WriteTransaction) -> Result<(), StoreError> {
    // An empty store gets no rebuild; its tables may be of any earlier version.
    super::apply::create_views(transaction)?;
    rebuild_unless_empty(transaction)
}

/// 4: users and their rooms have views.
fn keep_people(transaction: &WriteTransaction) -> Result<(), StoreError> {
    super::apply::create_views(transaction)?;
    rebuild_unless_empty(transaction)
}

/// 5: account names have an index by their looks, and emoji are counted in one form.
fn index_lookalikes(transaction: &WriteTransaction) -> Result<(), StoreError> {
    rebuild_unless_empty(transaction)
}

/// 6: accounts record up to which point their sessions have ended: disabling ends them for good, a new password ends
/// tokens.
fn end_sessions_for_good(transaction: &WriteTransaction) -> Result<(), StoreError> {
    rebuild_unless_empty(transaction)
}

/// 7: service keys have a view, and sessions name the key that they were opened under.
fn keep_service_keys(transaction: &WriteTransaction) -> Result<(), StoreError> {
    rebuild_unless_empty(transaction)
}

/// 8: stubs keep no content, and no event is longer than the limit. The rebuild of the views also rewrites every stub of
/// the log.
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
    super::apply::create_views(transaction)?;
    rebuild_unless_empty(transaction)
}

/// 9: the cluster's id and the rotation of its secret have views. Only their few events are applied, without a rebuild.
fn know_cluster(transaction: &WriteTransaction) -> Result<(), StoreError> {
    apply_cluster_events(transaction)
}

/// Applies the events about the cluster that an earlier version stored without knowing their kinds.
fn apply_cluster_events(transaction: &WriteTransaction) -> Result<(), StoreError> {
    // A rebuild that is due applies them.
    if is_rebuilding(transaction)? {
        return Ok(());
    }
    let mut stored = Vec::new();
    {
        let (scopes, log) = (transaction.open_table(tables::SCOPES)?, transaction.open_table(tables::LOG)?);
        let prefix = tables::scope_beginning(&Scope::cluster());
        for row in scopes.range(&prefix[..]..)? {
            let key = row?.0;
            if !key.value().starts_with(&prefix) {
                break;
            }
            let Some((origin, seq)) = tables::parse_scope_key(key.value()) else { continue };
            let bytes = log.get(&tables::log_key(origin, seq))?;
            stored.extend(bytes.map(|bytes| Event::decode(bytes.value().to_vec().into())).transpose()?);
        }
    }
    let mut tables = Tables::open(transaction)?;
    for event in stored.iter().filter(|event| is_about_cluster(&event.body)) {
        tables.apply(event)?;
    }
    tables.flush().map(drop)
}

fn is_about_cluster(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::ClusterIdDrawn(_) | EventBody::SecretSwitched(_) | EventBody::SecretsReported(_)
    )
}

/// Reads the version of a store; 0 if it is empty.
fn version(db: &Database) -> Result<u64, StoreError> {
    match db.begin_read()?.open_table(tables::META) {
        Ok(meta) => Ok(meta.get(KEY)?.map_or(0, |version| version.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Brings the store to [`SCHEMA_VERSION`]; refuses one of a newer version.
pub fn migrate(db: &Database) -> Result<(), StoreError> {
    let found = version(db)?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { found, known: SCHEMA_VERSION });
    }
    for (version, step) in (1_u64..).zip(STEPS).filter(|&(version, _)| version > found) {
        super::write_transaction(db, |transaction| {
            step(transaction)?;
            transaction.open_table(tables::META)?.insert(KEY, version)?;
            Ok(())
        })?;
    }
    Ok(())
}
