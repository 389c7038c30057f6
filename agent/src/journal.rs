//! The single path of a host call: budget, decision, deadline, record.
//!
//! A host function decodes its arguments and hands them to [`Journal::read`] with the client call as a closure. The
//! closure is given the permit and the limits, so it cannot run before the decision, and what it answered cannot reach
//! the guest before it was counted and recorded.
//!
//! ```text
//! read(target, arguments, call) ─► budget ─► policy::decide ─► call(permit, limits) until the deadline ─► record
//! ```
//!
//! A call that changes something goes through [`Journal::change`] instead: see [`changes`]. A run that is recorded has its calls
//! taken down, and in a replay they are answered by a recording instead of a client: see `taping`.
//!
//! Knows nothing of wasmtime, of single clients, of the store or of the API.

pub mod arguments;
pub mod budget;
pub mod change;
pub mod changes;
mod differences;
mod observer;
mod taping;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use arguments::Arguments;
pub use change::{Change, Halt, Performed, Settled, canonical};
pub use changes::{Changes, Disposition, Intent, IntentError, Ledger, Receipt, moved};
pub use observer::{Observer, Unobserved};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clock::Clock;
use crate::domain::{
    CallError, CallLimits, CallRecord, Decision, Digest, Digesting, Limits, Operation, System, Timestamp,
};
use crate::policy::{Grants, Op, Permit, decide, refuse};
use crate::recording::Reel;
use budget::Budget;

/// Why a run has to end in the middle of a host call. Everything that a guest can cope with is a [`CallError`] instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The deadline passed.
    #[error("the run reached its deadline")]
    Deadline,
    /// The budget of calls or answers was used up, and the guest went on calling after it had been told.
    #[error("the run went on calling the host after its budget was used up")]
    Calls,
    /// The budget of log lines was used up, and the guest went on writing.
    #[error("the run went on logging after its budget was used up")]
    Log,
    /// The guest asked for a change that its plan does not list.
    #[error("the run asked for a change that its plan does not list")]
    NotInPlan,
    /// A function other than `describe` was reached while the plugin describes itself.
    #[error("`describe` called the host")]
    Describing,
    /// A replay came to the call in which the run ended.
    #[error("the recording ends in this call")]
    Unanswered,
}

/// The host calls of one run.
pub struct Journal {
    grants: Arc<Grants>,
    clock: Arc<dyn Clock>,
    deadline: Instant,
    /// How long the run may take in all.
    allowed: Duration,
    answer_bytes: usize,
    budget: Budget,
    local_budget: Budget,
    records: Vec<CallRecord>,
    /// The call that waits for its answer. It is left here when the run ends meanwhile.
    under_way: Option<Opening>,
    changes: Changes,
    touched: changes::Touched,
    observer: Arc<dyn Observer>,
    /// Where calls are taken down or answered from; none for most runs.
    reel: Option<Box<Reel>>,
}

/// A call that has been let through or refused and waits for its record.
struct Opening {
    operation: String,
    target: String,
    arguments: Arguments,
    /// All of them, where the run is recorded.
    whole: Value,
    started: Timestamp,
    instant: Instant,
}

impl Journal {
    /// The journal of a run that ends at `deadline`.
    pub fn new(grants: Arc<Grants>, clock: Arc<dyn Clock>, limits: &Limits, deadline: Instant) -> Self {
        Self {
            grants,
            clock,
            deadline,
            allowed: limits.deadline,
            answer_bytes: limits.answer_bytes,
            budget: Budget::new(limits.calls, limits.total_answer_bytes),
            local_budget: Budget::new(limits.calls, 0),
            records: Vec::new(),
            under_way: None,
            changes: Changes::Refuse,
            touched: changes::Touched::default(),
            observer: Arc::new(Unobserved),
            reel: None,
        }
    }

