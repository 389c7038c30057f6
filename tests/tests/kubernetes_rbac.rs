//! `paramedic rbac` against a stand-in API server that knows Roles: what it prints is enough, and nothing of it is too much.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "the helpers of a test may")]

#[path = "kubernetes_rbac/changes.rs"]
mod changes;

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::time::Duration;

use kubernetes_stand_in::{Cluster, Metrics, Usage};
use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::kubernetes::Stage;
use paramedic_tests::{access, components, secret, wait};
use serde_json::{Value, json};

// The others need logs, metrics and pods in trouble, which the stand-in has at will, and tokens that are taken back.
paramedic_tests::scenarios! { api: [what_the_agent_may_do_and_does_not_need_is_named], controllers: [] }

const ROLE: &str = "rbac.authorization.k8s.io/v1/Role";

/// The checks of a cluster with parameters that let each of their verbs ask for all that it can ask for.
fn checks() -> Vec<(&'static str, Value)> {
    let workload = |kind: &str, name: &str| json!({ "labels": "app=api", "workload": { "kind": kind, "name": name } });
    vec![
        ("k8s-pods", workload("Deployment", "api")),
        ("k8s-pods", workload("StatefulSet", "postgres")),
        ("k8s-pods", workload("DaemonSet", "node-exporter")),
        ("k8s-crashes", json!({ "labels": "app=crash" })),
        ("k8s-error-logs", json!({ "labels": "app=api" })),
        ("k8s-top", json!({ "labels": "app=api" })),
        ("k8s-events", json!({})),
        ("k8s-rollouts", json!({})),
        ("capture-state", json!({ "kubernetes": ["prod"], "labels": "app=api" })),
    ]
}

fn plugins() -> Value {
    let plugin = |name: &str, grants: Value| json!({ "source": { "file": components::plugin(name).unwrap() }, "grants": grants });
    let verbs = |verbs: &[&str]| json!({ "kubernetes": "prod", "verbs": verbs });
    let objects =
        |verb: &str, resources: &[&str]| json!({ "kubernetes": "prod", "verbs": [verb], "resources": resources });
    let apps = ["deployments.apps", "statefulsets.apps", "daemonsets.apps"];
    json!({
        "k8s-pods": plugin("k8s-pods", json!([verbs(&["list-pods", "get-rollout"])])),
        "k8s-crashes": plugin("k8s-crashes", json!([verbs(&["list-pods", "read-log", "list-events"])])),
        "k8s-error-logs": plugin("k8s-error-logs", json!([verbs(&["read-logs", "list-pods"])])),
        "k8s-top": plugin("k8s-top", json!([verbs(&["list-pods", "list-usage"])])),
        "k8s-events": plugin("k8s-events", json!([verbs(&["list-events"])])),
        "k8s-rollouts": plugin("k8s-rollouts", json!([objects("list-objects", &apps), verbs(&["get-rollout"])])),
        "capture-state": plugin("capture-state", json!([
            verbs(&["list-pods", "list-events", "list-usage", "read-log"]), objects("list-objects", &["pods"]),
            objects("list-objects", &apps),
        ])),
    })
}

/// An agent that is `paramedic` in a namespace.
struct Deployed {
    agent: Agent,
    namespace: String,
    token: String,
}

impl Deployed {
    fn start(kubeconfig: &str, namespace: &str) -> Self {
        let (home, address, token) = (Home::new().unwrap(), agent::free_address().unwrap(), secret::random());
        home.write("kubeconfig", kubeconfig).unwrap();
        let configuration = json!({
            "server": { "listen": address },
            "auth": access::auth(&home, &[("alice", "admin", &token)]).unwrap(),
            "targets": { "kubernetes": { "prod": { "namespace": namespace, "kubeconfig": { "file": "kubeconfig" } } } },
            "plugins": plugins(),
        });
        let agent = Agent::start(home, &configuration.to_string(), &address).unwrap();
        Self { agent, namespace: namespace.to_owned(), token }
    }

    /// The Role and the binding that it needs.
    fn printed(&self) -> String {
        let printed = self.paramedic(&["rbac", "--service-account", &format!("{}/paramedic", self.namespace)]);
        assert!(printed.status.success(), "{}", said(&printed));
        println!("{}", said(&printed));
        said(&printed)
    }

    fn paramedic(&self, words: &[&str]) -> Output {
        let mut command = Command::new(agent::program().unwrap());
        command.args(words).arg("--config").arg(self.agent.directory().join("paramedic.yaml")).output().unwrap()
    }

