//! Two people in two real browsers chat in a quick room, and their node is killed under them.
//! Drives the pages as a user does, by keys; what the server promises to programs is tested elsewhere.

use std::time::{Duration, Instant};

use harness::Node;
use harness::browser::{Browser, Window};
use harness::firefox::Firefox;

/// For the whole test: it takes a few seconds, but a build machine may be busy with other things.
const DEADLINE: Duration = Duration::from_mins(2);

/// The bodies of all messages that are shown, from top to bottom.
const SHOWN: &str = "[...document.querySelectorAll('.message .body')].map((body) => body.textContent)";
const LIVE: &str = "document.body.dataset.link === 'live'";
const NONE_UNSENT: &str = "!document.querySelector('[data-state=sending], [data-state=failed]')";

#[tokio::test]
async fn two_people_chat_over_a_crash_of_their_node() {
    let deadline = Instant::now() + DEADLINE;
    let mut browser = Browser::start(deadline).await;
    let mut node = Node::lone(&[]).await;
    let ann = browser.open(1280, 800, false).await;
    let ben = browser.open(390, 780, true).await;

    let room = make_room(&mut browser, &ann, &node).await;
    enter(&mut browser, &ann, "Ann").await;
    browser.go(&ben, &room).await;
    enter(&mut browser, &ben, "Ben").await;
    let mut said = Vec::new();
    for (who, text) in [(&ann, "Hello Ben"), (&ben, "Hello Ann"), (&ann, LONG_WORD)] {
        say(&mut browser, who, text).await;
        said.push(text);
        both_show(&mut browser, [&ann, &ben], &said).await;
    }
    has_no_sideways_scrolling(&mut browser, &ben).await;

    node.kill9().await;
    for who in [&ann, &ben] {
        browser.until(who, &format!("!({LIVE})")).await;
    }
    say(&mut browser, &ann, "Written while it was down").await;
    browser.until(&ann, "document.querySelectorAll('[data-state=sending]').length === 1").await;
    node.restart().await;
    said.push("Written while it was down");
    both_show(&mut browser, [&ann, &ben], &said).await;

    // A reload finds the same, and the seat is still taken: nobody is asked for a name again.
    browser.value(&ben, "window.old = true, location.reload()").await;
    browser.until(&ben, "!window.old").await;
    both_show(&mut browser, [&ann, &ben], &said).await;
    say(&mut browser, &ben, "Still here").await;
    said.push("Still here");
    both_show(&mut browser, [&ann, &ben], &said).await;

    let unexpected = browser.errors().iter().filter(|error| !is_failed_attempt(error)).collect::<Vec<_>>();
    assert!(unexpected.is_empty(), "the consoles say: {unexpected:#?}");
}

#[tokio::test]
async fn whoever_is_logged_in_comes_as_himself_and_is_not_asked_for_a_name() {
    let deadline = Instant::now() + DEADLINE;
    let mut browser = Browser::start(deadline).await;
    let node = Node::lone(&[]).await;
    let ann = browser.open(1280, 800, false).await;
    let ben = browser.open(390, 780, true).await;

    browser.go(&ann, &format!("http://{}/register", node.http)).await;
    browser.until(&ann, "document.readyState === 'complete'").await;
    for (field, text) in [("username", "ann"), ("password", "correct horse\n")] {
        browser.value(&ann, &format!("document.querySelector('#{field}').focus()")).await;
        browser.write(&ann, text).await;
    }
    browser.until(&ann, "document.querySelector('.who .name')?.textContent === 'ann'").await;
    let room = make_room(&mut browser, &ann, &node).await;
    let is_herself = format!(
        "{LIVE} && document.body.dataset.view === 'chat' && document.querySelector('.me strong').textContent === 'ann'"
    );
    browser.until(&ann, &is_herself).await;
    browser.go(&ben, &room).await;
    enter(&mut browser, &ben, "Ben").await;
    say(&mut browser, &ann, "It is me").await;
    both_show(&mut browser, [&ann, &ben], &["It is me"]).await;
    let shown_as_member = "document.querySelector('.message .name').textContent === 'ann' && \
                           !document.querySelector('.message .badge').hidden";
    browser.until(&ben, shown_as_member).await;

    // A reload resumes from her cursor, as herself.
    browser.value(&ann, "window.old = true, location.reload()").await;
    browser.until(&ann, "!window.old").await;
    browser.until(&ann, &is_herself).await;
    say(&mut browser, &ann, "Still me").await;
    both_show(&mut browser, [&ann, &ben], &["It is me", "Still me"]).await;
    assert!(browser.errors().is_empty(), "the consoles say: {:#?}", browser.errors());
}