    /// The same journal, of whose calls `observer` hears.
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }

    /// The same journal, which treats changes like that.
    pub fn treating(self, changes: Changes) -> Self {
        Self { changes, ..self }
    }

    /// Whoever hears of the run's calls.
    pub fn observer(&self) -> &Arc<dyn Observer> {
        &self.observer
    }

    /// When the run has to be over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Calls that were counted against the budget.
    pub fn calls(&self) -> u32 {
        self.budget.calls()
    }

    /// Bytes of all answers so far.
    pub fn answer_bytes(&self) -> u64 {
        self.budget.answer_bytes()
    }

    /// The records, in order. The journal is empty afterwards. A call that was cut off with its run is the last of them.
    pub fn take_records(&mut self) -> Vec<CallRecord> {
        if let Some(mut opening) = self.under_way.take() {
            self.tape_end(&mut opening);
            let mut record = self.record(opening, Decision::Permitted);
            record.error = Some("the run ended before the answer came".to_owned());
            self.keep(record);
        }
        std::mem::take(&mut self.records)
    }

    /// Count a call that reaches no target and costs the agent something all the same, such as one to the plugin's memory.
    /// There are as many of these as there are of the others; they leave no record.
    pub fn count_local(&mut self) -> Result<Result<(), CallError>, Stop> {
        match self.local_budget.take_call() {
            Ok(()) => Ok(Ok(())),
            Err(spent) if spent.told_before => Err(Stop::Calls),
            Err(spent) => Ok(Err(CallError::Exhausted(spent.message))),
        }
    }

    /// Carry out a call that reads. The outer error ends the run; the inner one goes to the guest.
    pub async fn read<O, T, C>(
        &mut self,
        target: &str,
        arguments: Arguments,
        call: C,
    ) -> Result<Result<T, CallError>, Stop>
    where
        O: Op,
        T: Serialize + DeserializeOwned,
        C: AsyncFnOnce(Permit<O>, CallLimits) -> Result<T, CallError>,
    {
        let opening = self.open(O::OPERATION, target, arguments);
        if let Err(spent) = self.budget.take_call() {
            if spent.told_before {
                return Err(Stop::Calls);
            }
            return Ok(Err(self.close(opening, Decision::Exhausted, CallError::Exhausted(spent.message))));
        }
        let permit = match decide::<O>(&self.grants, target) {
            Ok(permit) => permit,
            Err(denial) => {
                let decision = Decision::Denied(denial.reason);
                return Ok(Err(self.close(opening, decision, denial.into())));
            }
        };
        if self.is_replayed() {
            return self.replay(opening);
        }
        let limits = CallLimits { deadline: self.deadline, answer_bytes: self.answer_bytes };
        self.under_way = Some(opening);
        let answered = tokio::time::timeout_at(self.deadline.into(), call(permit, limits)).await;
        let opening = self.under_way.take().expect("it was put there above, and a guest makes one call at a time");
        let Ok(answered) = answered else {
            self.end_in(opening, CallError::TimedOut("the run reached its deadline".to_owned()));
            return Err(Stop::Deadline);
        };
        self.settle(opening, answered)
    }

    /// Refuse a call to something of which nothing is granted, and which therefore is not there. It counts and is recorded like
    /// every other; what it was given does not matter.
    pub fn refuse_absent(&mut self, operation: Operation, target: &str) -> Result<CallError, Stop> {
        let opening = self.open(operation, target, self.arguments());
        if let Err(spent) = self.budget.take_call() {
            if spent.told_before {
                return Err(Stop::Calls);
            }
            return Ok(self.close(opening, Decision::Exhausted, CallError::Exhausted(spent.message)));
        }
        let denial = refuse(&self.grants, operation, target);
        let decision = Decision::Denied(denial.reason);
        Ok(self.close(opening, decision, denial.into()))
    }

    /// A call in a replay: what it was answered then, it is answered now.
    fn replay<T: Serialize + DeserializeOwned>(&mut self, opening: Opening) -> Result<Result<T, CallError>, Stop> {
        match self.replayed() {
            Some(answered) => self.settle(opening, answered),
            None => {
                self.break_off(opening);
                Err(Stop::Unanswered)
            }
        }
    }

    fn open(&mut self, operation: Operation, target: &str, arguments: Arguments) -> Opening {
        let target: String = target.chars().take(64).collect();
        let mut opening = Opening {
            operation: operation.to_string(),
            target: format!("{}/{target}", operation.interface().system().map_or("", System::as_str)),
            arguments,
            whole: Value::Null,
            started: self.clock.now(),
            instant: Instant::now(),
        };
        self.tape_question(&mut opening);
        opening
    }

    /// Count and record what the client answered. An answer that no longer fits into the run's budget is withheld.
    fn settle<T: Serialize>(
        &mut self,
        mut opening: Opening,
        answered: Result<T, CallError>,
    ) -> Result<Result<T, CallError>, Stop> {
        let answer = match answered {
            Ok(answer) => answer,
            Err(error) => {
                let decision = Decision::of(&error);
                return Ok(Err(self.close(opening, decision, error)));
            }
        };
        let (bytes, digest, text) = if self.reel.is_some() { written(&answer) } else { measure(&answer) };
        if let Err(spent) = self.budget.take_answer(bytes) {
            let error = self.close(opening, Decision::Exhausted, CallError::Exhausted(spent.message));
            return if spent.told_before { Err(Stop::Calls) } else { Ok(Err(error)) };
        }
        self.tape_answer(&mut opening, &text);
        let mut record = self.record(opening, Decision::Permitted);
        record.answer_bytes = bytes;
        record.answer_digest = Some(digest);
        self.keep(record);
        Ok(Ok(answer))
    }

    /// Record a call that failed, and give its error back.
    fn close(&mut self, mut opening: Opening, decision: Decision, error: CallError) -> CallError {
        self.tape_error(&mut opening, &error);
        self.close_untaped(opening, decision, error)
    }

    /// Record a call of which the guest hears nothing any more, because the run ends in it.
    fn end_in(&mut self, mut opening: Opening, error: CallError) {
        self.tape_end(&mut opening);
        let decision = Decision::of(&error);
        self.close_untaped(opening, decision, error);
    }

    /// The same for a replay that came to the end of its recording.
    fn break_off(&mut self, opening: Opening) {
        self.end_in(opening, CallError::Unavailable(Stop::Unanswered.to_string()));
    }

    fn close_untaped(&mut self, opening: Opening, decision: Decision, error: CallError) -> CallError {
        let mut record = self.record(opening, decision);
        record.error = Some(arguments::cut(&error.to_string(), 500));
        self.keep(record);
        error
    }

    fn next_sequence(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    fn keep(&mut self, record: CallRecord) {
        self.observer.call(&record);
        self.records.push(record);
    }

    fn record(&self, opening: Opening, decision: Decision) -> CallRecord {
        CallRecord {
            sequence: self.next_sequence(),
            operation: opening.operation,
            target: opening.target,
            arguments: opening.arguments.into_json(),
            decision,
            started: opening.started,
            duration: opening.instant.elapsed(),
            answer_bytes: 0,
            answer_digest: None,
            error: None,
        }
    }
}

