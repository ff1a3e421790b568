//! Promise 12: a store is migrated forwards by numbered steps that rebuild only the views they change, and goes on where it
//! was after an interruption.

use std::path::Path;

use redb::{ReadableTable, WriteTransaction};
use starling_protocol::{
    Digest, Pos, UserId, codec,
    event::{ReadMarked, SecretId, ServiceKeyId, ServiceKeySealed},
};

use super::{
    super::{Progress, SCHEMA_VERSION, Step, ViewSet, views::Read},
    *,
};

/// The events in the log of [`filled`].
const EVENTS: u64 = 60;
const READ_MARKS: Step = Step::rebuild(ViewSet::READ_MARKS);

/// A store in a file with messages and read marks.
fn filled(path: &Path) -> (Digest, VersionVector) {
    let store = Arc::new(Store::open_file(path).unwrap());
    let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 1_000).unwrap();
    for n in 1..=EVENTS {
        let (scope, body) = match n {
            1 => (Scope::room(ROOM), EventBody::QuickRoomCreated(QuickRoomCreated { name: None })),
            n if n % 4 == 0 => {
                let seen = [(ELSEWHERE, Seq(n))].into_iter().collect();
                (user(n), ReadMarked { room: ROOM, pos: Pos::MIN, seen }.into())
            }
            n => (Scope::room(ROOM), message(1, n.into(), "text").into()),
        };
        let event = Event::new(ELSEWHERE, Seq(n), Hlc(n), EventDraft { scope, body, above_hlc: None });
        committer.commit(0, 1, &[Op::Received(vec![event])]).unwrap();
    }
    (store.digest().unwrap(), store.vector().unwrap())
}

fn user(n: u64) -> Scope {
    Scope::user(UserId([u8::try_from(n).unwrap(); 16]))
}

/// Opens a store with all steps and one more. The process is killed after some reports of progress.
fn migrated(path: &Path, step: Step, reports_max: usize) -> Result<(Store, Vec<Progress>), StoreError> {
    let (steps, mut reports) = ([STEPS, &[step]].concat(), Vec::new());
    let store = Store::open_file_with(path, CACHE_BYTES, &steps, &mut |progress| {
        assert!(reports.len() < reports_max, "killed");
        reports.push(progress);
    })?;
    Ok((store, reports))
}

/// Makes a view differ from the log: one read mark is lost, digest and all.
fn falsify(path: &Path) {
    let store = Store::open_file(path).unwrap();
    store.in_tables(|tables| tables.forget_read_mark(&user(8), ROOM)).unwrap();
}

#[test]
fn a_step_derives_only_the_views_that_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let (digest, _) = filled(&path);
    for (step, is_mended) in [(Step::rebuild(ViewSet::REACTIONS), false), (READ_MARKS, true)] {
        let copy = dir.path().join("copy");
        std::fs::copy(&path, &copy).unwrap();
        falsify(&copy);
        let (store, reports) = migrated(&copy, step, usize::MAX).unwrap();
        assert_eq!(store.digest().unwrap() == digest, is_mended);
        let records = store.records().unwrap();
        assert_eq!(records.has::<Read>(&user(8), &ROOM.0).unwrap(), is_mended);
        assert!(records.has::<Read>(&user(4), &ROOM.0).unwrap());
        assert_eq!(reports.last(), Some(&Progress { done: EVENTS, total: EVENTS }));
        store.verify().unwrap();
    }
}

/// Wherever the process is killed, the next start goes on there; the store is then as if nothing had happened.
#[test]
fn an_interrupted_migration_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let before = filled(&path);
    for views in [ViewSet::READ_MARKS, ViewSet::READ_MARKS | ViewSet::MESSAGES, ViewSet::ALL] {
        let step = Step::rebuild(views);
        for reports_max in 1.. {
            let copy = dir.path().join("copy");
            std::fs::copy(&path, &copy).unwrap();
            let killed = migrated(&copy, step, reports_max);
            let ended = killed.is_ok();
            drop(killed);
            let (store, reports) = migrated(&copy, step, usize::MAX).unwrap();
            assert_eq!((store.digest().unwrap(), store.vector().unwrap()), before);
            store.verify().unwrap();
            if ended {
                assert_eq!(reports, [], "it was done");
                assert!(reports_max > 5, "it was interrupted everywhere");
                break;
            }
            let lost = reports.iter().filter(|progress| progress.done == 0).count();
            assert!(reports_max < 4 || lost == 0, "it began again after {reports_max}: {reports:?}");
        }
    }
}

