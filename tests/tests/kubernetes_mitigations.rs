//! What an on-call engineer does to a cluster: plan, look, apply, undo; through the agent and an API server whose controllers are at
//! work. Each scenario is written once, and runs on the stand-in and, where there is one, on a real control plane.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

use std::collections::BTreeSet;
use std::process::Command;

use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::api::Answer;
use paramedic_tests::canaries::{self, Canaries};
use paramedic_tests::kubernetes::{Images, Served, Stage};
use paramedic_tests::{access, components, secret, wait};
use serde_json::{Value, json};

paramedic_tests::scenarios! {
    api: [
        a_workload_is_scaled_within_its_bounds_and_back,
        several_workloads_are_one_plan_and_one_undo,
    ],
    controllers: [
        a_restart_is_followed_to_its_end_with_its_progress,
        variables_are_set_and_removed_and_given_back_as_they_were,
        an_image_is_set_and_one_that_does_not_become_ready_is_given_back,
        a_rollout_that_is_stuck_is_not_waited_for,
        resources_are_set_within_their_bounds_and_given_back,
        a_bad_release_is_rolled_back_to_the_revision_that_is_ready,
        a_service_is_drained_until_its_endpoints_are_gone_and_attached_again,
        a_restore_is_the_operators_job_and_is_followed_to_its_end,
        no_value_of_the_cluster_is_in_anything_that_a_change_shows_tells_or_keeps,
    ],
}

struct Ward {
    agent: Agent,
    token: String,
    /// What the agent has for the cluster.
    account_token: String,
    // Behind the agent, which is to end first.
    stage: Stage,
}

impl Ward {
    /// A shop in a cluster that moves, and an agent with one mitigation and these grants on it.
    fn with(stage: Stage, plugin: &str, grants: Value) -> Self {
        stage.open_shop().unwrap();
        let (home, address, token) = (Home::new().unwrap(), agent::free_address().unwrap(), secret::random());
        let secrets = Home::new().unwrap();
        let account_token = stage.token("agent").unwrap();
        secrets.write("kubeconfig", &stage.kubeconfig(&account_token).unwrap()).unwrap();
        let mut plugins = json!({});
        // A release that went wrong is made by the one and mended by the other.
        for name in [plugin, "k8s-set-image"] {
            plugins[name] = json!({
                "source": { "file": components::plugin(name).unwrap() },
                "limits": { "deadline": "15m" },
                "grants": [rollouts(), json!({
                    "kubernetes": "prod", "verbs": ["set-image"], "objects": ["deployment/api", "deployment/billing"],
                    "images": [stage.images().all],
                })],
            });
        }
        if plugin != "k8s-set-image" {
            plugins[plugin]["grants"] = grants;
        }
        let configuration = json!({
            "server": { "listen": address },
            "auth": access::auth(&home, &[("alice", "responder", &token)]).unwrap(),
            "targets": { "kubernetes": { "prod": {
                "namespace": stage.namespace(), "kubeconfig": { "file": secrets.path().join("kubeconfig") },
            } } },
            "plugins": plugins,
        });
        let agent = Agent::start_with(home, &configuration.to_string(), &address, &["--log", "debug"]).unwrap();
        drop(secrets);
        Self { agent, token, account_token, stage }
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        let api = self.agent.api(Some(&self.token));
        api.ask("POST", path, &["content-type: application/json"], &body.to_string()).unwrap()
    }

    fn ended(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json().unwrap()
    }

    fn plan(&self, plugin: &str, params: &Value) -> Value {
        self.ended("/v1/runs", &json!({ "plugin": plugin, "params": params, "mode": "plan" }))
    }

    fn apply(&self, plan: &Value) -> Value {
        self.ended(&format!("/v1/plans/{}/apply", plan["id"].as_str().unwrap()), &json!({}))
    }

    fn plan_undo(&self, run: &Value) -> Answer {
        self.post(&format!("/v1/runs/{}/undo", run["id"].as_str().unwrap()), &json!({}))
    }

