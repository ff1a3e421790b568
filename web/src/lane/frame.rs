//! A frame of a lane.

use bytes::Bytes;
use starling_protocol::{Hlc, UserId};

use super::wire;

/// A frame for every session that follows a lane.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The number of its commit; [`Frame::EPHEMERAL`] if it was never logged.
    pub commit: u64,
    /// The stamp of the message, or of the change to a message.
    pub hlc: Hlc,
    /// The text frame with its JSON, shared, as it goes over the wire. Empty for [`Frame::invalidate`].
    pub wire: Bytes,
    /// The user who acted: sessions of users who blocked them leave the frame out.
    pub from: Option<UserId>,
}

impl Frame {
    /// The commit number of frames outside of the log (typing, presence): no replay brings them back.
    pub const EPHEMERAL: u64 = u64::MAX;

    /// A frame that every session in its lane sends.
    pub fn new(commit: u64, hlc: Hlc, text: impl AsRef<str>) -> Self {
        Self { commit, hlc, wire: wire::text(text.as_ref()), from: None }
    }

    /// Returns the JSON text, in UTF-8.
    pub fn payload(&self) -> &[u8] {
        wire::payload(&self.wire)
    }

    /// A frame that isn't sent, but makes each session read again what it knows about the lane's user or room. In the lane of
    /// a user: the account and its session, the user's rooms, blocks and profile. In the lane of a room: the room, which
    /// differs for each member (`room` frames).
    pub fn invalidate(commit: u64) -> Self {
        Self { commit, hlc: Hlc::default(), wire: Bytes::new(), from: None }
    }

    /// Returns whether the frame was never logged.
    pub fn is_ephemeral(&self) -> bool {
        self.commit == Self::EPHEMERAL
    }

    /// Returns whether this is a frame of [`Frame::invalidate`].
    pub fn is_invalidation(&self) -> bool {
        self.wire.is_empty()
    }
}
