//! Sweeps and silences as a caller sees them.

use std::time::Duration;

use super::fixture::Api;

/// Do what is due next, to its end.
async fn when_it_is_due(api: &Api) {
    api.scheduler.turn();
    api.clock.set(api.scheduler.list()[0].next.unwrap());
    api.scheduler.turn();
    assert_eq!(api.scheduler.settled(Duration::from_secs(60)).await, 0);
}

#[tokio::test]
async fn a_sweep_that_runs_by_itself_shows_how_it_stands_and_why() {
    let api = Api::start().await;
    let before = api.get("/v1/sweeps").await.json();
    assert_eq!(before["sweeps"][0]["name"], "health");
    assert_eq!(before["sweeps"][0]["schedule"], serde_json::json!({"every_seconds": 60.0}));
    assert_eq!(before["sweeps"][0]["next"], "2026-03-01T03:15:00.000Z");
    assert!(before["sweeps"][0]["state"].get("status").is_none() && before["sweeps"][0].get("last").is_none());

    when_it_is_due(&api).await;
    let sweep = api.get("/v1/sweeps/health").await.json();
    assert_eq!((&sweep["state"]["status"], &sweep["state"]["streak"]), (&"unknown".into(), &0.into()));
    let run = &sweep["runs"][0];
    assert_eq!((&run["slot"], &run["actor"]), (&"2026-03-01T03:15:00.000Z".into(), &"schedule".into()));
    let expected = serde_json::json!({
        "plugin": "redis-ping", "status": "unknown", "summary": "no such file", "reason": "not_active"
    });
    assert_eq!(run["checks"][1], expected);
    assert_eq!(run["checks"][0]["status"], "ok");
    assert_eq!((&sweep["events"][0]["kind"], &sweep["events"][0]["from"]), (&"changed".into(), &"ok".into()));
    assert_eq!(sweep["next"], "2026-03-01T03:16:00.000Z");
    let card = api.get_as("/v1/sweeps", "text/plain").await;
    assert!(card.text.starts_with("unknown  health  since 2026-03-01T03:15:"), "{}", card.text);
    assert!(card.text.contains("\n    unknown (not_active) redis-ping: no such file\n"), "{}", card.text);
    let card = api.get_as("/v1/sweeps/health", "text/plain").await;
    assert!(card.text.contains("\nRuns\n") && card.text.contains("\nWhat happened\n"), "{}", card.text);
    let metrics = api.get("/metrics").await.text;
    for line in [
        "paramedic_sweep_slots_total{sweep=\"health\",result=\"run\"} 1",
        "paramedic_sweep_status{sweep=\"health\"} 3",
        "paramedic_sweep_runs_total{sweep=\"health\",status=\"unknown\"} 1",
        "paramedic_sweep_lateness_seconds_count 1",
        "paramedic_sweep_events_total{sweep=\"health\",event=\"changed\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn somebody_may_run_a_sweep_now_and_find_it_again() {
    let api = Api::start().await;
    let answer = api.act("POST", "/v1/sweeps/health/runs", "").await;
    let run = answer.json();
    assert_eq!((answer.status.as_u16(), &run["status"], &run["actor"]), (200, &"unknown".into(), &"alice".into()));
    let place = answer.header("location");
    assert_eq!(place, format!("/v1/sweeps/health/runs/{}", run["id"].as_str().unwrap()));
    assert_eq!(api.get(place).await.json(), run);
    let card = api.get_as(place, "text/plain").await.text;
    assert!(card.starts_with("UNKNOWN health: 1 of 2 checks are ok\n"), "{card}");
    let request = super::fixture::authorized("POST", "/v1/sweeps/health/runs").header("prefer", "respond-async");
    let answer = api.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (202, "respond-async"));
    assert_eq!(answer.json()["state"], "running");
    assert_eq!(api.scheduler.settled(Duration::from_secs(60)).await, 0);
    assert_eq!(api.get(answer.header("location")).await.json()["state"], "concluded");
}

