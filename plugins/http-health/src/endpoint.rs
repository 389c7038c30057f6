//! One endpoint: what is expected of it, and what its answer is worth.

use crate::{Answer, DAY};
use paramedic_sdk::http::Response;
use paramedic_sdk::{Error, Failure, JsonSchema, Seconds, Status, Threshold, Workload, human, judge};
use regex_lite::Regex;
use serde::{Deserialize, Serialize};

/// Part of a body shown where it is not what was expected.
const EXCERPT_CHARS: usize = 60;

/// An endpoint and what is expected of it.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    /// The HTTP target.
    pub(crate) target: String,
    /// Path and query below the target's address.
    #[serde(default = "health")]
    pub(crate) path: String,
    /// Range of statuses that are as they should be.
    #[serde(default = "success")]
    pub(crate) status: Threshold,
    /// Text that the body has to contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body_contains: Option<String>,
    /// Regular expression that has to match somewhere in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body_matches: Option<String>,
    /// Seconds until the first byte before it is a warning.
    #[serde(default = "slow")]
    pub(crate) latency_warning: Threshold,
    /// Seconds until the first byte before it is critical.
    #[serde(default = "too_slow")]
    pub(crate) latency_critical: Threshold,
    /// Days that the certificate has to be valid, else it is a warning.
    #[serde(default = "soon")]
    pub(crate) certificate_warning_days: Threshold,
    /// Days that the certificate has to be valid, else it is critical.
    #[serde(default = "very_soon")]
    pub(crate) certificate_critical_days: Threshold,
    /// The workload that serves it, if it may be suggested to restart it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workload: Option<Workload>,
}

fn health() -> String {
    "/health".to_owned()
}

fn success() -> Threshold {
    Threshold::outside(200.0, 299.0)
}

fn slow() -> Threshold {
    Threshold::above(1.0)
}

fn too_slow() -> Threshold {
    Threshold::above(5.0)
}

fn soon() -> Threshold {
    Threshold::below(21.0)
}

fn very_soon() -> Threshold {
    Threshold::below(7.0)
}

impl Endpoint {
    /// The health page of a target.
    pub(crate) fn of(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            path: health(),
            status: success(),
            body_contains: None,
            body_matches: None,
            latency_warning: slow(),
            latency_critical: too_slow(),
            certificate_warning_days: soon(),
            certificate_critical_days: very_soon(),
            workload: None,
        }
    }
}

/// An endpoint with its pattern compiled.
#[derive(Debug)]
pub(crate) struct Expectation<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pattern: Option<Regex>,
}

/// What is to be said about one endpoint.
#[derive(Debug)]
pub(crate) struct Verdict<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) found: Vec<(Status, String)>,
    pub(crate) code: Option<u16>,
    pub(crate) latency: Option<Seconds>,
    pub(crate) certificate_remaining: Option<Seconds>,
    /// True when the service itself does not serve.
    pub(crate) is_down: bool,
}

impl<'a> Expectation<'a> {
    pub(crate) fn of(endpoint: &'a Endpoint) -> Result<Self, Failure> {
        let compile = |pattern: &String| {
            Regex::new(pattern).map_err(|error| Failure::BadParams(format!("body_matches {pattern:?}: {error}")))
        };
        let pattern = endpoint.body_matches.as_ref().map(compile).transpose()?;
        Ok(Self { endpoint, pattern })
    }

