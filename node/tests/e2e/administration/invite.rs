//! Promise: the address of an invite opens a page that lets whoever is logged in take it, and says nothing of it to others.

use serde_json::json;

use harness::account::{CHEAP_HASHES, PASSWORD};
use harness::visitor::{Visitor, page, sent_to};
use harness::{Account, Node};

#[tokio::test]
async fn the_address_of_an_invite_opens_a_page_that_lets_one_in() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let host = Account::register(node.http, "host").await;
    let room = json!({"name": "Tea <b>", "visibility": "private"});
    let room = host.call(node.http, "POST", "/rooms", Some(room)).await.json();
    let room = room["id"].as_str().expect("a room is made");
    let invites = format!("/rooms/{room}/invites");
    let invite = host.call(node.http, "POST", &invites, Some(json!({}))).await.json();
    let (code, url) = (invite["code"].as_str().expect("it has a code"), invite["url"].as_str());
    let address = format!("/invite/{code}");
    assert_eq!(url, Some(format!("http://{}{address}", node.http).as_str()));

    let mut ann = Visitor::at(node.http);
    let stranger = page(&ann.get(&address).await, 200);
    let [login, register] =
        [format!("/login?next={address}"), format!("/register?invite={code}&amp;next={address}")];
    assert!(stranger.contains(&login) && stranger.contains(&register), "{stranger}");
    assert!(!stranger.contains("Tea") && !stranger.contains("<form"), "{stranger}");
    let other = "0".repeat(code.len());
    let unknown = page(&ann.get(&format!("/invite/{other}")).await, 200);
    assert_eq!(unknown.replace(&other, code), stranger, "nobody learns which invites there are");
    page(&ann.get("/invite/x").await, 404);
    assert_eq!(sent_to(&ann.submit(&address, &[]).await), login);

    let form = [("username", "ann"), ("password", PASSWORD), ("next", &address)];
    assert_eq!(sent_to(&ann.submit("/register", &form).await), address);
    let offered = page(&ann.get(&address).await, 200);
    assert!(offered.contains(&format!("<form action=\"{address}\" method=\"post\">")), "{offered}");
    page(&ann.submit_with(&address, &[], &[("origin", "http://evil.example")]).await, 403);
    page(&ann.submit(&format!("/invite/{other}"), &[]).await, 404);
    assert_eq!(ann.get(&format!("/api/v1/rooms/{room}")).await.status, 404, "she is not in it yet");
    for _ in 0..2 {
        let joined = page(&ann.submit(&address, &[]).await, 200);
        assert!(joined.contains("Tea &lt;b&gt;"), "{joined}");
    }
    assert_eq!(ann.get(&format!("/api/v1/rooms/{room}")).await.json()["role"], "member");
}
