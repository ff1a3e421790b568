//! Promise: administrators see all accounts, let others administer and shut them out, on every node at once; nobody
//! else does, and there is always one of them.

use serde_json::{Value, json};

use crate::administration::reset::administrator;
use harness::account::{CHEAP_HASHES, PASSWORD, call, login};
use harness::visitor::{Visitor, page, sent_to};
use harness::{Account, Cluster, PATIENCE, eventually};

#[tokio::test]
async fn administrators_see_promote_and_shut_out_on_every_node() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let admin = administrator(&cluster[0], "root").await;
    let bob = Account::register(b, "bob").await;
    let target = |who: &Account| format!("/admin/users/{}", who.id);
    let flag = async |by: &Account, node, who: &Account, flags: Value| {
        by.call(node, "PATCH", &target(who), Some(flags)).await
    };
    for (method, path, body) in [
        ("GET", "/admin/users".to_owned(), None),
        ("PATCH", target(&bob), Some(json!({"admin": true}))),
        ("PATCH", target(&admin), Some(json!({"disabled": true}))),
        ("POST", format!("{}/reset-link", target(&admin)), None),
    ] {
        assert_eq!(bob.call(a, method, &path, body).await.code(), "forbidden", "{method} {path}");
    }
    let page_of =
        async |query: &str| admin.call(b, "GET", &format!("/admin/users{query}"), None).await.json();
    let names = |list: &Value| {
        let items = list["items"].as_array().expect("a list").clone();
        items.iter().map(|user| user["username"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&page_of("").await), ["bob", "root"]);
    assert_eq!(names(&page_of("?q=RO").await), ["root"]);
    let first = page_of("?limit=1").await;
    let next = first["next"].as_str().expect("there are more");
    assert_eq!(names(&page_of(&format!("?limit=1&cursor={next}")).await), ["root"]);

    // They are shut out: at once, everywhere, with whatever token.
    let mut window = Visitor::at(b);
    let form = [("username", "bob"), ("password", PASSWORD)];
    sent_to(&window.submit("/login", &form).await);
    let token =
        bob.call(b, "POST", "/tokens", Some(json!({"name": "script", "password": PASSWORD}))).await.json();
    let token = token["token"].as_str().expect("a token").to_owned();
    let refresh = json!({"refresh_token": bob.refresh});
    let shut = flag(&admin, a, &bob, json!({"disabled": true})).await;
    assert_eq!((shut.status, &shut.json()["disabled"]), (200, &json!(true)), "{}", shut.text());
    for node in [a, b] {
        assert_eq!(bob.status(node).await, 401);
        assert_eq!(Visitor { node, ..window.clone() }.me().await.0, 401);
        assert_eq!(call(node, "GET", "/me", Some(&token), None).await.status, 401);
        assert_eq!(call(node, "POST", "/refresh", None, Some(refresh.clone())).await.status, 401);
        assert_eq!(login(node, "bob", PASSWORD).await.code(), "bad_credentials");
        page(&Visitor::at(node).submit("/login", &form).await, 401);
    }
    assert_eq!(flag(&admin, b, &bob, json!({"disabled": false})).await.status, 200);
    assert_eq!(login(a, "bob", PASSWORD).await.status, 200);
    // What they had is over for good.
    for node in [a, b] {
        assert_eq!(bob.status(node).await, 401);
        assert_eq!(Visitor { node, ..window.clone() }.me().await.0, 401);
        assert_eq!(call(node, "GET", "/me", Some(&token), None).await.status, 401);
        assert_eq!(call(node, "POST", "/refresh", None, Some(refresh.clone())).await.status, 401);
    }

    // The last one stays, whoever asks; with a second, either may go.
    for flags in
        [json!({"admin": false}), json!({"disabled": true}), json!({"admin": false, "disabled": true})]
    {
        assert_eq!(flag(&admin, a, &admin, flags).await.code(), "forbidden");
    }
    assert_eq!(flag(&admin, a, &bob, json!({"admin": true})).await.status, 200);
    let bob = Account::login(b, "bob").await;
    assert_eq!(flag(&bob, b, &admin, json!({"admin": false})).await.status, 200);
    assert_eq!(admin.call(a, "GET", "/admin/users", None).await.code(), "forbidden", "at once, everywhere");
    assert_eq!(flag(&bob, b, &bob, json!({"admin": false})).await.code(), "forbidden");
    let delete =
        async |who: &Account| who.call(a, "DELETE", "/me", Some(json!({"password": PASSWORD}))).await;
    assert_eq!(delete(&bob).await.code(), "forbidden", "nor by deleting themselves");
    assert_eq!(delete(&admin).await.status, 204);
}

