//! Asks an agent over HTTP, and puts into words why there is no answer.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Response, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Host;

use super::{Connection, output};
use crate::api::{Fault, Problem};
use crate::config;

/// The agent is near, or it is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For everything that is only looked up.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);

/// For a run, whose deadline is the agent's business and at most a quarter of an hour.
const RUN_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// For a component, which the agent may compile for a minute after it arrived.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// A component to be sent.
pub(super) struct Upload {
    pub(super) bytes: Vec<u8>,
    pub(super) is_gzip: bool,
    /// Digest of the uncompressed component.
    pub(super) digest: Option<String>,
    /// The file of its signature, as base64.
    pub(super) signature: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("no token: set PARAMEDIC_TOKEN, or name a file that holds it with --token-file")]
    NoToken,
    #[error("cannot read the token from {}: {source}", path.display())]
    TokenFile { path: PathBuf, source: std::io::Error },
    #[error("the token holds signs that no token can have")]
    OddToken,
    #[error("`{0}` is no address of an agent: expected something like http://127.0.0.1:7117")]
    Server(String),
    #[error("cannot read the certificates from {}: {source}", path.display())]
    Authorities { path: PathBuf, source: std::io::Error },
    #[error("{} holds no certificate in PEM", path.display())]
    NoAuthorities { path: PathBuf },
    #[error("cannot prepare the connection: {0}")]
    Tls(#[from] rustls::Error),
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
    #[error(
        "cannot reach the agent at {server}: {}; is it running? --server or PARAMEDIC_URL names another",
        root(.source)
    )]
    Unreachable { server: Url, source: reqwest::Error },
    #[error("the agent at {server} did not answer: {}; what was asked for may go on: see `paramedic runs`", root(.source))]
    Silent { server: Url, source: reqwest::Error },
    #[error("{}", plain(problem))]
    Refused {
        problem: Box<Problem>,
        /// How long the agent wants to be left alone.
        retry_after: Option<Duration>,
    },
    #[error("{url} answered {status} with something that no agent says; is this the agent's address?")]
    Foreign { url: Url, status: StatusCode },
    #[error("the agent's stream of events broke off; what was asked for may go on: see `paramedic runs`")]
    Broken,
    #[error("{0}")]
    Params(String),
    #[error("cannot print the answer: {0}")]
    Output(std::io::Error),
    #[error("cannot save the archive as {}: {source}", path.display())]
    Save { path: PathBuf, source: std::io::Error },
}

impl AskError {
    /// True when the same question may be answered later without anybody doing anything about it.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Broken => true,
            Self::Refused { problem, .. } => matches!(problem.status, 429 | 500..),
            // What stands before an agent and has lost it.
            Self::Foreign { status, .. } => status.is_server_error(),
            Self::NoToken
            | Self::TokenFile { .. }
            | Self::OddToken
            | Self::Server(_)
            | Self::Authorities { .. }
            | Self::NoAuthorities { .. }
            | Self::Tls(_)
            | Self::Runtime(_)
            | Self::Params(_)
            | Self::Output(_)
            | Self::Save { .. } => false,
        }
    }

    /// How long the agent wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The innermost cause: the layers above it only say that there was one.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A problem as one would say it, each thing that is wrong on a line of its own.
fn plain(problem: &Problem) -> String {
    let told = |fault: &Fault| match fault.pointer.as_ref().or(fault.parameter.as_ref()) {
        Some(place) => format!("\n  {place}: {}", fault.message),
        None => format!("\n  {}", fault.message),
    };
    let faults = problem.errors.iter().map(told);
    format!("{}{}", problem.detail, faults.collect::<String>())
}

/// Asks one agent.
pub(super) struct Client {
    http: reqwest::Client,
    server: Url,
    authorization: Option<HeaderValue>,
}

impl Client {
    pub(super) fn new(connection: &Connection) -> Result<Self, AskError> {
        let server = server(&connection.server)?;
        if is_overheard(&server) {
            output::warn(&format!("the token crosses the network to {server} in the clear; use https"));
        }
        Self::to(server, connection, Some(authorization(connection)?))
    }

    /// One that says to nobody who asks, for what needs no token.
    pub(super) fn anonymous(connection: &Connection) -> Result<Self, AskError> {
        Self::to(server(&connection.server)?, connection, None)
    }

