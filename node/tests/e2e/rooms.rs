//! Rooms of members over `/api/v1` on real nodes: who is in them, what is unread, and what nobody can get by trying. Who
//! may do what is compared with a model in `services/member_rooms/permission_tests`.

use harness::account::{CHEAP_HASHES, NONE, call, text};
use harness::{Account, Cluster, PATIENCE, eventually, same};
use serde_json::json;

async fn with_people<const N: usize>(nodes: usize, names: [&str; N]) -> (Cluster, [Account; N]) {
    let cluster = Cluster::start_with(nodes, &CHEAP_HASHES).await;
    let mut people = Vec::new();
    for name in names {
        people.push(Account::register(cluster[0].http, name).await);
    }
    (cluster, people.try_into().expect("as many as there are names"))
}

/// Promise 6: each step is on another node than the one that it builds on.
#[tokio::test]
async fn who_is_in_a_room_and_what_he_may_there_is_known_on_all_nodes_when_it_is_answered() {
    let (cluster, [ann, bob, eve]) = with_people(3, ["ann", "bob", "eve"]).await;
    let [a, b, c] = [0, 1, 2].map(|node| cluster[node].http);
    let id = ann.create_room(a, "public").await;
    let room = format!("/rooms/{id}");
    let members = format!("{room}/members");
    let found = eve.expect(b, "GET", "/rooms/public?q=PUBLIC", NONE, 200).await;
    assert_eq!((&found["items"][0]["id"], &found["items"][0]["role"]), (&json!(id), &NONE));
    assert_eq!(bob.expect(c, "POST", &format!("{room}/join"), NONE, 200).await["member_count"], 2);
    let eve_joins = ann.expect(b, "POST", &members, json!({"user_id": eve.id}), 403).await;
    assert_eq!(eve_joins["code"], "not_contacts");
    eve.expect(c, "POST", "/contacts", json!({"username": "ann"}), 201).await;
    ann.expect(b, "POST", &format!("/contacts/{}/accept", eve.id), NONE, 200).await;
    let moderator = json!({"user_id": eve.id, "role": "moderator"});
    assert_eq!(ann.expect(a, "POST", &members, moderator.clone(), 201).await["role"], "moderator");
    assert_eq!(ann.expect(b, "POST", &members, moderator, 409).await["code"], "already_exists");
    for node in [a, b, c] {
        assert_eq!(bob.list_names(node, &members).await, ["ann", "eve", "bob"]);
        assert_eq!(bob.expect(node, "GET", "/rooms", NONE, 200).await["items"][0]["role"], "member");
    }
    let changed = json!({"name": "ours", "topic": "us"});
    assert_eq!(bob.expect(a, "PATCH", &room, changed.clone(), 403).await["code"], "forbidden");
    assert_eq!(eve.expect(b, "PATCH", &room, changed, 200).await["topic"], "us");
    eve.expect(c, "PATCH", &room, json!({"visibility": "private"}), 403).await;
    ann.expect(a, "PATCH", &room, json!({"visibility": "private"}), 200).await;
    assert_eq!(eve.expect(b, "GET", "/rooms/public?q=ours", NONE, 200).await["items"], json!([]));

    // Removed, they come back with an invite; banned, they don't.
    let bob_there = format!("{members}/{}", bob.id);
    let made = eve.expect(c, "POST", &format!("{room}/invites"), json!({}), 201).await;
    let follow = format!("/invites/{}", text(&made["code"]));
    assert_eq!(made["url"], format!("http://{c}/invite/{}", text(&made["code"])));
    eve.expect(a, "DELETE", &bob_there, NONE, 204).await;
    assert_eq!(bob.expect(b, "GET", &room, NONE, 404).await["code"], "not_found");
    assert_eq!(bob.expect(c, "POST", &follow, NONE, 200).await["name"], "ours");
    eve.expect(a, "DELETE", &format!("{bob_there}?ban=true"), NONE, 204).await;
    assert_eq!(ann.list_names(b, &format!("{room}/bans")).await, ["bob"]);
    bob.expect(c, "POST", &follow, NONE, 404).await;
    bob.expect(b, "POST", &format!("{room}/messages"), json!({"body": "x"}), 404).await;
    ann.expect(c, "DELETE", &format!("{room}/bans/{}", bob.id), NONE, 204).await;
    bob.expect(a, "POST", &follow, NONE, 200).await;

    // It passes on, and is gone for all when it is deleted.
    ann.expect(b, "POST", &format!("{room}/leave"), NONE, 204).await;
    assert_eq!(bob.list_names(c, &members).await, ["eve", "bob"]);
    bob.expect(a, "DELETE", &room, NONE, 403).await;
    eve.expect(a, "DELETE", &room, NONE, 204).await;
    for (node, person) in [(b, &bob), (c, &eve), (a, &ann)] {
        person.expect(node, "GET", &room, NONE, 404).await;
        assert_eq!(person.expect(node, "GET", "/rooms", NONE, 200).await["items"], json!([]));
    }
}