/// A room whose owner is shut out passes on as when they leave, and comes back with them; an administrator may give any
/// room an owner.
#[tokio::test]
async fn a_room_whose_owner_is_shut_out_has_another() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let admin = administrator(&cluster[0], "root").await;
    let [ann, bob, eve] = [
        Account::register(a, "ann").await,
        Account::register(b, "bob").await,
        Account::register(a, "eve").await,
    ];
    let made = json!({"name": "Room", "visibility": "public"});
    let made = ann.call(a, "POST", "/rooms", Some(made)).await.json();
    let room = format!("/rooms/{}", made["id"].as_str().expect("it is made"));
    for member in [&bob, &eve] {
        assert_eq!(member.call(b, "POST", &format!("{room}/join"), None).await.status, 200);
    }
    let role = async |who: &Account| who.call(b, "GET", &room, None).await.json()["role"].clone();
    let moderator = Some(json!({"role": "moderator"}));
    let changed = ann.call(a, "PATCH", &format!("{room}/members/{}", eve.id), moderator).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let shut = async |disabled: bool| {
        let target = format!("/admin/users/{}", ann.id);
        let flagged = admin.call(a, "PATCH", &target, Some(json!({ "disabled": disabled }))).await;
        assert_eq!(flagged.status, 200, "{}", flagged.text());
    };
    shut(true).await;
    assert_eq!([role(&eve).await, role(&bob).await], ["owner", "member"]);
    let private = Some(json!({"visibility": "private"}));
    assert_eq!(eve.call(b, "PATCH", &room, private).await.status, 200, "an owner's to decide");
    shut(false).await;
    let ann_again = Account::login(b, "ann").await;
    assert_eq!([role(&ann_again).await, role(&eve).await], ["owner", "moderator"]);

    let given = format!("/admin{room}");
    let to = |who: &str| Some(json!({ "owner": who }));
    for (by, owner, code) in
        [(&eve, &bob.id, "forbidden"), (&admin, &admin.id, "not_found"), (&admin, &room, "not_found")]
    {
        assert_eq!(by.call(a, "PATCH", &given, to(owner)).await.code(), code, "{owner}");
    }
    assert_eq!(admin.call(a, "PATCH", "/admin/rooms/x", to(&bob.id)).await.code(), "not_found");
    assert_eq!(admin.call(a, "PATCH", &given, to(&bob.id)).await.status, 204);
    assert_eq!([role(&bob).await, role(&ann_again).await], ["owner", "owner"]);
    assert_eq!(admin.call(b, "GET", &room, None).await.status, 404, "it stays private to them");
}

/// Promise: disabling ends every session and token for good, also those of the other side of a split, which did not know
/// of it: enabling revives none.
#[tokio::test]
async fn what_the_other_side_of_a_split_let_in_is_not_revived() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let admin = administrator(&cluster[0], "root").await;
    let bob = Account::register(a, "bob").await;
    cluster.isolate(0);
    cluster.in_sync(0, 0).await;
    let target = format!("/admin/users/{}", bob.id);
    let flag = async |disabled: bool| {
        admin.call(a, "PATCH", &target, Some(json!({"disabled": disabled}))).await.status
    };
    assert_eq!(flag(true).await, 200);
    // There nobody knows of it yet.
    let there = Account::login(b, "bob").await;
    let script = json!({"name": "script", "password": PASSWORD});
    let script = there.call(b, "POST", "/tokens", Some(script)).await.json();
    let script = script["token"].as_str().expect("a token").to_owned();
    cluster.rejoin(0);
    cluster.linked().await;
    for node in [a, b] {
        let ended = async || match there.status(node).await {
            401 => Ok(()),
            status => Err(status.to_string()),
        };
        eventually(PATIENCE, "the other side is told", ended).await;
    }
    assert_eq!(flag(false).await, 200);
    for node in [a, b] {
        assert_eq!((bob.status(node).await, there.status(node).await), (401, 401));
        assert_eq!(call(node, "GET", "/me", Some(&script), None).await.status, 401);
        assert_eq!(Account::login(node, "bob").await.status(a).await, 200, "only a login lets in");
    }
}
