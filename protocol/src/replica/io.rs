//! Inputs and outputs of the state machine. Its driver carries out every [`Output`].

use std::{ops::Add, sync::Arc};

use bytes::Bytes;
use thiserror::Error;

use crate::{
    Event, Fold, FoldId, FoldRank, NodeId, OriginId, Scope, ScopeDigest, Seq,
    event::EventError,
    frame::{peer::ReplicaFrame, wire::WireVersion},
};

/// A time of a node's monotonic clock, in milliseconds. Durations and times of the wall clock are `u64`, with `_ms` in
/// their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// Returns the milliseconds since an earlier time; 0 if that time is later.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the time this many milliseconds earlier, but not before the clock's zero.
    #[must_use]
    pub fn saturating_sub_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }
}

/// Adds milliseconds. Panics on overflow.
impl Add<u64> for Millis {
    type Output = Self;

    fn add(self, ms: u64) -> Self {
        Self(self.0 + ms)
    }
}

/// The id of a link. It is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);
/// The id of a waiter, a claim or a wait at a barrier. The driver chooses it and never reuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl Token {
    /// The first token, for ranges of keys.
    pub(super) const MIN: Self = Self(0);
    /// The last token, for ranges of keys.
    pub(super) const MAX: Self = Self(u64::MAX);
}

/// The goal of a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// This many nodes, including this one, hold the event.
    Copies(usize),
    /// Every peer in sync holds it.
    InSync,
}

/// A request for an answer once an event of this node is durable on other nodes.
#[derive(Clone, Copy, Debug)]
pub struct Waiter {
    /// The id for the answer.
    pub token: Token,
    /// The event's origin.
    pub origin: OriginId,
    /// The event's sequence number.
    pub seq: Seq,
    /// The goal.
    pub until: Until,
    /// The longest wait in milliseconds.
    pub wait_ms: u64,
    /// For how many milliseconds after an answer with too few copies one upgrade may follow; 0 for never.
    pub upgrade_ms: u64,
}

/// A durable claim of this node to a username. Its peers must confirm it before the user is told that it succeeded.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The id for the answer.
    pub token: Token,
    /// The claiming event's origin, which is this process.
    pub origin: OriginId,
    /// The claiming event's sequence number.
    pub seq: Seq,
    /// The start of the claim, before the commit. This node must not have stalled since.
    pub since: Millis,
    /// The longest wait in milliseconds.
    pub wait_ms: u64,
    /// The nodes that have to confirm the claim, as its event lists them: the result of
    /// [`super::Replica::claim_peers`] before the commit.
    pub waited_for: Vec<NodeId>,
}

/// The outcome of a [`Claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// These nodes confirmed the claim, and everything that they held then is durable and applied here. The other listed
    /// nodes fell out of sync. The caller now decides with [`crate::merge::user::may_grant_claim`].
    Confirmed(Vec<NodeId>),
    /// A node that is in sync both ways did not confirm it in time, or the events that it held did not arrive.
    NotConfirmed,
    /// This node stalled during the claim or just before it: peers may have decided without it.
    Stalled,
}

/// The folds in the hellos of a link: the sender of a hello reads vectors over those that it names.
#[derive(Clone, Debug, Default)]
pub struct HelloFolds {
    /// Those that this node named.
    pub own: Vec<Arc<Fold>>,
    /// Those that the peer named.
    pub peers: Vec<FoldRank>,
}

/// The reason why a link must be closed: the peer broke the protocol.
#[derive(Debug, Error)]
pub enum Breach {
    /// Bytes that are no event.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A vector over a fold that this node has not named on this link, so that it need not know it. It is never taken for
    /// another vector.
    #[error("a vector over fold {0}, which this node has not named on this link")]
    UnknownFold(FoldId),
    /// Impossible numbers of a part and of all parts.
    #[error("part {0} of {1} of a vector")]
    Parts(u32, u32),
}

