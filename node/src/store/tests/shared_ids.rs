//! Messages that share an id, and what posts keep in memory within a batch.

use proptest::{collection::vec, prelude::*};
use redb::ReadableTable;
use starling_protocol::{
    DisplayName, Pos, UserId, Username,
    event::{
        MemberRoomCreated, Membership, MembershipChanged, MessageDeleted, Role, UserRegistered,
        UsernameChosen, Visibility,
    },
};

use super::*;

const ANN: UserId = UserId([3; 16]);
const DEN: RoomId = RoomId([7; 10]);

fn other_node(n: u8) -> OriginId {
    OriginId { node: NodeId([20 + n; 16]), incarnation: 1 }
}

fn shown(store: &Store) -> Vec<(RoomId, u128, String, Pos)> {
    let page = |room| store.page(room, None, 100, None).unwrap().messages;
    let items =
        [ROOM, OTHER_ROOM].into_iter().flat_map(|room| page(room).into_iter().map(move |m| (room, m)));
    items.map(|(room, m)| (room, m.listed_id.as_u128(), m.posted.body().to_owned(), m.pos)).collect()
}

/// Checks that the listed id of each message finds it.
fn check_listed_ids(store: &Store) {
    for (room, id, text, pos) in shown(store) {
        let found = store.messages().unwrap().find_by_listed_id(MessageId::from_u128(id)).unwrap();
        let found = found.map(|(room, message)| (room, message.posted.body().to_owned(), message.pos));
        assert_eq!(found, Some((room, text, pos)), "{id}");
    }
}

proptest! {
    /// Section 4: of several senders with one id the earliest holds it, and the others are listed under ids derived from it,
    /// whatever came first, in one commit or in several, deleted or not.
    #[test]
    fn an_id_of_several_senders_is_held_by_the_earliest_in_any_order(
        posts in vec((1_u64..9, 1_u8..4, 0_u128..2, any::<bool>(), prop::bool::weighted(0.2)), 2..9),
        order in any::<u64>(),
        chunk in 1_usize..5,
    ) {
        // Each from a node of its own, so that any order is possible.
        let events: Vec<Event> = (0..).zip(&posts).map(|(n, &(hlc, by, id, elsewhere, deletes))| {
            let room = if elsewhere { OTHER_ROOM } else { ROOM };
            let posted = message(by, id, &format!("{by} {hlc}"));
            let body = if deletes {
                MessageDeleted { message: posted.key(), by: ANN }.into()
            } else {
                EventBody::MessagePosted(posted)
            };
            Event::new(other_node(n), Seq(1), Hlc(hlc), EventDraft::new(Scope::room(room), body))
        }).collect();
        let mut shuffled = events.clone();
        shuffled.sort_by_key(|event| order.rotate_left(u32::from(event.origin.node.0[0]) * 7) ^ (event.hlc.0 << 3));
        let played = |events: &[Event], chunk: usize| {
            let store = store();
            let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 0).unwrap();
            for events in events.chunks(chunk) {
                committer.commit(0, 1, &[Op::Received(events.to_vec())]).unwrap();
            }
            check_listed_ids(&store);
            store
        };
        let (one, two) = (played(&events, 1), played(&shuffled, chunk));
        prop_assert_eq!(shown(&one), shown(&two));
        prop_assert_eq!(one.verify().unwrap().scopes, two.verify().unwrap().scopes);
        two.rebuild(|_| ()).unwrap();
        prop_assert_eq!(shown(&one), shown(&two));
        prop_assert_eq!(one.verify().unwrap().scopes, two.verify().unwrap().scopes);
        // Of each id, exactly the earliest that is posted is listed under it.
        for id in 0..2 {
            let all = events.iter().filter(|event| {
                matches!(&event.body, EventBody::MessagePosted(posted) if posted.id.as_u128() == id)
            });
            let first = all.map(Event::pos).min();
            let holder = shown(&one).into_iter().find(|(_, listed, ..)| *listed == id).map(|item| item.3);
            prop_assert_eq!(holder, first);
        }
    }
}

