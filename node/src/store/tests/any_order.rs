//! Section 4: a set of events gives the same views, index and log in any order, in any commits, with duplicates, as
//! events or as stubs, with erasures and rebuilds in between.

use std::{collections::BTreeSet, sync::Arc};

use proptest::{collection::vec, prelude::*};
use redb::ReadableTable;
use starling_protocol::{Event, NodeId, OriginId, Scope, ScopeDigest, Seq, codec};

use super::{
    super::{
        StoreError,
        plan::{Plan, plan_rebuild},
        view_set::ViewSet,
        views, write_transaction,
    },
    facts::{ORIGINS, erased, logs},
    *,
};

/// A step in a node's history.
#[derive(Clone, Debug)]
enum Step {
    /// One commit: origin, number of events, whether erased events arrive as stubs.
    Commit(Vec<(u8, usize, bool)>),
    /// Some erasure, or all that is left.
    Erase {
        all: bool,
    },
    Rebuild,
    /// A rebuild of some views.
    RebuildSome(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let commit = vec((0..ORIGINS, 1_usize..5, any::<bool>()), 1..4).prop_map(Step::Commit);
    let erase = any::<bool>().prop_map(|all| Step::Erase { all });
    vec(
        prop_oneof![16 => commit, 2 => erase, 1 => Just(Step::Rebuild), 2 => any::<u32>().prop_map(Step::RebuildSome)],
        0..24,
    )
}

fn erase(committer: &mut Committer, all: bool) {
    loop {
        let results = committer.commit(0, 1, &[Op::Erase]).unwrap().results;
        if !all || results == [OpResult::Erased { more: false }] {
            return;
        }
    }
}

/// Runs a rebuild, as a migration does.
fn planned(store: &Store, plan: &Plan) {
    write_transaction(&store.db, |transaction| Ok(plan_rebuild(transaction, plan)?)).unwrap();
    store.resume_rebuild(&mut |_| ()).unwrap();
}

/// A node after these steps and a last commit of all events that it lacks.
fn played(logs: &[Vec<Event>], gone: &BTreeSet<(OriginId, Seq)>, steps: &[Step]) -> (Arc<Store>, Committer) {
    let store = store();
    let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 0).unwrap();
    let mut heads = [0; ORIGINS as usize];
    let rest = Step::Commit((0..ORIGINS).map(|by| (by, usize::MAX, false)).collect());
    for step in steps.iter().chain([&rest]) {
        match step {
            Step::Commit(takes) => {
                let batch = takes.iter().map(|&(by, count, stubs)| {
                    let (log, head) = (&logs[usize::from(by)], &mut heads[usize::from(by)]);
                    // The last event before them arrives again.
                    let first = usize::saturating_sub(*head, 1);
                    *head = head.saturating_add(count).min(log.len());
                    let is_stub = |event: &Event| stubs && gone.contains(&(event.origin, event.seq));
                    let events = log[first..*head].iter();
                    Op::Received(
                        events
                            .map(|event| if is_stub(event) { event.erased() } else { event.clone() })
                            .collect(),
                    )
                });
                committer.commit(0, 1, &batch.collect::<Vec<_>>()).unwrap();
            }
            Step::Erase { all } => erase(&mut committer, *all),
            Step::Rebuild => store.rebuild(|_| ()).unwrap(),
            Step::RebuildSome(bits) => planned(&store, &Plan::new(ViewSet::from_bits(*bits), &[])),
        }
    }
    (store, committer)
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// The compared state: the digests of all views, and the rows of the records and the index.
#[derive(Debug, PartialEq)]
struct Shown {
    scopes: Vec<(Scope, ScopeDigest)>,
    records: Rows,
    index: Rows,
}

fn rows(table: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Rows {
    table
        .iter()
        .unwrap()
        .map(|row| row.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).unwrap())
        .collect()
}

fn shown(store: &Store) -> Shown {
    let transaction = store.db.begin_read().unwrap();
    // Each node has its own progress of erasure.
    let mut index = rows(&transaction.open_table(tables::INDEX).unwrap());
    index.retain(|(key, _)| !key.starts_with(views::TO_ERASE));
    Shown {
        scopes: store.verify().unwrap().scopes.into_iter().collect(),
        records: rows(&transaction.open_table(tables::RECORDS).unwrap()),
        index,
    }
}

/// The log at the end.
fn logged(logs: &[Vec<Event>], gone: &BTreeSet<(OriginId, Seq)>) -> Vec<bytes::Bytes> {
    let all = logs.iter().flatten();
    all.map(|event| if gone.contains(&(event.origin, event.seq)) { event.erased() } else { event.clone() })
        .map(|event| event.encoded().clone())
        .collect()
}

fn log(store: &Store) -> Result<Vec<bytes::Bytes>, StoreError> {
    let log = store.db.begin_read()?.open_table(tables::LOG)?;
    log.iter()?.map(|row| Ok(bytes::Bytes::copy_from_slice(row?.1.value()))).collect()
}

/// The content of a deleted account that its views or index still hold.
fn leaks(shown: &Shown, logs: &[Vec<Event>]) -> Vec<String> {
    let deleted = logs.iter().flatten().filter(|event| matches!(event.body, EventBody::UserDeleted(_)));
    let of = |event: &Event| {
        let user = event.scope.as_user().unwrap();
        let beginning = tables::scope_beginning(&event.scope);
        let records = shown.records.iter().filter(|(key, record)| {
            key.starts_with(&beginning) && record.windows(6).any(|part| part == b"secret")
        });
        let sessions = views::open_session_index(user, &[]);
        let index = shown.index.iter().filter(|(key, _)| {
            key.starts_with(&sessions) || b"na".contains(&key[0]) && key.ends_with(&user.0)
        });
        records
            .chain(index)
            .map(|(key, row)| format!("{key:?}: {}", String::from_utf8_lossy(row)))
            .collect::<Vec<_>>()
    };
    deleted.flat_map(of).collect()
}

proptest! {
    #[test]
    fn any_order_gives_the_same_views_and_the_same_log(logs in logs(), orders in vec(steps(), 2)) {
        let gone = erased(&logs);
        let (first, _) = played(&logs, &gone, &[]);
        let first = shown(&first);
        prop_assert_eq!(leaks(&first, &logs), [""; 0]);
        for steps in orders {
            let (store, mut committer) = played(&logs, &gone, &steps);
            prop_assert_eq!(&shown(&store), &first);
            erase(&mut committer, true);
            prop_assert_eq!(log(&store).unwrap(), logged(&logs, &gone));
            prop_assert_eq!(&shown(&store), &first);
            store.rebuild(|_| ()).unwrap();
            prop_assert_eq!(&shown(&store), &first);
        }
    }

    /// Promise 12: a migration step derives only the views it names, each of which is as if all were derived; events of
    /// kinds that were unknown until now are applied, whatever came before them.
    #[test]
    fn a_migration_of_some_views_and_kinds_gives_what_a_rebuild_gives(
        logs in logs(),
        mut unknown in vec(1_u16..43, 0..6),
        bits in any::<u32>(),
        orders in vec(steps(), 1),
    ) {
        // Stubs of kind 2 have kind 4, so no build knows only the former.
        if unknown.contains(&4) {
            unknown.push(2);
        }
        let gone = erased(&logs);
        let (first, _) = played(&logs, &gone, &[]);
        let first = shown(&first);
        let forget = |event: &Event| {
            type Envelope = (OriginId, Seq, Hlc, Scope, u16, bytes::Bytes);
            let (.., kind, payload): Envelope = codec::decode(event.encoded(), event.encoded().len()).unwrap();
            let body = EventBody::Unknown { kind, payload };
            let draft = EventDraft { scope: event.scope.clone(), body, above_hlc: None };
            if unknown.contains(&kind) { Event::new(event.origin, event.seq, event.hlc, draft) } else { event.clone() }
        };
        let forgotten: Vec<Vec<_>> = logs.iter().map(|log| log.iter().map(forget).collect()).collect();
        for steps in orders {
            // Rebuilds and erasures by this version would know the kinds.
            let steps: Vec<_> = steps.into_iter().filter(|step| matches!(step, Step::Commit(_))).collect();
            let (store, mut committer) = played(&forgotten, &BTreeSet::new(), &steps);
            planned(&store, &Plan::new(ViewSet::from_bits(bits), &unknown));
            prop_assert_eq!(&shown(&store), &first);
            erase(&mut committer, true);
            prop_assert_eq!(log(&store).unwrap(), logged(&logs, &gone));
        }
    }
}
