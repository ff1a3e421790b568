//! A page in a real browser, behind a balancer, goes on at another node when its own is killed. A browser stays on
//! its one address; programs, which may use `public_urls`, are tested in `failover.rs`.

use std::time::{Duration, Instant};

use harness::balancer::Balancer;
use harness::browser::{Browser, Window};
use harness::http::create_room;
use harness::{Client, Cluster};

/// For the whole test, on a machine that does other things too.
const DEADLINE: Duration = Duration::from_mins(2);
/// The sessions of a killed node resume on another within this, back-off included.
const RESUMED: Duration = Duration::from_secs(2);

/// The bodies of all messages that are shown, from top to bottom.
const SHOWN: &str =
    "[...document.querySelectorAll('.message .message-body')].map((body) => body.textContent)";
/// Counts how often the page has come back.
const COUNT_RETURNS: &str = "window.returns = 0, new MutationObserver(() => { window.returns += document.body.dataset.connection === 'live' }) \
    .observe(document.body, { attributeFilter: ['data-connection'] })";

#[tokio::test]
async fn a_page_goes_on_under_its_name_within_2_s_when_its_node_is_killed() {
    let mut browser = Browser::start(Instant::now() + DEADLINE).await;
    let mut cluster = Cluster::start(2).await;
    let balancer = Balancer::start(cluster.nodes.iter().map(|node| node.http).collect()).await;
    let room = create_room(cluster[0].http).await;
    let mut ben = Client::join(cluster[1].http, &room, "Ben").await;
    let ann = browser.open(1280, 800, false).await;
    browser.go(&ann, &format!("http://{}/r/{room}", balancer.address)).await;
    browser.until(&ann, "document.activeElement.id === 'name'").await;
    browser.write(&ann, "Ann\n").await;
    browser
        .until(&ann, "document.body.dataset.connection === 'live' && document.body.dataset.view === 'chat'")
        .await;
    say(&mut browser, &ann, "Here I am").await;
    ben.until_message("Here I am").await;
    browser.until(&ann, &shows(&["Here I am"])).await;
    browser.value(&ann, COUNT_RETURNS).await;

    let killed = Instant::now();
    cluster[0].kill9().await;
    browser.until(&ann, "window.returns > 0").await;
    let took = killed.elapsed();
    assert!(took < RESUMED, "the page was back after {took:?}");

    ben.post("Are you there?").await;
    browser.until(&ann, &shows(&["Here I am", "Are you there?"])).await;
    say(&mut browser, &ann, "Still here").await;
    let posted = ben.until_message("Still here").await;
    assert_eq!((posted.username.as_str(), posted.guest), ("Ann", true));
    browser.until(&ann, &shows(&["Here I am", "Are you there?", "Still here"])).await;
}

async fn say(browser: &mut Browser, window: &Window, text: &str) {
    browser.value(window, "document.querySelector('#body').focus()").await;
    browser.write(window, &format!("{text}\n")).await;
}

fn shows(bodies: &[&str]) -> String {
    let bodies = serde_json::to_string(bodies).expect("text is JSON");
    format!("JSON.stringify({SHOWN}) === JSON.stringify({bodies})")
}
