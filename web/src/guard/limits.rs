//! The table of all rate limits with their defaults. Each is a setting in the section `[limits]`; every node counts for
//! itself. Limits on sizes are in `protocol`'s `limits`.

use std::{fmt, str::FromStr, time::Duration};

use serde::Deserialize;

/// A rate limit. Its docs name the key that it counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    /// By the client's network. Calls of `/api/v1` by users who are logged in are refunded once the caller is known,
    /// and count by account.
    CallsPerAddress,
    /// By user id.
    CallsPerAccount,
    /// By the client's network.
    RoomsPerAddress,
    /// By the client's network.
    RegistrationsPerAddress,
    /// By the client's network.
    LoginsPerAddress,
    /// By the client's network and username (case-folded, without a `~` suffix). A right password resets the count
    /// ([`super::Rates::reset`]). By user id where a session must confirm the password.
    LoginsPerAccount,
    /// By username, from all networks. People who have logged in from their network before are exempt, so that strangers
    /// can't lock them out.
    LoginsPerAccountEverywhere,
    /// By guest id, or by session id.
    MessagesPerSession,
    /// By user id, over all sessions and calls.
    MessagesPerAccount,
    /// By the same key as `MessagesPerSession`: frames that any rate limit refused. A socket that exceeds this too is
    /// closed with 4003.
    FloodingPerSession,
    /// By user id.
    SearchesPerAccount,
    /// By user id.
    ContactRequestsPerAccount,
    /// By user id.
    BlocksPerAccount,
    /// By session id.
    SignalsPerSession,
    /// By the client's network: calls of `/api/v1` by all users there who are logged in.
    AccountCallsPerAddress,
    /// By the network of the connection's peer; trusted proxies are exempt.
    NewConnectionsPerAddress,
    /// By the client's network: requests that become a WebSocket.
    SocketsPerAddress,
    /// By WebSocket ([`super::Rates::bucket`]): all frames, including pings and pongs.
    FramesPerSession,
    /// By the client's network: all frames over all its WebSockets.
    FramesPerAddress,
    /// By the client's network: writes into rooms over sockets and calls, including unreadable ones.
    MessagesPerAddress,
    /// As `MessagesPerAddress`, but the bytes of the frames or request bodies.
    BytesPerAddress,
    /// By user id: bytes as in `BytesPerAddress`.
    BytesPerAccount,
    /// By room. Higher than the limit of one address, so that one address can't silence a room.
    MessagesPerRoom,
    /// By room: bytes as in `BytesPerAddress`.
    BytesPerRoom,
}

/// The number of quotas.
pub const QUOTAS: usize = 24;

/// One line of the table.
#[derive(Debug)]
pub struct Limit {
    /// The rate limit.
    pub quota: Quota,
    /// The name of the setting in `[limits]`.
    pub name: &'static str,
    /// The default rate.
    pub default: &'static str,
    /// The name of what is counted, for error messages.
    pub what: &'static str,
}

const fn limit(quota: Quota, name: &'static str, default: &'static str, what: &'static str) -> Limit {
    Limit { quota, name, default, what }
}

