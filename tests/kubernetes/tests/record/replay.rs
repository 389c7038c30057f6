//! The record played again: one cluster, the same seed, every request in its order. Between the requests stands what
//! was done between them when they were recorded: time went by, controllers worked, somebody halted a node.

use std::time::Duration;

use kubernetes_stand_in::{Cluster, Metrics, Usage};
use serde_json::{Value, json};

use crate::exchange::Exchange;
use crate::facts::{self, Versions};
use crate::http::{Call, Response};
use crate::shape::{self, Managed};
use crate::translation::Translation;

/// Sends every line in the course of the record; gives those that failed, and how.
pub async fn run(exchanges: &[Exchange]) -> Vec<(&str, String)> {
    let cluster = Cluster::start().await.expect("a cluster starts");
    seed(&cluster);
    let mut replay = Replay {
        cluster,
        translation: Translation::default(),
        versions: Versions::default(),
        made_token: String::new(),
    };
    let mut failures = Vec::new();
    for exchange in exchanges {
        replay.cluster.advance(Duration::from_secs(1));
        replay.before(exchange);
        let difference = match replay.send(exchange) {
            Ok(response) => replay.judge(exchange, &response),
            Err(error) => Some(format!("no answer: {error:#}")),
        };
        failures.extend(difference.map(|difference| (exchange.id.as_str(), difference)));
    }
    failures
}

/// The cluster as it was when the recording began.
pub fn seed(cluster: &Cluster) {
    let documents = include_str!("../../record/seed.yaml").split("\n---\n");
    let early: Vec<&str> = documents.filter(|document| !document.contains("kind: ClusterRoleBinding")).collect();
    cluster.apply(&early.join("\n---\n")).expect("the seed is valid");
    cluster.controllers().complete();
    cluster.advance(Duration::from_secs(16));
    cluster.controllers().autoscale();
}

/// What the seed says was bound later.
pub fn bind_delegator(cluster: &Cluster) {
    let documents = include_str!("../../record/seed.yaml").split("\n---\n");
    let late: Vec<&str> = documents.filter(|document| document.contains("kind: ClusterRoleBinding")).collect();
    cluster.apply(&late.join("\n---\n")).expect("the seed is valid");
}

struct Replay {
    cluster: Cluster,
    translation: Translation,
    versions: Versions,
    /// The token that was made for audience paramedic.
    made_token: String,
}

impl Replay {
    fn send(&mut self, exchange: &Exchange) -> anyhow::Result<Response> {
        let call = Call {
            method: exchange.method.clone(),
            path: self.translation.path(&self.cluster, &exchange.path),
            token: self.cluster.token(&exchange.caller).to_owned(),
            content_type: exchange.content_type.clone(),
            accept: exchange.accept.clone(),
            body: self.translation.body(&exchange.body),
        };
        let url = self.cluster.url();
        if !exchange.is_watch() {
            return call.send(&url);
        }
        let received = self.cluster.requests().len();
        let waiting = std::thread::spawn(move || call.send(&url));
        while self.cluster.requests().len() == received && !waiting.is_finished() {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.during(exchange);
        let seconds = exchange.path.split("timeoutSeconds=").nth(1).and_then(|rest| rest.split('&').next());
        self.cluster.advance(Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(0)));
        waiting.join().expect("the client does not panic")
    }

    fn judge(&mut self, exchange: &Exchange, response: &Response) -> Option<String> {
        let ours = response.value(exchange.is_watch());
        self.translation.learn(&self.cluster, &exchange.answer, &ours);
        if let Some(token) = ours.pointer("/status/token").and_then(Value::as_str) {
            self.made_token = token.to_owned();
        }
        let moved = self.versions.difference(exchange, &ours);
        shape::difference(exchange, response, Managed::Known).or_else(|| facts::difference(exchange, &ours)).or(moved)
    }

    /// Goes on until an object is as wanted, one step at a time.
    fn until(&self, kind: &str, name: &str, is_wanted: impl Fn(&Value) -> bool) {
        for _ in 0..100 {
            if self.cluster.get(kind, "shop", name).is_some_and(|object| is_wanted(&object)) {
                return;
            }
            self.cluster.controllers().progress();
        }
    }

