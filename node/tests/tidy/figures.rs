//! Prints figures of the code's structure: `compose/structure.sh` calls it, also for another commit.

use std::{env, fs, path::PathBuf};

use super::{
    circles::{CIRCLES_MAX, imports, largest_circle},
    files,
    modules::upward_imports,
    root,
};

/// `STARLING_MEASURE` is the folder to measure; without it, this checkout.
#[test]
fn figures_of_the_structure() {
    let measured = env::var_os("STARLING_MEASURE").map_or_else(root, PathBuf::from);
    for (member, _) in CIRCLES_MAX {
        let arrows = imports(&measured.join(member).join("src"));
        println!(
            "{member}: {} of {} files are in the largest circle",
            largest_circle(&arrows).len(),
            arrows.len()
        );
    }
    println!("node: {} imports against the layers of ARCHITECTURE.md", upward_imports(&measured).len());
    let tests = measured.join("node/tests");
    let lines: usize =
        files(&tests, ".rs").iter().map(|file| fs::read_to_string(file).unwrap().lines().count()).sum();
    let entries = fs::read_dir(&tests).unwrap().map(|entry| entry.unwrap().path());
    let programs = entries.filter(|path| {
        path.extension().is_some_and(|ending| ending == "rs") || path.join("main.rs").exists()
    });
    println!("node: {lines} lines in {} test programs and their harness", programs.count());
}
