//! The layers of the library: a module imports from those below it, never from one above or beside it. Reads the `crate::` paths of every source
//! file, tests and comments left out.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Modules by layer, the lowest first. Those of one layer may not see each other.
const LAYERS: [&[&str]; 11] = [
    &["types"],
    &["numeric"],
    &["ops"],
    &["fragments"],
    &["cpu", "graph", "reference", "shader"],
    &["plan"],
    &["gpu"],
    &["validate"],
    &["tune"],
    &["session"],
    &["train", "validate_network"],
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Code without comments and without the test module at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim().starts_with("#[doc"))
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The modules that `crate::x` and `crate::{x::.., y}` name.
fn named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => drop(names.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())),
            Some(group) => {
                let (mut depth, mut name) = (0, String::new());
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => drop(names.insert(std::mem::take(&mut name))),
                        c if depth == 0 && !c.is_whitespace() => name.push(c),
                        _ => {}
                    }
                }
                names.insert(name);
            }
        }
    }
    names.into_iter().map(|name| name.split("::").next().unwrap_or_default().to_string()).collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn modules_import_from_lower_layers_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    sources(&root, &mut files);
    assert!(files.len() > 50, "only {} files: is this the source?", files.len());
    let mut against = vec![];
    for file in files {
        let path = file.strip_prefix(&root).unwrap();
        let module = path.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_string();
        // The root names everything; files of tests alone name what they test.
        if ["lib", "face", "open", "sealed"].contains(&module.as_str())
            || path.file_name().is_some_and(|name| name == "tests.rs" || name == "properties.rs")
        {
            continue;
        }
        let own = layer(&module).unwrap_or_else(|| panic!("{module} has no layer: add it to LAYERS"));
        for name in named(&code(&std::fs::read_to_string(&file).unwrap())) {
            // What begins with a capital letter, or is a macro, is re-exported by the root: name the module that has it.
            let Some(other) = layer(&name) else { panic!("{}: crate::{name} names no module of LAYERS", path.display()) };
            if other >= own && name != module {
                against.push(format!("{} imports {name}", path.display()));
            }
        }
    }
    assert!(against.is_empty(), "against the order:\n{}", against.join("\n"));
}

#[test]
fn paths_are_read_as_they_are_written() {
    let text = "use crate::a::B;\nuse crate::{c::{D, e}, f};\nlet x = crate::g::h(); // crate::no\n#[cfg(test)]\nmod tests { use crate::no; }";
    assert_eq!(named(&code(text)).into_iter().collect::<Vec<_>>(), ["a", "c", "f", "g"]);
}
