//! Forgets another node, at an operator's command.

use std::time::Duration;

use starling_protocol::NodeId;
use thiserror::Error;

use super::MembershipService;
use crate::{cluster::Heard, texts};

/// Why a node is not forgotten. Each text is one line and says what to do.
#[derive(Debug, Error)]
pub enum ForgetRefused {
    /// This node has no cluster.
    #[error("this node belongs to no cluster: there is no other node to forget")]
    NoCluster,
    /// It is this node.
    #[error("{0} is this node: to remove it from the cluster, run 'starling leave'")]
    Own(NodeId),
    /// This node is leaving, or was forgotten: nobody would hear of it.
    #[error("this node is leaving the cluster: forget {0} on one that stays")]
    Leaving(NodeId),
    /// No such member is known.
    #[error("there is no member {0}: 'starling status' lists the members of the cluster")]
    Unknown(NodeId),
    /// It was heard lately.
    #[error(
        "{node} {heard}: run 'starling leave' on it, or stop it and try again in {wait}. With --force it is forgotten \
         at once: it then joins again under a new id, with its data",
        heard = heard_text(*heard), wait = texts::span(*wait)
    )]
    Heard {
        /// The node.
        node: NodeId,
        /// When it was heard.
        heard: Heard,
        /// The time until it may be forgotten.
        wait: Duration,
    },
    /// The event was not written.
    #[error("nothing was changed: {0}")]
    NotWritten(String),
}

fn heard_text(heard: Heard) -> String {
    match heard {
        Heard::Now => "is running: this node or one of its peers hears it".to_owned(),
        Heard::Before(ago) => format!("was heard {} ago", texts::span(ago)),
        Heard::NotSinceStart(ago) => {
            format!("may have been heard lately: this node has only run for {}", texts::span(ago))
        }
    }
}

impl MembershipService {
    /// Forgets a member: it is listed and dialled no more. Nothing that it wrote is lost: what others lack comes with it,
    /// if it ever joins again under a new id. Returns whether it was a member until now.
    ///
    /// # Errors
    ///
    /// If this node leaves, if that one is no member, or if it was heard in the last 10 minutes by this node or a peer of it, unless `force`.
    pub async fn forget(&self, node: NodeId, force: bool) -> Result<bool, ForgetRefused> {
        let links = self.links.as_ref().ok_or(ForgetRefused::NoCluster)?;
        if node == links.me() {
            return Err(ForgetRefused::Own(node));
        }
        // A node that its peers refuse could not hand over what it writes.
        if self.leaving().is_some() || links.is_forgotten() {
            return Err(ForgetRefused::Leaving(node));
        }
        if links.has_forgotten(node) {
            return Ok(false);
        }
        if !links.known().iter().any(|member| member.node == node) {
            return Err(ForgetRefused::Unknown(node));
        }
        let heard = links.heard(node);
        if let Some(wait) = heard.must_wait().filter(|_| !force) {
            return Err(ForgetRefused::Heard { node, heard, wait });
        }
        let written = self.write_forgotten(node).await;
        written.map_err(|refusal| ForgetRefused::NotWritten(refusal.detail.to_string()))?;
        Ok(true)
    }
}
