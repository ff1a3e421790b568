//! Events: the durable facts from which everything else is derived. The store logs them, and peers exchange them.
//! An event always travels as the bytes that its writer encoded. Kinds that this version doesn't know are kept.

mod body;
mod cluster;
mod messages;
mod people;
mod posted;
#[cfg(test)]
mod posted_tests;
mod rooms;
pub(crate) mod scope;
mod service_key;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::{
    body::{EventBody, NodeForgotten},
    cluster::*,
    messages::*,
    people::*,
    posted::*,
    rooms::*,
    scope::Scope,
    service_key::*,
};
use crate::{
    Hlc, OriginId, Pos, Seq,
    codec::{self, DecodeError},
    limits::{EVENT_BYTES_MAX, VIEW_ROW_BYTES_MAX},
};

/// An event before the writer has given it an origin, a sequence number and a stamp.
#[derive(Clone, Debug)]
pub struct EventDraft {
    /// The scope.
    pub scope: Scope,
    /// The content.
    pub body: EventBody,
    /// The event must be stamped above this: the stamp of the event it replaces or answers, or of its sender's last.
    pub above_hlc: Option<Hlc>,
}

impl EventDraft {
    /// Makes a draft that replaces and answers nothing.
    pub fn new(scope: Scope, body: impl Into<EventBody>) -> Self {
        Self { scope, body: body.into(), above_hlc: None }
    }

    /// Requires a stamp above `above_hlc`, that of an event which this one replaces or answers.
    #[must_use]
    pub fn above(self, above_hlc: impl Into<Option<Hlc>>) -> Self {
        Self { above_hlc: self.above_hlc.max(above_hlc.into()), ..self }
    }
}

/// One durable fact. It never changes once committed, except that an erasure replaces its body by a stub.
#[derive(Clone, Debug)]
pub struct Event {
    /// The process that wrote it.
    pub origin: OriginId,
    /// The sequence number in its origin's log, from 1 without gaps.
    pub seq: Seq,
    /// The stamp from the writer's clock.
    pub hlc: Hlc,
    /// The room, user or bucket of cluster-wide data that it belongs to.
    pub scope: Scope,
    /// The content.
    pub body: EventBody,
    /// The bytes as its writer encoded them, for the log and for peers.
    encoded: Bytes,
}

/// The reason why bytes are not an event.
#[derive(Debug, Error)]
pub enum EventError {
    /// The bytes don't decode.
    #[error("event does not decode")]
    Decode(#[from] DecodeError),
    /// Sequence numbers start at 1.
    #[error("event with sequence number 0")]
    SeqZero,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    origin: OriginId,
    seq: Seq,
    hlc: Hlc,
    scope: Scope,
    kind: u16,
    payload: Bytes,
}

impl Event {
    /// Makes an event of a draft.
    pub fn new(origin: OriginId, seq: Seq, hlc: Hlc, draft: EventDraft) -> Self {
        let EventDraft { scope, body, .. } = draft;
        let (kind, payload) = body.encode();
        let encoded = codec::encode(&Envelope { origin, seq, hlc, scope: scope.clone(), kind, payload });
        Self { origin, seq, hlc, scope, body, encoded }
    }

    /// Decodes the bytes of [`Event::encoded`].
    pub fn decode(encoded: Bytes) -> Result<Self, EventError> {
        Self::decode_within(encoded, EVENT_BYTES_MAX)
    }

    fn decode_within(encoded: Bytes, bytes_max: usize) -> Result<Self, EventError> {
        let Envelope { origin, seq, hlc, scope, kind, payload } = codec::decode(&encoded, bytes_max)?;
        if seq == Seq::NONE {
            return Err(EventError::SeqZero);
        }
        let body = EventBody::decode(kind, payload, bytes_max)?;
        Ok(Self { origin, seq, hlc, scope, body, encoded })
    }

