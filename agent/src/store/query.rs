//! Asking for runs: filters, pages and summaries.

use std::fmt;
use std::str::FromStr;

use crate::domain::{
    Actor, Digest, Ending, Failure, FailureKind, Mode, PluginName, RunId, Status, Timestamp, Trigger, Usage,
};

/// How far a run has come, and with which verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunState {
    /// It has no end yet.
    Running,
    /// It concluded with this verdict.
    Concluded(Status),
    /// It came to no conclusion.
    Failed,
    /// The agent ended while it was under way.
    Interrupted,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Running,
        Self::Concluded(Status::Ok),
        Self::Concluded(Status::Warning),
        Self::Concluded(Status::Critical),
        Self::Concluded(Status::Unknown),
        Self::Failed,
        Self::Interrupted,
    ];

    /// Stable label: `running`, the verdict in lower case, `failed` or `interrupted`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Concluded(status) => status.as_str(),
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The state of that label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == label)
    }

    /// The state of a run with that end.
    pub const fn of(ending: Option<&Ending>) -> Self {
        match ending {
            None => Self::Running,
            Some(Ending::Concluded(outcome)) => Self::Concluded(outcome.status),
            Some(Ending::Failed(Failure { kind: FailureKind::Interrupted, .. })) => Self::Interrupted,
            Some(Ending::Failed(_)) => Self::Failed,
        }
    }
}

/// Which runs are wanted. The default wants all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only runs of this plugin.
    pub plugin: Option<PluginName>,
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// Only runs that this actor asked for.
    pub actor: Option<Actor>,
    /// Only runs that started at this time or later.
    pub since: Option<Timestamp>,
    /// Only runs that started before this time.
    pub until: Option<Timestamp>,
}

/// How many summaries are wanted, and from where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    limit: u32,
    after: Option<Cursor>,
}

/// Why a page was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPage {
    /// The number of summaries is out of range.
    #[error("a page holds 1 to {max} runs, not {0}", max = Page::MAX_LIMIT)]
    Limit(u32),
    /// The mark is not one that a page ended with.
    #[error("the cursor is not one that this agent gave")]
    Cursor,
}

impl Page {
    /// Most summaries of one page.
    pub const MAX_LIMIT: u32 = 200;

    /// At most `limit` summaries, those that follow the page which ended with `after`.
    pub fn new(limit: u32, after: Option<Cursor>) -> Result<Self, InvalidPage> {
        if (1..=Self::MAX_LIMIT).contains(&limit) { Ok(Self { limit, after }) } else { Err(InvalidPage::Limit(limit)) }
    }

    /// Most summaries of this page.
    pub const fn limit(self) -> u32 {
        self.limit
    }

    /// The end of the page before.
    pub const fn after(self) -> Option<Cursor> {
        self.after
    }
}

/// The place in the list at which a page ended. It stays valid whatever is added or removed meanwhile.
///
/// Written as 32 hexadecimal digits that mean nothing to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) started: i64,
    pub(super) seq: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.started, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = InvalidPage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: Option<&str>| -> Result<i64, InvalidPage> {
            let digits = digits.filter(|text| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
            digits.and_then(|digits| i64::from_str_radix(digits, 16).ok()).ok_or(InvalidPage::Cursor)
        };
        if text.len() != 32 {
            return Err(InvalidPage::Cursor);
        }
        Ok(Self { started: number(text.get(..16))?, seq: number(text.get(16..))? })
    }
}

/// Summaries of runs, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPage {
    /// The summaries.
    pub runs: Vec<RunSummary>,
    /// Where the next page begins; none when this is the last.
    pub next: Option<Cursor>,
}

/// A run without its parameters, findings, log and calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// The plugin.
    pub plugin: PluginName,
    /// Version of the plugin.
    pub version: String,
    /// Digest of the component that ran.
    pub digest: Digest,
    /// How changes are treated.
    pub mode: Mode,
    /// What started it.
    pub trigger: Trigger,
    /// Who asked.
    pub actor: Actor,
    /// When it was recorded as started.
    pub started: Timestamp,
    /// When it was recorded as finished.
    pub finished: Option<Timestamp>,
    /// How far it has come.
    pub state: RunState,
    /// The verdict in one line, if it concluded.
    pub summary: Option<String>,
    /// Why it came to no conclusion, if it did not.
    pub failure: Option<Failure>,
    /// What it used.
    pub usage: Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_what_it_writes_and_nothing_else() {
        let cursor = Cursor { started: 1_772_334_855_926, seq: 42 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        let text = cursor.to_string();
        let one_short = &text[1..];
        let negative = format!("-{one_short}");
        let beyond = "f".repeat(32);
        for bad in ["", "1", one_short, &negative, &beyond, &"é".repeat(16), &text.replace('0', "+"), &"A".repeat(32)]
        {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidPage::Cursor), "{bad}");
        }
    }

    #[test]
    fn a_page_holds_one_to_two_hundred_runs() {
        assert!(Page::new(1, None).is_ok() && Page::new(200, None).is_ok());
        assert_eq!(Page::new(0, None), Err(InvalidPage::Limit(0)));
        assert_eq!(Page::new(201, None).unwrap_err().to_string(), "a page holds 1 to 200 runs, not 201");
    }

    #[test]
    fn every_state_has_a_label_of_its_own() {
        for state in RunState::ALL {
            assert_eq!(RunState::from_label(state.as_str()), Some(state));
        }
        assert_eq!(RunState::from_label("Running"), None);
    }
}
