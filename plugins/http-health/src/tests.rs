use super::*;
use paramedic_sdk::http::GET;
use paramedic_sdk::testing::{Host, Run, assert_takes, assert_well_described, denied, remote};
use serde_json::{Value, json};

#[path = "../../k8s-rollout-restart/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod restart;

fn response(status: u16, body: &str) -> Response {
    let body = body.as_bytes().to_vec();
    Response { status, headers: Vec::new(), body, latency: 0.12, certificate_remaining: None }
}

fn secure(days: f64) -> Response {
    Response { certificate_remaining: Some(days * DAY), ..response(200, "ok") }
}

fn slow(latency: f64) -> Response {
    Response { latency, ..response(200, "ok") }
}

fn one(answer: Result<Response, Error>, expected: Value) -> Run {
    let mut endpoint = json!({ "target": "api" });
    endpoint.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
    Host::new().answers(GET, "api /health", answer).run::<HttpHealth>(json!({ "endpoints": [endpoint] }))
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    let outcome = run.outcome();
    assert_eq!(outcome.status(), status, "{}", outcome.summary());
    assert!(outcome.summary().contains(words), "{words} is not in: {}", outcome.summary());
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<HttpHealth>();
}

#[test]
fn the_health_page_of_the_api_is_asked_unless_told_otherwise() {
    let run = Host::new().answers(GET, "api /health", Ok(response(200, "ok"))).run::<HttpHealth>(json!({}));
    assert_says(&run, Status::Ok, "api /health answers 200 in 120 ms");
    assert_eq!(run.metric("endpoint_healthy"), 1.0);
}

#[test]
fn an_answer_is_judged_by_status_body_latency_and_certificate() {
    use Status::{Critical, Ok, Warning};
    let table = [
        (response(204, ""), json!({}), Ok, "api /health answers 204"),
        (
            response(503, "no connection to the database\n"),
            json!({}),
            Critical,
            "api /health answers 503: no connection to the database",
        ),
        (response(503, "<html>"), json!({}), Critical, "api /health answers 503"),
        (response(404, ""), json!({}), Critical, "answers 404"),
        (response(302, ""), json!({}), Critical, "answers 302"),
        (response(302, ""), json!({ "status": "200:399" }), Ok, "answers 302"),
        (response(401, ""), json!({ "status": "401:401" }), Ok, "answers 401"),
        (response(200, "{\"db\":\"up\"}"), json!({ "body_contains": "\"up\"" }), Ok, "answers 200"),
        (
            response(200, "{\"db\":\"down\"}"),
            json!({ "body_contains": "\"up\"" }),
            Critical,
            "answers 200 without \"\\\"up\\\"\": {\"db\":\"down\"}",
        ),
        (response(200, "version 3.4"), json!({ "body_matches": "version \\d+" }), Ok, "answers 200"),
        (
            response(200, "maintenance"),
            json!({ "body_matches": "^ok$" }),
            Critical,
            "does not match \"^ok$\": maintenance",
        ),
        (slow(1.2), json!({}), Warning, "api /health takes 1.2 s to answer"),
        (slow(5.1), json!({}), Critical, "takes 5.1 s"),
        (slow(1.2), json!({ "latency_warning": 2 }), Ok, "1.2 s"),
        (secure(90.0), json!({}), Ok, "answers 200"),
        (secure(20.5), json!({}), Warning, "api /health has a certificate that expires in 20 d 12 h"),
        (secure(6.0), json!({}), Critical, "expires in 6 d"),
        (secure(-1.0), json!({}), Critical, "has a certificate that expired 1 d ago"),
        (
            secure(6.0),
            json!({ "certificate_warning_days": "3:", "certificate_critical_days": "1:" }),
            Ok,
            "answers 200",
        ),
    ];
    for (answer, expected, status, words) in table {
        assert_says(&one(Result::Ok(answer), expected), status, words);
    }
}

#[test]
fn an_endpoint_that_does_not_answer_is_a_finding() {
    use Status::{Critical, Unknown};
    let table = [
        (
            Error::Unavailable("connection refused".into()),
            Critical,
            "api /health cannot be reached: connection refused",
        ),
        (Error::TimedOut("10 s".into()), Critical, "api /health does not answer in time: 10 s"),
        (
            remote("http", "certificate_expired", "it expired 3 d ago"),
            Critical,
            "answers with an error (certificate_expired)",
        ),
        (Error::NotFound("odd".into()), Unknown, "could not be asked: not found: odd"),
        (Error::Conflict("odd".into()), Unknown, "could not be asked"),
    ];
    for (error, status, words) in table {
        assert_says(&one(Err(error), json!({})), status, words);
    }
}

