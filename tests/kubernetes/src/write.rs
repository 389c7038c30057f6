//! Creating and changing objects: one way for every kind of write, from the parameters to the store.
//!
//! The order is the server's: version, then what belongs to the server, defaults, validation, field ownership; a dry
//! run goes all of that way and stores nothing; a write that changes nothing stores nothing either.

use serde_json::Value;

use crate::admission;
use crate::answer::Answer;
use crate::events;
use crate::failure::{Cause, Failure};
use crate::fields;
use crate::objects;
use crate::options::{Options, Validation};
use crate::request::{Request, Target};
use crate::resources::{self, Resource};
use crate::schema;
use crate::world::World;

/// An object as it was stored, or would have been.
#[derive(Debug)]
pub struct Stored {
    /// The object.
    pub object: Value,
    /// What is legal and yet not wise about it.
    pub warnings: Vec<String>,
}

/// Answers a POST.
pub fn create(world: &mut World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let options = Options::parse(request, "CreateOptions")?;
    let (mut object, warnings) = decode_body(request, target, &options)?;
    if target.resource.is_namespaced {
        match world.store.get("/namespaces", "", target.space()) {
            Some(namespace) if objects::is_going(namespace) => return Err(terminating(target, &object)),
            Some(_) => {}
            None => {
                let namespaces = resources::find("", "v1", "namespaces").expect("the core has namespaces");
                return Err(Failure::not_found(namespaces, target.space()));
            }
        }
    }
    if objects::namespace(&object).is_empty() && target.resource.is_namespaced {
        objects::set(&mut object, "/metadata/namespace", target.space());
    } else if objects::namespace(&object) != target.space() {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Failure::bad_request(message));
    }
    let prefix = objects::text(&object, "/metadata/generateName").to_owned();
    if objects::name(&object).is_empty() && !prefix.is_empty() {
        let name = format!("{prefix}{}", world.store.new_suffix());
        objects::set(&mut object, "/metadata/name", name);
    }
    let stored = add(world, target, object, &options)?;
    let warnings = warnings.into_iter().chain(stored.warnings).collect();
    Ok(Answer::json(201, events::present(target.resource, stored.object)).with_warnings(warnings))
}

fn terminating(target: &Target, object: &Value) -> Failure {
    let space = target.space();
    let why = format!("unable to create new content in namespace {space} because it is being terminated");
    Failure::not_admitted(target.resource, objects::name(object), &why)
}

/// Answers a PUT.
pub fn update(world: &mut World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let options = Options::parse(request, "UpdateOptions")?;
    let (mut object, warnings) = decode_body(request, target, &options)?;
    let name = objects::name(&object);
    if name != target.name {
        let wanted = &target.name;
        let message = format!("the name of the object ({name}) does not match the name on the URL ({wanted})");
        return Err(Failure::bad_request(message));
    }
    objects::set(&mut object, "/metadata/namespace", target.space());
    let old = world.store.get(&target.resource.storage(), target.space(), &target.name).cloned();
    let old = old.ok_or_else(|| target.missing())?;
    check_replacement(target, &old, &object)?;
    let stored = change(world, target, &old, object, &options)?;
    let warnings = warnings.into_iter().chain(stored.warnings).collect();
    Ok(Answer::json(200, events::present(target.resource, stored.object)).with_warnings(warnings))
}

/// A body that replaces the whole object has to be about this very object.
fn check_replacement(target: &Target, old: &Value, new: &Value) -> Result<(), Failure> {
    let resource = target.resource;
    if objects::text(new, "/metadata/resourceVersion").is_empty() && resource.plural == "leases" {
        let cause = Cause::invalid("metadata.resourceVersion", 0, "must be specified for an update");
        return Err(Failure::invalid(&resource.group, &resource.plural, &target.name, &[cause]));
    }
    let (wanted, is) = (objects::uid(new), objects::uid(old));
    if !wanted.is_empty() && wanted != is {
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {is}");
        return Err(Failure::conflict(&resource.group, &resource.plural, &target.name, &why));
    }
    Ok(())
}

fn decode_body(request: &Request, target: &Target, options: &Options) -> Result<(Value, Vec<String>), Failure> {
    let body = request.json()?;
    let (kind, version) = (&target.resource.kind, &target.resource.version);
    let cannot = |why: &str| {
        Failure::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
    };
    let said = (objects::text(&body, "/apiVersion"), objects::text(&body, "/kind"));
    let is_other =
        (!said.1.is_empty() && said.1 != kind) || (!said.0.is_empty() && said.0 != target.resource.api_version());
    if is_other {
        let message = format!("the object is a {} of {}, not a {kind}", said.1, said.0);
        return Err(Failure::bad_request(message));
    }
    let Some(ty) = schema::type_of(&target.resource.group, kind) else { return Ok((body, Vec::new())) };
    let decoded = schema::decode(ty, &body).map_err(|why| cannot(&why))?;
    let unknown = decoded.unknown.iter().map(|field| format!("unknown field \"{field}\""));
    match (options.validation, decoded.unknown.is_empty()) {
        (Validation::Strict, false) => {
            Err(cannot(&format!("strict decoding error: {}", unknown.collect::<Vec<_>>().join(", "))))
        }
        (Validation::Warn, _) => Ok((decoded.value, unknown.collect())),
        _ => Ok((decoded.value, Vec::new())),
    }
}

/// A body in YAML, of which JSON is a part.
pub fn parse_yaml(body: &[u8]) -> Result<Value, Failure> {
    let text = std::str::from_utf8(body).map_err(|_| Failure::bad_request("error decoding YAML: not UTF-8"))?;
    serde_saphyr::from_str(text).map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")))
}

