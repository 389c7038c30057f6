//! Writes everything that it may write for somebody who takes text for markup: a browser would run it, a terminal would obey it. Each
//! piece of script sets the same name, so that one look tells whether any of them ran.

// The bindings reach a host only there.
#![cfg(target_arch = "wasm32")]

use paramedic_sdk::Label;
use paramedic_sdk::bindings;
use paramedic_sdk::bindings::exports::paramedic::plugin::plugin::{
    Failure, Guest, Kind, Metadata, Metric, Outcome, Risk, RunContext, Status, Suggestion, Table,
};
use paramedic_sdk::bindings::paramedic::plugin::log;

/// What runs a script where it is taken for markup.
const IMAGE: &str = "<img src=x onerror=\"globalThis.forged=1\">";
const SCRIPT: &str = "</script><script>globalThis.forged=1</script>";
const LINK: &str = "javascript:globalThis.forged=1";

/// What asks somebody else where it is taken for markup; nobody has this address.
const ELSEWHERE: &str =
    "<iframe src=\"http://127.0.0.1:9/forged\"></iframe><link rel=stylesheet href=//127.0.0.1:9/forged>";

/// What turns the direction of text, and what a terminal would obey.
const TURNED: &str = "user\u{202e}nimda\u{2066}\u{1b}[2J\u{7}end";

/// As many rows as an outcome may have.
const ROWS: usize = 500;

/// One parameter that is named, described, preset and limited to what should stay text.
const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": true,
    "properties": {
        "\" onfocus=\"globalThis.forged=1\" autofocus=\"": {
            "type": "string",
            "description": "<img src=x onerror=globalThis.forged=1> \u202eemarap",
            "default": "\"><script>globalThis.forged=1</script>"
        },
        "<b>choice</b>": { "enum": ["</option><img src=x onerror=globalThis.forged=1>", "javascript:globalThis.forged=1"] },
        "__proto__": { "type": "object" }
    }
}"#;

struct Forger;

bindings::export_component!(Forger with_types_in bindings);

impl Guest for Forger {
    fn describe() -> Metadata {
        Metadata {
            name: "forger".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kind: Kind::Check,
            title: format!("{IMAGE}{TURNED}"),
            description: format!("{SCRIPT}\n[a link]({LINK})\n{ELSEWHERE}"),
            runbook: Some(LINK.to_owned()),
            params_schema: SCHEMA.to_owned(),
            capabilities: Vec::new(),
            time_limit: 60.0,
            risk: Risk::Low,
            idempotent: true,
            labels: vec![label()],
        }
    }

    fn run(_: RunContext, _: String) -> Result<Outcome, Failure> {
        log::emit(log::Level::Error, &format!("{SCRIPT}{TURNED}\n{IMAGE}"), &[label()]);
        Ok(Outcome {
            status: Status::Critical,
            summary: format!("{IMAGE}{SCRIPT}{TURNED}"),
            details: Some(format!("# {IMAGE}\n[a link]({LINK})\n{ELSEWHERE}\n{TURNED}")),
            metrics: vec![metric()],
            findings: vec![table()],
            suggestions: ["forger", "nobody-knows"].map(suggestion).to_vec(),
            labels: vec![label()],
        })
    }
}

fn label() -> Label {
    Label { name: IMAGE.to_owned(), value: SCRIPT.to_owned() }
}

fn metric() -> Metric {
    let unit = format!("{{{IMAGE}}}");
    Metric { name: "used".to_owned(), value: 7.0, unit, warn: Some(1.0), critical: Some(2.0), labels: vec![label()] }
}

fn table() -> Table {
    let row = |number: usize| vec![format!("row {number}"), IMAGE.to_owned(), LINK.to_owned(), TURNED.to_owned()];
    let columns = ["row", SCRIPT, LINK, TURNED].map(str::to_owned).to_vec();
    Table { title: format!("{IMAGE}{TURNED}"), columns, rows: (1..=ROWS).map(row).collect() }
}

fn suggestion(plugin: &str) -> Suggestion {
    let params = format!(
        r#"{{"{LINK}":"{TEXT}","__proto__":{{"forged":1}}}}"#,
        TEXT = "<img src=x onerror=globalThis.forged=1>"
    );
    Suggestion { plugin: plugin.to_owned(), params, reason: format!("{IMAGE}{LINK}"), confidence: 0.5 }
}
