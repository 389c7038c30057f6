//! The operator's statement of what one plugin may do, and the patterns that bound it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Operation, Quantity, Target};

/// One line of a plugin's `grants`: operations on one target, within bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The target.
    pub target: Target,
    /// What may be done with it; all of the target's system.
    pub operations: Vec<Operation>,
    /// Redis keys that may be looked at. Empty means none.
    pub keys: Vec<KeyPattern>,
    /// HTTP paths below the target's base that may be asked for. Empty means none.
    pub paths: Vec<PathPattern>,
    /// Resources of Kubernetes whose objects may be looked at. Empty means none.
    pub resources: Vec<Resource>,
    /// Bounds of the operations that change something.
    pub changes: ChangeBounds,
}

/// Bounds of the changes that one line of `grants` allows. Each counts for one operation on the line's target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeBounds {
    /// Most things that one run may touch with it. None means none.
    pub per_run: u64,
    /// Most things that all runs of the plugin may touch with it within an hour. None means none.
    pub per_hour: u64,
    /// Postgres roles whose sessions may be touched. Empty means all that are not protected.
    pub users: Vec<KeyPattern>,
    /// Names of applications whose sessions may be touched. Empty means all that are not protected.
    pub applications: Vec<KeyPattern>,
    /// Least age of failed jobs, or least idle time of keys, that may be touched.
    pub min_age: Duration,
    /// Shortest and longest time to live that keys may be given.
    pub ttl: Option<(Duration, Duration)>,
    /// Methods that requests may have. Empty means none.
    pub methods: Vec<String>,
    /// Objects of Kubernetes that may be touched. Empty means none.
    pub objects: Vec<ObjectPattern>,
    /// Fewest and most replicas that a workload may be given.
    pub replicas: Option<(u32, u32)>,
    /// Environment variables that may be set and removed. Empty means none.
    pub variables: Vec<VariablePattern>,
    /// Images that containers may be given. Empty means none.
    pub images: Vec<KeyPattern>,
    /// Least and most processor share that a container may ask for or be limited to.
    pub cpu: Option<(Quantity, Quantity)>,
    /// Least and most memory that a container may ask for or be limited to.
    pub memory: Option<(Quantity, Quantity)>,
}

/// Why a pattern was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no {what} pattern: {rule}")]
pub struct InvalidPattern {
    what: &'static str,
    value: String,
    rule: &'static str,
}

/// A pattern of Redis keys. `*` stands for any bytes; everything else, `?` and `[` included, for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern(String);

