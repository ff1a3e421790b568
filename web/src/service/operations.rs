//! Health and metrics of the node.

/// The state of the node, for operators.
pub trait Operations: Send + Sync + 'static {
    /// Returns the reasons why the node should get no traffic now; empty if it is ready.
    fn not_ready(&self) -> Vec<String>;

    /// Returns the problems that do not keep the node from serving.
    fn problems(&self) -> Vec<String>;

    /// Returns all metrics in the text format of `OpenMetrics`.
    fn metrics(&self) -> String;

    /// Returns the public URLs of this node and its linked peers, as far as they are configured.
    fn public_urls(&self) -> Vec<String>;
}
