use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::clock::ManualClock;
use crate::domain::{CallRecord, ChangeBounds, Digest, Done, Grant, Inverse, Limits, RunId, System, Target, Timestamp};
use crate::journal::{Performed, Settled, canonical};
use crate::policy::{Grants, op};

const NOW: Timestamp = Timestamp::from_millis(1_772_334_855_926);

/// Valves that can be opened, as many as there are names.
#[derive(Default)]
struct Plant {
    open: Mutex<Vec<String>>,
    performed: AtomicU32,
    /// What the next `perform` answers instead of doing anything.
    fault: Mutex<Option<Performed>>,
}

struct Open {
    plant: Arc<Plant>,
    valve: String,
}

#[async_trait]
impl Change for Open {
    fn call(&self) -> ChangeCall {
        ChangeCall {
            operation: Operation::QueuePause,
            target: "email".parse().unwrap(),
            arguments: canonical(&serde_json::json!({ "valve": self.valve })),
        }
    }

    async fn preview(&self, _: &CallLimits) -> Result<Preview, CallError> {
        match self.valve.as_str() {
            "stuck" => std::future::pending().await,
            "hidden" => panic!("it cannot be seen"),
            _ => {}
        }
        let is_open = self.plant.open.lock().unwrap().contains(&self.valve);
        Ok(Preview {
            summary: format!("open {}", self.valve),
            objects: u64::from(!is_open),
            differences: Vec::new(),
            ground: vec![Fact { name: "pressure".to_owned(), value: self.plant.pressure() }],
            scope: "{}".to_owned(),
            undo: Undo::Possible("close it".to_owned()),
            doubt: None,
            notes: Vec::new(),
        })
    }

    async fn perform(&self, _: &Preview, _: &CallLimits, halt: &Halt) -> Performed {
        self.plant.performed.fetch_add(1, Ordering::SeqCst);
        if let Some(fault) = self.plant.fault.lock().unwrap().take() {
            return fault;
        }
        assert!(self.valve != "brittle", "it broke");
        let slow = self.valve == "slow";
        while slow && !halt.is_asked() {
            tokio::task::yield_now().await;
        }
        self.plant.open.lock().unwrap().push(self.valve.clone());
        let incomplete = slow.then(|| "it was asked to halt".to_owned());
        let inverse = Inverse { call: self.call(), ground: Vec::new() };
        Performed::Done(Done { objects: 1, differences: Vec::new(), answer: None, incomplete, inverse: Some(inverse) })
    }

    async fn settle(&self, _: &Preview, _: &CallLimits) -> Settled {
        Settled::NotDone
    }
}

impl Plant {
    fn pressure(&self) -> String {
        let full = self.open.lock().unwrap().iter().any(|valve| valve == "main");
        if full { "high" } else { "low" }.to_owned()
    }
}

/// What was recorded, in order.
#[derive(Default)]
struct Paper {
    lines: Mutex<Vec<String>>,
    /// The places of what was noted.
    noted: Mutex<Vec<u32>>,
    refuse: Mutex<Option<IntentError>>,
    /// How many intents came.
    asked: AtomicU32,
    /// Held for as long as the disk takes for an intent.
    intents: tokio::sync::Mutex<()>,
    /// The same for a result.
    results: tokio::sync::Mutex<()>,
}

