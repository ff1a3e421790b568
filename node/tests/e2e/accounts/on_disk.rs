//! Promise: passwords are hashed anew on login when the cost has risen, and nobody is logged out by it. Read in the store
//! of a stopped node.

use starling_node::store::Store;
use starling_protocol::UserId;

use harness::account::{CHEAP_HASHES, login};
use harness::{Account, Node, PATIENCE, eventually};

fn store(node: &Node) -> Store {
    Store::open_file(&node.data_dir().join("starling.redb")).expect("a stopped node's store can be opened")
}

fn user(account: &Account) -> UserId {
    UserId::parse(&account.id).ok().flatten().expect("the id of a user")
}

#[tokio::test]
async fn a_login_brings_an_old_hash_to_todays_cost() {
    let mut node = Node::lone(&CHEAP_HASHES).await;
    let ann = Account::register(node.http, "ann").await;
    node.stop().await;
    let hash = |node: &Node| {
        let account = store(node)
            .records()
            .expect("views")
            .existing_account(user(&ann))
            .expect("a record")
            .expect("a user");
        account.password().expect("a password").hash.to_owned()
    };
    let before = hash(&node);
    assert!(before.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{before}");
    node.add_args(&["--auth-lanes", "2"]);
    node.restart().await;
    let after = eventually(PATIENCE, "it is hashed anew", async || {
        let again = Account::login(node.http, "ann").await;
        assert_eq!((ann.status(node.http).await, again.status(node.http).await), (200, 200));
        node.stop().await;
        let after = hash(&node);
        node.restart().await;
        if after.contains("p=2$") { Ok(after) } else { Err(after) }
    })
    .await;
    assert!(after.starts_with("$argon2id$v=19$m=64,t=1,p=2$"), "{after}");
    assert_eq!(ann.status(node.http).await, 200, "a rehash is no change");
    assert_eq!(login(node.http, "ann", "wrong horse").await.status, 401);
}
