//! The frames between nodes. A link is one ordered stream; each frame on it is a length and a record of
//! [`crate::codec`]. [`crate::replica`] makes and answers the frames that replicate the log.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::vector_part::VectorPart;
use crate::{
    FoldRank, GuestId, GuestName, Hlc, NodeId, OriginId, RoomId, Scope, ScopeDigest, Seq, UserId,
    VersionVector,
    codec::{self, DecodeError},
    limits::PEER_FRAME_BYTES_MAX,
};

/// The protocol version of this build.
pub const PROTOCOL_VERSION: u16 = 2;

/// Folds that a node names at once, at most.
pub const FOLDS_NAMED_MAX: usize = 4;

/// A member of the cluster: its own description of itself, and the addresses where others saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The node's id.
    pub node: NodeId,
    /// The version of the description. The one with the greater number is newer.
    pub number: u64,
    /// The advertised addresses: hosts with ports.
    pub addresses: Vec<String>,
    /// The URL for users, if one is configured.
    pub public_url: Option<String>,
    /// The source addresses of its connections, as other nodes saw them. Not part of its description.
    pub observed_addresses: Vec<ObservedAddress>,
}

/// A source address of a node's connection. It may work if none of the advertised addresses does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObservedAddress {
    /// The time by the clock of the node that saw it (Unix milliseconds).
    pub at_ms: u64,
    /// The IP address and port.
    pub address: String,
}

/// The sender's links, all of them, and the members that changed since its last frame on this link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshNews {
    /// All nodes to which the sender has a link.
    pub linked: Vec<NodeId>,
    /// The members that changed; the sender may be one of them.
    pub members: Vec<Member>,
}

/// The first frame on a link, in both directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The highest protocol version that the sender supports.
    pub protocol_version: u16,
    /// A random number, drawn when the sender's process started; not its incarnation. It distinguishes a restart from a
    /// second process with the same data.
    pub process: u64,
    /// The uptime of the process in milliseconds. Of two processes with one `NodeId`, the younger is the copy.
    pub uptime_ms: u64,
    /// The sender.
    pub me: Member,
    /// All members that the sender knows.
    pub members: Vec<Member>,
    /// The newest folds that the sender can use, at most [`FOLDS_NAMED_MAX`]: the receiver may write vectors over them on this
    /// link. `None` if the sender reads no vectors over folds or in parts. An extension of wire version 2, not part of the
    /// record.
    #[serde(skip)]
    pub folds: Option<Vec<FoldRank>>,
}

/// A person present in a quick room: a lease that ends with the link to the node of their session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// The room.
    pub room: RoomId,
    /// The person's id in the room. Also a person with an account has one: their user id.
    pub guest: GuestId,
    /// The name, as they typed it.
    pub name: GuestName,
    /// Whether it is the username of an account.
    pub account: bool,
    /// The start of the session. Of two sessions of one guest, the later one stays.
    pub since: Hlc,
}

/// Changes of presence on the sender's node. Best effort: after a lost frame the sender starts over with `Reset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// Forget all earlier presence of this node; new entries follow.
    Reset,
    /// These people are present.
    Joined(Vec<Present>),
    /// This session has ended.
    Left(Present),
    /// These users have a session.
    Online(Vec<UserId>),
    /// This user's last session has ended.
    Offline(UserId),
    /// Send a frame of short-lived news to the members of a room: somebody is typing, or online.
    Broadcast {
        /// The room.
        room: RoomId,
        /// The user whom the frame is about.
        user: UserId,
        /// The JSON frame.
        frame: Box<str>,
    },
}

/// The events that the sender has made durable since its last confirmation on this link, and its status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// The heads of origins with new durable events; all heads if this answers a `Vector`; empty in a heartbeat.
    pub new_heads: Vec<(OriginId, Seq)>,
    /// The head of the sender's own log; `None` if it has not written yet.
    pub own_head: Option<(OriginId, Seq)>,
    /// Whether the sender sees the receiver in sync.
    pub in_sync: bool,
    /// Whether the sender's writer has been busy with one commit for more than 1 s.
    pub stalled: bool,
    /// Whether the sender lost its store and is still refilling it. If both nodes are refilling, `in_sync` proves
    /// nothing.
    pub refilling: bool,
    /// The sender's wall clock (Unix milliseconds).
    pub wall_ms: u64,
}

/// A node's answer about another node's claim to a username.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAnswer {
    /// The origin of the claiming event.
    pub origin: OriginId,
    /// The sequence number of the claiming event.
    pub seq: Seq,
    /// The node that answered, if the sender relays its answer; otherwise `None`.
    pub answered_by: Option<NodeId>,
    /// All that was durable on the answering node when it answered, including the claim; `None` if it lacks the claim.
    pub held: Option<VersionVector>,
    /// Whether the answering node would wait for the claimer if it claimed a username itself.
    pub would_wait_for_claimer: bool,
}