impl KeyPattern {
    /// True when `key` matches as a whole.
    pub fn matches(&self, key: &[u8]) -> bool {
        matches_wildcards(self.0.as_bytes(), key)
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |rule| Err(InvalidPattern { what: "key", value: text.to_owned(), rule });
        if text.is_empty() {
            return refuse("it is empty and would match only the empty key");
        }
        if text.len() > 512 {
            return refuse("it is longer than 512 bytes");
        }
        if text.matches('*').count() > 8 {
            return refuse("it has more than 8 `*`");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pattern of HTTP paths. `*` stands for any characters of one segment, `/**` at the end for everything below.
/// A query is no part of it: whoever may ask for a path may ask for it with any query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(String);

impl PathPattern {
    /// True when the normalised `path`, without its query, matches.
    pub fn matches(&self, path: &str) -> bool {
        let (pattern, open_end) = match self.0.strip_suffix("/**") {
            Some(prefix) => (prefix, true),
            None => (self.0.as_str(), false),
        };
        let mut segments = path.split('/');
        for wanted in pattern.split('/') {
            match segments.next() {
                Some(segment) if matches_wildcards(wanted.as_bytes(), segment.as_bytes()) => {}
                _ => return false,
            }
        }
        open_end || segments.next().is_none()
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PathPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |rule| Err(InvalidPattern { what: "path", value: text.to_owned(), rule });
        if !text.starts_with('/') {
            return refuse("it must begin with `/`");
        }
        if text.len() > 512 {
            return refuse("it is longer than 512 bytes");
        }
        if text.contains(['?', '#', '%', '\\']) || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse("it must hold no query, fragment, escape, backslash or space");
        }
        if text.split('/').any(|segment| segment == "." || segment == "..") {
            return refuse("it must hold no `.` or `..` segment");
        }
        if text.strip_suffix("/**").unwrap_or(text).contains("**") {
            return refuse("`**` may stand only as its last segment");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A resource of Kubernetes, written `plural` or `plural.group` as in rules of RBAC. Never one that holds secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource(String);

impl Resource {
    /// The resource as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Resource {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |rule| Err(InvalidPattern { what: "resource", value: text.to_owned(), rule });
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        if text.is_empty() || text.len() > 253 || !text.bytes().all(is_letter) || text.split('.').any(str::is_empty) {
            return refuse(
                "write `plural` or `plural.group`, such as `pods` or `deployments.apps`; there are no wildcards",
            );
        }
        if text == "secrets" || text.starts_with("secrets.") {
            return refuse("no plugin ever reads a Secret");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kinds of object in Kubernetes that something can be done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
    /// A pod.
    Pod,
    /// A CronJob.
    CronJob,
    /// A Service.
    Service,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::Pod, Self::CronJob, Self::Service];

    /// As people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::Pod => "pod",
            Self::CronJob => "cronjob",
            Self::Service => "service",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Operation {
    /// The kinds of object that the operation can be granted on; empty for those that no `objects` bound.
    pub const fn object_kinds(self) -> &'static [ObjectKind] {
        use ObjectKind::{CronJob, DaemonSet, Deployment, Pod, Service, StatefulSet};
        match self {
            Self::KubernetesScale => &[Deployment, StatefulSet],
            Self::KubernetesRestart
            | Self::KubernetesRollback
            | Self::KubernetesSetEnv
            | Self::KubernetesUnsetEnv
            | Self::KubernetesSetImage
            | Self::KubernetesSetResources => &[Deployment, StatefulSet, DaemonSet],
            Self::KubernetesEvictPod => &[Pod],
            Self::KubernetesRunJob => &[CronJob],
            Self::KubernetesDetachService => &[Service],
            Self::PostgresInspect
            | Self::PostgresSessions
            | Self::PostgresStatements
            | Self::PostgresReplication
            | Self::PostgresQuery
            | Self::PostgresCancelQuery
            | Self::PostgresTerminateSession
            | Self::RedisPing
            | Self::RedisInfo
            | Self::RedisScan
            | Self::RedisUsage
            | Self::RedisSlowLog
            | Self::RedisRead
            | Self::RedisRemoveKeys
            | Self::RedisExpireKeys
            | Self::QueueInspect
            | Self::QueueListFailures
            | Self::QueuePause
            | Self::QueueResume
            | Self::QueueCleanFailed
            | Self::QueueRetryFailed
            | Self::HttpGet
            | Self::HttpHead
            | Self::HttpSend
            | Self::KubernetesGetObject
            | Self::KubernetesListObjects
            | Self::KubernetesListPods
            | Self::KubernetesGetRollout
            | Self::KubernetesListEvents
            | Self::KubernetesListUsage
            | Self::KubernetesReadLogs
            | Self::KubernetesReadLog => &[],
        }
    }
}

/// A pattern of objects of one kind, written `deployment/api` or `pod/api-*`. `*` stands for any characters of the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPattern {
    kind: ObjectKind,
    name: String,
}

impl ObjectPattern {
    /// True when it covers the object of that kind and name.
    pub fn matches(&self, kind: ObjectKind, name: &str) -> bool {
        self.kind == kind && matches_wildcards(self.name.as_bytes(), name.as_bytes())
    }

    /// The kind that it is for.
    pub const fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// The one name that it covers; none where it has a `*`.
    pub fn name(&self) -> Option<&str> {
        (!self.name.contains('*')).then_some(self.name.as_str())
    }
}

impl FromStr for ObjectPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |rule| Err(InvalidPattern { what: "object", value: text.to_owned(), rule });
        let (kind, name) = text.split_once('/').unwrap_or((text, ""));
        let Some(kind) = ObjectKind::ALL.into_iter().find(|known| known.as_str() == kind) else {
            return refuse(
                "write kind and name, such as `deployment/api` or `pod/api-*`; the kinds are deployment, statefulset, \
                 daemonset, pod, cronjob and service",
            );
        };
        let is_letter =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'*');
        if name.is_empty() || name.len() > 253 || !name.bytes().all(is_letter) {
            return refuse("names are lower-case letters, digits, `-` and `.`, and here `*`");
        }
        if name.matches('*').count() > 8 {
            return refuse("it has more than 8 `*`");
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

impl fmt::Display for ObjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// A pattern of environment variables, written `CACHE_TTL`, `FEATURE_*`, or `POOL_MAX=1..50` where only these whole numbers may be
/// their value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariablePattern {
    name: String,
    range: Option<(i64, i64)>,
}

impl VariablePattern {
    /// True when it covers the variable of that name, set to `value`; without a value, removed.
    pub fn matches(&self, name: &str, value: Option<&str>) -> bool {
        let is_within = |(least, most): (i64, i64)| {
            value.is_none_or(|value| value.parse().is_ok_and(|number: i64| (least..=most).contains(&number)))
        };
        matches_wildcards(self.name.as_bytes(), name.as_bytes()) && self.range.is_none_or(is_within)
    }
}

impl FromStr for VariablePattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |rule| Err(InvalidPattern { what: "variable", value: text.to_owned(), rule });
        let (name, range) = text.split_once('=').map_or((text, None), |(name, range)| (name, Some(range)));
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'*');
        if name.is_empty() || name.len() > 253 || !name.bytes().all(is_letter) || name.matches('*').count() > 8 {
            return refuse("write its name, such as `CACHE_TTL` or `FEATURE_*`");
        }
        let Some(range) = range else { return Ok(Self { name: name.to_owned(), range: None }) };
        let numbers = range.split_once("..").and_then(|(least, most)| Some((least.parse().ok()?, most.parse().ok()?)));
        match numbers {
            Some((least, most)) if least <= most => Ok(Self { name: name.to_owned(), range: Some((least, most)) }),
            _ => refuse("after `=` stand the least and the most whole number, such as `POOL_MAX=1..50`"),
        }
    }
}

