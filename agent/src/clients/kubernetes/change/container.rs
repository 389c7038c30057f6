//! The image of a container, and what it may use.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::Kubernetes;
use super::super::rollout::Workload;
use super::super::transport::Verb;
use super::edit::{Alteration, Back, Draft, Place};
use super::{care, template};
use crate::domain::{CallError, Difference, Fact, Operation, Quantity};
use crate::journal::canonical;

/// Longest image that is set.
const IMAGE_BYTES: usize = 1_024;

/// A container gets another image.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetImage {
    workload: Workload,
    container: String,
    image: String,
}

impl SetImage {
    /// The server takes any text, and pods of it are refused later.
    pub(super) fn new(workload: Workload, container: String, image: String) -> Result<Self, CallError> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
        let ends = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        };
        if image.len() > IMAGE_BYTES || !image.bytes().all(is_letter) || !ends(&image) {
            return Err(CallError::Invalid(
                "this is no image: write it as `registry.example.org/name:tag` or with `@sha256:…`".to_owned(),
            ));
        }
        Ok(Self { workload, container, image })
    }
}

#[async_trait]
impl Alteration for SetImage {
    type Around = ();

    fn place(&self) -> Place {
        template::place(&self.workload)
    }

    fn draft(&self, cluster: &Kubernetes, object: &Value, (): &()) -> Result<Draft, CallError> {
        let Self { container, image, .. } = self;
        let found = template::container(object, container)?;
        let is = found.get("image").and_then(Value::as_str).unwrap_or_default();
        let field = format!("image of {container}");
        let fact = |image: &str| Fact { name: field.clone(), value: image.to_owned() };
        let (before, after) = (Some(is.to_owned()), Some(image.clone()));
        let difference = Difference { field: field.clone(), before, after };
        let mut notes = vec![template::consequence(self.workload.kind, object)];
        notes.extend(care::reconcilers(object));
        Ok(Draft {
            summary: format!("set the image of {container} in {} to {image}", self.place().title(cluster)),
            differences: if is == image { Vec::new() } else { vec![difference] },
            ground: vec![fact(is)],
            verb: Verb::Strategic,
            patch: template::patch(vec![json!({ "name": container, "image": image })]),
            back: Ok(Back {
                how: format!("to set {is} again gives it back, as long as nobody else changed it"),
                operation: Operation::KubernetesSetImage,
                arguments: canonical(&Self { image: is.to_owned(), ..self.clone() }),
                left: vec![fact(image)],
            }),
            doubt: None,
            notes,
        })
    }

    fn object_to(&self, object: &Value) -> Result<(), CallError> {
        care::stand_down(self.workload.kind, object)
    }
}

/// Amounts by resource; none takes one away.
pub type ResourceAmounts = BTreeMap<String, Option<String>>;

/// A container gets other requests and limits. What is not named stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetResources {
    /// Whose container.
    pub workload: Workload,
    /// The container.
    pub container: String,
    /// What is set aside for it.
    pub requests: ResourceAmounts,
    /// What it may use at most.
    pub limits: ResourceAmounts,
}

impl SetResources {
    /// The amounts with their resources.
    pub(super) fn quantities(&self) -> Result<Vec<(&str, Quantity)>, CallError> {
        if self.requests.is_empty() && self.limits.is_empty() {
            return Err(CallError::Invalid("there is neither a request nor a limit to set".to_owned()));
        }
        let all = self.requests.iter().chain(&self.limits);
        all.filter_map(|(resource, amount)| Some((resource, amount.as_ref()?)))
            .map(|(resource, amount)| Ok((resource.as_str(), quantity(resource, amount)?)))
            .collect()
    }

