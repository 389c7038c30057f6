//! Recordings and components, as they are given out.

use super::fixture::{Api, concluded};
use crate::domain::{Mode, Run, Status};
use crate::recording::{self, Circumstances, Recording, Reel};
use crate::store::KeptRecording;

#[tokio::test]
async fn a_recording_is_given_as_it_was_taken_down() {
    let api = Api::start().await;
    let run = ended(Mode::Check);
    let around = Circumstances { limits: crate::domain::Limits::DEFAULT, grants: &[], settings: &[] };
    let recording = Recording::of(&run, &around, Reel::taking([1; 32]).taped());
    let packed = recording::pack(&recording).unwrap();
    api.store
        .start_run(Run { finished: None, ending: None, log: Vec::new(), calls: Vec::new(), ..run.clone() })
        .await
        .unwrap();
    let kept = KeptRecording { size: packed.size, bytes: packed.bytes };
    api.store.finish_recorded_run(run.clone(), kept).await.unwrap();
    let answer = api.get(&format!("/v1/runs/{}/recording", run.id)).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(recording::read(answer.text.as_bytes()).unwrap(), recording);
}

#[tokio::test]
async fn a_run_without_one_names_the_setting() {
    let api = Api::start().await;
    for (mode, which) in [(Mode::Check, "`all` records checks too"), (Mode::Plan, "record runs that plan or apply")] {
        let run = ended(mode);
        api.keep(&run).await;
        let problem = api.get(&format!("/v1/runs/{}/recording", run.id)).await.problem(404, "not-recorded");
        assert_eq!(problem["run"], run.id.to_string());
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("`plugins.pg-ready.recordings`") && detail.contains(which), "{detail}");
    }
    api.get("/v1/runs/019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b/recording").await.problem(404, "unknown-run");
}

#[tokio::test]
async fn a_component_that_is_not_kept_is_no_version() {
    let api = Api::start().await;
    let place = |version: &str| format!("/v1/plugins/pushed/versions/{version}/component");
    api.get(&place("0.1.0")).await.problem(404, "unknown-version");
    api.get(&place("latest")).await.problem(400, "invalid-version");
    api.get("/v1/plugins/none/versions/0.1.0/component").await.problem(404, "unknown-plugin");
}

fn ended(mode: Mode) -> Run {
    Run { mode, ..concluded(1, Status::Ok) }
}
