//! What is published about metrics speaks of metrics that there are.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(top().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// The names under which metrics are registered, without the ending that the format adds for a counter or a histogram.
fn registered() -> BTreeSet<String> {
    let plain = Regex::new(r#"register\(\s*"([a-z_]+)""#).unwrap();
    let with_unit = Regex::new(r#"(?s)register_with_unit\(\s*"([a-z_]+)".*?Unit::([A-Z][a-z]+)"#).unwrap();
    let sources = [files("agent/src", "rs"), files("agent/src/telemetry", "rs")].concat();
    let mut names = BTreeSet::new();
    for path in sources.iter().filter(|path| path.display().to_string().contains("telemetry")) {
        let source = fs::read_to_string(path).unwrap();
        names.extend(plain.captures_iter(&source).map(|found| format!("paramedic_{}", &found[1])));
        let unit = |found: regex::Captures<'_>| format!("paramedic_{}_{}", &found[1], found[2].to_lowercase());
        names.extend(with_unit.captures_iter(&source).map(unit));
    }
    names
}

/// The metric that a series belongs to.
fn metric(series: &str) -> &str {
    ["_total", "_bucket", "_count", "_sum", "_info"].iter().find_map(|end| series.strip_suffix(end)).unwrap_or(series)
}

#[test]
fn alerts_dashboard_and_pages_name_metrics_that_exist() {
    let registered = registered();
    assert!(registered.contains("paramedic_runs") && registered.contains("paramedic_run_duration_seconds"));
    let published =
        [files("deploy/monitoring", "yaml"), files("deploy/monitoring", "json"), files("docs", "md")].concat();
    let series = Regex::new(r"\bparamedic_[a-z_]+[a-z]\b").unwrap();
    let mut seen = BTreeSet::new();
    for path in &published {
        let text = fs::read_to_string(path).unwrap();
        for found in series.find_iter(&text).map(|found| found.as_str()) {
            // Names of another kind: a role of Postgres, the guest library.
            if ["paramedic_monitor", "paramedic_sdk", "paramedic_signal"].contains(&found) {
                continue;
            }
            assert!(registered.contains(metric(found)), "{}: there is no metric `{found}`", path.display());
            seen.insert(metric(found).to_owned());
        }
    }
    let untold: Vec<_> = registered.difference(&seen).collect();
    assert!(untold.is_empty(), "neither the pages nor the alerts speak of {untold:?}");
}

#[test]
fn the_dashboard_and_the_alerts_can_be_read() {
    for path in files("deploy/monitoring", "json") {
        let board: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let panels = board["panels"].as_array().unwrap();
        assert!(panels.len() > 5 && panels.iter().all(|panel| panel["targets"][0]["expr"].is_string()));
    }
    for path in files("deploy/monitoring", "yaml") {
        let rules: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let rules = rules["groups"][0]["rules"].as_array().unwrap();
        for rule in rules {
            assert!(rule["alert"].is_string() && rule["expr"].is_string(), "{rule}");
            assert!(rule["labels"]["severity"].is_string() && rule["annotations"]["summary"].is_string(), "{rule}");
        }
    }
}
