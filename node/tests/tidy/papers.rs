//! The papers tell the truth: crates and their arrows, the store's version, every setting, every file that is named.

use std::collections::BTreeSet;
use std::fs;

use clap::{Arg, CommandFactory, Parser};
use starling_node::config::{Config, Flags};
use starling_node::store::SCHEMA_VERSION;

use super::root;

/// Flags that are no settings: they are neither in the environment nor in the file.
const FLAGS_ALONE: [&str; 3] = ["help", "version", "fresh"];
/// Settings that the file cannot hold.
const NOT_IN_FILE: [&str; 1] = ["config"];
const PAPERS: [&str; 6] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "DECISIONS.md", "SECURITY.md"];
/// Between these lines README.md has the tables that this test makes.
const SETTINGS: [&str; 2] = [
    "<!-- settings: written by STARLING_WRITE_PAPERS=1 cargo test -p starling-node --test tidy settings -->\n",
    "<!-- end of settings -->\n",
];
const PICTURE_BYTES_MAX: u64 = 150_000;
const NUMBERS: [&str; 10] = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine"];

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The folders of the workspace's crates.
fn members() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let line = manifest.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    quoted(line, '"').into_iter().map(str::to_owned).collect()
}

/// The texts between pairs of this sign.
fn quoted(text: &str, sign: char) -> Vec<&str> {
    text.split(sign).skip(1).step_by(2).collect()
}

#[test]
fn architecture_lists_the_crates_of_the_workspace() {
    let (architecture, members) = (read("ARCHITECTURE.md"), members());
    let count = format!("{} crates", NUMBERS[members.len()]);
    assert!(architecture.contains(&count), "ARCHITECTURE.md does not say: {count}");
    for member in members {
        let line = format!("\n    {member}/ ");
        assert!(architecture.contains(&line), "ARCHITECTURE.md does not list the crate {member}");
    }
}

#[test]
fn architecture_draws_the_arrows_of_the_manifests() {
    let mut depends = BTreeSet::new();
    for member in members() {
        for line in read(&format!("{member}/Cargo.toml")).lines() {
            if let Some(rest) = line.strip_prefix("starling-") {
                let name = rest.split(['.', ' ']).next().unwrap();
                let folder = members().into_iter().find(|folder| folder.ends_with(name)).unwrap();
                depends.insert((member.clone(), folder));
            }
        }
    }
    let architecture = read("ARCHITECTURE.md");
    let mut drawn = BTreeSet::new();
    for chain in quoted(&architecture, '`').into_iter().filter(|text| text.contains(" → ")) {
        let crates: Vec<_> = chain.split(" → ").map(str::to_owned).collect();
        if crates.iter().all(|name| members().contains(name)) {
            drawn.extend(crates.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())));
        }
    }
    assert_eq!(
        drawn, depends,
        "left: the arrows of ARCHITECTURE.md; right: the dependencies in the manifests"
    );
}

/// Wherever a paper says 'store version N', it is the version that this build writes.
#[test]
fn the_papers_know_the_version_of_the_store() {
    for name in PAPERS {
        let text = read(name).to_lowercase();
        for (_, rest) in
            text.match_indices("store version ").map(|(at, found)| text[at..].split_at(found.len()))
        {
            let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
            assert_eq!(number, SCHEMA_VERSION.to_string(), "{name} says: store version {number}");
        }
    }
    assert!(read("ARCHITECTURE.md").to_lowercase().contains("store version "));
}

#[test]
fn files_that_the_papers_name_exist() {
    let folders = ["compose/", "node/", "protocol/", "web/", "bench/"];
    for name in PAPERS {
        let text = read(name);
        let words = text.split(|end: char| end.is_whitespace() || "`()[]<>{},;:\"'".contains(end));
        for word in words.filter(|word| folders.iter().any(|folder| word.starts_with(folder))) {
            // In the middle of a sentence, or a placeholder such as GROUP.rs.
            let path = word.trim_end_matches(['.', '/']);
            if !path.chars().any(|letter| letter.is_ascii_uppercase()) || path.ends_with("REPORT.md") {
                assert!(root().join(path).exists(), "{name} names {path}, which does not exist");
            }
        }
    }
}

#[test]
fn the_picture_is_small() {
    let picture = "compose/quick-room.png";
    assert!(read("README.md").contains(&format!("]({picture})")));
    let bytes = fs::metadata(root().join(picture)).unwrap().len();
    assert!(bytes < PICTURE_BYTES_MAX, "{picture} has {bytes} bytes");
}

