//! Applies the events of the cluster's own scope: service keys and forgotten nodes.

use starling_protocol::{
    Event, EventBody,
    event::NodeForgotten,
    merge::{forgotten_node, service_key},
};

use super::Tables;
use crate::store::{
    Change, StoreError,
    views::{ForgottenNode, ServiceKey},
};

impl Tables<'_> {
    pub(super) fn apply_cluster(&mut self, event: &Event) -> Result<(), StoreError> {
        match &event.body {
            EventBody::ServiceKeySealed(sealed) => {
                let rule = |state| service_key::apply(state, event.pos(), sealed);
                self.records.merge::<ServiceKey>(&mut self.book, &event.scope, &sealed.key.0, rule)?;
            }
            EventBody::NodeForgotten(NodeForgotten { node }) => {
                let rule = |state| forgotten_node::apply(state, event.pos());
                self.records.merge::<ForgottenNode>(&mut self.book, &event.scope, &node.0, rule)?;
                self.changes.push(Change::NodeForgotten(*node));
            }
            _ => {}
        }
        Ok(())
    }
}
