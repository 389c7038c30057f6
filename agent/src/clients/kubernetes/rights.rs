//! What the agent may do in a namespace, asked of the cluster itself.
//!
//! Whether it has what it needs is asked one by one, because that is what the cluster decides each request by. What it has
//! beyond that can only come from the list of its rules, which some clusters cannot give in full. Both questions are open to
//! everybody who can log in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SelfSubjectRulesReview,
    SelfSubjectRulesReviewSpec,
};

use super::Kubernetes;
use super::transport::What;
use crate::domain::{CallError, CallLimits};
use crate::policy::rbac::{Needs, Reason, Right, full_name};

/// What one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

const REVIEWS: &str = "/apis/authorization.k8s.io/v1";

/// What everybody who can log in may ask about themselves, and what it takes to ask about callers of the agent
/// (`auth.kubernetes`): no grant needs it, and no Role of a namespace can give it.
const REVIEWED: [(&str, &str); 5] = [
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authentication.k8s.io", "selfsubjectreviews"),
];

/// What the agent may do.
pub(super) struct Held {
    pub(super) rules: Vec<ResourceRule>,
    /// False where the cluster has more than it can list.
    pub(super) is_all: bool,
}

/// Something that the agent may do and does not need.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Surplus {
    verbs: BTreeSet<String>,
    group: String,
    resource: String,
    /// Empty for all.
    names: Vec<String>,
}

/// The rights of `needs` that the agent does not have.
pub(super) async fn missing<'n>(
    cluster: &Kubernetes,
    needs: &'n Needs,
) -> Result<Vec<(&'n Right, &'n Reason)>, CallError> {
    let mut missing = Vec::new();
    for (right, reason) in needs.rights() {
        if !is_allowed(cluster, right).await? {
            missing.push((right, reason));
        }
    }
    Ok(missing)
}

/// What it takes to ask about callers, as RBAC names it.
const OF_CALLERS: [(&str, &str); 2] =
    [("authentication.k8s.io", "tokenreviews"), ("authorization.k8s.io", "subjectaccessreviews")];

/// What the agent may not create of that which asks about callers, in the whole cluster.
pub(super) async fn missing_reviews(cluster: &Kubernetes) -> Result<Vec<String>, CallError> {
    let mut missing = Vec::new();
    for (group, resource) in OF_CALLERS {
        let attributes = ResourceAttributes {
            verb: Some("create".to_owned()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            ..ResourceAttributes::default()
        };
        if !may(cluster, attributes).await? {
            missing.push(full_name(group, resource));
        }
    }
    Ok(missing)
}

async fn is_allowed(cluster: &Kubernetes, right: &Right) -> Result<bool, CallError> {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (right.resource.as_str(), None),
    };
    let attributes = ResourceAttributes {
        namespace: Some(cluster.namespace.clone()),
        verb: Some(right.verb.to_owned()),
        group: Some(right.group.clone()),
        resource: Some(resource.to_owned()),
        subresource,
        name: right.name.clone(),
        ..ResourceAttributes::default()
    };
    may(cluster, attributes).await
}

async fn may(cluster: &Kubernetes, attributes: ResourceAttributes) -> Result<bool, CallError> {
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let path = format!("{REVIEWS}/selfsubjectaccessreviews");
    let answered = cluster.review(&limits(), path, &review, &what()).await?;
    Ok(answered.status.is_some_and(|status| status.allowed))
}

/// The rules that are in force for the agent.
pub(super) async fn held(cluster: &Kubernetes) -> Result<Held, CallError> {
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(cluster.namespace.clone()) };
    let review = SelfSubjectRulesReview { spec, ..Default::default() };
    let path = format!("{REVIEWS}/selfsubjectrulesreviews");
    let status = cluster.review(&limits(), path, &review, &what()).await?.status.unwrap_or_default();
    Ok(Held { rules: status.resource_rules, is_all: !status.incomplete })
}

fn limits() -> CallLimits {
    CallLimits { deadline: Instant::now() + PATIENCE, answer_bytes: 1 << 20 }
}

fn what() -> What {
    What::new("ask what the agent may do", "review of rights (authorization.k8s.io) in the cluster")
}

