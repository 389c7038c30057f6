//! What went wrong, in words that hold nothing of the cluster's data.
//!
//! Messages of an API server quote what they are about: whole objects with their environment, tokens, templates. So its own
//! text is never passed on. What is said here comes from the code, the reason and what was asked for.

use serde::Deserialize;

use super::transport::What;
use crate::domain::{CallError, RemoteError};

/// The part of a `Status` that is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    reason: Option<String>,
}

/// The error that an answer with this code stands for.
pub(super) fn answered(code: u16, body: &[u8], what: &What) -> CallError {
    let reason = reason(body);
    let remote = |message: String, retryable| {
        let code = reason.clone().unwrap_or_else(|| code.to_string());
        CallError::Remote(RemoteError { system: "kubernetes", code, message, retryable })
    };
    match code {
        401 => remote("the cluster does not accept the agent's credentials".to_owned(), false),
        // Whoever may not see a thing is not told whether it is there.
        403 => remote(
            format!("the agent may not {}, or it is not there: `paramedic doctor` names the right", what.deed),
            false,
        ),
        404 => CallError::NotFound(format!("there is no {}", what.thing)),
        409 => {
            CallError::Conflict(format!("somebody else was faster, or it is there already: could not {}", what.deed))
        }
        410 => CallError::Conflict("the list has changed too much since its first page; begin anew".to_owned()),
        400 | 422 => remote(format!("the cluster finds fault with the request to {}", what.deed), false),
        429 => remote("the API server has too much to do".to_owned(), true),
        500 | 502..=504 => remote(format!("the API server could not {}", what.deed), true),
        _ => remote(format!("the API server answered with status {code} to the request to {}", what.deed), false),
    }
}

/// The reason's name in a body that says no.
pub(super) fn reason(body: &[u8]) -> Option<String> {
    // Some servers in front of others answer in plain text.
    let status: Status = serde_json::from_slice(body).unwrap_or_default();
    status.reason.filter(|reason| is_reason(reason))
}

/// Reasons are words; anything else is not passed on.
fn is_reason(text: &str) -> bool {
    text.len() <= 60 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// True when nothing of the request can have reached the server.
pub(super) fn is_unsent(error: &kube::Error) -> bool {
    match error {
        kube::Error::Auth(_) => true,
        kube::Error::Service(error) => {
            error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect())
        }
        _ => false,
    }
}

/// The request got no answer.
pub(super) fn unreachable(error: &kube::Error, what: &What) -> CallError {
    // Its text may hold addresses and, for credentials that cannot be read, paths.
    let kind = match error {
        kube::Error::Auth(_) => "the agent's credentials for the cluster cannot be read",
        _ => "the API server cannot be reached",
    };
    tracing::debug!(%error, "a request to an API server failed");
    CallError::Unavailable(format!("{kind}, to {}", what.deed))
}
