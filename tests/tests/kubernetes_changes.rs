//! The changes of a Kubernetes target against a stand-in API server that is held to the record of a real one: what they do,
//! what they rest on, what gives them back, and what becomes of them when the server fails.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kubernetes_stand_in::{Cluster, Fault, Trouble};
use paramedic::clients::kubernetes::{
    Access, EnvRequest, Eviction, KEY_BYTES, Kubernetes, Seal, SetResources, Settings, Variable, Workload, WorkloadKind,
};
use paramedic::domain::{
    CallError, CallLimits, ChangeBounds, Done, Grant, Inverse, ObjectKind, Operation, Preview, Secret, System, Target,
    Undo,
};
use paramedic::journal::{Change, Halt, Performed, Settled, moved};
use paramedic::policy::{Grants, Op, Permit, decide};
use serde_json::{Value, json};

/// Longer than anything that goes well takes.
const AMPLE: Duration = Duration::from_secs(30);

/// What a value of the seed is, and what a plan must not tell.
const CANARY: &str = "live";

type Made = Result<Arc<dyn Change>, CallError>;

fn limits(time: Duration) -> CallLimits {
    CallLimits { deadline: Instant::now() + time, answer_bytes: 1 << 20 }
}

/// Everything within generous bounds.
fn permit<O: Op>() -> Permit<O> {
    let changes = ChangeBounds {
        per_run: 10,
        per_hour: 100,
        objects: ObjectKind::ALL.map(|kind| format!("{kind}/*").parse().unwrap()).to_vec(),
        replicas: Some((0, 100)),
        variables: vec!["*".parse().unwrap()],
        images: vec!["example.invalid/*".parse().unwrap()],
        cpu: Some(("1m".parse().unwrap(), "8".parse().unwrap())),
        memory: Some(("1Mi".parse().unwrap(), "8Gi".parse().unwrap())),
        ..ChangeBounds::default()
    };
    let grant = Grant {
        target: Target { system: System::Kubernetes, name: "prod".parse().unwrap() },
        operations: Operation::of_system(System::Kubernetes).collect(),
        keys: vec![],
        paths: vec![],
        resources: vec![],
        changes,
    };
    decide::<O>(&Grants::new("probe".parse().unwrap(), vec![grant]), "prod").unwrap()
}

fn client(cluster: &Cluster, namespace: &str) -> Arc<Kubernetes> {
    let access = Access::Kubeconfig { text: Secret::new(cluster.kubeconfig("admin", namespace)), context: None };
    let seal = Arc::new(Seal::new(&[7; KEY_BYTES]));
    let settings = Settings { namespace: namespace.to_owned(), access, seal };
    Arc::new(Kubernetes::new("prod".parse().unwrap(), settings).unwrap())
}

async fn seeded() -> (Cluster, Arc<Kubernetes>) {
    let cluster = Cluster::seeded_now().await.unwrap();
    // Who wrote last is known to the second.
    cluster.advance(Duration::from_secs(2));
    let client = client(&cluster, "shop");
    (cluster, client)
}

fn workload(kind: WorkloadKind, name: &str) -> Workload {
    Workload { kind, name: name.to_owned() }
}

fn deployment(name: &str) -> Workload {
    workload(WorkloadKind::Deployment, name)
}

fn set(client: &Arc<Kubernetes>, name: &str, container: Option<&str>, variables: &[(&str, &str)]) -> Made {
    let variable = |(name, value): &(&str, &str)| Variable { name: (*name).to_owned(), value: (*value).to_owned() };
    let request = EnvRequest { workload: deployment(name), container: container.map(str::to_owned) };
    client.set_env(permit(), request, variables.iter().map(variable).collect())
}

fn unset(client: &Arc<Kubernetes>, name: &str, names: &[&str]) -> Made {
    let request = EnvRequest { workload: deployment(name), container: None };
    client.unset_env(permit(), request, names.iter().map(|name| (*name).to_owned()).collect())
}

