//! Who may what: Roles, ClusterRoles and their bindings, read from the store as they are at the moment of the question.

use serde_json::{Value, json};

use crate::identity::Identity;
use crate::objects;
use crate::request::Attributes;
use crate::store::Store;

const ROLES: &str = "rbac.authorization.k8s.io/roles";
const CLUSTER_ROLES: &str = "rbac.authorization.k8s.io/clusterroles";
const ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/rolebindings";
const CLUSTER_ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/clusterrolebindings";

/// The roles that every cluster has, as far as they matter here.
#[must_use]
pub fn built_in() -> Vec<Value> {
    let everybody = [("Group", "system:authenticated")];
    let anybody = [("Group", "system:authenticated"), ("Group", "system:unauthenticated")];
    let accounts = [("Group", "system:serviceaccounts")];
    let mut objects = vec![cluster_role(
        "cluster-admin",
        json!([
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]},
        ]),
    )];
    objects.push(cluster_role(
        "system:auth-delegator",
        json!([
            {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"]},
            {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"]},
        ]),
    ));
    let bound = [
        (
            "system:basic-user",
            &everybody[..],
            json!([
                {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
                 "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]},
                {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
            ]),
        ),
        (
            "system:discovery",
            &everybody[..],
            json!([{"verbs": ["get"], "nonResourceURLs": [
                "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz",
                "/version", "/version/",
            ]}]),
        ),
        (
            "system:public-info-viewer",
            &anybody[..],
            json!([
                {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"]},
            ]),
        ),
        (
            "system:service-account-issuer-discovery",
            &accounts[..],
            json!([
                {"verbs": ["get"], "nonResourceURLs": ["/.well-known/openid-configuration", "/openid/v1/jwks"]},
            ]),
        ),
    ];
    for (name, subjects, rules) in bound {
        objects.push(cluster_role(name, rules));
        let subjects: Vec<Value> = subjects
            .iter()
            .map(|(kind, name)| json!({"kind": kind, "apiGroup": "rbac.authorization.k8s.io", "name": name}))
            .collect();
        objects.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "subjects": subjects,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        }));
    }
    objects
}

fn cluster_role(name: &str, rules: Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
    })
}

/// A rule that is in force for someone, and the text that says why.
struct Granted {
    rule: Value,
    why: String,
}

/// Why someone may do this; none if it is not allowed.
#[must_use]
pub fn allowed(store: &Store, who: &Identity, wanted: &Attributes) -> Option<String> {
    if who.groups.iter().any(|group| group == "system:masters") {
        return Some(String::new());
    }
    granted(store, who, wanted.namespace.as_deref()).into_iter().find(|it| covers(&it.rule, wanted)).map(|it| it.why)
}

/// Whether someone may ask for a path that is no resource.
#[must_use]
pub fn allows_path(store: &Store, who: &Identity, verb: &str, path: &str) -> bool {
    let is_admin = who.groups.iter().any(|group| group == "system:masters");
    is_admin
        || granted(store, who, None).iter().any(|it| {
            lists(&it.rule, "/verbs", verb)
                && objects::items(&it.rule, "/nonResourceURLs").filter_map(Value::as_str).any(|pattern| {
                    pattern == path || pattern.strip_suffix('*').is_some_and(|start| path.starts_with(start))
                })
        })
}

/// All rules that are in force for someone in a namespace: those on resources and those on other paths.
#[must_use]
pub fn rules(store: &Store, who: &Identity, namespace: &str) -> (Vec<Value>, Vec<Value>) {
    let rules = granted(store, who, Some(namespace)).into_iter().map(|it| it.rule);
    rules.partition(|rule| rule.get("nonResourceURLs").is_none())
}

