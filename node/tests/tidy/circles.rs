//! Files that import each other in a circle can't be read one by one: bounds the largest circle of each crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{files, root, shipped};

/// Files in the largest circle of a crate, at most.
pub const CIRCLES_MAX: [(&str, usize); 3] = [("protocol", 17), ("web", 3), ("node", 18)];

/// A module's path inside its crate, such as `["session", "live"]`.
type Module = Vec<String>;

/// The module that a file holds; `None` for files of tests.
fn module_of(source: &Path, file: &Path) -> Option<Module> {
    let inside = file.strip_prefix(source).unwrap().with_extension("");
    let mut module: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let is_test =
        |part: &String| part.contains("tests") || part.starts_with("test_") || part == "claim_model";
    if module.iter().any(is_test) || module == ["main"] {
        return None;
    }
    if ["mod", "lib"].contains(&module.last()?.as_str()) {
        module.pop();
    }
    Some(module)
}

/// The code of a source without comments and without the tests at its end.
fn code(text: &str) -> String {
    shipped(text)
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Splits code into names, `::`, and single signs.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
        let end = if is_name(first) {
            rest.find(|letter| !is_name(letter)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(end);
        if !token.trim().is_empty() {
            tokens.push(token);
        }
        rest = after;
    }
    tokens
}

/// Reads what follows a `::`, also groups in braces, and adds every path that begins with `prefix`. Returns how many
/// tokens it read.
fn read_tree(tokens: &[&str], prefix: &Module, paths: &mut Vec<Module>) -> usize {
    match tokens.first() {
        Some(&"{") => {
            let mut at = 1;
            while at < tokens.len() && tokens[at] != "}" {
                at += if tokens[at] == "," { 1 } else { read_tree(&tokens[at..], prefix, paths).max(1) };
            }
            at + 1
        }
        Some(name) if name.starts_with(|letter: char| letter.is_alphabetic() || letter == '_') => {
            let path: Module = prefix.iter().cloned().chain([(*name).to_owned()]).collect();
            if tokens.get(1) == Some(&"::") {
                2 + read_tree(&tokens[2..], &path, paths)
            } else {
                paths.push(path);
                1
            }
        }
        _ => {
            paths.push(prefix.clone());
            1
        }
    }
}

/// All paths into its own crate that the code of a module names; some begin with one of its `children`.
fn paths(module: &Module, children: &BTreeSet<&str>, code: &str) -> Vec<Module> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at + 1 < tokens.len() {
        let follows_path = at > 0 && tokens[at - 1] == "::";
        let mut prefix = match tokens[at] {
            "crate" => Module::new(),
            "self" => module.clone(),
            "super" => module[..module.len().saturating_sub(1)].to_vec(),
            name if children.contains(name) => module.iter().cloned().chain([name.to_owned()]).collect(),
            _ => {
                at += 1;
                continue;
            }
        };
        if follows_path || tokens[at + 1] != "::" {
            at += 1;
            continue;
        }
        at += 2;
        while tokens.get(at) == Some(&"super") && tokens.get(at + 1) == Some(&"::") {
            prefix.pop();
            at += 2;
        }
        at += read_tree(&tokens[at..], &prefix, &mut found);
    }
    found
}

/// The imports of a crate: from each file to the files that it names.
pub fn imports(source: &Path) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let modules: BTreeMap<Module, PathBuf> =
        files(source, ".rs").into_iter().filter_map(|file| Some((module_of(source, &file)?, file))).collect();
    let mut arrows = BTreeMap::new();
    for (module, file) in &modules {
        let text = fs::read_to_string(file).unwrap();
        let is_child = |other: &&Module| other.len() == module.len() + 1 && other.starts_with(module);
        let children = modules.keys().filter(is_child).map(|child| child[module.len()].as_str()).collect();
        let to: BTreeSet<PathBuf> = paths(module, &children, &code(&text))
            .iter()
            .filter_map(|path| (0..=path.len()).rev().find_map(|len| modules.get(&path[..len])))
            .filter(|to| *to != file)
            .cloned()
            .collect();
        arrows.insert(file.clone(), to);
    }
    arrows
}

/// All files that can be reached from one.
fn reached<'a>(arrows: &'a BTreeMap<PathBuf, BTreeSet<PathBuf>>, from: &'a PathBuf) -> BTreeSet<&'a PathBuf> {
    let (mut seen, mut todo) = (BTreeSet::new(), vec![from]);
    while let Some(file) = todo.pop() {
        for to in &arrows[file] {
            if seen.insert(to) {
                todo.push(to);
            }
        }
    }
    seen
}

/// The largest set of files that all reach each other.
pub fn largest_circle(arrows: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> Vec<&PathBuf> {
    let reach: BTreeMap<_, _> = arrows.keys().map(|file| (file, reached(arrows, file))).collect();
    let circle = |file| reach[file].iter().copied().filter(|to| reach[to].contains(file)).collect::<Vec<_>>();
    arrows.keys().map(circle).max_by_key(Vec::len).unwrap_or_default()
}

#[test]
fn circles_of_files_are_small() {
    for (member, max) in CIRCLES_MAX {
        let source = root().join(member).join("src");
        let arrows = imports(&source);
        let circle = largest_circle(&arrows);
        let names: Vec<_> = circle.iter().map(|file| file.strip_prefix(&source).unwrap()).collect();
        assert!(
            circle.len() <= max,
            "{} files import each other in a circle, {max} may: {names:#?}",
            circle.len()
        );
    }
}

/// The reader of paths sees groups, `super` and paths inside of code.
#[test]
fn paths_are_read() {
    let module: Module = ["a", "b"].map(str::to_owned).into();
    let code = "use crate::{x::{self, Y}, z};\nfn f() { super::g(); super::super::h::i(); l::m(); }\nuse self::j::K;";
    let found: Vec<_> = paths(&module, &["l"].into(), code).iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["x::self", "x::Y", "z", "a::g", "h::i", "a::b::l::m", "a::b::j::K"]);
}
