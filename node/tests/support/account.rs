//! Somebody with an account, over `/api/v1`: how a test registers him, logs him in, and asks in his name.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{Answer, request};

/// Arguments of a node whose passwords cost little, for tests that check many.
pub const CHEAP_HASHES: [&str; 6] =
    ["--auth-weak-hashes", "true", "--auth-memory-kib", "64", "--auth-passes", "1"];
/// What everybody's password is, unless told otherwise.
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

    /// What an answer that logs in says.
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

    /// Asks in his name.
    pub async fn call(&self, node: SocketAddr, method: &str, target: &str, body: Option<Value>) -> Answer {
        call(node, method, target, Some(&self.access), body).await
    }

    /// The status of `GET /me` with his access token.
    pub async fn status(&self, node: SocketAddr) -> u16 {
        self.call(node, "GET", "/me", None).await.status
    }
}
