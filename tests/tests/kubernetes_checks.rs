//! What an on-call engineer sees of a cluster in trouble, through the agent and a stand-in API server.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

use std::time::Duration;

use kubernetes_stand_in::{Cluster, Metrics, Usage};
use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::canaries::{self, Canaries};
use paramedic_tests::{access, components, secret};
use serde_json::{Value, json};

struct Ward {
    cluster: Cluster,
    agent: Agent,
    token: String,
}

impl Ward {
    async fn start() -> Self {
        let cluster = Cluster::seeded_now().await.unwrap();
        let (home, address, token) = (Home::new().unwrap(), agent::free_address().unwrap(), secret::random());
        let apps = ["deployments.apps", "statefulsets.apps", "daemonsets.apps"];
        let plugin = |name: &str, grants: Value| json!({ "source": { "file": components::plugin(name).unwrap() }, "grants": grants, "recordings": "all" });
        let verbs = |verbs: &[&str]| json!({ "kubernetes": "prod", "verbs": verbs });
        let objects =
            |verb: &str, resources: &[&str]| json!({ "kubernetes": "prod", "verbs": [verb], "resources": resources });
        // Beside the agent's own files, which nothing of it may get into.
        let secrets = Home::new().unwrap();
        secrets.write("kubeconfig", &cluster.kubeconfig("agent", "shop")).unwrap();
        let configuration = json!({
            "server": { "listen": address },
            "auth": access::auth(&home, &[("alice", "admin", &token)]).unwrap(),
            "targets": { "kubernetes": { "prod": {
                "namespace": "shop", "kubeconfig": { "file": secrets.path().join("kubeconfig") },
            } } },
            "plugins": {
                "k8s-pods": plugin("k8s-pods", json!([verbs(&["list-pods", "get-rollout"])])),
                "k8s-crashes": plugin("k8s-crashes", json!([verbs(&["list-pods", "read-log", "list-events"])])),
                "k8s-error-logs": plugin("k8s-error-logs", json!([verbs(&["read-logs", "list-pods"])])),
                "k8s-top": plugin("k8s-top", json!([verbs(&["list-pods", "list-usage"])])),
                "k8s-events": plugin("k8s-events", json!([verbs(&["list-events"])])),
                "k8s-rollouts": plugin("k8s-rollouts", json!([objects("list-objects", &apps), verbs(&["get-rollout"])])),
            },
        });
        let agent = Agent::start_with(home, &configuration.to_string(), &address, &["--log", "debug"]).unwrap();
        drop(secrets);
        Self { cluster, agent, token }
    }

    /// The verdict and the card of a run.
    fn check(&self, plugin: &str, params: Value) -> (String, String) {
        let api = self.agent.api(Some(&self.token));
        let answer = api.run(&json!({ "plugin": plugin, "params": params }), &[]).unwrap();
        assert_eq!(answer.status, 200, "{plugin}: {}", answer.body);
        let run = answer.json().unwrap();
        let path = format!("/v1/runs/{}", run["id"].as_str().unwrap());
        let card = api.get(&path, &["accept: text/plain"]).unwrap().body;
        println!("{card}");
        (run["state"].as_str().unwrap().to_owned(), card)
    }

