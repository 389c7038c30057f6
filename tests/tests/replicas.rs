//! Three replicas of the agent with one cluster between them, while whichever leads is killed, cut off or paused: no slot of a sweep is
//! run twice, and what is held on a lease is given back once, and not forgotten.
//!
//! `PARAMEDIC_REPLICA_ROUNDS` says how often.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kubernetes_stand_in::Cluster;
use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::api::{Answer, Api};
use paramedic_tests::process::temporary_directory;
use paramedic_tests::proxy::Proxy;
use paramedic_tests::{access, components, secret, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

const ROUNDS: &str = "PARAMEDIC_REPLICA_ROUNDS";

/// Each kind of trouble once.
const FEW_ROUNDS: usize = 3;

/// What the base of `deploy/` makes, with the rights that `paramedic rbac` prints for it.
const SHARED: &str = r"
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: paramedic-leader, namespace: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: paramedic-state, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: paramedic-replicas, namespace: shop}
rules:
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [paramedic-leader], verbs: [get, patch]}
- {apiGroups: ['']  , resources: [configmaps], resourceNames: [paramedic-state], verbs: [get, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: paramedic-replicas, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: paramedic-replicas}
subjects: [{kind: ServiceAccount, name: agent, namespace: shop}]
";

/// How many replicas `api` has when nothing is held.
const BEFORE: u64 = 3;

struct Ward {
    cluster: Arc<Cluster>,
    replicas: Vec<Replica>,
    controllers: Option<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
}

/// One of them: its process, which may be gone, what stays, and its way to the cluster.
struct Replica {
    name: String,
    agent: Option<Agent>,
    address: String,
    lasting: TempDir,
    proxy: Proxy,
    kubeconfig: String,
    token: String,
}

impl Replica {
    fn new(number: usize, cluster: &Cluster, token: &str) -> Self {
        let port: u16 = cluster.url().rsplit_once(':').unwrap().1.parse().unwrap();
        let proxy = Proxy::open(port).unwrap();
        let kubeconfig =
            cluster.kubeconfig("agent", "shop").replace(&format!(":{port}"), &format!(":{}", proxy.port()));
        let mut replica = Self {
            name: format!("paramedic-{number}"),
            agent: None,
            address: agent::free_address().unwrap(),
            lasting: temporary_directory("replica").unwrap(),
            proxy,
            kubeconfig,
            token: token.to_owned(),
        };
        replica.start();
        replica
    }

    fn start(&mut self) {
        let home = Home::new().unwrap();
        home.write("kubeconfig", &self.kubeconfig).unwrap();
        home.write("name", &self.name).unwrap();
        home.write("seal", &"0123456789abcdef".repeat(4)).unwrap();
        let lasting = self.lasting.path();
        let configuration = json!({
            "server": { "listen": self.address },
            "auth": access::auth(&home, &[("alice", "responder", &self.token)]).unwrap(),
            "store": { "path": lasting.join("store.db") },
            "engine": { "cache": lasting.join("cache") },
            "targets": { "kubernetes": { "prod": { "namespace": "shop", "kubeconfig": { "file": "kubeconfig" } } } },
            "plugins": {
                "noop": { "source": { "file": components::guest("noop").unwrap() } },
                "k8s-scale": {
                    "source": { "file": components::plugin("k8s-scale").unwrap() },
                    "limits": { "deadline": "5m" },
                    "grants": [
                        { "kubernetes": "prod", "verbs": ["get-rollout"] },
                        {
                            "kubernetes": "prod", "verbs": ["scale"], "objects": ["deployment/api"], "replicas": "2..20",
                            "per_hour": 10_000,
                        },
                    ],
                },
            },
            "sweeps": { "pulse": { "every": "1s", "splay": "0s", "missed": "once", "checks": ["noop"] } },
            "replicas": {
                "kubernetes": "prod", "term": "3s", "name": { "file": "name" }, "key": { "file": "seal" },
            },
        });
        self.agent = Some(Agent::start(home, &configuration.to_string(), &self.address).unwrap());
    }

    fn api(&self) -> Api {
        Api::new(&self.address, Some(&self.token))
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.api().ask("POST", path, &["content-type: application/json"], &body.to_string())
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.api().get(path, &[]).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json().unwrap()
    }

    /// The ids of all runs of a plugin.
    fn runs_of(&self, plugin: &str) -> Vec<String> {
        let (mut ids, mut next) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/v1/runs?plugin={plugin}&limit=200{next}"));
            ids.extend(page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()));
            match page["next_page"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return ids,
            }
        }
    }

    fn standing(&self) -> Value {
        self.get("/readyz")["replica"].clone()
    }

    /// How many slots it ran.
    fn slots(&self) -> usize {
        let runs = self.get("/v1/sweeps/pulse?limit=200");
        runs["runs"].as_array().unwrap().iter().filter(|run| run["slot"].is_string()).count()
    }

    fn leads(&self) -> bool {
        self.standing()["leads"] == true
    }
}

