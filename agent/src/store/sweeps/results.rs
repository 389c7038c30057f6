//! The JSON in `sweep_runs.checks`; private to the store, and changed only together with a migration.

use serde::{Deserialize, Serialize};

use super::rows;
use crate::domain::{CheckResult, Reason};
use crate::store::StoreError;

/// What the checks of a run came to.
#[derive(Serialize, Deserialize)]
pub(super) struct Results(Vec<Check>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    plugin: String,
    run: Option<String>,
    status: String,
    summary: String,
    reason: Option<String>,
}

impl Results {
    /// As they are written.
    pub(super) fn of(checks: &[CheckResult]) -> Self {
        let check = |check: &CheckResult| Check {
            plugin: check.plugin.to_string(),
            run: check.run.map(|id| id.to_string()),
            status: check.status.as_str().to_owned(),
            summary: check.summary.clone(),
            reason: check.reason.map(|reason| reason.as_str().to_owned()),
        };
        Self(checks.iter().map(check).collect())
    }

    /// As they are meant.
    pub(super) fn read(self) -> Result<Vec<CheckResult>, StoreError> {
        self.0.into_iter().map(Check::read).collect()
    }
}

impl Check {
    fn read(self) -> Result<CheckResult, StoreError> {
        let corrupt = |what: &str| StoreError::corrupt("sweep_runs.checks", format!("its {what} makes no sense"));
        let reason = |label: String| Reason::from_label(&label).ok_or_else(|| corrupt("reason"));
        Ok(CheckResult {
            plugin: self.plugin.parse().map_err(|_| corrupt("plugin"))?,
            run: self.run.map(|id| id.parse().map_err(|_| corrupt("run"))).transpose()?,
            status: rows::status(&self.status).ok_or_else(|| corrupt("status"))?,
            summary: self.summary,
            reason: self.reason.map(reason).transpose()?,
        })
    }
}
