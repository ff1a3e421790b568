//! Who is next where passwords are hashed, while more come than can be served. Callers who have asked least lately go
//! first, of equals those who logged in from there before, of equals the newest: an old one may have given up. A flood
//! from a thousand addresses then delays itself: after one try each, whoever comes from elsewhere is ahead of it.
//!
//! Everything here is bounded, whoever asks: a short queue, a sketch of counts, two generations of known pairs. Cells
//! and pairs are found by a keyed hash, so that nobody can aim at another's.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use tokio::time::Instant;

/// Passwords that wait, at most. Beyond it the last in line is refused; 64 take 2.6 s at 40 ms each.
pub const QUEUE_MAX: usize = 64;
/// How long one waits, at most: shorter than the 5 s in which a right login succeeds.
pub const WAIT_MAX: Duration = Duration::from_secs(4);
/// Seconds after which who was refused may ask again (`Retry-After`).
pub const RETRY_AFTER_S: u64 = 1;

/// Counts of tries are halved that often: a minute later nothing is left of a few tries.
const HALVE_EVERY: Duration = Duration::from_secs(10);
/// Tries that are not held against a known pair: a person who mistypes.
const KNOWN_TRIES_FREE: u8 = 8;
/// Cells of the sketch in each of two rows: of 1,000 addresses one in 4,000 seems busier than it is.
const CELLS: usize = 1 << 16;
/// Known pairs in each of two generations; the older is forgotten when the newer is full (about 1 MB in all).
const KNOWN_MAX: usize = 1 << 15;

/// Who wants a password hashed.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    /// Has a session, and changes a password or confirms an act by it.
    LoggedIn,
    /// Logs in or registers.
    Stranger {
        /// Where from: the client's own address, not a proxy's.
        address: IpAddr,
        /// The account, by whatever spelling is one for the account service.
        account: &'a str,
    },
}

/// How soon one is served: recent tries, then whether one is unknown, then how old.
type Place = (u8, bool, Reverse<u64>);

/// Jobs that wait, each with the time of its arrival.
pub struct LoginQueue<J> {
    waiting: BTreeMap<Place, (Instant, J)>,
    arrivals: u64,
    key: [u8; 32],
    tries: Tries,
    known: HashSet<u64>,
    known_before: HashSet<u64>,
}

impl<J> LoginQueue<J> {
    /// An empty one; `key` is random.
    pub fn new(key: [u8; 32], now: Instant) -> Self {
        let tries = Tries { counts: vec![0; 2 * CELLS], halved: now };
        let (known, known_before) = Default::default();
        Self { waiting: BTreeMap::new(), arrivals: 0, key, tries, known, known_before }
    }

    /// Puts a job in line; gives back the one that has no place any more, which may be the same.
    pub fn push(&mut self, caller: Caller<'_>, now: Instant, job: J) -> Option<J> {
        // Whoever waited so long was told so.
        self.waiting.retain(|_, (arrival, _)| now.saturating_duration_since(*arrival) < WAIT_MAX);
        let (tries, unknown) = match caller {
            Caller::LoggedIn => (0, false),
            Caller::Stranger { address, account } => {
                if self.is_known(address, account) {
                    let pair = self.pair(address, account);
                    (self.tries.count(pair, now).saturating_sub(KNOWN_TRIES_FREE), false)
                } else {
                    let address = self.hash(&[&network(address)]);
                    (self.tries.count(address, now), true)
                }
            }
        };
        self.arrivals += 1;
        self.waiting.insert((tries, unknown, Reverse(self.arrivals)), (now, job));
        let full = self.waiting.len() > QUEUE_MAX;
        full.then(|| self.waiting.pop_last()).flatten().map(|(_, (_, job))| job)
    }

    /// Who is next.
    pub fn pop(&mut self) -> Option<J> {
        self.waiting.pop_first().map(|(_, (_, job))| job)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// From there the account's password was right (or the account was made).
    pub fn remember(&mut self, address: IpAddr, account: &str) {
        if self.known.len() >= KNOWN_MAX {
            self.known_before = std::mem::take(&mut self.known);
        }
        let pair = self.pair(address, account);
        self.known.insert(pair);
    }

    /// Whether it was, as far as that is remembered.
    pub fn is_known(&self, address: IpAddr, account: &str) -> bool {
        let pair = self.pair(address, account);
        self.known.contains(&pair) || self.known_before.contains(&pair)
    }

    fn pair(&self, address: IpAddr, account: &str) -> u64 {
        self.hash(&[&network(address), account.as_bytes()])
    }

    fn hash(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in parts {
            hasher.update(part);
        }
        let hash = hasher.finalize();
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("8 of 32"))
    }
}

/// What one client can hardly have many of: an IPv4 address, or an IPv6 network of 64 bits.
fn network(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => (u128::from(address) & (u128::MAX << 64)).to_be_bytes(),
    }
}

/// How often each has tried lately (a count-min sketch): never too little, seldom too much.
struct Tries {
    counts: Vec<u8>,
    halved: Instant,
}

