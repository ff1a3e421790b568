//! Keeps the house tidy: every file opens by saying what it is for, none outgrows its room, the arrows between the
//! crates and between the modules of `node` point one way, and what the papers name exists.

#![expect(clippy::unwrap_used, reason = "a file that cannot be read fails the test")]
#![expect(clippy::panic, reason = "a helper that cannot go on fails its test")]

mod circles;
mod figures;
mod modules;
mod papers;
mod texts;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines after which a file wants a second room.
const LINES_MAX: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_owned()
}

/// All files below a folder that end like this.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// A source without the tests at its end.
fn shipped(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests {").next().expect("a split has a first part")
}

fn sources() -> Vec<PathBuf> {
    ["protocol", "web", "node", "bench"]
        .iter()
        .flat_map(|member| files(&root().join(member), ".rs"))
        .collect()
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<_> =
        sources().into_iter().filter(|path| !fs::read_to_string(path).unwrap().starts_with("//! ")).collect();
    assert!(silent.is_empty(), "these open without a line that says what they are for: {silent:#?}");
}

#[test]
fn no_file_outgrows_its_room() {
    let assets = [".css", ".js"].iter().flat_map(|ending| files(&root().join("web/assets"), ending));
    let large: Vec<_> = sources()
        .into_iter()
        .chain(assets)
        .map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .collect();
    assert!(large.is_empty(), "these have more than {LINES_MAX} lines: {large:#?}");
}

#[test]
fn arrows_point_one_way() {
    for (member, allowed) in [
        ("protocol", &[][..]),
        ("web", &["starling-protocol"]),
        ("node", &["starling-harness", "starling-protocol", "starling-web"]),
        ("node/tests/harness", &[]),
        ("bench", &[]),
    ] {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
        let ours = manifest.lines().filter(|line| line.starts_with("starling-"));
        for line in ours {
            let name = line.split(['.', ' ']).next().unwrap();
            assert!(allowed.contains(&name), "{member} must not depend on {name}");
        }
    }
}

#[test]
fn protocol_touches_no_clock_no_socket_and_no_randomness() {
    for path in files(&root().join("protocol/src"), ".rs") {
        let text = fs::read_to_string(&path).unwrap();
        for word in
            ["std::net", "std::fs", "std::time", "Instant::now", "SystemTime", "HashMap", "rand::", "tokio"]
        {
            assert!(!text.contains(word), "{} mentions {word}", path.display());
        }
    }
}

#[test]
fn architecture_names_every_room() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for member in ["protocol/src", "web/src", "node/src"] {
        for entry in fs::read_dir(root().join(member)).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
            if !["lib", "main"].contains(&name.as_str()) {
                assert!(
                    architecture.contains(&format!("`{name}`")),
                    "ARCHITECTURE.md does not name {member}/{name}"
                );
            }
        }
    }
}

/// Otherwise `quic_sim` could not repeat a history. Commands, logs and the control socket are outside of it.
#[test]
fn the_core_of_a_node_takes_clock_chance_and_threads_from_its_machine() {
    let outside = ["environment.rs", "main.rs", "logging.rs", "verify.rs", "control"];
    let sources = files(&root().join("node/src"), ".rs");
    for path in
        sources.iter().filter(|path| !outside.iter().any(|name| path.iter().any(|part| part == *name)))
    {
        let text = fs::read_to_string(path).unwrap();
        for word in
            ["SystemTime", "rand::random", "spawn_blocking", "lookup_host", "thread::spawn", "blocking_"]
        {
            assert!(!text.contains(word), "{} mentions {word}", path.display());
        }
    }
}

/// `println!` and its kin panic where nobody takes what is printed: a closed pipe, a full disk. `console` does not.
#[test]
fn a_server_never_prints_with_macros_that_panic() {
    for folder in ["protocol/src", "web/src", "node/src"] {
        for path in files(&root().join(folder), ".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = shipped(&text).lines().map(str::trim).filter(|line| !line.starts_with("//"));
            // Files that only tests contain.
            let tests = ["tests", "claim_model"];
            let in_tests =
                path.iter().any(|part| tests.iter().any(|word| part.to_string_lossy().contains(word)));
            for line in code.filter(|_| !in_tests) {
                for word in ["println!", "print!(", "dbg!"] {
                    assert!(!line.contains(word), "{} prints with {word}", path.display());
                }
            }
        }
    }
}

/// Otherwise a file that no `mod` names rots unseen: its tests never run.
#[test]
fn every_file_is_a_module_of_another() {
    let roots = ["main", "lib", "build", "mod"];
    let mut orphans = Vec::new();
    // The model check compiles its files by a macro, once for each variant of the code.
    let checked = root().join("web/interleavings");
    for path in sources().into_iter().filter(|path| !path.starts_with(&checked)) {
        let (folder, name) =
            (path.parent().unwrap(), path.file_stem().unwrap().to_string_lossy().into_owned());
        let is_program =
            ["benches", "fuzz_targets", "tests"].iter().any(|programs| folder.ends_with(programs));
        let holder = if name == "mod" { folder.parent().unwrap() } else { folder };
        let name =
            if name == "mod" { folder.file_name().unwrap().to_string_lossy().into_owned() } else { name };
        // Benches are programs beside each other, which may share a folder.
        let beside = fs::read_dir(holder).unwrap().map(|entry| entry.unwrap().path());
        let parents = beside.filter(|path| path.is_file()).chain([holder.with_extension("rs")]);
        let declares = |text: String| text.contains(&format!("mod {name};"));
        let is_module = parents.filter_map(|file| fs::read_to_string(file).ok()).any(declares);
        if !roots.contains(&name.as_str()) && !is_program && !is_module {
            orphans.push(path);
        }
    }
    assert!(orphans.is_empty(), "no module declares these files: {orphans:#?}");
}
