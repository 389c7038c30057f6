//! Callers whom a cluster knows. Whose token it is, and what its owner may do, is asked there, and remembered for a while.
//!
//! ```text
//! a token that nobody configured ─► looks like one of a cluster? ─► remembered? ─► at most 8 at once: whose is it?
//!                                        no: 401                                      │ name, groups
//! a route ─► on which plugin, with which verb (`subject`) ─► remembered? ─► may they? ◄┘
//! ```
//!
//! Nothing but the digest of a token is kept. How the cluster is asked is for whoever implements [`Reviewer`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::ApiError;
use super::rate::Bucket;
use crate::clock::Clock;
use crate::domain::{Actor, CallError, Digest, Identity, PluginName, PluginVerb, Rate, Timestamp};

/// Longest token that is sent to a cluster, in bytes. Those of service accounts have one or two thousand.
const MAX_TOKEN: usize = 16 << 10;

/// Questions that a cluster is asked at the same time: whoever sends rubbish must not keep it busy.
const AT_ONCE: usize = 8;

/// How long a question waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it is remembered whose a token is. One that is revoked is good for so long.
const KNOWN: Duration = Duration::from_secs(60);

/// How long it is remembered that a token is nobody's.
const UNKNOWN: Duration = Duration::from_secs(10);

/// How long it is remembered what somebody may do. Rights that are taken away, or given, count after so long.
const DECIDED: Duration = Duration::from_secs(10);

/// How long it is remembered how often somebody asked.
const COUNTED: Duration = Duration::from_secs(60 * 60);

/// Most answers of each kind that are remembered.
const MOST: usize = 1_000;

/// The cluster that knows callers beside those who have a token of ours.
#[derive(Clone)]
pub struct Cluster {
    /// Asks it.
    pub reviewer: Arc<dyn Reviewer>,
    /// What tokens have to be made for.
    pub audience: String,
    /// Where the Roles lie that tell what callers may do.
    pub namespace: String,
    /// How often each caller may ask.
    pub rate: Rate,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reviewer: _, audience, namespace, rate } = self;
        let mut shown = f.debug_struct("Cluster");
        shown.field("audience", audience).field("namespace", namespace).field("rate", rate).finish_non_exhaustive()
    }
}

/// Asks a cluster about callers.
#[async_trait]
pub trait Reviewer: Send + Sync {
    /// Whose token it is; none where the cluster does not accept it for this audience.
    async fn identify(&self, token: &str, audience: &str) -> Result<Option<Identity>, CallError>;

    /// Whether they may do this with a plugin, or with all of them.
    async fn permits(&self, who: &Identity, verb: PluginVerb, plugin: Option<&PluginName>) -> Result<bool, CallError>;
}

/// What a cluster says of callers, and what it said not long ago.
pub(super) struct Reviews {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    turns: Semaphore,
    known: Remembered<Digest, Option<Arc<Known>>>,
    decided: Remembered<Decision, bool>,
    /// The same for those who stay when the configuration is read again.
    counted: Arc<Remembered<Actor, Arc<Bucket>>>,
}

/// Somebody whom the cluster knows.
struct Known {
    actor: Actor,
    identity: Identity,
}

/// By the token and not by the name: what an authorizer is told of two tokens of one person can differ.
type Decision = (Digest, PluginVerb, Option<PluginName>);

/// Somebody whom the cluster knows and who asks now.
#[derive(Clone)]
pub(super) struct Member {
    reviews: Arc<Reviews>,
    token: Digest,
    known: Arc<Known>,
}

impl Reviews {
    /// Of this cluster, of which nothing is known yet. Who asked `before` has asked as often.
    pub(super) fn new(cluster: Cluster, clock: Arc<dyn Clock>, before: Option<&Self>) -> Self {
        let counted = before.filter(|before| before.cluster.rate == cluster.rate).map(|before| before.counted.clone());
        Self {
            cluster,
            clock,
            turns: Semaphore::new(AT_ONCE),
            known: Remembered::default(),
            decided: Remembered::default(),
            counted: counted.unwrap_or_default(),
        }
    }

    /// Whose token it is.
    pub(super) async fn identify(self: &Arc<Self>, token: &[u8]) -> Result<Member, ApiError> {
        let refused = || ApiError::RefusedToken { audience: self.cluster.audience.clone() };
        let text = web_token(token).ok_or_else(refused)?;
        let digest = Digest::of(token);
        let known = match self.known.get(&digest, self.clock.now()) {
            Some(known) => known,
            None => self.ask_whose(text, digest).await?,
        };
        Ok(Member { reviews: self.clone(), token: digest, known: known.ok_or_else(refused)? })
    }

    async fn ask_whose(&self, token: &str, digest: Digest) -> Result<Option<Arc<Known>>, ApiError> {
        let _turn = self.turn().await?;
        // Whoever sends many requests at once had the answer while this one waited.
        if let Some(known) = self.known.get(&digest, self.clock.now()) {
            return Ok(known);
        }
        let identity = self.cluster.reviewer.identify(token, &self.cluster.audience).await.map_err(unreviewed)?;
        let known = identity.and_then(known).map(Arc::new);
        let now = self.clock.now();
        let until = match &known {
            Some(_) => expiry(token).unwrap_or(now.after(KNOWN)).min(now.after(KNOWN)),
            None => now.after(UNKNOWN),
        };
        self.known.put(digest, known.clone(), now, until);
        Ok(known)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| {
            tracing::warn!(at_once = AT_ONCE, "a cluster is asked about too many callers at once");
            ApiError::Unreviewed
        })
    }
}

