//! The live socket over real nodes: what happens on one is told on all, to those whom it concerns, for as long as they are
//! logged in.

mod asking;
mod ending;
mod gathering;
mod resuming;
mod talking;
mod two_people;

use std::net::SocketAddr;

use harness::Account;
use serde_json::{Value, json};

/// Makes two people contacts, each on a node of their own; returns the room that they share.
async fn befriend((ann, a): (&Account, SocketAddr), (bob, b): (&Account, SocketAddr)) -> String {
    ann.expect(a, "POST", "/contacts", json!({"username": bob.username}), 201).await;
    bob.expect(b, "POST", &format!("/contacts/{}/accept", ann.id), Value::Null, 200).await;
    let room = ann.expect(a, "POST", "/direct", json!({"user_id": bob.id}), 201).await;
    room["id"].as_str().expect("it has an id").to_owned()
}
