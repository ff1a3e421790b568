//! Three real nodes that serve one quick room: what is posted, who is there, and what a leaving node hands over.
//! Each test is named after the promise that it guards.

use std::{collections::BTreeSet, time::Duration};

use harness::http::{create_room, list_all, room_exists};
use harness::proxy::Rule;
use harness::{Client, Cluster, Frame, PATIENCE, Refused, eventually, http, same};

#[tokio::test]
async fn a_message_posted_on_any_node_is_delivered_on_all_exactly_once() {
    const EACH: usize = 20;
    let cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut clients = Vec::new();
    for node in &cluster.nodes {
        clients.push(Client::join(node.http, &room, &format!("on {}", node.name)).await);
    }
    for number in 0..EACH {
        for client in &mut clients {
            let body = format!("{} {number}", client.name);
            client.send(&uuid::Uuid::new_v4().to_string(), &body).await;
        }
    }
    let expected: BTreeSet<_> =
        clients.iter().flat_map(|c| (0..EACH).map(|number| format!("{} {number}", c.name))).collect();
    let mut lasts = Vec::new();
    for client in &mut clients {
        let mut got = BTreeSet::new();
        client
            .until("every message", |frame| {
                if let Frame::Message(posted) = frame {
                    assert!(got.insert(posted.body.clone()), "{:?} came twice", posted.body);
                }
                (got == expected).then_some(())
            })
            .await;
        lasts.push(client.post(&format!("last of {}", client.name)).await.0);
    }
    // Whatever came twice would have come before each node's last post.
    for client in &mut clients {
        for last in &lasts {
            if !client.messages.contains(last) {
                client.until_message(&last.body).await;
            }
        }
        assert_eq!(client.messages.len(), expected.len() + lasts.len(), "{:?}", client.bodies());
    }
    let listed = list_all(cluster[0].http, &room).await;
    assert_eq!(listed.len(), expected.len() + lasts.len());
    for node in &cluster.nodes[1..] {
        assert_eq!(list_all(node.http, &room).await, listed);
    }
}

#[tokio::test]
async fn a_room_exists_everywhere_when_its_creation_is_answered() {
    let cluster = Cluster::start(3).await;
    for turn in 0..30 {
        let room = create_room(cluster[turn % 3].http).await;
        for node in &cluster.nodes {
            assert!(room_exists(node.http, &room).await, "turn {turn}: {room} is unknown on {}", node.name);
        }
    }
}