/// The rest of what is known of somebody. A name that is none is told, because its owner cannot find out why.
fn known(identity: Identity) -> Option<Known> {
    let actor = identity.actor();
    if actor.is_none() {
        tracing::warn!(bytes = identity.username.len(), "a cluster knows a caller by a name that is not recorded");
    }
    Some(Known { actor: actor?, identity })
}

fn unreviewed(error: CallError) -> ApiError {
    tracing::warn!(%error, "a cluster cannot be asked about a caller");
    ApiError::Unreviewed
}

impl Member {
    /// The name for records.
    pub(super) fn actor(&self) -> &Actor {
        &self.known.actor
    }

    /// Count a request.
    pub(super) fn admit(&self) -> Result<(), ApiError> {
        let Reviews { cluster: Cluster { rate, .. }, clock, counted, .. } = self.reviews.as_ref();
        let now = clock.now();
        let bucket = counted.kept_or(self.actor(), now, now.after(COUNTED), || Arc::new(Bucket::new(*rate, now)));
        bucket.take(now).map_err(|seconds| ApiError::RateLimited { rate: *rate, seconds })
    }

    /// Refuse who may not do this with a plugin, or with all of them.
    pub(super) async fn require(&self, verb: PluginVerb, plugin: Option<&PluginName>) -> Result<(), ApiError> {
        if self.may(verb, plugin).await? { Ok(()) } else { Err(self.refusal(verb, plugin)) }
    }

    /// What is told to who may not.
    pub(super) fn refusal(&self, verb: PluginVerb, plugin: Option<&PluginName>) -> ApiError {
        ApiError::NotPermitted {
            actor: self.actor().clone(),
            verb,
            plugin: plugin.cloned(),
            namespace: self.reviews.cluster.namespace.clone(),
        }
    }

    /// Whether they may do this with a plugin, or with all of them.
    pub(super) async fn may(&self, verb: PluginVerb, plugin: Option<&PluginName>) -> Result<bool, ApiError> {
        let Reviews { cluster, clock, decided, .. } = self.reviews.as_ref();
        let decision = (self.token, verb, plugin.cloned());
        if let Some(decided) = decided.get(&decision, clock.now()) {
            return Ok(decided);
        }
        let _turn = self.reviews.turn().await?;
        // From before the answer: what was changed meanwhile may not be in it.
        let asked = clock.now();
        let permits = cluster.reviewer.permits(&self.known.identity, verb, plugin).await.map_err(unreviewed)?;
        decided.put(decision, permits, asked, asked.after(DECIDED));
        Ok(permits)
    }
}

/// Answers that hold for a while. Where there are too many, the one goes that would be the first to end.
struct Remembered<K, V>(Mutex<HashMap<K, Answer<V>>>);

struct Answer<V> {
    value: V,
    since: Timestamp,
    until: Timestamp,
}

impl<V> Answer<V> {
    /// On a clock that was set back an answer of later says nothing.
    fn holds(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until
    }
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Remembered<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Answer<V>>> {
        // Nothing is left half done when a holder panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        self.lock().get(key).filter(|answer| answer.holds(now)).map(|answer| answer.value.clone())
    }

    fn put(&self, key: K, value: V, now: Timestamp, until: Timestamp) {
        let mut answers = self.lock();
        make_room(&mut answers, &key, now);
        answers.insert(key, Answer { value, since: now, until });
    }

    /// What is there, or what is made now, from now on until then.
    fn kept_or(&self, key: &K, now: Timestamp, until: Timestamp, make: impl FnOnce() -> V) -> V {
        let mut answers = self.lock();
        make_room(&mut answers, key, now);
        match answers.entry(key.clone()) {
            Entry::Occupied(mut kept) => {
                let kept = kept.get_mut();
                kept.until = until;
                kept.value.clone()
            }
            Entry::Vacant(place) => place.insert(Answer { value: make(), since: now, until }).value.clone(),
        }
    }
}

fn make_room<K: Eq + Hash + Clone, V>(answers: &mut HashMap<K, Answer<V>>, key: &K, now: Timestamp) {
    if answers.len() < MOST || answers.contains_key(key) {
        return;
    }
    answers.retain(|_, answer| answer.holds(now));
    if answers.len() < MOST {
        return;
    }
    let first = answers.iter().min_by_key(|(_, answer)| answer.until).map(|(key, _)| key.clone());
    first.and_then(|key| answers.remove(&key));
}

/// The token, if it may be a JSON Web Token: three parts in base64url. Others are nobody's in any cluster, and are not carried there.
fn web_token(token: &[u8]) -> Option<&str> {
    let is_part = |part: &[u8]| !part.is_empty() && part.iter().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b));
    let parts = || token.split(|b| *b == b'.');
    let is_web_token = token.len() <= MAX_TOKEN && parts().count() == 3 && parts().all(is_part);
    std::str::from_utf8(token).ok().filter(|_| is_web_token)
}

/// When a token ends that its cluster accepted; none where it does not say.
fn expiry(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let Claims { exp } = serde_json::from_slice(&claims).ok()?;
    Some(Timestamp::from_millis(exp.saturating_mul(1000)))
}

#[cfg(test)]
mod tests;
