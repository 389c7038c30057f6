//! What the agent recorded of its sweeps, read by its API after they were watched.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context, ensure};
use paramedic::domain::Timestamp;
use paramedic::scheduler::{Cadence, Schedule};
use paramedic_tests::api::Api;
use serde_json::{Value, json};

use super::surroundings::sweep_name;
use crate::samples::millis;

const PERIOD: Duration = Duration::from_secs(60);

/// How late everything started, in milliseconds after the slot and the splay of its sweep; and what did not start.
#[derive(Default)]
pub struct History {
    /// Sweeps.
    pub sweeps: Vec<f64>,
    /// Checks of targets that answer, and of none.
    pub checks: Vec<f64>,
    /// Checks of the target that hangs.
    pub hanging: Vec<f64>,
    /// Those of them that their deadline ended.
    pub ended_by_deadline: usize,
    verdicts: BTreeMap<String, usize>,
    /// Slots between two runs of a sweep that have none.
    gaps: u64,
    /// Runs that began before the one before had ended.
    overlaps: u64,
    /// What the agent itself counted as left out.
    counted: u64,
}

/// A run as the list of runs has it.
struct Started {
    at: Timestamp,
    failure: Option<String>,
}

impl History {
    /// Read all that was recorded of so many sweeps.
    pub fn read(api: &Api, sweeps: usize) -> anyhow::Result<Self> {
        let mut history = Self { counted: left_out(&api.get("/metrics", &[])?.body)?, ..Self::default() };
        let runs = runs_by_schedule(api)?;
        for number in 0..sweeps {
            let name = sweep_name(number);
            let page = get(api, &format!("/v1/sweeps/{name}?limit=200"))?;
            let schedule = Schedule::new(Cadence::Every(PERIOD), PERIOD, &name.parse()?);
            history.add_sweep(page.get("runs").and_then(Value::as_array).context("no runs")?, &schedule, &runs)?;
        }
        Ok(history)
    }

    /// Slots that should have had a run of their own, in their time, and did not.
    pub fn left_out(&self) -> u64 {
        self.gaps.max(self.counted) + self.overlaps
    }

    /// What came of the checks of targets that answer.
    pub fn verdicts(&self) -> String {
        let count = |(verdict, count): (&String, &usize)| format!("{count} {verdict}");
        self.verdicts.iter().map(count).collect::<Vec<_>>().join(", ")
    }

    /// What was left out.
    pub fn json(&self) -> Value {
        json!({ "slots without a run": self.gaps, "overlaps": self.overlaps, "counted by the agent": self.counted })
    }

    /// The runs of one sweep, the newest first.
    fn add_sweep(
        &mut self,
        sweep_runs: &[Value],
        schedule: &Schedule,
        runs: &HashMap<String, Started>,
    ) -> anyhow::Result<()> {
        let mut before: Option<(Timestamp, Option<Timestamp>)> = None;
        for run in sweep_runs.iter().rev() {
            let (slot, started) = (time(run, "slot")?, time(run, "started")?);
            let due = schedule.due(slot);
            self.sweeps.push(millis(started.since(due)));
            if let Some((last, ended)) = before {
                self.gaps += schedule.count(last, slot).saturating_sub(1);
                self.overlaps += u64::from(ended.is_none_or(|ended| ended > started));
            }
            before = Some((slot, time(run, "finished").ok()));
            self.add_checks(run, due, runs)?;
        }
        Ok(())
    }

    /// The checks of one run of a sweep; none of one that is still under way.
    fn add_checks(&mut self, run: &Value, due: Timestamp, runs: &HashMap<String, Started>) -> anyhow::Result<()> {
        let checks = run.get("checks").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let Some((hanging, others)) = checks.split_last() else { return Ok(()) };
        let started = |check: &Value| check.get("run").and_then(Value::as_str).and_then(|id| runs.get(id));
        for check in others {
            let started = started(check).with_context(|| format!("a check without a run: {check}"))?;
            self.checks.push(millis(started.at.since(due)));
            *self.verdicts.entry(text(check, "status")?.to_owned()).or_default() += 1;
        }
        // One that found no place in time did not start.
        if let Some(started) = started(hanging) {
            self.hanging.push(millis(started.at.since(due)));
            self.ended_by_deadline += usize::from(started.failure.as_deref() == Some("deadline"));
        }
        Ok(())
    }
}

/// Every run that the schedule asked for, by its id.
fn runs_by_schedule(api: &Api) -> anyhow::Result<HashMap<String, Started>> {
    let mut runs = HashMap::new();
    let mut cursor = String::new();
    loop {
        let page = get(api, &format!("/v1/runs?actor=schedule&limit=200{cursor}"))?;
        for run in page.get("runs").and_then(Value::as_array).context("no runs")? {
            let failure = run.pointer("/failure/kind").and_then(Value::as_str).map(str::to_owned);
            runs.insert(text(run, "id")?.to_owned(), Started { at: time(run, "started")?, failure });
        }
        match page.get("next").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(runs),
        }
    }
}

/// Slots that the agent counted as anything but run.
fn left_out(metrics: &str) -> anyhow::Result<u64> {
    let slots = metrics.lines().filter(|line| line.starts_with("paramedic_sweep_slots_total{"));
    let others = slots.filter(|line| !line.contains("result=\"run\""));
    others.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<u64>().context("a strange count")).sum()
}

fn get(api: &Api, path: &str) -> anyhow::Result<Value> {
    let answer = api.get(path, &[])?;
    ensure!(answer.status == 200, "{path}: {}", answer.body);
    answer.json()
}

fn text<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    value.get(name).and_then(Value::as_str).with_context(|| format!("no {name} in {value}"))
}

fn time(value: &Value, name: &str) -> anyhow::Result<Timestamp> {
    text(value, name)?.parse().with_context(|| format!("no time is {name} of {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_were_not_run_are_counted() {
        let metrics = "paramedic_sweep_slots_total{sweep=\"a\",result=\"run\"} 9\n\
                       paramedic_sweep_slots_total{sweep=\"a\",result=\"skipped\"} 2\n\
                       paramedic_sweep_slots_total{sweep=\"b\",result=\"missed\"} 1\n\
                       paramedic_runs_total 7\n";
        assert_eq!(left_out(metrics).unwrap(), 3);
        assert!(left_out("paramedic_sweep_slots_total{result=\"missed\"} many\n").is_err());
    }

    #[test]
    fn a_slot_without_a_run_and_a_run_that_began_too_early_are_told() {
        let schedule = Schedule::new(Cadence::Every(PERIOD), Duration::ZERO, &"a".parse().unwrap());
        let run = |slot: &str, started: &str, finished: &str| {
            let time = |time| format!("2026-03-01T03:{time}Z");
            json!({ "slot": time(slot), "started": time(started), "finished": time(finished) })
        };
        let newest_first = [
            run("13:00.000", "13:00.000", "13:01.000"),
            run("12:00.000", "12:00.030", "13:00.500"),
            run("10:00.000", "10:00.001", "10:01.000"),
        ];
        let mut history = History::default();
        history.add_sweep(&newest_first, &schedule, &HashMap::new()).unwrap();
        assert_eq!(history.sweeps, [1.0, 30.0, 0.0]);
        assert_eq!((history.gaps, history.overlaps, history.left_out()), (1, 1, 2));
    }
}
