//! The store's file as it may be found: damaged, lost, not to be used, or with what was deleted still in it. Whatever it
//! is, nothing panics, a refusal is one line with exit code 2, and no node is ready that cannot read.

mod damage;
mod erased;
mod lost;
mod refill;
mod unusable;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness::account::CHEAP_HASHES;
use harness::process::Ended;
use harness::{Account, Node};
use serde_json::json;
use starling_node::permissions::refuse_post_at_commit;
use starling_node::store::{Committer, Op, OpResult, Store};
use starling_protocol::event::Sender;
use starling_protocol::{MessageId, MessagePosted, MessageText, NodeId, RoomId, UserId};

/// Messages in the template.
const MESSAGES: u128 = 3_000;

/// A stopped node with somebody, a room and messages, to be copied.
struct Template {
    node: Node,
    ann: Account,
    room: String,
}

impl Template {
    async fn new(messages: u128) -> Self {
        let mut node = Node::lone(&CHEAP_HASHES).await;
        let ann = Account::register(node.http, "ann").await;
        let body = json!({ "name": "den", "visibility": "private" });
        let made = ann.call(node.http, "POST", "/rooms", Some(body)).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let room = made.json()["id"].as_str().expect("a room has an id").to_owned();
        assert_eq!(node.stop().await, Some(0));
        let template = Self { node, ann, room };
        fill(&template.store(), &template.ann, &template.room, messages);
        template
    }

    /// The path of its store.
    fn store(&self) -> PathBuf {
        self.node.data_dir().join("starling.redb")
    }

    /// A node with a copy of all of it.
    fn copy(&self, name: &str) -> Node {
        let node = Node::new(name, &CHEAP_HASHES);
        harness::folder::copy(&self.node.data_dir(), &node.data_dir());
        node
    }
}

/// Writes messages into a store as they would be posted, only faster.
fn fill(store: &Path, author: &Account, room: &str, messages: u128) {
    let now = 1_900_000_000_000;
    let store = Arc::new(Store::open_file(store).expect("a stopped node's store can be opened"));
    let mut committer = Committer::new(store, NodeId([7; 16]), now).expect("it is sound");
    let user = UserId::parse(&author.id).ok().flatten().expect("the id of a user");
    let room = RoomId::parse(room).ok().flatten().expect("the id of a room");
    let post = |n: u128| {
        let text = MessageText::parse(&format!("number {n:06} {}", "and so on ".repeat(40)));
        let id = MessageId::from_u128(n + 1);
        let posted = MessagePosted::new(id, Sender::User(user), text.expect("a text"));
        Op::Post { room, posted, above_hlc: None, check: refuse_post_at_commit }
    };
    for begin in (0..messages).step_by(250) {
        let posts: Vec<_> = (begin..messages.min(begin + 250)).map(post).collect();
        let commit = committer.commit(now, 7, &posts).expect("it is written");
        assert!(commit.results.iter().all(|result| matches!(result, OpResult::Done(_))));
    }
}

/// The lines that a node has printed for people so far; log lines are JSON.
fn said(node: &Node) -> String {
    fs::read_to_string(node.beside("stderr")).unwrap_or_default()
}

/// A refusal is one line, with all these words, and exit code 2.
fn check_refusal(ended: &Ended, words: &[&str]) -> Result<(), String> {
    let lines: Vec<_> = ended.stderr.lines().filter(|line| !line.starts_with('{')).collect();
    let [line] = lines[..] else { return Err(format!("not one line: {ended:?}")) };
    let missing = words.iter().find(|word| !line.to_lowercase().contains(&word.to_lowercase()));
    match missing {
        None if ended.code == Some(2) && line.starts_with("starling: ") => {
            eprintln!("  {line}");
            Ok(())
        }
        None => Err(format!("not a refusal: {ended:?}")),
        Some(word) => Err(format!("{word:?} is not in {line:?}")),
    }
}