    /// Give back what a run did, all of it.
    fn undo(&self, run: &Value) {
        let plan = self.plan_undo(run);
        assert_eq!(plan.status, 200, "{}", plan.body);
        let undone = self.apply(&plan.json().unwrap());
        assert_eq!(undone["outcome"]["status"], "ok", "{undone}");
    }

    fn images(&self) -> &Images {
        self.stage.images()
    }

    fn object(&self, kind: &str, name: &str) -> Value {
        self.stage.get(kind, name).unwrap().unwrap()
    }

    /// An object without what the cluster notes on it by itself.
    fn written(&self, kind: &str, name: &str) -> Value {
        let mut object = self.object(kind, name);
        object.as_object_mut().unwrap().remove("status");
        let metadata = object["metadata"].as_object_mut().unwrap();
        for field in ["managedFields", "resourceVersion", "generation"] {
            metadata.remove(field);
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("deployment.kubernetes.io/revision");
        }
        object
    }

    /// A container of a workload's template.
    fn container(&self, kind: &str, name: &str, container: &str) -> Value {
        let object = self.object(kind, name);
        let containers = object.pointer("/spec/template/spec/containers").unwrap().as_array().unwrap();
        containers.iter().find(|one| one["name"] == container).unwrap().clone()
    }
}

fn rollouts() -> Value {
    json!({ "kubernetes": "prod", "verbs": ["get-rollout"] })
}

/// One verb that changes something, on these objects.
fn change(verb: &str, objects: &[&str], bounds: Value) -> Value {
    let mut grant = json!({ "kubernetes": "prod", "verbs": [verb], "objects": objects });
    grant.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
    grant
}

#[track_caller]
fn assert_says(run: &Value, status: &str, words: &str) {
    let outcome = &run["outcome"];
    assert_eq!(outcome["status"], status, "{run}");
    let summary = outcome["summary"].as_str().unwrap();
    assert!(summary.contains(words), "`{words}` is not in: {summary}");
}

/// Assert that a plan has no change, because the grant does not let it be.
#[track_caller]
fn assert_refused(plan: &Value, words: &str) {
    assert_says(plan, "unknown", words);
    assert_eq!(plan["plan"]["changes"], json!([]), "{plan}");
}

#[track_caller]
fn assert_cannot_undo(answer: &Answer) {
    let problem = answer.json().unwrap();
    assert_eq!((answer.status, &problem["type"]), (409, &json!("urn:paramedic:problem:cannot-undo")), "{problem}");
}

/// What a change would make different, as `field: before -> after`.
fn differences(run: &Value) -> Vec<String> {
    let changes = run["plan"]["changes"].as_array().unwrap().iter();
    let one = |difference: &Value| {
        let text = |side: &str| difference[side].as_str().unwrap_or("-").to_owned();
        format!("{}: {} -> {}", difference["field"].as_str().unwrap(), text("before"), text("after"))
    };
    changes.flat_map(|change| change["differences"].as_array().unwrap().iter().map(one)).collect()
}

