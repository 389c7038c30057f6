//! Silences: one that was acknowledged holds after the kill, one whose end was acknowledged does not come back, and one that is
//! asked for again with its key is there once.

use std::collections::BTreeMap;

use paramedic_tests::api::{Answer, Api};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use serde_json::{Value, json};

use crate::callers::{Asker, Caller, Subject, Successor, list, once, text, whole};
use crate::ledger::Totals;

/// Names of the callers. One alone would never have a silence written together with another.
pub const CALLERS: [&str; 2] = ["hush", "mute"];

/// Beyond so many at a time silences end rather than begin.
const ENOUGH: usize = 12;

/// One of those who silence sweeps.
pub struct Silencer {
    name: &'static str,
    /// What holds by all answers, by its id.
    held: BTreeMap<String, Value>,
    /// What was asked for last.
    last: Option<Asked>,
    totals: Totals,
}

/// A request with its key.
struct Asked {
    key: String,
    op: Op,
    answer: Option<Value>,
}

#[derive(Clone)]
enum Op {
    Add(Value),
    Remove(String),
}

impl Caller for Silencer {
    fn name(&self) -> &str {
        self.name
    }

    fn subject(&self) -> Subject {
        Subject::Silences
    }

    fn ask_once(&mut self, asker: &mut Asker) -> anyhow::Result<()> {
        let (key, op) = (asker.key(), self.choose(&mut asker.rng));
        self.last = Some(Asked { key: key.clone(), op: op.clone(), answer: None });
        let answer = whole(send(&asker.api, &op, &key)?)?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.acknowledge(&op, &answer.json()?);
        self.last = Some(Asked { key, op, answer: Some(answer.json()?) });
        Ok(())
    }

    fn judge(&mut self, successor: &Successor) -> anyhow::Result<()> {
        let api = &successor.api;
        match self.last.take() {
            Some(Asked { key, op, answer: Some(told) }) => {
                self.look(api)?;
                let again = send(api, &op, &key)?;
                assert_eq!((again.field("idempotency-replayed"), again.json()?), ("true", told));
            }
            Some(Asked { key, op, answer: None }) => self.ask_again(api, &op, &key)?,
            None => {}
        }
        self.look(api)
    }

    fn judge_all(&mut self, api: &Api) -> anyhow::Result<()> {
        self.look(api)
    }

    fn totals(&self) -> &Totals {
        &self.totals
    }
}

impl Silencer {
    pub fn new(name: &'static str) -> Self {
        Silencer { name, held: BTreeMap::new(), last: None, totals: Totals::default() }
    }

    fn choose(&self, rng: &mut StdRng) -> Op {
        let some = self.held.keys().choose(rng).cloned();
        match some {
            Some(id) if self.held.len() >= ENOUGH || rng.random_bool(0.4) => Op::Remove(id),
            _ => Op::Add(json!({ "sweep": "beat", "expires": "300d", "reason": format!("{:x}", rng.random::<u64>()) })),
        }
    }

    fn acknowledge(&mut self, op: &Op, told: &Value) {
        let id = text(told, "id").to_owned();
        match op {
            Op::Add(_) => {
                self.totals.count("silences acknowledged");
                self.held.insert(id, told.clone());
            }
            Op::Remove(_) => {
                self.totals.count("silences ended");
                self.held.remove(&id);
            }
        }
    }

    /// Sends what was not answered again, with its key: now it is done, once.
    fn ask_again(&mut self, api: &Api, op: &Op, key: &str) -> anyhow::Result<()> {
        let answer = send(api, op, key)?;
        match (op, answer.status) {
            (_, 200) => self.acknowledge(op, &answer.json()?),
            // It ended before the kill, and nobody was told.
            (Op::Remove(id), 404) => drop(self.held.remove(id)),
            _ => panic!("{}: {}", answer.status, answer.body),
        }
        Ok(())
    }

    /// Its silences are those that hold.
    fn look(&self, api: &Api) -> anyhow::Result<()> {
        let shown = api.get("/v1/silences", &[])?.json()?;
        let mine = list(&shown, "silences").iter().filter(|silence| silence["creator"] == self.name);
        let mine: BTreeMap<_, _> = mine.map(|silence| (text(silence, "id").to_owned(), silence.clone())).collect();
        assert_eq!(mine, self.held, "other silences hold than were acknowledged to {}", self.name);
        Ok(())
    }
}

fn send(api: &Api, op: &Op, key: &str) -> anyhow::Result<Answer> {
    let once = once(key);
    match op {
        Op::Add(body) => api.ask("POST", "/v1/silences", &["content-type: application/json", &once], &body.to_string()),
        Op::Remove(id) => api.ask("DELETE", &format!("/v1/silences/{id}"), &[&once], ""),
    }
}
