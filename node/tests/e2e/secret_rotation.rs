//! The rotation of the cluster's secret over real nodes: links, sessions and cursors go on, the old secret is refused afterwards,
//! and an operator who errs is told so.

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use harness::{
    Account, Live, Node, PATIENCE,
    account::{CHEAP_HASHES, NONE, PASSWORD, call},
    cluster::new_secret,
    eventually, http,
    process::{Ended, free_port, run, starling},
    same,
    visitor::{Visitor, sent_to},
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::interval};

/// Promise: no pair of nodes is without a link for longer.
const NO_LINK_MAX: Duration = Duration::from_secs(5);

/// The interval of posts, and of looks at the links: each is a connection, and a node has so many for one address.
const LOAD_EVERY: Duration = Duration::from_millis(20);

/// Writes the secret file of a node, as an editor does that moves a finished file into place.
fn give(node: &Node, secrets: &[&str]) {
    let (file, unfinished) = (node.beside("secret"), node.beside("secret.new"));
    fs::write(&unfinished, secrets.join("\n") + "\n").unwrap();
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600)).unwrap();
    fs::rename(unfinished, file).unwrap();
}

/// Starts nodes that read one secret from a file each, and waits until all are in sync.
async fn cluster(count: usize, secret: &str) -> Vec<Node> {
    let listens: Vec<_> = (0..count).map(|_| format!("127.0.0.1:{}", free_port())).collect();
    let mut nodes: Vec<_> =
        (0..count).map(|at| member(&format!("node {at}"), &listens[at], &listens)).collect();
    for node in &mut nodes {
        give(node, &[secret]);
        node.start();
    }
    for node in &mut nodes {
        node.wait_ready().await;
    }
    for node in &nodes {
        in_sync(node, count - 1).await;
    }
    nodes
}

fn member(name: &str, listen: &str, join: &[String]) -> Node {
    let mut node = Node::new(name, &CHEAP_HASHES);
    let file = node.beside("secret").display().to_string();
    node.add_args(&["--cluster-secret-file", &file, "--cluster-listen", listen]);
    for join in join.iter().filter(|join| *join != listen) {
        node.add_args(&["--join", join]);
    }
    node
}

/// In how many of its series a gauge of a node is 1.
async fn ones(node: &Node, gauge: &str) -> Result<usize, String> {
    let metrics = http::get(node.http, "/metrics").await.map_err(|error| error.to_string())?.text();
    Ok(metrics.lines().filter(|line| line.starts_with(gauge) && line.ends_with(" 1")).count())
}

async fn in_sync(node: &Node, peers: usize) {
    eventually(PATIENCE * 3, &format!("{} is in sync with {peers}", node.name), async || {
        same(&ones(node, "starling_peer_in_sync{").await?, &peers)
    })
    .await;
}

/// Waits until the status of a node tells this of the rotation; an empty text stands for none.
async fn tells(node: &Node, text: &str) {
    eventually(PATIENCE * 3, &format!("the status of {} tells {text:?}", node.name), async || {
        let status = node.status().await?;
        let rotation = status["rotation"].as_str().unwrap_or_default();
        let told = if text.is_empty() { rotation.is_empty() } else { rotation.contains(text) };
        if told { Ok(()) } else { Err(rotation.to_owned()) }
    })
    .await;
}

async fn id_of(node: &Node) -> String {
    node.status().await.unwrap()["node"].as_str().unwrap().to_owned()
}

/// Runs `starling cluster secret rotate` at a node.
async fn rotate(node: &Node, more: &[&str]) -> Ended {
    let mut command = starling(&["cluster", "secret", "rotate", "--data-dir"]);
    command.arg(node.data_dir()).args(more);
    run(command).await
}

