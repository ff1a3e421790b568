//! What the state machine is told and what it asks for. Whoever drives it handles every [`Output`].

use bytes::Bytes;

use crate::{Event, NodeId, OriginId, Scope, ScopeDigest, event::EventError, frame::peer::ReplicaFrame};

/// Monotonic milliseconds since some start.
pub type Millis = u64;
/// Names one link; never used for another.
pub type LinkId = u64;
/// Names one waiter; chosen by whoever waits, never used twice.
pub type Token = u64;

/// For what a waiter waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// So many nodes hold the event, this one counted.
    Copies(usize),
    /// Every peer in sync holds it.
    InSync,
}

/// Somebody who waits until a durable event of this node is durable elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Waiter {
    /// Who.
    pub token: Token,
    /// The event's origin.
    pub origin: OriginId,
    /// The event's sequence number.
    pub seq: u64,
    /// For what he waits.
    pub until: Until,
    /// How long at most.
    pub wait_ms: Millis,
    /// For how long after an answer of too few copies he is told once more when they are reached; 0 for not at all.
    pub raise_ms: Millis,
}

/// A durable claim of this node on a name, on which its peers are to be heard before anybody is told that it holds.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who waits.
    pub token: Token,
    /// The event's origin: this process's.
    pub origin: OriginId,
    /// The event's sequence number.
    pub seq: u64,
    /// When it began, before the commit: from then on this node must not have stalled.
    pub since: Millis,
    /// How long to wait at most.
    pub wait_ms: Millis,
    /// The nodes to wait for: [`super::Replica::claim_peers`] before the commit, as the event names them.
    pub waited_for: Vec<NodeId>,
}

/// How the wait for a [`Claim`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// These of the nodes to wait for hold the claim, and all that each held as it said so is durable and applied here:
    /// any claim that they knew of is known, and none of them accepts another one. The others fell out of sync.
    Held(Vec<NodeId>),
    /// Some node that is in sync both ways did not confirm it in time, or what that node held did not come.
    NotConfirmed,
    /// This node stalled meanwhile, or just before: peers may have decided without it.
    Stalled,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// A link to a peer is up; an earlier one to the same peer is over.
    LinkUp {
        /// The link.
        link: LinkId,
        /// Who is at its other end.
        peer: NodeId,
    },
    /// A link is over.
    LinkDown(LinkId),
    /// A frame came in.
    Frame(LinkId, ReplicaFrame),
    /// This node made its own fresh events durable.
    Committed {
        /// The origin of this process.
        origin: OriginId,
        /// Sequence number of the first.
        first: u64,
        /// The events, encoded.
        events: Vec<Bytes>,
    },
    /// This node made events of others durable: origins with their new heads.
    Applied(Vec<(OriginId, u64)>),
    /// The store's queue would not take an [`Output::Apply`]: what it held is not on its way.
    ApplyRefused,
    /// The answer to an [`Output::Read`]: events from `from` on without gaps; none if they are not there.
    ReadDone {
        /// For whom.
        link: LinkId,
        /// Whose events.
        origin: OriginId,
        /// The first that was asked for.
        from: u64,
        /// The events, encoded.
        events: Vec<Bytes>,
    },
    /// The link's queue is full: a frame was not sent. The peer will catch up by pulling.
    SendRefused(LinkId),
    /// Somebody waits.
    Await(Waiter),
    /// Somebody claims a name.
    Claim(Claim),
    /// Digests of this node's parts, as the last commit left them.
    Digests(Vec<(u8, ScopeDigest)>),
    /// The answer to an [`Output::ReadScopes`].
    ScopesRead {
        /// For whom.
        link: LinkId,
        /// Which part.
        part: u8,
        /// Its scopes and their digests.
        scopes: Vec<(Scope, ScopeDigest)>,
    },
    /// What the node knows of itself; to be told before every [`Input::Tick`].
    LocalStatus {
        /// Its wall clock: Unix milliseconds.
        wall_ms: u64,
        /// Whether its writer has been busy with one commit for more than 1 s.
        stalled: bool,
    },
    /// Whether this node lost its store and has not got all of it back. The store is refilled once
    /// [`super::Replica::called_in_sync`] says so.
    Refilling(bool),
    /// The process has not run for more than 1 s (a pause, a debugger, a machine out of memory).
    Resumed,
    /// Somebody wants to say 'no': first learn what the peers in sync have.
    Barrier(Token),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Send an encoded [`PeerFrame`](crate::frame::peer::PeerFrame), without waiting; answer [`Input::SendRefused`] if that cannot be.
    Send(LinkId, Bytes),
    /// Make these events durable: in order per origin, following what was handed out before.
    Apply(Vec<Event>),
    /// Read `from..=to` of an origin, a chunk's worth at most, and answer with [`Input::ReadDone`].
    Read {
        /// For whom.
        link: LinkId,
        /// Whose events.
        origin: OriginId,
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The wait is over; on so many nodes the event is durable, this one counted.
    Settled {
        /// Who waited.
        token: Token,
        /// The truth.
        copies: usize,
        /// There may be one more answer, or [`Output::UpgradeExpired`].
        more: bool,
    },
    /// The hope for a better answer is over.
    UpgradeExpired(Token),
    /// What came of a claim.
    Claimed(Token, ClaimOutcome),
    /// Read the scopes of a part and their digests, and answer with [`Input::ScopesRead`].
    ReadScopes {
        /// For whom.
        link: LinkId,
        /// Which.
        part: u8,
    },
    /// A peer shows something else than this node somewhere among these: find out where, and say so.
    CompareScopes {
        /// Who.
        peer: NodeId,
        /// What it shows.
        scopes: Vec<(Scope, ScopeDigest)>,
    },
    /// The barrier is passed: this node holds what its peers in sync had, and so many have answered; or 250 ms are over
    /// and nobody knows.
    BarrierPassed(Token, Option<usize>),
    /// The peer breaks the protocol: close the link, count and log it.
    Close(LinkId, EventError),
}
