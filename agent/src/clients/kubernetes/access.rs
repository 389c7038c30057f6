//! The way into a cluster: as the service account of the pod that the agent runs in, or by a kubeconfig.
//!
//! A kubeconfig can name programs to run and files to read, and can switch off that the server proves who it is. The first and the
//! last are refused: an agent that is trusted with production starts nothing, and talks to nobody else.

use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::clients::AGENT;
use crate::domain::{CallError, Secret};

/// Time for a connection and its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How the agent gets into a cluster.
#[derive(Clone, Debug)]
pub enum Access {
    /// As the service account of its own pod. Its token is read again when it changes.
    InCluster,
    /// As a kubeconfig says.
    Kubeconfig {
        /// The file's text.
        text: Secret,
        /// The context; the current one where there is none.
        context: Option<String>,
    },
}

/// Why a kubeconfig was refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAccess {
    /// It is none.
    #[error("what `kubeconfig` leads to is no kubeconfig")]
    Unreadable,
    /// It has no such context, or that one is not complete.
    #[error("the kubeconfig has no context {0} with a cluster and a user")]
    Context(String),
    /// It would have the agent run a program.
    #[error(
        "the user of the kubeconfig gets its credentials from a program (`exec` or `auth-provider`), and the agent starts none: use a token"
    )]
    Program,
    /// It would have the agent talk to anybody.
    #[error("the kubeconfig says `insecure-skip-tls-verify`: give the cluster's `certificate-authority-data` instead")]
    Insecure,
}

impl Access {
    /// Refuses what is never used.
    pub(super) fn check(&self) -> Result<(), InvalidAccess> {
        let Self::Kubeconfig { text, context } = self else { return Ok(()) };
        let config = Kubeconfig::from_yaml(text.expose()).map_err(|_| InvalidAccess::Unreadable)?;
        let name = context.clone().or_else(|| config.current_context.clone()).unwrap_or_default();
        let missing = || InvalidAccess::Context(format!("`{name}`"));
        let context =
            config.contexts.iter().find(|context| context.name == name).and_then(|named| named.context.as_ref());
        let context = context.ok_or_else(missing)?;
        let cluster = config.clusters.iter().find(|cluster| cluster.name == context.cluster);
        let cluster = cluster.and_then(|named| named.cluster.as_ref()).ok_or_else(missing)?;
        let user = config.auth_infos.iter().find(|user| Some(&user.name) == context.user.as_ref());
        let user = user.and_then(|named| named.auth_info.as_ref()).ok_or_else(missing)?;
        if user.exec.is_some() || user.auth_provider.is_some() {
            return Err(InvalidAccess::Program);
        }
        if cluster.insecure_skip_tls_verify == Some(true) {
            return Err(InvalidAccess::Insecure);
        }
        Ok(())
    }

    /// A client that sends nothing twice and says who it is.
    pub(super) async fn connect(&self) -> Result<Client, CallError> {
        let mut config = match self {
            Self::InCluster => Config::incluster().map_err(|error| {
                tracing::warn!(%error, "the agent has no service account here");
                CallError::Unavailable(
                    "the agent does not run in a pod with a service account; give a `kubeconfig`".to_owned(),
                )
            })?,
            Self::Kubeconfig { text, context } => from_kubeconfig(text, context.as_deref()).await?,
        };
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
        Client::try_from(config).map_err(|error| {
            tracing::warn!(%error, "the client of a cluster cannot be made");
            CallError::Unavailable("the certificates or the token of the cluster cannot be used".to_owned())
        })
    }
}

async fn from_kubeconfig(text: &Secret, context: Option<&str>) -> Result<Config, CallError> {
    let unusable = || CallError::Unavailable("the kubeconfig of the cluster cannot be used".to_owned());
    let parsed = Kubeconfig::from_yaml(text.expose()).map_err(|_| unusable())?;
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    // The error may quote what is in the file.
    Config::from_custom_kubeconfig(parsed, &options).await.map_err(|_| unusable())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(cluster: &str, user: &str) -> Access {
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: here, \
             contexts: [{{name: here, context: {{cluster: c, user: u}}}}], \
             clusters: [{{name: c, cluster: {cluster}}}], users: [{{name: u, user: {user}}}]}}"
        );
        Access::Kubeconfig { text: Secret::new(text), context: None }
    }

    #[test]
    fn a_kubeconfig_that_runs_programs_or_trusts_anybody_is_refused() {
        let server = "{server: 'https://127.0.0.1:6443'}";
        assert!(kubeconfig(server, "{token: hush}").check().is_ok());
        let table = [
            (kubeconfig(server, "{exec: {command: aws, apiVersion: client.authentication.k8s.io/v1}}"), "a program"),
            (kubeconfig(server, "{auth-provider: {name: gcp}}"), "a program"),
            (kubeconfig("{server: 'https://x', insecure-skip-tls-verify: true}", "{token: hush}"), "insecure-skip"),
            (Access::Kubeconfig { text: Secret::new("["), context: None }, "no kubeconfig"),
            (Access::Kubeconfig { text: Secret::new("{}"), context: Some("prod".to_owned()) }, "no context `prod`"),
        ];
        for (access, expected) in table {
            let message = access.check().unwrap_err().to_string();
            assert!(message.contains(expected) && !message.contains("hush"), "{message}");
        }
    }
}
