//! What is told to be different, and what is not.

use serde_json::json;

use super::*;
use crate::recording::{Refused, read};

const QUERY: &str = "postgres/query";
const END: &str = "postgres-actions/terminate-session";

fn call(operation: &str, arguments: Value, answer: Answer) -> Call {
    Call { operation: operation.to_owned(), target: "postgres/main".to_owned(), arguments, answer, beside: None }
}

fn query(sql: &str) -> Call {
    call(QUERY, json!({ "sql": sql }), Answer::Ok(json!(1)))
}

fn change(pid: u32, sequence: u32) -> Call {
    let receipt =
        json!({ "disposition": "planned", "sequence": sequence, "summary": format!("end the session {pid}") });
    call(END, json!({ "pid": pid }), Answer::Ok(receipt))
}

fn unknown(call: Call) -> Call {
    Call { answer: Answer::Error(Refused::Unavailable { message: "no answer".to_owned() }), ..call }
}

fn recording(calls: Vec<Call>, ending: Value) -> Recording {
    let document = json!({
        "format": 1, "run": "019c0000-0000-7000-8000-000000000000", "plugin": "probe", "version": "1.0.0",
        "component": format!("sha256:{}", "0".repeat(64)), "mode": "plan", "trigger": "manual", "started": 1,
        "params": {}, "grants": [], "settings": {}, "seed": "", "clocks": {}, "calls": calls, "ending": ending,
        "limits": {
            "deadline_ms": 1, "memory_bytes": 1, "table_elements": 1, "calls": 1, "answer_bytes": 1,
            "total_answer_bytes": 1, "log_lines": 1, "log_bytes": 1, "params_bytes": 1, "outcome_bytes": 1,
        },
    });
    read(document.to_string().as_bytes()).unwrap()
}

fn compared(then: Vec<Call>, now: Vec<(Call, Option<usize>)>, ends: (Value, Value)) -> Report {
    let (calls, answered_by) = now.into_iter().unzip();
    let taped = Taped { calls, answered_by, ..Taped::default() };
    let version = Version { version: "1.1.0".to_owned(), component: String::new() };
    compare(&recording(then, ends.0), &taped, ends.1, version)
}

fn same_end() -> (Value, Value) {
    (json!({ "status": "ok" }), json!({ "status": "ok" }))
}

#[test]
fn the_same_calls_and_changes_are_the_same_whatever_their_numbers_are() {
    let report =
        compared(vec![query("a"), change(7, 2)], vec![(query("a"), Some(0)), (change(7, 5), Some(1))], same_end());
    assert!(report.same, "{report:?}");
    assert_eq!((report.same_calls, report.same_changes), (2, 1));
}

#[test]
fn each_way_in_which_a_call_is_different_has_its_name() {
    let now = vec![
        (unknown(query("A")), None),
        (unknown(call("redis/ping", json!({}), Answer::None)), None),
        (unknown(query("b")), Some(1)),
    ];
    let report = compared(vec![query("a"), query("b"), query("c")], now, same_end());
    let told: Vec<_> = report.calls.iter().map(|call| (call.how, call.operation.as_str())).collect();
    assert_eq!(
        told,
        [(How::OtherArguments, QUERY), (How::New, "redis/ping"), (How::OtherAnswer, QUERY), (How::Gone, QUERY)]
    );
    assert_eq!(report.calls[0].recorded, Some(json!({ "sql": "a" })));
    assert_eq!(report.calls[0].error.as_deref(), Some("unavailable: no answer"));
    assert!(!report.same && report.same_calls == 0);
}

#[test]
fn a_change_that_is_gone_or_new_or_elsewhere_is_told_by_itself() {
    let now = vec![(change(8, 1), Some(1)), (change(7, 2), Some(0)), (unknown(change(10, 0)), None)];
    let report = compared(vec![change(7, 1), change(8, 2), change(9, 3)], now, same_end());
    let told: Vec<_> = report.changes.iter().map(|change| (change.how, change.arguments.clone())).collect();
    assert_eq!(told, [(How::Gone, json!({ "pid": 9 })), (How::New, json!({ "pid": 10 }))]);
    assert_eq!(report.changes[0].summary.as_deref(), Some("end the session 9"));
    assert!(report.reordered && report.same_changes == 2);
}

#[test]
fn ends_are_compared_field_by_field() {
    let then = json!({ "status": "ok", "findings": [{ "rows": [["a", "b"]] }], "details": null });
    let now = json!({ "status": "critical", "findings": [{ "rows": [["a", "c"]] }], "metrics": [{ "value": 2 }] });
    let report = compared(vec![], vec![], (then, now));
    let told: Vec<_> = report.end.iter().map(|end| end.field.as_str()).collect();
    assert_eq!(told, ["status", "findings[0].rows[0]", "metrics[0].value"]);
    assert_eq!((&report.end[2].recorded, &report.end[2].replayed), (&None, &Some(json!(2))));
}

#[test]
fn a_run_that_somebody_ended_ends_so_again() {
    let cancelled = json!({ "failure": { "kind": "cancelled", "message": "cancelled by `alice`" } });
    let report =
        compared(vec![query("a")], vec![(query("a"), Some(0))], (cancelled.clone(), json!({ "status": "ok" })));
    assert!(report.same && report.ending == cancelled, "{report:?}");
}
