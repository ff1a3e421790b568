//! Promise: while links are healthy exactly one of two registrations of a name succeeds; both sides of a split go on,
//! and afterwards everybody everywhere sees one winner, and the other under `name~xxxx`, who may choose a new name once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use starling_protocol::{UserId, Username, merge::user::suffixed_username};

use harness::account::{CHEAP_HASHES, PASSWORD, call, login};
use harness::http::Answer;
use harness::{Account, Cluster, Live, eventually, same};

/// Lifts the limits that one address, which makes all requests of a test, would exceed.
const UNLIMITED: [&str; 4] = ["--limit-registrations-per-address", "0", "--limit-logins-per-address", "0"];

/// For how long names are contested once both nodes are linked again: what is looked at, not waited for.
const CONTESTED_FOR: Duration = Duration::from_secs(5);
/// A claim waits for 4 s at most; the rest is the test machine's.
const CLAIM_MAX: Duration = Duration::from_secs(8);

async fn register(node: SocketAddr, name: &str, password: &str) -> Answer {
    call(node, "POST", "/register", None, Some(json!({"username": name, "password": password}))).await
}

#[tokio::test]
async fn of_two_simultaneous_registrations_of_a_name_exactly_one_succeeds() {
    let cluster = Cluster::start_with(3, &[&CHEAP_HASHES[..], &UNLIMITED[..]].concat()).await;
    for turn in 0..200 {
        let (one, other) = (cluster[turn % 3].http, cluster[(turn + 1) % 3].http);
        let name = format!("ann{turn}");
        let answers = tokio::join!(
            register(one, &name, "password of one"),
            register(other, &name, "password of other")
        );
        let mut statuses = [answers.0.status, answers.1.status];
        let passwords = if statuses[0] == 201 {
            ["password of one", "password of other"]
        } else {
            ["password of other", "password of one"]
        };
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "turn {turn}: {} {}", answers.0.text(), answers.1.text());
        let third = cluster[(turn + 2) % 3].http;
        assert_eq!(login(third, &name, passwords[0]).await.status, 200, "turn {turn}: the winner is in");
        assert_eq!(login(third, &name, passwords[1]).await.status, 401, "turn {turn}: the other never was");
    }
}

/// One name that is asked for on both nodes at once: when, and the status of each answer and how long it took.
struct Contest {
    begun: Instant,
    answers: [(u16, Duration); 2],
}

/// Contests one name after the other until it is told to stop.
async fn contest(nodes: [SocketAddr; 2], prefix: char, stop: Arc<AtomicBool>) -> Vec<Contest> {
    let mut contests = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (begun, name) = (Instant::now(), format!("{prefix}{}", contests.len()));
        let ask = async |node| (register(node, &name, PASSWORD).await.status, begun.elapsed());
        let (one, other) = tokio::join!(ask(nodes[0]), ask(nodes[1]));
        contests.push(Contest { begun, answers: [one, other] });
    }
    contests
}

/// The longest time through which one node answered nothing but 503.
fn longest_unavailable(contests: &[Contest], node: usize) -> Duration {
    let runs = contests.split(|contest| contest.answers[node].0 != 503);
    let lasted = |run: &[Contest]| match run {
        [first, .., last] => last.begun - first.begun,
        _ => Duration::ZERO,
    };
    runs.map(lasted).max().unwrap_or_default()
}