fn resources(client: &Arc<Kubernetes>, workload: Workload, container: &str, memory: &str) -> Made {
    let set = SetResources {
        workload,
        container: container.to_owned(),
        requests: BTreeMap::new(),
        limits: BTreeMap::from([("memory".to_owned(), Some(memory.to_owned()))]),
    };
    client.set_resources(permit(), set)
}

fn image(client: &Arc<Kubernetes>, name: &str, container: &str, image: &str) -> Made {
    client.set_image(permit(), deployment(name), container.to_owned(), image.to_owned())
}

fn scale(client: &Arc<Kubernetes>, name: &str, replicas: u32) -> Made {
    client.scale(permit(), deployment(name), replicas)
}

fn detach(client: &Arc<Kubernetes>) -> Made {
    client.detach_service(permit(), "api".to_owned())
}

/// An object without what a server keeps for itself.
fn bare(cluster: &Cluster, kind: &str, name: &str) -> Value {
    let mut object = cluster.get(kind, "shop", name).unwrap();
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

async fn preview(change: &Arc<dyn Change>) -> Preview {
    change.preview(&limits(AMPLE)).await.unwrap()
}

async fn perform(change: &Arc<dyn Change>, planned: &Preview) -> Performed {
    change.perform(planned, &limits(AMPLE), &Halt::default()).await
}

async fn done(change: &Arc<dyn Change>, planned: &Preview) -> Done {
    match perform(change, planned).await {
        Performed::Done(done) => done,
        other => panic!("{other:?}"),
    }
}

/// Plan the way back as an undo does: refused where somebody else was there since.
async fn plan_back(client: &Arc<Kubernetes>, inverse: &Inverse) -> Result<(Arc<dyn Change>, Preview), String> {
    let change = client.recorded(&inverse.call).map_err(|error| error.to_string())?;
    assert_eq!(change.call(), inverse.call, "what was recorded asks for the same again");
    let preview = change.preview(&limits(AMPLE)).await.map_err(|error| error.to_string())?;
    match moved(&inverse.ground, &preview.ground) {
        Some(moved) if preview.is_needed() => Err(moved),
        Some(_) | None => Ok((change, preview)),
    }
}

/// Requests that were meant to change something.
fn writes(cluster: &Cluster) -> usize {
    let is_write = |query: &str| !query.contains("dryRun");
    cluster
        .requests()
        .iter()
        .filter(|request| matches!(request.method.as_str(), "PATCH" | "POST" | "PUT" | "DELETE"))
        .filter(|request| is_write(&format!("{:?}", request.query)))
        .count()
}

#[tokio::test]
async fn every_verb_with_a_way_back_restores_what_was_there_also_after_a_restart_of_the_agent() {
    type Make = fn(&Arc<Kubernetes>) -> Made;
    let table: &[(&str, &str, &str, Make)] = &[
        ("scale up", "Deployment", "api", |client| scale(client, "api", 5)),
        ("scale to zero", "Deployment", "api", |client| scale(client, "api", 0)),
        ("scale a set", "StatefulSet", "redis", |client| {
            client.scale(permit(), workload(WorkloadKind::StatefulSet, "redis"), 3)
        }),
        ("a new variable", "Deployment", "api", |client| set(client, "api", Some("api"), &[("A", "1"), ("B", "")])),
        ("a known variable", "Deployment", "api", |client| set(client, "api", Some("api"), &[("LOG_LEVEL", "debug")])),
        ("all containers", "Deployment", "api", |client| {
            set(client, "api", None, &[("LOG_LEVEL", "debug"), ("A", "1")])
        }),
        ("over a reference", "Deployment", "billing", |client| set(client, "billing", None, &[("API_KEY", "x")])),
        ("the only variable gone", "Deployment", "api", |client| unset(client, "api", &["LOG_LEVEL"])),
        ("the first of two gone", "Deployment", "billing", |client| unset(client, "billing", &["MODE"])),
        ("both gone", "Deployment", "billing", |client| unset(client, "billing", &["API_KEY", "MODE"])),
        ("another image", "Deployment", "api", |client| image(client, "api", "proxy", "example.invalid/proxy:2")),
        ("a first limit", "Deployment", "worker", |client| resources(client, deployment("worker"), "worker", "1Gi")),
        ("another limit", "Deployment", "oom", |client| resources(client, deployment("oom"), "app", "128Mi")),
        ("a limit of a set", "StatefulSet", "redis", |client| {
            resources(client, workload(WorkloadKind::StatefulSet, "redis"), "redis", "4Gi")
        }),
        ("a detached service", "Service", "api", |client| detach(client)),
    ];
    for (title, kind, name, make) in table {
        let (cluster, client) = seeded().await;
        let group = if *kind == "Service" { "v1" } else { "apps/v1" };
        let kind = format!("{group}/{kind}");
        let before = bare(&cluster, &kind, name);
        let change = make(&client).unwrap();
        let planned = preview(&change).await;
        assert!(planned.is_needed() && matches!(planned.undo, Undo::Possible(_)), "{title}: {planned:?}");
        assert_eq!(
            (bare(&cluster, &kind, name), writes(&cluster)),
            (before.clone(), 0),
            "{title}: a plan changes nothing"
        );
        let performed = done(&change, &planned).await;
        assert_eq!(writes(&cluster), 1, "{title}");
        assert_ne!(bare(&cluster, &kind, name), before, "{title}");
        assert!(!preview(&change).await.is_needed(), "{title}: it is there now");
        cluster.controllers().complete();

        // Another process with the same key.
        let client = self::client(&cluster, "shop");
        let told = format!("{planned:?} {performed:?}");
        assert!(!told.contains(CANARY) && !told.contains("info"), "{title}: {told}");
        let (back, undoing) = plan_back(&client, &performed.inverse.unwrap()).await.unwrap();
        let again = done(&back, &undoing).await;
        assert_eq!(bare(&cluster, &kind, name), before, "{title}");
        let told = format!("{undoing:?} {again:?}");
        assert!(!told.contains(CANARY), "{title}: {told}");
    }
}

#[tokio::test]
async fn a_rollback_goes_to_the_revision_that_is_ready_and_forward_again() {
    let (cluster, client) = seeded().await;
    let good = bare(&cluster, "apps/v1/Deployment", "api");
    let bad = image(&client, "api", "api", "example.invalid/does-not-exist:9").unwrap();
    let planned = preview(&bad).await;
    done(&bad, &planned).await;
    cluster.controllers().observe();
    cluster.controllers().progress();
    let broken = bare(&cluster, "apps/v1/Deployment", "api");
    let back = client.rollback(permit(), deployment("api"), None).unwrap();
    let planned = preview(&back).await;
    assert!(planned.notes.iter().any(|note| note.contains("is ready")), "{planned:?}");
    let images: Vec<_> = planned.differences.iter().filter(|difference| difference.field == "image of api").collect();
    assert_eq!(images[0].after.as_deref(), Some("example.invalid/api:1"), "{planned:?}");
    let performed = done(&back, &planned).await;
    assert_eq!(bare(&cluster, "apps/v1/Deployment", "api"), good);
    cluster.controllers().complete();
    let (forward, undoing) = plan_back(&client, &performed.inverse.unwrap()).await.unwrap();
    done(&forward, &undoing).await;
    assert_eq!(bare(&cluster, "apps/v1/Deployment", "api"), broken);
}

#[tokio::test]
async fn a_rollback_without_proof_wants_a_number() {
    let (cluster, client) = seeded().await;
    // Nothing earlier at all.
    let none = client.rollback(permit(), deployment("api"), None).unwrap().preview(&limits(AMPLE)).await.unwrap_err();
    assert!(none.to_string().contains("keeps no earlier revision"), "{none}");
    let change = image(&client, "api", "api", "example.invalid/api:2").unwrap();
    done(&change, &preview(&change).await).await;
    cluster.controllers().complete();
    // Of the earlier one no pod is left.
    let unproven = client.rollback(permit(), deployment("api"), None).unwrap();
    let error = unproven.preview(&limits(AMPLE)).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Conflict(text) if text.contains("name one") && text.ends_with(": 1")),
        "{error}"
    );
    let named = client.rollback(permit(), deployment("api"), Some(1)).unwrap();
    let planned = preview(&named).await;
    assert!(planned.doubt.as_ref().is_some_and(|doubt| doubt.contains("not proven")), "{planned:?}");
    done(&named, &planned).await;
    let unknown = client.rollback(permit(), deployment("api"), Some(77)).unwrap().preview(&limits(AMPLE)).await;
    assert!(matches!(unknown, Err(CallError::NotFound(text)) if text.contains("does not keep")));

    let set = workload(WorkloadKind::StatefulSet, "redis");
    let change = resources(&client, set.clone(), "redis", "4Gi").unwrap();
    let before = bare(&cluster, "apps/v1/StatefulSet", "redis");
    done(&change, &preview(&change).await).await;
    cluster.controllers().complete();
    let named = client.rollback(permit(), set, Some(1)).unwrap();
    done(&named, &preview(&named).await).await;
    assert_eq!(bare(&cluster, "apps/v1/StatefulSet", "redis"), before);
}

