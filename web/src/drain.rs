//! The sign that the node is to stop. `node` gives it; listeners and sessions watch it.

use tokio::sync::watch;

/// Watches for the sign.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<bool>);

impl Drain {
    /// A watcher, and the means to give the sign: set it to `true`.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Whether the node is to stop.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the sign.
    ///
    /// Cancellation safety: the sign is not missed when the future is dropped.
    pub async fn begun(&mut self) {
        // The sender is gone when the node is.
        let _ = self.0.wait_for(|draining| *draining).await;
    }
}
