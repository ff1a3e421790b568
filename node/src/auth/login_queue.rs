//! The order in which passwords are hashed while there are more than can be served. Callers with the fewest recent tries go
//! first; among equals, callers who have logged in from the same address before; among equals, the newest, as older ones
//! may have given up. So a flood from a thousand addresses delays itself: after one try each, callers from other addresses
//! are ahead of it, also when they try again after a refusal.
//!
//! All memory is bounded: a short queue, a sketch of counts, two generations of known pairs. Cells and pairs are found by a
//! keyed hash, so that an attacker can't aim at those of others.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use starling_protocol::UserId;
use starling_web::guard::client_network;
use tokio::time::Instant;

/// Waiting passwords, at most. Beyond it, the last in line is refused; 64 take 2.6 s at 40 ms each.
pub const QUEUE_MAX: usize = 64;
/// The longest wait: shorter than the 5 s in which a correct login must succeed.
pub const WAIT_MAX: Duration = Duration::from_secs(4);
/// Seconds after which a refused caller may try again (`Retry-After`).
pub const RETRY_AFTER_S: u64 = 1;

/// The interval at which counts of tries are halved: a few tries are forgotten after a minute.
const HALVE_EVERY: Duration = Duration::from_secs(10);
/// Tries that don't count for a known pair or a logged-in user: people mistype.
const KNOWN_TRIES_FREE: u8 = 8;
/// Cells in each of the two rows of the sketch: with 1,000 addresses, one in 4,000 seems busier than it is.
const CELLS: usize = 1 << 16;
/// Pairs in each of two generations, at most. The older is dropped when the newer is full (about 1 MB in all).
const PAIRS_MAX: usize = 1 << 15;

/// A caller that wants a password hashed.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    /// The operator of the node.
    Operator,
    /// A user with a session, who changes their password or confirms an action with it.
    LoggedIn(UserId),
    /// A client that logs in or registers.
    Stranger {
        /// The client's address, not a proxy's.
        address: IpAddr,
        /// The account, as the account service spells it.
        account: &'a str,
    },
}

/// The priority of a job, the least first: recent tries, whether the pair is unknown, and the age.
type Priority = (u8, bool, Reverse<u64>);

/// A waiting job.
struct QueuedJob<J> {
    since: Instant,
    /// The unknown pair that asks. If it is not served, its next try does not count again.
    pair: Option<u64>,
    job: J,
}

/// The queue of waiting jobs.
pub struct LoginQueue<J> {
    waiting: BTreeMap<Priority, QueuedJob<J>>,
    arrivals: u64,
    key: [u8; 32],
    tries: Tries,
    known: Pairs,
    unserved: Pairs,
}

impl<J> LoginQueue<J> {
    /// Makes an empty queue; `key` is random.
    pub fn new(key: [u8; 32], now: Instant) -> Self {
        let tries = Tries { counts: vec![0; 2 * CELLS], halved: now };
        let (known, unserved) = Default::default();
        Self { waiting: BTreeMap::new(), arrivals: 0, key, tries, known, unserved }
    }

    /// Adds a job; returns the one that is refused if the queue is full, which may be the new one.
    pub fn push(&mut self, caller: Caller<'_>, now: Instant, job: J) -> Option<J> {
        // Callers that have waited this long were refused by the pool.
        let unserved = &mut self.unserved;
        self.waiting.retain(|_, waiting| {
            let stays = now.saturating_duration_since(waiting.since) < WAIT_MAX;
            waiting.pair.filter(|_| !stays).into_iter().for_each(|pair| unserved.insert(pair));
            stays
        });
        let mut unknown_pair = None;
        let (tries, unknown) = match caller {
            Caller::Operator => (0, false),
            Caller::LoggedIn(user) => {
                let user = self.hash(&[b"user", &user.0]);
                (self.tries.count(user, now, true).saturating_sub(KNOWN_TRIES_FREE), false)
            }
            Caller::Stranger { address, account } => {
                let pair = self.pair(address, account);
                if self.known.contains(pair) {
                    (self.tries.count(pair, now, true).saturating_sub(KNOWN_TRIES_FREE), false)
                } else {
                    unknown_pair = Some(pair);
                    // A retry after a refusal does not count; a flood over distinct names never retries.
                    let is_retry = self.unserved.remove(pair);
                    let address = self.hash(&[&network(address)]);
                    let tries = self.tries.count(address, now, !is_retry);
                    (tries.saturating_sub(u8::from(is_retry)), true)
                }
            }
        };
        self.arrivals += 1;
        let waiting = QueuedJob { since: now, pair: unknown_pair, job };
        self.waiting.insert((tries, unknown, Reverse(self.arrivals)), waiting);
        let full = self.waiting.len() > QUEUE_MAX;
        let (_, last) = full.then(|| self.waiting.pop_last()).flatten()?;
        last.pair.into_iter().for_each(|pair| self.unserved.insert(pair));
        Some(last.job)
    }

