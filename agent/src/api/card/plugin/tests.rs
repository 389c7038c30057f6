use serde_json::json;

use super::*;

fn sample() -> Plugin {
    let plugin = json!({
        "name": "redis-memory", "state": "active", "kind": "check", "version": "0.1.0", "title": "Redis memory",
        "digest": "sha256:00", "description": "Memory against its limit.\nBiggest keys.", "risk": "low",
        "idempotent": true,
        "params_schema": {
            "type": "object",
            "properties": {
                "target": {"type": "string", "description": "Which Redis."},
                "samples": {"type": ["integer", "null"], "default": 1000, "description": "Keys to look at."},
                "warning": {"type": "string", "default": "80"}
            },
            "required": ["target"]
        },
        "params": {"warning": "75"},
        "capabilities": [
            {"operation": "redis/info", "target": "{target}", "reason": "to see the memory", "optional": false},
            {"operation": "redis/scan", "target": "{target}", "reason": "to find big keys", "optional": true}
        ],
        "grants": [
            {"target": "redis/cache", "verbs": ["info"]},
            {"target": "redis/cache", "verbs": ["scan", "usage"], "keys": ["cart:*", "session:*"]}
        ],
        "limits": {
            "deadline_seconds": 10.0, "memory_bytes": 67_108_864, "table_elements": 20000, "calls": 500,
            "answer_bytes": 1_048_576, "total_answer_bytes": 16_777_216, "log_lines": 2000, "log_bytes": 262_144,
            "params_bytes": 65_536, "outcome_bytes": 262_144
        },
        "loaded": "2026-03-01T03:00:00.000Z"
    });
    serde_json::from_value(plugin).unwrap()
}

#[test]
fn a_plugin_is_shown_with_what_it_takes_and_what_it_may_do() {
    let expected = r#"ACTIVE redis-memory: Redis memory (0.1.0)

Memory against its limit.
Biggest keys.

Parameters
  samples  integer  = 1000               Keys to look at.
  target   string   required             Which Redis.
  warning  string   = "75" (configured)

Grants
  { redis: cache, verbs: [info] }
  { redis: cache, verbs: [scan, usage], keys: ["cart:*", "session:*"] }
  needs redis/info on {target}: to see the memory
  would like redis/scan on {target}: to find big keys

Limits of a run
  10 s, 64 MiB of memory, 500 calls with answers of 1 MiB each and 16 MiB together, log of 2000 lines and 256 KiB

sha256:00, loaded at 2026-03-01T03:00:00.000Z
"#;
    assert_eq!(plugin(&sample(), Paint::Plain), expected);
}

#[test]
fn a_plugin_that_cannot_run_says_why_and_is_not_clipped() {
    let mut failed = sample().summary;
    let line = "x".repeat(300);
    (failed.state, failed.reason) = (serde_json::from_value(json!("failed")).unwrap(), Some(line.clone()));
    let list = PluginList { plugins: vec![failed, sample().summary] };
    let expected = format!("failed  redis-memory  {line}\nactive  redis-memory  Redis memory (0.1.0)\n");
    assert_eq!(plugins(&list, Paint::Plain), expected);
    assert_eq!(plugins(&PluginList { plugins: vec![] }, Paint::Plain), "no plugins are configured\n");
}
