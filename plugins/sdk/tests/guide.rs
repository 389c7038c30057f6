//! The guide for authors shows files that are compiled and run here, so that it stays true.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which end by panicking")]

#[path = "mitigation/lib.rs"]
mod mitigation;
#[path = "sample/lib.rs"]
mod sample;

use std::fs;
use std::path::Path;
use std::process::Command;

/// Paths are said from this crate.
fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn guide() -> String {
    read("../../docs/writing-a-plugin.md")
}

/// The blocks of the guide in one language.
fn blocks(guide: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    guide.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_code_in_the_guide_is_the_code_that_is_tested() {
    let shown = blocks(&guide(), "rust");
    let tested = ["sample/lib.rs", "sample/tests.rs", "mitigation/lib.rs", "mitigation/tests.rs"];
    assert_eq!(shown, tested.map(|path| read(&format!("tests/{path}"))));
}

#[test]
fn cargo_understands_the_manifest_in_the_guide() {
    let shown = blocks(&guide(), "toml");
    // Outside of this workspace, as the guide has it.
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("pg-outbox");
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("src/lib.rs"), "").unwrap();
    fs::write(folder.join("Cargo.toml"), &shown[0]).unwrap();
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    assert_eq!(metadata["packages"][0]["name"], "pg-outbox");
    assert_eq!(metadata["packages"][0]["targets"][0]["crate_types"], serde_json::json!(["cdylib"]));
}

/// A module that is added has to be told of.
#[test]
fn the_guide_names_all_modules_of_the_sdk() {
    let guide = guide();
    for module in ["postgres", "redis", "queue", "http", "log", "config", "state", "clock", "human", "testing"] {
        assert!(guide.contains(&format!("`{module}`")), "the guide does not tell of `{module}`");
    }
}
