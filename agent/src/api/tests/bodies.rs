//! What is said about a body that is not as it should be.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Frame;

use super::fixture::{Api, MAX_BODY, authorized};

#[tokio::test]
async fn each_way_to_write_a_wrong_body_is_named() {
    let api = Api::start().await;
    let deep = format!(r#"{{"plugin": "pg-ready", "params": {{"a": {}1{}}}}}"#, "[".repeat(500), "]".repeat(500));
    for (body, status, kind, detail) in [
        ("", 400, "malformed-json", "at line 1 column 0"),
        ("{\"plugin\":\n  pg-ready}", 400, "malformed-json", "at line 2 column 3"),
        ("{\"plugin\": \"pg-ready\"} x", 400, "malformed-json", "at line 1 column 24"),
        (&deep, 400, "malformed-json", "recursion limit"),
        ("{}", 422, "invalid-body", "missing field `plugin`"),
        ("[]", 422, "invalid-body", "invalid"),
        ("{\"plugin\": 7}", 422, "invalid-body", "invalid type: integer `7`, expected a string"),
        ("{\"plugin\": \"pg-ready\", \"params\": []}", 422, "invalid-body", "expected a map"),
        (
            "{\"plugin\": \"pg-ready\", \"parms\": {}}",
            422,
            "invalid-body",
            "unknown field `parms`, expected one of `plugin`, `params`, `mode`",
        ),
    ] {
        let problem = api.post(body).await.problem(status, kind);
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{body}: {problem}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_told_in_brief() {
    let api = Api::start().await;
    let long = "x".repeat(MAX_BODY - 100);
    for body in [
        format!(r#"{{"plugin": "pg-ready", "params": "{long}"}}"#),
        format!(r#"{{"plugin": "pg-ready", "{long}": 1}}"#),
        format!(r#"{{"plugin": {{"{long}": 1}}}}"#),
    ] {
        let problem = api.post(&body).await.problem(422, "invalid-body");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.len() < 500 && detail.contains("at line 1 column "), "{detail}");
    }
}

#[tokio::test]
async fn only_json_is_taken() {
    let api = Api::start().await;
    let send = async |kind: Option<&str>| {
        let mut request = authorized("POST", "/v1/runs");
        request = kind.into_iter().fold(request, |request, kind| request.header("content-type", kind));
        api.send(request.body(Body::from("{}")).unwrap()).await
    };
    for kind in [None, Some("text/json"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")] {
        let problem = send(kind).await.problem(415, "unsupported-media-type");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("application/json") && detail.contains(kind.unwrap_or("nothing")), "{detail}");
    }
    for kind in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"] {
        send(Some(kind)).await.problem(422, "invalid-body");
    }
}

/// A body that must not be looked at.
pub(super) struct Untouchable;

impl hyper::body::Body for Untouchable {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        panic!("the body was read")
    }
}

/// A body without an end. It counts what was taken of it.
pub(super) struct Endless(pub(super) std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.fetch_add(1024, std::sync::atomic::Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 1024])))))
    }
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_unread() {
    let api = Api::start().await;
    let request = authorized("POST", "/v1/runs")
        .header("content-type", "application/json")
        .header("content-length", 100 << 20)
        .body(Body::new(Untouchable));
    let problem = api.send(request.unwrap()).await.problem(413, "body-too-large");
    assert!(problem["detail"].as_str().unwrap().contains(&MAX_BODY.to_string()), "{problem}");
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_refused_at_the_limit() {
    let api = Api::start().await;
    let taken = std::sync::Arc::default();
    let request = authorized("POST", "/v1/runs")
        .header("content-type", "application/json")
        .body(Body::new(Endless(std::sync::Arc::clone(&taken))));
    api.send(request.unwrap()).await.problem(413, "body-too-large");
    let taken = taken.load(std::sync::atomic::Ordering::SeqCst);
    assert!(taken <= MAX_BODY + 2048, "{taken} bytes were taken");
}

#[tokio::test]
async fn a_body_of_an_unknown_caller_is_not_looked_at() {
    let api = Api::start().await;
    let request =
        http::Request::post("/v1/runs").header("content-type", "application/json").body(Body::new(Untouchable));
    api.send(request.unwrap()).await.problem(401, "unauthenticated");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_arrives_is_given_up() {
    let api = Api::start().await;
    let never =
        http_body_util::StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
    let request = authorized("POST", "/v1/runs").header("content-type", "application/json").body(Body::new(never));
    api.send(request.unwrap()).await.problem(408, "slow-body");
}
