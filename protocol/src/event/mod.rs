//! Events: the durable facts of which everything else is derived. `store` logs them, peers exchange them.
//! An event travels as the bytes its writer encoded; kinds that this version does not know are kept as they are.

mod body;
mod messages;
mod people;
mod rooms;
mod scope;
mod service_key;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::{body::EventBody, messages::*, people::*, rooms::*, scope::Scope, service_key::*};
use crate::{
    Hlc, OriginId, Pos,
    codec::{self, DecodeError},
    limits::{EVENT_BYTES_MAX, RECORD_BYTES_MAX},
};

/// What is to become an event once the writer has stamped it.
#[derive(Clone, Debug)]
pub struct EventDraft {
    /// What it will belong to.
    pub scope: Scope,
    /// What happened.
    pub body: EventBody,
    /// The stamp must be above this: of what it replaces or answers, of its sender's last.
    pub min_hlc: Option<Hlc>,
}

impl EventDraft {
    /// An event that replaces and answers nothing.
    pub fn new(scope: Scope, body: impl Into<EventBody>) -> Self {
        Self { scope, body: body.into(), min_hlc: None }
    }

    /// Stamped above what it replaces or answers.
    #[must_use]
    pub fn above(self, min_hlc: impl Into<Option<Hlc>>) -> Self {
        Self { min_hlc: self.min_hlc.max(min_hlc.into()), ..self }
    }
}

