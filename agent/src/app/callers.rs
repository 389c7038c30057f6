//! Hands a Kubernetes target to the API as the cluster that knows callers: the two do not know each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::api::{self, Reviewer};
use crate::clients::kubernetes::Kubernetes;
use crate::config::Config;
use crate::domain::{CallError, CallLimits, Identity, PluginName, PluginVerb};
use crate::host::Targets;

/// How long a cluster may take for an answer. Whoever asks waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who may ask, by `config` and the clients of its targets.
pub(super) fn access(config: &Config, targets: &Targets) -> api::Access {
    let token = |token: &crate::config::Token| api::Token {
        name: token.name.clone(),
        role: token.role,
        expires: token.expires,
        digest: token.digest,
        rate: token.rate,
    };
    let auth = &config.auth;
    api::Access {
        key: auth.key.clone(),
        tokens: auth.tokens.iter().map(token).collect(),
        cluster: cluster(config, targets),
    }
}

fn cluster(config: &Config, targets: &Targets) -> Option<api::Cluster> {
    let callers = config.auth.kubernetes.as_ref()?;
    // Both are there: the configuration was refused otherwise.
    let (target, client) = (config.targets.kubernetes.get(&callers.target)?, targets.kubernetes.get(&callers.target)?);
    Some(api::Cluster {
        reviewer: Arc::new(TargetReviewer(client.clone())),
        audience: callers.audience.clone(),
        namespace: target.namespace.clone(),
        rate: callers.rate,
    })
}

/// Asks the API server of a target.
pub(super) struct TargetReviewer(pub(super) Arc<Kubernetes>);

fn limits() -> CallLimits {
    CallLimits { deadline: Instant::now() + PATIENCE, answer_bytes: 0 }
}

#[async_trait]
impl Reviewer for TargetReviewer {
    async fn identify(&self, token: &str, audience: &str) -> Result<Option<Identity>, CallError> {
        self.0.review_token(&limits(), token, audience).await
    }

    async fn permits(&self, who: &Identity, verb: PluginVerb, plugin: Option<&PluginName>) -> Result<bool, CallError> {
        self.0.review_access(&limits(), who, verb, plugin).await
    }
}
