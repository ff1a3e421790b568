//! The wire versions: how the frames of a link lie on its stream, and what a node does with kinds of a newer version.
//!
//! Version 1: a length (4 bytes, big-endian) and a record, the encoded [`PeerFrame`].
//! Version 2: a length, the kind (2 bytes), the length of the record (4 bytes), the record, and extensions, each a tag
//! (2 bytes), a length (4 bytes) and its bytes. So a node skips kinds and tags that it does not know: a record alone
//! can't be skipped in part, since its fields have no lengths.
//!
//! A later version may add kinds and tags, but never change a record of an earlier one. A frame of a new kind is only
//! sent on links of the version that brought it, or of an earlier one whose builds skip it.

use bytes::Bytes;

use super::peer::{FOLDS_NAMED_MAX, PeerFrame};
use crate::{
    FoldRank,
    codec::{self, DecodeError},
    limits::PEER_FRAME_BYTES_MAX,
};

/// A wire version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WireVersion {
    /// Frames are records.
    V1 = 1,
    /// Frames have kinds and extensions.
    V2 = 2,
}

/// The name under which nodes without a common version agree on a connection (ALPN): each names its versions as the
/// reason for closing it. Without it, such a node could not be told from one with a different secret.
pub const ANY_VERSION: &str = "starling";

/// The bytes of a frame of version 2 before its record.
const HEAD_BYTES: u32 = 6;
/// The most bytes of the extensions of one frame.
const EXTENSIONS_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of a frame of any version, without the length before it.
pub const WIRE_FRAME_BYTES_MAX: usize = HEAD_BYTES as usize + PEER_FRAME_BYTES_MAX + EXTENSIONS_BYTES_MAX;

/// The number of kinds of [`PeerFrame`].
const FRAMES: u8 = 8;
/// The frames that have kinds of their own, with the number of these.
const NESTED: [(u8, u8); 2] = [(3, 17), (4, 6)];
/// The kind of a hello.
const HELLO: Kind = [0, 0];
/// The extension of a hello that names folds.
const FOLDS_TAG: u16 = 1;

/// The kind of a frame: the numbers of its variant in [`PeerFrame`] and, if that has kinds of its own, within it.
type Kind = [u8; 2];

impl WireVersion {
    /// All versions that this build speaks, the newest first.
    pub const ALL: [Self; 2] = [Self::V2, Self::V1];

    /// The name under which QUIC endpoints agree on the version (ALPN).
    pub fn alpn(self) -> &'static str {
        match self {
            Self::V1 => "starling/1",
            Self::V2 => "starling/2",
        }
    }

    /// Returns the names that a node offers, the preferred first.
    pub fn offers() -> impl Iterator<Item = &'static str> {
        Self::ALL.map(Self::alpn).into_iter().chain([ANY_VERSION])
    }

    /// Returns the version with a name.
    pub fn from_alpn(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.alpn().as_bytes() == name)
    }

    /// Returns the bytes that precede a record on a link, its length included. The extensions, which this version must have,
    /// follow the record.
    pub fn head(self, record: &[u8], extensions: &[u8]) -> Vec<u8> {
        let bytes = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX);
        let record_bytes = bytes(record);
        match self {
            Self::V1 => record_bytes.to_be_bytes().to_vec(),
            Self::V2 => {
                let mut head =
                    record_bytes.saturating_add(HEAD_BYTES + bytes(extensions)).to_be_bytes().to_vec();
                head.extend(kind_of(record));
                head.extend(record_bytes.to_be_bytes());
                head
            }
        }
    }

    /// Encodes the extensions of a frame; none in version 1.
    pub fn extensions(self, frame: &PeerFrame) -> Bytes {
        match frame {
            PeerFrame::Hello(hello) if self >= Self::V2 => hello
                .folds
                .as_ref()
                .map(|folds| extension(FOLDS_TAG, &codec::encode(folds)))
                .unwrap_or_default(),
            _ => Bytes::new(),
        }
    }

    /// Decodes a frame, without the length before it. Returns `None` if it is of a kind that this build does not know.
    ///
    /// # Errors
    ///
    /// If the parts don't fit the frame, or the record does not decode.
    pub fn decode(self, frame: &[u8]) -> Result<Option<PeerFrame>, DecodeError> {
        if self == Self::V1 {
            return PeerFrame::decode(frame).map(Some);
        }
        let (kind, rest) = frame.split_first_chunk::<2>().ok_or(DecodeError::Framing)?;
        let (record, mut extensions) = split_part(rest).ok_or(DecodeError::Framing)?;
        let mut folds = None;
        while !extensions.is_empty() {
            let (tag, rest) = extensions.split_first_chunk::<2>().ok_or(DecodeError::Framing)?;
            let (bytes, rest) = split_part(rest).ok_or(DecodeError::Framing)?;
            if *kind == HELLO && u16::from_be_bytes(*tag) == FOLDS_TAG {
                let mut named: Vec<FoldRank> = codec::decode(bytes, EXTENSIONS_BYTES_MAX)?;
                named.truncate(FOLDS_NAMED_MAX);
                folds = Some(named);
            }
            extensions = rest;
        }
        if !is_known(*kind) {
            return Ok(None);
        }
        if kind_of(record) != *kind {
            return Err(DecodeError::Framing);
        }
        let mut frame = PeerFrame::decode(record)?;
        if let PeerFrame::Hello(hello) = &mut frame {
            hello.folds = folds;
        }
        Ok(Some(frame))
    }
}

