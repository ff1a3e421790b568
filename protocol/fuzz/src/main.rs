//! The fuzzer: libFuzzer's own `main` around the target that `STARLING_FUZZ_TARGET` names. Started by `run.sh`.

#![no_main]

use std::sync::LazyLock;

use starling_fuzz::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("STARLING_FUZZ_TARGET").unwrap_or_default();
    let target = TARGETS.iter().find(|(target, _)| *target == name);
    target.expect("STARLING_FUZZ_TARGET names a target of starling_fuzz::TARGETS").1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
