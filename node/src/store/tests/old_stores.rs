//! Migrations of old stores: stubs keep no content, and no event is longer than the limit.

use bytes::Bytes;
use redb::ReadableDatabase;
use starling_protocol::{
    Pos, Seq, UserId, codec,
    event::{
        ClusterId, ClusterIdDrawn, MessageDeleted, NodeForgotten, ReadMarked, SecretFingerprint,
        SecretSwitched, SecretsReported,
    },
    limits::EVENT_BYTES_MAX,
};

use super::{super::StoreError, *};

const BOB: UserId = UserId([2; 16]);

/// Puts an event into the log in the form of an earlier version, and sets the store to that version.
fn as_left_by_version_4(store: &Store, event: &Event) {
    let transaction = store.db.begin_write().unwrap();
    let key = tables::log_key(event.origin, event.seq);
    transaction.open_table(tables::LOG).unwrap().insert(&key, &event.encoded()[..]).unwrap();
    transaction.open_table(tables::HEADS).unwrap().insert(&event.origin.to_bytes(), event.seq.0).unwrap();
    transaction.open_table(tables::META).unwrap().insert("schema_version", 4).unwrap();
    transaction.commit().unwrap();
}

fn migrated(store: &Store) -> Result<(), StoreError> {
    migrations::migrate(&store.db, STEPS)?;
    store.resume_rebuild(&mut |_| ())
}

fn logged(store: &Store, origin: OriginId, seq: Seq) -> Bytes {
    store.read_events(origin, seq, seq).unwrap().remove(0)
}

/// Section 4: a node with an old stub shows the same as a node that received the message after its deletion.
#[test]
fn old_stubs_lose_what_was_left_in_them() {
    let posted =
        MessagePosted { mentions: vec![BOB], reply_to: Some(MessageId::from_u128(9)), ..message(1, 5, "a") };
    let key = posted.key();
    let deletion = EventBody::MessageDeleted(MessageDeleted { message: key, by: BOB });
    let events = || {
        [
            foreign(Seq(1), Hlc(20), EventBody::MessagePosted(posted.clone())),
            foreign(Seq(2), Hlc(30), deletion.clone()),
        ]
    };
    let (store, mut committer) = with_room();
    committer.commit(2_000, 1, &events()).unwrap();
    let (digest, stub) = (store.snapshot().unwrap().scopes, logged(&store, ELSEWHERE, Seq(1)));
    drop(committer);
    let old = EventBody::MessagePosted(MessagePosted { text: None, ..posted.clone() });
    let draft = EventDraft { scope: Scope::room(ROOM), body: old, above_hlc: None };
    as_left_by_version_4(&store, &Event::new(ELSEWHERE, Seq(1), Hlc(20), draft.clone()));
    // The head still is the deletion.
    let transaction = store.db.begin_write().unwrap();
    transaction.open_table(tables::HEADS).unwrap().insert(&ELSEWHERE.to_bytes(), 2).unwrap();
    transaction.commit().unwrap();
    migrated(&store).unwrap();
    assert_eq!(logged(&store, ELSEWHERE, Seq(1)), stub);
    assert_eq!(store.snapshot().unwrap().scopes, digest);
    store.verify().unwrap();
    // A peer of the earlier version sends its stub.
    let (late, mut committer) = with_room();
    let Op::Received(deleted) = foreign(Seq(2), Hlc(30), deletion.clone()) else { unreachable!() };
    let old = Event::new(ELSEWHERE, Seq(1), Hlc(20), draft);
    committer.commit(2_000, 1, &[Op::Received(vec![old, deleted[0].clone()])]).unwrap();
    assert_eq!(logged(&late, ELSEWHERE, Seq(1)), stub);
    late.verify().unwrap();
}

