//! `targets`: the systems that plugins may be granted, with the credentials for them.

use std::collections::BTreeMap;

use url::Url;

use crate::domain::{KeyPattern, Secret, System, TargetName};

use super::field::{Entry, Field, Mapping};
use super::names::Names;
use super::report::quoted;
use super::sources::Sources;

/// All targets, by system and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Postgres servers.
    pub postgres: BTreeMap<TargetName, PostgresTarget>,
    /// Redis servers.
    pub redis: BTreeMap<TargetName, RedisTarget>,
    /// Job queues.
    pub queue: BTreeMap<TargetName, QueueTarget>,
    /// Web services.
    pub http: BTreeMap<TargetName, HttpTarget>,
    /// Namespaces of Kubernetes clusters.
    pub kubernetes: BTreeMap<TargetName, KubernetesTarget>,
}

/// A Postgres server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresTarget {
    /// Connection URL with the login of least privilege.
    pub url: Secret,
    /// The same server with the login that may end sessions.
    pub signal_url: Option<Secret>,
    /// Applications whose sessions are never ended, by patterns; none for those that the client knows by itself.
    pub protected: Option<Vec<KeyPattern>>,
    /// Most connections that the agent opens.
    pub pool: usize,
    /// True when the operator insists on a login with a superuser's rights.
    pub allow_superuser: bool,
    /// Certificates, in PEM, to trust instead of the system's.
    pub ca: Option<String>,
}

/// A Redis server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisTarget {
    /// Connection URL with the agent's own ACL user.
    pub url: Secret,
    /// Certificates, in PEM, to trust instead of the system's.
    pub ca: Option<String>,
}

/// A job queue in a Redis server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueTarget {
    /// The Redis target that holds it; one of [`Targets::redis`].
    pub redis: TargetName,
    /// Prefix of its keys.
    pub prefix: String,
    /// Name of the queue.
    pub name: String,
    /// Library that its producers and workers use.
    pub library: QueueLibrary,
}

/// A queue library with its major version. The versions keep their jobs differently, and what the data says of them is
/// only a hint, so the operator names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueLibrary {
    /// BullMQ, 3 to 6.
    BullMq(u8),
    /// Bull, 4.
    Bull(u8),
}

/// A web service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// Origin and base path: `http` or `https`, without credentials, query and fragment.
    pub base_url: Url,
    /// Header fields that the host adds to each request; each name once.
    pub headers: Vec<(http::HeaderName, Secret)>,
    /// True when its addresses may be private ones.
    pub allow_private: bool,
    /// Certificates, in PEM, to trust in addition to the system's.
    pub ca: Option<String>,
    /// Requests of which the operator knows what takes them back.
    pub inverses: Vec<HttpInverse>,
}

/// A namespace of a Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesTarget {
    /// The namespace.
    pub namespace: String,
    /// The way into the cluster; none for the service account of the agent's own pod.
    pub kubeconfig: Option<Secret>,
    /// The context of the kubeconfig; none for its current one.
    pub context: Option<String>,
}

/// What takes a request back. Paths are exact and have no query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpInverse {
    /// Method of the request.
    pub method: String,
    /// Its path below the base; one inverse for each method and path.
    pub path: String,
    /// Method of the request that takes it back.
    pub undo_method: String,
    /// Its path.
    pub undo_path: String,
}

/// What reading a target needs beside the target itself.
struct Context<'a> {
    sources: &'a Sources<'a>,
    names: &'a Names<'a>,
}

impl Targets {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.postgres.len() + self.redis.len() + self.queue.len() + self.http.len() + self.kubernetes.len()
    }

    /// Read `targets`.
    pub(super) fn read(root: &Mapping<'_>, names: &Names<'_>, sources: &Sources<'_>) -> Option<Self> {
        let targets = root.section("targets", &System::ALL.map(System::as_str))?;
        let context = Context { sources, names };
        let postgres = all(&targets, System::Postgres, &context, PostgresTarget::read);
        let redis = all(&targets, System::Redis, &context, RedisTarget::read);
        let queue = all(&targets, System::Queue, &context, QueueTarget::read);
        let http = all(&targets, System::Http, &context, HttpTarget::read);
        let kubernetes = all(&targets, System::Kubernetes, &context, KubernetesTarget::read);
        Some(Self { postgres: postgres?, redis: redis?, queue: queue?, http: http?, kubernetes: kubernetes? })
    }
}

