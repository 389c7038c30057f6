//! Asking the cluster about callers of the agent: whose token it is, and what its owner may do with plugins.
//!
//! Both are asked by creating an object that the server fills in and never stores. That it was created, with status 201, only
//! tells that the question was understood: the answer is in the status of the object, and whatever is not plainly a yes is a no.
//!
//! No plugin can ask this, and so there is no permit for it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Kubernetes;
use super::transport::What;
use crate::domain::{CallError, CallLimits, Identity, PluginName, PluginVerb};

/// The group of resources that no server serves: it exists in Roles alone.
const GROUP: &str = "paramedic.dev";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reviewed<T> {
    status: T,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenStatus {
    authenticated: bool,
    audiences: Vec<String>,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccessStatus {
    allowed: bool,
    denied: bool,
}

impl Kubernetes {
    /// Whose token it is; none where the cluster does not accept it for `audience`.
    pub async fn review_token(
        &self,
        limits: &CallLimits,
        token: &str,
        audience: &str,
    ) -> Result<Option<Identity>, CallError> {
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": { "token": token, "audiences": [audience] },
        });
        let what = What::new("review a token (create tokenreviews)", "way to review a token");
        let path = "/apis/authentication.k8s.io/v1/tokenreviews".to_owned();
        let answer = self.review(limits, path, &body, &what).await?;
        Ok(owner(status(answer, &what)?, audience))
    }

    /// Whether `who` may do `verb` with a plugin, or with all of them.
    pub async fn review_access(
        &self,
        limits: &CallLimits,
        who: &Identity,
        verb: PluginVerb,
        plugin: Option<&PluginName>,
    ) -> Result<bool, CallError> {
        let Identity { username, uid, groups, extra } = who;
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": username,
                "uid": uid,
                "groups": groups,
                "extra": extra,
                "resourceAttributes": {
                    "group": GROUP,
                    "resource": "plugins",
                    "verb": verb.as_str(),
                    "namespace": self.namespace,
                    "name": plugin.map_or("", PluginName::as_str),
                },
            },
        });
        let what = What::new("review access (create subjectaccessreviews)", "way to review access");
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews".to_owned();
        let answer = self.review(limits, path, &body, &what).await?;
        let AccessStatus { allowed, denied } = status(answer, &what)?;
        Ok(allowed && !denied)
    }
}

/// The status of an answer.
fn status<T: DeserializeOwned + Default>(answer: Value, what: &What) -> Result<T, CallError> {
    // The error of serde would quote what stands in the answer, which repeats the question.
    let reviewed: Result<Reviewed<T>, _> = serde_json::from_value(answer);
    let unreadable =
        |_| CallError::Unavailable(format!("what the API server answered cannot be read, to {}", what.deed));
    reviewed.map(|reviewed| reviewed.status).map_err(unreadable)
}

/// A server that knows nothing of audiences answers without one, and would take every token that it takes for itself.
fn owner(status: TokenStatus, audience: &str) -> Option<Identity> {
    let TokenStatus { authenticated, audiences, user } = status;
    if !authenticated || !audiences.iter().any(|named| named == audience) || user.username.is_empty() {
        return None;
    }
    let User { username, uid, groups, extra } = user;
    Some(Identity { username, uid, groups, extra })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_for_our_audience_is_one() {
        let of = |status: Value| {
            let reviewed: Reviewed<TokenStatus> = serde_json::from_value(json!({ "status": status })).unwrap();
            owner(reviewed.status, "paramedic").map(|who| who.username)
        };
        let user = json!({ "username": "ann", "groups": ["oncall"], "extra": { "example.org/team": ["shop"] } });
        let whole = json!({ "authenticated": true, "audiences": ["paramedic"], "user": user });
        assert_eq!(of(whole).as_deref(), Some("ann"));
        for status in [
            json!({}),
            json!({ "user": {}, "error": "invalid bearer token" }),
            json!({ "audiences": ["paramedic"], "user": user }),
            json!({ "authenticated": false, "audiences": ["paramedic"], "user": user }),
            json!({ "authenticated": true, "user": user }),
            json!({ "authenticated": true, "audiences": [], "user": user }),
            json!({ "authenticated": true, "audiences": ["https://kubernetes.default.svc"], "user": user }),
            json!({ "authenticated": true, "audiences": ["paramedic"], "user": {} }),
            json!({ "authenticated": true, "audiences": ["paramedic"] }),
        ] {
            assert_eq!(of(status.clone()), None, "{status}");
        }
    }
}