    /// Reads the number of the kind of an encoded event alone: of many events, most need not be decoded.
    pub fn kind_of(encoded: &[u8]) -> Result<u16, EventError> {
        let (.., kind) = codec::decode_beginning::<(OriginId, Seq, Hlc, Scope, u16)>(encoded)?;
        Ok(kind)
    }

    /// Decodes and shortens an over-long event of an earlier version: a read mark of very many origins. No other node has
    /// the event, since all refuse over-long events.
    pub fn shortened(encoded: Bytes) -> Result<Self, EventError> {
        let long = Self::decode_within(encoded, VIEW_ROW_BYTES_MAX)?;
        let body = match long.body {
            EventBody::ReadMarked(marked) => marked.split().remove(0).into(),
            body => body,
        };
        Ok(Self::new(long.origin, long.seq, long.hlc, EventDraft::new(long.scope, body)))
    }

    /// Returns the event with an erased body ([`EventBody::erased`]), at the same position and in the same scope.
    #[must_use]
    pub fn erased(&self) -> Self {
        let draft =
            EventDraft { scope: self.scope.clone(), body: self.body.clone().erased(), above_hlc: None };
        Self::new(self.origin, self.seq, self.hlc, draft)
    }

    /// Whether it has at most [`EVENT_BYTES_MAX`] bytes and its lists keep their limits, so that any node accepts it.
    pub fn is_within_limits(&self) -> bool {
        let body_fits =
            if let EventBody::MessagePosted(posted) = &self.body { posted.is_within_limits() } else { true };
        self.encoded.len() <= EVENT_BYTES_MAX && body_fits
    }

    /// Returns the encoded event, as its writer encoded it.
    pub fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    /// Returns the position of the event in the order of its scope.
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
        let draft = EventDraft { scope: Scope::room(RoomId([7; 10])), body, above_hlc: None };
        Event::new(origin, Seq(4), Hlc(5), draft)
    }

    #[test]
    fn events_round_trip() {
        let (guest, name) = (GuestId([1; 16]), GuestName::parse("Ann").unwrap());
        let sender = Sender::Guest { id: guest, name: name.clone() };
        let text = MessageText::parse("hello").unwrap();
        for body in [
            EventBody::QuickRoomCreated(QuickRoomCreated { name: None }),
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
            assert_eq!(Event::kind_of(event.encoded()).unwrap(), event.body.encode().0);
        }
    }

    fn edited(mentions: Option<Vec<UserId>>) -> EventBody {
        let message = MessageKey { sender: Sender::User(UserId([2; 16])).key(), id: MessageId::from_u128(1) };
        MessageEdited { message, text: Some(MessageText::parse("@ann").unwrap()), mentions }.into()
    }

    /// Edits of the first layout keep it when they are read, forwarded and erased. A stub keeps nothing of the author's.
    #[test]
    fn an_edit_keeps_its_kind_and_its_stub_keeps_no_text() {
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

    /// Password changes of earlier versions kept personal access tokens, and must always do so.
    #[test]
    fn a_password_change_of_kind_9_keeps_tokens_and_one_of_kind_42_ends_them() {
        for (keep_tokens, number) in [(true, 9), (false, 42)] {
            let changed = PasswordChanged { password: Some("x".into()), kept_session: None, keep_tokens };
            let body = EventBody::from(changed);
            let (kind, payload) = body.encode();
            assert_eq!(kind, number);
            assert_eq!(EventBody::decode(kind, payload, EVENT_BYTES_MAX).unwrap(), body);
        }
    }

    /// Promise: sessions of earlier versions, and personal access tokens, keep their kind and their bytes.
    #[test]
    fn a_session_without_a_service_key_has_kind_12_and_others_kind_35() {
        let opened = |service_key| SessionOpened {
            session: crate::SessionId([1; 16]),
            kind: SessionKind::Cookie,
            password_pos: Pos::MIN,
            key: [2; 32],
            user_agent: "".into(),
            expires_ms: None,
            service_key,
        };
        // The bytes that the first version with sessions wrote for this session.
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