fn a_restart_is_followed_to_its_end_with_its_progress(stage: Stage) {
    let ward = Ward::with(
        stage,
        "k8s-rollout-restart",
        json!([rollouts(), change("restart", &["deployment/api"], json!({}))]),
    );
    let plan = ward.plan("k8s-rollout-restart", &json!({ "name": "api" }));
    assert_says(&plan, "ok", "would restart prod/deployment/api");
    assert_eq!(plan["plan"]["changes"][0]["reversible"], false, "{plan}");
    let pods = || {
        let pods = ward.stage.list("v1/Pod").unwrap().into_iter();
        let of_api = pods.filter(|pod| pod["metadata"]["labels"]["app"] == "api");
        // Those that serve, and those that are on their way out.
        let (going, serving): (Vec<_>, Vec<_>) =
            of_api.partition(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
        [serving, going].map(|pods| pods.iter().map(|pod| pod["metadata"]["uid"].clone()).collect::<Vec<_>>())
    };
    let [before, _] = pods();
    assert_eq!(before.len(), 3);
    let applied = ward.apply(&plan);
    assert_says(&applied, "ok", "restarted deployment api of prod, and deployment api is ready after");
    assert!(pods()[0].iter().all(|pod| !before.contains(pod)), "all pods are new");
    let is_done = || pods().iter().flatten().all(|pod| !before.contains(pod));
    wait::until("those of before to be gone", || Ok(is_done().then_some(()))).unwrap();
    let told: Vec<_> = applied["log"].as_array().unwrap().iter().map(ToString::to_string).collect();
    assert!(told.len() > 1 && told.last().unwrap().contains("complete"), "{told:?}");
    assert_cannot_undo(&ward.plan_undo(&applied));
    assert_refused(&ward.plan("k8s-rollout-restart", &json!({ "name": "billing" })), "deployment/billing");
}

fn a_workload_is_scaled_within_its_bounds_and_back(stage: Stage) {
    let grants = json!([change("scale", &["deployment/api"], json!({ "replicas": "2..20" }))]);
    let ward = Ward::with(stage, "k8s-scale", grants);
    let before = ward.written("apps/v1/Deployment", "api");
    let plan = ward.plan("k8s-scale", &json!({ "name": "api", "replicas": 10 }));
    assert_says(&plan, "ok", "would scale prod/deployment/api from 3 to 10");
    assert_eq!(differences(&plan), ["replicas: 3 -> 10"]);
    assert_eq!(ward.written("apps/v1/Deployment", "api"), before, "a plan changes nothing");
    let applied = ward.apply(&plan);
    assert_says(&applied, "ok", "scaled deployment api of prod from 3 to 10");
    assert_eq!(ward.object("apps/v1/Deployment", "api")["spec"]["replicas"], 10);
    ward.undo(&applied);
    assert_eq!(ward.written("apps/v1/Deployment", "api"), before);

    assert_says(&ward.plan("k8s-scale", &json!({ "name": "api", "replicas": 3 })), "ok", "has 3 replicas");
    for replicas in [1, 21] {
        let params = json!({ "name": "api", "replicas": replicas });
        assert_refused(&ward.plan("k8s-scale", &params), "2 to 20");
    }
    assert_refused(&ward.plan("k8s-scale", &json!({ "name": "worker", "replicas": 4 })), "deployment/worker");
}

fn several_workloads_are_one_plan_and_one_undo(stage: Stage) {
    let objects = ["deployment/api", "deployment/worker", "statefulset/redis"];
    let grants = json!([change("scale", &objects, json!({ "replicas": "1..20", "per_run": 5 }))]);
    let ward = Ward::with(stage, "scale-emergency", grants);
    let written = || ["api", "worker"].map(|name| ward.written("apps/v1/Deployment", name));
    let before = (written(), ward.written("apps/v1/StatefulSet", "redis"));
    let two = json!({ "workloads": [
        { "name": "api", "replicas": 20 }, { "kind": "StatefulSet", "name": "redis", "replicas": 4 },
    ] });
    let plan = ward.plan("scale-emergency", &two);
    assert_says(&plan, "ok", "would scale 2 workloads of prod");
    assert_eq!(differences(&plan), ["replicas: 3 -> 20", "replicas: 2 -> 4"]);
    let applied = ward.apply(&plan);
    assert_says(&applied, "ok", "scaled 2 workloads of prod");
    assert_eq!(ward.object("apps/v1/StatefulSet", "redis")["spec"]["replicas"], 4);
    ward.undo(&applied);
    assert_eq!((written(), ward.written("apps/v1/StatefulSet", "redis")), before);

    // The agent's own Role does not let it scale the worker, and the grant sets a bound for the other one.
    let partly = json!({ "workloads": [
        { "name": "api", "replicas": 5 }, { "name": "worker", "replicas": 4 },
        { "kind": "StatefulSet", "name": "redis", "replicas": 40 }, { "name": "nobody", "replicas": 2 },
    ] });
    let plan = ward.plan("scale-emergency", &partly);
    assert_says(&plan, "critical", "would scale 1 workload of prod");
    let table = &plan["outcome"]["findings"][0]["rows"];
    let result = |row: usize| table[row][3].as_str().unwrap();
    assert_eq!(result(0), "to be scaled", "{table}");
    assert!(result(1).starts_with("failed: kubernetes answered Forbidden"), "{table}");
    assert!(result(2).starts_with("out of bounds: "), "{table}");
    assert!(result(3).starts_with("out of bounds: "), "{table}");
    let applied = ward.apply(&plan);
    assert_says(&applied, "critical", "scaled 1 workload of prod");
    ward.undo(&applied);
    assert_eq!((written(), ward.written("apps/v1/StatefulSet", "redis")), before);
}

fn variables_are_set_and_removed_and_given_back_as_they_were(stage: Stage) {
    let variables = ["MAINTENANCE_MODE", "LOG_LEVEL", "MODE", "CACHE_TTL", "DATABASE_POOL_MAX=1..50"];
    let on = |verb| change(verb, &["deployment/api", "deployment/billing"], json!({ "variables": variables }));
    let ward = Ward::with(stage, "k8s-set-env", json!([rollouts(), on("set-env"), on("unset-env")]));
    let before = ["api", "billing"].map(|name| ward.written("apps/v1/Deployment", name));
    let maintenance = json!({ "name": "api", "set": { "MAINTENANCE_MODE": "true", "LOG_LEVEL": "debug" } });
    let plan = ward.plan("k8s-set-env", &maintenance);
    assert_says(&plan, "ok", "would set LOG_LEVEL, MAINTENANCE_MODE in prod/deployment/api");
    let told = differences(&plan);
    assert!(told.contains(&"LOG_LEVEL of api: a value -> debug".to_owned()), "{told:?}");
    assert!(told.contains(&"MAINTENANCE_MODE of proxy: - -> true".to_owned()), "{told:?}");
    let applied = ward.apply(&plan);
    assert_says(
        &applied,
        "ok",
        "set LOG_LEVEL, MAINTENANCE_MODE of deployment api of prod, and deployment api is ready",
    );
    let env = ward.container("apps/v1/Deployment", "api", "api")["env"].clone();
    let wanted = json!([{ "name": "LOG_LEVEL", "value": "debug" }, { "name": "MAINTENANCE_MODE", "value": "true" }]);
    assert_eq!(env, wanted);
    ward.undo(&applied);
    assert_eq!(ward.written("apps/v1/Deployment", "api"), before[0]);

    let both = json!({
        "name": "billing", "container": "billing", "set": { "DATABASE_POOL_MAX": "50" }, "unset": ["MODE"],
    });
    let applied = ward.apply(&ward.plan("k8s-set-env", &both));
    let words = "set DATABASE_POOL_MAX of billing in deployment billing of prod; removed MODE of billing";
    assert_says(&applied, "ok", words);
    let env = ward.container("apps/v1/Deployment", "billing", "billing")["env"].clone();
    let mut names: Vec<_> = env.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["API_KEY", "DATABASE_POOL_MAX"]);
    ward.undo(&applied);
    assert_eq!(ward.written("apps/v1/Deployment", "billing"), before[1]);

    for (name, value) in [("DATABASE_POOL_MAX", "51"), ("DATABASE_POOL_MAX", "many"), ("PASSWORD", "x")] {
        let params = json!({ "name": "api", "set": { name: value } });
        assert_refused(&ward.plan("k8s-set-env", &params), name);
    }
    assert_refused(&ward.plan("k8s-set-env", &json!({ "name": "api", "unset": ["PASSWORD"] })), "PASSWORD");
}

