//! What the server says about itself: version, health, and which resources it has.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::metrics::Metrics;
use crate::request::Request;
use crate::resources::{self, Resource};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Answers a path that is no resource; none if the path is not one of these.
#[must_use]
pub fn answer(request: &Request, metrics: &Metrics) -> Option<Answer> {
    let groups = groups(metrics);
    let wants_aggregated = request.accept.contains("as=APIGroupDiscoveryList");
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["version"] => Some(Answer::json(200, version())),
        ["healthz" | "readyz" | "livez"] => Some(Answer::text(200, "ok")),
        ["api"] if wants_aggregated => Some(aggregated(&[("", "v1")])),
        ["apis"] if wants_aggregated => Some(aggregated(&groups)),
        ["api"] => Some(Answer::json(
            200,
            json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        )),
        ["apis"] => Some(Answer::json(200, group_list(&groups))),
        ["api", "v1"] => Some(Answer::json(200, resource_list("", "v1"))),
        ["apis", group] => Some(known(&groups, group, |_| group_document(&groups, group))),
        ["apis", group, version] => Some(known(&groups, group, |versions| {
            if versions.contains(version) { resource_list(group, version) } else { Value::Null }
        })),
        _ => None,
    }
}

/// Whether requests below this path are for a group that is served.
#[must_use]
pub fn serves(group: &str, version: &str, metrics: &Metrics) -> bool {
    (group, version) == ("", "v1") || groups(metrics).contains(&(group, version))
}

fn groups(metrics: &Metrics) -> Vec<(&'static str, &'static str)> {
    let all = resources::group_versions().into_iter();
    all.filter(|(group, _)| !group.is_empty() && (*group != "metrics.k8s.io" || metrics.is_registered())).collect()
}

fn known(groups: &[(&'static str, &'static str)], group: &str, then: impl Fn(&[&str]) -> Value) -> Answer {
    let versions: Vec<&str> = groups.iter().filter(|(name, _)| *name == group).map(|(_, version)| *version).collect();
    match if versions.is_empty() { Value::Null } else { then(&versions) } {
        Value::Null => Answer::page_not_found(),
        document => Answer::json(200, document),
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35", "gitVersion": "v1.36.2", "gitCommit": "stand-in", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "none", "platform": "linux/amd64",
    })
}

fn group_list(groups: &[(&'static str, &'static str)]) -> Value {
    let mut names: Vec<&str> = groups.iter().map(|(group, _)| *group).collect();
    names.dedup();
    let documents: Vec<Value> = names.iter().map(|group| group_document(groups, group)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": documents})
}

fn group_document(groups: &[(&'static str, &'static str)], group: &str) -> Value {
    let of_group = groups.iter().filter(|(name, _)| *name == group);
    let versions: Vec<Value> = of_group
        .map(|(_, version)| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    let preferred = versions.first().cloned();
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": versions, "preferredVersion": preferred})
}

fn resource_list(group: &str, version: &str) -> Value {
    let of_group = resources::all().filter(|it| it.group == group && it.version == version);
    let entries: Vec<Value> = of_group.map(entry).collect();
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": entries});
    // The oldest group is the one that does not say its own version.
    if let (false, Some(list)) = (group.is_empty(), list.as_object_mut()) {
        list.insert("apiVersion".to_owned(), "v1".into());
    }
    list
}

fn entry(resource: &Resource) -> Value {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), resource.full_name().into());
    entry.insert("singularName".to_owned(), resource.singular.clone().into());
    entry.insert("namespaced".to_owned(), resource.is_namespaced.into());
    if let Some((group, version)) = &resource.kind_group {
        entry.insert("group".to_owned(), group.clone().into());
        entry.insert("version".to_owned(), version.clone().into());
    }
    entry.insert("kind".to_owned(), resource.kind.clone().into());
    entry.insert("verbs".to_owned(), json!(resource.verbs));
    people(resource, &mut entry);
    if let Some(hash) = &resource.hash {
        entry.insert("storageVersionHash".to_owned(), hash.clone().into());
    }
    Value::Object(entry)
}

fn people(resource: &Resource, entry: &mut Map<String, Value>) {
    if !resource.short_names.is_empty() {
        entry.insert("shortNames".to_owned(), json!(resource.short_names));
    }
    if !resource.categories.is_empty() {
        entry.insert("categories".to_owned(), json!(resource.categories));
    }
}

fn aggregated(groups: &[(&'static str, &'static str)]) -> Answer {
    let mut names: Vec<&str> = groups.iter().map(|(group, _)| *group).collect();
    names.dedup();
    let items: Vec<Value> = names
        .iter()
        .map(|group| {
            let versions = groups.iter().filter(|(name, _)| name == group);
            let versions: Vec<Value> = versions.map(|(group, version)| aggregated_version(group, version)).collect();
            json!({"metadata": {"name": group}, "versions": versions})
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    Answer::json(200, list).with_content_type(AGGREGATED)
}

fn aggregated_version(group: &str, version: &str) -> Value {
    let of_version = || resources::all().filter(|it| it.group == group && it.version == version);
    let resources: Vec<Value> = of_version()
        .filter(|it| it.subresource.is_none())
        .map(|resource| {
            let mut entry = Map::new();
            entry.insert("resource".to_owned(), resource.plural.clone().into());
            entry.insert("responseKind".to_owned(), response_kind(resource));
            let scope = if resource.is_namespaced { "Namespaced" } else { "Cluster" };
            entry.insert("scope".to_owned(), scope.into());
            entry.insert("singularResource".to_owned(), resource.singular.clone().into());
            entry.insert("verbs".to_owned(), json!(resource.verbs));
            people(resource, &mut entry);
            let subs = of_version().filter(|it| it.plural == resource.plural && it.subresource.is_some());
            let subs: Vec<Value> = subs
                .map(|sub| {
                    json!({"subresource": sub.subresource, "responseKind": response_kind(sub), "verbs": sub.verbs})
                })
                .collect();
            if !subs.is_empty() {
                entry.insert("subresources".to_owned(), subs.into());
            }
            Value::Object(entry)
        })
        .collect();
    json!({"version": version, "resources": resources, "freshness": "Current"})
}

/// An empty group and version mean the resource's own.
fn response_kind(resource: &Resource) -> Value {
    let (group, version) = resource.kind_group.clone().unwrap_or_default();
    json!({"group": group, "version": version, "kind": resource.kind})
}