/// Starts `starling cluster secret rotate`, which will wait.
fn begin_rotate(node: &Node) -> Child {
    let mut command = starling(&["cluster", "secret", "rotate", "--data-dir"]);
    command.arg(node.data_dir()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The log of a node.
fn log(node: &Node) -> String {
    fs::read_to_string(node.beside("stderr")).unwrap_or_default()
}

/// Posts and looks at links until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    posts: JoinHandle<Vec<String>>,
    links: JoinHandle<Duration>,
}

impl Load {
    fn start(nodes: &[Node], account: &Account, room: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let https: Vec<_> = nodes.iter().map(|node| node.http).collect();
        let (stopped, mut account) = (Arc::clone(&stop), account.clone());
        let target = format!("/rooms/{room}/messages");
        let at = https.clone();
        let posts = tokio::spawn(async move {
            let (mut ids, mut every) = (Vec::new(), interval(LOAD_EVERY));
            while !stopped.load(Ordering::Relaxed) {
                every.tick().await;
                let node = at[ids.len() % at.len()];
                let body = json!({"body": format!("under load {}", ids.len())});
                let answer = account.call(node, "POST", &target, Some(body)).await;
                if answer.status == 401 {
                    // As every client does: its access token was made under a secret that the node lacks now.
                    account = refreshed(node, &account).await;
                } else {
                    assert_eq!(answer.status, 201, "{}", answer.text());
                    ids.push(answer.json()["id"].as_str().unwrap().to_owned());
                }
            }
            ids
        });
        let stopped = Arc::clone(&stop);
        // The longest time for which some node had not all links.
        let links = tokio::spawn(async move {
            let (mut longest, mut whole_at) = (Duration::ZERO, Instant::now());
            let mut every = interval(LOAD_EVERY);
            while !stopped.load(Ordering::Relaxed) {
                every.tick().await;
                let wanted = format!("starling_peers_linked {}", https.len() - 1);
                let mut whole = true;
                for &node in &https {
                    let metrics = http::get(node, "/metrics").await.unwrap().text();
                    whole &= metrics.lines().any(|line| line == wanted);
                }
                longest = longest.max(whole_at.elapsed());
                if whole {
                    whole_at = Instant::now();
                }
            }
            longest
        });
        Self { stop, posts, links }
    }

    /// Returns the posts, and the longest time without all links.
    async fn end(self) -> (Vec<String>, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        (self.posts.await.unwrap(), self.links.await.unwrap())
    }
}

/// The same login with new tokens.
async fn refreshed(node: SocketAddr, account: &Account) -> Account {
    let refresh = Some(json!({"refresh_token": account.refresh}));
    Account::of(&call(node, "POST", "/refresh", None, refresh).await, 200)
}

/// The login of a program and of a browser, and a cursor.
struct Sessions {
    program: Account,
    cookie: String,
    cursor: String,
}

impl Sessions {
    async fn begin(node: &Node, name: &str) -> Self {
        let mut browser = Visitor::at(node.http);
        sent_to(&browser.submit("/login", &[("username", name), ("password", PASSWORD)]).await);
        let program = Account::login(node.http, name).await;
        let cursor = Live::join(node.http, &program.access).await.cursor;
        Self { program, cookie: browser.cookie.unwrap(), cursor }
    }

    /// Promise: every session stays logged in, on every node, and goes on where it was. `resumes` says whether its cursor must
    /// still open, as it must while nodes have the secret under which it was made.
    async fn go_on(&mut self, nodes: &[Node], resumes: bool) {
        for node in nodes {
            let mut browser = Visitor { node: node.http, cookie: Some(self.cookie.clone()) };
            assert_eq!(browser.me().await.0, 200, "the browser at {}", node.name);
            if resumes {
                assert_eq!(self.program.status(node.http).await, 200, "the access token at {}", node.name);
                let connected = Live::connect(node.http, &self.program.access, Some(&self.cursor)).await;
                let replayed = connected.expect("they are let in").replay().await;
                assert!(
                    replayed.iter().all(|frame| frame["type"] != "resync"),
                    "{}: {replayed:?}",
                    node.name
                );
            }
            self.program = refreshed(node.http, &self.program).await;
            assert_eq!(self.program.status(node.http).await, 200, "{}", node.name);
        }
    }
}

/// Must show (issue 11): rotated over three nodes under load, no pair is without a link for more than 5 s, every session stays
/// logged in, nothing is lost, and the old secret is refused afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_rotated_under_load() {
    let (old, new) = (new_secret().await, new_secret().await);
    let mut nodes = cluster(3, &old).await;
    let ann = Account::register(nodes[0].http, "ann").await;
    let room = ann.create_room(nodes[0].http, "private").await;
    let mut sessions = Sessions::begin(&nodes[1], "ann").await;
    let load = Load::start(&nodes, &ann, &room);
    let early = rotate(&nodes[0], &[]).await;
    assert!(early.code == Some(2) && early.stderr.contains("no new cluster secret"), "{early:?}");

    // Phase 1: it waits for the node that lacks the new secret, and names it.
    let last = id_of(&nodes[2]).await;
    give(&nodes[0], &[&new, &old]);
    give(&nodes[1], &[&new, &old]);
    tells(&nodes[2], "this node lacks").await;
    tells(&nodes[0], &format!("forgotten: {last}.")).await;
    let waiting = begin_rotate(&nodes[0]);
    sessions.go_on(&nodes, true).await;
    tells(&nodes[0], "phase 1 of 3").await;
    give(&nodes[2], &[&new, &old]);
    let ended = tokio::task::spawn_blocking(|| waiting.wait_with_output().unwrap()).await.unwrap();
    let (said, progress) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success() && said.contains("remove the old one"), "{said} {progress}");
    assert!(progress.contains("phase 1 of 3") && progress.contains(&last), "{progress}");

    // Phase 3: the old line is still there.
    for node in &nodes {
        tells(node, "phase 3 of 3").await;
    }
    sessions.go_on(&nodes, true).await;
    let id = nodes[0].status().await.unwrap()["cluster"].clone();
    assert!(id.is_string());
    refuses(&nodes, &old).await;
    for node in &nodes {
        give(node, &[&new]);
    }
    for node in &nodes {
        tells(node, "").await;
        assert_eq!(node.status().await.unwrap()["cluster"], id, "{}", node.name);
    }
    sessions.go_on(&nodes, false).await;
    let (posts, longest) = load.end().await;
    eprintln!("{} posts; some pair was without a link for {longest:?} at most", posts.len());
    assert!(longest < NO_LINK_MAX, "{longest:?}");
    assert!(posts.len() > 20, "{}", posts.len());

    // A restart needs nothing of the old secret, and nothing is lost. (The old access token may have been signed under it.)
    nodes[1].stop().await;
    nodes[1].restart().await;
    in_sync(&nodes[1], 2).await;
    sessions.go_on(&nodes, false).await;
    refuses(&nodes, &old).await;
    let newest = posts.last().unwrap();
    for node in &nodes {
        let target = format!("/rooms/{room}/messages?limit=1");
        let page = sessions.program.expect(node.http, "GET", &target, NONE, 200).await;
        assert!(
            page["items"].as_array().is_some_and(|items| items.iter().any(|item| is(item, newest))),
            "{page}"
        );
    }
    let secrets = [&old, &new];
    for node in &nodes {
        assert!(secrets.iter().all(|secret| !log(node).contains(*secret)), "{} logs a secret", node.name);
    }
}