/// What is done to whoever leads.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Kill,
    CutOff,
    Pause,
}

impl Ward {
    async fn start() -> Self {
        let cluster = Arc::new(Cluster::seeded_now().await.unwrap());
        cluster.apply(SHARED).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let controllers = Some(set_going(&cluster, &is_over));
        let token = secret::random();
        let replicas = (0..3).map(|number| Replica::new(number, &cluster, &token)).collect();
        Self { cluster, replicas, controllers, is_over }
    }

    fn wanted(&self) -> u64 {
        self.cluster.get("apps/v1/Deployment", "shop", "api").unwrap()["spec"]["replicas"].as_u64().unwrap()
    }

    fn generation(&self) -> u64 {
        self.cluster.get("apps/v1/Deployment", "shop", "api").unwrap()["metadata"]["generation"].as_u64().unwrap()
    }

    /// Wait until one of these leads, and tell which.
    fn leader_among(&self, numbers: &[usize]) -> usize {
        wait::until("somebody to lead", || Ok(numbers.iter().copied().find(|number| self.replicas[*number].leads())))
            .unwrap()
    }

    /// Scale on a lease, through the replica of that number. Tells the run.
    fn scale(&self, number: usize, replicas: u64, time: &str) -> anyhow::Result<String> {
        let replica = &self.replicas[number];
        let wanted =
            json!({ "plugin": "k8s-scale", "params": { "name": "api", "replicas": replicas }, "mode": "plan" });
        let plan = replica.post("/v1/runs", &wanted)?.json()?;
        let id = plan["id"].as_str().unwrap_or_default();
        let applied = replica.post(&format!("/v1/plans/{id}/apply"), &json!({ "for": time }))?;
        anyhow::ensure!(applied.status == 200, "{}", applied.body);
        let run = applied.json()?;
        anyhow::ensure!(run["outcome"]["status"] == "ok", "{run}");
        Ok(run["id"].as_str().unwrap().to_owned())
    }

    /// Wait until whichever of them leads runs what is due, and tell which. On a busy machine that may become another one meanwhile.
    fn runs_slots_among(&self, numbers: &[usize]) -> usize {
        let slots = |number: usize| self.replicas[number].slots();
        let before: BTreeMap<_, _> = numbers.iter().map(|number| (*number, slots(*number))).collect();
        // No more than so many are shown.
        let runs = |number: &usize| slots(*number) >= (before[number] + 2).min(200) && self.replicas[*number].leads();
        wait::until("somebody to run slots", || Ok(numbers.iter().copied().find(runs))).unwrap()
    }

    fn until_given_back(&self, what: &str) {
        wait::until(what, || Ok((self.wanted() == BEFORE).then_some(()))).unwrap();
    }

    fn strike(&mut self, number: usize, trouble: Trouble) {
        let replica = &mut self.replicas[number];
        match trouble {
            Trouble::Kill => replica.agent.take().unwrap().kill().unwrap(),
            Trouble::CutOff => replica.proxy.part(),
            Trouble::Pause => replica.agent.as_ref().unwrap().pause().unwrap(),
        }
    }

    fn mend(&mut self, number: usize, trouble: Trouble) {
        let replica = &mut self.replicas[number];
        match trouble {
            Trouble::Kill => replica.start(),
            Trouble::CutOff => replica.proxy.join(),
            Trouble::Pause => replica.agent.as_ref().unwrap().go_on().unwrap(),
        }
    }

