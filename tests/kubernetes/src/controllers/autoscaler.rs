//! The autoscaler: keeps the replicas of its target between its bounds, metrics or not.

use serde_json::{Value, json};

use super::{all, put, say, target};
use crate::objects;
use crate::options::Options;
use crate::resources;
use crate::world::World;
use crate::write;

const NO_METRICS: &str = "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to \
                          get metrics for resource cpu: no metrics returned from resource metrics API";

/// Looks at every autoscaler once.
pub fn sync(world: &mut World) {
    for scaler in all(world, "autoscaling/horizontalpodautoscalers") {
        let reference = |key: &str| objects::text(&scaler, &format!("/spec/scaleTargetRef/{key}")).to_owned();
        let Some(resource) = resources::of_kind(&reference("apiVersion"), &reference("kind")) else { continue };
        let found = world.store.get(&resource.storage(), objects::namespace(&scaler), &reference("name")).cloned();
        if let Some(workload) = found {
            look(world, scaler, &workload);
        }
    }
}

fn look(world: &mut World, mut scaler: Value, workload: &Value) {
    let bound = |key: &str| objects::number(&scaler, &format!("/spec/{key}"));
    let (least, most) = (bound("minReplicas").unwrap_or(1), bound("maxReplicas").unwrap_or(i64::MAX));
    let has = objects::number(workload, "/spec/replicas").unwrap_or(1);
    let able =
        ("AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale");
    if has == 0 {
        let why = "scaling is disabled since the replica count of the target is zero";
        facts(&mut scaler, 0, 0, Value::Null);
        say_so(world, &mut scaler, able);
        say_so(world, &mut scaler, ("ScalingActive", "False", "ScalingDisabled", why));
        put(world, scaler);
        return;
    }
    say_so(world, &mut scaler, ("ScalingActive", "False", "FailedGetResourceMetric", NO_METRICS));
    let wanted = has.clamp(least, most);
    if wanted == has {
        facts(&mut scaler, has, 0, json!([{"type": ""}]));
        say_so(world, &mut scaler, able);
        put(world, scaler);
        return;
    }
    rescale(world, workload, wanted);
    let why = if has > most {
        "Current number of replicas above Spec.MaxReplicas"
    } else {
        "Current number of replicas below Spec.MinReplicas"
    };
    let message = format!("New size: {wanted}; reason: {why}");
    say(world, &scaler, "horizontal-pod-autoscaler", "Normal", "SuccessfulRescale", &message);
    facts(&mut scaler, has, wanted, Value::Null);
    objects::set(&mut scaler, "/status/lastScaleTime", world.clock.seconds());
    let message = format!("the HPA controller was able to update the target scale to {wanted}");
    say_so(world, &mut scaler, ("AbleToScale", "True", "SucceededRescale", &message));
    put(world, scaler);
}

fn facts(scaler: &mut Value, current: i64, desired: i64, metrics: Value) {
    let mut status = scaler.get("status").cloned().unwrap_or(json!({}));
    super::count(&mut status, "currentReplicas", current);
    objects::set(&mut status, "/desiredReplicas", desired);
    objects::set(&mut status, "/currentMetrics", metrics);
    objects::set(scaler, "/status", status);
}

fn rescale(world: &mut World, workload: &Value, wanted: i64) {
    let mut new = workload.clone();
    objects::set(&mut new, "/spec/replicas", wanted);
    // Through the subresource, so that managedFields tell whose the replicas are. It was read a moment ago.
    let _ = write::change(world, &target(workload, "scale"), workload, new, &Options::of_component(super::MANAGER));
}

fn say_so(world: &World, scaler: &mut Value, (name, status, reason, message): (&str, &str, &str, &str)) {
    let known = objects::condition(scaler, name).filter(|it| objects::text(it, "/status") == status);
    let since = known.map(|it| objects::text(it, "/lastTransitionTime").to_owned());
    let condition = json!({
        "type": name, "status": status, "lastTransitionTime": since.unwrap_or_else(|| world.clock.seconds()),
        "reason": reason, "message": message,
    });
    let others = objects::items(scaler, "/status/conditions").filter(|it| objects::text(it, "/type") != name);
    let conditions: Vec<Value> = others.cloned().chain([condition]).collect();
    objects::set(scaler, "/status/conditions", conditions);
}
