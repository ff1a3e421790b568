//! Repeats every input that was worth keeping through its target: regression tests that need no fuzzer.

use std::{fs, path::Path};

use starling_fuzz::TARGETS;

/// Bytes in a target's corpus, at most: it is kept minimised (`run.sh keep`).
const CORPUS_BYTES_MAX: usize = 64 * 1024;

#[test]
fn what_was_found_once_holds() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let mut bytes = 0;
        for entry in fs::read_dir(corpora.join(name)).unwrap() {
            let path = entry.unwrap().path();
            // Shown when the target panics.
            println!("protocol/fuzz/run.sh repeat {name} {}", path.display());
            let input = fs::read(&path).unwrap();
            bytes += input.len();
            target(&input);
        }
        assert!((1..=CORPUS_BYTES_MAX).contains(&bytes), "{bytes} bytes in the corpus of {name}");
    }
    assert_eq!(fs::read_dir(&corpora).unwrap().count(), TARGETS.len(), "a folder without a target");
}
