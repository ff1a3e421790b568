//! Promise: no page of another site makes a browser log in, register, set up, choose a password or log out.

use crate::administration::setup::printed;
use harness::account::{CHEAP_HASHES, PASSWORD};
use harness::visitor::{Visitor, page, sent_to};
use harness::{Account, Node};

#[tokio::test]
async fn no_form_is_taken_from_another_site() {
    let node = Node::lone(&CHEAP_HASHES).await;
    Account::register(node.http, "bob").await;
    let setup = printed(&node).await;
    let mut bob = Visitor::at(node.http);
    let form = [("username", "bob"), ("password", PASSWORD)];
    sent_to(&bob.submit("/login", &form).await);
    let own = format!("http://{}", node.http);
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", &own), ("sec-fetch-site", "same-site")],
        // Another port is another site.
        &[("origin", "http://127.0.0.1:1")],
        &[("origin", "")],
    ] {
        let eve = [("username", "eve"), ("password", PASSWORD)];
        for (target, form) in [
            ("/login", &form[..]),
            ("/register", &eve),
            (&setup, &eve),
            ("/reset/x", &[("password", PASSWORD)]),
            ("/logout", &[]),
        ] {
            let answer = bob.clone().submit_with(target, form, headers).await;
            assert_eq!(answer.header("set-cookie"), None, "{target} {headers:?}");
            page(&answer, 403);
        }
        assert_eq!(bob.me().await.0, 200, "they are still logged in: {headers:?}");
    }
    // What no browser sends, and what each kind of browser sends from the node's own page.
    for headers in [
        &[][..],
        &[("origin", own.as_str())],
        &[("origin", &own), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "same-origin")],
    ] {
        let mut visitor = Visitor::at(node.http);
        sent_to(&visitor.submit_with("/login", &form, headers).await);
        assert_eq!(visitor.me().await.0, 200, "{headers:?}");
        sent_to(&visitor.submit_with("/logout", &[], headers).await);
        assert_eq!(visitor.me().await.0, 401, "{headers:?}");
    }
    let mut eve = Visitor::at(node.http);
    page(&eve.submit("/login", &[("username", "eve"), ("password", PASSWORD)]).await, 401);
    page(&eve.get(&setup).await, 200);
}
