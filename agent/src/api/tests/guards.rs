//! Freezes, approvals, cooldowns, breakers, and the glass that is broken. The plugin of these plans cannot run, so that an apply
//! which passes the guards is refused for that.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use serde_json::{Value, json};

use super::fixture::{Answer, Api, NOW, RESPONDER, TOKEN, concluded, failed, running, with_token};
use crate::domain::{
    Approvers, ChangeCall, Digest, Done, FailureKind, Fate, Freeze, FreezeId, Mode, Operation, Plan, PlannedChange,
    Preview, Run, RunChanges, RunId, Scope, Status, Undo,
};
use crate::runner::{PluginRules, Rules};
use crate::store::{Bounds, Freezes, NewChange, plan_digest};

fn pause() -> PlannedChange {
    PlannedChange {
        position: 1,
        gives_back: None,
        call: ChangeCall {
            operation: Operation::QueuePause,
            target: "email".parse().unwrap(),
            arguments: "{}".to_owned(),
        },
        preview: Preview {
            summary: "pause the queue email".to_owned(),
            objects: 1,
            differences: Vec::new(),
            ground: Vec::new(),
            scope: "{}".to_owned(),
            undo: Undo::Possible("the queue is resumed".to_owned()),
            doubt: None,
            notes: Vec::new(),
        },
    }
}

impl Api {
    /// Keep a plan of alice's to pause a queue, made `age` seconds ago.
    async fn plan(&self, age: u64, undoes: Option<RunId>) -> Plan {
        let run = Run { mode: Mode::Plan, calls: Vec::new(), ..concluded(age, Status::Ok) };
        let plan = Plan {
            run: run.id,
            plugin: run.plugin.clone(),
            component: run.digest,
            grants: Digest::of(b"grants"),
            params: run.params.clone(),
            undoes,
            made: run.started,
            expires: run.started.after(Duration::from_secs(900)),
            changes: vec![pause()],
        };
        let begun = Run { mode: Mode::Plan, changes: RunChanges { undoes, ..RunChanges::default() }, ..running(age) };
        self.store.start_run(Run { id: run.id, ..begun }).await.unwrap();
        let changes = RunChanges { undoes, plan: Some(plan.clone()), ..RunChanges::default() };
        self.store.finish_run(Run { changes, ..run }).await.unwrap();
        plan
    }

    /// Keep an apply of a plan of that age, which ended so. Returns its run.
    async fn applied(&self, age: u64, ended: Run) -> Run {
        let plan = self.plan(age, None).await;
        let changes = RunChanges { follows: Some(plan.run), ..RunChanges::default() };
        let run = Run { mode: Mode::Apply, changes, calls: Vec::new(), ..ended };
        let begun = Run { ending: None, finished: None, log: Vec::new(), ..run.clone() };
        self.store.start_run(begun).await.unwrap();
        self.store.finish_run(run.clone()).await.unwrap();
        run
    }