    fn pod(&mut self, recorded: &str) -> String {
        self.translation.pod(&self.cluster, recorded)
    }

    /// What was done before a line was sent.
    fn before(&mut self, exchange: &Exchange) {
        let controllers = self.cluster.controllers();
        match exchange.id.as_str() {
            "tokenreview-valid" => {
                bind_delegator(&self.cluster);
                self.translation.learn_text("REDACTED", &self.made_token);
            }
            "tokenreview-wrong-audience" => {
                let token = self.cluster.issue_token("shop", "oncall", None).expect("the account is there");
                self.translation.learn_text("REDACTED", &token);
            }
            "tokenreview-no-audience" => self.translation.learn_text("REDACTED", &self.made_token),
            "scale-deploy-done"
            | "scale-managed"
            | "scale-over-quota-status"
            | "restart-get-done"
            | "env-set-get"
            | "apply-get"
            | "image-before"
            | "sts-done"
            | "sts-controllerrevisions-after"
            | "sts-stuck"
            | "sts-stuck-reverted"
            | "sts-unstuck"
            | "rollback-done"
            | "paused-set-image"
            | "paused-get"
            | "resumed-get"
            | "evict-missing"
            | "delete-missing"
            | "slices-before"
            | "slices-drained"
            | "drain-pod-before"
            | "drain-pod-after"
            | "job-complete"
            | "job-failed"
            | "valid-before"
            | "watch-bookmark" => controllers.complete(),
            "restart-get-progressing" => self.until("apps/v1/Deployment", "api", |api| {
                reason(api, "Progressing") == "ReplicaSetUpdated" && api["status"].get("unavailableReplicas").is_none()
            }),
            "sts-rolling" => {
                self.until("apps/v1/StatefulSet", "redis", |redis| redis["status"]["updatedReplicas"] == 1)
            }
            "env-remove" => self.until("apps/v1/Deployment", "api", |api| {
                api["status"].get("unavailableReplicas").is_some() && api["status"]["updatedReplicas"] == 1
            }),
            "stuck-progressing" => controllers.complete(),
            "stuck-deadline" | "job-deadline" => {
                controllers.complete();
                self.cluster.advance(Duration::from_secs(6));
                controllers.complete();
            }
            "log" => self.write_logs(),
            "log-dead-node" => {
                self.cluster.put(stranded(json!({"phase": "Pending"})));
                self.cluster.lose_node("dead");
            }
            "log-creating" => self.cluster.restore_node("dead"),
            "log-not-started" => {
                let state = json!({"waiting": {"reason": "ImagePullBackOff"}});
                self.cluster.put(stranded(json!({"containerStatuses": [{"name": "app", "state": state}]})));
            }
            "log-previous-none" => {
                let state = json!({"running": {}});
                self.cluster
                    .put(stranded(json!({"containerStatuses": [{"name": "app", "state": state, "lastState": {}}]})));
            }
            "evict-before" => {
                self.cluster.delete("v1/Pod", "shop", "stranded");
            }
            "drain-pods-relabelled" => controllers.progress(),
            "hpa-takes-back" | "hpa-disabled" => {
                controllers.complete();
                controllers.autoscale();
            }
            "hpa-scale-zero" => controllers.complete(),
            "hpa-list" => controllers.autoscale(),
            "watch-scale" | "watch-quiet" | "watch-deleted" => self.watch_from_now(exchange),
            "watch-expired" => self.cluster.compact(),
            "list-continue-expired" => self.forget(exchange),
            "metrics-empty" => self.cluster.set_metrics(Metrics::Empty),
            "metrics-list" => {
                self.cluster.set_metrics(Metrics::There(Usage::default()));
                self.scale("worker", 2);
                self.cluster.controllers().complete();
                self.translation.forget_pods("worker");
            }
            "metrics-absent" => self.cluster.set_metrics(Metrics::Absent),
            "metrics-down" => self.cluster.set_metrics(Metrics::Down),
            _ => {}
        }
        if exchange.id == "watch-bookmark" {
            self.watch_from_now(exchange);
        }
    }

