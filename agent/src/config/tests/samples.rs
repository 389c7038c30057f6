//! What we publish is parsed, so that it stays true.

use super::*;
use crate::config::units::{show_duration, show_size};

fn top() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(in crate::config) fn example() -> String {
    fs::read_to_string(top().join("deploy/examples/paramedic.yaml")).unwrap()
}

fn page() -> String {
    fs::read_to_string(top().join("docs/configuration.md")).unwrap()
}

/// Samples point at secrets that this machine does not have: any variable is set, and the files are made here.
pub(in crate::config) fn parse_sample(name: &str, text: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("pg-main-url"), "postgres://u:p@h/d\n").unwrap();
    fs::write(directory.path().join("paramedic-token-key"), "0".repeat(64)).unwrap();
    fs::write(directory.path().join("paramedic-replicas-key"), "0".repeat(64)).unwrap();
    fs::write(directory.path().join("internal-ca.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    let text = text.replace("/run/secrets", directory.path().to_str().unwrap());
    let environment = |name: &str| match name {
        name if name.starts_with("PG") => Ok("postgres://u:p@h/d".to_owned()),
        name if name.contains("REDIS") => Ok("redis://h".to_owned()),
        name if name.ends_with("_KEY") => env("TOKEN_KEY"),
        _ => Ok("secret".to_owned()),
    };
    match Config::parse(&text, Path::new(name), &environment) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

/// Blocks of the page that begin with ```` ```yaml config ````.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```yaml config\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn files(folder: &str, extension: &str) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(top().join(folder)) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// The text of every configuration that we publish.
pub(in crate::config) fn published() -> Vec<String> {
    let examples = files("deploy/examples", "yaml").into_iter().map(|path| fs::read_to_string(path).unwrap());
    let pages = files("docs", "md").into_iter().chain(files(".", "md"));
    let blocks = pages.flat_map(|path| {
        let page = fs::read_to_string(path).unwrap();
        blocks(&page).into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()
    });
    examples.chain(blocks).collect()
}

#[test]
fn every_example_parses() {
    let examples = files("deploy/examples", "yaml");
    assert!(!examples.is_empty());
    for path in examples {
        parse_sample(path.to_str().unwrap(), &fs::read_to_string(&path).unwrap());
    }
}

#[test]
fn every_sample_in_the_docs_parses() {
    let mut count = 0;
    for path in files("docs", "md").into_iter().chain(files(".", "md")) {
        let page = fs::read_to_string(&path).unwrap();
        for block in blocks(&page) {
            parse_sample(path.to_str().unwrap(), block);
            count += 1;
        }
    }
    assert!(count >= blocks(&page()).len() && !blocks(&page()).is_empty());
}

#[test]
fn the_configuration_of_the_demo_parses() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("secrets")).unwrap();
    let secrets = [
        ("postgres", "postgres://h/d"),
        ("postgres-signal", "postgres://h/d"),
        ("redis", "redis://h"),
        ("queue", "redis://h"),
        ("token-key", "0123456789abcdef0123456789abcdef"),
    ];
    for (name, secret) in secrets {
        fs::write(directory.path().join("secrets").join(name), secret).unwrap();
    }
    let text = fs::read_to_string(top().join("tests/src/bin/demo/paramedic.yaml"))
        .unwrap()
        .replace("@LISTEN@", "127.0.0.1:0")
        .replace("@TOKEN_HMAC@", DIGEST)
        .replace("@SHOP@", "http://127.0.0.1:8080/");
    let config = Config::parse(&text, &directory.path().join("paramedic.yaml"), &env).unwrap();
    assert!(!config.plugins.is_empty() && config.auth.tokens.len() == 1);
}

/// Ask each section for its fields by giving it one that it cannot have.
fn all_fields() -> Vec<String> {
    let sections = [
        "X: 1",
        "server: { X: 1 }",
        "auth: { X: 1 }",
        "auth: { rate: { X: 1 } }",
        "auth: { tokens: [ { X: 1 } ] }",
        "store: { X: 1 }",
        "store: { retain: { X: 1 } }",
        "engine: { X: 1 }",
        "intake: { X: 1 }",
        "signing: { X: 1 }",
        "quarantine: { X: 1 }",
        "targets: { X: 1 }",
        "targets: { postgres: { a: { X: 1 } } }",
        "targets: { redis: { a: { X: 1 } } }",
        "targets: { queue: { a: { X: 1 } } }",
        "targets: { http: { a: { X: 1 } } }",
        "targets: { http: { a: { ca: { X: 1 } } } }",
        "targets: { http: { a: { inverses: [ { X: 1 } ] } } }",
        "targets: { http: { a: { inverses: [ { undo: { X: 1 } } ] } } }",
        "plugins: { p: { X: 1 } }",
        "plugins: { p: { source: { X: 1 } } }",
        "plugins: { p: { grants: [ { X: 1 } ] } }",
        "plugins: { p: { limits: { X: 1 } } }",
        "budgets: [ { X: 1 } ]",
        "scheduler: { X: 1 }",
        "sweeps: { s: { X: 1 } }",
        "sweeps: { s: { checks: [ { X: 1 } ] } }",
        "replicas: { X: 1 }",
    ];
    let mut fields = Vec::new();
    for section in sections {
        let problems = problems_of(section);
        let choices = problems.iter().find_map(|line| line.split_once("there is no such field; choose from "));
        let (_, choices) = choices.unwrap_or_else(|| panic!("{section}: {problems:?}"));
        let names = choices.split(" (").next().unwrap();
        fields.extend(names.split(", ").map(str::to_owned));
    }
    fields
}

#[test]
fn the_example_and_the_page_show_every_field() {
    let (example, page) = (example(), page());
    for field in all_fields() {
        assert!(example.contains(&format!("{field}:")), "the example lacks `{field}`");
        let explained = [format!("`{field}`"), format!("`{{ {field}: ")];
        assert!(explained.iter().any(|form| page.contains(form)), "the page lacks `{field}`");
    }
}

#[test]
fn the_page_tells_the_limits_as_they_are() {
    let (default, ceiling) = (Limits::DEFAULT, Limits::CEILING);
    let size = |bytes: usize| show_size(bytes as u64);
    let rows = [
        ("deadline", show_duration(default.deadline), show_duration(ceiling.deadline)),
        ("memory", size(default.memory_bytes), size(ceiling.memory_bytes)),
        ("table_elements", default.table_elements.to_string(), ceiling.table_elements.to_string()),
        ("calls", default.calls.to_string(), ceiling.calls.to_string()),
        ("answer", size(default.answer_bytes), size(ceiling.answer_bytes)),
        ("total_answer", show_size(default.total_answer_bytes), show_size(ceiling.total_answer_bytes)),
        ("log_lines", default.log_lines.to_string(), ceiling.log_lines.to_string()),
        ("log", size(default.log_bytes), size(ceiling.log_bytes)),
        ("params", size(default.params_bytes), size(ceiling.params_bytes)),
        ("outcome", size(default.outcome_bytes), size(ceiling.outcome_bytes)),
    ];
    let page = page();
    for (field, default, ceiling) in rows {
        let row = format!("| `{field}` | {default} | {ceiling} |");
        assert!(page.contains(&row), "the page lacks {row}");
    }
}

#[test]
fn the_page_lists_every_verb() {
    let page = page();
    for operation in Operation::ALL {
        assert!(page.contains(&format!("`{}`", operation.verb())), "the page lacks {operation}");
    }
}
