//! A run is cancelled in the middle of a statement.

use std::time::{Duration, Instant};

use paramedic_tests::postgres::Postgres;
use paramedic_tests::wait;
use serde_json::json;

use crate::fixture::{Paramedic, Secrets, guest, plugins};

/// Of a run whose configuration says nothing else.
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn the_statement_of_a_cancelled_run_ends_at_the_server_and_stays_in_the_record() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let secrets = Secrets::new();
    let targets = json!({ "postgres": { "main": { "url": secrets.put("main", &database.monitor().unwrap()) } } });
    let grants = json!([{ "postgres": "main", "verbs": ["query"] }]);
    let paramedic = Paramedic::start(&targets, &plugins([guest("query", &grants)]), "info");

    let endless = "SELECT count(*) FROM generate_series(1, 100000000000) n";
    let active = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}_monitor' AND state = 'active'",
        database.name()
    );
    let statements = |count: &str| Ok((database.sql(&active)?.trim() == count).then_some(()));
    let body = json!({ "plugin": "query", "params": { "target": "main", "sql": endless } });
    let started = paramedic.api.run(&body, &["prefer: respond-async"]).unwrap();
    wait::until("the statement to run", || statements("1")).unwrap();
    let began = Instant::now();

    let answer = paramedic.api.ask("DELETE", started.field("location"), &[], "").unwrap();
    let run = answer.json().unwrap();
    assert_eq!((answer.status, &run["failure"]["kind"]), (200, &json!("cancelled")), "{run}");
    let calls = run["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 1, "{run}");
    assert_eq!((&calls[0]["operation"], &calls[0]["decision"]), (&json!("postgres/query"), &json!("permitted")));
    assert_eq!(calls[0]["error"], "the run ended before the answer came");
    assert_eq!(run["usage"]["calls"], 1);
    wait::until("the statement to end", || statements("0")).unwrap();
    assert!(began.elapsed() < DEADLINE / 2, "it ended by its own time limit");

    // The pool is as it was: the next run gets its connection.
    let run = paramedic.run("query", &json!({ "target": "main", "sql": "SELECT 1" }));
    assert_eq!(run["state"], "ok", "{run}");
}
