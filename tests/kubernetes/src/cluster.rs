//! The handle that a test holds: a running server, and ways to look at its world and to change it without rights.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::controllers::Controllers;
use crate::faults::Trouble;
use crate::identity::Identity;
use crate::kubectl;
use crate::metrics::Metrics;
use crate::request::Request;
use crate::resources;
use crate::server::{self, Shared};
use crate::tls;
use crate::world::World;

/// What the recorded cluster held at the start.
const SEED: &str = include_str!("../record/seed.yaml");
/// A running stand-in. It ends when the handle is dropped.
#[derive(Debug)]
pub struct Cluster {
    address: SocketAddr,
    /// The authority of an encrypted cluster, in PEM.
    authority: Option<String>,
    shared: Arc<Shared>,
    tokens: BTreeMap<&'static str, String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Cluster {
    /// Starts an empty cluster with namespace `shop` and its service account `agent`.
    ///
    /// The server has a thread of its own, so that blocking tests can use it as well.
    pub async fn start() -> anyhow::Result<Self> {
        let mut world = World::new();
        world.plant(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "agent", "namespace": "shop"}});
        world.plant(account);
        let agent = world.service_account("shop", "agent").context("the account was just planted")?;
        let tokens = BTreeMap::from([
            ("agent", world.tokens.issue(agent, crate::identity::OWN_AUDIENCE, None)),
            ("admin", world.tokens.issue(Identity::admin(), crate::identity::OWN_AUDIENCE, None)),
            ("anonymous", String::new()),
            ("bad-token", "garbage".to_owned()),
        ]);
        Self::serve(world, tokens, None)
    }

    /// The same, with the time of this machine: for clients that compare it with their own.
    pub async fn start_now() -> anyhow::Result<Self> {
        let cluster = Self::start().await?;
        cluster.advance(crate::time::since_start());
        Ok(cluster)
    }

    /// Starts a cluster with the workloads of `record/seed.yaml`, rolled out: Deployments `api`, `worker` and
    /// `billing`, StatefulSets `postgres` and `redis`, four Deployments in trouble, a CronJob, an autoscaler, budgets, a
    /// quota, and the agent's Roles.
    pub async fn seeded() -> anyhow::Result<Self> {
        Self::seeded_after(Duration::ZERO).await
    }

    /// The same, with the time of this machine: for clients that compare it with their own.
    pub async fn seeded_now() -> anyhow::Result<Self> {
        Self::seeded_after(crate::time::since_start()).await
    }

    async fn seeded_after(time: Duration) -> anyhow::Result<Self> {
        let cluster = Self::start().await?;
        cluster.advance(time);
        cluster.apply(SEED)?;
        cluster.controllers().complete();
        Ok(cluster)
    }

    /// Starts another cluster with everything that is in this one, as it is now. The requests and the faults are not
    /// taken along; the tokens are.
    pub async fn copy(&self) -> anyhow::Result<Self> {
        Self::serve(self.shared.with(|world| world.clone()), self.tokens.clone(), None)
    }

    /// Starts such a copy that speaks HTTPS, with a certificate of its own authority.
    pub async fn copy_encrypted(&self) -> anyhow::Result<Self> {
        let identity = tls::make()?;
        Self::serve(self.shared.with(|world| world.clone()), self.tokens.clone(), Some(identity))
    }

    fn serve(
        world: World,
        tokens: BTreeMap<&'static str, String>,
        encryption: Option<tls::Identity>,
    ) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
        listener.set_nonblocking(true).context("cannot make the socket non-blocking")?;
        let address = listener.local_addr().context("a bound socket has no address")?;
        let shared = Shared::new(world);
        let (stop, stopped) = oneshot::channel();
        let (acceptor, authority) = encryption.map(|it| (it.acceptor, it.authority)).unzip();
        let thread = spawn(listener, Arc::clone(&shared), acceptor, stopped)?;
        Ok(Cluster { address, authority, shared, tokens, stop: Some(stop), thread: Some(thread) })
    }

    /// Address of the server, such as `http://127.0.0.1:4711`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The authority that a client of an encrypted cluster has to trust, in PEM.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// The token of `agent` or `admin`; none for `anonymous`, and garbage for `bad-token`.
    ///
    /// # Panics
    ///
    /// If there is no caller of that name.
    #[must_use]
    pub fn token(&self, name: &str) -> &str {
        self.tokens.get(name).expect("agent, admin, anonymous or bad-token")
    }

    /// A token of any service account that exists, for the server itself or for another audience.
    #[must_use]
    pub fn issue_token(&self, namespace: &str, account: &str, audience: Option<&str>) -> Option<String> {
        let audience = audience.unwrap_or(crate::identity::OWN_AUDIENCE);
        self.shared.with(|world| {
            let who = world.service_account(namespace, account)?;
            Some(world.tokens.issue(who, audience, None))
        })
    }

    /// The same with an end, which the time of the cluster has to reach.
    #[must_use]
    pub fn issue_token_for(&self, namespace: &str, account: &str, audience: &str, time: Duration) -> Option<String> {
        self.shared.with(|world| {
            let who = world.service_account(namespace, account)?;
            let expires = world.clock.now() + time;
            Some(world.tokens.issue(who, audience, Some(expires)))
        })
    }

    /// From now on the token is as good as garbage.
    pub fn revoke(&self, token: &str) {
        self.shared.with(|world| world.tokens.revoke(token));
    }

    /// A kubeconfig, in YAML, with which this caller finds the cluster; `namespace` is the default one.
    #[must_use]
    pub fn kubeconfig(&self, name: &str, namespace: &str) -> String {
        let (url, token) = (self.url(), self.token(name));
        let trust = self.authority.as_ref().map(|pem| STANDARD.encode(pem));
        let trust = trust.map_or(String::new(), |data| format!(", certificate-authority-data: {data}"));
        let user = if token.is_empty() { String::new() } else { format!("token: {token}") };
        format!(
            "apiVersion: v1\n\
             kind: Config\n\
             current-context: stand-in\n\
             clusters: [{{name: stand-in, cluster: {{server: \"{url}\"{trust}}}}}]\n\
             users: [{{name: {name}, user: {{{user}}}}}]\n\
             contexts: [{{name: stand-in, context: {{cluster: stand-in, user: {name}, namespace: {namespace}}}}}]\n"
        )
    }

    /// Stores an object as it is, without asking anybody: no defaults, no rules. What an object must have and this one
    /// has not is filled in: uid, time of creation, generation, version.
    pub fn put(&self, object: Value) -> Value {
        self.shared.with(|world| world.plant(object))
    }

    /// An object as it is stored; `kind` is written `apps/v1/Deployment` or `v1/Pod`. The namespace is empty for what
    /// has none.
    #[must_use]
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let storage = storage(kind);
        self.shared.with(|world| world.store.get(&storage, namespace, name).cloned())
    }

    /// All objects of a kind in a namespace, or in all.
    #[must_use]
    pub fn list(&self, kind: &str, namespace: Option<&str>) -> Vec<Value> {
        let storage = storage(kind);
        self.shared.with(|world| world.store.list(&storage, namespace).cloned().collect())
    }

    /// Takes an object away at once.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let storage = storage(kind);
        self.shared.with(|world| world.store.delete(&storage, namespace, name))
    }

    /// Applies documents in YAML as `kubectl apply` does, as admin: with defaults, rules and field managers.
    pub fn apply(&self, yaml: &str) -> anyhow::Result<()> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("not YAML")?;
        let authorization = format!("Bearer {}", self.token("admin"));
        self.shared.with(|world| {
            documents
                .into_iter()
                .filter(|it| !it.is_null())
                .try_for_each(|it| kubectl::apply(world, it, &authorization))
        })
    }

    /// All requests so far, in the order in which they were read.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared.forget_requests();
    }

    /// Lets something go wrong: the next request, or as the trouble says.
    pub fn fail(&self, trouble: impl Into<Trouble>) {
        self.shared.trouble(trouble.into());
    }

    /// From now on new connections are accepted and never read from: a server that hangs before it hears anything.
    pub fn go_deaf(&self) {
        self.shared.go_deaf();
    }

    /// Ends that for connections to come.
    pub fn hear(&self) {
        self.shared.hear();
    }

    /// Moves the time on. Watches end and deadlines pass by this time alone.
    pub fn advance(&self, by: Duration) {
        self.shared.with(|world| world.clock.advance(by));
    }

    /// The time in the cluster, as `creationTimestamp` would have it.
    #[must_use]
    pub fn now(&self) -> String {
        self.shared.with(|world| world.clock.seconds())
    }

    /// The version of the last change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.with(|world| world.store.version())
    }

    /// Forgets the history: versions and continue tokens from before are too old.
    pub fn compact(&self) {
        self.shared.with(|world| world.store.compact());
    }

    /// Sets what metrics.k8s.io does.
    pub fn set_metrics(&self, metrics: Metrics) {
        self.shared.with(|world| world.metrics = metrics);
    }

    /// One more line in the log of a container, written so long ago.
    pub fn log(&self, namespace: &str, pod: &str, container: &str, ago: Duration, line: &str) {
        self.shared.with(|world| {
            let time = world.clock.now() - ago;
            world.logs.write(namespace, pod, container, time, line);
        });
    }

    /// One more line in the log of a container's run before its last restart, written so long ago.
    pub fn log_previous(&self, namespace: &str, pod: &str, container: &str, ago: Duration, line: &str) {
        self.shared.with(|world| {
            let time = world.clock.now() - ago;
            world.logs.write_previous(namespace, pod, container, time, line);
        });
    }

    /// The kubelet of this node does not answer any more.
    pub fn lose_node(&self, node: &str) {
        self.shared.with(|world| world.dead_nodes.insert(node.to_owned()));
    }

    /// The kubelet of this node answers again.
    pub fn restore_node(&self, node: &str) {
        self.shared.with(|world| world.dead_nodes.remove(node));
    }

    /// What moves the world. Nothing moves by itself.
    #[must_use]
    pub fn controllers(&self) -> Controllers<'_> {
        Controllers::new(&self.shared)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The receiver is gone only if the thread has already ended.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the stand-in of {} panicked", self.address);
        }
    }
}

fn spawn(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    encryption: Option<TlsAcceptor>,
    stopped: oneshot::Receiver<()>,
) -> anyhow::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let listener = {
        let _guard = runtime.enter();
        tokio::net::TcpListener::from_std(listener).context("cannot listen")?
    };
    Ok(std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = server::serve(listener, shared, encryption) => {}
                _ = stopped => {}
            }
        });
    }))
}

/// `apps/v1/Deployment` is stored under `apps/deployments`.
fn storage(kind: &str) -> String {
    let (api_version, kind) = kind.rsplit_once('/').expect("a kind with its version, such as v1/Pod");
    resources::of_kind(api_version, kind).expect("a kind that the stand-in serves").storage()
}
