//! Tests of the document, and of what answers a call that is made again.

use serde_json::json;

use super::*;
use crate::domain::{CallError, Denial, DenialReason, Failure, FailureKind, RemoteError, Target};

const SEED: [u8; 32] = [0xab; 32];

fn taken(take: impl FnOnce(&mut Reel)) -> Taped {
    let mut reel = Reel::taking(SEED);
    take(&mut reel);
    reel.taped()
}

fn recording(taped: Taped) -> Recording {
    let run = Run {
        id: "019c0000-0000-7000-8000-000000000000".parse().unwrap(),
        plugin: "probe".parse().unwrap(),
        version: "1.2.3".to_owned(),
        digest: Digest::of(b"component"),
        mode: Mode::Check,
        trigger: crate::domain::Trigger::Manual,
        actor: crate::domain::Actor("oncall".to_owned()),
        sweep_run: None,
        params: r#"{"limit":10}"#.to_owned(),
        started: Timestamp::from_millis(1_772_323_200_000),
        finished: None,
        ending: Some(crate::domain::Ending::Failed(Failure { kind: FailureKind::Plugin, message: "no".to_owned() })),
        usage: crate::domain::Usage::default(),
        log: Vec::new(),
        calls: Vec::new(),
        changes: crate::domain::RunChanges::default(),
    };
    let grant = Grant {
        target: "redis/cache".parse::<Target>().unwrap(),
        operations: vec![crate::domain::Operation::RedisScan],
        keys: vec!["user:*".parse().unwrap()],
        paths: Vec::new(),
        resources: vec!["deployments.apps".parse().unwrap()],
        changes: crate::domain::ChangeBounds { per_run: 5, ..crate::domain::ChangeBounds::default() },
    };
    let around = Circumstances { limits: Limits::DEFAULT, grants: &[grant], settings: &[] };
    Recording::of(&run, &around, taped)
}

fn query(reel: &mut Reel, sql: &str, answer: &str) {
    let arguments = json!({ "sql": sql });
    reel.ask("postgres/query", "postgres/main", &arguments);
    reel.answered("postgres/query", "postgres/main", arguments, answer);
}

fn two_queries() -> Recording {
    recording(taken(|reel| {
        query(reel, "SELECT 1", "1");
        query(reel, "SELECT 2", r#"{"a":0.1}"#);
    }))
}

fn played(reel: &mut Reel, sql: &str) -> Option<Value> {
    reel.ask("postgres/query", "postgres/main", &json!({ "sql": sql }));
    let played = reel.play();
    reel.unanswered("postgres/query", "postgres/main", json!({ "sql": sql }));
    match played {
        Played::Told(Ok(value)) => Some(value),
        Played::Told(Err(_)) | Played::Over | Played::Unknown => None,
    }
}

#[test]
fn a_recording_is_read_as_it_was_written_however_it_is_laid_out() {
    let recording = two_queries();
    let packed = pack(&recording).unwrap();
    let text = unpack(&packed.bytes).unwrap();
    assert_eq!(packed.size, text.len() as u64);
    assert_eq!(read(text.as_bytes()).unwrap(), recording);
    let pretty = format!("{:#}", serde_json::from_str::<Value>(&text).unwrap());
    assert_eq!(read(pretty.as_bytes()).unwrap(), recording);
    let grants: Vec<_> = recording.grants.iter().map(|line| line.grant().unwrap()).collect();
    assert_eq!(grants[0].keys[0].as_str(), "user:*");
    assert_eq!(grants[0].changes.per_run, 5);
}

#[test]
fn what_is_no_recording_any_more_is_refused_by_name() {
    let text = unpack(&pack(&two_queries()).unwrap().bytes).unwrap();
    let document = |change: fn(&mut Map)| {
        let mut document: Map = serde_json::from_str(&text).unwrap();
        change(&mut document);
        serde_json::to_vec(&document).unwrap()
    };
    type Map = serde_json::Map<String, Value>;
    let said = |text: &[u8]| read(text).unwrap_err().to_string();
    assert!(said(b"{").starts_with("it is no JSON: "));
    assert_eq!(said(b"{}"), "it has no `format`, so it is no recording of a run");
    let future = said(&document(|names| drop(names.insert("format".to_owned(), 9.into()))));
    assert!(future.starts_with("it has the format 9, and this version of paramedic reads 1: "), "{future}");
    let other = said(text.replace("SELECT 1", "SELECT 7").as_bytes());
    assert!(other.starts_with("it is not as it was recorded: its digest is sha256:"), "{other}");
    let shape = said(&document(|names| {
        names.remove("digest");
        names.remove("calls");
    }));
    assert_eq!(shape, "it is no recording of a run: missing field `calls`");
    let edited = document(|names| drop(names.remove("digest")));
    assert_eq!(read(&edited).unwrap(), two_queries());
}

#[test]
fn a_call_is_answered_by_the_next_one_that_asks_for_the_same() {
    let recording = recording(taken(|reel| {
        for (sql, answer) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")] {
            query(reel, sql, answer);
        }
    }));
    let mut reel = Reel::playing(&recording);
    let answers: Vec<_> = ["a", "c", "b", "a", "a", "d"].map(|sql| played(&mut reel, sql)).into();
    // `b` and the second `a` were passed over and are asked later; a third `a` and `d` nobody has asked before.
    let expected = [Some(json!(1)), Some(json!(4)), Some(json!(2)), Some(json!(3)), None, None];
    assert_eq!(answers, expected);
    assert_eq!(reel.taped().answered_by, [Some(0), Some(3), Some(1), Some(2), None, None]);
}

