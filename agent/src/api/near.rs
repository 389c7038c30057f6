//! Names that a caller may have meant.

/// Most names that a refusal lists.
pub(super) const MAX_LISTED: usize = 30;

/// How alike two names have to be for one to be meant by the other, between 0 and 1.
const ALIKE: f64 = 0.7;

/// The names that `name` may be a slip of, the nearest first.
pub(super) fn near(name: &str, all: &[String]) -> Vec<String> {
    let alike = |other: &String| strsim::normalized_damerau_levenshtein(name, other);
    let mut near: Vec<_> = all.iter().map(|other| (alike(other), other)).filter(|(alike, _)| *alike >= ALIKE).collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    near.into_iter().take(3).map(|(_, name)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let all = ["pg-connections", "pg-idle-connections", "pg-ready", "redis-ping"].map(str::to_owned);
        for (name, expected) in [
            ("pg-conections", &["pg-connections"] as &[&str]),
            ("pg_ready", &["pg-ready"]),
            ("redsi-ping", &["redis-ping"]),
            ("pg-idel-connections", &["pg-idle-connections", "pg-connections"]),
            ("disk-full", &[]),
            ("", &[]),
        ] {
            assert_eq!(near(name, &all), expected, "{name}");
        }
    }
}
