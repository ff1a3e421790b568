//! Promise 3: a client whose gap can't be known is told `resync` and loads afresh: never a silent gap.
//! Also the reader that is slow, who goes on from the store, and the one that is too slow.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use harness::http::{create_room, list_all, request};
use harness::process::NO_MESSAGE_LIMITS;
use harness::{Client, Cluster, Frame, Node, PATIENCE};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

/// Nearly as large as a body may be: characters of four bytes each.
const LARGE_CHARS: usize = 7_900;
/// More than all buffers between a node and a reader that doesn't read.
const LARGE_MESSAGES: usize = 500;
/// More than can be replayed, and what may lie in buffers; and bytes in each, so that little lies there.
const HOPELESS_MESSAGES: usize = 13_000;
const HOPELESS_BYTES: usize = 2_000;
/// Posts on their way at once.
const TOGETHER: usize = 50;
/// Together enough resumes that each moment of a commit is met by somebody's.
const READERS: usize = 60;
const RECONNECTS: usize = 25;
const WRITER_PAUSE: Duration = Duration::from_millis(2);

#[tokio::test]
async fn a_slow_reader_gets_everything_without_a_reconnect() {
    let cluster = Cluster::start_with(3, &NO_MESSAGE_LIMITS).await;
    let room = create_room(cluster[0].http).await;
    let mut slow = Client::join_narrow(cluster[0].http, &room, "slow", 4_096).await;
    let mut writer = Client::join(cluster[1].http, &room, "writer").await;
    let large = "🐦".repeat(LARGE_CHARS);
    let mut sent = BTreeSet::new();
    for number in 0..LARGE_MESSAGES {
        let id = Uuid::new_v4().to_string();
        writer.send(&id, &format!("{number} {large}")).await;
        sent.insert(id);
        if number % 10 == 9 {
            writer.until_ids(&sent).await;
        }
    }
    let mut bob = Client::join(cluster[0].http, &room, "Bob").await;
    let last = bob.post("the last").await.0.id;
    sent.insert(last);

    let mut got = BTreeSet::new();
    let ended = timeout(PATIENCE, read_until_closed(&mut slow, &sent, &mut got)).await;
    assert_eq!(ended.expect("they get all"), None, "they have {} of {}", got.len(), sent.len());
    let repeats = slow.messages.len() - got.len();
    assert!(repeats <= LARGE_MESSAGES / 10, "{repeats} came twice");
    assert_ne!(figure(cluster[0].http, "starling_catch_ups_total").await, "0");
    // They go on live, and those who came meanwhile are no news to them.
    let (next, _) = bob.post("next").await;
    assert_eq!(slow.next_message().await, next);
    assert!(slow.users.contains(&"Bob".to_owned()), "{:?}", slow.users);
}

#[tokio::test]
async fn a_hopelessly_slow_reader_is_told_to_resume() {
    let node = Node::lone(&NO_MESSAGE_LIMITS).await;
    let room = create_room(node.http).await;
    let mut slow = Client::join_narrow(node.http, &room, "slow", 4_096).await;
    let mut writer = Client::join(node.http, &room, "writer").await;
    let body = "x".repeat(HOPELESS_BYTES);
    for _ in 0..HOPELESS_MESSAGES / TOGETHER {
        let ids: Vec<_> = (0..TOGETHER).map(|_| Uuid::new_v4().to_string()).collect();
        for id in &ids {
            writer.send(id, &body).await;
        }
        let mut owed: BTreeSet<_> = ids.into_iter().collect();
        let all_acked = |frame: &Frame| {
            if let Frame::Ack { id, .. } = frame {
                owed.remove(id);
            }
            owed.is_empty().then_some(())
        };
        writer.until("all acks", all_acked).await;
    }
    assert_eq!(slow.until_closed().await, Some(4002));
    assert_eq!(figure(node.http, "starling_lagged_sessions_total").await, "1");
    let (slow, opening) = slow.resume(node.http).await;
    assert!(opening.resync, "more than can be replayed, but got {} messages", slow.messages.len());
}

/// One of a node's figures.
async fn figure(node: SocketAddr, name: &str) -> String {
    let answer = request(node, "GET", "/metrics", &[], b"").await.expect("an answer").text();
    let line = answer.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} is not in {answer}")).trim().to_owned()
}