/// Encodes an extension.
fn extension(tag: u16, bytes: &[u8]) -> Bytes {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&tag.to_be_bytes()[..], &length.to_be_bytes(), bytes].concat().into()
}

/// Splits off a part with a length before it.
fn split_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// Reads the kind from a record: after the format's byte, the codec writes the number of each enum's variant.
fn kind_of(record: &[u8]) -> Kind {
    let at = |index: usize| record.get(index).copied().unwrap_or_default();
    let outer = at(1);
    let is_nested = NESTED.iter().any(|(frame, _)| *frame == outer);
    [outer, if is_nested { at(2) } else { 0 }]
}

fn is_known([outer, inner]: Kind) -> bool {
    let count = NESTED.iter().find(|(frame, _)| *frame == outer).map_or(1, |(_, count)| *count);
    outer < FRAMES && inner < count
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        NodeId, OriginId, Seq, UserId, VersionVector,
        frame::{
            peer::{
                ClaimAnswer, Confirm, Hello, Member, MeshNews, NodeStatus, Presence, Present, ReplicaFrame,
            },
            vector_part::{VectorFrame, VectorPart},
        },
    };

    /// A frame of each kind. A new kind does not compile here until it has a number.
    fn one_of_each() -> Vec<(Kind, PeerFrame)> {
        let origin = OriginId { node: NodeId([1; 16]), incarnation: 1 };
        let me = Member {
            node: NodeId([1; 16]),
            number: 1,
            addresses: Vec::new(),
            public_url: None,
            observed_addresses: Vec::new(),
        };
        let present = Present {
            room: crate::RoomId([0; 10]),
            guest: crate::GuestId([0; 16]),
            name: crate::GuestName::parse("x").unwrap(),
            account: false,
            since: crate::Hlc(1),
        };
        let seq = Seq(1);
        let answer =
            ClaimAnswer { origin, seq, answered_by: None, held: None, would_wait_for_claimer: false };
        let part = VectorPart::split(1, None, BTreeMap::new(), 1, &VectorFrame::Vector).remove(0);
        let replica = [
            ReplicaFrame::Push(Vec::new()),
            ReplicaFrame::Vector(VersionVector::default()),
            ReplicaFrame::Confirm(Confirm::default()),
            ReplicaFrame::Pull { origin, from: seq, to: seq },
            ReplicaFrame::Pulled { origin, events: Vec::new() },
            ReplicaFrame::Digests(Vec::new()),
            ReplicaFrame::AskScopes(0),
            ReplicaFrame::Scopes(0, Vec::new()),
            ReplicaFrame::Probe(1),
            ReplicaFrame::Probed(1, VersionVector::default()),
            ReplicaFrame::Peers(Vec::new()),
            ReplicaFrame::AskClaim { origin, seq, relay_to: None },
            ReplicaFrame::ClaimAnswer(answer),
            ReplicaFrame::Views(1),
            ReplicaFrame::Folds(Vec::new()),
            ReplicaFrame::VectorPart(part),
            ReplicaFrame::LiveOrigins(Vec::new()),
        ];
        let presence = [
            Presence::Reset,
            Presence::Joined(Vec::new()),
            Presence::Left(present),
            Presence::Online(Vec::new()),
            Presence::Offline(UserId([0; 16])),
            Presence::Broadcast { room: crate::RoomId([0; 10]), user: UserId([0; 16]), frame: "{}".into() },
        ];
        let hello =
            Hello { protocol_version: 1, process: 1, uptime_ms: 1, me, members: Vec::new(), folds: None };
        let plain = [
            PeerFrame::Hello(hello),
            PeerFrame::Ping(1),
            PeerFrame::Pong(1),
            PeerFrame::Mesh(MeshNews::default()),
            PeerFrame::Status(NodeStatus { sessions: 1, free_bytes: 2, build: "0".into() }),
            PeerFrame::Leaving(true),
        ];
        let frames =
            plain.into_iter().chain(replica.map(PeerFrame::Replica)).chain(presence.map(PeerFrame::Presence));
        frames.map(|frame| (number(&frame), frame)).collect()
    }

    fn number(frame: &PeerFrame) -> Kind {
        match frame {
            PeerFrame::Hello(_) => [0, 0],
            PeerFrame::Ping(_) => [1, 0],
            PeerFrame::Pong(_) => [2, 0],
            PeerFrame::Replica(replica) => [
                3,
                match replica {
                    ReplicaFrame::Push(_) => 0,
                    ReplicaFrame::Vector(_) => 1,
                    ReplicaFrame::Confirm(_) => 2,
                    ReplicaFrame::Pull { .. } => 3,
                    ReplicaFrame::Pulled { .. } => 4,
                    ReplicaFrame::Digests(_) => 5,
                    ReplicaFrame::AskScopes(_) => 6,
                    ReplicaFrame::Scopes(..) => 7,
                    ReplicaFrame::Probe(_) => 8,
                    ReplicaFrame::Probed(..) => 9,
                    ReplicaFrame::Peers(_) => 10,
                    ReplicaFrame::AskClaim { .. } => 11,
                    ReplicaFrame::ClaimAnswer(_) => 12,
                    ReplicaFrame::Views(_) => 13,
                    ReplicaFrame::Folds(_) => 14,
                    ReplicaFrame::VectorPart(_) => 15,
                    ReplicaFrame::LiveOrigins(_) => 16,
                },
            ],
            PeerFrame::Presence(presence) => [
                4,
                match presence {
                    Presence::Reset => 0,
                    Presence::Joined(_) => 1,
                    Presence::Left(_) => 2,
                    Presence::Online(_) => 3,
                    Presence::Offline(_) => 4,
                    Presence::Broadcast { .. } => 5,
                },
            ],
            PeerFrame::Mesh(_) => [5, 0],
            PeerFrame::Status(_) => [6, 0],
            PeerFrame::Leaving(_) => [7, 0],
        }
    }

    /// A frame of version 2 with these parts, without the length before it.
    fn frame(kind: Kind, record: &[u8], extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_be_bytes();
        let mut frame = [&kind[..], &length(record), record].concat();
        for (tag, bytes) in extensions {
            frame.extend([&tag.to_be_bytes()[..], &length(bytes), bytes].concat());
        }
        frame
    }

    /// Promise 12: both versions carry every kind, and a kind keeps its number.
    #[test]
    fn every_kind_has_its_number_and_passes_in_both_versions() {
        let all = one_of_each();
        assert_eq!(all.len(), usize::from(FRAMES) - NESTED.len() + 17 + 6);
        for (kind, sent) in all {
            let record = sent.encode();
            assert_eq!(kind_of(&record), kind, "{sent:?}");
            for version in WireVersion::ALL {
                let on_wire = [&version.head(&record, &[])[..], &record].concat();
                let (length, rest) = on_wire.split_first_chunk::<4>().unwrap();
                assert_eq!(u32::from_be_bytes(*length) as usize, rest.len());
                assert_eq!(version.decode(rest).unwrap(), Some(sent.clone()));
            }
        }
    }

    /// Promise 12: kinds and extensions of a newer version are skipped.
    #[test]
    fn unknown_kinds_and_tags_are_skipped() {
        let ping = PeerFrame::Ping(7).encode();
        let extended = frame([1, 0], &ping, &[(9, b"of the future"), (65_535, b"")]);
        assert_eq!(WireVersion::V2.decode(&extended).unwrap(), Some(PeerFrame::Ping(7)));
        for kind in [[8, 0], [255, 255], [3, 17], [4, 6], [1, 1]] {
            let unknown = frame(kind, b"whatever it is", &[(1, b"x")]);
            assert_eq!(WireVersion::V2.decode(&unknown).unwrap(), None, "{kind:?}");
        }
    }

    /// Promise 13: the hello of this build names folds in an extension, which version 1 has not and earlier builds of version 2
    /// skip.
    #[test]
    fn a_hello_names_folds_in_version_2() {
        let (_, hello) = one_of_each().remove(0);
        let PeerFrame::Hello(plain) = hello.clone() else { panic!("the first is a hello") };
        let fold = |n| FoldRank { generation: n, id: crate::FoldId([1; 16]) };
        let passed = |version: WireVersion, folds: Option<Vec<FoldRank>>| {
            let sent = PeerFrame::Hello(Hello { folds, ..plain.clone() });
            let (record, extensions) = (sent.encode(), version.extensions(&sent));
            assert_eq!(record, hello.encode(), "the record is as it was");
            let on_wire = [&version.head(&record, &extensions)[..], &record, &extensions].concat();
            let (length, rest) = on_wire.split_first_chunk::<4>().unwrap();
            assert_eq!(u32::from_be_bytes(*length) as usize, rest.len());
            match version.decode(rest).unwrap() {
                Some(PeerFrame::Hello(received)) => received.folds,
                other => panic!("no hello: {other:?}"),
            }
        };
        for folds in [None, Some(Vec::new()), Some(vec![fold(1), fold(2)])] {
            assert_eq!(passed(WireVersion::V2, folds.clone()), folds);
            assert_eq!(passed(WireVersion::V1, folds), None);
        }
        let many = passed(WireVersion::V2, Some((0..100).map(fold).collect())).unwrap();
        assert_eq!(many.len(), FOLDS_NAMED_MAX);
        let malformed = frame(HELLO, &hello.encode(), &[(FOLDS_TAG, b"\x01\xff")]);
        assert!(WireVersion::V2.decode(&malformed).is_err());
    }

    /// Bad input: a frame whose parts don't fit is refused, whatever its kind.
    #[test]
    fn frames_whose_parts_do_not_fit_are_refused() {
        let ping = PeerFrame::Ping(7).encode();
        let whole = frame([1, 0], &ping, &[(9, b"extension")]);
        let without_extension = frame([1, 0], &ping, &[]).len();
        for end in (0..whole.len()).filter(|end| *end != without_extension) {
            assert!(WireVersion::V2.decode(&whole[..end]).is_err(), "{end} bytes");
        }
        assert!(WireVersion::V2.decode(&frame([2, 0], &ping, &[])).is_err(), "another kind than its record");
        assert!(WireVersion::V2.decode(&frame([200, 0], b"x", &[])[..4]).is_err(), "unknown, and cut off");
    }

    #[test]
    fn versions_have_the_names_of_the_design() {
        for version in WireVersion::ALL {
            assert_eq!(version.alpn(), format!("starling/{}", version as u8));
            assert_eq!(WireVersion::from_alpn(version.alpn().as_bytes()), Some(version));
        }
        assert_eq!(WireVersion::from_alpn(b"starling/3"), None);
    }

    proptest! {
        #[test]
        fn decoding_never_panics(bytes: Vec<u8>) {
            for version in WireVersion::ALL {
                let _ = version.decode(&bytes);
            }
        }
    }
}
