//! The two objects that replicas of the agent share: a Lease that says who leads, and a ConfigMap with what they remember
//! together.
//!
//! Both are made by whoever deploys the agent: the right to create cannot be limited to a name, the rights to read and to patch can.
//! Each is written at the version that was read. No plugin can ask for this, and so there is no permit for it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp as Time;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Kubernetes;
use super::transport::{Lost, Query, Verb, What, Write, micro_time};
use crate::domain::{CallError, CallLimits, Entries, NotWritten, Office, Revision, Timestamp};

#[derive(Deserialize)]
struct Object<T> {
    metadata: Metadata,
    #[serde(flatten)]
    rest: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
}

#[derive(Deserialize)]
struct Lease {
    #[serde(default)]
    spec: LeaseSpec,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LeaseSpec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<u32>,
    acquire_time: Option<Time>,
    renew_time: Option<Time>,
    lease_transitions: Option<u32>,
}

#[derive(Deserialize)]
struct ConfigMap {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

impl Kubernetes {
    /// Who leads, as the Lease `name` says.
    pub async fn office(&self, limits: &CallLimits, name: &str) -> Result<(Office, Revision), CallError> {
        let what = What::new(format!("read the Lease `{name}`"), format!("Lease `{name}` in {}", self.namespace));
        let found: Object<Lease> = self.get(limits, &self.lease_path(name), Query::new(), &what).await?;
        let LeaseSpec { holder_identity, lease_duration_seconds, acquire_time, renew_time, lease_transitions } =
            found.rest.spec;
        let office = Office {
            holder: holder_identity.filter(|holder| !holder.is_empty()),
            term: Duration::from_secs(lease_duration_seconds.unwrap_or_default().into()),
            acquired: acquire_time.map(ours),
            renewed: renew_time.map(ours),
            transitions: lease_transitions.unwrap_or_default(),
        };
        Ok((office, Revision(found.metadata.resource_version)))
    }

    /// Write the Lease `name`, which was read at `revision`.
    pub async fn write_office(
        &self,
        limits: &CallLimits,
        name: &str,
        office: &Office,
        revision: &Revision,
    ) -> Result<Revision, NotWritten> {
        let Office { holder, term, acquired, renewed, transitions } = office;
        let spec = json!({
            // The server wants at least a second.
            "leaseDurationSeconds": term.as_secs().max(1),
            "holderIdentity": holder.as_deref().unwrap_or_default(),
            "acquireTime": acquired.map(micro_time),
            "renewTime": renewed.map(micro_time),
            "leaseTransitions": transitions,
        });
        let what = What::new(format!("write the Lease `{name}`"), format!("Lease `{name}` in {}", self.namespace));
        self.write_shared(limits, self.lease_path(name), ("spec", spec), revision, &what).await
    }

    /// What the ConfigMap `name` holds.
    pub async fn entries(&self, limits: &CallLimits, name: &str) -> Result<(Entries, Revision), CallError> {
        let what = shared_map(self, "read", name);
        let found: Object<ConfigMap> = self.get(limits, &self.map_path(name), Query::new(), &what).await?;
        Ok((found.rest.data, Revision(found.metadata.resource_version)))
    }

    /// Write those entries of the ConfigMap `name`, which was read at `revision`; one without a text is taken away.
    pub async fn write_entries(
        &self,
        limits: &CallLimits,
        name: &str,
        entries: &BTreeMap<String, Option<String>>,
        revision: &Revision,
    ) -> Result<Revision, NotWritten> {
        let data: Map<String, Value> = entries.iter().map(|(name, text)| (name.clone(), json!(text))).collect();
        let what = shared_map(self, "write", name);
        self.write_shared(limits, self.map_path(name), ("data", data.into()), revision, &what).await
    }

    async fn write_shared(
        &self,
        limits: &CallLimits,
        path: String,
        (field, value): (&str, Value),
        revision: &Revision,
        what: &What,
    ) -> Result<Revision, NotWritten> {
        let body = json!({ "metadata": { "resourceVersion": revision.0 }, field: value });
        match self.write(limits, Write { verb: Verb::Merge, path, body, is_rehearsal: false }, what).await {
            Ok(answer) => match answer.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
                Some(revision) => Ok(Revision(revision.to_owned())),
                None => Err(NotWritten::Failed(CallError::Unavailable(format!(
                    "what the API server answered cannot be read, to {}",
                    what.deed
                )))),
            },
            Err(Lost::Refused(refusal)) if refusal.is_stale() => Err(NotWritten::Stale),
            Err(lost) => Err(NotWritten::Failed(lost.into_error())),
        }
    }

    fn lease_path(&self, name: &str) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/{name}", self.namespace)
    }

    fn map_path(&self, name: &str) -> String {
        format!("/api/v1/namespaces/{}/configmaps/{name}", self.namespace)
    }
}

fn shared_map(target: &Kubernetes, deed: &str, name: &str) -> What {
    What::new(format!("{deed} the ConfigMap `{name}`"), format!("ConfigMap `{name}` in {}", target.namespace))
}

fn ours(time: Time) -> Timestamp {
    Timestamp::from_millis(u64::try_from(time.as_millisecond()).unwrap_or_default())
}