#[tokio::test]
async fn an_invite_lets_in_as_many_as_it_says_over_all_nodes() {
    let (cluster, [ann, bob, eve]) = with_people(2, ["ann", "bob", "eve"]).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let room = format!("/rooms/{}", ann.create_room(a, "private").await);
    let invites = format!("{room}/invites");
    let made = ann.expect(b, "POST", &invites, json!({"max_uses": 1, "expires_in": 3_600}), 201).await;
    let follow = format!("/invites/{}", text(&made["code"]));
    assert_eq!(bob.expect(a, "POST", &follow, NONE, 200).await["role"], "member");
    // The same user may use it again, because the answer may have been lost.
    assert_eq!(bob.expect(b, "POST", &follow, NONE, 200).await["member_count"], 2);
    assert_eq!(eve.expect(b, "POST", &follow, NONE, 404).await["code"], "not_found");
    let listed = ann.expect(b, "GET", &invites, NONE, 200).await["items"][0].clone();
    assert_eq!((&listed["uses"], &listed["max_uses"]), (&json!(1), &json!(1)));
    assert!(listed["expires_at"].is_string());
    bob.expect(b, "GET", &invites, NONE, 403).await;
    let open = text(&ann.expect(a, "POST", &invites, json!({}), 201).await["code"]);
    // A code that is altered, wherever, is as one that never was, also to who may withdraw it.
    let unknown = eve.expect(a, "POST", &format!("/invites/{}", "0".repeat(open.len())), NONE, 404).await;
    for at in 0..open.len() {
        let with = if open[at..].starts_with('0') { "4" } else { "0" };
        let altered = format!("{}{with}{}", &open[..at], &open[at + 1..]);
        for (who, method, target) in
            [(&eve, "POST", "/invites".to_owned()), (&ann, "DELETE", invites.clone())]
        {
            let refused = who.expect(a, method, &format!("{target}/{altered}"), NONE, 404).await;
            assert_eq!(refused["detail"], unknown["detail"], "{method} {altered}");
        }
    }
    ann.expect(b, "DELETE", &format!("{invites}/{open}"), NONE, 204).await;
    eve.expect(a, "POST", &format!("/invites/{open}"), NONE, 404).await;
}

/// Promises 3 and 6, for what one has read: a mark holds on every node, and what comes late is unread wherever it sorts.
#[tokio::test]
async fn unread_counts_are_right_on_another_node_and_after_a_late_arrival() {
    let (cluster, [ann, bob, carol]) = with_people(3, ["ann", "bob", "carol"]).await;
    let nodes = [0, 1, 2].map(|node| cluster[node].http);
    let [a, b, c] = nodes;
    let id = ann.create_room(a, "public").await;
    for person in [&bob, &carol] {
        person.expect(c, "POST", &format!("/rooms/{id}/join"), NONE, 200).await;
    }
    let everywhere = async |unread| {
        for node in nodes {
            eventually(PATIENCE, "the count is right", async || same(&bob.unread(node, &id).await, &unread))
                .await;
        }
    };
    ann.post(a, &id, "one").await;
    let two = ann.post(b, &id, "two, @bob").await;
    bob.post(c, &id, "my own").await;
    everywhere((2, 1)).await;
    let read = format!("/rooms/{id}/read");
    bob.expect(b, "PUT", &read, json!({"message_id": two}), 204).await;
    for node in nodes {
        assert_eq!(bob.unread(node, &id).await, (0, 0), "the mark is on every node when it is answered");
    }

    cluster.isolate(2);
    let late = carol.post(c, &id, "@bob, are you there?").await;
    let three = ann.post(a, &id, "three").await;
    eventually(PATIENCE, "it is there", async || same(&bob.unread(b, &id).await, &(1, 0))).await;
    bob.expect(b, "PUT", &read, json!({"message_id": three}), 204).await;
    assert_eq!(bob.unread(b, &id).await, (0, 0));
    cluster.rejoin(2);
    everywhere((1, 1)).await;
    let listed = bob.expect(a, "GET", &format!("/rooms/{id}/messages?limit=2"), NONE, 200).await;
    assert_eq!(
        [0, 1].map(|n| text(&listed["items"][n]["id"])),
        [three.clone(), late],
        "it sorts before the mark"
    );
    bob.expect(c, "PUT", &read, json!({"message_id": three}), 204).await;
    everywhere((0, 0)).await;
}