impl Tries {
    /// Counts one more; gives how many there were before.
    fn count(&mut self, who: u64, now: Instant) -> u8 {
        let passed = now.saturating_duration_since(self.halved).as_secs() / HALVE_EVERY.as_secs();
        if passed > 0 {
            self.halved = now;
            let by = u32::try_from(passed).unwrap_or(u32::MAX);
            for count in &mut self.counts {
                *count = count.checked_shr(by).unwrap_or(0);
            }
        }
        let cell = |bits: u64| usize::try_from(bits & 0xffff).expect("16 bits");
        let cells = [cell(who), CELLS + cell(who >> 16)];
        let before = cells.map(|cell| self.counts[cell]).into_iter().min().expect("two cells");
        for cell in cells {
            self.counts[cell] = self.counts[cell].max(before.saturating_add(1));
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn stranger(address: u32, account: &str) -> Caller<'_> {
        Caller::Stranger { address: Ipv4Addr::from(address).into(), account }
    }

    fn all<J>(queue: &mut LoginQueue<J>) -> Vec<J> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn who_tried_least_goes_first_then_the_known_then_the_newest() {
        let now = Instant::now();
        let mut queue = LoginQueue::new([1; 32], now);
        queue.remember(Ipv4Addr::from(4).into(), "known");
        for (address, account, job) in
            [(1, "a", "1st"), (1, "b", "again"), (2, "c", "2nd"), (4, "known", "known"), (3, "known", "3rd")]
        {
            assert!(queue.push(stranger(address, account), now, job).is_none());
        }
        queue.push(Caller::LoggedIn, now, "session");
        assert_eq!(all(&mut queue), ["session", "known", "3rd", "2nd", "1st", "again"]);
    }

    #[test]
    fn tries_are_forgotten_and_those_of_a_known_pair_count_late() {
        let now = Instant::now();
        let mut queue = LoginQueue::new([1; 32], now);
        queue.remember(Ipv4Addr::from(4).into(), "known");
        for _ in 0..9 {
            queue.push(stranger(4, "known"), now, "mistyped");
            queue.push(stranger(5, "other"), now, "wrong");
        }
        all(&mut queue);
        queue.push(stranger(4, "known"), now, "known");
        queue.push(stranger(6, "new"), now, "new");
        assert_eq!(all(&mut queue), ["new", "known"], "nine tries are too many");
        let later = now + 4 * HALVE_EVERY;
        queue.push(stranger(5, "other"), later, "wrong once");
        queue.push(stranger(6, "new"), later, "new");
        assert_eq!(all(&mut queue), ["new", "wrong once"], "all are new again, the newest first");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let one = |text: &str| network(text.parse().unwrap());
        assert_eq!(one("2001:db8:1:2::3"), one("2001:db8:1:2:ffff::"));
        assert_ne!(one("2001:db8:1:2::"), one("2001:db8:1:3::"));
        assert_ne!(one("10.0.0.1"), one("10.0.0.2"));
        assert_eq!(one("10.0.0.1"), one("::ffff:10.0.0.1"));
    }

    /// When a right login gets through, in ms from its begin, if it comes `begins` ms into a flood of `per_s` wrong
    /// logins a second from 1,000 addresses over distinct names, one hash takes `hash` ms, and it asks again a second
    /// after each refusal.
    fn right_login_in_flood(per_s: u64, hash: u64, begins: u64, known: bool) -> Option<u64> {
        const RIGHT: u64 = 0;
        let zero = Instant::now();
        let mut queue = LoginQueue::new([7; 32], zero);
        if known {
            queue.remember(Ipv4Addr::from(1).into(), "right");
        }
        let (mut ask_at, mut asked_at, mut sent) = (begins, 0, 0);
        for ms in 0..begins + 5_000 {
            let now = zero + Duration::from_millis(ms);
            let mut refused = Vec::new();
            while sent * 1_000 < ms * per_s {
                sent += 1;
                let address = 0x0a00_0000 + u32::try_from(sent % 1_000).unwrap();
                refused.extend(queue.push(stranger(address, &format!("n{sent}")), now, sent));
            }
            if ms == ask_at {
                refused.extend(queue.push(stranger(1, "right"), now, RIGHT));
                asked_at = ms;
            }
            if refused.contains(&RIGHT) || (ask_at <= ms && ms == asked_at + 4_000) {
                ask_at = ms + RETRY_AFTER_S * 1_000;
            }
            if ms % hash == 0 && queue.pop() == Some(RIGHT) {
                return Some(ms + hash - begins);
            }
        }
        None
    }

    /// Promise: a right login succeeds within 5 s while a flood keeps the queue full.
    #[test]
    fn a_right_login_gets_through_a_flood() {
        for hash in [25, 100, 250] {
            for per_s in [50, 100, 200, 500, 1_000, 5_000] {
                for begins in [100, 1_000, 5_000, 15_000] {
                    let took = right_login_in_flood(per_s, hash, begins, true);
                    assert!(took.is_some_and(|ms| ms <= 2 * hash), "known: {took:?} at {per_s}/s, {hash} ms");
                    // From elsewhere, once each address of the flood has tried.
                    if begins * per_s > 1_100_000 {
                        let took = right_login_in_flood(per_s, hash, begins, false);
                        assert!(
                            took.is_some_and(|ms| ms <= 2 * hash),
                            "new: {took:?} at {per_s}/s, {hash} ms"
                        );
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_the_line_is_bounded(pushes in proptest::collection::vec((0u32..40, 0u8..4, 0u64..500), 0..400)) {
            let mut now = Instant::now();
            let mut queue = LoginQueue::new([3; 32], now);
            let (mut came, mut went) = (0, 0);
            for (address, pops, ms) in pushes {
                now += Duration::from_millis(ms);
                came += 1;
                went += usize::from(queue.push(stranger(address, "a"), now, came).is_some());
                prop_assert!(queue.waiting.len() <= QUEUE_MAX);
                prop_assert!(queue.waiting.values().all(|(arrival, _)| now - *arrival < WAIT_MAX));
                for _ in 0..pops {
                    went += usize::from(queue.pop().is_some());
                }
            }
            prop_assert!(went + all(&mut queue).len() <= came);
        }
    }
}
