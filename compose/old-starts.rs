//! Built within the sources of store version 7 by make-store-fixtures.sh: writes one message under an origin of its own as
//! often as it is told, as that many starts of a node do.

use std::{path::Path, sync::Arc};

use starling_node::store::{Committer, Op, Store};
use starling_protocol::{MessageId, MessagePosted, MessageText, NodeId, RoomId, Sender, UserId};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [store, user, room, starts] = &arguments[..] else { panic!("STORE USER ROOM STARTS") };
    let store = Arc::new(Store::open_file(Path::new(store)).unwrap());
    let user = UserId::parse(user).unwrap().unwrap();
    let room = RoomId::parse(room).unwrap().unwrap();
    for n in 1..=starts.parse::<u32>().unwrap() {
        let text = MessageText::parse(&format!("start {n}")).unwrap();
        let posted = MessagePosted::new(MessageId::from_u128(n.into()), Sender::User(user), text);
        let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 1_760_000_000_000).unwrap();
        let post = Op::Post { room, posted, floor: None };
        committer.commit(1_760_000_000_000, u64::MAX - u64::from(n), &[post]).unwrap();
    }
}
