//! The rules that objects have to keep, as far as a client of ours can run into them.

use serde_json::Value;

use super::Causes;
use crate::failure::Cause;
use crate::objects;
use crate::quantity::Quantity;
use crate::resources::Resource;
use crate::selectors::Labels;

const IMMUTABLE: &str = "field is immutable";
const NAME: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                    must start and end with an alphanumeric character";

/// What is wrong with an object, or with the change from `old` to it.
#[must_use]
pub fn check(resource: &Resource, old: Option<&Value>, new: &Value) -> Causes {
    let mut causes = metadata(old, new);
    match resource.plural.as_str() {
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" => workload(resource, old, new, &mut causes),
        "pods" => {
            pod_spec(new, "/spec", &mut causes);
            pod_change(old, new, &mut causes);
        }
        "jobs" => job(old, new, &mut causes),
        "cronjobs" => pod_spec(new, "/spec/jobTemplate/spec/template/spec", &mut causes),
        "leases" => lease(new, &mut causes),
        "events" => event(old, new, &mut causes),
        _ => {}
    }
    causes
}

fn metadata(old: Option<&Value>, new: &Value) -> Causes {
    let mut causes = Vec::new();
    let Some(old) = old else {
        let name = objects::name(new);
        if name.is_empty() {
            let mut cause = Cause::required("metadata.name");
            cause.explain("name or generateName is required");
            causes.push(cause);
        } else if !is_subdomain(name) && !objects::text(new, "/kind").contains("Role") {
            causes.push(Cause::invalid("metadata.name", format!("{name:?}"), NAME));
        }
        return causes;
    };
    let uid = objects::uid(new);
    if uid != objects::uid(old) {
        // The server checks it twice, and says so twice.
        causes.extend([(); 2].map(|()| Cause::invalid("metadata.uid", format!("{uid:?}"), IMMUTABLE)));
    }
    causes
}

fn is_subdomain(name: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    name.len() <= 253
        && name.split('.').all(|label| {
            label.starts_with(is_plain)
                && label.ends_with(is_plain)
                && label.chars().all(|char| is_plain(char) || char == '-')
        })
}

fn workload(resource: &Resource, old: Option<&Value>, new: &Value, causes: &mut Causes) {
    if let Some(count) = objects::number(new, "/spec/replicas").filter(|count| *count < 0) {
        causes.push(Cause::invalid("spec.replicas", count, "must be greater than or equal to 0"));
    }
    let selector = new.pointer("/spec/selector").cloned().unwrap_or_default();
    let labels = new.pointer("/spec/template/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
    if !Labels::of(&selector).match_labels(&labels) {
        let value = Value::Object(labels);
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            value,
            "`selector` does not match template `labels`",
        ));
    }
    pod_spec(new, "/spec/template/spec", causes);
    let Some(old) = old else { return };
    if resource.plural == "statefulsets" {
        stateful_set_change(old, new, causes);
    } else if old.pointer("/spec/selector") != new.pointer("/spec/selector") {
        causes.push(Cause::invalid("spec.selector", selector, IMMUTABLE));
    }
}

const STATEFUL_SET_CAN_CHANGE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

fn stateful_set_change(old: &Value, new: &Value, causes: &mut Causes) {
    let fixed = |object: &Value| {
        let mut spec = object.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
        spec.retain(|key, _| !STATEFUL_SET_CAN_CHANGE.contains(&key.as_str()));
        spec
    };
    if fixed(old) != fixed(new) {
        let names: Vec<String> = STATEFUL_SET_CAN_CHANGE.iter().map(|name| format!("'{name}'")).collect();
        let why = format!("updates to statefulset spec for fields other than {} are forbidden", names.join(", "));
        causes.push(Cause::forbidden("spec", &why));
    }
}

fn pod_spec(object: &Value, pointer: &str, causes: &mut Causes) {
    let path = pointer.trim_start_matches('/').replace('/', ".");
    if objects::items(object, &format!("{pointer}/containers")).next().is_none() {
        causes.push(Cause::required(format!("{path}.containers")));
    }
    for list in ["initContainers", "containers"] {
        let mut names: Vec<&str> = Vec::new();
        for (at, container) in objects::items(object, &format!("{pointer}/{list}")).enumerate() {
            let place = format!("{path}.{list}[{at}]");
            let name = objects::text(container, "/name");
            if name.is_empty() {
                causes.push(Cause::required(format!("{place}.name")));
            } else if names.contains(&name) {
                causes.push(Cause::invalid(format!("{place}.name"), format!("{name:?}"), "Duplicate value"));
            }
            names.push(name);
            self::container(container, &place, causes);
        }
    }
}

fn container(container: &Value, place: &str, causes: &mut Causes) {
    if objects::text(container, "/image").is_empty() {
        causes.push(Cause::required(format!("{place}.image")));
    }
    for (at, variable) in objects::items(container, "/env").enumerate() {
        self::variable(variable, &format!("{place}.env[{at}]"), causes);
    }
    resources(container, &format!("{place}.resources"), causes);
}

fn variable(variable: &Value, place: &str, causes: &mut Causes) {
    let name = objects::text(variable, "/name");
    if name.is_empty() {
        causes.push(Cause::required(format!("{place}.name")));
    } else if name.contains('=') || !name.chars().all(|char| char.is_ascii_graphic() || char == ' ') {
        let why = "a valid environment variable name must consist only of printable ASCII characters other than '='";
        causes.push(Cause::invalid(format!("{place}.name"), format!("{name:?}"), why));
    }
    if !objects::text(variable, "/value").is_empty() && variable.get("valueFrom").is_some() {
        let why = "may not be specified when `value` is not empty";
        causes.push(Cause::invalid(format!("{place}.valueFrom"), "\"\"", why));
    }
}