    /// The slots that each replica ran, by its own record.
    fn slots(&self) -> BTreeMap<String, Vec<String>> {
        let mut ran = BTreeMap::<String, Vec<String>>::new();
        for replica in &self.replicas {
            let runs = replica.get("/v1/sweeps/pulse?limit=200");
            for run in runs["runs"].as_array().unwrap() {
                // One that was cut off for long runs its sweeps for itself, and takes no slot.
                if let Some(slot) = run["slot"].as_str() {
                    ran.entry(slot.to_owned()).or_default().push(replica.name.clone());
                }
            }
        }
        ran
    }

    /// How often the changes of each run were given back, by all records.
    fn times_given_back(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for replica in &self.replicas {
            for id in replica.runs_of("k8s-scale") {
                let run = replica.get(&format!("/v1/runs/{id}"));
                let made = run["changes"].as_array().cloned().unwrap_or_default();
                let gave_back = run["mode"] == "apply" && made.iter().any(|change| change["fate"] == "applied");
                if let Some(undone) = run["undoes"].as_str().filter(|_| gave_back) {
                    *times.entry(undone.to_owned()).or_default() += 1;
                }
            }
        }
        times
    }
}

impl Drop for Ward {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(Err(_)) = self.controllers.take().map(JoinHandle::join) {
            eprintln!("the controllers panicked");
        }
    }
}

fn set_going(cluster: &Arc<Cluster>, is_over: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (cluster, is_over) = (cluster.clone(), is_over.clone());
    std::thread::spawn(move || {
        let mut then = Instant::now();
        while !is_over.load(Ordering::Relaxed) {
            cluster.controllers().progress();
            std::thread::sleep(Duration::from_millis(20));
            let now = Instant::now();
            cluster.advance(now - then);
            then = now;
        }
    })
}

