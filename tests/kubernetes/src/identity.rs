//! Who is who: users, service accounts, and the tokens that stand for them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::failure::Failure;

/// The audience of tokens that are meant for the API server itself.
pub const OWN_AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

/// A caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// User name.
    pub user: String,
    /// Unique identifier; empty for users that are no objects.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Identifier of the token; empty if there is none.
    pub credential: String,
}

/// A token and what it is good for.
#[derive(Clone, Debug)]
struct Token {
    identity: Identity,
    audience: String,
    expires: Option<Timestamp>,
    is_revoked: bool,
}

/// All tokens of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    tokens: BTreeMap<String, Token>,
    issued: u64,
}

impl Identity {
    /// May do everything.
    #[must_use]
    pub fn admin() -> Self {
        let groups = ["system:masters", "system:authenticated"].map(str::to_owned).to_vec();
        Identity { user: "kubernetes-admin".to_owned(), uid: String::new(), groups, credential: String::new() }
    }

    /// Nobody in particular.
    #[must_use]
    pub fn anonymous() -> Self {
        let groups = vec!["system:unauthenticated".to_owned()];
        Identity { user: "system:anonymous".to_owned(), uid: String::new(), groups, credential: String::new() }
    }

    /// A service account.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let groups =
            vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}"), authenticated()];
        let user = format!("system:serviceaccount:{namespace}:{name}");
        Identity { user, uid: uid.to_owned(), groups, credential: String::new() }
    }

    /// The caller as the reviews write it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut info = json!({"username": self.user, "groups": self.groups});
        if let Some(members) = info.as_object_mut() {
            if !self.uid.is_empty() {
                members.insert("uid".to_owned(), self.uid.clone().into());
            }
            if !self.credential.is_empty() {
                let extra = json!({"authentication.kubernetes.io/credential-id": [format!("JTI={}", self.credential)]});
                members.insert("extra".to_owned(), extra);
            }
        }
        info
    }
}

fn authenticated() -> String {
    "system:authenticated".to_owned()
}

impl Tokens {
    /// A new token for someone, good for one audience until it expires, if it does.
    pub fn issue(&mut self, mut identity: Identity, audience: &str, expires: Option<Timestamp>) -> String {
        self.issued += 1;
        identity.credential = format!("00000000-0000-4000-8000-{:012x}", self.issued);
        let token = web_token(&identity, audience, expires);
        let audience = audience.to_owned();
        self.tokens.insert(token.clone(), Token { identity, audience, expires, is_revoked: false });
        token
    }

    /// From now on the token is as good as garbage.
    pub fn revoke(&mut self, token: &str) {
        if let Some(token) = self.tokens.get_mut(token) {
            token.is_revoked = true;
        }
    }

    /// Who sends this `Authorization` header now.
    pub fn authenticate(&self, header: &str, now: Timestamp) -> Result<Identity, Failure> {
        if header.is_empty() {
            return Ok(Identity::anonymous());
        }
        let token = header.strip_prefix("Bearer ").ok_or_else(Failure::unauthorized)?;
        self.review(token, &[OWN_AUDIENCE], now).map(|(identity, _)| identity).map_err(|_| Failure::unauthorized())
    }

    /// Whose token this is, and for which of the audiences; the error is the text of a review.
    pub fn review(&self, token: &str, audiences: &[&str], now: Timestamp) -> Result<(Identity, String), String> {
        let known = self.tokens.get(token).filter(|token| !token.is_revoked);
        let known = known.ok_or_else(|| "invalid bearer token".to_owned())?;
        if known.expires.is_some_and(|expires| expires <= now) {
            return Err("[invalid bearer token, service account token has expired]".to_owned());
        }
        if audiences.contains(&known.audience.as_str()) {
            return Ok((known.identity.clone(), known.audience.clone()));
        }
        let has = &known.audience;
        Err(format!(
            "[invalid bearer token, token audiences [{has:?}] is invalid for the target audiences {audiences:?}]"
        ))
    }
}

/// As a service account's token looks. Nobody's key has signed it.
fn web_token(identity: &Identity, audience: &str, expires: Option<Timestamp>) -> String {
    let claims = json!({
        "aud": [audience], "exp": expires.map(Timestamp::as_second), "jti": identity.credential, "sub": identity.user,
    });
    let head = json!({"alg": "RS256", "kid": "stand-in"});
    let signature = format!("stand-in-token-{}", identity.credential);
    [head.to_string(), claims.to_string(), signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_audience_until_it_is_revoked() {
        let mut tokens = Tokens::default();
        let now = Timestamp::UNIX_EPOCH;
        let token = tokens.issue(Identity::service_account("shop", "oncall", "1"), "paramedic", None);
        assert_eq!(token.split('.').count(), 3);
        assert!(tokens.review(&token, &["paramedic"], now).is_ok());
        assert!(tokens.review(&token, &[OWN_AUDIENCE], now).is_err());
        assert!(tokens.authenticate(&format!("Bearer {token}"), now).is_err());
        tokens.revoke(&token);
        assert!(tokens.review(&token, &["paramedic"], now).is_err());
    }

    #[test]
    fn a_token_that_expired_is_refused() {
        let mut tokens = Tokens::default();
        let end = Timestamp::UNIX_EPOCH;
        let token = tokens.issue(Identity::service_account("shop", "oncall", "1"), "paramedic", Some(end));
        assert!(tokens.review(&token, &["paramedic"], end - jiff::SignedDuration::from_secs(1)).is_ok());
        assert!(tokens.review(&token, &["paramedic"], end).unwrap_err().contains("expired"));
    }

    #[test]
    fn no_token_is_nobody_and_a_wrong_one_is_refused() {
        let tokens = Tokens::default();
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(tokens.authenticate("", now).unwrap(), Identity::anonymous());
        assert_eq!(tokens.authenticate("Bearer garbage", now).unwrap_err().code, 401);
        assert_eq!(tokens.authenticate("Basic YTpi", now).unwrap_err().code, 401);
    }
}
