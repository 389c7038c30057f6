use http::StatusCode;

use super::*;
use crate::catalog::{ParamProblem, PluginError};

fn told(error: ApiError) -> (StatusCode, http::HeaderMap, Response) {
    let mut response = error.into_response();
    let failed = Failed::taken_from(&mut response).unwrap();
    let answer = failed.tell("req-1", response);
    (answer.status(), answer.headers().clone(), answer)
}

async fn problem(error: ApiError) -> Problem {
    use http_body_util::BodyExt;
    let (_, _, answer) = told(error);
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

fn name() -> crate::domain::PluginName {
    "pg-slow-queries".parse().unwrap()
}

#[test]
fn every_kind_has_a_name_of_its_own_that_the_documentation_explains() {
    let page = include_str!("../../../../docs/api.md");
    let mut slugs: Vec<_> = Kind::ALL.iter().map(|kind| kind.slug()).collect();
    for kind in Kind::ALL {
        let row = format!("| `{}` | {} |", kind.slug(), kind.status().as_u16());
        assert!(page.contains(&row), "docs/api.md lacks: {row}");
        assert!(kind.status().is_client_error() || kind.status().is_server_error());
    }
    slugs.sort_unstable();
    slugs.dedup();
    assert_eq!(slugs.len(), Kind::ALL.len());
}

#[tokio::test]
async fn a_missing_grant_is_told_as_the_line_to_add() {
    let line = "plugins.pg-slow-queries.grants: - { postgres: main, verbs: [statements] }".to_owned();
    let reason = PluginError::NotGranted { lines: vec![line.clone()] }.chain();
    let problem = problem(Refusal::NotActive { name: name(), reason }.into()).await;
    assert_eq!((problem.status, problem.plugin.as_deref()), (409, Some("pg-slow-queries")));
    assert!(problem.detail.ends_with(&format!("add {line}")), "{}", problem.detail);
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_named_with_the_rule() {
    let faults = vec![
        ParamProblem { pointer: "/limit".to_owned(), message: "500 is greater than the maximum of 100".to_owned() },
        ParamProblem { pointer: String::new(), message: "\"target\" is a required property".to_owned() },
    ];
    let problem = problem(Refusal::Params(ParamsError::Mismatch(faults)).into()).await;
    assert_eq!((problem.status, problem.r#type.as_str()), (422, "urn:paramedic:problem:invalid-params"));
    let faults: Vec<_> = problem.errors.iter().map(|e| (e.pointer.as_deref().unwrap(), e.message.as_str())).collect();
    let expected =
        [("/params/limit", "500 is greater than the maximum of 100"), ("/params", "\"target\" is a required property")];
    assert_eq!(faults, expected);
}

/// A plugin that is held back for so many milliseconds more.
fn quarantined(left: u64) -> crate::catalog::Quarantined {
    let now = crate::domain::Timestamp::from_millis(1_772_334_855_926);
    let until = now.after(std::time::Duration::from_millis(left));
    let hold = crate::catalog::Hold { since: now, until, round: 1, reason: "trap: it broke".to_owned() };
    crate::catalog::Quarantined { name: name(), hold, on_trial: false, now }
}

#[tokio::test]
async fn a_quarantine_is_told_with_its_end_and_the_way_out() {
    let problem = problem(Refusal::Quarantined(Box::new(quarantined(60_000))).into()).await;
    assert_eq!((problem.status, problem.plugin.as_deref()), (503, Some("pg-slow-queries")));
    assert_eq!(
        problem.detail,
        "the plugin `pg-slow-queries` is in quarantine until 2026-03-01T03:15:15.926Z, when one run is tried, because its runs \
         kept failing (trap: it broke); `paramedic plugins release pg-slow-queries` ends it at once"
    );
}

#[test]
fn what_passes_by_itself_says_when_to_come_back() {
    for (error, status, seconds) in [
        (Refusal::Busy { slots: 64 }, 429, Some("1")),
        (Refusal::Loading { name: name() }, 503, Some("1")),
        (Refusal::ShuttingDown, 503, Some("5")),
        (Refusal::Store(StoreError::Busy), 503, Some("1")),
        (Refusal::NotActive { name: name(), reason: String::new() }, 409, None),
        (Refusal::UnknownPlugin { name: name() }, 404, None),
        (Refusal::Absent { name: name() }, 409, None),
        (Refusal::Quarantined(Box::new(quarantined(90_500))), 503, Some("91")),
        (Refusal::Quarantined(Box::new(quarantined(0))), 503, Some("1")),
    ] {
        let (found, headers, _) = told(error.into());
        let retry_after = headers.get(RETRY_AFTER).map(|value| value.to_str().unwrap());
        assert_eq!((found.as_u16(), retry_after), (status, seconds));
    }
}

#[tokio::test]
async fn our_own_failures_say_no_more_than_the_id_of_the_request() {
    let path = std::path::PathBuf::from("/var/lib/paramedic/secret.db");
    let source = std::io::Error::other("disk on fire");
    for (error, status) in [
        (ApiError::Panicked("at secret.rs:1".to_owned()), 500),
        (StoreError::Path { path: path.clone(), source }.into(), 503),
        (StoreError::Foreign { path }.into(), 500),
        (Refusal::Store(StoreError::Closed).into(), 503),
    ] {
        let problem = problem(error).await;
        assert_eq!(problem.status, status);
        assert_eq!(problem.detail, "the log of the agent tells why, under the request `req-1`");
        assert_eq!(problem.instance, "urn:paramedic:request:req-1");
    }
}

#[tokio::test]
async fn a_run_whose_end_is_not_known_can_be_asked_for() {
    let id = RunId::new(crate::domain::Timestamp::from_millis(1_772_334_855_926));
    let problem = problem(ApiError::EndUnknown(id)).await;
    assert_eq!((problem.status, problem.run), (503, Some(id.to_string())));
}