fn an_image_is_set_and_one_that_does_not_become_ready_is_given_back(stage: Stage) {
    let ward = Ward::with(stage, "k8s-set-image", json!([]));
    let before = ward.written("apps/v1/Deployment", "api");
    let image = |image: &str| json!({ "name": "api", "container": "api", "image": image });
    let plan = ward.plan("k8s-set-image", &image(&ward.images().second));
    let Images { first, second, all, .. } = ward.images();
    assert_says(&plan, "ok", &format!("would set the image of api in prod/deployment/api to {second}"));
    assert_eq!(differences(&plan), [format!("image of api: {first} -> {second}")]);
    let applied = ward.apply(&plan);
    assert_says(&applied, "ok", &format!("to {second}, and deployment api is ready after"));
    assert_eq!(ward.container("apps/v1/Deployment", "api", "api")["image"], *second);
    ward.undo(&applied);
    assert_eq!(ward.written("apps/v1/Deployment", "api"), before);
    assert_refused(&ward.plan("k8s-set-image", &image("elsewhere.invalid/api:2")), all);

    let mut bad = image(&ward.images().bad);
    bad["ready_within"] = json!(3);
    let plan = ward.plan("k8s-set-image", &bad);
    assert_says(&plan, "ok", "would set the image");
    let applied = ward.apply(&plan);
    assert_says(&applied, "critical", "but deployment api is not ready after");
    let label = &applied["outcome"]["labels"][0];
    assert_eq!(label["name"], "give-back", "{applied}");
    assert!(label["value"].as_str().unwrap().starts_with("deployment api is not ready after"), "{label}");
    assert!(applied["changes"][0]["undone_by"].is_string(), "{applied}");
    assert_eq!(ward.written("apps/v1/Deployment", "api"), before);
}

