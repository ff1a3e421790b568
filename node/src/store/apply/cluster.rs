//! Applies the events of the cluster's own scope: service keys and forgotten nodes.

use bytes::Bytes;
use redb::ReadableTable;
use starling_protocol::{
    Event, EventBody, Scope,
    event::NodeForgotten,
    merge::{forgotten_node, service_key},
};

use super::Tables;
use crate::store::{
    Change, StoreError, tables,
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

    /// Applies the events that forget nodes and that an earlier version kept without knowing their kind. There are few in
    /// the cluster's own scope, and they change no other view.
    pub fn apply_unknown_node_forgotten(&mut self) -> Result<(), StoreError> {
        let prefix = tables::scope_beginning(&Scope::cluster());
        let mut places = Vec::new();
        for row in self.scopes.range::<&[u8]>(&prefix[..]..)? {
            let (key, _) = row?;
            if !key.value().starts_with(&prefix) {
                break;
            }
            places.extend(tables::parse_scope_key(key.value()));
        }
        for (origin, seq) in places {
            let encoded = self.log.get(&tables::log_key(origin, seq))?;
            let Some(encoded) = encoded.map(|event| Bytes::copy_from_slice(event.value())) else { continue };
            let event = Event::decode(encoded)?;
            if matches!(event.body, EventBody::NodeForgotten(_)) {
                // Its row in `scopes` is there already, but not in the digest.
                self.apply(&event)?;
            }
        }
        Ok(())
    }
}
