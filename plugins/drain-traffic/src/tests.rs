use super::*;
use paramedic_sdk::kubernetes::{DETACH_SERVICE, LIST_OBJECTS, ObjectPage};
use paramedic_sdk::testing::{Host, Run, assert_well_described, conflict, denied, receipt, unchanged};
use serde_json::{Value, json};

fn slices(slices: &[Value], next: Option<&str>) -> Result<ObjectPage, Error> {
    Ok(ObjectPage { items: slices.iter().map(Value::to_string).collect(), next: next.map(str::to_owned) })
}

/// A slice with endpoints that are ready or not, or do not say.
fn slice(ready: &[Option<bool>]) -> Value {
    let endpoint = |ready: &Option<bool>| json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } });
    slice_of("api", &json!(ready.iter().map(endpoint).collect::<Vec<_>>()))
}

fn empty() -> Value {
    slice_of("api", &Value::Null)
}

fn slice_of(service: &str, endpoints: &Value) -> Value {
    let labels = json!({ "kubernetes.io/service-name": service });
    json!({ "kind": "EndpointSlice", "metadata": { "labels": labels }, "endpoints": endpoints })
}

fn host(pages: &[Result<ObjectPage, Error>]) -> Host {
    let host = Host::new().answers(DETACH_SERVICE, "prod api", Ok(receipt("detach prod/service/api from its pods")));
    let add = |host: Host, page: &Result<ObjectPage, Error>| {
        host.answers(LIST_OBJECTS, "prod endpointslices.discovery.k8s.io", page.clone())
    };
    pages.iter().fold(host, add)
}

fn apply(pages: &[Result<ObjectPage, Error>]) -> Run {
    host(pages).apply::<DrainTraffic>(json!({ "service": "api" }))
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    let outcome = run.outcome();
    assert_eq!((outcome.status(), outcome.summary().as_str()), (status, words));
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<DrainTraffic>();
}

#[test]
fn the_endpoints_are_seen_to_go_and_open_connections_are_not() {
    let planned = host(&[]).plan::<DrainTraffic>(json!({ "service": "api" }));
    assert_says(&planned, Status::Ok, "would detach prod/service/api from its pods");
    assert_eq!(planned.calls.len(), 1, "nothing is waited for in a plan");

    let both = slices(&[slice(&[Some(true), None]), slice(&[Some(false)])], None);
    let away = Err(Error::Unavailable("refused".to_owned()));
    let run =
        apply(&[both, away, slices(&[slice(&[Some(true)])], None), slices(&[empty(), slice(&[Some(false)])], None)]);
    assert_says(&run, Status::Ok, "detached service api of prod from its pods; its endpoints were gone after 3.0 s");
    let told: Vec<&str> = run.log.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        told,
        ["0/2 2 endpoints left", "cannot look at the endpoints: unavailable: refused", "1/2 1 endpoint left"]
    );
    let details = run.outcome().details().unwrap();
    for words in ["Connections that were open stay open", "`paramedic undo test`"] {
        assert!(details.contains(words), "{details}");
    }
}

#[test]
fn all_pages_of_endpoints_count() {
    let run =
        apply(&[slices(&[empty()], Some("mark")), slices(&[slice(&[Some(true)])], None), slices(&[empty()], None)]);
    assert_eq!((run.outcome().status(), run.calls.len()), (Status::Ok, 4));
}

#[test]
fn endpoints_that_stay_are_critical() {
    let others = slice_of("web", &json!([{ "addresses": ["10.0.0.2"] }]));
    let run = apply(&[slices(&[slice(&[Some(true), Some(true)]), others], None)]);
    let words = "detached service api of prod from its pods, but 2 endpoints still took traffic after 20 s";
    assert_says(&run, Status::Critical, words);
}

#[test]
fn without_a_sight_of_the_endpoints_it_is_done_all_the_same() {
    let table = [denied("kubernetes/list-objects", "prod"), Error::Unavailable("refused".to_owned())];
    for error in table {
        let run = apply(&[Err(error.clone())]);
        let words =
            format!("detached service api of prod from its pods; whether its endpoints are gone was not seen: {error}");
        assert_says(&run, Status::Ok, &words);
    }
    let run = apply(&[slices(&[slice_of("api", &json!(7))], None)]);
    assert!(run.outcome().summary().contains("is not understood"), "{}", run.outcome().summary());
}

#[test]
fn what_keeps_it_from_working_is_told() {
    let invalid = Error::Invalid("the service api has no selector: its endpoints are made by hand".into());
    let table = [
        (Ok(unchanged()), Status::Ok, "nothing to do: service api of prod is detached from its pods already"),
        (Err(conflict("selector was A, is B")), Status::Warning, "nothing was done: selector was A, is B"),
        (Err(invalid), Status::Unknown, "has no selector"),
        (Err(Error::NotFound("there is no service api".into())), Status::Critical, "there is no service api"),
    ];
    for (answer, status, words) in table {
        let run =
            Host::new().answers(DETACH_SERVICE, "prod", answer).apply::<DrainTraffic>(json!({ "service": "api" }));
        let summary = run.outcome().summary();
        assert!(run.outcome().status() == status && summary.contains(words), "{summary}");
        assert_eq!((run.calls.len(), run.outcome().details()), (1, None), "{summary}");
    }
    assert!(matches!(Host::new().plan::<DrainTraffic>(json!({})).failure(), Failure::BadParams(_)));
}