    async fn send_as(&self, token: &str, path: &str, body: &Value) -> Answer {
        let request = with_token("POST", path, token).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn apply(&self, plan: &Plan) -> Answer {
        self.send_as(RESPONDER, &format!("/v1/plans/{}/apply", plan.run), &json!({})).await
    }

    async fn approve(&self, token: &str, plan: &Plan) -> Answer {
        let body = json!({ "digest": plan_digest(plan).to_string() });
        self.send_as(token, &format!("/v1/plans/{}/approve", plan.run), &body).await
    }

    fn ask(&self, approvers: Approvers, cooldown: Option<Duration>) {
        let plugins = BTreeMap::from([(
            "pg-ready".parse().unwrap(),
            PluginRules { approvers, cooldown, ..PluginRules::default() },
        )]);
        self.runner.govern(Rules { plugins, budgets: Vec::new() });
    }
}

#[tokio::test]
async fn while_changes_are_frozen_nothing_is_applied_and_somebody_says_why() {
    let api = Api::start().await;
    let plan = api.plan(10, None).await;
    api.apply(&plan).await.problem(409, "plugin-not-active");
    let wanted = json!({ "scope": { "plugin": "pg-ready" }, "for": "2h", "reason": " a migration " });
    let answer = api.send_as(RESPONDER, "/v1/freezes", &wanted).await;
    let freeze = answer.json();
    let expected = json!({
        "id": freeze["id"], "scope": { "plugin": "pg-ready" }, "reason": "a migration", "creator": "bob",
        "created": "2026-03-01T03:14:15.926Z", "expires": "2026-03-01T05:14:15.926Z"
    });
    assert_eq!((answer.status.as_u16(), &freeze), (200, &expected));
    assert_eq!(api.get("/v1/freezes").await.json(), json!({ "freezes": [expected] }));
    assert!(api.get_as("/v1/freezes", "text/plain").await.text.contains("plugin pg-ready"));

    let answer = api.apply(&plan).await;
    let problem = answer.problem(409, "frozen");
    let told = "bob has frozen changes by the plugin `pg-ready` until 2026-03-01T05:14:15.926Z: a migration; what was \
         changed can still be undone";
    assert_eq!((problem["detail"].as_str(), answer.header("retry-after")), (Some(told), "7200"));
    let metrics = api.get("/metrics").await.text;
    assert!(metrics.contains("paramedic_applies_refused_total{guard=\"freeze\"} 1\n"), "{metrics}");

    let place = format!("/v1/freezes/{}", freeze["id"].as_str().unwrap());
    assert_eq!(api.act("DELETE", &place, "").await.json(), freeze);
    api.act("DELETE", &place, "").await.problem(404, "unknown-freeze");
    api.act("DELETE", "/v1/freezes/all", "").await.problem(404, "unknown-freeze");
    api.apply(&plan).await.problem(409, "plugin-not-active");
    assert_eq!(api.get_as("/v1/freezes", "text/plain").await.text, "nothing is frozen\n");
}

#[tokio::test]
async fn a_freeze_ends_by_itself_and_one_of_another_target_is_no_matter() {
    let api = Api::start().await;
    let plan = api.plan(10, None).await;
    let freeze = |target: &str| Freeze {
        id: FreezeId::new(NOW),
        scope: Scope::Target(target.parse().unwrap()),
        reason: "a migration".to_owned(),
        creator: crate::domain::Actor("alice".to_owned()),
        created: NOW,
        expires: NOW.after(Duration::from_secs(60)),
    };
    api.store.add_freeze(freeze("queue/sms")).await.unwrap();
    api.apply(&plan).await.problem(409, "plugin-not-active");
    api.store.add_freeze(freeze("queue/email")).await.unwrap();
    api.apply(&plan).await.problem(409, "frozen");
    api.clock.advance(Duration::from_secs(60));
    api.apply(&plan).await.problem(409, "plugin-not-active");
    assert_eq!(api.get("/v1/freezes").await.json(), json!({ "freezes": [] }));
}

#[tokio::test]
async fn a_freeze_that_cannot_be_meant_is_refused_field_by_field() {
    let api = Api::start().await;
    for (scope, length, pointers) in [
        (json!({}), "2h", &["/scope"] as &[_]),
        (json!({ "all": true, "plugin": "pg-ready" }), "soon", &["/scope", "/for"]),
        (json!({ "target": "email" }), "2h", &["/scope/target"]),
        (json!({ "target": "queue/email" }), "2h", &["/scope/target"]),
        (json!({ "plugin": "pg-redy" }), "32d", &["/scope/plugin", "/for"]),
    ] {
        let body = json!({ "scope": scope, "for": length, "reason": "x" });
        let problem = api.act("POST", "/v1/freezes", &body.to_string()).await.problem(422, "invalid-body");
        let found: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
        assert_eq!(found, pointers, "{problem}");
    }
    let body = json!({ "scope": { "all": true }, "for": "2h", "reason": " " });
    api.act("POST", "/v1/freezes", &body.to_string()).await.problem(422, "invalid-body");
}

#[tokio::test]
async fn a_plan_is_applied_when_enough_others_have_seen_it() {
    let api = Api::start().await;
    let plan = api.plan(10, None).await;
    let place = format!("/v1/plans/{}", plan.run);
    assert_eq!(api.get(&place).await.json()["plan"]["approvals_needed"], 0);
    api.ask(Approvers::One, None);
    let shown = api.get(&place).await.json();
    assert_eq!((&shown["plan"]["approvals_needed"], &shown["plan"]["approvals"]), (&json!(1), &json!([])));
    let card = api.get_as(&place, "text/plain").await.text;
    let command = format!("paramedic approve {}", plan.run);
    assert!(card.contains("Approved by 0 of 1") && card.contains(&command), "{card}");
    let problem = api.apply(&plan).await.problem(409, "not-approved");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("by 1 more person") && detail.contains(&command), "{detail}");