fn is(message: &Value, id: &str) -> bool {
    message["id"] == id
}

/// A node that only has the old secret does not start, and both sides say why.
async fn refuses(nodes: &[Node], old: &str) {
    let status = nodes[0].status().await.unwrap();
    let join =
        status["peers"].as_array().unwrap().iter().map(|peer| peer["address"].as_str().unwrap().to_owned());
    let mut stranger = member("late", &format!("127.0.0.1:{}", free_port()), &join.collect::<Vec<_>>());
    give(&stranger, &[old]);
    stranger.start();
    assert_eq!(stranger.wait_exit().await.code(), Some(2), "{}", log(&stranger));
    assert!(
        log(&stranger).contains("no longer accepts the cluster secret given, which was rotated"),
        "{}",
        log(&stranger)
    );
    eventually(PATIENCE, "a node logs whom it refused", async || {
        let logs = nodes.iter().map(log).collect::<String>();
        if logs.contains("refused a node that only has a cluster secret that was rotated") {
            Ok(())
        } else {
            Err(logs)
        }
    })
    .await;
}

/// Bad input: `rotate` while a node is away names it and waits, or is told to go on; the node is refused until it is given the new
/// secret, and told so.
#[tokio::test]
async fn a_node_that_was_away_is_refused_until_it_has_the_new_secret() {
    let (old, new) = (new_secret().await, new_secret().await);
    let mut nodes = cluster(3, &old).await;
    let away = id_of(&nodes[2]).await;
    nodes[2].stop().await;
    give(&nodes[0], &[&new, &old]);
    give(&nodes[1], &[&new, &old]);
    tells(&nodes[0], &format!("forgotten: {away}.")).await;
    let mut waiting = begin_rotate(&nodes[0]);
    tells(&nodes[1], "phase 1 of 3").await;
    assert!(waiting.try_wait().unwrap().is_none(), "it waits");
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    let ended = rotate(&nodes[1], &["--go-on"]).await;
    assert!(ended.code == Some(0) && ended.stdout.contains(&away), "{ended:?}");
    tells(&nodes[0], "phase 2 of 3").await;
    Account::register(nodes[0].http, "ann").await;

    nodes[2].start();
    assert_eq!(nodes[2].wait_exit().await.code(), Some(2));
    assert!(log(&nodes[2]).contains("which was rotated"), "{}", log(&nodes[2]));
    give(&nodes[2], &[&new, &old]);
    nodes[2].restart().await;
    for node in &nodes {
        in_sync(node, 2).await;
        tells(node, "phase 3 of 3").await;
    }
    let ann = Account::login(nodes[2].http, "ann").await;
    assert_eq!(ann.status(nodes[0].http).await, 200);
}

