//! Rate limits by the generic cell rate algorithm (`governor`), in bounded memory.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash, RandomState},
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use governor::{
    RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::StateStore,
};
use prometheus_client::metrics::{counter::Counter, family::Family};
use starling_protocol::{ErrorCode, texts};
use tokio::time::Instant;

use super::limits::{LIMITS, QUOTAS, Quota, Rate};
use crate::service::Refusal;

/// The most keys with a count of their own in each quota: 1.1 MB of memory.
const KEYS_MAX: usize = 50_000;
/// Beyond [`KEYS_MAX`], further keys are hashed into this many shared counts. Existing keys keep their own, and new ones
/// sometimes share the limit of another, but everything is counted.
const SHARED_KEYS: u64 = 1_024;
/// The time between removals of keys whose count is zero again.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Counts refusals by the name of the limit.
pub type RefusedByLimit = Family<[(&'static str, &'static str); 1], Counter>;

/// All rate limits with their counts.
#[derive(Debug)]
pub struct Rates {
    /// The limiters, by quota; `None` if there is no limit.
    limiters: [Option<Limiter>; QUOTAS],
    /// Keys are stored as hashes that clients can't predict.
    hasher: RandomState,
    refused: RefusedByLimit,
}

impl Default for Rates {
    fn default() -> Self {
        Self::new(&BTreeMap::new(), RefusedByLimit::default())
    }
}

impl Rates {
    /// Uses the defaults of the table, except for `configured` rates. Counts refusals in `refused`.
    pub fn new(configured: &BTreeMap<Quota, Rate>, refused: RefusedByLimit) -> Self {
        let limiters = LIMITS.each_ref().map(|limit| {
            let default = || limit.default.parse().expect("a test reads them all");
            Limiter::new(configured.get(&limit.quota).copied().unwrap_or_else(default))
        });
        Self { limiters, hasher: RandomState::new(), refused }
    }

    /// Counts one more under this key, or refuses it with the seconds until the next one will pass. The docs of each quota
    /// name its key; addresses are given as [`super::client_network`].
    pub fn check(&self, quota: Quota, key: &(impl Hash + ?Sized)) -> Result<(), Refusal> {
        self.check_many(quota, key, 1)
    }

    /// Like [`Rates::check`], for `count` at once, such as bytes: they pass together or not at all. A count above the burst
    /// passes only if nothing else was counted lately.
    pub fn check_many(&self, quota: Quota, key: &(impl Hash + ?Sized), count: u32) -> Result<(), Refusal> {
        let Some(limiter) = &self.limiters[quota as usize] else { return Ok(()) };
        let Some(count) = NonZeroU32::new(count) else { return Ok(()) };
        limiter.check(self.hasher.hash_one(key), count).map_err(|wait| self.refuse(quota, wait))
    }

    /// Returns a separate count without a key, such as for one socket.
    pub fn bucket(&self, quota: Quota) -> Bucket {
        let limiter = self.limiters[quota as usize].as_ref();
        Bucket {
            quota,
            intervals: limiter.map(|limiter| (limiter.emission_interval, limiter.burst_tolerance)),
            empty_at: Instant::now(),
        }
    }

    /// Counts one more in a bucket, or refuses it.
    pub fn check_bucket(&self, bucket: &mut Bucket) -> Result<(), Refusal> {
        bucket.count().map_err(|wait| self.refuse(bucket.quota, wait))
    }

    fn refuse(&self, quota: Quota, wait: Duration) -> Refusal {
        let limit = quota.limit();
        self.refused.get_or_create(&[("limit", limit.name)]).inc();
        let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        let detail = texts::request::too_many(limit.what, seconds);
        Refusal::new(ErrorCode::RateLimited, detail).retry_after(seconds)
    }

    /// Undoes one [`Rates::check`], when the action did not happen. No effect on a key that shares a count
    /// (`SHARED_KEYS`).
    pub fn refund(&self, quota: Quota, key: &(impl Hash + ?Sized)) {
        if let Some(limiter) = &self.limiters[quota as usize] {
            limiter.refund(self.hasher.hash_one(key));
        }
    }

    /// Resets the count of a key. No effect on a key that shares a count (`SHARED_KEYS`).
    pub fn reset(&self, quota: Quota, key: &(impl Hash + ?Sized)) {
        if let Some(limiter) = &self.limiters[quota as usize] {
            limiter.keys.table().arrivals.remove(&self.hasher.hash_one(key));
        }
    }
}

#[derive(Debug)]
struct Limiter {
    governor: RateLimiter<u64, Keys, SinceStart, NoOpMiddleware<Duration>>,
    clock: SinceStart,
    keys: Keys,
    /// The time between two requests at the steady rate.
    emission_interval: Duration,
    /// The most that pass at once.
    burst: NonZeroU32,
    /// The longest that a burst may run ahead of the steady rate.
    burst_tolerance: Duration,
}

