//! Sweeps: in lists, in full, and one run of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{EventKind, Muted, Reason, Silence, Status, SweepRunState};
use crate::domain;
use crate::scheduler::{Cadence, SweepView};

/// The configured sweeps, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SweepList {
    /// All of them.
    pub sweeps: Vec<SweepSummary>,
}

/// A sweep as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SweepSummary {
    /// Its name.
    #[schema(example = "health")]
    pub name: String,
    /// When it runs by itself; left out for one that only runs when asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// How it stands.
    pub state: Standing,
    /// When it starts next by its schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-03-01T03:15:07.000Z")]
    pub next: Option<String>,
    /// The run that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub running: Option<String>,
    /// Its last run with a verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<SweepRun>,
    /// Silences that speak of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silences: Vec<Silence>,
}

impl From<SweepView> for SweepSummary {
    fn from(view: SweepView) -> Self {
        Self {
            name: view.sweep.name.to_string(),
            schedule: view.sweep.timetable.as_ref().map(|table| Schedule::of(table.schedule.cadence())),
            state: Standing::from(&view.standing),
            next: view.next.map(|time| time.to_string()),
            running: view.running.map(|run| run.id.to_string()),
            last: view.last.map(|run| SweepRun::from((*run).clone())),
            silences: view.silences.into_iter().map(Silence::from).collect(),
        }
    }
}

/// When a sweep runs by itself: in an interval, or by a pattern on the clock of a time zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    /// The interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 60.0)]
    pub every_seconds: Option<f64>,
    /// The cron pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "*/5 * * * *")]
    pub cron: Option<String>,
    /// The time zone of the pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Europe/Berlin")]
    pub timezone: Option<String>,
}

impl Schedule {
    fn of(cadence: &Cadence) -> Self {
        match cadence {
            Cadence::Every(period) => Self { every_seconds: Some(period.as_secs_f64()), cron: None, timezone: None },
            Cadence::Cron { pattern, zone } => Self {
                every_seconds: None,
                cron: Some(pattern.to_string()),
                timezone: Some(zone.iana_name().unwrap_or("UTC").to_owned()),
            },
        }
    }
}

/// How a sweep stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Standing {
    /// The confirmed state; left out before there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-03-01T02:40:07.000Z")]
    pub since: Option<String>,
    /// The last verdict, which may not be confirmed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Status>,
    /// Verdicts in a row that speak against the confirmed state.
    #[schema(example = 0)]
    pub streak: u32,
    /// Whether it changes too often to mean anything.
    pub flapping: bool,
    /// How much the last twenty verdicts changed, in percent.
    #[schema(example = 0.0)]
    pub change_percent: f64,
}

impl From<&domain::Standing> for Standing {
    fn from(standing: &domain::Standing) -> Self {
        Self {
            status: standing.hard.map(Status::from),
            since: standing.since.map(|time| time.to_string()),
            last: standing.last.map(Status::from),
            streak: standing.streak,
            flapping: standing.flapping,
            change_percent: standing.changes.percent(),
        }
    }
}

/// A sweep in full, with a page of its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sweep {
    /// How it is now.
    #[serde(flatten)]
    pub summary: SweepSummary,
    /// Its runs, the newest first.
    pub runs: Vec<SweepRun>,
    /// The `cursor` of the next page of runs; left out on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page: Option<String>,
    /// What happened to it lately, the newest first.
    pub events: Vec<SweepEvent>,
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SweepRun {
    /// Its id. Ids sort by time.
    #[schema(format = "uuid", example = "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b")]
    pub id: String,
    /// The sweep.
    #[schema(example = "health")]
    pub sweep: String,
    /// The slot of the schedule that it was for; left out when somebody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-03-01T03:14:00.000Z")]
    pub slot: Option<String>,
    /// Who asked: the name of the token, or `schedule`.
    #[schema(example = "schedule")]
    pub actor: String,
    /// How far it has come.
    pub state: SweepRunState,
    /// The gravest verdict of its checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// When it started.
    #[schema(format = DateTime, example = "2026-03-01T03:14:07.000Z")]
    pub started: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-03-01T03:14:07.412Z")]
    pub finished: Option<String>,
    /// Its checks, in the order of the configuration; none until it ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckResult>,
}

impl From<domain::SweepRun> for SweepRun {
    fn from(run: domain::SweepRun) -> Self {
        Self {
            id: run.id.to_string(),
            sweep: run.sweep.to_string(),
            slot: run.slot.map(|time| time.to_string()),
            actor: run.actor.0,
            state: run.state.into(),
            status: run.status.map(Status::from),
            started: run.started.to_string(),
            finished: run.finished.map(|time| time.to_string()),
            checks: run.checks.into_iter().map(CheckResult::from).collect(),
        }
    }
}

/// What one check of a sweep came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckResult {
    /// The plugin.
    #[schema(example = "pg-ready")]
    pub plugin: String,
    /// Its run, at `/v1/runs/{id}`; left out when it could not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub run: Option<String>,
    /// The verdict.
    pub status: Status,
    /// The verdict in one line, or why there is none.
    #[schema(example = "the plugin `pg-ready` cannot run: cannot read /plugins/pg-ready.wasm")]
    pub summary: String,
    /// Why it is `unknown`, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl From<domain::CheckResult> for CheckResult {
    fn from(check: domain::CheckResult) -> Self {
        Self {
            plugin: check.plugin.to_string(),
            run: check.run.map(|id| id.to_string()),
            status: check.status.into(),
            summary: check.summary,
            reason: check.reason.map(Reason::from),
        }
    }
}

/// Something that happened to a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SweepEvent {
    /// When.
    #[schema(format = DateTime, example = "2026-03-01T02:40:07.000Z")]
    pub time: String,
    /// What.
    pub kind: EventKind,
    /// The confirmed state before, where that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Status>,
    /// The confirmed state.
    pub status: Status,
    /// Why nobody needs to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<Muted>,
    /// The run that showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub run: Option<String>,
}

impl From<domain::SweepEvent> for SweepEvent {
    fn from(event: domain::SweepEvent) -> Self {
        Self {
            time: event.time.to_string(),
            kind: event.kind.into(),
            from: event.from.map(Status::from),
            status: event.status.into(),
            muted: event.muted.map(Muted::from),
            run: event.run.map(|id| id.to_string()),
        }
    }
}
