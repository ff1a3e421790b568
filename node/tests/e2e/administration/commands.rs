//! Promise: who may use a node's control socket makes, promotes and resets accounts by `starling user …`, and is told in
//! one line what came of it.

use serde_json::json;

use crate::administration::setup::printed;
use harness::account::{CHEAP_HASHES, PASSWORD, login};
use harness::process::{Ended, run_with_input, starling};
use harness::visitor::{Visitor, page, sent_to};
use harness::{Account, Node};

/// `starling user …` at a node, with a line of input.
pub(crate) async fn user(node: &Node, args: &[&str], input: &str) -> Ended {
    let mut command = starling(&["user"]);
    command.args(args).arg("--data-dir").arg(node.data_dir());
    run_with_input(command, format!("{input}\n").as_bytes()).await
}

/// Fails unless a command is refused in one line; gives it.
fn refused(ended: &Ended) -> &str {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("starling: ") && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    &ended.stderr
}

fn done(ended: &Ended) -> &str {
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), 1), "{} {}", ended.stdout, ended.stderr);
    ended.stdout.trim_end()
}

#[tokio::test]
async fn accounts_are_made_and_changed_from_the_terminal() {
    let node = Node::lone(&[&CHEAP_HASHES[..], &["--registration-mode", "closed"]].concat()).await;
    let setup = printed(&node).await;
    assert_eq!(done(&user(&node, &["add", "Bob", "--password-stdin"], PASSWORD).await), "added bob");
    let bob = Account::login(node.http, "bob").await;
    page(&Visitor::at(node.http).get(&setup).await, 200);
    let added = user(&node, &["add", "--admin", "--password-stdin", "ann"], PASSWORD).await;
    assert_eq!(done(&added), "added ann as an administrator");
    page(&Visitor::at(node.http).get(&setup).await, 404);
    let me = Account::login(node.http, "ann").await.call(node.http, "GET", "/me", None).await.json();
    assert_eq!(me["admin"], json!(true), "{me}");

    assert_eq!(done(&user(&node, &["promote", "bob"], "").await), "bob is an administrator now");
    assert_eq!(done(&user(&node, &["promote", "bob"], "").await), "bob is an administrator already");
    assert_eq!(bob.call(node.http, "GET", "/admin/users", None).await.status, 200, "at once");

    let set = user(&node, &["password", "bob", "--password-stdin"], "second horse").await;
    assert!(done(&set).starts_with("bob has a new password"), "{}", set.stdout);
    assert_eq!(bob.status(node.http).await, 401);
    assert_eq!(login(node.http, "bob", PASSWORD).await.status, 401);
    assert_eq!(login(node.http, "bob", "second horse").await.status, 200);

    let reset = user(&node, &["reset", "bob"], "").await;
    let url = done(&reset);
    let link = url.strip_prefix(&format!("http://{}", node.http)).expect("it is an address of the node");
    let chosen = Visitor::at(node.http).submit(link, &[("password", "third horse")]).await;
    assert_eq!(sent_to(&chosen), "/login?changed=bob");
    assert_eq!(login(node.http, "bob", "third horse").await.status, 200);
    for stream in ["stdout", "stderr"] {
        let said = std::fs::read_to_string(node.beside(stream)).expect("it is captured");
        assert!(!said.contains("horse"), "no password is logged: {said}");
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_done_changes_nothing_and_says_why() {
    let mut node = Node::lone(&CHEAP_HASHES).await;
    Account::register(node.http, "bob").await;
    let stdin = "--password-stdin";
    for (args, input, says) in [
        (&["add", "bob", stdin][..], PASSWORD, "belongs to another account"),
        (&["add", "a b", stdin], PASSWORD, "the name"),
        (&["add", "ab", stdin], PASSWORD, "the name"),
        (&["add", "cat", stdin], "short", "8 characters"),
        (&["add", "cat", stdin], "", "8 characters"),
        (&["add", "cat", stdin], "12345678", "the password is one of the most common"),
        (&["add", "cat"], PASSWORD, "--password-stdin"),
        (&["password", "cat", stdin], PASSWORD, "no account named cat"),
        (&["password", "bob", stdin], "short", "8 characters"),
        (&["promote", "cat"], "", "no account named cat"),
        (&["promote", ""], "", "no account named"),
        (&["reset", "bob~1234"], "", "no account named"),
        (&["reset", "\u{202e}<i>"], "", "no account named"),
    ] {
        let ended = user(&node, args, input).await;
        assert!(refused(&ended).contains(says), "{args:?}: {}", ended.stderr);
    }
    assert_eq!(login(node.http, "bob", PASSWORD).await.status, 200);
    node.stop().await;
    let ended = user(&node, &["promote", "bob"], "").await;
    assert!(refused(&ended).contains("no node runs"), "{}", ended.stderr);
}
