//! Are the rollouts of a namespace complete? One that is stuck makes no noise: the old pods go on serving, and what was
//! fixed with it is not.

mod found;
mod memory;

use found::{Found, Workloads};
use memory::Memory;
use paramedic_sdk::kubernetes::{self, Rollout};
use paramedic_sdk::{
    Context, Description, Error, Failure, Metric, Outcome, Plugin, Seconds, Status, Suggestion, Table, Threshold,
    Workload, WorkloadKind, cells, human, judge, log,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[cfg(test)]
mod tests;

/// Workloads that one sentence names.
const NAMES: usize = 3;

/// Parameters of k8s-rollouts.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Kubernetes target.
    target: String,
    /// Label selector of the workloads; empty for all.
    #[schemars(length(max = 1000))]
    labels: String,
    /// Kinds of workloads to look at.
    #[schemars(length(min = 1, max = 3))]
    kinds: Vec<WorkloadKind>,
    /// The verdict on a rollout that is paused.
    paused: Status,
    /// Seconds that a rollout may be under way before it is a warning.
    progress_warning: Threshold,
    /// Seconds that a rollout may be under way before it is critical.
    progress_critical: Threshold,
    /// Most workloads to look at.
    #[schemars(range(min = 1, max = 200))]
    workloads: usize,
    /// Most workloads to show.
    #[schemars(range(min = 1, max = 200))]
    limit: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "prod".to_owned(),
            labels: String::new(),
            kinds: vec![WorkloadKind::Deployment, WorkloadKind::StatefulSet, WorkloadKind::DaemonSet],
            paused: Status::Warning,
            progress_warning: Threshold::above(900.0),
            progress_critical: Threshold::above(3600.0),
            workloads: 50,
            limit: 50,
        }
    }
}

/// The check.
pub struct K8sRollouts;

paramedic_sdk::export!(K8sRollouts);

impl Plugin for K8sRollouts {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Rollouts")
            .about(include_str!("about.md"))
            .runbook("#service-restoration")
            .needs("kubernetes/list-objects", "{target}", "to find the workloads")
            .needs("kubernetes/get-rollout", "{target}", "to see how far each rollout has come")
            .time_limit(30.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let workloads = found::list(&params)?;
        let looked = look(&workloads, &params)?;
        Ok(judge_rollouts(&workloads, &looked, &params))
    }
}

/// How a rollout stands, gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Stuck,
    Paused,
    UnderWay,
    Complete,
}

impl State {
    fn of(found: &Found, rollout: &Rollout) -> Self {
        match rollout.complete {
            true => Self::Complete,
            false if found.is_paused => Self::Paused,
            false if found.is_stuck => Self::Stuck,
            false => Self::UnderWay,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::Paused => "paused",
            Self::UnderWay => "under way",
            Self::Complete => "complete",
        }
    }
}

/// One rollout.
struct Seen<'a> {
    found: &'a Found,
    rollout: Rollout,
    state: State,
    /// How long it has been under way, stuck or paused, as far as is known.
    lasted: Seconds,
}

/// All rollouts, and those that could not be asked for.
struct Looked<'a> {
    seen: Vec<Seen<'a>>,
    failed: Vec<(&'a Found, Error)>,
    /// Left when it made no sense to ask on.
    left: usize,
}

fn look<'a>(workloads: &'a Workloads, params: &Params) -> Result<Looked<'a>, Failure> {
    let mut memory = Memory::recall(&params.target);
    let mut looked = Looked { seen: Vec::new(), failed: Vec::new(), left: 0 };
    for (number, found) in workloads.all.iter().enumerate() {
        match ask(found, params) {
            Ok(rollout) => looked.seen.push(see(found, rollout, &mut memory)),
            // It was removed since it was listed.
            Err(Error::NotFound(_)) => memory.over(&id(found)),
            Err(error) => {
                log::warn(&format!("cannot look at {}: {error}", found.in_words()));
                let is_ours = error.is_ours();
                looked.failed.push((found, error));
                if is_ours {
                    looked.left = workloads.all.len() - number - 1;
                    break;
                }
            }
        }
    }
    memory.store(&params.target);
    match looked.failed.first() {
        Some((_, error)) if looked.seen.is_empty() => Err(error.clone().into()),
        _ => Ok(looked),
    }
}

fn ask(found: &Found, params: &Params) -> Result<Rollout, Error> {
    kubernetes::get_rollout(&Workload::new(&params.target, found.kind, &found.name))
}

fn id(found: &Found) -> String {
    format!("{}/{}", found.kind, found.name)
}

fn see<'a>(found: &'a Found, rollout: Rollout, memory: &mut Memory) -> Seen<'a> {
    let state = State::of(found, &rollout);
    let lasted = if state == State::Complete {
        memory.over(&id(found));
        0.0
    } else {
        memory.under_way(id(found))
    };
    Seen { found, rollout, state, lasted }
}

impl Found {
    fn in_words(&self) -> String {
        format!("{} {}", self.kind, human::shorten(&self.name, 63))
    }
}