fn a_rollout_that_is_stuck_is_not_waited_for(stage: Stage) {
    let ward = Ward::with(stage, "k8s-set-image", json!([]));
    // Its deadline for progress is five seconds.
    let bad = json!({
        "name": "billing", "container": "billing", "image": ward.images().bad, "ready_within": 200,
        "give_back_if_not_ready": false,
    });
    let applied = ward.apply(&ward.plan("k8s-set-image", &bad));
    assert_says(&applied, "critical", "it is stuck: no progress for 5 s");
    assert!(applied["outcome"].get("labels").is_none_or(|labels| *labels == json!([])), "{applied}");
    assert_eq!(
        ward.container("apps/v1/Deployment", "billing", "billing")["image"],
        ward.images().bad,
        "it is left as it is"
    );
}

fn resources_are_set_within_their_bounds_and_given_back(stage: Stage) {
    let bounds = json!({ "memory": "64Mi..4Gi", "cpu": "50m..2" });
    let objects = ["deployment/billing", "statefulset/redis"];
    let ward = Ward::with(stage, "k8s-set-resources", json!([rollouts(), change("set-resources", &objects, bounds)]));
    let before = (ward.written("apps/v1/Deployment", "billing"), ward.written("apps/v1/StatefulSet", "redis"));
    let billing = json!({
        "name": "billing", "container": "billing", "requests": { "memory": "128Mi" },
        "limits": { "memory": "2Gi", "cpu": "1" },
    });
    let redis = json!({
        "kind": "StatefulSet", "name": "redis", "container": "redis", "limits": { "memory": "4Gi" },
    });
    let plan = ward.plan("k8s-set-resources", &billing);
    assert_says(&plan, "ok", "would set requests and limits of billing in prod/deployment/billing");
    assert!(differences(&plan).contains(&"memory limit of billing: 128Mi -> 2Gi".to_owned()), "{plan}");
    let applied = ward.apply(&plan);
    let words =
        "gave billing in deployment billing of prod requests of 128Mi memory and limits of 1 cpu, 2Gi memory, and";
    assert_says(&applied, "ok", words);
    let resources = ward.container("apps/v1/Deployment", "billing", "billing")["resources"].clone();
    assert_eq!(resources["limits"], json!({ "memory": "2Gi", "cpu": "1" }));
    assert_eq!(resources["requests"], json!({ "memory": "128Mi", "cpu": "100m" }));
    ward.undo(&applied);

    let applied = ward.apply(&ward.plan("k8s-set-resources", &redis));
    assert_says(&applied, "ok", "limits of 4Gi memory, and statefulset redis is ready after");
    ward.undo(&applied);
    let after = (ward.written("apps/v1/Deployment", "billing"), ward.written("apps/v1/StatefulSet", "redis"));
    assert_eq!(after, before);

    let mut greedy = redis;
    greedy["limits"]["memory"] = json!("5Gi");
    assert_refused(&ward.plan("k8s-set-resources", &greedy), "64Mi");
}

