//! Tests of the store on a disk in memory: posts sent again, events of other nodes, kinds of a newer version. The
//! simulator (`node/tests/sim`) tests whole histories.

mod any_order;
mod durability;
mod facts;
mod folds;
mod message_kinds;
mod old_stores;
mod rebuilds;
mod scrub;
mod shared_ids;

use std::sync::Arc;

use redb::ReadableTable;
use starling_protocol::{
    ErrorCode, Event, EventBody, EventDraft, GuestId, GuestName, Hlc, MessageId, MessagePosted, MessageText,
    NameShared, NodeId, OriginId, QuickRoomCreated, Refusal, RoomId, Scope, Sender, Seq, VersionVector,
};

use super::{apply::Tables, *};

const ROOM: RoomId = RoomId([1; 10]);
const OTHER_ROOM: RoomId = RoomId([2; 10]);
const ELSEWHERE: OriginId = OriginId { node: NodeId([9; 16]), incarnation: 1 };

fn store() -> Arc<Store> {
    Arc::new(Store::in_memory().unwrap())
}

fn message(by: u8, id: u128, text: &str) -> MessagePosted {
    let sender = Sender::Guest { id: GuestId([by; 16]), name: GuestName::parse("x").unwrap() };
    MessagePosted::new(MessageId::from_u128(id), sender, MessageText::parse(text).unwrap())
}

fn post(room: RoomId, by: u8, id: u128, text: &str) -> Op {
    Op::Post { room, posted: message(by, id, text), above_hlc: None, check: in_quick_rooms }
}

/// Lets everybody post in quick rooms alone.
fn in_quick_rooms(tables: &Tables<'_>, room: RoomId, _: &Sender) -> Result<Option<Refusal>, StoreError> {
    let refusal = || Refusal::new(ErrorCode::NotFound, "there is no such room");
    Ok((!tables.has_quick_room(room)?).then(refusal))
}

fn refused(result: &OpResult) -> Option<ErrorCode> {
    match result {
        OpResult::Refused(refusal) => Some(refusal.code),
        _ => None,
    }
}

/// An event of another node, with its own stamp.
fn foreign(seq: Seq, hlc: Hlc, body: EventBody) -> Op {
    let draft = EventDraft { scope: Scope::room(ROOM), body, above_hlc: None };
    Op::Received(vec![Event::new(ELSEWHERE, seq, hlc, draft)])
}

/// A store with two rooms, and its writer.
fn with_room() -> (Arc<Store>, Committer) {
    let store = store();
    let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 1_000).unwrap();
    for room in [ROOM, OTHER_ROOM] {
        committer.commit(1_000, 1, &[Op::CreateQuickRoom { room, name: None }]).unwrap();
    }
    (store, committer)
}

fn listed(store: &Store) -> Vec<(u128, String)> {
    let page = store.page(ROOM, None, 100, None).unwrap();
    let item = |m: &starling_protocol::frame::client::ListedMessage| {
        (m.listed_id.as_u128(), m.posted.body().to_owned())
    };
    page.messages.iter().rev().map(item).collect()
}

#[test]
fn a_post_sent_again_is_the_same_message_and_a_reused_id_is_refused() {
    let (store, mut committer) = with_room();
    let batch = [post(ROOM, 1, 5, "a"), post(ROOM, 1, 5, "a"), post(ROOM, 1, 5, "b")];
    let first = committer.commit(2_000, 1, &batch).unwrap();
    assert_eq!(first.results[0], first.results[1]);
    assert_eq!(refused(&first.results[2]), Some(ErrorCode::IdReused));
    let again = committer.commit(3_000, 1, &[post(ROOM, 1, 5, "a"), post(OTHER_ROOM, 1, 5, "a")]).unwrap();
    assert_eq!(again.results, [first.results[0].clone(), first.results[2].clone()]);
    // Nothing new was written, so nobody is notified.
    assert!(again.own.is_none() && again.number == first.number);
    assert_eq!(listed(&store), [(5, "a".to_owned())]);
}

