//! A rollout is followed to its end: ready, stuck, out of time, or out of sight.

use paramedic_sdk::kubernetes::{self, GET_ROLLOUT, RESTART, Rollout};
use paramedic_sdk::testing::{Host, Run, conflict, denied, unchanged};
use paramedic_sdk::{
    Context, Description, Error, Failure, Follow, JsonSchema, NotReady, Outcome, Plugin, Risk, Status, Workload,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Parameters.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Params {
    /// Whether it gives back.
    gives_back: bool,
    /// Seconds to wait.
    ready_within: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { gives_back: false, ready_within: 60.0 }
    }
}

struct Restarter;

impl Plugin for Restarter {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation("restarter", "1.0.0", "Restarts", Risk::Low)
            .about("Restarts.")
            .needs("kubernetes-actions/restart", "prod", "to restart")
            .needs("kubernetes/get-rollout", "prod", "to follow")
            .time_limit(120.0)
    }

    fn run(context: &Context, params: Params) -> Result<Outcome, Failure> {
        let workload = Workload::deployment("prod", "api");
        let not_ready = NotReady::from(params.gives_back);
        let follow = Follow { workload: &workload, ready_within: params.ready_within, not_ready };
        follow.check_time(context)?;
        Ok(follow.after(kubernetes::restart(&workload), |_| "restarted it".to_owned(), "nothing to do"))
    }
}

fn rollout(updated: u32, message: &str) -> Rollout {
    let (complete, message) = (message.is_empty(), Some(message.to_owned()).filter(|text| !text.is_empty()));
    Rollout { desired: 3, updated, ready: 3, available: 3, complete, message }
}

fn looks(looks: &[Result<Rollout, Error>]) -> Host {
    looks.iter().fold(Host::new(), |host, look| host.answers(GET_ROLLOUT, "prod deployment api", look.clone()))
}

fn told(run: &Run) -> Vec<&str> {
    run.log.iter().map(|(_, text)| text.as_str()).collect()
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    let outcome = run.outcome();
    assert_eq!((outcome.status(), outcome.summary().as_str()), (status, words));
}

#[test]
fn progress_is_told_when_something_changed_until_it_is_complete() {
    let waiting = |updated| Ok(rollout(updated, &format!("{updated} of 3 replicas have the newest template")));
    let away = Err(Error::Unavailable("refused".to_owned()));
    let run = looks(&[waiting(1), waiting(1), away, waiting(2), Ok(rollout(3, ""))]).apply::<Restarter>(json!({}));
    assert_says(&run, Status::Ok, "restarted it, and deployment api is ready after 4.0 s");
    let lines = [
        "1/3 1 of 3 replicas have the newest template",
        "cannot look at the rollout of deployment api: unavailable: refused",
        "2/3 2 of 3 replicas have the newest template",
        "3/3 complete",
    ];
    assert_eq!(told(&run), lines);
}

#[test]
fn nothing_is_followed_unless_something_was_done() {
    let planned = Host::new().plan::<Restarter>(json!({}));
    assert_says(&planned, Status::Ok, "would kubernetes-actions/restart prod deployment api");
    let host = |answer| Host::new().answers(RESTART, "prod", answer);
    assert_says(&host(Ok(unchanged())).apply::<Restarter>(json!({})), Status::Ok, "nothing to do");
    let moved = host(Err(conflict("a rollout that `helm` began 9 s ago is on its way"))).apply::<Restarter>(json!({}));
    let words = "nothing was done: a rollout that `helm` began 9 s ago is on its way";
    assert_says(&moved, Status::Warning, words);
    assert_eq!(moved.calls.len(), 1);
}

#[test]
fn what_is_not_ready_in_time_is_given_back_if_that_is_wanted() {
    let late = || looks(&[Ok(rollout(1, "1 of 3 replicas have the newest template"))]);
    let run = late().apply::<Restarter>(json!({ "ready_within": 30 }));
    let reason = "deployment api is not ready after 30 s: 1 of 3 replicas have the newest template";
    assert_says(&run, Status::Critical, &format!("restarted it, but {reason}"));
    assert_eq!(run.outcome().gives_back(), None);
    assert_eq!(run.outcome().suggestions()[0].plugin, "k8s-events");
    let run = late().apply::<Restarter>(json!({ "ready_within": 30, "gives_back": true }));
    assert_says(&run, Status::Critical, &format!("restarted it, but {reason}"));
    assert_eq!(run.outcome().gives_back(), Some(reason));
}

#[test]
fn a_stuck_rollout_is_not_waited_for_but_has_to_be_seen_so_for_a_while() {
    let stuck = || Ok(rollout(1, "it is stuck: no progress for 600 s; its pods tell why"));
    let run = looks(&[stuck()]).apply::<Restarter>(json!({}));
    assert!(run.outcome().summary().contains("is not ready after 2.0 s: it is stuck"), "{}", run.outcome().summary());
    // What is left of the rollout before passes.
    let run = looks(&[stuck(), stuck(), Ok(rollout(3, ""))]).apply::<Restarter>(json!({}));
    assert_eq!(run.outcome().status(), Status::Ok);
}

#[test]
fn one_that_cannot_be_seen_is_neither_ready_nor_given_back() {
    let table = [
        (denied("kubernetes/get-rollout", "prod"), 1),
        (Error::NotFound("there is no deployment api".to_owned()), 1),
        (Error::Unavailable("refused".to_owned()), 30),
    ];
    for (error, looked) in table {
        let run = looks(&[Err(error.clone())]).apply::<Restarter>(json!({ "gives_back": true }));
        let words = format!("restarted it, and how the rollout of deployment api goes is not known: {error}");
        assert_says(&run, Status::Unknown, &words);
        assert_eq!(run.outcome().gives_back(), None);
        assert!(run.calls.len() > looked, "{}", run.calls.len());
    }
}

#[test]
fn a_run_is_not_begun_that_would_end_before_the_rollout() {
    for mode in [Host::plan::<Restarter>, Host::apply::<Restarter>] {
        let run = mode(Host::new(), json!({ "ready_within": 111 }));
        let Failure::BadParams(text) = run.failure() else { unreachable!("{}", run.failure()) };
        assert!(text.contains("set its `limits.deadline` to 121 s or more") && run.calls.is_empty(), "{text}");
    }
}
