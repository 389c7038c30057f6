//! Which runs of a plugin are recorded.

use super::Mode;

/// The operator's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recordings {
    /// No run.
    None,
    /// Runs that make a plan or follow one. There are few, and they are what is asked about afterwards.
    #[default]
    Changes,
    /// All runs, checks too.
    All,
}

impl Recordings {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Changes, Self::All];

    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Changes => "changes",
            Self::All => "all",
        }
    }

    /// Whether a run in that mode is recorded.
    pub const fn take(self, mode: Mode) -> bool {
        match (self, mode) {
            (Self::None, _) | (Self::Changes, Mode::Check) => false,
            (Self::All, _) | (Self::Changes, Mode::Plan | Mode::Apply) => true,
        }
    }
}
