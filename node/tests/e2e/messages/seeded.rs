//! People with accounts, rooms and tokens, put into the store of a node that does not run: for tests of what they do, not
//! of how they came to be.

use std::sync::Arc;

use starling_node::auth::{Code, PersonalToken};
use starling_node::store::{Committer, Decide, Decision, Op, OpResult, Store, Tables};
use starling_protocol::event::{
    MemberRoomCreated, Membership, MembershipChanged, Role, SessionKind, SessionOpened, UserRegistered,
    Visibility,
};
use starling_protocol::{EventDraft, NodeId, RoomId, RoomName, Scope, SessionId, Topic, UserId, Username};

use harness::Node;

/// Somebody with an account.
pub struct Person {
    pub id: String,
    /// A personal access token.
    pub token: String,
}

/// People with an account and a token, in a room that the first owns; all but the last are members.
pub struct Seed {
    pub people: Vec<Person>,
    pub room: String,
}

/// Puts them into the store of a node that has run and does not.
pub fn seed(node: &Node, names: &[&str]) -> Seed {
    let store = Arc::new(Store::open_file(&node.data_dir().join("starling.redb")).unwrap());
    let mut committer = Committer::new(store, NodeId([7; 16]), 1_700_000_000_000).unwrap();
    let mut write = |draft: EventDraft| {
        let write = move |_: &Tables<'_>| Ok(Decision::Write(vec![draft.clone()]));
        let op = Op::Decide(Decide::new(write));
        let done = committer.commit(1_700_000_000_000, 7, &[op]).unwrap().results.remove(0);
        let OpResult::Done(pos) = done else { unreachable!("what is to be written is written: {done:?}") };
        pos
    };
    let room = RoomId([7; 10]);
    let (name, topic) = (RoomName::parse("Room").unwrap(), Topic::default());
    write(EventDraft::new(
        Scope::room(room),
        MemberRoomCreated::Named { name, topic, visibility: Visibility::Private },
    ));
    let mut people = Vec::new();
    for (n, name) in (1..).zip(names) {
        let (user, session, code) = (UserId([n; 16]), SessionId([n; 16]), Code::new([n; 16]));
        let registered = UserRegistered {
            username: Username::parse(name).unwrap(),
            display_name: None,
            password: Some("none".into()),
            admin: false,
            waited_for: None,
        };
        let password = write(EventDraft::new(Scope::user(user), registered));
        let opened = SessionOpened {
            session,
            kind: SessionKind::Personal("test".into()),
            password_pos: password,
            key: code.hash(),
            user_agent: "".into(),
            expires_ms: None,
            service_key: None,
        };
        write(EventDraft::new(Scope::user(user), opened));
        let role = if n == 1 { Role::Owner } else { Role::Member };
        let membership =
            if usize::from(n) == names.len() { Membership::None } else { Membership::Member(role) };
        let set = MembershipChanged { user, membership, since: None, invite: None, by: user };
        write(EventDraft::new(Scope::room(room), set));
        let token = PersonalToken { user: user.to_string(), id: session.to_string(), code }.text();
        people.push(Person { id: user.to_string(), token });
    }
    Seed { people, room: room.to_string() }
}
