//! What is written into rooms, as the limits count it: messages and their bytes, by account, address and room.

use std::net::IpAddr;

use starling_protocol::{RoomId, UserId};

use super::{limits::Quota, rate::Rates};
use crate::service::Refusal;

/// One message, edit or reaction, or a frame that cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// The client's network.
    pub network: IpAddr,
    /// Its author's account, if they have one.
    pub account: Option<UserId>,
    /// The room, if its author is known to be in it: strangers do not use up what a room may take.
    pub room: Option<RoomId>,
    /// How long it is.
    pub bytes: usize,
}

impl Rates {
    /// Counts something that is written, or refuses it.
    pub fn check_written(&self, written: &Written) -> Result<(), Refusal> {
        let &Written { network, account, room, bytes } = written;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if let Some(account) = account {
            self.check(Quota::MessagesPerAccount, &account)?;
            self.check_many(Quota::BytesPerAccount, &account, bytes)?;
        }
        self.check(Quota::MessagesPerAddress, &network)?;
        self.check_many(Quota::BytesPerAddress, &network, bytes)?;
        // Last: what an address may not write does not use up its room.
        if let Some(room) = room {
            self.check(Quota::MessagesPerRoom, &room)?;
            self.check_many(Quota::BytesPerRoom, &room, bytes)?;
        }
        Ok(())
    }
}
