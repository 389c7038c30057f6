//! A run that is recorded by one journal and told again by another, whose client nobody calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::domain::{ChangeBounds, Decision, Difference, Grant, Limits, Mode, Operation, Target, Timestamp};
use crate::journal::Disposition;
use crate::policy::Grants;
use crate::policy::op::{PostgresQuery, PostgresTerminateSession};
use crate::recording::{Circumstances, Recording};

fn grants() -> Vec<Grant> {
    let target: Target = "postgres/main".parse().unwrap();
    vec![Grant {
        target,
        operations: vec![Operation::PostgresQuery, Operation::PostgresTerminateSession],
        keys: vec![],
        paths: vec![],
        resources: vec![],
        changes: ChangeBounds { per_run: 5, ..ChangeBounds::default() },
    }]
}

fn journal(reel: Reel, limits: &Limits) -> Journal {
    let grants = Grants::new("probe".parse().unwrap(), grants());
    let clock = ManualClock::at(Timestamp::from_millis(1_000));
    let deadline = Instant::now() + limits.deadline;
    Journal::new(Arc::new(grants), Arc::new(clock), limits, deadline).recorded_by(Some(reel))
}

fn recording(taped: Taped) -> Recording {
    let run = crate::domain::Run {
        id: crate::domain::RunId::new(Timestamp::from_millis(1_000)),
        plugin: "probe".parse().unwrap(),
        version: "1.0.0".to_owned(),
        digest: crate::domain::Digest::of(b""),
        mode: Mode::Check,
        trigger: crate::domain::Trigger::Manual,
        actor: crate::domain::Actor("oncall".to_owned()),
        sweep_run: None,
        params: "{}".to_owned(),
        started: Timestamp::from_millis(1_000),
        finished: None,
        ending: None,
        usage: crate::domain::Usage::default(),
        log: vec![],
        calls: vec![],
        changes: crate::domain::RunChanges::default(),
    };
    let grants = grants();
    Recording::of(&run, &Circumstances { limits: Limits::DEFAULT, grants: &grants, settings: &[] }, taped)
}

async fn ask(journal: &mut Journal, target: &str, sql: &str, answer: Option<Result<u64, CallError>>) -> Answered {
    let arguments = journal.arguments().text("sql", sql).hidden("params", 1, || json!(["hunter2"]));
    let call = async |_, _| answer.expect("the client is called");
    journal.read::<PostgresQuery, u64, _>(target, arguments, call).await
}

type Answered = Result<Result<u64, CallError>, Stop>;

#[tokio::test]
async fn what_was_answered_is_answered_again_without_the_client() {
    let refused = CallError::NotFound("no table".to_owned());
    let mut first = journal(Reel::taking([7; 32]), &Limits::DEFAULT);
    let mut told = vec![
        ask(&mut first, "main", "SELECT 1", Some(Ok(1))).await,
        ask(&mut first, "main", "SELECT 2", Some(Err(refused.clone()))).await,
        ask(&mut first, "other", "SELECT 3", None).await,
    ];
    let records = first.take_records();
    let recording = recording(first.take_taped().unwrap());
    assert_eq!(recording.calls[0].arguments, json!({ "sql": "SELECT 1", "params": ["hunter2"] }));
    assert!(!format!("{records:?}").contains("hunter2"));

    let mut second = journal(Reel::playing(&recording), &Limits::DEFAULT);
    let mut again = Vec::new();
    for (target, sql) in [("main", "SELECT 1"), ("main", "SELECT 2"), ("other", "SELECT 3"), ("main", "SELECT 4")] {
        again.push(ask(&mut second, target, sql, None).await);
    }
    let new = again.pop().unwrap();
    assert!(matches!(&new, Ok(Err(CallError::Unavailable(why))) if why.contains("was not asked then")), "{new:?}");
    assert_eq!(again, told);
    told.clear();
    let again = second.take_records();
    for (then, now) in records.iter().zip(&again) {
        assert_eq!(
            (&then.operation, &then.decision, then.answer_digest),
            (&now.operation, &now.decision, now.answer_digest)
        );
    }
    // What is refused is judged again, and known to have been refused before.
    assert!(matches!(again[2].decision, Decision::Denied(_)));
    assert_eq!(second.take_taped().unwrap().answered_by, [Some(0), Some(1), Some(2), None]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_ends_in_the_call_in_which_the_run_did() {
    let mut first = journal(Reel::taking([7; 32]), &Limits::DEFAULT);
    let arguments = first.arguments();
    let stop = first.read::<PostgresQuery, u64, _>("main", arguments, async |_, _| std::future::pending().await).await;
    assert_eq!(stop, Err(Stop::Deadline));
    let recording = recording(first.take_taped().unwrap());
    let mut second = journal(Reel::playing(&recording), &Limits::DEFAULT);
    let arguments = second.arguments();
    let again = second.read::<PostgresQuery, u64, _>("main", arguments, async |_, _| unreachable!()).await;
    assert_eq!(again, Err(Stop::Unanswered));
    assert!(second.take_taped().unwrap().has_ended);
}

#[tokio::test]
async fn a_change_gets_the_receipt_of_then_and_nothing_is_made() {
    let receipt = Receipt {
        sequence: 9,
        disposition: Disposition::Planned,
        summary: "end the session 7".to_owned(),
        differences: vec![Difference { field: "session".to_owned(), before: Some("idle".to_owned()), after: None }],
        reversible: false,
        answer: None,
    };
    let mut reel = Reel::taking([7; 32]);
    let asked = json!({ "pid": 7 });
    reel.answered("postgres-actions/terminate-session", "postgres/main", asked, &json(&receipt));
    let mut journal = journal(Reel::playing(&recording(reel.taped())), &Limits::DEFAULT);
    let arguments = journal.arguments().plain("pid", 7);
    let told = journal.change::<PostgresTerminateSession, _>("main", arguments, |_| unreachable!()).await;
    assert_eq!(told, Ok(Ok(Receipt { sequence: 1, ..receipt })));
}

#[tokio::test]
async fn time_is_shown_again_and_not_spent_again() {
    let limits = Limits { deadline: Duration::from_secs(60), ..Limits::DEFAULT };
    let mut first = journal(Reel::taking([7; 32]), &limits);
    let (now, left) = (first.now(), first.remaining());
    assert!(first.sleep(Duration::from_millis(1)).await && !first.sleep(Duration::from_secs(61)).await);
    let mut second = journal(Reel::playing(&recording(first.take_taped().unwrap())), &limits);
    assert_eq!((second.now(), second.remaining()), (now, left));
    let began = Instant::now();
    assert!(second.sleep(Duration::from_secs(50)).await && !second.sleep(Duration::from_secs(20)).await);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn what_reaches_no_target_is_told_again_too() {
    let mut first = journal(Reel::taking([7; 32]), &Limits::DEFAULT);
    let key = || json!({ "key": "a" });
    assert_eq!(first.local("state/get", key, async || Ok(Some(4_u64))).await, Ok(Ok(Some(4))));
    let recording = recording(first.take_taped().unwrap());
    let mut second = journal(Reel::playing(&recording), &Limits::DEFAULT);
    assert_eq!(second.local::<Option<u64>, _>("state/get", key, async || unreachable!()).await, Ok(Ok(Some(4))));
    assert!(matches!(
        second.local::<Option<u64>, _>("state/get", key, async || unreachable!()).await,
        Ok(Err(CallError::Unavailable(_)))
    ));
}
