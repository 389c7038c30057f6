//! Objects as JSON, for what the typed functions do not cover.
//!
//! Left out are managed fields and the annotation that repeats the whole object, and of each environment variable what it is set
//! to: it may be a password, and no check needs it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pods::Page;
use super::transport::{Query, What};
use super::{Kubernetes, names};
use crate::domain::{CallError, CallLimits};

/// Most objects of one page.
const MOST: u32 = 500;

/// Repeats the object with everything in it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectQuery {
    /// `plural` or `plural.group`, as in rules of RBAC.
    pub resource: String,
    /// Label selector.
    pub labels: Option<String>,
    /// Field selector.
    pub fields: Option<String>,
    /// Most objects of the page.
    pub limit: u32,
    /// Mark from the page before.
    pub after: Option<String>,
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPage {
    /// The objects, each a JSON document.
    pub items: Vec<String>,
    /// Mark of the next page.
    pub next: Option<String>,
}

pub(super) async fn get(
    cluster: &Kubernetes,
    limits: &CallLimits,
    resource: &str,
    name: &str,
) -> Result<String, CallError> {
    names::check_name("name", name)?;
    let path = format!("{}/{name}", place(cluster, limits, resource).await?);
    let what = What::new(format!("look at {resource} {name}"), format!("{name} among the {resource}"));
    let mut object: Value = cluster.get(limits, &path, Query::new(), &what).await?;
    tidy(&mut object);
    let text = object.to_string();
    if text.len() > limits.answer_bytes {
        return Err(CallError::TooLarge(format!("{resource} {name} is larger than an answer may be")));
    }
    Ok(text)
}

pub(super) async fn list(
    cluster: &Kubernetes,
    limits: &CallLimits,
    query: &ObjectQuery,
) -> Result<ObjectPage, CallError> {
    let (labels, fields) = (query.labels.as_deref(), query.fields.as_deref());
    names::check_selector("labels", labels.unwrap_or_default())?;
    names::check_selector("fields", fields.unwrap_or_default())?;
    let path = place(cluster, limits, &query.resource).await?;
    let what = What::new(format!("list {}", query.resource), format!("resource {}", query.resource));
    let parameters = Query::new()
        .with("limit", query.limit.clamp(1, MOST))
        .with_some("labelSelector", labels)
        .with_some("fieldSelector", fields)
        .with_some("continue", query.after.as_deref());
    let page: Page<Value> = cluster.get(limits, &path, parameters, &what).await?;
    let (mut items, mut bytes) = (Vec::new(), 0);
    for mut object in page.items {
        tidy(&mut object);
        let text = object.to_string();
        bytes += text.len();
        items.push(text);
    }
    if bytes > limits.answer_bytes {
        let asked = query.limit.clamp(1, MOST);
        return Err(CallError::TooLarge(format!(
            "{asked} {} are more than an answer may be; ask for fewer at a time",
            query.resource
        )));
    }
    Ok(ObjectPage { items, next: page.metadata.next() })
}

/// Where the objects of a resource are. For a group that is named, the version that the server prefers.
async fn place(cluster: &Kubernetes, limits: &CallLimits, resource: &str) -> Result<String, CallError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Group {
        preferred_version: Version,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        group_version: String,
    }
    let (plural, group) = resource.split_once('.').map_or((resource, None), |(plural, group)| (plural, Some(group)));
    if !names::is_label(plural) {
        return Err(CallError::Invalid(
            "a resource is written `plural` or `plural.group`, such as `deployments.apps`".to_owned(),
        ));
    }
    let base = match group {
        None => "/api/v1".to_owned(),
        Some(group) => {
            names::check_name("the group of the resource", group)?;
            let what = What::new(format!("ask for the group {group}"), format!("group {group}"));
            let found: Group = cluster.get(limits, &format!("/apis/{group}"), Query::new(), &what).await?;
            format!("/apis/{}", found.preferred_version.group_version)
        }
    };
    Ok(format!("{base}/namespaces/{}/{plural}", cluster.namespace))
}

/// Take out what nobody needs and what may be secret.
fn tidy(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    hide_environment(object);
}

/// Wherever there is a list `env` of things with a `value`.
fn hide_environment(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let ("env", Value::Array(variables)) = (name.as_str(), &mut *value) {
                    variables.iter_mut().for_each(hide_value);
                }
                hide_environment(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_environment),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn hide_value(variable: &mut Value) {
    if let Some(value) = variable.get_mut("value") {
        *value = Value::String("[redacted]".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_shown_without_its_environment_and_copies_of_itself() {
        let mut object = json!({
            "metadata": {
                "name": "api",
                "managedFields": [{ "manager": "kubectl" }],
                "annotations": { LAST_APPLIED: "{\"env\":\"hush\"}", "note": "kept" },
            },
            "spec": { "template": { "spec": { "containers": [{ "name": "api", "env": [
                { "name": "A", "value": "hush" },
                { "name": "B", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
            ] }] } } },
        });
        tidy(&mut object);
        let text = object.to_string();
        assert!(!text.contains("hush") && !text.contains("managedFields"), "{text}");
        assert!(text.contains("kept") && text.contains("secretKeyRef") && text.contains("\"A\""), "{text}");
    }
}
