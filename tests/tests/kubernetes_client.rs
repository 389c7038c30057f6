//! The Kubernetes client against a stand-in API server that is held to the record of a real one.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "the helpers of a test may")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use kubernetes_stand_in::{Cluster, Fault, Metrics, Trouble, Usage};
use paramedic::clients::kubernetes::{
    Access, KEY_BYTES, Kubernetes, LogQuery, ObjectQuery, PodRef, Seal, Settings, Workload, WorkloadKind,
};
use paramedic::domain::{
    CallError, CallLimits, ChangeBounds, Diagnosis, Grant, Operation, PluginName, Secret, Severity, System, Target,
};
use paramedic::policy::rbac::Needs;
use paramedic::policy::{Grants, Op, Permit, decide};
use serde_json::{Value, json};

/// Longer than anything that goes well takes.
const AMPLE: Duration = Duration::from_secs(30);

/// A limit that a test runs into.
const SHORT: Duration = Duration::from_millis(500);

fn limits(time: Duration) -> CallLimits {
    CallLimits { deadline: Instant::now() + time, answer_bytes: 1 << 20 }
}

fn grant(operations: &[Operation]) -> Grant {
    let resources = ["pods", "deployments.apps", "configmaps"];
    Grant {
        target: Target { system: System::Kubernetes, name: "prod".parse().unwrap() },
        operations: operations.to_vec(),
        keys: vec![],
        paths: vec![],
        resources: resources.map(|resource| resource.parse().unwrap()).to_vec(),
        changes: ChangeBounds::default(),
    }
}

fn permit<O: Op>() -> Permit<O> {
    let grant = grant(&Operation::of_system(System::Kubernetes).collect::<Vec<_>>());
    decide::<O>(&Grants::new("probe".parse().unwrap(), vec![grant]), "prod").unwrap()
}

async fn seeded() -> (Cluster, Kubernetes) {
    let cluster = Cluster::seeded().await.unwrap();
    let client = client(&cluster.kubeconfig("agent", "shop"), "shop");
    (cluster, client)
}

fn client(kubeconfig: &str, namespace: &str) -> Kubernetes {
    let access = Access::Kubeconfig { text: Secret::new(kubeconfig), context: None };
    let settings = Settings { namespace: namespace.to_owned(), access, seal: Arc::new(Seal::new(&[7; KEY_BYTES])) };
    Kubernetes::new("prod".parse().unwrap(), settings).unwrap()
}

fn deployment(name: &str) -> Workload {
    Workload { kind: WorkloadKind::Deployment, name: name.to_owned() }
}

#[tokio::test]
async fn pods_are_read_with_their_containers_and_their_troubles() {
    let (_cluster, client) = seeded().await;
    let pods = client.list_pods(&permit(), &limits(AMPLE), "app=api").await.unwrap();
    assert_eq!(pods.len(), 3);
    assert!(pods.iter().all(|pod| pod.ready && pod.phase == "Running" && pod.node.is_some()), "{pods:?}");
    let names: Vec<_> = pods[0].containers.iter().map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["api", "proxy"]);

    let one = async |labels: &str| client.list_pods(&permit(), &limits(AMPLE), labels).await.unwrap().remove(0);
    let image = one("app=badimage").await;
    let waits = ["ErrImagePull", "ImagePullBackOff"];
    assert!(waits.contains(&image.containers[0].reason.as_deref().unwrap_or_default()), "{image:?}");
    let killed = one("app=oom").await;
    let end = killed.containers[0].last_end.as_ref().unwrap();
    assert_eq!((end.reason.as_deref(), end.exit_code), (Some("OOMKilled"), 137), "{killed:?}");
    assert!(
        end.finished_ms.is_some() && killed.containers[0].end.is_none() && killed.containers[0].started,
        "{killed:?}"
    );
    assert_eq!(killed.containers[0].limits.memory.as_deref(), Some("64Mi"));
    let crashing = one("app=crash").await;
    assert_eq!((crashing.status.as_str(), crashing.removal), ("CrashLoopBackOff", None));
    assert!(crashing.labels.contains(&("app".to_owned(), "crash".to_owned())), "{:?}", crashing.labels);
    let too_big = one("app=toobig").await;
    assert_eq!((too_big.phase.as_str(), too_big.reason.as_deref()), ("Pending", Some("Unschedulable")), "{too_big:?}");
    assert_eq!(too_big.containers[0].requests.cpu.as_deref(), Some("64"));
    assert!(client.list_pods(&permit(), &limits(AMPLE), "app=nobody").await.unwrap().is_empty());
}

