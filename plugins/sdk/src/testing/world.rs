//! The host during one run: answers, clock, settings, memory, and the record of what the plugin did.

use super::answers::{Answers, Call, Function};
use super::changes::Changed;
use super::rules;
use crate::log::Level;
use crate::state::Entry;
use crate::{Capability, Context, Error, Failure, Instant, Kind, Label, Mode, Outcome, Plugin, Seconds, guest};
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem;

/// 2026-01-01T00:00:00Z: the time in tests unless they set another.
const START: Instant = 1_767_225_600_000;

thread_local! {
    static CURRENT: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// The host's place: answers and circumstances, set before the run.
#[derive(Default)]
pub struct Host {
    answers: Answers,
    now: Instant,
    deadline: Instant,
    call_time: Instant,
    settings: BTreeMap<String, String>,
    memory: BTreeMap<String, (Entry, Option<Instant>)>,
    forgetful: bool,
    calls: Vec<Call>,
    log: Vec<(Level, String)>,
    /// What pages had no room for, by the mark of the next one.
    rests: BTreeMap<String, Box<dyn Any>>,
    capabilities: Vec<Capability>,
    /// None outside of a run.
    mode: Option<Mode>,
}

/// What came of a run.
pub struct Run {
    /// The plugin's answer.
    pub result: Result<Outcome, Failure>,
    /// The calls it made, in order.
    pub calls: Vec<Call>,
    /// What it logged.
    pub log: Vec<(Level, String)>,
    host: Host,
}

impl Host {
    /// A host without any answer.
    pub fn new() -> Self {
        Self { now: START, ..Self::default() }
    }

    /// Answer calls of a function whose arguments begin with these words: a target, or a target and more. Given several
    /// times, the answers are used up in order and the last one stays.
    #[must_use]
    pub fn answers<A: Clone + 'static>(
        mut self,
        function: Function<A>,
        arguments: &str,
        answer: Result<A, Error>,
    ) -> Self {
        self.answers.add(&function, arguments, move |_| answer.clone());
        self
    }

    /// Answer calls of a function by computing the answer from the call.
    #[must_use]
    pub fn answers_by<A: 'static>(
        mut self,
        function: Function<A>,
        arguments: &str,
        answer: impl FnMut(&Call) -> Result<A, Error> + 'static,
    ) -> Self {
        self.answers.add(&function, arguments, answer);
        self
    }

    /// Set the time.
    #[must_use]
    pub fn at(mut self, now: Instant) -> Self {
        self.now = now;
        self
    }

    /// Let time pass before the run.
    #[must_use]
    pub fn later(mut self, seconds: Seconds) -> Self {
        self.now += millis(seconds);
        self
    }

    /// Let every call take time.
    #[must_use]
    pub fn each_call_takes(mut self, seconds: Seconds) -> Self {
        self.call_time = millis(seconds);
        self
    }

    /// Give the plugin a setting.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Give the plugin something to remember.
    #[must_use]
    pub fn remembers(mut self, key: &str, value: &str) -> Self {
        self.memory.insert(key.to_owned(), (Entry { value: value.to_owned(), revision: 1 }, None));
        self
    }

    /// Let every use of the plugin's memory fail.
    #[must_use]
    pub fn forgetful(mut self) -> Self {
        self.forgetful = true;
        self
    }

    /// Run a check with these parameters, validated and judged as the agent would.
    pub fn run<P: Plugin>(self, params: serde_json::Value) -> Run {
        self.run_in::<P>(Mode::Check, params)
    }

    /// Let a mitigation make a plan.
    pub fn plan<P: Plugin>(self, params: serde_json::Value) -> Run {
        self.run_in::<P>(Mode::Plan, params)
    }

    /// Let a mitigation carry out what it asks for.
    pub fn apply<P: Plugin>(self, params: serde_json::Value) -> Run {
        self.run_in::<P>(Mode::Apply, params)
    }

    fn run_in<P: Plugin>(mut self, mode: Mode, params: serde_json::Value) -> Run {
        let description = P::describe();
        let is_check = description.kind == Kind::Check;
        assert_eq!(is_check, mode == Mode::Check, "a check is run, and everything else is planned or applied");
        self.capabilities.clone_from(&description.capabilities);
        self.deadline = self.now + millis(description.time_limit);
        self.mode = Some(mode);
        let context = context(self.now, description.time_limit, mode);
        let (result, mut host) = match rules::faults_of_params::<P>(&params) {
            Some(fault) => (Err(Failure::BadParams(fault)), self),
            None => enter(self, || guest::run::<P>(&context, &params.to_string())),
        };
        if let Ok(outcome) = &result {
            let faults = rules::faults_of_outcome(outcome);
            assert!(faults.is_empty(), "the agent would refuse this outcome:\n{}", faults.join("\n"));
        }
        Run { result, calls: mem::take(&mut host.calls), log: mem::take(&mut host.log), host }
    }
}