    // Not the one who asked for it, not another plan, and not twice.
    api.approve(TOKEN, &plan).await.problem(409, "cannot-approve");
    let other = Plan { params: "{}".to_owned(), ..plan.clone() };
    api.approve(RESPONDER, &other).await.problem(409, "plan-differs");
    let nothing = api.send_as(RESPONDER, &format!("{place}/approve"), &json!({})).await;
    nothing.problem(422, "invalid-body");
    let answer = api.approve(RESPONDER, &plan).await;
    let approvals = json!([{ "actor": "bob", "time": "2026-03-01T03:14:15.926Z" }]);
    assert_eq!((answer.status.as_u16(), &answer.json()["plan"]["approvals"]), (200, &approvals));
    api.approve(RESPONDER, &plan).await.problem(409, "cannot-approve");
    api.apply(&plan).await.problem(409, "plugin-not-active");

    // A rule that was made stricter meanwhile is the one that counts.
    api.ask(Approvers::Two, None);
    let problem = api.apply(&plan).await.problem(409, "not-approved");
    assert!(problem["detail"].as_str().unwrap().contains("by 1 more person beside bob"), "{problem}");
    api.clock.advance(Duration::from_secs(900));
    api.approve(RESPONDER, &plan).await.problem(409, "plan-expired");
    let unknown = Plan { run: RunId::new(NOW), ..plan };
    api.approve(RESPONDER, &unknown).await.problem(404, "unknown-plan");
}

#[tokio::test]
async fn a_target_that_was_just_changed_is_left_alone() {
    let api = Api::start().await;
    let run = api.applied(60, concluded(60, Status::Ok)).await;
    let change = NewChange { run: run.id, plugin: run.plugin, position: 1, sequence: 1, planned: pause() };
    let bounds = Bounds { per_hour: 9, budgets: Vec::new(), freezes: Freezes::Stop };
    api.store.intend(change, bounds).await.unwrap();
    let done = Done { objects: 1, differences: Vec::new(), answer: None, incomplete: None, inverse: None };
    api.store.settle(run.id, 1, Fate::Applied(done), None).await.unwrap();
    let plan = api.plan(10, None).await;
    api.apply(&plan).await.problem(409, "plugin-not-active");
    api.ask(Approvers::None, Some(Duration::from_secs(300)));
    let answer = api.apply(&plan).await;
    let problem = answer.problem(409, "cooldown");
    assert_eq!(answer.header("retry-after"), "300");
    assert!(
        problem["detail"].as_str().unwrap().contains("leaves it alone until 2026-03-01T03:19:15.926Z"),
        "{problem}"
    );
    api.clock.advance(Duration::from_secs(300));
    api.apply(&plan).await.problem(409, "plugin-not-active");
}