#[expect(clippy::disallowed_methods, reason = "a number of rounds comes from outside")]
fn rounds() -> usize {
    std::env::var(ROUNDS).ok().and_then(|text| text.parse().ok()).unwrap_or(FEW_ROUNDS)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_the_leader_no_slot_runs_twice_and_every_lease_ends_once() {
    let mut ward = Ward::start().await;
    let (rounds, before) = (rounds(), ward.generation());
    let (mut ran, mut leases, mut led) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    for round in 0..rounds {
        let trouble = [Trouble::Kill, Trouble::CutOff, Trouble::Pause][round % 3];
        let leader = ward.runs_slots_among(&[0, 1, 2]);
        led.insert(leader);
        let others: Vec<_> = (0..3).filter(|number| *number != leader).collect();
        // Through each of the three in turn; where it is the leader's own, that is struck while it holds the lease.
        let lender = [leader, others[0], others[1]][(round / 3 + round) % 3];
        leases.push(ward.scale(lender, 4 + (round as u64 % 7), "2s").unwrap());
        ward.strike(leader, trouble);
        let next = ward.leader_among(&others);
        led.insert(next);
        ward.until_given_back(&format!("round {round}: what replica {lender} held, after {trouble:?} of {leader}"));
        ward.mend(leader, trouble);
        assert_eq!(ward.wanted(), BEFORE);
        if round % 5 == 4 || round + 1 == rounds {
            for (slot, by) in ward.slots() {
                ran.insert(slot, by);
            }
        }
        eprintln!("round {round}: {trouble:?} of {leader}, {next} leads, lent by {lender}");
    }
    let twice: Vec<_> = ran.iter().filter(|(_, by)| by.len() != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(ran.len() >= 2 * rounds, "{} slots in {rounds} rounds", ran.len());
    assert!(led.len() >= 2, "{led:?}");
    wait::until("every replica to know that nothing is held", || {
        let held = |replica: &Replica| replica.get("/v1/leases")["leases"].as_array().unwrap().len();
        Ok(ward.replicas.iter().all(|replica| held(replica) == 0).then_some(()))
    })
    .unwrap();
    let times: BTreeMap<_, _> = leases.into_iter().map(|lease| (lease, 1)).collect();
    assert_eq!(ward.times_given_back(), times);
    assert_eq!(ward.generation(), before + 2 * rounds as u64, "each was scaled once there and once back");
}

/// The type of a problem, behind its prefix.
fn problem(answer: &Answer) -> (u16, String) {
    let body = answer.json().unwrap();
    (answer.status, body["type"].as_str().unwrap_or_default().rsplit(':').next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_orders_at_one_replica_all_follow() {
    let ward = Ward::start().await;
    ward.leader_among(&[0, 1, 2]);
    let [first, second, third] = ward.replicas.as_slice() else { panic!("there are three") };
    let wanted = json!({ "plugin": "k8s-scale", "params": { "name": "api", "replicas": 5 }, "mode": "plan" });
    let plan = third.post("/v1/runs", &wanted).unwrap().json().unwrap();
    let apply = format!("/v1/plans/{}/apply", plan["id"].as_str().unwrap());

    let scope = json!({ "scope": { "all": true }, "for": "1h", "reason": "a migration" });
    let freeze = first.post("/v1/freezes", &scope).unwrap().json().unwrap();
    let freezes = |replica: &Replica| replica.get("/v1/freezes")["freezes"].clone();
    wait::until("all to be frozen", || {
        Ok([second, third].into_iter().all(|replica| freezes(replica) == json!([freeze])).then_some(()))
    })
    .unwrap();
    assert_eq!(problem(&third.post(&apply, &json!({})).unwrap()), (409, "frozen".to_owned()));
    let lifted =
        second.api().ask("DELETE", &format!("/v1/freezes/{}", freeze["id"].as_str().unwrap()), &[], "").unwrap();
    assert_eq!(lifted.status, 200, "{}", lifted.body);
    wait::until("none to be frozen", || {
        Ok(ward.replicas.iter().all(|replica| freezes(replica) == json!([])).then_some(()))
    })
    .unwrap();

    let silence = json!({ "sweep": "pulse", "expires": "1h", "reason": "known" });
    let silence = second.post("/v1/silences", &silence).unwrap().json().unwrap();
    let silences = |replica: &Replica| replica.get("/v1/silences")["silences"].clone();
    wait::until("all to be silent", || {
        Ok(ward.replicas.iter().all(|replica| silences(replica) == json!([silence])).then_some(()))
    })
    .unwrap();
    let path = format!("/v1/silences/{}", silence["id"].as_str().unwrap());
    assert_eq!(first.api().ask("DELETE", &path, &[], "").unwrap().status, 200);
    wait::until("none to be silent", || {
        Ok(ward.replicas.iter().all(|replica| silences(replica) == json!([])).then_some(()))
    })
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leads_next_goes_on_where_the_last_one_ended_and_sees_what_it_holds() {
    let mut ward = Ward::start().await;
    let leader = ward.runs_slots_among(&[0, 1, 2]);
    let stood = ward.replicas[leader].get("/v1/sweeps/pulse")["state"].clone();
    let run = ward.scale(leader, 7, "1h").unwrap();
    ward.strike(leader, Trouble::Kill);
    let others: Vec<_> = (0..3).filter(|number| *number != leader).collect();
    let next = ward.runs_slots_among(&others);
    let stands = ward.replicas[next].get("/v1/sweeps/pulse")["state"].clone();
    assert_eq!((&stands["status"], &stands["since"]), (&stood["status"], &stood["since"]));

    // Any replica shows what the one that is gone holds, lets it hold longer, and gives it back.
    let by = &ward.replicas[others[0]];
    let held = by.get("/v1/leases")["leases"].clone();
    let (name, found) = (&ward.replicas[leader].name, &held[0]);
    assert_eq!(
        (&found["run"], &found["replica"], &found["actor"]),
        (&json!(run), &json!(name), &json!("alice")),
        "{held}"
    );
    assert_eq!(found["holds"], json!(["scale prod/deployment/api from 3 to 7"]));
    let extended = by.post(&format!("/v1/leases/{run}/extend"), &json!({ "for": "2h" })).unwrap();
    assert_eq!(extended.status, 200, "{}", extended.body);
    let ended = by.api().ask("DELETE", &format!("/v1/leases/{run}"), &[], "").unwrap();
    assert_eq!((ended.status, ended.json().unwrap()["state"].as_str()), (200, Some("ended")), "{}", ended.body);
    assert_eq!(ward.wanted(), BEFORE);

    // The one that made the change learns of it.
    ward.mend(leader, Trouble::Kill);
    let lease = || Ok(ward.replicas[leader].get(&format!("/v1/runs/{run}"))["lease"].clone());
    let over = wait::until("it to know", || lease().map(|lease| Some(lease).filter(|lease| lease["state"] == "ended")))
        .unwrap();
    assert!(over["reason"].as_str().unwrap().contains(&ward.replicas[others[0]].name), "{over}");
    let again = ward.replicas[leader].post(&format!("/v1/runs/{run}/undo"), &json!({})).unwrap();
    assert_eq!(problem(&again), (409, "cannot-undo".to_owned()), "{}", again.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_api_server_nothing_is_due_and_checks_go_on() {
    let ward = Ward::start().await;
    let leader = ward.runs_slots_among(&[0, 1, 2]);
    let replica = &ward.replicas[leader];
    let wanted = json!({ "plugin": "k8s-scale", "params": { "name": "api", "replicas": 5 }, "mode": "plan" });
    let plan = replica.post("/v1/runs", &wanted).unwrap().json().unwrap();
    let complaints = || {
        let log = replica.agent.as_ref().unwrap().log().unwrap();
        log.matches("who leads cannot be found out").count()
    };
    let before = complaints();
    ward.replicas.iter().for_each(|replica| replica.proxy.part());
    wait::until("nobody to lead", || Ok(ward.replicas.iter().all(|replica| !replica.leads()).then_some(()))).unwrap();

    let check = replica.post("/v1/runs", &json!({ "plugin": "noop" })).unwrap();
    assert_eq!((check.status, check.json().unwrap()["state"].as_str()), (200, Some("ok")));
    let standing =
        wait::until(
            "it to say why",
            || Ok(Some(replica.standing()).filter(|standing| standing["problem"].is_string())),
        )
        .unwrap();
    assert!(standing["problem"].as_str().unwrap().contains("paramedic-leader"), "{standing}");
    let apply = format!("/v1/plans/{}/apply", plan["id"].as_str().unwrap());
    let refused = replica.post(&apply, &json!({ "for": "1h" })).unwrap();
    assert_eq!(problem(&refused), (503, "not-shared".to_owned()), "{}", refused.body);
    assert_eq!(ward.wanted(), BEFORE);
    assert!(complaints() <= before + 1, "it is said once, not with every look");

    // After a while each runs its sweeps for itself, and takes no slot that another one may have.
    let newest = |replica: &Replica| replica.get("/v1/sweeps/pulse?limit=1")["runs"][0].clone();
    wait::until("all to check for themselves", || {
        let is_own = |replica: &Replica| newest(replica)["slot"].is_null() && newest(replica)["state"] == "concluded";
        Ok(ward.replicas.iter().all(is_own).then_some(()))
    })
    .unwrap();
    assert_eq!(replica.standing()["cut_off"], true);

    ward.replicas.iter().for_each(|replica| replica.proxy.join());
    ward.runs_slots_among(&[0, 1, 2]);
    assert!(ward.slots().values().all(|by| by.len() == 1), "{:?}", ward.slots());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_to_share_is_named() {
    let cluster = Arc::new(Cluster::seeded_now().await.unwrap());
    for binding in ["agent", "agent-actions"] {
        cluster.delete("rbac.authorization.k8s.io/v1/RoleBinding", "shop", binding).unwrap();
    }
    let replica = Replica::new(0, &cluster, &secret::random());
    let told = |words: &str| {
        let what = format!("it to say: {words}");
        wait::until(&what, || Ok(replica.standing()["problem"].as_str().filter(|why| why.contains(words)).map(drop)))
            .unwrap();
    };
    let check = || {
        let config = replica.agent.as_ref().unwrap().directory().join("paramedic.yaml");
        let output = Command::new(agent::program().unwrap()).args(["rbac", "--check", "--config"]).arg(config).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    told("read the Lease `paramedic-leader`");
    let report = check();
    for right in ["get leases.coordination.k8s.io paramedic-leader", "patch configmaps paramedic-state"] {
        assert!(report.contains(right), "{report}");
    }
    let (_, rights) = SHARED.split_once("kind: Role\n").unwrap();
    cluster.apply(&format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n{rights}")).unwrap();
    told("there is no Lease `paramedic-leader` in shop");
    let report = check();
    assert!(!report.contains("paramedic-leader") && !report.contains("paramedic-state"), "{report}");
    let (lease, _) = SHARED.split_once("---").unwrap();
    cluster.apply(lease).unwrap();
    wait::until("it to lead", || Ok(replica.leads().then_some(()))).unwrap();
    told("there is no ConfigMap `paramedic-state` in shop");
    cluster.apply(SHARED).unwrap();
    wait::until("nothing to be missing", || Ok(replica.standing()["problem"].is_null().then_some(()))).unwrap();
}