/// A frame of the replication protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicaFrame {
    /// New events of the sender's own origin, sent right after their commit.
    Push(Vec<Bytes>),
    /// All that is durable on the sender: sent on connect, and with the next heartbeat while vectors differ, after a
    /// dropped frame, or while the receiver doesn't see the sender in sync.
    Vector(VersionVector),
    /// New durable events; also the heartbeat, every second.
    Confirm(Confirm),
    /// Asks for the events `from..=to` of an origin.
    Pull {
        /// The origin.
        origin: OriginId,
        /// The first sequence number.
        from: Seq,
        /// The last sequence number.
        to: Seq,
    },
    /// Answers a pull with the events from its `from` on, as many as fit in a chunk; none if the node lacks them.
    Pulled {
        /// The origin.
        origin: OriginId,
        /// The encoded events, in order and without gaps.
        events: Vec<Bytes>,
    },
    /// The digests of changed shards; on a new link, of all shards.
    Digests(Vec<(u8, ScopeDigest)>),
    /// Asks for the digests of the scopes in this shard, because the views differ.
    AskScopes(u8),
    /// The scopes of a shard and their digests, as many as fit.
    Scopes(u8, Vec<(Scope, ScopeDigest)>),
    /// Asks for the receiver's vector, for example before a 'not found'.
    Probe(u64),
    /// Answers a probe with the sender's vector.
    Probed(u64, VersionVector),
    /// The sender's other peers that are in sync both ways, each with the milliseconds since its last frame. Sent with
    /// each heartbeat.
    Peers(Vec<(NodeId, u32)>),
    /// Asks the receiver to confirm a claim to a username, or to relay the question.
    AskClaim {
        /// The origin of the claiming event.
        origin: OriginId,
        /// The sequence number of the claiming event.
        seq: Seq,
        /// The receiver's peer to which it must relay the question; `None` if the question is for the receiver.
        relay_to: Option<NodeId>,
    },
    /// Answers `AskClaim`.
    ClaimAnswer(ClaimAnswer),
    /// The version of the sender's views ([`crate::digest::VIEWS_VERSION`]). Nodes whose versions differ send each other no
    /// digests. Since wire version 2.
    Views(u32),
    /// Further folds that the sender can use: the receiver may write vectors over them on this link. Only to peers whose
    /// hello names folds, even if none.
    Folds(Vec<FoldRank>),
    /// A part of a frame whose vector is written over a fold, or is long. Only to such peers, too.
    VectorPart(VectorPart),
    /// The origins of the processes to which the sender has links: they are alive, also if the receiver has no link to them.
    /// Sent with each heartbeat unless there are none. Since wire version 2, of which earlier builds skip it.
    LiveOrigins(Vec<OriginId>),
}

/// The status of a node, so that operators can ask any other for it. Sent every second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Open WebSockets.
    pub sessions: u64,
    /// Free bytes on the disk of the store.
    pub free_bytes: u64,
    /// The version of Starling, for people.
    pub build: Box<str>,
}

/// Any frame between nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerFrame {
    /// Introduces the sender.
    Hello(Hello),
    /// Asks for a pong, to find out which of two processes with one `NodeId` is alive.
    Ping(u64),
    /// Answers a ping.
    Pong(u64),
    /// Replicates the log.
    Replica(ReplicaFrame),
    /// Changes of presence.
    Presence(Presence),
    /// Changes of members and links.
    Mesh(MeshNews),
    /// The sender's status. Since wire version 2.
    Status(NodeStatus),
    /// Whether the sender is leaving the cluster: a node that leaves too must not count it. Since wire version 2, of which
    /// earlier builds skip it.
    Leaving(bool),
}

impl PeerFrame {
    /// Encodes the frame, without the length before it.
    pub fn encode(&self) -> Bytes {
        codec::encode(self)
    }

    /// Decodes a frame, without the length before it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes, PEER_FRAME_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_round_trip() {
        let origin = OriginId { node: NodeId([1; 16]), incarnation: 2 };
        for frame in [
            PeerFrame::Ping(7),
            PeerFrame::Replica(ReplicaFrame::Push(vec![Bytes::from_static(b"event")])),
            PeerFrame::Replica(ReplicaFrame::Vector(VersionVector::from_iter([(origin, Seq(3))]))),
            PeerFrame::Presence(Presence::Reset),
            PeerFrame::Mesh(MeshNews { linked: vec![NodeId([1; 16])], members: Vec::new() }),
        ] {
            assert_eq!(PeerFrame::decode(&frame.encode()).unwrap(), frame);
        }
    }

    proptest! {
        #[test]
        fn decoding_never_panics(bytes: Vec<u8>) {
            let _ = PeerFrame::decode(&bytes);
            let _ = PeerFrame::decode(&[&[codec::FORMAT_VERSION], &bytes[..]].concat());
        }
    }
}
