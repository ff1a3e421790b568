//! A client that moves to another node with its cursor gets exactly what it lacked, whatever happened meanwhile.
//! What happens when no node can know what it lacked is in `resync.rs`.

use std::collections::BTreeSet;

use harness::http::{create_room, list_all, request};
use harness::{Client, Cluster, Node, Opening, PATIENCE, Refused, eventually};
use uuid::Uuid;

#[tokio::test]
async fn exactly_what_was_missed_with_several_rooms_active() {
    let cluster = Cluster::start(3).await;
    let mut rooms = Vec::new();
    for _ in 0..3 {
        rooms.push(create_room(cluster[0].http).await);
    }
    let mut writers = Vec::new();
    for (node, room) in (0..3).flat_map(|node| rooms.iter().map(move |room| (node, room))) {
        writers.push(Client::join(cluster[node].http, room, &format!("writer on {node}")).await);
    }
    write_turns(&mut writers, "early", 0..5).await;
    let mut readers = Vec::new();
    for (node, room) in rooms.iter().enumerate() {
        let mut reader = Client::join(cluster[node].http, room, "reader").await;
        let marker = reader.settle(2).await;
        readers.push((reader, marker));
    }
    write_turns(&mut writers, "missed", 5..15).await;
    for (at, (reader, marker)) in readers.into_iter().enumerate() {
        let (mut reader, opening) = reader.resume(cluster[(at + 1) % 3].http).await;
        let expected: BTreeSet<_> =
            (0..3).flat_map(|node| (5..15).map(move |n| format!("missed {n} by writer on {node}"))).collect();
        assert_missed(&opening, &marker, &expected);
        // Nothing else comes before what is posted next.
        let (next, _) = writers[at].post("next").await;
        assert_eq!(reader.next_message().await, next);
    }
}

async fn write_turns(writers: &mut [Client], word: &str, turns: std::ops::Range<u32>) {
    for turn in turns {
        for writer in &mut *writers {
            let (_, copies) = writer.post(&format!("{word} {turn} by {}", writer.name)).await;
            assert!(copies >= 2, "{copies} copies while all nodes are well");
        }
    }
}

#[tokio::test]
async fn exactly_what_was_missed_when_the_first_node_is_dead() {
    let mut cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut writer = Client::join(cluster[1].http, &room, "writer").await;
    let mut reader = Client::join(cluster[0].http, &room, "reader").await;
    post_all(&mut writer, "early", 30, 2).await;
    let marker = reader.settle(2).await;
    cluster[0].kill9().await;
    let missed = post_all(&mut writer, "missed", 20, 2).await;
    let (_, opening) = reader.resume(cluster[2].http).await;
    assert_missed(&opening, &marker, &missed);
}

#[tokio::test]
async fn exactly_what_was_missed_when_its_origin_is_dead_for_good() {
    let mut cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut writer = Client::join(cluster[0].http, &room, "writer").await;
    let mut reader = Client::join(cluster[1].http, &room, "reader").await;
    post_all(&mut writer, "early", 30, 2).await;
    let marker = reader.settle(2).await;
    // The third node can learn of these from the second alone.
    cluster.cut(0, 2);
    let missed = post_all(&mut writer, "missed", 20, 2).await;
    cluster[0].kill9().await;
    let (mut reader, opening) = reader.resume(cluster[2].http).await;
    // The node may have learnt the last of it only after it let the reader in.
    while !missed.iter().all(|body| reader.bodies().contains(&body.as_str())) {
        reader.next().await;
    }
    let all = Opening { messages: reader.messages.clone(), resync: opening.resync };
    assert_missed(&all, &marker, &missed);
    let listed = list_all(cluster[2].http, &room).await;
    assert!(
        missed.iter().all(|body| listed.iter().filter(|message| message.body == *body).count() == 1),
        "{listed:?}"
    );
}