    /// What `--check` says, and its exit code.
    fn compare(&self) -> (Option<i32>, String) {
        let output = self.paramedic(&["rbac", "--check"]);
        (output.status.code(), said(&output))
    }

    /// The operations of a plugin that failed or were refused in runs of its checks, and those that did their work.
    fn operations(&self, plugin: &str) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut failed, mut done) = (BTreeSet::new(), BTreeSet::new());
        let api = self.agent.api(Some(&self.token));
        for (_, params) in checks().into_iter().filter(|(name, _)| *name == plugin) {
            let answer = api.run(&json!({ "plugin": plugin, "params": params }), &[]).unwrap();
            assert_eq!(answer.status, 200, "{plugin}: {}", answer.body);
            for call in answer.json().unwrap()["calls"].as_array().unwrap() {
                let operation = call["operation"].as_str().unwrap();
                if let Some((_, verb)) = operation.split_once('/').filter(|(interface, _)| *interface == "kubernetes") {
                    let set = if call["error"].is_null() { &mut done } else { &mut failed };
                    set.insert(verb.to_owned());
                }
            }
        }
        (failed, done)
    }
}

/// A cluster, and an agent in it that has the rights that `paramedic rbac` printed and no others.
struct Ward {
    cluster: Cluster,
    deployed: Deployed,
    account_token: String,
}

impl std::ops::Deref for Ward {
    type Target = Deployed;

    fn deref(&self) -> &Deployed {
        &self.deployed
    }
}

impl Ward {
    async fn start() -> Self {
        let cluster = Cluster::seeded_now().await.unwrap();
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "paramedic", "namespace": "shop" } });
        cluster.put(account);
        cluster.apply(DAEMON).unwrap();
        cluster.controllers().complete();
        let pods = cluster.list("v1/Pod", Some("shop"));
        let pod = pods.iter().find(|pod| pod["metadata"]["labels"]["app"] == "api").unwrap();
        let pod = pod["metadata"]["name"].as_str().unwrap();
        cluster.log("shop", pod, "api", Duration::from_secs(60), "ERROR lost");
        cluster.set_metrics(Metrics::There(Usage::default().with("shop", pod, "api", "10m", "10Mi")));

        let account_token = cluster.issue_token("shop", "paramedic", None).unwrap();
        let kubeconfig = cluster.kubeconfig("agent", "shop").replace(cluster.token("agent"), &account_token);
        let deployed = Deployed::start(&kubeconfig, "shop");
        cluster.apply(&deployed.printed()).unwrap();
        Self { cluster, deployed, account_token }
    }

    fn set_rules(&self, rules: &[Value]) {
        let mut role = self.cluster.get(ROLE, "shop", "paramedic").unwrap();
        role["rules"] = rules.into();
        self.cluster.put(role);
    }

    /// The rules of the Role, each taken apart into rules of one right.
    fn rights(&self) -> Vec<Value> {
        let role = self.cluster.get(ROLE, "shop", "paramedic").unwrap();
        let list = |rule: &Value, key: &str| rule[key].as_array().cloned().unwrap_or_default();
        let mut rights = Vec::new();
        for rule in list(&role, "rules") {
            for (resource, verb) in list(&rule, "resources")
                .iter()
                .flat_map(|it| list(&rule, "verbs").into_iter().map(move |verb| (it, verb)))
            {
                let mut right = rule.clone();
                (right["resources"], right["verbs"]) = (json!([resource]), json!([verb]));
                rights.push(right);
            }
        }
        rights
    }
}

