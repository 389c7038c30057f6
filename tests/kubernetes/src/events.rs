//! Events, which the server stores once and shows in two dresses: core v1 and events.k8s.io/v1.

use serde_json::{Map, Value, json};

use crate::objects;
use crate::resources::Resource;

/// Name in the core, name in events.k8s.io.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// The stored object as this resource shows it.
#[must_use]
pub fn present(resource: &Resource, object: Value) -> Value {
    if !is_new_dress(resource) {
        return object;
    }
    let mut shown = rename(object, |core, _| core, |_, new| new);
    objects::set(&mut shown, "/apiVersion", resource.api_version());
    // The newer form leaves out who reports if nobody does, the older one never.
    for key in ["reportingController", "reportingInstance"] {
        if shown.get(key) == Some(&json!("")) {
            objects::remove(&mut shown, &format!("/{key}"));
        }
    }
    shown
}

/// An object that came in as this resource, as it is stored.
#[must_use]
pub fn absorb(resource: &Resource, object: Value) -> Value {
    if !is_new_dress(resource) {
        return object;
    }
    let mut stored = rename(object, |_, new| new, |core, _| core);
    objects::set(&mut stored, "/apiVersion", "v1");
    for key in ["reportingComponent", "reportingInstance"] {
        if stored.get(key).is_none() {
            objects::set(&mut stored, &format!("/{key}"), "");
        }
    }
    stored
}

/// Whether objects of this resource are stored in another form than they are shown.
#[must_use]
pub fn is_new_dress(resource: &Resource) -> bool {
    resource.group == "events.k8s.io"
}

type Pick = fn(&'static str, &'static str) -> &'static str;

fn rename(object: Value, from: Pick, to: Pick) -> Value {
    let Value::Object(members) = object else { return object };
    let renamed = members.into_iter().map(|(key, value)| {
        let name = NAMES.iter().find(|(core, new)| from(core, new) == key);
        (name.map_or(key, |(core, new)| to(core, new).to_owned()), value)
    });
    Value::Object(renamed.collect::<Map<_, _>>())
}

/// What a component of the cluster says about an object.
pub struct Note<'a> {
    /// Who says it.
    pub component: &'a str,
    /// The node it runs on; empty for controllers.
    pub host: &'a str,
    /// `Normal` or `Warning`.
    pub severity: &'a str,
    /// Why, in one word.
    pub reason: &'a str,
    /// The words.
    pub message: &'a str,
    /// The part of the object that it is about; empty for all of it.
    pub field_path: &'a str,
}

/// An event in the older form, with a count, as controllers and kubelets write it.
#[must_use]
pub fn counted(about: &Value, note: &Note<'_>, count: u64, time: &str, suffix: &str) -> Value {
    let mut source = json!({"component": note.component});
    if !note.host.is_empty() {
        objects::set(&mut source, "/host", note.host);
    }
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": metadata(about, suffix),
        "involvedObject": reference(about, note.field_path), "reason": note.reason, "message": note.message,
        "source": source, "firstTimestamp": time, "lastTimestamp": time, "count": count, "type": note.severity,
        "eventTime": null, "reportingComponent": note.component, "reportingInstance": note.host,
    })
}

/// An event in the newer form, with a time to the microsecond, as the scheduler writes it.
#[must_use]
pub fn timed(about: &Value, note: &Note<'_>, action: &str, time: &str, suffix: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": metadata(about, suffix),
        "involvedObject": reference(about, note.field_path), "reason": note.reason, "message": note.message,
        "source": {}, "firstTimestamp": null, "lastTimestamp": null, "type": note.severity, "eventTime": time,
        "action": action, "reportingComponent": note.component,
        "reportingInstance": format!("{}-control-plane", note.component),
    })
}

fn metadata(about: &Value, suffix: &str) -> Value {
    json!({"name": format!("{}.{suffix}", objects::name(about)), "namespace": objects::namespace(about)})
}

fn reference(about: &Value, field_path: &str) -> Value {
    let mut reference = json!({
        "kind": about.get("kind"), "namespace": objects::namespace(about), "name": objects::name(about),
        "uid": objects::uid(about), "apiVersion": about.get("apiVersion"),
        "resourceVersion": objects::text(about, "/metadata/resourceVersion"),
    });
    if !field_path.is_empty() {
        objects::set(&mut reference, "/fieldPath", field_path);
    }
    reference
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources;

    #[test]
    fn an_event_survives_the_change_of_its_dress() {
        let new = resources::find("events.k8s.io", "v1", "events").unwrap();
        let about =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop", "uid": "1"}});
        let note = Note {
            component: "kubelet",
            host: "node-0",
            severity: "Warning",
            reason: "BackOff",
            message: "back-off",
            field_path: "",
        };
        let stored = counted(&about, &note, 3, "2026-01-01T00:00:00Z", "1");
        let shown = present(new, stored.clone());
        assert_eq!((&shown["note"], &shown["deprecatedCount"]), (&json!("back-off"), &json!(3)));
        assert_eq!(absorb(new, shown), stored);
    }
}