/// 'No' is only said after catching up: a node that begins with an empty directory knows no room at first.
#[tokio::test]
async fn a_starting_node_never_denies_a_room_that_exists() {
    let mut cluster = Cluster::prepare(2, 0).await;
    cluster.start_first(1).await;
    let room = create_room(cluster[0].http).await;
    // Far away, so that catching up takes longer than asking.
    let far = Rule { delay: Duration::from_millis(150), ..Rule::default() };
    cluster.network.set(0, 1, far);
    cluster[1].start();
    let target = format!("/room-exists?roomID={room}");
    eventually(PATIENCE, "the new node knows the room", async || {
        let answer = http::get(cluster[1].http, &target).await.map_err(|error| error.to_string())?;
        assert!([200, 503].contains(&answer.status), "{} {}", answer.status, answer.text());
        if answer.status == 503 {
            return Err(answer.text());
        }
        assert_eq!(answer.json()["exists"], true);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn everybody_sees_who_is_there_across_nodes() {
    let cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut ann = Client::join(cluster[0].http, &room, "Ann").await;
    let mut bob = Client::join(cluster[1].http, &room, "Bob").await;
    ann.until("Bob's coming", |frame| joined(frame, "Bob")).await;
    let mut cid = Client::join(cluster[2].http, &room, "Cid").await;
    // The third node may hear of Bob a little later than the first.
    for name in ["Ann", "Bob"] {
        if !cid.users.iter().any(|user| user == name) {
            cid.until("who is there", |frame| joined(frame, name)).await;
        }
    }
    ann.until("Cid's coming", |frame| joined(frame, "Cid")).await;
    bob.until("Cid's coming", |frame| joined(frame, "Cid")).await;
    drop(cid);
    ann.until("Cid's leaving", |frame| left(frame, "Cid")).await;
    bob.until("Cid's leaving", |frame| left(frame, "Cid")).await;
    let late = Client::join(cluster[2].http, &room, "Late").await;
    assert!(!late.users.iter().any(|user| user == "Cid"), "{:?}", late.users);
}

#[tokio::test]
async fn a_name_in_use_is_refused_on_every_node() {
    let cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut witness = Client::join(cluster[1].http, &room, "Witness").await;
    let annie = Client::join(cluster[0].http, &room, "Ännie").await;
    witness.until("Ännie's coming", |frame| joined(frame, "Ännie")).await;
    let in_use = Refused { status: 409, code: "name_in_use".to_owned() };
    for (at, name) in [(0, "Ännie"), (0, "äNNIE"), (1, "Ännie"), (1, "ÄNNIE"), (1, " ännie ")] {
        let refused = Client::connect(cluster[at].http, &room, name, None, None).await.err();
        assert_eq!(refused.as_ref(), Some(&in_use), "{name:?} on {at}");
    }
    drop(annie);
    eventually(PATIENCE, "the name is free again", async || {
        let joined = Client::connect(cluster[1].http, &room, "ännie", None, None).await;
        joined.map(drop).map_err(|refused| format!("{refused:?}"))
    })
    .await;
}

#[tokio::test]
async fn an_ack_counts_the_copies_truthfully() {
    let mut cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut ann = Client::join(cluster[0].http, &room, "Ann").await;
    for number in 0..20 {
        let (_, copies) = ann.post(&format!("with all nodes {number}")).await;
        assert!((2..=3).contains(&copies), "{copies} copies");
    }
    cluster[1].kill9().await;
    cluster[2].kill9().await;
    let (_, copies) = ann.post("alone").await;
    assert_eq!(copies, 1);
}

#[tokio::test]
async fn a_leaving_node_hands_its_sessions_over() {
    let mut cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut ann = Client::join(cluster[0].http, &room, "Ann").await;
    let mut bob = Client::join(cluster[1].http, &room, "Bob").await;
    let mut cid = Client::join(cluster[2].http, &room, "Cid").await;
    ann.post("before").await;
    let marker = ann.settle(2).await;
    cluster[0].ask_to_stop();
    assert_eq!(ann.until_closed().await, Some(1001));
    bob.post("after").await;
    cid.until_message("after").await;
    assert_eq!(cluster[0].wait_exit().await.code(), Some(0));
    let (mut ann, opening) = ann.resume(cluster[2].http).await;
    let missed: Vec<_> = opening.bodies().into_iter().filter(|&body| body != marker).collect();
    assert_eq!((missed, opening.resync), (vec!["after"], false));
    ann.post("from elsewhere").await;
    bob.until_message("from elsewhere").await;
    cluster[0].restart().await;
    eventually(PATIENCE, "the returned node has it all", async || {
        let [here, there] = [list_all(cluster[0].http, &room).await, list_all(cluster[1].http, &room).await];
        same(&here, &there)
    })
    .await;
}

#[tokio::test]
async fn a_hanging_node_holds_nobody_up_and_catches_up() {
    let cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut ann = Client::join(cluster[0].http, &room, "Ann").await;
    let mut cid = Client::join(cluster[2].http, &room, "Cid").await;
    cluster[2].pause();
    for number in 0..20 {
        let (_, copies) = ann.post(&format!("while it hangs {number}")).await;
        assert_eq!(copies, 2);
    }
    let slept = create_room(cluster[1].http).await;
    assert!(room_exists(cluster[0].http, &slept).await);
    cluster[2].resume();
    let arrived = eventually(PATIENCE, "the woken node has it all", async || {
        let [here, there] = [list_all(cluster[2].http, &room).await, list_all(cluster[0].http, &room).await];
        same(&here, &there).map(|()| here)
    })
    .await;
    let expected: Vec<_> = (0..20).map(|number| format!("while it hangs {number}")).collect();
    assert_eq!(
        arrived.iter().map(|message| &message.body).collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
    // Its session lived on, and lacks nothing either.
    if !cid.bodies().contains(&"while it hangs 19") {
        cid.until_message("while it hangs 19").await;
    }
    assert_eq!(cid.bodies(), expected);
    assert!(room_exists(cluster[2].http, &slept).await);
}

fn joined(frame: &Frame, name: &str) -> Option<()> {
    matches!(frame, Frame::Joined { username } if username == name).then_some(())
}

fn left(frame: &Frame, name: &str) -> Option<()> {
    matches!(frame, Frame::Left { username } if username == name).then_some(())
}
