//! Promise 10: a node whose clock is far outside an agreeing majority refuses users' writes, says what to do, and accepts
//! them again once its clock is right. Its writes would raise the stamps of all later ones.

use std::sync::{Arc, Mutex};

use starling_protocol::{ErrorCode, GuestId, GuestName, MessageId, MessagePosted, MessageText, Sender};
use starling_web::service::{Post, Refusal};
use tokio::sync::mpsc;

use crate::world::World;

const HOUR_MS: i64 = 3_600_000;
/// The time until a verdict takes effect: beats carry clocks, and the verdict is checked every second.
const VERDICT_MS: u64 = 4_000;
/// The longest time for creating a room.
const ROOM_MS: u64 = 1_000;

impl World {
    /// Posts into the first room, and creates another, on one node; returns the two outcomes.
    fn writes_of(&mut self, host: usize) -> [Result<(), Refusal>; 2] {
        let (runtime, core) = self.hosts[host].serving().expect("it runs");
        let name = GuestName::parse("ann").unwrap();
        let sender = Sender::Guest { id: GuestId([7; 16]), name };
        let id = MessageId::from_u64_pair(77, self.now);
        let message = MessagePosted::new(id, sender, MessageText::parse("text").unwrap());
        let outcomes = mpsc::unbounded_channel();
        let posted =
            core.web.posting.post(Post { room: self.rooms[0], message, above_hlc: None }, &outcomes.0);
        let (rooms, made) = (Arc::clone(&core.web.quick_rooms), Arc::new(Mutex::new(None)));
        let slot = Arc::clone(&made);
        runtime.spawn(async move {
            let answer = rooms.create(None).await.map(|_| ());
            *slot.lock().unwrap() = Some(answer);
        });
        self.go_on(ROOM_MS).unwrap();
        let made = made.lock().unwrap().take().expect("it was answered");
        [posted, made]
    }
}

#[test]
fn a_node_whose_clock_is_far_off_takes_no_writes() {
    let mut world = World::new(1, None);
    world.boot().unwrap();
    for (skew_ms, words) in [(HOUR_MS, "ahead of"), (-HOUR_MS, "behind")] {
        world.hosts[0].set_skew(skew_ms);
        world.go_on(VERDICT_MS).unwrap();
        for written in world.writes_of(0) {
            let refusal = written.expect_err("its clock is an hour off");
            assert_eq!(refusal.code, ErrorCode::Unavailable);
            let says = ["clock of this node", words, "use another node"];
            assert!(says.iter().all(|part| refusal.detail.contains(part)), "{}", refusal.detail);
        }
        assert!(world.writes_of(1).iter().all(Result::is_ok), "the others are right");
    }
    world.hosts[0].set_skew(29_000);
    world.go_on(VERDICT_MS).unwrap();
    assert!(world.writes_of(0).iter().all(Result::is_ok), "within 30 s it agrees");
}

/// Without a majority that agrees, the wrong clock is unknown: all nodes serve.
#[test]
fn without_a_majority_all_take_writes() {
    let mut world = World::new(1, None);
    world.boot().unwrap();
    for host in 0..world.hosts.len() {
        world.hosts[host].set_skew(HOUR_MS * i64::try_from(host).unwrap());
    }
    world.go_on(VERDICT_MS).unwrap();
    for host in 0..world.hosts.len() {
        assert!(world.writes_of(host).iter().all(Result::is_ok), "node {host}");
    }
}
