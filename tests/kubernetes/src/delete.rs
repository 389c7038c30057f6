//! Deleting: at once, for a pod on a node with its grace period first, and for a namespace when nothing is in it any more.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::events;
use crate::failure::{Cause, Failure};
use crate::objects;
use crate::read::Selection;
use crate::request::{Request, Target};
use crate::world::World;

/// What must hold of the object.
#[derive(Debug, Default)]
pub struct Preconditions {
    uid: Option<String>,
    version: Option<String>,
}

impl Preconditions {
    /// Reads the preconditions of delete options.
    #[must_use]
    pub fn read(options: &Value) -> Self {
        let text =
            |key: &str| options.pointer(&format!("/preconditions/{key}")).and_then(Value::as_str).map(str::to_owned);
        Preconditions { uid: text("uid"), version: text("resourceVersion") }
    }

    /// Refuses an object of which they do not hold.
    pub fn check(&self, target: &Target, object: &Value) -> Result<(), Failure> {
        let version = objects::text(object, "/metadata/resourceVersion");
        let pairs = [("UID", &self.uid, objects::uid(object)), ("ResourceVersion", &self.version, version)];
        for (what, wanted, is) in pairs {
            if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != is) {
                let why = format!(
                    "the {what} in the precondition ({wanted}) does not match the {what} in record ({is}). The object \
                     might have been deleted and then recreated"
                );
                let resource = target.resource;
                return Err(Failure::conflict(&resource.group, &resource.kind, &target.name, &why));
            }
        }
        Ok(())
    }
}

/// Answers a DELETE of one object.
pub fn answer(world: &mut World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let options = options(request)?;
    let is_dry_run = is_dry_run(request, &options)?;
    let storage = target.resource.storage();
    let object = world.store.get(&storage, target.space(), &target.name).cloned().ok_or_else(|| target.missing())?;
    Preconditions::read(&options).check(target, &object)?;
    let before = is_dry_run.then(|| world.clone());
    let mut gone = remove(world, target, &object, objects::number(&options, "/gracePeriodSeconds"));
    if let Some(before) = before {
        *world = before;
        if objects::text(&gone, "/kind") != "Status" {
            objects::carry(&object, &mut gone, "/metadata/resourceVersion");
        }
    }
    Ok(Answer::json(200, gone))
}

/// Answers a DELETE of a collection.
pub fn collection(world: &mut World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let options = options(request)?;
    let selection = Selection::parse(request, target)?;
    let all = world.store.list(&target.resource.storage(), target.namespace.as_deref());
    let chosen: Vec<Value> = all.filter(|object| selection.matches(object)).cloned().collect();
    if !is_dry_run(request, &options)? {
        for object in &chosen {
            let one = Target {
                name: objects::name(object).to_owned(),
                namespace: Some(objects::namespace(object).to_owned()).filter(|space| !space.is_empty()),
                ..target.clone()
            };
            remove(world, &one, object, objects::number(&options, "/gracePeriodSeconds"));
        }
    }
    let metadata = json!({"resourceVersion": world.store.version().to_string()});
    let (kind, version) = (format!("{}List", target.resource.kind), target.resource.api_version());
    Ok(Answer::json(200, json!({"kind": kind, "apiVersion": version, "metadata": metadata, "items": chosen})))
}

fn options(request: &Request) -> Result<Value, Failure> {
    if request.body.is_empty() { Ok(Value::Null) } else { request.json() }
}

fn is_dry_run(request: &Request, options: &Value) -> Result<bool, Failure> {
    let given = request.query.iter().filter(|(key, _)| key == "dryRun").map(|(_, value)| value.as_str());
    let given: Vec<&str> = given.chain(objects::items(options, "/dryRun").filter_map(Value::as_str)).collect();
    if given.iter().any(|value| *value != "All") {
        let cause = Cause::not_supported("dryRun", format!("{given:?}"), "\"All\"");
        return Err(Failure::invalid("meta.k8s.io", "DeleteOptions", "", &[cause]));
    }
    Ok(!given.is_empty())
}

/// Takes an object away and gives what the server says about it.
fn remove(world: &mut World, target: &Target, object: &Value, grace: Option<i64>) -> Value {
    if target.resource.plural == "pods" {
        if let Some(going) = pod(world, target.space(), &target.name, grace) {
            return going;
        }
    } else if target.resource.plural == "namespaces" {
        return namespace(world, object.clone());
    } else {
        world.store.delete(&target.resource.storage(), target.space(), &target.name);
    }
    if target.resource.plural == "pods" {
        return events::present(target.resource, object.clone());
    }
    let mut details = json!({"name": target.name, "kind": target.resource.plural, "uid": objects::uid(object)});
    if !target.resource.group.is_empty() {
        objects::set(&mut details, "/group", target.resource.group.clone());
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// A namespace is on its way out until the controller has emptied it.
fn namespace(world: &mut World, mut namespace: Value) -> Value {
    if objects::is_going(&namespace) {
        return namespace;
    }
    objects::set(&mut namespace, "/metadata/deletionTimestamp", world.clock.seconds());
    objects::set(&mut namespace, "/status/phase", "Terminating");
    world.store.put("/namespaces", namespace)
}

/// Deletes a pod: one that runs on a node gets its grace period, which the answer shows, and is gone when its node deletes it without one.
pub fn pod(world: &mut World, namespace: &str, name: &str, grace: Option<i64>) -> Option<Value> {
    let mut pod = world.store.get("/pods", namespace, name).cloned()?;
    if objects::is_going(&pod) && grace != Some(0) {
        return Some(pod);
    }
    let own = objects::number(&pod, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
    let grace = grace.unwrap_or(own);
    let is_placed = !objects::text(&pod, "/spec/nodeName").is_empty();
    if grace == 0 || !is_placed || crate::admission::is_over(&pod) {
        world.store.delete("/pods", namespace, name);
        return None;
    }
    let generation = objects::number(&pod, "/metadata/generation").unwrap_or(1);
    objects::set(&mut pod, "/metadata/generation", generation + 1);
    objects::set(&mut pod, "/metadata/deletionTimestamp", world.clock.seconds_after(grace));
    objects::set(&mut pod, "/metadata/deletionGracePeriodSeconds", grace);
    Some(world.store.put("/pods", pod))
}