/// While two nodes are split and linked again names are contested all the time: as soon as each calls the other in sync
/// exactly one gets each, at no time does a node answer 503 for long, and no answer takes longer than 4 s.
#[tokio::test]
async fn names_contested_while_a_split_heals_are_given_once() {
    let cluster = Cluster::start_with(2, &[&CHEAP_HASHES[..], &UNLIMITED[..]].concat()).await;
    let nodes = [0, 1].map(|node| cluster[node].http);
    let stop = Arc::new(AtomicBool::new(false));
    let contesting: Vec<_> =
        "abcd".chars().map(|prefix| tokio::spawn(contest(nodes, prefix, Arc::clone(&stop)))).collect();
    cluster.isolate(0);
    for node in [0, 1] {
        cluster.in_sync(node, 0).await;
    }
    cluster.rejoin(0);
    cluster.linked().await;
    let linked = Instant::now();
    tokio::time::sleep(CONTESTED_FOR).await;
    stop.store(true, Ordering::Relaxed);
    let (mut before, mut after) = (0, 0);
    for contests in contesting {
        let contests = contests.await.expect("it does not panic");
        for Contest { begun, answers } in &contests {
            let mut statuses = answers.map(|(status, _)| status);
            statuses.sort_unstable();
            if *begun > linked {
                // A node that was suspended for a second says 503, which may not last; see below.
                let once = statuses == [201, 409] || statuses[1] == 503 && statuses[0] != 503;
                assert!(once, "{statuses:?} {:?} after both were linked", *begun - linked);
                after += usize::from(statuses == [201, 409]);
            }
            before += usize::from(statuses == [201, 201]);
            let longest = answers.iter().map(|(_, took)| *took).max().expect("there are two");
            assert!(longest < CLAIM_MAX, "an answer took {longest:?}");
        }
        for node in [0, 1] {
            let lasted = longest_unavailable(&contests, node);
            assert!(lasted < Duration::from_secs(1), "node {node} answered 503 for {lasted:?}");
        }
    }
    assert!(before > 0, "both sides of a split register");
    assert!(after > 20, "only {after} names were contested after it");
}

#[tokio::test]
async fn both_sides_of_a_split_register_a_name_and_afterwards_it_is_one_ones() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let nodes = [0, 1].map(|node| cluster[node].http);
    let room = json!({"name": "hall", "visibility": "public"});
    let room = Account::register(nodes[0], "host").await.call(nodes[0], "POST", "/rooms", Some(room)).await;
    let room = room.json()["id"].as_str().expect("it was made").to_owned();
    cluster.isolate(0);
    for node in [0, 1] {
        cluster.in_sync(node, 0).await;
    }
    let passwords = ["password of one", "password of other"];
    let (mut people, mut sockets) = (Vec::new(), Vec::new());
    for (node, password) in nodes.into_iter().zip(passwords) {
        let person = Account::of(&register(node, "ann", password).await, 201);
        assert_eq!(person.call(node, "POST", &format!("/rooms/{room}/join"), None).await.status, 200);
        let said = Some(json!({"body": format!("says {}", person.id)}));
        let said = person.call(node, "POST", &format!("/rooms/{room}/messages"), said).await;
        assert_eq!(
            (said.status, &said.json()["sender"]["username"]),
            (201, &json!("ann")),
            "{}",
            said.text()
        );
        sockets.push(Live::join(node, &person.access).await);
        people.push(person);
    }
    cluster.rejoin(0);
    cluster.linked().await;
    let shown = async |node: SocketAddr| {
        let mut shown = Vec::new();
        for person in &people {
            shown.push(person.call(node, "GET", "/me", None).await.json());
        }
        shown
    };
    let [first, second] = eventually(Duration::from_secs(20), "both see both", async || {
        let (here, there) = (shown(nodes[0]).await, shown(nodes[1]).await);
        same(&here, &there)?;
        let renamed = here.iter().filter(|me| me["renamed"] == true).count();
        same(&renamed, &1).map(|()| [here[0].clone(), here[1].clone()])
    })
    .await;
    let loser = usize::from(second["renamed"] == true);
    let (winner_shown, loser_shown) = if loser == 1 { (&first, &second) } else { (&second, &first) };
    let new_name = loser_shown["username"].as_str().expect("it has a name").to_owned();
    let told = sockets[loser].until_type("welcome").await;
    assert_eq!(told["user"]["username"], new_name.as_str(), "they are told their name: {told}");
    assert_eq!(winner_shown["username"], "ann");
    assert!(new_name.starts_with("ann~") && new_name.len() == 8, "{new_name}");
    // Both log in under the old name, each with their own password; the renamed one under the new name, too.
    for node in nodes {
        for (at, password) in passwords.into_iter().enumerate() {
            let account = Account::of(&login(node, "ann", password).await, 200);
            assert_eq!(account.id, people[at].id);
        }
        assert_eq!(Account::of(&login(node, &new_name, passwords[loser]).await, 200).id, people[loser].id);
        assert_eq!(login(node, &new_name, passwords[1 - loser]).await.status, 401);
        // Who has the name is not meant by any other.
        let winner = &people[1 - loser];
        let id = UserId::parse(&winner.id).expect("an id").expect("of a user");
        let nobodys = suffixed_username(&Username::parse("ann").expect("a name"), id);
        assert_eq!(login(node, &nobodys, passwords[1 - loser]).await.status, 401, "{nobodys}");
        assert_eq!(register(node, "ann", "of a third").await.code(), "username_taken");
    }
    are_attributed(&people, &room, nodes, [&first, &second].map(|shown| &shown["username"])).await;
    chooses(&people[loser], &people[1 - loser], nodes, passwords[loser]).await;
}

