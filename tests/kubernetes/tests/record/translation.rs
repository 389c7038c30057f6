//! From the record's random values to those that took their place here.
//!
//! A recorded answer and ours are read side by side: the uid, the version and the continue token at the same place mean
//! the same thing. Names of pods are matched by the workload that they belong to.

use std::collections::BTreeMap;

use kubernetes_stand_in::Cluster;
use serde_json::Value;

/// What is known so far.
#[derive(Debug, Default)]
pub struct Translation {
    versions: BTreeMap<String, String>,
    uids: BTreeMap<String, String>,
    names: BTreeMap<String, String>,
    others: BTreeMap<String, String>,
}

impl Translation {
    /// One thing that is known otherwise.
    pub fn learn_version(&mut self, recorded: &str, ours: &str) {
        self.versions.insert(recorded.to_owned(), ours.to_owned());
    }

    /// One text of a request that stands for another.
    pub fn learn_text(&mut self, recorded: &str, ours: &str) {
        self.others.insert(recorded.to_owned(), ours.to_owned());
    }

    /// All pods of a workload went and others came; their names may be matched anew.
    pub fn forget_pods(&mut self, workload: &str) {
        let prefix = format!("{workload}-");
        self.names.retain(|recorded, _| !recorded.starts_with(&prefix));
    }

    /// The name here of a pod of the record. A pod without a counterpart gets the first of its workload's that is free.
    pub fn pod(&mut self, cluster: &Cluster, recorded: &str) -> String {
        if let Some(known) = self.names.get(recorded) {
            return known.clone();
        }
        let pods = cluster.list("v1/Pod", Some("shop"));
        let names: Vec<&str> = pods.iter().filter_map(|pod| pod.pointer("/metadata/name")?.as_str()).collect();
        let workload = |name: &str| name.rsplitn(3, '-').nth(2).unwrap_or(name).to_owned();
        let is_free = |name: &str| !self.names.values().any(|taken| taken == name);
        let is_going = |name: &str| {
            pods.iter().any(|pod| {
                pod.pointer("/metadata/name") == Some(&name.into())
                    && pod.pointer("/metadata/deletionTimestamp").is_some()
            })
        };
        let same = names.iter().find(|name| **name == recorded);
        let alike =
            || names.iter().find(|name| workload(name) == workload(recorded) && is_free(name) && !is_going(name));
        let ours = same.or_else(alike).map_or(recorded, |name| *name).to_owned();
        if ours != recorded {
            self.names.insert(recorded.to_owned(), ours.clone());
        }
        ours
    }

    /// Reads a recorded answer and ours side by side.
    pub fn learn(&mut self, cluster: &Cluster, recorded: &Value, ours: &Value) {
        match (recorded, ours) {
            (Value::Object(recorded), Value::Object(ours)) => {
                for (key, value) in recorded {
                    let Some(own) = ours.get(key) else { continue };
                    match (key.as_str(), value, own) {
                        ("resourceVersion", Value::String(value), Value::String(own)) => {
                            self.versions.insert(value.clone(), own.clone());
                        }
                        ("uid", Value::String(value), Value::String(own)) => {
                            self.uids.insert(value.clone(), own.clone());
                        }
                        ("continue", Value::String(value), Value::String(own)) => {
                            self.others.insert(value.clone(), own.clone());
                        }
                        _ => self.learn(cluster, value, own),
                    }
                }
            }
            (Value::Array(recorded), Value::Array(ours)) => self.learn_list(cluster, recorded, ours),
            _ => {}
        }
    }

    fn learn_list(&mut self, cluster: &Cluster, recorded: &[Value], ours: &[Value]) {
        let name = |item: &Value| item.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
        for (at, item) in recorded.iter().enumerate() {
            let is_pod = item.pointer("/spec/containers").is_some();
            let counterpart = match name(item) {
                Some(wanted) if is_pod => {
                    let wanted = self.pod(cluster, &wanted);
                    ours.iter().find(|own| name(own).as_ref() == Some(&wanted))
                }
                Some(wanted) => ours.iter().find(|own| name(own).as_ref() == Some(&wanted)).or_else(|| ours.get(at)),
                None => ours.get(at),
            };
            if let Some(counterpart) = counterpart {
                self.learn(cluster, item, counterpart);
            }
        }
    }

    /// A path with its query.
    pub fn path(&mut self, cluster: &Cluster, path: &str) -> String {
        let mut path = path.to_owned();
        for name in pods_in(&path) {
            let ours = self.pod(cluster, &name);
            path = path.replace(&name, &ours);
        }
        for (recorded, ours) in self.uids.iter().chain(&self.others) {
            path = path.replace(recorded, ours);
        }
        let (place, query) = path.split_once('?').unwrap_or((&path, ""));
        let pairs: Vec<String> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| match pair.strip_prefix("resourceVersion=") {
                Some(version) => {
                    format!("resourceVersion={}", self.versions.get(version).map_or(version, String::as_str))
                }
                None => pair.to_owned(),
            })
            .collect();
        format!("{place}?{}", pairs.join("&"))
    }

    /// A body.
    pub fn body(&self, body: &Value) -> Value {
        match body {
            Value::Object(map) => {
                let is_version_test = map.get("path") == Some(&"/metadata/resourceVersion".into());
                let pairs = map.iter().map(|(key, value)| {
                    let is_version = key == "resourceVersion" || (is_version_test && key == "value");
                    let ours = match value.as_str().filter(|_| is_version) {
                        Some(version) => self.versions.get(version).map_or(version, String::as_str).into(),
                        None => self.body(value),
                    };
                    (key.clone(), ours)
                });
                Value::Object(pairs.collect())
            }
            Value::Array(list) => list.iter().map(|item| self.body(item)).collect(),
            Value::String(text) => {
                let uid = self.uids.get(text).or_else(|| self.others.get(text)).cloned();
                uid.unwrap_or_else(|| self.names.get(text).cloned().unwrap_or_else(|| text.clone())).into()
            }
            other => other.clone(),
        }
    }
}

/// Names of pods of Deployments in a path: a word, a hash of eight to ten letters, five random letters.
fn pods_in(path: &str) -> Vec<String> {
    let is_name = |word: &&str| {
        let parts: Vec<&str> = word.rsplitn(3, '-').collect();
        matches!(parts.as_slice(), [end, hash, _] if end.len() == 5 && (8..=10).contains(&hash.len()))
    };
    let words = path.split(|char: char| !char.is_ascii_alphanumeric() && char != '-');
    // What comes before a name is percent-encoded, so it begins with two digits of that.
    let words = words.map(|word| word.strip_prefix("3D").unwrap_or(word));
    words.filter(is_name).map(str::to_owned).collect()
}
