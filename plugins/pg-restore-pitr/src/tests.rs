use super::*;
use paramedic_sdk::kubernetes::{GET_OBJECT, LogLine, LogPage, READ_LOGS, RUN_JOB};
use paramedic_sdk::testing::{Host, Run, assert_well_described, conflict, denied, receipt};
use serde_json::{Value, json};

const JOB: &str = "restore-0a1b2c3d";
/// Shortly before the time in tests.
const TIME: &str = "2025-12-31T23:30:00Z";

fn params(more: &Value) -> Value {
    let mut params = json!({ "cron_job": "restore", "target_time": TIME });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

fn started() -> Receipt {
    Receipt { answer: Some(json!({ "job": JOB }).to_string()), ..receipt("start a job of prod/cronjob/restore") }
}

fn job(status: Value) -> Result<String, Error> {
    Ok(json!({ "kind": "Job", "status": status }).to_string())
}

fn ended(announced: &str, end: &str, reason: &str) -> Result<String, Error> {
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "reason": reason, "message": "that is why" });
    job(json!({ "conditions": [condition(announced), condition(end)] }))
}

fn at_work() -> Result<String, Error> {
    job(json!({ "active": 1, "ready": 1 }))
}

fn host(looks: &[Result<String, Error>]) -> Host {
    let line = |text: &str| LogLine { time: None, pod: format!("{JOB}-x"), text: text.to_owned() };
    let page =
        LogPage { lines: vec![line("fetched base backup"), line("recovery stopped")], next: None, truncated: false };
    let host = Host::new().answers(RUN_JOB, "prod restore", Ok(started())).answers(
        READ_LOGS,
        &format!("prod job-name={JOB}"),
        Ok(page),
    );
    looks.iter().fold(host, |host, look| host.answers(GET_OBJECT, &format!("prod jobs.batch {JOB}"), look.clone()))
}

fn apply(looks: &[Result<String, Error>]) -> Run {
    host(looks).apply::<PgRestorePitr>(params(&json!({})))
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    let outcome = run.outcome();
    assert!(outcome.status() == status && outcome.summary().contains(words), "{}", outcome.summary());
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<PgRestorePitr>();
}

#[test]
fn the_operators_job_is_started_with_the_time_and_followed_to_its_end() {
    let planned = host(&[]).plan::<PgRestorePitr>(params(&json!({})));
    assert_says(&planned, Status::Ok, "would start a job of prod/cronjob/restore");
    assert_eq!(planned.changes(), [format!("kubernetes-actions/run-job prod restore TARGET_TIME={TIME}")]);
    assert_eq!(planned.calls.len(), 1, "nothing is waited for in a plan");

    let away = Err(Error::Unavailable("refused".to_owned()));
    let looks =
        [job(json!({})), at_work(), away, at_work(), ended("SuccessCriteriaMet", "Complete", "CompletionsReached")];
    let run = apply(&looks);
    assert_says(
        &run,
        Status::Ok,
        &format!("job {JOB} of prod restored to {TIME} within 4.0 s: look into what it made"),
    );
    let told: Vec<&str> = run.log.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        told,
        [
            &format!("0/0 job {JOB}: no pod of it is there"),
            &format!("0/0 job {JOB}: its pod runs"),
            &format!("cannot look at job {JOB}: unavailable: refused"),
        ]
    );
    assert_eq!(run.table("Last lines of the job").rows[1], [&format!("{JOB}-x"), "recovery stopped"]);
    let other = host(&looks).plan::<PgRestorePitr>(params(&json!({ "variable": "PITR" })));
    assert!(other.changes()[0].ends_with(&format!(" PITR={TIME}")));
}

#[test]
fn a_job_that_fails_is_critical_with_its_last_lines() {
    let run = apply(&[at_work(), ended("FailureTarget", "Failed", "BackoffLimitExceeded")]);
    assert_says(
        &run,
        Status::Critical,
        &format!("job {JOB} of prod failed after 1.0 s: BackoffLimitExceeded: that is why"),
    );
    assert_eq!(run.table("Last lines of the job").rows.len(), 2);
}

#[test]
fn a_job_that_takes_longer_goes_on_by_itself() {
    let run = host(&[at_work()]).apply::<PgRestorePitr>(params(&json!({ "follow_for": 60 })));
    assert_says(&run, Status::Warning, "is still at work after 1 min (its pod runs), and goes on by itself");
}

#[test]
fn one_that_cannot_be_seen_is_told_by_its_name() {
    for error in [denied("kubernetes/get-object", "prod"), Error::NotFound("gone".into()), Error::Other("odd".into())] {
        let run = apply(&[Err(error)]);
        assert_says(&run, Status::Unknown, &format!("job {JOB} of prod was started, and how it goes is not known"));
    }
    assert_says(&apply(&[Ok("7".to_owned())]), Status::Unknown, "is not understood");
}

#[test]
fn without_its_log_the_verdict_is_the_same() {
    let error = denied("kubernetes/read-logs", "prod");
    let host = Host::new().answers(RUN_JOB, "prod", Ok(started()));
    let host = host.answers(READ_LOGS, &format!("prod job-name={JOB}"), Err(error));
    let complete = ended("SuccessCriteriaMet", "Complete", "CompletionsReached");
    let run = host.answers(GET_OBJECT, "prod", complete).apply::<PgRestorePitr>(params(&json!({})));
    assert_eq!(run.outcome().status(), Status::Ok);
    assert!(run.outcome().details().unwrap().contains("could not be read"));
}

#[test]
fn a_time_that_is_none_or_in_the_future_is_refused_before_anything_is_done() {
    for (time, words) in [
        ("2026-01-01T00:00:01Z", "`target_time` is in the future"),
        ("2026-01-01T00:30:00+00:00", "`target_time` is in the future"),
        ("2025-12-31 23:30:00 UTC", "`target_time` is no point in time in RFC 3339"),
        ("2025-12-31T23:30:00.Z", "`target_time` is no point in time in RFC 3339"),
    ] {
        for run in [Host::plan::<PgRestorePitr>, Host::apply::<PgRestorePitr>] {
            let run = run(Host::new(), params(&json!({ "target_time": time })));
            let Failure::BadParams(text) = run.failure() else { panic!("{}", run.failure()) };
            assert!(text.starts_with(words) && run.calls.is_empty(), "{text}");
        }
    }
    for params in [json!({}), json!({ "cron_job": "restore" }), json!({ "target_time": TIME })] {
        assert!(matches!(Host::new().plan::<PgRestorePitr>(params).failure(), Failure::BadParams(_)));
    }
}

#[test]
fn what_keeps_it_from_working_is_told() {
    let table = [
        (Err(conflict("template was A, is B")), Status::Warning, "nothing was done: template was A, is B"),
        (Err(denied("kubernetes-actions/run-job", "prod")), Status::Unknown, "the grant of this plugin lacks it"),
        (Err(Error::NotFound("there is no cronjob restore".into())), Status::Critical, "there is no cronjob restore"),
        (Err(Error::TimedOut("5 s".into())), Status::Critical, "no answer came in time"),
    ];
    for (answer, status, words) in table {
        let run = Host::new().answers(RUN_JOB, "prod", answer).apply::<PgRestorePitr>(params(&json!({})));
        assert_says(&run, status, words);
        assert_eq!(run.calls.len(), 1);
    }
}
