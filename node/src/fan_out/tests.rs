//! Tests of the frames in each lane: sessions receive their own changes and no others.

use std::sync::Arc;

use serde_json::Value;
use starling_protocol::{
    DisplayName, EventBody, EventDraft, RoomName, Scope, Topic, UserId, VersionVector,
    event::{
        MemberRoomChanged, MemberRoomCreated, Membership, MembershipChanged, ProfileChanged, ReadMarked,
        Role, Stance, StanceChanged, Visibility, direct_room,
    },
};
use starling_web::lane::{CommitPoint, Subscription};

use super::*;
use crate::{
    services::test_node::{ANN, BOB, EVE, Node, OTHER_ROOM, ROOM, new},
    store::Decision,
};

/// A subscriber of a lane.
struct Follower(Subscription);

impl Follower {
    /// Takes the new frames: type and content of each, and its user.
    fn take(&mut self) -> Vec<(String, Option<UserId>)> {
        let mut frames = Vec::new();
        self.0.take(99, &mut frames).unwrap();
        frames.iter().map(|frame| (short(frame), frame.from)).collect()
    }

    fn texts(&mut self) -> Vec<String> {
        self.take().into_iter().map(|(text, _)| text).collect()
    }
}

fn short(frame: &Frame) -> String {
    if frame.is_invalidation() {
        return "invalidate".into();
    }
    let json: Value = serde_json::from_slice(frame.payload()).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&json["type"]);
    match kind.as_str() {
        "message" | "message_updated" => format!("{kind} {}", text(&json["message"]["body"])),
        "room" => format!("{kind} {}", text(&json["change"])),
        "contact" => format!("{kind} {}", text(&json["contact"]["state"])),
        _ => kind,
    }
}

struct Stage {
    node: Node,
    lanes: Arc<Lanes>,
}

impl Stage {
    fn new() -> Self {
        let point = CommitPoint { number: 0, vector: Arc::default() };
        let mut node = Node::with_rooms();
        node.commits.clear();
        Self { node, lanes: Arc::new(Lanes::new(point)) }
    }

    fn follow(&self, key: impl Into<LaneKey>) -> Follower {
        Follower(self.lanes.subscribe(key))
    }

    /// Does something, and fans out each commit of it.
    fn after<T>(&mut self, act: impl FnOnce(&mut Node) -> T) -> T {
        let done = act(&mut self.node);
        for commit in self.node.commits.drain(..) {
            fan_out(&self.lanes, &self.node.store, &commit);
        }
        done
    }

    fn write(&mut self, scope: Scope, body: impl Into<EventBody>) {
        let draft = EventDraft::new(scope, body);
        self.after(|node| node.decide(move |_| Ok(Decision::Write(vec![draft.clone()]))).unwrap());
    }
}

#[test]
fn a_room_receives_its_messages_and_their_changes() {
    let mut stage = Stage::new();
    let (mut room, mut other, mut ann) = (stage.follow(ROOM), stage.follow(OTHER_ROOM), stage.follow(ANN));
    stage.after(|node| node.say(BOB, 1, "a"));
    stage.after(|node| node.edit(BOB, 1, "b").unwrap());
    stage.after(|node| node.react(EVE, 1, "👍", true).unwrap());
    stage.after(|node| node.delete(ANN, 1).unwrap());
    let frames = ["message a", "message_updated b", "message_updated b", "message_deleted"];
    assert_eq!(room.take(), frames.map(|frame| (frame.to_owned(), Some(BOB))), "all of it is Bob's message");
    assert!(other.take().is_empty() && ann.take().is_empty());
}

#[test]
fn a_read_mark_reaches_its_user_and_the_other_member_of_a_direct_room() {
    let mut stage = Stage::new();
    let between = direct_room(ANN, BOB);
    for (from, to) in [(ANN, BOB), (BOB, ANN)] {
        stage.write(Scope::user(from), StanceChanged { to, round: 0, stance: Stance::Yes });
    }
    stage.write(Scope::room(between), MemberRoomCreated::Direct { one: ANN, other: BOB });
    stage.after(|node| {
        node.say(BOB, 1, "a");
        node.post(BOB, between, &new(2, "b")).unwrap();
    });
    let (mut room, mut two, mut ann, mut bob) =
        (stage.follow(ROOM), stage.follow(between), stage.follow(ANN), stage.follow(BOB));
    for (of, n) in [(ROOM, 1), (between, 2)] {
        let pos = stage.node.pos(n);
        stage.write(Scope::user(ANN), ReadMarked { room: of, pos, seen: VersionVector::default() });
    }
    assert_eq!(ann.texts(), ["read"]);
    assert_eq!(two.take(), [("read".to_owned(), Some(ANN))]);
    assert!(room.take().is_empty() && bob.take().is_empty());
    // Not once one of them has removed the contact.
    stage.write(Scope::user(BOB), StanceChanged { to: ANN, round: 1, stance: Stance::None });
    stage.after(|node| node.say(BOB, 3, "c"));
    let (pos, _) = (stage.node.pos(3), ann.take());
    stage.write(Scope::user(ANN), ReadMarked { room: between, pos, seen: VersionVector::default() });
    assert!(two.take().is_empty());
}