/// Promise: what each posted before they knew of each other is shown as theirs, under the name that they have now.
async fn are_attributed(people: &[Account], room: &str, nodes: [SocketAddr; 2], names: [&Value; 2]) {
    for node in nodes {
        let page = people[0].call(node, "GET", &format!("/rooms/{room}/messages"), None).await.json();
        let items = page["items"].as_array().expect("it is a list");
        assert_eq!(items.len(), people.len(), "{page}");
        for (person, name) in people.iter().zip(names) {
            let said = items.iter().find(|item| item["body"] == format!("says {}", person.id));
            let sender = said.map(|said| (&said["sender"]["id"], &said["sender"]["username"]));
            assert_eq!(sender, Some((&json!(person.id), name)), "{page}");
        }
    }
}

/// The renamed one chooses a name, once.
async fn chooses(loser: &Account, winner: &Account, nodes: [SocketAddr; 2], password: &str) {
    let choose = async |who: &Account, at: usize, name: &str| {
        who.call(nodes[at], "PATCH", "/me", Some(json!({"username": name}))).await
    };
    Account::register(nodes[0], "bob").await;
    assert_eq!(choose(winner, 0, "ann2").await.code(), "forbidden");
    assert_eq!(choose(loser, 0, "bob").await.code(), "username_taken");
    assert_eq!(choose(loser, 1, "ann").await.code(), "username_taken");
    let chosen = choose(loser, 1, "Ann2").await;
    assert_eq!((chosen.status, &chosen.json()["username"]), (200, &json!("ann2")), "{}", chosen.text());
    assert_eq!(chosen.json()["renamed"], Value::Bool(false));
    assert_eq!(choose(loser, 0, "ann3").await.code(), "forbidden");
    assert_eq!(choose(loser, 0, "ann2").await.status, 200, "they may ask for the name that they have");
    for node in nodes {
        assert_eq!(Account::of(&login(node, "ann2", password).await, 200).id, loser.id);
        assert_eq!(login(node, "ann", password).await.status, 401, "they have another name now");
        assert_eq!(register(node, "ann2", "of a third").await.code(), "username_taken");
    }
}

#[tokio::test]
async fn a_deleted_accounts_name_is_not_given_away_again() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let nodes = [0, 1].map(|node| cluster[node].http);
    let ann = Account::register(nodes[0], "ann").await;
    let delete =
        async |password: &str| ann.call(nodes[1], "DELETE", "/me", Some(json!({"password": password}))).await;
    assert_eq!(delete("wrong horse").await.code(), "bad_credentials");
    assert_eq!(delete(PASSWORD).await.status, 204);
    for node in nodes {
        assert_eq!(ann.status(node).await, 401);
        assert_eq!(login(node, "ann", PASSWORD).await.code(), "bad_credentials");
        assert_eq!(register(node, "ann", PASSWORD).await.code(), "username_taken");
        let refused = call(node, "POST", "/refresh", None, Some(json!({"refresh_token": ann.refresh}))).await;
        assert_eq!(refused.status, 401);
    }
}