#[test]
fn a_post_is_refused_if_its_check_refuses() {
    let (_, mut committer) = with_room();
    let commit = committer.commit(2_000, 1, &[post(RoomId([7; 10]), 1, 5, "a")]).unwrap();
    assert_eq!(refused(&commit.results[0]), Some(ErrorCode::NotFound));
}

#[test]
fn an_earlier_duplicate_of_another_node_moves_the_message() {
    let (store, mut committer) = with_room();
    committer.commit(2_000, 1, &[post(ROOM, 1, 5, "a"), post(ROOM, 1, 6, "b")]).unwrap();
    let earlier = EventBody::MessagePosted(message(1, 6, "b"));
    let commit = committer.commit(3_000, 1, &[foreign(Seq(1), Hlc::from_unix_ms(1_500), earlier)]).unwrap();
    assert_eq!(commit.quick_messages.len(), 1, "it is sent again, for its place has changed");
    assert_eq!(listed(&store), [(6, "b".to_owned()), (5, "a".to_owned())]);
    let later = EventBody::MessagePosted(message(1, 5, "a"));
    let commit = committer.commit(3_000, 1, &[foreign(Seq(2), Hlc::from_unix_ms(9_000), later)]).unwrap();
    assert!(commit.quick_messages.is_empty());
    assert_eq!(listed(&store).len(), 2);
}

#[test]
fn the_earlier_of_two_senders_keeps_a_shared_id() {
    let (store, mut committer) = with_room();
    committer.commit(2_000, 1, &[post(ROOM, 1, 5, "late")]).unwrap();
    let earlier = EventBody::MessagePosted(message(2, 5, "early"));
    let commit = committer.commit(3_000, 1, &[foreign(Seq(1), Hlc::from_unix_ms(1_500), earlier)]).unwrap();
    assert_eq!(commit.quick_messages.len(), 2, "the other is listed under another id now");
    let listed = listed(&store);
    assert_eq!(listed[0], (5, "early".to_owned()));
    assert!(listed[1].0 != 5 && listed[1].1 == "late");
}

#[test]
fn unknown_kinds_are_kept_and_forwarded_as_they_are() {
    let (store, mut committer) = with_room();
    let unknown = EventBody::Unknown { kind: 4_711, payload: b"of the future"[..].into() };
    let Op::Received(events) = foreign(Seq(1), Hlc(7), unknown) else { unreachable!() };
    let encoded = events[0].encoded().clone();
    let commit = committer.commit(2_000, 1, &[Op::Received(events)]).unwrap();
    assert_eq!(commit.received, [(ELSEWHERE, Seq(1))]);
    assert_eq!(store.read_events(ELSEWHERE, Seq(1), Seq(9)).unwrap(), [encoded]);
    store.rebuild(|_| ()).unwrap();
    store.verify().unwrap();
}

#[test]
fn only_the_next_event_of_an_origin_is_applied() {
    let (store, mut committer) = with_room();
    let created = || EventBody::QuickRoomCreated(QuickRoomCreated { name: None });
    let batch = [
        foreign(Seq(2), Hlc(8), created()),
        foreign(Seq(1), Hlc(7), created()),
        foreign(Seq(1), Hlc(7), created()),
    ];
    assert_eq!(committer.commit(2_000, 1, &batch).unwrap().received, [(ELSEWHERE, Seq(1))]);
    assert_eq!(store.vector().unwrap().get(ELSEWHERE), Seq(1));
}

#[test]
fn every_start_writes_under_a_fresh_origin_from_its_first_write_on() {
    let (store, committer) = with_room();
    let before = store.vector().unwrap();
    drop(committer);
    let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 3_000).unwrap();
    assert_eq!(store.vector().unwrap(), before, "a start alone writes nothing");
    let own = committer.commit(3_000, 2, &[post(ROOM, 1, 5, "a")]).unwrap().own.unwrap();
    assert_eq!((own.origin.incarnation, own.first), (2, Seq(1)));
}

