//! Users see and change their own account, and a failed login tells nothing else.

use std::time::Instant;

use serde_json::{Value, json};

use harness::account::{CHEAP_HASHES, PASSWORD, call, login};
use harness::{Account, Cluster, Node};

#[tokio::test]
async fn profile_and_settings_are_the_same_on_every_node() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let ann = Account::register(a, "ann").await;
    let me = ann.call(b, "GET", "/me", None).await.json();
    let expected = [("username", json!("ann")), ("display_name", json!("ann")), ("admin", json!(false))];
    assert!(expected.iter().all(|(name, value)| me[name] == *value) && me["renamed"] == false, "{me}");
    for (given, shown) in [(json!("  Ann  "), "Ann"), (Value::Null, "ann"), (json!("Ännie"), "Ännie")] {
        let changed = ann.call(a, "PATCH", "/me", Some(json!({"display_name": given}))).await;
        assert_eq!(
            (changed.status, &changed.json()["display_name"]),
            (200, &json!(shown)),
            "{}",
            changed.text()
        );
        assert_eq!(ann.call(b, "GET", "/me", None).await.json(), changed.json());
    }
    assert_eq!(ann.call(a, "PATCH", "/me", Some(json!({}))).await.json()["display_name"], "Ännie");
    let settings = json!({"theme": "system", "language": "en", "notify": "all", "dnd_until": null});
    assert_eq!(ann.call(b, "GET", "/me/settings", None).await.json(), settings);
    let change = json!({"theme": "dark", "notify": "mentions", "dnd_until": "2040-01-01T01:00:00+01:00"});
    let expected = json!({"theme": "dark", "language": "en", "notify": "mentions", "dnd_until": "2040-01-01T00:00:00.000Z"});
    assert_eq!(ann.call(a, "PATCH", "/me/settings", Some(change)).await.json(), expected);
    assert_eq!(ann.call(b, "GET", "/me/settings", None).await.json(), expected);
    let change = json!({"language": "de-CH", "dnd_until": null});
    let expected = json!({"theme": "dark", "language": "de-CH", "notify": "mentions", "dnd_until": null});
    assert_eq!(ann.call(b, "PATCH", "/me/settings", Some(change)).await.json(), expected);
    assert_eq!(ann.call(a, "GET", "/me/settings", None).await.json(), expected);
    for (target, body, field) in [
        ("/me", json!({"display_name": " "}), "display_name"),
        ("/me", json!({"display_name": "x".repeat(65)}), "display_name"),
        ("/me", json!({"username": "a b"}), "username"),
        ("/me/settings", json!({"language": "en_US"}), "language"),
        ("/me/settings", json!({"dnd_until": "tomorrow"}), "dnd_until"),
    ] {
        let refused = ann.call(a, "PATCH", target, Some(body)).await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["field"]), (422, &json!(field)));
    }
}

#[tokio::test]
async fn logins_are_listed_ended_and_bounded() {
    let node = Node::lone(&[&CHEAP_HASHES[..], &["--limit-logins-per-address", "0"]].concat()).await;
    let first = Account::register(node.http, "ann").await;
    let bob = Account::register(node.http, "bob").await;
    let second = Account::login(node.http, "ann").await;
    let list = async |who: &Account| {
        let list = who.call(node.http, "GET", "/sessions?limit=200", None).await.json();
        list["items"].as_array().expect("a list").clone()
    };
    let listed = list(&second).await;
    assert_eq!(
        listed.iter().map(|s| s["current"] == true).collect::<Vec<_>>(),
        [true, false],
        "newest first"
    );
    let id = listed[1]["id"].as_str().expect("an id");
    assert_eq!(bob.call(node.http, "DELETE", &format!("/sessions/{id}"), None).await.status, 404);
    assert_eq!(second.call(node.http, "DELETE", &format!("/sessions/{id}"), None).await.status, 204);
    assert_eq!(second.call(node.http, "DELETE", &format!("/sessions/{id}"), None).await.status, 404);
    assert_eq!((first.status(node.http).await, second.status(node.http).await), (401, 200));
    // The hundredth beside it fits, and the next takes the place of the one that was seen least lately.
    let third = Account::login(node.http, "ann").await;
    for _ in 0..98 {
        Account::login(node.http, "ann").await;
    }
    assert_eq!(list(&second).await.len(), 100);
    let kept =
        call(node.http, "POST", "/refresh", None, Some(json!({"refresh_token": second.refresh}))).await;
    assert_eq!(kept.status, 200);
    Account::login(node.http, "ann").await;
    assert_eq!((second.status(node.http).await, third.status(node.http).await), (200, 401));
    assert_eq!(list(&second).await.len(), 100);
}

