//! Texts for users lie in one place per surface, ready for a second language: refusals in `protocol/src/texts`, the
//! commands and the status of a node in `node/src/texts.rs`, the pages in `web/src/pages/texts.rs` and `texts.js`.

use std::fs;

use super::{shipped, sources};

/// Code that puts a text before users. A literal with a space right behind it is a text.
const OPENINGS: [&str; 9] = [
    "say(",
    "print_result(",
    "print_to_stderr(",
    "reasons.push(",
    "problems.push(",
    "Refusal::invalid(",
    "Answer::Done(",
    "Answer::Error(",
    "let detail = ",
];

/// Returns the rest of the code behind each place where a text for users may begin.
fn places(code: &str) -> Vec<usize> {
    let mut places: Vec<_> = OPENINGS
        .iter()
        .flat_map(|opening| code.match_indices(opening).map(|(at, _)| at + opening.len()))
        .collect();
    for (at, opening) in code.match_indices("ErrorCode::") {
        let name = at + opening.len();
        let end = code[name..].find(|letter: char| !letter.is_alphanumeric()).unwrap_or(0);
        if code[name + end..].starts_with(',') {
            places.push(name + end + 1);
        }
    }
    places
}

/// Returns the text that begins here, if one does.
fn text_at(code: &str) -> Option<&str> {
    let mut rest = code.trim_start();
    for wrapper in ["format!(", "format_args!("] {
        rest = rest.strip_prefix(wrapper).map_or(rest, str::trim_start);
    }
    let text = rest.strip_prefix('"')?;
    let text = &text[..text.find('"')?];
    // Values alone, such as `{place}: {reason}`, are no text.
    let words = text.split(['{', '}']).step_by(2).collect::<String>();
    (words.contains(' ') && words.contains(char::is_alphabetic)).then_some(text)
}

#[test]
fn texts_lie_in_one_place_per_surface() {
    let mut found = Vec::new();
    for path in sources() {
        let name = path.to_string_lossy();
        let is_test = name.contains("/tests") || name.contains("test_") || name.ends_with("_tests.rs");
        if is_test || name.contains("/bench/") || name.contains("stub_services") || name.contains("/texts") {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let code = shipped(&source);
        for text in places(code).into_iter().filter_map(|at| text_at(&code[at..])) {
            found.push(format!("{name}: {text}"));
        }
    }
    assert!(found.is_empty(), "{} texts: {found:#?}", found.len());
}