    pub(crate) fn judge(&self, answer: Answer) -> Verdict<'a> {
        let mut verdict = Verdict::of(self.endpoint);
        match answer {
            None => verdict.find(Status::Unknown, "was not asked, because the run's time was used up"),
            Some(Err(error)) => verdict.judge_error(&error),
            Some(Ok(response)) => self.judge_response(&mut verdict, &response),
        }
        verdict
    }

    fn judge_response(&self, verdict: &mut Verdict, response: &Response) {
        let endpoint = self.endpoint;
        verdict.code = Some(response.status);
        verdict.latency = Some(response.latency).filter(|latency| latency.is_finite());
        verdict.certificate_remaining = response.certificate_remaining.filter(|remaining| remaining.is_finite());
        verdict.is_down = response.status >= 500 && endpoint.status.alerts(response.status.into());
        if endpoint.status.alerts(response.status.into()) {
            verdict.find(Status::Critical, &format!("answers {}{}", response.status, excerpt(response)));
        } else {
            self.judge_body(verdict, response);
        }
        let slow = judge(response.latency, &endpoint.latency_warning, &endpoint.latency_critical);
        verdict.find(slow, &format!("takes {} to answer", human::duration(response.latency)));
        verdict.judge_certificate();
    }

    /// The body of a page with the wrong status is another page, and is not compared.
    fn judge_body(&self, verdict: &mut Verdict, response: &Response) {
        let body = response.text();
        let wanted = self.endpoint.body_contains.as_deref();
        if let Some(text) = wanted.filter(|text| !body.contains(*text)) {
            let text = human::shorten(text, EXCERPT_CHARS);
            verdict
                .find(Status::Critical, &format!("answers {} without {text:?}{}", response.status, excerpt(response)));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(&body)) {
            let pattern = human::shorten(pattern.as_str(), EXCERPT_CHARS);
            verdict.find(
                Status::Critical,
                &format!("answers {} and does not match {pattern:?}{}", response.status, excerpt(response)),
            );
        }
    }
}

/// How the body begins, if it is one for people to read.
fn excerpt(response: &Response) -> String {
    let text = response.text();
    let line = human::shorten(text.trim(), EXCERPT_CHARS);
    let readable = !line.is_empty() && !line.starts_with('<') && !text.contains('\u{fffd}');
    if readable { format!(": {line}") } else { String::new() }
}

impl<'a> Verdict<'a> {
    fn of(endpoint: &'a Endpoint) -> Self {
        Self { endpoint, found: Vec::new(), code: None, latency: None, certificate_remaining: None, is_down: false }
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.endpoint.target, human::shorten(&self.endpoint.path, 60))
    }

    pub(crate) fn status(&self) -> Status {
        self.found.iter().map(|(status, _)| *status).max().unwrap_or(Status::Ok)
    }

    pub(crate) fn word(&self) -> &'static str {
        match self.status() {
            Status::Ok => "ok",
            Status::Unknown => "unknown",
            Status::Warning => "warning",
            Status::Critical => "critical",
        }
    }

    fn find(&mut self, status: Status, what: &str) {
        if status != Status::Ok {
            self.found.push((status, format!("{} {what}", self.name())));
        }
    }

    fn judge_error(&mut self, error: &Error) {
        match error {
            Error::Unavailable(reason) => {
                self.is_down = true;
                self.find(Status::Critical, &format!("cannot be reached: {reason}"));
            }
            Error::TimedOut(reason) => {
                self.is_down = true;
                self.find(Status::Critical, &format!("does not answer in time: {reason}"));
            }
            Error::Remote(remote) => {
                self.find(Status::Critical, &format!("answers with an error ({}): {}", remote.code, remote.message));
            }
            Error::TooLarge(reason) => {
                self.find(Status::Unknown, &format!("answers more than can be judged: {reason}"))
            }
            Error::Denied(_)
            | Error::Invalid(_)
            | Error::NotFound(_)
            | Error::Conflict(_)
            | Error::Exhausted(_)
            | Error::Other(_) => self.find(Status::Unknown, &format!("could not be asked: {error}")),
        }
    }

    fn judge_certificate(&mut self) {
        let Some(remaining) = self.certificate_remaining else {
            return;
        };
        let Endpoint { certificate_warning_days, certificate_critical_days, .. } = self.endpoint;
        let status = judge(remaining / DAY, certificate_warning_days, certificate_critical_days);
        let text = if remaining < 0.0 {
            format!("has a certificate that expired {} ago", human::duration(-remaining))
        } else {
            format!("has a certificate that expires in {}", human::duration(remaining))
        };
        self.find(status, &text);
    }
}