/// A pod `name` of the application `late` that has a sidecar `proxy` and an init container `migrate`, in that state.
fn late(name: &str, migrate: Value) -> Value {
    let container = |name: &str| json!({ "name": name, "image": format!("example.invalid/{name}:1") });
    let mut proxy = container("proxy");
    proxy["restartPolicy"] = json!("Always");
    let status = |name: &str, is_up: bool, state: Value| {
        json!({
            "name": name, "image": "", "imageID": "", "restartCount": 0, "ready": is_up, "started": is_up, "state": state,
            "lastState": {},
        })
    };
    let mut migrating = status("migrate", false, migrate);
    let ended = json!({ "exitCode": 3, "signal": 0, "reason": "Error", "finishedAt": "2026-03-01T03:14:15Z" });
    migrating["lastState"] = json!({ "terminated": ended });
    migrating["restartCount"] = json!(4);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "shop", "labels": { "app": "late" } },
        "spec": {
            "nodeName": "node-0", "initContainers": [proxy, container("migrate")], "containers": [container("api")],
        },
        "status": {
            "phase": "Pending",
            "conditions": [{ "type": "PodScheduled", "status": "True" }, { "type": "Initialized", "status": "False" }],
            "initContainerStatuses": [status("proxy", true, json!({ "running": {} })), migrating],
            "containerStatuses": [status("api", false, json!({ "waiting": { "reason": "PodInitializing" } }))],
        },
    })
}

#[tokio::test]
async fn init_containers_and_pods_that_are_being_removed_are_told() {
    let (cluster, client) = seeded().await;
    cluster.put(late("late-1", json!({ "waiting": { "reason": "CrashLoopBackOff" } })));
    let mut ended = late("late-2", json!({ "terminated": { "exitCode": 137, "signal": 9 } }));
    let metadata = &mut ended["metadata"];
    metadata["finalizers"] = json!(["example.com/backup"]);
    metadata["deletionGracePeriodSeconds"] = json!(30);
    metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    cluster.put(ended);
    let mut going = late("late-3", json!({ "running": {} }));
    going["metadata"]["deletionGracePeriodSeconds"] = json!(600);
    going["metadata"]["deletionTimestamp"] = json!("2999-01-01T00:00:00Z");
    cluster.put(going);

    let pods = client.list_pods(&permit(), &limits(AMPLE), "app=late").await.unwrap();
    let shown: Vec<_> = pods.iter().map(|pod| (pod.name.as_str(), pod.status.as_str())).collect();
    assert_eq!(shown, [("late-1", "Init:CrashLoopBackOff"), ("late-2", "Terminating"), ("late-3", "Terminating")]);
    let [proxy, migrate] = pods[0].init_containers.as_slice() else { panic!("{pods:?}") };
    assert_eq!((proxy.name.as_str(), proxy.sidecar, proxy.started, proxy.ready), ("proxy", true, true, true));
    assert_eq!((migrate.name.as_str(), migrate.sidecar, migrate.restarts), ("migrate", false, 4));
    assert_eq!(migrate.reason.as_deref(), Some("CrashLoopBackOff"));
    let last = migrate.last_end.as_ref().unwrap();
    assert_eq!((last.exit_code, last.signal, last.finished_ms), (3, None, Some(1_772_334_855_000)));
    let end = pods[1].init_containers[1].end.as_ref().unwrap();
    assert_eq!((end.exit_code, end.signal, end.reason.as_deref()), (137, Some(9), None));
    let [overdue, within] = [1, 2].map(|n| pods[n].removal.clone().unwrap());
    assert!(
        overdue.overdue > 0.0 && overdue.grace == 30.0 && overdue.finalizers == ["example.com/backup"],
        "{overdue:?}"
    );
    assert!(within.overdue == 0.0 && within.grace == 600.0 && within.finalizers.is_empty(), "{within:?}");

    // What an init container wrote belongs to the log while the pod waits for it; a sidecar's always does.
    for container in ["proxy", "migrate"] {
        cluster.log("shop", "late-1", container, Duration::from_secs(5), &format!("ERROR of {container}"));
    }
    let read = async || {
        let query = LogQuery { limit: 9, ..LogQuery::default() };
        let page = client.read_logs(&permit(), &limits(AMPLE), "app=late", &query).await.unwrap();
        let mut texts: Vec<_> = page.lines.into_iter().map(|line| line.text).collect();
        texts.sort();
        texts
    };
    assert_eq!(read().await, ["ERROR of migrate", "ERROR of proxy"]);
    let mut beyond = cluster.get("v1/Pod", "shop", "late-1").unwrap();
    beyond["status"]["conditions"][1]["status"] = json!("True");
    cluster.put(beyond);
    assert_eq!(read().await, ["ERROR of proxy"]);
}

