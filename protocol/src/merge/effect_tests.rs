//! Tests of what each event changes. `tests` permutes the events: a rule that did nothing would pass there.

use super::{
    contact::{self, Relation, Side, Sides},
    invite,
    member::{self, Member},
    message, read_mark, register, room,
    user::{self, ResetLink, UserState},
};
use crate::{
    DisplayName, EventBody, Hlc, InviteId, MessageId, NodeId, OriginId, Pos, RoomId, RoomName, Seq, Settings,
    Topic, UserId, Username, VersionVector, event::*,
};

const USER: UserId = UserId([1; 16]);

fn at(hlc: u64) -> Pos {
    Pos { hlc: Hlc(hlc), origin: OriginId { node: NodeId([1; 16]), incarnation: 1 }, seq: Seq(hlc) }
}

fn room_after(events: &[(u64, EventBody)]) -> room::MemberRoomState {
    events.iter().fold(None, |state, (hlc, body)| Some(room::apply(state, at(*hlc), body))).unwrap()
}

fn account_after(events: &[(u64, EventBody)]) -> UserState {
    events.iter().fold(None, |state, (hlc, body)| Some(user::apply(state, at(*hlc), body))).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside `None` in tables")]
fn side(round: u64, stance: Stance, hlc: u64) -> Option<Side> {
    Some(Side { round, pos: at(hlc), stance })
}

/// Promise: two users are contacts if both say yes in one round; a block hides itself and lasts.
#[test]
fn the_stances_of_two_users_give_their_relation_and_when_it_was_decided() {
    use Stance::{Blocked, None as No, Yes};
    for (mine, theirs, relation, decided) in [
        (None, None, Relation::None, None),
        (side(1, Yes, 5), None, Relation::Outgoing, Some(5)),
        (None, side(1, Yes, 6), Relation::Incoming, Some(6)),
        (side(1, Yes, 5), side(1, Yes, 6), Relation::Accepted, Some(6)),
        (side(2, Yes, 5), side(1, Yes, 6), Relation::Outgoing, Some(5)),
        (side(1, Yes, 6), side(2, Yes, 5), Relation::Incoming, Some(5)),
        (side(2, No, 5), side(1, Yes, 6), Relation::None, Some(6)),
        (side(1, Blocked, 5), side(1, Yes, 6), Relation::Blocked, Some(5)),
        (side(1, Yes, 5), side(1, Blocked, 6), Relation::Outgoing, Some(5)),
    ] {
        let sides = Sides { mine, theirs };
        assert_eq!((sides.relation(), sides.decided_at()), (relation, decided.map(at)), "{sides:?}");
        let is_blocked = |side: Option<Side>| side.is_some_and(|side| side.stance == Blocked);
        assert_eq!((sides.blocks(), sides.is_blocked()), (is_blocked(mine), is_blocked(theirs)));
    }
}

/// A yes joins the newest round, so that two requests at once make contacts; everything else begins a round.
#[test]
fn a_yes_joins_the_newest_round_and_other_stances_begin_one() {
    let sides = Sides { mine: side(2, Stance::None, 9), theirs: side(5, Stance::Yes, 8) };
    assert_eq!((sides.round(), Sides::default().round()), (5, 0));
    assert_eq!((sides.last_pos(), Sides::default().last_pos()), (Some(at(9)), None));
    for (stance, round) in [(Stance::Yes, 5), (Stance::None, 6), (Stance::Blocked, 6)] {
        assert_eq!(sides.saying(USER, stance), StanceChanged { to: USER, round, stance });
    }
}

#[test]
fn the_greatest_round_has_the_stance_and_in_it_the_last_event() {
    let set = |round, stance| StanceChanged { to: USER, round, stance };
    let first = contact::apply(None, at(5), &set(2, Stance::Yes));
    assert_eq!(Some(first), side(2, Stance::Yes, 5));
    assert_eq!(contact::apply(Some(first), at(9), &set(1, Stance::Blocked)), first, "an older round");
    assert_eq!(contact::apply(Some(first), at(4), &set(2, Stance::None)), first, "earlier in the round");
    assert_eq!(Some(contact::apply(Some(first), at(6), &set(2, Stance::None))), side(2, Stance::None, 6));
    assert_eq!(Some(contact::apply(Some(first), at(4), &set(3, Stance::None))), side(3, Stance::None, 4));
}

fn named(name: &str, topic: &str, visibility: Visibility) -> EventBody {
    let (name, topic) = (RoomName::parse(name).unwrap(), Topic::parse(topic).unwrap());
    MemberRoomCreated::Named { name, topic, visibility }.into()
}

/// A room has the attributes of its last changes, each on its own.
#[test]
fn a_room_has_what_it_was_opened_with_and_what_was_changed_since() {
    let opened = (1, named("den", "tea", Visibility::Public));
    let room = room_after(std::slice::from_ref(&opened));
    assert_eq!(room.name().map(ToString::to_string).as_deref(), Some("den"));
    assert_eq!((room.topic(), room.visibility()), (Topic::parse("tea").unwrap(), Visibility::Public));
    assert!(room.exists() && room.created.as_ref().unwrap().0 == at(1));
    let changed = |name: Option<&str>, topic: Option<&str>, visibility| -> EventBody {
        let name = name.map(|name| RoomName::parse(name).unwrap());
        let topic = topic.map(|topic| Topic::parse(topic).unwrap());
        MemberRoomChanged { name, topic, visibility }.into()
    };
    let room = room_after(&[
        (4, changed(Some("hall"), None, None)),
        (3, changed(None, Some("coffee"), None)),
        (2, changed(None, None, Some(Visibility::Private))),
        opened,
    ]);
    assert_eq!(room.name().map(ToString::to_string).as_deref(), Some("hall"));
    assert_eq!((room.topic(), room.visibility()), (Topic::parse("coffee").unwrap(), Visibility::Private));
    assert_eq!(room.changed_at(), Hlc(4));
}

#[test]
fn a_room_is_there_from_its_first_opening_until_it_is_deleted() {
    let changed = MemberRoomChanged { name: None, topic: None, visibility: Some(Visibility::Public) };
    let room = room_after(&[(5, changed.into())]);
    assert!(!room.exists(), "it was not opened");
    assert_eq!((room.name(), room.topic(), room.visibility()), (None, Topic::default(), Visibility::Public));
    assert_eq!(room::MemberRoomState::default().visibility(), Visibility::Private);
    let direct = |other| MemberRoomCreated::Direct { one: USER, other: UserId([other; 16]) }.into();
    let room = room_after(&[(5, direct(2)), (4, direct(3)), (6, direct(4))]);
    assert_eq!(room.created, Some((at(4), MemberRoomCreated::Direct { one: USER, other: UserId([3; 16]) })));
    assert_eq!(room.changed_at(), Hlc(4));
    let deleted = MemberRoomDeleted { by: USER }.into();
    let room = room_after(&[(1, named("den", "tea", Visibility::Public)), (2, deleted)]);
    assert!(!room.exists() && room.created.is_some());
    assert_eq!((room.name(), room.topic()), (None, Topic::default()), "its texts are erased");
}

#[test]
fn the_earliest_creation_of_a_quick_room_names_it() {
    let created = |name| QuickRoomCreated { name: Some(RoomName::parse(name).unwrap()) };
    let first = room::apply_creation(None, at(5), &created("den"));
    let later = room::apply_creation(Some(first.clone()), at(6), &created("hall"));
    let earlier = room::apply_creation(Some(first.clone()), at(4), &created("hall"));
    assert_eq!((later, earlier.name), (first, created("hall").name));
}

/// Owners come before moderators and these before members; among equals who has been there longest.
#[test]
fn succession_goes_by_role_then_by_time_then_by_id() {
    let member = |role, since| {
        let set = MembershipChanged {
            user: USER,
            membership: Membership::Member(role),
            since: Some(Hlc(since)),
            invite: Some(InviteId([1; 10])),
            by: USER,
        };
        member::apply(None, at(9), &set).value
    };
    let key = |role, since, user| member::succession_key(&member(role, since), UserId([user; 16])).unwrap();
    let order = [
        key(Role::Owner, 9, 9),
        key(Role::Moderator, 3, 9),
        key(Role::Moderator, 4, 1),
        key(Role::Member, 1, 1),
        key(Role::Member, 1, 2),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(member(Role::Moderator, 3).role(), Some(Role::Moderator));
    let banned = Member { membership: Membership::Banned, ..member(Role::Owner, 1) };
    assert_eq!((banned.role(), member::succession_key(&banned, USER)), (None, None));
}

/// A membership lasts from its event, unless that says since when.
#[test]
fn a_membership_is_as_old_as_its_event_says() {
    let set = |since| MembershipChanged {
        user: USER,
        membership: Membership::Member(Role::Member),
        since,
        invite: None,
        by: USER,
    };
    let joined = member::apply(None, at(7), &set(None));
    assert_eq!((joined.pos, joined.value.since), (at(7), Hlc(7)));
    assert_eq!(member::apply(Some(joined), at(8), &set(Some(Hlc(2)))).value.since, Hlc(2));
}

#[test]
fn a_register_has_its_last_write() {
    let mut register = None;
    for (hlc, value, expected) in [(5, 'a', 'a'), (4, 'b', 'a'), (6, 'c', 'c')] {
        register::write(&mut register, at(hlc), value);
        assert_eq!(register::value(register.as_ref()), Some(expected));
    }
    assert_eq!(register::value::<char>(None), None);
}

#[test]
fn the_earliest_post_of_an_id_wins_with_its_room() {
    let room = |n| RoomId([n; 10]);
    let first = message::apply_post(None, room(1), at(5));
    assert_eq!((first.room, first.pos()), (room(1), at(5)));
    assert_eq!(message::apply_post(Some(first), room(2), at(6)), first);
    let earlier = message::apply_post(Some(first), room(2), at(4));
    assert_eq!((earlier.room, earlier.pos()), (room(2), at(4)));
    let [sender, other] = [1, 2].map(|n| Sender::User(UserId([n; 16])).key());
    let id = MessageId::from_u128(7);
    let later = message::apply_post(None, room(2), at(6));
    let holder = message::id_holder(&[(other, later), (sender, first)]).unwrap();
    assert_eq!(message::listed_id(holder, sender, id), id);
    assert_ne!(message::listed_id(holder, other, id), id);
    assert_eq!(message::id_holder(&[]), None);
}

/// Promise: a message that sorts before the mark is unread if it came after it.
#[test]
fn a_message_is_read_if_it_sorts_before_the_mark_and_had_been_sent() {
    let mark = |hlc, seen| {
        let seen = VersionVector::from_iter([(at(1).origin, seen)]);
        ReadMarked { room: RoomId([1; 10]), pos: at(hlc), seen }
    };
    let read = read_mark::apply(Some(read_mark::apply(None, &mark(5, Seq(3)))), &mark(4, Seq(6)));
    assert_eq!((read.pos, read.seen.get(at(1).origin)), (at(5), Seq(6)));
    let message = |hlc, seq| Pos { seq, ..at(hlc) };
    let is_read = [message(4, Seq(6)), message(4, Seq(7)), message(6, Seq(6))].map(|pos| read.covers(pos));
    assert_eq!(is_read, [true, false, false]);
    assert!(read.covers(at(5)));
}

#[test]
fn an_invite_is_open_until_it_is_revoked() {
    let made = InviteMade { id: InviteId([1; 10]), by: USER, max_uses: Some(2), expires_ms: None };
    let open = invite::apply(None, Some(&made));
    assert_eq!((open.made.as_ref(), open.revoked), (Some(&made), false));
    let revoked = invite::apply(Some(open), None);
    assert_eq!((revoked.made, revoked.revoked), (Some(made), true));
}

fn registered(display_name: Option<&str>, password: &str, admin: bool) -> EventBody {
    let display_name = display_name.map(|name| DisplayName::parse(name).unwrap());
    let username = Username::parse("ann").unwrap();
    UserRegistered { username, display_name, password: Some(password.into()), admin, waited_for: None }.into()
}

fn password(password: &str, keep_tokens: bool) -> EventBody {
    PasswordChanged { password: Some(password.into()), kept_session: None, keep_tokens }.into()
}

fn rehashed(change: u64, password: &str) -> EventBody {
    PasswordRehashed { change: at(change), password: Some(password.into()) }.into()
}

fn hash(account: &UserState) -> Option<(Pos, &str)> {
    account.password().map(|password| (password.change, password.hash))
}

#[test]
fn an_account_has_what_it_registered_with_and_what_was_changed_since() {
    let first = (2, registered(Some("Ann"), "one", true));
    let account = account_after(std::slice::from_ref(&first));
    assert_eq!(account.registered, Some(at(2)));
    assert_eq!(account.display_name().map(ToString::to_string).as_deref(), Some("Ann"));
    assert_eq!((hash(&account), account.is_admin()), (Some((at(2), "one")), true));
    assert_eq!((account.is_disabled(), account.changed_at()), (false, Hlc(2)));
    let settings = Settings { language: "fr".into(), ..Settings::default() };
    let account = account_after(&[
        first,
        (3, ProfileChanged { display_name: None }.into()),
        (4, UserFlagged { admin: Some(false), disabled: None }.into()),
        (5, UserFlagged { admin: None, disabled: Some(true) }.into()),
        (6, SettingsChanged { settings: settings.clone() }.into()),
    ]);
    assert_eq!((account.display_name(), account.is_admin(), account.is_disabled()), (None, false, true));
    assert_eq!((account.settings(), account.changed_at()), (settings, Hlc(6)));
    assert_eq!(account.session_ends().all, Some(at(5)));
    assert_eq!(UserState::default().settings(), Settings::default());
}

/// Promise: a rehash keeps the password; it never brings back one that was changed.
#[test]
fn a_rehash_replaces_the_hash_of_the_password_that_it_names() {
    let first = (1, registered(None, "one", false));
    let account = account_after(&[first.clone(), (3, rehashed(1, "one again"))]);
    assert_eq!(hash(&account), Some((at(1), "one again")));
    let account = account_after(&[first.clone(), (3, rehashed(1, "new")), (2, rehashed(1, "old"))]);
    assert_eq!(hash(&account), Some((at(1), "new")), "the last one counts");
    let account = account_after(&[first, (2, password("two", true)), (3, rehashed(1, "one again"))]);
    assert_eq!(hash(&account), Some((at(2), "two")));
}

/// Promise: a password change ends tokens unless it keeps them, and `log out everywhere` ends logins.
#[test]
fn an_account_says_which_sessions_have_ended() {
    let first = (1, registered(None, "one", false));
    let ended = |all_logins| EventBody::from(SessionsEnded { sessions: Vec::new(), all_logins });
    let account = account_after(&[first.clone(), (2, password("two", true)), (3, ended(false))]);
    assert_eq!(account.session_ends(), user::SessionEnds::default());
    let account = account_after(&[first, (4, password("two", false)), (3, ended(true)), (2, ended(true))]);
    let ends = user::SessionEnds { logins: Some(at(3)), tokens: Some(at(4)), all: None };
    assert_eq!(account.session_ends(), ends);
}

/// Promise: a reset link works until the password is changed.
#[test]
fn a_reset_link_lasts_until_the_password_is_changed() {
    let made = (3, ResetLinkMade { code_hash: [7; 32], expires_ms: 9 }.into());
    let before = account_after(&[(1, registered(None, "one", false)), made.clone()]);
    assert_eq!(before.reset_link(), Some(&ResetLink { code_hash: [7; 32], expires_ms: 9 }));
    assert_eq!(account_after(std::slice::from_ref(&made)).reset_link().map(|link| link.expires_ms), Some(9));
    assert_eq!(account_after(&[made, (4, password("two", false))]).reset_link(), None);
}

/// Promise: deleting an account erases everything that its owner wrote, also what arrives later.
#[test]
fn a_deleted_account_keeps_nothing_that_its_owner_wrote() {
    let settings = Settings { language: "fr".into(), ..Settings::default() };
    let account = account_after(&[
        (1, registered(Some("Ann"), "one", false)),
        (2, rehashed(1, "one again")),
        (3, ResetLinkMade { code_hash: [7; 32], expires_ms: 9 }.into()),
        (4, SettingsChanged { settings }.into()),
        (5, UserDeleted {}.into()),
        (6, ProfileChanged { display_name: Some(DisplayName::parse("Eve").unwrap()) }.into()),
    ]);
    assert!(account.deleted);
    assert_eq!((account.display_name(), hash(&account), account.reset_link()), (None, None, None));
    assert_eq!(account.settings(), Settings::default());
}

/// Stored names outlive the version that made them.
#[test]
fn a_renamed_user_keeps_one_suffix() {
    let name = Username::parse("ann").unwrap();
    let suffixed = user::suffixed_username(&name, USER);
    assert!(suffixed.starts_with("ann~") && suffixed.len() == 8, "{suffixed}");
    assert_ne!(suffixed, user::suffixed_username(&name, UserId([2; 16])));
}

/// A withdrawn claim never counted, in any order.
#[test]
fn a_withdrawal_of_a_claim_is_permanent() {
    let name = Username::parse("ann").unwrap();
    let claim = |state, withdrawn| user::apply_claim(state, &name, withdrawn);
    assert!(!claim(None, false).withdrawn && claim(None, true).withdrawn);
    assert!(
        claim(Some(claim(None, true)), false).withdrawn && claim(Some(claim(None, false)), true).withdrawn
    );
}
