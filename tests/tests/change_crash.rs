//! The agent is killed at each moment of a change, for each function that changes something. The next agent knows what is
//! known, repeats nothing, and goes on giving back what is due.
//!
//! ```text
//! asked ─► look at the target ─► intent, durable ─► effect ─► answer ─► result, durable
//!      Asked                                   Begun     Done                   Recorded
//! ```
//!
//! The plugin goes on while the result is being written. Killed before that is durable, the agent knows as much as where it has
//! not heard the answer.
//!
//! Between those moments nothing changes outside of the agent's memory, so that there is no other kind of crash. They are
//! met from outside: a proxy keeps what the agent sends, or what it is answered, until the agent is dead.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "the helpers of a test may")]

#[path = "change_crash/verb.rs"]
mod verb;
#[path = "change_crash/ward.rs"]
mod ward;

use paramedic_tests::proxy::Fault;
use paramedic_tests::wait;
use serde_json::{Value, json};
use verb::{AFTER, Verb};
use ward::Ward;

/// When the agent is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Before the intent is recorded: the target has not answered the look at it.
    Asked,
    /// After that, and before the target is reached.
    Begun,
    /// The target did it, and the agent has not heard so.
    Done,
    /// The result is recorded, and the run is not over.
    Recorded,
}

impl Moment {
    const ALL: [Self; 4] = [Self::Asked, Self::Begun, Self::Done, Self::Recorded];

    fn arm(self, ward: &Ward, effect: &'static str) {
        match self {
            Self::Asked => ward.proxy.arm("", Fault::Keep),
            Self::Begun => ward.proxy.arm(effect, Fault::Keep),
            Self::Done => ward.proxy.arm(effect, Fault::Withhold),
            Self::Recorded => ward.proxy.arm(AFTER, Fault::Keep),
        }
    }

    /// True when the effect has happened.
    fn is_effective(self) -> bool {
        matches!(self, Self::Done | Self::Recorded)
    }
}

/// Applies the plan to an agent that is killed at that moment, and starts the next one.
fn crash(ward: &mut Ward, moment: Moment, effect: &'static str, plan: &Value, body: Value) {
    moment.arm(ward, effect);
    let applying = ward.begin_to_apply(plan, body);
    ward.proxy.until_struck().unwrap();
    if moment == Moment::Recorded {
        ward.until_settled(&ward.last_run("apply"), Some("applied"));
    }
    ward.kill();
    // Nobody answered it.
    applying.join().unwrap().unwrap_err();
    ward.proxy.watch(effect);
    ward.restart();
}

/// What is known of the change after the crash.
fn fate(verb: Verb, moment: Moment) -> Option<&'static str> {
    match moment {
        Moment::Asked => None,
        Moment::Begun => Some(verb.fate_when_not_done()),
        Moment::Done => Some(verb.fate_when_done()),
        Moment::Recorded => Some("applied"),
    }
}

fn survive(verb: Verb) {
    for moment in Moment::ALL {
        // A request is made without a look at the service.
        if (verb, moment) == (Verb::Send, Moment::Asked) {
            continue;
        }
        let mut ward = Ward::new(verb);
        let plan = ward.plan();
        crash(&mut ward, moment, verb.effect(), &plan, json!({}));

        let run = ward.last_run("apply");
        assert_eq!(run["state"], "interrupted", "{verb:?} {moment:?}: {run}");
        let run = ward.until_settled(&run, fate(verb, moment));
        let is_unknown = fate(verb, moment) == Some("unknown");
        if is_unknown {
            let detail = run["changes"][0]["reason"].as_str().unwrap();
            assert!(detail.contains("look"), "{verb:?} {moment:?}: {detail}");
        }
        // Neither by the run nor by whoever found out what became of it.
        assert_eq!(ward.is_done(), moment.is_effective(), "{verb:?} {moment:?}");
        assert_eq!(ward.proxy.sent(), 0, "{verb:?} {moment:?}: it was sent again");
        ward.refuses(&plan, "plan-taken");

        // What was done, or may have been, counts in the hour; what was not leaves it to the next one.
        ward.replant();
        let spent = moment.is_effective() || is_unknown;
        let again = ward.apply(&ward.plan());
        let changes = again["changes"].as_array().cloned().unwrap_or_default();
        let fates: Vec<_> = changes.iter().map(|change| &change["fate"]).collect();
        if spent {
            assert!(fates.is_empty() && again.to_string().contains("per_hour"), "{verb:?} {moment:?}: {again}");
        } else {
            assert_eq!(fates, ["applied"], "{verb:?} {moment:?}: {again}");
        }
        assert_eq!(ward.is_done(), !spent, "{verb:?} {moment:?}");
        ward.audit();
        ward.look_for_credentials();
    }
}