/// Promise 13: read marks grew with the number of starts; one that was too long kept the node from starting.
#[test]
fn a_store_whose_last_event_is_too_long_starts_again() {
    let (store, committer) = with_room();
    drop(committer);
    let seen = (0..6_000)
        .map(|n| (OriginId { node: NodeId([7; 16]), incarnation: u64::MAX - n }, Seq(n + 1)))
        .collect();
    let marked = ReadMarked { room: ROOM, pos: Pos::MIN, seen };
    let event = Event::new(ELSEWHERE, Seq(1), Hlc(9), EventDraft::new(Scope::user(BOB), marked));
    assert!(event.encoded().len() > EVENT_BYTES_MAX);
    as_left_by_version_4(&store, &event);
    assert!(Committer::new(Arc::clone(&store), NodeId([1; 16]), 1_000).is_err(), "it could not start");
    migrated(&store).unwrap();
    assert!(logged(&store, ELSEWHERE, Seq(1)).len() <= EVENT_BYTES_MAX);
    Committer::new(Arc::clone(&store), NodeId([1; 16]), 1_000).unwrap();
    assert!(store.records().unwrap().read_mark_pos(BOB, ROOM).unwrap().is_some());
    store.verify().unwrap();
}

/// An operation with an event over the limit is refused as a whole, since neither peers nor the next start would accept
/// it; the node goes on.
#[test]
fn no_own_event_over_the_limit_is_committed() {
    let (store, mut committer) = with_room();
    let before = store.vector().unwrap();
    let mark = |origins: u64| {
        let seen =
            (0..origins).map(|n| (OriginId { node: NodeId([7; 16]), incarnation: u64::MAX - n }, Seq(1)));
        EventDraft::new(Scope::user(BOB), ReadMarked { room: ROOM, pos: Pos::MIN, seen: seen.collect() })
    };
    let op = |drafts: Vec<EventDraft>| {
        Op::Decide(Decide::new(move |_: &Tables<'_>| Ok(Decision::Write(drafts.clone()))))
    };
    let ops = [op(vec![mark(1), mark(6_000)])];
    let commit = committer.commit(2_000, 1, &ops).unwrap();
    assert_eq!(refused(&commit.results[0]), Some(ErrorCode::TooLarge));
    assert_eq!(store.vector().unwrap(), before, "none of them was written");
    let commit =
        committer.commit(2_000, 1, &[ops[0].clone(), post(ROOM, 1, 5, "a"), op(vec![mark(4_500)])]).unwrap();
    assert!(matches!(commit.results[1..], [OpResult::Done(_), OpResult::Done(_)]), "{:?}", commit.results);
    store.verify().unwrap();
}

/// Promise 12: what a node of the previous version stored about the cluster without knowing it is applied after its upgrade.
#[test]
fn events_about_the_cluster_are_applied_after_an_upgrade() {
    let [old, new] = [1, 2].map(|n| SecretFingerprint([n; 16]));
    let bodies = [
        EventBody::from(ClusterIdDrawn { id: ClusterId([7; 16]) }),
        SecretSwitched { from: old, to: new }.into(),
        SecretsReported { newest: new, older: Some(old), uses: new }.into(),
    ];
    let with = |as_unknown: bool| {
        let (store, mut committer) = with_room();
        for (seq, body) in (1..).zip(bodies.clone()) {
            let draft = EventDraft { scope: Scope::cluster(), body, above_hlc: None };
            let mut event = Event::new(ELSEWHERE, Seq(seq), Hlc(20 + seq), draft);
            if as_unknown {
                let (kind, payload) = (46 + u16::try_from(seq).unwrap(), Bytes::new());
                event.body = EventBody::Unknown { kind, payload };
            }
            committer.commit(2_000, 1, &[Op::Received(vec![event])]).unwrap();
        }
        store
    };
    let (known, upgraded) = (with(false), with(true));
    let log = known.records().unwrap().secret_log().unwrap();
    assert_eq!((log.switched_to(), log.retired(), log.reports.len()), (Some(new), [old].into(), 1));
    assert_eq!(known.records().unwrap().cluster_id().unwrap(), Some(ClusterId([7; 16])));
    assert!(upgraded.records().unwrap().secret_log().unwrap().is_empty());
    let transaction = upgraded.db.begin_write().unwrap();
    transaction.open_table(tables::META).unwrap().insert("schema_version", 8).unwrap();
    transaction.commit().unwrap();
    migrated(&upgraded).unwrap();
    assert_eq!(upgraded.records().unwrap().secret_log().unwrap(), log);
    let digests = [&known, &upgraded].map(|store| store.snapshot().unwrap().scopes[&Scope::cluster()]);
    assert_eq!(digests[0], digests[1]);
    upgraded.verify().unwrap();
}

/// Promise 12: a node of an earlier version kept the events that forget nodes, without knowing their kind. After its upgrade
/// it shows the same as all others.
#[test]
fn nodes_that_were_forgotten_before_an_upgrade_are_forgotten_after_it() {
    let event = |seq, body| {
        let draft = EventDraft { scope: Scope::cluster(), body, above_hlc: None };
        Op::Received(vec![Event::new(ELSEWHERE, Seq(seq), Hlc(20 + seq), draft)])
    };
    // As a build that does not know kind 44 decodes it.
    let as_unknown = |n: u8| EventBody::Unknown {
        kind: 44,
        payload: codec::encode(&NodeForgotten { node: NodeId([n; 16]) }),
    };
    let (store, mut committer) = with_room();
    let bodies = [
        as_unknown(7),
        EventBody::Unknown { kind: 999, payload: b"x"[..].into() },
        as_unknown(7),
        as_unknown(8),
    ];
    for (seq, body) in (1..).zip(bodies) {
        committer.commit(2_000, 1, &[event(seq, body)]).unwrap();
    }
    drop(committer);
    assert!(store.forgotten_nodes().unwrap().is_empty());
    let transaction = store.db.begin_write().unwrap();
    transaction.open_table(tables::META).unwrap().insert("schema_version", 8).unwrap();
    transaction.commit().unwrap();
    migrated(&store).unwrap();
    assert_eq!(store.forgotten_nodes().unwrap(), [NodeId([7; 16]), NodeId([8; 16])].into());
    let migrated = store.snapshot().unwrap().scopes;
    store.rebuild(|_| ()).unwrap();
    assert_eq!(store.snapshot().unwrap().scopes, migrated);
    store.verify().unwrap();
}

/// Promise 12: a store of version 12 lists the same messages after its upgrade, and its two tables of ids are gone.
#[test]
fn the_tables_of_ids_of_version_12_become_one() {
    let (store, mut committer) = with_room();
    let posts = [post(ROOM, 1, 5, "a"), post(ROOM, 2, 5, "b"), post(OTHER_ROOM, 1, 3, "c")];
    committer.commit(2_000, 1, &posts).unwrap();
    let (digests, shown) = (store.snapshot().unwrap().scopes, listed(&store));
    let old = ["messages", "message_ids"].map(redb::TableDefinition::<&[u8; 16], &[u8]>::new);
    let transaction = store.db.begin_write().unwrap();
    for table in old {
        transaction.open_table(table).unwrap().insert(&[1; 16], &b"old"[..]).unwrap();
    }
    transaction.delete_table(tables::MESSAGES).unwrap();
    transaction.open_table(tables::META).unwrap().insert("schema_version", 12).unwrap();
    transaction.commit().unwrap();
    migrated(&store).unwrap();
    assert_eq!((store.snapshot().unwrap().scopes, listed(&store)), (digests, shown));
    store.verify().unwrap();
    let transaction = store.db.begin_read().unwrap();
    assert!(old.iter().all(|table| transaction.open_table(*table).is_err()));
    drop(transaction);
    // A post sent again is found.
    let again = committer.commit(3_000, 1, &posts).unwrap();
    assert!(again.own.is_none(), "{:?}", again.results);
}
