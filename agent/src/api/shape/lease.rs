//! Leases, and whether an apply helped.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HelpVerdict, LeaseState};
use crate::domain;
use crate::runner::Holding;

/// The changes of a run, until they are given back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    /// The run that made them.
    #[schema(format = "uuid", example = "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b")]
    pub run: String,
    /// How it stands.
    pub state: LeaseState,
    /// When they are given back.
    #[schema(format = DateTime, example = "2026-03-01T03:59:15.926Z")]
    pub until: String,
    /// Why they could not be given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The run that gave them back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub ended_by: Option<String>,
}

/// A lease with what it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeldLease {
    /// The lease.
    #[serde(flatten)]
    pub lease: Lease,
    /// The plugin that made the changes.
    #[schema(example = "queue-pause")]
    pub plugin: String,
    /// Who asked for them.
    #[schema(example = "alice")]
    pub actor: String,
    /// The replica of the agent that made them, where it is another one than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "paramedic-1")]
    pub replica: Option<String>,
    /// The changes that are given back, one line each.
    pub holds: Vec<String>,
}

/// What is held on leases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeaseList {
    /// The next one to end first.
    pub leases: Vec<HeldLease>,
}

/// What is sent with `POST /v1/leases/{run}/extend`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest {
    /// How long from now, such as `45m`; from 1 second to 7 days.
    #[schema(example = "45m")]
    pub r#for: String,
}

/// Whether an apply helped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Help {
    /// What the check of the plugin says, compared.
    pub verdict: HelpVerdict,
    /// The run of the check before it.
    #[schema(format = "uuid")]
    pub before: String,
    /// The run of the check after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub after: Option<String>,
}

impl From<&domain::Lease> for Lease {
    fn from(lease: &domain::Lease) -> Self {
        Self {
            run: lease.run.to_string(),
            state: lease.state.into(),
            until: lease.until.to_string(),
            reason: lease.detail.clone(),
            ended_by: lease.ended_by.map(|run| run.to_string()),
        }
    }
}

impl From<&Holding> for HeldLease {
    fn from(holding: &Holding) -> Self {
        let Holding { lease, run, replica } = holding;
        let is_held = |change: &&domain::ChangeRecord| {
            change.undone_by.is_none()
                && matches!(&change.fate, Some(domain::Fate::Applied(done)) if done.inverse.is_some())
        };
        let holds = run.changes.made.iter().filter(is_held);
        Self {
            lease: lease.into(),
            plugin: run.plugin.to_string(),
            actor: run.actor.0.clone(),
            replica: replica.clone(),
            holds: holds.map(|change| change.planned.preview.summary.clone()).collect(),
        }
    }
}

impl From<domain::Help> for Help {
    fn from(help: domain::Help) -> Self {
        Self {
            verdict: help.verdict.into(),
            before: help.before.to_string(),
            after: help.after.map(|run| run.to_string()),
        }
    }
}