fn a_bad_release_is_rolled_back_to_the_revision_that_is_ready(stage: Stage) {
    let grants = json!([rollouts(), change("rollback", &["deployment/api"], json!({}))]);
    let ward = Ward::with(stage, "k8s-rollback", grants);
    let before = ward.written("apps/v1/Deployment", "api");
    let bad = json!({
        "name": "api", "container": "api", "image": ward.images().bad, "ready_within": 2, "give_back_if_not_ready": false,
    });
    let broken = ward.apply(&ward.plan("k8s-set-image", &bad));
    assert_says(&broken, "critical", "is not ready");
    let released = ward.written("apps/v1/Deployment", "api");

    let plan = ward.plan("k8s-rollback", &json!({ "name": "api" }));
    assert_says(&plan, "ok", "would roll prod/deployment/api back to revision 1 (api-");
    assert!(differences(&plan)[1].ends_with(&format!("{} -> {}", ward.images().bad, ward.images().first)), "{plan}");
    let applied = ward.apply(&plan);
    assert_says(&applied, "ok", "rolled deployment api of prod back to revision 1 (api-");
    assert!(applied["outcome"]["summary"].as_str().unwrap().contains("is ready after"), "{applied}");
    assert_eq!(ward.written("apps/v1/Deployment", "api"), before);
    ward.undo(&applied);
    assert_eq!(ward.written("apps/v1/Deployment", "api"), released);
    assert_refused(&ward.plan("k8s-rollback", &json!({ "name": "billing" })), "deployment/billing");
}

fn a_service_is_drained_until_its_endpoints_are_gone_and_attached_again(stage: Stage) {
    let slices = json!({
        "kubernetes": "prod", "verbs": ["list-objects"], "resources": ["endpointslices.discovery.k8s.io"],
    });
    let grants = json!([slices, change("detach-service", &["service/api"], json!({}))]);
    let ward = Ward::with(stage, "drain-traffic", grants);
    let before = ward.written("v1/Service", "api");
    let endpoints = || {
        let slices = ward.stage.list("discovery.k8s.io/v1/EndpointSlice").unwrap().into_iter();
        let of_api = slices.filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == "api");
        of_api.map(|slice| slice["endpoints"].as_array().map_or(0, Vec::len)).sum::<usize>()
    };
    let plan = ward.plan("drain-traffic", &json!({ "service": "api" }));
    assert_says(&plan, "ok", "would detach prod/service/api from its pods");
    assert_eq!(endpoints(), 3);
    let applied = ward.apply(&plan);
    assert_says(&applied, "ok", "detached service api of prod from its pods; its endpoints were gone after");
    assert_eq!(endpoints(), 0);
    let details = applied["outcome"]["details"].as_str().unwrap();
    assert!(details.contains("nobody can see from here when they end"), "{details}");
    assert!(details.contains(&format!("paramedic undo {}", applied["id"].as_str().unwrap())), "{details}");
    ward.undo(&applied);
    assert_eq!(ward.written("v1/Service", "api"), before);
    assert_refused(&ward.plan("drain-traffic", &json!({ "service": "postgres" })), "service/postgres");
}

