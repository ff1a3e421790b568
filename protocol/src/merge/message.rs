//! Messages are keyed by (sender, id): the post with the smallest position wins with its room and body.
//! If two senders use one id, the earlier keeps it, and the other's message is listed under a derived id.

use serde::{Deserialize, Serialize};

use crate::{MessageId, Pos, RoomId, event::SenderKey};

/// The winning post of a (sender, id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageState {
    /// The room of the winning post.
    pub room: RoomId,
    pos: Pos,
}

impl MessageState {
    /// Returns the position of the winning post.
    pub fn pos(&self) -> Pos {
        self.pos
    }
}

/// Applies a post in `room` at `pos`.
pub fn apply_post(state: Option<MessageState>, room: RoomId, pos: Pos) -> MessageState {
    match state {
        Some(state) if state.pos <= pos => state,
        _ => MessageState { room, pos },
    }
}

/// Returns the [`Sender::key`](crate::Sender::key) of the holder of an id: the sender of the earliest post with it. `posts`
/// are the winning posts of all senders that used the id.
pub fn id_holder<'a>(posts: impl IntoIterator<Item = &'a (SenderKey, MessageState)>) -> Option<SenderKey> {
    posts.into_iter().min_by_key(|(_, state)| state.pos).map(|(sender, _)| *sender)
}

/// Returns the id under which a message is listed.
pub fn listed_id(holder: SenderKey, sender_key: SenderKey, id: MessageId) -> MessageId {
    if holder == sender_key {
        return id;
    }
    let mut hasher = blake3::Hasher::new_derive_key("starling 2026 message id of a later sender");
    hasher.update(&sender_key).update(id.as_bytes());
    let bytes = hasher.finalize().as_bytes()[..16].try_into().expect("a hash has 32 bytes");
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::subsequence};

    use super::*;
    use crate::{Hlc, NodeId, OriginId, QuickRoomCreated, Seq, merge::room};

    fn sender(n: u8) -> SenderKey {
        [n; 17]
    }

    fn pos(hlc: u64, node: u8) -> Pos {
        Pos { hlc: Hlc(hlc), origin: OriginId { node: NodeId([node; 16]), incarnation: 1 }, seq: Seq(1) }
    }

    /// Generates posts with one id: (stamp, node, room, sender).
    fn posts() -> impl Strategy<Value = Vec<(u64, u8, u8, u8)>> {
        prop::collection::vec((1_u64..4, 0_u8..3, 0_u8..2, 0_u8..2), 1..6)
    }

    proptest! {
        #[test]
        fn any_order_and_any_repetition_give_one_state(
            (all, order) in posts().prop_flat_map(|posts| {
                let repeated = [posts.clone(), posts.clone()].concat();
                (Just(posts.clone()), (Just(repeated).prop_shuffle(), subsequence(posts.clone(), 0..=posts.len())))
            }).prop_map(|(all, (repeated, extra))| (all, [repeated, extra].concat())),
        ) {
            // A position identifies an event, so posts at one position must be the same post.
            let once = |posts: &[(u64, u8, u8, u8)]| {
                posts.iter().map(|&(hlc, node, ..)| {
                    *all.iter().find(|post| (post.0, post.1) == (hlc, node)).unwrap()
                }).collect::<Vec<_>>()
            };
            let fold = |posts: &[(u64, u8, u8, u8)]| {
                let mut rooms = None;
                let mut messages = [None, None];
                for &(hlc, node, room, by) in posts {
                    let message = &mut messages[usize::from(by)];
                    *message = Some(apply_post(*message, RoomId([room; 10]), pos(hlc, node)));
                    let name = crate::RoomName::parse(&format!("{room}")).unwrap();
                    rooms = Some(room::apply_creation(rooms, pos(hlc, node), &QuickRoomCreated { name: Some(name) }));
                }
                let posts = (0..).zip(messages).filter_map(|(by, state)| Some((sender(by), state?)));
                (id_holder(&posts.collect::<Vec<_>>()), messages, rooms)
            };
            prop_assert_eq!(fold(&once(&all)), fold(&once(&order)));
        }
    }

    #[test]
    fn the_later_sender_is_listed_under_a_derived_id() {
        let id = MessageId::from_u128(5);
        let posts =
            [(2, 9), (1, 3)].map(|(by, hlc)| (sender(by), apply_post(None, RoomId([1; 10]), pos(hlc, 0))));
        let holder = id_holder(&posts).unwrap();
        assert_eq!(listed_id(holder, sender(1), id), id);
        let derived = listed_id(holder, sender(2), id);
        assert_ne!(derived, id);
        assert_eq!(derived, listed_id(holder, sender(2), id));
    }
}
