//! What `paramedic doctor` finds.

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works, but not as safely or as fully as it could.
    Warning,
    /// It does not work.
    Error,
}

/// One line of the doctor's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at, such as `postgres/main`.
    pub subject: String,
    /// What was found, in one sentence.
    pub message: String,
    /// How to mend it; none when all is well.
    pub remedy: Option<String>,
}
