//! Runs as they are shown and listed.

use axum::body::Body;

use super::fixture::{Api, authorized, concluded, failed, running};
use crate::domain::{FailureKind, Status};

#[tokio::test]
async fn a_run_is_shown_with_its_calls_and_its_log() {
    let api = Api::start().await;
    let run = concluded(60, Status::Critical);
    api.keep(&run).await;
    let shown = api.get(&format!("/v1/runs/{}", run.id)).await;
    assert_eq!((shown.status.as_u16(), shown.header("vary")), (200, "Accept"));
    let shown = shown.json();
    let expected = serde_json::json!({
        "id": run.id.to_string(), "plugin": "pg-ready", "version": "0.1.0", "digest": run.digest.to_string(),
        "mode": "check", "trigger": "manual", "actor": "alice", "state": "critical", "params": {"target": "main"},
        "started": "2026-03-01T03:13:15.926Z", "finished": "2026-03-01T03:14:15.926Z",
        "outcome": {
            "status": "critical", "summary": "a verdict", "metrics": [], "findings": [], "suggestions": [], "labels": []
        },
        "usage": {"duration_seconds": 0.0, "memory_bytes": 0, "calls": 0, "answer_bytes": 0, "dropped_log_lines": 0},
        "calls": [{
            "sequence": 1, "operation": "postgres/query", "target": "postgres/main",
            "arguments": {"sql": "SELECT 1"}, "decision": "not_granted", "started": "2026-03-01T03:13:15.926Z",
            "duration_seconds": 0.0015, "answer_bytes": 0, "error": "denied: not granted; to allow it add a line"
        }],
        "log": [{
            "time": "2026-03-01T03:13:15.926Z", "level": "info", "source": "plugin", "message": "looking", "fields": []
        }]
    });
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_run_without_a_verdict_is_shown_with_its_failure_and_one_under_way_with_neither() {
    let api = Api::start().await;
    let (late, open) = (failed(60, FailureKind::Deadline), running(1));
    api.keep(&late).await;
    api.keep(&open).await;
    let shown = api.get(&format!("/v1/runs/{}", late.id)).await.json();
    assert_eq!(shown["failure"], serde_json::json!({"kind": "deadline", "message": "it took too long"}));
    assert_eq!((shown.get("outcome"), &shown["state"]), (None, &"failed".into()));
    let shown = api.get(&format!("/v1/runs/{}", open.id)).await.json();
    assert_eq!((shown.get("outcome"), shown.get("failure"), shown.get("finished")), (None, None, None));
    assert_eq!(shown["state"], "running");
}

#[tokio::test]
async fn a_terminal_gets_the_card() {
    let api = Api::start().await;
    let run = concluded(60, Status::Critical);
    api.keep(&run).await;
    let card = api.get_as(&format!("/v1/runs/{}", run.id), "text/plain").await;
    assert_eq!(card.header("content-type"), "text/plain; charset=utf-8");
    assert!(card.text.starts_with("CRITICAL pg-ready: a verdict\n"), "{}", card.text);
    let list = api.get_as("/v1/runs", "text/plain;q=0.9, application/json;q=0.1").await;
    assert!(list.text.contains("a verdict") && list.text.contains(&run.id.to_string()), "{}", list.text);
}

#[tokio::test]
async fn pages_lead_from_one_to_the_next_and_keep_the_filter() {
    let api = Api::start().await;
    for age in 1..=5 {
        api.keep(&concluded(age, Status::Ok)).await;
        api.keep(&concluded(age, Status::Critical)).await;
    }
    let mut path = "/v1/runs?state=ok&limit=2".to_owned();
    let mut starts = Vec::new();
    let mut pages = 0;
    loop {
        let answer = api.get(&path).await;
        let page = answer.json();
        for run in page["runs"].as_array().unwrap() {
            assert_eq!(run["outcome"], serde_json::json!({"status": "ok", "summary": "a verdict"}));
            assert!(run.get("log").is_none() && run.get("calls").is_none());
            starts.push(run["started"].as_str().unwrap().to_owned());
        }
        pages += 1;
        let Some(next) = page["next"].as_str() else {
            assert_eq!(answer.header("link"), "");
            break;
        };
        let link = answer.header("link").strip_suffix(">; rel=\"next\"").unwrap().strip_prefix('<').unwrap();
        assert!(link.contains("state=ok") && link.contains(next), "{link}");
        path = link.to_owned();
    }
    let newest_first = (1..=5).map(|age| format!("2026-03-01T03:14:{:02}.926Z", 15 - age));
    assert_eq!(starts, newest_first.collect::<Vec<_>>());
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn filters_reach_the_store() {
    let api = Api::start().await;
    api.keep(&concluded(3600, Status::Ok)).await;
    api.keep(&failed(60, FailureKind::Deadline)).await;
    api.keep(&running(1)).await;
    for (query, expected) in [
        ("", 3),
        ("?plugin=pg-ready", 3),
        ("?plugin=redis-ping", 0),
        ("?actor=alice", 3),
        ("?actor=bob", 0),
        ("?state=failed", 1),
        ("?state=running", 1),
        ("?since=10m", 2),
        ("?until=10m", 1),
        ("?since=2026-03-01T03:14:14Z", 1),
    ] {
        let page = api.get(&format!("/v1/runs{query}")).await.json();
        assert_eq!(page["runs"].as_array().unwrap().len(), expected, "{query}");
    }
}

#[tokio::test]
async fn a_run_that_has_ended_cannot_be_cancelled_and_one_that_there_is_not_neither() {
    let api = Api::start().await;
    let cancel = async |id: &str| {
        let request = authorized("DELETE", &format!("/v1/runs/{id}")).body(Body::empty()).unwrap();
        api.send(request).await
    };
    let (ended, late, lost) = (concluded(60, Status::Critical), failed(60, FailureKind::Deadline), running(1));
    for run in [&ended, &late, &lost] {
        api.keep(run).await;
    }
    for (run, state) in [(&ended, "critical"), (&late, "failed")] {
        let problem = cancel(&run.id.to_string()).await.problem(409, "run-ended");
        let expected = format!("the run `{}` has ended ({state}), so there is nothing to cancel", run.id);
        assert_eq!((problem["detail"].as_str(), &problem["run"]), (Some(&*expected), &run.id.to_string().into()));
        assert_eq!(api.store.run(run.id).await.unwrap().as_ref(), Some(run));
    }
    // As after a failure of the disk: it is over, and the store does not know.
    cancel(&lost.id.to_string()).await.problem(503, "end-unknown");
    for id in ["019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b", "latest"] {
        assert_eq!(cancel(id).await.problem(404, "unknown-run")["run"], id);
    }
}
