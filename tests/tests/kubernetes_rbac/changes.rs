//! Changes of a cluster with the rights that are printed for them, and without each.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kubernetes_stand_in::Cluster;
use paramedic::cli;
use paramedic::clients::kubernetes::{
    Access, EnvRequest, Eviction, KEY_BYTES, Kubernetes, ResourceAmounts, Seal, SetResources, Settings, Variable,
    Workload, WorkloadKind,
};
use paramedic::config::Config;
use paramedic::domain::{CallLimits, Operation, PluginName, Secret, TargetName};
use paramedic::journal::{Change, Settled};
use paramedic::policy::rbac::{Needs, Right};
use paramedic::policy::{Grants, Op, Permit, decide};
use serde_json::{Value, json};

use crate::{DAEMON, ROLE};

const WORKLOADS: [(WorkloadKind, &str, &str); 3] = [
    (WorkloadKind::Deployment, "api", "api"),
    (WorkloadKind::StatefulSet, "redis", "redis"),
    (WorkloadKind::DaemonSet, "node-exporter", "exporter"),
];

struct Ward {
    cluster: Cluster,
    client: Arc<Kubernetes>,
    grants: Grants,
    needs: Needs,
    /// A pod that the grant names.
    pod: String,
}

impl Ward {
    async fn start() -> Self {
        let cluster = Cluster::seeded_now().await.unwrap();
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "paramedic", "namespace": "shop" } });
        cluster.put(account);
        cluster.apply(DAEMON).unwrap();
        cluster.controllers().complete();
        for (kind, name) in [("Deployment", "api"), ("StatefulSet", "redis"), ("DaemonSet", "node-exporter")] {
            roll_out(&cluster, &format!("apps/v1/{kind}"), name);
        }
        let pods = cluster.list("v1/Pod", Some("shop"));
        let pod = pods.iter().find(|pod| pod["metadata"]["labels"]["app"] == "api").unwrap();
        let pod = pod["metadata"]["name"].as_str().unwrap().to_owned();
        let (name, lines) = plugin(&pod);
        let target: TargetName = "prod".parse().unwrap();
        let needs = Needs::of(std::slice::from_ref(&target), lines.lines().iter().map(|line| (&name, line)));
        let account = "shop/paramedic".parse().unwrap();
        cluster.apply(&cli::role(std::slice::from_ref(&target), "shop", &needs, &account)).unwrap();

        let token = cluster.issue_token("shop", "paramedic", None).unwrap();
        let kubeconfig = cluster.kubeconfig("agent", "shop").replace(cluster.token("agent"), &token);
        let access = Access::Kubeconfig { text: Secret::new(kubeconfig), context: None };
        let seal = Arc::new(Seal::new(&[7; KEY_BYTES]));
        let settings = Settings { namespace: "shop".to_owned(), access, seal };
        let client = Arc::new(Kubernetes::new(target, settings).unwrap());
        Self { cluster, client, grants: lines, needs, pod }
    }

    fn permit<O: Op>(&self) -> Permit<O> {
        decide::<O>(&self.grants, "prod").unwrap()
    }

    /// Every kind of change, on every kind of object that it is granted on.
    fn changes(&self) -> Vec<Arc<dyn Change>> {
        let client = &self.client;
        let mut changes = Vec::new();
        for (kind, name, container) in WORKLOADS {
            let workload = || Workload { kind, name: name.to_owned() };
            let request = || EnvRequest { workload: workload(), container: Some(container.to_owned()) };
            let variable = Variable { name: "LOG_LEVEL".to_owned(), value: "debug".to_owned() };
            let amounts = |memory: &str| ResourceAmounts::from([("memory".to_owned(), Some(memory.to_owned()))]);
            let resources = SetResources {
                workload: workload(),
                container: container.to_owned(),
                requests: amounts("100Mi"),
                limits: amounts("200Mi"),
            };
            changes.extend([
                client.restart(self.permit(), workload()),
                client.set_env(self.permit(), request(), vec![variable]),
                client.set_image(self.permit(), workload(), container.to_owned(), "example.invalid/other:3".to_owned()),
                client.set_resources(self.permit(), resources),
                client.unset_env(self.permit(), request(), vec!["LOG_LEVEL".to_owned()]),
                client.rollback(self.permit(), workload(), Some(1)),
            ]);
            if kind != WorkloadKind::DaemonSet {
                changes.push(client.scale(self.permit(), workload(), 4));
            }
        }
        let eviction = Eviction { pod: self.pod.clone(), uid: None, grace: None };
        changes.push(client.evict_pod(self.permit(), eviction));
        changes.push(client.run_job(self.permit(), "restore".to_owned(), vec![]));
        changes.push(client.detach_service(self.permit(), "api".to_owned()));
        changes.into_iter().map(Result::unwrap).collect()
    }

    /// The operations that could not do all of their work, with the reason.
    async fn broken(&self) -> Vec<(Operation, String)> {
        let mut broken = Vec::new();
        for change in self.changes() {
            let limits = || CallLimits { deadline: Instant::now() + Duration::from_secs(30), answer_bytes: 1 << 20 };
            let operation = change.call().operation;
            let planned = match change.preview(&limits()).await {
                Ok(planned) => planned,
                Err(error) => {
                    broken.push((operation, error.to_string()));
                    continue;
                }
            };
            assert!(planned.is_needed(), "{}", planned.summary);
            let blind = planned.notes.iter().filter(|note| note.contains("the agent may not"));
            broken.extend(blind.map(|note| (operation, note.clone())));
            if let Settled::Unknown(why) = change.settle(&planned, &limits()).await {
                broken.push((operation, why));
            }
        }
        broken
    }

    fn set_rights<'n>(&self, rights: impl Iterator<Item = &'n Right>) {
        let rule = |right: &Right| {
            let names: Vec<&String> = right.name.iter().collect();
            json!({ "apiGroups": [right.group], "resources": [right.resource], "resourceNames": names, "verbs": [right.verb] })
        };
        let mut role = self.cluster.get(ROLE, "shop", "paramedic").unwrap();
        role["rules"] = rights.map(rule).collect();
        self.cluster.put(role);
    }
}

