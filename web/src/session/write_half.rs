//! The half of a socket that is written to.

use std::{
    fmt,
    io::{self, IoSlice},
    task::{Context, Poll},
};

/// The half of a socket that is written to: by its session, or by the group to which the session has lent it.
pub trait WriteHalf: fmt::Debug + Send + Sync + 'static {
    /// Writes as many bytes of the slices as there is room for, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room, or the error of the connection.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Waits until there is room. Only the session may wait: one waker is kept.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}
