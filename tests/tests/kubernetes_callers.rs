//! Callers with identities of a cluster, through the agent and a stand-in API server: what its Roles let them do, and what
//! becomes of them when a token, a right or the server goes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

use std::process::Command;
use std::time::Duration;

use kubernetes_stand_in::{Cluster, Fault, Trouble};
use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::api::Answer;
use paramedic_tests::canaries::{self, Canaries};
use paramedic_tests::redis::Redis;
use paramedic_tests::{access, components, secret, wait};
use serde_json::{Value, json};

/// Whoever is on call runs one check by its name, and plans and applies one mitigation; a lead also looks at everything.
const ROLES: &str = r"
apiVersion: v1
kind: ServiceAccount
metadata: {name: lead, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: nobody, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: paramedic-oncall, namespace: shop}
rules:
- {apiGroups: [paramedic.dev], resources: [plugins], resourceNames: [noop], verbs: [run]}
- {apiGroups: [paramedic.dev], resources: [plugins], resourceNames: [redis-evict], verbs: [plan, apply]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: paramedic-oncall, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: paramedic-oncall}
subjects: [{kind: ServiceAccount, name: oncall, namespace: shop}, {kind: ServiceAccount, name: lead, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: paramedic-viewer, namespace: shop}
rules:
- {apiGroups: [paramedic.dev], resources: [plugins], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: paramedic-viewer, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: paramedic-viewer}
subjects: [{kind: ServiceAccount, name: lead, namespace: shop}]
";

const ONCALL: &str = "kubernetes:system:serviceaccount:shop:oncall";

struct Ward {
    cluster: Cluster,
    agent: Agent,
    /// A token of the agent's own.
    alice: String,
    keys: String,
    configuration: Value,
}

impl Ward {
    async fn start() -> Self {
        let cluster = Cluster::seeded_now().await.unwrap();
        cluster.apply(ROLES).unwrap();
        let redis = Redis::shared().unwrap();
        let keys = redis.prefix();
        redis.command::<()>(&["SET", &format!("{keys}tmp"), "x"]).unwrap();
        let (home, address, alice) = (Home::new().unwrap(), agent::free_address().unwrap(), secret::random());
        home.write("kubeconfig", &cluster.kubeconfig("agent", "shop")).unwrap();
        home.write("redis", &redis.freer(&format!("{keys}*")).unwrap()).unwrap();
        let mut auth = access::auth(&home, &[("alice", "admin", &alice)]).unwrap();
        auth["kubernetes"] = json!({ "target": "prod" });
        let configuration = json!({
            "server": { "listen": address },
            "auth": auth,
            "targets": {
                "kubernetes": { "prod": { "namespace": "shop", "kubeconfig": { "file": "kubeconfig" } } },
                "redis": { "cache": { "url": { "file": "redis" } } },
            },
            "plugins": {
                "noop": { "source": { "file": components::guest("noop").unwrap() } },
                "k8s-pods": {
                    "source": { "file": components::plugin("k8s-pods").unwrap() },
                    "grants": [{ "kubernetes": "prod", "verbs": ["list-pods", "get-rollout"] }],
                },
                "redis-evict": {
                    "source": { "file": components::plugin("redis-evict").unwrap() },
                    "grants": [{
                        "redis": "cache", "verbs": ["remove-keys"], "keys": [format!("{keys}*")], "per_run": 10, "per_hour": 100,
                    }],
                    "approval": "one",
                },
            },
        });
        let agent = Agent::start_with(home, &configuration.to_string(), &address, &["--log", "trace"]).unwrap();
        Self { cluster, agent, alice, keys, configuration }
    }

    fn token(&self, account: &str) -> String {
        self.cluster.issue_token("shop", account, Some("paramedic")).unwrap()
    }

    fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        let fields = ["content-type: application/json"];
        self.agent.api(Some(token)).ask("POST", path, &fields, &body.to_string()).unwrap()
    }

    fn run(&self, token: &str, plugin: &str) -> Answer {
        self.post(token, "/v1/runs", &json!({ "plugin": plugin }))
    }

    fn look(&self, token: &str) -> Answer {
        self.agent.api(Some(token)).get("/v1/runs", &[]).unwrap()
    }

    /// The answers to as many requests at once, in the order of their tokens.
    fn look_at_once(&self, tokens: &[String]) -> Vec<Answer> {
        std::thread::scope(|scope| {
            let asked: Vec<_> = tokens.iter().map(|token| scope.spawn(|| self.look(token))).collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        })
    }

    /// Has the agent read its configuration again, with this as `auth.kubernetes`, or without any.
    fn reload(&mut self, callers: Option<Value>) {
        let auth = self.configuration["auth"].as_object_mut().unwrap();
        auth.remove("kubernetes");
        auth.extend(callers.map(|callers| ("kubernetes".to_owned(), callers)));
        self.agent.write("paramedic.yaml", &self.configuration.to_string()).unwrap();
        self.agent.hang_up().unwrap();
    }

    /// Waits until a token is answered so.
    fn until(&self, token: &str, status: u16) {
        let what = format!("an answer with status {status}");
        wait::until(&what, || Ok((self.look(token).status == status).then_some(()))).unwrap();
    }

    /// What the program says about the configuration of the agent, and its exit code.
    fn paramedic(&self, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(agent::program().unwrap());
        command.args(words).arg("--config").arg(self.agent.directory().join("paramedic.yaml"));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }
}

