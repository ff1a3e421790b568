//! The rules without such a test of their own lead to the same state in any order of events, with any repetitions.

use std::fmt::Debug;

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{contact, forgotten_node, invite, member, message, read_mark, register, room, user};
use crate::{
    DisplayName, EventBody, Hlc, InviteId, NodeId, OriginId, Pos, RoomId, RoomName, Seq, Settings, Topic,
    UserId, Username, codec, event::*,
};

const USER: UserId = UserId([1; 16]);

fn pos(hlc: u64, node: u8, seq: Seq) -> Pos {
    Pos { hlc: Hlc(hlc), origin: OriginId { node: NodeId([node; 16]), incarnation: 1 }, seq }
}

/// Promise: views of earlier versions stay readable. They stored positions as tuples.
#[test]
fn states_with_positions_keep_their_encoding() {
    let (at, id) = (pos(300, 2, Seq(4)), RoomId([1; 10]));
    let tuple = (at.hlc, at.origin, at.seq.0);
    let created = room::apply_creation(None, at, &QuickRoomCreated { name: None });
    assert_eq!(codec::encode(&created), codec::encode(&(None::<RoomName>, tuple)));
    assert_eq!(codec::encode(&message::apply_post(None, id, at)), codec::encode(&(id, tuple)));
}

type Log<E> = Vec<(Pos, E)>;

/// Generates events at different positions, and all of them twice in a random order.
fn logs<E: Clone + Debug>(event: impl Strategy<Value = E>) -> impl Strategy<Value = (Log<E>, Log<E>)> {
    let placed = |(seq, (hlc, node, event))| (pos(hlc, node, Seq(seq)), event);
    let log =
        vec((0_u64..5, 0_u8..3, event), 1..10).prop_map(move |log| (1..).zip(log).map(placed).collect());
    log.prop_flat_map(|log: Log<E>| (Just(log.clone()), Just([log.clone(), log].concat()).prop_shuffle()))
}

fn fold<E, S>(log: &[(Pos, E)], rule: impl Fn(Option<S>, Pos, &E) -> S) -> Option<S> {
    log.iter().fold(None, |state, (pos, event)| Some(rule(state, *pos, event)))
}

macro_rules! in_any_order {
    ($($name:ident: $event:expr => $rule:expr;)+) => {
        proptest! {$(
            #[test]
            fn $name((log, order) in logs($event)) {
                prop_assert_eq!(fold(&log, $rule), fold(&order, $rule));
            }
        )+}
    };
}

in_any_order! {
    registers: 0_u8..4 => |state, pos, value| register::apply(state, pos, *value);
    contacts: contact_sets() => contact::apply;
    // Ids are random, so only one event makes an invite.
    invites: any::<bool>() => |state, _, is_made| invite::apply(state, is_made.then(made).as_ref());
    members: member_sets() => member::apply;
    read_marks: marks() => |state, _, mark| read_mark::apply(state, mark);
    forgotten_nodes: Just(()) => |state, pos, ()| forgotten_node::apply(state, pos);
    rooms_of_members: room_bodies() => room::apply;
    accounts: account_bodies() => user::apply;
    claims: any::<bool>() => |state, _, is_withdrawn| user::apply_claim(state, &name(), *is_withdrawn);
}

fn name() -> Username {
    Username::parse("ann").unwrap()
}

fn made() -> InviteMade {
    InviteMade { id: InviteId([1; 10]), by: USER, max_uses: Some(2), expires_ms: None }
}

fn contact_sets() -> impl Strategy<Value = StanceChanged> {
    let stance = select(vec![Stance::None, Stance::Yes, Stance::Blocked]);
    (0_u64..3, stance).prop_map(|(round, stance)| StanceChanged { to: USER, round, stance })
}

fn member_sets() -> impl Strategy<Value = MembershipChanged> {
    let membership = select(vec![Membership::None, Membership::Banned, Membership::Member(Role::Owner)]);
    let invite = option::of((0_u8..2).prop_map(|n| InviteId([n; 10])));
    (membership, option::of(0_u64..5), invite).prop_map(|(membership, since, invite)| MembershipChanged {
        user: USER,
        membership,
        since: since.map(Hlc),
        invite,
        by: USER,
    })
}

fn marks() -> impl Strategy<Value = ReadMarked> {
    let seen = vec((0_u8..3, 0_u64..5), 0..3);
    (0_u64..5, 0_u8..3, seen).prop_map(|(hlc, node, seen)| ReadMarked {
        room: RoomId([1; 10]),
        pos: pos(hlc, node, Seq(1)),
        seen: seen.into_iter().map(|(node, seq)| (pos(0, node, Seq(1)).origin, Seq(seq))).collect(),
    })
}

fn room_bodies() -> impl Strategy<Value = EventBody> {
    let name = || select(vec!["den", "hall"]).prop_map(|name| RoomName::parse(name).unwrap());
    let topic = || select(vec!["", "tea"]).prop_map(|topic| Topic::parse(topic).unwrap());
    let visibility = || select(vec![Visibility::Public, Visibility::Private]);
    prop_oneof![
        2 => (name(), topic(), visibility())
            .prop_map(|(name, topic, visibility)| MemberRoomCreated::Named { name, topic, visibility }.into()),
        1 => Just(MemberRoomCreated::Direct { one: USER, other: UserId([2; 16]) }.into()),
        4 => (option::of(name()), option::of(topic()), option::of(visibility()))
            .prop_map(|(name, topic, visibility)| MemberRoomChanged { name, topic, visibility }.into()),
        1 => Just(MemberRoomDeleted { by: USER }.into()),
    ]
}

fn account_bodies() -> impl Strategy<Value = EventBody> {
    let shown = || option::of(select(vec!["Ann", "Bo"]).prop_map(|name| DisplayName::parse(name).unwrap()));
    let password = || option::of(select(vec!["one", "other"]).prop_map(Box::<str>::from));
    prop_oneof![
        2 => (shown(), password(), any::<bool>()).prop_map(|(display_name, password, admin)| {
            UserRegistered { username: name(), display_name, password, admin, waited_for: None }.into()
        }),
        2 => shown().prop_map(|display_name| ProfileChanged { display_name }.into()),
        2 => (password(), any::<bool>()).prop_map(|(password, keep_tokens)| {
            PasswordChanged { password, kept_session: None, keep_tokens }.into()
        }),
        2 => (0_u64..5, 0_u8..3, 1_u64..10, password()).prop_map(|(hlc, node, seq, password)| {
            PasswordRehashed { change: pos(hlc, node, Seq(seq)), password }.into()
        }),
        1 => (0_u8..2).prop_map(|n| ResetLinkMade { code_hash: [n; 32], expires_ms: u64::from(n) }.into()),
        1 => any::<(Option<bool>, Option<bool>)>()
            .prop_map(|(admin, disabled)| UserFlagged { admin, disabled }.into()),
        1 => (0_u8..2).prop_map(|n| {
            let settings = Settings { language: n.to_string().into(), ..Settings::default() };
            SettingsChanged { settings }.into()
        }),
        1 => Just(UserDeleted {}.into()),
    ]
}
