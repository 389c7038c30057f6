//! Who asks. Every request is refused without a known token, except for the few paths that a probe needs.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, HeaderMap};
use http::request;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::problem::ApiError;
use crate::domain::{Actor, Digest};

/// Paths that answer anybody. A path that is not listed here needs a token, also one that does not exist.
pub(super) const OPEN: [&str; 3] = ["/healthz", "/readyz", "/openapi.json"];

/// Someone who may ask.
#[derive(Clone, Debug)]
pub struct Token {
    /// Name under which runs are recorded.
    pub name: String,
    /// SHA-256 of the token.
    pub digest: Digest,
}

/// Everyone who may ask.
pub(super) struct Tokens(Vec<Token>);

impl Tokens {
    pub(super) fn new(tokens: Vec<Token>) -> Self {
        Self(tokens)
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Actor, ApiError> {
        let token = bearer(headers).ok_or(ApiError::NoToken)?;
        self.owner(token).ok_or(ApiError::WrongToken)
    }

    /// Whose token it is. Takes as long for a wrong token as for a right one, wherever that stands in the list: digests
    /// are compared, all of them, and each to its end.
    fn owner(&self, token: &[u8]) -> Option<Actor> {
        let presented = Digest::of(token);
        let mut found = u64::MAX;
        for (index, token) in (0_u64..).zip(&self.0) {
            let equal: Choice = presented.as_bytes().ct_eq(token.digest.as_bytes());
            found = u64::conditional_select(&found, &index, equal);
        }
        let owner = usize::try_from(found).ok().and_then(|index| self.0.get(index));
        owner.map(|token| Actor(token.name.clone()))
    }
}

/// The token of the one `Authorization` header, if it is a bearer's.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked("bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

/// Who asks, for the handlers that record it.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub(super) Actor);

/// Lets a request through if somebody known asks, or if anybody may.
pub(super) async fn authenticate(
    State(tokens): State<Arc<Tokens>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    match tokens.caller(request.headers()) {
        Ok(actor) => {
            tracing::Span::current().record("actor", &actor.0);
            request.extensions_mut().insert(Caller(actor));
        }
        Err(_) if OPEN.contains(&request.uri().path()) => {}
        Err(refusal) => return Err(refusal),
    }
    Ok(next.run(request).await)
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get().cloned().ok_or(ApiError::NoToken)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Option<Self>, ApiError> {
        Ok(parts.extensions.get().cloned())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn tokens(names: &[&str]) -> Tokens {
        let token =
            |name: &&str| Token { name: (*name).to_owned(), digest: Digest::of(format!("{name}'s").as_bytes()) };
        Tokens::new(names.iter().map(token).collect())
    }

    fn caller(values: &[&str]) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        match tokens(&["alice", "bob", "carol"]).caller(&headers) {
            Ok(actor) => Ok(actor.0),
            Err(ApiError::NoToken) => Err("none"),
            Err(ApiError::WrongToken) => Err("wrong"),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_token_names_its_owner_wherever_it_stands_in_the_list() {
        for name in ["alice", "bob", "carol"] {
            assert_eq!(caller(&[&format!("Bearer {name}'s")]), Ok(name.to_owned()));
        }
        assert_eq!(caller(&["bEaReR   alice's "]), Ok("alice".to_owned()));
    }

    #[test]
    fn anything_else_is_refused() {
        let digest = Digest::of(b"alice's").hex();
        let with_digest = format!("Bearer {digest}");
        for (values, expected) in [
            (&[] as &[&str], "none"),
            (&[""], "none"),
            (&["Bearer"], "none"),
            (&["Bearer "], "none"),
            (&["Basic YWxpY2U6"], "none"),
            (&["alice's"], "none"),
            (&["Bearer alice's", "Bearer alice's"], "none"),
            (&["Bearer dave's"], "wrong"),
            (&["Bearer alice"], "wrong"),
            (&["Bearer alice's, bob's"], "wrong"),
            (&[&with_digest], "wrong"),
        ] {
            assert_eq!(caller(values), Err(expected), "{values:?}");
        }
        assert!(Tokens::new(Vec::new()).owner(b"").is_none());
    }
}
