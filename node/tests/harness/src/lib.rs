//! The ground of every end-to-end test: real processes, UDP proxies between them, and clients.
//! Used by the test programs beside this folder. It knows the public contract only, never the server's code.

pub mod account;
pub mod balancer;
pub mod browser;
pub mod client;
pub mod cluster;
pub mod disk;
pub mod firefox;
pub mod folder;
pub mod frames;
pub mod http;
pub mod live;
mod permit;
pub mod process;
pub mod proxy;
pub mod small_disk;
pub mod visitor;

pub use account::Account;
pub use client::Client;
pub use cluster::Cluster;
pub use frames::{Frame, Opening, Posted, Refused};
pub use live::Live;
pub use process::Node;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The longest wait for something that a healthy server does at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Polls `probe` until it answers `Ok`. After the deadline it fails the test with `what` and the last answer.
pub async fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        let last = match probe().await {
            Ok(value) => return value,
            Err(last) => last,
        };
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}; last seen: {last}");
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

/// Says that what a test needs cannot be had on this machine. With `STARLING_NO_SKIP` set, as in CI, it fails instead.
pub fn skip(what: &str, why: &str) {
    assert!(std::env::var_os("STARLING_NO_SKIP").is_none(), "cannot have {what}: {why}");
    eprintln!("skipped: {what}: {why}");
}

/// `Ok` if both are equal, otherwise what differs: the usual end of a probe.
pub fn same<T: PartialEq + std::fmt::Debug>(left: &T, right: &T) -> Result<(), String> {
    if left == right { Ok(()) } else { Err(format!("{left:?} is not {right:?}")) }
}

/// The seed of this run: `STARLING_TEST_SEED`, or one drawn now. It is printed, so that a run can be repeated.
pub fn seed() -> u64 {
    *SEED.get_or_init(|| {
        let given = std::env::var(SEED_NAME).ok();
        let seed = given.map_or_else(rand::random, |text| text.parse().expect("the seed is a number"));
        eprintln!("seed: {SEED_NAME}={seed}");
        seed
    })
}

const SEED_NAME: &str = "STARLING_TEST_SEED";
static SEED: OnceLock<u64> = OnceLock::new();

/// The command that runs the present test alone. libtest names each test's thread after it.
pub fn how_to_repeat() -> String {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    let seed = SEED.get().map(|seed| format!("{SEED_NAME}={seed} ")).unwrap_or_default();
    format!(
        "{seed}cargo test --release -p starling-node --test {} {test} -- --exact --nocapture",
        process::test_program()
    )
}
