//! Revisions: names by a hash of the template, written in the letters that Kubernetes uses for it, and the
//! ControllerRevisions in which StatefulSets and DaemonSets keep them.

use serde_json::{Value, json};

use super::{create, owned, put};
use crate::objects;
use crate::world::World;

const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A kept revision.
#[derive(Debug)]
pub struct Revision {
    /// Name of its ControllerRevision.
    pub name: String,
    /// Hash of its template.
    pub hash: String,
}

/// The hash of a template. The same template has the same hash, as it must for a rollback to find its revision.
#[must_use]
pub fn hash(template: &Value) -> String {
    let text = template.to_string();
    // FNV-1a: small, and the same on every machine.
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let letters = hash.to_string();
    let safe = letters.bytes().filter_map(|byte| LETTERS.get(usize::from(byte) % LETTERS.len()));
    safe.copied().map(char::from).collect()
}

/// The revision with the present template of a workload. An old one that is used again gets a new number.
pub fn current(world: &mut World, workload: &Value) -> Revision {
    let mut template = workload.pointer("/spec/template").cloned().unwrap_or_default();
    let hash = hash(&template);
    objects::set(&mut template, "/$patch", "replace");
    let data = json!({"spec": {"template": template}});
    let revisions = owned(world, "apps/controllerrevisions", workload);
    let number = |revision: &Value| objects::number(revision, "/revision").unwrap_or_default();
    let newest = revisions.iter().map(number).max().unwrap_or_default();
    if let Some(known) = revisions.iter().find(|revision| revision.get("data") == Some(&data)) {
        if number(known) < newest {
            let mut known = known.clone();
            objects::set(&mut known, "/revision", newest + 1);
            put(world, known);
        }
        return Revision { name: objects::name(known).to_owned(), hash };
    }
    let name = format!("{}-{hash}", objects::name(workload));
    let mut labels = workload.pointer("/spec/selector/matchLabels").cloned().unwrap_or(json!({}));
    objects::set(&mut labels, "/controller.kubernetes.io~1hash", hash.clone());
    let mut made = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {
            "name": name, "namespace": objects::namespace(workload), "labels": labels,
            "ownerReferences": [super::owner_reference(workload)],
        },
        "data": data, "revision": newest + 1,
    });
    if let Some(annotations) = workload.pointer("/metadata/annotations") {
        objects::set(&mut made, "/metadata/annotations", annotations.clone());
    }
    // Its name is taken only if it is this very revision.
    let _ = create(world, made);
    Revision { name, hash }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_has_one_hash() {
        let one = json!({"spec": {"containers": [{"image": "a:1"}]}});
        let other = json!({"spec": {"containers": [{"image": "a:2"}]}});
        assert_eq!(hash(&one), hash(&one.clone()));
        assert_ne!(hash(&one), hash(&other));
    }
}
