//! People with accounts, over `/api/v1`. They are registered before a run, each from a different address, as behind a proxy.

use serde::Deserialize;
use serde_json::json;

use crate::http::{self, Head, HttpError};
use crate::node::NodeUrl;

/// The password of all people.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A person who is logged in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// The username.
    pub(crate) username: String,
    access: String,
}

#[derive(Deserialize)]
struct LoggedIn {
    access_token: String,
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

impl Person {
    /// Registers a person from address `from`.
    pub(crate) async fn register(node: &NodeUrl, username: String, from: &str) -> Result<Self, HttpError> {
        let body = json!({"username": username, "password": PASSWORD});
        let answer = http::post_json(node, "/api/v1/register", &forwarded(from), &body).await?;
        let LoggedIn { access_token } = read(node, "POST /api/v1/register", answer)?;
        Ok(Self { username, access: access_token })
    }

    /// The header lines that authenticate requests.
    pub(crate) fn headers(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.access)
    }

    /// Creates a public room and returns its id.
    pub(crate) async fn make_room(&self, node: &NodeUrl) -> Result<String, HttpError> {
        let body = json!({"name": "flood", "visibility": "public"});
        let answer = http::post_json(node, "/api/v1/rooms", &self.headers(), &body).await?;
        Ok(read::<Made>(node, "POST /api/v1/rooms", answer)?.id)
    }

    /// Joins a public room.
    pub(crate) async fn join(&self, node: &NodeUrl, room: &str) -> Result<(), HttpError> {
        let path = format!("/api/v1/rooms/{room}/join");
        let answer = http::post_json(node, &path, &self.headers(), &json!({})).await?;
        read::<serde::de::IgnoredAny>(node, "POST /api/v1/rooms/{id}/join", answer).map(drop)
    }
}

/// Tries to log in from an address; returns the head of the answer.
pub(crate) async fn login(
    node: &NodeUrl,
    username: &str,
    password: &str,
    from: &str,
) -> Result<Head, HttpError> {
    let body = json!({"username": username, "password": password});
    Ok(http::post_json(node, "/api/v1/login", &forwarded(from), &body).await?.0)
}

fn forwarded(from: &str) -> String {
    format!("X-Forwarded-For: {from}\r\n")
}

fn read<T: for<'a> Deserialize<'a>>(
    node: &NodeUrl,
    what: &str,
    (head, body): (Head, Vec<u8>),
) -> Result<T, HttpError> {
    let read = (200..300).contains(&head.status).then(|| serde_json::from_slice(&body).ok()).flatten();
    read.ok_or_else(|| HttpError::Refused {
        node: node.to_string(),
        what: what.to_owned(),
        status: head.status,
        body: String::from_utf8_lossy(&body).chars().take(300).collect(),
    })
}