#[test]
fn ids_in_any_order_are_found_in_one_batch_and_in_the_next() {
    let (store, mut committer) = with_room();
    let ids = [50, 10, 90, 70, 95, 5, 60];
    for batch in ids.chunks(4) {
        let ops: Vec<_> =
            batch.iter().flat_map(|&id| [post(ROOM, 1, id, "a"), post(ROOM, 2, id, "b")]).collect();
        let first = committer.commit(2_000, 1, &ops).unwrap().results;
        let again = committer.commit(3_000, 1, &ops).unwrap();
        assert_eq!(again.results, first, "a post sent again is the same message");
    }
    let table = store.db.begin_read().unwrap().open_table(tables::MESSAGES).unwrap();
    assert_eq!(table.iter().unwrap().count(), 2 * ids.len());
    check_listed_ids(&store);
    store.verify().unwrap();
}

#[test]
fn a_message_that_is_deleted_in_the_batch_of_its_post_is_a_stub_with_its_id() {
    let (store, mut committer) = with_room();
    let key = message(2, 5, "secret").key();
    let deleted = || {
        let body = MessageDeleted { message: key, by: ANN };
        let decide = move |_: &Tables<'_>| Ok(Decision::one(Scope::room(ROOM), body.clone()));
        Op::Decide(Decide::new(decide))
    };
    let ops = [
        post(ROOM, 1, 5, "first"),
        post(ROOM, 2, 5, "secret"),
        deleted(),
        // The deletion counts for what follows in the batch.
        Op::Received(vec![Event::new(
            ELSEWHERE,
            Seq(1),
            Hlc(9),
            EventDraft::new(Scope::room(ROOM), message(2, 5, "secret again")),
        )]),
    ];
    committer.commit(2_000, 1, &ops).unwrap();
    let shown = listed(&store);
    assert_eq!(shown[0], (5, String::new()), "the earliest has the id, though it is a stub");
    assert!(shown[1].0 != 5 && shown[1].1 == "first");
    for (origin, _) in store.vector().unwrap().iter() {
        for event in store.read_events(origin, Seq(1), Seq(99)).unwrap() {
            assert!(!event.windows(6).any(|part| part == b"secret"), "{event:?}");
        }
    }
    check_listed_ids(&store);
    store.verify().unwrap();
}

fn received(events: &[(Scope, EventBody)]) -> Op {
    let event = |(seq, (scope, body)): (u64, &(Scope, EventBody))| {
        Event::new(ELSEWHERE, Seq(seq), Hlc(seq), EventDraft::new(scope.clone(), body.clone()))
    };
    Op::Received((1..).zip(events).map(event).collect())
}

/// Ann, an earlier claim to her name by somebody else, and a room of hers.
fn facts() -> Vec<(Scope, EventBody)> {
    let registered = UserRegistered {
        username: Username::parse("ann").unwrap(),
        display_name: None::<DisplayName>,
        password: None,
        admin: false,
        waited_for: None,
    };
    let created = MemberRoomCreated::Named {
        name: starling_protocol::RoomName::parse("den").unwrap(),
        topic: starling_protocol::Topic::parse("").unwrap(),
        visibility: Visibility::Private,
    };
    vec![
        (Scope::user(ANN), registered.into()),
        (Scope::room(DEN), created.into()),
        (Scope::room(DEN), membership(Membership::Member(Role::Member)).into()),
    ]
}

fn membership(membership: Membership) -> MembershipChanged {
    MembershipChanged { user: ANN, membership, since: None, invite: None, by: ANN }
}

/// Lets members post in their room.
fn members_only(tables: &Tables<'_>, room: RoomId, sender: &Sender) -> Result<Option<Refusal>, StoreError> {
    let role = sender.user().map_or(Ok(None), |user| tables.records.role(room, user))?;
    Ok(role.is_none().then(|| Refusal::new(ErrorCode::NotFound, "they are no member")))
}

