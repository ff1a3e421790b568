//! Stores of every version, each filled through the public interface of a build of its own time
//! (`compose/make-store-fixtures.sh`), which also recorded what it listed at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::account::{CHEAP_HASHES, login};
use harness::process::{run, starling};
use harness::{Account, Node, http};
use redb::{Database, ReadableDatabase as _, TableDefinition};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stores")
}

/// A node with the data directory of a fixture, and what it must list.
fn unpacked(version: &str) -> (Node, Value) {
    let node = Node::new(&format!("of version {version}"), &CHEAP_HASHES);
    fs::create_dir_all(node.data_dir()).unwrap();
    let archive = folder().join(format!("{version}.tar.gz"));
    let tar = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(node.data_dir()).status();
    assert!(tar.is_ok_and(|status| status.success()), "{version} cannot be unpacked");
    let expected = fs::read_to_string(node.data_dir().join("expected.json")).unwrap();
    // Since version 5 emoji are counted in one form.
    let expected = expected.replace(r#""\u2764":"#, r#""\u2764\ufe0f":"#);
    (node, serde_json::from_str(&expected).unwrap())
}

fn stored_version(node: &Node) -> u64 {
    let database = Database::open(node.data_dir().join("starling.redb")).unwrap();
    let meta = TableDefinition::<&str, u64>::new("meta");
    database.begin_read().unwrap().open_table(meta).unwrap().get("schema_version").unwrap().unwrap().value()
}

/// Keeps the fields of an object that an expected one has.
fn like(actual: &Value, expected: &Value) -> Value {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => expected
            .iter()
            .map(|(key, expected)| (key.clone(), like(actual.get(key).unwrap_or(&Value::Null), expected)))
            .collect(),
        (Value::Array(actual), Value::Array(expected)) if actual.len() == expected.len() => {
            actual.iter().zip(expected).map(|(actual, expected)| like(actual, expected)).collect()
        }
        (actual, _) => actual.clone(),
    }
}

async fn log_in(node: &Node, user: &Value) -> Account {
    let (name, password) = (user["username"].as_str().unwrap(), user["password"].as_str().unwrap());
    Account::of(&login(node.http, name, password).await, 200)
}

/// The rooms of an account as the fixture records them.
async fn listed(node: &Node, user: &Value) -> Value {
    let account = log_in(node, user).await;
    let get = async |target: &str| account.expect(node.http, "GET", target, Value::Null, 200).await;
    let mut rooms = get("/rooms").await["items"].take();
    for room in rooms.as_array_mut().unwrap() {
        let target = format!("/rooms/{}/messages?limit=200", room["id"].as_str().unwrap());
        room["messages"] = get(&target).await["items"].take();
    }
    rooms.as_array_mut().unwrap().sort_by_key(|room| room["id"].as_str().unwrap().to_owned());
    let contacts = get("/contacts").await["items"].take();
    let contact = |contact: &Value| json!([contact["user"]["username"], contact["state"]]);
    let contacts: Vec<_> = contacts.as_array().unwrap().iter().map(contact).collect();
    let me = get("/me").await;
    json!({
        "username": account.username,
        "password": user["password"],
        "display_name": me["display_name"],
        "contacts": contacts,
        "rooms": rooms,
    })
}

async fn check(node: &Node, expected: &Value) {
    for room in expected["quick_rooms"].as_array().unwrap() {
        let target = format!("/room-messages?limit=200&roomID={}", room["id"].as_str().unwrap());
        let page = http::get(node.http, &target).await.unwrap().json();
        assert_eq!(like(&page["items"], &room["messages"]), room["messages"], "{}", node.name);
    }
    for user in expected["users"].as_array().unwrap() {
        assert_eq!(like(&listed(node, user).await, user), *user, "{}", node.name);
    }
}

/// A store of each version is listed as before, its views are those of a rebuild, and it starts again and takes more.
#[tokio::test]
async fn a_store_of_each_earlier_version_is_migrated() {
    let mut versions: Vec<u64> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|file| file.unwrap().file_name().to_str()?.strip_suffix(".tar.gz")?.parse().ok())
        .collect();
    versions.sort_unstable();
    assert!(versions.len() > 2 && versions.first() == Some(&1), "{versions:?}");
    for version in versions {
        let (mut node, expected) = unpacked(&version.to_string());
        assert_eq!(stored_version(&node), version, "the fixture is of another version");
        node.restart().await;
        check(&node, &expected).await;
        let mut verify = starling(&["verify", "--data-dir"]);
        verify.arg(node.data_dir());
        let ended = run(verify).await;
        assert_eq!(ended.code, Some(0), "of version {version}: {ended:?}");
        let more = http::create_room(node.http).await;
        assert_eq!(node.stop().await, Some(0));
        node.restart().await;
        check(&node, &expected).await;
        assert!(http::room_exists(node.http, &more).await);
        assert_eq!(node.stop().await, Some(0));
    }
}

/// Promise 13: a node of version 7 that could not start again, because its last event, a read mark of 5,300 starts, was longer
/// than an event may be, starts and has lost nothing.
#[tokio::test]
async fn a_node_whose_read_mark_became_too_long_starts_again() {
    let (mut node, expected) = unpacked("bricked");
    node.restart().await;
    check(&node, &expected).await;
    let mut verify = starling(&["verify", "--data-dir"]);
    verify.arg(node.data_dir());
    let ended = run(verify).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let user = &expected["users"][0];
    let ann = log_in(&node, user).await;
    let room = user["rooms"][0]["id"].as_str().unwrap();
    let last = &user["rooms"][0]["messages"][0]["id"];
    let target = format!("/rooms/{room}/read");
    let marked = ann.call(node.http, "PUT", &target, Some(json!({ "message_id": last }))).await;
    assert!(marked.status < 300, "{} {}", marked.status, marked.text());
    assert_eq!(node.stop().await, Some(0));
    node.restart().await;
    check(&node, &expected).await;
    assert_eq!(node.stop().await, Some(0));
}