#[tokio::test]
async fn a_rollout_is_complete_only_when_its_controller_has_seen_the_newest_template() {
    let (cluster, client) = seeded().await;
    let rollout = async |name: &str| client.get_rollout(&permit(), &limits(AMPLE), &deployment(name)).await.unwrap();
    assert!(rollout("api").await.complete);
    let mut changed = cluster.get("apps/v1/Deployment", "shop", "api").unwrap();
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "example.invalid/api:2".into();
    changed["metadata"]["generation"] = json!(changed["metadata"]["generation"].as_i64().unwrap() + 1);
    cluster.put(changed);
    // Every count and every condition is still that of the rollout before.
    let unseen = rollout("api").await;
    assert!(!unseen.complete && unseen.message.unwrap().contains("has not seen"));
    cluster.controllers().observe();
    assert!(!rollout("api").await.complete);
    cluster.controllers().complete();
    let done = rollout("api").await;
    assert!(done.complete && done.message.is_none());
    assert_eq!((done.desired, done.updated, done.available), (3, 3, 3));

    let stuck = rollout("badimage").await;
    assert!(!stuck.complete && stuck.message.is_some(), "{stuck:?}");
    let set = Workload { kind: WorkloadKind::StatefulSet, name: "postgres".to_owned() };
    assert!(client.get_rollout(&permit(), &limits(AMPLE), &set).await.unwrap().complete);
    let missing = client.get_rollout(&permit(), &limits(AMPLE), &deployment("nobody")).await.unwrap_err();
    // A Role with names keeps to itself what is not there.
    assert!(matches!(&missing, CallError::NotFound(_) | CallError::Remote(_)), "{missing:?}");
}