#[tokio::test]
async fn the_history_comes_in_pages() {
    let api = Api::start().await;
    for _ in 0..5 {
        api.act("POST", "/v1/sweeps/health/runs", "").await;
    }
    let (mut path, mut ids, mut pages) = ("/v1/sweeps/health?limit=2".to_owned(), Vec::new(), 0);
    loop {
        let answer = api.get(&path).await;
        let page = answer.json();
        ids.extend(page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(next) = page["next_page"].as_str() else { break };
        let link = answer.header("link").strip_suffix(">; rel=\"next\"").unwrap().strip_prefix('<').unwrap();
        assert!(link.contains(next), "{link}");
        path = link.to_owned();
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((pages, count, ids.len()), (3, 5, 5));
    let problem = api.get("/v1/sweeps/health?limit=0&cursor=x&page=2").await.problem(400, "invalid-query");
    assert_eq!(problem["errors"][0]["parameter"], "page");
    let problem = api.get("/v1/sweeps/health?limit=0&cursor=x").await.problem(400, "invalid-query");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
}

#[tokio::test]
async fn what_is_not_there_is_told_by_its_name() {
    let api = Api::start().await;
    let problem = api.get("/v1/sweeps/helth").await.problem(404, "unknown-sweep");
    assert_eq!(problem["detail"], "no sweep is named `helth`; did you mean health?");
    api.act("POST", "/v1/sweeps/other/runs", "").await.problem(404, "unknown-sweep");
    for id in ["019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b", "latest"] {
        let problem = api.get(&format!("/v1/sweeps/health/runs/{id}")).await.problem(404, "unknown-run");
        assert_eq!(problem["run"], id);
        api.act("DELETE", &format!("/v1/silences/{id}"), "").await.problem(404, "unknown-silence");
    }
    api.get("/v1/sweeps/other/runs/019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b").await.problem(404, "unknown-sweep");
}

#[tokio::test]
async fn a_silence_is_kept_with_who_and_why_until_it_is_ended() {
    let api = Api::start().await;
    let wanted = r#"{"sweep": "health", "expires": "2h", "reason": " failover test ", "expire_on_resolve": true}"#;
    let answer = api.act("POST", "/v1/silences", wanted).await;
    let silence = answer.json();
    let expected = serde_json::json!({
        "id": silence["id"], "sweep": "health", "reason": "failover test", "creator": "alice",
        "created": "2026-03-01T03:14:15.926Z", "expires": "2026-03-01T05:14:15.926Z", "expire_on_resolve": true
    });
    assert_eq!((answer.status.as_u16(), &silence), (200, &expected));
    assert_eq!(api.get("/v1/silences").await.json()["silences"], serde_json::json!([expected]));
    assert_eq!(api.get("/v1/sweeps").await.json()["sweeps"][0]["silences"][0]["reason"], "failover test");
    when_it_is_due(&api).await;
    assert_eq!(api.get("/v1/sweeps/health").await.json()["events"][0]["muted"], "silenced");
    let card = api.get_as("/v1/silences", "text/plain").await.text;
    assert!(card.contains("failover test"), "{card}");
    let place = format!("/v1/silences/{}", silence["id"].as_str().unwrap());
    assert_eq!(api.act("DELETE", &place, "").await.json(), silence);
    api.act("DELETE", &place, "").await.problem(404, "unknown-silence");
    assert_eq!(api.get_as("/v1/silences", "text/plain").await.text, "nothing is silenced\n");
}

#[tokio::test]
async fn a_silence_that_cannot_be_meant_is_refused_field_by_field() {
    let api = Api::start().await;
    let problem = api.act("POST", "/v1/silences", r#"{"expires": "soon", "reason": " "}"#).await;
    let problem = problem.problem(422, "invalid-body");
    assert_eq!(
        (&problem["errors"][0]["pointer"], &problem["errors"][1]["pointer"]),
        (&"/expires".into(), &"/reason".into())
    );
    for (expires, message) in [
        ("2026-03-01T03:14:15.926Z", "this is past"),
        ("367d", "a silence holds for at most 366 days"),
        ("99999999999999999999d", "this is no time: write"),
    ] {
        let body = format!(r#"{{"expires": "{expires}", "reason": "x"}}"#);
        let problem = api.act("POST", "/v1/silences", &body).await.problem(422, "invalid-body");
        assert!(problem["errors"][0]["message"].as_str().unwrap().starts_with(message), "{problem}");
    }
    let body = r#"{"sweep": "helth", "expires": "2h", "reason": "x"}"#;
    api.act("POST", "/v1/silences", body).await.problem(404, "unknown-sweep");
    let body = r#"{"sweep": "health", "expires": "2h", "reason": "x", "until": 1}"#;
    api.act("POST", "/v1/silences", body).await.problem(422, "invalid-body");
}