/// Reads on until everything sent was received (`None`), or until the server ends it with a close code or without.
async fn read_until_closed(
    client: &mut Client,
    sent: &BTreeSet<String>,
    got: &mut BTreeSet<String>,
) -> Option<Option<u16>> {
    while !sent.is_subset(got) {
        match client.advance().await {
            Frame::Message(posted) => _ = got.insert(posted.id),
            Frame::Closed(code) => return Some(code),
            Frame::Resync { .. } => panic!("few enough messages, and a good cursor, but told to load afresh"),
            _ => {}
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_who_keep_reconnecting_under_load_lack_nothing() {
    let node = Node::lone(&NO_MESSAGE_LIMITS).await;
    let (http, room) = (node.http, create_room(node.http).await);
    let mut readers = JoinSet::new();
    for number in 0..READERS {
        let mut reader = Client::join(http, &room, &format!("reader {number}")).await;
        readers.spawn(async move {
            let mut got = BTreeSet::new();
            for _ in 0..RECONNECTS {
                (reader, _) = reader.resume(http).await;
                // Whatever was overlooked at the beginning would be covered by a cursor that comes later.
                reader.next_message().await;
                reader.until("a cursor", |frame| matches!(frame, Frame::Cursor { .. }).then_some(())).await;
                got.extend(reader.messages.iter().map(|message| message.id.clone()));
            }
            (reader, got)
        });
    }
    let mut writer = Client::join(http, &room, "writer").await;
    let mut sent = BTreeSet::new();
    let mut ended = Vec::new();
    while ended.len() < READERS {
        sent.insert(writer.post("something").await.0.id);
        // The readers share the machine with the node.
        tokio::time::sleep(WRITER_PAUSE).await;
        while let Some(reader) = readers.try_join_next() {
            ended.push(reader.expect("a reader keeps reconnecting"));
        }
    }
    for (mut reader, got) in ended {
        reader.until_message(&writer.post("last").await.0.body).await;
        let later: BTreeSet<_> = reader.messages.iter().map(|message| message.id.clone()).collect();
        let lacks = sent.iter().filter(|id| !got.contains(*id) && !later.contains(*id)).count();
        assert_eq!(
            lacks,
            0,
            "of {} messages {} lacks so many, after {RECONNECTS} resumes",
            sent.len(),
            reader.name
        );
    }
}

#[tokio::test]
async fn a_lone_node_whose_disk_was_rolled_back_says_so() {
    let mut node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    let mut ann = Client::join(node.http, &room, "Ann").await;
    let (old, _) = ann.post("on the old disk").await;
    let kept = node.beside("kept");
    assert_eq!(node.stop().await, Some(0));
    harness::folder::copy(&node.data_dir(), &kept);
    node.restart().await;
    let (mut ann, _) = ann.resume(node.http).await;
    ann.post("lost with the disk").await;
    ann.settle(1).await;
    node.kill9().await;
    harness::folder::put_back(&kept, &node.data_dir());
    node.restart().await;

    let (mut ann, opening) = ann.resume(node.http).await;
    assert!(opening.resync, "nothing said that messages are lost");
    assert_eq!(opening.bodies(), [&old.body]);
    assert!(opening.messages[0].history);
    let (new, _) = ann.post("on the disk of now").await;
    assert_eq!(list_all(node.http, &room).await, [old, new]);
    // The cursor given after the `resync` is good again.
    let marker = ann.settle(1).await;
    let (_, opening) = ann.resume(node.http).await;
    assert!(!opening.resync && opening.bodies().iter().all(|body| *body == marker), "{opening:?}");
}

#[tokio::test]
async fn a_cursor_that_cannot_be_read_leads_to_a_fresh_load() {
    let node = Node::lone(&[]).await;
    let [room, other] = [create_room(node.http).await, create_room(node.http).await];
    let mut writer = Client::join(node.http, &room, "writer").await;
    for number in 0..5 {
        writer.post(&number.to_string()).await;
    }
    let mut elsewhere = Client::join(node.http, &other, "reader").await;
    elsewhere.settle(1).await;
    let mut reader = Client::join(node.http, &room, "reader").await;
    reader.settle(1).await;
    let (mut own, after) = (reader.cursor.clone(), reader.after.clone());
    drop(reader);

    // One character in the middle is another one: the seal is broken.
    let middle = own.len() / 2;
    let turned = if own.as_bytes()[middle] == b'A' { "B" } else { "A" };
    own.replace_range(middle..=middle, turned);
    let long = "A".repeat(6_000);
    let cases = [
        ("nonsense", "nonsense"),
        ("characters that no cursor has", "%%% ü \n"),
        ("a broken seal", &own),
        ("longer than any cursor", &long),
        ("of another room", &elsewhere.cursor),
    ];
    for (at, (what, cursor)) in cases.into_iter().enumerate() {
        let listed = list_all(node.http, &room).await;
        let listed: Vec<_> = listed.iter().map(|message| message.body.as_str()).collect();
        let name = format!("reader {at}");
        let connected = Client::connect(node.http, &room, &name, Some(cursor), after.as_deref()).await;
        let mut client = connected.unwrap_or_else(|refused| panic!("{what}: {refused:?}"));
        let opening = client.opening().await;
        assert!(opening.resync, "{what}: nothing said that the cursor is of no use");
        assert_eq!(opening.bodies(), listed, "{what}");
        assert!(opening.messages.iter().all(|message| message.history), "{what}: {opening:?}");
        let marker = client.settle(1).await;
        let (_, opening) = client.resume(node.http).await;
        assert!(
            !opening.resync && opening.bodies().iter().all(|body| *body == marker),
            "{what}: {opening:?}"
        );
    }
}
