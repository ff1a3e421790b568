//! The outcomes of dialling, as a starting node waits for them.

use std::net::SocketAddr;

/// The outcomes of dialling so far; a starting node reads them before it touches its disk.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    /// Peers to which there is, or was, a link.
    pub admitted: usize,
    /// A node that answers and has a different secret.
    pub wrong_secret: Option<SocketAddr>,
    /// A node that refuses this one because its secret was rotated.
    pub retired_secret: Option<SocketAddr>,
    /// A node that answers and speaks none of this node's wire versions.
    pub no_common_version: Option<NoCommonVersion>,
    /// A node that knows a running process with this node's identity.
    pub node_id_in_use: Option<SocketAddr>,
    /// A node that has forgotten this one.
    pub forgotten_by: Option<SocketAddr>,
    /// Peers that have answered and not decided yet.
    pub deciding: usize,
}

/// A dialled node that speaks none of this node's wire versions.
#[derive(Clone, Debug)]
pub struct NoCommonVersion {
    /// Its address.
    pub peer: SocketAddr,
    /// The names of its versions, as it told them; empty if it could not.
    pub theirs: String,
    /// The names of this node's versions.
    pub ours: String,
}
