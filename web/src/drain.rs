//! Whether this node serves users. `node` decides it; listeners and sessions watch it and send users elsewhere.

use starling_protocol::{ErrorCode, texts};
use tokio::sync::watch;

use crate::service::Refusal;

/// Whether this node serves users, and if not, the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serving {
    /// Users are served.
    #[default]
    Yes,
    /// Users are not served until there is space on the disk. The rest of the disk is reserved for events from other nodes.
    DiskFull,
    /// The process is about to end.
    Stopping,
}

impl Serving {
    /// Returns the error for new users, unless they are served.
    pub fn refusal(self) -> Option<Refusal> {
        let (code, detail) = match self {
            Self::Yes => return None,
            Self::DiskFull => (ErrorCode::StorageFull, texts::node::DISK_FULL),
            Self::Stopping => (ErrorCode::Draining, texts::node::STOPPING),
        };
        Some(Refusal::new(code, detail))
    }

    /// Returns the reason in the close frame of a session.
    pub fn close_reason(self) -> &'static str {
        match self {
            Self::Yes | Self::Stopping => texts::close::STOPPING,
            Self::DiskFull => texts::close::DISK_FULL,
        }
    }
}

/// Watches whether this node serves users.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<Serving>);

impl Drain {
    /// Returns a watcher, and the sender that it watches.
    pub fn new() -> (watch::Sender<Serving>, Self) {
        let (sender, receiver) = watch::channel(Serving::Yes);
        (sender, Self(receiver))
    }

    /// Returns whether users are served now, or why not.
    pub fn serving(&self) -> Serving {
        *self.0.borrow()
    }

    /// Waits until the process has to end.
    ///
    /// Cancellation safety: nothing is lost when the future is dropped.
    pub async fn stopping(&mut self) {
        // Fails when the sender is dropped, which happens when the node ends.
        let _ = self.0.wait_for(|serving| *serving == Serving::Stopping).await;
    }

    /// Waits until users have to go elsewhere, for any reason.
    ///
    /// Cancellation safety: nothing is lost when the future is dropped.
    pub async fn begun(&mut self) {
        let _ = self.0.wait_for(|serving| *serving != Serving::Yes).await;
    }
}
