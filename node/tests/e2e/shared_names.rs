//! Section 4, guest names: both sides of a split give one name to two guests. After it heals, everybody everywhere
//! sees one of them under the name and the other as `name~xx`, and the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use harness::browser::Browser;
use harness::http::{create_room, list_all};
use harness::{Client, Cluster, Frame, PATIENCE, Refused, eventually, same};
use serde_json::json;
use uuid::Uuid;

/// For the test with a browser: it takes some seconds, but a build machine may be busy with other things.
const BROWSER_DEADLINE: Duration = Duration::from_mins(1);

/// A client as a page keeps it: who is here as a set of names, and each message once, by its id.
struct Watcher {
    client: Client,
    me: String,
    here: BTreeSet<String>,
    /// Body → the name above it.
    shown: BTreeMap<String, String>,
}

impl Watcher {
    async fn join(cluster: &Cluster, node: usize, room: &str, name: &str) -> Self {
        let client = Client::connect(cluster[node].http, room, name, None, None).await;
        let watcher = Self::of(client.expect("the name is free on this side"));
        next_millisecond().await;
        watcher
    }

    async fn resume(self, cluster: &Cluster, node: usize) -> Self {
        let (client, _) = self.client.resume(cluster[node].http).await;
        Self { shown: self.shown, ..Self::of(client) }
    }

    fn of(client: Client) -> Self {
        let here = client.users.iter().cloned().collect();
        let shown = client.messages.iter().map(|message| (message.body.clone(), message.username.clone()));
        Self { me: client.name.clone(), here, shown: shown.collect(), client }
    }

    /// Reads until the page would show these people and these messages, with their names above them.
    async fn until(&mut self, here: &[&str], shown: &[(&str, &str)]) {
        let here: BTreeSet<_> = here.iter().map(|&name| name.to_owned()).collect();
        let shown: BTreeMap<_, _> = shown.iter().map(|&(b, name)| (b.to_owned(), name.to_owned())).collect();
        self.until_it(&format!("{here:?} and {shown:?}"), |it| it.here == here && it.shown == shown).await;
    }

    /// Posts and waits until the message is shown.
    async fn post(&mut self, body: &str) {
        self.client.send(&Uuid::new_v4().to_string(), body).await;
        self.until_it(body, |it| it.shown.contains_key(body)).await;
        next_millisecond().await;
    }

    async fn until_it(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        let mut renamed = false;
        while !is(self) {
            let seen = format!("{what}; now {:?} and {:?}", self.here, self.shown);
            match self.client.until(&seen, |frame| Some(frame.clone())).await {
                Frame::Message(posted) => {
                    self.shown.insert(posted.body, posted.username);
                }
                Frame::Left { username } => {
                    // One's own name is given up only for the one that is joined directly behind it.
                    renamed = username == self.me;
                    self.here.remove(&username);
                }
                Frame::Joined { username } => {
                    if std::mem::take(&mut renamed) {
                        self.me.clone_from(&username);
                    }
                    self.here.insert(username);
                }
                _ => {}
            }
        }
    }
}

/// Waits until new stamps are later than all earlier ones. Of two stamps that nodes which do not hear of each other give
/// in one millisecond either may be the greater.
async fn next_millisecond() {
    let now = || SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_millis());
    let before = now();
    eventually(PATIENCE, "the next millisecond", async || {
        let at = now();
        (at > before).then_some(()).ok_or_else(|| at.to_string())
    })
    .await;
}

/// Three nodes with a room, the last cut off from the others.
async fn split() -> (Cluster, String) {
    let cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    cluster.isolate(2);
    cluster.in_sync(0, 1).await;
    cluster.in_sync(2, 0).await;
    (cluster, room)
}

async fn heal(cluster: &Cluster) {
    cluster.rejoin(2);
    cluster.linked().await;
}

/// The suffixed name of one of two who are both called Ann, as the history of a node shows it above a message.
async fn name_above(cluster: &Cluster, room: &str, body: &str) -> String {
    eventually(PATIENCE, "a name with a suffix", async || {
        let listed = list_all(cluster[0].http, room).await;
        let message = listed.iter().find(|message| message.body == body);
        let name = message.map(|message| message.username.clone()).filter(|name| name.starts_with("Ann~"));
        name.ok_or_else(|| format!("{listed:?}"))
    })
    .await
}

