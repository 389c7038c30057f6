//! What the server does to objects on their way in: defaults, the rules that they have to keep, and quotas.

mod check;
mod defaults;
mod pods;

use serde_json::Value;

use crate::failure::{Cause, Failure};
use crate::objects;
use crate::quantity::Quantity;
use crate::resources::Resource;
use crate::world::World;

pub use check::check;
pub use defaults::complete;

/// Completes a new object: defaults, and what only a new object is given.
pub fn prepare_new(resource: &Resource, object: &mut Value) {
    complete(resource, object);
    match resource.plural.as_str() {
        "pods" => pods::prepare_new(object),
        "jobs" => defaults::prepare_new_job(object),
        "namespaces" => defaults::prepare_new_namespace(object),
        _ => {}
    }
    let has_status = matches!(
        resource.plural.as_str(),
        "deployments"
            | "replicasets"
            | "statefulsets"
            | "daemonsets"
            | "jobs"
            | "cronjobs"
            | "poddisruptionbudgets"
            | "horizontalpodautoscalers"
    );
    if has_status {
        // A status that comes with a new object is not believed.
        let ty = crate::schema::type_of(&resource.group, &resource.kind).unwrap_or_default();
        let status = crate::schema::zero(ty).get("status").cloned().unwrap_or_default();
        objects::set(object, "/status", status);
    }
}

/// What is legal and yet not wise: amounts of memory that are no whole bytes.
#[must_use]
pub fn warnings(object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for base in ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"] {
        for (at, container) in objects::items(object, &format!("{base}/containers")).enumerate() {
            let place = format!("{}.containers[{at}]", base.trim_start_matches('/').replace('/', "."));
            warnings.extend(fractions(container, &place));
        }
    }
    warnings
}

fn fractions(container: &Value, place: &str) -> Vec<String> {
    let kinds = ["limits", "requests"].into_iter();
    let amounts =
        kinds.filter_map(|kind| Some((kind, container.pointer(&format!("/resources/{kind}/memory"))?.as_str()?)));
    amounts
        .filter(|(_, text)| Quantity::parse(text).is_ok_and(|amount| !amount.is_whole()))
        .map(|(kind, text)| {
            format!(
                "{place}.resources.{kind}[memory]: fractional byte value \\\"{text}\\\" is invalid, must be an integer"
            )
            .replace("\\\"", "\"")
        })
        .collect()
}

/// Refuses a pod that a quota of its namespace has no room for.
pub fn check_quota(world: &World, resource: &Resource, object: &Value) -> Result<(), Failure> {
    if resource.plural != "pods" {
        return Ok(());
    }
    let space = objects::namespace(object);
    for quota in world.store.list("/resourcequotas", Some(space)) {
        let Some(limit) = quota.pointer("/spec/hard/pods").and_then(Value::as_str) else { continue };
        let used = world.store.list("/pods", Some(space)).filter(|pod| !is_over(pod)).count();
        let room = Quantity::parse(limit).map_or(0, Quantity::units);
        if i128::try_from(used).is_ok_and(|used| used + 1 > room) {
            let name = objects::name(quota);
            let why = format!("exceeded quota: {name}, requested: pods=1, used: pods={used}, limited: pods={limit}");
            return Err(Failure::not_admitted(resource, objects::name(object), &why));
        }
    }
    Ok(())
}

/// Whether a pod has ended for good.
#[must_use]
pub fn is_over(pod: &Value) -> bool {
    matches!(objects::text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Causes in the order of the checks that found them.
pub type Causes = Vec<Cause>;
