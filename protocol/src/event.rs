//! Events: the durable facts of which everything else is derived. `store` logs them, peers exchange them.
//! An event travels as the bytes its writer encoded; kinds that this version does not know are kept as they are.

use std::fmt;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    GuestId, GuestName, Hlc, MessageId, MessageText, OriginId, Pos, RoomId, RoomName,
    codec::{self, DecodeError},
    limits::EVENT_BYTES_MAX,
};

/// What an event belongs to; the key by which logs can later be split over nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// What kind of thing `id` names.
    pub kind: u8,
    /// The thing; empty for the cluster.
    pub id: Box<[u8]>,
}

impl Scope {
    /// `kind` of what belongs to the whole cluster.
    const CLUSTER: u8 = 0;
    /// `kind` of a room's scope.
    const ROOM: u8 = 1;

    /// A share of what belongs to the whole cluster: by the first byte of a key, so that it is not one heap.
    pub fn shard(byte: u8) -> Self {
        Self { kind: Self::CLUSTER, id: Box::new([byte]) }
    }

    /// The scope of a room.
    pub fn room(room: RoomId) -> Self {
        Self { kind: Self::ROOM, id: room.0.into() }
    }

    /// The room, if it is the scope of one.
    pub fn as_room(&self) -> Option<RoomId> {
        (self.kind == Self::ROOM).then(|| <[u8; 10]>::try_from(&*self.id).ok().map(RoomId))?
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_room() {
            Some(room) => write!(f, "room {room}"),
            None => write!(f, "scope {}:{}", self.kind, HEXLOWER.encode(&self.id)),
        }
    }
}

/// A room was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomCreated {
    /// What it is called, if anything.
    pub name: Option<RoomName>,
}

/// Who wrote a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sender {
    /// Somebody without an account, under the name he had then.
    Guest {
        /// Who it is.
        id: GuestId,
        /// What he called himself.
        name: GuestName,
    },
}

impl Sender {
    /// Bytes that identify the sender whatever he calls himself: a tag and his id.
    pub fn key(&self) -> [u8; 17] {
        let Self::Guest { id, .. } = self;
        let mut key = [0; 17];
        key[0] = 1;
        key[1..].copy_from_slice(&id.0);
        key
    }
}

/// A message was posted in the room that is the event's scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePosted {
    /// The id that its sender gave it; `(sender, id)` is its key.
    pub id: MessageId,
    /// Who wrote it.
    pub sender: Sender,
    /// What he wrote.
    pub text: MessageText,
}

/// A guest had a name in the room that is the event's scope while another guest had it too, which only the sides of a
/// split let happen: written by the node that held his session, once it saw the other's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameShared {
    /// Who.
    pub guest: GuestId,
    /// The name, as he typed it.
    pub name: GuestName,
    /// When his session began. He had the name from then to the event.
    pub since: Hlc,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventBody {
    /// Kind 1.
    RoomCreated(RoomCreated),
    /// Kind 2.
    MessagePosted(MessagePosted),
    /// Kind 3.
    NameShared(NameShared),
    /// A kind of a newer version: stored and forwarded as it is, applied after an upgrade.
    Unknown {
        /// Its number.
        kind: u16,
        /// Its bytes.
        payload: Bytes,
    },
}

impl EventBody {
    const ROOM_CREATED: u16 = 1;
    const MESSAGE_POSTED: u16 = 2;
    const NAME_SHARED: u16 = 3;

    fn encode(&self) -> (u16, Bytes) {
        match self {
            Self::RoomCreated(body) => (Self::ROOM_CREATED, codec::encode(body)),
            Self::MessagePosted(body) => (Self::MESSAGE_POSTED, codec::encode(body)),
            Self::NameShared(body) => (Self::NAME_SHARED, codec::encode(body)),
            Self::Unknown { kind, payload } => (*kind, payload.clone()),
        }
    }

    fn decode(kind: u16, payload: Bytes) -> Result<Self, DecodeError> {
        match kind {
            Self::ROOM_CREATED => codec::decode(&payload, EVENT_BYTES_MAX).map(Self::RoomCreated),
            Self::MESSAGE_POSTED => codec::decode(&payload, EVENT_BYTES_MAX).map(Self::MessagePosted),
            Self::NAME_SHARED => codec::decode(&payload, EVENT_BYTES_MAX).map(Self::NameShared),
            _ => Ok(Self::Unknown { kind, payload }),
        }
    }
}

