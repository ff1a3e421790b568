//! Model check of how the writer and sessions synchronise. loom runs small scenarios with the code of `web` (lanes,
//! ready set, lane set, the order in which a commit becomes visible) in every order of their steps, up to a bound of
//! preemptions. `sync` has loom's primitives under the names that `web` uses; `build.rs` copies the code and makes the
//! mutants. Run it with `cargo test -p starling-interleavings -- --nocapture` to see the counts.

#![cfg(test)]

mod check;
mod sync;

/// The code as it is, and each mutant.
#[allow(
    dead_code,
    missing_docs,
    unused_mut,
    unused_variables,
    clippy::all,
    clippy::pedantic,
    reason = "copies of checked code"
)]
mod variants {
    include!(concat!(env!("OUT_DIR"), "/variants.rs"));
}