#[test]
fn cancelling_a_query() {
    survive(Verb::Cancel);
}

#[test]
fn ending_a_session() {
    survive(Verb::Terminate);
}

#[test]
fn removing_keys() {
    survive(Verb::Remove);
}

#[test]
fn letting_keys_expire() {
    survive(Verb::Expire);
}

#[test]
fn pausing_a_queue() {
    survive(Verb::Pause);
}

#[test]
fn resuming_a_queue() {
    survive(Verb::Resume);
}

#[test]
fn removing_failed_jobs() {
    survive(Verb::Clean);
}

#[test]
fn retrying_failed_jobs() {
    survive(Verb::Retry);
}

#[test]
fn sending_a_request() {
    survive(Verb::Send);
}

#[test]
fn scaling_a_deployment() {
    survive(Verb::Scale);
}

#[test]
fn a_lease_ends_whenever_its_agent_was_killed() {
    for moment in [Moment::Begun, Moment::Done, Moment::Recorded] {
        let mut ward = Ward::new(Verb::Pause);
        let plan = ward.plan();
        crash(&mut ward, moment, Verb::Pause.effect(), &plan, json!({ "for": "1s" }));
        let run = ward.last_run("apply");
        wait::until("the lease to end", || Ok((ward.run(&run)["lease"]["state"] == "ended").then_some(()))).unwrap();
        assert!(!ward.is_done(), "{moment:?}: it is still paused");
        let run = ward.run(&run);
        assert_eq!(run["changes"][0]["undone_by"].is_string(), moment.is_effective(), "{moment:?}: {run}");
    }
}

#[test]
fn an_undo_that_was_killed_is_known_and_can_be_planned_again_unless_it_was_done() {
    // What takes a pause back is a resume, which goes out as the same kind of command.
    let scale = Verb::Scale.effect();
    let all =
        [(Verb::Pause, Verb::Resume.effect()), (Verb::Send, "DELETE"), (Verb::Expire, "PERSIST"), (Verb::Scale, scale)];
    for (verb, back) in all {
        for moment in [Moment::Begun, Moment::Done] {
            let mut ward = Ward::new(verb);
            let applied = ward.apply(&ward.plan());
            assert!(ward.is_done(), "{verb:?} {moment:?}: {applied}");
            let undo = ward.plan_undo(&applied);
            crash(&mut ward, moment, back, &undo, json!({}));

            // Nothing but looking at a service tells what it was sent.
            let given_back = moment == Moment::Done;
            let expected = match (verb, given_back) {
                (Verb::Send, _) => "unknown",
                (_, true) => "applied",
                (_, false) => "failed",
            };
            ward.until_settled(&ward.last_run("apply"), Some(expected));
            assert_eq!(ward.proxy.sent(), 0, "{verb:?} {moment:?}: it was sent again");
            assert_eq!(ward.is_given_back(), given_back, "{verb:?} {moment:?}");
            let undone = ward.run(&applied)["changes"][0]["undone_by"].is_string();
            assert_eq!(undone, expected == "applied", "{verb:?} {moment:?}");
            if !undone {
                let again = ward.apply(&ward.plan_undo(&applied));
                assert_eq!(again["changes"][0]["fate"], "applied", "{verb:?} {moment:?}: {again}");
                assert!(ward.is_given_back(), "{verb:?} {moment:?}");
            }
        }
    }
}
