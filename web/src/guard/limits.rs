//! How often anybody may do anything: the one table of all rates, with their defaults. Each is a setting of the section
//! `[limits]`, counted by every node for itself. Sizes are in `protocol`'s `limits`.

use std::{fmt, str::FromStr, time::Duration};

use serde::Deserialize;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    /// By the client's network. Not what of `/api/v1` somebody with an account asks: that counts under his account.
    CallsPerAddress,
    /// By user id.
    CallsPerAccount,
    /// By the client's network.
    RoomsPerAddress,
    /// By the client's network.
    RegistrationsPerAddress,
    /// By the client's network.
    LoginsPerAddress,
    /// By the client's network and user name, folded and without what follows a `~`; a right password forgives what was
    /// wrong before it ([`super::Rates::forgive`]). By user id where a session is asked for the password again.
    LoginsPerAccount,
    /// By user name, likewise, from wherever. Those pass who logged in from there before: strangers do not lock them out.
    LoginsPerAccountEverywhere,
    /// By guest id, or by the id of an account's session.
    MessagesPerSession,
    /// By user id, over all sessions and calls.
    MessagesPerAccount,
    /// As messages per session; a socket that goes beyond this as well is closed with 4003.
    FloodingPerSession,
    /// By user id.
    SearchesPerAccount,
    /// By user id.
    ContactRequestsPerAccount,
    /// By user id.
    BlocksPerAccount,
    /// By the id of an account's session.
    SignalsPerSession,
    /// By the client's network: what of `/api/v1` people with an account ask, all accounts together.
    AccountCallsPerAddress,
    /// By the network of the connection's peer; trusted proxies are not counted.
    NewConnectionsPerAddress,
    /// By the client's network: requests that become a WebSocket.
    SocketsPerAddress,
    /// By WebSocket: frames of any kind, pings and pongs too ([`super::Rates::bucket`]).
    FramesPerSession,
    /// By the client's network: frames of any kind over all its WebSockets.
    FramesPerAddress,
    /// By the client's network: whatever is written into rooms over sockets and calls, also what cannot be read.
    MessagesPerAddress,
    /// As messages per address: the bytes of the frames, or of the bodies that calls bring.
    BytesPerAddress,
    /// By user id: bytes as per address.
    BytesPerAccount,
    /// By room. Above what one address may write: whoever fills theirs does not silence a room.
    MessagesPerRoom,
    /// By room: bytes as per address.
    BytesPerRoom,
}

/// How many quotas there are.
pub const QUOTAS: usize = 24;

/// One line of the table.
#[derive(Debug)]
pub struct Limit {
    /// What is counted.
    pub quota: Quota,
    /// The setting in `[limits]`.
    pub name: &'static str,
    /// How often, unless told otherwise.
    pub default: &'static str,
    /// What it is, for the person who configures it or meets it.
    pub what: &'static str,
}

const fn limit(quota: Quota, name: &'static str, default: &'static str, what: &'static str) -> Limit {
    Limit { quota, name, default, what }
}

/// All limits, in the order of [`Quota`]. `COUNT/WINDOW`: so many at once, and as many again over each window.
#[rustfmt::skip]
pub const LIMITS: [Limit; QUOTAS] = [
    // Generous: a school behind one address, and a node's clients that all come here when it dies.
    limit(Quota::CallsPerAddress, "calls_per_address", "12000/m", "requests from one address"),
    limit(Quota::CallsPerAccount, "calls_per_account", "6000/m", "requests of one account"),
    // What is made stays: many at once (a course), few in the long run.
    limit(Quota::RoomsPerAddress, "rooms_per_address", "300/h", "rooms made without an account from one address"),
    limit(Quota::RegistrationsPerAddress, "registrations_per_address", "300/h", "accounts made from one address"),
    // Each costs a hash of a password, right or wrong; that queue is bounded as well.
    limit(Quota::LoginsPerAddress, "logins_per_address", "300/h", "logins from one address"),
    // Guessing: some 3,000 passwords a day from one address, ten times that from all. Sessions that are open go on.
    limit(Quota::LoginsPerAccount, "logins_per_account", "20/10m", "failed logins to one account from one address"),
    limit(Quota::LoginsPerAccountEverywhere, "logins_per_account_everywhere", "200/10m", "failed logins to one account"),
    // No human comes near it; a program that posts 100 a second does not meet it either.
    limit(Quota::MessagesPerSession, "messages_per_session", "500/5s", "messages of one session"),
    limit(Quota::MessagesPerAccount, "messages_per_account", "1000/5s", "messages of one account"),
    limit(Quota::FloodingPerSession, "flooding_per_session", "100/10s", "refused messages of one session"),
    // While one types.
    limit(Quota::SearchesPerAccount, "searches_per_account", "120/m", "searches of one account"),
    limit(Quota::ContactRequestsPerAccount, "contact_requests_per_account", "60/h", "contact requests of one account"),
    // Each may be of somebody with whom one had nothing to do, and is kept.
    limit(Quota::BlocksPerAccount, "blocks_per_account", "300/h", "blocks by one account"),
    // What is told while one types and reads; each is a frame to everybody in the room.
    limit(Quota::SignalsPerSession, "signals_per_session", "100/10s", "signs of typing, reading and life of one session"),
    // Accounts are cheap to make: without it an address would have as much as all its accounts together.
    limit(Quota::AccountCallsPerAddress, "account_calls_per_address", "10000/10s", "requests of accounts from one address"),
    // A node's clients may all come at once, when another node dies: many at once, few in the long run.
    limit(Quota::NewConnectionsPerAddress, "new_connections_per_address", "12000/m", "connections from one address"),
    limit(Quota::SocketsPerAddress, "sockets_per_address", "12000/m", "WebSockets opened from one address"),
    // Above what may be said in messages and signs. What goes beyond it is closed with 4003.
    limit(Quota::FramesPerSession, "frames_per_session", "1500/5s", "frames of one session"),
    limit(Quota::FramesPerAddress, "frames_per_address", "20000/4s", "frames from one address"),
    // An office, or a load test: 1,000 sockets that say 1,000 things a second. Every message costs 1.5 kB on disk beside
    // its bytes, so an address writes some 3 MB/s at most.
    limit(Quota::MessagesPerAddress, "messages_per_address", "3000/2s", "messages from one address"),
    limit(Quota::BytesPerAddress, "bytes_per_address", "4000000/4s", "bytes of messages from one address"),
    limit(Quota::BytesPerAccount, "bytes_per_account", "2000000/4s", "bytes of messages of one account"),
    limit(Quota::MessagesPerRoom, "messages_per_room", "6000/2s", "messages in one room"),
    limit(Quota::BytesPerRoom, "bytes_per_room", "8000000/4s", "bytes of messages in one room"),
];

impl Quota {
    /// Its line in the table.
    pub fn limit(self) -> &'static Limit {
        &LIMITS[self as usize]
    }
}

/// So many at once, and as many again over each window, evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rate {
    /// How many; 0 is no limit.
    pub count: u32,
    /// Over how long; at least a second.
    pub window: Duration,
}

impl Rate {
    /// No limit.
    pub const OFF: Self = Self { count: 0, window: Duration::from_secs(1) };
    /// Above this nobody means a limit, and the time between two would round too far: it is counted in nanoseconds.
    const COUNT_MAX: u32 = 100_000_000;
    /// A day: more than that is not a rate but a quota, which a restart must not forget.
    const WINDOW_MAX_S: u64 = 86_400;
}

/// A rate that cannot be read.
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
