//! The files of a run, as they are given out.

use std::io::Read;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::fixture::{Api, VIEWER, concluded, failed, running};
use crate::domain::{Digest, Ending, FailureKind, File, Files, Missing, Run, Status};

/// A run of an hour ago that left two files.
fn with_files() -> Run {
    let mut run = concluded(3600, Status::Warning);
    let Some(Ending::Concluded(outcome)) = &mut run.ending else { panic!("it concluded") };
    let file = |path: &str, text: &str, cut: Option<&str>| File {
        path: path.parse().unwrap(),
        text: text.to_owned(),
        cut: cut.map(str::to_owned),
    };
    let kept = vec![file("redis/cache/info.txt", "# memory\n", None), file("a.log", "last\n", Some("the last line"))];
    let missing = vec![Missing { part: "queues/email".to_owned(), why: "denied".to_owned() }];
    outcome.files = Files::new(kept, missing).unwrap();
    run
}

struct Archive {
    digest: String,
    name: String,
    bytes: Vec<u8>,
}

async fn archive(api: &Api, run: &Run) -> Archive {
    let request =
        Request::get(format!("/v1/runs/{}/archive", run.id)).header("authorization", format!("Bearer {VIEWER}"));
    let answer = api.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/gzip".parse().unwrap())
    );
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let (digest, name) = (header("paramedic-digest"), header("content-disposition"));
    let bytes = answer.into_body().collect().await.unwrap().to_bytes().to_vec();
    Archive { digest, name, bytes }
}

#[tokio::test]
async fn the_files_of_a_run_are_one_archive_with_a_manifest() {
    let api = Api::start().await;
    let run = with_files();
    api.keep(&run).await;
    let Archive { digest, name, bytes } = archive(&api, &run).await;
    let folder = format!("pg-ready-{}", run.id);
    assert_eq!(name, format!("attachment; filename=\"{folder}.tar.gz\""));
    assert_eq!(digest, Digest::of(&bytes).to_string());

    let mut unpacked = Vec::new();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (path, header) = (entry.path().unwrap().display().to_string(), entry.header().clone());
        assert!(header.entry_type().is_file());
        let end = run.finished.unwrap().as_millis() / 1000;
        assert_eq!((header.mtime().unwrap(), header.mode().unwrap(), header.uid().unwrap()), (end, 0o600, 0));
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        unpacked.push((path.strip_prefix(&format!("{folder}/")).unwrap().to_owned(), text));
    }
    let paths: Vec<_> = unpacked.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["MANIFEST.json", "a.log", "redis/cache/info.txt"]);
    let manifest: Value = serde_json::from_str(&unpacked[0].1).unwrap();
    let hex = |text: &str| Digest::of(text.as_bytes()).hex();
    let expected = json!([
        { "path": "a.log", "size": 5, "sha256": hex("last\n"), "cut": "the last line" },
        { "path": "redis/cache/info.txt", "size": 9, "sha256": hex("# memory\n") },
    ]);
    assert_eq!(manifest["files"], expected);
    assert_eq!(manifest["missing"], json!([{ "part": "queues/email", "why": "denied" }]));
    assert_eq!((&manifest["run"], &manifest["plugin"]), (&json!(run.id.to_string()), &json!("pg-ready")));
    assert_eq!((&manifest["status"], &manifest["version"]), (&json!("warning"), &json!("0.1.0")));
    assert_eq!((&manifest["targets"], &manifest["params"]), (&json!(["postgres/main"]), &json!({ "target": "main" })));
    assert_eq!(unpacked[2].1, "# memory\n");

    // The same run, the same bytes.
    assert_eq!(archive(&api, &run).await.bytes, bytes);
    let shown = api.get(&format!("/v1/runs/{}", run.id)).await.json();
    let expected = json!({ "path": "a.log", "size": 5, "cut": "the last line" });
    assert_eq!((&shown["outcome"]["files"][0], &shown["outcome"]["missing"][0]["why"]), (&expected, &json!("denied")));
    assert!(!shown.to_string().contains("# memory"), "what is in the files is for the archive alone: {shown}");
}

#[tokio::test]
async fn a_run_without_files_says_why() {
    let api = Api::start().await;
    let without = [concluded(10, Status::Ok), failed(20, FailureKind::Deadline)];
    for run in without {
        api.keep(&run).await;
        let problem = api.get(&format!("/v1/runs/{}/archive", run.id)).await.problem(404, "no-files");
        assert_eq!(problem["run"], run.id.to_string());
        assert!(problem["detail"].as_str().unwrap().contains("of `pg-ready` has no files"), "{problem}");
    }
    let run = running(5);
    api.store.start_run(run.clone()).await.unwrap();
    let problem = api.get(&format!("/v1/runs/{}/archive", run.id)).await.problem(404, "no-files");
    assert!(problem["detail"].as_str().unwrap().ends_with("because it has not ended"), "{problem}");
    api.get("/v1/runs/019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b/archive").await.problem(404, "unknown-run");
    api.get("/v1/runs/nonsense/archive").await.problem(404, "unknown-run");
}