#[async_trait]
impl Ledger for Paper {
    async fn intend(&self, intent: Intent) -> Result<(), IntentError> {
        if let Some(refusal) = self.refuse.lock().unwrap().take() {
            return Err(refusal);
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _written = self.intents.lock().await;
        self.write(format!("{} intend {} within {}", intent.position, intent.planned.preview.summary, intent.per_hour));
        Ok(())
    }

    async fn settle(&self, position: u32, fate: &Fate) {
        let _written = self.results.lock().await;
        self.write(format!("{position} {}", fate.as_str()));
    }

    fn note(&self, position: u32, _: &Fate) {
        self.noted.lock().unwrap().push(position);
    }

    async fn pass_over(&self, intent: Intent, fate: &Fate) {
        self.write(format!("{} passed over, {}", intent.position, fate.as_str()));
    }
}

impl Paper {
    fn write(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

fn journal(changes: Changes, deadline: Duration) -> Journal {
    let target = Target { system: System::Queue, name: "email".parse().unwrap() };
    let bounds = ChangeBounds { per_run: 2, per_hour: 20, ..ChangeBounds::default() };
    let line = Grant {
        target,
        operations: vec![Operation::QueuePause],
        keys: vec![],
        paths: vec![],
        resources: vec![],
        changes: bounds,
    };
    let grants = Grants::new("probe".parse().unwrap(), vec![line]);
    let clock = ManualClock::at(NOW);
    Journal::new(Arc::new(grants), Arc::new(clock), &Limits::DEFAULT, Instant::now() + deadline).treating(changes)
}

fn planning() -> Journal {
    journal(Changes::plan(Handle::current()), Duration::from_secs(60))
}

fn following(plan: Vec<PlannedChange>, paper: &Arc<Paper>, deadline: Duration) -> Journal {
    let plan = Plan {
        run: RunId::new(NOW),
        plugin: "probe".parse().unwrap(),
        component: Digest::of(b""),
        grants: Digest::of(b""),
        params: "{}".to_owned(),
        undoes: None,
        made: NOW,
        expires: NOW,
        changes: plan,
    };
    journal(Changes::follow(Arc::new(plan), paper.clone(), Handle::current()), deadline)
}

async fn open(journal: &mut Journal, plant: &Arc<Plant>, valve: &str) -> Result<Result<Receipt, CallError>, Stop> {
    let change = Open { plant: plant.clone(), valve: valve.to_owned() };
    let make = |_| Ok(Arc::new(change) as Arc<dyn Change>);
    journal.change::<op::QueuePause, _>("email", Arguments::none().text("valve", valve), make).await
}

/// The plan of a run that opens `valves`.
async fn planned(plant: &Arc<Plant>, valves: &[&str]) -> Vec<PlannedChange> {
    let mut journal = planning();
    for valve in valves {
        open(&mut journal, plant, valve).await.unwrap().unwrap();
    }
    journal.take_planned()
}

fn errors(journal: &mut Journal) -> Vec<String> {
    journal.take_records().into_iter().filter_map(|record: CallRecord| record.error).collect()
}

#[tokio::test]
async fn a_plan_lists_what_would_be_done_and_does_nothing() {
    let plant = Arc::new(Plant::default());
    let mut journal = planning();
    let receipt = open(&mut journal, &plant, "a").await.unwrap().unwrap();
    assert_eq!((receipt.disposition, receipt.sequence, receipt.reversible), (Disposition::Planned, 1, true));
    // As if nothing had been done, and nothing was.
    let again = open(&mut journal, &plant, "a").await.unwrap().unwrap();
    assert_eq!((again.disposition, again.sequence), (Disposition::Planned, 2));
    let plan = journal.take_planned();
    assert_eq!(plan.iter().map(|change| change.position).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(plant.performed.load(Ordering::SeqCst), 0);
    assert_eq!(journal.take_records().len(), 2);
}

#[tokio::test]
async fn what_is_so_already_is_not_planned() {
    let plant = Arc::new(Plant::default());
    plant.open.lock().unwrap().push("a".to_owned());
    let mut journal = planning();
    assert_eq!(open(&mut journal, &plant, "a").await.unwrap().unwrap().disposition, Disposition::Unchanged);
    assert!(journal.take_planned().is_empty());
}

#[tokio::test]
async fn a_run_without_a_plan_changes_nothing() {
    let plant = Arc::new(Plant::default());
    let mut journal = journal(Changes::Refuse, Duration::from_secs(60));
    let refused = open(&mut journal, &plant, "a").await.unwrap().unwrap_err();
    assert!(matches!(refused, CallError::Denied(denial) if denial.reason == DenialReason::NotInPlan));
    assert_eq!(plant.performed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_apply_does_what_the_plan_lists_and_records_before_and_after() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    let plan = planned(&plant, &["a", "b"]).await;
    let mut journal = following(plan, &paper, Duration::from_secs(60));
    for valve in ["a", "b"] {
        let receipt = open(&mut journal, &plant, valve).await.unwrap().unwrap();
        assert_eq!(receipt.disposition, Disposition::Applied);
    }
    assert_eq!(paper.lines(), ["1 intend open a within 20", "1 applied", "2 intend open b within 20", "2 applied"]);
    assert_eq!(*plant.open.lock().unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn what_the_plan_does_not_list_ends_the_run_whatever_was_listed() {
    for (listed, asked) in [
        (&["a"] as &[&str], &["b"] as &[&str]),
        // In another order.
        (&["a", "b"], &["b", "a"]),
        (&[], &["a"]),
    ] {
        let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
        let plan = planned(&plant, listed).await;
        let mut journal = following(plan, &paper, Duration::from_secs(60));
        let (last, before) = asked.split_last().unwrap();
        for valve in before {
            open(&mut journal, &plant, valve).await.unwrap().unwrap();
        }
        assert_eq!(open(&mut journal, &plant, last).await, Err(Stop::NotInPlan), "{listed:?}: {asked:?}");
        assert_eq!(plant.performed.load(Ordering::SeqCst) as usize, before.len());
        let record = journal.take_records().pop().unwrap();
        assert_eq!(record.decision, Decision::Denied(DenialReason::NotInPlan));
        assert!(record.error.unwrap().contains(&format!("{{\"valve\":\"{last}\"}}")));
    }
}

#[tokio::test]
async fn what_the_plan_left_out_for_a_reason_is_answered_as_it_was_then() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    plant.open.lock().unwrap().push("was-open".to_owned());
    // It was not needed, and the third was more than a run may.
    let mut planning = planning();
    open(&mut planning, &plant, "was-open").await.unwrap().unwrap();
    for valve in ["a", "b"] {
        open(&mut planning, &plant, valve).await.unwrap().unwrap();
    }
    open(&mut planning, &plant, "c").await.unwrap().unwrap_err();
    let plan = planning.take_planned();
    assert_eq!(plan.len(), 2);
    let mut journal = following(plan, &paper, Duration::from_secs(60));
    assert_eq!(open(&mut journal, &plant, "was-open").await.unwrap().unwrap().disposition, Disposition::Unchanged);
    for valve in ["a", "b"] {
        assert_eq!(open(&mut journal, &plant, valve).await.unwrap().unwrap().disposition, Disposition::Applied);
    }
    let refused = open(&mut journal, &plant, "c").await.unwrap().unwrap_err();
    assert!(matches!(refused, CallError::Denied(denial) if denial.reason == DenialReason::OutOfBounds));
    assert_eq!(plant.performed.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_listed_change_that_is_not_asked_for_is_left_out() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    let plan = planned(&plant, &["a", "b"]).await;
    let mut journal = following(plan, &paper, Duration::from_secs(60));
    open(&mut journal, &plant, "b").await.unwrap().unwrap();
    assert_eq!(*plant.open.lock().unwrap(), ["b"]);
}

#[tokio::test]
async fn what_is_no_longer_needed_is_skipped_and_said_so() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    let plan = planned(&plant, &["a"]).await;
    plant.open.lock().unwrap().push("a".to_owned());
    let mut journal = following(plan, &paper, Duration::from_secs(60));
    assert_eq!(open(&mut journal, &plant, "a").await.unwrap().unwrap().disposition, Disposition::Unchanged);
    journal.conclude().await;
    assert_eq!(paper.lines(), ["1 passed over, unchanged"]);
    assert_eq!(plant.performed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn moved_ground_is_a_conflict_and_the_plugin_may_go_on() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    let plan = planned(&plant, &["a", "b"]).await;
    plant.open.lock().unwrap().push("main".to_owned());
    let mut journal = following(plan, &paper, Duration::from_secs(60));
    let refused = open(&mut journal, &plant, "a").await.unwrap().unwrap_err();
    assert_eq!(refused, CallError::Conflict("pressure was low, is high".to_owned()));
    plant.open.lock().unwrap().clear();
    assert_eq!(open(&mut journal, &plant, "b").await.unwrap().unwrap().disposition, Disposition::Applied);
    journal.conclude().await;
    assert_eq!(paper.lines(), ["1 passed over, conflict", "2 intend open b within 20", "2 applied"]);
}

#[tokio::test]
async fn an_intent_that_cannot_be_recorded_leaves_everything_as_it_was() {
    let frozen = IntentError::Frozen("alice has frozen all changes".to_owned());
    for refusal in [IntentError::Unrecorded, IntentError::Exhausted("the hour is full".to_owned()), frozen] {
        let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
        let plan = planned(&plant, &["a"]).await;
        *paper.refuse.lock().unwrap() = Some(refusal.clone());
        let mut journal = following(plan, &paper, Duration::from_secs(60));
        let error = open(&mut journal, &plant, "a").await.unwrap().unwrap_err();
        assert!(error.to_string().contains(&refusal.to_string()), "{error}");
        assert_eq!(plant.performed.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn the_bound_of_a_run_holds_in_the_plan() {
    let plant = Arc::new(Plant::default());
    let mut journal = planning();
    for valve in ["a", "b"] {
        open(&mut journal, &plant, valve).await.unwrap().unwrap();
    }
    let refused = open(&mut journal, &plant, "c").await.unwrap().unwrap_err();
    assert!(
        refused.to_string().contains("it would touch 3 with this run, and the grant says `per_run: 2`"),
        "{refused}"
    );
    assert_eq!(journal.take_planned().len(), 2);
}

#[tokio::test]
async fn each_way_to_fail_is_told_and_recorded_as_what_it_is() {
    let remote = CallError::Unavailable("connection refused".to_owned());
    for (fault, expected, recorded) in [
        (Performed::Nothing(remote.clone()), "unavailable: ", "1 failed"),
        (Performed::Nothing(CallError::Conflict("pressure was low, is high".to_owned())), "conflict: ", "1 conflict"),
        (Performed::Unknown(remote), "unavailable: ", "1 unknown"),
    ] {
        let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
        let plan = planned(&plant, &["a"]).await;
        *plant.fault.lock().unwrap() = Some(fault);
        let mut journal = following(plan, &paper, Duration::from_secs(60));
        let error = open(&mut journal, &plant, "a").await.unwrap().unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        journal.conclude().await;
        assert_eq!(paper.lines()[1], recorded);
    }
}

#[tokio::test]
async fn a_change_under_way_when_its_run_is_dropped_is_halted_and_recorded() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    let plan = planned(&plant, &["slow"]).await;
    let mut journal = following(plan, &paper, Duration::from_secs(60));
    {
        let call = open(&mut journal, &plant, "slow");
        tokio::pin!(call);
        while plant.performed.load(Ordering::SeqCst) == 0 {
            assert!(futures_util::poll!(call.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        // As a run is dropped that somebody cancels.
    }
    journal.conclude().await;
    assert_eq!(paper.lines(), ["1 intend open slow within 20", "1 applied"]);
    assert_eq!(errors(&mut journal), ["the run ended before the answer came"]);
}

/// Goes on with `call` as long as nothing comes of it, until `until`.
async fn poll_until<T>(call: impl Future<Output = T>, until: impl Fn() -> bool) {
    tokio::pin!(call);
    while !until() {
        assert!(futures_util::poll!(call.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    // As a run is dropped that somebody cancels, or whose deadline passes.
}

/// Lets everything else go on that can.
async fn let_others_go_on() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_run_that_ends_while_its_intent_is_recorded_does_nothing_and_says_so() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    let plan = planned(&plant, &["a"]).await;
    let mut journal = following(plan, &paper, Duration::from_secs(60));
    let written = paper.intents.lock().await;
    poll_until(open(&mut journal, &plant, "a"), || paper.asked.load(Ordering::SeqCst) > 0).await;
    {
        let conclude = journal.conclude();
        tokio::pin!(conclude);
        let_others_go_on().await;
        assert!(futures_util::poll!(conclude.as_mut()).is_pending(), "it waits for what is under way");
        drop(written);
        conclude.await;
    }
    assert_eq!(paper.lines(), ["1 intend open a within 20", "1 failed"]);
    assert_eq!((plant.performed.load(Ordering::SeqCst), paper.noted.lock().unwrap().len()), (0, 1));
    assert_eq!(errors(&mut journal), ["the run ended before the answer came"]);
}

#[tokio::test]
async fn what_was_begun_is_settled_also_when_nothing_is_left_of_its_run() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    let plan = planned(&plant, &["a"]).await;
    let mut journal = following(plan, &paper, Duration::from_secs(60));
    let written = paper.results.lock().await;
    open(&mut journal, &plant, "a").await.unwrap().unwrap();
    drop(journal);
    drop(written);
    let_others_go_on().await;
    assert_eq!(paper.lines(), ["1 intend open a within 20", "1 applied"]);
}

#[tokio::test]
async fn what_is_intended_is_not_sent_when_nothing_is_left_of_its_run() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    let plan = planned(&plant, &["a"]).await;
    let mut journal = following(plan, &paper, Duration::from_secs(60));
    let written = paper.intents.lock().await;
    poll_until(open(&mut journal, &plant, "a"), || paper.asked.load(Ordering::SeqCst) > 0).await;
    drop(journal);
    drop(written);
    let_others_go_on().await;
    assert_eq!(paper.lines(), ["1 intend open a within 20", "1 failed"]);
    assert_eq!(plant.performed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn nothing_begins_once_the_run_is_over() {
    for concludes in [true, false] {
        let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
        let mut plan = planned(&plant, &["a"]).await;
        plan[0].call.arguments = canonical(&serde_json::json!({ "valve": "stuck" }));
        let mut journal = following(plan, &paper, Duration::from_secs(60));
        assert!(futures_util::FutureExt::now_or_never(open(&mut journal, &plant, "stuck")).is_none());
        let_others_go_on().await;
        if concludes {
            journal.conclude().await;
            assert_eq!(errors(&mut journal), ["the run ended before the answer came"]);
        }
        drop(journal);
        let_others_go_on().await;
        assert_eq!(Arc::strong_count(&plant), 1, "the look at the target was given up");
        assert_eq!((paper.lines().len(), plant.performed.load(Ordering::SeqCst)), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_of_an_apply_ends_at_the_deadline() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    let mut plan = planned(&plant, &["a"]).await;
    plan[0].call.arguments = canonical(&serde_json::json!({ "valve": "stuck" }));
    let mut journal = following(plan, &paper, Duration::from_secs(1));
    assert_eq!(open(&mut journal, &plant, "stuck").await, Err(Stop::Deadline));
    assert_eq!(errors(&mut journal), ["timed out: the run reached its deadline"]);
    assert_eq!(paper.lines().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_past_the_deadline_is_waited_for_and_recorded() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    let plan = planned(&plant, &["a"]).await;
    let mut journal = following(plan, &paper, Duration::from_secs(1));
    let written = paper.intents.lock().await;
    let late = {
        let call = open(&mut journal, &plant, "a");
        tokio::pin!(call);
        assert!(tokio::time::timeout(Duration::from_secs(5), call.as_mut()).await.is_err());
        drop(written);
        call.await
    };
    assert_eq!(late.unwrap().unwrap().disposition, Disposition::Applied);
    journal.conclude().await;
    assert_eq!(paper.lines(), ["1 intend open a within 20", "1 applied"]);
}

#[tokio::test]
async fn a_plugin_goes_on_while_a_result_is_recorded_and_nothing_more_begins() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    let plan = planned(&plant, &["a", "b"]).await;
    let mut journal = following(plan, &paper, Duration::from_secs(60));
    let written = paper.results.lock().await;
    assert_eq!(open(&mut journal, &plant, "a").await.unwrap().unwrap().disposition, Disposition::Applied);
    {
        let call = open(&mut journal, &plant, "b");
        tokio::pin!(call);
        assert!(futures_util::poll!(call.as_mut()).is_pending());
        let_others_go_on().await;
        assert!(futures_util::poll!(call.as_mut()).is_pending());
        assert_eq!(paper.lines(), ["1 intend open a within 20"]);
        drop(written);
        call.await.unwrap().unwrap();
    }
    journal.conclude().await;
    assert_eq!(paper.lines(), ["1 intend open a within 20", "1 applied", "2 intend open b within 20", "2 applied"]);
    assert_eq!(*paper.noted.lock().unwrap(), [1, 2]);
}

#[tokio::test]
async fn the_end_of_a_run_waits_for_the_result_of_each_change() {
    // The run ends after its change, and in the look of the next one.
    for further in [None, Some("stuck")] {
        let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
        let mut plan = planned(&plant, &["a", "b"]).await;
        plan[1].call.arguments = canonical(&serde_json::json!({ "valve": "stuck" }));
        let mut journal = following(plan, &paper, Duration::from_secs(60));
        let written = paper.results.lock().await;
        open(&mut journal, &plant, "a").await.unwrap().unwrap();
        if let Some(valve) = further {
            assert!(futures_util::FutureExt::now_or_never(open(&mut journal, &plant, valve)).is_none());
        }
        let conclude = journal.conclude();
        tokio::pin!(conclude);
        assert!(futures_util::poll!(conclude.as_mut()).is_pending());
        let_others_go_on().await;
        assert!(futures_util::poll!(conclude.as_mut()).is_pending());
        drop(written);
        conclude.await;
        assert_eq!(paper.lines(), ["1 intend open a within 20", "1 applied"]);
    }
}

#[tokio::test]
async fn a_look_that_panics_is_told_and_a_change_that_does_ends_its_run() {
    let (plant, paper) = (Arc::new(Plant::default()), Arc::new(Paper::default()));
    let mut plan = planned(&plant, &["a", "b"]).await;
    for (change, valve) in plan.iter_mut().zip(["hidden", "brittle"]) {
        change.call.arguments = canonical(&serde_json::json!({ "valve": valve }));
    }
    let mut journal = following(plan, &paper, Duration::from_secs(60));
    let unseen = open(&mut journal, &plant, "hidden").await.unwrap().unwrap_err();
    assert_eq!(unseen, CallError::Unavailable("the look at the target broke off".to_owned()));
    assert_eq!(open(&mut journal, &plant, "brittle").await, Err(Stop::Deadline));
    journal.conclude().await;
    // Nobody knows what became of it, as the end of the run records.
    assert_eq!(paper.lines(), ["1 intend open b within 20"]);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_never_ends_ends_with_the_run() {
    let plant = Arc::new(Plant::default());
    let mut journal = journal(Changes::plan(Handle::current()), Duration::from_secs(1));
    assert_eq!(open(&mut journal, &plant, "stuck").await, Err(Stop::Deadline));
    assert!(journal.take_planned().is_empty());
    assert_eq!(errors(&mut journal), ["timed out: the run reached its deadline"]);
}

#[tokio::test]
async fn giving_back_asks_no_grant_and_refuses_what_somebody_else_changed() {
    let plant = Arc::new(Plant::default());
    let change = || Arc::new(Open { plant: plant.clone(), valve: "a".to_owned() }) as Arc<dyn Change>;
    let left = |value: &str| [Fact { name: "pressure".to_owned(), value: value.to_owned() }];
    let mut journal = planning();
    let refused = journal.give_back(change(), &left("high"), 7).await.unwrap().unwrap_err();
    assert_eq!(refused, CallError::Conflict("pressure was high, is low".to_owned()));
    journal.give_back(change(), &left("low"), 7).await.unwrap().unwrap();
    let plan = journal.take_planned();
    assert_eq!((plan.len(), plan[0].gives_back), (1, Some(7)));
}