/// A separate count by the same algorithm, which needs no lock.
#[derive(Debug)]
pub struct Bucket {
    quota: Quota,
    /// The time between two requests at the steady rate, and the longest that a burst may run ahead of it. `None` if there is
    /// no limit.
    intervals: Option<(Duration, Duration)>,
    /// The time at which the count is zero again.
    empty_at: Instant,
}

impl Bucket {
    fn count(&mut self) -> Result<(), Duration> {
        let Some((emission_interval, burst_tolerance)) = self.intervals else { return Ok(()) };
        let now = Instant::now();
        let empty_at = self.empty_at.max(now) + emission_interval;
        let beyond = empty_at.duration_since(now).saturating_sub(burst_tolerance);
        if beyond.is_zero() {
            self.empty_at = empty_at;
            return Ok(());
        }
        Err(beyond)
    }
}

impl Limiter {
    fn new(rate: Rate) -> Option<Self> {
        let burst = NonZeroU32::new(rate.count)?;
        let emission_interval = rate.window / rate.count;
        let quota = governor::Quota::with_period(emission_interval)?.allow_burst(burst);
        let (clock, keys) = (SinceStart(Instant::now()), Keys::default());
        let governor = RateLimiter::new(quota, keys.clone(), clock.clone());
        let burst_tolerance = emission_interval * rate.count;
        Some(Self { governor, clock, keys, emission_interval, burst, burst_tolerance })
    }

    fn check(&self, key: u64, count: NonZeroU32) -> Result<(), Duration> {
        let now = self.clock.now();
        self.keys.table().sweep(now);
        match self.governor.check_key_n(&key, count.min(self.burst)) {
            Ok(counted) => counted.map_err(|refused| refused.wait_time_from(now)),
            // Cannot happen: the count is at most the burst.
            Err(_) => Err(self.burst_tolerance),
        }
    }

    fn refund(&self, key: u64) {
        let now = self.clock.now().duration_since(Duration::ZERO);
        let arrivals = &mut self.keys.table().arrivals;
        let Some(arrival) = arrivals.get_mut(&key) else { return };
        *arrival = arrival.saturating_sub(self.emission_interval.into());
        // A count of zero needs no entry, so a flood of names leaves none behind.
        if *arrival <= now {
            arrivals.remove(&key);
        }
    }
}

/// The time since a limiter was created, by the clock of tokio, which tests can move.
#[derive(Clone, Debug)]
struct SinceStart(Instant);

impl Clock for SinceStart {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The state of one quota.
#[derive(Clone, Debug, Default)]
struct Keys(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    /// The theoretical arrival time of each key's next request; one in the past means a count of zero.
    arrivals: HashMap<u64, Nanos>,
    swept: Duration,
}

impl Keys {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn sweep(&mut self, now: Duration) {
        if now.saturating_sub(self.swept) < SWEEP_EVERY {
            return;
        }
        self.swept = now;
        let now = now.duration_since(Duration::ZERO);
        self.arrivals.retain(|_, arrival| *arrival > now);
        self.arrivals.shrink_to_fit();
    }
}

impl StateStore for Keys {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let arrivals = &mut self.table().arrivals;
        let full = arrivals.len() >= KEYS_MAX && !arrivals.contains_key(key);
        let key = if full { key % SHARED_KEYS } else { *key };
        let (outcome, arrival) = measure(arrivals.get(&key).copied())?;
        arrivals.insert(key, arrival);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::guard::limits::Limit;

    fn rates(quota: Quota, rate: &str) -> Rates {
        Rates::new(&[(quota, rate.parse().unwrap())].into(), RefusedByLimit::default())
    }

