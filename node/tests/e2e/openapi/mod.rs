//! Whatever nonsense an endpoint is sent, it answers as its document says: every operation of the document of a
//! running node is asked in every bad way that its parameters and its body allow. New endpoints are asked by themselves.

mod contract;
mod document;
mod frames;
mod nonsense;

use document::{Document, Operation};
use harness::account::CHEAP_HASHES;
use harness::http::{Answer, create_room, get, request};
use harness::process::{run, starling};
use harness::{Account, Node};
use nonsense::{Ask, Expected};
use serde_json::json;

/// The codes of `api.md`. Programs match on them: none is added without being written there.
const CODES: [&str; 24] = [
    "bad_request",
    "unauthenticated",
    "token_expired",
    "bad_credentials",
    "forbidden",
    "not_contacts",
    "registration_closed",
    "guests_disabled",
    "not_found",
    "method_not_allowed",
    "username_taken",
    "name_in_use",
    "id_reused",
    "already_exists",
    "offset_mismatch",
    "too_large",
    "unsupported_media_type",
    "invalid",
    "locked",
    "rate_limited",
    "overloaded",
    "draining",
    "unavailable",
    "storage_full",
];

#[tokio::test]
async fn every_operation_answers_nonsense_as_its_document_says() {
    let limits = without_limits().await;
    let args = CHEAP_HASHES.into_iter().chain(limits.iter().map(String::as_str));
    let node = Node::lone(&args.collect::<Vec<_>>()).await;
    let document = Document::of(&get(node.http, "/api/openapi.json").await.expect("there is one"));
    // What parameters of these names are given where they are right. Accounts, rooms and tokens go here as they come.
    let room = create_room(node.http).await;
    let mut ann = Account::register(node.http, "ann").await;
    let of_members = json!({"name": "Room", "visibility": "private"});
    let of_members = ann.call(node.http, "POST", "/rooms", Some(of_members)).await.json();
    let target = format!("/rooms/{}/messages", of_members["id"].as_str().expect("it is made"));
    let posted = ann.call(node.http, "POST", &target, Some(json!({"body": "x"}))).await;
    let message = posted.json()["id"].as_str().expect("it is posted").to_owned();
    let right =
        [("roomID", room.as_str()), ("room", &room), ("username", "Ann"), ("id", &message), ("emoji", "👍")];
    // Pages are in a document of their own, which nobody is served.
    let pages = serde_json::to_value(starling_web::describe_pages()).expect("it is JSON");
    let pages = Document(pages);
    let all: Vec<_> = [&document, &pages]
        .into_iter()
        .flat_map(|document| document.operations().into_iter().map(move |operation| (document, operation)))
        .collect();
    assert!(all.len() >= 70, "the documents have lost operations: {}", all.len());
    let mut asked = 0;
    for (document, operation) in &all {
        for ask in nonsense::all(document, operation, &right) {
            // Some of what it asks ends the login.
            if ann.status(node.http).await != 200 {
                ann = Account::login(node.http, "ann").await;
            }
            let bearer = format!("Bearer {}", ann.access);
            let mut headers: Vec<_> =
                ask.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            headers.push(("authorization", &bearer));
            let answer = request(node.http, &ask.method, &ask.target, &headers, &ask.body).await;
            let answer = answer.unwrap_or_else(|error| panic!("{ask}: {error}"));
            check(document, operation, &ask, &answer);
            asked += 1;
        }
    }
    eprintln!("{asked} requests to {} operations", all.len());
    assert_eq!(get(node.http, "/readyz").await.expect("it runs on").status, 200);
}

#[tokio::test]
async fn who_asks_too_often_is_told_so_as_the_document_says() {
    let node = Node::lone(&["--limit-calls-per-address", "1/h"]).await;
    let document = Document::of(&get(node.http, "/api/openapi.json").await.expect("there is one"));
    let mut refused = 0;
    for operation in &document.operations() {
        let ask = nonsense::all(&document, operation, &[]).swap_remove(0);
        let answer = request(node.http, &ask.method, &ask.target, &[], &ask.body).await;
        let answer = answer.unwrap_or_else(|error| panic!("{ask}: {error}"));
        check(&document, operation, &ask, &answer);
        refused += usize::from(answer.status == 429);
    }
    assert!(refused >= 7, "only {refused} were refused");
}

#[test]
fn the_document_names_the_codes_of_the_contract() {
    let codes = starling_protocol::ErrorCode::ALL.map(starling_protocol::ErrorCode::as_str);
    assert_eq!(codes.map(|code| CODES.contains(&code)), [true; CODES.len()], "{codes:?}");
}

/// Flags that lift every limit on rates: it asks more often than anybody may.
async fn without_limits() -> Vec<String> {
    let help = run(starling(&["serve", "--help"])).await.stdout;
    let flags = help.split_whitespace().filter(|word| word.starts_with("--limit-"));
    flags.flat_map(|flag| [flag.to_owned(), "0".to_owned()]).collect()
}

fn check(document: &Document, operation: &Operation, ask: &Ask, answer: &Answer) {
    let shown = format!("{ask}\n→ {} {}", answer.status, answer.text().chars().take(600).collect::<String>());
    assert_ne!(answer.status, 500, "{shown}");
    assert!(answer.header("x-request-id").is_some(), "{shown}");
    let kind = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    match ask.expected {
        Expected::Listed => {}
        // What the document calls right is read; a page may be missing, or a login, or an upgrade.
        Expected::Read => {
            let upgrades = document.response(operation, 101).is_some();
            assert!(answer.status != 400 || upgrades, "{shown}");
        }
        Expected::Refused => assert!((400..500).contains(&answer.status), "{shown}"),
        Expected::Problem(status, code) => {
            assert_eq!((answer.status, answer.code().as_str()), (status, code), "{shown}");
        }
    }
    if kind == "application/problem+json" {
        check_problem(answer, &shown);
    } else {
        assert!(answer.status < 400 || kind == "text/html" || answer.status == 503, "no problem: {shown}");
    }
    if ask.listed() {
        let listed = document.response(operation, answer.status);
        let listed =
            listed.unwrap_or_else(|| panic!("its document does not list {}: {shown}", answer.status));
        if let Err(what) = document.check_answer(listed, kind, answer) {
            panic!("{what}: {shown}");
        }
        let code = if kind == "application/problem+json" { answer.code() } else { String::new() };
        let listed = code.is_empty() || Document::lists_code(operation, answer.status, &code);
        assert!(listed, "its document does not list {code}: {shown}");
    }
}

fn check_problem(answer: &Answer, shown: &str) {
    let problem = answer.json();
    assert!(CODES.contains(&answer.code().as_str()), "{shown}");
    assert_eq!(problem["status"], answer.status, "{shown}");
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{shown}");
    assert!(problem["type"].is_string() && problem["title"].is_string(), "{shown}");
    let errors = problem["errors"].as_array().map_or(0, Vec::len);
    assert_eq!(errors > 0, answer.code() == "invalid", "{shown}");
    assert_eq!(answer.header("allow").is_some(), answer.status == 405, "{shown}");
    let retried = [429, 503].contains(&answer.status);
    assert_eq!(answer.header("retry-after").is_some(), retried, "{shown}");
}
