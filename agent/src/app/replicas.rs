//! Hands a Kubernetes target to replicas as the cluster in which they share two objects: the two do not know each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use async_trait::async_trait;

use crate::clients::kubernetes::Kubernetes;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::domain::{CallError, CallLimits, Entries, NotWritten, Office, Revision};
use crate::host::Targets;
use crate::replicas::{Cluster, Replicas};
use crate::telemetry::Metrics;

/// Longest time for one request; a third of a short term is less.
const PATIENCE: Duration = Duration::from_secs(5);

/// The replica that `config` makes of this agent; none where it is alone.
pub(super) fn replica(
    config: &Config,
    targets: &Targets,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Option<Arc<Replicas>>> {
    let Some(settings) = &config.replicas else { return Ok(None) };
    let config::Replicas { kubernetes, name, lease, state, term, key: _ } = settings.clone();
    let target = targets.kubernetes.get(&kubernetes).context("replicas.kubernetes: there is no such target")?;
    let shared = Shared { target: target.clone(), lease, state, patience: PATIENCE.min(term / 3) };
    Ok(Some(Arc::new(Replicas::new(name, term, Arc::new(shared), clock, metrics))))
}

/// The two objects.
struct Shared {
    target: Arc<Kubernetes>,
    lease: String,
    state: String,
    patience: Duration,
}

impl Shared {
    fn limits(&self) -> CallLimits {
        CallLimits { deadline: Instant::now() + self.patience, answer_bytes: 0 }
    }
}

#[async_trait]
impl Cluster for Shared {
    async fn office(&self) -> Result<(Office, Revision), CallError> {
        self.target.office(&self.limits(), &self.lease).await
    }

    async fn write_office(&self, office: &Office, revision: &Revision) -> Result<Revision, NotWritten> {
        self.target.write_office(&self.limits(), &self.lease, office, revision).await
    }

    async fn entries(&self) -> Result<(Entries, Revision), CallError> {
        self.target.entries(&self.limits(), &self.state).await
    }

    async fn write_entries(
        &self,
        entries: &BTreeMap<String, Option<String>>,
        revision: &Revision,
    ) -> Result<Revision, NotWritten> {
        self.target.write_entries(&self.limits(), &self.state, entries, revision).await
    }
}
