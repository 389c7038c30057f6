//! Runs: some end, some fail, some are cancelled, and some are under way whenever the kill comes. Every run of which an
//! agent told is there afterwards, every end that somebody read stays as it was read, and what had no end is shown as
//! interrupted. Whoever sends a request again, with the idempotency key that it had, gets the run that it had, and has one
//! where the kill came before there was any.

use std::collections::{BTreeMap, BTreeSet};

use paramedic_tests::api::Api;
use rand::RngExt;
use serde_json::{Value, json};

use crate::callers::{Asker, Caller, Subject, Successor, Told, fingerprint, list, once, text, whole};
use crate::ledger::Totals;

/// How many ask at the same time.
pub const CALLERS: usize = 10;

/// Runs that do not end by themselves, which all are under way when the kill comes.
pub const ENDLESS_RUNS: usize = 50;

/// One of those who ask for runs.
pub struct Runner {
    name: String,
    round: Round,
    /// All its runs of former rounds, by their ids, as lists show them.
    before: BTreeMap<String, u64>,
    /// Those of the first round as they were told.
    first: Vec<Value>,
    totals: Totals,
}

/// What was asked for in one round, and what is known of it.
#[derive(Default)]
struct Round {
    endless: usize,
    /// Everything that was asked for, whether or not an answer came.
    asked: Vec<Asked>,
    /// The runs of the requests that were answered, by their keys.
    named: BTreeMap<String, String>,
    /// The acknowledged runs by their ids.
    runs: BTreeMap<String, Known>,
    /// Runs that were cancelled, with the key of that request.
    cancelled: Vec<(String, Value)>,
}

/// A request for a run, so that it can be sent again.
#[derive(Clone, Debug)]
struct Asked {
    key: String,
    body: Value,
    /// Whether the run does not end by itself.
    endless: bool,
}

/// What was told of one run.
enum Known {
    /// It is under way, and will not end by itself.
    Endless,
    /// It is under way.
    Started,
    /// It ended, and looked like this.
    Ended(Value),
}