/// Nobody takes a mention away from a member by an account's name, code names nobody, and an edit names whom it says.
#[tokio::test]
async fn a_mention_is_of_a_member_and_follows_the_edit() {
    let (cluster, [ann, bob, _stranger]) = with_people(2, ["ann", "bob", "ann."]).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let id = bob.create_room(a, "public").await;
    ann.expect(b, "POST", &format!("/rooms/{id}/join"), NONE, 200).await;
    let mut wanted = 0;
    for (body, mentions) in [
        ("Thanks @ann.", 1),
        ("谢谢@ann你好", 1),
        ("＠ann", 1),
        ("**@ann**, _@ann_ and ~@ann~", 1),
        ("`@ann` is code", 0),
        ("```\n@ann\n```", 0),
        ("me@ann.example, @anna", 0),
    ] {
        bob.post(a, &id, body).await;
        wanted += mentions;
        eventually(PATIENCE, body, async || same(&ann.unread(b, &id).await.1, &wanted)).await;
    }
    let message = bob.post(b, &id, "Hello").await;
    let edited = format!("/messages/{message}");
    for (node, body, more) in [(a, "Hello @ann", 1), (b, "Hello `@ann`", 0), (a, "@ann, @bob", 1), (b, "", 1)]
    {
        let status = if body.is_empty() { 422 } else { 200 };
        bob.expect(node, "PATCH", &edited, json!({"body": body}), status).await;
        for node in [a, b] {
            let count = async || same(&ann.unread(node, &id).await.1, &(wanted + more));
            eventually(PATIENCE, &format!("{body} counts"), count).await;
        }
    }
    bob.expect(a, "DELETE", &edited, NONE, 204).await;
    eventually(PATIENCE, "it is gone", async || same(&ann.unread(b, &id).await.1, &wanted)).await;
}

/// One emoji is one reaction, whether a keyboard sends it with U+FE0F or without.
#[tokio::test]
async fn an_emoji_counts_once_in_either_form() {
    let (cluster, [ann, bob]) = with_people(1, ["ann", "bob"]).await;
    let node = cluster[0].http;
    let id = ann.create_room(node, "public").await;
    bob.expect(node, "POST", &format!("/rooms/{id}/join"), NONE, 200).await;
    let message = format!("/messages/{}", ann.post(node, &id, "x").await);
    let [plain, coloured] = ["%E2%9D%A4", "%E2%9D%A4%EF%B8%8F"].map(|it| format!("{message}/reactions/{it}"));
    ann.expect(node, "PUT", &plain, NONE, 204).await;
    ann.expect(node, "PUT", &coloured, NONE, 204).await;
    bob.expect(node, "PUT", &coloured, NONE, 204).await;
    let shown = ann.expect(node, "GET", &message, NONE, 200).await["reactions"].clone();
    let mut both = [ann.id.clone(), bob.id.clone()];
    both.sort();
    assert_eq!(shown.as_object().unwrap().len(), 1, "{shown}");
    let mut shown: Vec<_> = shown["❤\u{FE0F}"].as_array().unwrap().iter().map(text).collect();
    shown.sort();
    assert_eq!(shown, both);
    ann.expect(node, "DELETE", &plain, NONE, 204).await;
    bob.expect(node, "DELETE", &plain, NONE, 204).await;
    assert_eq!(ann.expect(node, "GET", &message, NONE, 200).await["reactions"], json!({}));
}

