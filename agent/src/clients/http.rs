//! Web services: requests below one base URL, with credentials that the host adds and takes out again.
//!
//! ```text
//! path ─► normalise ─► permit ─► resolve ─► judge addresses ─► connect ─► send, with credentials
//!          ▲                                                                  │
//!          └───── a redirect that stays within the target ◄──────────────────┤
//!                                                                             ▼
//!                         cap ◄─ scrub ◄─ read, without cookies and credentials
//! ```
//!
//! Every exchange has a connection of its own. One that is kept open would go on working while nobody else can connect,
//! would hide a certificate that was replaced, and would stay with an address that a name has left; a check exists to
//! notice these. A check sends GET and HEAD, always without a body. What may change something is sent once, as a change, and
//! is led nowhere else by a redirect (change). All go directly and never through a proxy.

pub mod address;
mod base;
mod certificate;
mod change;
mod credentials;
mod diagnose;
mod exchange;
mod failure;
mod headers;
mod names;
mod path;
mod scrub;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Method, header};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::domain::{CallError, CallLimits, ChangeCall, TargetName};
use crate::journal::Change;
use crate::policy::{Op, Paths, Permit, op};
use address::Reach;
use base::Base;
use change::Inverses;
pub use credentials::Credential;
use credentials::Credentials;
use exchange::Exchange;
pub use headers::Header;
use names::JudgedNames;
pub use names::{Names, SystemNames};
use path::RequestPath;
use scrub::Scrubber;

/// Redirects followed where the operator says nothing.
pub const DEFAULT_MAX_REDIRECTS: u8 = 3;

/// Time for name, connection and handshake where the operator says nothing.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest body where the operator says nothing. The limits of a run can only lower it.
pub const DEFAULT_BODY_BYTES: usize = 1 << 20;

/// Exchanges with one target at the same time; more wait for their turn.
const MAX_EXCHANGES: usize = 8;

/// Header fields of an answer, in number and in bytes.
const MAX_FIELDS: usize = 100;
const MAX_HEAD_BYTES: usize = 32 << 10;

const USER_AGENT: &str = super::AGENT;

/// What an operator configures for a target.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http` or `https`, host, port and base path.
    pub base_url: Url,
    /// What the host adds to each request.
    pub credentials: Vec<Credential>,
    /// Loopback and private addresses may be connected to. Link-local ones never.
    pub allow_private: bool,
    /// Certificates, in PEM, to trust in addition to the system's.
    pub ca: Option<String>,
    /// Most redirects followed; with 0 they are passed on as they are.
    pub max_redirects: u8,
    /// Time for name, connection and handshake.
    pub connect_timeout: Duration,
    /// Largest body.
    pub body_bytes: usize,
    /// Requests of which the operator knows what takes them back.
    pub inverses: Vec<Inverse>,
}

/// What takes a request back, by the operator's word. Paths are below the base, and have no query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inverse {
    /// Method and path of the request.
    pub request: (String, String),
    /// Method and path of the one that takes it back, which is sent without a body.
    pub undo: (String, String),
}

impl Settings {
    /// Settings for `base_url`, with the defaults for everything else.
    pub fn new(base_url: Url) -> Self {
        Self {
            base_url,
            credentials: Vec::new(),
            allow_private: false,
            ca: None,
            max_redirects: DEFAULT_MAX_REDIRECTS,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            body_bytes: DEFAULT_BODY_BYTES,
            inverses: Vec::new(),
        }
    }
}