/// One durable fact, never changed once committed, except that an erasure replaces its body by a stub.
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
        Self::decode_within(encoded, EVENT_BYTES_MAX)
    }

    fn decode_within(encoded: Bytes, bytes_max: usize) -> Result<Self, EventError> {
        let Envelope { origin, seq, hlc, scope, kind, payload } = codec::decode(&encoded, bytes_max)?;
        if seq == 0 {
            return Err(EventError::SeqZero);
        }
        let body = EventBody::decode(kind, payload, bytes_max)?;
        Ok(Self { origin, seq, hlc, scope, body, encoded })
    }

    /// Reads an event that an earlier version wrote although it was longer than an event may be, and shortens it: a read
    /// mark of very many origins. No other node has it, for none takes it.
    pub fn shortened(encoded: Bytes) -> Result<Self, EventError> {
        let long = Self::decode_within(encoded, RECORD_BYTES_MAX)?;
        let body = match long.body {
            EventBody::ReadMarked(marked) => marked.split().remove(0).into(),
            body => body,
        };
        Ok(Self::new(long.origin, long.seq, long.hlc, EventDraft::new(long.scope, body)))
    }

    /// The event with its body erased: same place, same scope. See [`EventBody::erased`].
    #[must_use]
    pub fn erased(&self) -> Self {
        let draft = EventDraft { scope: self.scope.clone(), body: self.body.clone().erased(), min_hlc: None };
        Self::new(self.origin, self.seq, self.hlc, draft)
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
    use crate::{GuestId, GuestName, MessageId, MessageText, NodeId, RoomId, UserId};

    fn event(body: EventBody) -> Event {
        let origin = OriginId { node: NodeId([3; 16]), incarnation: 9 };
        let draft = EventDraft { scope: Scope::room(RoomId([7; 10])), body, min_hlc: None };
        Event::new(origin, 4, Hlc(5), draft)
    }

    #[test]
    fn events_survive_their_encoding() {
        let (guest, name) = (GuestId([1; 16]), GuestName::parse("Ann").unwrap());
        let sender = Sender::Guest { id: guest, name: name.clone() };
        let text = MessageText::parse("hello").unwrap();
        for body in [
            EventBody::RoomCreated(RoomCreated { name: None }),
            MessagePosted::new(MessageId::from_u128(1), sender, text.clone()).into(),
            MessagePosted::new(MessageId::from_u128(1), Sender::User(UserId([2; 16])), text).into(),
            EventBody::NameShared(NameShared { guest, name, since: Hlc(6) }),
            edited(None),
            edited(Some(vec![UserId([3; 16]), UserId([4; 16])])),
            EventBody::Unknown { kind: 999, payload: Bytes::from_static(b"of the future") },
        ] {
            let event = event(body);
            let read = Event::decode(event.encoded().clone()).unwrap();
            assert_eq!((read.pos(), &read.scope, &read.body), (event.pos(), &event.scope, &event.body));
            assert_eq!(read.encoded(), event.encoded());
        }
    }

    fn edited(mentions: Option<Vec<UserId>>) -> EventBody {
        let message = MessageKey { sender: Sender::User(UserId([2; 16])).key(), id: MessageId::from_u128(1) };
        MessageEdited { message, text: Some(MessageText::parse("@ann").unwrap()), mentions }.into()
    }

    /// Edits of the first layout are read, forwarded and erased as they are; a stub keeps nothing that its author wrote.
    #[test]
    fn an_edit_of_either_kind_keeps_its_kind_and_its_stub_keeps_nothing() {
        let old = codec::encode(&(
            MessageKey { sender: Sender::User(UserId([2; 16])).key(), id: MessageId::from_u128(1) },
            Some(MessageText::parse("@ann").unwrap()),
        ));
        let read = event(EventBody::Unknown { kind: 27, payload: old.clone() });
        let read = Event::decode(read.encoded().clone()).unwrap();
        assert_eq!((&read.body, read.body.encode().1), (&edited(None), old));
        for (body, kind) in [(edited(None), 27), (edited(Some(vec![UserId([3; 16])])), 40)] {
            let stub = event(body).erased();
            let EventBody::MessageEdited(MessageEdited { text: None, mentions, .. }) = &stub.body else {
                panic!("{:?} keeps its text", stub.body);
            };
            assert_eq!(mentions.as_deref().unwrap_or_default(), []);
            assert_eq!(stub.body.encode().0, kind);
        }
    }

    /// A change of the password that was logged before tokens ended with one keeps them for ever, as it did then.
    #[test]
    fn a_password_change_of_kind_9_keeps_tokens_and_one_of_kind_42_ends_them() {
        for (keep_tokens, number) in [(true, 9), (false, 42)] {
            let changed = PasswordChanged { password: Some("x".into()), keeps: None, keep_tokens };
            let body = EventBody::from(changed);
            let (kind, payload) = body.encode();
            assert_eq!(kind, number);
            assert_eq!(EventBody::decode(kind, payload, EVENT_BYTES_MAX).unwrap(), body);
        }
    }

    /// Promise: sessions that an earlier version logged, and personal tokens, keep their kind and their bytes.
    #[test]
    fn a_session_has_the_kind_that_its_service_key_says() {
        let opened = |service_key| SessionOpened {
            session: crate::SessionId([1; 16]),
            kind: SessionKind::Cookie,
            password: Pos::MIN,
            key: [2; 32],
            user_agent: "".into(),
            expires_ms: None,
            service_key,
        };
        // What the first version to have sessions wrote for this one.
        let old = [&[1][..], &[1; 16], &[1], &[0; 19], &[2; 32], &[0, 0]].concat();
        assert_eq!(EventBody::from(opened(None)).encode(), (12, Bytes::from(old.clone())));
        assert_eq!(EventBody::decode(12, old.into(), EVENT_BYTES_MAX).unwrap(), opened(None).into());
        let keyed = EventBody::from(opened(Some(ServiceKeyId([3; 16]))));
        let (kind, payload) = keyed.encode();
        assert_eq!((kind, EventBody::decode(kind, payload, EVENT_BYTES_MAX).unwrap()), (35, keyed));
    }

    #[test]
    fn a_known_kind_with_a_broken_payload_is_refused() {
        let broken = event(EventBody::Unknown { kind: 2, payload: Bytes::new() });
        assert!(matches!(Event::decode(broken.encoded().clone()), Err(EventError::Decode(_))));
    }
}
