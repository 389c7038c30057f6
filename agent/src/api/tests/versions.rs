//! Versions of plugins, as far as no component has to run for it. Real ones are in the tests of the whole.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::bodies::{Endless, Untouchable};
use super::fixture::{Api, MAX_COMPONENT, authorized};

const PLACE: &str = "/v1/plugins/pushed/versions/0.1.0";

async fn put(api: &Api, place: &str, headers: &[(&str, &str)], body: Body) -> super::fixture::Answer {
    let request = authorized("PUT", place).header("content-type", "application/wasm");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    api.send(request.body(body).unwrap()).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn what_is_not_for_this_agent_is_refused_before_a_byte_of_it_is_read() {
    let api = Api::start().await;
    let untouched = || Body::new(Untouchable);
    put(&api, "/v1/plugins/stranger/versions/0.1.0", &[], untouched()).await.problem(404, "plugin-not-configured");
    put(&api, "/v1/plugins/Not-A-Name/versions/0.1.0", &[], untouched()).await.problem(404, "unknown-plugin");
    put(&api, "/v1/plugins/pushed/versions/newest", &[], untouched()).await.problem(400, "invalid-version");
    let large = (MAX_COMPONENT + 1).to_string();
    let told = put(&api, PLACE, &[("content-length", &large)], untouched()).await.problem(413, "body-too-large");
    assert_eq!(
        (&told["step"], told["detail"].as_str().unwrap().contains(&MAX_COMPONENT.to_string())),
        (&json!("size"), true)
    );
    for (header, value, status, kind) in [
        ("content-encoding", "br", 415, "unsupported-media-type"),
        ("paramedic-signature", "not base64!", 400, "invalid-header"),
        ("paramedic-signature", &"A".repeat(9000), 400, "invalid-header"),
        ("paramedic-digest", "sha256:abc", 400, "invalid-header"),
    ] {
        put(&api, PLACE, &[(header, value)], untouched()).await.problem(status, kind);
    }
    let json = authorized("PUT", PLACE).header("content-type", "application/json").body(untouched()).unwrap();
    let told = api.send(json).await.problem(415, "unsupported-media-type");
    assert_eq!(told["detail"], "the body must be `application/wasm`, not `application/json`");
}

#[tokio::test]
async fn a_body_without_an_end_is_cut_off_at_the_limit() {
    let api = Api::start().await;
    let taken = std::sync::Arc::new(AtomicUsize::new(0));
    put(&api, PLACE, &[], Body::new(Endless(taken.clone()))).await.problem(413, "body-too-large");
    let limit = usize::try_from(MAX_COMPONENT).unwrap();
    assert!(taken.load(Ordering::SeqCst) <= limit + 64 * 1024, "{} bytes were taken", taken.load(Ordering::SeqCst));
    // It is seen by whoever looks later.
    let plugin = api.get("/v1/plugins/pushed").await.json();
    assert_eq!(
        (&plugin["candidates"][0]["step"], &plugin["candidates"][0]["actor"]),
        (&json!("size"), &json!("alice"))
    );
    let metrics = api.get("/metrics").await.text;
    assert!(
        metrics.contains("paramedic_plugin_versions_refused_total{plugin=\"pushed\",step=\"size\"} 1\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_small_body_that_becomes_large_is_refused_and_so_is_what_is_no_gzip() {
    let api = Api::start().await;
    let gzipped = [("content-encoding", "gzip")];
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!((bomb.len() as u64) < MAX_COMPONENT);
    put(&api, PLACE, &gzipped, Body::from(bomb)).await.problem(413, "body-too-large");
    for broken in [b"no gzip at all".to_vec(), gzip(b"cut off")[..12].to_vec()] {
        let told = put(&api, PLACE, &gzipped, Body::from(broken)).await.problem(400, "incomplete-body");
        assert_eq!(told["step"], "decompress");
    }
}

#[tokio::test]
async fn bytes_that_are_no_component_are_refused_by_name_of_the_step() {
    let api = Api::start().await;
    for (body, headers) in [(b"hello".to_vec(), vec![]), (gzip(b"hello"), vec![("content-encoding", "gzip")])] {
        let told = put(&api, PLACE, &headers, Body::from(body)).await.problem(422, "version-refused");
        assert_eq!((&told["step"], &told["plugin"]), (&json!("imports"), &json!("pushed")));
        assert!(told["detail"].as_str().unwrap().starts_with("not a valid WebAssembly component"), "{told}");
    }
    let other = format!("sha256:{}", "00".repeat(32));
    let told =
        put(&api, PLACE, &[("paramedic-digest", &other)], Body::from("hello")).await.problem(422, "version-refused");
    assert_eq!(told["step"], "digest");
    // Nothing became of it, and the reason of the last is shown.
    let plugin = api.get("/v1/plugins/pushed").await.json();
    assert_eq!((&plugin["state"], &plugin["candidates"][0]["step"]), (&json!("failed"), &json!("digest")), "{plugin}");
    assert_eq!(api.get("/v1/plugins/pushed/versions").await.json()["versions"], json!([]));
}

#[tokio::test]
async fn a_plugin_from_a_file_takes_no_uploads() {
    let api = Api::start().await;
    let place = "/v1/plugins/pg-ready/versions/0.1.0";
    let told = put(&api, place, &[], Body::new(Untouchable)).await.problem(409, "other-source");
    assert!(told["detail"].as_str().unwrap().contains("write `source: upload`"), "{told}");
}

#[tokio::test]
async fn versions_that_there_are_not_are_told_with_those_that_there_are() {
    let api = Api::start().await;
    for (method, path) in [
        ("POST", "/v1/plugins/pushed/versions/0.1.0/activate"),
        ("POST", "/v1/plugins/pushed/versions/previous/activate"),
        ("DELETE", "/v1/plugins/pushed/versions/0.1.0"),
        ("GET", "/v1/plugins/pushed/versions/active/diff/waiting"),
    ] {
        let answer = api.send(authorized(method, path).body(Body::empty()).unwrap()).await;
        let told = answer.problem(404, "unknown-version");
        assert!(told["detail"].as_str().unwrap().ends_with("; none is kept"), "{told}");
    }
    for path in ["/v1/plugins/pushed/versions/newest/activate", "/v1/plugins/pushed/versions/0.1/activate"] {
        api.send(authorized("POST", path).body(Body::empty()).unwrap()).await.problem(400, "invalid-version");
    }
    for path in ["/v1/plugins/stranger/versions", "/v1/plugins/stranger/versions/a/diff/b"] {
        api.get(path).await.problem(404, "unknown-plugin");
    }
}

#[tokio::test]
async fn a_plugin_that_is_not_held_back_may_be_released() {
    let api = Api::start().await;
    let answer = api.send(authorized("POST", "/v1/plugins/pushed/release").body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["state"]), (200, &json!("absent")));
    let card = api.get_as("/v1/plugins", "text/plain").await.text;
    assert!(
        card.contains("absent  pushed    no version was delivered yet; paramedic plugins push pushed.wasm"),
        "{card}"
    );
}

#[tokio::test]
async fn more_uploads_than_there_are_places_for_are_turned_away() {
    let api = std::sync::Arc::new(Api::start().await);
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let (api, (pieces, body)) =
                (api.clone(), tokio::sync::mpsc::channel::<Result<bytes::Bytes, std::io::Error>>(1));
            let body = Body::from_stream(futures_util::stream::unfold(body, async |mut body| {
                body.recv().await.map(|piece| (piece, body))
            }));
            (pieces, tokio::spawn(async move { put(&api, PLACE, &[], body).await }))
        })
        .collect();
    // Each has its place once it takes a piece, and the next piece has room again.
    for (pieces, _) in &waiting {
        for _ in 0..2 {
            pieces.send(Ok(bytes::Bytes::from_static(b"x"))).await.unwrap();
        }
        drop(pieces.reserve().await.unwrap());
    }
    let refused = put(&api, PLACE, &[], Body::from("hello")).await;
    refused.problem(429, "busy");
    assert_eq!(refused.header("retry-after"), "5");
    for (pieces, answer) in waiting {
        drop(pieces);
        answer.await.unwrap().problem(422, "version-refused");
    }
    put(&api, PLACE, &[], Body::from("hello")).await.problem(422, "version-refused");
}
