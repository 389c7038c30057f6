//! How much was acknowledged and held afterwards, in numbers.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by what they count, such as `runs acknowledged`.
#[derive(Clone, Default)]
pub struct Totals(BTreeMap<&'static str, usize>);

impl Totals {
    /// Counts one more.
    pub fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// The counts of both.
    pub fn and(mut self, other: &Totals) -> Self {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
        self
    }

    /// How often something was counted.
    pub fn of(&self, what: &str) -> usize {
        self.0.get(what).copied().unwrap_or_default()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> = self.0.iter().map(|(what, count)| format!("{count} {what}")).collect();
        f.write_str(&counts.join(", "))
    }
}