#[tokio::test]
async fn what_did_not_help_twice_is_held_back_until_somebody_trusts_it() {
    let api = Api::start().await;
    api.applied(120, failed(120, FailureKind::Deadline)).await;
    let plan = api.plan(10, None).await;
    api.apply(&plan).await.problem(409, "plugin-not-active");
    api.applied(60, concluded(60, Status::Critical)).await;
    let answer = api.apply(&plan).await;
    let problem = answer.problem(409, "breaker-open");
    assert_eq!(answer.header("retry-after"), "3600");
    assert!(problem["detail"].as_str().unwrap().contains("paramedic plugins close-breaker pg-ready"), "{problem}");
    api.clock.advance(Duration::from_secs(1));
    let closed = api.act("POST", "/v1/plugins/pg-ready/close-breaker", "").await;
    assert_eq!((closed.status.as_u16(), &closed.json()["name"]), (200, &json!("pg-ready")));
    api.act("POST", "/v1/plugins/other/close-breaker", "").await.problem(404, "unknown-plugin");
    api.apply(&plan).await.problem(409, "plugin-not-active");
}

#[tokio::test]
async fn the_glass_is_broken_by_an_admin_with_a_reason_and_passes_the_guards_alone() {
    let api = Api::start().await;
    api.ask(Approvers::Two, None);
    let body = json!({ "scope": { "all": true }, "for": "2h", "reason": "a migration" });
    assert_eq!(api.act("POST", "/v1/freezes", &body.to_string()).await.status, 200);
    let plan = api.plan(10, None).await;
    let place = format!("/v1/plans/{}/apply", plan.run);
    api.apply(&plan).await.problem(409, "frozen");
    let glass = json!({ "break_glass": { "reason": "nobody else is awake" } });
    let problem = api.send_as(RESPONDER, &place, &glass).await.problem(403, "forbidden");
    assert_eq!(problem["role"], "admin");
    let silent = json!({ "break_glass": { "reason": " " } });
    api.send_as(TOKEN, &place, &silent).await.problem(422, "invalid-body");
    api.send_as(TOKEN, &place, &glass).await.problem(409, "plugin-not-active");
    // What the plan is stays what was looked at.
    let mut other = glass.clone();
    other["digest"] = json!(Digest::of(b"another plan").to_string());
    api.send_as(TOKEN, &place, &other).await.problem(409, "plan-differs");
    api.clock.advance(Duration::from_secs(900));
    api.send_as(TOKEN, &place, &glass).await.problem(409, "plan-expired");
}

#[tokio::test]
async fn a_plan_that_gives_something_back_passes_and_tells_of_the_glass() {
    let api = Api::start().await;
    api.ask(Approvers::Two, Some(Duration::from_secs(300)));
    let body = json!({ "scope": { "all": true }, "for": "2h", "reason": "a migration" });
    assert_eq!(api.act("POST", "/v1/freezes", &body.to_string()).await.status, 200);
    let done = api.applied(60, concluded(60, Status::Ok)).await;
    let plan = api.plan(10, Some(done.id)).await;
    let shown = api.get(&format!("/v1/plans/{}", plan.run)).await.json();
    assert_eq!(shown["plan"]["approvals_needed"], 0);
    // Its target is not configured, so that nothing is done; but it begins.
    let glass = json!({ "break_glass": { "reason": "nobody else is awake" } });
    let answer = api.send_as(TOKEN, &format!("/v1/plans/{}/apply", plan.run), &glass).await;
    let run = answer.json();
    assert_eq!((answer.status.as_u16(), &run["mode"]), (200, &json!("apply")), "{run}");
    assert_eq!(run["break_glass"], "nobody else is awake");
    let card = api.get_as(&format!("/v1/runs/{}", run["id"].as_str().unwrap()), "text/plain").await.text;
    assert!(card.contains("\n!!! BREAK-GLASS by alice, past all guards: nobody else is awake\n"), "{card}");
    let metrics = api.get("/metrics").await.text;
    assert!(metrics.contains("paramedic_break_glass_total{plugin=\"pg-ready\"} 1\n"), "{metrics}");
}