impl Run {
    /// The outcome; ends the test if there is none.
    pub fn outcome(&self) -> &Outcome {
        match &self.result {
            Ok(outcome) => outcome,
            Err(failure) => panic!("the run came to no conclusion: {failure}"),
        }
    }

    /// The failure; ends the test if there is none.
    pub fn failure(&self) -> &Failure {
        match &self.result {
            Ok(outcome) => panic!("the run came to a conclusion: {}", outcome.summary()),
            Err(failure) => failure,
        }
    }

    /// The table of that title; ends the test if there is none.
    pub fn table(&self, title: &str) -> &crate::Table {
        let found = self.outcome().tables().iter().find(|table| table.title == title);
        found.unwrap_or_else(|| panic!("there is no table {title:?}"))
    }

    /// The value of the first metric of that name; ends the test if there is none.
    pub fn metric(&self, name: &str) -> f64 {
        let found = self.outcome().metrics().iter().find(|metric| metric.name == name);
        found.unwrap_or_else(|| panic!("there is no metric {name:?}")).value
    }

    /// The changes that it asked for, each on one line, in order.
    pub fn changes(&self) -> Vec<String> {
        self.calls.iter().filter(|call| call.is_change()).map(Call::line).collect()
    }

    /// Assert that every answer of the table was asked for.
    pub fn assert_all_asked(&self) {
        let unasked = self.host.answers.unasked();
        assert!(unasked.is_empty(), "no call came for: {}", unasked.join(", "));
    }

    /// A host for the next run, which remembers what this one stored. Answers, settings and time stay as they are.
    pub fn next(self) -> Host {
        self.host
    }
}

fn context(now: Instant, time_limit: Seconds, mode: Mode) -> Context {
    Context {
        run_id: "test".to_owned(),
        incident_id: None,
        trigger: "manual".to_owned(),
        mode,
        started: now,
        time_limit,
        labels: Vec::new(),
    }
}

/// Make the host the current one of this thread for as long as `body` runs. A panicking test leaves its thread for good,
/// so there is nothing to restore.
fn enter<T>(host: Host, body: impl FnOnce() -> T) -> (T, Host) {
    CURRENT.set(Some(host));
    let result = body();
    (result, CURRENT.take().unwrap_or_default())
}

fn with<T>(use_host: impl FnOnce(&mut Host) -> T) -> T {
    CURRENT.with_borrow_mut(|current| match current {
        Some(host) => use_host(host),
        None => panic!("a function of the host was called outside of a run; tests start one with Host::run"),
    })
}

pub(crate) fn ask<A: 'static>(function: &Function<A>, arguments: Vec<String>) -> Result<A, Error> {
    ask_of(function, arguments, 0)
}

/// The same where only rows of at least so many words answer.
pub(crate) fn ask_of<A: 'static>(function: &Function<A>, arguments: Vec<String>, words: usize) -> Result<A, Error> {
    let call = Call { operation: function.operation, arguments };
    with(|host| {
        host.record(&call);
        host.answers.take(&call, words).unwrap_or_else(|| panic!("unanswered host call: {}", call.line()))
    })
}

/// The same for a page, which is what another one had no room for if that gave the mark `after`.
pub(crate) fn ask_page<A: Clone + 'static>(
    function: &Function<A>,
    arguments: Vec<String>,
    words: usize,
    after: Option<&str>,
) -> Result<A, Error> {
    let rest = after.and_then(|mark| with(|host| host.rests.get(mark)?.downcast_ref::<A>().cloned()));
    let Some(rest) = rest else { return ask_of(function, arguments, words) };
    with(|host| host.record(&Call { operation: function.operation, arguments }));
    Ok(rest)
}