/// A version with one more step may meet what a step before it has left undone: an event is applied once all the same.
#[test]
fn a_further_step_after_an_interruption_makes_one_rebuild_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let before = filled(&path);
    assert!(migrated(&path, READ_MARKS, 4).is_err());
    let steps = [STEPS, &[READ_MARKS, Step::rebuild(ViewSet::QUICK_ROOMS)]].concat();
    let store = Store::open_file_with(&path, CACHE_BYTES, &steps, &mut |_| ()).unwrap();
    assert_eq!((store.digest().unwrap(), store.vector().unwrap()), before);
    store.verify().unwrap();
    drop(store);
    // A downgrade.
    let refused = Store::open_file(&path).unwrap_err();
    let (found, known) = (SCHEMA_VERSION + 2, SCHEMA_VERSION);
    assert!(
        matches!(refused, StoreError::Newer { found: f, known: k } if (f, k) == (found, known)),
        "{refused:?}"
    );
}

/// Versions up to 8 left another mark, without a plan; they may have cleared everything since.
#[test]
fn a_rebuild_that_an_earlier_version_began_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let before = filled(&path);
    assert!(migrated(&path, READ_MARKS, 5).is_err());
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let plan = |transaction: &WriteTransaction| {
        let table = transaction.open_table(tables::REBUILD).unwrap();
        let plan = table.get("plan").unwrap();
        plan.is_some()
    };
    assert!(plan(&transaction));
    transaction.open_table(tables::META).unwrap().insert("rebuilding", 1).unwrap();
    transaction.delete_table(tables::RECORDS).unwrap();
    transaction.delete_table(tables::DIGESTS).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let (store, _) = migrated(&path, READ_MARKS, usize::MAX).unwrap();
    assert_eq!((store.digest().unwrap(), store.vector().unwrap()), before);
}

/// Events of a kind that was unknown until now are applied once, even if the process is killed in between.
#[test]
fn events_of_kinds_that_became_known_are_applied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let (_, vector) = filled(&path);
    let sealed = |n: u8| ServiceKeySealed {
        key: ServiceKeyId([n; 16]),
        secret: SecretId([1; 16]),
        nonce: [0; 12],
        sealed: [n; 48].into(),
    };
    let append = |path: &Path, is_known: bool| {
        let store = Arc::new(Store::open_file(path).unwrap());
        let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 1_000).unwrap();
        for n in 1..=20 {
            let event = Event::new(
                ELSEWHERE,
                Seq(EVENTS + u64::from(n)),
                Hlc(99),
                EventDraft::new(Scope::cluster(), sealed(n)),
            );
            let (.., kind, payload): (OriginId, Seq, Hlc, Scope, u16, bytes::Bytes) =
                codec::decode(event.encoded(), 1_000).unwrap();
            let unknown = EventDraft {
                scope: Scope::cluster(),
                body: EventBody::Unknown { kind, payload },
                above_hlc: None,
            };
            let unknown = Event::new(ELSEWHERE, event.seq, event.hlc, unknown);
            let event = if is_known { event } else { unknown };
            committer.commit(0, 1, &[Op::Received(vec![event])]).unwrap();
        }
        store.snapshot().unwrap().scopes
    };
    assert_eq!(vector.get(ELSEWHERE), Seq(EVENTS));
    let knowing = dir.path().join("knowing");
    std::fs::copy(&path, &knowing).unwrap();
    let known = append(&knowing, true);
    assert_ne!(append(&path, false), known);
    let learn = Step::learn(&[34]);
    for reports_max in 1.. {
        let copy = dir.path().join("copy");
        std::fs::copy(&path, &copy).unwrap();
        let ended = migrated(&copy, learn, reports_max).is_ok();
        // The next start may be of a version with a further step.
        let further = dir.path().join("further");
        std::fs::copy(&copy, &further).unwrap();
        let steps = [STEPS, &[learn, Step::rebuild(ViewSet::QUICK_ROOMS)]].concat();
        for store in [
            migrated(&copy, learn, usize::MAX).unwrap().0,
            Store::open_file_with(&further, CACHE_BYTES, &steps, &mut |_| ()).unwrap(),
        ] {
            assert_eq!(store.snapshot().unwrap().scopes, known);
            store.verify().unwrap();
        }
        if ended {
            break;
        }
    }
}