impl Known {
    /// Panics if the run that an agent shows now is not what was told of it.
    fn judge(&self, run: &Value) {
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

impl Caller for Runner {
    fn name(&self) -> &str {
        &self.name
    }

    fn subject(&self) -> Subject {
        Subject::Runs
    }

    fn ask_once(&mut self, asker: &mut Asker) -> anyhow::Result<()> {
        if self.round.endless < ENDLESS_RUNS / CALLERS && asker.rng.random_bool(0.7) {
            self.round.endless += 1;
            self.begin(asker, &endless(), true)?;
            asker.tell(Told::Endless);
            return Ok(());
        }
        let body = short_run(asker);
        match asker.rng.random_range(0..10) {
            0 => self.cancel(asker),
            1..=5 => self.follow(asker, &body),
            _ => self.wait(asker, &body),
        }
    }

    fn judge(&mut self, successor: &Successor) -> anyhow::Result<()> {
        let (api, round) = (&successor.api, std::mem::take(&mut self.round));
        let left = self.new_runs(api)?;
        let (told, asked) = (round.runs.len(), round.asked.len());
        assert!((told..=asked).contains(&left.len()), "{} runs for {asked} requests, {told} answered", left.len());
        for (id, known) in &round.runs {
            assert!(left.contains_key(id), "{id} is not listed");
            let answer = api.get(&format!("/v1/runs/{id}"), &[])?;
            assert_eq!(answer.status, 200, "{id} was acknowledged and is gone: {}", answer.body);
            let run = answer.json()?;
            known.judge(&run);
            if self.before.is_empty() {
                self.first.push(run);
            }
        }
        round.cancel_again(api)?;
        let begun_now = round.ask_again(api, &left)?;
        let now = self.new_runs(api)?;
        assert_eq!(now.len(), left.len() + begun_now, "asking again made runs that nobody asked for");
        self.before.extend(now.iter().map(|(id, run)| (id.clone(), fingerprint(run))));
        Ok(())
    }

    fn judge_all(&mut self, api: &Api) -> anyhow::Result<()> {
        let mut there = 0;
        for_each_run(api, &self.name, |page| {
            there += page.len();
            page.iter().for_each(|run| self.recognise(run));
            true
        })?;
        assert_eq!(there, self.before.len(), "{} has other runs than it asked for", self.name);
        for told in &self.first {
            let run = api.get(&format!("/v1/runs/{}", text(told, "id")), &[])?.json()?;
            assert_eq!(run, *told, "a run of the first round is not what it was");
        }
        Ok(())
    }

    fn totals(&self) -> &Totals {
        &self.totals
    }
}

impl Runner {
    /// The one of that number.
    pub fn new(number: usize) -> Self {
        Runner {
            name: format!("runner-{number}"),
            round: Round::default(),
            before: BTreeMap::new(),
            first: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// Asks for a run and does not wait for it.
    fn begin(&mut self, asker: &mut Asker, body: &Value, endless: bool) -> anyhow::Result<String> {
        let key = asker.key();
        self.round.asked.push(Asked { key: key.clone(), body: body.clone(), endless });
        let answer = whole(asker.api.run(body, &["prefer: respond-async", &once(&key)])?)?;
        assert_eq!(answer.status, 202, "{}", answer.body);
        let run = answer.json()?;
        let id = text(&run, "id").to_owned();
        assert_eq!(answer.field("location"), format!("/v1/runs/{id}"));
        self.totals.count("runs acknowledged");
        self.round.named.insert(key, id.clone());
        let known = if endless { Known::Endless } else { Known::Started };
        assert!(self.round.runs.insert(id.clone(), known).is_none(), "{id} was given twice");
        Ok(id)
    }

    /// Asks for a run, and asks for its end until there is one.
    fn follow(&mut self, asker: &mut Asker, body: &Value) -> anyhow::Result<()> {
        let id = self.begin(asker, body, false)?;
        loop {
            let answer = whole(asker.api.get(&format!("/v1/runs/{id}"), &[])?)?;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let run = answer.json()?;
            if run["state"] != "running" {
                self.end(run);
                return Ok(());
            }
        }
    }

    /// Asks for a run and waits for its end.
    fn wait(&mut self, asker: &mut Asker, body: &Value) -> anyhow::Result<()> {
        let key = asker.key();
        self.round.asked.push(Asked { key: key.clone(), body: body.clone(), endless: false });
        let answer = whole(asker.api.run(body, &[&once(&key)])?)?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let run = answer.json()?;
        self.totals.count("runs acknowledged");
        self.round.named.insert(key, text(&run, "id").to_owned());
        self.end(run);
        Ok(())
    }

    /// Asks for a run that does not end by itself, and for its end.
    fn cancel(&mut self, asker: &mut Asker) -> anyhow::Result<()> {
        let id = self.begin(asker, &endless(), true)?;
        // The kill may come between the end and the answer.
        self.round.runs.insert(id.clone(), Known::Started);
        let key = asker.key();
        let answer = whole(asker.api.ask("DELETE", &format!("/v1/runs/{id}"), &[&once(&key)], "")?)?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let run = answer.json()?;
        assert_eq!(run["failure"]["kind"], "cancelled", "{run}");
        self.totals.count("runs cancelled");
        self.round.cancelled.push((key, run.clone()));
        self.end(run);
        Ok(())
    }

    fn end(&mut self, run: Value) {
        self.totals.count("ends of runs read");
        let id = text(&run, "id").to_owned();
        if let Some(Known::Endless | Known::Ended(_)) = self.round.runs.insert(id.clone(), Known::Ended(run)) {
            panic!("{id} ended twice, or not by itself");
        }
    }

    /// Its runs that it had not before, by their ids. Among those that it had, the newest are as they were.
    fn new_runs(&self, api: &Api) -> anyhow::Result<BTreeMap<String, Value>> {
        let mut new = BTreeMap::new();
        for_each_run(api, &self.name, |page| {
            let (known, other): (Vec<_>, Vec<_>) =
                page.iter().partition(|run| self.before.contains_key(text(run, "id")));
            known.iter().for_each(|run| self.recognise(run));
            for run in &other {
                let id = text(run, "id").to_owned();
                assert!(new.insert(id, (*run).clone()).is_none(), "it is listed twice: {run}");
            }
            !other.is_empty()
        })?;
        Ok(new)
    }

    fn recognise(&self, run: &Value) {
        let told = self.before.get(text(run, "id"));
        assert_eq!(told, Some(&fingerprint(run)), "an older run is not what it was: {run}");
    }
}

impl Round {
    /// Cancels again what was cancelled, with the same key, and is told the same.
    fn cancel_again(&self, api: &Api) -> anyhow::Result<()> {
        for (key, run) in &self.cancelled {
            let answer = api.ask("DELETE", &format!("/v1/runs/{}", text(run, "id")), &[&once(key)], "")?;
            assert_eq!((answer.status, &answer.json()?), (200, run), "it was cancelled otherwise");
        }
        Ok(())
    }

    /// Sends every request again, with its key, whether or not it was answered: afterwards there is one run for each.
    /// `left` are the runs that the kill left. Tells how many runs began now.
    fn ask_again(&self, api: &Api, left: &BTreeMap<String, Value>) -> anyhow::Result<usize> {
        let mut answered = BTreeSet::new();
        let mut begun_now = 0;
        // One that nobody has heard of would now begin and not end.
        for asked in self.asked.iter().filter(|asked| !asked.endless || self.named.contains_key(&asked.key)) {
            let answer = api.run(&asked.body, &[&once(&asked.key)])?;
            assert_eq!(answer.status, 200, "{asked:?}: {}", answer.body);
            let id = text(&answer.json()?, "id").to_owned();
            let replayed = answer.field("idempotency-replayed") == "true";
            assert_eq!(replayed, left.contains_key(&id), "{asked:?}: {}", answer.body);
            assert!(replayed || !self.named.contains_key(&asked.key), "an answered request ran again: {asked:?}");
            assert!(self.named.get(&asked.key).is_none_or(|named| *named == id), "{asked:?} became {id}");
            assert!(answered.insert(id), "two requests have one run: {asked:?}");
            begun_now += usize::from(!replayed);
        }
        Ok(begun_now)
    }
}

fn endless() -> Value {
    json!({ "plugin": "trouble", "params": { "do": "sleep-in-host", "seconds": 500.0 } })
}

fn short_run(asker: &mut Asker) -> Value {
    let seconds = asker.rng.random_range(0.0..0.03);
    match asker.rng.random_range(0..4) {
        0 => json!({ "plugin": "noop" }),
        1 => json!({ "plugin": "trouble", "params": { "do": "sleep-in-host", "seconds": seconds } }),
        2 => json!({ "plugin": "trouble", "params": { "do": "fail", "message": "as it was told" } }),
        _ => json!({ "plugin": "trouble", "params": { "do": "panic", "message": "as it was told" } }),
    }
}

/// Shows `look` the runs of an actor, page by page and the newest first, until it says that it has seen enough.
fn for_each_run(api: &Api, actor: &str, mut look: impl FnMut(&[Value]) -> bool) -> anyhow::Result<()> {
    let first = format!("/v1/runs?actor={actor}&limit=200");
    let mut path = first.clone();
    loop {
        let page = api.get(&path, &[])?.json()?;
        match (look(list(&page, "runs")), page["next"].as_str()) {
            (true, Some(next)) => path = format!("{first}&cursor={next}"),
            (false, _) | (true, None) => return Ok(()),
        }
    }
}
