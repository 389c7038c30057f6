use super::*;
use paramedic_sdk::postgres::STATEMENTS;
use paramedic_sdk::testing::{Host, Run, assert_takes, assert_well_described, denied, remote};

#[path = "../../pg-terminate-long-queries/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod end_long_queries;

fn statement(query: &str, calls: u64, mean: f64, share: f64) -> Statement {
    Statement {
        query: Some(query.to_owned()),
        id: "-7731".to_owned(),
        user: "shop".to_owned(),
        calls,
        total: mean * calls as f64,
        mean,
        max: Some(mean * 2.0),
        rows: calls * 3,
        share,
    }
}

fn run_with(answer: Result<Vec<Statement>, Error>, params: serde_json::Value) -> Run {
    Host::new().answers(STATEMENTS, "main total", answer).run::<PgSlowQueries>(params)
}

/// What is suggested has to be what the suggested plugin takes.
#[track_caller]
fn assert_suggests_what_is_taken(run: &Run) {
    for suggestion in run.outcome().suggestions() {
        match suggestion.plugin.as_str() {
            "pg-terminate-long-queries" => assert_takes::<end_long_queries::Params>(suggestion),
            other => panic!("nothing is known of {other}"),
        }
    }
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    assert_suggests_what_is_taken(run);
    let outcome = run.outcome();
    assert_eq!(outcome.status(), status, "{}", outcome.summary());
    assert!(outcome.summary().contains(words), "{words} is not in: {}", outcome.summary());
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<PgSlowQueries>();
}

#[test]
fn no_slow_statement_is_fine() {
    let run = run_with(Ok(Vec::new()), json!({}));
    assert_says(&run, Status::Ok, "no statement on main takes over 100 ms on average");
    assert_eq!(run.calls[0].line(), "postgres/statements main total 0.1 50");
    assert_eq!((run.metric("slow_statements"), run.metric("slowest_mean_seconds")), (0.0, 0.0));
}

#[test]
fn the_costliest_is_named_and_not_the_slowest() {
    let often = statement("select * from orders\n where total > $1", 10_000, 0.15, 0.64);
    let rarely = statement("select * from archive", 5, 0.9, 0.02);
    let run = run_with(Ok(vec![rarely, often]), json!({}));
    let words = "2 statements on main take over 100 ms on average; the costliest takes 150 ms and 64 % of the database's \
                 time: select * from orders where total > $1";
    assert_says(&run, Status::Warning, words);
    let rows = &run.table("Slow statements").rows;
    assert_eq!(rows[0][1..], ["shop", "10000", "150 ms", "300 ms", "25 min", "64 %", "3"]);
    assert_eq!(rows.len(), 2);
    assert_eq!(run.metric("slow_share_percent"), 66.0);
}

#[test]
fn a_statement_beyond_the_critical_limit_is_critical_by_name() {
    let run =
        run_with(Ok(vec![statement("a", 100, 0.2, 0.5), statement("select pg_sleep($1)", 5, 1.2, 0.1)]), json!({}));
    assert_says(
        &run,
        Status::Critical,
        "a statement on main takes 1.2 s on average and 10 % of the database's time: select pg_sleep($1)",
    );
    let relaxed = run_with(Ok(vec![statement("select 1", 5, 1.2, 0.1)]), json!({ "critical_ms": 5000 }));
    assert_says(&relaxed, Status::Warning, "1 statement on main takes over 100 ms");
}

#[test]
fn what_ran_a_few_times_only_is_left_out() {
    assert_says(&run_with(Ok(vec![statement("select 1", 2, 9.0, 0.9)]), json!({})), Status::Ok, "no statement");
    let run = run_with(Ok(vec![statement("select 1", 2, 9.0, 0.9)]), json!({ "min_calls": 1 }));
    assert_says(&run, Status::Critical, "9.0 s");
}

#[test]
fn a_window_is_passed_on_and_told() {
    let run = run_with(Ok(Vec::new()), json!({ "window": 10, "threshold_ms": 5, "limit": 2 }));
    assert_says(&run, Status::Ok, "no statement on main takes over 5.0 ms on average, watched for 10 s");
    assert_eq!(run.calls[0].line(), "postgres/statements main total 0.005 10 10");
}

#[test]
fn withheld_text_shows_as_the_servers_identifier() {
    let withheld = Statement { query: None, ..statement("", 10, 0.3, 0.1) };
    assert_says(&run_with(Ok(vec![withheld]), json!({})), Status::Warning, "statement -7731 of shop (text withheld)");
}

#[test]
fn only_statements_that_may_still_run_are_offered_to_be_ended() {
    let run = run_with(Ok(vec![statement("select 1", 10, 150.0, 0.1)]), json!({}));
    assert_eq!(run.outcome().suggestions()[0].params, json!({ "target": "main", "min_age": 300.0 }));
    assert_suggests_what_is_taken(&run);
    let short = Statement { max: None, ..statement("select 1", 10, 2.0, 0.1) };
    assert!(run_with(Ok(vec![short]), json!({})).outcome().suggestions().is_empty());
}

#[test]
fn a_missing_extension_is_unknown_and_says_what_to_do() {
    let table = [
        (Error::NotFound("no pg_stat_statements".into()), "is not installed", "CREATE EXTENSION pg_stat_statements;"),
        (remote("postgres", "42P01", "relation does not exist"), "is not installed", "CREATE EXTENSION"),
        (remote("postgres", "55000", "must be loaded"), "is not loaded", "shared_preload_libraries"),
    ];
    for (error, words, steps) in table {
        let run = run_with(Err(error), json!({}));
        assert_says(&run, Status::Unknown, words);
        assert!(run.outcome().details().unwrap().contains(steps));
    }
}

#[test]
fn any_other_error_leaves_the_verdict_open() {
    let errors = [
        denied("postgres/statements", "main"),
        Error::Unavailable("refused".into()),
        Error::TimedOut("5 s".into()),
        Error::TooLarge("2 MiB".into()),
        remote("postgres", "57P03", "starting up"),
    ];
    for error in errors {
        assert_eq!(run_with(Err(error.clone()), json!({})).failure(), &Failure::Host(error));
    }
}

#[test]
fn limits_the_wrong_way_round_are_refused_before_any_call() {
    let run = run_with(Ok(Vec::new()), json!({ "threshold_ms": 2000 }));
    assert!(matches!(run.failure(), Failure::BadParams(_)));
    assert!(run.calls.is_empty());
}

#[test]
fn odd_numbers_do_not_break_the_table() {
    let odd = Statement { calls: 0, rows: 7, total: f64::INFINITY, share: 0.0, ..statement("select 1", 10, 0.2, 0.1) };
    let run = run_with(Ok(vec![odd]), json!({ "min_calls": 0, "limit": 1 }));
    assert_says(&run, Status::Warning, "select 1");
    assert_eq!(run.table("Slow statements").rows[0][7], "7");
}