fn granted(store: &Store, who: &Identity, namespace: Option<&str>) -> Vec<Granted> {
    let cluster = store.list(CLUSTER_ROLE_BINDINGS, None).map(|binding| (binding, None));
    let own =
        namespace.into_iter().flat_map(|space| store.list(ROLE_BINDINGS, Some(space)).map(move |it| (it, Some(space))));
    let mut granted = Vec::new();
    for (binding, space) in cluster.chain(own) {
        let Some(subject) = objects::items(binding, "/subjects").find(|subject| is_subject(subject, who)) else {
            continue;
        };
        let (kind, name) = (objects::text(binding, "/roleRef/kind"), objects::text(binding, "/roleRef/name"));
        let role = match (kind, space) {
            ("Role", Some(space)) => store.get(ROLES, space, name),
            _ => store.get(CLUSTER_ROLES, "", name),
        };
        let place = space.map(|space| format!("/{space}")).unwrap_or_default();
        let why = format!(
            "RBAC: allowed by {} \"{}{place}\" of {kind} \"{name}\" to {}",
            objects::text(binding, "/kind"),
            objects::name(binding),
            describe(subject)
        );
        let rules = role.into_iter().flat_map(|role| objects::items(role, "/rules").cloned().collect::<Vec<_>>());
        granted.extend(rules.map(|rule| Granted { rule, why: why.clone() }));
    }
    granted
}

fn describe(subject: &Value) -> String {
    let (kind, name) = (objects::text(subject, "/kind"), objects::text(subject, "/name"));
    match objects::text(subject, "/namespace") {
        "" => format!("{kind} \"{name}\""),
        space => format!("{kind} \"{name}/{space}\""),
    }
}

fn is_subject(subject: &Value, who: &Identity) -> bool {
    let name = objects::text(subject, "/name");
    match objects::text(subject, "/kind") {
        "User" => who.user == name,
        "Group" => who.groups.iter().any(|group| group == name),
        "ServiceAccount" => {
            who.user == format!("system:serviceaccount:{}:{name}", objects::text(subject, "/namespace"))
        }
        _ => false,
    }
}

fn covers(rule: &Value, wanted: &Attributes) -> bool {
    let full = wanted.full_resource();
    let is_resource = objects::items(rule, "/resources").filter_map(Value::as_str).any(|resource| {
        resource == "*"
            || resource == full
            || resource.strip_prefix("*/").is_some_and(|sub| !sub.is_empty() && sub == wanted.subresource)
    });
    // A rule with names never covers a request without one, so it covers no create.
    let is_named = objects::items(rule, "/resourceNames").next().is_none()
        || (!wanted.name.is_empty() && objects::items(rule, "/resourceNames").any(|name| *name == wanted.name));
    is_resource && is_named && lists(rule, "/verbs", &wanted.verb) && lists(rule, "/apiGroups", &wanted.group)
}

fn lists(rule: &Value, pointer: &str, wanted: &str) -> bool {
    objects::items(rule, pointer).filter_map(Value::as_str).any(|it| it == "*" || it == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(verb: &str, resource: &str, name: &str) -> Attributes {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Attributes {
            verb: verb.to_owned(),
            group: "apps".to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: Some("shop".to_owned()),
            name: name.to_owned(),
        }
    }

    #[test]
    fn rules_cover_what_they_name_and_nothing_else() {
        let rule = json!({
            "verbs": ["patch", "create"], "apiGroups": ["apps"], "resources": ["deployments/scale", "*/status"],
            "resourceNames": ["api"],
        });
        let cases = [
            (wanted("patch", "deployments/scale", "api"), true),
            (wanted("patch", "statefulsets/status", "api"), true),
            (wanted("patch", "deployments", "api"), false),
            (wanted("patch", "deployments/scale", "worker"), false),
            (wanted("get", "deployments/scale", "api"), false),
            (wanted("create", "deployments/scale", ""), false),
        ];
        for (attributes, is_covered) in cases {
            assert_eq!(covers(&rule, &attributes), is_covered, "{attributes:?}");
        }
    }
}