fn all<T>(
    targets: &Mapping<'_>,
    system: System,
    context: &Context<'_>,
    read: impl Fn(&Field<'_>, &Context<'_>) -> Option<T>,
) -> Option<BTreeMap<TargetName, T>> {
    let Some(field) = targets.get(system.as_str()) else { return Some(BTreeMap::new()) };
    let read: Vec<_> =
        field.entries()?.iter().map(|entry| (entry.parsed::<TargetName>(), read(&entry.value, context))).collect();
    read.into_iter().map(|(name, target)| Some((name?, target?))).collect()
}

impl PostgresTarget {
    fn read(field: &Field<'_>, context: &Context<'_>) -> Option<Self> {
        let target = field.mapping(&["url", "signal_url", "protected", "pool", "allow_superuser", "ca"])?;
        let secret = |url: &Field<'_>| secret_url(url, context, "postgres", &["postgres://", "postgresql://"]);
        let url = target.required("url", secret);
        let signal_url = target.or("signal_url", None, |url| secret(url).map(Some));
        let protected = target.or("protected", None, |field| field.all(Field::parsed).map(Some));
        let pool = target.or("pool", 4, |field| field.whole(1..=64));
        let allow_superuser = target.or("allow_superuser", false, Field::boolean);
        let ca = target.or("ca", None, |field| certificates(field, context).map(Some));
        Some(Self {
            url: url?,
            signal_url: signal_url?,
            protected: protected?,
            pool: pool?,
            allow_superuser: allow_superuser?,
            ca: ca?,
        })
    }
}

impl RedisTarget {
    fn read(field: &Field<'_>, context: &Context<'_>) -> Option<Self> {
        let target = field.mapping(&["url", "ca"])?;
        let url = target.required("url", |url| secret_url(url, context, "redis", &["redis://", "rediss://"]));
        let ca = target.or("ca", None, |field| certificates(field, context).map(Some));
        Some(Self { url: url?, ca: ca? })
    }
}

/// A URL with credentials. Only its scheme is judged here; the rest is for the driver, which has its own dialect.
fn secret_url(field: &Field<'_>, context: &Context<'_>, system: &str, schemes: &[&str]) -> Option<Secret> {
    let url = context.sources.secret(field)?;
    if schemes.iter().any(|scheme| url.expose().starts_with(scheme)) {
        return Some(url);
    }
    field.refuse(format!("what this leads to is no {system} URL: it must begin with {}", schemes.join(" or ")))
}

impl QueueTarget {
    fn read(field: &Field<'_>, context: &Context<'_>) -> Option<Self> {
        let target = field.mapping(&["redis", "prefix", "name", "bullmq", "bull"])?;
        let redis = target.required("redis", |field| context.names.target(field, System::Redis));
        let prefix = target.or("prefix", "bull".to_owned(), key_part);
        let name = target.required("name", key_part);
        let library = QueueLibrary::read(&target);
        Some(Self { redis: redis?, prefix: prefix?, name: name?, library: library? })
    }
}

/// A text that goes into the names of keys.
fn key_part(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.len() > 200 || text.chars().any(char::is_control) {
        return field.refuse(format!("{} is too long or holds control characters", quoted(text)));
    }
    Some(text.to_owned())
}

impl QueueLibrary {
    fn read(target: &Mapping<'_>) -> Option<Self> {
        let form = "exactly one of `bullmq: 3` to `bullmq: 6`, or `bull: 4`";
        match (target.get("bullmq"), target.get("bull")) {
            (Some(version), None) => version.whole(3..=6).map(Self::BullMq),
            (None, Some(version)) => version.whole(4..=4).map(Self::Bull),
            (Some(_), Some(second)) => second.refuse(format!("a queue has one library; give {form}")),
            (None, None) => target.field().refuse(format!("its library is missing; give {form}")),
        }
    }
}

impl KubernetesTarget {
    fn read(field: &Field<'_>, context: &Context<'_>) -> Option<Self> {
        let target = field.mapping(&["namespace", "kubeconfig", "context"])?;
        let namespace = target.required("namespace", |field| field.text().map(str::to_owned));
        let kubeconfig = target.or("kubeconfig", None, |field| context.sources.secret(field).map(Some));
        let chosen = target.or("context", None, |field| field.text().map(|text| Some(text.to_owned())));
        if let (Some(field), None) = (target.get("context"), target.get("kubeconfig")) {
            return field.refuse("only a `kubeconfig` has contexts");
        }
        Some(Self { namespace: namespace?, kubeconfig: kubeconfig?, context: chosen? })
    }
}