/// The plugin with a grant of everything that changes a cluster.
fn plugin(pod: &str) -> (PluginName, Grants) {
    let objects = format!(
        "[deployment/api, \"statefulset/redis*\", daemonset/node-exporter, pod/{pod}, cronjob/restore, service/api]"
    );
    let verbs =
        "[scale, restart, rollback, set-env, unset-env, set-image, set-resources, evict-pod, run-job, detach-service]";
    let bounds =
        "per_run: 9, replicas: 1..9, variables: [\"*\"], images: [\"example.invalid/*\"], cpu: 1m..9, memory: 1Mi..9Gi";
    let text = format!(
        "targets: {{ kubernetes: {{ prod: {{ namespace: shop }} }} }}\nplugins:\n  k8s-change:\n    source: {{ file: x.wasm }}\n    \
         grants:\n      - {{ kubernetes: prod, verbs: {verbs}, objects: {objects}, {bounds} }}\n"
    );
    let config = Config::parse(&text, Path::new("paramedic.yaml"), &paramedic::config::environment);
    let (name, plugin) = config.unwrap_or_else(|error| panic!("{error}")).plugins.pop_first().unwrap();
    (name.clone(), Grants::new(name, plugin.grants))
}

/// A second revision.
fn roll_out(cluster: &Cluster, kind: &str, name: &str) {
    let mut object: Value = cluster.get(kind, "shop", name).unwrap();
    let container = &mut object["spec"]["template"]["spec"]["containers"][0];
    container["image"] = format!("example.invalid/{name}:2").into();
    container["env"] = json!([{ "name": "LOG_LEVEL", "value": "info" }]);
    object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap() + 1);
    cluster.put(object);
    cluster.controllers().complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_role_is_enough_for_every_change_and_nothing_of_it_is_too_much() {
    let ward = Ward::start().await;
    assert_eq!(ward.broken().await, []);
    let rights: Vec<_> = ward.needs.rights().collect();
    assert!(rights.iter().any(|(right, _)| right.to_string() == "patch deployments.apps/scale api"), "{rights:?}");
    for (right, reason) in &rights {
        ward.set_rights(rights.iter().map(|(other, _)| *other).filter(|other| other != right));
        let found = ward.client.diagnose(&ward.needs).await;
        let missing: Vec<_> = found.iter().filter(|line| line.message.contains("without that break")).collect();
        assert!(
            missing.len() == 1 && missing[0].message.contains(&format!("may not {right} in")),
            "{right}: {found:?}"
        );
        let named: BTreeSet<Operation> = reason.users.values().flatten().copied().collect();
        if right.group == "events.k8s.io" {
            // The note of a change is written when its run is over.
            assert_eq!(named.len(), 10, "{named:?}");
            continue;
        }
        let broken = ward.broken().await;
        println!("without {right}: {broken:?}");
        let broken: BTreeSet<Operation> = broken.into_iter().map(|(operation, _)| operation).collect();
        assert_eq!(broken, named, "without {right}");
    }
}