#[tokio::test]
async fn what_rests_on_moved_ground_is_not_done_and_says_what_was_and_is() {
    let (cluster, client) = seeded().await;
    let plan = scale(&client, "api", 10).unwrap();
    let planned = preview(&plan).await;
    let somebody = scale(&client, "api", 4).unwrap();
    done(&somebody, &preview(&somebody).await).await;
    let refused = perform(&plan, &planned).await;
    assert_eq!(refused, Performed::Nothing(CallError::Conflict("replicas was 3, is 4".to_owned())));

    let plan = set(&client, "billing", None, &[("MODE", "maintenance")]).unwrap();
    let planned = preview(&plan).await;
    let somebody = set(&client, "billing", None, &[("MODE", "hush")]).unwrap();
    done(&somebody, &preview(&somebody).await).await;
    let Performed::Nothing(CallError::Conflict(text)) = perform(&plan, &planned).await else { panic!("done") };
    assert!(text.starts_with("MODE of billing was a value (") && !text.contains("hush"), "{text}");

    // Another object of the same name.
    let plan = detach(&client).unwrap();
    let planned = preview(&plan).await;
    let mut service = cluster.delete("v1/Service", "shop", "api").unwrap();
    service["metadata"] = json!({ "name": "api", "namespace": "shop", "uid": "another" });
    cluster.put(service);
    let Performed::Nothing(CallError::Conflict(text)) = perform(&plan, &planned).await else { panic!("done") };
    assert!(text.contains("uid was"), "{text}");
}

