//! Who set which field: the `managedFields` of an object, kept the way the server keeps them.

mod set;
mod typed;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::objects;
use crate::schema;

pub use set::FieldSet;
use typed::Comparison;

/// Who writes, through what.
#[derive(Clone, Debug, PartialEq)]
pub struct Writer {
    /// Name of the field manager.
    pub manager: String,
    /// Whether it applies, or updates.
    pub applies: bool,
    /// Version of the type it writes.
    pub api_version: String,
    /// The subresource it writes through; empty if none.
    pub subresource: String,
    /// When.
    pub time: String,
}

/// One writer and what it owns.
#[derive(Clone, Debug)]
struct Owner {
    writer: Writer,
    fields: FieldSet,
}

impl Writer {
    fn is_same(&self, other: &Writer) -> bool {
        let ours = (&self.manager, self.applies, &self.api_version, &self.subresource);
        ours == (&other.manager, other.applies, &other.api_version, &other.subresource)
    }

    fn describe(&self) -> String {
        let through = match self.subresource.as_str() {
            "" => String::new(),
            sub => format!(" with subresource \"{sub}\""),
        };
        format!("\"{}\"{through} using {}", self.manager, self.api_version)
    }
}

/// Notes in `new` what the writer changed against `old`; without an `old`, everything is new.
pub fn note_update(ty: &str, old: Option<&Value>, new: &mut Value, writer: &Writer) {
    let empty = schema::zero(ty);
    let comparison = Comparison::of(ty, old.unwrap_or(&empty), new);
    let mut owners = read(old.unwrap_or(&empty));
    if comparison.is_empty() {
        store(&owners, new);
        return;
    }
    let set = comparison.added.union(&comparison.modified);
    take_over(&mut owners, writer, &set, &comparison.removed);
    match owners.iter_mut().find(|owner| owner.writer.is_same(writer)) {
        Some(owner) => {
            owner.fields = owner.fields.union(&set);
            owner.writer.time.clone_from(&writer.time);
        }
        None => owners.push(Owner { writer: writer.clone(), fields: set }),
    }
    owners.retain(|owner| !owner.fields.is_empty());
    store(&owners, new);
}

/// The object after an apply, without regard to whether anything changed.
///
/// What the writer applied before and does not apply any more is taken away, unless somebody else owns it.
pub fn apply(ty: &str, live: &Value, config: &Value, writer: &Writer, is_forced: bool) -> Result<Value, Failure> {
    let mut owners = read(live);
    let wanted = typed::field_set(ty, config);
    let before = owners.iter().find(|owner| owner.writer.is_same(writer)).map(|owner| owner.fields.clone());
    let mut merged = typed::merge(ty, live, config);
    let others: Vec<FieldSet> =
        owners.iter().filter(|owner| !owner.writer.is_same(writer)).map(|owner| owner.fields.clone()).collect();
    for path in before.unwrap_or_default().difference(&wanted).paths() {
        let is_owned = wanted.reaches(&path) || others.iter().any(|fields| fields.reaches(&path));
        if !is_owned {
            typed::remove(ty, &mut merged, &path);
        }
    }
    let comparison = Comparison::of(ty, live, &merged);
    let set = comparison.added.union(&comparison.modified);
    if !is_forced {
        refuse_conflicts(&owners, writer, &set)?;
    }
    take_over(&mut owners, writer, &set, &comparison.removed);
    let kept = owners.iter().find(|owner| owner.writer.is_same(writer) && owner.fields == wanted);
    let time = kept.filter(|_| comparison.is_empty()).map_or(&writer.time, |owner| &owner.writer.time).clone();
    owners.retain(|owner| !owner.writer.is_same(writer));
    owners.insert(0, Owner { writer: Writer { time, ..writer.clone() }, fields: wanted });
    owners.retain(|owner| !owner.fields.is_empty());
    store(&owners, &mut merged);
    Ok(merged)
}

