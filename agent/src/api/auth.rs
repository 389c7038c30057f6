//! Who asks. Every request is refused without a known token, except for the few paths that a probe needs and the page; what its owner
//! may do is asked where routes are registered. A token that is none of ours may be that of somebody whom a cluster knows.

use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{FromRequestParts, OptionalFromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, HeaderMap};
use http::request;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::page;
use super::problem::ApiError;
use super::rate::Bucket;
use super::reviews::{Cluster, Member, Reviews};
use crate::clock::Clock;
use crate::domain::{Actor, Digest, Rate, Role, Timestamp, TokenKey};
use crate::telemetry::Metrics;

/// Paths that answer anybody, beside those of the page, which holds nothing of the agent.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/openapi.json"];

/// Whether a path answers anybody. All others need a token, also those that do not exist.
pub(super) fn is_open(path: &str) -> bool {
    OPEN.contains(&path) || page::is_at(path)
}

/// In metrics, everybody whom a cluster knows.
const MEMBERS: &str = "kubernetes";

/// Who may ask.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The key of the tokens' digests; without one there are no tokens.
    pub key: Option<TokenKey>,
    /// Everyone who may ask with a token of ours.
    pub tokens: Vec<Token>,
    /// Who knows others.
    pub cluster: Option<Cluster>,
}

/// Someone who may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Name under which runs are recorded.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// From when on it is refused.
    pub expires: Option<Timestamp>,
    /// Digest of the token under the key.
    pub digest: Digest,
    /// How often it may ask.
    pub rate: Rate,
}

/// Everyone who may ask, and how often each did. They can be others from one request to the next.
pub struct Tokens {
    owners: RwLock<Arc<Owners>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

struct Owners {
    key: Option<TokenKey>,
    all: Vec<Arc<Owner>>,
    reviews: Option<Arc<Reviews>>,
}

/// The owner of one token.
struct Owner {
    token: Token,
    bucket: Bucket,
}

/// Somebody who may ask.
enum Known {
    Owner(Arc<Owner>),
    Member(Member),
}

impl Tokens {
    /// Those of `access`, of whom nobody asked yet.
    pub fn new(access: Access, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let owners = RwLock::new(Arc::new(Owners { key: None, all: Vec::new(), reviews: None }));
        let tokens = Self { owners, clock, metrics };
        tokens.replace(access);
        tokens
    }

    /// From now on nobody but those of `access` may ask. Who stays with the same entry has asked as often as before.
    pub fn replace(&self, access: Access) {
        let before = self.owners();
        let now = self.clock.now();
        let owner = |token: Token| match before.all.iter().find(|owner| owner.token == token) {
            Some(owner) => owner.clone(),
            None => Arc::new(Owner { bucket: Bucket::new(token.rate, now), token }),
        };
        let reviews = |cluster| Arc::new(Reviews::new(cluster, self.clock.clone(), before.reviews.as_deref()));
        let owners = Owners {
            key: access.key,
            all: access.tokens.into_iter().map(owner).collect(),
            reviews: access.cluster.map(reviews),
        };
        *self.owners.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(owners);
    }

