//! The services that sessions use.

use std::sync::Arc;

use axum::extract::FromRef;

use super::group::{GroupDeps, ReaderGroups};
use crate::{
    drain::Drain,
    guard::Guard,
    lane::Lanes,
    metrics::WebMetrics,
    service::{Authentication, Cursors, LiveEvents, Messages, Operations, Posting, Presence, QuickRooms},
    state::{AppState, WebSettings},
};

/// The services that sessions use.
#[derive(Clone)]
pub struct SessionDeps {
    pub authentication: Arc<dyn Authentication>,
    pub quick_rooms: Arc<dyn QuickRooms>,
    pub messages: Arc<dyn Messages>,
    pub posting: Arc<dyn Posting>,
    pub cursors: Arc<dyn Cursors>,
    pub presence: Arc<dyn Presence>,
    pub live: Arc<dyn LiveEvents>,
    pub operations: Arc<dyn Operations>,
    pub lanes: Arc<Lanes>,
    pub groups: Arc<ReaderGroups>,
    pub guard: Arc<Guard>,
    pub metrics: Arc<WebMetrics>,
    pub settings: Arc<WebSettings>,
    pub drain: Drain,
}

impl SessionDeps {
    /// Returns what groups use.
    pub fn for_group(&self) -> GroupDeps {
        let Self { lanes, cursors, metrics, .. } = self;
        GroupDeps { lanes: Arc::clone(lanes), cursors: Arc::clone(cursors), metrics: Arc::clone(metrics) }
    }
}

impl FromRef<AppState> for SessionDeps {
    fn from_ref(state: &AppState) -> Self {
        Self {
            authentication: Arc::clone(&state.authentication),
            quick_rooms: Arc::clone(&state.quick_rooms),
            messages: Arc::clone(&state.messages),
            posting: Arc::clone(&state.posting),
            cursors: Arc::clone(&state.cursors),
            presence: Arc::clone(&state.presence),
            live: Arc::clone(&state.live),
            operations: Arc::clone(&state.operations),
            lanes: Arc::clone(&state.lanes),
            groups: Arc::clone(&state.groups),
            guard: Arc::clone(&state.guard),
            metrics: Arc::clone(&state.metrics),
            settings: Arc::clone(&state.settings),
            drain: state.drain.clone(),
        }
    }
}