#[test]
fn pages_and_replays_stop_at_the_vector_that_is_given() {
    let (store, mut committer) = with_room();
    let none = VersionVector::default();
    let first = committer.commit(2_000, 1, &[post(ROOM, 1, 5, "a")]).unwrap().vector;
    let second =
        committer.commit(3_000, 1, &[post(ROOM, 1, 6, "b"), post(OTHER_ROOM, 1, 7, "c")]).unwrap().vector;
    assert_eq!(store.page(ROOM, None, 9, Some(&first)).unwrap().messages.len(), 1);
    let texts = |from: &VersionVector, to: &VersionVector| {
        let positions = store.scope_events_after(&Scope::room(ROOM), from, to, 9).unwrap().unwrap();
        let messages = store.messages_at(&positions).unwrap();
        messages.iter().map(|message| message.posted.body().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&none, &first), ["a"]);
    assert_eq!(texts(&first, &second), ["b"]);
    assert_eq!(texts(&second, &second), [""; 0]);
    // The room's creation counts too.
    assert_eq!(store.scope_events_after(&Scope::room(ROOM), &none, &second, 2).unwrap(), None);
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    let store = store();
    let transaction = store.db.begin_write().unwrap();
    transaction.open_table(tables::META).unwrap().insert("schema_version", 99).unwrap();
    transaction.commit().unwrap();
    let refused = migrations::migrate(&store.db, STEPS);
    assert!(matches!(refused, Err(StoreError::Newer { found: 99, .. })), "{refused:?}");
}

/// Promise 4: a check finds any part of the views that differs from the log, and a rebuild mends it.
#[test]
fn every_falsified_view_is_found_and_mended() {
    type Falsify = fn(&redb::WriteTransaction) -> Result<(), StoreError>;
    macro_rules! lost {
        ($table:ident) => {
            |transaction| {
                assert!(transaction.open_table(tables::$table)?.pop_first()?.is_some(), "it has a row");
                Ok(())
            }
        };
    }
    let falsified: [Falsify; 10] = [
        lost!(NAME_CLAIMS),
        lost!(NAME_GROUPS),
        lost!(TIMELINE),
        lost!(MESSAGES),
        lost!(SCOPES),
        lost!(DIGESTS),
        lost!(QUICK_ROOMS),
        |transaction| {
            // An id that nobody used.
            let mut messages = transaction.open_table(tables::MESSAGES)?;
            let state = messages.pop_last()?.map(|(_, state)| state.value().to_vec()).unwrap_or_default();
            messages.insert(&[7; 33], &state[..])?;
            Ok(())
        },
        |transaction| {
            // The state of another message.
            let mut messages = transaction.open_table(tables::MESSAGES)?;
            let state = messages.first()?.map(|(_, state)| state.value().to_vec()).unwrap_or_default();
            let last = messages.last()?.map_or([0; 33], |(key, _)| *key.value());
            messages.insert(&last, &state[..])?;
            Ok(())
        },
        |transaction| {
            let mut timeline = transaction.open_table(tables::TIMELINE)?;
            timeline.insert(&tables::timeline_key(ROOM, starling_protocol::Pos::MIN), ())?;
            Ok(())
        },
    ];
    for (number, falsify) in falsified.into_iter().enumerate() {
        let (sound, mut committer) = with_room();
        committer.commit(2_000, 1, &[post(ROOM, 1, 1, "a"), post(OTHER_ROOM, 2, 1, "b")]).unwrap();
        let digest = sound.verify().unwrap().digest;
        assert_eq!(sound.verify_against_rebuild(&store(), |_| Ok(())).unwrap().digest, digest);
        let transaction = sound.db.begin_write().unwrap();
        falsify(&transaction).unwrap();
        transaction.commit().unwrap();
        assert!(sound.verify().is_err(), "falsification {number}");
        sound.rebuild(|_| ()).unwrap();
        assert_eq!(sound.verify().unwrap().digest, digest);
    }
}