/// The lines of a report that begin with this severity and are about callers.
fn of_callers<'a>(report: &'a str, severity: &str) -> Vec<&'a str> {
    let is_of_callers = |line: &&str| line.contains("auth.kubernetes") || line.contains("auth/kubernetes");
    report.lines().filter(|line| line.starts_with(severity)).filter(is_of_callers).collect()
}

fn is_problem(answer: &Answer, status: u16, kind: &str) -> Value {
    let problem = answer.json().unwrap();
    assert_eq!(
        (answer.status, problem["type"].as_str().unwrap().rsplit(':').next()),
        (status, Some(kind)),
        "{problem}"
    );
    problem
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_names_the_plugin_that_somebody_on_call_may_run() {
    let ward = Ward::start().await;
    let (oncall, lead) = (ward.token("oncall"), ward.token("lead"));
    let answer = ward.run(&oncall, "noop");
    let run = answer.json().unwrap();
    assert_eq!((answer.status, run["state"].as_str(), run["actor"].as_str()), (200, Some("ok"), Some(ONCALL)), "{run}");

    let problem = is_problem(&ward.run(&oncall, "k8s-pods"), 403, "not-permitted");
    let expected = format!(
        "this needs the verb `run` on `plugins.paramedic.dev` `k8s-pods` in the namespace `shop`, which no Role gives `{ONCALL}`"
    );
    assert_eq!(problem["detail"], expected);
    is_problem(&ward.look(&oncall), 403, "not-permitted");
    let runs = ward.look(&lead).json().unwrap();
    assert_eq!(runs["runs"][0]["actor"], ONCALL, "{runs}");
    is_problem(&ward.post(&lead, "/v1/config:reload", &json!({})), 403, "forbidden");
    is_problem(&ward.post(&lead, "/v1/freezes", &json!({})), 403, "not-permitted");
    is_problem(&ward.run(&ward.token("nobody"), "noop"), 403, "not-permitted");
    assert!(ward.agent.log().unwrap().contains(ONCALL));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_good_now_and_for_us_opens_nothing() {
    let ward = Ward::start().await;
    let issue = |audience| ward.cluster.issue_token("shop", "oncall", audience).unwrap();
    let revoked = issue(Some("paramedic"));
    ward.cluster.revoke(&revoked);
    let expired = ward.cluster.issue_token_for("shop", "oncall", "paramedic", Duration::from_secs(600)).unwrap();
    ward.cluster.advance(Duration::from_secs(600));
    let good = issue(Some("paramedic"));
    let (signed, _) = good.rsplit_once('.').unwrap();
    for (what, token) in [
        ("for the API server", issue(None)),
        ("for another", issue(Some("vault"))),
        ("the agent's own", ward.cluster.token("agent").to_owned()),
        ("revoked", revoked),
        ("expired", expired),
        ("with another signature", format!("{signed}.c2ln")),
        ("garbage", "e30.e30.e30".to_owned()),
        ("no web token", "garbage".to_owned()),
    ] {
        let answer = ward.run(&token, "noop");
        let problem = is_problem(&answer, 401, "unauthenticated");
        assert!(!answer.body.contains(&token) && problem["detail"].as_str().unwrap().contains("`paramedic`"), "{what}");
    }
    assert_eq!(ward.run(&good, "noop").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_taken_away_count_within_seconds() {
    let ward = Ward::start().await;
    let oncall = ward.token("oncall");
    assert_eq!(ward.run(&oncall, "noop").status, 200);
    ward.cluster.delete("rbac.authorization.k8s.io/v1/RoleBinding", "shop", "paramedic-oncall").unwrap();
    let refused = || Ok((ward.run(&oncall, "noop").status == 403).then_some(()));
    wait::until("the right to be gone", refused).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_approves_their_own_plan_with_another_token() {
    let ward = Ward::start().await;
    let (one, other, lead) = (ward.token("oncall"), ward.token("oncall"), ward.token("lead"));
    assert_ne!(one, other);
    let params = json!({ "target": "cache", "pattern": format!("{}*", ward.keys), "mode": "remove" });
    let request = json!({ "plugin": "redis-evict", "params": params, "mode": "plan" });
    let planned = ward.post(&one, "/v1/runs", &request);
    let run = planned.json().unwrap();
    assert_eq!((planned.status, run["plan"]["changes"].as_array().map(Vec::len)), (200, Some(1)), "{run}");
    let (id, digest) = (run["id"].as_str().unwrap(), json!({ "digest": run["plan"]["digest"] }));
    let (approve, apply) = (format!("/v1/plans/{id}/approve"), format!("/v1/plans/{id}/apply"));

    is_problem(&ward.post(&ward.token("nobody"), &approve, &digest), 403, "not-permitted");
    is_problem(&ward.post(&other, &approve, &digest), 409, "cannot-approve");
    is_problem(&ward.post(&other, &apply, &digest), 409, "not-approved");
    let glass = json!({ "digest": digest["digest"], "break_glass": { "reason": "it burns" } });
    assert_eq!(is_problem(&ward.post(&lead, &apply, &glass), 403, "forbidden")["role"], "admin");
    let approved = ward.post(&lead, &approve, &digest);
    let by = &approved.json().unwrap()["plan"]["approvals"][0]["actor"];
    assert_eq!(
        (approved.status, by.as_str()),
        (200, Some("kubernetes:system:serviceaccount:shop:lead")),
        "{}",
        approved.body
    );
    let applied = ward.post(&other, &apply, &digest).json().unwrap();
    assert_eq!((applied["state"].as_str(), applied["actor"].as_str()), (Some("ok"), Some(ONCALL)), "{applied}");
    is_problem(&ward.post(&ward.token("nobody"), &format!("/v1/runs/{id}/undo"), &json!({})), 403, "not-permitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_api_server_does_not_answer_those_with_tokens_go_on() {
    let ward = Ward::start().await;
    let (oncall, lead) = (ward.token("oncall"), ward.token("lead"));
    for (fault, part) in [(Fault::Unavailable, "tokenreviews"), (Fault::InternalError, "subjectaccessreviews")] {
        ward.cluster.fail(Trouble::from(fault).at(part));
        let answer = ward.run(&oncall, "noop");
        is_problem(&answer, 503, "unreviewed");
        assert_eq!(answer.field("retry-after"), "5");
    }
    assert_eq!(ward.run(&oncall, "noop").status, 200);
    let Ward { cluster, agent, alice, .. } = ward;
    drop(cluster);
    let look = |token: &str| agent.api(Some(token)).get("/v1/runs", &[]).unwrap();
    is_problem(&look(&lead), 503, "unreviewed");
    assert_eq!(look(&alice).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_callers_at_once_than_a_cluster_is_asked_about_are_told_apart_all_the_same() {
    let ward = Ward::start().await;
    let tokens = |count: usize| -> Vec<String> {
        let wrong = || ward.cluster.issue_token("shop", "lead", Some("vault")).unwrap();
        (0..count).map(|n| if n.is_multiple_of(3) { wrong() } else { ward.token("lead") }).collect()
    };
    let right = |n: usize| if n.is_multiple_of(3) { 401 } else { 200 };
    // Three rounds of eight questions, and each is answered within the time for which the last one waits.
    ward.cluster.fail(Trouble::from(Fault::Slow(Duration::from_millis(400))).at("tokenreviews").times(24));
    for (n, answer) in ward.look_at_once(&tokens(24)).iter().enumerate() {
        assert_eq!(answer.status, right(n), "{n}: {}", answer.body);
    }
    // Eight questions are never answered: whoever asked, or waited behind them in vain, is told to come again, and nobody is let in.
    ward.cluster.fail(Trouble::from(Fault::HangBeforeApplying).at("tokenreviews").times(8));
    let answers = ward.look_at_once(&tokens(12));
    for (n, answer) in answers.iter().enumerate() {
        assert!([right(n), 503].contains(&answer.status), "{n}: {}", answer.body);
    }
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(refused.len() >= 8, "{} were refused", refused.len());
    for answer in refused {
        is_problem(answer, 503, "unreviewed");
        assert_eq!(answer.field("retry-after"), "5");
    }
    for (n, answer) in ward.look_at_once(&tokens(12)).iter().enumerate() {
        assert_eq!(answer.status, right(n), "{n}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_whom_a_setting_let_in_are_out_when_it_is_another_one() {
    let mut ward = Ward::start().await;
    let lead = ward.token("lead");
    let other = ward.cluster.issue_token("shop", "lead", Some("ops")).unwrap();
    assert_eq!((ward.look(&lead).status, ward.look(&other).status), (200, 401));
    ward.reload(Some(json!({ "target": "prod", "audience": "ops" })));
    // Nobody waits for what was remembered to end: that takes a minute.
    ward.until(&other, 200);
    is_problem(&ward.look(&lead), 401, "unauthenticated");
    ward.reload(None);
    ward.until(&other, 401);
    is_problem(&ward.look(&lead), 401, "unauthenticated");
    assert_eq!(ward.look(&ward.alice).status, 200);
    ward.cluster.forget_requests();
    is_problem(&ward.look(&other), 401, "unauthenticated");
    assert!(!ward.cluster.requests().iter().any(|request| request.path.contains("review")), "the cluster was asked");
    ward.reload(Some(json!({ "target": "prod" })));
    ward.until(&lead, 200);
    is_problem(&ward.look(&other), 401, "unauthenticated");
}

/// A ClusterRole with one of the two rights.
const HALF: &str = r"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: half}
rules: [{apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: half}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: half}
subjects: [{kind: ServiceAccount, name: agent, namespace: shop}]
";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_needs_to_ask_about_callers_is_printed_compared_and_diagnosed() {
    const BINDING: &str = "rbac.authorization.k8s.io/v1/ClusterRoleBinding";
    let mut ward = Ward::start().await;
    let lead = ward.token("lead");
    ward.cluster.delete(BINDING, "", "agent-auth-delegator").unwrap();
    is_problem(&ward.look(&lead), 503, "unreviewed");
    let said = |ward: &Ward, expected: &[&str]| {
        let (_, doctor) = ward.paramedic(&["doctor"]);
        let (code, check) = ward.paramedic(&["rbac", "--check"]);
        for (report, found) in [(&doctor, of_callers(&doctor, "error")), (&check, of_callers(&check, "error"))] {
            assert_eq!(found.len(), expected.len(), "{report}");
            for (line, expected) in found.iter().zip(expected) {
                assert!(line.contains(expected), "{expected} is not named: {report}");
            }
        }
        assert!(expected.is_empty() || code == Some(2), "{check}");
        for report in [&doctor, &check] {
            assert_eq!(of_callers(report, "ok").len(), usize::from(expected.is_empty()), "{report}");
            assert!(expected.is_empty() || report.contains("paramedic rbac` print"), "{report}");
        }
    };
    said(&ward, &["tokenreviews", "subjectaccessreviews"]);
    ward.cluster.apply(HALF).unwrap();
    said(&ward, &["subjectaccessreviews"]);
    is_problem(&ward.look(&lead), 503, "unreviewed");
    ward.cluster.delete(BINDING, "", "half").unwrap();

    let (code, printed) = ward.paramedic(&["rbac", "--service-account", "shop/agent"]);
    assert_eq!(code, Some(0), "{printed}");
    ward.cluster.apply(&printed).unwrap();
    said(&ward, &[]);
    let binding = ward.cluster.get(BINDING, "", "paramedic:shop:agent:auth-delegator").unwrap();
    assert_eq!(binding["roleRef"]["name"], "system:auth-delegator");
    assert_eq!(ward.look(&lead).status, 200);

    // Where nobody is asked about, nothing is printed or wanted.
    ward.reload(None);
    let (_, printed) = ward.paramedic(&["rbac", "--service-account", "shop/agent"]);
    assert!(!printed.contains("ClusterRoleBinding"), "{printed}");
    let (_, check) = ward.paramedic(&["rbac", "--check"]);
    assert!(!check.contains("auth.kubernetes"), "{check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_of_a_caller_is_in_anything_that_the_agent_shows_tells_or_keeps() {
    let ward = Ward::start().await;
    let mut canaries = Canaries::default();
    let wrong = ward.cluster.issue_token("shop", "oncall", Some("vault")).unwrap();
    let tokens = [ward.token("oncall"), ward.token("nobody"), wrong];
    // Also with the server in trouble, which has its requests in what is told of it.
    let troubles = [None, Some(Fault::InternalError), Some(Fault::Cut { after_lines: 0 }), Some(Fault::Unavailable)];
    for token in &tokens {
        token.split('.').skip(1).for_each(|part| canaries.add(part));
    }
    for trouble in troubles {
        for token in tokens.iter() {
            if let Some(fault) = &trouble {
                ward.cluster.fail(Trouble::from(fault.clone()).at("reviews"));
            }
            canaries.look("an answer", ward.run(token, "noop").body.as_bytes()).unwrap();
            canaries.look("an answer", ward.look(token).body.as_bytes()).unwrap();
        }
    }
    let api = ward.agent.api(Some(&ward.alice));
    for path in ["/v1/runs", "/metrics", "/v1/plugins", "/v1/audit/export"] {
        canaries.look(path, api.get(path, &[]).unwrap().body.as_bytes()).unwrap();
    }
    canaries.look("the log", ward.agent.log().unwrap().as_bytes()).unwrap();
    for (path, bytes) in canaries::files_below(ward.agent.directory()).unwrap() {
        canaries.look(&path.display().to_string(), &bytes).unwrap();
    }
}
