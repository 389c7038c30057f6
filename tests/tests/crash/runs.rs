//! Those who ask without pause, and tell what they were told.

use std::sync::mpsc::Sender;

use paramedic_tests::api::{Answer, Api};
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// How many ask at the same time.
pub const CALLERS: usize = 10;

/// Runs that do not end by themselves, which all are under way when the kill comes.
pub const ENDLESS_RUNS: usize = 50;

/// A request for a run, so that it can be sent again.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its idempotency key.
    pub key: String,
    /// Its body.
    pub body: Value,
    /// Whether the run does not end by itself.
    pub endless: bool,
}

/// What a caller does, and what it was told.
#[derive(Debug)]
pub enum Told {
    /// A run is about to be asked for.
    Asking(Asked),
    /// The run of a request has this id.
    Named {
        /// Key of the request.
        key: String,
        /// Id of the run.
        id: String,
    },
    /// A run was acknowledged. The whole answer arrived.
    Started {
        /// Its id.
        id: String,
        /// It will not end by itself.
        endless: bool,
    },
    /// A run was shown with its end.
    Ended(Box<Value>),
    /// Nobody answers any more, or the answer broke off.
    Lost(anyhow::Error),
}

/// One of them.
pub struct Caller {
    api: Api,
    rng: StdRng,
    tell: Sender<Told>,
    endless_left: usize,
}

impl Caller {
    pub fn new(api: Api, rng: StdRng, tell: Sender<Told>) -> Self {
        Caller { api, rng, tell, endless_left: ENDLESS_RUNS / CALLERS }
    }

    /// Asks for runs of all kinds until the agent is gone.
    pub fn ask_until_nobody_answers(&mut self) {
        loop {
            if let Err(error) = self.ask_once() {
                return self.tell(Told::Lost(error));
            }
        }
    }

    fn ask_once(&mut self) -> anyhow::Result<()> {
        if self.endless_left > 0 && self.rng.random_bool(0.7) {
            self.endless_left -= 1;
            let body = json!({ "plugin": "trouble", "params": { "do": "sleep-in-host", "seconds": 500.0 } });
            return self.begin(&body, true).map(drop);
        }
        let body = self.short_run();
        if self.rng.random_bool(0.5) { self.follow(&body) } else { self.wait(&body) }
    }

    fn short_run(&mut self) -> Value {
        let seconds = self.rng.random_range(0.0..0.03);
        match self.rng.random_range(0..4) {
            0 => json!({ "plugin": "noop" }),
            1 => json!({ "plugin": "trouble", "params": { "do": "sleep-in-host", "seconds": seconds } }),
            2 => json!({ "plugin": "trouble", "params": { "do": "fail", "message": "as it was told" } }),
            _ => json!({ "plugin": "trouble", "params": { "do": "panic", "message": "as it was told" } }),
        }
    }

    /// Says what is about to be asked for, and gives the header that makes it one thing.
    fn announce(&mut self, body: &Value, endless: bool) -> (String, String) {
        let key = format!("{:032x}", self.rng.random::<u128>());
        self.tell(Told::Asking(Asked { key: key.clone(), body: body.clone(), endless }));
        (format!("idempotency-key: {key}"), key)
    }

    /// Asks for a run and does not wait for it.
    fn begin(&mut self, body: &Value, endless: bool) -> anyhow::Result<String> {
        let (header, key) = self.announce(body, endless);
        let answer = whole(self.api.run(body, &["prefer: respond-async", &header])?)?;
        assert_eq!(answer.status, 202, "{}", answer.body);
        let run = answer.json()?;
        let id = run["id"].as_str().unwrap_or_else(|| panic!("no id in {run}")).to_owned();
        assert_eq!(answer.field("location"), format!("/v1/runs/{id}"));
        self.tell(Told::Named { key, id: id.clone() });
        self.tell(Told::Started { id: id.clone(), endless });
        Ok(id)
    }

    /// Asks for a run, and asks for its end until there is one.
    fn follow(&mut self, body: &Value) -> anyhow::Result<()> {
        let id = self.begin(body, false)?;
        loop {
            let answer = whole(self.api.get(&format!("/v1/runs/{id}"), &[])?)?;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let run = answer.json()?;
            if run["state"] != "running" {
                self.tell(Told::Ended(Box::new(run)));
                return Ok(());
            }
        }
    }

    /// Asks for a run and waits for its end.
    fn wait(&mut self, body: &Value) -> anyhow::Result<()> {
        let (header, key) = self.announce(body, false);
        let answer = whole(self.api.run(body, &[&header])?)?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let run = answer.json()?;
        let id = run["id"].as_str().unwrap_or_else(|| panic!("no id in {run}")).to_owned();
        self.tell(Told::Named { key, id });
        self.tell(Told::Ended(Box::new(run)));
        Ok(())
    }

    fn tell(&self, told: Told) {
        // Nobody listens any more when the test has failed already.
        drop(self.tell.send(told));
    }
}

/// An answer that arrived to its end. One that the kill cut short was not given.
fn whole(answer: Answer) -> anyhow::Result<Answer> {
    let length: usize = answer.field("content-length").parse()?;
    anyhow::ensure!(answer.body.len() == length, "{} of {length} bytes arrived", answer.body.len());
    Ok(answer)
}