/// What is to become an event once the writer has stamped it.
#[derive(Clone, Debug)]
pub struct EventDraft {
    /// What it will belong to.
    pub scope: Scope,
    /// What happened.
    pub body: EventBody,
    /// The stamp must be above this: of what it replaces or answers, of its sender's last.
    pub floor: Option<Hlc>,
}

/// One durable fact, never changed once committed.
#[derive(Clone, Debug)]
pub struct Event {
    /// Who wrote it.
    pub origin: OriginId,
    /// Its place in its origin's log, from 1 without gaps.
    pub seq: u64,
    /// When, by the writer's clock.
    pub hlc: Hlc,
    /// What it belongs to.
    pub scope: Scope,
    /// What happened.
    pub body: EventBody,
    /// The bytes as its writer encoded them: what the log holds and peers are sent.
    encoded: Bytes,
}

/// Why bytes are not an event.
#[derive(Debug, Error)]
pub enum EventError {
    /// The bytes do not decode.
    #[error("event does not decode")]
    Decode(#[from] DecodeError),
    /// Sequence numbers start at 1.
    #[error("event with sequence number 0")]
    SeqZero,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    origin: OriginId,
    seq: u64,
    hlc: Hlc,
    scope: Scope,
    kind: u16,
    payload: Bytes,
}

impl Event {
    /// Makes the event that `draft` becomes.
    pub fn new(origin: OriginId, seq: u64, hlc: Hlc, draft: EventDraft) -> Self {
        let EventDraft { scope, body, .. } = draft;
        let (kind, payload) = body.encode();
        let encoded = codec::encode(&Envelope { origin, seq, hlc, scope: scope.clone(), kind, payload });
        Self { origin, seq, hlc, scope, body, encoded }
    }

    /// Reads what [`Event::encoded`] gave.
    pub fn decode(encoded: Bytes) -> Result<Self, EventError> {
        let Envelope { origin, seq, hlc, scope, kind, payload } = codec::decode(&encoded, EVENT_BYTES_MAX)?;
        if seq == 0 {
            return Err(EventError::SeqZero);
        }
        let body = EventBody::decode(kind, payload)?;
        Ok(Self { origin, seq, hlc, scope, body, encoded })
    }

    /// The bytes for the log and for peers.
    pub fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    /// Its place in the order of its scope.
    pub fn pos(&self) -> Pos {
        Pos { hlc: self.hlc, origin: self.origin, seq: self.seq }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;

    fn event(body: EventBody) -> Event {
        let origin = OriginId { node: NodeId([3; 16]), incarnation: 9 };
        let draft = EventDraft { scope: Scope::room(RoomId([7; 10])), body, floor: None };
        Event::new(origin, 4, Hlc(5), draft)
    }

    #[test]
    fn events_survive_their_encoding() {
        let (guest, name) = (GuestId([1; 16]), GuestName::parse("Ann").unwrap());
        let sender = Sender::Guest { id: guest, name: name.clone() };
        let text = MessageText::parse("hello").unwrap();
        for body in [
            EventBody::RoomCreated(RoomCreated { name: None }),
            EventBody::MessagePosted(MessagePosted { id: MessageId::from_u128(1), sender, text }),
            EventBody::NameShared(NameShared { guest, name, since: Hlc(6) }),
            EventBody::Unknown { kind: 999, payload: Bytes::from_static(b"of the future") },
        ] {
            let event = event(body);
            let read = Event::decode(event.encoded().clone()).unwrap();
            assert_eq!((read.pos(), &read.scope, &read.body), (event.pos(), &event.scope, &event.body));
            assert_eq!(read.encoded(), event.encoded());
        }
    }

    #[test]
    fn a_known_kind_with_a_broken_payload_is_refused() {
        let broken = event(EventBody::Unknown { kind: EventBody::MESSAGE_POSTED, payload: Bytes::new() });
        assert!(matches!(Event::decode(broken.encoded().clone()), Err(EventError::Decode(_))));
    }
}