#[tokio::test]
async fn an_undo_is_refused_where_somebody_else_was_there_since_and_only_there() {
    let (_cluster, client) = seeded().await;
    let change = set(&client, "billing", None, &[("MODE", "maintenance")]).unwrap();
    let first = done(&change, &preview(&change).await).await.inverse.unwrap();
    // Another variable, another field: none of its business.
    for other in [set(&client, "billing", None, &[("OTHER", "1")]), scale(&client, "billing", 3)] {
        let other = other.unwrap();
        done(&other, &preview(&other).await).await;
    }
    let (back, undoing) = plan_back(&client, &first).await.unwrap();
    let somebody = set(&client, "billing", None, &[("MODE", "hush")]).unwrap();
    done(&somebody, &preview(&somebody).await).await;
    assert!(matches!(perform(&back, &undoing).await, Performed::Nothing(CallError::Conflict(_))));
    let refused = plan_back(&client, &first).await.err().unwrap();
    assert!(refused.contains("MODE of billing was a value") && !refused.contains("hush"), "{refused}");

    let change = scale(&client, "api", 9).unwrap();
    let inverse = done(&change, &preview(&change).await).await.inverse.unwrap();
    let somebody = scale(&client, "api", 6).unwrap();
    done(&somebody, &preview(&somebody).await).await;
    assert_eq!(plan_back(&client, &inverse).await.err().unwrap(), "replicas was 9, is 6");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_status_writes_refuse_nothing() {
    let (cluster, client) = seeded().await;
    let cluster = Arc::new(cluster);
    let change = scale(&client, "api", 7).unwrap();
    let planned = preview(&change).await;
    let noisy = cluster.clone();
    let noise = tokio::task::spawn_blocking(move || {
        for _ in 0..1_000 {
            noisy.controllers().noise("apps/v1/Deployment", "shop", "api", 1);
        }
    });
    let mut applied = 0;
    let (mut change, mut planned) = (change, planned);
    while !noise.is_finished() || applied == 0 {
        let inverse = done(&change, &planned).await.inverse.unwrap();
        applied += 1;
        (change, planned) = plan_back(&client, &inverse).await.unwrap();
    }
    noise.await.unwrap();
    println!("{applied} changes among 1000 status writes, {} requests", writes(&cluster));
}

#[tokio::test]
async fn nobody_elses_rollout_is_disturbed_and_ours_goes_on() {
    let (cluster, client) = seeded().await;
    // Ours: two changes of one run, the second while the first rolls out.
    for variables in [[("A", "1")], [("B", "2")]] {
        let change = set(&client, "api", Some("api"), &variables).unwrap();
        done(&change, &preview(&change).await).await;
        cluster.controllers().observe();
    }
    cluster.controllers().complete();
    let mut theirs = cluster.get("apps/v1/Deployment", "shop", "api").unwrap();
    theirs["spec"]["template"]["spec"]["containers"][0]["image"] = json!("example.invalid/api:2");
    let yaml = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "api", "namespace": "shop" },
        "spec": theirs["spec"],
    });
    cluster.advance(Duration::from_secs(2));
    cluster.apply(&yaml.to_string()).unwrap();
    let change = set(&client, "api", Some("api"), &[("C", "3")]).unwrap();
    let refused = change.preview(&limits(AMPLE)).await.unwrap_err();
    assert!(
        matches!(&refused, CallError::Conflict(text) if text.contains("kubectl") && text.contains("on its way")),
        "{refused}"
    );
    // More replicas are help at any time, and it is said.
    let more = preview(&scale(&client, "api", 6).unwrap()).await;
    assert!(more.notes.iter().any(|note| note.contains("on its way")), "{more:?}");
    cluster.controllers().complete();
    assert!(preview(&change).await.is_needed());

    let mut paused = cluster.get("apps/v1/Deployment", "shop", "api").unwrap();
    paused["spec"]["paused"] = json!(true);
    cluster.put(paused);
    let refused = change.preview(&limits(AMPLE)).await.unwrap_err();
    assert!(refused.to_string().contains("paused"), "{refused}");
}

