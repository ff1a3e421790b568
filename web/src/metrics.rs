//! What `web` counts. `node` registers these beside its own figures and serves them under `/metrics`.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use crate::guard::rate::RefusedByLimit;

/// Figures of the sessions of this node.
#[derive(Clone, Debug, Default)]
pub struct WebMetrics {
    /// WebSockets that are open.
    pub sessions: Gauge,
    /// Frames from lanes written to sessions.
    pub deliveries: Counter,
    /// Posts received from sessions.
    pub posts: Counter,
    /// Frames from clients that were refused.
    pub refused_frames: Counter,
    /// Times that a session fell behind its lane and went on from the store.
    pub catch_ups: Counter,
    /// Sessions that were closed because they could not keep up even so.
    pub lagged_sessions: Counter,
    /// Resumes that were answered by `resync`.
    pub resyncs: Counter,
    /// Requests and messages beyond a limit, by its name.
    pub rate_limited: RefusedByLimit,
    /// HTTP connections that are open, WebSockets included.
    pub connections: Gauge,
    /// Connections beyond a limit, which were closed or asked for health only.
    pub refused_connections: Counter,
}

impl WebMetrics {
    /// Adds the figures to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("sessions", "WebSockets that are open", self.sessions.clone());
        registry.register("deliveries", "Frames from lanes written to sessions", self.deliveries.clone());
        registry.register("posts", "Posts received from sessions", self.posts.clone());
        registry.register("refused_frames", "Frames from clients refused", self.refused_frames.clone());
        registry.register(
            "catch_ups",
            "Times that a session fell behind and went on from the store",
            self.catch_ups.clone(),
        );
        registry.register(
            "lagged_sessions",
            "Sessions closed because they could not keep up even so",
            self.lagged_sessions.clone(),
        );
        registry.register("resyncs", "Resumes answered by resync", self.resyncs.clone());
        registry.register("rate_limited", "Requests and messages beyond a limit", self.rate_limited.clone());
        registry.register(
            "refused_connections",
            "Connections beyond a limit, closed or asked for health only",
            self.refused_connections.clone(),
        );
        registry.register("connections", "HTTP connections that are open", self.connections.clone());
    }
}
