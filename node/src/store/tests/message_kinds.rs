//! Messages of kinds 2, 4 and 43: which is written, that views don't tell them apart, and that an upgraded node applies
//! those of kind 43 that its earlier build kept.

use bytes::Bytes;
use starling_protocol::{
    DisplayName, FileId, HookId, UserId, codec,
    event::{MessageDeleted, MessageKey, PostDetails, PostExtensions},
    limits::{EVENT_BYTES_MAX, FILES_PER_MESSAGE_MAX},
};

use super::*;

const ANN: UserId = UserId([1; 16]);
const BOB: UserId = UserId([2; 16]);

/// Messages of users and guests, two with one id, one posted twice, one of them deleted.
fn messages() -> Vec<EventBody> {
    let by_ann = |id, text: &str| {
        let text = MessageText::parse(text).unwrap();
        MessagePosted::new(MessageId::from_u128(id), Sender::User(ANN), text)
    };
    let reply = MessagePosted { reply_to: Some(MessageId::from_u128(5)), ..message(2, 6, "b") };
    let posted = [message(1, 5, "a"), reply, by_ann(5, "c"), by_ann(7, "@bob"), message(1, 5, "a")];
    let mention = |posted: MessagePosted| match posted.body() {
        "@bob" => MessagePosted { mentions: vec![BOB], ..posted },
        _ => posted,
    };
    let deleted = MessageDeleted { message: message(2, 6, "b").key(), by: ANN };
    posted.map(mention).map(EventBody::from).into_iter().chain([deleted.into()]).collect()
}

/// A node that received these events, one in each commit.
fn received(events: &[Event]) -> Arc<Store> {
    let (store, mut committer) = with_room();
    for event in events {
        committer.commit(2_000, 1, &[Op::Received(vec![event.clone()])]).unwrap();
    }
    store
}

/// The events of another node; those that `is_new` selects by their number have kind 43.
fn written(bodies: &[EventBody], is_new: impl Fn(usize) -> bool) -> Vec<Event> {
    let event = |(number, body): (usize, &EventBody)| {
        let body = match body.clone() {
            EventBody::MessagePosted(posted) if is_new(number) => posted.with_details().into(),
            body => body,
        };
        let hlc = Hlc(20 + u64::try_from(number).unwrap());
        let seq = Seq(u64::try_from(number).unwrap() + 1);
        Event::new(ELSEWHERE, seq, hlc, EventDraft::new(Scope::room(ROOM), body))
    };
    bodies.iter().enumerate().map(event).collect()
}

/// The kind of an event and its encoded body.
fn parts(event: &[u8]) -> (u16, Bytes) {
    type Envelope = (OriginId, Seq, Hlc, Scope, u16, Bytes);
    let (.., kind, payload) = codec::decode::<Envelope>(event, EVENT_BYTES_MAX).unwrap();
    (kind, payload)
}

/// The kinds of the messages that an origin posted, by their numbers.
fn kinds(store: &Store, origin: OriginId) -> Vec<u16> {
    let head = store.vector().unwrap().get(origin);
    let kinds = store.read_events(origin, Seq(1), head).unwrap().into_iter().map(|event| parts(&event).0);
    kinds.filter(|kind| [2, 4, 43].contains(kind)).collect()
}

/// Section 4: the same content gives the same views, whichever kinds its messages have, before and after a rebuild.
#[test]
fn all_kinds_of_messages_give_the_same_views() {
    let bodies = messages();
    let old = received(&written(&bodies, |_| false));
    let digests = old.snapshot().unwrap().scopes;
    for mix in 1..1 << bodies.len() {
        let store = received(&written(&bodies, |number| mix >> number & 1 == 1));
        assert_eq!(store.snapshot().unwrap().scopes, digests, "{mix:b}");
        assert_eq!(listed(&store), listed(&old));
        store.verify().unwrap();
        if mix % 8 == 7 {
            store.rebuild(|_| ()).unwrap();
            assert_eq!(store.snapshot().unwrap().scopes, digests, "{mix:b}");
        }
    }
}

/// Promise 12: while a peer has the older build, messages are written as the kinds that it knows, as far as these can say
/// them. A node without such peers writes kind 43.
#[test]
fn messages_have_the_kinds_that_all_peers_know() {
    let (store, mut committer) = with_room();
    let with_file = || {
        let details = PostDetails { files: vec![FileId([1; 32])], ..PostDetails::default() };
        MessagePosted { details: Some(Box::new(details)), ..message(1, 8, "f") }
    };
    let op = |posted| Op::Post { room: ROOM, posted, above_hlc: None, check: in_quick_rooms };
    let addressed = || {
        let details = PostDetails { reply_author: Some(BOB), ..PostDetails::default() };
        let reply_to = Some(MessageId::from_u128(1));
        MessagePosted { details: Some(Box::new(details)), reply_to, ..message(1, 2, "reply") }
    };
    let commit = committer.commit(2_000, 1, &[post(ROOM, 1, 1, "x"), op(addressed())]).unwrap();
    let origin = commit.own.unwrap().origin;
    assert_eq!(kinds(&store, origin), [43, 43]);
    committer.set_has_old_peers(true);
    let again = MessagePosted { id: MessageId::from_u128(3), ..addressed() };
    committer.commit(2_000, 1, &[post(ROOM, 1, 4, "x"), op(again), op(with_file())]).unwrap();
    assert_eq!(kinds(&store, origin), [43, 43, 2, 4, 43]);
    committer.set_has_old_peers(false);
    committer.commit(2_000, 1, &[post(ROOM, 1, 5, "x")]).unwrap();
    assert_eq!(kinds(&store, origin), [43, 43, 2, 4, 43, 43]);
    // Sent again while the peers' build is another: the same message. Without its file it is none.
    committer.set_has_old_peers(true);
    let ops = [op(addressed()), post(ROOM, 1, 8, "f")];
    let results = committer.commit(3_000, 1, &ops).unwrap().results;
    assert!(matches!(results[0], OpResult::Done(_)));
    assert_eq!(refused(&results[1]), Some(ErrorCode::IdReused));
    assert_eq!(kinds(&store, origin).len(), 6);
    let details =
        PostDetails { files: vec![FileId([1; 32]); FILES_PER_MESSAGE_MAX + 1], ..PostDetails::default() };
    let too_many = MessagePosted { details: Some(Box::new(details)), ..message(1, 9, "f") };
    let results = committer.commit(3_000, 1, &[op(too_many)]).unwrap().results;
    assert_eq!(refused(&results[0]), Some(ErrorCode::TooLarge), "no node could decode it");
    store.verify().unwrap();
}

