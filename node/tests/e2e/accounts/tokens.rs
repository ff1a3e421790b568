//! Promise: nobody gets in with a token that no node of the cluster has made, and a personal token is good until it
//! ends.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser as _;
use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use serde_json::{Value, json};
use starling_node::auth::{AccessTokens, Holder};
use starling_node::cluster::ClusterKeys;
use starling_node::config::{Config, Flags};

use harness::account::{CHEAP_HASHES, PASSWORD, call};
use harness::{Account, Cluster, Node, eventually};

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(since.as_millis()).expect("it is before the year 500,000,000")
}

fn token_secret(cluster: &Cluster) -> [u8; 32] {
    let flags =
        Flags::try_parse_from(["starling", "--cluster-secret", &cluster.secret]).expect("right flags");
    let config = Config::resolve(flags.serve).expect("a right configuration");
    ClusterKeys::derive(&config.cluster.expect("there is one").secrets.newest)
        .expect("a good secret")
        .token_secret
}

fn part(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

/// The JSON in a part of a JWT.
fn read(part: &str) -> Value {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).expect("base 64")).expect("JSON")
}

#[tokio::test]
async fn forged_and_expired_access_tokens_open_nothing() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let nodes = [0, 1].map(|node| cluster[node].http);
    let ann = Account::register(nodes[0], "ann").await;
    let parts: Vec<_> = ann.access.split('.').collect();
    let (header, claims) = (read(parts[0]), read(parts[1]));
    let names = ["iss", "sub", "sid", "iat", "exp", "aud"];
    assert!(names.iter().all(|name| !claims[name].is_null()), "{claims}");
    assert_eq!(claims["exp"].as_u64(), claims["iat"].as_u64().map(|iat| iat + 900));
    let unsigned = |alg: &str, signature: &str| {
        let mut header = header.clone();
        header["alg"] = json!(alg);
        format!("{}.{}.{signature}", part(&header), parts[1])
    };
    let resigned = {
        let text = format!("{}.{}", parts[0], parts[1]);
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), text.as_bytes());
        format!("{text}.{}", BASE64URL_NOPAD.encode(mac.as_ref()))
    };
    let mut admin = claims.clone();
    admin["sub"] = json!("00000000000000000000000000");
    let other_user = format!("{}.{}.{}", parts[0], part(&admin), parts[2]);
    let (user, session) = (ann.id.clone(), claims["sid"].as_str().expect("it has a session").to_owned());
    let made = |issuer: &str, secret: &[u8; 32], at_ms: u64| {
        let holder = Holder { user: user.clone(), session: session.clone() };
        AccessTokens::new(issuer, secret, &[]).issue(&holder, at_ms)
    };
    let secret = token_secret(&cluster);
    let good = made("starling", &secret, now_ms());
    for node in nodes {
        assert_eq!(
            call(node, "GET", "/me", Some(&good), None).await.status,
            200,
            "the test signs as nodes do"
        );
        for (token, code) in [
            (made("starling", &secret, now_ms() - 3_600_000), "token_expired"),
            // Before its issuer's clock was set back.
            (made("starling", &secret, now_ms() + 3_600_000), "token_expired"),
            (made("starling", &secret, now_ms() + 365 * 24 * 3_600_000), "token_expired"),
            (made("starling", &[7; 32], now_ms()), "unauthenticated"),
            (made("another", &secret, now_ms()), "unauthenticated"),
            (unsigned("none", ""), "unauthenticated"),
            (unsigned("none", parts[2]), "unauthenticated"),
            (unsigned("HS384", parts[2]), "unauthenticated"),
            (resigned.clone(), "unauthenticated"),
            (other_user.clone(), "unauthenticated"),
            (format!("{}.{}", parts[0], parts[1]), "unauthenticated"),
            ("x".repeat(5_000), "unauthenticated"),
            (String::new(), "unauthenticated"),
        ] {
            let answer = call(node, "GET", "/me", Some(&token), None).await;
            assert_eq!((answer.status, answer.code().as_str()), (401, code), "{token}");
        }
    }
}