/// An input of the state machine.
#[derive(Debug)]
pub enum Input {
    /// A link to a peer is up. It replaces an earlier one to the same peer.
    LinkUp {
        /// The link.
        link: LinkId,
        /// The peer.
        peer: NodeId,
        /// The wire version of the link.
        version: WireVersion,
        /// The folds that both nodes named in their hellos; `None` if the peer named none, since it reads no vectors over
        /// folds or in parts.
        folds: Option<HelloFolds>,
    },
    /// A link is down.
    LinkDown(LinkId),
    /// A frame arrived.
    Frame(LinkId, ReplicaFrame),
    /// A part of a long frame arrived: on a slow link whole frames may be further apart than the longest silence.
    Heard(LinkId),
    /// This node made new events of its own durable.
    Committed {
        /// The origin of this process.
        origin: OriginId,
        /// The sequence number of the first event.
        first: Seq,
        /// The encoded events.
        events: Vec<Bytes>,
    },
    /// This node made events of other origins durable. Lists the origins with their new heads.
    Applied(Vec<(OriginId, Seq)>),
    /// The log's vector is now written over this fold, the newest that this node can use.
    Folded(Arc<Fold>),
    /// The store's queue refused an [`Output::Apply`]: its events will not become durable.
    ApplyRefused,
    /// The answer to an [`Output::Read`]: the events from `from` on without gaps; none if the store lacks them.
    ReadDone {
        /// The link of the request.
        link: LinkId,
        /// The origin.
        origin: OriginId,
        /// The requested first sequence number.
        from: Seq,
        /// The encoded events.
        events: Vec<Bytes>,
    },
    /// The link's queue is full, and a frame was dropped. The peer will catch up by pulling.
    SendRefused(LinkId),
    /// Adds a waiter.
    Await(Waiter),
    /// Adds a claim.
    Claim(Claim),
    /// The digests of shards that the last commit changed.
    Digests(Vec<(u8, ScopeDigest)>),
    /// The answer to an [`Output::ReadScopes`].
    ScopesRead {
        /// The link of the request.
        link: LinkId,
        /// The shard.
        shard: u8,
        /// Its scopes and their digests.
        scopes: Vec<(Scope, ScopeDigest)>,
    },
    /// The node's status, given before every [`Input::Tick`].
    LocalStatus {
        /// The wall clock (Unix milliseconds).
        wall_ms: u64,
        /// Whether the writer has been busy with one commit for more than 1 s.
        stalled: bool,
    },
    /// Whether this node lost its store and is still refilling it. The refill ends when
    /// [`super::Replica::peers_see_us_in_sync`] returns `Some(true)`.
    Refilling(bool),
    /// The process did not run for more than 1 s (it was suspended, debugged, or short of memory).
    Resumed,
    /// Adds a waiter for a barrier: before a 'not found', this node must hold everything that the peers in sync hold.
    Barrier(Token),
    /// Time has passed. Due at [`super::Replica::next_tick`].
    Tick,
}

/// A request to the driver.
#[derive(Debug)]
pub enum Output {
    /// Send an encoded [`PeerFrame`](crate::frame::peer::PeerFrame) without blocking. If the queue is full, answer with [`Input::SendRefused`].
    Send(LinkId, Bytes),
    /// Make these events durable, in order. Per origin they directly follow those of earlier outputs.
    Apply(Vec<Event>),
    /// Read the events `from..=to` of an origin, at most a chunk, and answer with [`Input::ReadDone`].
    Read {
        /// The link of the request.
        link: LinkId,
        /// The origin.
        origin: OriginId,
        /// The first sequence number.
        from: Seq,
        /// The last sequence number.
        to: Seq,
    },
    /// A [`Waiter`] is answered.
    Settled {
        /// The waiter.
        token: Token,
        /// The number of nodes with the durable event, including this one.
        copies: usize,
        /// Whether a second `Settled` or [`Output::UpgradeExpired`] will follow.
        may_upgrade: bool,
    },
    /// No [`Output::Settled`] with more copies follows for this waiter.
    UpgradeExpired(Token),
    /// The wait of a [`Claim`] has ended.
    ClaimWaitEnded(Token, ClaimOutcome),
    /// Read the scopes of a shard with their digests, and answer with [`Input::ScopesRead`].
    ReadScopes {
        /// The link of the request.
        link: LinkId,
        /// The shard.
        shard: u8,
    },
    /// A peer's views differ from this node's in some of these scopes: find out which, and log it.
    CompareScopes {
        /// The peer.
        peer: NodeId,
        /// The peer's digests.
        scopes: Vec<(Scope, ScopeDigest)>,
    },
    /// A wait at a barrier has ended. `Some(n)`: this node holds everything that the `n` peers that answered held;
    /// those whose links went down before they answered are not among them. `None`: 250 ms have passed, and this node
    /// may lack something.
    BarrierEnded(Token, Option<usize>),
    /// The peer broke the protocol: close the link, and log and count it.
    Close(LinkId, Breach),
}