/// The others in the room, as a node lists them to a visitor.
async fn people(node: SocketAddr, room: &str) -> Result<Vec<String>, String> {
    // The visitor before may not have left on this node yet.
    let visitor = Client::connect(node, room, "Visitor", None, None).await;
    let mut users = visitor.map_err(|refused| format!("{refused:?}"))?.users;
    users.retain(|user| user != "Visitor");
    Ok(users)
}

async fn is_shown_everywhere(cluster: &Cluster, room: &str, here: &[&str], shown: &[(&str, &str)]) {
    for node in &cluster.nodes {
        eventually(PATIENCE, &format!("{} shows the names", node.name), async || {
            let listed = list_all(node.http, room).await;
            let listed: Vec<_> = listed.iter().map(|m| (m.body.as_str(), m.username.as_str())).collect();
            same(&listed, &shown.to_vec())?;
            let people = people(node.http, room).await?;
            same(&people.iter().map(String::as_str).collect::<Vec<_>>(), &here.to_vec())
        })
        .await;
    }
}

#[tokio::test]
async fn of_two_guests_of_one_name_everybody_sees_the_same_one_bare() {
    let (cluster, room) = split().await;
    let mut early = Watcher::join(&cluster, 0, &room, "Ann").await;
    let mut bob = Watcher::join(&cluster, 0, &room, "Bob").await;
    let mut late = Watcher::join(&cluster, 2, &room, "Ann").await;
    let mut cid = Watcher::join(&cluster, 2, &room, "Cid").await;
    early.post("early 1").await;
    late.post("late 1").await;
    heal(&cluster).await;

    let suffixed = name_above(&cluster, &room, "late 1").await;
    let here = ["Ann", &suffixed, "Bob", "Cid"];
    let shown = [("early 1", "Ann"), ("late 1", &suffixed)];
    for watcher in [&mut early, &mut late, &mut bob, &mut cid] {
        watcher.until(&here, &shown).await;
    }
    assert_eq!((early.me.as_str(), late.me.as_str()), ("Ann", suffixed.as_str()));
    is_shown_everywhere(&cluster, &room, &here, &shown).await;
    let in_use = Refused { status: 409, code: "name_in_use".to_owned() };
    // Only the service adds a suffix.
    let malformed = Refused { status: 400, code: "bad_request".to_owned() };
    let upper = suffixed.to_uppercase();
    for (node, name, expected) in [
        (0, "Ann", &in_use),
        (1, "aNN", &in_use),
        (2, "Ann", &in_use),
        (0, &suffixed, &malformed),
        (1, &upper, &malformed),
    ] {
        let refused = Client::connect(cluster[node].http, &room, name, None, None).await.err();
        assert_eq!(refused.as_ref(), Some(expected), "{name:?} on {node}");
    }

    // Both come back with their cursors and keep their names, whoever is there.
    let mut late = late.resume(&cluster, 1).await;
    let mut early = early.resume(&cluster, 2).await;
    assert_eq!((early.me.as_str(), late.me.as_str()), ("Ann", suffixed.as_str()));
    late.post("late 2").await;
    early.post("early 2").await;
    let shown = [shown[0], shown[1], ("late 2", &suffixed), ("early 2", "Ann")];
    is_shown_everywhere(&cluster, &room, &here, &shown).await;
    // When the bare one leaves, nobody is renamed.
    drop(early);
    for watcher in [&mut late, &mut bob, &mut cid] {
        watcher.until(&here[1..], &shown).await;
    }
    is_shown_everywhere(&cluster, &room, &here[1..], &shown).await;
}

