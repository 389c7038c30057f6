//! The harness is as strict as the agent, and tells by name what is amiss.

use paramedic_sdk::testing::{self, Host};
use paramedic_sdk::{Context, Description, Error, Failure, Metric, Outcome, Plugin, Receipt, Risk, Status, Suggestion};
use paramedic_sdk::{
    JsonSchema, Table, Threshold, cells, clock, config, http, judge, kubernetes, log, queue, redis, state, unit,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Parameters.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Params {
    /// The Redis target.
    target: String,
    /// Round trips.
    #[schemars(range(min = 1, max = 10))]
    times: u32,
    /// When a round trip is too long.
    slow: Threshold,
}

impl Default for Params {
    fn default() -> Self {
        Self { target: "cache".to_owned(), times: 1, slow: Threshold::above(0.1) }
    }
}

/// Pings, counts its runs, and takes a second.
struct Pinger;

impl Plugin for Pinger {
    type Params = Params;

    fn describe() -> Description {
        Description::check("pinger", "1.0.0", "Pings")
            .about("Pings a server.")
            .needs("redis/ping", "{target}", "to ping")
            .can_use("redis/info", "{target}", "to tell more")
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let mut worst: f64 = 0.0;
        for _ in 0..params.times {
            worst = worst.max(redis::ping(&params.target)?);
        }
        clock::sleep(1.0)?;
        if config::get("chatty").is_some() {
            log::info("done");
        }
        let runs: u32 = state::exchange("runs", &1, 3600.0).unwrap_or(0);
        let mut outcome = Outcome::ok(format!("run after {runs} at {}", clock::now()));
        outcome.find(judge(worst, &params.slow, &Threshold::never()), "slow");
        outcome.metric(Metric::new("ping_seconds", worst, unit::SECONDS));
        let mut table = Table::new("Pings", ["worst"]);
        table.row(cells![worst]);
        outcome.table(table);
        Ok(outcome)
    }
}

fn host() -> Host {
    Host::new().at(5_000).answers(redis::PING, "cache", Ok(0.01))
}

#[test]
fn answers_clock_settings_and_memory_take_the_hosts_place() {
    let run = host().setting("chatty", "yes").run::<Pinger>(json!({ "times": 2 }));
    assert_eq!(run.outcome().summary(), "run after 0 at 6000");
    assert_eq!(run.calls.iter().map(testing::Call::line).collect::<Vec<_>>(), ["redis/ping cache", "redis/ping cache"]);
    assert_eq!(run.log.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["done"]);
    assert_eq!(run.metric("ping_seconds"), 0.01);
    assert_eq!(run.table("Pings").rows, [["0.01"]]);
    run.assert_all_asked();
    assert_eq!(run.next().later(60.0).run::<Pinger>(json!({})).outcome().summary(), "run after 1 at 67000");
}

#[test]
fn memory_expires_and_its_loss_is_only_logged() {
    let first = host().run::<Pinger>(json!({}));
    let later = first.next().later(3_700.0).run::<Pinger>(json!({}));
    assert!(later.outcome().summary().starts_with("run after 0"));
    let forgetful = host().forgetful().run::<Pinger>(json!({}));
    assert!(forgetful.outcome().summary().starts_with("run after 0"));
    assert_eq!(forgetful.log.len(), 2);
}

#[test]
fn answers_of_one_row_are_used_up_in_order_and_the_last_stays() {
    let slow_once = Host::new().answers(redis::PING, "cache", Ok(0.5)).answers(redis::PING, "cache", Ok(0.01));
    let run = slow_once.run::<Pinger>(json!({ "times": 3 }));
    assert_eq!((run.calls.len(), run.outcome().status()), (3, Status::Warning));
    let again = run.next().run::<Pinger>(json!({}));
    assert_eq!(again.outcome().status(), Status::Ok);
}

#[test]
fn the_row_that_fits_best_answers() {
    let host = Host::new().answers(redis::PING, "", Ok(0.5)).answers(redis::PING, "cache", Ok(0.01));
    assert_eq!(host.run::<Pinger>(json!({})).outcome().status(), Status::Ok);
}

#[test]
fn parameters_are_refused_as_the_agent_refuses_them() {
    for (params, part) in [
        (json!({ "times": 11 }), "times"),
        (json!({ "tims": 1 }), "tims"),
        (json!({ "slow": "fast" }), "slow"),
        (json!({ "slow": "9:1" }), "above its end"),
    ] {
        let run = host().run::<Pinger>(params.clone());
        let text = run.failure().to_string();
        assert!(matches!(run.failure(), Failure::BadParams(_)) && text.contains(part), "{params}: {text}");
        assert!(run.calls.is_empty());
    }
}

#[test]
fn an_error_passed_on_ends_the_run_without_a_verdict() {
    let denied = testing::denied("redis/ping", "cache");
    let run = Host::new().answers(redis::PING, "cache", Err(denied.clone())).run::<Pinger>(json!({}));
    assert_eq!(run.failure(), &Failure::Host(denied));
    assert!(run.failure().to_string().starts_with("redis/ping on cache is denied"));
}

#[test]
#[should_panic(expected = "unanswered host call: redis/ping other")]
fn a_call_without_an_answer_fails_the_test_by_name() {
    host().run::<Pinger>(json!({ "target": "other" }));
}

#[test]
#[should_panic(expected = "no call came for: redis/info cache memory")]
fn an_answer_that_nobody_asked_for_can_be_told() {
    let table = host().answers(redis::INFO, "cache memory", Ok([("used_memory", "1")].into()));
    table.run::<Pinger>(json!({})).assert_all_asked();
}

/// Calls what its description does not ask for, and does not refuse unknown parameters.
struct Sneaky;

/// Lax parameters.
#[derive(Deserialize, JsonSchema)]
struct Lax {}

impl Plugin for Sneaky {
    type Params = Lax;

    fn describe() -> Description {
        Description::check("Sneaky", "1.0", "Sneaks").needs("redis/ping", "*", "")
    }

    fn run(_: &Context, _: Lax) -> Result<Outcome, Failure> {
        redis::info("cache", "memory")?;
        Ok(Outcome::ok("never seen"))
    }
}

#[test]
#[should_panic(expected = "the description does not ask for redis/info cache memory")]
fn a_call_that_the_description_does_not_ask_for_fails_the_test() {
    Host::new().answers(redis::INFO, "cache", Ok([].into())).run::<Sneaky>(json!({}));
}

#[test]
fn a_good_description_passes() {
    testing::assert_well_described::<Pinger>();
}

#[test]
#[should_panic(expected = "the schema takes unknown fields")]
fn a_bad_description_is_told_fault_by_fault() {
    testing::assert_well_described::<Sneaky>();
}

/// Says nothing.
struct Mute;

impl Plugin for Mute {
    type Params = Lax;

    fn describe() -> Description {
        Description::check("mute", "1.0.0", "Says nothing")
    }

    fn run(_: &Context, _: Lax) -> Result<Outcome, Failure> {
        Ok(Outcome::found(Status::Unknown, " \n"))
    }
}

#[test]
#[should_panic(expected = "the summary is not one line")]
fn an_outcome_that_the_agent_would_refuse_fails_the_test() {
    Host::new().run::<Mute>(json!({}));
}

#[test]
fn time_runs_out_as_it_does_in_the_agent() {
    /// Sleeps for longer than it may.
    struct Sleeper;
    impl Plugin for Sleeper {
        type Params = Lax;
        fn describe() -> Description {
            Description::check("sleeper", "1.0.0", "Sleeps").about("Sleeps.").time_limit(2.0)
        }
        fn run(_: &Context, _: Lax) -> Result<Outcome, Failure> {
            clock::sleep(1.5)?;
            assert_eq!(clock::remaining(), 0.5);
            clock::sleep(1.5)?;
            Ok(Outcome::ok("never seen"))
        }
    }
    let run = Host::new().run::<Sleeper>(json!({}));
    assert!(matches!(run.failure(), Failure::Host(Error::TimedOut(_))));
}

/// Pauses a queue and tells somebody.
struct Pauser;

impl Plugin for Pauser {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation("pauser", "1.0.0", "Pauses", Risk::Medium)
            .about("Pauses a queue.")
            .confirmed_by("queue-status")
            .needs("queue-actions/pause", "email", "to pause it")
            .needs("http-actions/send", "chat/*", "to tell somebody")
    }

    fn run(context: &Context, params: Params) -> Result<Outcome, Failure> {
        let paused = queue::pause(&params.target);
        let sent = http::send("POST", &http::Request::new("chat", "/hook"), b"paused")?;
        let status = sent.response.map_or(0, |response| response.status);
        let mut outcome = Outcome::of_change(
            paused,
            |receipt| format!("paused {} jobs", receipt.number("jobs").unwrap_or(0)),
            "paused already",
        );
        outcome.note(format!("{:?}: {status}", context.mode));
        Ok(outcome)
    }
}