    fn holds(&self, plugin: &str, params: Value, state: &str, texts: &[&str]) {
        let (found, card) = self.check(plugin, params);
        assert_eq!(found, state, "{plugin}: {card}");
        for text in texts {
            assert!(card.contains(text), "{plugin} does not tell `{text}`: {card}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_troubles_of_a_cluster_are_named() {
    let ward = Ward::start().await;
    let labels = |app: &str| json!({ "labels": format!("app={app}") });
    let workload = json!({ "kind": "Deployment", "name": "api" });
    ward.holds("k8s-pods", json!({ "labels": "app=api", "workload": workload }), "ok", &["3 of 3"]);
    ward.holds("k8s-pods", labels("crash"), "critical", &["CrashLoopBackOff"]);
    ward.holds("k8s-pods", labels("toobig"), "critical", &["Unschedulable"]);
    ward.holds("k8s-crashes", labels("oom"), "warning", &["OOMKilled", "64Mi"]);
    // The agent's Role has no DaemonSets, and so nobody can tell that all is well.
    ward.holds("k8s-rollouts", json!({}), "unknown", &["daemonsets.apps"]);
    ward.cluster.advance(Duration::from_secs(700));
    ward.cluster.controllers().complete();
    let kinds = json!({ "kinds": ["Deployment", "StatefulSet"] });
    ward.holds("k8s-rollouts", kinds, "critical", &["badimage", "no progress for 600 s"]);
    ward.holds("k8s-events", json!({ "warning": "0" }), "warning", &[]);

    let pod =
        ward.cluster.list("v1/Pod", Some("shop")).into_iter().find(|pod| pod["metadata"]["labels"]["app"] == "api");
    let pod = pod.unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
    for n in 0..30 {
        let ago = Duration::from_secs(60 + n);
        ward.cluster.log("shop", &pod, "api", ago, &format!("ERROR cannot reach order {n} after {n} ms"));
    }
    ward.holds("k8s-error-logs", labels("api"), "warning", &["30", &pod]);

    ward.holds("k8s-top", labels("api"), "unknown", &["metrics"]);
    ward.cluster.set_metrics(Metrics::Down);
    ward.holds("k8s-top", labels("api"), "unknown", &["answer"]);
    ward.cluster.set_metrics(Metrics::Empty);
    ward.holds("k8s-top", labels("api"), "unknown", &[]);
    ward.cluster.set_metrics(Metrics::There(Usage::default().with("shop", &pod, "api", "10m", "10Mi")));
    let (state, card) = ward.check("k8s-top", labels("api"));
    assert_ne!(state, "unknown", "{card}");
}

/// A pod of the application `name` with one init container, whose status and whose metadata have this in them.
fn pod(name: &str, init: Value, metadata: Value) -> Value {
    let container = |name: &str| json!({ "name": name, "image": format!("example.invalid/{name}:1") });
    let mut migrate = json!({ "name": "migrate", "image": "", "imageID": "", "restartCount": 0, "ready": false });
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("{name}-1"), "namespace": "shop", "labels": { "app": name } },
        "spec": { "nodeName": "node-0", "initContainers": [container("migrate")], "containers": [container("api")] },
    });
    for (into, from) in [(&mut migrate, init), (&mut pod["metadata"], metadata)] {
        into.as_object_mut().unwrap().extend(from.as_object().unwrap().clone());
    }
    let waiting = json!({ "waiting": { "reason": "PodInitializing" } });
    pod["status"] = json!({
        "phase": "Pending", "conditions": [{ "type": "Initialized", "status": "False" }],
        "initContainerStatuses": [migrate],
        "containerStatuses": [{
            "name": "api", "image": "", "imageID": "", "restartCount": 0, "ready": false, "state": waiting,
        }],
    });
    pod
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_do_not_start_and_pods_that_do_not_go_are_named_as_kubectl_names_them() {
    let ward = Ward::start().await;
    let labels = |app: &str| json!({ "labels": format!("app={app}") });
    let ago =
        |seconds| (jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds)).strftime("%FT%TZ").to_string();
    let ended = |code| json!({ "terminated": { "exitCode": code, "reason": "Error", "finishedAt": ago(90) } });
    let loops = json!({
        "restartCount": 7, "lastState": ended(3), "state": { "waiting": { "reason": "CrashLoopBackOff" } },
    });
    ward.cluster.put(pod("loops", loops, json!({})));
    ward.cluster.log_previous("shop", "loops-1", "migrate", Duration::from_secs(91), "FATAL no such table: orders");
    ward.cluster.log("shop", "loops-1", "migrate", Duration::from_secs(91), "FATAL no such table: orders");
    let words = ["Init:CrashLoopBackOff in migrate, last end Error, exit 3", "migrate was restarted 7 times"];
    ward.holds("k8s-pods", labels("loops"), "critical", &words);
    let words =
        ["loops-1/migrate (init container) ended", "exit 3", "keeps its pod from starting", "no such table: orders"];
    ward.holds("k8s-crashes", labels("loops"), "critical", &words);
    ward.holds("k8s-error-logs", labels("loops"), "ok", &["1 error line", "no such table: orders"]);

    ward.cluster.put(pod("failed", json!({ "state": ended(2) }), json!({})));
    ward.holds("k8s-pods", labels("failed"), "critical", &["Init:Error, exit 2 in migrate"]);
    ward.cluster.put(pod("busy", json!({ "state": { "running": {} } }), json!({})));
    ward.holds("k8s-pods", labels("busy"), "critical", &["1 starting (busy-1; Init:0/1)"]);
    ward.holds("k8s-crashes", labels("busy"), "ok", &["no container of 1 pod"]);

