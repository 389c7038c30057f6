//! The four kinds of patch: each makes a new object from the stored one, and then all of them are updates.

mod strategic;

use serde_json::Value;

use crate::answer::Answer;
use crate::api;
use crate::events;
use crate::failure::{Cause, Failure};
use crate::fields;
use crate::identity::Identity;
use crate::objects;
use crate::options::{Options, Validation};
use crate::request::{Attributes, Request, Target};
use crate::schema;
use crate::world::World;
use crate::write;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// Answers a PATCH of an object or of its status.
pub fn answer(world: &mut World, request: &Request, who: &Identity, target: &Target) -> Result<Answer, Failure> {
    let options = Options::parse(request, "PatchOptions")?;
    let (stored, status, warnings) = if media_type(request) == APPLY {
        apply(world, request, who, target, &options)?
    } else {
        let old = world.store.get(&target.resource.storage(), target.space(), &target.name).cloned();
        let old = old.ok_or_else(|| target.missing())?;
        let shown = events::present(target.resource, old.clone());
        let ty = schema::type_of(&target.resource.group, &target.resource.kind).unwrap_or_default();
        let (new, warnings) = patched(ty, &shown, request, options.validation)?;
        (write::change(world, target, &old, new, &options)?, 200, warnings)
    };
    let warnings = warnings.into_iter().chain(stored.warnings).collect();
    Ok(Answer::json(status, events::present(target.resource, stored.object)).with_warnings(warnings))
}

/// An object after the patch in a request, read as type `ty`, and warnings about fields that the type does not have.
pub fn patched(
    ty: &str,
    object: &Value,
    request: &Request,
    validation: Validation,
) -> Result<(Value, Vec<String>), Failure> {
    let media_type = media_type(request);
    if ![JSON_PATCH, MERGE, STRATEGIC].contains(&media_type) {
        return Err(Failure::unsupported_media_type());
    }
    let patch: Value = serde_json::from_slice(&request.body)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    let mut new = object.clone();
    // What a server quotes in its refusals: the patch, or all of the object that the patch made.
    let mut quoted = go_map(&patch);
    match media_type {
        STRATEGIC => new = strategic::merge(ty, object, &patch),
        MERGE => {
            json_patch::merge(&mut new, &patch);
            quoted = new.to_string();
        }
        _ => {
            let operations: json_patch::Patch = serde_json::from_value(patch)
                .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
            json_patch::patch(&mut new, &operations).map_err(|_| Failure::patch_rejected())?;
            quoted = new.to_string();
        }
    }
    let (value, unknown) = read(ty, &new).map_err(|why| Failure::patch_does_not_fit(&quoted, &why))?;
    match (validation, unknown.first()) {
        (Validation::Strict, Some(field)) => {
            let why = format!("strict decoding error: unknown field \"{field}\"");
            Err(Failure::patch_does_not_fit(&quoted, &why))
        }
        (Validation::Warn, _) => {
            Ok((value, unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect()))
        }
        _ => Ok((value, Vec::new())),
    }
}

/// A kind without a type in the table is taken as it is.
fn read(ty: &str, value: &Value) -> Result<(Value, Vec<String>), String> {
    if ty.is_empty() {
        return Ok((value.clone(), Vec::new()));
    }
    schema::decode(ty, value).map(|decoded| (decoded.value, decoded.unknown))
}

fn media_type(request: &Request) -> &str {
    request.content_type.split(';').next().unwrap_or_default().trim()
}

fn apply(
    world: &mut World,
    request: &Request,
    who: &Identity,
    target: &Target,
    options: &Options,
) -> Result<(write::Stored, u16, Vec<String>), Failure> {
    if request.parameter("fieldManager").is_none() {
        let mut cause = Cause::required("fieldManager");
        cause.explain("is required for apply patch");
        return Err(Failure::invalid("meta.k8s.io", "PatchOptions", "", &[cause]));
    }
    let config = write::parse_yaml(&request.body)?;
    if config.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let ty = schema::type_of(&target.resource.group, &target.resource.kind).unwrap_or_default();
    let (_, unknown) = read(ty, &config).map_err(Failure::internal)?;
    if let Some(field) = unknown.first() {
        let (kind, version) = (&target.resource.kind, target.resource.api_version());
        return Err(Failure::internal(format!(
            "failed to create typed patch object ({}/{}; {version}, Kind={kind}): .{field}: field not declared in \
             schema",
            target.space(),
            target.name
        )));
    }
    let old = world.store.get(&target.resource.storage(), target.space(), &target.name).cloned();
    let writer = options.writer(target, world.clock, true);
    let Some(old) = old else {
        // Patching may be allowed where creating is not.
        let create = Attributes {
            verb: "create".to_owned(),
            group: target.resource.group.clone(),
            resource: target.resource.plural.clone(),
            subresource: String::new(),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
        };
        api::authorize(world, who, &Attributes { name: String::new(), ..create.clone() })
            .map_err(|_| Failure::forbidden(&who.user, &create))?;
        let mut empty = schema::zero(ty);
        objects::set(&mut empty, "/metadata/name", target.name.clone());
        let new = fields::apply(ty, &empty, &config, &writer, options.is_forced)?;
        return Ok((write::add(world, target, new, options)?, 201, Vec::new()));
    };
    let merged = fields::apply(ty, &old, &config, &writer, options.is_forced)?;
    let managed = merged.pointer("/metadata/managedFields").cloned();
    let (mut new, _) = read(ty, &merged).map_err(Failure::internal)?;
    objects::set(&mut new, "/metadata/managedFields", managed.unwrap_or(Value::Null));
    Ok((write::change_applied(world, target, &old, new, options)?, 200, Vec::new()))
}

/// How Go prints a map; the server quotes patches like this.
fn go_map(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", go_map(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(go_map).collect::<Vec<_>>().join(" ")),
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_is_quoted_as_go_prints_it() {
        let patch = json!({"spec": {"containers": [{"name": "A", "value": 50}], "x": null}});
        assert_eq!(go_map(&patch), "map[spec:map[containers:[map[name:A value:50]] x:<nil>]]");
    }
}
