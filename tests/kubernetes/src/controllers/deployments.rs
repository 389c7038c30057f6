//! The Deployment controller: finds or makes the ReplicaSet of the present template, moves replicas from the others to
//! it, and says how far that has come.

use serde_json::{Value, json};

use super::{all, count, owned, put, revision, rollout, say};
use crate::objects;
use crate::world::World;

const STORAGE: &str = "apps/deployments";
const SETS: &str = "apps/replicasets";
pub(super) const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";
const HISTORY: &str = "/metadata/annotations/deployment.kubernetes.io~1revision-history";
const HASH: &str = "/metadata/labels/pod-template-hash";

/// Looks at every Deployment once.
pub fn sync(world: &mut World) {
    for deployment in all(world, STORAGE) {
        if objects::is_going(&deployment) {
            continue;
        }
        let mut deployment = deployment;
        let is_paused = deployment.pointer("/spec/paused") == Some(&Value::Bool(true));
        rollout::note_pause(world, &mut deployment, is_paused);
        let mut sets = owned(world, SETS, &deployment);
        let current = match (find(&deployment, &sets), is_paused) {
            (None, false) => Some(make_set(world, &mut deployment, &mut sets)),
            (found, _) => found,
        };
        if let (Some(current), false) = (&current, is_paused) {
            number(world, &mut deployment, &mut sets, current);
            scale(world, &deployment, &mut sets, current);
        }
        status(world, deployment, &sets, current.as_deref());
    }
}

/// Name of the set with the present template.
fn find(deployment: &Value, sets: &[Value]) -> Option<String> {
    let plain = |object: &Value| {
        let mut template = object.pointer("/spec/template").cloned().unwrap_or_default();
        objects::remove(&mut template, HASH);
        template
    };
    let wanted = plain(deployment);
    sets.iter().find(|set| plain(set) == wanted).map(|set| objects::name(set).to_owned())
}

fn make_set(world: &mut World, deployment: &mut Value, sets: &mut Vec<Value>) -> String {
    let mut template = deployment.pointer("/spec/template").cloned().unwrap_or_default();
    objects::remove(&mut template, HASH);
    let hash = revision::hash(&template);
    objects::set(&mut template, HASH, hash.clone());
    let mut selector = deployment.pointer("/spec/selector").cloned().unwrap_or_default();
    objects::set(&mut selector, "/matchLabels/pod-template-hash", hash.clone());
    let name = format!("{}-{hash}", objects::name(deployment));
    let wanted = rollout::room_for_new(deployment, sets, 0);
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": name, "namespace": objects::namespace(deployment),
            "labels": template.pointer("/metadata/labels"), "annotations": bounds(deployment),
            "ownerReferences": [super::owner_reference(deployment)],
        },
        "spec": {"replicas": wanted, "selector": selector, "template": template},
    });
    // A ReplicaSet made from a valid template is valid; a name that is taken belongs to this very template.
    if let Ok(set) = super::create(world, set) {
        sets.push(set);
        let message = format!("Created new replica set \"{name}\"");
        rollout::progress(world, deployment, "True", "NewReplicaSetCreated", &message);
        *deployment = put(world, deployment.clone());
        let message = format!("Scaled up replica set {name} from 0 to {wanted}");
        say(world, deployment, "deployment-controller", "Normal", "ScalingReplicaSet", &message);
    }
    name
}

fn bounds(deployment: &Value) -> Value {
    let wanted = objects::number(deployment, "/spec/replicas").unwrap_or(1);
    let (surge, _) = rollout::slack(deployment);
    json!({
        "deployment.kubernetes.io/desired-replicas": wanted.to_string(),
        "deployment.kubernetes.io/max-replicas": (wanted + surge).to_string(),
    })
}

/// A set that becomes the current one gets the next number and remembers the one that it had.
fn number(world: &mut World, deployment: &mut Value, sets: &mut [Value], current: &str) {
    let number = |set: &Value| objects::text(set, REVISION).parse::<u64>().unwrap_or_default();
    let others = sets.iter().filter(|set| objects::name(set) != current);
    let next = others.map(number).max().unwrap_or_default() + 1;
    let Some(set) = sets.iter_mut().find(|set| objects::name(set) == current) else { return };
    let has = number(set);
    if has < next {
        if has > 0 {
            let history = match objects::text(set, HISTORY) {
                "" => has.to_string(),
                earlier => format!("{earlier},{has}"),
            };
            objects::set(set, HISTORY, history);
        }
        objects::set(set, REVISION, next.to_string());
        *set = put(world, set.clone());
    }
    if objects::text(deployment, REVISION) != objects::text(set, REVISION) {
        objects::carry(set, deployment, REVISION);
        *deployment = put(world, deployment.clone());
    }
}

fn scale(world: &mut World, deployment: &Value, sets: &mut [Value], current: &str) {
    for (name, wanted) in rollout::next_counts(deployment, sets, current) {
        let Some(set) = sets.iter_mut().find(|set| objects::name(set) == name) else { continue };
        let has = objects::number(set, "/spec/replicas").unwrap_or_default();
        if has == wanted {
            continue;
        }
        objects::set(set, "/spec/replicas", wanted);
        let direction = if wanted > has { "up" } else { "down" };
        *set = put(world, set.clone());
        let message = format!("Scaled {direction} replica set {name} from {has} to {wanted}");
        say(world, deployment, "deployment-controller", "Normal", "ScalingReplicaSet", &message);
    }
    for set in sets.iter_mut() {
        let is_active = objects::number(set, "/spec/replicas").is_some_and(|count| count > 0);
        if !is_active {
            continue;
        }
        for (key, value) in bounds(deployment).as_object().into_iter().flatten() {
            objects::set(set, &format!("/metadata/annotations/{}", key.replace('/', "~1")), value.clone());
        }
        *set = put(world, set.clone());
    }
}

fn status(world: &mut World, mut deployment: Value, sets: &[Value], current: Option<&str>) {
    let sum = |pointer: &str| sets.iter().filter_map(|set| objects::number(set, pointer)).sum::<i64>();
    let current_set = current.and_then(|name| sets.iter().find(|set| objects::name(set) == name));
    let old = deployment.get("status").cloned().unwrap_or_default();
    let mut status = old.clone();
    let available = sum("/status/availableReplicas");
    let updated = current_set.and_then(|set| objects::number(set, "/status/replicas")).unwrap_or_default();
    let generation = objects::number(&deployment, "/metadata/generation").unwrap_or_default();
    objects::set(&mut status, "/observedGeneration", generation);
    count(&mut status, "replicas", sum("/status/replicas"));
    count(&mut status, "updatedReplicas", updated);
    count(&mut status, "readyReplicas", sum("/status/readyReplicas"));
    count(&mut status, "availableReplicas", available);
    count(&mut status, "unavailableReplicas", (sum("/spec/replicas") - available).max(0));
    objects::set(&mut status, "/terminatingReplicas", sum("/status/terminatingReplicas"));
    objects::set(&mut deployment, "/status", status);
    rollout::judge(world, &mut deployment, &old, sets, current);
    put(world, deployment);
}