/// The result of a wrong merge rule agrees with itself: only deriving it again shows the mistake.
#[test]
fn views_and_digests_that_agree_but_are_wrong_are_found_by_a_rebuild() {
    let (wrong, mut committer) = with_room();
    committer.commit(2_000, 1, &[post(ROOM, 1, 1, "a")]).unwrap();
    let transaction = wrong.db.begin_write().unwrap();
    let mut tables = Tables::open(&transaction, &wrong.folds).unwrap();
    let created = EventBody::QuickRoomCreated(QuickRoomCreated { name: None });
    let draft = EventDraft { scope: Scope::room(RoomId([3; 10])), body: created, above_hlc: None };
    // Applied, but never logged.
    tables.apply(&Event::new(ELSEWHERE, Seq(1), Hlc(1), draft)).unwrap();
    tables.flush().unwrap();
    drop(tables);
    transaction.commit().unwrap();
    assert!(matches!(wrong.verify_against_rebuild(&store(), |_| Ok(())), Err(StoreError::Corrupt(_))));
}

/// The record of a node that its guest shares a name with a guest of another node.
fn side(node: u8, bodies: impl IntoIterator<Item = (u64, EventBody)>) -> Vec<Event> {
    let origin = OriginId { node: NodeId([node; 16]), incarnation: 1 };
    let event = |(seq, (hlc, body))| {
        let draft = EventDraft { scope: Scope::room(ROOM), body, above_hlc: None };
        Event::new(origin, Seq(seq), Hlc(hlc), draft)
    };
    (1..).zip(bodies).map(event).collect()
}

fn says(by: u8, id: u128) -> EventBody {
    EventBody::MessagePosted(message(by, id, "x"))
}

fn shares(guest: u8, since: u64) -> EventBody {
    let name = GuestName::parse("X").unwrap();
    EventBody::NameShared(NameShared { guest: GuestId([guest; 16]), name, since: Hlc(since) })
}

/// Ids of the messages in a room whose senders are shown under another name than they typed.
fn suffixed(store: &Store) -> Vec<u128> {
    let messages = store.page(ROOM, None, 100, None).unwrap().messages;
    let suffixed = messages.iter().rev().filter(|message| message.shown.starts_with("x~"));
    suffixed.map(|message| message.listed_id.as_u128()).collect()
}

/// Section 4, guest names: every order in which the sides of a split can reach a node, in commits of one event and of
/// all, and a rebuild, give the same names and the same views.
#[test]
fn any_order_gives_the_same_names_and_the_same_digest() {
    // Guest 1 had the name first and posts last; 2 came on the other side and posted meanwhile; 3 took the name
    // when both were gone. 4 and 5 only met.
    let sides = [
        side(1, [(10, says(1, 11)), (50, says(1, 12)), (60, says(3, 31)), (90, says(4, 41))]),
        side(2, [(30, says(2, 21)), (40, says(2, 22)), (85, shares(5, 70)), (95, says(5, 51))]),
        side(3, [(86, shares(4, 75))]),
    ];
    let orders = (0..3_usize.pow(9)).map(|n| (0..9).map(|at| n / 3_usize.pow(at) % 3).collect::<Vec<_>>());
    let count = |order: &Vec<usize>, side| order.iter().filter(|&&at| at == side).count();
    let orders = orders.filter(|order| (0..3).all(|side| count(order, side) == sides[side].len()));
    let mut first = None;
    for (number, order) in orders.enumerate() {
        let mut sides = sides.each_ref().map(|side| side.iter().cloned());
        let events: Vec<_> = order.iter().map(|&side| sides[side].next().unwrap()).collect();
        let store = store();
        let mut committer = Committer::new(Arc::clone(&store), NodeId([8; 16]), 0).unwrap();
        for events in events.chunks(1 + number % 3 * 4) {
            let commit = committer.commit(0, 1, &[Op::Received(events.to_vec())]).unwrap();
            for (room, message) in &commit.quick_messages {
                let listed = store.page(*room, None, 100, None).unwrap().messages;
                assert!(listed.contains(message), "{order:?}: what is sent live is what is listed");
            }
        }
        assert_eq!(suffixed(&store), [21, 22, 41], "{order:?}");
        let digest = store.verify().unwrap().digest;
        store.rebuild(|_| ()).unwrap();
        assert_eq!(store.digest().unwrap(), digest, "{order:?}");
        let timeline: Vec<_> = store.page(ROOM, None, 100, None).unwrap().messages;
        let first = first.get_or_insert_with(|| (timeline.clone(), digest));
        assert_eq!(*first, (timeline, digest), "{order:?}");
    }
}

