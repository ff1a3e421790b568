//! Runs all inputs of the corpora through their targets: regression tests without a fuzzer.

use std::{fs, path::Path};

use starling_fuzz::TARGETS;

/// Bytes in a target's corpus, at most: `run.sh keep` minimizes it.
const CORPUS_BYTES_MAX: usize = 64 * 1024;

#[test]
fn all_corpus_inputs_pass() {
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