#[tokio::test]
async fn logs_are_filtered_masked_and_put_in_order_of_time() {
    let (cluster, client) = seeded().await;
    let pods = client.list_pods(&permit(), &limits(AMPLE), "app=api").await.unwrap();
    let second = Duration::from_secs(1);
    for (n, pod) in (0_u32..).zip(&pods) {
        cluster.log("shop", &pod.name, "api", second * (10 + n), &format!("ERROR {n} password=hunter2 lost"));
        cluster.log("shop", &pod.name, "api", second * (20 + n), "INFO all is well");
        cluster.log("shop", &pod.name, "proxy", second * (30 + n), "ERROR upstream");
    }
    let query = LogQuery { matching: Some("ERROR".to_owned()), limit: 4, ..LogQuery::default() };
    let page = client.read_logs(&permit(), &limits(AMPLE), "app=api", &query).await.unwrap();
    let texts: Vec<_> = page.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts[..3], ["ERROR upstream"; 3]);
    assert!(texts[3].starts_with("ERROR 2 password=") && !texts[3].contains("hunter2"), "{texts:?}");
    let rest = LogQuery { after: page.next, ..query };
    let page = client.read_logs(&permit(), &limits(AMPLE), "app=api", &rest).await.unwrap();
    assert_eq!((page.lines.len(), page.next), (2, None));
    let times: Vec<_> = page.lines.iter().map(|line| line.time_ns.unwrap()).collect();
    assert!(times.is_sorted());

    let (name, uid) = (pods[0].name.clone(), Some(pods[0].uid.clone()));
    let pod = PodRef { name: name.clone(), uid, container: Some("api".to_owned()) };
    let page = client.read_log(&permit(), &limits(AMPLE), &pod, &LogQuery { limit: 9, ..LogQuery::default() }).await;
    assert_eq!(page.unwrap().lines.len(), 2);
    // A pod of the same name that is another one is not taken for it.
    let other = PodRef { uid: Some("another".to_owned()), ..pod };
    let refused = client.read_log(&permit(), &limits(AMPLE), &other, &LogQuery::default()).await.unwrap_err();
    assert!(matches!(refused, CallError::Conflict(_)), "{refused:?}");
}

#[tokio::test]
async fn usage_that_is_missing_is_told_in_three_ways() {
    let (cluster, client) = seeded().await;
    let ask = async || client.list_usage(&permit(), &limits(AMPLE), "app=api").await;
    assert!(matches!(ask().await, Err(CallError::NotFound(text)) if text.contains("metrics server")));
    cluster.set_metrics(Metrics::Down);
    assert!(matches!(ask().await, Err(CallError::Unavailable(text)) if text.contains("does not answer")));
    cluster.set_metrics(Metrics::Empty);
    assert_eq!(ask().await.unwrap(), []);
    let pod = client.list_pods(&permit(), &limits(AMPLE), "app=api").await.unwrap().remove(0).name;
    cluster.set_metrics(Metrics::There(Usage::default().with("shop", &pod, "api", "250m", "64Mi")));
    let usage = ask().await.unwrap();
    let api = usage.iter().find(|usage| usage.pod.name == pod && usage.pod.container.as_deref() == Some("api"));
    assert_eq!(api.map(|usage| (usage.cpu, usage.memory)), Some((0.25, 67_108_864.0)));
}

#[tokio::test]
async fn events_are_newest_first_and_of_one_object_when_asked() {
    let (_cluster, client) = seeded().await;
    let list = client.list_events(&permit(), &limits(AMPLE), None).await.unwrap();
    assert!(!list.truncated);
    let all = list.events;
    assert!(!all.is_empty() && all.is_sorted_by_key(|event| std::cmp::Reverse(event.last_seen_ms)), "{all:?}");
    let object = all[0].object.clone();
    let some = client.list_events(&permit(), &limits(AMPLE), Some(&object)).await.unwrap().events;
    assert!(!some.is_empty() && some.iter().all(|event| event.object == object), "{some:?}");
}