fn refuse_conflicts(owners: &[Owner], writer: &Writer, set: &FieldSet) -> Result<(), Failure> {
    let mut conflicts = Vec::new();
    for owner in owners.iter().filter(|owner| !owner.writer.is_same(writer)) {
        for path in owner.fields.intersection(set).paths() {
            conflicts.push((owner.writer.describe(), set::readable(&path)));
        }
    }
    if conflicts.is_empty() { Ok(()) } else { Err(Failure::owned_by_others(&conflicts)) }
}

/// What one writer set, the others do not own any more; what is gone, nobody owns.
fn take_over(owners: &mut [Owner], writer: &Writer, set: &FieldSet, removed: &FieldSet) {
    for owner in owners {
        if !owner.writer.is_same(writer) {
            owner.fields = owner.fields.difference(set);
        }
        owner.fields = owner.fields.difference(removed);
    }
}

fn read(object: &Value) -> Vec<Owner> {
    let entries = objects::items(object, "/metadata/managedFields");
    entries
        .map(|entry| {
            let text = |key: &str| objects::text(entry, key).to_owned();
            let writer = Writer {
                manager: text("/manager"),
                applies: text("/operation") == "Apply",
                api_version: text("/apiVersion"),
                subresource: text("/subresource"),
                time: text("/time"),
            };
            Owner { writer, fields: FieldSet::from_json(entry.get("fieldsV1").unwrap_or(&Value::Null)) }
        })
        .collect()
}

fn store(owners: &[Owner], object: &mut Value) {
    let entries: Vec<Value> = owners
        .iter()
        .map(|Owner { writer, fields }| {
            let mut entry = json!({
                "manager": writer.manager, "operation": if writer.applies { "Apply" } else { "Update" },
                "apiVersion": writer.api_version, "time": writer.time, "fieldsType": "FieldsV1",
                "fieldsV1": fields.to_json(),
            });
            if !writer.subresource.is_empty() {
                objects::set(&mut entry, "/subresource", writer.subresource.clone());
            }
            entry
        })
        .collect();
    if entries.is_empty() {
        objects::remove(object, "/metadata/managedFields");
    } else {
        objects::set(object, "/metadata/managedFields", entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(manager: &str, applies: bool) -> Writer {
        Writer {
            manager: manager.to_owned(),
            applies,
            api_version: "v1".to_owned(),
            subresource: String::new(),
            time: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    fn created() -> Value {
        let mut object = json!({"metadata": {"name": "a"}, "data": {"a": "1"}});
        note_update("ConfigMap", None, &mut object, &writer("admin", false));
        object
    }

    #[test]
    fn an_update_moves_what_it_changed() {
        let old = created();
        let mut new = old.clone();
        objects::set(&mut new, "/data/a", "2");
        note_update("ConfigMap", Some(&old), &mut new, &writer("agent", false));
        let owners = read(&new);
        assert_eq!(owners[0].fields.to_json(), json!({"f:data": {}}));
        assert_eq!(owners[1].fields.to_json(), json!({"f:data": {"f:a": {}}}));
    }

    #[test]
    fn an_apply_of_what_another_owns_is_refused_unless_it_is_forced() {
        let config = json!({"data": {"a": "2"}});
        let refused = apply("ConfigMap", &created(), &config, &writer("agent", true), false);
        assert_eq!(refused.unwrap_err().code, 409);
        let forced = apply("ConfigMap", &created(), &config, &writer("agent", true), true).unwrap();
        assert_eq!(forced["data"], json!({"a": "2"}));
    }

    #[test]
    fn an_apply_without_a_field_gives_it_up() {
        let applied =
            apply("ConfigMap", &created(), &json!({"data": {"b": "1"}}), &writer("agent", true), false).unwrap();
        assert_eq!(applied["data"], json!({"a": "1", "b": "1"}));
        let released = apply("ConfigMap", &applied, &json!({}), &writer("agent", true), false).unwrap();
        assert_eq!(released["data"], json!({"a": "1"}));
    }
}
