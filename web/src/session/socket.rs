//! The socket under a session: tests run sessions over channels.

use axum::extract::ws::Message;
use futures_util::{Sink, Stream};

/// The socket under a session.
pub trait Socket:
    Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}

impl<T> Socket for T where
    T: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}