fn a_restore_is_the_operators_job_and_is_followed_to_its_end(stage: Stage) {
    let jobs = json!({ "kubernetes": "prod", "verbs": ["get-object"], "resources": ["jobs.batch"] });
    let logs = json!({ "kubernetes": "prod", "verbs": ["read-logs"] });
    let start = change("run-job", &["cronjob/restore"], json!({ "variables": ["TARGET_TIME"] }));
    let ward = Ward::with(stage, "pg-restore-pitr", json!([jobs, logs, start]));
    let params = json!({ "cron_job": "restore", "target_time": "2026-01-01T00:00:00Z" });
    let plan = ward.plan("pg-restore-pitr", &params);
    assert_says(&plan, "ok", "would start a job of prod/cronjob/restore");
    assert_eq!(ward.stage.list("batch/v1/Job").unwrap().len(), 0, "a plan starts nothing");
    assert!(differences(&plan).contains(&"TARGET_TIME of the job: - -> 2026-01-01T00:00:00Z".to_owned()), "{plan}");
    assert_eq!(plan["plan"]["changes"][0]["reversible"], false, "{plan}");
    let applied = ward.apply(&plan);
    assert_says(&applied, "ok", "restored to 2026-01-01T00:00:00Z within");
    let jobs = ward.stage.list("batch/v1/Job").unwrap();
    let env = &jobs[0]["spec"]["template"]["spec"]["containers"][0]["env"];
    let wanted = json!([
        { "name": "MODE", "value": "pitr" }, { "name": "TARGET_TIME", "value": "2026-01-01T00:00:00Z" },
    ]);
    assert_eq!(*env, wanted);
    assert_cannot_undo(&ward.plan_undo(&applied));

    // From now on the restore fails.
    let failing = json!({
        "metadata": { "labels": { "sim/exit": "1" } },
        "spec": { "containers": [{ "name": "restore", "command": ["false"] }] },
    });
    let failing = json!({ "spec": { "jobTemplate": { "spec": { "template": failing } } } });
    ward.stage.patch("batch/v1/CronJob", "restore", &failing).unwrap();
    let failed = ward.apply(&ward.plan("pg-restore-pitr", &params));
    assert_says(&failed, "critical", "BackoffLimitExceeded");

    let mut wrong = params.clone();
    wrong["variable"] = json!("PGPASSWORD");
    assert_refused(&ward.plan("pg-restore-pitr", &wrong), "PGPASSWORD");
    let mut late = params;
    late["target_time"] = json!("2999-01-01T00:00:00Z");
    let refused = ward.plan("pg-restore-pitr", &late);
    assert!(refused["failure"]["message"].as_str().unwrap().contains("is in the future"), "{refused}");
}

fn no_value_of_the_cluster_is_in_anything_that_a_change_shows_tells_or_keeps(stage: Stage) {
    let grant = json!({
        "kubernetes": "prod", "verbs": ["set-env", "unset-env"], "objects": ["deployment/billing"],
        "variables": ["MODE", "API_KEY"], "per_run": 2, "per_hour": 100,
    });
    let ward = Ward::with(stage, "k8s-set-env", json!([rollouts(), grant]));
    let [ours, theirs, hidden] = [(); 3].map(|()| secret::random());
    let canaries = Canaries::of(&[&ours, &theirs, &hidden, &ward.account_token, &ward.token]);
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: billing}, stringData: {api-key: VALUE}}";
    ward.stage.apply(&secret.replace("VALUE", &hidden)).unwrap();
    let mode_is = |value: &str| {
        let container = json!({ "name": "billing", "env": [{ "name": "MODE", "value": value }] });
        let patch = json!({ "spec": { "template": { "spec": { "containers": [container] } } } });
        ward.stage.patch("apps/v1/Deployment", "billing", &patch).unwrap();
        ward.stage.rolled_out("apps/v1/Deployment", "billing").unwrap();
    };
    mode_is(&ours);
    let before = ward.written("apps/v1/Deployment", "billing");
    let set = json!({ "name": "billing", "set": { "MODE": "maintenance", "API_KEY": "none" } });
    let unset = json!({ "name": "billing", "unset": ["MODE", "API_KEY"] });
    let mut told = Vec::new();
    for params in [&set, &unset] {
        let plan = ward.plan("k8s-set-env", params);
        let applied = ward.apply(&plan);
        assert_says(&applied, "ok", "billing");
        ward.undo(&applied);
        assert_eq!(ward.written("apps/v1/Deployment", "billing"), before);
        told.extend([plan, applied]);
    }
    // Somebody else sets it between the plan and the apply, and between the apply and the undo.
    let plan = ward.plan("k8s-set-env", &set);
    mode_is(&theirs);
    let applied = ward.apply(&plan);
    let change = &applied["changes"][0];
    assert_eq!(change["fate"], "conflict", "{applied}");
    assert!(change["reason"].as_str().unwrap().starts_with("MODE of billing was a value ("), "{change}");
    let second = ward.apply(&ward.plan("k8s-set-env", &set));
    mode_is(&theirs);
    let refused = ward.plan_undo(&second);
    told.extend([applied, second, refused.json().unwrap()]);
    for answer in &told {
        canaries.look("an answer", answer.to_string().as_bytes()).unwrap();
    }

    let api = ward.agent.api(Some(&ward.token));
    let runs = api.get("/v1/runs?limit=200", &[]).unwrap().json().unwrap();
    for run in runs["runs"].as_array().unwrap() {
        let path = format!("/v1/runs/{}", run["id"].as_str().unwrap());
        for kind in ["accept: application/json", "accept: text/plain"] {
            canaries.look(&path, api.get(&path, &[kind]).unwrap().body.as_bytes()).unwrap();
        }
    }
    let noted = || {
        let events = ward.stage.list("v1/Event").unwrap().into_iter();
        events.filter(|event| event["reportingComponent"] == "paramedic.dev/agent").collect::<Vec<_>>()
    };
    // Each apply and each undo is noted on the object, in its own time.
    wait::until("each to be noted", || Ok((noted().len() >= 5).then_some(()))).unwrap();
    let events = noted();
    assert!(events.iter().all(|event| event["involvedObject"]["name"] == "billing"), "{events:?}");
    assert!(events.len() >= 5, "{events:?}");
    canaries.look("events", json!(events).to_string().as_bytes()).unwrap();
    canaries.look("/metrics", api.get("/metrics", &[]).unwrap().body.as_bytes()).unwrap();
    canaries.look("the log", ward.agent.log().unwrap().as_bytes()).unwrap();
    for (path, bytes) in canaries::files_below(ward.agent.directory()).unwrap() {
        canaries.look(&path.display().to_string(), &bytes).unwrap();
    }
}

