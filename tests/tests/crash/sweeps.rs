//! Sweeps: by their schedules and because somebody asks. A slot runs at most once, an end that somebody saw stays as it was,
//! and what was under way at the kill is shown as interrupted.

use std::collections::BTreeMap;

use paramedic_tests::api::Api;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use crate::callers::{Asker, Caller, Subject, Successor, fingerprint, list, once, text, whole};
use crate::ledger::Totals;

/// Names of the callers. One alone would never join what the other asked for.
pub const CALLERS: [&str; 2] = ["watch", "guard"];

/// The sweeps.
const SWEEPS: [&str; 5] = ["beat", "late", "swap", "asked", RETIMED];

/// The sweep whose timetable changes while the agent goes on.
pub const RETIMED: &str = "retimed";

/// The section of the configuration. An interval of a second is the shortest.
pub fn configured() -> Value {
    let pause = |seconds: f64| json!({ "plugin": "trouble", "params": { "do": "sleep-in-host", "seconds": seconds } });
    let fail = json!({ "plugin": "trouble", "params": { "do": "fail", "message": "as always" } });
    json!({
        "beat": { "every": "1s", "checks": ["noop", "ship", "boat"] },
        "late": { "every": "1s", "missed": "once", "overlap": "queue", "checks": ["noop", fail] },
        // Never done before its next slot.
        "swap": { "every": "1s", "overlap": "replace", "checks": ["noop", pause(1.2)] },
        RETIMED: { "every": "1s", "checks": ["noop"] },
        "asked": { "checks": ["noop", pause(0.01)] },
    })
}

/// One of those who ask for sweeps and look at them.
pub struct Watch {
    name: &'static str,
    /// What was told of executions in this round, by their ids.
    told: BTreeMap<String, Value>,
    /// The keys of requests that were answered in this round, each with the sweep and its execution.
    named: BTreeMap<String, (&'static str, String)>,
    /// The executions of former rounds as they ended, by their ids.
    before: BTreeMap<String, u64>,
    /// The execution of each slot, in all rounds.
    slots: BTreeMap<(String, String), String>,
    totals: Totals,
}

impl Caller for Watch {
    fn name(&self) -> &str {
        self.name
    }

    fn subject(&self) -> Subject {
        Subject::Sweeps
    }

    fn ask_once(&mut self, asker: &mut Asker) -> anyhow::Result<()> {
        let sweep = SWEEPS.choose(&mut asker.rng).copied().unwrap_or_default();
        match asker.rng.random_range(0..4) {
            0 => self.look(asker, sweep),
            1 => self.run("asked", asker, &[]),
            _ => self.run(sweep, asker, &["prefer: respond-async"]),
        }
    }

    fn judge(&mut self, successor: &Successor) -> anyhow::Result<()> {
        let api = &successor.api;
        let mut left = BTreeMap::new();
        for sweep in SWEEPS {
            left.extend(self.new_executions(api, sweep, &successor.born)?);
        }
        for (id, told) in std::mem::take(&mut self.told) {
            let execution = left.get(&id);
            let execution = execution.unwrap_or_else(|| panic!("it was acknowledged and is gone: {told}"));
            assert!(has_not_ended(&told) || told == *execution, "it ended as {told} and became {execution}");
        }
        for (key, (sweep, id)) in std::mem::take(&mut self.named) {
            let answer = api.ask("POST", &path(sweep), &[&once(&key), "prefer: respond-async"], "")?;
            let again = (answer.field("idempotency-replayed"), text(&answer.json()?, "id").to_owned());
            assert_eq!(again, ("true", id), "an answered request ran again");
        }
        for (id, execution) in left.into_iter().filter(|(_, execution)| text(execution, "started") < &*successor.born) {
            self.judge_checks(api, &execution)?;
            self.before.insert(id, fingerprint(&execution));
        }
        Ok(())
    }

    fn judge_all(&mut self, api: &Api) -> anyhow::Result<()> {
        for sweep in SWEEPS {
            for_each_page(api, sweep, |page| {
                page.iter().for_each(|execution| self.recognise(execution));
                true
            })?;
        }
        Ok(())
    }

    fn totals(&self) -> &Totals {
        &self.totals
    }
}

impl Watch {
    pub fn new(name: &'static str) -> Self {
        Watch {
            name,
            told: BTreeMap::new(),
            named: BTreeMap::new(),
            before: BTreeMap::new(),
            slots: BTreeMap::new(),
            totals: Totals::default(),
        }
    }

    fn look(&mut self, asker: &mut Asker, sweep: &str) -> anyhow::Result<()> {
        let shown = whole(asker.api.get(&format!("/v1/sweeps/{sweep}?limit=5"), &[])?)?.json()?;
        for execution in list(&shown, "runs") {
            if self.is_old(execution) { self.recognise(execution) } else { self.note(execution) }
        }
        Ok(())
    }