/// Promise: a message to a deleted account is refused, and its room can be taken off one's own list, not the other's.
#[tokio::test]
async fn a_room_with_somebody_who_is_gone_is_closed_and_leaves_the_list() {
    let (cluster, [ann, bob, eve]) = with_people(1, ["ann", "bob", "eve"]).await;
    let node = cluster[0].http;
    let mut rooms = Vec::new();
    for other in [&bob, &eve] {
        ann.expect(node, "POST", "/contacts", json!({"username": other.username}), 201).await;
        other.expect(node, "POST", &format!("/contacts/{}/accept", ann.id), NONE, 200).await;
        rooms.push(text(&ann.expect(node, "POST", "/direct", json!({"user_id": other.id}), 201).await["id"]));
    }
    let listed = async |who: &Account| {
        let mine = who.expect(node, "GET", "/rooms", NONE, 200).await;
        mine["items"].as_array().unwrap().iter().map(|room| text(&room["id"])).collect::<Vec<_>>()
    };
    let message = ann.post(node, &rooms[0], "Hello").await;
    bob.expect(node, "DELETE", "/me", json!({"password": harness::account::PASSWORD}), 204).await;
    let messages = format!("/rooms/{}/messages", rooms[0]);
    let refused = ann.expect(node, "POST", &messages, json!({"body": "Are you there?"}), 403).await;
    assert!(text(&refused["detail"]).contains("deleted"), "{refused}");
    ann.expect(node, "PATCH", &format!("/messages/{message}"), json!({"body": "x"}), 403).await;
    assert_eq!(listed(&ann).await.len(), 2);
    ann.expect(node, "DELETE", &format!("/contacts/{}", bob.id), NONE, 204).await;
    assert_eq!(listed(&ann).await, [rooms[1].clone()]);
    ann.expect(node, "GET", &format!("/rooms/{}", rooms[0]), NONE, 200).await;

    // Between two who are there, it is off the list of the one who removed the other, until they are contacts again.
    let ann_there = format!("/contacts/{}", ann.id);
    let eve_there = format!("/contacts/{}", eve.id);
    ann.expect(node, "DELETE", &eve_there, NONE, 204).await;
    assert_eq!((listed(&ann).await, listed(&eve).await), (vec![], vec![rooms[1].clone()]));
    ann.expect(node, "POST", "/contacts", json!({"username": "eve"}), 201).await;
    eve.expect(node, "POST", &format!("{ann_there}/accept"), NONE, 200).await;
    assert_eq!((listed(&ann).await, listed(&eve).await), (vec![rooms[1].clone()], vec![rooms[1].clone()]));
    ann.expect(node, "DELETE", &eve_there, NONE, 204).await;
    eve.expect(node, "DELETE", &ann_there, NONE, 204).await;
    assert_eq!(listed(&eve).await, [""; 0]);
}