    let removal = |until: i64, finalizers: Value| json!({ "deletionTimestamp": ago(until), "deletionGracePeriodSeconds": 30, "finalizers": finalizers });
    for mut api in ward.cluster.list("v1/Pod", Some("shop")) {
        if api["metadata"]["labels"]["app"] == "api" {
            api["metadata"].as_object_mut().unwrap().extend(removal(-25, json!([])).as_object().unwrap().clone());
            api["metadata"]["name"] = json!(format!("{}-old", api["metadata"]["name"].as_str().unwrap()));
            api["metadata"].as_object_mut().unwrap().remove("uid");
            ward.cluster.put(api);
        }
    }
    ward.holds("k8s-pods", labels("api"), "ok", &["3 of 3 pods", "Terminating", "within their grace period: 3 pods"]);
    ward.cluster.put(pod("stuck", json!({ "state": ended(143) }), removal(300, json!(["example.com/backup"]))));
    let words = [
        "1 pod of app=stuck is being removed",
        "1 pod Terminating for 5 min",
        "held by the finalizer example.com/backup",
    ];
    ward.holds("k8s-pods", labels("stuck"), "critical", &words);
    ward.holds("k8s-crashes", labels("stuck"), "ok", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_cluster_is_in_anything_that_the_agent_shows_tells_or_keeps() {
    let ward = Ward::start().await;
    let [variable, hidden, logged] = [(); 3].map(|()| secret::random());
    let mut canaries = Canaries::of(&[&variable, &hidden, &logged, ward.cluster.token("agent"), &ward.token]);
    canaries.add(ward.cluster.token("admin"));
    ward.cluster.put(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "billing", "namespace": "shop" },
        "stringData": { "api-key": hidden },
    }));
    for mut pod in ward.cluster.list("v1/Pod", Some("shop")) {
        pod["spec"]["containers"][0]["env"] = json!([{ "name": "DATABASE_URL", "value": variable }]);
        let (name, container) = (pod["metadata"]["name"].clone(), pod["spec"]["containers"][0]["name"].clone());
        let (name, container) = (name.as_str().unwrap(), container.as_str().unwrap());
        let line = format!("ERROR login failed: password={logged}");
        ward.cluster.log("shop", name, container, Duration::from_secs(9), &line);
        ward.cluster.log_previous("shop", name, container, Duration::from_secs(90), &line);
        ward.cluster.put(pod);
    }
    for app in ["api", "crash", "oom", "badimage", "billing"] {
        for plugin in ["k8s-pods", "k8s-crashes", "k8s-error-logs", "k8s-top", "k8s-events", "k8s-rollouts"] {
            let params = if plugin == "k8s-events" { json!({}) } else { json!({ "labels": format!("app={app}") }) };
            let (_, card) = ward.check(plugin, params);
            canaries.look(plugin, card.as_bytes()).unwrap();
        }
    }
    // The token goes bad in the middle of it all.
    ward.cluster.revoke(ward.cluster.token("agent"));
    let (state, card) = ward.check("k8s-pods", json!({}));
    assert_eq!(state, "failed", "{card}");
    assert!(card.contains("credentials"), "{card}");
    canaries.look("k8s-pods", card.as_bytes()).unwrap();

    let api = ward.agent.api(Some(&ward.token));
    let runs = api.get("/v1/runs?limit=200", &[]).unwrap().json().unwrap();
    let mut recorded = 0;
    for run in runs["runs"].as_array().unwrap() {
        let path = format!("/v1/runs/{}", run["id"].as_str().unwrap());
        for path in [path.clone(), format!("{path}/recording")] {
            let answer = api.get(&path, &[]).unwrap();
            recorded += usize::from(answer.status == 200 && path.ends_with("recording"));
            canaries.look(&path, answer.body.as_bytes()).unwrap();
        }
    }
    assert!(recorded > 10, "{recorded} recordings were looked at");
    canaries.look("/metrics", api.get("/metrics", &[]).unwrap().body.as_bytes()).unwrap();
    canaries.look("the log", ward.agent.log().unwrap().as_bytes()).unwrap();
    for (path, bytes) in canaries::files_below(ward.agent.directory()).unwrap() {
        canaries.look(&path.display().to_string(), &bytes).unwrap();
    }
}