/// Size and digest of an answer as JSON, and the JSON.
fn written(answer: &impl Serialize) -> (u64, Digest, String) {
    let text = taping::json(answer);
    (text.len() as u64, Digest::of(text.as_bytes()), text)
}

/// Size and digest of an answer as JSON, computed without keeping the JSON.
fn measure(answer: &impl Serialize) -> (u64, Digest, String) {
    #[derive(Default)]
    struct Meter {
        bytes: u64,
        hash: Digesting,
    }
    impl std::io::Write for Meter {
        fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
            self.bytes += part.len() as u64;
            self.hash.update(part);
            Ok(part.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut meter = Meter::default();
    // The meter takes every write and answers are plain data, so this cannot fail; were it to, the size would say so.
    if serde_json::to_writer(&mut meter, answer).is_err() {
        meter.bytes = u64::MAX;
    }
    (meter.bytes, meter.hash.digest(), String::new())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::{ChangeBounds, DenialReason, Grant, Operation, Target};
    use crate::policy::op::PostgresQuery;

    fn journal(limits: &Limits, granted: bool) -> Journal {
        let target = Target { system: System::Postgres, name: "main".parse().unwrap() };
        let line = Grant {
            target,
            operations: vec![Operation::PostgresQuery],
            keys: vec![],
            paths: vec![],
            resources: vec![],
            changes: ChangeBounds::default(),
        };
        let lines = if granted { vec![line] } else { vec![] };
        let grants = Grants::new("probe".parse().unwrap(), lines);
        let clock = ManualClock::at(Timestamp::from_millis(1_000));
        Journal::new(Arc::new(grants), Arc::new(clock), limits, Instant::now() + Duration::from_secs(3600))
    }

    async fn ask(journal: &mut Journal, answer: &str) -> Result<Result<String, CallError>, Stop> {
        let answer = answer.to_owned();
        journal.read::<PostgresQuery, _, _>("main", Arguments::none(), async move |_, _| Ok(answer)).await
    }

    #[tokio::test]
    async fn a_refused_call_never_reaches_the_client_and_is_recorded() {
        let mut journal = journal(&Limits::DEFAULT, false);
        let mut reached = false;
        let answer = journal
            .read::<PostgresQuery, (), _>("main", Arguments::none(), async |_, _| {
                reached = true;
                Ok(())
            })
            .await;
        assert!(matches!(answer, Ok(Err(CallError::Denied(_)))) && !reached);
        let records = journal.take_records();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].decision, Decision::Denied(DenialReason::NotGranted));
        assert!(records[0].error.as_deref().unwrap().contains("verbs: [query]"));
    }

    #[tokio::test]
    async fn a_call_to_what_is_not_there_is_refused_counted_and_recorded() {
        let mut journal = journal(&Limits { calls: 1, ..Limits::DEFAULT }, false);
        let refused = journal.refuse_absent(Operation::RedisInfo, "cache").unwrap();
        let CallError::Denied(denial) = &refused else { panic!("{refused:?}") };
        assert_eq!((denial.target.as_str(), denial.reason), ("redis/cache", DenialReason::NotGranted));
        assert!(matches!(journal.refuse_absent(Operation::RedisInfo, "cache"), Ok(CallError::Exhausted(_))));
        assert!((0..20).any(|_| journal.refuse_absent(Operation::RedisInfo, "cache") == Err(Stop::Calls)));
        let records = journal.take_records();
        assert_eq!(records[0].decision, Decision::Denied(DenialReason::NotGranted));
        assert_eq!((records[0].operation.as_str(), records[0].target.as_str()), ("redis/info", "redis/cache"));
        let line = "plugins.probe.grants: - { redis: cache, verbs: [info] }";
        assert!(records[0].error.as_deref().unwrap().contains(line));
    }

    #[tokio::test]
    async fn an_answer_is_recorded_by_size_and_digest_alone() {
        let mut journal = journal(&Limits::DEFAULT, true);
        assert_eq!(ask(&mut journal, "hunter2").await, Ok(Ok("hunter2".to_owned())));
        let records = journal.take_records();
        assert_eq!(records[0].answer_bytes, 9);
        assert_eq!(records[0].answer_digest, Some(Digest::of(b"\"hunter2\"")));
        assert!(!format!("{records:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_guest_that_ignores_an_exhausted_budget_is_stopped() {
        let limits = Limits { calls: 3, ..Limits::DEFAULT };
        let mut journal = journal(&limits, true);
        for _ in 0..3 {
            assert!(matches!(ask(&mut journal, "x").await, Ok(Ok(_))));
        }
        assert!(matches!(ask(&mut journal, "x").await, Ok(Err(CallError::Exhausted(_)))));
        let mut told = 1;
        let stop = loop {
            match ask(&mut journal, "x").await {
                Ok(_) => told += 1,
                Err(stop) => break stop,
            }
        };
        assert_eq!(stop, Stop::Calls);
        assert!(told <= 16, "{told}");
        assert!(journal.take_records().len() <= 3 + 16);
    }

    #[tokio::test]
    async fn calls_to_the_memory_have_a_budget_of_their_own() {
        let limits = Limits { calls: 3, ..Limits::DEFAULT };
        let mut journal = journal(&limits, true);
        for _ in 0..3 {
            assert_eq!(journal.count_local(), Ok(Ok(())));
        }
        assert!(matches!(journal.count_local(), Ok(Err(CallError::Exhausted(_)))));
        assert!((0..20).any(|_| journal.count_local() == Err(Stop::Calls)));
        assert!(matches!(ask(&mut journal, "x").await, Ok(Ok(_))));
        assert_eq!((journal.calls(), journal.take_records().len()), (1, 1));
    }

    #[tokio::test]
    async fn an_answer_past_the_total_is_withheld() {
        let limits = Limits { total_answer_bytes: 20, ..Limits::DEFAULT };
        let mut journal = journal(&limits, true);
        assert!(matches!(ask(&mut journal, "0123456789").await, Ok(Ok(_))));
        assert!(matches!(ask(&mut journal, "0123456789").await, Ok(Err(CallError::Exhausted(_)))));
        assert_eq!(journal.answer_bytes(), 12);
        let mut told = 1;
        while let Ok(answer) = ask(&mut journal, "0123456789").await {
            assert!(matches!(answer, Err(CallError::Exhausted(_))));
            told += 1;
        }
        assert!(told <= 16, "{told}");
        assert_eq!(journal.take_records().len(), 1 + told + 1);
    }

    #[tokio::test]
    async fn a_call_that_is_cut_off_with_its_run_is_recorded() {
        let mut journal = journal(&Limits::DEFAULT, true);
        assert!(matches!(ask(&mut journal, "x").await, Ok(Ok(_))));
        let call =
            journal.read::<PostgresQuery, (), _>("main", Arguments::none(), async |_, _| std::future::pending().await);
        // As a run is dropped that somebody cancels.
        assert!(futures_util::FutureExt::now_or_never(call).is_none());
        let records = journal.take_records();
        assert_eq!((records.len(), records[1].sequence, records[1].decision), (2, 2, Decision::Permitted));
        assert_eq!(records[1].error.as_deref(), Some("the run ended before the answer came"));
        assert_eq!((journal.calls(), journal.take_records().len()), (2, 0));
    }

    #[tokio::test]
    async fn an_observer_hears_of_each_call_as_it_is_recorded() {
        #[derive(Default)]
        struct Ear(std::sync::Mutex<Vec<CallRecord>>);
        impl Observer for Ear {
            fn line(&self, _: &crate::domain::LogLine) {}
            fn call(&self, call: &CallRecord) {
                self.0.lock().unwrap().push(call.clone());
            }
        }
        let ear = Arc::new(Ear::default());
        let mut journal = journal(&Limits { calls: 2, ..Limits::DEFAULT }, true).observed_by(ear.clone());
        for heard in 1..=3 {
            let _ = ask(&mut journal, "x").await;
            assert_eq!(ear.0.lock().unwrap().len(), heard);
        }
        assert_eq!(*ear.0.lock().unwrap(), journal.take_records());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_in_flight_ends_with_the_run() {
        let mut journal = journal(&Limits::DEFAULT, true);
        let answer = journal
            .read::<PostgresQuery, (), _>("main", Arguments::none(), async |_, _| std::future::pending().await)
            .await;
        assert_eq!(answer, Err(Stop::Deadline));
        assert!(journal.take_records()[0].error.as_deref().unwrap().contains("deadline"));
    }
}