#[test]
fn joining_or_leaving_a_room_sends_the_room_and_invalidates_the_user() {
    let mut stage = Stage::new();
    let (mut room, mut bob, mut eve) = (stage.follow(ROOM), stage.follow(BOB), stage.follow(EVE));
    let set = |membership| MembershipChanged { user: BOB, membership, since: None, invite: None, by: ANN };
    stage.write(Scope::room(ROOM), set(Membership::None));
    assert_eq!(bob.texts(), ["room removed", "invalidate"]);
    stage.write(Scope::room(ROOM), set(Membership::Banned));
    assert_eq!(bob.texts(), ["invalidate"], "they were out already");
    stage.write(Scope::room(ROOM), set(Membership::Member(Role::Member)));
    assert_eq!(bob.texts(), ["room joined", "invalidate"]);
    assert!(room.take().is_empty() && eve.take().is_empty());
    let topic = Some(Topic::parse("x").unwrap());
    stage.write(Scope::room(ROOM), MemberRoomChanged { topic, ..MemberRoomChanged::default() });
    assert_eq!(room.texts(), ["invalidate"], "each member sees the room in their own way");
}

/// During a split the events of a room may arrive in any order.
#[test]
fn a_member_added_before_a_room_arrives_is_notified_when_it_arrives() {
    let mut stage = Stage::new();
    let mut bob = stage.follow(BOB);
    let room = RoomId([9; 10]);
    let membership = Membership::Member(Role::Member);
    let set = MembershipChanged { user: BOB, membership, since: None, invite: None, by: ANN };
    stage.write(Scope::room(room), set);
    assert_eq!(bob.texts(), ["invalidate"]);
    let created = MemberRoomCreated::Named {
        name: RoomName::parse("late").unwrap(),
        topic: Topic::default(),
        visibility: Visibility::Private,
    };
    stage.write(Scope::room(room), created);
    assert_eq!(bob.texts(), ["room joined", "invalidate"]);
}

#[test]
fn contacts_see_each_others_stance_and_a_block_only_its_author() {
    let mut stage = Stage::new();
    let (mut ann, mut bob, mut eve) = (stage.follow(ANN), stage.follow(BOB), stage.follow(EVE));
    stage.write(Scope::user(ANN), StanceChanged { to: BOB, round: 0, stance: Stance::Yes });
    assert_eq!(ann.texts(), ["contact outgoing", "invalidate"]);
    assert_eq!(bob.texts(), ["invalidate", "contact incoming"]);
    stage.write(Scope::user(EVE), StanceChanged { to: ANN, round: 1, stance: Stance::Blocked });
    assert_eq!(eve.texts(), ["contact blocked", "invalidate"]);
    assert_eq!(ann.texts(), ["invalidate"], "a blocked user must not notice; their sessions must");
}

/// The writer waits for this, so its cost must not grow with the number of acquaintances.
#[test]
fn a_changed_profile_notifies_a_limited_number_of_acquaintances() {
    let mut stage = Stage::new();
    let mut bob = stage.follow(BOB);
    let renamed = |name| ProfileChanged { display_name: Some(DisplayName::parse(name).unwrap()) };
    stage.write(Scope::user(ANN), StanceChanged { to: BOB, round: 0, stance: Stance::Yes });
    bob.texts();
    stage.write(Scope::user(ANN), renamed("one"));
    assert_eq!(bob.texts(), ["contact incoming", "invalidate"]);
    // Their ids sort before Bob's.
    let to = |n: u128| UserId((n | (1 << 120)).to_be_bytes());
    let asked = (0..ACQUAINTANCES_MAX as u128).map(|n| {
        EventDraft::new(Scope::user(ANN), StanceChanged { to: to(n), round: 0, stance: Stance::Yes })
    });
    let asked: Vec<_> = asked.collect();
    stage.after(|node| node.decide(move |_| Ok(Decision::Write(asked.clone()))).unwrap());
    stage.write(Scope::user(ANN), renamed("two"));
    assert!(bob.texts().is_empty());
}