#[tokio::test]
async fn exactly_what_was_missed_when_the_first_node_lost_its_latest_writes() {
    let mut cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let kept = cluster[0].beside("kept");
    assert_eq!(cluster[0].stop().await, Some(0));
    harness::folder::copy(&cluster[0].data_dir(), &kept);
    cluster[0].restart().await;
    cluster.linked().await;
    let mut reader = Client::join(cluster[0].http, &room, "reader").await;
    let mut writer = Client::join(cluster[0].http, &room, "writer").await;
    let lost = post_all(&mut writer, "lost by its node", 30, 2).await;
    let marker = reader.settle(2).await;

    cluster[0].kill9().await;
    harness::folder::put_back(&kept, &cluster[0].data_dir());
    let mut writer = Client::join(cluster[1].http, &room, "another").await;
    let mut missed = post_all(&mut writer, "missed, elsewhere", 5, 2).await;
    cluster[0].restart().await;
    let mut writer = Client::join(cluster[0].http, &room, "third").await;
    missed.extend(post_all(&mut writer, "missed, here", 5, 2).await);

    let (_, opening) = reader.resume(cluster[0].http).await;
    assert_missed(&opening, &marker, &missed);
    let expected: BTreeSet<_> = lost.union(&missed).cloned().collect();
    eventually(PATIENCE, "all nodes list everything once", async || {
        for node in &cluster.nodes {
            let listed: Vec<_> = list_all(node.http, &room).await.into_iter().map(|m| m.body).collect();
            let ours: Vec<_> = listed.iter().filter(|body| !body.contains("marker")).cloned().collect();
            harness::same(&ours.len(), &expected.len())?;
            harness::same(&ours.into_iter().collect(), &expected)?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_first_welcome_covers_nothing() {
    let node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    let mut writer = Client::join(node.http, &room, "writer").await;
    let all = post_all(&mut writer, "all", 60, 1).await;
    let reader = Client::connect(node.http, &room, "reader", None, None).await.expect("a newcomer is let in");
    // It leaves having read nothing but the welcome.
    let (_, opening) = reader.resume(node.http).await;
    assert_missed(&opening, "", &all);
}

#[tokio::test]
async fn his_own_order_is_kept_over_nodes() {
    let cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut ann = Client::join(cluster[0].http, &room, "Ann").await;
    let mut sent = vec![ann.post("0").await.0];
    for number in 1..15 {
        // Without waiting for a new cursor: `after` alone says what was posted last.
        ann = ann.resume(cluster[number % 3].http).await.0;
        let (posted, _) = ann.post(&number.to_string()).await;
        assert!(posted.pos > sent[number - 1].pos, "{posted:?} after {:?}", sent[number - 1]);
        sent.push(posted);
    }
    assert_eq!(list_all(cluster[2].http, &room).await.len(), sent.len());
}

#[tokio::test]
async fn a_resend_on_another_node_is_the_same_message() {
    let cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut ann = Client::join(cluster[0].http, &room, "Ann").await;
    let mut bob = Client::join(cluster[2].http, &room, "Bob").await;
    let id = Uuid::new_v4().to_string();
    let (first, _) = ann.post_as(&id, "once").await;
    assert_eq!(ann.resend(&id, "once").await, Ok(first.pos.clone()), "on the same node");
    assert_eq!(ann.resend(&id, "twice").await, Err("id_reused".to_owned()), "on the same node");
    ann.settle(2).await;
    for node in [1, 2, 0] {
        (ann, _) = ann.resume(cluster[node].http).await;
        assert_eq!(ann.resend(&id, "once").await, Ok(first.pos.clone()), "on {node}");
        assert_eq!(ann.resend(&id, "twice").await, Err("id_reused".to_owned()), "on {node}");
    }
    let (last, _) = ann.post("last").await;
    bob.until_message("last").await;
    assert_eq!(bob.messages.iter().filter(|message| message.id == id).count(), 1);
    for node in &cluster.nodes {
        let listed = eventually(PATIENCE, "the last message is listed", async || {
            let listed = list_all(node.http, &room).await;
            if listed.last() == Some(&last) { Ok(listed) } else { Err(format!("{listed:?}")) }
        })
        .await;
        assert_eq!(listed.iter().filter(|message| message.body == "once").count(), 1, "{listed:?}");
        assert!(listed.iter().all(|message| message.body != "twice"), "{listed:?}");
    }
}

#[tokio::test]
async fn a_returning_guest_takes_his_name_over() {
    let cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut ann = Client::join(cluster[0].http, &room, "Ann").await;
    ann.settle(2).await;
    for (node, whose) in [(0, "the same node"), (1, "another node"), (0, "the first node again")] {
        let (cursor, after) = (ann.cursor.clone(), ann.after.clone());
        let returned =
            Client::connect(cluster[node].http, &room, "Ann", Some(&cursor), after.as_deref()).await;
        let mut returned = returned.unwrap_or_else(|refused| panic!("on {whose}: {refused:?}"));
        assert_eq!(returned.name, "Ann", "on {whose}");
        assert_eq!(ann.until_closed().await, Some(4001), "on {whose}");
        returned.opening().await;
        returned.settle(2).await;
        let stranger = Client::connect(cluster[node].http, &room, "ann", None, None).await.err();
        assert_eq!(stranger, Some(Refused { status: 409, code: "name_in_use".to_owned() }), "on {whose}");
        ann = returned;
    }
}

#[tokio::test]
async fn a_listing_is_not_older_than_the_cursor_sent_with_it() {
    let cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut ann = Client::join(cluster[0].http, &room, "Ann").await;
    cluster.cut(0, 2);
    for number in 0..5 {
        let (posted, _) = ann.post(&format!("number {number}")).await;
        ann.settle(2).await;
        let target = format!("/room-messages?roomID={room}&limit=200");
        let headers = [("x-starling-cursor", ann.cursor.as_str())];
        let answer = request(cluster[2].http, "GET", &target, &headers, b"").await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains(&posted.id), "{posted:?} is not in {}", answer.text());
    }
}

/// Posts `count` messages one after the other, each on so many nodes, and returns their bodies.
async fn post_all(writer: &mut Client, word: &str, count: usize, copies_wanted: u32) -> BTreeSet<String> {
    let mut bodies = BTreeSet::new();
    for number in 0..count {
        let body = format!("{word} {number}");
        let (_, copies) = writer.post(&body).await;
        assert!(copies >= copies_wanted, "{copies} copies of {body:?}");
        bodies.insert(body);
    }
    bodies
}

/// The replay is what was missed, each once and none of it as history; the marker may be in it or not.
#[track_caller]
fn assert_missed(opening: &Opening, marker: &str, expected: &BTreeSet<String>) {
    assert!(!opening.resync, "told to load afresh");
    assert!(opening.messages.iter().all(|message| !message.history), "replayed as history: {opening:?}");
    let mut bodies: Vec<_> = opening.bodies().into_iter().filter(|&body| body != marker).collect();
    bodies.sort_unstable();
    let mut expected: Vec<_> = expected.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(bodies, expected);
}