/// The events as a build that does not know kind 43 sees them.
fn unknown_to_an_older_build(events: Vec<Event>) -> Vec<Event> {
    let seen = |event: Event| match parts(event.encoded()) {
        (kind @ 43, payload) => {
            let body = EventBody::Unknown { kind, payload };
            let seen = EventDraft::new(event.scope.clone(), body);
            Event::new(event.origin, event.seq, event.hlc, seen)
        }
        _ => event,
    };
    events.into_iter().map(seen).collect()
}

/// Opens the store as the next build does: one with this store version left it.
fn upgrade(store: &Store, version: u64) {
    let transaction = store.db.begin_write().unwrap();
    transaction.open_table(tables::META).unwrap().insert("schema_version", version).unwrap();
    transaction.commit().unwrap();
    migrations::migrate(&store.db, migrations::STEPS).unwrap();
    store.resume_rebuild(&mut |_| {}).unwrap();
}

/// Promise 12: a node of the earlier version stores and forwards messages of kind 43, and lists them after its upgrade.
#[test]
fn an_upgraded_node_lists_the_messages_that_it_kept() {
    let events = written(&messages(), |number| number > 0);
    let expected = received(&events);
    let kept = received(&unknown_to_an_older_build(events.clone()));
    assert_eq!(listed(&kept).len(), 1, "the earlier build lists the message whose kind it knows");
    let log = |store: &Store| store.read_events(ELSEWHERE, Seq(1), Seq(5)).unwrap();
    let forwarded: Vec<_> = events[..5].iter().map(|event| event.encoded().clone()).collect();
    // The deletion came last, so this node could not erase what it does not know.
    assert_eq!(log(&kept), forwarded);
    upgrade(&kept, 8);
    assert_eq!(listed(&kept), listed(&expected));
    assert_eq!(kept.snapshot().unwrap().scopes, expected.snapshot().unwrap().scopes);
    assert_eq!(log(&kept), log(&expected), "the deleted one is a stub");
    kept.verify().unwrap();
}

/// A store without any such message keeps its views: an upgrade takes no longer than reading the log.
#[test]
fn an_upgrade_rebuilds_nothing_without_such_messages() {
    let store = received(&written(&messages(), |_| false));
    let transaction = store.db.begin_write().unwrap();
    transaction.open_table(tables::META).unwrap().insert("schema_version", 8).unwrap();
    transaction.commit().unwrap();
    let before = listed(&store);
    migrations::migrate(&store.db, migrations::STEPS).unwrap();
    assert_eq!(listed(&store), before);
    assert!(!before.is_empty());
}

/// Every sender and field is listed, and a stub hides the name that a webhook gave itself.
#[test]
fn programs_and_imported_messages_are_listed() {
    let hook = Sender::Hook { id: HookId([1; 16]), name: Some(DisplayName::parse("CI").unwrap()) };
    let id = MessageId::from_u128;
    let text = |text: &str| MessageText::parse(text).unwrap();
    let later = PostExtensions::new(vec![(9, Bytes::from_static(b"later"))]).unwrap();
    let details = PostDetails { imported_ms: Some(1_000), extensions: later, ..PostDetails::default() };
    let imported = MessagePosted {
        details: Some(Box::new(details)),
        ..MessagePosted::new(id(2), Sender::Bot(ANN), text("old"))
    };
    let posts = [MessagePosted::new(id(1), hook.clone(), text("built")), imported];
    let key = MessageKey { sender: hook.key(), id: id(1) };
    let bodies: Vec<_> = posts.into_iter().map(EventBody::from).collect();
    let store = received(&written(&bodies, |_| true));
    let page = store.page(ROOM, None, 100, None).unwrap().messages;
    let shown: Vec<_> = page.iter().map(|m| (&m.shown[..], m.posted.body(), m.sent_at().unix_ms())).collect();
    assert_eq!(shown, [("", "old", 1_000), ("CI", "built", 0)]);
    let deleted = [bodies, vec![MessageDeleted { message: key, by: ANN }.into()]].concat();
    let store = received(&written(&deleted, |_| true));
    let page = store.page(ROOM, None, 100, None).unwrap().messages;
    assert_eq!((&page[1].shown[..], page[1].posted.is_erased()), ("", true));
    store.verify().unwrap();
}
