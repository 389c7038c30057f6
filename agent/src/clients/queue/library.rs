//! What differs between the libraries and their major versions.

use std::fmt;

use super::JobState;

/// A library with its major version. What the data says of it is only a hint, so the operator names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Library {
    /// BullMQ, 3 to 6.
    BullMq(u8),
    /// Bull, 4.
    Bull(u8),
}

impl Library {
    /// True for the versions whose data we can read.
    pub(super) const fn is_known(self) -> bool {
        matches!(self, Self::BullMq(3..=6) | Self::Bull(4))
    }

    pub(super) fn major(self) -> u32 {
        let (Self::BullMq(major) | Self::Bull(major)) = self;
        u32::from(major)
    }

    pub(super) const fn is_bull(self) -> bool {
        matches!(self, Self::Bull(_))
    }

    /// The states that its `getJobCounts` has.
    pub(super) const fn states(self) -> &'static [JobState] {
        use JobState::{Active, Completed, Delayed, Failed, Paused, Prioritized, Waiting, WaitingChildren};
        match self {
            Self::Bull(_) => &[Waiting, Active, Completed, Failed, Delayed, Paused],
            // Jobs with a priority wait among the others; `priority` is only an index of them.
            Self::BullMq(..=3) => &[Active, Completed, Delayed, Failed, Paused, Waiting, WaitingChildren],
            Self::BullMq(4 | 5) => &[Active, Completed, Delayed, Failed, Paused, Prioritized, Waiting, WaitingChildren],
            // Pausing moves nothing any more. A `paused` list that an older version left behind is not counted.
            Self::BullMq(6..) => &[Active, Completed, Delayed, Failed, Prioritized, Waiting, WaitingChildren],
        }
    }

    /// Whether its counts leave out a marker (`0:` and a time) at the end of a list from which workers take jobs.
    pub(super) const fn discounts_markers(self) -> bool {
        !self.is_bull()
    }

    /// Whether paused jobs are kept in a list of their own, from which workers resume.
    pub(super) const fn moves_paused_jobs(self) -> bool {
        !matches!(self, Self::BullMq(6..))
    }

    /// What speaks against this library in what a queue's `meta` says of the version that last opened it.
    pub(super) fn contradiction(self, hint: &str) -> Option<String> {
        let (name, version) = hint.split_once(':')?;
        let major: u32 = version.split('.').next()?.parse().ok()?;
        if name != "bullmq" || (!self.is_bull() && major == self.major()) {
            return None;
        }
        let version: String = version.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').take(20).collect();
        Some(format!("BullMQ {version}"))
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BullMq(major) => write!(f, "BullMQ {major}"),
            Self::Bull(major) => write!(f, "Bull {major}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_contradicts_another_major_version_only() {
        let table = [
            (Library::BullMq(5), "bullmq:5.81.5", None),
            (Library::BullMq(5), "bullmq:6.7.0", Some("BullMQ 6.7.0")),
            (Library::BullMq(6), "bullmq:5.81.5", Some("BullMQ 5.81.5")),
            (Library::BullMq(6), "bullmq:16.0.0", Some("BullMQ 16.0.0")),
            (Library::Bull(4), "bullmq:4.18.3", Some("BullMQ 4.18.3")),
            (Library::BullMq(3), "bullmq-pro:7.1.0", None),
            (Library::BullMq(3), "bullmq:\u{1b}[2J", None),
            (Library::BullMq(3), "nonsense", None),
            (Library::BullMq(3), "bullmq:4.\u{1b}[2J", Some("BullMQ 4.2J")),
        ];
        for (library, hint, expected) in table {
            assert_eq!(library.contradiction(hint).as_deref(), expected, "{library}: {hint}");
        }
    }

    #[test]
    fn only_versions_that_were_tried_are_known() {
        for library in [Library::BullMq(3), Library::BullMq(6), Library::Bull(4)] {
            assert!(library.is_known());
        }
        for library in [Library::BullMq(2), Library::BullMq(7), Library::Bull(3), Library::Bull(5)] {
            assert!(!library.is_known());
        }
    }
}
