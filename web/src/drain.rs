//! Whether users are served here. `node` decides; listeners and sessions watch it and send their users elsewhere.

use starling_protocol::ErrorCode;
use tokio::sync::watch;

use crate::service::Refusal;

/// Whether users are served here, and if not, why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serving {
    /// They are.
    #[default]
    Yes,
    /// Not until there is room on the disk again: there is hardly enough for what other nodes send.
    DiskFull,
    /// Never again: the process ends.
    Stopping,
}

impl Serving {
    /// What a user who comes now is told.
    pub fn refusal(self) -> Option<Refusal> {
        let (code, detail) = match self {
            Self::Yes => return None,
            Self::DiskFull => {
                (ErrorCode::StorageFull, "the disk of this node is full; use another, or come back later")
            }
            Self::Stopping => (ErrorCode::Draining, "this node is stopping; use another node"),
        };
        Some(Refusal::new(code, detail))
    }

    /// Why a session is sent elsewhere.
    pub fn goodbye(self) -> &'static str {
        match self {
            Self::Yes | Self::Stopping => "this node is stopping, resume elsewhere",
            Self::DiskFull => "the disk of this node is full, resume elsewhere",
        }
    }
}

/// Watches whether users are served here.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<Serving>);

impl Drain {
    /// A watcher, and the means to tell it.
    pub fn new() -> (watch::Sender<Serving>, Self) {
        let (sender, receiver) = watch::channel(Serving::Yes);
        (sender, Self(receiver))
    }

    /// Whether users are served now.
    pub fn serving(&self) -> Serving {
        *self.0.borrow()
    }

    /// Waits until the process is to end.
    ///
    /// Cancellation safety: the sign is not missed when the future is dropped.
    pub async fn stopping(&mut self) {
        // The sender is gone when the node is.
        let _ = self.0.wait_for(|serving| *serving == Serving::Stopping).await;
    }

    /// Waits until users are to go elsewhere, for whatever reason.
    ///
    /// Cancellation safety: the sign is not missed when the future is dropped.
    pub async fn begun(&mut self) {
        let _ = self.0.wait_for(|serving| *serving != Serving::Yes).await;
    }
}