/// What `rules` allow beyond `needs`. `*` is more than anything that is needed.
pub(super) fn surplus(rules: &[ResourceRule], needs: &Needs) -> Vec<Surplus> {
    let mut found = BTreeMap::<(String, String, Vec<String>), BTreeSet<String>>::new();
    for rule in rules {
        let names = rule.resource_names.as_deref().unwrap_or_default();
        for (group, resource) in pairs(rule) {
            if REVIEWED.contains(&(group, resource)) {
                continue;
            }
            for verb in &rule.verbs {
                let is_needed = |name| needs.cover(group, resource, verb, name);
                let more: Vec<String> = names.iter().filter(|name| !is_needed(Some(name))).cloned().collect();
                if !more.is_empty() || (names.is_empty() && !is_needed(None)) {
                    let key = (group.to_owned(), resource.to_owned(), more);
                    found.entry(key).or_default().insert(verb.clone());
                }
            }
        }
    }
    let surplus = |((group, resource, names), verbs)| Surplus { verbs, group, resource, names };
    found.into_iter().map(surplus).collect()
}

fn pairs(rule: &ResourceRule) -> impl Iterator<Item = (&str, &str)> {
    let groups = rule.api_groups.iter().flatten();
    groups.flat_map(|group| rule.resources.iter().flatten().map(move |resource| (group.as_str(), resource.as_str())))
}

impl fmt::Display for Surplus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verbs: Vec<&str> = self.verbs.iter().map(String::as_str).collect();
        let verbs = if verbs.contains(&"*") { "do anything with".to_owned() } else { verbs.join(", ") };
        let resource = match (self.group.as_str(), self.resource.as_str()) {
            ("*", "*") => "all resources".to_owned(),
            ("", "*") => "all resources of the core group".to_owned(),
            (group, "*") => format!("all resources of {group}"),
            ("*", resource) => format!("{resource} of every group"),
            (group, resource) => full_name(group, resource),
        };
        write!(f, "{verbs} {resource}")?;
        if self.names.is_empty() { Ok(()) } else { write!(f, " {}", self.names.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChangeBounds, Grant, Operation, PluginName, System, Target};

    fn needs(operations: &[Operation]) -> Needs {
        let (plugin, target): (PluginName, _) = ("probe".parse().unwrap(), "prod".parse().unwrap());
        let line = Grant {
            target: Target { system: System::Kubernetes, name: "prod".parse().unwrap() },
            operations: operations.to_vec(),
            keys: vec![],
            paths: vec![],
            resources: vec![],
            changes: ChangeBounds::default(),
        };
        Needs::of(&[target], [(&plugin, &line)])
    }

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> ResourceRule {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        ResourceRule {
            verbs: list(verbs),
            api_groups: Some(list(groups)),
            resources: Some(list(resources)),
            resource_names: Some(list(names)),
        }
    }

    #[test]
    fn what_nobody_needs_is_named_and_what_everybody_has_is_not() {
        let needs = needs(&[Operation::KubernetesListPods, Operation::KubernetesGetRollout]);
        let everybodys = rule(&["create"], &["authorization.k8s.io"], &["selfsubjectrulesreviews"], &[]);
        let delegators = rule(&["create"], &["authentication.k8s.io"], &["tokenreviews"], &[]);
        let table: &[(ResourceRule, &[&str])] = &[
            (rule(&["list"], &[""], &["pods"], &[]), &[]),
            (rule(&["get"], &["apps"], &["deployments", "statefulsets"], &[]), &[]),
            // A part of what is needed, given once more.
            (rule(&["get"], &["apps"], &["deployments"], &["api"]), &[]),
            (everybodys, &[]),
            (delegators, &[]),
            (rule(&["get", "list", "watch"], &[""], &["pods"], &[]), &["get, watch pods"]),
            (rule(&["patch"], &["apps"], &["deployments/scale"], &["api"]), &["patch deployments.apps/scale api"]),
            (rule(&["get"], &[""], &["secrets", "pods/log"], &[]), &["get pods/log", "get secrets"]),
            (rule(&["*"], &["*"], &["*"], &[]), &["do anything with all resources"]),
            (rule(&["list"], &[""], &["*"], &[]), &["list all resources of the core group"]),
            (rule(&["*"], &["apps"], &["deployments"], &[]), &["do anything with deployments.apps"]),
        ];
        for (rule, expected) in table {
            let found: Vec<_> = surplus(std::slice::from_ref(rule), &needs).iter().map(Surplus::to_string).collect();
            assert_eq!(found, *expected, "{rule:?}");
        }
    }
}
