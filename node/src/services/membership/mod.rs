//! The membership of nodes in the cluster: this node leaves, or forgets another one. Either is an event, and ends membership,
//! never data.

mod forget;
mod leave;

use std::{
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
};

use starling_protocol::{NodeId, Scope, event::NodeForgotten};
use starling_web::service::Refusal;

pub use self::{
    forget::ForgetRefused,
    leave::{LeavePermit, LeaveRefused, Left, OtherMembers},
};
use super::ServiceContext;
use crate::{
    cluster::Links,
    store::{Decision, StoreError, Tables},
};

/// The membership of a node in its cluster.
pub struct MembershipService {
    context: ServiceContext,
    /// The links to other nodes; `None` for a node without a cluster.
    links: Option<Arc<Links>>,
    /// The number of nodes that must remain when this one leaves: those on which a message should be durable.
    copies: usize,
    /// The reason why a leave waits, while one is under way.
    leaving: Mutex<Option<String>>,
}

impl MembershipService {
    /// Makes the service of a node; `copies` is the setting `durability.copies`.
    pub fn new(context: ServiceContext, links: Option<Arc<Links>>, copies: usize) -> Self {
        Self { context, links, copies, leaving: Mutex::default() }
    }

    /// The number of nodes on which a message should be durable.
    pub fn copies(&self) -> usize {
        self.copies
    }

    /// The reason why this node waits before it leaves the cluster; `None` if it does not leave.
    pub fn leaving(&self) -> Option<String> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_leaving(&self, missing: Option<&str>) {
        *self.leaving.lock().unwrap_or_else(PoisonError::into_inner) = missing.map(str::to_owned);
    }

    /// Writes that a node is no member any more, and waits until every peer in sync knows, for 250 ms at most.
    async fn write_forgotten(&self, node: NodeId) -> Result<(), Refusal> {
        let decide = move |tables: &Tables<'_>| decide_forgotten(tables, node);
        self.context.commit_and_replicate_from_reserve(decide).await.map(|_| ())
    }
}

/// Ends a node's membership for ever, unless it is over already.
///
/// # Errors
///
/// If the store cannot be read.
pub fn decide_forgotten(tables: &Tables<'_>, node: NodeId) -> Result<Decision, StoreError> {
    let is_known = tables.records.forgotten_nodes()?.contains(&node);
    let event = || Decision::one(Scope::cluster(), NodeForgotten { node });
    Ok(if is_known { Decision::Nothing } else { event() })
}

/// Joins names for an error or a line of progress.
fn list(names: impl IntoIterator<Item = impl Display>) -> String {
    names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}