/// All limits, in the order of [`Quota`]. `COUNT/WINDOW` allows COUNT at once, and COUNT more over each window.
#[rustfmt::skip]
pub const LIMITS: [Limit; QUOTAS] = [
    // Generous: for a school behind one address, and for all clients of a node that dies.
    limit(Quota::CallsPerAddress, "calls_per_address", "12000/m", "requests from one address"),
    limit(Quota::CallsPerAccount, "calls_per_account", "6000/m", "requests of one account"),
    // Rooms and accounts are kept, so a burst is allowed (a class that signs up together), but only a low rate over time.
    limit(Quota::RoomsPerAddress, "rooms_per_address", "300/h", "quick rooms created from one address"),
    limit(Quota::RegistrationsPerAddress, "registrations_per_address", "300/h", "accounts created from one address"),
    // Each hashes a password, right or wrong. The queue for hashing is bounded as well.
    limit(Quota::LoginsPerAddress, "logins_per_address", "300/h", "logins from one address"),
    // Allows guessing some 3,000 passwords a day from one address, ten times as many from all. Open sessions continue.
    limit(Quota::LoginsPerAccount, "logins_per_account", "20/10m", "failed logins to one account from one address"),
    limit(Quota::LoginsPerAccountEverywhere, "logins_per_account_everywhere", "200/10m", "failed logins to one account"),
    // Far above any human; a program that posts 100 messages a second stays below it too.
    limit(Quota::MessagesPerSession, "messages_per_session", "500/5s", "messages of one session"),
    limit(Quota::MessagesPerAccount, "messages_per_account", "1000/5s", "messages of one account"),
    limit(Quota::FloodingPerSession, "flooding_per_session", "100/10s", "refused messages of one session"),
    // For searching while you type.
    limit(Quota::SearchesPerAccount, "searches_per_account", "120/m", "searches of one account"),
    limit(Quota::ContactRequestsPerAccount, "contact_requests_per_account", "60/h", "contact requests of one account"),
    // You can block any stranger, and each block is stored.
    limit(Quota::BlocksPerAccount, "blocks_per_account", "300/h", "blocks by one account"),
    // Typing (sent to everybody in the room), read positions and pings.
    limit(Quota::SignalsPerSession, "signals_per_session", "100/10s", "typing notices, read positions and pings of one session"),
    // Accounts are cheap: without this limit one address could use the limits of many accounts.
    limit(Quota::AccountCallsPerAddress, "account_calls_per_address", "10000/10s", "requests by logged-in users from one address"),
    // All clients of a node that dies may come at once, so a burst is allowed, but only a low rate over time.
    limit(Quota::NewConnectionsPerAddress, "new_connections_per_address", "12000/m", "connections from one address"),
    limit(Quota::SocketsPerAddress, "sockets_per_address", "12000/m", "WebSockets opened from one address"),
    // Above the limits on messages and signals. A socket that exceeds it is closed with 4003.
    limit(Quota::FramesPerSession, "frames_per_session", "1500/5s", "frames of one WebSocket"),
    limit(Quota::FramesPerAddress, "frames_per_address", "20000/4s", "frames from one address"),
    // For an office, or a load test: 1,000 messages a second over 1,000 sockets. A message costs 1.5 kB on disk besides
    // its text, so one address writes some 3 MB/s at most.
    limit(Quota::MessagesPerAddress, "messages_per_address", "3000/2s", "messages from one address"),
    limit(Quota::BytesPerAddress, "bytes_per_address", "4000000/4s", "bytes of messages from one address"),
    limit(Quota::BytesPerAccount, "bytes_per_account", "2000000/4s", "bytes of messages of one account"),
    limit(Quota::MessagesPerRoom, "messages_per_room", "6000/2s", "messages in one room"),
    limit(Quota::BytesPerRoom, "bytes_per_room", "8000000/4s", "bytes of messages in one room"),
];

impl Quota {
    /// Returns the line of the table.
    pub fn limit(self) -> &'static Limit {
        &LIMITS[self as usize]
    }
}

/// A rate: `count` at once, and `count` more over each window, evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rate {
    /// The count; 0 means no limit.
    pub count: u32,
    /// The window, at least a second.
    pub window: Duration,
}

impl Rate {
    /// No limit.
    pub const OFF: Self = Self { count: 0, window: Duration::from_secs(1) };
    /// The greatest count. Above it the time between two, in whole nanoseconds, would be too inexact.
    const COUNT_MAX: u32 = 100_000_000;
    /// One day: a longer window would have to survive a restart.
    const WINDOW_MAX_S: u64 = 86_400;
}

/// The text is not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateError;

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected COUNT/WINDOW such as 30/m, 500/5s or 300/h (a day and 100000000 at most), or 0 for no limit")
    }
}

impl std::error::Error for RateError {}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        if text == "0" {
            return Ok(Self::OFF);
        }
        let (count, window) = text.split_once('/').ok_or(RateError)?;
        let count =
            count.parse().ok().filter(|count| (1..=Self::COUNT_MAX).contains(count)).ok_or(RateError)?;
        let number = window.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &window[number.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(RateError),
        };
        let units = if number.is_empty() { 1 } else { number.parse::<u64>().map_err(|_| RateError)? };
        let seconds = units.checked_mul(unit).filter(|seconds| (1..=Self::WINDOW_MAX_S).contains(seconds));
        Ok(Self { count, window: Duration::from_secs(seconds.ok_or(RateError)?) })
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_quotas_and_its_defaults_can_be_read() {
        for (at, limit) in LIMITS.iter().enumerate() {
            assert_eq!(limit.quota as usize, at, "{}", limit.name);
            assert!(limit.default.parse::<Rate>().is_ok_and(|rate| rate != Rate::OFF), "{}", limit.name);
            let named: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
                serde::de::IntoDeserializer::into_deserializer(limit.name);
            assert_eq!(Quota::deserialize(named), Ok(limit.quota));
        }
    }

    #[test]
    fn rates_are_counts_over_windows() {
        let rate = |count, seconds| Ok(Rate { count, window: Duration::from_secs(seconds) });
        for (text, read) in [
            ("0", Ok(Rate::OFF)),
            ("30/m", rate(30, 60)),
            ("500/5s", rate(500, 5)),
            ("1/d", rate(1, 86_400)),
            ("100000000/24h", rate(100_000_000, 86_400)),
        ] {
            assert_eq!(text.parse(), read, "{text}");
        }
        for text in [
            "",
            "30",
            "-1/m",
            "0/m",
            "30/",
            "30/0s",
            "30/M",
            "30/m5",
            "30/ m",
            "100000001/s",
            "1/25h",
            "1/ü",
            "1/2d",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(RateError), "{text}");
        }
    }
}
