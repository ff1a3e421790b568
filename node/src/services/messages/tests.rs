//! Tests messages on stores in memory, with two nodes where it matters: pages, changes, erasure, late arrivals.

use starling_protocol::{
    DisplayName, Emoji, ErrorCode, EventBody, EventDraft, HookId, MessageKey, MessagePosted, Scope, Sender,
    UserId, VersionVector,
    event::{
        MemberRoomCreated, MemberRoomDeleted, PostDetails, ReactionChanged, Stance, StanceChanged,
        UserDeleted, direct_room,
    },
    limits::{EDITS_PER_MESSAGE_MAX, EMOJI_PER_MESSAGE_MAX, EMOJI_PER_USER_MAX, REACTIONS_PER_MESSAGE_MAX},
};
use starling_web::service::{MessageQuery, NewMessage, Refusal};

use super::read;
use crate::{
    services::test_node::{ANN, BOB, EVE, Node, OTHER_ROOM, ROOM, STRANGER, id, new, refusal_of},
    store::{Decision, OpResult},
};

/// Farther ahead than other nodes' clocks follow.
const FAR_AHEAD_MS: u64 = 3_600_000;

fn same(one: &Node, two: &Node) {
    one.verify();
    two.verify();
    assert_eq!(one.store.digest().unwrap(), two.store.digest().unwrap());
}

fn code<T>(result: Result<T, Refusal>) -> Option<ErrorCode> {
    result.err().map(|refusal| refusal.code)
}

#[test]
fn pages_go_both_ways_from_any_message() {
    let mut node = Node::with_rooms();
    (1..=9).for_each(|n| node.say(BOB, n, "x"));
    let (newest, next) = node.numbers(MessageQuery::Newest, 4);
    assert_eq!(newest, [9, 8, 7, 6]);
    assert_eq!(node.numbers(MessageQuery::Continue(next.unwrap()), 9), (vec![5, 4, 3, 2, 1], None));
    assert_eq!(node.numbers(MessageQuery::Before(id(3)), 9), (vec![2, 1], None));
    let (after, next) = node.numbers(MessageQuery::After(id(3)), 4);
    assert_eq!(after, [7, 6, 5, 4]);
    assert_eq!(node.numbers(MessageQuery::Continue(next.unwrap()), 4), (vec![9, 8], None));
    let (around, next) = node.numbers(MessageQuery::Around(id(5)), 5);
    assert_eq!(around, [7, 6, 5, 4, 3]);
    assert_eq!(node.numbers(MessageQuery::Continue(next.unwrap()), 5), (vec![2, 1], None));
    assert_eq!(node.numbers(MessageQuery::Around(id(9)), 3).0, [9, 8, 7]);
    assert_eq!(node.numbers(MessageQuery::Around(id(1)), 1).0, [1]);
    assert_eq!(code(node.page(ANN, MessageQuery::Before(id(99)), 1)), Some(ErrorCode::NotFound));
    assert_eq!(code(node.page(STRANGER, MessageQuery::Newest, 1)), Some(ErrorCode::NotFound));
}

