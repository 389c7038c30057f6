//! Callers whom a cluster knows: what it is asked about them on each route, and for how long its answers hold.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::access::least;
use super::fixture::{Answer, Api, NOW, TOKEN, access, concluded, with_token};
use super::routes::{place, routes};
use crate::api::{Access, Cluster, Reviewer};
use crate::domain::{CallError, Identity, PluginName, PluginVerb, Rate, Role, Run, Status};

/// What a cluster is asked before it is done: the verb, and the plugin where it is about one. Everything that is not here is for
/// roles alone, and what a viewer may look at takes `get`.
const ACTING: &[(&str, &str, &str, bool)] = &[
    ("POST", "/v1/freezes", "apply", false),
    ("DELETE", "/v1/freezes/{id}", "apply", false),
    ("POST", "/v1/leases/{run}/extend", "apply", true),
    ("DELETE", "/v1/leases/{run}", "apply", true),
    ("POST", "/v1/plans/{id}/apply", "apply", true),
    ("POST", "/v1/plans/{id}/approve", "apply", true),
    ("POST", "/v1/runs", "run", true),
    ("DELETE", "/v1/runs/{id}", "run", true),
    ("POST", "/v1/runs/{id}/undo", "apply", true),
    ("POST", "/v1/silences", "run", false),
    ("DELETE", "/v1/silences/{id}", "run", false),
    ("POST", "/v1/sweeps/{name}/runs", "run", false),
];

const RUN: &str = "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b";

/// What is asked on a route; none where nobody of a cluster gets through.
pub(super) fn asked(method: &str, path: &str) -> Option<(&'static str, Option<&'static str>)> {
    let acting = ACTING.iter().find(|(known, place, ..)| (*known, *place) == (method, path));
    let looking = (least(method, path) == Some(Role::Viewer)).then_some(("get", None));
    acting.map(|(.., verb, one)| (*verb, one.then_some("pg-ready"))).or(looking)
}

type Right = (&'static str, Option<&'static str>);

/// A cluster that knows `ann`, who has these rights, or all but these.
#[derive(Default)]
struct Ward {
    rights: Mutex<(Vec<Right>, bool)>,
    is_down: AtomicBool,
    asked: Mutex<Vec<String>>,
    names: Mutex<HashMap<String, String>>,
}

impl Ward {
    fn start() -> Arc<Self> {
        let ward = Arc::new(Self::default());
        ward.knows(&token(1), "ann");
        ward
    }

    fn knows(&self, token: &str, username: &str) {
        self.names.lock().unwrap().insert(token.to_owned(), username.to_owned());
    }

    fn permits_only(&self, rights: &[Right]) {
        *self.rights.lock().unwrap() = (rights.to_vec(), true);
    }

    fn permits_all_but(&self, rights: &[Right]) {
        *self.rights.lock().unwrap() = (rights.to_vec(), false);
    }

    /// What it was asked since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn answer(&self, question: String) -> Result<(), CallError> {
        self.asked.lock().unwrap().push(question);
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(CallError::Unavailable("the API server cannot be reached".to_owned())),
            false => Ok(()),
        }
    }

    fn access(self: &Arc<Self>, rate: Rate) -> Access {
        let cluster =
            Cluster { reviewer: self.clone(), audience: "paramedic".to_owned(), namespace: "shop".to_owned(), rate };
        Access { cluster: Some(cluster), ..access() }
    }

    async fn api(self: &Arc<Self>) -> Api {
        Api::start_with(self.access(Rate { per_minute: 6_000_000, burst: 1_000_000 })).await
    }
}

#[async_trait]
impl Reviewer for Ward {
    async fn identify(&self, token: &str, audience: &str) -> Result<Option<Identity>, CallError> {
        self.answer(format!("whose for {audience}"))?;
        let username = self.names.lock().unwrap().get(token).cloned();
        Ok(username.map(|username| Identity { username, ..Identity::default() }))
    }

    async fn permits(&self, who: &Identity, verb: PluginVerb, plugin: Option<&PluginName>) -> Result<bool, CallError> {
        let right = (verb.as_str(), plugin.map(PluginName::as_str));
        self.answer(format!("{} {} {}", who.username, right.0, right.1.unwrap_or("*")))?;
        let (rights, only) = self.rights.lock().unwrap().clone();
        Ok(rights.contains(&right) == only)
    }
}