#[tokio::test]
async fn what_is_more_than_is_read_is_told() {
    let (cluster, client) = seeded().await;
    let pods = client.list_pods(&permit(), &limits(AMPLE), "app=api").await.unwrap();
    let (line, of_a_log) = ("x".repeat(1 << 20), |pod: &str| PodRef {
        name: pod.to_owned(),
        uid: None,
        container: Some("api".to_owned()),
    });
    for n in 0..3 {
        cluster.log("shop", &pods[0].name, "api", Duration::from_secs(60 - n), &line);
    }
    let query = LogQuery { limit: 9, ..LogQuery::default() };
    let read = async |query: &LogQuery| {
        client.read_log(&permit(), &limits(AMPLE), &of_a_log(&pods[0].name), query).await.unwrap()
    };
    let whole = read(&query).await;
    assert_eq!((whole.lines.len(), whole.truncated), (3, false));
    for n in 0..3 {
        cluster.log("shop", &pods[0].name, "api", Duration::from_secs(50 - n), &format!("{line}newest"));
    }
    // The oldest stay; half a line goes as well.
    let cut = read(&query).await;
    assert_eq!((cut.lines.len(), cut.truncated, cut.next), (3, true, None));
    let together = client.read_logs(&permit(), &limits(AMPLE), "app=api", &query).await.unwrap();
    assert!(together.truncated, "one of them is");
    assert!(!read(&LogQuery { tail: Some(3), ..query }).await.truncated);

    let event = |n: u32| {
        json!({
            "apiVersion": "v1", "kind": "Event", "metadata": { "name": format!("e-{n}"), "namespace": "shop" },
            "involvedObject": { "kind": "Pod", "name": format!("api-{}", n % 2) }, "reason": "BackOff", "type": "Warning",
            "message": "back-off", "count": 1, "lastTimestamp": "2026-01-01T00:00:00Z",
        })
    };
    for n in 0..5_200 {
        cluster.put(event(n));
    }
    let list = client.list_events(&permit(), &limits(AMPLE), None).await.unwrap();
    assert_eq!((list.events.len(), list.truncated), (5_000, true));
    let of_one = client.list_events(&permit(), &limits(AMPLE), Some("Pod/api-1")).await.unwrap();
    assert_eq!((of_one.events.len(), of_one.truncated), (2_600, false));
}

