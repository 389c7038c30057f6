//! What `kubectl get pods` shows as the STATUS of a pod, by the rules of its printer: people search for these words, and they tell
//! more than the phase does.

use k8s_openapi::api::core::v1 as core;

/// The status of a pod.
pub(super) fn of(pod: &core::Pod) -> String {
    let nothing = core::PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&nothing);
    let phase = given(status.phase.as_ref()).unwrap_or("Unknown");
    if pod.metadata.deletion_timestamp.is_some() {
        if given(status.reason.as_ref()) == Some("NodeLost") {
            return "Unknown".to_owned();
        }
        if !matches!(phase, "Succeeded" | "Failed") {
            return "Terminating".to_owned();
        }
    }
    let of_pod = if is_gated(status) { "SchedulingGated" } else { given(status.reason.as_ref()).unwrap_or(phase) };
    let initializing = initializing(pod, status);
    let is_over_init = initializing.is_none() || holds(status, "Initialized");
    let shown = initializing.unwrap_or_else(|| of_pod.to_owned());
    if is_over_init { of_containers(status, shown) } else { shown }
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn holds(status: &core::PodStatus, kind: &str) -> bool {
    status.conditions.iter().flatten().any(|condition| condition.type_ == kind && condition.status == "True")
}

fn is_gated(status: &core::PodStatus) -> bool {
    let is_it = |condition: &core::PodCondition| {
        condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("SchedulingGated")
    };
    status.conditions.iter().flatten().any(is_it)
}

