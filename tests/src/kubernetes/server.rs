//! An API server that is reached by a kubeconfig, asked as an administrator would ask it.
//!
//! Calls block like everything in this library, also in tests that are tasks of a runtime: the client has a runtime of its own.

use std::sync::OnceLock;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::LABEL;

/// The name under which an administrator of these tests writes.
const MANAGER: &str = "paramedic-test";

/// An API server, and the credentials that the kubeconfig has for it.
#[derive(Clone)]
pub struct Server {
    client: Client,
    url: String,
    /// What the cluster's entry of a kubeconfig says beside the address.
    trust: Value,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Server {
    /// The one that the current context of this kubeconfig leads to.
    pub fn of(kubeconfig: &str) -> anyhow::Result<Self> {
        Self::open(Kubeconfig::from_yaml(kubeconfig).context("this is no kubeconfig")?)
    }

    /// The one that the variable `KUBECONFIG` leads to.
    pub fn of_environment() -> anyhow::Result<Self> {
        Self::open(Kubeconfig::from_env()?.context("it is not set")?)
    }

    fn open(kubeconfig: Kubeconfig) -> anyhow::Result<Self> {
        wait_for(async {
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
            let mut trust = json!({});
            if let Some(authorities) = &config.root_cert {
                let pem: String = authorities.iter().map(|der| pem(der)).collect();
                trust["certificate-authority-data"] = STANDARD.encode(pem).into();
            }
            if let Some(name) = &config.tls_server_name {
                trust["tls-server-name"] = name.clone().into();
            }
            Ok(Server { client: Client::try_from(config)?, url, trust })
        })
    }

    /// Whether there is a node that no test plays, as those of scenarios beside this one. A cluster that does not let itself be asked has
    /// some.
    pub fn has_nodes(&self) -> bool {
        let is_played =
            |node: &Value| node.pointer("/metadata/labels").is_some_and(|labels| labels.get(LABEL).is_some());
        self.list("", "v1/Node").map_or(true, |nodes| !nodes.iter().all(is_played))
    }

    /// Whether the server says that it is ready.
    pub fn is_ready(&self) -> bool {
        let request = Request::get("/readyz").body(Vec::new()).map_err(anyhow::Error::from);
        request.is_ok_and(|request| wait_for(async { self.client.request_text(request).await }).is_ok())
    }

    /// An object, if it is there; `kind` is written `apps/v1/Deployment`. The namespace is empty for what is in none.
    pub fn get(&self, namespace: &str, kind: &str, name: &str) -> anyhow::Result<Option<Value>> {
        let found = self.ask(Method::GET, &path(namespace, kind, name, ""), None);
        match found {
            Err(error) if code(&error) == Some(404) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// All objects of a kind. In a list they do not say of what kind they are.
    pub fn list(&self, namespace: &str, kind: &str) -> anyhow::Result<Vec<Value>> {
        let mut list = self.ask(Method::GET, &path(namespace, kind, "", ""), None)?;
        let items = list.get_mut("items").map(Value::take).unwrap_or_default();
        let Value::Array(items) = items else { anyhow::bail!("no list of {kind}") };
        Ok(items)
    }

    /// Creates an object.
    pub fn create(&self, namespace: &str, object: &Value) -> anyhow::Result<Value> {
        let place = path(namespace, &kind_of(object)?, "", "");
        self.ask(Method::POST, &format!("{place}?fieldManager={MANAGER}"), Some(("json", object)))
    }

    /// Creates an object, or merges this into the one that is there.
    pub fn create_or_merge(&self, namespace: &str, object: &Value) -> anyhow::Result<Value> {
        match self.create(namespace, object) {
            Err(error) if code(&error) == Some(409) => {
                let name = object.pointer("/metadata/name").and_then(Value::as_str).context("an object has a name")?;
                self.patch(namespace, &kind_of(object)?, name, "", "merge-patch", object)
            }
            created => created,
        }
    }

    /// Changes an object, or a subresource of it such as `/status`, by a patch of this kind: `merge-patch`, `strategic-merge-patch`.
    pub fn patch(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        subresource: &str,
        how: &str,
        patch: &Value,
    ) -> anyhow::Result<Value> {
        let place = path(namespace, kind, name, subresource);
        self.ask(Method::PATCH, &format!("{place}?fieldManager={MANAGER}"), Some((&format!("{how}+json"), patch)))
    }

    /// Posts to a subresource of an object, such as `/binding`.
    pub fn post(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        subresource: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        self.ask(Method::POST, &path(namespace, kind, name, subresource), Some(("json", body)))
    }

    /// Asks that an object goes, after its own time or after so many seconds. One that is gone is no error.
    pub fn delete(&self, namespace: &str, kind: &str, name: &str, grace: Option<u32>) -> anyhow::Result<()> {
        let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace });
        match self.ask(Method::DELETE, &path(namespace, kind, name, ""), Some(("json", &options))) {
            Err(error) if code(&error) != Some(404) => Err(error),
            _ => Ok(()),
        }
    }

    /// A token of a service account, good for an hour.
    pub fn token(&self, namespace: &str, account: &str) -> anyhow::Result<String> {
        let wanted = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "expirationSeconds": 3600 },
        });
        let answer = self.post(namespace, "v1/ServiceAccount", account, "/token", &wanted)?;
        let token = answer.pointer("/status/token").and_then(Value::as_str);
        token.map(str::to_owned).with_context(|| format!("no token for {account}"))
    }

    /// A kubeconfig with this token instead of our credentials.
    pub fn kubeconfig(&self, namespace: &str, token: &str) -> anyhow::Result<String> {
        let mut cluster = json!({ "server": self.url });
        if let (Some(cluster), Some(trust)) = (cluster.as_object_mut(), self.trust.as_object()) {
            cluster.extend(trust.clone());
        }
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": cluster }],
            "users": [{ "name": "test", "user": { "token": token } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": namespace } }],
        });
        // JSON is YAML.
        serde_json::to_string_pretty(&config).context("cannot write a kubeconfig")
    }

    fn ask(&self, method: Method, path: &str, body: Option<(&str, &Value)>) -> anyhow::Result<Value> {
        let mut request = Request::builder().method(method.clone()).uri(path);
        if let Some((kind, _)) = body {
            request = request.header("content-type", format!("application/{kind}"));
        }
        let body = body.map(|(_, body)| body.to_string().into_bytes()).unwrap_or_default();
        let request = request.body(body).with_context(|| format!("`{path}` is no path"))?;
        let answer = wait_for(async { self.client.request::<Value>(request).await });
        answer.with_context(|| format!("{method} {path} at {}", self.url))
    }
}