#[tokio::test]
async fn objects_come_page_by_page_and_without_what_variables_are_set_to() {
    let (_cluster, client) = seeded().await;
    let canary = "live";
    let text = client.get_object(&permit(), &limits(AMPLE), "deployments.apps", "billing").await.unwrap();
    let object: Value = serde_json::from_str(&text).unwrap();
    let env = &object["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!((&env[0]["name"], &env[0]["value"]), (&json!("MODE"), &json!("[redacted]")));
    assert!(!text.contains(canary) && !text.contains("managedFields"), "{text}");
    let mut query =
        ObjectQuery { resource: "deployments.apps".to_owned(), labels: None, fields: None, limit: 2, after: None };
    let mut seen = 0;
    loop {
        let page = client.list_objects(&permit(), &limits(AMPLE), &query).await.unwrap();
        assert!(page.items.len() <= 2 && !page.items.concat().contains(canary));
        seen += page.items.len();
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(seen, 7);
    for resource in ["secrets", "pods/log", "services", "", "../secrets"] {
        let refused = client.get_object(&permit(), &limits(AMPLE), resource, "billing").await.unwrap_err();
        assert!(matches!(refused, CallError::Denied(_)), "{resource}: {refused:?}");
    }
}

#[tokio::test]
async fn each_request_is_sent_once_by_name_and_ends_in_time() {
    let (cluster, client) = seeded().await;
    let ask = async |time| client.list_pods(&permit(), &limits(time), "app=api").await;
    ask(AMPLE).await.unwrap();
    let table: [(Fault, &str); 8] = [
        (Fault::TooManyRequests { retry_after: 1 }, "too much to do"),
        (Fault::InternalError, "could not list pods"),
        (Fault::Unavailable, "could not list pods"),
        (Fault::HangBeforeApplying, "in time"),
        (Fault::HangAfterApplying, "in time"),
        (Fault::Cut { after_lines: 0 }, "unavailable"),
        (Fault::Large { bytes: 100 << 20 }, "more than"),
        (Fault::TokenRevoked, "credentials"),
    ];
    for (fault, expected) in table {
        cluster.forget_requests();
        cluster.fail(Trouble::from(fault.clone()));
        let hangs = matches!(fault, Fault::HangBeforeApplying | Fault::HangAfterApplying);
        let began = Instant::now();
        let error = ask(if hangs { SHORT } else { AMPLE }).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{fault:?}: {error}");
        assert!(began.elapsed() < AMPLE, "{fault:?} took {:?}", began.elapsed());
        let requests = cluster.requests();
        assert_eq!(requests.len(), 1, "{fault:?}: {requests:?}");
    }
}

#[tokio::test]
async fn what_the_server_says_of_its_data_goes_no_further() {
    let (cluster, _) = seeded().await;
    let nobody = client(&cluster.kubeconfig("bad-token", "shop"), "shop");
    let error = nobody.list_pods(&permit(), &limits(AMPLE), "").await.unwrap_err();
    assert!(error.to_string().contains("does not accept the agent's credentials"), "{error}");
    // Outside of the agent's own namespace, and where there is none at all.
    for namespace in ["small", "nowhere"] {
        let elsewhere = client(&cluster.kubeconfig("agent", namespace), namespace);
        let error = elsewhere.list_pods(&permit(), &limits(AMPLE), "").await.unwrap_err();
        let CallError::Remote(remote) = &error else { panic!("{error:?}") };
        assert_eq!(remote.code, "Forbidden");
        assert!(error.to_string().contains("or it is not there") && !error.to_string().contains("serviceaccount"));
    }
    let (_cluster, client) = seeded().await;
    let error = client.list_pods(&permit(), &limits(AMPLE), "app in (").await.unwrap_err();
    assert!(error.to_string().contains("finds fault") && !error.to_string().contains("app in"), "{error}");
}

#[tokio::test]
async fn the_cluster_has_to_prove_who_it_is() {
    let cluster = Cluster::seeded().await.unwrap().copy_encrypted().await.unwrap();
    let trusted = client(&cluster.kubeconfig("agent", "shop"), "shop");
    assert_eq!(trusted.list_pods(&permit(), &limits(AMPLE), "app=api").await.unwrap().len(), 3);
    let kubeconfig = cluster.kubeconfig("agent", "shop");
    let (before, rest) = kubeconfig.split_once(", certificate-authority-data: ").unwrap();
    let (_, after) = rest.split_once('}').unwrap();
    let error = client(&format!("{before}}}{after}"), "shop").list_pods(&permit(), &limits(AMPLE), "").await;
    assert!(matches!(error, Err(CallError::Unavailable(_))), "{error:?}");
}

#[tokio::test]
async fn the_doctor_tells_what_the_agent_may_not_do_and_what_nothing_needs() {
    let (cluster, client) = seeded().await;
    let (plugin, target): (PluginName, _) = ("probe".parse().unwrap(), "prod".parse().unwrap());
    let line = grant(&[Operation::KubernetesListPods, Operation::KubernetesReadLog]);
    let needs = Needs::of(&[target], [(&plugin, &line)]);
    let found = client.diagnose(&needs).await;
    let more = |line: &Diagnosis| line.severity == Severity::Warning && line.message.contains("watch events in");
    assert!(found.iter().any(more), "{found:?}");
    let last = found.last().unwrap();
    assert!(last.severity == Severity::Ok && last.message.contains("all 3 rights"), "{last:?}");

    cluster.delete("rbac.authorization.k8s.io/v1/RoleBinding", "shop", "agent");
    cluster.delete("rbac.authorization.k8s.io/v1/RoleBinding", "shop", "agent-actions");
    let found = client.diagnose(&needs).await;
    let missing: Vec<_> = found.iter().filter(|it| it.severity == Severity::Error).map(|it| &it.message).collect();
    assert_eq!(missing.len(), 3, "{missing:?}");
    assert!(
        missing.iter().any(|it| it.contains("may not list pods") && it.contains("probe (list-pods)")),
        "{missing:?}"
    );
}
