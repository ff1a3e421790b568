//! The members of the cluster.

use serde::{Deserialize, Serialize};

use crate::NodeId;

/// A node is no member of the cluster any more: it has left, or an operator has forgotten it. Its scope is the cluster. It
/// holds for ever: the process of a forgotten node goes on under a new id. Its events stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeForgotten {
    /// The node. The event's origin is its own if it has left.
    pub node: NodeId,
}