    fn parts(&self) -> [(&'static str, &ResourceAmounts); 2] {
        [("requests", &self.requests), ("limits", &self.limits)]
    }
}

fn quantity(resource: &str, amount: &str) -> Result<Quantity, CallError> {
    let invalid = || CallError::Invalid(format!("the amount of {} is no quantity such as 500m or 2Gi", cut(resource)));
    let quantity: Quantity = amount.parse().map_err(|_| invalid())?;
    if quantity.value() < 0.0 { Err(invalid()) } else { Ok(quantity) }
}

fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

/// True when both are the same amount, however it is written, or both are absent.
fn is_same(one: Option<&str>, other: Option<&str>) -> bool {
    let amount = |text: &str| text.parse::<Quantity>().ok();
    match (one, other) {
        (Some(one), Some(other)) => one == other || amount(one).is_some_and(|one| Some(one) == amount(other)),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Refuse a request above its limit, which the server refuses without saying of what.
fn check_order(container: &Value, set: &SetResources) -> Result<(), CallError> {
    let is = |part: &'static str, resource: &str| template::amount(container, part, resource).map(str::to_owned);
    let after = |part: &'static str, amounts: &ResourceAmounts, resource: &str| {
        amounts.get(resource).cloned().unwrap_or_else(|| is(part, resource))
    };
    for resource in set.requests.keys().chain(set.limits.keys()) {
        let (request, limit) = (after("requests", &set.requests, resource), after("limits", &set.limits, resource));
        let (Some(request), Some(limit)) = (request, limit) else { continue };
        if quantity(resource, &request)? > quantity(resource, &limit)? {
            let message = format!("the request of {request} {resource} would be above the limit of {limit}");
            return Err(CallError::Invalid(message));
        }
    }
    Ok(())
}

#[async_trait]
impl Alteration for SetResources {
    type Around = ();

    fn place(&self) -> Place {
        template::place(&self.workload)
    }

    fn draft(&self, cluster: &Kubernetes, object: &Value, (): &()) -> Result<Draft, CallError> {
        let container = template::container(object, &self.container)?;
        check_order(container, self)?;
        let mut back = Self { requests: BTreeMap::new(), limits: BTreeMap::new(), ..self.clone() };
        let (mut differences, mut ground, mut left, mut resources) = (Vec::new(), Vec::new(), Vec::new(), Map::new());
        for (part, amounts) in self.parts() {
            let mut patch = Map::new();
            for (resource, wanted) in amounts {
                let is = template::amount(container, part, resource);
                let name = format!("{resource} {} of {}", part.trim_end_matches('s'), self.container);
                let fact =
                    |amount: Option<&str>| Fact { name: name.clone(), value: amount.unwrap_or("none").to_owned() };
                ground.push(fact(is));
                if is_same(is, wanted.as_deref()) {
                    continue;
                }
                left.push(fact(wanted.as_deref()));
                let before = is.map(str::to_owned);
                differences.push(Difference { field: name.clone(), before: before.clone(), after: wanted.clone() });
                patch.insert(resource.clone(), json!(wanted));
                let kept = if part == "requests" { &mut back.requests } else { &mut back.limits };
                kept.insert(resource.clone(), before);
            }
            if !patch.is_empty() {
                resources.insert(part.to_owned(), Value::Object(patch));
            }
        }
        let mut notes = vec![template::consequence(self.workload.kind, object)];
        notes.extend(care::reconcilers(object));
        let title = self.place().title(cluster);
        Ok(Draft {
            summary: format!("set requests and limits of {} in {title}", self.container),
            differences,
            ground,
            verb: Verb::Strategic,
            patch: template::patch(vec![json!({ "name": self.container, "resources": resources })]),
            back: Ok(Back {
                how: "to set the amounts of before gives it back, as long as nobody else changed them".to_owned(),
                operation: Operation::KubernetesSetResources,
                arguments: canonical(&back),
                left,
            }),
            doubt: None,
            notes,
        })
    }

    fn object_to(&self, object: &Value) -> Result<(), CallError> {
        care::stand_down(self.workload.kind, object)
    }
}