    fn to(server: Url, connection: &Connection, authorization: Option<HeaderValue>) -> Result<Self, AskError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(&server, connection.ca.as_deref())?)
            .connect_timeout(CONNECT_TIMEOUT)
            // The token is for this agent: not for a proxy that the environment names, not for where it points.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("paramedic/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| AskError::Unreachable { server: server.clone(), source })?;
        Ok(Self { http, server, authorization })
    }

    /// Look something up.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, AskError> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.ask(self.request(Method::GET, url).timeout(LOOKUP_TIMEOUT)).await
    }

    /// Whether the agent answers a path with 200.
    pub(super) async fn is_well(&self, path: &str) -> Result<bool, AskError> {
        let request = self.request(Method::GET, self.url(&[path])).timeout(LOOKUP_TIMEOUT);
        Ok(request.send().await.map_err(|error| self.silence(error))?.status() == StatusCode::OK)
    }

    /// Read something as it is kept.
    pub(super) async fn bytes(&self, path: &[&str]) -> Result<Vec<u8>, AskError> {
        let request = self.request(Method::GET, self.url(path)).timeout(UPLOAD_TIMEOUT);
        let response = request.send().await.map_err(|error| self.silence(error))?;
        if response.status() == StatusCode::OK {
            return Ok(response.bytes().await.map_err(|error| self.silence(error))?.into());
        }
        self.read::<Value>(response).await.and_then(|_| Err(AskError::Broken))
    }

    /// Start something.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        headers: &[(&'static str, Option<&str>)],
        body: &impl Serialize,
    ) -> Result<T, AskError> {
        let request = self.request(Method::POST, self.url(path)).json(body).timeout(RUN_TIMEOUT);
        let given = headers.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        self.ask(given.fold(request, |request, (name, value)| request.header(name, value))).await
    }

    /// Watch something: a stream of events after the one with the id `last`. None when that was the last one.
    pub(super) async fn events(&self, path: &[&str], last: Option<&str>) -> Result<Option<Response>, AskError> {
        let mut request = self.request(Method::GET, self.url(path)).header(ACCEPT, "text/event-stream");
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.timeout(RUN_TIMEOUT).send().await.map_err(|error| self.silence(error))?;
        let kind = response.headers().get(CONTENT_TYPE).cloned();
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        if kind.is_some_and(|kind| kind == "text/event-stream") {
            return Ok(Some(response));
        }
        self.read::<Value>(response).await.and_then(|_| Err(AskError::Broken))
    }

    /// Read something that may be long, a line for each thing.
    pub(super) async fn lines(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Response, AskError> {
        let mut url = self.url(path);
        url.query_pairs_mut().extend_pairs(query);
        let request = self.request(Method::GET, url).header(ACCEPT, "application/x-ndjson").timeout(RUN_TIMEOUT);
        let response = request.send().await.map_err(|error| self.silence(error))?;
        if response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/x-ndjson") {
            return Ok(response);
        }
        self.read::<Value>(response).await.and_then(|_| Err(AskError::Broken))
    }

    /// End or remove something.
    pub(super) async fn delete<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, AskError> {
        self.ask(self.request(Method::DELETE, self.url(path)).timeout(LOOKUP_TIMEOUT)).await
    }

    /// Do something that needs no words.
    pub(super) async fn act<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, AskError> {
        self.ask(self.request(Method::POST, self.url(path)).timeout(UPLOAD_TIMEOUT)).await
    }

    /// Send a component to a place that it names itself.
    pub(super) async fn push<T: DeserializeOwned>(&self, path: &[&str], upload: Upload) -> Result<T, AskError> {
        self.send(Method::POST, path, upload).await
    }

    /// Send a component to its place.
    pub(super) async fn put<T: DeserializeOwned>(&self, path: &[&str], upload: Upload) -> Result<T, AskError> {
        self.send(Method::PUT, path, upload).await
    }

    async fn send<T: DeserializeOwned>(&self, method: Method, path: &[&str], upload: Upload) -> Result<T, AskError> {
        let Upload { bytes, is_gzip, digest, signature } = upload;
        let mut request = self.request(method, self.url(path)).header(CONTENT_TYPE, "application/wasm").body(bytes);
        if is_gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        if let Some(digest) = digest {
            request = request.header("Paramedic-Digest", digest);
        }
        if let Some(signature) = signature {
            request = request.header("Paramedic-Signature", signature);
        }
        self.ask(request.timeout(UPLOAD_TIMEOUT)).await
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.server.clone();
        // An address with a host, which `server` asks for, has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization.clone()),
            None => request,
        }
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, AskError> {
        let request = request.header(ACCEPT, "application/json");
        self.read(request.send().await.map_err(|error| self.silence(error))?).await
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, AskError> {
        let (status, url) = (response.status(), response.url().clone());
        let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.bytes().await.map_err(|error| self.silence(error))?;
        let foreign = |_| AskError::Foreign { url, status };
        if is_problem {
            let problem = serde_json::from_slice(&body).map_err(foreign)?;
            return Err(AskError::Refused { problem, retry_after: retry_after.map(Duration::from_secs) });
        }
        serde_json::from_slice(&body).map_err(foreign)
    }

    fn silence(&self, error: reqwest::Error) -> AskError {
        let (server, source) = (self.server.clone(), error.without_url());
        if source.is_connect() { AskError::Unreachable { server, source } } else { AskError::Silent { server, source } }
    }
}

fn server(text: &str) -> Result<Url, AskError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| AskError::Server(text.to_owned()))
}

/// True where others on the way can read what is sent.
fn is_overheard(server: &Url) -> bool {
    let near = match server.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    server.scheme() == "http" && !near
}

/// Authorities are read only where they are needed: that takes longer than everything else here.
fn tls(server: &Url, ca: Option<&Path>) -> Result<rustls::ClientConfig, AskError> {
    let mut roots = rustls::RootCertStore::empty();
    if server.scheme() == "https" {
        let trusted = ca.map_or_else(|| Ok(rustls_native_certs::load_native_certs().certs), authorities);
        roots.add_parsable_certificates(trusted?);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, AskError> {
    let pem = std::fs::read(path).map_err(|source| AskError::Authorities { path: path.to_owned(), source })?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if found.is_empty() { Err(AskError::NoAuthorities { path: path.to_owned() }) } else { Ok(found) }
}

fn authorization(connection: &Connection) -> Result<HeaderValue, AskError> {
    let token = match &connection.token_file {
        Some(path) => {
            std::fs::read_to_string(path).map_err(|source| AskError::TokenFile { path: path.clone(), source })?
        }
        None => config::environment("PARAMEDIC_TOKEN").unwrap_or_default(),
    };
    let token = token.trim();
    if token.is_empty() {
        return Err(AskError::NoToken);
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| AskError::OddToken)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
