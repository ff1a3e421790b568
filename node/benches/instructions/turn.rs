//! Lets the nodes run for a moment, with or without being counted.

use std::{hint::black_box, time::Duration};

use tokio::{runtime::Runtime, time::sleep};

/// Virtual time that a turn takes. A node never waits for so little, so each turn does what was due.
const TURN: Duration = Duration::from_millis(1);

async fn pass() {
    sleep(TURN).await;
}

/// Callgrind counts from where this is entered to where it is left; the script has its name, which nothing within may
/// have, not even a closure.
#[inline(never)]
pub fn counted(runtime: &Runtime) {
    runtime.block_on(pass());
    // Something to come back to: a tail call would never leave this function.
    black_box(1);
}

/// The same, beside the figure: setting up, warming up.
#[inline(never)]
pub fn uncounted(runtime: &Runtime) {
    runtime.block_on(pass());
    // Another value: equal functions may become one.
    black_box(2);
}