/// Why settings were refused. For the operator; values of credentials are not in it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    /// Another scheme, or no host.
    #[error("base_url must begin with http:// or https://")]
    Scheme,
    /// Credentials in the URL, where logs would show them.
    #[error("base_url must hold no user and password; put them into headers")]
    UserInfo,
    /// More than a path.
    #[error("base_url must hold no query and no fragment")]
    Query,
    /// Its path is one that would be refused from a plugin.
    #[error("base_url has a path that is never sent")]
    Path(#[from] path::InvalidPath),
    /// A path of an inverse is one that would be refused from a plugin.
    #[error("inverses has a path that is never sent")]
    InversePath(#[source] path::InvalidPath),
    /// Its host is in a closed range.
    #[error("base_url names an address that is closed; allow_private opens loopback and private ones")]
    Address(#[from] address::Blocked),
    /// A field that the HTTP library sets, or one that is there twice.
    #[error("the header {0} cannot carry a credential, or carries two")]
    CredentialName(HeaderName),
    /// Too short to be recognised in an answer, or too long.
    #[error("the credential {0} must have 4 to 4096 bytes")]
    CredentialLength(HeaderName),
    /// Line breaks and the like.
    #[error("the credential {0} holds characters that a header cannot")]
    CredentialValue(HeaderName),
    /// The expression that finds them would be too large.
    #[error("the credentials together are too long to be recognised in answers")]
    TooManyCredentials,
    /// `ca` is no PEM with certificates.
    #[error("ca holds no certificate in PEM")]
    AuthorityPem,
    /// `ca` holds something that TLS cannot use.
    #[error("ca cannot be used")]
    Authority(#[source] rustls::Error),
    /// The HTTP library refused.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

/// A request without its method.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Path and query below the base.
    pub path: String,
    /// Header fields.
    pub headers: Vec<Header>,
    /// Time limit for the whole exchange; none for the caller's deadline.
    pub timeout: Option<Duration>,
}

/// A response, whatever its status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header fields with lower-case names, without cookies and credentials.
    pub headers: Vec<Header>,
    /// The body; empty for HEAD.
    #[serde(serialize_with = "as_base64", deserialize_with = "from_base64")]
    pub body: Vec<u8>,
    /// Seconds from the start of the exchange, redirects included, to the first byte of this response.
    pub latency: f64,
    /// Seconds until the server's certificate expires; none without TLS.
    pub certificate_remaining: Option<f64>,
}

/// Where the response to a request that changes something is left for whoever asked for it. It is kept nowhere else.
#[derive(Clone, Debug, Default)]
pub struct ResponseSlot(Arc<Mutex<Option<Response>>>);

impl ResponseSlot {
    /// Leave a response.
    pub(super) fn fill(&self, response: Response) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
    }

    /// Take the response out, if one came.
    pub fn take(&self) -> Option<Response> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Base64 keeps the size of an answer in JSON near its size in bytes.
fn as_base64<S: Serializer>(body: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(body))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// The client of one target.
pub struct Http {
    name: TargetName,
    base: Base,
    credentials: Credentials,
    scrubber: Scrubber,
    names: JudgedNames,
    client: reqwest::Client,
    exchanges: Semaphore,
    max_redirects: u8,
    body_bytes: usize,
    system_roots: usize,
    inverses: Inverses,
}

impl Http {
    /// The client of the target `name`. Nothing connects yet.
    pub fn new(name: TargetName, settings: Settings) -> Result<Self, InvalidSettings> {
        Self::with_names(name, settings, Arc::new(SystemNames))
    }

    /// The same with another resolver.
    pub fn with_names(name: TargetName, settings: Settings, names: Arc<dyn Names>) -> Result<Self, InvalidSettings> {
        let reach = if settings.allow_private { Reach::Private } else { Reach::Public };
        let base = Base::new(settings.base_url, reach)?;
        let credentials = Credentials::new(settings.credentials)?;
        let tls = tls::prepare(settings.ca.as_deref())?;
        let names = JudgedNames::new(names, reach, name.clone());
        Ok(Self {
            name,
            base,
            scrubber: Scrubber::new(credentials.secrets())?,
            credentials,
            client: client(tls.config, settings.connect_timeout, names.clone()).map_err(InvalidSettings::Client)?,
            names,
            exchanges: Semaphore::new(MAX_EXCHANGES),
            max_redirects: settings.max_redirects,
            body_bytes: settings.body_bytes,
            system_roots: tls.system_roots,
            inverses: Inverses::new(&settings.inverses)?,
        })
    }

    /// Send a GET request.
    pub async fn get(
        &self,
        permit: &Permit<op::HttpGet>,
        limits: &CallLimits,
        request: Request,
    ) -> Result<Response, CallError> {
        self.exchange(permit, limits, Method::GET, request).await
    }

    /// Send a HEAD request.
    pub async fn head(
        &self,
        permit: &Permit<op::HttpHead>,
        limits: &CallLimits,
        request: Request,
    ) -> Result<Response, CallError> {
        self.exchange(permit, limits, Method::HEAD, request).await
    }

    /// Send a request with a method that may change something. The response is put into `slot`.
    pub fn send(
        self: &Arc<Self>,
        permit: Permit<op::HttpSend>,
        method: &str,
        request: Request,
        body: Vec<u8>,
        slot: ResponseSlot,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::send(self, permit, method, (request, body), slot)
    }

    /// A change that was recorded, or that gives a recorded one back: only what the operator declared, because of other
    /// requests no more than digests is kept.
    pub fn recorded(self: &Arc<Self>, call: &ChangeCall) -> Result<Arc<dyn Change>, CallError> {
        change::recorded(self, call)
    }

    async fn exchange<O: Op<Bounds = Paths>>(
        &self,
        permit: &Permit<O>,
        limits: &CallLimits,
        method: Method,
        request: Request,
    ) -> Result<Response, CallError> {
        let path = RequestPath::parse(&request.path).map_err(|error| CallError::Invalid(error.to_string()))?;
        let headers = headers::admit(&request.headers, self.credentials.fields())?;
        let deadline = exchange::deadline(limits, request.timeout);
        let _turn = self.turn(deadline).await?;
        let answer_bytes = limits.answer_bytes;
        let exchange = Exchange { http: self, permit, method, headers, body: &[], deadline, answer_bytes };
        exchange.run(path).await
    }

    /// The right to one of the few exchanges at the same time.
    async fn turn(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, CallError> {
        match timeout_at(deadline, self.exchanges.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => {
                Err(CallError::TimedOut("too many exchanges with this target at the same time".into()))
            }
        }
    }

    /// A request with what the host adds to each.
    fn request(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        self.client
            .request(method, url)
            .header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .headers(self.credentials.fields().clone())
    }
}

fn client(
    tls: rustls::ClientConfig,
    connect_timeout: Duration,
    names: JudgedNames,
) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .tls_info(true)
        .dns_resolver(Arc::new(names))
        .connect_timeout(connect_timeout)
        .user_agent(USER_AGENT)
        .http1_only()
        .http1_max_headers(MAX_FIELDS)
        .pool_max_idle_per_host(0)
        .no_proxy()
        // Both are ours: a redirect is judged first, and a request that failed is reported.
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_json_is_hardly_larger_than_the_answer() {
        let body = vec![0xff; 3000];
        let response = Response { status: 200, headers: Vec::new(), body, latency: 0.5, certificate_remaining: None };
        let json = serde_json::to_string(&response).unwrap();
        assert!(json.contains(&"/".repeat(4000)) && json.len() < 4200, "{}", json.len());
    }

    #[test]
    fn settings_do_not_print_secrets() {
        let credentials =
            vec![Credential::Basic { user: "probe".into(), password: crate::domain::Secret::new("hunter2") }];
        let settings = Settings { credentials, ..Settings::new("https://a.example".parse().unwrap()) };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