#[test]
fn a_commit_lists_the_guests_that_it_renames() {
    let (store, mut committer) = with_room();
    let commit = committer.commit(2_000, 1, &[post(ROOM, 1, 5, "a")]).unwrap();
    assert!(commit.renamed.is_empty());
    // They came before, on the other side of a split, and wrote again after.
    let [before, after] = [1_500, 2_500].map(Hlc::from_unix_ms);
    let commit = committer.commit(3_000, 1, &[foreign(Seq(1), before, says(2, 6))]).unwrap();
    assert!(commit.renamed.is_empty(), "they might have left before the other joined");
    let commit = committer.commit(3_000, 1, &[foreign(Seq(2), after, says(2, 7))]).unwrap();
    assert_eq!(commit.renamed, [(ROOM, GuestId([1; 16]))].into());
    assert_eq!(suffixed(&store), [5]);
    let claim = store.name_claim(ROOM, &GuestName::parse("X").unwrap(), GuestId([1; 16])).unwrap().unwrap();
    assert_eq!(claim.group.holder, GuestId([2; 16]), "names compare case-folded");
}

#[test]
fn a_store_of_an_earlier_version_learns_names_from_its_log() {
    let as_of_version_2 = |store: &Store| {
        let transaction = store.db.begin_write().unwrap();
        transaction.delete_table(tables::NAME_CLAIMS).unwrap();
        transaction.delete_table(tables::NAME_GROUPS).unwrap();
        transaction.open_table(tables::META).unwrap().insert("schema_version", 2).unwrap();
        transaction.commit().unwrap();
        migrations::migrate(&store.db, STEPS).unwrap();
        store.resume_rebuild(&mut |_| ()).unwrap();
    };
    let never_written = store();
    as_of_version_2(&never_written);
    assert_eq!(suffixed(&never_written), []);
    let (store, mut committer) = with_room();
    committer
        .commit(2_000, 1, &[post(ROOM, 1, 5, "a"), post(ROOM, 2, 6, "b"), post(ROOM, 1, 7, "c")])
        .unwrap();
    let digest = store.digest().unwrap();
    as_of_version_2(&store);
    assert_eq!((store.digest().unwrap(), suffixed(&store)), (digest, vec![6]));
}

/// Promise 10: a power failure during the creation of a store doesn't stop the next start.
#[test]
fn an_unfinished_store_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("starling.redb");
    let unfinished = path.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&unfinished, [0; 4_096]).unwrap();
    assert!(Store::open_file(&unfinished).is_err(), "it is what a power cut leaves");
    drop(Store::open_file(&path).unwrap());
    assert!(!unfinished.exists());
    assert_eq!(Store::open_file(&path).unwrap().vector().unwrap(), VersionVector::default());
}

/// Promise 12: a node that lacks an event of an unknown kind lags, but doesn't differ from a node that has it.
#[test]
fn a_node_without_an_unknown_event_does_not_differ_from_one_with_it() {
    let created = || EventBody::QuickRoomCreated(QuickRoomCreated { name: None });
    let unknown = EventBody::Unknown { kind: 999, payload: bytes::Bytes::from_static(b"of the future") };
    let digest = |ops: &[Op]| {
        let store = store();
        Committer::new(Arc::clone(&store), NodeId([1; 16]), 1_000).unwrap().commit(1_000, 1, ops).unwrap();
        store.verify().unwrap();
        store.scope_digest(&Scope::room(ROOM)).unwrap()
    };
    let without = digest(&[foreign(Seq(1), Hlc(5), created())]);
    let with = digest(&[foreign(Seq(1), Hlc(5), created()), foreign(Seq(2), Hlc(6), unknown)]);
    assert!(!with.contradicts(without), "{with:?} and {without:?}");
}
