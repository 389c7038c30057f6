//! Watching runs that have ended, and who may watch how many. Runs under way are in the tests of the whole.

use axum::body::Body;
use http::{Request, Response};
use tower::ServiceExt;

use super::fixture::{Answer, Api, authorized, concluded, failed, running};
use crate::api::events::MAX_STREAMS;
use crate::domain::{FailureKind, Status};

fn request(path: &str, last: Option<&str>) -> Request<Body> {
    let request = authorized("GET", path);
    let request = last.into_iter().fold(request, |request, last| request.header("last-event-id", last));
    request.body(Body::empty()).unwrap()
}

async fn watch(api: &Api, id: impl std::fmt::Display, last: Option<&str>) -> Answer {
    api.send(request(&format!("/v1/runs/{id}/events"), last)).await
}

#[tokio::test]
async fn a_run_that_has_ended_is_told_from_its_record() {
    let api = Api::start().await;
    let run = concluded(60, Status::Critical);
    api.keep(&run).await;
    let answer = watch(&api, run.id, None).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/event-stream"));
    assert_eq!((answer.header("x-accel-buffering"), answer.header("cache-control")), ("no", "no-store"));
    let shown = api.get(&format!("/v1/runs/{}", run.id)).await.json();
    let listed = api.get("/v1/runs").await.json()["runs"][0].clone();
    // The line was written when the run began, and the call was over a little later.
    let events = [("1-0", "log", &shown["log"][0]), ("1-1", "call", &shown["calls"][0]), ("end", "end", &listed)];
    let told: Vec<_> = answer.text.split_terminator("\n\n").map(parsed).collect();
    assert_eq!(told.len(), events.len(), "{}", answer.text);
    for (told, (id, name, data)) in told.iter().zip(events) {
        assert_eq!((told.0.as_str(), told.1.as_str(), &told.2), (id, name, data));
    }
}

/// Id, name and data of an event.
fn parsed(text: &str) -> (String, String, serde_json::Value) {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap().to_owned();
    (field("id"), field("event"), serde_json::from_str(&field("data")).unwrap())
}

#[tokio::test]
async fn a_reader_goes_on_after_what_it_had() {
    let api = Api::start().await;
    let run = failed(60, FailureKind::Deadline);
    api.keep(&run).await;
    let ids = async |last: &str| {
        let answer = watch(&api, run.id, Some(last)).await;
        answer.text.split_terminator("\n\n").map(|event| parsed(event).0).collect::<Vec<_>>()
    };
    assert_eq!(ids("0-0").await, ["1-0", "1-1", "end"]);
    assert_eq!(ids("1-0").await, ["1-1", "end"]);
    assert_eq!(ids("0-1").await, ["1-1", "end"], "the call was seen, so the line alone is new");
    assert_eq!(ids("1-1").await, ["end"]);
    let done = watch(&api, run.id, Some("end")).await;
    assert_eq!((done.status.as_u16(), done.text.as_str()), (204, ""));
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused() {
    let api = Api::start().await;
    let (run, lost) = (concluded(60, Status::Ok), running(1));
    api.keep(&run).await;
    api.keep(&lost).await;
    watch(&api, "latest", None).await.problem(404, "unknown-run");
    watch(&api, "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b", None).await.problem(404, "unknown-run");
    watch(&api, run.id, Some("7")).await.problem(400, "invalid-header");
    watch(&api, lost.id, None).await.problem(503, "end-unknown");
}

#[tokio::test]
async fn so_many_can_watch_and_more_are_told_to_come_back() {
    let api = Api::start().await;
    let run = concluded(60, Status::Ok);
    api.keep(&run).await;
    let path = format!("/v1/runs/{}/events", run.id);
    // Not read, as by somebody who has fallen asleep.
    let mut open: Vec<Response<Body>> = Vec::new();
    for _ in 0..MAX_STREAMS {
        api.clock.advance(std::time::Duration::from_millis(100));
        let response = api.router.clone().oneshot(request(&path, None)).await.unwrap();
        assert_eq!(response.status(), 200);
        open.push(response);
    }
    let refused = watch(&api, run.id, None).await;
    refused.problem(429, "too-many-streams");
    assert_eq!(refused.header("retry-after"), "10");
    open.pop();
    assert_eq!(watch(&api, run.id, None).await.status, 200);
}
