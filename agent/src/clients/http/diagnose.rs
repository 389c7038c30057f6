//! What `paramedic doctor` finds out about a target: its name, its addresses, its answer, its certificate, and whether
//! its credentials travel in the open.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::{Instant, timeout};
use url::Host;

use super::failure::{self, Failure};
use super::names::LookupError;
use super::{Http, certificate};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::{CallError, Diagnosis, RemoteError, Severity};

/// Long enough for a slow service, short enough for a person who waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Certificates are renewed a month or more before they expire; with less left something has stopped.
const EARLY_DAYS: f64 = 14.0;

const DAY_SECONDS: f64 = 86_400.0;

impl Http {
    /// Look at the target as a plugin's request would: resolve, judge, connect, and ask for the base with HEAD.
    pub async fn diagnose(&self) -> Vec<Diagnosis> {
        let mut findings = Vec::new();
        findings.extend(self.diagnose_credentials());
        findings.extend(self.diagnose_roots());
        match self.diagnose_name().await {
            Ok(found) => findings.extend(found),
            Err(found) => {
                findings.push(found);
                return findings;
            }
        }
        findings.extend(self.diagnose_answer().await);
        findings
    }

    fn finding(&self, severity: Severity, message: impl Into<String>, remedy: Option<&str>) -> Diagnosis {
        Diagnosis {
            severity,
            subject: format!("http/{}", self.name),
            message: message.into(),
            remedy: remedy.map(str::to_owned),
        }
    }

    fn diagnose_credentials(&self) -> Option<Diagnosis> {
        let stays_here = match self.base.url().host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        };
        (!self.credentials.is_empty() && !self.base.is_encrypted() && !stays_here).then(|| {
            let remedy = "use an https:// base_url, or take the credentials out of headers";
            self.finding(Severity::Warning, "the credentials are sent over the network in the open", Some(remedy))
        })
    }

    fn diagnose_roots(&self) -> Option<Diagnosis> {
        (self.base.is_encrypted() && self.system_roots == 0).then(|| {
            let remedy = "install the system's certificates (ca-certificates), or rely on the target's ca";
            self.finding(Severity::Warning, "the system trusts no certificate authority", Some(remedy))
        })
    }

    /// An error ends the examination: there is nothing to connect to.
    async fn diagnose_name(&self) -> Result<Option<Diagnosis>, Diagnosis> {
        let Some(Host::Domain(name)) = self.base.url().host() else {
            return Ok(None);
        };
        let Ok(lookup) = timeout(PATIENCE, self.names.lookup(name)).await else {
            let remedy = "check the name servers that this machine uses";
            return Err(self.finding(Severity::Error, "the name was not resolved in time", Some(remedy)));
        };
        match lookup {
            Ok(judged) if judged.blocked.is_empty() => Ok(None),
            Ok(judged) => {
                let ranges: Vec<_> = judged.blocked.iter().map(|blocked| blocked.0.as_str()).collect();
                let message = format!("some addresses of {name} are never connected to: {}", ranges.join(", "));
                let remedy =
                    "correct the name's records, or set allow_private if these are loopback or private addresses";
                Ok(Some(self.finding(Severity::Warning, message, Some(remedy))))
            }
            Err(LookupError::Blocked(blocked)) => {
                let remedy = if blocked.0.can_be_opened() {
                    "set allow_private: true on this target if it is meant to be there"
                } else {
                    "such addresses stay closed; name another host"
                };
                let message = format!("{name} resolves to {} addresses, which are closed", blocked.0.as_str());
                Err(self.finding(Severity::Error, message, Some(remedy)))
            }
            Err(error @ (LookupError::Unresolved(_) | LookupError::NoAddress)) => {
                let remedy = "check the host in base_url and the name servers that this machine uses";
                Err(self.finding(Severity::Error, format!("{name}: {error}"), Some(remedy)))
            }
        }
    }

    async fn diagnose_answer(&self) -> Vec<Diagnosis> {
        let started = Instant::now();
        let request = self.request(Method::HEAD, self.base.url().clone());
        match timeout(PATIENCE, request.send()).await {
            Ok(Ok(response)) => self.diagnose_response(&response, started.elapsed()),
            Ok(Err(error)) => vec![self.diagnose_failure(&error)],
            Err(_) => {
                let remedy = "check that the service is up and that nothing between drops the connection";
                vec![self.finding(Severity::Error, format!("no answer within {PATIENCE:?}"), Some(remedy))]
            }
        }
    }

    fn diagnose_response(&self, response: &reqwest::Response, latency: Duration) -> Vec<Diagnosis> {
        let status = response.status();
        let message = format!("answers {} in {} ms", status.as_u16(), latency.as_millis());
        let refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let mut findings = vec![match (refused, self.credentials.is_empty()) {
            (true, false) => self.finding(Severity::Warning, message, Some("check the credentials in headers")),
            (true, true) => self.finding(Severity::Warning, message, Some("configure the credentials in headers")),
            (false, _) if status.is_server_error() => {
                self.finding(Severity::Warning, message, Some("look at the service's own log"))
            }
            (false, _) => self.finding(Severity::Ok, message, None),
        }];
        findings.extend(
            response
                .extensions()
                .get::<reqwest::tls::TlsInfo>()
                .and_then(reqwest::tls::TlsInfo::peer_certificate)
                .and_then(|leaf| certificate::remaining(leaf, SystemClock.now()))
                .map(|seconds| self.diagnose_certificate(seconds / DAY_SECONDS)),
        );
        findings
    }

    fn diagnose_certificate(&self, days: f64) -> Diagnosis {
        let message = format!("the server's certificate expires in {days:.1} days");
        if days < EARLY_DAYS {
            self.finding(Severity::Warning, message, Some("renew it, or find out why its renewal stopped"))
        } else {
            self.finding(Severity::Ok, message, None)
        }
    }

    fn diagnose_failure(&self, error: &reqwest::Error) -> Diagnosis {
        let error = match failure::of(error) {
            Failure::Call(error) => error,
            Failure::Blocked(blocked) => return self.finding(Severity::Error, blocked.to_string(), None),
        };
        let (message, remedy) = match &error {
            CallError::Remote(RemoteError { code, message, .. }) => (message.clone(), remedy_of(code)),
            CallError::Unavailable(message) | CallError::TimedOut(message) => {
                (message.clone(), "check host and port in base_url, and that the service can be reached from here")
            }
            other => (other.to_string(), "check that base_url is that of a web service"),
        };
        self.finding(Severity::Error, message, Some(remedy))
    }
}

fn remedy_of(code: &str) -> &'static str {
    match code {
        "certificate_expired" | "certificate_not_yet_valid" => {
            "renew the certificate, or set this machine's clock right"
        }
        "certificate_name_mismatch" => "use the name in base_url that the certificate is for",
        "certificate_unknown_issuer" => "put the authority that signed the certificate into the target's ca",
        "tls" => "check that the port speaks TLS, and which versions",
        _ => "check that base_url is that of a web service",
    }
}