/// This program again, on the cluster of a kubeconfig; whether these scenarios passed, and what it printed.
fn run_with(served: &Served, scenarios: &[&str]) -> (bool, String) {
    let home = Home::new().unwrap();
    home.write("kubeconfig", &served.kubeconfig().unwrap()).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--exact").args(scenarios.iter().map(|name| format!("on_a_control_plane::{name}")));
    command.env("KUBECONFIG", home.path().join("kubeconfig")).env("PARAMEDIC_TEST_NAMESPACE", "paramedic-test");
    let output =
        command.env_remove("PARAMEDIC_TEST_SIMULATED_NODES").env_remove("PARAMEDIC_TEST_IMAGES").output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), said)
}

/// The namespaces and nodes of a cluster by their names.
fn places(served: &Served) -> BTreeSet<String> {
    let cluster = Stage::by_kubeconfig(&served.kubeconfig().unwrap(), "looking").unwrap();
    let own = cluster.namespace().to_owned();
    let all = ["v1/Namespace", "v1/Node"].map(|kind| cluster.list_everywhere(kind).unwrap()).concat();
    let names = all.iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned());
    names.filter(|name| *name != own).collect()
}

/// So that the way to a real cluster does not rot where there is none: to another process, by nothing but a kubeconfig.
fn scenarios_pass_by_a_kubeconfig(served: &Served) {
    let before = places(served);
    let scenarios = [
        "a_workload_is_scaled_within_its_bounds_and_back",
        "variables_are_set_and_removed_and_given_back_as_they_were",
    ];
    let (passed, said) = run_with(served, &scenarios);
    assert!(passed && said.contains("2 passed"), "{said}");
    assert_eq!(places(served), before, "nothing is left");
}

#[test]
fn scenarios_run_on_a_cluster_that_is_known_by_its_kubeconfig_alone() {
    scenarios_pass_by_a_kubeconfig(&Served::start().unwrap());
}

#[test]
fn scenarios_run_on_a_cluster_without_nodes() {
    scenarios_pass_by_a_kubeconfig(&Served::start_without_nodes().unwrap());
}
