//! Messages are keyed by (sender, id): the smallest `(hlc, origin, seq)` wins with its room and body.
//! Should two senders use one id, the earlier shows it; the other's is listed under a derived id.

use serde::{Deserialize, Serialize};

use crate::{Hlc, MessageId, OriginId, Pos, RoomId, Sender, event::SenderKey};

/// Where the message of a (sender, id) stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageState {
    /// The room of the winning post.
    pub room: RoomId,
    place: (Hlc, OriginId, u64),
}

impl MessageState {
    /// The place of the winning post.
    pub fn pos(&self) -> Pos {
        let (hlc, origin, seq) = self.place;
        Pos { hlc, origin, seq }
    }
}

/// Applies a post into `room` at `pos`.
pub fn posted(state: Option<MessageState>, room: RoomId, pos: Pos) -> MessageState {
    match state {
        Some(state) if state.pos() <= pos => state,
        _ => MessageState { room, place: (pos.hlc, pos.origin, pos.seq) },
    }
}

/// Who shows an id as it is: the sender of the earliest post under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdHolder {
    /// [`Sender::key`] of the holder.
    pub sender: SenderKey,
    place: (Hlc, OriginId, u64),
}

/// Applies a post by `sender` at `pos` to the id that it uses.
pub fn id_used(state: Option<IdHolder>, sender: &Sender, pos: Pos) -> IdHolder {
    let place = (pos.hlc, pos.origin, pos.seq);
    match state {
        Some(state) if state.place <= place => state,
        _ => IdHolder { sender: sender.key(), place },
    }
}

/// The id under which a message is listed.
pub fn listed_id(holder: &IdHolder, sender_key: SenderKey, id: MessageId) -> MessageId {
    if holder.sender == sender_key {
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
    use crate::{GuestId, GuestName, NodeId, RoomCreated, merge::room};

    fn sender(n: u8) -> Sender {
        Sender::Guest { id: GuestId([n; 16]), name: GuestName::parse("x").unwrap() }
    }

    fn pos(hlc: u64, node: u8) -> Pos {
        Pos { hlc: Hlc(hlc), origin: OriginId { node: NodeId([node; 16]), incarnation: 1 }, seq: 1 }
    }

    /// All posts of one id: (stamp, node, room, sender).
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
            // One place is one event: posts that share it must be the same post.
            let once = |posts: &[(u64, u8, u8, u8)]| {
                posts.iter().map(|&(hlc, node, ..)| {
                    *all.iter().find(|post| (post.0, post.1) == (hlc, node)).unwrap()
                }).collect::<Vec<_>>()
            };
            let fold = |posts: &[(u64, u8, u8, u8)]| {
                let (mut holder, mut rooms) = (None, None);
                let mut messages = [None, None];
                for &(hlc, node, room, by) in posts {
                    let message = &mut messages[usize::from(by)];
                    *message = Some(posted(*message, RoomId([room; 10]), pos(hlc, node)));
                    holder = Some(id_used(holder, &sender(by), pos(hlc, node)));
                    let name = crate::RoomName::parse(&format!("{room}")).unwrap();
                    rooms = Some(room::created(rooms, pos(hlc, node), &RoomCreated { name: Some(name) }));
                }
                (holder, messages, rooms)
            };
            prop_assert_eq!(fold(&once(&all)), fold(&once(&order)));
        }
    }

    #[test]
    fn the_later_sender_is_listed_under_a_derived_id() {
        let id = MessageId::from_u128(5);
        let holder = id_used(Some(id_used(None, &sender(2), pos(9, 0))), &sender(1), pos(3, 0));
        assert_eq!(listed_id(&holder, sender(1).key(), id), id);
        let derived = listed_id(&holder, sender(2).key(), id);
        assert_ne!(derived, id);
        assert_eq!(derived, listed_id(&holder, sender(2).key(), id));
    }
}
