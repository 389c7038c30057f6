//! Lines that say the same.

use crate::shape;
use paramedic_sdk::kubernetes::LogLine;
use paramedic_sdk::{Instant, human};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Pods that are named in one cell.
const PODS: usize = 4;

/// Lines of one shape.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) shape: String,
    pub(crate) count: u64,
    pub(crate) newest: Option<Instant>,
    /// The newest line, as it was written.
    pub(crate) sample: String,
    pods: BTreeMap<String, u64>,
}

/// The groups, the one with most lines first.
pub(crate) fn of(lines: &[LogLine]) -> Vec<Group> {
    let mut groups = BTreeMap::<String, Group>::new();
    for line in lines {
        let shape = shape::of(&line.text);
        groups.entry(shape.clone()).or_insert_with(|| Group { shape, ..Group::default() }).add(line);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| (Reverse(group.count), Reverse(group.newest)));
    groups
}

impl Group {
    fn add(&mut self, line: &LogLine) {
        self.count += 1;
        *self.pods.entry(line.pod.clone()).or_default() += 1;
        if self.count == 1 || line.time >= self.newest {
            self.newest = line.time;
            self.sample.clone_from(&line.text);
        }
    }

    /// What the lines say, and where.
    pub(crate) fn in_words(&self) -> String {
        let pods = human::plural(self.pods.len() as u64, "pod");
        format!("\"{}\" on {pods}", human::shorten(&self.shape, 120))
    }

    /// The pods with most of the lines.
    pub(crate) fn pods_in_words(&self) -> String {
        let mut pods: Vec<(&String, &u64)> = self.pods.iter().collect();
        pods.sort_by_key(|(_, count)| Reverse(**count));
        let name = |(name, count): &(&String, &u64)| format!("{} ({count})", human::shorten(name, 63));
        let mut told: Vec<String> = pods.iter().take(PODS).map(name).collect();
        if pods.len() > PODS {
            told.push(format!("{} more", pods.len() - PODS));
        }
        told.join(", ")
    }
}