#[test]
fn pages_are_stable_while_messages_arrive() {
    let (mut one, mut two) = Node::with_rooms_twice();
    two.now_ms = one.now_ms;
    for n in 1..=20 {
        one.say(BOB, n, "x");
        two.say(EVE, 100 + n, "came late");
    }
    let (mut seen, mut next) = (Vec::new(), None);
    loop {
        let (page, end) = one.numbers(next.map_or(MessageQuery::Newest, MessageQuery::Continue), 3);
        seen.extend(page.into_iter().filter(|n| *n <= 20));
        if seen.len() == 9 {
            one.take_from(&two);
            one.say(BOB, 50, "newer");
        }
        next = end;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(seen, (1..=20).rev().collect::<Vec<_>>());
}

#[test]
fn messages_of_a_blocked_member_are_not_listed() {
    let mut node = Node::with_rooms();
    for n in 1..=6 {
        node.say(if n % 2 == 0 { BOB } else { EVE }, n, "x");
    }
    let block = StanceChanged { to: EVE, round: 1, stance: Stance::Blocked };
    node.write(EventDraft::new(Scope::user(ANN), block));
    assert_eq!(node.numbers(MessageQuery::Newest, 2).0, [6, 4]);
    assert_eq!(code(node.react(ANN, 1, "👍", true)), Some(ErrorCode::NotFound));
    assert_eq!(node.page(BOB, MessageQuery::Newest, 9).unwrap().items.len(), 6);
}

#[test]
fn a_moderator_can_delete_messages_of_a_blocked_member() {
    let mut node = Node::with_rooms();
    (1..=2).for_each(|n| node.say(BOB, n, "x"));
    for user in [EVE, STRANGER] {
        let block = StanceChanged { to: BOB, round: 1, stance: Stance::Blocked };
        node.write(EventDraft::new(Scope::user(user), block));
    }
    assert_eq!(code(node.react(EVE, 1, "👍", true)), Some(ErrorCode::NotFound));
    assert_eq!(code(node.delete(STRANGER, 1)), Some(ErrorCode::NotFound));
    node.delete(EVE, 1).unwrap();
    assert_eq!(node.shown(1).body, "");
    assert_eq!(node.shown(2).body, "x");
}

#[test]
fn a_post_sent_again_is_the_same_message_and_another_under_its_id_is_refused() {
    let (mut one, mut two) = Node::with_rooms_twice();
    one.say(BOB, 1, "a");
    assert_eq!(one.post(BOB, ROOM, &new(1, "a")), Ok(true));
    assert_eq!(code(one.post(BOB, ROOM, &new(1, "b"))), Some(ErrorCode::IdReused));
    assert_eq!(code(one.post(BOB, OTHER_ROOM, &new(1, "a"))), Some(ErrorCode::IdReused));
    assert_eq!(code(one.post(STRANGER, ROOM, &new(2, "a"))), Some(ErrorCode::NotFound));
    // A client that missed the deletion does not post it again.
    two.say(BOB, 1, "a");
    one.delete(BOB, 1).unwrap();
    assert_eq!(one.post(BOB, ROOM, &new(1, "a")), Ok(true));
    one.take_from(&two);
    two.take_from(&one);
    assert_eq!(one.numbers(MessageQuery::Newest, 9).0, [1]);
    same(&one, &two);
}

#[test]
fn a_reply_is_listed_after_its_message_and_mentions_members() {
    let (mut one, mut two) = Node::with_rooms_twice();
    one.now_ms += FAR_AHEAD_MS;
    one.say(BOB, 1, "question");
    two.take_from(&one);
    let message = NewMessage { reply_to: Some(id(1)), ..new(2, "@BOB and @eve: @stranger, @nobody, @ann") };
    assert_eq!(two.post(ANN, ROOM, &message), Ok(false));
    assert_eq!(two.numbers(MessageQuery::Newest, 9).0, [2, 1]);
    assert_eq!(two.shown(2).reply_to, Some(id(1).to_string()));
    let named = |user| two.store.records().unwrap().mentions(user, ROOM).unwrap().count();
    assert_eq!([named(ANN), named(BOB), named(EVE), named(STRANGER)], [0, 1, 1, 0]);
    // The message must be in the same room.
    let elsewhere = NewMessage { reply_to: Some(id(1)), ..new(3, "x") };
    assert_eq!(code(two.post(ANN, OTHER_ROOM, &elsewhere)), Some(ErrorCode::NotFound));
}

#[test]
fn the_last_edit_shows_on_every_node_whichever_came_first() {
    let (mut one, mut two) = Node::with_rooms_twice();
    one.say(BOB, 1, "a");
    two.take_from(&one);
    one.now_ms += FAR_AHEAD_MS;
    one.edit(BOB, 1, "b").unwrap();
    two.take_from(&one);
    // An edit is stamped above its message even if the clock is far behind.
    two.edit(BOB, 1, "c").unwrap();
    one.take_from(&two);
    for node in [&one, &two] {
        assert_eq!(node.shown(1).body, "c");
        assert!(node.shown(1).edited_at.is_some());
    }
    same(&one, &two);
    assert_eq!(code(one.edit(EVE, 1, "d")), Some(ErrorCode::Forbidden));
    assert_eq!(code(one.edit(STRANGER, 1, "d")), Some(ErrorCode::NotFound));
    one.delete(EVE, 1).unwrap();
    assert_eq!(code(one.edit(BOB, 1, "d")), Some(ErrorCode::NotFound));
}

#[test]
fn members_delete_their_own_messages_and_moderators_all() {
    let mut node = Node::with_rooms();
    node.say(ANN, 1, "a");
    node.say(BOB, 2, "b");
    assert_eq!(code(node.delete(BOB, 1)), Some(ErrorCode::Forbidden));
    assert_eq!(code(node.delete(STRANGER, 1)), Some(ErrorCode::NotFound));
    node.delete(EVE, 1).unwrap();
    node.delete(BOB, 2).unwrap();
    assert_eq!(node.delete(BOB, 2), Ok(OpResult::Nothing));
    let page = node.page(ANN, MessageQuery::Newest, 9).unwrap();
    assert!(page.items.iter().all(|message| message.deleted && message.body.is_empty()));
}

#[test]
fn reactions_are_set_and_taken_back_and_bounded() {
    let (mut one, mut two) = Node::with_rooms_twice();
    one.say(BOB, 1, "a");
    one.now_ms += FAR_AHEAD_MS;
    one.react(ANN, 1, "👍", true).unwrap();
    assert_eq!(one.react(ANN, 1, "👍", true), Ok(OpResult::Nothing));
    two.take_from(&one);
    two.react(ANN, 1, "👍", false).unwrap();
    two.react(EVE, 1, "🎉", true).unwrap();
    one.take_from(&two);
    for node in [&one, &two] {
        assert_eq!(node.shown(1).reactions, [("🎉".to_owned(), vec![EVE.to_string()])].into());
    }
    for n in 1..EMOJI_PER_MESSAGE_MAX {
        one.react(BOB, 1, &format!("e{n}"), true).unwrap();
    }
    let refusal = one.react(BOB, 1, "one-too-many", true).unwrap_err();
    assert_eq!((refusal.code, refusal.field), (ErrorCode::Invalid, Some("emoji")));
    one.react(BOB, 1, "🎉", true).unwrap();
}

/// Removed reactions leave records, which are read at each change of the message.
#[test]
fn removed_reactions_count_and_can_be_added_again() {
    let mut node = Node::with_rooms();
    node.say(BOB, 1, "a");
    for n in 0..EMOJI_PER_USER_MAX {
        node.react(BOB, 1, &format!("e{n}"), true).unwrap();
        node.react(BOB, 1, &format!("e{n}"), false).unwrap();
    }
    assert_eq!(code(node.react(BOB, 1, "another", true)), Some(ErrorCode::Invalid));
    node.react(BOB, 1, "e7", true).unwrap();
    node.react(EVE, 1, "another", true).unwrap();
    // As after a split in which both sides added reactions.
    let message = MessageKey { sender: Sender::User(BOB).key(), id: id(1) };
    let drafts: Vec<_> = (0..=REACTIONS_PER_MESSAGE_MAX as u128)
        .map(|n| {
            let (user, emoji) = (UserId((n | (5 << 120)).to_be_bytes()), Emoji::parse("👍").unwrap());
            EventDraft::new(Scope::room(ROOM), ReactionChanged { message, user, emoji, on: true })
        })
        .collect();
    node.decide(move |_| Ok(Decision::Write(drafts.clone()))).unwrap();
    assert_eq!(code(node.react(ANN, 1, "👍", true)), Some(ErrorCode::Invalid), "1,000 are there");
    let shown: usize = node.shown(1).reactions.values().map(Vec::len).sum();
    assert_eq!(shown, REACTIONS_PER_MESSAGE_MAX - (EMOJI_PER_USER_MAX - 1));
    node.react(BOB, 1, "e7", false).unwrap();
    node.react(BOB, 1, "e7", true).unwrap();
}

#[test]
fn edits_of_a_message_are_limited() {
    let mut node = Node::with_rooms();
    node.say(BOB, 1, "a");
    for n in 0..EDITS_PER_MESSAGE_MAX {
        node.edit(BOB, 1, &format!("b{n}")).unwrap();
    }
    assert_eq!(code(node.edit(BOB, 1, "c")), Some(ErrorCode::Invalid));
    assert_eq!(node.shown(1).body, "b99");
    node.delete(BOB, 1).unwrap();
    assert!(!node.holds("b99"));
}

/// Section 4: removal wins; a body is erased from the log, also one that arrives later.
#[test]
fn after_a_deletion_no_node_holds_the_text() {
    let (mut one, mut two) = Node::with_rooms_twice();
    // Cut off from each other: sent here and there, edited here and there.
    one.say(BOB, 1, "secret");
    two.say(BOB, 1, "secret");
    two.take_from(&one);
    one.edit(BOB, 1, "secret, edited").unwrap();
    two.edit(BOB, 1, "another secret").unwrap();
    let mut third = Node::new(3);
    third.take_from(&Node::with_rooms());
    third.now_ms = 500;
    third.say(BOB, 1, "secret");
    assert!(one.holds("secret") && two.holds("secret") && third.holds("secret"));
    one.delete(EVE, 1).unwrap();
    assert!(!one.holds("secret"), "erased with the deletion");
    third.take_from(&one);
    assert!(!third.holds("secret"), "the deletion came after the message");
    two.take_from(&third);
    one.take_from(&two);
    third.take_from(&two);
    for node in [&one, &two, &third] {
        assert!(!node.holds("secret"));
        assert!(node.shown(1).deleted);
    }
    same(&one, &two);
    same(&two, &third);
}

#[test]
fn a_deleted_room_leaves_the_log_in_small_steps_on_every_node() {
    let (mut one, mut two) = Node::with_rooms_twice();
    for n in 0..250 {
        one.say(BOB, n, "secret");
    }
    one.edit(BOB, 7, "secret, edited").unwrap();
    two.take_from(&one);
    two.say(BOB, 900, "late secret");
    assert_eq!(one.post(BOB, OTHER_ROOM, &new(1_000, "open")), Ok(false));
    one.write(EventDraft::new(Scope::room(ROOM), MemberRoomDeleted { by: ANN }));
    assert!(one.holds("secret"));
    assert!(one.erase() > 2, "posts elsewhere would wait for all of it");
    assert!(!one.holds("secret"));
    one.take_from(&two);
    assert!(!one.holds("secret"), "late messages become stubs at once");
    two.take_from(&one);
    two.erase();
    assert!(!two.holds("secret"));
    for node in [&one, &two] {
        assert!(node.holds("open"), "other rooms stay");
        assert_eq!(code(node.page(ANN, MessageQuery::Newest, 1)), Some(ErrorCode::NotFound));
    }
    same(&one, &two);
}

#[test]
fn a_deleted_account_leaves_the_log() {
    let (mut one, mut two) = Node::with_rooms_twice();
    one.write(EventDraft::new(Scope::user(BOB), UserDeleted {}));
    one.erase();
    two.take_from(&one);
    two.erase();
    for node in [&one, &two] {
        assert!(!node.holds("known as bob") && node.holds("known as ann"));
    }
    same(&one, &two);
}

#[test]
fn a_read_mark_covers_what_was_sent_in_the_room_and_is_written_once() {
    let (mut one, mut two) = Node::with_rooms_twice();
    two.now_ms = 500;
    two.say(EVE, 1, "came late");
    one.say(BOB, 2, "a");
    one.post(BOB, OTHER_ROOM, &new(3, "elsewhere")).unwrap();
    let sent = one.store.vector().unwrap();
    let read = |node: &mut Node, n, seen: Option<&VersionVector>| {
        let mark = refusal_of(read::mark(&node.store, ANN, ROOM, id(n), seen))?;
        node.decide(move |tables| read::decide(tables, ANN, &mark))
    };
    assert!(matches!(read(&mut one, 2, None), Ok(OpResult::Done(_))));
    one.post(BOB, OTHER_ROOM, &new(4, "elsewhere")).unwrap();
    assert_eq!(read(&mut one, 2, None), Ok(OpResult::Nothing), "nothing new in this room");
    one.take_from(&two);
    let mark = |node: &Node| node.store.records().unwrap().read_mark(ANN, ROOM).unwrap().unwrap();
    let late = one.pos(1);
    assert!(late < mark(&one).pos && !mark(&one).covers(late), "it sorts before, and was never sent");
    assert_eq!(read(&mut one, 2, Some(&sent)), Ok(OpResult::Nothing), "nor with this cursor");
    assert!(matches!(read(&mut one, 2, None), Ok(OpResult::Done(_))));
    assert!(mark(&one).covers(late));
    assert_eq!(code(read(&mut one, 3, None)), Some(ErrorCode::NotFound), "in another room");
}

/// The event of a message.
fn posted(node: &Node, n: u128) -> MessagePosted {
    let event = node.store.messages().unwrap().event(node.pos(n)).unwrap().unwrap();
    let EventBody::MessagePosted(posted) = event.body else { panic!("no message: {event:?}") };
    posted
}

/// Notifications derive from the event of a message alone, so it says whom it addresses.
#[test]
fn a_message_says_whom_it_addresses() {
    let mut node = Node::with_rooms();
    node.say(BOB, 1, "question for @eve");
    node.post(ANN, ROOM, &NewMessage { reply_to: Some(id(1)), ..new(2, "answer") }).unwrap();
    node.post(BOB, ROOM, &NewMessage { reply_to: Some(id(1)), ..new(3, "to myself") }).unwrap();
    let direct = direct_room(ANN, BOB);
    for (from, to) in [(ANN, BOB), (BOB, ANN)] {
        node.write(EventDraft::new(Scope::user(from), StanceChanged { to, round: 1, stance: Stance::Yes }));
    }
    let (one, other) = (ANN.min(BOB), ANN.max(BOB));
    node.write(EventDraft::new(Scope::room(direct), MemberRoomCreated::Direct { one, other }));
    node.post(BOB, direct, &new(4, "hi")).unwrap();
    let addressed = |n| {
        let MessagePosted { mentions, details, .. } = posted(&node, n);
        let PostDetails { everyone, reply_author, direct_peer, .. } = *details.unwrap();
        assert!(!everyone, "nobody can address everyone yet");
        (mentions, reply_author, direct_peer)
    };
    assert_eq!(addressed(1), (vec![EVE], None, None));
    assert_eq!(addressed(2), (vec![], Some(BOB), None));
    assert_eq!(addressed(3), (vec![], None, None), "nobody is told of their own reply");
    assert_eq!(addressed(4), (vec![], None, Some(ANN)));
}

/// The contract: messages of programs have `bot: true`; those of webhooks are shown under the name that they gave. They
/// can be answered and deleted like any other.
#[test]
fn messages_of_programs_are_marked() {
    let mut node = Node::with_rooms();
    let hook = Sender::Hook { id: HookId([1; 16]), name: Some(DisplayName::parse("CI").unwrap()) };
    for (n, sender) in [(1, hook), (2, Sender::Bot(BOB))] {
        let message = MessagePosted::new(id(n), sender, new(n, "built").text);
        node.write(EventDraft::new(Scope::room(ROOM), message));
    }
    let sender = |n| {
        let sender = node.shown(n).sender;
        (sender.id, sender.username, sender.guest, sender.bot)
    };
    assert_eq!(sender(1), (String::new(), "CI".into(), false, true));
    assert_eq!(sender(2), (BOB.to_string(), "bob".into(), false, true));
    assert_eq!(node.numbers(MessageQuery::Newest, 9).0, [2, 1]);
    node.post(ANN, ROOM, &NewMessage { reply_to: Some(id(1)), ..new(3, "thanks") }).unwrap();
    assert_eq!(posted(&node, 3).details.unwrap().reply_author, None, "a webhook is nobody to tell");
    assert_eq!(code(node.edit(ANN, 1, "x")), Some(ErrorCode::Forbidden));
    assert_eq!(code(node.delete(BOB, 1)), Some(ErrorCode::Forbidden), "of another author");
    node.delete(EVE, 1).unwrap();
    assert_eq!(node.shown(1).sender.username, "", "its name was content");
    assert!(node.shown(1).deleted);
    node.verify();
}