impl Seen<'_> {
    fn message(&self) -> String {
        let Rollout { desired, updated, message, .. } = &self.rollout;
        let text =
            message.clone().unwrap_or_else(|| format!("{updated} of {desired} replicas have the newest template"));
        human::shorten(&text, 160)
    }

    fn in_words(&self) -> String {
        let so = self.state.in_words();
        let lasted = match self.lasted {
            lasted if lasted > 0.0 => format!(" for at least {}", human::duration(lasted)),
            _ => String::new(),
        };
        format!("the rollout of {} is {so}{lasted}: {}", self.found.in_words(), self.message())
    }

    fn judge(&self, params: &Params) -> Status {
        match self.state {
            State::Stuck => Status::Critical,
            State::Paused => params.paused,
            State::UnderWay => judge(self.lasted, &params.progress_warning, &params.progress_critical),
            State::Complete => Status::Ok,
        }
    }
}

fn judge_rollouts(workloads: &Workloads, looked: &Looked, params: &Params) -> Outcome {
    // Those that were listed may all have been removed since.
    let mut outcome = if looked.seen.is_empty() {
        Outcome::found(Status::Unknown, format!("{} has no workload{}", params.target, which(params)))
    } else {
        Outcome::ok(fine(looked, params))
    };
    let mut seen: Vec<&Seen> = looked.seen.iter().collect();
    seen.sort_by(|one, other| one.state.cmp(&other.state).then(other.lasted.total_cmp(&one.lasted)));
    for status in [Status::Critical, Status::Warning, Status::Unknown] {
        let alike: Vec<&&Seen> = seen.iter().filter(|seen| seen.judge(params) == status).collect();
        alike.iter().take(NAMES).for_each(|seen| outcome.find(status, seen.in_words()));
        if alike.len() > NAMES {
            outcome.find(status, format!("and {} more", alike.len() - NAMES));
        }
    }
    tell_unseen(&mut outcome, workloads, looked, params);
    suggest(&mut outcome, &seen, params);
    measure(&mut outcome, &seen);
    show(&mut outcome, &seen, params.limit);
    outcome
}

fn which(params: &Params) -> String {
    if params.labels.is_empty() { String::new() } else { format!(" with {}", human::shorten(&params.labels, 80)) }
}

fn fine(looked: &Looked, params: &Params) -> String {
    let count = human::plural(looked.seen.len() as u64, "rollout");
    let text = format!("{count} of {}{}", params.target, which(params));
    let open: Vec<&Seen> = looked.seen.iter().filter(|seen| seen.state != State::Complete).collect();
    match open.first() {
        None => format!("{text}, all complete"),
        Some(first) if open.len() == 1 => format!("{text}, one not complete: {}", first.in_words()),
        Some(first) => format!("{text}, {} not complete, among them: {}", open.len(), first.in_words()),
    }
}

fn tell_unseen(outcome: &mut Outcome, workloads: &Workloads, looked: &Looked, params: &Params) {
    for (kind, error) in &workloads.unseen {
        let text = format!("{}s of {} could not be listed: {error}", kind, params.target);
        // What an operator does not grant is not meant to be looked at.
        if matches!(error, Error::Denied(_)) {
            outcome.note(format!("Left out: {text}."))
        } else {
            outcome.find(Status::Unknown, text)
        }
    }
    if let Some((found, error)) = looked.failed.first() {
        let others = looked.failed.len() - 1 + looked.left;
        let more = if others > 0 { format!(", nor of {others} more") } else { String::new() };
        outcome.find(
            Status::Unknown,
            format!("the rollout of {} could not be looked at{more}: {error}", found.in_words()),
        );
    }
    if workloads.has_more {
        let count = workloads.all.len();
        outcome.note(format!(
            "**There are more workloads than the {count} that were looked at**; `workloads` says how many are."
        ));
    }
}

/// The pods tell why a rollout is stuck.
fn suggest(outcome: &mut Outcome, seen: &[&Seen], params: &Params) {
    let troubled = |seen: &&&Seen| {
        seen.state == State::Stuck || (seen.state == State::UnderWay && seen.judge(params) > Status::Ok)
    };
    for seen in seen.iter().filter(troubled).filter(|seen| !seen.found.pods.is_empty()).take(NAMES) {
        let Found { kind, name, pods, .. } = seen.found;
        let workload = json!({ "kind": kind, "name": name });
        let params = json!({ "target": params.target, "labels": pods, "workload": workload });
        let why = format!("The pods of {} tell what its rollout waits for.", seen.found.in_words());
        outcome.suggest(Suggestion::new("k8s-pods", params, why).confidence(0.7));
    }
}

fn measure(outcome: &mut Outcome, seen: &[&Seen]) {
    outcome.metric(Metric::count("rollouts", seen.len() as u64));
    for (name, state) in
        [("rollouts_stuck", State::Stuck), ("rollouts_paused", State::Paused), ("rollouts_under_way", State::UnderWay)]
    {
        let count = seen.iter().filter(|seen| seen.state == state).count();
        outcome.metric(Metric::count(name, count as u64));
    }
}

fn show(outcome: &mut Outcome, seen: &[&Seen], limit: usize) {
    let columns = ["kind", "name", "state", "wanted", "updated", "ready", "available", "message"];
    let mut table = Table::new("Rollouts", columns);
    for seen in seen.iter().take(limit) {
        let Rollout { desired, updated, ready, available, .. } = &seen.rollout;
        let message = if seen.state == State::Complete { String::new() } else { seen.message() };
        let (kind, state) = (seen.found.kind, seen.state.in_words());
        table.row(cells![kind, seen.found.name, state, desired, updated, ready, available, message]);
    }
    outcome.table(table);
    if seen.len() > limit {
        outcome.note(format!("The table has {limit} of {} rollouts, those in trouble first.", seen.len()));
    }
}