/// Keep what a page has no room for, and give the mark by which it is asked for.
pub(crate) fn keep<A: 'static>(rest: A) -> String {
    with(|host| {
        let mark = format!("rest-{}", host.rests.len() + 1);
        host.rests.insert(mark.clone(), Box::new(rest));
        mark
    })
}

/// Answer a change as the table has it, or as done; in a plan, as planned.
pub(crate) fn ask_change<A: Changed>(function: &Function<A>, arguments: Vec<String>) -> Result<A, Error> {
    let call = Call { operation: function.operation, arguments };
    with(|host| {
        host.record(&call);
        let answer = host.answers.take(&call, 0).unwrap_or_else(|| Ok(A::done(&call)));
        match host.mode {
            Some(Mode::Plan) => answer.map(A::planned),
            Some(Mode::Apply) => answer,
            Some(Mode::Check) | None => panic!("a check asks for a change: {}", call.line()),
        }
    })
}

pub(crate) fn logged(level: Level, message: &str, _fields: &[Label]) {
    with(|host| host.log.push((level, message.to_owned())));
}

pub(crate) fn setting(name: &str) -> Option<String> {
    with(|host| host.settings.get(name).cloned())
}

pub(crate) fn settings() -> Vec<Label> {
    with(|host| host.settings.iter().map(|(name, value)| Label { name: name.clone(), value: value.clone() }).collect())
}

pub(crate) fn now() -> Instant {
    with(|host| host.now)
}

pub(crate) fn sleep(seconds: Seconds) -> Result<(), Error> {
    with(|host| {
        let until = host.now + millis(seconds);
        if until > host.deadline {
            return Err(Error::TimedOut("the run's limit would be passed while sleeping".to_owned()));
        }
        host.now = until;
        Ok(())
    })
}

pub(crate) fn remaining() -> Seconds {
    with(|host| host.deadline.saturating_sub(host.now) as f64 / 1000.0)
}

pub(crate) fn state_get(key: &str) -> Result<Option<Entry>, Error> {
    with(|host| Ok(host.memory()?.get(key).map(|(entry, _)| entry.clone())))
}

pub(crate) fn state_put(key: &str, value: &str, ttl: Option<Seconds>) -> Result<u64, Error> {
    with(|host| {
        let expires = ttl.map(|seconds| host.now + millis(seconds));
        let memory = host.memory()?;
        let revision = memory.get(key).map_or(0, |(entry, _)| entry.revision) + 1;
        memory.insert(key.to_owned(), (Entry { value: value.to_owned(), revision }, expires));
        Ok(revision)
    })
}

pub(crate) fn state_swap(key: &str, value: &str, revision: u64, ttl: Option<Seconds>) -> Result<u64, Error> {
    let found = state_get(key)?.map_or(0, |entry| entry.revision);
    if found != revision {
        return Err(Error::Conflict(format!("{key} has revision {found}")));
    }
    state_put(key, value, ttl)
}

pub(crate) fn state_remove(key: &str) -> Result<bool, Error> {
    with(|host| Ok(host.memory()?.remove(key).is_some()))
}

pub(crate) fn state_keys(prefix: &str) -> Result<Vec<String>, Error> {
    with(|host| Ok(host.memory()?.keys().filter(|key| key.starts_with(prefix)).cloned().collect()))
}

impl Host {
    fn record(&mut self, call: &Call) {
        if !rules::is_asked_for(&self.capabilities, call.operation) {
            panic!("the description does not ask for {}", call.line());
        }
        self.calls.push(call.clone());
        self.now += self.call_time;
    }

    /// The memory without what has expired.
    fn memory(&mut self) -> Result<&mut BTreeMap<String, (Entry, Option<Instant>)>, Error> {
        if self.forgetful {
            return Err(Error::Unavailable("the store does not answer".to_owned()));
        }
        let now = self.now;
        self.memory.retain(|_, (_, expires)| expires.is_none_or(|expires| expires > now));
        Ok(&mut self.memory)
    }
}

fn millis(seconds: Seconds) -> Instant {
    (seconds * 1000.0) as Instant
}
