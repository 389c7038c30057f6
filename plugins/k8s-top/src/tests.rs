use super::*;
use paramedic_sdk::kubernetes::{Container, LIST_PODS, LIST_USAGE, PodRef, Quantities};
use paramedic_sdk::testing::{self, Host, Run, assert_well_described, denied, remote};
use serde_json::json;

const MIB: f64 = 1_048_576.0;

fn quantities(cpu: Option<&str>, memory: Option<&str>) -> Quantities {
    Quantities { cpu: cpu.map(str::to_owned), memory: memory.map(str::to_owned), others: Vec::new() }
}

/// A pod that asks for a quarter of a core and 512 MiB, and may use what is given.
fn pod(name: &str, limits: Quantities) -> Pod {
    let requests = quantities(Some("250m"), Some("512Mi"));
    testing::pod(name, "app=api", vec![Container { requests, limits, ..testing::container("api") }])
}

fn limited(name: &str) -> Pod {
    pod(name, quantities(Some("1"), Some("1Gi")))
}

fn usage(name: &str, cpu: f64, memory: f64) -> Usage {
    let pod = PodRef { target: "prod".into(), name: name.to_owned(), uid: None, container: Some("api".to_owned()) };
    Usage { pod, cpu, memory }
}

fn host(pods: Vec<Pod>, usage: Result<Vec<Usage>, Error>) -> Host {
    Host::new().answers(LIST_PODS, "prod app=api", Ok(pods)).answers(LIST_USAGE, "prod app=api", usage)
}

fn check(pods: Vec<Pod>, usage: Vec<Usage>) -> Run {
    host(pods, Ok(usage)).run::<K8sTop>(json!({}))
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    let outcome = run.outcome();
    assert_eq!(outcome.status(), status, "{}", outcome.summary());
    assert!(outcome.summary().contains(words), "{words} is not in: {}", outcome.summary());
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<K8sTop>();
}

#[test]
fn containers_with_room_are_fine_and_told_with_their_shares() {
    let use_of = vec![usage("api-1", 0.1, 256.0 * MIB), usage("api-2", 0.2, 512.0 * MIB)];
    let run = check(vec![limited("api-1"), limited("api-2")], use_of);
    let words = "2 containers of app=api use 0.30 cores and 768 MiB, most: api-2/api uses 512 MiB of the 1.0 GiB of memory \
                 that it may (50 %)";
    assert_says(&run, Status::Ok, words);
    let rows = &run.table("Use of containers").rows;
    assert_eq!(rows[0], ["api-2", "api", "0.20", "80 %", "20 %", "512 MiB", "100 %", "50 %"]);
    assert_eq!(rows[1], ["api-1", "api", "0.10", "40 %", "10 %", "256 MiB", "50 %", "25 %"]);
    assert_eq!((run.metric("memory_limit_percent_most"), run.metric("cpu_limit_percent_most")), (50.0, 20.0));
    assert_eq!(run.outcome().details(), None);
}

#[test]
fn memory_near_its_limit_is_judged_and_named() {
    let with = |mib: f64| {
        check(
            vec![limited("api-1"), limited("api-2")],
            vec![usage("api-1", 0.1, 10.0 * MIB), usage("api-2", 0.1, mib * MIB)],
        )
    };
    assert_says(&with(819.0), Status::Ok, "(80 %)");
    let run = with(900.0);
    assert_says(&run, Status::Warning, "api-2/api uses 900 MiB of the 1.0 GiB of memory that it may (88 %)");
    assert!(!run.outcome().summary().contains("api-1"));
    assert_says(&with(1000.0), Status::Critical, "api-2/api uses 1000 MiB of the 1.0 GiB of memory that it may (98 %)");
    let names: Vec<String> = (1..=6).map(|n| format!("api-{n}")).collect();
    let pods = names.iter().map(|name| limited(name)).collect();
    let run = check(pods, names.iter().map(|name| usage(name, 0.1, 900.0 * MIB)).collect());
    assert_says(&run, Status::Warning, "(88 %); so do api-2/api, api-3/api, api-4/api and 2 more");
}

#[test]
fn processor_use_is_judged_by_the_limit_or_by_the_request_without_one() {
    let table = [
        (limited("api-1"), 0.9, Status::Ok, "0.90 cores"),
        (
            limited("api-1"),
            0.95,
            Status::Warning,
            "api-1/api uses 0.95 of the 1.00 cores that it may (95 %) and is slowed down",
        ),
        (pod("api-1", quantities(None, Some("1Gi"))), 0.5, Status::Ok, "0.50 cores"),
        (
            pod("api-1", quantities(None, Some("1Gi"))),
            0.6,
            Status::Warning,
            "api-1/api uses 0.60 cores and asked for 0.25 (240 %)",
        ),
    ];
    for (pod, cpu, status, words) in table {
        assert_says(&check(vec![pod], vec![usage("api-1", cpu, MIB)]), status, words);
    }
    let run =
        host(vec![limited("api-1")], Ok(vec![usage("api-1", 0.95, MIB)])).run::<K8sTop>(json!({ "cpu_critical": 90 }));
    assert_says(&run, Status::Critical, "slowed down");
}