const DAEMON: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-exporter, namespace: shop}
spec:
  selector: {matchLabels: {app: node-exporter}}
  template:
    metadata: {labels: {app: node-exporter}}
    spec: {containers: [{name: exporter, image: \"example.invalid/exporter:1\"}]}
";

/// Rights that nothing needs.
const MORE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: more}
rules:
- {apiGroups: [\"\"], resources: [pods, secrets], verbs: [get, list, watch]}
- {apiGroups: [apps], resources: [deployments], resourceNames: [api], verbs: [get, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: more}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: more}
subjects: [{kind: ServiceAccount, name: paramedic}]
";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The lines of a report with this word before them.
fn lines<'a>(report: &'a str, word: &str) -> Vec<&'a str> {
    report.lines().filter(|line| line.starts_with(word)).collect()
}

/// The plugins and verbs that a line says to break: `…; without that break: k8s-pods (list-pods), …`.
fn broken(line: &str) -> Vec<(String, Vec<String>)> {
    let (_, users) = line.split_once("without that break: ").unwrap();
    let users = users.trim_end_matches(')').split("), ");
    let user = |user: &str| {
        let (plugin, verbs) = user.split_once(" (").unwrap();
        (plugin.to_owned(), verbs.split(", ").map(str::to_owned).collect())
    };
    users.map(user).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_role_is_enough_for_every_check() {
    let ward = Ward::start().await;
    let granted = plugins();
    for (plugin, settings) in granted.as_object().unwrap() {
        let lines = settings["grants"].as_array().unwrap().iter();
        let verbs: BTreeSet<String> = lines
            .flat_map(|line| line["verbs"].as_array().unwrap())
            .map(|verb| verb.as_str().unwrap().to_owned())
            .collect();
        let (failed, done) = ward.operations(plugin);
        assert!(failed.is_empty(), "{plugin} cannot do {failed:?}");
        // So that the next test takes away nothing that nobody uses.
        let unused: Vec<_> = verbs
            .difference(&done)
            .filter(|verb| (plugin.as_str(), verb.as_str()) != ("k8s-error-logs", "list-pods"))
            .collect();
        assert!(unused.is_empty(), "{plugin} did not use {unused:?}");
    }
    let (code, report) = ward.compare();
    assert_eq!(code, Some(0), "{report}");
    assert!(report.contains("the agent has all 11 rights that it needs in the namespace shop"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_that_is_taken_away_is_named_with_what_breaks() {
    let ward = Ward::start().await;
    let rights = ward.rights();
    for right in &rights {
        let rest: Vec<Value> = rights.iter().filter(|other| *other != right).cloned().collect();
        ward.set_rules(&rest);
        let (code, report) = ward.compare();
        let text = |key: &str| right[key][0].as_str().unwrap().to_owned();
        let (verb, group, resource) = (text("verbs"), text("apiGroups"), text("resources"));
        let full = if group.is_empty() { resource } else { format!("{resource}.{group}") };
        let missing = lines(&report, "error");
        assert_eq!((code, missing.len()), (Some(2), 1), "without {verb} {full}: {report}");
        assert!(missing[0].contains(&format!("the agent may not {verb} {full} in")), "{report}");
        println!("{}", missing[0]);
        for (plugin, verbs) in broken(missing[0]) {
            let (failed, _) = ward.operations(&plugin);
            let unharmed: Vec<_> = verbs
                .iter()
                .filter(|verb| !failed.contains(*verb))
                // It asks only where there are no lines at all.
                .filter(|verb| (plugin.as_str(), verb.as_str()) != ("k8s-error-logs", "list-pods"))
                .collect();
            assert!(unharmed.is_empty(), "{plugin} does {unharmed:?} without {verb} {full}");
        }
    }
    ward.set_rules(&rights);
    assert_eq!(ward.compare().0, Some(0));
}

fn what_the_agent_may_do_and_does_not_need_is_named(stage: Stage) {
    stage.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: paramedic}}").unwrap();
    let kubeconfig = stage.kubeconfig(&stage.token("paramedic").unwrap()).unwrap();
    let ward = Deployed::start(&kubeconfig, stage.namespace());
    // A server may take a moment until it goes by a Role.
    let comes_to = |wanted: i32| {
        let compare = || Ok(Some(ward.compare()).filter(|(code, _)| *code == Some(wanted)));
        wait::until(&format!("a report that ends with {wanted}"), compare).unwrap().1
    };
    let missing = comes_to(2);
    assert_eq!(lines(&missing, "error").len(), 11, "{missing}");
    stage.apply(&ward.printed()).unwrap();
    let enough = comes_to(0);
    assert!(enough.contains("the agent has all 11 rights that it needs in the namespace"), "{enough}");
    stage.apply(MORE).unwrap();
    let report = comes_to(1);
    println!("{report}");
    let found = lines(&report, "warning");
    for (line, expected) in
        found.iter().zip(["may watch pods in", "may get, list, watch secrets in", "may patch deployments.apps api in"])
    {
        assert!(line.contains(expected), "{report}");
    }
    assert_eq!(found.len(), 3, "{report}");
    // The doctor says the same.
    let doctor = said(&ward.paramedic(&["doctor"]));
    assert!(found.iter().all(|line| doctor.contains(*line)), "{doctor}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_be_asked_is_an_error() {
    let ward = Ward::start().await;
    ward.cluster.revoke(&ward.account_token);
    let (code, report) = ward.compare();
    assert_eq!(code, Some(2), "{report}");
    assert!(report.contains("does not accept the agent's credentials"), "{report}");
}
