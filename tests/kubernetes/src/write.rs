//! Creating and changing objects: one way for every kind of write, from the parameters to the store.
//!
//! The order is the server's: version, then what belongs to the server, defaults, validation, field ownership; a dry
//! run goes all of that way and stores nothing; a write that changes nothing stores nothing either.

use serde_json::Value;

use crate::admission;
use crate::answer::Answer;
use crate::events;
use crate::failure::{Cause, Failure};
use crate::fields::{self, Writer};
use crate::objects;
use crate::request::{Request, Target};
use crate::resources::{self, Resource};
use crate::schema;
use crate::time::Clock;
use crate::world::World;

/// What to do about fields that a type does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// Refuse.
    Strict,
    /// Drop them and say so.
    Warn,
    /// Drop them.
    Ignore,
}

/// The parameters of a write.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the field manager.
    pub manager: String,
    /// Whether nothing is to be stored.
    pub is_dry_run: bool,
    /// What to do about unknown fields.
    pub validation: Validation,
    /// Whether an apply takes over what others own.
    pub is_forced: bool,
}

/// An object as it was stored, or would have been.
#[derive(Debug)]
pub struct Stored {
    /// The object.
    pub object: Value,
    /// What is legal and yet not wise about it.
    pub warnings: Vec<String>,
}

impl Options {
    /// Reads the parameters; `kind` is the server's name for them.
    pub fn parse(request: &Request, kind: &str) -> Result<Self, Failure> {
        let dry_run: Vec<&str> =
            request.query.iter().filter(|(key, _)| key == "dryRun").map(|(_, value)| value.as_str()).collect();
        if dry_run.iter().any(|value| *value != "All") {
            let cause = Cause::not_supported("dryRun", format!("{dry_run:?}"), "\"All\"");
            return Err(Failure::invalid("meta.k8s.io", kind, "", &[cause]));
        }
        let manager = request.parameter("fieldManager");
        if manager.is_some_and(|name| name.len() > 128) {
            let cause = Cause::invalid("fieldManager", "\"\"", "may not be more than 128 bytes");
            return Err(Failure::invalid("meta.k8s.io", kind, "", &[cause]));
        }
        let validation = match request.parameter("fieldValidation") {
            None | Some("Warn") => Validation::Warn,
            Some("Strict") => Validation::Strict,
            Some("Ignore") => Validation::Ignore,
            Some(other) => {
                let supported = "\"Ignore\", \"Strict\", \"Warn\"";
                let cause = Cause::not_supported("fieldValidation", format!("{other:?}"), supported);
                return Err(Failure::invalid("meta.k8s.io", kind, "", &[cause]));
            }
        };
        // Without a name the server takes the first word of the client's own.
        let agent = request.user_agent.split('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        Ok(Options {
            manager: manager.unwrap_or(agent).to_owned(),
            is_dry_run: !dry_run.is_empty(),
            validation,
            is_forced: request.flag("force"),
        })
    }

    /// Of a component of the cluster.
    #[must_use]
    pub fn of_component(manager: &str) -> Self {
        let validation = Validation::Ignore;
        Options { manager: manager.to_owned(), is_dry_run: false, validation, is_forced: false }
    }

    /// Who writes, as managedFields name them.
    #[must_use]
    pub fn writer(&self, target: &Target, clock: Clock, applies: bool) -> Writer {
        Writer {
            manager: self.manager.clone(),
            applies,
            api_version: target.resource.api_version(),
            subresource: target.subresource().unwrap_or_default().to_owned(),
            time: clock.seconds(),
        }
    }
}

/// Answers a POST.
pub fn create(world: &mut World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let options = Options::parse(request, "CreateOptions")?;
    let (mut object, warnings) = decode_body(request, target, &options)?;
    if target.resource.is_namespaced && world.store.get("/namespaces", "", target.space()).is_none() {
        let namespaces = resources::find("", "v1", "namespaces").expect("the core has namespaces");
        return Err(Failure::not_found(namespaces, target.space()));
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