/// Bad input, on a running node: two equal secrets, the old one removed too early, and a node that is left behind. It goes on, says
/// what is wrong, and recovers without a restart.
#[tokio::test]
async fn mistakes_are_told_and_a_running_node_recovers() {
    let (old, new) = (new_secret().await, new_secret().await);
    let nodes = cluster(2, &old).await;
    give(&nodes[0], &[&old, &old]);
    tells(&nodes[0], "are the same").await;
    give(&nodes[0], &[&new]);
    tells(&nodes[0], "no longer holds the cluster secret in use").await;
    in_sync(&nodes[0], 1).await;
    give(&nodes[0], &[&new, &old]);
    tells(&nodes[0], "phase 1 of 3").await;

    let ended = rotate(&nodes[0], &["--go-on"]).await;
    assert!(ended.code == Some(0), "{ended:?}");
    tells(&nodes[1], "the other nodes refuse this one").await;
    eventually(PATIENCE, "the link under the old secret ends", async || {
        same(&ones(&nodes[0], "starling_peer_linked{").await?, &0)
    })
    .await;
    assert!(rotate(&nodes[1], &[]).await.stderr.contains("refuse this one"));
    give(&nodes[1], &[&new, &old]);
    // Its next attempt may be 30 s away: nobody corrects a wrong secret within seconds.
    eventually(PATIENCE * 5, "it is linked again", async || {
        same(&ones(&nodes[0], "starling_peer_in_sync{").await?, &1)
    })
    .await;
    tells(&nodes[0], "phase 3 of 3").await;
}