/// A token as a cluster makes them, which ends so many minutes from now.
fn token(minutes: u64) -> String {
    let end = NOW.after(Duration::from_secs(60 * minutes)).as_millis() / 1000;
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(json!({ "exp": end, "canary": "hunter2" }).to_string()))
}

async fn ask(api: &Api, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let request = with_token(method, path, token).header("content-type", "application/json");
    api.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn look(api: &Api, token: &str) -> u16 {
    ask(api, "GET", "/v1/plugins", token, "").await.status.as_u16()
}

/// An ended run of pg-ready under the id that the paths of tests have.
async fn keep_run(api: &Api) {
    api.keep(&Run { id: RUN.parse().unwrap(), ..concluded(60, Status::Ok) }).await;
}

#[tokio::test]
async fn each_route_asks_for_its_right_and_those_that_name_none_refuse() {
    let ward = Ward::start();
    let api = ward.api().await;
    keep_run(&api).await;
    let mut acting = 0;
    for (method, path) in routes() {
        if least(&method, &path).is_none() {
            continue;
        }
        let place = place(&path).replace("{run}", RUN);
        let body = if path == "/v1/runs" { r#"{"plugin":"pg-ready"}"# } else { "" };
        let send = async || {
            // Whatever was decided before holds no more.
            api.clock.advance(Duration::from_secs(10));
            ask(&api, &method, &place, &token(600), body).await
        };
        ward.knows(&token(600), "ann");
        let Some(right) = asked(&method, &path) else {
            ward.permits_all_but(&[]);
            let problem = send().await.problem(403, "forbidden");
            assert_eq!(problem["role"], least(&method, &path).unwrap().as_str(), "{method} {path}");
            assert!(problem["detail"].as_str().unwrap().ends_with("`kubernetes:ann` has none"), "{problem}");
            continue;
        };
        ward.permits_all_but(&[right]);
        let answer = send().await;
        let problem = answer.problem(403, "not-permitted");
        let (verb, plugin) = right;
        let named = plugin.map_or("without a name".to_owned(), |plugin| format!("`{plugin}`"));
        let expected =
            format!("this needs the verb `{verb}` on `plugins.paramedic.dev` {named} in the namespace `shop`");
        assert!(problem["detail"].as_str().unwrap().starts_with(&expected), "{method} {path}: {problem}");
        assert_eq!(problem.get("plugin").and_then(Value::as_str), plugin, "{method} {path}");
        assert!(answer.header("www-authenticate").ends_with("error=\"insufficient_scope\""));

        ward.permits_only(&[right]);
        let answer = send().await;
        assert!(![401, 403].contains(&answer.status.as_u16()), "{method} {path}: {answer:?}");
        acting += usize::from(verb != "get");
    }
    assert_eq!(acting, ACTING.len(), "ACTING names a route that there is not");
}

#[tokio::test]
async fn the_verb_is_that_of_the_mode_and_the_body_reaches_who_acts() {
    let ward = Ward::start();
    let api = ward.api().await;
    let run = async |body: &str| {
        api.clock.advance(Duration::from_secs(10));
        ask(&api, "POST", "/v1/runs", &token(600), body).await
    };
    ward.knows(&token(600), "ann");
    ward.permits_only(&[("run", Some("pg-ready"))]);
    run(r#"{"plugin":"pg-ready"}"#).await.problem(409, "plugin-not-active");
    run(r#"{"plugin":"pg-ready","mode":"check"}"#).await.problem(409, "plugin-not-active");
    run(r#"{"plugin":"pg-ready","mode":"plan"}"#).await.problem(403, "not-permitted");
    run(r#"{"plugin":"pushed"}"#).await.problem(403, "not-permitted");
    run(r#"{"plugin":"secret-plugin"}"#).await.problem(403, "not-permitted");
    let nameless = run(r#"{"plugin":"../pg-ready"}"#).await.problem(403, "not-permitted");
    assert!(nameless["detail"].as_str().unwrap().contains("without a name"), "{nameless}");
    ward.permits_only(&[("plan", Some("pg-ready"))]);
    run(r#"{"plugin":"pg-ready","mode":"plan"}"#).await.problem(409, "plugin-not-active");
    run(r#"{"plugin":"pg-ready"}"#).await.problem(403, "not-permitted");
    ward.permits_all_but(&[]);
    run(r#"{"plugin":"pg-ready","mode":"apply"}"#).await.problem(422, "invalid-body");
    run(r#"{"plugin":"pg-ready","plugin":"pushed"}"#).await.problem(422, "invalid-body");
    run("nonsense").await.problem(400, "malformed-json");
    run(r#"{"plugin":"secret-plugin"}"#).await.problem(404, "unknown-plugin");
    let large = format!(r#"{{"plugin":"pg-ready","params":{{"x":"{}"}}}}"#, "y".repeat(super::fixture::MAX_BODY));
    run(&large).await.problem(413, "body-too-large");
}

#[tokio::test]
async fn whether_there_is_a_run_is_for_those_who_may_look() {
    let ward = Ward::start();
    let api = ward.api().await;
    for (rights, status, kind) in
        [(&[("apply", Some("pg-ready"))] as &[Right], 403, "not-permitted"), (&[("get", None)], 404, "unknown-plan")]
    {
        api.clock.advance(Duration::from_secs(10));
        ward.permits_only(rights);
        for id in [RUN, "no-id"] {
            ask(&api, "POST", &format!("/v1/plans/{id}/apply"), &token(1), "{}").await.problem(status, kind);
        }
    }
}

#[tokio::test]
async fn nobody_of_a_cluster_breaks_the_glass() {
    let ward = Ward::start();
    let api = ward.api().await;
    keep_run(&api).await;
    ward.permits_all_but(&[]);
    let body = r#"{"break_glass":{"reason":"it burns"}}"#;
    let problem = ask(&api, "POST", &format!("/v1/plans/{RUN}/apply"), &token(1), body).await.problem(403, "forbidden");
    assert_eq!(problem["role"], "admin");
}

#[tokio::test]
async fn who_a_cluster_knows_stands_in_records_under_a_name_that_no_token_has() {
    let ward = Ward::start();
    let api = ward.api().await;
    ward.permits_all_but(&[]);
    let body = r#"{"scope":{"all":true},"for":"1h","reason":"release"}"#;
    let answer = ask(&api, "POST", "/v1/freezes", &token(1), body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["creator"].as_str()),
        (200, Some("kubernetes:ann")),
        "{answer:?}"
    );
    ward.knows(&token(2), "a\u{202e}nn");
    api.clock.advance(Duration::from_secs(10));
    assert_eq!(look(&api, &token(2)).await, 401, "a name that does not read well");
}

#[tokio::test]
async fn a_cluster_hears_of_no_token_that_is_ours_or_cannot_be_its_own() {
    let ward = Ward::start();
    let mut owners = ward.access(Rate::DEFAULT);
    let key = owners.key.clone().unwrap();
    // One of ours may look like one of a cluster, and may have expired.
    owners.tokens[1].digest = key.digest(b"a.b.c");
    owners.tokens[2].digest = key.digest(b"d.e.f");
    owners.tokens[2].expires = Some(NOW);
    let api = Api::start_with(owners).await;
    assert_eq!(look(&api, TOKEN).await, 200);
    assert_eq!(look(&api, "a.b.c").await, 200);
    ask(&api, "GET", "/v1/plugins", "d.e.f", "").await.problem(401, "expired-token");
    for wrong in ["wrong", "a.b", "a.b.c.d", "a..c", "sha256:a.b.c"] {
        let problem = ask(&api, "GET", "/v1/plugins", wrong, "").await.problem(401, "unauthenticated");
        assert!(problem["detail"].as_str().unwrap().contains("for the audience `paramedic`"), "{problem}");
    }
    for open in ["/healthz", "/readyz", "/openapi.json", "/", "/page/main.js"] {
        assert_eq!(ask(&api, "GET", open, &token(1), "").await.status, 200, "{open}");
    }
    assert_eq!(ward.asked(), [""; 0]);
    let answer = ask(&api, "GET", "/v1/plugins", &token(9), "").await;
    answer.problem(401, "unauthenticated");
    assert!(answer.header("www-authenticate").ends_with("error=\"invalid_token\""));
    assert!(!format!("{answer:?}").contains(&token(9)));
    assert_eq!(ward.asked(), ["whose for paramedic"]);
}

#[tokio::test]
async fn answers_hold_for_a_while_and_then_it_is_asked_again() {
    let ward = Ward::start();
    let api = ward.api().await;
    let pass = |seconds: u64| api.clock.advance(Duration::from_secs(seconds));
    let long = token(600);
    ward.knows(&long, "ann");
    ward.permits_only(&[("get", None)]);
    assert_eq!((look(&api, &long).await, look(&api, &long).await), (200, 200));
    assert_eq!(ward.asked(), ["whose for paramedic", "ann get *"]);

    // Rights that are taken away count after ten seconds.
    ward.permits_only(&[]);
    pass(9);
    assert_eq!((look(&api, &long).await, ward.asked().len()), (200, 0));
    pass(1);
    assert_eq!((look(&api, &long).await, ward.asked()), (403, vec!["ann get *".to_owned()]));
    ward.permits_only(&[("get", None)]);
    assert_eq!((look(&api, &long).await, ward.asked().len()), (403, 0));
    pass(10);
    assert_eq!((look(&api, &long).await, ward.asked().len()), (200, 1));

    // A token that is taken away is good for a minute at most.
    ward.names.lock().unwrap().remove(&long);
    pass(39);
    assert_eq!((look(&api, &long).await, ward.asked()), (200, vec!["ann get *".to_owned()]));
    pass(1);
    assert_eq!((look(&api, &long).await, ward.asked()), (401, vec!["whose for paramedic".to_owned()]));
    ward.knows(&long, "ann");
    pass(9);
    assert_eq!((look(&api, &long).await, ward.asked().len()), (401, 0));
    pass(1);
    assert_eq!((look(&api, &long).await, ward.asked().len()), (200, 2));
}

#[tokio::test]
async fn a_token_is_not_remembered_beyond_its_own_end() {
    let ward = Ward::start();
    let api = ward.api().await;
    ward.permits_all_but(&[]);
    api.clock.advance(Duration::from_secs(30));
    assert_eq!(look(&api, &token(1)).await, 200);
    ward.names.lock().unwrap().clear();
    api.clock.advance(Duration::from_secs(28));
    assert_eq!(look(&api, &token(1)).await, 200);
    api.clock.advance(Duration::from_secs(2));
    assert_eq!(look(&api, &token(1)).await, 401);
}

#[tokio::test]
async fn while_the_cluster_cannot_be_asked_those_with_tokens_go_on() {
    let ward = Ward::start();
    let api = ward.api().await;
    ward.is_down.store(true, Ordering::SeqCst);
    let answer = ask(&api, "GET", "/v1/plugins", &token(1), "").await;
    answer.problem(503, "unreviewed");
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(look(&api, TOKEN).await, 200);
    // It is no answer, and so it is not remembered.
    ward.is_down.store(false, Ordering::SeqCst);
    ward.permits_all_but(&[]);
    assert_eq!(look(&api, &token(1)).await, 200);
    // Neither is one about rights.
    ward.is_down.store(true, Ordering::SeqCst);
    api.clock.advance(Duration::from_secs(10));
    assert_eq!(look(&api, &token(1)).await, 503);
    ward.is_down.store(false, Ordering::SeqCst);
    assert_eq!(look(&api, &token(1)).await, 200);
}

#[tokio::test]
async fn the_rate_is_that_of_a_person_whatever_their_token() {
    let ward = Ward::start();
    ward.knows(&token(2), "ann");
    ward.knows(&token(3), "bob");
    ward.permits_all_but(&[]);
    let api = Api::start_with(ward.access(Rate { per_minute: 60, burst: 2 })).await;
    assert_eq!((look(&api, &token(1)).await, look(&api, &token(2)).await), (200, 200));
    let answer = ask(&api, "GET", "/v1/plugins", &token(2), "").await;
    answer.problem(429, "rate-limited");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(look(&api, &token(3)).await, 200);
    let metrics = ask(&api, "GET", "/metrics", TOKEN, "").await.text;
    assert!(metrics.contains("paramedic_requests_limited_total{token=\"kubernetes\"} 1\n"), "{metrics}");
}
