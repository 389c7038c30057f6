//! Taking the pods of a Service out of its traffic.
//!
//! The selector gets one more label, which no pod has. To take the whole selector away would leave the endpoints as they are.

use async_trait::async_trait;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Kubernetes;
use super::super::pods::Page;
use super::super::transport::{Query, Verb, What};
use super::care;
use super::edit::{Alteration, Back, Draft, Place};
use crate::domain::{CallError, CallLimits, Difference, Fact, Operation};
use crate::journal::canonical;

/// The label that no pod has.
const DETACHED: &str = "paramedic.dev/detached";

/// A Service is detached from its pods, or attached again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Detach {
    service: String,
    to: Position,
}

/// How a Service stands to its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Position {
    Attached,
    Detached,
}

impl Detach {
    pub(super) const fn new(service: String) -> Self {
        Self { service, to: Position::Detached }
    }
}

#[async_trait]
impl Alteration for Detach {
    /// How many endpoints take traffic.
    type Around = usize;

    fn place(&self) -> Place {
        Place { api: "/api/v1", plural: "services", kind: "service", name: self.service.clone(), subresource: None }
    }

    async fn look(&self, cluster: &Kubernetes, limits: &CallLimits, _: &Value) -> Result<usize, CallError> {
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", cluster.namespace);
        let what = What::new("list endpoints", "list of endpoints");
        let query = Query::new().with("labelSelector", format!("kubernetes.io/service-name={}", self.service));
        let page: Page<EndpointSlice> = cluster.get(limits, &path, query, &what).await?;
        let endpoints = page.items.iter().flat_map(|slice| slice.endpoints.iter().flatten());
        let is_ready =
            |conditions: &k8s_openapi::api::discovery::v1::EndpointConditions| conditions.ready != Some(false);
        Ok(endpoints.filter(|endpoint| endpoint.conditions.as_ref().is_none_or(is_ready)).count())
    }

    fn draft(&self, cluster: &Kubernetes, object: &Value, endpoints: &usize) -> Result<Draft, CallError> {
        let selector = object.pointer("/spec/selector").and_then(Value::as_object);
        let Some(selector) = selector.filter(|selector| !selector.is_empty()) else {
            return Err(CallError::Invalid(format!(
                "the service {} has no selector: its endpoints are made by hand",
                self.service
            )));
        };
        let stands = if selector.contains_key(DETACHED) { Position::Detached } else { Position::Attached };
        let mut wanted = selector.clone();
        let (value, deed) = match self.to {
            Position::Detached => {
                wanted.insert(DETACHED.to_owned(), json!("true"));
                (json!("true"), "detach")
            }
            Position::Attached => {
                wanted.remove(DETACHED);
                (Value::Null, "attach")
            }
        };
        let text = |selector: &serde_json::Map<String, Value>| canonical(selector);
        let fact =
            |selector: &serde_json::Map<String, Value>| Fact { name: "selector".to_owned(), value: text(selector) };
        let (before, after) = (Some(text(selector)), Some(text(&wanted)));
        let difference = Difference { field: "selector".to_owned(), before, after };
        let mut notes = match self.to {
            Position::Detached => vec![
                format!("{endpoints} endpoints leave its traffic; connections that are open stay open"),
                "nothing of it is served until it is given back".to_owned(),
            ],
            Position::Attached => Vec::new(),
        };
        notes.extend(care::reconcilers(object));
        let other = match self.to {
            Position::Detached => Position::Attached,
            Position::Attached => Position::Detached,
        };
        Ok(Draft {
            summary: format!(
                "{deed} {} {} its pods",
                self.place().title(cluster),
                if deed == "attach" { "to" } else { "from" }
            ),
            differences: if stands == self.to { Vec::new() } else { vec![difference] },
            ground: vec![fact(selector)],
            verb: Verb::Merge,
            patch: json!({ "spec": { "selector": { DETACHED: value } } }),
            back: Ok(Back {
                how: "the selector of before gives it back, as long as nobody else changed it".to_owned(),
                operation: Operation::KubernetesDetachService,
                arguments: canonical(&Self { to: other, ..self.clone() }),
                left: vec![fact(&wanted)],
            }),
            doubt: None,
            notes,
        })
    }
}
