//! Keys grouped by the shape of their names: what differs from key to key, such as numbers and tokens, becomes a star.
//! The shape is a glob pattern, so that a cure can be given it as it is.

use crate::sample::Sample;
use paramedic_sdk::human;
use std::collections::BTreeMap;

/// Names that begin alike and still have more shapes than this have identifiers that do not look like any.
const MAX_SHAPES: usize = 20;
/// A part of a name that has digits and is at least this long is taken for a token.
const TOKEN_CHARS: usize = 8;

/// Keys of one shape in the sample.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// The shape of their names.
    pub(crate) pattern: String,
    pub(crate) keys: u64,
    /// Those of them that never expire.
    pub(crate) lasting: u64,
    pub(crate) bytes: u64,
    /// How many times larger everything is than the sample.
    pub(crate) scale: f64,
    pub(crate) of_queue: bool,
}

/// All groups, the one that takes most first.
#[derive(Debug)]
pub(crate) struct Groups {
    pub(crate) all: Vec<Group>,
    /// Sizes of single keys, the biggest first.
    pub(crate) biggest: Vec<paramedic_sdk::redis::KeyUsage>,
}

pub(crate) fn of(sample: &Sample, queue_prefixes: &[String], total_keys: f64) -> Groups {
    let scale = match sample.keys.len() {
        sampled if sampled > 0 && sample.unbiased && !sample.complete => (total_keys / sampled as f64).max(1.0),
        _ => 1.0,
    };
    let crowded = crowded_beginnings(sample);
    let mut groups = BTreeMap::<String, Group>::new();
    for usage in &sample.keys {
        let beginning = beginning(&usage.key);
        let pattern = if crowded.contains(&beginning) { format!("{}:*", mask(beginning)) } else { shape(&usage.key) };
        let group = groups.entry(pattern).or_insert_with_key(|pattern| Group {
            pattern: pattern.clone(),
            scale,
            ..Group::default()
        });
        group.keys += 1;
        group.lasting += u64::from(usage.ttl.is_none());
        group.bytes += usage.bytes;
        group.of_queue |= queue_prefixes.iter().any(|prefix| usage.key.starts_with(prefix.as_str()));
    }
    let mut all: Vec<Group> = groups.into_values().collect();
    all.sort_by_key(|group| std::cmp::Reverse(group.bytes));
    let mut biggest = sample.keys.clone();
    biggest.sort_by_key(|usage| std::cmp::Reverse(usage.bytes));
    Groups { all, biggest }
}

impl Groups {
    /// The group that takes most, unless it belongs to a queue.
    pub(crate) fn culprit(&self) -> Option<&Group> {
        self.all.iter().find(|group| !group.of_queue)
    }

    /// The group with most keys that never expire, unless it belongs to a queue.
    pub(crate) fn most_lasting(&self) -> Option<&Group> {
        self.all.iter().filter(|group| !group.of_queue && group.lasting > 0).max_by_key(|group| group.lasting)
    }

    /// Of the keys that never expire, the part that belongs to queues.
    pub(crate) fn queue_part_of_lasting(&self) -> f64 {
        let lasting: u64 = self.all.iter().map(|group| group.lasting).sum();
        let of_queues: u64 = self.all.iter().filter(|group| group.of_queue).map(|group| group.lasting).sum();
        human::share(of_queues as f64, lasting as f64) / 100.0
    }
}

impl Group {
    /// Bytes that the whole group takes, as far as the sample tells.
    pub(crate) fn estimated_bytes(&self) -> f64 {
        self.bytes as f64 * self.scale
    }

    pub(crate) fn lasting_percent(&self) -> f64 {
        human::share(self.lasting as f64, self.keys as f64)
    }

    pub(crate) fn describe(&self) -> String {
        let (about, bytes) = (if self.scale > 1.0 { "about " } else { "" }, human::bytes(self.estimated_bytes()));
        let name = human::shorten(&self.pattern, 60);
        format!("{name} ({about}{bytes}, {} of its keys never expire)", human::percent(self.lasting_percent()))
    }
}

/// Beginnings of names that have too many shapes to tell them apart.
fn crowded_beginnings(sample: &Sample) -> std::collections::BTreeSet<&str> {
    let mut shapes = BTreeMap::<&str, std::collections::BTreeSet<String>>::new();
    for usage in sample.keys.iter().filter(|usage| usage.key.contains(':')) {
        let known = shapes.entry(beginning(&usage.key)).or_default();
        if known.len() <= MAX_SHAPES {
            known.insert(shape(&usage.key));
        }
    }
    shapes.into_iter().filter(|(_, shapes)| shapes.len() > MAX_SHAPES).map(|(beginning, _)| beginning).collect()
}

fn beginning(key: &str) -> &str {
    key.split(':').next().unwrap_or(key)
}

/// The name with everything that looks like an identifier replaced by a star.
pub(crate) fn shape(key: &str) -> String {
    key.split(':').map(mask).collect::<Vec<_>>().join(":")
}

fn mask(part: &str) -> String {
    let has_digit = part.chars().any(|c| c.is_ascii_digit());
    let long = part.chars().count() >= TOKEN_CHARS;
    if (has_digit && long) || part.contains('@') || part.chars().count() > 32 {
        return "*".to_owned();
    }
    let mut masked = String::with_capacity(part.len());
    for c in part.chars() {
        match c {
            '0'..='9' if masked.ends_with('*') => {}
            '0'..='9' => masked.push('*'),
            // Characters with a meaning in patterns stand for themselves in names.
            '*' | '?' | '[' | ']' | '\\' => masked.extend(['\\', c]),
            _ => masked.push(c),
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use paramedic_sdk::redis::KeyUsage;

    #[test]
    fn identifiers_become_stars_and_words_stay() {
        let table = [
            ("cart:17", "cart:*"),
            ("cart:17:items", "cart:*:items"),
            ("session:9f8a7c6b5d4e", "session:*"),
            ("user:bob@example.com:profile", "user:*:profile"),
            ("v2:config", "v*:config"),
            ("config", "config"),
            ("key123", "key*"),
            ("a1b2", "a*b*"),
            ("odd[1]*", "odd\\[*\\]\\*"),
            ("", ""),
            (":", ":"),
            ("550e8400-e29b-41d4-a716-446655440000", "*"),
        ];
        for (key, pattern) in table {
            assert_eq!(shape(key), pattern, "{key}");
        }
    }

    fn usage(key: String) -> KeyUsage {
        KeyUsage { key, type_name: "string".to_owned(), bytes: 10, ttl: None }
    }

    #[test]
    fn names_with_too_many_shapes_are_grouped_by_their_beginning() {
        let names = (b'a'..=b'z').map(|letter| usage(format!("page:{}", char::from(letter))));
        let sample = Sample { keys: names.chain([usage("cart:1".to_owned())]).collect(), ..Sample::default() };
        let groups = of(&sample, &[], 27.0);
        let patterns: Vec<_> = groups.all.iter().map(|group| (group.pattern.as_str(), group.keys)).collect();
        assert_eq!(patterns, [("page:*", 26), ("cart:*", 1)]);
    }
}
