//! A user with an account, over `/api/v1`: registers, logs in, and sends requests in their name.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{Answer, request};

/// No body.
pub const NONE: Value = Value::Null;

/// Arguments of a node whose passwords cost little, for tests that check many.
pub const CHEAP_HASHES: [&str; 6] =
    ["--auth-weak-hashes", "true", "--auth-memory-kib", "64", "--auth-passes", "1"];
/// The password of all accounts, unless a test gives another.
pub const PASSWORD: &str = "correct horse";

/// A login of somebody.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: String,
    pub username: String,
    pub access: String,
    pub refresh: String,
}

/// Asks, with a token if there is one, and with a JSON body if there is one.
pub async fn call(
    node: SocketAddr,
    method: &str,
    target: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> Answer {
    try_call(node, method, target, token, body).await.expect("it is answered")
}

/// As `call`, where the node may be gone.
pub async fn try_call(
    node: SocketAddr,
    method: &str,
    target: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> std::io::Result<Answer> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    headers.extend(body.iter().map(|_| ("content-type", "application/json")));
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    request(node, method, &format!("/api/v1{target}"), &headers, body.as_bytes()).await
}

/// Tries to log in.
pub async fn login(node: SocketAddr, username: &str, password: &str) -> Answer {
    call(node, "POST", "/login", None, Some(json!({"username": username, "password": password}))).await
}

impl Account {
    /// Registers under the usual password.
    pub async fn register(node: SocketAddr, username: &str) -> Self {
        let body = json!({"username": username, "password": PASSWORD});
        Self::of(&call(node, "POST", "/register", None, Some(body)).await, 201)
    }

    /// Logs in under the usual password.
    pub async fn login(node: SocketAddr, username: &str) -> Self {
        Self::of(&login(node, username, PASSWORD).await, 200)
    }

    /// The body of an answer to a login.
    pub fn of(answer: &Answer, status: u16) -> Self {
        assert_eq!(answer.status, status, "{}", answer.text());
        let json = answer.json();
        let text = |value: &Value| value.as_str().expect("it is a text").to_owned();
        assert_eq!((&json["token_type"], &json["expires_in"]), (&json!("Bearer"), &json!(900)));
        Self {
            id: text(&json["user"]["id"]),
            username: text(&json["user"]["username"]),
            access: text(&json["access_token"]),
            refresh: text(&json["refresh_token"]),
        }
    }

    /// Sends a request with their access token.
    pub async fn call(&self, node: SocketAddr, method: &str, target: &str, body: Option<Value>) -> Answer {
        call(node, method, target, Some(&self.access), body).await
    }

    /// The status of `GET /me` with their access token.
    pub async fn status(&self, node: SocketAddr) -> u16 {
        self.call(node, "GET", "/me", None).await.status
    }

    /// Sends a request, and expects this status.
    pub async fn expect(
        &self,
        node: SocketAddr,
        method: &str,
        target: &str,
        body: Value,
        status: u16,
    ) -> Value {
        let answer = self.call(node, method, target, Some(body).filter(|body| !body.is_null())).await;
        let who = &self.username;
        assert_eq!(answer.status, status, "{who}: {method} {target}: {}", answer.text());
        answer.json()
    }

    pub async fn create_room(&self, node: SocketAddr, visibility: &str) -> String {
        let room = json!({"name": format!("{visibility} room"), "visibility": visibility});
        text(&self.expect(node, "POST", "/rooms", room, 201).await["id"])
    }

    pub async fn post(&self, node: SocketAddr, room: &str, body: &str) -> String {
        let target = format!("/rooms/{room}/messages");
        text(&self.expect(node, "POST", &target, json!({"body": body}), 201).await["id"])
    }

    /// The numbers of unread messages and mentions that a node shows them for a room.
    pub async fn unread(&self, node: SocketAddr, room: &str) -> (u64, u64) {
        let room = self.expect(node, "GET", &format!("/rooms/{room}"), NONE, 200).await;
        (
            room["unread"].as_u64().expect("a number or list as documented"),
            room["mentions"].as_u64().expect("a number or list as documented"),
        )
    }

    /// All names on a list of members or bans, one by one.
    pub async fn list_names(&self, node: SocketAddr, list: &str) -> Vec<String> {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.expect(node, "GET", &format!("{list}?limit=1{cursor}"), NONE, 200).await;
            names.extend(
                page["items"]
                    .as_array()
                    .expect("a number or list as documented")
                    .iter()
                    .map(|item| text(&item["user"]["username"])),
            );
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return names,
            }
        }
    }
}

/// A text of an answer.
pub fn text(value: &Value) -> String {
    value.as_str().expect("it is a text").to_owned()
}
