//! The operator's statement of what one plugin may do, and the patterns that bound it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Operation, Target};

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
