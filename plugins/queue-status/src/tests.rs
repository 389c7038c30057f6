use super::*;
use paramedic_sdk::queue::{INSPECT, JobCount};
use paramedic_sdk::testing::{Host, Run, assert_takes, assert_well_described, denied, remote};

#[path = "../../queue-pause/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod pause;

#[path = "../../queue-resume/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod resume;

#[path = "../../k8s-rollout-restart/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod restart;

fn overview(waiting: u64, active: u64) -> Overview {
    let counts =
        [(JobState::Waiting, waiting), (JobState::Active, active), (JobState::Failed, 7), (JobState::Paused, 0)];
    Overview {
        version: 5,
        bull: false,
        counts: counts.map(|(state, count)| JobCount { state, count }).into(),
        paused: false,
        oldest_waiting: (waiting > 0).then_some(12.0),
        overdue: None,
        stalled: 0,
        workers: Some(2),
        rate_limited: None,
    }
}

fn check(overview: Overview, params: serde_json::Value) -> Run {
    Host::new().answers(INSPECT, "email", Ok(overview)).run::<QueueStatus>(params)
}

/// What is suggested has to be what the suggested plugin takes.
#[track_caller]
fn assert_suggests_what_is_taken(run: &Run) {
    for suggestion in run.outcome().suggestions() {
        match suggestion.plugin.as_str() {
            "queue-pause" => assert_takes::<pause::Params>(suggestion),
            "queue-resume" => assert_takes::<resume::Params>(suggestion),
            "k8s-rollout-restart" => assert_takes::<restart::Params>(suggestion),
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

fn workers() -> serde_json::Value {
    json!({ "workers": { "target": "prod", "name": "worker" } })
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<QueueStatus>();
}

#[test]
fn a_queue_that_is_worked_off_is_fine() {
    let run = check(overview(3, 2), json!({}));
    assert_says(
        &run,
        Status::Ok,
        "email: 3 jobs waiting, the next of them created 12 s ago, 2 jobs active, 2 workers connected",
    );
    assert_eq!(run.table("Jobs of email (BullMQ 5)").rows[2], ["failed", "7"]);
    let unknown_workers = Overview { workers: None, ..overview(0, 0) };
    assert_says(
        &check(unknown_workers, json!({})),
        Status::Ok,
        "0 jobs waiting, 0 jobs active, number of workers not known",
    );
    assert_says(&check(Overview { workers: Some(0), ..overview(0, 0) }, json!({})), Status::Ok, "0 workers");
}

#[test]
fn a_backlog_is_judged_by_count_and_age_and_says_why() {
    let old = |age, waiting| Overview { oldest_waiting: Some(age), ..overview(waiting, 2) };
    use Status::{Critical, Warning};
    let table = [
        (
            old(1500.0, 120),
            Warning,
            "email is backed up: 120 jobs waiting, the next of them created 25 min ago; 2 workers with 2 jobs active do not keep up",
        ),
        (old(1801.0, 1), Critical, "1 job waiting"),
        (overview(1001, 2), Warning, "1001 jobs waiting"),
        (overview(10_001, 2), Critical, "10001 jobs waiting"),
        (
            Overview { rate_limited: Some(12.0), ..old(400.0, 9) },
            Warning,
            "its rate limit holds jobs back for another 12 s",
        ),
        (Overview { workers: None, ..old(400.0, 9) }, Warning, "; 2 jobs active do not keep up"),
        (
            Overview { oldest_waiting: Some(400.0), ..overview(9, 0) },
            Warning,
            "2 workers connected, but none works on a job",
        ),
        (
            Overview { oldest_waiting: Some(400.0), workers: None, ..overview(9, 0) },
            Warning,
            "no job is being worked on",
        ),
    ];
    for (overview, status, words) in table {
        assert_says(&check(overview, json!({})), status, words);
    }
}

#[test]
fn jobs_without_any_worker_are_critical_and_the_workload_is_offered() {
    let alone = Overview { workers: Some(0), ..overview(4, 0) };
    assert_says(
        &check(alone.clone(), json!({})),
        Status::Critical,
        "no worker is connected to email while 4 jobs are waiting",
    );
    assert!(check(alone.clone(), json!({})).outcome().suggestions().is_empty());
    let run = check(Overview { stalled: 1, overdue: Some(60.0), ..alone }, workers());
    let offered = run.outcome().suggestions();
    assert_eq!(offered.len(), 1);
    assert_eq!(offered[0].plugin, "k8s-rollout-restart");
    assert_eq!(offered[0].params, json!({ "target": "prod", "kind": "Deployment", "name": "worker" }));
}

#[test]
fn paused_and_growing_is_not_backed_up() {
    let paused =
        |waiting| Overview { paused: true, workers: Some(0), oldest_waiting: Some(9_999.0), ..overview(waiting, 0) };
    let run = check(paused(20_000), json!({}));
    assert_says(&run, Status::Warning, "email is paused, not backed up: 20000 jobs waiting, and none is taken");
    assert_eq!(run.outcome().suggestions()[0].plugin, "queue-resume");
    let grown = Host::new().answers(INSPECT, "email", Ok(paused(5))).answers(INSPECT, "email", Ok(paused(125)));
    let run = grown.run::<QueueStatus>(json!({})).next().later(300.0).run::<QueueStatus>(json!({}));
    assert_says(&run, Status::Warning, "125 jobs waiting, 120 more than 5 min ago");
    assert_says(&check(paused(5), json!({ "paused": "critical" })), Status::Critical, "paused");
    let meant = check(paused(5), json!({ "paused": "ok" }));
    assert_eq!((meant.outcome().status(), meant.outcome().suggestions().len()), (Status::Ok, 0));
}

#[test]
fn jobs_in_the_list_of_a_paused_queue_count_as_waiting() {
    let counts = vec![JobCount { state: JobState::Waiting, count: 0 }, JobCount { state: JobState::Paused, count: 8 }];
    let run = check(Overview { counts, paused: true, ..overview(0, 0) }, json!({}));
    assert_says(&run, Status::Warning, "8 jobs waiting");
}

#[test]
fn growth_is_told_either_way_and_forgotten_in_time() {
    let backed_up = |waiting| Overview { oldest_waiting: Some(400.0), ..overview(waiting, 2) };
    let after = |first, second, seconds| {
        let host = Host::new().answers(INSPECT, "email", Ok(backed_up(first))).answers(
            INSPECT,
            "email",
            Ok(backed_up(second)),
        );
        host.run::<QueueStatus>(json!({})).next().later(seconds).run::<QueueStatus>(json!({}))
    };
    assert_says(&after(10, 40, 60.0), Status::Warning, "40 jobs waiting, 30 more than 1 min ago");
    assert_says(
        &after(40, 10, 60.0),
        Status::Warning,
        "10 jobs waiting, 30 fewer than 1 min ago, the next of them created 6 min 40 s ago; its workers catch up",
    );
    assert_says(&after(10, 10, 60.0), Status::Warning, "as many as 1 min ago");
    assert!(!after(10, 40, 90_000.0).outcome().summary().contains("more than"));
}

#[test]
fn overdue_and_stalled_jobs_are_found() {
    use Status::{Critical, Ok, Warning};
    let table = [
        (Overview { overdue: Some(20.0), ..overview(0, 1) }, Ok, "0 jobs waiting"),
        (Overview { overdue: Some(45.0), ..overview(0, 1) }, Warning, "delayed jobs of email are overdue by 45 s"),
        (Overview { overdue: Some(301.0), ..overview(0, 1) }, Critical, "overdue by 5 min 1 s"),
        (Overview { stalled: 1, ..overview(0, 1) }, Warning, "1 active job of email lost the worker"),
        (Overview { stalled: 11, ..overview(0, 11) }, Critical, "11 active jobs of email lost"),
        (Overview { stalled: 2, paused: true, ..overview(0, 2) }, Warning, "paused, not backed up"),
    ];
    for (overview, status, words) in table {
        assert_says(&check(overview, json!({})), status, words);
    }
}

#[test]
fn a_rate_limit_is_answered_with_patience() {
    let run = check(Overview { rate_limited: Some(12.0), ..overview(5_000, 2) }, workers());
    assert_eq!(run.outcome().suggestions()[0].plugin, "queue-pause");
    assert_says(
        &check(Overview { rate_limited: Some(12.0), ..overview(5, 2) }, json!({})),
        Status::Ok,
        "5 jobs waiting",
    );
}

#[test]
fn a_queue_whose_server_is_gone_is_a_finding() {
    use Status::{Critical, Unknown};
    let table = [
        (Error::Unavailable("refused".into()), Critical, "the server behind email cannot be reached: refused"),
        (Error::TimedOut("5 s".into()), Critical, "the server behind email does not answer in time"),
        (Error::NotFound("no key bull:email:meta".into()), Unknown, "there is no queue email where it should be"),
    ];
    for (error, status, words) in table {
        assert_says(&Host::new().answers(INSPECT, "email", Err(error)).run::<QueueStatus>(json!({})), status, words);
    }
}

#[test]
fn any_other_error_leaves_the_verdict_open() {
    let errors = [
        denied("queue/inspect", "email"),
        Error::Invalid("x".into()),
        Error::Conflict("version".into()),
        Error::Exhausted("calls".into()),
        remote("queue", "NOPERM", "no permission"),
    ];
    for error in errors {
        let run = Host::new().answers(INSPECT, "email", Err(error.clone())).run::<QueueStatus>(json!({}));
        assert_eq!(run.failure(), &Failure::Host(error));
    }
}

#[test]
fn without_a_memory_the_queue_is_judged_all_the_same() {
    let run = Host::new().forgetful().answers(INSPECT, "email", Ok(overview(1001, 2))).run::<QueueStatus>(json!({}));
    assert_says(&run, Status::Warning, "1001 jobs waiting, the next");
}
