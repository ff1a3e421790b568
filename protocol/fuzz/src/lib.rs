//! Fuzz targets, one per file: each asserts the invariants of one kind of input from outside. `run.sh` lets libFuzzer
//! look for inputs that break them; `tests/corpora.rs` repeats the inputs in the corpora.

mod client_frame;
mod cursor;
mod event;
mod peer_frame;
mod replica;
mod text;

/// Asserts the invariants of an input.
pub type Target = fn(&[u8]);

/// All targets by name; `corpus/NAME` holds the inputs of each.
pub const TARGETS: &[(&str, Target)] = &[
    ("client_frame", client_frame::run),
    ("cursor", cursor::run),
    ("event", event::run),
    ("peer_frame", peer_frame::run),
    ("replica", replica::run),
    ("text", text::run),
];