/// The page is as wide as its window, however long names and words are, with the panel open and while the connection
/// is lost.
#[tokio::test]
async fn the_page_is_never_wider_than_its_window() {
    let deadline = Instant::now() + DEADLINE;
    let mut browser = Browser::start(deadline).await;
    let mut node = Node::lone(&[]).await;
    let mut windows = Vec::new();
    for width in [320, 390, 768, 1280] {
        windows.push((width, browser.open(width, 640, width < 1_000).await));
    }
    let (_, first) = &windows[0];
    browser.go(first, &format!("http://{}/", node.http)).await;
    browser.until(first, "document.readyState === 'complete'").await;
    let room_name = "W".repeat(80);
    let make = format!(
        "fetch('/create-room', {{ method: 'POST', body: JSON.stringify({{ name: '{room_name}' }}) }}) \
         .then((answer) => answer.json()).then(({{ roomID }}) => `${{location.origin}}/r/${{roomID}}`)"
    );
    let room = browser.value(first, &make).await.as_str().expect("an address is text").to_owned();
    for (width, window) in &windows {
        browser.go(window, &room).await;
        browser.until(window, "!document.querySelector('#gate').hidden").await;
        fits(&mut browser, window, *width, "the gate").await;
        // As long as a name may be, and without a place to break it.
        let name = format!("{}{width:0>4}", "W".repeat(28));
        enter(&mut browser, window, &name).await;
        say(&mut browser, window, &LONG_WORD.repeat(4)).await;
        say(&mut browser, window, &format!("https://example.org/{}", "x".repeat(300))).await;
    }
    let all_said =
        format!("{LIVE} && {NONE_UNSENT} && document.querySelectorAll('.message .body').length === 8");
    let toggle = "document.querySelector('#people-toggle').click()";
    for (width, window) in &windows {
        browser.until(window, &all_said).await;
        fits(&mut browser, window, *width, "the chat").await;
        browser.value(window, toggle).await;
        browser.until(window, "document.querySelectorAll('#people li').length === 4").await;
        fits(&mut browser, window, *width, "the chat with the panel").await;
    }
    node.kill9().await;
    for (width, window) in &windows {
        browser.until(window, "document.querySelector('#status').textContent.includes('retrying')").await;
        fits(&mut browser, window, *width, "the reconnect line with the panel").await;
        browser.value(window, toggle).await;
        fits(&mut browser, window, *width, "the reconnect line").await;
    }
}

/// Nothing that can be seen stands beyond the window's edges. (A closed panel waits there, and cannot be seen.)
async fn fits(browser: &mut Browser, window: &Window, width: u32, what: &str) {
    let beyond = format!(
        "[...document.querySelectorAll('body, body *')].filter((element) => {{ \
           const {{ left, right, width }} = element.getBoundingClientRect(); \
           return width > 0 && getComputedStyle(element).visibility === 'visible' \
             && !element.closest('.people') && (left < -0.5 || right > {width} + 0.5); \
         }}).map((element) => `${{element.tagName}}#${{element.id}}.${{element.className}}`).join(', ')"
    );
    assert_eq!(browser.value(window, &beyond).await, "", "{what} is wider than {width} px");
    // A phone zooms out from what is too wide.
    let seen = browser.value(window, "[innerWidth, document.documentElement.scrollWidth]").await;
    assert_eq!(seen, serde_json::json!([width, width]), "{what} at {width} px");
}

