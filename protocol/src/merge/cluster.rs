//! The cluster's id: of several that were drawn, the earliest counts. (Its secrets are registers: the last write wins.)

use serde::{Deserialize, Serialize};

use crate::{Pos, event::ClusterId};

/// The state of the cluster's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterIdState {
    /// The position of the event that drew it.
    pub pos: Pos,
    /// The id.
    pub id: ClusterId,
}

/// Applies an id that was drawn at `pos`.
pub fn apply_id(state: Option<ClusterIdState>, pos: Pos, id: ClusterId) -> ClusterIdState {
    match state {
        Some(state) if state.pos <= pos => state,
        _ => ClusterIdState { pos, id },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Hlc, NodeId, OriginId, Seq};

    proptest! {
        /// Promise: all nodes name their cluster alike, even if several drew an id at once, and for ever.
        #[test]
        fn the_earliest_id_counts_in_any_order(
            order in Just((0..4).chain(0..4).collect::<Vec<u8>>()).prop_shuffle(),
        ) {
            let at = |n: u8| Pos {
                hlc: Hlc(u64::from(n) << 16),
                origin: OriginId { node: NodeId([n; 16]), incarnation: 1 },
                seq: Seq(1),
            };
            let state = order
                .iter()
                .fold(None, |state, &n| Some(apply_id(state, at(n), ClusterId([n; 16]))))
                .unwrap();
            prop_assert_eq!(state, ClusterIdState { pos: at(0), id: ClusterId([0; 16]) });
        }
    }
}