/// No 500 may be provoked, and what one may not know of is not there.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of requests and refusals")]
async fn bad_requests_are_refused_by_their_kind() {
    let (cluster, [ann, eve]) = with_people(1, ["ann", "eve"]).await;
    let node = cluster[0].http;
    let room = format!("/rooms/{}", ann.create_room(node, "private").await);
    let at = |rest: &str| format!("{room}{rest}");
    let named = |name: &str| json!({"name": name, "visibility": "public"});
    let eve_there = at(&format!("/members/{}", eve.id));
    for (method, target, body, status, code) in [
        ("POST", "/rooms".to_owned(), named(""), 422, "invalid"),
        ("POST", "/rooms".to_owned(), named(" \t "), 422, "invalid"),
        ("POST", "/rooms".to_owned(), named("a\u{7}b"), 422, "invalid"),
        ("POST", "/rooms".to_owned(), named(&"é".repeat(81)), 422, "invalid"),
        ("POST", "/rooms".to_owned(), json!({"name": "x", "visibility": "open"}), 400, "bad_request"),
        ("POST", "/rooms".to_owned(), json!({"name": "x"}), 400, "bad_request"),
        ("POST", "/rooms".to_owned(), json!({"name": 7, "visibility": "public"}), 400, "bad_request"),
        (
            "POST",
            "/rooms".to_owned(),
            json!({"name": "x", "visibility": "public", "kind": "quick"}),
            400,
            "bad_request",
        ),
        ("POST", "/rooms".to_owned(), named(&"x".repeat(140_000)), 413, "too_large"),
        ("GET", "/rooms?limit=201".to_owned(), NONE, 400, "bad_request"),
        ("GET", "/rooms?cursor=00".to_owned(), NONE, 400, "bad_request"),
        ("GET", "/rooms?cursor=x".to_owned(), NONE, 400, "bad_request"),
        ("GET", "/rooms?q=x".to_owned(), NONE, 400, "bad_request"),
        ("GET", format!("/rooms/public?q={}", "x".repeat(81)), NONE, 422, "invalid"),
        ("GET", "/rooms/x".to_owned(), NONE, 404, "not_found"),
        ("GET", "/rooms/%00".to_owned(), NONE, 404, "not_found"),
        ("PATCH", room.clone(), json!({"topic": "x".repeat(251)}), 422, "invalid"),
        ("PATCH", room.clone(), json!({"role": "owner"}), 400, "bad_request"),
        ("PUT", at("/notify"), json!({"level": "loud"}), 400, "bad_request"),
        ("POST", at("/members"), json!({"user_id": "nobody"}), 403, "not_contacts"),
        ("POST", at("/members"), json!({"user_id": eve.id}), 403, "not_contacts"),
        ("PATCH", eve_there.clone(), json!({"role": "moderator"}), 404, "not_found"),
        ("DELETE", eve_there, NONE, 404, "not_found"),
        ("DELETE", at("/members/x?ban=true"), NONE, 404, "not_found"),
        ("DELETE", at(&format!("/members/{}?ban=true", ann.id)), NONE, 403, "forbidden"),
        ("DELETE", at(&format!("/members/{}?ban=7", eve.id)), NONE, 400, "bad_request"),
        ("DELETE", at(&format!("/bans/{}", eve.id)), NONE, 404, "not_found"),
        ("POST", at("/invites"), json!({"max_uses": 0}), 422, "invalid"),
        ("POST", at("/invites"), json!({"max_uses": 10_001}), 422, "invalid"),
        ("POST", at("/invites"), json!({"max_uses": -1}), 400, "bad_request"),
        ("POST", at("/invites"), json!({"expires_in": 59}), 422, "invalid"),
        ("POST", at("/invites"), json!({"expires_in": 31_536_001}), 422, "invalid"),
        ("DELETE", at("/invites/x"), NONE, 404, "not_found"),
        ("POST", "/invites/x".to_owned(), NONE, 404, "not_found"),
    ] {
        let refused = ann.expect(node, method, &target, body, status).await;
        assert_eq!(refused["code"], code, "{method} {target}");
    }
    // To others a private room is as unknown as none; nobody's room need not even be looked up.
    let unknown = format!("/rooms/{}", "0".repeat(text(&json!(room)).len() - "/rooms/".len()));
    let level = json!({"level": "all"});
    for (method, rest, body) in [
        ("GET", "", NONE),
        ("PATCH", "", json!({"topic": "x"})),
        ("DELETE", "", NONE),
        ("POST", "/join", NONE),
        ("POST", "/leave", NONE),
        ("GET", "/notify", NONE),
        ("PUT", "/notify", level),
        ("GET", "/members", NONE),
        ("POST", "/members", json!({"user_id": ann.id})),
        ("PATCH", &format!("/members/{}", ann.id), json!({"role": "member"})),
        ("DELETE", &format!("/members/{}?ban=true", ann.id), NONE),
        ("GET", "/bans", NONE),
        ("DELETE", &format!("/bans/{}", ann.id), NONE),
        ("GET", "/invites", NONE),
        ("POST", "/invites", json!({})),
        ("DELETE", &format!("/invites/{}", "0".repeat(42)), NONE),
    ] {
        let known = eve.expect(node, method, &format!("{room}{rest}"), body.clone(), 404).await;
        let not = eve.expect(node, method, &format!("{unknown}{rest}"), body.clone(), 404).await;
        assert_eq!((&known["code"], &known["detail"]), (&not["code"], &not["detail"]), "{method} {rest}");
        let body = Some(body).filter(|body| !body.is_null());
        let nobody = call(node, method, &format!("{room}{rest}"), None, body).await;
        assert_eq!((nobody.status, nobody.code().as_str()), (401, "unauthenticated"), "{method} {rest}");
    }
    assert_eq!(ann.list_names(node, &at("/members")).await, ["ann"]);
}