#[tokio::test]
async fn an_autoscaler_and_a_quota_are_named_with_what_they_will_do() {
    let (cluster, client) = seeded().await;
    let note = async |replicas| preview(&scale(&client, "worker", replicas).unwrap()).await.notes.join("\n");
    assert!(note(100).await.contains("it takes 100 back within seconds"), "{}", note(100).await);
    assert!(note(3).await.contains("3 holds until its next decision"), "{}", note(3).await);
    assert!(note(0).await.contains("0 switches it off"), "{}", note(0).await);
    // An autoscaler that acts meanwhile moves the ground.
    let plan = scale(&client, "worker", 3).unwrap();
    let planned = preview(&plan).await;
    let mut scaler = cluster.get("autoscaling/v2/HorizontalPodAutoscaler", "shop", "worker").unwrap();
    scaler["spec"]["minReplicas"] = json!(4);
    cluster.put(scaler);
    cluster.controllers().autoscale();
    let Performed::Nothing(CallError::Conflict(text)) = perform(&plan, &planned).await else { panic!("done") };
    assert!(text.contains("replicas was 2, is 4") && text.contains("autoscaler was worker (2 to "), "{text}");

    let mut quota = cluster.get("v1/ResourceQuota", "small", "pods").unwrap();
    quota["status"] = json!({ "hard": { "pods": "3" }, "used": { "pods": "2" } });
    cluster.put(quota);
    let small = self::client(&cluster, "small");
    let planned = preview(&scale(&small, "batcher", 9).unwrap()).await;
    assert!(planned.notes.iter().any(|note| note.contains("the quota `pods` leaves 1 of pods")), "{planned:?}");
}

