//! The order of what follows a commit, without IO: the inputs of replication, and the wait for an ack. The writer and the
//! simulator both use it.

use std::{sync::Arc, time::Duration};

use starling_protocol::{
    Fold, OriginId, Pos, ScopeDigest, Seq,
    replica::{Input, Until},
};

use super::listener::CopiesWait;
use crate::{config::DurabilityConfig, store::OwnEvents};

/// Milliseconds after an ack that reported too few copies in which a better one is sent.
const UPGRADE_MS: u64 = 10_000;
/// A longer commit is a stall: peers no longer wait for this node.
pub const STALL: Duration = Duration::from_secs(1);

/// Returns the inputs of replication after a commit, in order; none if it wrote no event.
pub fn replication_inputs(
    own: Option<OwnEvents>,
    received: Vec<(OriginId, Seq)>,
    folded: Option<Arc<Fold>>,
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
    inputs.extend(folded.map(Input::Folded));
    if !inputs.is_empty() {
        // Last: a peer receives events before the digests that count them.
        inputs.push(Input::Digests(digests));
    }
    inputs
}

/// Returns the wait before the ack of a post.
pub fn ack_wait(pos: Pos, durability: DurabilityConfig) -> CopiesWait {
    CopiesWait {
        origin: pos.origin,
        seq: pos.seq,
        until: Until::Copies(durability.copies),
        wait_ms: durability.wait_ms,
        upgrade_ms: UPGRADE_MS,
    }
}
