//! Gives the changes of a run back, without its plugin: what undoes them was recorded with them.
//!
//! ```text
//! plan    the changes of the run, the last one first ─► made again from their record ─► previewed, compared, listed
//! apply   the changes of that plan, in its order     ─► made again from the plan     ─► as with any other plan
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Cancellation, Finished, ending};
use crate::clock::Clock;
use crate::domain::{
    CallError, CallLimits, ChangeCall, ChangeRecord, Ending, Fact, FailureKind, Fate, Files, Limits, Outcome, Plan,
    PlannedChange, PluginName, RunId, Status, Table, Usage,
};
use crate::host::Targets;
use crate::journal::{Changes, Disposition, Journal, Ledger, Observer, Receipt, Settled, Stop};
use crate::policy::Grants;

/// Longest time that giving back takes.
const DEADLINE: Duration = Duration::from_secs(300);

/// What is to be given back.
pub enum GivingBack {
    /// Plan to give back the changes that a run made.
    Plan(Vec<ChangeRecord>),
    /// Carry out such a plan.
    Apply(Arc<Plan>, Arc<dyn Ledger>),
}

/// Everything that giving back needs.
pub struct Undoing {
    /// What is given back.
    pub what: GivingBack,
    /// The run whose changes these are.
    pub undone: RunId,
    /// Its plugin.
    pub plugin: PluginName,
    /// The clients of all targets.
    pub targets: Arc<Targets>,
    /// The recorded clock.
    pub clock: Arc<dyn Clock>,
    /// Where clients do their work.
    pub io: tokio::runtime::Handle,
    /// Whether somebody wants it to end.
    pub cancellation: Cancellation,
    /// Whoever hears what it does while it does it.
    pub observer: Arc<dyn Observer>,
}

/// One change to give back.
struct Step {
    call: ChangeCall,
    /// How the change that it gives back left things.
    left: Vec<Fact>,
    /// The place of that change.
    position: u32,
    /// What it is about, for people.
    summary: String,
}

/// What came of the steps.
#[derive(Default)]
struct Tally {
    rows: Vec<Vec<String>>,
    done: usize,
    already: usize,
    refused: usize,
}

impl Undoing {
    /// Give back, or plan to.
    pub async fn run(self) -> Finished {
        let began = Instant::now();
        let nothing = Arc::new(Grants::new(self.plugin.clone(), Vec::new()));
        let limits = Limits { deadline: DEADLINE, ..Limits::CEILING };
        let changes = match &self.what {
            GivingBack::Plan(_) => Changes::plan(self.io.clone()),
            GivingBack::Apply(plan, ledger) => Changes::follow(plan.clone(), ledger.clone(), self.io.clone()),
        };
        let mut journal = Journal::new(nothing, self.clock.clone(), &limits, began + DEADLINE)
            .observed_by(self.observer.clone())
            .treating(changes);
        let ending = tokio::select! {
            biased;
            ending = self.steps(&mut journal) => ending,
            by = self.cancellation.clone().requested() => ending::cancelled(&by),
        };
        journal.conclude().await;
        let usage = Usage {
            duration: began.elapsed(),
            calls: journal.calls(),
            answer_bytes: journal.answer_bytes(),
            ..Usage::default()
        };
        let planned = journal.take_planned();
        Finished { ending, usage, log: Vec::new(), calls: journal.take_records(), planned, taped: None }
    }

    async fn steps(&self, journal: &mut Journal) -> Ending {
        let mut tally = Tally::default();
        for step in self.what.steps() {
            match self.step(journal, &step).await {
                Ok(answer) => tally.add(&step, answer),
                Err(stop) => return ending::stopped(stop),
            }
        }
        let is_plan = matches!(self.what, GivingBack::Plan(_));
        if is_plan && tally.refused > 0 {
            // Giving back half of it is another decision than giving back all of it.
            let rows: Vec<_> =
                tally.rows.iter().filter(|row| row.get(1).is_some_and(|word| word == "refused")).collect();
            let first = rows.first().and_then(|row| row.get(2)).cloned().unwrap_or_default();
            let message = format!("{} of its changes cannot be given back: {first}", tally.refused);
            return ending::failed(FailureKind::HostCall, message);
        }
        Ending::Concluded(tally.outcome(is_plan, self.undone))
    }

