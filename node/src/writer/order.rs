//! What follows a commit, without IO: what replication is told and in which order, and how long an ack waits. The writer
//! runs it, and so does the simulator.

use std::time::Duration;

use starling_protocol::{
    OriginId, Pos, ScopeDigest,
    replica::{Input, Millis, Until},
};

use crate::{cluster::WaitFor, config::DurabilityConfig, store::OwnEvents};

/// For how long after an ack of too few copies a better one may follow.
const RAISE_MS: Millis = 10_000;
/// A commit that takes longer is a stall: peers no longer wait for this node.
pub const STALL: Duration = Duration::from_secs(1);

/// Returns what a commit changed, as replication is to be told in this order; nothing if it wrote no event.
pub fn replication_inputs(
    own: Option<OwnEvents>,
    received: Vec<(OriginId, u64)>,
    digests: Vec<(u8, ScopeDigest)>,
) -> Vec<Input> {
    let mut inputs = Vec::new();
    inputs.extend(own.map(|own| Input::Committed {
        origin: own.origin,
        first: own.first,
        events: own.events,
    }));
    if !received.is_empty() {
        inputs.push(Input::Applied(received));
    }
    if !inputs.is_empty() {
        // Last: a peer that hears of new digests has been sent the events.
        inputs.push(Input::Digests(digests));
    }
    inputs
}

/// Returns what the ack of a post waits for.
pub fn ack_wait(pos: Pos, durability: DurabilityConfig) -> WaitFor {
    WaitFor {
        origin: pos.origin,
        seq: pos.seq,
        until: Until::Copies(durability.copies),
        wait_ms: durability.wait_ms,
        raise_ms: RAISE_MS,
    }
}