    fn owners(&self) -> Arc<Owners> {
        self.owners.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who asks: the owner of a token, or else somebody whom the cluster knows, if there is one to be asked.
    async fn known(&self, headers: &HeaderMap) -> Result<Known, ApiError> {
        match (self.caller(headers), bearer(headers), self.owners().reviews.clone()) {
            (Err(ApiError::WrongToken), Some(token), Some(reviews)) => reviews.identify(token).await.map(Known::Member),
            (caller, ..) => caller.map(Known::Owner),
        }
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Arc<Owner>, ApiError> {
        let token = bearer(headers).ok_or(ApiError::NoToken)?;
        let owner = self.owners().of(token).ok_or(ApiError::WrongToken)?;
        match owner.token.expires {
            Some(expires) if expires <= self.clock.now() => {
                Err(ApiError::ExpiredToken { name: owner.token.name.clone(), expires })
            }
            Some(_) | None => Ok(owner),
        }
    }

    /// Count a request of `owner` against its rate.
    fn admit(&self, owner: &Owner) -> Result<(), ApiError> {
        owner.bucket.take(self.clock.now()).map_err(|seconds| {
            self.metrics.rate_limited(&owner.token.name);
            ApiError::RateLimited { rate: owner.token.rate, seconds }
        })
    }

    /// The same for whoever asks.
    fn admit_known(&self, known: &Known) -> Result<(), ApiError> {
        match known {
            Known::Owner(owner) => self.admit(owner),
            // One label for all of them: a cluster has any number of names.
            Known::Member(member) => member.admit().inspect_err(|_| self.metrics.rate_limited(MEMBERS)),
        }
    }
}

impl Known {
    fn actor(&self) -> Actor {
        match self {
            Self::Owner(owner) => Actor(owner.token.name.clone()),
            Self::Member(member) => member.actor().clone(),
        }
    }

    fn granted(&self) -> Granted {
        match self {
            Self::Owner(owner) => Granted::Role(owner.token.role),
            Self::Member(member) => Granted::Cluster(member.clone()),
        }
    }
}

impl Owners {
    /// Whose token it is. Takes as long for a wrong token as for a right one, wherever that stands in the list: digests
    /// are compared, all of them, and each to its end.
    fn of(&self, token: &[u8]) -> Option<Arc<Owner>> {
        let presented = self.key.as_ref()?.digest(token);
        let mut found = u64::MAX;
        for (index, owner) in (0_u64..).zip(&self.all) {
            let equal: Choice = presented.as_bytes().ct_eq(owner.token.digest.as_bytes());
            found = u64::conditional_select(&found, &index, equal);
        }
        usize::try_from(found).ok().and_then(|index| self.all.get(index).cloned())
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

/// What the caller may do.
#[derive(Clone)]
pub(super) enum Granted {
    /// What the role of their token says.
    Role(Role),
    /// What their cluster says when it is asked.
    Cluster(Member),
}

/// Both, for a handler in which it depends on the body what the caller has to be.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) actor: Actor,
    pub(super) granted: Granted,
}

/// Lets a request through if somebody known asks who does not ask too often, or if anybody may.
pub(super) async fn authenticate(
    State(tokens): State<Arc<Tokens>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let is_open = is_open(request.uri().path());
    let known = match is_open {
        // No probe waits for a cluster.
        true => tokens.caller(request.headers()).map(Known::Owner),
        false => tokens.known(request.headers()).await,
    };
    match known {
        Ok(known) => {
            let actor = known.actor();
            tracing::Span::current().record("actor", &actor.0);
            // A probe that is told to wait would take the agent for dead.
            if !is_open {
                tokens.admit_known(&known)?;
            }
            request.extensions_mut().insert(Caller(actor));
            request.extensions_mut().insert(known.granted());
        }
        Err(_) if is_open => {}
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

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, ApiError> {
        let (caller, granted) = (parts.extensions.get(), parts.extensions.get());
        let (Some(Caller(actor)), Some(granted)) = (caller, granted.cloned()) else { return Err(ApiError::NoToken) };
        Ok(Self { actor: actor.clone(), granted })
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
    use crate::clock::ManualClock;

    const NOW: Timestamp = Timestamp::from_millis(1_772_334_855_926);

    fn key() -> TokenKey {
        TokenKey::new(crate::domain::Secret::new("0123456789abcdef0123456789abcdef")).unwrap()
    }

    fn token(name: &str, rate: Rate) -> Token {
        let digest = key().digest(format!("{name}'s").as_bytes());
        Token { name: name.to_owned(), role: Role::Viewer, expires: None, digest, rate }
    }

    fn tokens(names: &[&str]) -> Tokens {
        let tokens = names.iter().map(|name| token(name, Rate::DEFAULT)).collect();
        let access = Access { key: Some(key()), tokens, cluster: None };
        Tokens::new(access, Arc::new(ManualClock::at(NOW)), Arc::default())
    }

    fn caller(values: &[&str]) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        match tokens(&["alice", "bob", "carol"]).caller(&headers) {
            Ok(owner) => Ok(owner.token.name.clone()),
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
        let digest = key().digest(b"alice's").hex();
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
        assert!(tokens(&[]).owners().of(b"").is_none());
        let nobody = Tokens::new(Access::default(), Arc::new(ManualClock::at(NOW)), Arc::default());
        assert!(nobody.owners().of(b"").is_none());
    }

    #[test]
    fn who_is_configured_no_more_is_refused_and_who_stays_has_asked_as_often_as_before() {
        let asks = |tokens: &Tokens, name: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {name}'s")).unwrap());
            tokens.caller(&headers).and_then(|owner| tokens.admit(&owner))
        };
        let once = Rate { per_minute: 1, burst: 1 };
        let access = |names: &[&str]| {
            let tokens = names.iter().map(|n| token(n, once)).collect();
            Access { key: Some(key()), tokens, cluster: None }
        };
        let tokens = Tokens::new(access(&["alice", "bob"]), Arc::new(ManualClock::at(NOW)), Arc::default());
        asks(&tokens, "alice").unwrap();
        tokens.replace(access(&["carol", "alice"]));
        assert!(matches!(asks(&tokens, "bob"), Err(ApiError::WrongToken)));
        assert!(matches!(asks(&tokens, "alice"), Err(ApiError::RateLimited { .. })));
        asks(&tokens, "carol").unwrap();
    }
}
