//! The objects, every change to them with its resourceVersion, and what was forgotten of that.
//!
//! There is one counter for the whole store, as in etcd. The store does not know what is in an object beyond its
//! metadata, and never judges a change: that is done before. Objects are shared between the store, its history and its
//! copies, so that a copy of a whole cluster is cheap.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::objects;

/// Storage name, namespace and name of an object.
pub type Key = (String, String, String);

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It is new.
    Added,
    /// It changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// A change.
#[derive(Clone, Debug)]
pub struct Change {
    /// The version that it made.
    pub version: u64,
    /// Which object.
    pub key: Key,
    /// What happened.
    pub happening: Happening,
    /// The object after it, or its last state if it is gone.
    pub object: Arc<Value>,
    /// The object before it.
    pub before: Option<Arc<Value>>,
}

/// All objects.
#[derive(Clone, Debug)]
pub struct Store {
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: Vec<Change>,
    oldest: u64,
    made: u64,
}

impl Default for Store {
    fn default() -> Self {
        // A server that has just started has already written some objects of its own.
        Store { version: 100, objects: BTreeMap::new(), history: Vec::new(), oldest: 0, made: 0 }
    }
}

impl Store {
    /// The version of the last change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The oldest version that lists and watches can still start from.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Forgets the history, as etcd's compaction does: whoever asks for a version from before has to list again.
    pub fn compact(&mut self) {
        self.oldest = self.version;
    }

    /// An object.
    #[must_use]
    pub fn get(&self, storage: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(storage.to_owned(), namespace.to_owned(), name.to_owned())).map(Arc::as_ref)
    }

    /// The objects of a storage name in order of their keys, of one namespace or of all.
    pub fn list<'a>(&'a self, storage: &str, namespace: Option<&str>) -> impl Iterator<Item = &'a Value> + use<'a> {
        let storage = storage.to_owned();
        let namespace = namespace.map(str::to_owned);
        let start = (storage.clone(), namespace.clone().unwrap_or_default(), String::new());
        let range = self.objects.range(start..);
        range
            .take_while(move |(key, _)| key.0 == storage && namespace.as_ref().is_none_or(|space| *space == key.1))
            .map(|(_, object)| object.as_ref())
    }

    /// The objects as they were at a version.
    #[must_use]
    pub fn list_at(&self, storage: &str, namespace: Option<&str>, version: u64) -> Vec<Value> {
        let mut then: BTreeMap<&Key, &Arc<Value>> = BTreeMap::new();
        for change in self.history.iter().filter(|change| change.version <= version && change.key.0 == storage) {
            match change.happening {
                Happening::Added | Happening::Modified => then.insert(&change.key, &change.object),
                Happening::Deleted => then.remove(&change.key),
            };
        }
        let of_namespace = then.into_iter().filter(|(key, _)| namespace.is_none_or(|space| space == key.1));
        of_namespace.map(|(_, object)| object.as_ref().clone()).collect()
    }

    /// The changes after a version, of one storage name.
    pub fn changes_after<'a>(&'a self, storage: &'a str, version: u64) -> impl Iterator<Item = &'a Change> + use<'a> {
        let start = self.history.partition_point(|change| change.version <= version);
        self.history.iter().skip(start).filter(move |change| change.key.0 == storage)
    }

    /// Stores an object under its name and gives it the next version.
    pub fn put(&mut self, storage: &str, mut object: Value) -> Value {
        self.version += 1;
        objects::set(&mut object, "/metadata/resourceVersion", self.version.to_string());
        let key = (storage.to_owned(), objects::namespace(&object).to_owned(), objects::name(&object).to_owned());
        let shared = Arc::new(object.clone());
        let before = self.objects.insert(key.clone(), Arc::clone(&shared));
        let happening = if before.is_some() { Happening::Modified } else { Happening::Added };
        self.history.push(Change { version: self.version, key, happening, object: shared, before });
        object
    }

    /// Stores an object with the version that it already has, which becomes the store's own if it is newer.
    pub fn put_with_version(&mut self, storage: &str, object: Value, version: u64) -> Value {
        self.version = self.version.max(version).max(1) - u64::from(version > self.version);
        let stored = self.put(storage, object);
        if objects::text(&stored, "/metadata/resourceVersion") == version.to_string() {
            return stored;
        }
        // An older version than the store's: the object keeps it, the change is the newest all the same.
        let mut stored = stored;
        objects::set(&mut stored, "/metadata/resourceVersion", version.to_string());
        let key = (storage.to_owned(), objects::namespace(&stored).to_owned(), objects::name(&stored).to_owned());
        self.objects.insert(key, Arc::new(stored.clone()));
        stored
    }

    /// Takes an object away.
    pub fn delete(&mut self, storage: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = (storage.to_owned(), namespace.to_owned(), name.to_owned());
        let before = self.objects.remove(&key)?;
        self.version += 1;
        let mut object = before.as_ref().clone();
        objects::set(&mut object, "/metadata/resourceVersion", self.version.to_string());
        let change = Change {
            version: self.version,
            key,
            happening: Happening::Deleted,
            object: Arc::new(object.clone()),
            before: Some(before),
        };
        self.history.push(change);
        Some(object)
    }

    /// A unique identifier that no other object has.
    pub fn new_uid(&mut self) -> String {
        self.made += 1;
        format!("{:08x}-57a0-4d00-8000-{:012x}", self.made, self.made)
    }

    /// The random end of a generated name.
    pub fn new_suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        self.made += 1;
        // Spread, so that names in order of creation are not in order of the alphabet.
        let mut rest = self.made.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let letters = (0..5).filter_map(|_| {
            let letter = LETTERS.get(usize::try_from(rest % LETTERS.len() as u64).unwrap_or_default());
            rest /= LETTERS.len() as u64;
            letter.copied().map(char::from)
        });
        letters.collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, value: i64) -> Value {
        json!({"metadata": {"name": name, "namespace": "shop"}, "value": value})
    }

    #[test]
    fn the_past_can_be_listed() {
        let mut store = Store::default();
        store.put("x", object("a", 1));
        let then = store.version();
        store.put("x", object("a", 2));
        store.put("x", object("b", 1));
        store.delete("x", "shop", "a");
        assert_eq!(store.list("x", Some("shop")).count(), 1);
        assert_eq!(store.list_at("x", None, then)[0]["value"], 1);
        assert_eq!(store.changes_after("x", then).count(), 3);
    }

    #[test]
    fn every_change_has_a_version_of_its_own() {
        let mut store = Store::default();
        store.put("x", object("a", 1));
        store.delete("x", "shop", "a");
        let versions: Vec<u64> = store.changes_after("x", 0).map(|change| change.version).collect();
        assert_eq!(versions, [101, 102]);
    }

    #[test]
    fn an_object_can_be_planted_with_its_version() {
        let mut store = Store::default();
        store.put_with_version("x", object("a", 1), 426);
        assert_eq!(objects::text(store.get("x", "shop", "a").unwrap(), "/metadata/resourceVersion"), "426");
        store.put_with_version("x", object("b", 1), 300);
        assert_eq!(objects::text(store.get("x", "shop", "b").unwrap(), "/metadata/resourceVersion"), "300");
        assert!(store.version() > 426);
    }
}
