//! The `scale` subresource: a small object of its own that reads and writes the replicas of a workload.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::failure::{Cause, Failure};
use crate::objects;
use crate::options::Options;
use crate::patch;
use crate::request::{Request, Target};
use crate::schema;
use crate::world::World;
use crate::write;

/// Answers a GET, PUT or PATCH of a scale.
pub fn answer(world: &mut World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let old = world.store.get(&target.resource.storage(), target.space(), &target.name).cloned();
    let old = old.ok_or_else(|| target.missing())?;
    let current = scale_of(&old);
    let (wanted, warnings, options) = match request.method.as_str() {
        "GET" => return Ok(Answer::json(200, current)),
        "PUT" => {
            let options = Options::parse(request, "UpdateOptions")?;
            let decoded = schema::decode("Scale", &request.json()?).map_err(Failure::bad_request)?;
            (decoded.value, Vec::new(), options)
        }
        _ => {
            let options = Options::parse(request, "PatchOptions")?;
            let (wanted, warnings) = patch::patched("Scale", &current, request, options.validation)?;
            (wanted, warnings, options)
        }
    };
    check(target, &old, &wanted)?;
    let mut new = old.clone();
    objects::set(&mut new, "/spec/replicas", objects::number(&wanted, "/spec/replicas").unwrap_or_default());
    objects::carry(&wanted, &mut new, "/metadata/resourceVersion");
    let stored = write::change(world, target, &old, new, &options)?;
    Ok(Answer::json(200, scale_of(&stored.object)).with_warnings(warnings))
}

fn check(target: &Target, old: &Value, wanted: &Value) -> Result<(), Failure> {
    if let Some(count) = objects::number(wanted, "/spec/replicas").filter(|count| *count < 0) {
        let cause = Cause::invalid("spec.replicas", count, "must be greater than or equal to 0");
        return Err(Failure::invalid("autoscaling", "Scale", &target.name, &[cause]));
    }
    let (uid, is) = (objects::uid(wanted), objects::uid(old));
    if !uid.is_empty() && uid != is {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {is}");
        let kind = format!("{}/scale", target.resource.plural);
        return Err(Failure::conflict(&target.resource.group, &kind, &target.name, &why));
    }
    Ok(())
}

/// Zero replicas are not written.
fn scale_of(workload: &Value) -> Value {
    let mut metadata = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        let pointer = format!("/{key}");
        objects::set(&mut metadata, &pointer, objects::text(workload, &format!("/metadata{pointer}")));
    }
    let wanted = objects::number(workload, "/spec/replicas").unwrap_or_default();
    let spec = if wanted == 0 { json!({}) } else { json!({"replicas": wanted}) };
    let labels = workload.pointer("/spec/selector/matchLabels").and_then(Value::as_object).into_iter().flatten();
    let selector: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    let replicas = objects::number(workload, "/status/replicas").unwrap_or_default();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec,
        "status": {"replicas": replicas, "selector": selector.join(",")},
    })
}
