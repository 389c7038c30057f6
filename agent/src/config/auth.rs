//! `auth`: who may ask, what for, until when and how often.

use crate::domain::{Digest, InvalidTime, Rate, Role, System, TargetName, Timestamp, TokenKey, names_a_caller};

use super::choices::choose_from;
use super::field::{Field, Mapping};
use super::names::Names;
use super::report::quoted;
use super::sources::Sources;

/// `auth`: who may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// The key of all digests; none only where there are no tokens.
    pub key: Option<TokenKey>,
    /// Who may ask with a token of ours.
    pub tokens: Vec<Token>,
    /// Who knows others who may ask.
    pub kubernetes: Option<ClusterCallers>,
}

/// `auth.kubernetes`: those whom a cluster knows may ask what it lets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterCallers {
    /// The target whose API server is asked, and in whose namespace the Roles lie.
    pub target: TargetName,
    /// What tokens have to be made for.
    pub audience: String,
    /// How often each caller may ask.
    pub rate: Rate,
}

/// One entry of `auth.tokens`: someone who may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Name under which runs are recorded.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it stops being good.
    pub expires: Option<Timestamp>,
    /// Digest of the token under the key. The token itself is not in the configuration.
    pub digest: Digest,
    /// How often it may ask.
    pub rate: Rate,
}

/// Most requests in a minute and at once that can be allowed: more than the agent can answer.
const MOST_PER_MINUTE: u64 = 6_000_000;
const LARGEST_BURST: u64 = 1_000_000;

/// What tokens are made for unless it says otherwise.
const AUDIENCE: &str = "paramedic";

/// Longest audience, in bytes.
const MAX_AUDIENCE: usize = 253;

impl Auth {
    /// True where nobody may ask.
    pub fn is_nobody(&self) -> bool {
        self.tokens.is_empty() && self.kubernetes.is_none()
    }

    /// Read `auth`.
    pub(super) fn read(root: &Mapping<'_>, names: &Names<'_>, sources: &Sources<'_>) -> Option<Self> {
        let auth = root.section("auth", &["key", "rate", "tokens", "kubernetes"])?;
        let key = auth.or("key", None, |field| key(field, sources).map(Some));
        let rate = rate(&auth, Rate::DEFAULT);
        // A wrong key or rate is told already; the tokens are read all the same, to tell what is wrong with them.
        let known = (key.clone().flatten(), rate.unwrap_or(Rate::DEFAULT));
        let tokens = auth.or("tokens", Vec::new(), |field| tokens(field, &known));
        let kubernetes = auth.or("kubernetes", None, |field| callers(field, names, known.1).map(Some));
        if auth.get("key").is_none()
            && auth.get("tokens").is_some_and(|field| field.items().is_some_and(|all| !all.is_empty()))
        {
            return auth.field().refuse(
                "`key` is missing: tokens are known by digests that are made with it; put the output of \
                 `openssl rand -hex 32` into a file and say `key: { file: PATH }`",
            );
        }
        rate?;
        Some(Self { key: key?, tokens: tokens?, kubernetes: kubernetes? })
    }
}

fn callers(field: &Field<'_>, names: &Names<'_>, default: Rate) -> Option<ClusterCallers> {
    let callers = field.mapping(&["target", "audience", "rate"])?;
    let target = callers.required("target", |field| names.target(field, System::Kubernetes));
    let audience = callers.or("audience", AUDIENCE.to_owned(), audience);
    let rate = rate(&callers, default);
    Some(ClusterCallers { target: target?, audience: audience?, rate: rate? })
}

fn audience(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.len() > MAX_AUDIENCE || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return field.refuse(format!("an audience has at most {MAX_AUDIENCE} signs of ASCII, and no spaces"));
    }
    // That of the API server itself, for which every pod has a token.
    if text.trim_start_matches("https://").starts_with("kubernetes.default.svc") {
        return field.refuse("every pod has a token for this audience: name one that only the agent has");
    }
    Some(text.to_owned())
}

fn key(field: &Field<'_>, sources: &Sources<'_>) -> Option<TokenKey> {
    TokenKey::new(sources.secret(field)?).map_err(|error| field.note(error)).ok()
}

/// The rate in the field `rate`; what is not given there is that of `default`.
fn rate(mapping: &Mapping<'_>, default: Rate) -> Option<Rate> {
    let rate = mapping.section("rate", &["per_minute", "burst"])?;
    let per_minute = rate.or("per_minute", default.per_minute, |field| field.whole(1..=MOST_PER_MINUTE));
    let burst = rate.or("burst", default.burst, |field| field.whole(1..=LARGEST_BURST));
    Some(Rate { per_minute: per_minute?, burst: burst? })
}

fn tokens(field: &Field<'_>, known: &(Option<TokenKey>, Rate)) -> Option<Vec<Token>> {
    let tokens = field.all(|item| Some((item.clone(), token(item, known)?)))?;
    refuse_twins(&tokens)?;
    Some(tokens.into_iter().map(|(_, token)| token).collect())
}

fn token(field: &Field<'_>, (key, default): &(Option<TokenKey>, Rate)) -> Option<Token> {
    let token = field.mapping(&["name", "role", "expires", "hmac", "rate"])?;
    let name = token.required("name", name);
    let role = token.required("role", role);
    let expires = token.or("expires", None, |field| time(field).map(Some));
    let digest = token.required("hmac", |field| digest(field, key.as_ref()));
    let rate = rate(&token, *default);
    Some(Token { name: name?, role: role?, expires: expires?, digest: digest?, rate: rate? })
}

fn name(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if names_a_caller(text) {
        return Some(text.to_owned());
    }
    field.refuse(format!("{} is no name for a token: use 1 to 64 letters, digits, `.`, `_`, `@` and `-`", quoted(text)))
}

fn role(field: &Field<'_>) -> Option<Role> {
    let text = field.text()?;
    if let Ok(role) = text.parse() {
        return Some(role);
    }
    let choices = choose_from(text, Role::ALL.map(Role::as_str));
    field.refuse(format!("{} is no role{choices}", quoted(text)))
}

fn time(field: &Field<'_>) -> Option<Timestamp> {
    let text = field.text()?;
    text.parse().map_err(|InvalidTime| field.note(format!("{}: {InvalidTime}", quoted(text)))).ok()
}

/// What stands here by mistake is likely the token itself, so no message shows it.
fn digest(field: &Field<'_>, key: Option<&TokenKey>) -> Option<Digest> {
    let Ok(digest) = field.text()?.parse::<Digest>() else {
        return field.refuse(
            "expected the digest of the token as 64 hexadecimal digits; `paramedic token digest` prints it, and \
             `paramedic token new` makes a token with its entry",
        );
    };
    if key.is_some_and(|key| digest == key.digest(b"")) {
        return field.refuse("this is the digest of an empty token");
    }
    Some(digest)
}

/// Two people under one name, or one token under two names, would make the records lie.
fn refuse_twins(tokens: &[(Field<'_>, Token)]) -> Option<()> {
    let mut distinct = Some(());
    for (i, (field, token)) in tokens.iter().enumerate() {
        for (earlier_field, earlier) in tokens.iter().take(i) {
            if earlier.name == token.name {
                distinct = field.refuse(format!("{} is the name of {} too", quoted(&token.name), earlier_field.path()));
            } else if earlier.digest == token.digest {
                distinct = field.refuse(format!("this token is that of {} too", earlier_field.path()));
            }
        }
    }
    distinct
}
