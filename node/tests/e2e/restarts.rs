//! Promise 13: restarts cost nothing for ever. `STARLING_STARTS=N` sets the number of starts.

use std::fs;
use std::time::{Duration, Instant};

use harness::Node;
use harness::account::{Account, CHEAP_HASHES, NONE};
use harness::process::NO_MESSAGE_LIMITS;
use serde_json::json;
use starling_node::store::Store;
use starling_protocol::{Event, EventBody, Seq};

/// The number of starts in CI; the promise is measured with 10,000.
const STARTS: usize = 300;
/// Starts between two read marks, and between two lines about them.
const MARK_EVERY: usize = 100;
/// Characters of a cursor, at most.
const CURSOR_CHARS_MAX: usize = 512;
/// Bytes of a read mark, at most.
const MARK_BYTES_MAX: usize = 1_024;

/// The cost of some starts.
#[derive(Debug)]
struct Cost {
    /// The median from the start of the process until it is ready.
    ready: Duration,
    cursor_chars: usize,
    mark_bytes: usize,
    /// Bytes by which the store's file grew.
    grown: u64,
    /// Origins that the stored vector has beyond its fold.
    unfolded: usize,
}

/// Each start writes a message; after some a user reads the room. Start-up, cursors, read marks and the growth of the file
/// stay what they were.
#[tokio::test]
async fn the_cost_of_a_start_does_not_grow_with_the_number_of_starts() {
    let starts = std::env::var("STARLING_STARTS").map_or(STARTS, |text| text.parse().expect("a number"));
    let mut node = Node::lone(&[&CHEAP_HASHES[..], &NO_MESSAGE_LIMITS[..]].concat()).await;
    let mut ann = Account::register(node.http, "ann").await;
    let room = ann.create_room(node.http, "public").await;
    let target = format!("/rooms/{room}/messages");
    let mut costs: Vec<Cost> = Vec::new();
    let mut bytes = file_bytes(&node);
    let mut ready = Vec::new();
    let mut cursor_chars = 0;
    for start in 1..=starts {
        node.stop().await;
        let begun = Instant::now();
        node.restart().await;
        ready.push(begun.elapsed());
        let body = Some(json!({"body": format!("start {start}")}));
        let posted = ann.call(node.http, "POST", &target, body).await;
        assert_eq!(posted.status, 201, "{}", posted.text());
        cursor_chars = cursor_chars.max(posted.header("x-starling-cursor").expect("it is carried").len());
        if start % MARK_EVERY == 0 {
            // Tokens end before all starts are done.
            ann = Account::login(node.http, "ann").await;
            let read = json!({"message_id": posted.json()["id"]});
            ann.expect(node.http, "PUT", &format!("/rooms/{room}/read"), read, 204).await;
            assert_eq!(ann.unread(node.http, &room).await, (0, 0));
            node.stop().await;
            let (mark_bytes, unfolded) = in_store(&node);
            node.restart().await;
            ready.sort_unstable();
            let cost = Cost {
                ready: ready[ready.len() / 2],
                cursor_chars,
                mark_bytes,
                grown: file_bytes(&node).saturating_sub(bytes),
                unfolded,
            };
            println!("after {start} starts: {cost:?}");
            costs.push(cost);
            bytes = file_bytes(&node);
            ready.clear();
            cursor_chars = 0;
        }
    }
    for cost in &costs {
        assert!(cost.cursor_chars < CURSOR_CHARS_MAX && cost.mark_bytes < MARK_BYTES_MAX, "{cost:?}");
        // Eight that have ended, the present one, and those opened since the last fold.
        assert!(cost.unfolded <= 12, "{cost:?}");
    }
    // Half of the measurements against the other: one is moved by whatever else the machine does.
    let (first, last) = costs.split_at(costs.len() / 2);
    let mean =
        |costs: &[Cost], of: fn(&Cost) -> u64| costs.iter().map(of).sum::<u64>() / costs.len().max(1) as u64;
    let ready_ms: fn(&Cost) -> u64 = |cost| u64::try_from(cost.ready.as_millis()).unwrap_or(u64::MAX);
    let (early, late) = (mean(first, ready_ms), mean(last, ready_ms));
    assert!(late <= early * 3 / 2 + 100, "a start takes {late} ms, and took {early} ms");
    let (early, late) = (mean(first, |cost| cost.grown), mean(last, |cost| cost.grown));
    assert!(late <= early * 2 + 512 * 1024, "the file grows by {late} bytes, and grew by {early}");
    let all = ann.expect(node.http, "GET", &format!("{target}?limit=1"), NONE, 200).await;
    assert_eq!(all["items"][0]["body"], format!("start {starts}"));
}

fn file_bytes(node: &Node) -> u64 {
    fs::metadata(node.data_dir().join("starling.redb")).expect("the store is there").len()
}

/// The size of the newest read mark in the log of a node that does not run, and the origins beyond the newest fold.
fn in_store(node: &Node) -> (usize, usize) {
    let store = Store::open_file(&node.data_dir().join("starling.redb")).expect("the store opens");
    let vector = store.vector().expect("it reads");
    let events = vector.difference().flat_map(|(origin, head)| {
        store.read_events(origin, Seq(1), head).expect("it reads").into_iter().map(Event::decode)
    });
    let is_mark =
        |event: &Event| matches!(event.body, EventBody::ReadMarked(_) | EventBody::FoldedReadMarked(_));
    let marks = events.map(|event| event.expect("it decodes")).filter(is_mark);
    (marks.map(|event| event.encoded().len()).max().expect("a mark was just set"), vector.difference().len())
}
