use serde_json::json;

use super::*;

fn sample() -> Run {
    let run = json!({
        "id": "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b", "plugin": "pg-connections", "version": "0.1.0",
        "digest": "sha256:00", "mode": "check", "trigger": "manual", "actor": "alice", "state": "critical",
        "params": {"target": "main", "warning": 0.8},
        "started": "2026-03-01T03:14:15.926Z", "finished": "2026-03-01T03:14:15.951Z",
        "outcome": {
            "status": "critical",
            "summary": "45 of 47 connections are used, 42 of them by checkout-api",
            "details": "The pool of checkout-api is not given back.\n\nIdle for 12 minutes at least.",
            "metrics": [
                {"name": "connections_used", "value": 45.0, "unit": "1", "warn": 37.0, "critical": 42.0, "labels": []},
                {
                    "name": "oldest_idle", "value": 754.2, "unit": "s",
                    "labels": [{"name": "application", "value": "checkout-api"}]
                }
            ],
            "findings": [{
                "title": "Connections by application",
                "columns": ["application", "connections"],
                "rows": [["checkout-api", "42"], ["psql", "3"]]
            }],
            "suggestions": [{
                "plugin": "pg-idle-connections", "params": {"target": "main"},
                "reason": "names the leak by age and client", "confidence": 0.9
            }],
            "labels": []
        },
        "usage": {
            "duration_seconds": 0.0253, "memory_bytes": 1_179_648, "calls": 2, "answer_bytes": 5120,
            "dropped_log_lines": 0
        },
        "calls": [
            {
                "sequence": 1, "operation": "postgres/sessions", "target": "postgres/main", "arguments": {},
                "decision": "permitted", "started": "2026-03-01T03:14:15.930Z", "duration_seconds": 0.0042,
                "answer_bytes": 5120, "answer_digest": "sha256:00"
            },
            {
                "sequence": 2, "operation": "postgres/query", "target": "postgres/main", "arguments": {},
                "decision": "not_granted", "started": "2026-03-01T03:14:15.940Z", "duration_seconds": 0.00001,
                "answer_bytes": 0,
                "error": "postgres/query on postgres/main is denied (not_granted): not granted; to allow it add plugins.pg-connections.grants: - { postgres: main, verbs: [query] }"
            }
        ],
        "log": [
            {"time": "2026-03-01T03:14:15.935Z", "level": "warn", "source": "plugin", "message": "no pg_stat_ssl",
             "fields": [{"name": "version", "value": "15"}]}
        ]
    });
    serde_json::from_value(run).unwrap()
}

#[test]
fn a_brief_card_says_what_is_wrong_and_what_to_type_next() {
    let expected = "\
CRITICAL pg-connections: 45 of 47 connections are used, 42 of them by checkout-api

The pool of checkout-api is not given back.

Idle for 12 minutes at least.

  connections_used                                45  warn 37  critical 42
  oldest_idle{application=checkout-api}  12 min 34 s

Connections by application
  application   connections
  checkout-api           42
  psql                    3

Next
  paramedic run pg-idle-connections -p target=main
      names the leak by age and client

Denied
  postgres/query on postgres/main is denied (not_granted): not granted; to allow it add plugins.pg-connections.grants: - { postgres: main, verbs: [query] }

run 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b of pg-connections 0.1.0: 25.3 ms, 2 calls, 1.12 MiB of memory; for alice at 2026-03-01T03:14:15.926Z
more: paramedic runs show 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b
";
    assert_eq!(run(&sample(), Detail::Brief, Paint::Plain), expected);
}

#[test]
fn a_full_card_has_parameters_calls_and_log_too() {
    let card = run(&sample(), Detail::Full, Paint::Plain);
    let (_, tail) = card.split_once("\nAgain\n").unwrap();
    let expected = "  paramedic run pg-connections -p target=main -p warning=0.8

Calls
  #  call               target           time  answer  decision
  1  postgres/sessions  postgres/main  4.2 ms   5 KiB  permitted
  2  postgres/query     postgres/main   10 µs     0 B  not_granted
      postgres/query on postgres/main is denied (not_granted): not granted; to allow it add plugins.pg-connections.grants: - { postgres: main, verbs: [query] }

Log
  03:14:15.935 warn  plugin: no pg_stat_ssl version=15

run 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b of pg-connections 0.1.0: 25.3 ms, 2 calls, 1.12 MiB of memory; for alice at 2026-03-01T03:14:15.926Z
everything: paramedic runs show 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b -o json
";
    assert_eq!(tail, expected);
}

#[test]
fn a_run_without_a_verdict_says_why_and_shows_the_end_of_its_log() {
    let mut failed = sample();
    failed.outcome = None;
    let failure = json!({"kind": "deadline", "message": "it ran longer than 10 s"});
    failed.failure = Some(serde_json::from_value(failure).unwrap());
    let line = failed.log[0].clone();
    failed.log = (1..=57).map(|n| LogLine { message: format!("step {n}\nand more"), ..line.clone() }).collect();
    let card = run(&failed, Detail::Brief, Paint::Plain);
    assert!(card.starts_with("UNKNOWN pg-connections: no verdict (deadline): it ran longer than 10 s\n"), "{card}");
    assert!(card.contains("\nLog, the last 10 of 57 lines\n"), "{card}");
    assert!(!card.contains("step 47\n") && card.contains("plugin: step 48\n      and more version=15\n"), "{card}");
}

#[test]
fn a_run_under_way_says_since_when() {
    let mut open = sample();
    (open.outcome, open.finished) = (None, None);
    let card = run(&open, Detail::Brief, Paint::Plain);
    assert!(card.starts_with("RUNNING pg-connections: since 2026-03-01T03:14:15.926Z\n"), "{card}");
    assert!(card.contains(": under way; for alice"), "{card}");
}

#[test]
fn what_is_left_out_is_said() {
    let mut long = sample();
    let outcome = long.outcome.as_mut().unwrap();
    outcome.details = Some("line\n".repeat(100));
    outcome.findings[0].rows = vec![vec!["a".to_owned(), "1".to_owned()]; 500];
    let card = run(&long, Detail::Brief, Paint::Plain);
    assert!(card.contains("… and 40 more lines") && card.contains("… and 460 more rows"), "{card}");
}

/// Every text of a run, replaced by one that a terminal would obey.
fn hostile(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => text.push_str("\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\r"),
        serde_json::Value::Array(list) => list.iter_mut().for_each(hostile),
        serde_json::Value::Object(map) => map.values_mut().for_each(hostile),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

#[test]
fn nothing_in_a_run_reaches_the_terminal_as_a_command() {
    let mut value = serde_json::to_value(sample()).unwrap();
    value["failure"] = json!({"kind": "trap", "message": "x"});
    hostile(&mut value);
    let run_of = |value| serde_json::from_value::<Run>(value).unwrap();
    let mut failed = value.clone();
    failed["outcome"] = serde_json::Value::Null;
    for run_value in [value, failed] {
        for detail in [Detail::Brief, Detail::Full] {
            let card = run(&run_of(run_value.clone()), detail, Paint::Plain);
            let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!card.contains(obeyed), "{card:?}");
        }
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = run(&sample(), Detail::Full, Paint::Colours);
    assert!(coloured.starts_with("\u{1b}[1m\u{1b}[31mCRITICAL\u{1b}[0m pg-connections"), "{coloured:?}");
    let stripped = anstream::adapter::strip_str(&coloured).to_string();
    assert_eq!(stripped, run(&sample(), Detail::Full, Paint::Plain));
}