#[test]
fn another_value_for_the_memory_is_remembered_too() {
    let taped = taken(|reel| reel.answered("state/put", "", json!({ "key": "seen", "value": "1" }), "4"));
    let mut reel = Reel::playing(&recording(taped));
    reel.ask("state/put", "", &json!({ "key": "other", "value": "1" }));
    assert!(matches!(reel.play(), Played::Unknown));
    reel.ask("state/put", "", &json!({ "key": "seen", "value": "2" }));
    assert!(matches!(reel.play(), Played::Told(Ok(revision)) if revision == 4));
}

#[test]
fn an_answer_of_nothing_is_another_one_than_none() {
    let taped = taken(|reel| {
        reel.answered("state/get", "", json!({ "key": "a" }), "null");
        reel.unanswered("state/get", "", json!({ "key": "b" }));
    });
    let text = unpack(&pack(&recording(taped)).unwrap().bytes).unwrap();
    let mut reel = Reel::playing(&read(text.as_bytes()).unwrap());
    reel.ask("state/get", "", &json!({ "key": "a" }));
    assert!(matches!(reel.play(), Played::Told(Ok(Value::Null))));
    reel.ask("state/get", "", &json!({ "key": "b" }));
    assert!(matches!(reel.play(), Played::Over));
    assert!(reel.taped().has_ended);
}

#[test]
fn every_error_comes_back_as_it_was() {
    let text = || "why".to_owned();
    let denial = |reason| Denial { operation: text(), target: text(), reason, message: text() };
    let remote = RemoteError { system: "postgres", code: "42P01".to_owned(), message: text(), retryable: true };
    let mut errors = vec![
        CallError::Invalid(text()),
        CallError::NotFound(text()),
        CallError::Conflict(text()),
        CallError::Unavailable(text()),
        CallError::TimedOut(text()),
        CallError::TooLarge(text()),
        CallError::Exhausted(text()),
        CallError::Remote(remote),
    ];
    errors.extend(DenialReason::ALL.map(|reason| CallError::Denied(denial(reason))));
    for error in errors {
        let json = serde_json::to_string(&Refused::from(&error)).unwrap();
        assert_eq!(serde_json::from_str::<Refused>(&json).unwrap().error(), Some(error), "{json}");
    }
}

#[test]
fn a_run_that_tells_too_much_has_a_recording_that_says_so() {
    let long = format!("\"{}\"", "x".repeat(MAX_BYTES / 3));
    let taped = taken(|reel| (0..4).for_each(|_| query(reel, "SELECT 1", &long)));
    assert!(taped.cut && taped.calls.is_empty());
    let looked = taken(|reel| {
        for time in 0..30_000 {
            reel.dials().read(Dial::Wall, || time);
        }
    });
    assert!(looked.cut);
}

#[test]
fn clocks_show_again_what_they_showed() {
    let times = [5, 5, 5, 6, 9];
    let taped = taken(|reel| {
        for time in times {
            assert_eq!(reel.dials().read(Dial::Now, || time), time);
        }
    });
    let reel = Reel::playing(&recording(taped));
    let again = |dial: Dial| reel.dials().read(dial, || 1_000);
    assert_eq!(times.map(|_| again(Dial::Now)), times);
    // Time goes on for whoever looks more often.
    assert_eq!([again(Dial::Now), again(Dial::Now), again(Dial::Wall)], [10, 11, 1]);
}