    /// Removes the next job.
    pub fn pop(&mut self) -> Option<J> {
        self.waiting.pop_first().map(|(_, waiting)| waiting.job)
    }

    /// Whether no job waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Remembers that the account has logged in, or was created, from the address.
    pub fn remember(&mut self, address: IpAddr, account: &str) {
        self.known.insert(self.pair(address, account));
    }

    /// Whether the account is remembered to have logged in from the address.
    pub fn is_known(&self, address: IpAddr, account: &str) -> bool {
        self.known.contains(self.pair(address, account))
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

/// The bytes of the network that counts as one client.
fn network(address: IpAddr) -> [u8; 16] {
    match client_network(address) {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Pairs of an address and an account, hashed: the newer generation and the older.
#[derive(Default)]
struct Pairs(HashSet<u64>, HashSet<u64>);

impl Pairs {
    fn insert(&mut self, pair: u64) {
        if self.0.len() >= PAIRS_MAX {
            self.1 = std::mem::take(&mut self.0);
        }
        self.0.insert(pair);
    }

    fn contains(&self, pair: u64) -> bool {
        self.0.contains(&pair) || self.1.contains(&pair)
    }

    fn remove(&mut self, pair: u64) -> bool {
        self.0.remove(&pair) | self.1.remove(&pair)
    }
}

/// Recent tries of each caller, in a count-min sketch: never too few, seldom too many.
struct Tries {
    counts: Vec<u8>,
    halved: Instant,
}

impl Tries {
    /// Returns the tries so far, and counts one more if `counts`.
    fn count(&mut self, caller: u64, now: Instant, counts: bool) -> u8 {
        let passed = now.saturating_duration_since(self.halved).as_secs() / HALVE_EVERY.as_secs();
        if passed > 0 {
            self.halved = now;
            let by = u32::try_from(passed).unwrap_or(u32::MAX);
            for count in &mut self.counts {
                *count = count.checked_shr(by).unwrap_or(0);
            }
        }
        let cell = |bits: u64| usize::try_from(bits & 0xffff).expect("16 bits");
        let cells = [cell(caller), CELLS + cell(caller >> 16)];
        let before = cells.map(|cell| self.counts[cell]).into_iter().min().expect("two cells");
        for cell in cells.into_iter().filter(|_| counts) {
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
    fn callers_with_the_fewest_tries_go_first_then_known_ones_then_the_newest() {
        let now = Instant::now();
        let mut queue = LoginQueue::new([1; 32], now);
        queue.remember(Ipv4Addr::from(4).into(), "known");
        for (address, account, job) in
            [(1, "a", "1st"), (1, "b", "again"), (2, "c", "2nd"), (4, "known", "known"), (3, "known", "3rd")]
        {
            assert!(queue.push(stranger(address, account), now, job).is_none());
        }
        queue.push(Caller::LoggedIn(UserId([1; 16])), now, "session");
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
        assert_eq!(all(&mut queue), ["new", "wrong once"], "all tries are forgotten, the newest goes first");
    }

    /// Promise: a few accounts that keep changing their passwords don't keep others from logging in.
    #[test]
    fn tries_of_logged_in_users_count_late_too() {
        let now = Instant::now();
        let mut queue = LoginQueue::new([1; 32], now);
        for _ in 0..=KNOWN_TRIES_FREE {
            queue.push(Caller::LoggedIn(UserId([1; 16])), now, "busy");
        }
        all(&mut queue);
        queue.push(Caller::LoggedIn(UserId([1; 16])), now, "busy");
        queue.push(stranger(6, "new"), now, "new");
        queue.push(Caller::LoggedIn(UserId([2; 16])), now, "another");
        queue.push(Caller::Operator, now, "operator");
        assert_eq!(all(&mut queue), ["operator", "another", "new", "busy"]);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let one = |text: &str| network(text.parse().unwrap());
        assert_eq!(one("2001:db8:1:2::3"), one("2001:db8:1:2:ffff::"));
        assert_ne!(one("2001:db8:1:2::"), one("2001:db8:1:3::"));
        assert_ne!(one("10.0.0.1"), one("10.0.0.2"));
        assert_eq!(one("10.0.0.1"), one("::ffff:10.0.0.1"));
    }

    /// The ms until a correct login succeeds that starts `begins` ms into a flood of `per_s` wrong logins a second from 1,000
    /// addresses over distinct names. One hash takes `hash` ms, and the login is tried again a second after each refusal.
    fn right_login_in_flood(per_s: u64, hash: u64, begins: u64, known: bool) -> Option<u64> {
        const RIGHT: u64 = 0;
        let zero = Instant::now();
        let mut queue = LoginQueue::new([7; 32], zero);
        if known {
            queue.remember(Ipv4Addr::from(1).into(), "right");
        }
        let (mut ask_at, mut asked_at, mut sent) = (begins, 0, 0);
        for ms in 0..begins + 10_000 {
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

    /// Promise: a correct login succeeds within 5 s while a flood keeps the queue full.
    #[test]
    fn a_right_login_gets_through_a_flood() {
        for hash in [25, 100, 250] {
            for per_s in [50, 100, 200, 500, 1_000, 5_000] {
                for begins in [100, 1_000, 5_000, 15_000] {
                    let took = right_login_in_flood(per_s, hash, begins, true);
                    assert!(took.is_some_and(|ms| ms <= 2 * hash), "known: {took:?} at {per_s}/s, {hash} ms");
                    // From an unknown address, once each address of the flood has tried.
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

    /// Promise: trying again after a refusal does not lower the priority.
    #[test]
    fn a_right_login_from_an_unknown_address_gets_through_by_retrying() {
        for (per_s, begins) in
            [(200, 100), (200, 3_000), (500, 100), (500, 1_500), (1_000, 500), (5_000, 100)]
        {
            let took = right_login_in_flood(per_s, 100, begins, false);
            // Once each address of the flood has tried, the flood is behind.
            let tried = 1_000_000 / per_s;
            assert!(took.is_some_and(|ms| begins + ms <= tried.max(begins) + 2_500), "{took:?} at {per_s}/s");
        }
    }

    proptest! {
        /// Promise: each login is served or refused, or it expires; none is lost or served twice.
        #[test]
        fn nothing_is_lost_and_the_line_is_bounded(pushes in proptest::collection::vec((0u32..40, 0u8..4, 0u64..500), 0..400)) {
            let mut now = Instant::now();
            let mut queue = LoginQueue::new([3; 32], now);
            let (mut came, mut went) = (0, 0);
            for (address, pops, ms) in pushes {
                now += Duration::from_millis(ms);
                came += 1;
                went += queue.waiting.values().filter(|waiting| now - waiting.since >= WAIT_MAX).count();
                went += usize::from(queue.push(stranger(address, "a"), now, came).is_some());
                prop_assert!(queue.waiting.len() <= QUEUE_MAX);
                prop_assert!(queue.waiting.values().all(|waiting| now - waiting.since < WAIT_MAX));
                for _ in 0..pops {
                    went += usize::from(queue.pop().is_some());
                }
            }
            prop_assert_eq!(went + all(&mut queue).len(), came);
        }
    }
}
