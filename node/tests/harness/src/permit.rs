//! Bounds how many tests of one program have nodes alive at the same time, whatever the number of cores.

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

/// Tests with nodes at a time. The largest has 5 nodes, each a handful of threads.
const TESTS_MAX: usize = 4;

static TESTS: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

thread_local! {
    /// The permit of the test that runs on this thread: its further nodes share it, so that no two tests that each have
    /// some of their nodes wait for each other.
    static MINE: RefCell<Weak<Held>> = const { RefCell::new(Weak::new()) };
}

/// Lets a test have nodes. A test gives it back with its last node.
pub(crate) struct Permit(#[expect(dead_code, reason = "what matters is when it is dropped")] Arc<Held>);

struct Held;

impl Permit {
    /// Blocks the thread until fewer than `TESTS_MAX` other tests have nodes.
    pub(crate) fn acquire() -> Self {
        MINE.with_borrow_mut(|mine| {
            let held = mine.upgrade().unwrap_or_else(|| {
                let tests = TESTS.lock().unwrap_or_else(PoisonError::into_inner);
                let mut tests = ENDED
                    .wait_while(tests, |tests| *tests >= TESTS_MAX)
                    .unwrap_or_else(PoisonError::into_inner);
                *tests += 1;
                Arc::new(Held)
            });
            *mine = Arc::downgrade(&held);
            Self(held)
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *TESTS.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}
