//! The modules of `node/src` import each other in one direction: the table in ARCHITECTURE.md has their layers.

use std::{collections::BTreeMap, fs, path::Path};

use super::{files, root};

/// The line above the table.
const TABLE: &str = "| layer | modules of `node/src` |";

/// A use of another module.
#[derive(Debug, PartialEq, Eq)]
struct Import {
    line: usize,
    module: String,
}

/// Reads the layer of each module from ARCHITECTURE.md; 0 is the lowest.
fn layers() -> BTreeMap<String, usize> {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, table) = architecture.split_once(TABLE).expect("ARCHITECTURE.md has the table of layers");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut layers = BTreeMap::new();
    for (layer, row) in rows.enumerate() {
        for module in row.split('`').skip(1).step_by(2) {
            assert!(layers.insert(module.to_owned(), layer).is_none(), "two layers have {module}");
        }
    }
    layers
}

/// Returns the top-level module that a file below `node/src` belongs to, and the depth of its module path.
fn module_of(file: &Path) -> (String, usize) {
    let path = file.with_extension("");
    let names: Vec<_> = path.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    let depth = if names.last().is_some_and(|name| name == "mod") { names.len() - 1 } else { names.len() };
    (names[0].clone(), depth)
}

/// Finds the modules of this crate that a source names after `crate::`, or after enough `super::` to reach the root.
fn imports(source: &str, depth: usize) -> Vec<Import> {
    let uncommented = |line: &str| if line.trim_start().starts_with("//") { "" } else { line }.to_owned();
    let code = source.lines().map(uncommented).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for path_to_root in ["crate::".to_owned(), "super::".repeat(depth)] {
        for (at, _) in code.match_indices(&path_to_root) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || "_:".contains(letter)) {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            let modules = first_names(&code[at + path_to_root.len()..]);
            found.extend(modules.into_iter().map(|module| Import { line, module }));
        }
    }
    found
}

/// Returns the first name of a path, or of each path of a use tree.
fn first_names(tree: &str) -> Vec<String> {
    let name = |text: &str| {
        text.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
    };
    let Some(list) = tree.strip_prefix('{') else { return vec![name(tree)] };
    let mut names = vec![name(list)];
    let mut braces = 1;
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => braces += 1,
            '}' if braces == 1 => break,
            '}' => braces -= 1,
            ',' if braces == 1 => names.push(name(&list[at + 1..])),
            _ => {}
        }
    }
    names
}

#[test]
fn the_table_of_layers_has_every_module() {
    let layers = layers();
    for entry in fs::read_dir(root().join("node/src")).unwrap() {
        let module = entry.unwrap().file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        if !["lib", "main"].contains(&module.as_str()) {
            assert!(layers.contains_key(&module), "the table of layers in ARCHITECTURE.md lacks {module}");
        }
    }
}

/// Finds the imports that go against the layers, in the sources below `root`.
pub fn upward_imports(root: &Path) -> Vec<String> {
    let (layers, folder) = (layers(), root.join("node/src"));
    let mut upward = Vec::new();
    for path in files(&folder, ".rs") {
        let file = path.strip_prefix(&folder).unwrap();
        let (module, depth) = module_of(file);
        let Some(&layer) = layers.get(&module) else { continue };
        for import in imports(&fs::read_to_string(&path).unwrap(), depth) {
            let is_upward = layers.get(&import.module).is_some_and(|&other| other >= layer);
            if import.module != module && is_upward {
                let (file, line) = (file.display(), import.line);
                upward.push(format!("node/src/{file}:{line}: {module} imports {}", import.module));
            }
        }
    }
    upward
}

/// Otherwise modules grow into rings: none of them can be read, tested or changed alone.
#[test]
fn modules_import_lower_layers_only() {
    let upward = upward_imports(&root());
    assert!(upward.is_empty(), "these imports go against the layers of ARCHITECTURE.md: {upward:#?}");
}

#[test]
fn imports_are_found_in_paths_and_use_trees() {
    let source = "use crate::{\n    store::{Commit, Op},\n    writer,\n};\n// crate::node\nfn f() -> \
                  crate::web::X {}\nuse super::super::control::Y;\nuse super::sibling;\n";
    let module = |line, module: &str| Import { line, module: module.to_owned() };
    let expected =
        [module(1, "store"), module(1, "writer"), module(1, ""), module(6, "web"), module(7, "control")];
    assert_eq!(imports(source, 2), expected);
}
