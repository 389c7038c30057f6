//! The table of API resources: what is served under which group, and what may be done with it.
//!
//! Routing and discovery read the same table, so that what is announced is what is answered.

use std::sync::LazyLock;

/// A resource, or a subresource such as `deployments/scale`.
#[derive(Debug, PartialEq)]
pub struct Resource {
    /// API group; empty for the core.
    pub group: String,
    /// Version of the group.
    pub version: String,
    /// Plural name.
    pub plural: String,
    /// Part after the slash, if it is a subresource.
    pub subresource: Option<String>,
    /// Singular name; empty for subresources.
    pub singular: String,
    /// Kind of its objects.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub is_namespaced: bool,
    /// What may be done with it.
    pub verbs: Vec<&'static str>,
    /// Short names for people.
    pub short_names: Vec<String>,
    /// Categories for people.
    pub categories: Vec<String>,
    /// Hash of its storage version.
    pub hash: Option<String>,
    /// Group and version of the kind, where they are not the resource's own.
    pub kind_group: Option<(String, String)>,
}

static RESOURCES: LazyLock<Vec<Resource>> = LazyLock::new(|| parse(include_str!("resources.txt")));

/// All resources, group by group.
pub fn all() -> impl Iterator<Item = &'static Resource> {
    RESOURCES.iter()
}

/// Groups and versions in the order of the table, each once.
#[must_use]
pub fn group_versions() -> Vec<(&'static str, &'static str)> {
    let mut pairs: Vec<_> = all().map(|resource| (resource.group.as_str(), resource.version.as_str())).collect();
    pairs.dedup();
    pairs
}

/// The resource, not a subresource, of this name.
#[must_use]
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    all().find(|it| it.subresource.is_none() && it.group == group && it.version == version && it.plural == plural)
}

/// The subresource of this name.
#[must_use]
pub fn find_sub(group: &str, version: &str, plural: &str, name: &str) -> Option<&'static Resource> {
    all().find(|it| {
        it.subresource.as_deref() == Some(name) && it.group == group && it.version == version && it.plural == plural
    })
}

/// The resource that holds objects of this `apiVersion` and kind.
#[must_use]
pub fn of_kind(api_version: &str, kind: &str) -> Option<&'static Resource> {
    all().find(|it| it.subresource.is_none() && it.api_version() == api_version && it.kind == kind)
}

impl Resource {
    /// `apps/v1`, or `v1` in the core.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Under which name its objects are stored: events are the same objects in both of their groups.
    #[must_use]
    pub fn storage(&self) -> String {
        let group = if self.plural == "events" { "" } else { &self.group };
        format!("{group}/{}", self.plural)
    }

    /// `deployments`, or `deployments/scale`.
    #[must_use]
    pub fn full_name(&self) -> String {
        match &self.subresource {
            Some(sub) => format!("{}/{sub}", self.plural),
            None => self.plural.clone(),
        }
    }

    /// `deployments.apps`, or `pods` in the core.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Whether its objects count the changes of their spec.
    #[must_use]
    pub fn has_generation(&self) -> bool {
        matches!(
            self.plural.as_str(),
            "deployments"
                | "replicasets"
                | "statefulsets"
                | "daemonsets"
                | "pods"
                | "jobs"
                | "cronjobs"
                | "poddisruptionbudgets"
                | "endpointslices"
        )
    }
}

fn parse(text: &str) -> Vec<Resource> {
    let (mut group, mut version) = ("", "");
    let mut resources = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("a line of the table has all its columns");
        let first = word();
        if first == "group" {
            group = match word() {
                "core" => "",
                name => name,
            };
            version = word();
            continue;
        }
        let (plural, subresource) = match first.split_once('/') {
            Some((plural, sub)) => (plural, Some(sub.to_owned())),
            None => (first, None),
        };
        resources.push(Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            subresource,
            singular: dash(word()).unwrap_or_default(),
            kind: word().to_owned(),
            is_namespaced: word() == "ns",
            verbs: word().chars().filter_map(verb).collect(),
            short_names: dash(word()).into_iter().collect(),
            categories: dash(word()).into_iter().collect(),
            hash: dash(word()),
            kind_group: dash(word())
                .and_then(|pair| pair.split_once('/').map(|(group, version)| (group.to_owned(), version.to_owned()))),
        });
    }
    resources
}

fn dash(word: &str) -> Option<String> {
    (word != "-").then(|| word.to_owned())
}

fn verb(letter: char) -> Option<&'static str> {
    Some(match letter {
        'c' => "create",
        'd' => "delete",
        'D' => "deletecollection",
        'g' => "get",
        'l' => "list",
        'p' => "patch",
        'u' => "update",
        'w' => "watch",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_found_by_path_and_by_kind() {
        assert_eq!(find("apps", "v1", "deployments"), of_kind("apps/v1", "Deployment"));
        assert_eq!(find_sub("apps", "v1", "deployments", "scale").unwrap().kind, "Scale");
        assert!(find("apps", "v1", "deploymentz").is_none());
    }

    #[test]
    fn events_of_both_groups_are_the_same_objects() {
        assert_eq!(
            find("", "v1", "events").unwrap().storage(),
            find("events.k8s.io", "v1", "events").unwrap().storage()
        );
    }
}