#[tokio::test]
async fn who_may_not_log_in_learns_nothing_else() {
    let node = Node::lone(&[]).await;
    Account::register(node.http, "ann").await;
    // The least of several: whatever else the machine does only adds to it.
    let mut times = [f64::INFINITY; 2];
    let mut answers = Vec::new();
    for _ in 0..9 {
        for (which, name) in ["ann", "nobody"].into_iter().enumerate() {
            let begin = Instant::now();
            let answer = login(node.http, name, "wrong horse").await;
            times[which] = times[which].min(begin.elapsed().as_secs_f64());
            answers.push((answer.status, answer.text()));
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].0, 401);
    let ratio = times[0] / times[1];
    assert!((0.5..2.0).contains(&ratio), "a known name takes {ratio} times as long");
    assert_eq!(login(node.http, "ANN ", PASSWORD).await.status, 200, "names are folded");
}

#[tokio::test]
async fn failed_logins_to_one_account_are_limited_and_a_right_one_forgives() {
    let node = Node::lone(&[&CHEAP_HASHES[..], &["--limit-logins-per-account", "3/10m"]].concat()).await;
    Account::register(node.http, "ann").await;
    for _ in 0..4 {
        for _ in 0..2 {
            assert_eq!(login(node.http, "ann", "wrong horse").await.status, 401);
        }
        assert_eq!(login(node.http, "ann", PASSWORD).await.status, 200);
    }
    for _ in 0..3 {
        assert_eq!(login(node.http, "nobody", "wrong horse").await.status, 401);
    }
    let refused = login(node.http, "nobody", "wrong horse").await;
    assert_eq!(refused.code(), "rate_limited", "also of a name that nobody has");
    assert!(refused.header("retry-after").is_some());
}

/// Promise: nobody has a password that is made of the names that everybody knows, and it is the same however its
/// characters are composed.
#[tokio::test]
async fn passwords_are_judged_by_whose_they_are_and_compared_in_nfc() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let register = async |name: &str, password: &str| {
        call(node.http, "POST", "/register", None, Some(json!({"username": name, "password": password})))
            .await
    };
    for (name, password) in [
        ("christopher", "Christopher1"),
        ("ann", "starling2026"),
        ("ann", "annannann"),
        ("ann", "rehctibanna"),
    ] {
        let refused = register(name, password).await;
        let fine = password == "rehctibanna";
        assert_eq!(refused.status, if fine { 201 } else { 422 }, "{name} {password}: {}", refused.text());
        assert!(fine || refused.json()["errors"][0]["field"] == "password", "{}", refused.text());
    }
    let body = json!({"current_password": "rehctibanna", "new_password": "ann-2026!"});
    let ann = Account::of(&login(node.http, "ann", "rehctibanna").await, 200);
    let refused = ann.call(node.http, "POST", "/me/password", Some(body)).await;
    assert_eq!(refused.json()["errors"][0]["field"], "new_password", "{}", refused.text());
    let (composed, decomposed) = ("p\u{e4}ssw\u{f6}rter", "pa\u{308}sswo\u{308}rter");
    assert_eq!(register("bob", decomposed).await.status, 201);
    for typed in [composed, decomposed] {
        assert_eq!(login(node.http, "bob", typed).await.status, 200, "{typed:?}");
    }
}

/// Promise: whatever somebody calls the account whose password they guess, they guess as often as anybody.
#[tokio::test]
async fn a_name_with_a_suffix_is_no_second_bucket_of_tries() {
    let node = Node::lone(&[&CHEAP_HASHES[..], &["--limit-logins-per-account", "3/10m"]].concat()).await;
    Account::register(node.http, "ann").await;
    for name in ["ann", "ann~x1y2", "ANN~0000"] {
        assert_eq!(login(node.http, name, "wrong horse").await.status, 401, "{name}");
    }
    for name in ["ann~x1y2", "ann~2222", "ann"] {
        assert_eq!(login(node.http, name, "wrong horse").await.code(), "rate_limited", "{name}");
    }
}

#[tokio::test]
async fn what_one_account_asks_is_limited() {
    let node = Node::lone(&[&CHEAP_HASHES[..], &["--limit-calls-per-account", "3/m"]].concat()).await;
    let ann = Account::register(node.http, "ann").await;
    let again = Account::login(node.http, "ann").await;
    let bob = Account::register(node.http, "bob").await;
    for login in [&ann, &again, &ann] {
        assert_eq!(login.status(node.http).await, 200);
    }
    assert_eq!(again.call(node.http, "GET", "/sessions", None).await.code(), "rate_limited");
    assert_eq!(bob.status(node.http).await, 200, "others go on");
}