impl HttpTarget {
    fn read(field: &Field<'_>, context: &Context<'_>) -> Option<Self> {
        let target = field.mapping(&["base_url", "headers", "allow_private", "ca", "inverses"])?;
        let base_url = target.required("base_url", base_url);
        let headers = target.or("headers", Vec::new(), |field| headers(field, context));
        let allow_private = target.or("allow_private", false, Field::boolean);
        let ca = target.or("ca", None, |field| certificates(field, context).map(Some));
        let inverses = target.or("inverses", Vec::new(), inverses);
        Some(Self {
            base_url: base_url?,
            headers: headers?,
            allow_private: allow_private?,
            ca: ca?,
            inverses: inverses?,
        })
    }
}

fn inverses(field: &Field<'_>) -> Option<Vec<HttpInverse>> {
    let inverses = field.all(inverse)?;
    for (n, inverse) in inverses.iter().enumerate() {
        let is_same = |other: &HttpInverse| other.method == inverse.method && other.path == inverse.path;
        if inverses.iter().take(n).any(is_same) {
            let request = format!("{} {}", inverse.method, inverse.path);
            return field.refuse(format!("{} has two inverses", quoted(&request)));
        }
    }
    Some(inverses)
}

fn inverse(field: &Field<'_>) -> Option<HttpInverse> {
    let inverse = field.mapping(&["method", "path", "undo"])?;
    let method = inverse.required("method", super::grants::method);
    let path = inverse.required("path", exact_path);
    let undo = inverse.required("undo", |field| {
        let undo = field.mapping(&["method", "path"])?;
        let method = undo.required("method", super::grants::method);
        let path = undo.required("path", exact_path);
        Some((method?, path?))
    });
    let (undo_method, undo_path) = undo?;
    Some(HttpInverse { method: method?, path: path?, undo_method, undo_path })
}

/// The client has more to say about its spelling.
fn exact_path(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.starts_with('/') && !text.contains(['*', '?', '#']) {
        return Some(text.to_owned());
    }
    field.refuse(format!("{} is no exact path: it begins with `/` and has neither `*` nor a query", quoted(text)))
}

/// The value is not shown: it may hold a password that it must not hold.
fn base_url(field: &Field<'_>) -> Option<Url> {
    let url = match field.text()?.parse::<Url>() {
        Ok(url) => url,
        Err(error) => return field.refuse(format!("no URL such as https://api.example.org: {error}")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return field.refuse("a base URL begins with https:// or http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return field.refuse("a base URL holds no credentials; send them with `headers`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return field.refuse("a base URL holds no query and no fragment");
    }
    Some(url)
}

/// Headers that frame the message or belong to the connection. The HTTP library alone sets them.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn headers(field: &Field<'_>, context: &Context<'_>) -> Option<Vec<(http::HeaderName, Secret)>> {
    let mut names: Vec<Option<http::HeaderName>> = Vec::new();
    let mut values: Vec<Option<Secret>> = Vec::new();
    for entry in field.entries()? {
        let name = header_name(&entry);
        if name.is_some() && names.contains(&name) {
            entry.note("given twice; the case of a header's name does not matter");
        }
        names.push(name);
        values.push(context.sources.secret(&entry.value).and_then(|value| header_value(&entry.value, value)));
    }
    names.into_iter().zip(values).map(|(name, value)| name.zip(value)).collect()
}

fn header_name(entry: &Entry<'_>) -> Option<http::HeaderName> {
    let name = entry.parsed::<http::HeaderName>()?;
    if OWN_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
        entry.note("the agent sets this header by itself");
    }
    Some(name)
}

fn header_value(field: &Field<'_>, value: Secret) -> Option<Secret> {
    match http::HeaderValue::from_str(value.expose()) {
        Ok(_) => Some(value),
        Err(_) => field.refuse("what this leads to cannot be sent in a header: it holds a line break or the like"),
    }
}

fn certificates(field: &Field<'_>, context: &Context<'_>) -> Option<String> {
    let text = context.sources.file(field)?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Some(text);
    }
    field.refuse("what this leads to holds no certificate in PEM")
}