#[test]
fn containers_without_a_limit_are_said() {
    let pods = vec![limited("api-1"), pod("api-2", quantities(None, None))];
    let run = check(pods, vec![usage("api-1", 0.1, MIB), usage("api-2", 0.1, 3000.0 * MIB)]);
    assert_says(&run, Status::Ok, "2 containers");
    let details = run.outcome().details().unwrap();
    assert!(
        details.contains("1 container without a limit of memory, such as api-2/api, which uses 2.9 GiB"),
        "{details}"
    );
    assert_eq!(run.table("Use of containers").rows[1][4], "none");
    assert_eq!(run.metric("containers_without_memory_limit"), 1.0);
}

#[test]
fn that_nothing_is_measured_is_told_in_three_ways() {
    let table = [
        (
            Err(Error::NotFound("there is no metrics server in the cluster (metrics.k8s.io)".into())),
            "the cluster has no metrics server",
        ),
        (
            Err(Error::Unavailable("the cluster has a metrics server, which does not answer".into())),
            "metrics server does not answer",
        ),
        (Ok(Vec::new()), "the metrics server answers and has measured none of them yet"),
    ];
    for (answer, words) in table {
        assert_says(&host(vec![limited("api-1")], answer).run::<K8sTop>(json!({})), Status::Unknown, words);
    }
    let run = Host::new().answers(LIST_PODS, "prod", Ok(Vec::new())).run::<K8sTop>(json!({}));
    assert_says(&run, Status::Unknown, "no pod has the labels app=api, so nothing is measured");
}

#[test]
fn containers_that_have_just_started_are_counted_as_not_measured() {
    let run =
        check(vec![limited("api-1"), limited("api-2")], vec![usage("api-1", 0.1, MIB), usage("gone-1", 9.0, MIB)]);
    assert_says(&run, Status::Ok, "1 container of app=api use 0.10 cores");
    assert!(run.outcome().details().unwrap().contains("Of 1 container nothing is measured yet"));
}

#[test]
fn errors_of_the_host_leave_the_verdict_open() {
    let errors = [
        denied("kubernetes/list-usage", "prod"),
        remote("kubernetes", "Forbidden", "the agent may not read what pods use"),
        Error::TimedOut("5 s".into()),
        Error::TooLarge("4 MiB".into()),
        Error::Exhausted("calls".into()),
    ];
    for error in errors {
        let run = host(vec![limited("api-1")], Err(error.clone())).run::<K8sTop>(json!({}));
        assert_eq!(run.failure(), &Failure::Host(error));
    }
    // Here it is the cluster that does not answer, and not its metrics server.
    let error = Error::Unavailable("the API server cannot be reached".into());
    let run = Host::new().answers(LIST_PODS, "prod", Err(error.clone())).run::<K8sTop>(json!({}));
    assert_eq!(run.failure(), &Failure::Host(error));
}

#[test]
fn odd_numbers_do_not_confuse_it() {
    for (cpu, memory) in [(f64::NAN, 1.0), (1.0, f64::INFINITY), (-1.0, 1.0), (1.0, -5.0)] {
        let run = check(vec![limited("api-1")], vec![usage("api-1", cpu, memory)]);
        assert_says(&run, Status::Unknown, "has measured none of them yet");
    }
    for limit in ["0", "-1Gi", "much", "", "1e400", "1e-320"] {
        let run = check(vec![pod("api-1", quantities(Some(limit), Some(limit)))], vec![usage("api-1", 0.1, 1e300)]);
        assert!(run.outcome().status() <= Status::Unknown || limit == "1e-320", "{limit}: {}", run.outcome().summary());
    }
    let name = "\u{202e}\n\u{1f4a5}".repeat(900);
    let run = check(vec![limited(&name)], vec![usage(&name, 1e300, 1e300)]);
    assert_says(&run, Status::Critical, "of the 1.0 GiB of memory");
    let pods: Vec<Pod> = (0..300).map(|n| limited(&format!("api-{n}"))).collect();
    let use_of = (0..300).map(|n| usage(&format!("api-{n}"), f64::MAX, f64::MAX)).collect();
    let run = check(pods, use_of);
    assert_eq!(run.table("Use of containers").rows.len(), 30);
}

#[test]
fn parameters_without_sense_are_refused() {
    let table = [
        json!({ "labels": "" }),
        json!({ "limit": 0 }),
        json!({ "memory_warning": "80%" }),
        json!({ "cpu_critical": [90] }),
        json!({ "memory": 80 }),
    ];
    for params in table {
        let run = Host::new().run::<K8sTop>(params.clone());
        assert!(matches!(run.failure(), Failure::BadParams(_)), "{params}");
    }
}