impl fmt::Display for VariablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.range {
            Some((least, most)) => write!(f, "={least}..{most}"),
            None => Ok(()),
        }
    }
}

/// Compare bytes with a pattern in which `*` stands for any bytes. Takes at most the product of the two lengths,
/// whatever a plugin sends: it only ever goes back to the last `*`.
fn matches_wildcards(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(wanted) if wanted == byte => {
                p += 1;
                t += 1;
            }
            Some(_) | None => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    p = after_star;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_patterns_match_whole_keys_and_take_glob_signs_literally() {
        let table: &[(&str, &str, bool)] = &[
            ("cache:*", "cache:", true),
            ("cache:*", "cache:a:b", true),
            ("cache:*", "xcache:a", false),
            ("cache:*", "cach", false),
            ("cache", "cache:a", false),
            ("*:lock", "a:lock", true),
            ("*:lock", "a:lock:b", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("cache:?", "cache:1", false),
            ("cache:[ab]", "cache:a", false),
            ("cache:[ab]", "cache:[ab]", true),
            ("*", "", true),
        ];
        for (pattern, key, expected) in table {
            let pattern: KeyPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(key.as_bytes()), *expected, "{pattern} on {key}");
        }
    }

    #[test]
    fn path_patterns_stay_within_a_segment() {
        let table: &[(&str, &str, bool)] = &[
            ("/health", "/health", true),
            ("/health", "/health/", false),
            ("/health", "/healthz", false),
            ("/status/*", "/status/db", true),
            ("/status/*", "/status/db/secret", false),
            ("/status/*", "/status", false),
            ("/status/**", "/status/db/deep", true),
            ("/status/**", "/status", true),
            ("/status/**", "/statusx", false),
            ("/**", "/anything/at/all", true),
            ("/", "/", true),
            ("/", "/x", false),
            ("/a*z", "/a/z", false),
        ];
        for (pattern, path, expected) in table {
            let pattern: PathPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(path), *expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn an_object_is_covered_by_kind_and_name() {
        let table: &[(&str, ObjectKind, &str, bool)] = &[
            ("deployment/api", ObjectKind::Deployment, "api", true),
            ("deployment/api", ObjectKind::StatefulSet, "api", false),
            ("deployment/api", ObjectKind::Deployment, "api-2", false),
            ("pod/api-*", ObjectKind::Pod, "api-7d-x", true),
            ("pod/*", ObjectKind::Pod, "anything", true),
        ];
        for (pattern, kind, name, expected) in table {
            let pattern: ObjectPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(*kind, name), *expected, "{pattern} on {kind}/{name}");
        }
        for bad in ["", "api", "deployments/api", "secret/x", "deployment/", "pod/A", "pod/a/b", "pod/*********"] {
            assert!(bad.parse::<ObjectPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_variable_is_covered_by_name_and_where_it_says_so_by_number() {
        let table: &[(&str, &str, Option<&str>, bool)] = &[
            ("CACHE_TTL", "CACHE_TTL", Some("any thing"), true),
            ("CACHE_TTL", "CACHE_TTL_2", Some("1"), false),
            ("FEATURE_*", "FEATURE_X", None, true),
            ("POOL_MAX=1..50", "POOL_MAX", Some("50"), true),
            ("POOL_MAX=1..50", "POOL_MAX", Some("51"), false),
            ("POOL_MAX=1..50", "POOL_MAX", Some("5 "), false),
            ("POOL_MAX=1..50", "POOL_MAX", Some("1e1"), false),
            ("POOL_MAX=1..50", "POOL_MAX", None, true),
            ("LEVEL=-5..5", "LEVEL", Some("-5"), true),
        ];
        for (pattern, name, value, expected) in table {
            let pattern: VariablePattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(name, *value), *expected, "{pattern} on {name}={value:?}");
        }
        for bad in ["", "=1..2", "A B", "A=", "A=5", "A=5..1", "A=a..b", "A=1..2..3"] {
            assert!(bad.parse::<VariablePattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_that_nobody_can_mean_are_refused() {
        for bad in ["", &"x".repeat(513), "*********"] {
            assert!(bad.parse::<KeyPattern>().is_err(), "{bad}");
        }
        for bad in ["", "*", "Pods", "pods/log", "secrets", "secrets.v1", "pods.", ".apps", "deploy ments"] {
            assert!(bad.parse::<Resource>().is_err(), "{bad}");
        }
        for bad in ["", "health", "/a?b", "/a#b", "/%2e", "/../x", "/a/./b", "/a b", "/a\\b", "/**/x", "/a**"] {
            assert!(bad.parse::<PathPattern>().is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_pattern_without_a_star_matches_only_itself(text in "[a-c:?\\[]{1,12}", key in "[a-c:?\\[]{0,12}") {
            let pattern: KeyPattern = text.parse().unwrap();
            proptest::prop_assert_eq!(pattern.matches(key.as_bytes()), text == key);
        }

        #[test]
        fn what_is_put_for_the_star_still_matches(head in "[a-c]{0,4}", filling in ".{0,8}", tail in "[a-c]{0,4}") {
            let pattern: KeyPattern = format!("{head}*{tail}").parse().unwrap();
            let key = format!("{head}{filling}{tail}");
            proptest::prop_assert!(pattern.matches(key.as_bytes()));
        }
    }
}
