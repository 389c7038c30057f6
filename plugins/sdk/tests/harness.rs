//! The harness is as strict as the agent, and tells by name what is amiss.

use paramedic_sdk::testing::{self, Host};
use paramedic_sdk::{Context, Description, Error, Failure, Metric, Outcome, Plugin, Receipt, Risk, Status, Suggestion};
use paramedic_sdk::{JsonSchema, Table, Threshold, cells, clock, config, http, judge, log, queue, redis, state, unit};
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
