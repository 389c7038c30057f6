//! The endpoints of a Service that take traffic, as its slices list them.

use paramedic_sdk::Error;
use paramedic_sdk::kubernetes::{self, ObjectQuery};
use serde::Deserialize;

const RESOURCE: &str = "endpointslices.discovery.k8s.io";
/// The label by which slices belong to a Service.
const SERVICE: &str = "kubernetes.io/service-name";
/// Slices of one page; each has up to 1000 endpoints.
const PAGE: u32 = 20;
/// Pages; more is no Service that anybody drains by hand.
const MOST_PAGES: usize = 20;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Slice {
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Endpoint {
    conditions: Conditions,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Conditions {
    /// Where it is not said, an endpoint is ready.
    ready: Option<bool>,
}

/// How many endpoints take traffic.
pub(crate) fn count(target: &str, service: &str) -> Result<usize, Error> {
    let query = ObjectQuery::all(target, RESOURCE, PAGE).labelled(&format!("{SERVICE}={service}"));
    let (mut count, mut next) = (0, Some(query.clone()));
    for _ in 0..MOST_PAGES {
        let Some(asked) = next else { break };
        let page = kubernetes::list_objects(&asked)?;
        for slice in &page.items {
            count += of_slice(slice)?;
        }
        next = page.next.map(|mark| query.clone().after(&mark));
    }
    Ok(count)
}

fn of_slice(json: &str) -> Result<usize, Error> {
    let slice: Slice = serde_json::from_str(json)
        .map_err(|error| Error::Other(format!("the cluster's list of endpoints is not understood: {error}")))?;
    let is_ready = |endpoint: &&Endpoint| endpoint.conditions.ready != Some(false);
    Ok(slice.endpoints.unwrap_or_default().iter().filter(is_ready).count())
}
