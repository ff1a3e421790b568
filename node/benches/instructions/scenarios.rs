//! The scenarios: each sets up and warms up beside the figure, then does the same thing several times, counted.

use tokio::runtime::Runtime;

use crate::{
    guest::{Guest, Reader},
    turn,
    world::{Node, World, text},
};

/// All of them. The names are those of the baseline.
pub const SCENARIOS: [(&str, fn()); 5] = [
    ("post", post),
    ("deliver-to-100", deliver_to_100),
    ("replicate", replicate),
    ("resume", resume),
    ("page-read", page_read),
];

/// Messages that are posted before it counts: caches, queues and tables have their size then.
const WARM_UP: u128 = 50;
const RECEIVERS: usize = 100;
/// Messages that a guest has missed when they resume.
const MISSED: u128 = 200;
const PAGE: usize = 50;

/// Posts messages one after the other; each has been acked, and everybody has it, when the next is posted.
fn talk(
    world: &World,
    turn: fn(&Runtime),
    sender: &mut Guest,
    others: &mut [Guest],
    numbers: std::ops::Range<u128>,
) {
    for number in numbers {
        let acks = sender.acks + 1;
        let expected: Vec<_> = others.iter().map(|other| other.messages + 1).collect();
        sender.post(number, &text(number));
        world.until(turn, || {
            sender.listen();
            others.iter_mut().for_each(Guest::listen);
            sender.acks >= acks && others.iter().zip(&expected).all(|(other, &count)| other.messages >= count)
        });
    }
}

/// 200 messages of one guest, alone in a room on a node alone: from the socket to the store, and back as an ack.
fn post() {
    let mut world = World::new();
    let node = world.node();
    let room = world.room(&node);
    let mut ann = world.guest(turn::uncounted, &node, room, "username=Ann");
    talk(&world, turn::uncounted, &mut ann, &mut [], 1..WARM_UP);
    talk(&world, turn::counted, &mut ann, &mut [], 1_000..1_200);
}

/// 20 messages, each to 100 others in the room.
fn deliver_to_100() {
    let mut world = World::new();
    let node = world.node();
    let room = world.room(&node);
    let mut ann = world.guest(turn::uncounted, &node, room, "username=Ann");
    let enter = |number| world.guest(turn::uncounted, &node, room, &format!("username=Guest{number}"));
    let mut others: Vec<_> = (0..RECEIVERS).map(enter).collect();
    talk(&world, turn::uncounted, &mut ann, &mut others, 1..5);
    talk(&world, turn::counted, &mut ann, &mut others, 1_000..1_020);
}

/// 100 messages on one of two nodes, acked when both have them and shown by the other: what both nodes do.
fn replicate() {
    let mut world = World::new();
    let [one, two] = world.two_nodes();
    let room = world.room(&one);
    let mut ann = world.guest(turn::uncounted, &one, room, "username=Ann");
    let mut ben = [world.guest(turn::uncounted, &two, room, "username=Ben")];
    talk(&world, turn::uncounted, &mut ann, &mut ben, 1..WARM_UP);
    talk(&world, turn::counted, &mut ann, &mut ben, 1_000..1_100);
}

/// A guest comes back 10 times with a cursor from before 200 messages, and gets them.
fn resume() {
    let mut world = World::new();
    let node = world.node();
    let room = world.room(&node);
    world.fill(&node, room, 1, WARM_UP);
    let cursor = world.guest(turn::uncounted, &node, room, "username=Ann").cursor().unwrap();
    let query = format!("username=Ann&cursor={cursor}");
    world.fill(&node, room, 1_000, MISSED);
    return_with(&world, turn::uncounted, &node, room, &query);
    for _ in 0..10 {
        return_with(&world, turn::counted, &node, room, &query);
    }
}

fn return_with(world: &World, turn: fn(&Runtime), node: &Node, room: starling_protocol::RoomId, query: &str) {
    let target = format!("/ws?roomID={room}&{query}");
    let mut ann = Guest::open(node.http, &target);
    world.until(turn, || {
        ann.listen();
        ann.messages >= usize::try_from(MISSED).unwrap()
    });
    assert_eq!(ann.messages, usize::try_from(MISSED).unwrap());
    drop(ann);
    // Her session ends beside the figure.
    (0..10).for_each(|_| world.go_on(turn::uncounted));
}

/// 40 pages of 50 messages, from the end of a room of 2,000 to its beginning.
fn page_read() {
    let mut world = World::new();
    let node = world.node();
    let room = world.room(&node);
    world.fill(&node, room, 1, 2_000);
    let mut reader = Reader::open(node.http);
    for turn in [turn::uncounted, turn::counted] {
        let (mut before, mut read) = (String::new(), 0);
        loop {
            reader.ask(&format!("/room-messages?roomID={room}&limit={PAGE}{before}"));
            let mut page = None;
            world.until(turn, || {
                page = page.take().or_else(|| reader.answer());
                page.is_some()
            });
            let page = page.unwrap();
            read += page["items"].as_array().unwrap().len();
            let Some(next) = page["next"].as_str() else { break };
            before = format!("&before={next}");
        }
        assert_eq!(read, 2_000);
    }
}
