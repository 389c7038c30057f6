//! What all who ask have in common: they ask without pause until nobody answers, remember what they were told, and hold
//! the next agent to it. Each has a token of its own, so that what it asked for can be told from everything else.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc::Sender;

use paramedic_tests::api::{Answer, Api};
use rand::RngExt;
use rand::rngs::StdRng;
use rustix::process::Pid;
use serde_json::Value;

use crate::ledger::Totals;
use crate::mortal::ConfigFile;

/// Somebody who asks for one kind of thing, through all rounds.
pub trait Caller: Send {
    /// Name of its token.
    fn name(&self) -> &str;

    /// What it asks for.
    fn subject(&self) -> Subject;

    /// Changes the configuration that an agent starts with to what it wants.
    fn configure(&self, _configuration: &mut Value) {}

    /// Asks for one thing and remembers the answer. Fails when there is none, or only a part of one.
    fn ask_once(&mut self, asker: &mut Asker) -> anyhow::Result<()>;

    /// Holds the agent that follows a kill to what was told before it.
    fn judge(&mut self, successor: &Successor) -> anyhow::Result<()>;

    /// Holds the last agent to what was told in all rounds.
    fn judge_all(&mut self, api: &Api) -> anyhow::Result<()>;

    /// What it was told, in numbers.
    fn totals(&self) -> &Totals;
}

/// What a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Runs,
    Uploads,
    Sweeps,
    Silences,
    Reloads,
}

impl Subject {
    /// Least role that may ask for it.
    pub fn role(self) -> &'static str {
        match self {
            Subject::Uploads | Subject::Reloads => "admin",
            Subject::Runs | Subject::Sweeps | Subject::Silences => "responder",
        }
    }
}

/// What a caller tells while it asks.
#[derive(Debug)]
pub enum Told {
    /// It begins to ask, or has its answer.
    Step(Subject),
    /// A run that does not end by itself was acknowledged.
    Endless,
    /// Nobody answers any more, or the answer broke off.
    Lost(anyhow::Error),
}

/// What a caller asks with in one round.
pub struct Asker {
    pub api: Api,
    pub rng: StdRng,
    pub tell: Sender<Told>,
    /// The agent's configuration.
    pub file: ConfigFile,
    /// The agent itself.
    pub pid: Pid,
}

impl Asker {
    /// Lets a caller ask until the agent is gone.
    pub fn ask_until_nobody_answers(mut self, caller: &mut dyn Caller) {
        loop {
            self.tell(Told::Step(caller.subject()));
            if let Err(error) = caller.ask_once(&mut self) {
                return self.tell(Told::Lost(error));
            }
            self.tell(Told::Step(caller.subject()));
        }
    }

    pub fn tell(&self, told: Told) {
        // Nobody listens any more when the test has failed already.
        drop(self.tell.send(told));
    }

    /// An idempotency key that nobody had.
    pub fn key(&mut self) -> String {
        format!("{:032x}", self.rng.random::<u128>())
    }
}

/// The agent after a kill.
pub struct Successor {
    pub api: Api,
    /// When the one before was gone and this one had not begun, as the API writes times.
    pub born: String,
}

/// The header that makes a request one thing.
pub fn once(key: &str) -> String {
    format!("idempotency-key: {key}")
}

/// An answer that arrived to its end. One that the kill cut short was not given.
pub fn whole(answer: Answer) -> anyhow::Result<Answer> {
    let length: usize = answer.field("content-length").parse()?;
    anyhow::ensure!(answer.body.len() == length, "{} of {length} bytes arrived", answer.body.len());
    Ok(answer)
}

/// What is known of a record without keeping all of it.
pub fn fingerprint(record: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.to_string().hash(&mut hasher);
    hasher.finish()
}

/// The text of a member that has to be there.
pub fn text<'a>(record: &'a Value, member: &str) -> &'a str {
    record[member].as_str().unwrap_or_else(|| panic!("no {member} in {record}"))
}

/// The elements of a member that has to be a list.
pub fn list<'a>(record: &'a Value, member: &str) -> &'a [Value] {
    record[member].as_array().unwrap_or_else(|| panic!("no {member} in {record}"))
}
