//! The layer that has a thing done once, around an act that only counts. Runs are in the tests of the whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use http::StatusCode;
use tokio::sync::Semaphore;

use super::fixture::{Answer, Api, RESPONDER, TOKEN, send, with_token};
use crate::api::once::once;
use crate::api::{App, guarded};

/// An act that can be held up.
struct Act {
    begun: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
    router: Router,
}

impl Act {
    /// `/act` counts, `/fail` counts and fails, and `/large` answers with more than can be kept. Each takes a permit.
    fn new(api: &Api, permits: usize) -> Self {
        let (begun, done, gate) = (Arc::default(), Arc::default(), Arc::new(Semaphore::new(permits)));
        let count = {
            let (begun, done, gate): (Arc<AtomicUsize>, Arc<AtomicUsize>, _) =
                (Arc::clone(&begun), Arc::clone(&done), gate.clone());
            move || {
                let (begun, done, gate) = (begun.clone(), done.clone(), gate.clone());
                async move {
                    begun.fetch_add(1, Ordering::SeqCst);
                    gate.acquire().await.unwrap().forget();
                    done.fetch_add(1, Ordering::SeqCst) + 1
                }
            }
        };
        let (act, fail, large) = (count.clone(), count.clone(), count);
        let act = async move |_: Request| -> Response {
            let answer = format!("done {}", act().await);
            (StatusCode::CREATED, [("location", "/made"), ("x-other", "not kept")], answer).into_response()
        };
        let fail =
            async move |_: Request| -> Response { (StatusCode::CONFLICT, fail().await.to_string()).into_response() };
        let large =
            async move |_: Request| -> Response { ("x".repeat(1 << 20) + &large().await.to_string()).into_response() };
        let parts = api.parts();
        let tokens = parts.tokens.clone();
        let app = App::new(parts);
        let routes = Router::new().route("/act", post(act)).route("/fail", post(fail)).route("/large", post(large));
        let router = guarded(routes.layer(from_fn(once)).layer(Extension(app)), tokens);
        Self { begun, done, gate, router }
    }

    async fn ask(&self, path: &str, token: &str, key: &str, body: &'static str) -> Answer {
        let request = with_token("POST", path, token).header("idempotency-key", key).body(Body::from(body)).unwrap();
        send(&self.router, request).await
    }

    /// Wait until somebody stands before the gate.
    async fn until_begun(&self) {
        while self.begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn what_was_done_is_answered_again_as_it_was() {
    let api = Api::start().await;
    let act = Act::new(&api, 99);
    let first = act.ask("/act", TOKEN, "k", "x").await;
    let again = act.ask("/act", TOKEN, "k", "x").await;
    for answer in [&first, &again] {
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (201, "done 1"));
        assert_eq!((answer.header("location"), answer.header("content-type")), ("/made", "text/plain; charset=utf-8"));
    }
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!((first.header("x-other"), again.header("x-other")), ("not kept", ""));
    act.ask("/act", TOKEN, "k", "y").await.problem(422, "idempotency-key-reused");
    assert_eq!(act.ask("/act", RESPONDER, "k", "y").await.text, "done 2");
    // Another agent on the same store, as after a restart.
    let other = Act::new(&api, 99);
    assert_eq!(other.ask("/act", TOKEN, "k", "x").await.text, "done 1");
    api.clock.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(other.ask("/act", TOKEN, "k", "x").await.text, "done 1");
    assert_eq!((act.done(), other.done()), (2, 1), "after a day the key is forgotten");
}

#[tokio::test]
async fn while_the_first_is_under_way_others_are_told_to_come_back() {
    let api = Api::start().await;
    let act = Arc::new(Act::new(&api, 0));
    let first = tokio::spawn({
        let act = act.clone();
        async move { act.ask("/act", TOKEN, "k", "x").await }
    });
    act.until_begun().await;
    let refused = act.ask("/act", TOKEN, "k", "x").await;
    refused.problem(409, "in-progress");
    assert_eq!(refused.header("retry-after"), "1");
    act.ask("/act", TOKEN, "k", "y").await.problem(422, "idempotency-key-reused");
    act.gate.add_permits(9);
    assert_eq!(first.await.unwrap().text, "done 1");
    assert_eq!(act.ask("/act", TOKEN, "k", "x").await.text, "done 1");
    assert_eq!(act.done(), 1);
}

#[tokio::test]
async fn what_was_begun_is_finished_and_kept_when_its_caller_leaves() {
    let api = Api::start().await;
    let act = Arc::new(Act::new(&api, 0));
    let first = tokio::spawn({
        let act = act.clone();
        async move { act.ask("/act", TOKEN, "k", "x").await }
    });
    act.until_begun().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    act.gate.add_permits(9);
    let answer = loop {
        let answer = act.ask("/act", TOKEN, "k", "x").await;
        if answer.status != StatusCode::CONFLICT {
            break answer;
        }
        // However long it takes, the rate of the token is not what ends it.
        api.clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    };
    assert_eq!((answer.text.as_str(), act.done()), ("done 1", 1));
}

#[tokio::test]
async fn a_refusal_and_an_answer_without_bounds_are_not_kept() {
    let api = Api::start().await;
    let act = Act::new(&api, 99);
    for n in 1..=2 {
        let answer = act.ask("/fail", TOKEN, "f", "x").await;
        assert_eq!((answer.status.as_u16(), answer.text), (409, n.to_string()));
    }
    for n in 3..=4 {
        let answer = act.ask("/large", TOKEN, "l", "x").await;
        assert!(answer.status.is_success() && answer.text.ends_with(&n.to_string()));
    }
    assert_eq!(act.done(), 4);
}

#[tokio::test]
async fn a_store_that_fails_lets_nothing_be_done_under_a_key() {
    let api = Api::start().await;
    let act = Act::new(&api, 99);
    api.store.close().await.unwrap();
    act.ask("/act", TOKEN, "k", "x").await.problem(503, "store-unavailable");
    assert_eq!(act.done(), 0);
}

#[test]
fn every_route_that_acts_takes_a_key() {
    let description = serde_json::to_value(crate::api::openapi::description()).unwrap();
    for (method, path) in super::routes::routes() {
        let operation = &description["paths"][&path][method.to_lowercase()];
        let names = operation["parameters"].as_array().cloned().unwrap_or_default();
        // Its body is too large to be held under a key, and delivering it again has no effect.
        let is_upload = operation["requestBody"]["content"]["application/wasm"].is_object();
        let takes_key = names.iter().any(|parameter| parameter["name"] == "Idempotency-Key");
        // It looks, and what it saw an hour ago is no answer.
        let is_look = path == "/v1/audit/verify";
        assert_eq!(takes_key, method != "GET" && !is_upload && !is_look, "{method} {path}");
    }
}