/// True for an init container that goes on beside the others.
pub(super) fn is_sidecar(container: &core::Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// What the first init container that the others wait for is at; none where they wait for none.
fn initializing(pod: &core::Pod, status: &core::PodStatus) -> Option<String> {
    let wanted = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
    let waits_for = |(done, container): (usize, &core::ContainerStatus)| {
        let is_sidecar = wanted.iter().any(|init| init.name == container.name && is_sidecar(init));
        let state = container.state.as_ref();
        let ended = state.and_then(|state| state.terminated.as_ref());
        let waits = state.and_then(|state| given(state.waiting.as_ref()?.reason.as_ref()));
        match (ended, waits) {
            (Some(ended), _) if ended.exit_code == 0 => None,
            _ if is_sidecar && container.started == Some(true) => None,
            (Some(ended), _) => Some(format!("Init:{}", of_end(ended))),
            (None, Some(reason)) if reason != "PodInitializing" => Some(format!("Init:{reason}")),
            (None, _) => Some(format!("Init:{done}/{}", wanted.len())),
        }
    };
    status.init_container_statuses.iter().flatten().enumerate().find_map(waits_for)
}

/// The first container that waits or has ended tells, or the pod does.
fn of_containers(status: &core::PodStatus, of_pod: String) -> String {
    let (mut shown, mut one_runs) = (of_pod, false);
    for container in status.container_statuses.iter().flatten().rev() {
        let Some(state) = &container.state else { continue };
        let waits = state.waiting.as_ref().and_then(|waiting| given(waiting.reason.as_ref()));
        match (waits, &state.terminated) {
            (Some(reason), _) => reason.clone_into(&mut shown),
            (None, Some(ended)) => shown = of_end(ended),
            (None, None) => one_runs |= container.ready && state.running.is_some(),
        }
    }
    match shown.as_str() {
        "Completed" if one_runs && holds(status, "Ready") => "Running".to_owned(),
        "Completed" if one_runs => "NotReady".to_owned(),
        _ => shown,
    }
}

fn of_end(ended: &core::ContainerStateTerminated) -> String {
    match (given(ended.reason.as_ref()), ended.signal) {
        (Some(reason), _) => reason.to_owned(),
        (None, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        (None, _) => format!("ExitCode:{}", ended.exit_code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A pod with two init containers, of which the first one is a sidecar.
    fn shown(status: Value, going: bool) -> String {
        let container = |name: &str| json!({ "name": name, "image": "example.invalid/api:1" });
        let mut sidecar = container("proxy");
        sidecar["restartPolicy"] = "Always".into();
        let going = going.then_some("2026-03-01T03:14:15Z");
        let pod = json!({
            "metadata": { "deletionTimestamp": going },
            "spec": { "initContainers": [sidecar, container("migrate")], "containers": [container("api"), container("log")] },
            "status": status,
        });
        of(&serde_json::from_value(pod).unwrap())
    }

    fn one(name: &str, state: Value) -> Value {
        let is_running = state.get("running").is_some();
        json!({
            "name": name, "image": "", "imageID": "", "restartCount": 0, "ready": is_running, "started": is_running,
            "state": state,
        })
    }

    fn waiting(reason: &str) -> Value {
        json!({ "waiting": { "reason": reason } })
    }

    fn ended(reason: &str, code: i32, signal: i32) -> Value {
        json!({ "terminated": { "reason": reason, "exitCode": code, "signal": signal } })
    }

    #[test]
    fn what_init_containers_are_at_comes_before_the_phase() {
        let running = || json!({ "running": {} });
        let done = || ended("Completed", 0, 0);
        let table = [
            (running(), running(), "Init:1/2"),
            (waiting("PodInitializing"), waiting("PodInitializing"), "Init:0/2"),
            (json!({}), waiting("PodInitializing"), "Init:0/2"),
            (waiting("CrashLoopBackOff"), waiting("PodInitializing"), "Init:CrashLoopBackOff"),
            (running(), waiting("CrashLoopBackOff"), "Init:CrashLoopBackOff"),
            (running(), waiting("ImagePullBackOff"), "Init:ImagePullBackOff"),
            (running(), ended("Error", 1, 0), "Init:Error"),
            (running(), ended("", 3, 0), "Init:ExitCode:3"),
            (running(), ended("", 137, 9), "Init:Signal:9"),
            (running(), done(), "PodInitializing"),
        ];
        for (proxy, migrate, expected) in table {
            let status = json!({
                "phase": "Pending",
                "initContainerStatuses": [one("proxy", proxy), one("migrate", migrate)],
                "containerStatuses": [one("api", waiting("PodInitializing"))],
            });
            assert_eq!(shown(status.clone(), false), expected, "{status}");
            assert_eq!(shown(status, true), "Terminating");
        }
        // A sidecar that runs and whose startup probe has not passed.
        let mut slow = one("proxy", running());
        slow["started"] = false.into();
        let status = json!({ "phase": "Pending", "initContainerStatuses": [slow, one("migrate", json!({}))] });
        assert_eq!(shown(status, false), "Init:0/2");
    }

    #[test]
    fn what_containers_are_at_comes_before_the_phase() {
        let running = || json!({ "running": {} });
        let conditions =
            |ready: &str| json!([{ "type": "Initialized", "status": "True" }, { "type": "Ready", "status": ready }]);
        let table = [
            ("Running", running(), running(), "True", "Running"),
            ("Running", waiting("CrashLoopBackOff"), running(), "False", "CrashLoopBackOff"),
            ("Running", running(), waiting("CrashLoopBackOff"), "False", "CrashLoopBackOff"),
            ("Running", waiting("ErrImagePull"), waiting("CrashLoopBackOff"), "False", "ErrImagePull"),
            ("Running", ended("Error", 1, 0), running(), "False", "Error"),
            ("Running", ended("OOMKilled", 137, 0), running(), "False", "OOMKilled"),
            ("Running", ended("", 137, 9), running(), "False", "Signal:9"),
            ("Running", ended("", 3, 0), running(), "False", "ExitCode:3"),
            ("Running", ended("Completed", 0, 0), running(), "True", "Running"),
            ("Running", ended("Completed", 0, 0), running(), "False", "NotReady"),
            ("Succeeded", ended("Completed", 0, 0), ended("Completed", 0, 0), "False", "Completed"),
            ("Pending", waiting("ContainerCreating"), waiting("ContainerCreating"), "False", "ContainerCreating"),
        ];
        for (phase, api, log, ready, expected) in table {
            let status = json!({
                "phase": phase, "conditions": conditions(ready),
                // A sidecar that crashes once the others run.
                "initContainerStatuses": [one("proxy", running()), one("migrate", ended("Completed", 0, 0))],
                "containerStatuses": [one("api", api), one("log", log)],
            });
            assert_eq!(shown(status.clone(), false), expected, "{status}");
        }
        let sidecar = json!({
            "phase": "Running", "conditions": conditions("False"),
            "initContainerStatuses": [one("proxy", waiting("CrashLoopBackOff")), one("migrate", ended("Completed", 0, 0))],
            "containerStatuses": [one("api", running())],
        });
        assert_eq!(shown(sidecar, false), "Init:CrashLoopBackOff");
    }

    #[test]
    fn the_pod_tells_where_no_container_does() {
        let gated = json!([{ "type": "PodScheduled", "status": "False", "reason": "SchedulingGated" }]);
        let table = [
            (json!({}), false, "Unknown"),
            (json!({ "phase": "Pending" }), false, "Pending"),
            (json!({ "phase": "Pending", "conditions": gated }), false, "SchedulingGated"),
            (json!({ "phase": "Failed", "reason": "Evicted" }), false, "Evicted"),
            (json!({ "phase": "Failed", "reason": "Evicted" }), true, "Evicted"),
            (json!({ "phase": "Succeeded" }), true, "Succeeded"),
            (json!({ "phase": "Running" }), true, "Terminating"),
            (json!({ "phase": "Running", "reason": "NodeLost" }), true, "Unknown"),
        ];
        for (status, going, expected) in table {
            assert_eq!(shown(status.clone(), going), expected, "{status}");
        }
    }
}
