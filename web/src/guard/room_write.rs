//! Rate limits on writes into rooms: messages and their bytes, by account, address and room.

use std::net::IpAddr;

use starling_protocol::{RoomId, UserId};

use super::{limits::Quota, rate::Rates};
use crate::service::Refusal;

/// One message, edit or reaction, or an unreadable frame.
#[derive(Clone, Copy, Debug)]
pub struct RoomWrite {
    /// The client's network.
    pub network: IpAddr,
    /// Its author's account, if they have one.
    pub account: Option<UserId>,
    /// The room, if its author is known to be in it, so that strangers can't use up the limit of the room.
    pub room: Option<RoomId>,
    /// The length in bytes.
    pub bytes: usize,
}

impl Rates {
    /// Counts a write, or refuses it.
    pub fn check_room_write(&self, written: &RoomWrite) -> Result<(), Refusal> {
        let &RoomWrite { network, account, room, bytes } = written;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if let Some(account) = account {
            self.check(Quota::MessagesPerAccount, &account)?;
            self.check_many(Quota::BytesPerAccount, &account, bytes)?;
        }
        self.check(Quota::MessagesPerAddress, &network)?;
        self.check_many(Quota::BytesPerAddress, &network, bytes)?;
        // Last: a write that is refused above must not count against the room.
        room.map_or(Ok(()), |room| self.check_room(room, written.bytes))
    }

    /// Counts a write by a member of the room, or refuses it.
    pub fn check_room(&self, room: RoomId, bytes: usize) -> Result<(), Refusal> {
        self.check(Quota::MessagesPerRoom, &room)?;
        self.check_many(Quota::BytesPerRoom, &room, u32::try_from(bytes).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use tokio::time::advance;

    use super::*;

    const OFFICE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Promise: an office behind one address, or the original platform's load test, is not refused: 1,000 sockets opened at
    /// once, then 1,000 messages a second of 128 bytes, and a ping of each socket every few seconds.
    #[tokio::test(start_paused = true)]
    async fn a_thousand_people_behind_one_address_pass_the_defaults() {
        let rates = Rates::default();
        for _ in 0..1_000 {
            for quota in [Quota::NewConnectionsPerAddress, Quota::SocketsPerAddress, Quota::CallsPerAddress] {
                assert_eq!(rates.check(quota, &OFFICE), Ok(()));
            }
        }
        let room = Some(RoomId([1; 10]));
        let written = RoomWrite { network: OFFICE, account: None, room, bytes: 200 };
        for turn in 0..60_000_u32 {
            // One message, and pings of a third of the sockets each second.
            for _ in 0..=u32::from(turn % 3 == 0) {
                assert_eq!(rates.check(Quota::FramesPerAddress, &OFFICE), Ok(()));
            }
            assert_eq!(rates.check_room_write(&written), Ok(()), "message {turn}");
            advance(Duration::from_millis(1)).await;
        }
    }

    /// Promise: one address, with any number of guests, writes a few MB a second at most (including the 1.5 kB that each
    /// message costs on disk), and leaves more than half of the room's limit to others.
    #[tokio::test(start_paused = true)]
    async fn one_address_writes_a_few_megabytes_a_second_at_most() {
        for bytes in [1, 200, 32_000] {
            let rates = Rates::default();
            let room = Some(RoomId([1; 10]));
            let written = RoomWrite { network: OFFICE, account: None, room, bytes };
            let mut on_disk = 0;
            for _ in 0..60_000 {
                for _ in 0..5 {
                    on_disk += rates.check_room_write(&written).map_or(0, |()| bytes + 1_500);
                }
                advance(Duration::from_millis(1)).await;
            }
            assert!(on_disk / 60 < 4_000_000, "{bytes}: {on_disk} in a minute");
            let other = RoomWrite { network: Ipv4Addr::BROADCAST.into(), ..written };
            assert_eq!(rates.check_room_write(&other), Ok(()), "{bytes}: another in that room goes on");
        }
    }
}