/// The name of the type under which objects of a resource are stored.
#[must_use]
pub fn stored_type(resource: &Resource) -> Option<&'static str> {
    let group = if events::is_new_dress(resource) { "" } else { &resource.group };
    schema::type_of(group, &resource.kind)
}

/// Stores a new object. It comes without a type, in the form of the resource.
pub fn add(world: &mut World, target: &Target, object: Value, options: &Options) -> Result<Stored, Failure> {
    let resource = target.resource;
    let mut object = with_type(resource, object);
    if resource.is_namespaced {
        objects::set(&mut object, "/metadata/namespace", target.space());
    }
    let name = objects::name(&object).to_owned();
    let now = world.clock.seconds();
    let managed = object.pointer("/metadata/managedFields").cloned();
    for gone in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"] {
        objects::remove(&mut object, &format!("/metadata/{gone}"));
    }
    objects::set(&mut object, "/metadata/uid", world.store.new_uid());
    objects::set(&mut object, "/metadata/creationTimestamp", now);
    if resource.has_generation() {
        objects::set(&mut object, "/metadata/generation", 1);
    }
    admission::prepare_new(resource, &mut object);
    let causes = admission::check(resource, None, &object);
    if !causes.is_empty() {
        return Err(invalid(resource, &name, &causes));
    }
    if world.store.get(&resource.storage(), target.space(), &name).is_some() {
        return Err(Failure::already_exists(resource, &name));
    }
    admission::check_quota(world, resource, &object)?;
    match (managed, stored_type(resource)) {
        (Some(managed), _) => objects::set(&mut object, "/metadata/managedFields", managed),
        (None, Some(ty)) => fields::note_update(ty, None, &mut object, &options.writer(target, world.clock, false)),
        (None, None) => {}
    }
    let warnings = admission::warnings(&object);
    let object = if options.is_dry_run { object } else { world.store.put(&resource.storage(), object) };
    Ok(Stored { object, warnings })
}

/// Stores a changed object. `new` comes without a type, in the form of the resource; `old` as it is stored.
pub fn change(
    world: &mut World,
    target: &Target,
    old: &Value,
    new: Value,
    options: &Options,
) -> Result<Stored, Failure> {
    let (mut new, warnings) = judged(target, old, new)?;
    objects::carry(old, &mut new, "/metadata/managedFields");
    if new == *old {
        return Ok(Stored { object: new, warnings });
    }
    if let Some(ty) = stored_type(target.resource) {
        fields::note_update(ty, Some(old), &mut new, &options.writer(target, world.clock, false));
    }
    Ok(Stored { object: keep(world, target, new, options), warnings })
}

/// Stores an object that an apply made, whose fields have their owners already.
pub fn change_applied(
    world: &mut World,
    target: &Target,
    old: &Value,
    new: Value,
    options: &Options,
) -> Result<Stored, Failure> {
    let managed = new.pointer("/metadata/managedFields").cloned().unwrap_or(Value::Null);
    let (mut new, warnings) = judged(target, old, new)?;
    objects::set(&mut new, "/metadata/managedFields", managed);
    if new == *old {
        return Ok(Stored { object: new, warnings });
    }
    Ok(Stored { object: keep(world, target, new, options), warnings })
}

fn keep(world: &mut World, target: &Target, new: Value, options: &Options) -> Value {
    if options.is_dry_run { new } else { world.store.put(&target.resource.storage(), new) }
}

/// The new object with what belongs to the server, if it is a valid change.
fn judged(target: &Target, old: &Value, new: Value) -> Result<(Value, Vec<String>), Failure> {
    let resource = target.resource;
    let mut new = with_type(resource, new);
    let version = objects::text(&new, "/metadata/resourceVersion");
    if !version.is_empty() && version != objects::text(old, "/metadata/resourceVersion") {
        return Err(Failure::modified(resource, &target.name));
    }
    for own in ["resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"]
    {
        objects::carry(old, &mut new, &format!("/metadata/{own}"));
    }
    if objects::uid(&new).is_empty() {
        objects::carry(old, &mut new, "/metadata/uid");
    }
    match target.subresource() {
        Some("status") => objects::carry(old, &mut new, "/spec"),
        _ => objects::carry(old, &mut new, "/status"),
    }
    admission::complete(resource, &mut new);
    let causes = admission::check(resource, Some(old), &new);
    if !causes.is_empty() {
        return Err(invalid(resource, &target.name, &causes));
    }
    if resource.has_generation() && new.get("spec") != old.get("spec") {
        let generation = objects::number(old, "/metadata/generation").unwrap_or_default();
        objects::set(&mut new, "/metadata/generation", generation + 1);
    }
    let warnings = if new.get("spec") == old.get("spec") { Vec::new() } else { admission::warnings(&new) };
    Ok((new, warnings))
}

fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Failure {
    // Events are validated as what they are stored as.
    let group = if events::is_new_dress(resource) { "" } else { &resource.group };
    Failure::invalid(group, &resource.kind, name, causes)
}

fn with_type(resource: &Resource, object: Value) -> Value {
    let mut object = object;
    objects::set(&mut object, "/kind", resource.kind.clone());
    objects::set(&mut object, "/apiVersion", resource.api_version());
    let empty = objects::labels(&object).is_empty();
    if empty {
        objects::remove(&mut object, "/metadata/labels");
    }
    events::absorb(resource, object)
}
