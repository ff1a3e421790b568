//! Requests that are served even when nothing else is.

/// Health checks and metrics, which are served even when nothing else is.
pub const HEALTH: [&str; 4] = ["/healthz", "/livez", "/metrics", "/readyz"];

/// Returns whether a path is served even over connections beyond the limits. Must match the router exactly: with a slash
/// at its end it is another path, which does not exist.
pub fn is_health(path: &str) -> bool {
    HEALTH.contains(&path)
}
