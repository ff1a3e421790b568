//! The language of docs and texts: subject, verb, object; nothing that needs a second reading.

use std::fs;

use super::{files, root, sources};

/// Openings of a bare relative clause: "Who is told to come again".
const RELATIVE: [&str; 5] = ["Who", "Whose", "Whom", "What", "That"];
/// A person is *they*.
const PERSONS: [&str; 8] = ["he", "his", "him", "himself", "He", "His", "Him", "Himself"];

/// The blocks of doc comments of a source, each with the number of its first line.
fn docs(text: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut in_block = false;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_start();
        match line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) {
            Some(doc) if in_block => {
                let (_, block) = blocks.last_mut().expect("a block has begun");
                block.push(' ');
                block.push_str(doc.trim());
            }
            Some(doc) => blocks.push((at + 1, doc.trim().to_owned())),
            None => {}
        }
        in_block = line.starts_with("///") || line.starts_with("//!");
    }
    blocks
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '\'')
}

#[test]
fn docs_say_what_a_thing_is_or_does() {
    let mut found = Vec::new();
    for path in sources() {
        for (line, doc) in docs(&fs::read_to_string(&path).unwrap()) {
            let place = format!("{}:{line}: {doc}", path.display());
            let first = doc.split_whitespace().next().unwrap_or_default();
            if RELATIVE.contains(&first) && !doc.contains('?') {
                found.push(format!("opens with a relative clause: {place}"));
            }
            // A title in a test's table, such as `# Errors`, stands for more than itself.
            if doc.split_whitespace().count() == 1 && !doc.starts_with(['#', '`', '[']) {
                found.push(format!("has one word: {place}"));
            }
        }
    }
    assert!(found.is_empty(), "{} docs: {found:#?}", found.len());
}

#[test]
fn a_person_is_they() {
    let papers =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "DECISIONS.md", "SECURITY.md"];
    let scripts = [".js", ".html"].iter().flat_map(|ending| files(&root().join("web/assets"), ending));
    let all = sources().into_iter().chain(scripts).chain(papers.iter().map(|name| root().join(name)));
    let mut found = Vec::new();
    for path in all.filter(|path| !path.ends_with("tidy/words.rs")) {
        for (at, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if words(line).any(|word| PERSONS.contains(&word)) {
                found.push(format!("{}:{}: {}", path.display(), at + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{} lines: {found:#?}", found.len());
}