    fn run(&mut self, sweep: &'static str, asker: &mut Asker, fields: &[&str]) -> anyhow::Result<()> {
        let key = asker.key();
        let header = once(&key);
        let answer = whole(asker.api.ask("POST", &path(sweep), &[fields, &[&*header]].concat(), "")?)?;
        assert!([200, 202].contains(&answer.status), "{}", answer.body);
        let execution = answer.json()?;
        // The one that was asked for may be one that is under way already.
        self.named.insert(key, (sweep, text(&execution, "id").to_owned()));
        self.totals.count("sweeps acknowledged");
        self.note(&execution);
        Ok(())
    }

    /// Takes note of what is told of an execution.
    fn note(&mut self, execution: &Value) {
        let id = text(execution, "id");
        match self.told.insert(id.to_owned(), execution.clone()) {
            None => self.totals.count("executions told of"),
            Some(before) if has_not_ended(&before) => {}
            Some(before) => assert_eq!(before, *execution, "its end changed"),
        }
        self.note_slot(execution);
    }

    /// No slot has two executions.
    fn note_slot(&mut self, execution: &Value) {
        let Some(slot) = execution["slot"].as_str() else { return };
        let (place, id) = ((text(execution, "sweep").to_owned(), slot.to_owned()), text(execution, "id"));
        let first = self.slots.entry(place).or_insert_with(|| {
            self.totals.count("slots");
            id.to_owned()
        });
        assert_eq!(first, id, "a slot runs twice: {execution}");
    }

    fn is_old(&self, execution: &Value) -> bool {
        self.before.contains_key(text(execution, "id"))
    }

    fn recognise(&self, execution: &Value) {
        if let Some(told) = self.before.get(text(execution, "id")) {
            assert_eq!(*told, fingerprint(execution), "an older execution is not what it was: {execution}");
        }
    }

    /// The executions of a sweep that are none of former rounds. All that began before `born` have an end.
    fn new_executions(&mut self, api: &Api, sweep: &str, born: &str) -> anyhow::Result<BTreeMap<String, Value>> {
        let mut new = BTreeMap::new();
        for_each_page(api, sweep, |page| {
            page.iter().for_each(|execution| self.recognise(execution));
            let other: Vec<_> = page.iter().filter(|execution| !self.is_old(execution)).collect();
            for execution in &other {
                self.note_slot(execution);
                judge_end(execution, born);
                let id = text(execution, "id").to_owned();
                assert!(new.insert(id, (*execution).clone()).is_none(), "it is listed twice: {execution}");
            }
            !other.is_empty()
        })?;
        Ok(new)
    }

    /// What the checks of an execution came to is what their runs came to.
    fn judge_checks(&mut self, api: &Api, execution: &Value) -> anyhow::Result<()> {
        self.totals.count(if execution["state"] == "interrupted" {
            "executions interrupted"
        } else {
            "executions ended"
        });
        for check in execution["checks"].as_array().into_iter().flatten() {
            let Some(id) = check["run"].as_str() else { continue };
            let run = api.get(&format!("/v1/runs/{id}"), &[])?.json()?;
            assert_eq!(run["sweep_run"], execution["id"], "{check} in {execution}: {run}");
            let came_to = if run["state"] == "failed" { "unknown" } else { text(&run, "state") };
            assert_eq!(came_to, text(check, "status"), "{check} in {execution}: {run}");
        }
        Ok(())
    }
}

/// Whether an execution that an agent shows has its end, if one before began it.
fn judge_end(execution: &Value, born: &str) {
    let left_over = text(execution, "started") < born;
    assert!(!left_over || !has_not_ended(execution), "an execution of a dead agent is under way: {execution}");
    if execution["state"] == "interrupted" {
        let says_nothing = execution["status"].is_null() && execution["checks"].is_null();
        assert!(left_over && says_nothing, "an interrupted execution has no verdict: {execution}");
    }
}

fn has_not_ended(execution: &Value) -> bool {
    execution["state"] == "running"
}

fn path(sweep: &str) -> String {
    format!("/v1/sweeps/{sweep}/runs")
}

/// Shows `look` the executions of a sweep, page by page and the newest first, until it says that it has seen enough.
fn for_each_page(api: &Api, sweep: &str, mut look: impl FnMut(&[Value]) -> bool) -> anyhow::Result<()> {
    let first = format!("/v1/sweeps/{sweep}?limit=200");
    let mut path = first.clone();
    loop {
        let page = api.get(&path, &[])?.json()?;
        match (look(list(&page, "runs")), page["next_page"].as_str()) {
            (true, Some(next)) => path = format!("{first}&cursor={next}"),
            (false, _) | (true, None) => return Ok(()),
        }
    }
}
