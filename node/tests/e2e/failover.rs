//! The users of a node keep their messages and places when it is killed, with or without its disk. How soon they go on is measured by
//! `benches/failover.rs`; each test is named after the promise that it guards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use harness::http::{create_room, list_all, try_list_all};
use harness::{Client, Cluster, Frame, PATIENCE, eventually};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// Presence of a crashed node's users ends within this on every other node.
const GHOSTS_GONE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn guests_of_any_killed_node_go_on_elsewhere_under_their_own_names() {
    const GUESTS: usize = 6;
    let mut cluster = Cluster::start(3).await;
    for killed in 0..3 {
        let others = [(killed + 1) % 3, (killed + 2) % 3];
        let room = create_room(cluster[killed].http).await;
        let mut writer = Client::join(cluster[others[0]].http, &room, "Writer").await;
        let mut guests = Vec::new();
        for number in 0..GUESTS {
            let mut guest = Client::join(cluster[killed].http, &room, &format!("Guest {number}")).await;
            let (said, copies) = guest.post(&format!("said by {number}")).await;
            assert!(copies >= 2, "{copies} copies while all nodes are well");
            guests.push((guest, said));
        }
        for (guest, _) in &mut guests {
            guest.settle(2).await;
        }
        cluster[killed].kill9().await;
        let mut missed = BTreeSet::new();
        for number in 0..10 {
            missed.insert(writer.post(&format!("missed {number}")).await.0.body);
        }
        let (mut said, mut back) = (Vec::new(), Vec::new());
        for (number, (guest, before)) in guests.into_iter().enumerate() {
            let shown: BTreeSet<_> = guest.messages.iter().map(|posted| posted.id.clone()).collect();
            let (mut guest, opening) = guest.resume(cluster[others[number % 2]].http).await;
            assert!(!opening.resync);
            let name = format!("Guest {number}");
            assert_eq!(guest.name, name, "shown under their own name");
            // Messages that others posted later, or after they came back, are new to them too.
            let new: Vec<_> =
                opening.messages.iter().filter(|posted| missed.contains(&posted.body)).collect();
            assert_eq!(new.len(), missed.len(), "exactly once each: {new:?}");
            let again = opening.messages.iter().filter(|posted| shown.contains(&posted.id)).count();
            assert!(
                again <= 1,
                "all but their last marker was covered by their cursor: {:?}",
                opening.bodies()
            );
            let (posted, _) = guest.post(&format!("{name} goes on")).await;
            assert_eq!((&posted.username, posted.guest), (&name, true));
            assert!(posted.pos > before.pos, "their own order is kept");
            said.extend([before.body, posted.body]);
            back.push(guest);
        }
        for other in others {
            let newcomer = Client::join(cluster[other].http, &room, &format!("Newcomer {other}")).await;
            for number in 0..GUESTS {
                let name = format!("Guest {number}");
                let times = newcomer.users.iter().filter(|&user| *user == name).count();
                assert_eq!(times, 1, "{name} on {}: {:?}", cluster[other].name, newcomer.users);
            }
        }
        cluster[killed].restart().await;
        cluster.linked().await;
        for node in &cluster.nodes {
            let listed: Vec<_> =
                list_all(node.http, &room).await.into_iter().map(|posted| posted.body).collect();
            for body in said.iter().chain(&missed) {
                assert_eq!(
                    listed.iter().filter(|&listed| listed == body).count(),
                    1,
                    "{body:?} in {listed:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn users_of_a_killed_node_who_stay_away_are_gone_on_all_others_within_5_s() {
    const GUESTS: usize = 5;
    let mut cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut witnesses = Vec::new();
    for node in [0, 1] {
        witnesses.push(Client::join(cluster[node].http, &room, &format!("Witness {node}")).await);
    }
    let mut ghosts = Vec::new();
    for number in 0..GUESTS {
        let ghost = Client::join(cluster[2].http, &room, &format!("Ghost {number}")).await;
        for witness in &mut witnesses {
            witness.until("that they joined", |frame| joined(frame, &ghost.name)).await;
        }
        ghosts.push(ghost);
    }
    // Nothing is said in the room: it is the silence itself that must be noticed.
    let deadline = Instant::now() + GHOSTS_GONE;
    cluster[2].kill9().await;
    for (node, witness) in witnesses.iter_mut().enumerate() {
        let mut there: BTreeSet<_> = ghosts.iter().map(|ghost| ghost.name.clone()).collect();
        let gone = witness.until("the ghosts' leaving", |frame| {
            if let Frame::Left { username } = frame {
                there.remove(username);
            }
            there.is_empty().then_some(())
        });
        timeout_at(deadline, gone).await.expect("presence of a crashed node's users ends within 5 s");
        let late = Client::join(cluster[node].http, &room, &format!("Late {node}")).await;
        assert!(!late.users.iter().any(|user| user.starts_with("Ghost")), "{:?}", late.users);
    }
}

#[tokio::test]
async fn what_was_acked_with_2_copies_outlives_a_node_and_its_disk() {
    const SENDERS: usize = 3;
    const ACKED: usize = 600;
    let mut cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    // The second copy is on the second node alone; the third is to have it from there.
    cluster.cut(0, 2);
    cluster.in_sync(0, 1).await;
    let count = watch::Sender::new(0);
    let mut senders = JoinSet::new();
    for number in 0..SENDERS {
        let client = Client::join(cluster[0].http, &room, &format!("Sender {number}")).await;
        senders.spawn(post_until_closed(client, count.clone()));
    }
    let mut counted = count.subscribe();
    counted.wait_for(|&count| count >= ACKED).await.expect("the sender is in this test");
    cluster[0].kill9().await;
    let acked: BTreeMap<_, _> = senders.join_all().await.into_iter().flatten().collect();
    fs::remove_dir_all(cluster[0].data_dir()).expect("a dead node's directory can be removed");

    let safe: BTreeSet<_> =
        acked.iter().filter(|&(_, &copies)| copies >= 2).map(|(id, _)| id.clone()).collect();
    assert!(safe.len() >= ACKED / 2, "{} of {} acked with 2 copies", safe.len(), acked.len());
    all_list(&cluster, &room, &[1, 2], &safe).await;
    cluster.heal(0, 2);
    cluster[0].restart().await;
    all_list(&cluster, &room, &[0, 1, 2], &safe).await;
}

/// Posts without waiting for acks until the node dies; returns the copies that each first ack told.
async fn post_until_closed(mut client: Client, count: watch::Sender<usize>) -> BTreeMap<String, u32> {
    const IN_FLIGHT: usize = 16;
    let mut sent = 0;
    let mut acked = BTreeMap::new();
    loop {
        while sent - acked.len() < IN_FLIGHT {
            let frame = harness::client::post_frame(&Uuid::new_v4().to_string(), "to be kept");
            if client.try_send(frame).await.is_err() {
                return acked;
            }
            sent += 1;
        }
        match client.advance().await {
            Frame::Ack { id, copies, .. } if !acked.contains_key(&id) => {
                acked.insert(id, copies);
                count.send_modify(|count| *count += 1);
            }
            Frame::Closed(_) => return acked,
            Frame::Error { code, detail, .. } => panic!("{code} {detail}"),
            _ => {}
        }
    }
}

async fn all_list(cluster: &Cluster, room: &str, nodes: &[usize], wanted: &BTreeSet<String>) {
    for &node in nodes {
        let node: &harness::Node = &cluster[node];
        eventually(PATIENCE, &format!("{} lists all that was acked with 2 copies", node.name), async || {
            lacks_none(node.http, room, wanted).await
        })
        .await;
    }
}

async fn lacks_none(node: SocketAddr, room: &str, wanted: &BTreeSet<String>) -> Result<(), String> {
    let listed = try_list_all(node, room).await.map_err(|error| error.to_string())?;
    let listed: BTreeSet<_> = listed.into_iter().map(|posted| posted.id).collect();
    let lacking = wanted.difference(&listed).count();
    if lacking == 0 { Ok(()) } else { Err(format!("{lacking} of {} are missing", wanted.len())) }
}

fn joined(frame: &Frame, name: &str) -> Option<()> {
    matches!(frame, Frame::Joined { username } if username == name).then_some(())
}
