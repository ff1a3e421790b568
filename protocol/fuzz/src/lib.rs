//! What must hold of any bytes that come from outside, one target a file. `run.sh` lets libFuzzer look for bytes of
//! which it does not hold; `tests/corpora.rs` repeats what it has found worth keeping.

mod client_frame;
mod cursor;
mod event;
mod peer_frame;
mod replica;
mod text;

/// Asserts what must hold of these bytes.
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