    fn passed(rates: &Rates, quota: Quota, key: &str, tries: usize) -> usize {
        (0..tries).filter(|_| rates.check(quota, key).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn every_quota_passes_its_count_and_refuses_the_next() {
        let rates = Rates::default();
        for limit in &LIMITS {
            let default: Rate = limit.default.parse().unwrap();
            let below = rates.check_many(limit.quota, "Ann", default.count - 1);
            assert_eq!(below, Ok(()), "{}: below", limit.name);
            assert_eq!(passed(&rates, limit.quota, "Ann", 1), 1, "{}: at", limit.name);
            let refusal = rates.check(limit.quota, "Ann").unwrap_err();
            assert_eq!(refusal.code, ErrorCode::RateLimited);
            let one = default.window / default.count;
            let seconds = u32::try_from(one.as_millis().div_ceil(1_000)).unwrap().max(1);
            assert_eq!(refusal.retry_after, Some(seconds), "{}: above", limit.name);
            assert_eq!(passed(&rates, limit.quota, "Bob", 1), 1, "{}: others go on", limit.name);
        }
        let refused = |limit: &Limit| rates.refused.get_or_create(&[("limit", limit.name)]).get();
        assert!(LIMITS.iter().all(|limit| refused(limit) == 1));
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_announced_wait_exactly_one_more_passes() {
        let rates = rates(Quota::RoomsPerAddress, "6/m");
        assert_eq!(passed(&rates, Quota::RoomsPerAddress, "Ann", 7), 6);
        let wait = rates.check(Quota::RoomsPerAddress, "Ann").unwrap_err().retry_after.unwrap();
        assert_eq!(wait, 10);
        advance(Duration::from_secs(u64::from(wait) - 1)).await;
        assert_eq!(passed(&rates, Quota::RoomsPerAddress, "Ann", 2), 0);
        advance(Duration::from_secs(1)).await;
        assert_eq!(passed(&rates, Quota::RoomsPerAddress, "Ann", 2), 1);
        advance(Duration::from_hours(1)).await;
        assert_eq!(passed(&rates, Quota::RoomsPerAddress, "Ann", 100), 6, "never more than the burst");
    }

    /// Promise: bytes pass together or not at all, and a message above the burst still passes alone.
    #[tokio::test(start_paused = true)]
    async fn several_pass_together_and_refused_ones_are_not_counted() {
        let quota = Quota::BytesPerAddress;
        let rates = rates(quota, "1000/10s");
        assert!(rates.check_many(quota, "Ann", 600).is_ok());
        assert_eq!(rates.check_many(quota, "Ann", 500).unwrap_err().retry_after, Some(1));
        assert!(rates.check_many(quota, "Ann", 400).is_ok());
        assert!(rates.check_many(quota, "Ann", 1).is_err());
        assert!(rates.check_many(quota, "Ann", 0).is_ok());
        assert!(rates.check_many(quota, "Bob", 5_000).is_ok());
        assert!(rates.check_many(quota, "Bob", 1).is_err());
        advance(Duration::from_secs(10)).await;
        assert!(rates.check_many(quota, "Bob", 5_000).is_ok());
    }

    /// Promise: a bucket follows the same rule as a key.
    #[tokio::test(start_paused = true)]
    async fn a_bucket_counts_as_a_key_does() {
        let quota = Quota::FramesPerSession;
        let rates = rates(quota, "6/m");
        let mut bucket = rates.bucket(quota);
        let mut by_key_and_by_bucket = || {
            let mut passed =
                |()| (rates.check(quota, "Ann").is_ok(), rates.check_bucket(&mut bucket).is_ok());
            (0..9).map(|_| passed(())).collect::<Vec<_>>()
        };
        for seconds in [0, 9, 10, 11, 25, 3_600] {
            advance(Duration::from_secs(seconds)).await;
            let passed = by_key_and_by_bucket();
            assert!(passed.iter().all(|(key, bucket)| key == bucket), "after {seconds} s: {passed:?}");
        }
        let off = Rates::new(&[(quota, Rate::OFF)].into(), RefusedByLimit::default());
        let mut bucket = off.bucket(quota);
        assert!((0..100_000).all(|_| off.check_bucket(&mut bucket).is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_is_counted_and_forgiving_resets() {
        let off = rates(Quota::LoginsPerAccount, "0");
        assert_eq!(passed(&off, Quota::LoginsPerAccount, "ann", 100_000), 100_000);
        let rates = rates(Quota::LoginsPerAccount, "5/m");
        assert_eq!(passed(&rates, Quota::LoginsPerAccount, "ann", 10), 5);
        rates.reset(Quota::LoginsPerAccount, "ann");
        assert_eq!(passed(&rates, Quota::LoginsPerAccount, "ann", 10), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn taking_back_undoes_a_count() {
        let quota = Quota::LoginsPerAccount;
        let rates = rates(quota, "3/m");
        rates.refund(quota, "ann");
        assert_eq!(passed(&rates, quota, "ann", 3), 3);
        rates.refund(quota, "ann");
        assert_eq!(passed(&rates, quota, "ann", 3), 1);
        for name in 0..100 {
            assert!(rates.check(quota, &name).is_ok());
            rates.refund(quota, &name);
        }
        assert_eq!(rates.limiters[quota as usize].as_ref().unwrap().keys.table().arrivals.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_bounded_but_all_are_counted() {
        let quota = Quota::RoomsPerAddress;
        let rates = rates(quota, "2/m");
        let len = || rates.limiters[quota as usize].as_ref().unwrap().keys.table().arrivals.len();
        let most = KEYS_MAX + usize::try_from(SHARED_KEYS).unwrap();
        assert_eq!(passed(&rates, quota, "early", 1), 1);
        let strangers = (0..4 * KEYS_MAX).filter(|stranger| rates.check(quota, stranger).is_ok()).count();
        assert!((KEYS_MAX..=most).contains(&len()), "{}", len());
        // One of each key with its own count, and the burst of each shared count.
        assert_eq!(strangers, KEYS_MAX - 1 + 2 * usize::try_from(SHARED_KEYS).unwrap());
        assert_eq!(passed(&rates, quota, "early", 2), 1, "an early key keeps its own count");
        assert_eq!(passed(&rates, quota, "late", 1), 0, "a late key shares a count that is used up");
        advance(Duration::from_secs(61)).await;
        assert_eq!(passed(&rates, quota, "late", 3), 2);
        assert_eq!(len(), 1);
    }
}
