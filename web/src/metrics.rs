//! The metrics of `web`. `node` registers them beside its own and serves all under `/metrics`.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use crate::guard::rate::RefusedByLimit;

/// Metrics of this node's sessions, requests and connections.
#[derive(Clone, Debug, Default)]
pub struct WebMetrics {
    /// The number of open WebSockets.
    pub sessions: Gauge,
    /// Frames from lanes written to sessions.
    pub deliveries: Counter,
    /// Posts received over WebSockets and the HTTP API.
    pub posts: Counter,
    /// Refused frames from clients.
    pub refused_frames: Counter,
    /// Times that a session lagged behind its lane and continued from the store.
    pub catch_ups: Counter,
    /// Sessions that were closed because they could not keep up even with the store.
    pub lagged_sessions: Counter,
    /// Resumes that were answered with `resync`.
    pub resyncs: Counter,
    /// Requests and messages beyond a limit, by its name.
    pub rate_limited: RefusedByLimit,
    /// Open HTTP connections, including WebSockets.
    pub connections: Gauge,
    /// Connections beyond a limit: closed, or limited to health checks.
    pub refused_connections: Counter,
}

impl WebMetrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("sessions", "Open WebSockets", self.sessions.clone());
        registry.register("deliveries", "Frames from lanes written to sessions", self.deliveries.clone());
        registry.register("posts", "Posts received over WebSockets and the HTTP API", self.posts.clone());
        registry.register("refused_frames", "Refused frames from clients", self.refused_frames.clone());
        registry.register(
            "catch_ups",
            "Times that a session lagged behind its lane and continued from the store",
            self.catch_ups.clone(),
        );
        registry.register(
            "lagged_sessions",
            "Sessions that were closed because they could not keep up even with the store",
            self.lagged_sessions.clone(),
        );
        registry.register("resyncs", "Resumes that were answered with resync", self.resyncs.clone());
        registry.register("rate_limited", "Requests and messages beyond a limit", self.rate_limited.clone());
        registry.register(
            "refused_connections",
            "Connections beyond a limit: closed, or limited to health checks",
            self.refused_connections.clone(),
        );
        registry.register(
            "connections",
            "Open HTTP connections, including WebSockets",
            self.connections.clone(),
        );
    }
}