/// Every flag has an environment variable and a key in the file, every key has a flag, and README.md has all three.
#[test]
fn the_settings_are_documented() {
    let keys = keys_of_the_file();
    let mut without_flag = keys.clone();
    let mut sections = Vec::<(String, Vec<String>)>::new();
    for arg in Flags::command().get_arguments().filter(|arg| !FLAGS_ALONE.contains(&arg.get_id().as_str())) {
        let flag = arg.get_long().expect("a setting has a long flag");
        let variable = arg.get_env().unwrap_or_else(|| panic!("--{flag} has no environment variable"));
        let variable = variable.to_str().unwrap();
        let written = variable.strip_prefix("STARLING_").unwrap().to_lowercase();
        let key = keys.iter().find(|key| key.replace('.', "_") == written);
        assert!(
            key.is_some() || NOT_IN_FILE.contains(&flag),
            "{variable} has no key in the file: expected [SECTION] KEY to be SECTION_KEY"
        );
        let section = key.and_then(|key| key.split_once('.')).map_or("", |(section, _)| section);
        let row = row(arg, key, variable);
        if let Some(key) = key {
            without_flag.remove(key);
        }
        match sections.iter_mut().find(|(name, _)| name == section) {
            Some((_, rows)) => rows.push(row),
            None => sections.push((section.to_owned(), vec![row])),
        }
    }
    assert!(without_flag.is_empty(), "these keys of the file have no flag: {without_flag:?}");

    let mut tables =
        "\n| in the file | flag, environment | default | meaning |\n|---|---|---|---|\n".to_owned();
    for row in sections.iter().flat_map(|(_, rows)| rows) {
        tables.push_str(row);
    }
    tables.push('\n');
    let readme = read("README.md");
    let (before, rest) = readme.split_once(SETTINGS[0]).expect("README.md has a place for the settings");
    let (written, after) = rest.split_once(SETTINGS[1]).expect("it has an end");
    if written != tables && std::env::var_os("STARLING_WRITE_PAPERS").is_some() {
        let text = [before, SETTINGS[0], &tables, SETTINGS[1], after].concat();
        fs::write(root().join("README.md"), text).unwrap();
        return;
    }
    let differs = tables.lines().find(|line| !written.lines().any(|written| written == *line));
    assert!(
        written == tables,
        "README.md does not show the settings as they are; write them with STARLING_WRITE_PAPERS=1 cargo test -p \
         starling-node --test tidy settings; the first that differs: {differs:?}"
    );
}

/// One line of the table. The help of a flag ends with its default; that of a limit says how limits are written.
fn row(arg: &Arg, key: Option<&String>, variable: &str) -> String {
    let help = arg.get_help().expect("a flag has a help text").to_string();
    let (meaning, default) = match help.split_once(" [default: ") {
        Some((meaning, default)) => (meaning, default.trim_end_matches(['.', ']'])),
        None => (help.as_str(), ""),
    };
    let meaning = meaning.split_once(": so many at once").map_or(meaning, |(meaning, _)| meaning);
    let value = arg.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
    let flag = arg.get_long().unwrap();
    let key = key.map_or(String::new(), |key| format!("`{key}`"));
    format!("| {key} | `--{flag} {value}` `{variable}` | {default} | {} |\n", meaning.replace('|', "\\|"))
}

/// The keys that the file may hold, such as `http.listen`: a wrong one is refused with the right ones.
fn keys_of_the_file() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for name in expected("no_such_key = 1").expect("an unknown key is refused") {
        match expected(&format!("[{name}]\nno_such_key = \"1\"")) {
            Some(within) => keys.extend(within.iter().map(|key| format!("{name}.{key}"))),
            None => _ = keys.insert(name),
        }
    }
    keys
}

/// The keys that the refusal of an unknown key offers; `None` if another mistake comes first.
fn expected(toml: &str) -> Option<Vec<String>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), toml).unwrap();
    let flags = Flags::try_parse_from(["starling", "--config", file.path().to_str().unwrap()]).unwrap();
    let refusal = Config::resolve(flags.serve).unwrap_err().to_string();
    let (_, rest) = refusal.split_once("`no_such_key`, expected ")?;
    Some(quoted(rest, '`').into_iter().map(str::to_owned).collect())
}