fn ann_posts(id: u128) -> Op {
    let text = MessageText::parse("hello").unwrap();
    let posted = MessagePosted::new(MessageId::from_u128(id), Sender::User(ANN), text);
    Op::Post { room: DEN, posted, above_hlc: None, check: members_only }
}

fn decided(scope: Scope, body: impl Into<EventBody>) -> Op {
    let body = body.into();
    Op::Decide(Decide::new(move |_: &Tables<'_>| Ok(Decision::one(scope.clone(), body.clone()))))
}

#[test]
fn a_ban_counts_for_the_posts_after_it_in_the_same_batch() {
    let (_, mut committer) = with_room();
    let ban = |membership_now| decided(Scope::room(DEN), membership(membership_now));
    let ops = [
        received(&facts()),
        ann_posts(1),
        ban(Membership::Banned),
        ann_posts(2),
        ban(Membership::Member(Role::Member)),
        ann_posts(3),
    ];
    let results = committer.commit(2_000, 1, &ops).unwrap().results;
    let posted: Vec<_> = [1, 3, 5].map(|at| matches!(results[at], OpResult::Done(_))).into();
    assert_eq!(posted, [true, false, true], "{results:?}");
    // A later batch uses the answers of an earlier one, until something changes them.
    for (number, (now, may_post)) in
        (10..).zip([(Membership::Banned, false), (Membership::Member(Role::Member), true)])
    {
        committer.commit(3_000, 1, &[ban(now)]).unwrap();
        let results = committer.commit(3_000, 1, &[ann_posts(number)]).unwrap().results;
        assert_eq!(matches!(results[0], OpResult::Done(_)), may_post, "{results:?}");
    }
}

#[test]
fn a_new_name_shows_on_the_posts_after_it_in_the_same_batch() {
    let (_, mut committer) = with_room();
    let renamed = UsernameChosen { username: Username::parse("anna").unwrap(), waited_for: None };
    let ops = [received(&facts()), ann_posts(1), decided(Scope::user(ANN), renamed), ann_posts(2)];
    let changes = committer.commit(2_000, 1, &ops).unwrap().changes;
    let names: Vec<_> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Posted(_, message) => Some(message.shown.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["ann", "anna"]);
}

#[test]
fn a_room_that_is_created_or_deleted_counts_for_the_posts_after_it_in_the_same_batch() {
    let (store, mut committer) = with_room();
    let ops = [
        ann_posts(1),
        received(&facts()),
        ann_posts(2),
        decided(Scope::room(DEN), starling_protocol::event::MemberRoomDeleted { by: ANN }),
        ann_posts(3),
    ];
    let results = committer.commit(2_000, 1, &ops).unwrap().results;
    let posted: Vec<_> = [0, 2, 4].map(|at| matches!(results[at], OpResult::Done(_))).into();
    assert_eq!(posted, [false, true, false], "{results:?}");
    store.verify().unwrap();
}

/// The end of an overlap group is written once a batch; what others claim in between must see it.
#[test]
fn claims_to_a_name_give_one_view_in_batches_of_any_size() {
    let posts = [(1, 10), (2, 11), (1, 12), (3, 13), (1, 14), (2, 20), (3, 21), (1, 22)];
    let digest = |batch: usize| {
        let store = store();
        let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 0).unwrap();
        let event = |(n, (by, hlc)): (u8, (u8, u64))| {
            let body = EventBody::MessagePosted(message(by, n.into(), "x"));
            Op::Received(vec![Event::new(
                other_node(n),
                Seq(1),
                Hlc(hlc),
                EventDraft::new(Scope::room(ROOM), body),
            )])
        };
        let ops: Vec<_> = (0..).zip(posts).map(event).collect();
        for ops in ops.chunks(batch) {
            committer.commit(0, 1, ops).unwrap();
        }
        (store.verify().unwrap().scopes, suffixed(&store))
    };
    let one = digest(1);
    for batch in 2..=posts.len() {
        assert_eq!(digest(batch), one, "{batch}");
    }
}
