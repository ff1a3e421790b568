//! Applies the events of the cluster's own scope: service keys, forgotten nodes, its id, the rotation of its secret.

use starling_protocol::{
    Event, EventBody,
    event::{NodeForgotten, SecretSwitched},
    merge::{cluster, forgotten_node, register, service_key},
};

use super::Tables;
use crate::store::{
    Change, StoreError,
    views::{ClusterIdentity, ForgottenNode, SecretReport, SecretSwitch, ServiceKey},
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
            EventBody::ClusterIdDrawn(drawn) => {
                let rule = |state| cluster::apply_id(state, event.pos(), drawn.id);
                self.records.merge::<ClusterIdentity>(&mut self.book, &event.scope, &[], rule)?;
            }
            EventBody::SecretSwitched(SecretSwitched { from, to }) => {
                let rule = |state| register::apply(state, event.pos(), *from);
                self.records.merge::<SecretSwitch>(&mut self.book, &event.scope, &to.0, rule)?;
            }
            EventBody::SecretsReported(reported) => {
                let rule = |state| register::apply(state, event.pos(), reported.clone());
                let node = event.origin.node.0;
                self.records.merge::<SecretReport>(&mut self.book, &event.scope, &node, rule)?;
            }
            _ => {}
        }
        Ok(())
    }
}
