//! Every frame of both sockets of a running node is in the AsyncAPI document, and the document has no others.

use std::collections::BTreeSet;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};
use uuid::Uuid;

use super::document::Document;
use harness::account::CHEAP_HASHES;
use harness::client::upgrade_with;
use harness::http::{create_room, get};
use harness::{Account, Node, PATIENCE};

/// A connection whose frames are all checked.
struct Checked<'a> {
    document: &'a Document,
    channel: &'static str,
    seen: BTreeSet<String>,
    socket: WebSocketStream<TcpStream>,
}

impl<'a> Checked<'a> {
    async fn open(
        document: &'a Document,
        node: &Node,
        channel: &'static str,
        query: &str,
        token: Option<&str>,
    ) -> Self {
        let address = document.0["channels"][channel]["address"].as_str().expect("it has an address");
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        let (socket, _) = upgrade_with(node.http, &format!("{address}{query}"), &headers, None)
            .await
            .expect("it is let in");
        Self { document, channel, seen: BTreeSet::new(), socket }
    }

    async fn send(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.expect("an open socket takes a frame");
    }

    /// Reads until a frame of this kind, and checks each on the way.
    async fn until(&mut self, kind: &str) -> Value {
        let search = async {
            loop {
                let message = self.socket.next().await.expect("it stays open").expect("it stays open");
                let Message::Text(text) = message else { continue };
                let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
                let name = frame["type"].as_str().expect("frames have a type").to_owned();
                let described = format!("{}.server.{name}", self.channel);
                let schema = &self.document.0["components"]["messages"][&described]["payload"];
                assert!(schema.is_object(), "the document does not have {described}: {frame}");
                if let Err(what) = self.document.fits(schema, &frame, &described) {
                    panic!("{what}: {frame}");
                }
                let found = name == kind;
                self.seen.insert(described);
                if found {
                    return frame;
                }
            }
        };
        let found = timeout(PATIENCE, search).await;
        found.unwrap_or_else(|_| panic!("no {kind} on {}; there came {:?}", self.channel, self.seen))
    }
}

/// The frames that the document says the server sends, by the references of its operations.
fn described(document: &Document) -> BTreeSet<String> {
    let operations = document.0["operations"].as_object().expect("there are operations").values();
    let sent = operations.filter(|operation| operation["action"] == "send");
    let references = sent.flat_map(|operation| operation["messages"].as_array().into_iter().flatten());
    let names =
        references.map(|reference| reference["$ref"].as_str().and_then(|name| name.rsplit('/').next()));
    names.map(|name| name.expect("it refers to a message").to_owned()).collect()
}

async fn account_frames(document: &Document, node: &Node) -> BTreeSet<String> {
    let (ann, bob) = (Account::register(node.http, "ann").await, Account::register(node.http, "bob").await);
    let does = async |who: &Account, method: &str, target: &str, body: Value| {
        let answer = who.call(node.http, method, target, Some(body).filter(|body| !body.is_null())).await;
        assert!(answer.status < 300, "{method} {target}: {}", answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    };
    let mut live = Checked::open(document, node, "account", "", Some(&ann.access)).await;
    live.until("welcome").await;
    live.until("cursor").await;
    does(&bob, "POST", "/contacts", json!({"username": "ann"})).await;
    live.until("contact").await;
    does(&ann, "POST", &format!("/contacts/{}/accept", bob.id), Value::Null).await;
    let mut other = Checked::open(document, node, "account", "", Some(&bob.access)).await;
    other.until("cursor").await;
    live.until("presence").await;
    let room = does(&ann, "POST", "/direct", json!({"user_id": bob.id})).await;
    let room = room["id"].as_str().expect("it has an id");
    live.until("room").await;
    other.until("room").await;
    other.send(json!({"type": "typing", "room_id": room})).await;
    live.until("typing").await;
    let id = Uuid::new_v4();
    live.send(json!({"type": "send", "id": id, "room_id": room, "body": "Hello"})).await;
    // The message and its ack come in either order.
    live.until("message").await;
    if !live.seen.contains("account.server.ack") {
        live.until("ack").await;
    }
    other.until("message").await;
    other.send(json!({"type": "read", "room_id": room, "message_id": id})).await;
    live.until("read").await;
    does(&bob, "PUT", &format!("/messages/{id}/reactions/%F0%9F%91%8D"), Value::Null).await;
    live.until("message_updated").await;
    does(&ann, "DELETE", &format!("/messages/{id}"), Value::Null).await;
    live.until("message_deleted").await;
    live.send(json!({"type": "send", "id": id, "room_id": "nowhere", "body": "Hello"})).await;
    live.until("error").await;
    live.send(json!({"type": "ping"})).await;
    live.until("pong").await;
    let mut lost = Checked::open(document, node, "account", "?cursor=unreadable", Some(&ann.access)).await;
    lost.until("resync").await;
    live.seen.into_iter().chain(lost.seen).chain(other.seen).collect()
}

async fn quick_frames(document: &Document, node: &Node) -> BTreeSet<String> {
    let room = create_room(node.http).await;
    let target = |rest: &str| format!("?roomID={room}{rest}");
    let mut guest = Checked::open(document, node, "quick", &target("&username=Dora"), None).await;
    guest.until("welcome").await;
    guest.until("cursor").await;
    let mut other = Checked::open(document, node, "quick", &target("&username=Emil"), None).await;
    guest.until("joined").await;
    other.until("cursor").await;
    guest.send(json!({"body": "Hello", "id": Uuid::new_v4()})).await;
    guest.until("message").await;
    if !guest.seen.contains("quick.server.ack") {
        guest.until("ack").await;
    }
    other.until("message").await;
    drop(other);
    guest.until("left").await;
    guest.send(json!({"id": "x"})).await;
    guest.until("error").await;
    let mut lost =
        Checked::open(document, node, "quick", &target("&username=Finn&cursor=unreadable"), None).await;
    lost.until("resync").await;
    guest.seen.into_iter().chain(lost.seen).collect()
}

/// Promise: whatever a socket sends is in the AsyncAPI document, and whatever is there is sent.
#[tokio::test]
async fn the_sockets_send_the_frames_of_their_document() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let document = Document::of(&get(node.http, "/api/asyncapi.json").await.expect("there is one"));
    let mut seen = account_frames(&document, &node).await;
    seen.extend(quick_frames(&document, &node).await);
    assert_eq!(seen, described(&document));
}

/// Promise: each example of the document fits its own schema.
#[tokio::test]
async fn examples_fit_their_schemas() {
    let node = Node::lone(&[]).await;
    let document = Document::of(&get(node.http, "/api/asyncapi.json").await.expect("there is one"));
    for (name, message) in document.0["components"]["messages"].as_object().expect("there are messages") {
        for example in message["examples"].as_array().expect("there are examples") {
            if let Err(what) = document.fits(&message["payload"], &example["payload"], name) {
                panic!("{what}: {example}");
            }
        }
    }
}
