//! The frames between nodes, on the one ordered stream of a link: a length, then a record of [`crate::codec`].
//! Links read and write them; [`crate::replica`] makes and answers those that carry the log.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    GuestId, GuestName, Hlc, NodeId, OriginId, RoomId, Scope, ScopeDigest, UserId, VersionVector,
    codec::{self, DecodeError},
    limits::PEER_FRAME_BYTES_MAX,
};

/// The version of this protocol that this build speaks.
pub const PROTOCOL_VERSION: u16 = 1;

/// A member of the cluster, as lists of members name it: its description of itself, whoever carries it, and where
/// others have heard it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub node: NodeId,
    /// Rises with each description that the node gives of itself: of two descriptions the one with the greater number
    /// is the newer.
    pub number: u64,
    /// Where it says that it can be reached: hosts with ports.
    pub addresses: Vec<String>,
    /// Where users reach it, if it was told.
    pub public_url: Option<String>,
    /// From where nodes have heard it: not part of its description.
    pub heard_at: Vec<HeardAt>,
}

/// An address from which a node was heard. It may work where what the node says of itself does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeardAt {
    /// When, by the clock of the node that heard it: Unix milliseconds.
    pub at_ms: u64,
    /// IP address and port.
    pub address: String,
}

/// What a node knows of the cluster and has not said on this link before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshNews {
    /// All nodes to which the sender has a link.
    pub linked: Vec<NodeId>,
    /// Members of which it knows something new, perhaps itself.
    pub members: Vec<Member>,
}

/// The first frame of both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The highest protocol version that the sender speaks.
    pub protocol_version: u16,
    /// Drawn at random by each process: tells a restart from a second process with the same data.
    pub process: u64,
    /// For how long the process has run, in milliseconds: of two with one `NodeId` the younger is the copy.
    pub uptime_ms: u64,
    /// The sender, and where it can be reached.
    pub me: Member,
    /// All members that the sender knows.
    pub members: Vec<Member>,
}

/// Somebody present in a room: a lease that ends with the link to the node that holds his session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Where he is.
    pub room: RoomId,
    /// Who he is.
    pub guest: GuestId,
    /// What he calls himself.
    pub name: GuestName,
    /// Whether it is the name of his account.
    pub account: bool,
    /// When his session began; of two sessions of one guest the later stays.
    pub since: Hlc,
}

/// Changes of presence on the sender's node. Best effort: a link that lost some starts afresh with `Reset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// Forget all that this node said before; entries follow.
    Reset,
    /// These are present.
    Joined(Vec<Present>),
    /// This session is over.
    Left(Present),
    /// These have a live session.
    Online(Vec<UserId>),
    /// He has none any more.
    Offline(UserId),
    /// The members of a room are shown something of the moment: that somebody is typing, or there.
    Shown {
        /// Where.
        room: RoomId,
        /// Whose doing it is.
        user: UserId,
        /// The frame that tells it.
        frame: Box<str>,
    },
}

/// What a node has made durable, beyond what it said before on this link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// Origins that rose, with their new heads.
    pub rose: Vec<(OriginId, u64)>,
    /// The head of the sender's own log; nothing if it has not written yet.
    pub own_head: Option<(OriginId, u64)>,
    /// Whether the receiver is in sync, as the sender sees it.
    pub in_sync: bool,
    /// Whether the sender's writer has been busy with one commit for more than 1 s.
    pub stalled: bool,
    /// Whether the sender lost its store and has not got all of it back: that it takes the receiver for in sync proves
    /// nothing to another that lost its own.
    pub refilling: bool,
    /// The sender's wall clock: Unix milliseconds.
    pub wall_ms: u64,
}

/// What a node says of another's claim on a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAnswer {
    /// The event's origin; its node claims the name.
    pub origin: OriginId,
    /// The event's sequence number.
    pub seq: u64,
    /// The node that answered, if the sender only passes its answer on.
    pub passed_from: Option<NodeId>,
    /// All that was durable on the answering node as it answered, the claim included; nothing while it lacks the claim.
    pub held: Option<VersionVector>,
    /// Whether the answering node would wait for the claimer if it claimed a name itself.
    pub counts_claimer: bool,
}

/// A frame of the replication protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicaFrame {
    /// Fresh events of the sender's own origin, at once after their commit.
    Push(Vec<Bytes>),
    /// All that the sender has made durable: on connect, and every second while vectors differ.
    Vector(VersionVector),
    /// What it made durable since; also the heartbeat, every second.
    Confirm(Confirm),
    /// Asks for `from..=to` of an origin.
    Pull {
        /// Whose events.
        origin: OriginId,
        /// The first wanted.
        from: u64,
        /// The last wanted.
        to: u64,
    },
    /// Answers a pull with the events from its `from` on, as many as fit a chunk; none if the asked node lacks them.
    Pulled {
        /// Whose events.
        origin: OriginId,
        /// Encoded events, in order, without gaps.
        events: Vec<Bytes>,
    },
    /// Digests of parts that have changed; of all parts on a new link.
    Digests(Vec<(u8, ScopeDigest)>),
    /// The receiver shows something else in this part: in which scopes?
    AskScopes(u8),
    /// The scopes of a part and their digests, as many as fit.
    Scopes(u8, Vec<(Scope, ScopeDigest)>),
    /// Asks for the receiver's vector, for a refusal that rests on something missing.
    Probe(u64),
    /// Answers a probe.
    Probed(u64, VersionVector),
    /// The sender's other peers that are in sync both ways, each with the milliseconds since it was heard; with each
    /// beat.
    Peers(Vec<(NodeId, u32)>),
    /// Asks for a confirmation of a claim on a name, or to pass the question on.
    AskClaim {
        /// The event's origin; its node claims the name.
        origin: OriginId,
        /// The event's sequence number.
        seq: u64,
        /// The peer of the receiver to whom the question is to be passed on; nothing if the receiver is asked.
        pass_on: Option<NodeId>,
    },
    /// Answers that question.
    ClaimAnswer(ClaimAnswer),
}

/// Any frame between nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerFrame {
    /// Who the sender is.
    Hello(Hello),
    /// Is anybody there? Decides between two processes with one `NodeId`.
    Ping(u64),
    /// Yes.
    Pong(u64),
    /// Replication.
    Replica(ReplicaFrame),
    /// Presence.
    Presence(Presence),
    /// Who is known, and who is linked.
    Mesh(MeshNews),
}

impl PeerFrame {
    /// The bytes behind the length.
    pub fn encode(&self) -> Bytes {
        codec::encode(self)
    }

    /// Reads the bytes behind the length.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes, PEER_FRAME_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_survive() {
        let origin = OriginId { node: NodeId([1; 16]), incarnation: 2 };
        for frame in [
            PeerFrame::Ping(7),
            PeerFrame::Replica(ReplicaFrame::Push(vec![Bytes::from_static(b"event")])),
            PeerFrame::Replica(ReplicaFrame::Vector(VersionVector::from_iter([(origin, 3)]))),
            PeerFrame::Presence(Presence::Reset),
            PeerFrame::Mesh(MeshNews { linked: vec![NodeId([1; 16])], members: Vec::new() }),
        ] {
            assert_eq!(PeerFrame::decode(&frame.encode()).unwrap(), frame);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(bytes: Vec<u8>) {
            let _ = PeerFrame::decode(&bytes);
            let _ = PeerFrame::decode(&[&[codec::FORMAT_VERSION], &bytes[..]].concat());
        }
    }
}