/// The status with which the server refused.
pub fn code(error: &anyhow::Error) -> Option<u16> {
    match error.downcast_ref::<kube::Error>()? {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

fn kind_of(object: &Value) -> anyhow::Result<String> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).with_context(|| format!("an object without {key}"));
    Ok(format!("{}/{}", text("apiVersion")?, text("kind")?))
}

/// Where an object is found, or all of its kind if it has no name. All kinds that tests use have the plural that one would guess.
fn path(namespace: &str, kind: &str, name: &str, subresource: &str) -> String {
    let (version, kind) = kind.rsplit_once('/').unwrap_or(("v1", kind));
    let root = if version.contains('/') { "apis" } else { "api" };
    let space = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    let plural = format!("{}s", kind.to_lowercase());
    let name = if name.is_empty() { String::new() } else { format!("/{name}") };
    format!("/{root}/{version}{space}/{plural}{name}{subresource}")
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// A thread waits for the answer, because one of a runtime must not.
fn wait_for<T: Send>(answer: impl Future<Output = T> + Send) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let start = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().expect("a runtime can be started")
    };
    let runtime = RUNTIME.get_or_init(start);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| runtime.block_on(answer));
        waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_where_the_api_has_them() {
        let table = [
            (("", "v1/Node", "", ""), "/api/v1/nodes"),
            (("shop", "v1/Pod", "a", "/status"), "/api/v1/namespaces/shop/pods/a/status"),
            (("shop", "apps/v1/Deployment", "api", ""), "/apis/apps/v1/namespaces/shop/deployments/api"),
            (("", "v1/Namespace", "shop", ""), "/api/v1/namespaces/shop"),
        ];
        for ((namespace, kind, name, subresource), expected) in table {
            assert_eq!(path(namespace, kind, name, subresource), expected);
        }
    }
}
