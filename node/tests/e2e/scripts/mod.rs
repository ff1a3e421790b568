//! Unit tests of the pages' scripts, in a real browser: each `*.js` here is a page of tests over the room's own markup
//! and modules, with a fake socket and a fake `fetch` in place of a node (`harness.js`).
//! `browser.rs` has the tests of pages with a node.

mod server;

use std::time::{Duration, Instant};

use harness::browser::Browser;
use serde_json::Value;
use server::Server;

/// For all tests of a page, on a machine that does other things too.
const DEADLINE: Duration = Duration::from_mins(2);

/// Runs all tests of one page of tests, each on a fresh load of it.
async fn run(page: &str) {
    let deadline = Instant::now() + DEADLINE;
    let server = Server::start();
    let mut browser = Browser::start(deadline).await;
    let window = browser.open(1000, 700, false).await;
    let address = format!("http://{}/{page}", server.address);
    browser.go(&window, &address).await;
    browser.until(&window, "window.tests.length > 0").await;
    let names = browser.value(&window, "window.tests.map(({ name }) => name)").await;
    let names = names.as_array().unwrap_or_else(|| panic!("{page} has tests: {names}")).clone();
    let mut failed = Vec::new();
    for (number, name) in names.iter().enumerate() {
        // A page differs from the one before by its query; a fragment alone would load nothing.
        browser.go(&window, &format!("{address}?{number}")).await;
        browser.until(&window, &format!("location.search === '?{number}' && window.tests.length > 0")).await;
        let outcome = browser.value(&window, &format!("window.run({number})")).await;
        if outcome != Value::Null {
            failed.push(format!("{name}: {outcome}"));
        }
    }
    assert!(failed.is_empty(), "{page}: {failed:#?}\nthe console says: {:#?}", browser.errors());
    assert!(browser.errors().is_empty(), "{page}: the console says: {:#?}", browser.errors());
}

/// Older messages load page by page, each once and in order, whatever happens in between.
#[tokio::test]
async fn earlier_messages_come_page_by_page() {
    run("paging").await;
}

/// Whoever enters a room finds its messages in order, and nothing of it is new to them.
#[tokio::test]
async fn a_room_is_entered_with_its_messages() {
    run("entering").await;
}

/// A written message is shown until it is sent, refused, retried or discarded, and is never sent as another.
#[tokio::test]
async fn messages_are_sent_tried_again_and_discarded() {
    run("sending").await;
}

/// A page that stays open for days keeps its size, and what it let go can be read again.
#[tokio::test]
async fn the_log_is_trimmed() {
    run("trimming").await;
}

/// Web addresses become links and everything else stays text.
#[tokio::test]
async fn addresses_become_links() {
    run("linkify").await;
}

/// The title and the pill tell how much came that nobody has seen.
#[tokio::test]
async fn what_is_unread_is_counted() {
    run("unread").await;
}