#[tokio::test]
async fn a_server_that_fails_is_told_once_and_what_became_of_it_is_found_out() {
    let short = Duration::from_millis(800);
    let table: [(Fault, bool, &str); 8] = [
        (Fault::TooManyRequests { retry_after: 1 }, false, "nothing"),
        (Fault::InternalError, false, "nothing"),
        (Fault::Unavailable, false, "nothing"),
        (Fault::TokenRevoked, false, "nothing"),
        (Fault::Large { bytes: 20 << 20 }, false, "nothing"),
        (Fault::HangBeforeApplying, false, "unknown"),
        (Fault::HangAfterApplying, true, "done"),
        (Fault::Cut { after_lines: 0 }, true, "done"),
    ];
    for (fault, is_applied, expected) in table {
        for (verb, make) in [
            ("scale", (|client| scale(client, "api", 8)) as fn(&Arc<Kubernetes>) -> Made),
            ("set-env", |client| set(client, "api", None, &[("A", "1")])),
            ("detach", |client| detach(client)),
            ("job", |client| client.run_job(permit(), "restore".to_owned(), vec![])),
        ] {
            let (cluster, client) = seeded().await;
            let change = make(&client).unwrap();
            let planned = preview(&change).await;
            cluster.forget_requests();
            let method = if verb == "job" { "POST" } else { "PATCH" };
            cluster.fail(Trouble::from(fault.clone()).on(method));
            let time =
                if matches!(fault, Fault::HangBeforeApplying | Fault::HangAfterApplying) { short } else { AMPLE };
            let began = Instant::now();
            let performed = change.perform(&planned, &limits(time), &Halt::default()).await;
            assert!(began.elapsed() < AMPLE, "{verb} {fault:?}");
            let told = match &performed {
                Performed::Done(_) => "done",
                Performed::Nothing(_) => "nothing",
                Performed::Unknown(_) => "unknown",
            };
            // Of a job that is not there nobody can say that it will not come yet.
            let is_open =
                verb == "job" && matches!(fault, Fault::InternalError | Fault::Unavailable | Fault::Large { .. });
            assert_eq!(told, if is_open { "unknown" } else { expected }, "{verb} {fault:?}: {performed:?}");
            assert_eq!(writes(&cluster), 1, "{verb} {fault:?}");
            if !matches!(fault, Fault::TokenRevoked) {
                let settled = change.settle(&planned, &limits(AMPLE)).await;
                let is_settled = matches!(settled, Settled::Done(_));
                assert_eq!(is_settled, is_applied, "{verb} {fault:?}: {settled:?}");
                assert_eq!(preview(&change).await.is_needed(), verb == "job" || !is_applied, "{verb} {fault:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_eviction_respects_budgets_and_means_one_very_pod() {
    let (cluster, client) = seeded().await;
    let evict = |pod: &str, uid: Option<&str>| {
        let eviction = Eviction { pod: pod.to_owned(), uid: uid.map(str::to_owned), grace: Some(5) };
        client.evict_pod(permit(), eviction).unwrap()
    };
    let pods = cluster.list("v1/Pod", Some("shop"));
    let pod = pods.iter().find(|pod| pod["metadata"]["labels"]["app"] == "api").unwrap();
    let (name, uid) = (pod["metadata"]["name"].as_str().unwrap(), pod["metadata"]["uid"].as_str().unwrap());
    let change = evict(name, Some(uid));
    let planned = preview(&change).await;
    assert!(planned.notes.iter().any(|note| note.contains("its ReplicaSet api-")), "{planned:?}");
    assert!(matches!(planned.undo, Undo::Impossible(_)) && cluster.get("v1/Pod", "shop", name).is_some());
    assert_eq!(done(&change, &planned).await.objects, 1);
    let left = cluster.get("v1/Pod", "shop", name);
    assert!(left.is_none_or(|pod| !pod["metadata"]["deletionTimestamp"].is_null()));

    let other = evict("postgres-0", Some("another")).preview(&limits(AMPLE)).await.unwrap_err();
    assert!(matches!(&other, CallError::Conflict(text) if text.contains("another one")), "{other}");
    let blocked = evict("postgres-0", None).preview(&limits(AMPLE)).await.unwrap_err();
    assert!(matches!(&blocked, CallError::Conflict(text) if text.contains("disruption budget")), "{blocked}");
    let two = evict("redis-0", None).preview(&limits(AMPLE)).await.unwrap_err();
    assert!(matches!(&two, CallError::Remote(_)), "{two}");
}

#[tokio::test]
async fn a_job_has_the_template_of_its_cron_job_and_the_variables_that_were_asked_for() {
    let (cluster, client) = seeded().await;
    let variables = vec![
        Variable { name: "MODE".to_owned(), value: "latest".to_owned() },
        Variable { name: "TARGET_TIME".to_owned(), value: "2026-11-26T03:00:00Z".to_owned() },
    ];
    let change = client.run_job(permit(), "restore".to_owned(), variables).unwrap();
    let planned = preview(&change).await;
    assert!(cluster.list("batch/v1/Job", Some("shop")).is_empty());
    let performed = done(&change, &planned).await;
    let answer: Value = serde_json::from_str(performed.answer.as_deref().unwrap()).unwrap();
    let job = cluster.get("batch/v1/Job", "shop", answer["job"].as_str().unwrap()).unwrap();
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "example.invalid/restore:1");
    assert_eq!(
        container["env"],
        json!([{ "name": "MODE", "value": "latest" }, { "name": "TARGET_TIME", "value": "2026-11-26T03:00:00Z" }])
    );
    assert!(job["metadata"]["ownerReferences"].is_null());
    // The same plan again makes no second one.
    assert!(matches!(perform(&change, &planned).await, Performed::Nothing(CallError::Conflict(_))));
    assert_eq!(cluster.list("batch/v1/Job", Some("shop")).len(), 1);

    let planned = preview(&change).await;
    let mut cron_job = cluster.get("batch/v1/CronJob", "shop", "restore").unwrap();
    cron_job["spec"]["jobTemplate"]["spec"]["backoffLimit"] = json!(5);
    cluster.put(cron_job);
    let Performed::Nothing(CallError::Conflict(text)) = perform(&change, &planned).await else { panic!("done") };
    assert!(text.starts_with("template was"), "{text}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let (cluster, client) = seeded().await;
    let set_of = |name: &str| workload(WorkloadKind::DaemonSet, name);
    let table: Vec<(&str, Made)> = vec![
        ("no number of replicas", client.scale(permit(), set_of("agent"), 3)),
        ("the grant covers 0 to 100 replicas", scale(&client, "api", 101)),
        ("no name of an object", scale(&client, "../secrets", 3)),
        ("no image", image(&client, "api", "api", "example.invalid/NOT an image::")),
        ("no image", image(&client, "api", "api", "example.invalid/api:1 ")),
        ("the grant covers the images", image(&client, "api", "api", "elsewhere.invalid/api:1")),
        ("no name of an environment variable", set(&client, "api", None, &[("A=B", "1")])),
        ("named twice", set(&client, "api", None, &[("A", "1"), ("A", "2")])),
        ("no variable to set", set(&client, "api", None, &[])),
        ("no quantity", resources(&client, deployment("api"), "api", "lots")),
        ("the grant covers 1Mi to 8Gi of memory", resources(&client, deployment("api"), "api", "9Gi")),
    ];
    for (expected, made) in table {
        let error = made.err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(cluster.requests().is_empty());
    let table: Vec<(&str, Made)> = vec![
        (
            "there is no container nobody; there are api, proxy",
            image(&client, "api", "nobody", "example.invalid/api:2"),
        ),
        ("there is no container nobody", set(&client, "api", Some("nobody"), &[("A", "1")])),
        ("there is no deployment nobody", scale(&client, "nobody", 3)),
        ("would be above the limit", resources(&client, deployment("worker"), "worker", "1Mi")),
        ("there is no cronjob nobody", client.run_job(permit(), "nobody".to_owned(), vec![])),
    ];
    for (expected, made) in table {
        let error = made.unwrap().preview(&limits(AMPLE)).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(writes(&cluster), 0);
}
