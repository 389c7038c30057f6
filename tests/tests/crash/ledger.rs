//! What callers were told in one round, and what follows from it after the kill.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::Receiver;

use anyhow::{Context, bail};
use paramedic_tests::wait;
use serde_json::Value;

use crate::callers::{Asked, ENDLESS_RUNS, Told};

/// What is known of the runs of one round.
#[derive(Default)]
pub struct Ledger {
    /// The acknowledged runs by their ids.
    pub runs: BTreeMap<String, Known>,
    /// Everything that was asked for, whether or not an answer came.
    pub asked: Vec<Asked>,
    /// The runs of the requests that were answered, by their keys.
    pub named: BTreeMap<String, String>,
    endless: usize,
    answers: usize,
}

/// What was told of one run.
pub enum Known {
    /// It is under way, and will not end by itself.
    Endless,
    /// It is under way.
    Started,
    /// It ended, and looked like this.
    Ended(Value),
}

impl Known {
    /// Panics if the run that an agent shows now is not what was told of it.
    pub fn judge(&self, run: &Value) {
        let interrupted = run["state"] == "interrupted";
        match self {
            Known::Endless => assert!(interrupted, "it had no end, and is not interrupted: {run}"),
            Known::Started => assert!(interrupted || run["finished"].is_string(), "it has no end: {run}"),
            Known::Ended(told) => assert_eq!(run, told, "its end was told otherwise"),
        }
        if interrupted {
            assert_eq!(run["failure"]["kind"], "interrupted", "{run}");
            assert!(run["outcome"].is_null(), "an interrupted run has no verdict: {run}");
        }
    }
}

impl Ledger {
    /// Writes down what is told until all endless runs are under way and `further` more answers have come.
    pub fn listen_until(&mut self, told: &Receiver<Told>, further: usize) -> anyhow::Result<()> {
        while self.endless < ENDLESS_RUNS || self.answers < ENDLESS_RUNS + further {
            match told.recv_timeout(wait::PATIENCE).context("the callers fell silent")? {
                Told::Lost(error) => return Err(error.context("the agent was gone before it was killed")),
                told => self.write_down(told)?,
            }
        }
        Ok(())
    }

    /// Writes down what is told until the last caller has left.
    pub fn listen_to_the_end(&mut self, told: &Receiver<Told>) {
        for told in told {
            if let Err(error) = self.write_down(told) {
                panic!("{error}");
            }
        }
    }

    /// How many ends were read.
    pub fn ends(&self) -> usize {
        self.runs.values().filter(|run| matches!(run, Known::Ended(_))).count()
    }

    fn write_down(&mut self, told: Told) -> anyhow::Result<()> {
        match told {
            Told::Asking(asked) => self.asked.push(asked),
            Told::Named { key, id } => drop(self.named.insert(key, id)),
            Told::Started { id, endless } => {
                self.answers += 1;
                self.endless += usize::from(endless);
                let known = if endless { Known::Endless } else { Known::Started };
                if self.runs.insert(id.clone(), known).is_some() {
                    bail!("{id} was given twice");
                }
            }
            Told::Ended(run) => {
                self.answers += 1;
                let id = run["id"].as_str().context("a run without an id")?.to_owned();
                if let Some(Known::Endless | Known::Ended(_)) = self.runs.insert(id.clone(), Known::Ended(*run)) {
                    bail!("{id} ended twice, or not by itself");
                }
            }
            Told::Lost(_) => {}
        }
        Ok(())
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, runs, ends) = (self.asked.len(), self.runs.len(), self.ends());
        write!(f, "{requests} requests, {runs} runs acknowledged, {ends} ends read")
    }
}