#[tokio::test]
async fn who_came_later_stays_the_later_though_he_speaks_first() {
    let (cluster, room) = split().await;
    let mut early = Watcher::join(&cluster, 2, &room, "Ann").await;
    let mut late = Watcher::join(&cluster, 0, &room, "Ann").await;
    heal(&cluster).await;
    let suffixed = eventually(PATIENCE, "a name with a suffix", async || {
        let people = people(cluster[1].http, &room).await?;
        let name = people.iter().find(|name| name.starts_with("Ann~")).cloned();
        name.ok_or_else(|| format!("{people:?}"))
    })
    .await;
    late.until(&["Ann", &suffixed], &[]).await;
    assert_eq!(late.me, suffixed);
    late.post("late").await;
    early.post("early").await;
    let shown = [("late", suffixed.as_str()), ("early", "Ann")];
    is_shown_everywhere(&cluster, &room, &["Ann", &suffixed], &shown).await;
    drop(early);
    drop(late);
    is_shown_everywhere(&cluster, &room, &[], &shown).await;
}

#[tokio::test]
async fn history_tells_guests_apart_who_were_gone_when_the_split_healed() {
    let (cluster, room) = split().await;
    let mut bob = Watcher::join(&cluster, 2, &room, "Bob").await;
    let mut early = Watcher::join(&cluster, 0, &room, "Ann").await;
    let mut late = Watcher::join(&cluster, 2, &room, "Ann").await;
    early.post("early 1").await;
    late.post("late").await;
    early.post("early 2").await;
    let shown = [("late", "Ann")];
    bob.until(&["Ann", "Bob"], &shown).await;
    drop(early);
    drop(late);
    bob.until(&["Bob"], &shown).await;
    heal(&cluster).await;
    let suffixed = name_above(&cluster, &room, "late").await;
    let shown = [("early 1", "Ann"), ("late", suffixed.as_str()), ("early 2", "Ann")];
    bob.until(&["Bob"], &shown).await;
    is_shown_everywhere(&cluster, &room, &["Bob"], &shown).await;
    // A name that nobody has any more is as good as new.
    let mut third = Watcher::join(&cluster, 1, &room, "Ann").await;
    third.post("third").await;
    let shown = [shown[0], shown[1], shown[2], ("third", "Ann")];
    is_shown_everywhere(&cluster, &room, &["Ann", "Bob"], &shown).await;
}

/// The page of the guest who is renamed: their messages stay their own, and the list marks them under the new name.
#[tokio::test]
async fn the_page_of_a_renamed_guest_knows_that_it_is_he() {
    let deadline = Instant::now() + BROWSER_DEADLINE;
    let (cluster, room) = split().await;
    let mut early = Watcher::join(&cluster, 0, &room, "Ann").await;
    early.post("early").await;
    let mut browser = Browser::start(deadline).await;
    let page = browser.open(1280, 800, false).await;
    browser.go(&page, &format!("http://{}/r/{room}", cluster[2].http)).await;
    browser.until(&page, "document.activeElement.id === 'name'").await;
    browser.write(&page, "Ann\n").await;
    browser
        .until(&page, "document.body.dataset.link === 'live' && document.body.dataset.view === 'chat'")
        .await;
    browser.value(&page, "document.querySelector('#body').focus()").await;
    browser.write(&page, "late\n").await;
    browser.until(&page, "document.querySelectorAll('.message.own[data-state=sent]').length === 1").await;
    heal(&cluster).await;
    let suffixed = name_above(&cluster, &room, "late").await;
    let names = "[...document.querySelectorAll('.message')].map((message) => \
        [message.querySelector('.name').textContent, message.classList.contains('own')])";
    let people = "[...document.querySelectorAll('.people li')].map((row) => \
        [row.textContent, row.classList.contains('self')])";
    for (shown, expected) in [
        (names, json!([["Ann", false], [suffixed, true]])),
        (people, json!([["Ann", false], [suffixed, true]])),
    ] {
        browser.until(&page, &format!("JSON.stringify({shown}) === '{expected}'")).await;
    }
    // A reload returns to the same seat.
    browser.value(&page, "window.old = true, location.reload()").await;
    browser.until(&page, "!window.old && document.body.dataset.link === 'live'").await;
    browser.value(&page, "document.querySelector('#body').focus()").await;
    browser.write(&page, "later\n").await;
    let expected = json!([["Ann", false], [suffixed, true], [suffixed, true]]);
    browser.until(&page, &format!("JSON.stringify({names}) === '{expected}'")).await;
    assert!(browser.errors().is_empty(), "the console says: {:#?}", browser.errors());
}