/// A script that returns the links found in texts, as JSON, and the time for the worst text: 7,990 characters, of which
/// thousands are trimmed from an address by two rules in turn.
const LINKS: &str = r#"(async () => {
    const { linkify } = await import(
        performance.getEntriesByType("resource").find(({ name }) => name.endsWith("/linkify.js")).name);
    const texts = [
        "See https://a.example/b_c_ and (https://a.example/d_(e)).", "Really, https://a.example/?!",
        "请看https://a.example/维基。谢谢", "「https://a.example/f」、https://a.example/g（説明）", "https://a.example/h！",
        "http:// https://a.example/i~]*)", "https://a.example/[j](k)",
    ];
    const links = texts.flatMap(linkify).filter((node) => node.href).map((node) => node.textContent);
    const nasty = ["!".repeat(3990) + "x" + ")".repeat(3980), "!)".repeat(3985), "(".repeat(3985) + ")".repeat(3985)];
    const begin = performance.now();
    for (const tail of nasty) linkify("https://a.example/" + tail);
    return JSON.stringify([links, performance.now() - begin < 1000]);
})()"#;

fn links_found() -> String {
    let paths = ["b_c_", "d_(e)", "", "维基", "f", "g", "h", "i", "[j](k)"];
    let links = paths.map(|path| format!("https://a.example/{path}"));
    serde_json::json!([links, true]).to_string()
}

/// A message may freeze nobody's browser, and addresses end where their readers see them end.
#[tokio::test]
async fn links_are_found_in_no_time_whatever_is_written() {
    let deadline = Instant::now() + DEADLINE;
    let node = Node::lone(&[]).await;
    let mut browser = Browser::start(deadline).await;
    let window = browser.open(1280, 800, false).await;
    let room = make_room(&mut browser, &window, &node).await;
    let mut firefox = Firefox::start(deadline).await;
    firefox.go(&room).await;
    assert_eq!(firefox.text(LINKS).await, links_found(), "Firefox");
    assert_eq!(browser.value(&window, LINKS).await, links_found(), "Chromium");
}

const LONG_WORD: &str =
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaftsvorsitzender";

/// From the front page, as a visitor would; the address of the room.
async fn make_room(browser: &mut Browser, window: &Window, node: &Node) -> String {
    browser.go(window, &format!("http://{}/", node.http)).await;
    browser.until(window, "document.readyState === 'complete'").await;
    browser.value(window, "document.querySelector('#room-name').focus()").await;
    browser.write(window, "Tea\n").await;
    browser.until(window, "location.pathname.startsWith('/r/') && document.title.startsWith('Tea')").await;
    browser.value(window, "location.href").await.as_str().expect("an address is text").to_owned()
}

async fn enter(browser: &mut Browser, window: &Window, name: &str) {
    browser
        .until(window, "!document.querySelector('#gate').hidden && document.activeElement.id === 'name'")
        .await;
    browser.write(window, &format!("{name}\n")).await;
    browser.until(window, &format!("{LIVE} && document.body.dataset.view === 'chat'")).await;
}

async fn say(browser: &mut Browser, window: &Window, text: &str) {
    browser.value(window, "document.querySelector('#body').focus()").await;
    browser.write(window, &format!("{text}\n")).await;
}

/// Both are connected and show exactly these messages in this order, and all of them are with the server.
async fn both_show(browser: &mut Browser, windows: [&Window; 2], said: &[&str]) {
    let said = serde_json::to_string(said).expect("text is JSON");
    for window in windows {
        let same = format!("JSON.stringify({SHOWN}) === JSON.stringify({said})");
        browser.until(window, &format!("{LIVE} && {NONE_UNSENT} && {same}")).await;
    }
}

async fn has_no_sideways_scrolling(browser: &mut Browser, window: &Window) {
    for element in ["document.documentElement", "document.querySelector('#log')"] {
        let [content, box_] = ["scrollWidth", "clientWidth"].map(|width| format!("{element}.{width}"));
        let (content, box_) = (browser.value(window, &content).await, browser.value(window, &box_).await);
        assert_eq!(content, box_, "the width of {element}'s content is that of its box");
    }
}

/// While a node is away, its browsers say so for every attempt to reach it.
fn is_failed_attempt(error: &str) -> bool {
    let attempt = error.contains("/ws?") || error.contains("/room-messages?");
    attempt
        && (error.contains("net::ERR_") || error.contains("WebSocket connection to") || error.contains("503"))
}