fn resources(container: &Value, place: &str, causes: &mut Causes) {
    let amounts = |kind: &str| {
        container.pointer(&format!("/resources/{kind}")).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let (limits, requests) = (amounts("limits"), amounts("requests"));
    for (kind, amounts) in [("limits", &limits), ("requests", &requests)] {
        for (resource, amount) in amounts {
            self::amount(resource, amount, &format!("{place}.{kind}[{resource}]"), causes);
        }
    }
    for (resource, request) in &requests {
        let Some(limit) = limits.get(resource) else { continue };
        let parsed = |amount: &Value| Quantity::parse(amount.as_str().unwrap_or_default()).ok();
        if parsed(request) > parsed(limit) {
            let why =
                format!("must be less than or equal to {resource} limit of {}", limit.as_str().unwrap_or_default());
            causes.push(Cause::invalid(format!("{place}.requests"), request, &why));
        }
    }
}

fn amount(resource: &str, amount: &Value, place: &str, causes: &mut Causes) {
    let is_standard = matches!(resource, "cpu" | "memory" | "ephemeral-storage") || resource.starts_with("hugepages-");
    if !is_standard && !resource.contains('/') {
        for why in ["must be a standard resource type or fully qualified", "must be a standard resource for containers"]
        {
            causes.push(Cause::invalid(place, format!("{resource:?}"), why));
        }
    }
    if Quantity::parse(amount.as_str().unwrap_or_default()).is_ok_and(Quantity::is_negative) {
        causes.push(Cause::invalid(place, amount, "must be greater than or equal to 0"));
    }
}

/// A pod that is there can change its images, its tolerations and little else.
fn pod_change(old: Option<&Value>, new: &Value, causes: &mut Causes) {
    let Some(old) = old else { return };
    let fixed = |pod: &Value| {
        let mut spec = pod.get("spec").cloned().unwrap_or_default();
        for container in spec.pointer_mut("/containers").and_then(Value::as_array_mut).into_iter().flatten() {
            objects::remove(container, "/image");
        }
        for free in ["/activeDeadlineSeconds", "/terminationGracePeriodSeconds", "/tolerations", "/nodeName"] {
            objects::remove(&mut spec, free);
        }
        spec
    };
    if fixed(old) != fixed(new) {
        causes.push(Cause::forbidden("spec", "pod updates may not change fields other than images and tolerations"));
    }
}

fn job(old: Option<&Value>, new: &Value, causes: &mut Causes) {
    pod_spec(new, "/spec/template/spec", causes);
    let policy = objects::text(new, "/spec/template/spec/restartPolicy");
    if !matches!(policy, "Never" | "OnFailure") {
        let place = "spec.template.spec.restartPolicy";
        causes.push(Cause::not_supported(place, format!("{policy:?}"), "\"OnFailure\", \"Never\""));
    }
    let Some(old) = old else { return };
    for field in ["completions", "selector", "template", "completionMode"] {
        let pointer = format!("/spec/{field}");
        if old.pointer(&pointer) != new.pointer(&pointer) {
            // The server quotes the whole of what may not change.
            let value = new.pointer(&pointer).cloned().unwrap_or_default();
            causes.push(Cause::invalid(format!("spec.{field}"), value, IMMUTABLE));
        }
    }
}

fn lease(new: &Value, causes: &mut Causes) {
    if let Some(seconds) = objects::number(new, "/spec/leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
        causes.push(Cause::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
    }
    if let Some(count) = objects::number(new, "/spec/leaseTransitions").filter(|count| *count < 0) {
        causes.push(Cause::invalid("spec.leaseTransitions", count, "must be greater than or equal to 0"));
    }
}

/// Events are judged by the names that their fields have in the core, whichever dress they came in.
fn event(old: Option<&Value>, new: &Value, causes: &mut Causes) {
    if let Some(old) = old {
        let keys = ["reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type", "eventTime"];
        let keys = keys.into_iter().chain(["action", "related", "reportingComponent", "reportingInstance"]);
        for key in keys.chain(["involvedObject"]) {
            if old.get(key) != new.get(key) {
                let value = new.get(key).cloned().unwrap_or_default();
                causes.push(Cause::invalid(key, value, IMMUTABLE));
            }
        }
        return;
    }
    let is_old_form = objects::text(new, "/eventTime").is_empty() && !objects::text(new, "/firstTimestamp").is_empty();
    if is_old_form {
        return;
    }
    if objects::text(new, "/eventTime").is_empty() {
        // Nothing else is looked at without it.
        causes.push(Cause::required("eventTime"));
        return;
    }
    for key in ["reportingController", "reportingInstance", "action", "reason"] {
        let stored = if key == "reportingController" { "reportingComponent" } else { key };
        if objects::text(new, &format!("/{stored}")).is_empty() {
            causes.push(Cause::required(key));
        }
    }
    let severity = objects::text(new, "/type");
    if !matches!(severity, "Normal" | "Warning") {
        causes.push(Cause::invalid("type", "\"\"", &format!("has invalid value: {severity}")));
    }
    if objects::text(new, "/message").len() > 1024 {
        causes.push(Cause::invalid("message", "\"\"", "can have at most 1024 characters"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_subdomains() {
        for (name, is_name) in [("restore-1", true), ("api.paramedic.1", true), ("Restore_5", false), ("-a", false)] {
            assert_eq!(is_subdomain(name), is_name, "{name}");
        }
    }
}
