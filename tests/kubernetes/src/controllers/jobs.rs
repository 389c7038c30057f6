//! The Job and the CronJob controller: pods that run once, how that ended, and how many ends are kept.

use serde_json::{Value, json};

use super::{all, is_ready, owned, pod_of, put};
use crate::admission::is_over;
use crate::delete;
use crate::objects;
use crate::world::World;

/// Looks at every Job and CronJob once.
pub fn sync(world: &mut World) {
    for job in all(world, "batch/jobs") {
        if !has_ended(&job) && job.pointer("/spec/suspend") != Some(&Value::Bool(true)) {
            sync_job(world, job);
        }
    }
    for cron in all(world, "batch/cronjobs") {
        keep_history(world, cron);
    }
}

fn has_ended(job: &Value) -> bool {
    objects::is_true(job, "Complete") || objects::is_true(job, "Failed")
}

fn sync_job(world: &mut World, mut job: Value) {
    let mut pods = owned(world, "/pods", &job);
    let phase = |pods: &[Value], phase: &str| {
        let those = pods.iter().filter(|pod| objects::text(pod, "/status/phase") == phase);
        i64::try_from(those.count()).unwrap_or(i64::MAX)
    };
    let (succeeded, failed) = (phase(&pods, "Succeeded"), phase(&pods, "Failed"));
    let number = |key: &str, default: i64| objects::number(&job, &format!("/spec/{key}")).unwrap_or(default);
    let (completions, limit) = (number("completions", 1), number("backoffLimit", 6));
    let age = world.clock.since(objects::text(&job, "/status/startTime")).unwrap_or_default();
    let deadline = objects::number(&job, "/spec/activeDeadlineSeconds");
    if succeeded >= completions {
        let message = "Reached expected number of succeeded pods";
        return end(
            world,
            job,
            ("SuccessCriteriaMet", "Complete"),
            ("CompletionsReached", message),
            (succeeded, failed),
        );
    }
    if deadline.is_some_and(|deadline| age >= deadline) {
        let running = pods.iter().filter(|pod| !is_over(pod)).count();
        for pod in &pods {
            delete::pod(world, objects::namespace(pod), objects::name(pod), Some(0));
        }
        let failed = failed + i64::try_from(running).unwrap_or_default();
        let message = "Job was active longer than specified deadline";
        return end(world, job, ("FailureTarget", "Failed"), ("DeadlineExceeded", message), (succeeded, failed));
    }
    if failed > limit {
        let message = "Job has reached the specified backoff limit";
        return end(world, job, ("FailureTarget", "Failed"), ("BackoffLimitExceeded", message), (succeeded, failed));
    }
    if pods.iter().all(is_over) {
        let prefix = format!("{}-", objects::name(&job));
        let template = job.pointer("/spec/template").cloned().unwrap_or_default();
        let name = format!("{prefix}{}", world.store.new_suffix());
        pods.extend(super::create(world, pod_of(&template, &job, &name, &prefix)));
    }
    let active = pods.iter().filter(|pod| !is_over(pod)).count();
    if objects::text(&job, "/status/startTime").is_empty() {
        objects::set(&mut job, "/status/startTime", world.clock.seconds());
    }
    objects::set(&mut job, "/status/active", active);
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    counts(&mut job, (succeeded, failed), ready);
    put(world, job);
}

fn counts(job: &mut Value, (succeeded, failed): (i64, i64), ready: usize) {
    let mut status = job.get("status").cloned().unwrap_or(json!({}));
    super::count(&mut status, "succeeded", succeeded);
    super::count(&mut status, "failed", failed);
    objects::set(&mut status, "/terminating", 0);
    objects::set(&mut status, "/uncountedTerminatedPods", json!({}));
    objects::set(&mut status, "/ready", ready);
    objects::set(job, "/status", status);
}

/// The condition that announces the end comes first; only the second is the end.
fn end(world: &mut World, mut job: Value, names: (&str, &str), why: (&str, &str), ended: (i64, i64)) {
    let now = world.clock.seconds();
    let condition = |name: &str| {
        json!({
            "type": name, "status": "True", "lastProbeTime": now, "lastTransitionTime": now, "reason": why.0,
            "message": why.1,
        })
    };
    objects::set(&mut job, "/status/conditions", json!([condition(names.0), condition(names.1)]));
    objects::remove(&mut job, "/status/active");
    if names.1 == "Complete" {
        objects::set(&mut job, "/status/completionTime", now);
    }
    counts(&mut job, ended, 0);
    put(world, job);
}

/// Of the Jobs that ended, a CronJob keeps so many.
fn keep_history(world: &mut World, mut cron: Value) {
    let jobs = owned(world, "batch/jobs", &cron);
    let limits = [("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1)];
    for (name, key, default) in limits {
        let limit = objects::number(&cron, &format!("/spec/{key}")).unwrap_or(default);
        let mut ended: Vec<&Value> = jobs.iter().filter(|job| objects::is_true(job, name)).collect();
        ended.sort_by_key(|job| (objects::text(job, "/status/startTime").to_owned(), objects::uid(job).to_owned()));
        let too_many = ended.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
        for job in ended.into_iter().take(too_many) {
            world.store.delete("batch/jobs", objects::namespace(job), objects::name(job));
        }
    }
    let done = jobs.iter().map(|job| objects::text(job, "/status/completionTime")).max().unwrap_or_default();
    if done > objects::text(&cron, "/status/lastSuccessfulTime") {
        objects::set(&mut cron, "/status/lastSuccessfulTime", done);
        put(world, cron);
    }
}