#[test]
fn changes_are_answered_as_the_mode_of_the_run_has_it() {
    let receipt = Receipt { answer: Some(r#"{"jobs": 7}"#.to_owned()), ..testing::receipt("pause email (BullMQ 5)") };
    let host = || Host::new().answers(queue::PAUSE, "email", Ok(receipt.clone()));
    let planned = host().plan::<Pauser>(json!({ "target": "email" }));
    assert_eq!(planned.outcome().summary(), "would pause email (BullMQ 5)");
    assert_eq!(planned.outcome().details().unwrap(), "Mode::Plan: 0");
    let applied = planned.next().apply::<Pauser>(json!({ "target": "email" }));
    assert_eq!(applied.outcome().summary(), "paused 7 jobs");
    assert_eq!(applied.outcome().details().unwrap(), "Mode::Apply: 200");
    assert_eq!(applied.changes(), ["queue-actions/pause email", "http-actions/send POST chat /hook paused"]);
}

#[test]
fn a_change_can_be_answered_with_anything_else() {
    for (answer, status) in [
        (Ok(testing::unchanged()), Status::Ok),
        (Err(testing::conflict("resumed meanwhile")), Status::Warning),
        (Err(testing::denied("queue-actions/pause", "cache")), Status::Unknown),
    ] {
        let run = Host::new().answers(queue::PAUSE, "cache", answer).apply::<Pauser>(json!({}));
        assert_eq!(run.outcome().status(), status);
    }
}

#[test]
fn a_good_mitigation_is_well_described() {
    testing::assert_well_described::<Pauser>();
}

#[test]
#[should_panic(expected = "a check is run, and everything else is planned or applied")]
fn a_mitigation_is_not_run_like_a_check() {
    Host::new().run::<Pauser>(json!({}));
}

/// A check that would change something.
struct Wolf;

impl Plugin for Wolf {
    type Params = Params;

    fn describe() -> Description {
        Description::check("wolf", "1.0.0", "Looks").about("Looks.").needs("queue-actions/pause", "*", "to look")
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        queue::pause(&params.target)?;
        Ok(Outcome::ok("never seen"))
    }
}

#[test]
#[should_panic(expected = "a check asks for a change, or a mitigation asks for none")]
fn a_check_that_asks_for_changes_is_badly_described() {
    testing::assert_well_described::<Wolf>();
}

#[test]
#[should_panic(expected = "a check asks for a change: queue-actions/pause cache")]
fn a_check_that_changes_something_fails_the_test() {
    Host::new().run::<Wolf>(json!({}));
}

#[test]
fn a_suggestion_is_compared_with_what_the_plugin_takes() {
    let suggest = |params| Suggestion::new("pinger", params, "because");
    testing::assert_takes::<Params>(&suggest(json!({ "target": "cache", "times": 2 })));
    let misfit = suggest(json!({ "times": 11 }));
    assert!(std::panic::catch_unwind(|| testing::assert_takes::<Params>(&misfit)).is_err());
}

/// What a [`Reader`] asks for.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    /// `pods`, `objects`, `logs` or `log`.
    what: String,
    /// Label selector.
    labels: String,
    /// Most objects or lines of a page.
    limit: u32,
    /// Seconds back to which lines go.
    since: Option<f64>,
    /// Last lines of each container.
    tail: Option<u32>,
}

impl Default for Asked {
    fn default() -> Self {
        Self { what: "pods".to_owned(), labels: String::new(), limit: 100, since: None, tail: None }
    }
}

/// Reads a namespace to its last page, and tells what it got, a page in brackets.
struct Reader;

impl Reader {
    fn pods(asked: &Asked) -> Result<String, Error> {
        let pods = kubernetes::list_pods("prod", &asked.labels)?;
        Ok(pods.iter().map(|pod| pod.name.clone()).collect::<Vec<_>>().join(" "))
    }

    fn objects(asked: &Asked) -> Result<String, Error> {
        let mut query = kubernetes::ObjectQuery::all("prod", "pods", asked.limit).labelled(&asked.labels);
        let mut told = String::new();
        loop {
            let page = kubernetes::list_objects(&query)?;
            let name = |item: &String| {
                let object: serde_json::Value = serde_json::from_str(item).unwrap_or_default();
                object.pointer("/metadata/name").and_then(|name| name.as_str()).unwrap_or_default().to_owned()
            };
            let names: Vec<String> = page.items.iter().map(name).collect();
            told += &format!("[{}]", names.join(" "));
            match page.next {
                Some(mark) => query = query.after(&mark),
                None => return Ok(told),
            }
        }
    }

    fn logs(asked: &Asked, of_one: bool) -> Result<String, Error> {
        let query =
            kubernetes::LogQuery { since: asked.since, tail: asked.tail, ..kubernetes::LogQuery::last(0, asked.limit) };
        let pod =
            kubernetes::PodRef { target: "prod".to_owned(), name: "api-1".to_owned(), uid: None, container: None };
        let (mut after, mut told) = (None, String::new());
        loop {
            let query = kubernetes::LogQuery { after, ..query.clone() };
            let page = match of_one {
                true => kubernetes::read_log(&pod, &query)?,
                false => kubernetes::read_logs("prod", &asked.labels, &query)?,
            };
            let lines: Vec<&str> = page.lines.iter().map(|line| line.text.as_str()).collect();
            told += &format!("[{}]", lines.join(" "));
            after = page.next;
            if after.is_none() {
                return Ok(told);
            }
        }
    }
}

impl Plugin for Reader {
    type Params = Asked;

    fn describe() -> Description {
        Description::check("reader", "1.0.0", "Reads").about("Reads.").needs("kubernetes/*", "prod", "to read")
    }

    fn run(_: &Context, asked: Asked) -> Result<Outcome, Failure> {
        let told = match asked.what.as_str() {
            "pods" => Self::pods(&asked),
            "objects" => Self::objects(&asked),
            "logs" => Self::logs(&asked, false),
            _ => Self::logs(&asked, true),
        };
        Ok(Outcome::ok(format!("{}.", told?)))
    }
}

/// A namespace with three pods, and a log with a line of each and two more of the first.
fn namespace() -> Host {
    const NOW: u64 = 1_767_225_600_000;
    let pod = |name: &str, labels: &str| testing::pod(name, labels, vec![testing::container("api")]);
    let object = |name: &str, app: &str| json!({ "metadata": { "name": name, "labels": { "app": app } } }).to_string();
    let line = |pod: &str, seconds_ago: u64, text: &str| kubernetes::LogLine {
        time: Some(NOW - seconds_ago * 1000),
        pod: pod.to_owned(),
        text: text.to_owned(),
    };
    let lines = vec![
        line("api-2", 30, "d"),
        line("api-1", 90, "a"),
        line("api-1", 60, "b"),
        line("api-1", 45, "c"),
        line("db-1", 10, "e"),
    ];
    let page = kubernetes::LogPage { lines, next: None, truncated: false };
    let objects = vec![object("api-1", "api"), object("api-2", "api"), object("db-1", "db")];
    Host::new()
        .at(NOW)
        .answers(
            kubernetes::LIST_PODS,
            "prod",
            Ok(vec![pod("api-1", "app=api,tier=web"), pod("api-2", "app=api"), pod("db-1", "app=db")]),
        )
        .answers(kubernetes::LIST_OBJECTS, "prod pods", Ok(kubernetes::ObjectPage { items: objects, next: None }))
        .answers(kubernetes::READ_LOGS, "prod app", Ok(page.clone()))
        .answers(kubernetes::READ_LOG, "prod api-1", Ok(page))
}

#[track_caller]
fn assert_reads(asked: serde_json::Value, expected: &str) {
    let run = namespace().run::<Reader>(asked.clone());
    assert_eq!(run.outcome().summary(), format!("{expected}."), "{asked}");
}

#[test]
fn pods_and_objects_are_those_with_the_labels_that_were_asked_for() {
    for (labels, expected) in [
        ("", "api-1 api-2 db-1"),
        ("app=api", "api-1 api-2"),
        ("app=api,tier=web", "api-1"),
        ("app in (db, cache)", "db-1"),
        ("app!=api", "db-1"),
        ("!tier", "api-2 db-1"),
        ("app=worker", ""),
    ] {
        assert_reads(json!({ "labels": labels }), expected);
    }
    assert_reads(json!({ "what": "objects", "labels": "app=api" }), "[api-1 api-2]");
    assert_reads(json!({ "what": "objects", "labels": "app notin (api)" }), "[db-1]");
    let run = namespace().run::<Reader>(json!({ "labels": "app in (" }));
    assert!(matches!(run.failure(), Failure::Host(Error::Remote(_))), "{}", run.failure());
}

#[test]
fn a_page_has_no_more_than_was_asked_for_and_the_next_has_the_rest() {
    assert_reads(json!({ "what": "objects", "limit": 2 }), "[api-1 api-2][db-1]");
    assert_reads(json!({ "what": "objects", "limit": 1, "labels": "app=api" }), "[api-1][api-2]");
    assert_reads(json!({ "what": "logs", "labels": "app", "limit": 2 }), "[a b][c d][e]");
    // The least that the host gives is one.
    assert_reads(json!({ "what": "objects", "limit": 0 }), "[api-1][api-2][db-1]");
}

#[test]
fn lines_are_in_order_of_time_and_those_that_were_asked_for() {
    assert_reads(json!({ "what": "log" }), "[a b c d e]");
    assert_reads(json!({ "what": "log", "since": 60 }), "[b c d e]");
    assert_reads(json!({ "what": "log", "since": 44.2 }), "[c d e]");
    assert_reads(json!({ "what": "log", "tail": 1 }), "[c d e]");
    assert_reads(json!({ "what": "logs", "labels": "app", "since": 59, "tail": 2 }), "[c d e]");
}

#[test]
#[should_panic(expected = "unanswered host call: kubernetes/read-logs prod app=api current")]
fn lines_of_pods_are_answered_for_the_labels_that_a_row_names() {
    let page = kubernetes::LogPage { lines: Vec::new(), next: None, truncated: false };
    let host = Host::new().answers(kubernetes::READ_LOGS, "prod", Ok(page));
    host.run::<Reader>(json!({ "what": "logs", "labels": "app=api" }));
}