#[tokio::test]
async fn a_personal_token_is_good_on_every_node_until_it_is_revoked_or_ends() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let nodes = [0, 1].map(|node| cluster[node].http);
    let ann = Account::register(nodes[0], "ann").await;
    let bob = Account::register(nodes[0], "bob").await;
    let make = async |body: Value| ann.call(nodes[0], "POST", "/tokens", Some(body)).await;
    for (body, status, code) in [
        (json!({"name": "backup"}), 400, "bad_request"),
        (json!({"name": "backup", "password": "wrong horse"}), 401, "bad_credentials"),
        (json!({"name": "backup", "password": PASSWORD, "expires_in": 0}), 422, "invalid"),
    ] {
        let refused = make(body).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{}", refused.text());
    }
    let created = make(json!({"name": "backup", "password": PASSWORD})).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let year = |at: &Value| at.as_str().and_then(|at| at.get(..4)?.parse::<u32>().ok()).expect("a time");
    let (created_at, expires_at) = (&created.json()["created_at"], &created.json()["expires_at"]);
    assert_eq!(year(expires_at), year(created_at) + 1, "{created_at} {expires_at}");
    let (id, token) = (created.json()["id"].clone(), created.json()["token"].clone());
    let (id, token) = (id.as_str().expect("an id"), token.as_str().expect("a token"));
    let short = make(json!({"name": "short", "password": PASSWORD, "expires_in": 2})).await.json();
    let short_token = short["token"].as_str().expect("a token").to_owned();
    for node in nodes {
        let me = call(node, "GET", "/me", Some(token), None).await;
        assert_eq!((me.status, &me.json()["username"]), (200, &json!("ann")));
        let listed = ann.call(node, "GET", "/tokens", None).await;
        let names: Vec<_> =
            listed.json()["items"].as_array().expect("a list").iter().map(|t| t["name"].clone()).collect();
        assert_eq!(names, ["short", "backup"]);
        assert!(!listed.text().contains("starling_pat_"), "it is shown once");
        let sessions = ann.call(node, "GET", "/sessions", None).await.json();
        assert_eq!(sessions["items"].as_array().map(Vec::len), Some(1), "a token is no login: {sessions}");
    }
    // Part of another's, cut, and with another secret.
    let (stem, _) = token.rsplit_once('.').expect("three parts");
    for forged in
        [format!("{stem}.AAAAAAAAAAAAAAAAAAAAAA"), token[..token.len() - 1].to_owned(), format!("{token}A")]
    {
        assert_eq!(call(nodes[1], "GET", "/me", Some(&forged), None).await.status, 401, "{forged}");
    }
    let another =
        call(nodes[1], "POST", "/tokens", Some(token), Some(json!({"name": "child", "password": PASSWORD})))
            .await;
    assert_eq!(another.code(), "forbidden", "a token makes no others");
    assert_eq!(bob.call(nodes[1], "DELETE", &format!("/tokens/{id}"), None).await.status, 404, "not theirs");
    assert_eq!(ann.call(nodes[1], "DELETE", &format!("/sessions/{id}"), None).await.status, 404, "no login");
    assert_eq!(ann.call(nodes[1], "DELETE", &format!("/tokens/{id}"), None).await.status, 204);
    for node in nodes {
        assert_eq!(call(node, "GET", "/me", Some(token), None).await.code(), "unauthenticated");
        let ended = async || match call(node, "GET", "/me", Some(&short_token), None).await.status {
            401 => Ok(()),
            status => Err(status.to_string()),
        };
        eventually(Duration::from_secs(5), "a token of two seconds ends", ended).await;
    }
    assert_eq!(ann.call(nodes[0], "DELETE", &format!("/tokens/{id}"), None).await.status, 404);
    let left = ann.call(nodes[0], "GET", "/tokens", None).await.json();
    assert_eq!(left["items"], json!([]));
}

/// Promise: a token that leaked logs nobody out, and outlives nothing by which its owner gets rid of it.
#[tokio::test]
async fn a_personal_token_ends_no_session_but_its_own() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let ann = Account::register(node.http, "ann").await;
    let other = Account::login(node.http, "ann").await;
    let make = async || {
        let body = json!({"name": "script", "password": PASSWORD});
        let made = ann.call(node.http, "POST", "/tokens", Some(body)).await.json();
        let text = |name: &str| made[name].as_str().expect("it is made").to_owned();
        (text("id"), text("token"))
    };
    let (_, token) = make().await;
    let (other_id, other_token) = make().await;
    let sessions = ann.call(node.http, "GET", "/sessions", None).await.json();
    let session = sessions["items"][0]["id"].as_str().expect("there are two").to_owned();
    let password = json!({"current_password": PASSWORD, "new_password": "better horse"});
    for (method, target, body) in [
        ("POST", "/logout?all=true", None),
        ("DELETE", &*format!("/sessions/{session}"), None),
        ("DELETE", &*format!("/tokens/{other_id}"), None),
        ("POST", "/me/password", Some(password)),
        ("DELETE", "/me", Some(json!({"password": PASSWORD}))),
        ("POST", "/tokens", Some(json!({"name": "child", "password": PASSWORD}))),
    ] {
        let refused = call(node.http, method, target, Some(&token), body).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"), "{method} {target}");
    }
    assert_eq!((ann.status(node.http).await, other.status(node.http).await), (200, 200));
    assert_eq!(call(node.http, "GET", "/me", Some(&other_token), None).await.status, 200);
    // A script may throw its own away.
    assert_eq!(call(node.http, "POST", "/logout", Some(&token), None).await.status, 204);
    assert_eq!(
        call(node.http, "DELETE", &format!("/tokens/{other_id}"), Some(&other_token), None).await.status,
        204
    );
    for token in [token, other_token] {
        assert_eq!(call(node.http, "GET", "/me", Some(&token), None).await.status, 401);
    }
    assert_eq!((ann.status(node.http).await, other.status(node.http).await), (200, 200));
}

#[tokio::test]
async fn personal_tokens_are_bounded() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let ann = Account::register(node.http, "ann").await;
    let make = async || {
        ann.call(node.http, "POST", "/tokens", Some(json!({"name": "x", "password": PASSWORD}))).await
    };
    for _ in 0..50 {
        assert_eq!(make().await.status, 201);
    }
    let refused = make().await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"), "{}", refused.text());
    let mut seen = 0;
    let mut cursor = String::new();
    for _ in 0..3 {
        let page = ann.call(node.http, "GET", &format!("/tokens?limit=20{cursor}"), None).await.json();
        seen += page["items"].as_array().expect("a list").len();
        cursor = page["next"].as_str().map(|next| format!("&cursor={next}")).unwrap_or_default();
    }
    assert_eq!((seen, cursor.as_str()), (50, ""));
}
