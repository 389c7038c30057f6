//! The disruption controller: how many pods of a budget may be missed now.

use serde_json::{Value, json};

use super::{all, is_ready, put};
use crate::objects;
use crate::selectors::Labels;
use crate::world::World;

/// Looks at every budget once.
pub fn sync(world: &mut World) {
    for mut budget in all(world, "policy/poddisruptionbudgets") {
        let selector = Labels::of(budget.pointer("/spec/selector").unwrap_or(&Value::Null));
        let in_space = world.store.list("/pods", Some(objects::namespace(&budget)));
        let pods: Vec<&Value> = in_space.filter(|pod| selector.matches(pod)).collect();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let expected = number(pods.len());
        let healthy = number(pods.iter().filter(|pod| is_ready(pod) && !objects::is_going(pod)).count());
        let desired = match (part(&budget, "minAvailable", expected), part(&budget, "maxUnavailable", expected)) {
            (Some(least), _) => least,
            (None, Some(most)) => (expected - most).max(0),
            (None, None) => expected,
        };
        let allowed = (healthy - desired).max(0);
        let facts = [
            ("observedGeneration", objects::number(&budget, "/metadata/generation").unwrap_or(1)),
            ("disruptionsAllowed", allowed),
            ("currentHealthy", healthy),
            ("desiredHealthy", desired),
            ("expectedPods", expected),
        ];
        for (key, value) in facts {
            objects::set(&mut budget, &format!("/status/{key}"), value);
        }
        say_whether(world, &mut budget, allowed > 0);
        put(world, budget);
    }
}

fn part(budget: &Value, key: &str, expected: i64) -> Option<i64> {
    let value = budget.pointer(&format!("/spec/{key}"))?;
    match value.as_str().and_then(|text| text.strip_suffix('%')) {
        Some(percent) => percent.parse::<i64>().ok().map(|percent| (expected * percent + 99) / 100),
        None => value.as_i64(),
    }
}

fn say_whether(world: &World, budget: &mut Value, is_allowed: bool) {
    let (status, reason) = if is_allowed { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    if objects::condition(budget, "DisruptionAllowed").is_some_and(|it| objects::text(it, "/status") == status) {
        return;
    }
    let condition = json!({
        "type": "DisruptionAllowed", "status": status, "lastTransitionTime": world.clock.seconds(), "reason": reason,
        "observedGeneration": objects::number(budget, "/metadata/generation").unwrap_or(1), "message": "",
    });
    objects::set(budget, "/status/conditions", json!([condition]));
}
