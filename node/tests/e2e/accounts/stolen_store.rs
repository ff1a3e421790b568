//! Promise: from the raw bytes of a busy node's store, somebody who knows the source can make no credential of any kind
//! that any node accepts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use starling_node::auth::ServiceKey;
use starling_node::store::Store;
use starling_protocol::{InviteCode, InviteId, RoomId, SessionId, UserId};

use crate::accounts::thief::{Key, Thief, sealed};
use harness::account::{CHEAP_HASHES, PASSWORD, call};
use harness::process::{run_with_input, starling};
use harness::visitor::{Visitor, page, sent_to};
use harness::{Account, Client, Cluster, Node, PATIENCE, eventually, http};

/// Somebody who is in no room.
const OUTSIDER: &str = "outsider";
/// The name of the session's cookie where there is no TLS.
const COOKIE: &str = "starling_session";

/// Something with which somebody is let in. The id of a quick room is none: it is the room's address, and such a room has
/// no members whom it could let in.
#[derive(Clone, Debug)]
enum Credential {
    Cookie(String),
    Access(String),
    Refresh(String),
    Personal(String),
    /// The code of a link that sets a password.
    Reset(String),
    /// The code of the page that makes the first administrator.
    Setup(String),
    /// The code of an invite, with the access token of an outsider who uses it to join the room.
    Invite(String, String),
    /// The code of an invite, used to register.
    Registration(String),
}

impl Credential {
    fn text(&self) -> &str {
        match self {
            Self::Cookie(text)
            | Self::Access(text)
            | Self::Refresh(text)
            | Self::Personal(text)
            | Self::Reset(text)
            | Self::Setup(text)
            | Self::Invite(text, _)
            | Self::Registration(text) => text,
        }
    }

    /// Whether a node lets in who brings it.
    async fn is_accepted(&self, node: SocketAddr) -> bool {
        match self {
            Self::Cookie(cookie) => {
                Visitor { node, cookie: Some(format!("{COOKIE}={cookie}")) }.me().await.0 == 200
            }
            Self::Access(token) | Self::Personal(token) => {
                call(node, "GET", "/me", Some(token), None).await.status == 200
            }
            Self::Refresh(token) => {
                let body = json!({"refresh_token": token});
                call(node, "POST", "/refresh", None, Some(body)).await.status == 200
            }
            Self::Reset(code) => Visitor::at(node).get(&format!("/reset/{code}")).await.status == 200,
            Self::Setup(code) => Visitor::at(node).get(&format!("/setup/{code}")).await.status == 200,
            Self::Invite(code, outsider) => {
                let answer = call(node, "POST", &format!("/invites/{code}"), Some(outsider), None).await;
                assert!([200, 404, 503].contains(&answer.status), "{}", answer.text());
                answer.status == 200
            }
            Self::Registration(code) => {
                static TRIED: AtomicUsize = AtomicUsize::new(0);
                let username = format!("new{}", TRIED.fetch_add(1, Ordering::Relaxed));
                let body = json!({"username": username, "password": PASSWORD, "invite": code});
                let answer = call(node, "POST", "/register", None, Some(body)).await;
                assert!([201, 403, 503].contains(&answer.status), "{}", answer.text());
                answer.status == 201
            }
        }
    }
}

