//! Sets of fields, as they are written in `fieldsV1`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Fields of an object: a tree whose edges are `f:name`, `k:{"key":…}` and `v:value`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldSet {
    is_member: bool,
    children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// Reads `fieldsV1`.
    #[must_use]
    pub fn from_json(value: &Value) -> Self {
        let mut set = FieldSet::default();
        for (key, inner) in value.as_object().into_iter().flatten() {
            if key == "." {
                set.is_member = true;
                continue;
            }
            let mut child = FieldSet::from_json(inner);
            child.is_member |= child.children.is_empty();
            set.children.insert(key.clone(), child);
        }
        set
    }

    /// Writes `fieldsV1`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let children = self.children.iter().map(|(key, child)| (key.clone(), child.to_json()));
        let mut written: Map<String, Value> = children.collect();
        if self.is_member && !self.children.is_empty() {
            written.insert(".".to_owned(), json!({}));
        }
        Value::Object(written)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.is_member && self.children.values().all(FieldSet::is_empty)
    }

    /// Puts a path in.
    pub fn insert(&mut self, path: &[String]) {
        match path.split_first() {
            None => self.is_member = true,
            Some((first, rest)) => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Takes a path out, with what is below it if `with_children`.
    pub fn strip(&mut self, path: &[&str]) {
        match path.split_first() {
            None => self.is_member = false,
            Some((first, rest)) => {
                if let Some(child) = self.children.get_mut(*first) {
                    child.strip(rest);
                    if child.is_empty() {
                        self.children.remove(*first);
                    }
                }
            }
        }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &FieldSet) -> FieldSet {
        let mut all = self.clone();
        all.is_member |= other.is_member;
        for (key, child) in &other.children {
            let merged = all.children.get(key).map_or_else(|| child.clone(), |own| own.union(child));
            all.children.insert(key.clone(), merged);
        }
        all
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        let children = self.children.iter().map(|(key, child)| {
            let rest = other.children.get(key).map_or_else(|| child.clone(), |its| child.difference(its));
            (key.clone(), rest)
        });
        let children = children.filter(|(_, child)| !child.is_empty()).collect();
        FieldSet { is_member: self.is_member && !other.is_member, children }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let children = self.children.iter().filter_map(|(key, child)| {
            let common = child.intersection(other.children.get(key)?);
            (!common.is_empty()).then(|| (key.clone(), common))
        });
        FieldSet { is_member: self.is_member && other.is_member, children: children.collect() }
    }

    /// All paths that are in it.
    #[must_use]
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = if self.is_member { vec![Vec::new()] } else { Vec::new() };
        for (key, child) in &self.children {
            for mut rest in child.paths() {
                rest.insert(0, key.clone());
                paths.push(rest);
            }
        }
        paths
    }

    /// Whether the path, or anything below it, is in it.
    #[must_use]
    pub fn reaches(&self, path: &[String]) -> bool {
        match path.split_first() {
            None => !self.is_empty(),
            Some((first, rest)) => self.children.get(first).is_some_and(|child| child.reaches(rest)),
        }
    }
}

/// The path as conflicts write it, such as `.spec.containers[name="api"].image`.
#[must_use]
pub fn readable(path: &[String]) -> String {
    path.iter().map(|element| readable_element(element)).collect()
}

fn readable_element(element: &str) -> String {
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys: Value = serde_json::from_str(keys).unwrap_or_default();
            let pairs = keys.as_object().into_iter().flatten();
            let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", pairs.join(","))
        }
        Some((_, value)) => format!("[={value}]"),
        None => element.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        let json = json!({"f:spec": {".": {}, "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:value": {}}}, "f:x": {}}});
        assert_eq!(FieldSet::from_json(&json).to_json(), json);
    }

    #[test]
    fn sets_are_subtracted_node_by_node() {
        let all = FieldSet::from_json(&json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}}));
        let some = FieldSet::from_json(&json!({"f:a": {"f:b": {}}}));
        assert_eq!(all.difference(&some).to_json(), json!({"f:a": {".": {}, "f:c": {}}}));
        assert!(all.difference(&all).is_empty());
        assert_eq!(all.intersection(&some).to_json(), some.to_json());
    }

    #[test]
    fn paths_read_as_in_a_conflict() {
        let path = ["f:spec", "k:{\"name\":\"api\"}", "f:image"].map(str::to_owned);
        assert_eq!(readable(&path), ".spec[name=\"api\"].image");
    }
}