#[test]
fn where_the_agent_stands_in_the_way_of_all_its_reason_is_the_answer() {
    let errors = [
        denied("http/get", "api"),
        Error::Invalid("x".into()),
        Error::TooLarge("2 MiB".into()),
        Error::Exhausted("calls".into()),
        Error::Other("x".into()),
    ];
    for error in errors {
        assert_eq!(one(Err(error.clone()), json!({})).failure(), &Failure::Host(error));
    }
}

#[test]
fn of_several_endpoints_the_worst_is_named_and_the_others_are_details() {
    let params = json!({ "endpoints": [
        { "target": "api" }, { "target": "shop", "path": "/" }, { "target": "docs" }, { "target": "secret" },
    ] });
    let run = Host::new()
        .answers(GET, "api", Ok(slow(1.5)))
        .answers(GET, "shop /", Ok(response(503, "")))
        .answers(GET, "docs", Err(Error::TooLarge("2 MiB".into())))
        .answers(GET, "secret", Err(denied("http/get", "secret")))
        .run::<HttpHealth>(params);
    assert_says(&run, Status::Critical, "shop / answers 503");
    let details = run.outcome().details().unwrap();
    for words in [
        "api /health takes 1.5 s",
        "docs /health answers more than can be judged",
        "secret /health could not be asked",
        "4 of 4",
    ] {
        assert!(details.contains(words), "{words} is not in: {details}");
    }
    let rows = &run.table("Endpoints").rows;
    assert_eq!(
        rows.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(),
        ["warning", "critical", "unknown", "unknown"]
    );
    let healthy: Vec<f64> = run
        .outcome()
        .metrics()
        .iter()
        .filter(|metric| metric.name == "endpoint_healthy")
        .map(|metric| metric.value)
        .collect();
    assert_eq!(healthy, [0.0; 4]);
}

#[test]
fn several_healthy_endpoints_name_the_slowest() {
    let run = Host::new()
        .answers(GET, "api", Ok(slow(0.3)))
        .answers(GET, "shop", Ok(slow(0.7)))
        .run::<HttpHealth>(json!({ "endpoints": [{ "target": "api" }, { "target": "shop" }] }));
    assert_says(&run, Status::Ok, "all 2 endpoints are healthy, the slowest is shop /health with 700 ms");
}

#[test]
fn only_a_service_that_is_down_is_offered_to_be_restarted() {
    let workload = json!({ "workload": { "target": "prod", "name": "api" } });
    let offered = |answer| one(answer, workload.clone()).outcome().suggestions().len();
    assert_eq!(offered(Ok(response(503, ""))), 1);
    assert_eq!(offered(Err(Error::Unavailable("refused".into()))), 1);
    assert_eq!(offered(Ok(response(404, ""))), 0);
    assert_eq!(offered(Ok(secure(1.0))), 0);
    let run = one(Ok(response(500, "")), workload.clone());
    assert_takes::<restart::Params>(&run.outcome().suggestions()[0]);
    assert_eq!(run.outcome().suggestions()[0].params, json!({ "target": "prod", "kind": "Deployment", "name": "api" }));
}

#[test]
fn a_pattern_that_is_none_is_refused_before_anything_is_asked() {
    let run = one(Ok(response(200, "")), json!({ "body_matches": "(" }));
    assert!(matches!(run.failure(), Failure::BadParams(text) if text.contains("body_matches")));
    assert!(run.calls.is_empty());
    for params in [
        json!({ "endpoints": [] }),
        json!({ "endpoints": [{}] }),
        json!({ "endpoints": [{ "target": "a", "statsu": 1 }] }),
    ] {
        let run = Host::new().run::<HttpHealth>(params);
        assert!(matches!(run.failure(), Failure::BadParams(_)));
    }
}

#[test]
fn endpoints_beyond_the_runs_time_are_not_asked_and_say_so() {
    let params = json!({ "endpoints": [{ "target": "api" }, { "target": "shop" }] });
    let late = Host::new().each_call_takes(29.8).answers(GET, "api", Err(Error::TimedOut("29.8 s".into())));
    let run = late.run::<HttpHealth>(params);
    assert_says(&run, Status::Critical, "api /health does not answer in time");
    assert!(run.outcome().details().unwrap().contains("shop /health was not asked"));
}

#[test]
fn odd_answers_do_not_break_it() {
    let odd = Response {
        latency: f64::NAN,
        certificate_remaining: Some(f64::INFINITY),
        body: vec![0xff; 9],
        ..response(200, "")
    };
    assert_says(&one(Ok(odd), json!({ "body_contains": "x" })), Status::Critical, "answers 200 without \"x\"");
}