/// `starling user …` at a node, with a line of input; gives what it prints.
async fn user(node: &Node, args: &[&str], input: &str) -> String {
    let mut command = starling(&["user"]);
    command.args(args).arg("--data-dir").arg(node.data_dir());
    let ended = run_with_input(command, format!("{input}\n").as_bytes()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.trim().to_owned()
}

/// The value of the session's cookie of a browser that is logged in.
fn cookie_value(browser: &Visitor) -> String {
    let cookie = browser.cookie.as_deref().expect("a browser is given a cookie");
    cookie.strip_prefix(COOKIE).and_then(|rest| rest.strip_prefix('=')).expect("it has this name").to_owned()
}

/// A personal token of somebody.
async fn personal_token(node: SocketAddr, account: &Account) -> String {
    let made =
        account.call(node, "POST", "/tokens", Some(json!({"name": "script", "password": PASSWORD}))).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["token"].as_str().expect("it is shown once").to_owned()
}

/// People do on these nodes all that leaves credentials behind; gives those that are good now, and who has an account.
async fn busy(nodes: &[&Node]) -> (Vec<Credential>, Vec<UserId>) {
    let (mut credentials, mut users) = (Vec::new(), Vec::new());
    let outsider = Account::register(nodes[0].http, OUTSIDER).await;
    for (at, node) in nodes.iter().enumerate() {
        let (http, name) = (node.http, format!("user{at}"));
        let registered = Account::register(http, &name).await;
        let login = Account::login(http, &name).await;
        let body = json!({"refresh_token": login.refresh});
        let refreshed = Account::of(&call(http, "POST", "/refresh", None, Some(body)).await, 200);
        let mut browser = Visitor::at(http);
        sent_to(&browser.submit("/login", &[("username", &name), ("password", PASSWORD)]).await);
        credentials.push(Credential::Cookie(cookie_value(&browser)));
        credentials.push(Credential::Personal(personal_token(http, &registered).await));
        let room = json!({"name": "den", "visibility": "private"});
        let room = registered.call(http, "POST", "/rooms", Some(room)).await.json();
        let invites = format!("/rooms/{}/invites", room["id"].as_str().expect("a room has an id"));
        let made = registered.call(http, "POST", &invites, Some(json!({}))).await.json();
        let code = made["code"].as_str().expect("an invite has a code").to_owned();
        credentials.push(Credential::Invite(code.clone(), outsider.access.clone()));
        credentials.push(Credential::Registration(code));
        let quick = http::create_room(http).await;
        Client::join(http, &quick, &format!("guest{at}")).await.post("hello").await;
        let ended = Account::login(http, &name).await;
        assert_eq!(ended.call(http, "POST", "/logout", None).await.status, 204);
        for login in [&registered, &refreshed] {
            credentials.push(Credential::Access(login.access.clone()));
            credentials.push(Credential::Refresh(login.refresh.clone()));
        }
        users.push(UserId::parse(&registered.id).ok().flatten().expect("the id of a user"));
    }
    let link = user(nodes[0], &["reset", "user0"], "").await;
    credentials.push(Credential::Reset(link.rsplit('/').next().expect("it is an address").to_owned()));
    (credentials, users)
}

/// Copies of the stores of nodes, which are stopped for it; afterwards they want an invite of whoever registers.
async fn stolen(nodes: &mut [&mut Node]) -> Vec<PathBuf> {
    let mut copies = Vec::new();
    for node in &mut *nodes {
        node.stop().await;
        let copy = node.beside("stolen.redb");
        std::fs::copy(node.data_dir().join("starling.redb"), &copy).expect("a store can be copied");
        copies.push(copy);
    }
    for node in &mut *nodes {
        node.add_args(&["--registration-mode", "invite"]);
        node.start();
    }
    for node in nodes {
        node.wait_ready().await;
    }
    copies
}

/// Finds what can be made of a store: found in it as it is, or signed by a key that is found in it. `sessions` are the random
/// bytes in the events of sessions, by the sessions' ids.
fn found(thief: &Thief, sessions: &BTreeMap<String, Key>, credential: &Credential) -> Option<String> {
    let text = credential.text();
    let code = text.rsplit('.').next().and_then(|code| BASE64URL_NOPAD.decode(code.as_bytes()).ok());
    if thief.holds(text.as_bytes()) || code.is_some_and(|code| thief.holds(&code)) {
        return Some(format!("{credential:?} stands in the store"));
    }
    let key = match credential {
        Credential::Cookie(token) | Credential::Refresh(token) => {
            let session = token.split(['_', '.']).nth(2).expect("it names its session");
            // What is opened after the store was copied is not in it.
            sessions.get(session).and_then(|bytes| thief.finds_family(token, bytes))
        }
        Credential::Access(token) => thief.finds_access(token),
        Credential::Setup(code) => thief.finds_setup(code),
        Credential::Invite(code, _) => {
            let code = code_of_invite(code);
            let (id, mac) = code.unverified();
            assert!(thief.holds(&id.0), "a thief knows which invites there are");
            if thief.holds(&mac) {
                return Some(format!("the MAC of {credential:?} stands in the store"));
            }
            thief.finds_invite(code)
        }
        // A registration takes the code of an invite.
        Credential::Registration(_) | Credential::Personal(_) | Credential::Reset(_) => None,
    };
    key.map(|key| format!("{credential:?} is made with a key of the store: {key:02x?}"))
}

/// The random bytes in the events of all sessions in a store.
fn sessions(store: &Store, users: &[UserId]) -> Vec<(UserId, SessionId, Key)> {
    let records = store.records().expect("views");
    let mut sessions = Vec::new();
    for &user in users {
        for (session, state) in records.sessions(user).expect("sessions") {
            sessions.extend(state.opened.map(|(_, opened)| (user, session, opened.key)));
        }
    }
    sessions
}

fn code_of_invite(text: &str) -> InviteCode {
    InviteCode::parse(text).ok().flatten().expect("the code of an invite")
}

/// The ids of all invites to rooms of these users.
fn invites(store: &Store, users: &[UserId]) -> Vec<InviteId> {
    let records = store.records().expect("views");
    let rooms = users.iter().flat_map(|&user| records.rooms_of(user).expect("rooms"));
    let ids = rooms.flat_map(|(room, _)| {
        let made = records.invites(room, &[]).expect("invites").map(|made| made.expect("an invite").id);
        made.collect::<Vec<_>>()
    });
    ids.collect()
}

/// Invite codes that can be made of an invite's id and of what may be keys.
fn forged_invites(id: InviteId, keys: &[Key], outsider: &str) -> Vec<Credential> {
    let mut codes = vec![RoomId(id.0).to_string(), InviteCode::new(id, [0; 16]).to_string()];
    for key in keys {
        let halves = [&key[..16], &key[16..]].map(|half| half.try_into().expect("16 of 32"));
        codes.extend(halves.map(|mac| InviteCode::new(id, mac).to_string()));
        codes.push(ServiceKey::new(key).invite_code(id).to_string());
    }
    let credentials = |code: String| {
        [Credential::Invite(code.clone(), outsider.to_owned()), Credential::Registration(code)]
    };
    codes.into_iter().flat_map(credentials).collect()
}

/// Credentials that a thief who reads the views of a store tries: every secret that stands beside a session or an account, as if it
/// were what each kind of credential is made of.
fn forged(store: &Store, users: &[UserId], outsider: &str) -> Vec<Credential> {
    let records = store.records().expect("views");
    let sessions = sessions(store, users);
    let mut keys: Vec<Key> = sessions.iter().map(|(_, _, key)| *key).chain([[0; 32]]).collect();
    for &user in users {
        let account = records.existing_account(user).expect("a record").expect("an account");
        keys.extend(account.reset_link().map(|link| link.code_hash));
    }
    for (_, state) in records.service_keys().expect("service keys") {
        let sealed = state.seals.values().flat_map(|seal| seal.sealed.windows(32));
        keys.extend(sealed.step_by(16).filter_map(|window| Key::try_from(window).ok()));
    }
    let invites = invites(store, users);
    assert!(!invites.is_empty(), "a thief knows which invites there are");
    let mut forged: Vec<_> =
        invites.into_iter().flat_map(|invite| forged_invites(invite, &keys, outsider)).collect();
    for key in &keys {
        let codes = [&key[..16], &key[16..]].map(|code| BASE64URL_NOPAD.encode(code));
        for (user, session, bytes) in &sessions {
            forged.push(Credential::Cookie(sealed(&format!("starling_bs_{session}.{user}"), key)));
            let family = ServiceKey::new(key).family(bytes);
            let (session, user) = (session.to_string(), user.to_string());
            forged.push(Credential::Cookie(family.browser_token(&session, &user)));
            for n in 0..2 {
                forged.push(Credential::Refresh(sealed(&format!("starling_rt_{session}.{user}.{n}"), key)));
                forged.push(Credential::Refresh(family.refresh_token(&session, &user, n)));
            }
            for code in &codes {
                forged.push(Credential::Personal(format!("starling_pat_{user}.{session}.{code}")));
            }
        }
        for code in codes {
            forged.extend(users.iter().map(|user| Credential::Reset(format!("{user}.{code}"))));
            forged.push(Credential::Setup(code));
        }
    }
    forged
}

/// Attacks nodes with copies of their stores; what is good before must be so afterwards.
async fn attack(nodes: &mut [&mut Node], credentials: &[Credential], users: &[UserId]) {
    let mut broken = Vec::new();
    let outsider = Account::login(nodes[0].http, OUTSIDER).await.access;
    for copy in stolen(nodes).await {
        let thief = Thief::of(&copy);
        let store = Store::open_file(&copy).expect("a copy can be opened");
        for credential in forged(&store, users, &outsider) {
            for node in &*nodes {
                if credential.is_accepted(node.http).await {
                    broken.push(format!("{} takes {credential:?}, which is forged", node.name));
                }
            }
        }
        let bytes = sessions(&store, users).into_iter().map(|(_, session, key)| (session.to_string(), key));
        let bytes = bytes.collect();
        broken.extend(credentials.iter().filter_map(|credential| found(&thief, &bytes, credential)));
        let service_keys = store.records().expect("views").service_keys().expect("service keys");
        assert!(!service_keys.is_empty(), "sessions hang on a service key");
        let opened = service_keys.iter().filter_map(|(id, state)| thief.opens(*id, state));
        broken.extend(opened.map(|key| format!("a service key is opened by a key of the store: {key:02x?}")));
    }
    assert!(broken.is_empty(), "made of what is in the store: {broken:#?}");
    for credential in credentials {
        for node in &*nodes {
            eventually(PATIENCE, &format!("{} takes {credential:?}", node.name), async || {
                if credential.is_accepted(node.http).await { Ok(()) } else { Err("refused".to_owned()) }
            })
            .await;
        }
    }
}

const ARGS: [&str; 6] = [
    "--limit-calls-per-address",
    "0",
    "--limit-calls-per-account",
    "0",
    "--limit-registrations-per-address",
    "0",
];

#[tokio::test]
async fn a_copy_of_a_lone_nodes_store_opens_nothing() {
    let mut node = Node::lone(&[&CHEAP_HASHES[..], &ARGS].concat()).await;
    let (mut credentials, users) = busy(&[&node]).await;
    let code = eventually(PATIENCE, "the address is printed", async || {
        let said = std::fs::read_to_string(node.beside("stdout")).map_err(|error| error.to_string())?;
        let code = said.split_once("/setup/").and_then(|(_, rest)| rest.split_once('\n'));
        code.map(|(code, _)| code.to_owned()).ok_or(said)
    })
    .await;
    page(&Visitor::at(node.http).get(&format!("/setup/{code}")).await, 200);
    credentials.push(Credential::Setup(code));
    attack(&mut [&mut node], &credentials, &users).await;
}

#[tokio::test]
async fn a_copy_of_any_store_of_a_cluster_opens_nothing_on_any_node() {
    let mut cluster = Cluster::start_with(2, &[&CHEAP_HASHES[..], &ARGS].concat()).await;
    let nodes: Vec<_> = cluster.nodes.iter().collect();
    let (credentials, users) = busy(&nodes).await;
    user(nodes[1], &["promote", "user0"], "").await;
    let mut nodes: Vec<_> = cluster.nodes.iter_mut().collect();
    attack(&mut nodes, &credentials, &users).await;
}