    /// What was done while a watch was open.
    fn during(&mut self, exchange: &Exchange) {
        match exchange.id.as_str() {
            "watch-scale" => {
                self.scale("api", 5);
                self.cluster.controllers().complete();
            }
            "watch-bookmark" => self.scale("billing", 3),
            "watch-deleted" => {
                let name = self.pod("api-fd55845c7-5fxvl");
                self.admin("DELETE", &format!("/api/v1/namespaces/shop/pods/{name}"), Value::Null);
                self.cluster.controllers().complete();
            }
            _ => {}
        }
        if exchange.id == "watch-scale" {
            // Back to three after the watch is over; this is the time before the next line.
            self.cluster.advance(Duration::from_secs(8));
            self.scale("api", 3);
        }
    }

    fn admin(&self, method: &str, path: &str, body: Value) {
        let call = Call {
            method: method.to_owned(),
            path: path.to_owned(),
            token: self.cluster.token("admin").to_owned(),
            content_type: Some("application/merge-patch+json".to_owned()),
            accept: None,
            body,
        };
        let response = call.send(&self.cluster.url()).expect("the stand-in answers");
        assert_eq!(response.status, 200, "{method} {path}");
    }

    fn scale(&self, name: &str, replicas: i64) {
        let path = format!("/apis/apps/v1/namespaces/shop/deployments/{name}/scale");
        self.admin("PATCH", &path, json!({"spec": {"replicas": replicas}}));
    }

    /// The version in the request is the newest of the time, which no recorded answer shows.
    fn watch_from_now(&mut self, exchange: &Exchange) {
        let recorded = exchange.path.split("resourceVersion=").nth(1).unwrap_or_default();
        self.translation.learn_version(recorded, &self.cluster.version().to_string());
    }

    /// Somebody listed, then the history was forgotten: the token and the version in the next requests are too old.
    fn forget(&mut self, exchange: &Exchange) {
        let path = "/apis/apps/v1/namespaces/shop/deployments?limit=1";
        let token = self.cluster.token("agent").to_owned();
        let call = Call { method: "GET".to_owned(), path: path.to_owned(), token, ..Call::default() };
        let page = call.send(&self.cluster.url()).expect("the stand-in answers").value(false);
        let text = |pointer: &str| page.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let recorded = exchange.path.split("continue=").nth(1).unwrap_or_default();
        self.translation.learn_text(recorded, &text("/metadata/continue"));
        self.translation.learn_version("1642", &text("/metadata/resourceVersion"));
        self.cluster.controllers().noise("apps/v1/Deployment", "shop", "api", 3);
        self.cluster.compact();
    }

    /// The lines that the simulated node of the recording had for the containers.
    fn write_logs(&mut self) {
        const LINES: [(u64, &str); 8] = [
            (3600, "starting"),
            (3599, "listening on :8080"),
            (1800, "ERROR query failed: timeout after 5000 ms order=1841"),
            (600, "GET /orders 200 12ms"),
            (90, "ERROR query failed: timeout after 5000 ms order=2207"),
            (45, "GET /orders 503 5001ms"),
            (30, "ERROR cannot reach cache: connection refused"),
            (15, "GET /healthz 200 1ms"),
        ];
        let (api, worker) = (self.pod("api-fd55845c7-9qd8d"), self.pod("worker-55d4958cbd-dsjc7"));
        for (ago, line) in LINES {
            self.cluster.log("shop", &api, "api", Duration::from_secs(ago), line);
            self.cluster.log("shop", &worker, "worker", Duration::from_secs(ago), line);
        }
        for line in ["starting", "FATAL out of memory"] {
            self.cluster.log_previous("shop", &api, "api", Duration::from_secs(7200), line);
        }
    }
}

fn reason<'a>(object: &'a Value, condition: &str) -> &'a str {
    let mut conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let found = conditions.rfind(|it| it.get("type") == Some(&condition.into()));
    found.and_then(|it| it.get("reason")?.as_str()).unwrap_or_default()
}

/// A pod on a node that somebody halted.
fn stranded(status: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranded", "namespace": "shop"},
        "spec": {"nodeName": "dead", "containers": [{"name": "app", "image": "example.invalid/app:1"}]},
        "status": status,
    })
}