    async fn step(&self, journal: &mut Journal, step: &Step) -> Result<Result<Receipt, CallError>, Stop> {
        match self.targets.recorded(&step.call) {
            Ok(change) => journal.give_back(change, &step.left, step.position).await,
            Err(error) => Ok(Err(error)),
        }
    }
}

impl GivingBack {
    fn steps(&self) -> Vec<Step> {
        match self {
            Self::Plan(changes) => changes.iter().rev().filter_map(planned).collect(),
            Self::Apply(plan, _) => plan
                .changes
                .iter()
                .map(|planned| Step {
                    call: planned.call.clone(),
                    left: planned.preview.ground.clone(),
                    position: planned.gives_back.unwrap_or_default(),
                    summary: planned.preview.summary.clone(),
                })
                .collect(),
        }
    }
}

/// The step that gives a change back; none for one that was not made, was given back, or has no inverse.
fn planned(change: &ChangeRecord) -> Option<Step> {
    let Some(Fate::Applied(done)) = &change.fate else { return None };
    let inverse = done.inverse.as_ref().filter(|_| change.undone_by.is_none())?;
    Some(Step {
        call: inverse.call.clone(),
        left: inverse.ground.clone(),
        position: change.position,
        summary: change.planned.preview.summary.clone(),
    })
}

impl Tally {
    fn add(&mut self, step: &Step, answer: Result<Receipt, CallError>) {
        let (summary, word, detail) = match answer {
            Ok(receipt) => match receipt.disposition {
                Disposition::Applied => {
                    self.done += 1;
                    (receipt.summary, "given back", String::new())
                }
                Disposition::Planned => {
                    self.done += 1;
                    (receipt.summary, "planned", String::new())
                }
                Disposition::Unchanged => {
                    self.already += 1;
                    (receipt.summary, "unchanged", "it is so already".to_owned())
                }
            },
            Err(error) => {
                self.refused += 1;
                (step.summary.clone(), "refused", error.to_string())
            }
        };
        self.rows.push(vec![summary, word.to_owned(), detail]);
    }

    fn outcome(self, is_plan: bool, undone: RunId) -> Outcome {
        let Self { rows, done, already, refused } = self;
        let verb = if is_plan { "would give back" } else { "gave back" };
        let changes = if done == 1 { "1 change".to_owned() } else { format!("{done} changes") };
        let mut summary = format!("{verb} {changes} of run {undone}");
        if already > 0 {
            summary.push_str(&format!(", {already} needed nothing"));
        }
        if refused > 0 {
            summary.push_str(&format!(", {refused} could not be given back"));
        }
        let columns = ["change", "result", "why"].map(str::to_owned).to_vec();
        Outcome {
            status: if refused > 0 { Status::Critical } else { Status::Ok },
            summary,
            details: None,
            metrics: Vec::new(),
            findings: vec![Table { title: "What is given back, the last change first".to_owned(), columns, rows }],
            suggestions: Vec::new(),
            labels: Vec::new(),
            files: Files::default(),
        }
    }
}

/// How long one look at a target takes at most.
const LOOK: Duration = Duration::from_secs(10);

/// Find out what became of a change of which nobody knows, by looking at its target.
pub async fn settle(targets: &Targets, planned: &PlannedChange) -> Fate {
    let change = match targets.recorded(&planned.call) {
        Ok(change) => change,
        Err(error) => {
            let (target, summary) = (&planned.call.target, &planned.preview.summary);
            return Fate::Unknown(format!("look at {target} yourself for what became of `{summary}`: {error}"));
        }
    };
    let limits = CallLimits { deadline: Instant::now() + LOOK, answer_bytes: Limits::DEFAULT.answer_bytes };
    match tokio::time::timeout(LOOK, change.settle(&planned.preview, &limits)).await {
        Ok(Settled::Done(done)) => Fate::Applied(done),
        Ok(Settled::NotDone) => Fate::Failed("the target shows that it was not done".to_owned()),
        Ok(Settled::Unknown(where_to_look)) => Fate::Unknown(where_to_look),
        Err(_) => Fate::Unknown("the target did not answer when it was looked at".to_owned()),
    }
}
