//! Member rooms on a store in memory: unread counts, lists, deletion, limits. `permission_tests` tests who may do what.

use starling_protocol::{
    ErrorCode, EventDraft, InviteId, RoomId, RoomName, Scope, Sender, Topic, UserId, VersionVector,
    event::{
        InviteMade, MemberRoomChanged, Membership, MembershipChanged, MessagePosted, ReadMarked, Role,
        Stance, StanceChanged, UserDeleted, Visibility,
    },
    limits::{ROOM_INVITES_MAX, ROOMS_PER_USER_MAX, UNREAD_COUNT_MAX},
};
use starling_web::{
    objects::Room,
    service::{NewRoom, Page, PageRequest, Refusal},
};

use super::{
    decisions::{self, Drafts, decision},
    lists,
};
use crate::{
    auth::ServiceKey,
    services::{
        render::room_object,
        test_node::{ANN, BOB, EVE, Node, OTHER_ROOM, ROOM, STRANGER, id, member, new, refusal_of, text},
    },
    store::{OpResult, RecordsWriter},
};

impl Node {
    pub(super) fn act(
        &mut self,
        decide: impl Fn(&RecordsWriter<'_>) -> Drafts + Send + Sync + 'static,
    ) -> Result<OpResult, Refusal> {
        self.decide(move |tables| decision(decide(&tables.records)))
    }

    fn room(&self, user: UserId, room: RoomId) -> Room {
        room_object(&mut self.store.room_reader().unwrap(), room, user).unwrap().unwrap()
    }

    fn unread(&self, user: UserId) -> (u64, u64) {
        let room = self.room(user, ROOM);
        (room.unread, room.mentions)
    }

    /// Marks a room as read up to a message, by a session that had been sent all that this node holds.
    fn read(&mut self, user: UserId, n: u128) {
        let seen = self.store.vector().unwrap();
        self.read_having_seen(user, n, seen);
    }

    fn read_having_seen(&mut self, user: UserId, n: u128, seen: VersionVector) {
        let pos = self.pos(n);
        self.write(EventDraft::new(Scope::user(user), ReadMarked { room: ROOM, pos, seen }));
    }

    fn mine(&self, user: UserId, request: &PageRequest) -> Page<Room> {
        lists::my_rooms(&mut self.store.room_reader().unwrap(), user, request).unwrap()
    }

    fn ids(&self, user: UserId) -> Vec<String> {
        self.mine(user, &all()).items.into_iter().map(|room| room.id).collect()
    }

    fn public(&self, user: UserId, beginning: &str, limit: usize) -> Vec<String> {
        let mut reader = self.store.room_reader().unwrap();
        let mut request = PageRequest { from: None, limit };
        let mut names = Vec::new();
        loop {
            let page = lists::public_rooms(&mut reader, user, beginning, &request).unwrap();
            names.extend(page.items.into_iter().map(|room| room.name));
            match page.next {
                Some(next) => request.from = Some(next),
                None => return names,
            }
        }
    }

    pub(super) fn open(&mut self, by: UserId, n: u8, name: &str, visibility: Visibility) -> RoomId {
        let room = RoomId([n; 10]);
        let new = NewRoom { name: RoomName::parse(name).unwrap(), topic: Topic::default(), visibility };
        self.act(move |records| decisions::create(records, room, by, &new)).unwrap();
        room
    }
}

fn all() -> PageRequest {
    PageRequest { from: None, limit: 200 }
}

fn made(n: u8, max_uses: Option<u32>, expires_ms: Option<u64>) -> InviteMade {
    InviteMade { id: InviteId([n; 10]), by: ANN, max_uses, expires_ms }
}

fn code_of<T>(result: Result<T, Refusal>) -> Option<ErrorCode> {
    result.err().map(|refusal| refusal.code)
}

#[test]
fn without_a_read_mark_all_messages_of_others_since_joining_are_unread() {
    let mut node = Node::with_rooms();
    node.say(ANN, 1, "before");
    node.act(|records| decisions::leave(records, ROOM, BOB)).unwrap();
    node.say(ANN, 2, "while they were away");
    node.write(member(BOB, ROOM, Role::Member));
    assert_eq!(node.unread(BOB), (0, 0));
    node.say(ANN, 3, "since they are back, @bob");
    node.say(BOB, 4, "their own");
    assert_eq!(node.unread(BOB), (1, 1));
    assert_eq!(node.room(BOB, ROOM).read_up_to, None);
    assert_eq!(node.room(BOB, ROOM).last_message.unwrap().id, id(4).to_string());
}

#[test]
fn deleted_messages_and_those_of_blocked_users_are_not_unread() {
    let mut node = Node::with_rooms();
    node.say(ANN, 1, "stays");
    node.say(ANN, 2, "goes");
    node.say(EVE, 3, "@bob, from Eve");
    assert_eq!(node.unread(BOB), (3, 1));
    node.delete(ANN, 2).unwrap();
    assert_eq!(node.unread(BOB), (2, 1));
    node.write(EventDraft::new(
        Scope::user(BOB),
        StanceChanged { to: EVE, round: 1, stance: Stance::Blocked },
    ));
    assert_eq!(node.unread(BOB), (1, 0));
    let last = node.room(BOB, ROOM).last_message.unwrap();
    assert_eq!((last.id, last.deleted), (id(2).to_string(), true));
    node.read(BOB, 1);
    assert_eq!(node.unread(BOB), (0, 0));
    assert_eq!(node.room(BOB, ROOM).read_up_to, Some(id(1).to_string()));
}

/// Promise 3, for read marks: a message that arrives late is unread wherever it sorts, until it is read.
#[test]
fn a_late_arrival_is_unread_although_it_sorts_before_the_mark() {
    let (mut one, mut two) = Node::with_rooms_twice();
    one.say(ANN, 1, "a");
    two.take_from(&one);
    // Cut off, and earlier by the clock.
    two.now_ms = one.now_ms;
    two.say(EVE, 2, "@bob, late");
    one.now_ms += 10_000;
    one.say(ANN, 3, "b");
    one.read(BOB, 3);
    assert_eq!(one.unread(BOB), (0, 0));
    one.take_from(&two);
    assert!(one.pos(2) < one.pos(3));
    assert_eq!(one.unread(BOB), (1, 1));
    // The same on the other node: the mark travels.
    two.take_from(&one);
    assert_eq!(two.unread(BOB), (1, 1));
    assert_eq!(two.room(BOB, ROOM).read_up_to, Some(id(3).to_string()));
    // Eve wrote it, and Ann has read nothing since she made the room.
    assert_eq!((one.unread(EVE).0, one.unread(ANN).0), (2, 1));
    two.read(BOB, 3);
    one.take_from(&two);
    assert_eq!((one.unread(BOB), two.unread(BOB)), ((0, 0), (0, 0)));
    one.verify();
}

#[test]
fn a_marked_message_is_read_even_if_the_cursor_lagged_behind_it() {
    let mut node = Node::with_rooms();
    let before = node.store.vector().unwrap();
    node.say(ANN, 1, "a");
    node.read_having_seen(BOB, 1, before);
    assert_eq!(node.unread(BOB), (0, 0));
}

#[test]
fn unread_is_counted_up_to_its_limit() {
    let mut node = Node::with_rooms();
    let posts: Vec<_> = (0..=UNREAD_COUNT_MAX as u128)
        .map(|n| EventDraft::new(Scope::room(ROOM), MessagePosted::new(id(n), Sender::User(ANN), text("x"))))
        .collect();
    node.act(move |_| Ok(posts.clone())).unwrap();
    assert_eq!(node.unread(BOB), (1_000, 0));
    node.read(BOB, 0);
    assert_eq!(node.unread(BOB), (1_000, 0));
    node.read(BOB, 1);
    assert_eq!(node.unread(BOB), (999, 0));
}

/// A request must not cost more the longer a user has read nothing: it skips a bounded number of messages, over all rooms.
#[test]
fn counting_unread_messages_has_a_bound() {
    let mut node = Node::with_rooms();
    let posts = |by: UserId, first: u128, how_many: u128| {
        let post = move |n| MessagePosted::new(id(first + n), Sender::User(by), text("x"));
        (0..how_many).map(|n| EventDraft::new(Scope::room(ROOM), post(n))).collect::<Vec<_>>()
    };
    let most = UNREAD_COUNT_MAX as u128;
    let (one, own, last) = (posts(ANN, 1, 1), posts(BOB, 10, most - 1), posts(BOB, 2 * most, 1));
    node.act(move |_| Ok(one.clone())).unwrap();
    node.act(move |_| Ok(own.clone())).unwrap();
    assert_eq!(node.unread(BOB), (1, 0), "just within the bound");
    node.act(move |_| Ok(last.clone())).unwrap();
    assert_eq!(node.unread(BOB), (0, 0));
    // When other rooms of the page have used up the bound, the rest of this room counts unexamined.
    let mut reader = node.store.room_reader().unwrap();
    let rooms: Vec<_> =
        (0..30).map(|_| room_object(&mut reader, ROOM, BOB).unwrap().unwrap().unread).collect();
    assert_eq!((rooms[0], rooms[29]), (0, 951), "all but the newest 50");
}

#[test]
fn rooms_are_listed_by_activity_and_keep_their_places_over_pages() {
    let mut node = Node::with_rooms();
    let third = node.open(ANN, 9, "third", Visibility::Private);
    let [room, other, third] = [ROOM, OTHER_ROOM, third].map(|room| room.to_string());
    assert_eq!(node.ids(ANN), [third.clone(), other.clone(), room.clone()]);
    node.say(ANN, 1, "x");
    assert_eq!(node.ids(ANN), [room.clone(), third.clone(), other.clone()]);
    let first = node.mine(ANN, &PageRequest { from: None, limit: 1 });
    assert_eq!(first.items[0].id, room);
    // The last room becomes the first, and a new one appears: the next pages neither skip nor repeat a room.
    node.post(ANN, OTHER_ROOM, &new(2, "x")).unwrap();
    node.open(ANN, 10, "fourth", Visibility::Private);
    let second = node.mine(ANN, &PageRequest { from: first.next, limit: 1 });
    assert_eq!(second.items[0].id, third);
    let last = node.mine(ANN, &PageRequest { from: second.next, limit: 1 });
    assert_eq!((last.items[0].id.clone(), last.next), (other, None));
    let foreign = PageRequest { from: Some(starling_web::service::PageToken(vec![1, 2, 3])), limit: 1 };
    let refused = refusal_of(lists::my_rooms(&mut node.store.room_reader().unwrap(), ANN, &foreign));
    assert_eq!(code_of(refused), Some(ErrorCode::BadRequest));
}

#[test]
fn public_rooms_are_found_by_the_beginning_of_their_names_but_not_by_the_banned() {
    let mut node = Node::with_rooms();
    for (n, name) in [(20, "Straße"), (21, "strasse 2"), (22, "Straw"), (23, "other")] {
        node.open(ANN, n, name, Visibility::Public);
    }
    node.open(ANN, 24, "strand", Visibility::Private);
    for limit in [1, 2, 200] {
        assert_eq!(node.public(BOB, "STRAS", limit), ["Straße", "strasse 2"]);
        assert_eq!(node.public(BOB, "", limit), ["other", "Straße", "strasse 2", "Straw"]);
    }
    let banned = RoomId([20; 10]);
    node.act(move |records| decisions::remove(records, banned, ANN, BOB, true)).unwrap();
    for limit in [1, 2, 200] {
        assert_eq!(node.public(BOB, "stra", limit), ["strasse 2", "Straw"]);
    }
    let hidden = MemberRoomChanged { visibility: Some(Visibility::Private), ..MemberRoomChanged::default() };
    node.write(EventDraft::new(Scope::room(RoomId([22; 10])), hidden));
    node.act(|records| decisions::delete(records, RoomId([21; 10]), ANN)).unwrap();
    assert_eq!(node.public(EVE, "stra", 200), ["Straße"]);
    assert_eq!(node.public(ANN, "", 200), Vec::<String>::new(), "she is in all of them");
    node.verify();
}

#[test]
fn a_room_is_inherited_and_deleted_with_its_last_member() {
    let mut node = Node::with_rooms();
    let role = |node: &Node, user| node.store.records().unwrap().role(ROOM, user).unwrap();
    node.act(|records| decisions::leave(records, ROOM, ANN)).unwrap();
    assert_eq!((role(&node, EVE), role(&node, BOB)), (Some(Role::Owner), Some(Role::Member)));
    // An heir who adds another owner keeps the ownership that was never written.
    node.act(|records| decisions::set_role(records, ROOM, EVE, BOB, Role::Owner)).unwrap();
    assert_eq!((role(&node, EVE), role(&node, BOB)), (Some(Role::Owner), Some(Role::Owner)));
    node.act(|records| decisions::leave(records, ROOM, EVE)).unwrap();
    assert_eq!(node.room(BOB, ROOM).member_count, 1);
    node.act(|records| decisions::leave(records, ROOM, BOB)).unwrap();
    let records = node.store.records().unwrap();
    assert!(records.member_room(ROOM).unwrap().is_none());
    drop(records);
    assert!(node.erase() > 0);
    node.verify();
}

/// Section 4: deletion wins, and ends memberships, whenever it comes.
#[test]
fn a_deleted_room_has_no_members_in_whatever_order_events_arrive() {
    let (mut one, mut two) = Node::with_rooms_twice();
    one.act(|records| decisions::delete(records, ROOM, ANN)).unwrap();
    two.write(member(STRANGER, ROOM, Role::Member));
    two.write(member(BOB, ROOM, Role::Moderator));
    assert_eq!(two.ids(STRANGER), [ROOM.to_string()]);
    one.take_from(&two);
    two.take_from(&one);
    for node in [&one, &two] {
        assert_eq!(node.ids(STRANGER), [""; 0]);
        assert_eq!(node.ids(BOB), [OTHER_ROOM.to_string()]);
        assert_eq!(node.store.records().unwrap().rooms_of(BOB).unwrap().len(), 1);
        node.verify();
    }
    assert_eq!(one.store.digest().unwrap(), two.store.digest().unwrap());
}

#[test]
fn invites_have_a_number_of_uses_and_an_expiry() {
    let mut node = Node::with_rooms();
    let until = node.now_ms + 1_000;
    for made in [made(1, Some(1), None), made(2, None, Some(until)), made(3, None, None)] {
        node.act(move |records| decisions::make_invite(records, ROOM, &made, 0)).unwrap();
    }
    let follow = |node: &mut Node, n: u8, user: UserId, now_ms: u64| {
        let invite = InviteId([n; 10]);
        code_of(node.act(move |records| decisions::join_with(records, invite, user, now_ms)))
    };
    // Bob is a member already: that uses nothing.
    assert_eq!(follow(&mut node, 1, BOB, 0), None);
    assert_eq!(follow(&mut node, 2, STRANGER, until), Some(ErrorCode::NotFound));
    assert_eq!(follow(&mut node, 2, STRANGER, until - 1), None);
    node.act(|records| decisions::leave(records, ROOM, STRANGER)).unwrap();
    assert_eq!(follow(&mut node, 1, STRANGER, 0), None);
    let somebody = UserId([77; 16]);
    assert_eq!(follow(&mut node, 1, somebody, 0), Some(ErrorCode::NotFound));
    node.act(|records| decisions::remove(records, ROOM, ANN, STRANGER, true)).unwrap();
    assert_eq!(follow(&mut node, 3, STRANGER, 0), Some(ErrorCode::NotFound), "they are banned");
    node.act(|records| decisions::revoke_invite(records, ROOM, EVE, Some(InviteId([3; 10])))).unwrap();
    assert_eq!(follow(&mut node, 3, somebody, 0), Some(ErrorCode::NotFound));
    let other =
        node.act(|records| decisions::revoke_invite(records, OTHER_ROOM, ANN, Some(InviteId([1; 10]))));
    assert_eq!(code_of(other), Some(ErrorCode::NotFound), "it is another room's");
    let records = node.store.records().unwrap();
    let page = lists::invites(&records, ANN, ROOM, &all(), &ServiceKey::new(&[9; 32])).unwrap();
    let uses: Vec<_> = page.items.iter().map(|invite| (invite.uses, invite.max_uses)).collect();
    assert_eq!(uses, [(1, Some(1)), (1, None)]);
    drop(records);
    node.verify();
}

/// Nothing grows without a bound; used up and expired invites make room for new ones.
#[test]
fn rooms_and_invites_have_their_limits() {
    let mut node = Node::with_rooms();
    let fits = u8::try_from(ROOM_INVITES_MAX).unwrap();
    for n in 0..fits {
        let made = made(n, None, (n == 7).then_some(5_000));
        node.act(move |records| decisions::make_invite(records, ROOM, &made, 0)).unwrap();
    }
    let more = made(fits, None, None);
    let make = move |records: &RecordsWriter<'_>| decisions::make_invite(records, ROOM, &more, 4_999);
    assert_eq!(code_of(node.act(make)), Some(ErrorCode::Forbidden));
    let more = made(fits, None, None);
    node.act(move |records| decisions::make_invite(records, ROOM, &more, 5_000)).unwrap();
    assert_eq!(node.store.records().unwrap().invites(ROOM, &[]).unwrap().count(), ROOM_INVITES_MAX);

    let public = node.open(ANN, 100, "public", Visibility::Public);
    let membership = Membership::Member(Role::Member);
    let set = |user| MembershipChanged { user, membership, since: None, invite: None, by: user };
    let many: Vec<_> = (0..u16::try_from(ROOMS_PER_USER_MAX).unwrap())
        .map(|n| {
            let mut room = [101; 10];
            room[..2].copy_from_slice(&n.to_be_bytes());
            EventDraft::new(Scope::room(RoomId(room)), set(STRANGER))
        })
        .collect();
    node.act(move |_| Ok(many.clone())).unwrap();
    let join = move |records: &RecordsWriter<'_>| decisions::join(records, public, STRANGER);
    assert_eq!(code_of(node.act(join)), Some(ErrorCode::Forbidden));
    let mut gone = [101; 10];
    gone[..2].copy_from_slice(&[0, 0]);
    let left = MembershipChanged { membership: Membership::None, ..set(STRANGER) };
    node.write(EventDraft::new(Scope::room(RoomId(gone)), left));
    node.act(join).unwrap();
}

/// Promise: an account that is added on one side of a split and deleted on the other is no member, and inherits nothing.
#[test]
fn a_deleted_account_is_no_member_and_owns_no_room() {
    let mut node = Node::with_rooms();
    node.write(EventDraft::new(Scope::user(EVE), UserDeleted {}));
    let shown = |node: &Node| {
        let records = node.store.records().unwrap();
        let page = lists::members(&records, BOB, ROOM, &all()).unwrap();
        page.items.into_iter().map(|member| member.user.id).collect::<Vec<_>>()
    };
    assert_eq!(shown(&node), [ANN, BOB].map(|user| user.to_string()));
    // Eve, a moderator, would come next.
    node.act(|records| decisions::leave(records, ROOM, ANN)).unwrap();
    let role = |node: &Node, user| node.store.records().unwrap().role(ROOM, user).unwrap();
    assert_eq!((role(&node, EVE), role(&node, BOB)), (None, Some(Role::Owner)));
    // The room goes with its last member.
    node.act(|records| decisions::leave(records, ROOM, BOB)).unwrap();
    assert!(node.store.records().unwrap().member_room(ROOM).unwrap().is_none());
    node.verify();
}
