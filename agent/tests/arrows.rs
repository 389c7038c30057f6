//! Keeps the map of `ARCHITECTURE.md` true: which module may know which.
//!
//! It reads the paths that begin with `crate::` in `src/`. A module that is not in the table, and an arrow that is not in its
//! row, fails with the file and the line.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may unwrap")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Module, the modules of ours that it may name, and the libraries that it must not.
const MAP: &[(&str, &[&str], &[&str])] = &[
    ("domain", &[], &["tokio", "wasmtime", "axum", "rusqlite", "reqwest", "redis", "tokio_postgres", "serde"]),
    ("canonical", &[], &["tokio", "wasmtime", "axum", "rusqlite", "reqwest", "redis", "tokio_postgres"]),
    ("clock", &["domain"], &["tokio", "wasmtime", "axum", "rusqlite"]),
    ("config", &["domain"], &["tokio", "wasmtime", "axum", "rusqlite", "redis", "tokio_postgres"]),
    ("policy", &["domain"], &["tokio", "wasmtime", "axum", "rusqlite", "redis", "tokio_postgres", "reqwest"]),
    ("recording", &["domain"], &["tokio", "wasmtime", "axum", "rusqlite", "redis", "tokio_postgres", "reqwest"]),
    ("store", &["canonical", "domain", "clock"], &["wasmtime", "axum", "redis", "tokio_postgres", "reqwest"]),
    ("clients", &["domain", "clock", "policy", "journal"], &["wasmtime", "axum", "rusqlite"]),
    (
        "journal",
        &["canonical", "domain", "clock", "policy", "recording"],
        &["wasmtime", "axum", "rusqlite", "redis", "tokio_postgres", "reqwest"],
    ),
    (
        "host",
        &["domain", "clock", "policy", "recording", "journal", "clients"],
        &["axum", "rusqlite", "redis", "tokio_postgres", "reqwest"],
    ),
    (
        "engine",
        &["domain", "clock", "policy", "recording", "journal", "host"],
        &["axum", "rusqlite", "redis", "tokio_postgres", "reqwest"],
    ),
    (
        "replay",
        &["domain", "clock", "policy", "recording", "host", "engine"],
        &["axum", "rusqlite", "redis", "tokio_postgres", "reqwest"],
    ),
    ("telemetry", &["domain"], &["wasmtime", "axum", "rusqlite"]),
    (
        "catalog",
        &["domain", "clock", "policy", "store", "host", "engine", "telemetry"],
        &["axum", "rusqlite", "redis", "tokio_postgres", "reqwest"],
    ),
    (
        "replicas",
        &["domain", "clock", "store", "telemetry"],
        &["wasmtime", "axum", "rusqlite", "redis", "tokio_postgres", "reqwest"],
    ),
    (
        "runner",
        &["domain", "clock", "recording", "store", "engine", "catalog", "replicas", "telemetry"],
        &["wasmtime", "axum", "rusqlite", "redis", "tokio_postgres", "reqwest"],
    ),
    (
        "scheduler",
        &["domain", "clock", "store", "telemetry"],
        &["wasmtime", "axum", "rusqlite", "redis", "tokio_postgres", "reqwest"],
    ),
    (
        "api",
        &["domain", "clock", "policy", "recording", "store", "catalog", "replicas", "runner", "scheduler", "telemetry"],
        &["wasmtime", "rusqlite", "redis", "tokio_postgres"],
    ),
    (
        "cli",
        &["domain", "clock", "policy", "config", "recording", "replay", "api"],
        &["wasmtime", "rusqlite", "redis", "tokio_postgres"],
    ),
];

/// `app` joins everything and `main` starts it; `lib` lists the modules.
const EXEMPT: &[&str] = &["app", "main", "lib"];

#[test]
fn no_module_knows_more_than_the_map_says() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in rust_files(&source) {
        let module = module_of(&source, &file);
        // A test may build what its module stands on.
        if EXEMPT.contains(&module.as_str()) || file.iter().any(|part| part == "tests" || part == "tests.rs") {
            continue;
        }
        let Some((_, ours, theirs)) = MAP.iter().find(|(name, ..)| *name == module) else {
            wrong.push(format!("{}: `{module}` is not on the map", file.display()));
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            for known in known_modules(code) {
                if known != module && !ours.contains(&known.as_str()) {
                    wrong.push(format!("{}:{number}: `{module}` must not know `{known}`", file.display()));
                }
            }
            for library in theirs.iter().filter(|library| code.contains(&format!("{library}::"))) {
                // `crate::clients::redis::` is ours.
                if !code.contains(&format!("crate::clients::{library}::")) && names_library(code, library) {
                    wrong
                        .push(format!("{}:{number}: `{module}` must not know the library `{library}`", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_map_exists() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (module, ..) in MAP {
        assert!(source.join(format!("{module}.rs")).is_file(), "{module}");
    }
}

#[test]
fn unsafe_code_stands_in_one_place() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let with_unsafe: BTreeMap<PathBuf, usize> = rust_files(&source)
        .into_iter()
        .map(|file| (file.strip_prefix(&source).unwrap().to_owned(), fs::read_to_string(&file).unwrap()))
        .map(|(file, text)| (file, text.matches("unsafe {").count() + text.matches("unsafe fn").count()))
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(with_unsafe, BTreeMap::from([(PathBuf::from("engine/artefacts.rs"), 1)]));
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The first folder, or the file, below `src`.
fn module_of(source: &Path, file: &Path) -> String {
    let first = file.strip_prefix(source).unwrap().iter().next().unwrap();
    Path::new(first).file_stem().unwrap().to_str().unwrap().to_owned()
}

/// The modules that a line names: `crate::x` and `crate::{x, y::z}`.
fn known_modules(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(list.split([',', '}']).filter_map(|item| word(item.trim()))),
            None => found.extend(word(rest)),
        }
    }
    found
}

fn word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    word.starts_with(char::is_lowercase).then_some(word)
}

/// True when `library::` stands at the beginning of a path, not inside one.
fn names_library(code: &str, library: &str) -> bool {
    code.match_indices(&format!("{library}::")).any(|(at, _)| {
        let before = &code[..at];
        !before.ends_with("::") && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
    })
}
