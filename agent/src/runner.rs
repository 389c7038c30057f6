//! From a request to the record: admission, start, guest, end.
//!
//! A run is recorded as started before anything of it happens, and as finished before its caller hears of it. It goes
//! on when the caller leaves: whoever asked finds it under its id.
//!
//! Knows the catalog, the engine, the store and the clock; never the API.

mod admission;
mod feed;
mod guard;
mod help;
mod leases;
mod ledger;
mod plans;
mod recordings;
mod settle;
mod shared;
mod targets;
mod under_way;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{Notify, oneshot, watch};
use tracing::Instrument;

use crate::catalog::{Catalog, ParamsError, Plugin, Quarantined, State, Ticket};
use crate::clock::Clock;
use crate::domain::{
    Actor, ChangeRecord, Digest, Kind, Mode, Plan, PluginName, Run, RunChanges, RunId, SweepName, SweepRunId, Trigger,
    Usage,
};
use crate::engine::{Finished, GivingBack, Invocation, Ledger, Undoing};
use crate::recording::Reel;
use crate::replicas::Replicas;
use crate::store::{KeptRecording, OnceKey, Store, StoreError};
use crate::telemetry::Metrics;
pub use feed::{Batch, Event, Position, What};
pub use guard::{BREAKER_REST, PluginRules, Rules};
pub use leases::{LEASES, LeaseRefusal};
pub use plans::{Application, Assent, PLAN_LIFE, PlanRefusal};
pub use shared::Holding;

use feed::Feed;
use guard::InForce;
use help::Confirmation;
use ledger::RunLedger;
use targets::{BusyTargets, Hold};
use under_way::{Awaited, Place, UnderWay};

use admission::{Admission, Slot};

/// Pauses between attempts to record an end. Together a little over a minute: as long as a full disk or a slow one may
/// take before the run is given up and found as interrupted at the next start.
const RETRIES: [Duration; 6] = [
    Duration::from_millis(50),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(8),
    Duration::from_secs(20),
    Duration::from_secs(40),
];

/// Somebody wants a plugin to run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The plugin.
    pub plugin: PluginName,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// Who asks.
    pub actor: Actor,
    /// What made them ask.
    pub trigger: Trigger,
    /// The run of a sweep that it is part of.
    pub sweep_run: Option<SweepRunId>,
}

/// Why a run was not started. Nothing was recorded and nothing happened.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No plugin of that name is configured.
    #[error("no plugin is named `{name}`")]
    UnknownPlugin {
        /// The name that was asked for.
        name: PluginName,
    },
    /// The plugin is on its way.
    #[error("the plugin `{name}` is being loaded")]
    Loading {
        /// The plugin.
        name: PluginName,
    },
    /// The plugin cannot run.
    #[error("the plugin `{name}` cannot run: {reason}")]
    NotActive {
        /// The plugin.
        name: PluginName,
        /// Why.
        reason: String,
    },
    /// No version of the plugin was delivered yet.
    #[error("no version of the plugin `{name}` was delivered yet; `paramedic plugins push` brings one")]
    Absent {
        /// The plugin.
        name: PluginName,
    },
    /// The plugin is held back because it kept failing.
    #[error(transparent)]
    Quarantined(Box<Quarantined>),
    /// The parameters were refused.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// All slots are taken.
    #[error("all {slots} slots for runs are taken")]
    Busy {
        /// How many there are.
        slots: usize,
    },
    /// The agent is about to end.
    #[error("the agent is shutting down")]
    ShuttingDown,
    /// A plan was not made or not applied.
    #[error(transparent)]
    Plan(Box<PlanRefusal>),
    /// No run of that id is recorded.
    #[error("there is no run {id}")]
    UnknownRun {
        /// The id.
        id: RunId,
    },
    /// The start cannot be recorded.
    #[error("the start of the run cannot be recorded")]
    Store(#[source] StoreError),
}

/// A run under way.
pub struct Started {
    /// The run as it was recorded, without an end.
    pub run: Arc<Run>,
    ended: Awaited,
    feed: Arc<Feed>,
    changes: watch::Receiver<()>,
}

/// What there is to tell to somebody who watches a run.
pub enum News {
    /// This happened.
    Happened(Batch),
    /// All is told, and the run has ended.
    Ended(Arc<Run>),
    /// All is told, and there will be no record of an end.
    Lost,
}

impl Started {
    /// What happened after `position`. Waits until there is something to tell.
    pub async fn news(&mut self, position: Position) -> News {
        loop {
            // Looked at in this order: nothing happens after the end, and what happens after the look wakes us up.
            let ended = self.ended.borrow_and_update().clone();
            let is_over = ended.is_some() || self.ended.has_changed().is_err();
            self.changes.borrow_and_update();
            let batch = self.feed.since(position);
            match (batch.is_empty(), ended, is_over) {
                (false, ..) => return News::Happened(batch),
                (true, Some(run), _) => return News::Ended(run),
                (true, None, true) => return News::Lost,
                (true, None, false) => {}
            }
            tokio::select! {
                _ = self.changes.changed() => {}
                _ = self.ended.changed() => {}
            }
        }
    }

    /// Wait for the end and its record. None when the end could not be recorded, or the agent is ending.
    pub async fn finished(mut self) -> Option<Arc<Run>> {
        self.ended.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// Starts runs and sees them through.
pub struct Runner {
    catalog: Arc<Catalog>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    admission: Arc<Admission>,
    under_way: Arc<UnderWay>,
    targets: Arc<BusyTargets>,
    lease_changed: Arc<Notify>,
    rules: Arc<InForce>,
    /// Set once, where there are others.
    replicas: OnceLock<Arc<Replicas>>,
    stopping: AtomicBool,
    /// The runner itself, for what goes on after a run.
    me: Weak<Self>,
}

/// A run about to be recorded and begun.
struct Job {
    run: Run,
    work: Executable,
    slot: Slot,
    key: Option<OnceKey>,
    /// The targets that it changes.
    hold: Option<Hold>,
    /// The check that tells whether it helped.
    confirmation: Option<Confirmation>,
}

/// What a run does.
enum Executable {
    /// A plugin runs, and follows a plan if there is one.
    Guest { plugin: Arc<Plugin>, ticket: Ticket, plan: Option<Arc<Plan>> },
    /// Changes are given back, as a plan says, or a plan for that is made.
    Undo { plan: Option<Arc<Plan>>, made: Vec<ChangeRecord> },
}

/// What came of a run.
struct Ran {
    finished: Finished,
    /// Digest of the grants under which it was done.
    grants: Digest,
    /// The plugin that ran, if one did, and its ticket.
    guest: Option<(Arc<Plugin>, Ticket)>,
}

impl Runner {
    /// A runner for at most `slots` runs at the same time, of which sweeps use at most `slots_for_sweeps`.
    pub fn new(
        catalog: Arc<Catalog>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        slots: usize,
        slots_for_sweeps: usize,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            catalog,
            store,
            clock,
            metrics,
            admission: Admission::new(slots, slots_for_sweeps),
            under_way: Arc::default(),
            targets: Arc::default(),
            lease_changed: Arc::default(),
            rules: Arc::default(),
            replicas: OnceLock::new(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Admit a request and record its start. When this answers, the run is durable and under way.
    pub async fn start(&self, request: Request) -> Result<Started, Refusal> {
        self.start_with(request, None).await
    }

    /// The same under a key, which is recorded together with the start. `Refusal::Store` with `KeyTaken` when something was
    /// done under that key already.
    pub async fn start_once(&self, request: Request, key: OnceKey) -> Result<Started, Refusal> {
        self.start_with(request, Some(key)).await
    }

    async fn start_with(&self, request: Request, key: Option<OnceKey>) -> Result<Started, Refusal> {
        let plugin = self.checking(&request.plugin)?;
        let params = plugin.params(request.params.clone())?;
        let ticket = self.ticket(&plugin)?;
        let slot = self.admit()?;
        self.check((plugin, ticket), params, request, slot, key).await
    }

    /// The same for a check of `sweep`, which waits for its turn for as long as `patience`.
    pub async fn start_in_turn(
        &self,
        sweep: &SweepName,
        patience: Duration,
        request: Request,
    ) -> Result<Started, Refusal> {
        let slot = self.admit_in_turn(sweep, patience).await?;
        // With the slot in hand: another version or less may be allowed than when the wait began, and the one trial of a
        // plugin that was held back must not wait for a place.
        let plugin = self.checking(&request.plugin)?;
        let params = plugin.params(request.params.clone())?;
        let ticket = self.ticket(&plugin)?;
        self.check((plugin, ticket), params, request, slot, None).await
    }

    /// The plugin of that name, if it can run and changes nothing.
    fn checking(&self, name: &PluginName) -> Result<Arc<Plugin>, Refusal> {
        let plugin = self.active(name)?;
        match plugin.metadata.kind {
            Kind::Check => Ok(plugin),
            Kind::Mitigation | Kind::Responder => Err(PlanRefusal::NeedsPlan { name: name.clone() }.into()),
        }
    }

    async fn check(
        &self,
        (plugin, ticket): (Arc<Plugin>, Ticket),
        params: String,
        request: Request,
        slot: Slot,
        key: Option<OnceKey>,
    ) -> Result<Started, Refusal> {
        let run = self.new_run(&plugin, params, request);
        let work = Executable::Guest { plugin, ticket, plan: None };
        self.begin(Job { run, work, slot, key, hold: None, confirmation: None }).await
    }

    async fn begin(&self, job: Job) -> Result<Started, Refusal> {
        let Job { run, work, slot, key, hold, confirmation } = job;
        if let Some(hold) = &hold {
            hold.is_for(run.id);
        }
        let run = Arc::new(run);
        let place = self.under_way.enter(run.clone());
        let follower = place.follow(run.clone());
        let (recorded, started) = oneshot::channel();
        self.see_through((work, confirmation), run, key, (slot, hold), recorded, place);
        match started.await {
            Ok(Ok(())) => Ok(follower),
            Ok(Err(error)) => Err(Refusal::Store(error)),
            // The task goes away unheard only with the whole agent.
            Err(_) => Err(Refusal::ShuttingDown),
        }
    }

    /// Follow a run to its end. None when no such run is under way.
    pub fn follow(&self, id: RunId) -> Option<Started> {
        self.under_way.follow(id)
    }

    /// Ask a run to end in the name of `by`, and follow it to its end. None when no such run is under way.
    ///
    /// Its guest and its host calls end at once; what they did until then stays in the record. A run that comes to its end in
    /// the same moment keeps that one.
    pub fn cancel(&self, id: RunId, by: Actor) -> Option<Started> {
        self.under_way.cancel(id, by)
    }

    fn active(&self, name: &PluginName) -> Result<Arc<Plugin>, Refusal> {
        let name = name.clone();
        match self.catalog.get(&name) {
            None => Err(Refusal::UnknownPlugin { name }),
            Some(State::Loading) => Err(Refusal::Loading { name }),
            Some(State::Failed(error)) => Err(Refusal::NotActive { name, reason: error.chain() }),
            Some(State::Absent) => Err(Refusal::Absent { name }),
            Some(State::Active(plugin)) => Ok(plugin),
        }
    }

    fn ticket(&self, plugin: &Plugin) -> Result<Ticket, Refusal> {
        let unknown = || Refusal::UnknownPlugin { name: plugin.metadata.name.clone() };
        let admitted = self.catalog.admit(plugin).ok_or_else(unknown)?;
        admitted.map_err(|held| Refusal::Quarantined(Box::new(held)))
    }

    fn admit(&self) -> Result<Slot, Refusal> {
        let slot = self.admission.for_a_person();
        // Asked with the slot in hand: `drain` waits for that one, or we see here that it has begun.
        if self.is_stopping() {
            return Err(Refusal::ShuttingDown);
        }
        slot.ok_or_else(|| self.turned_away())
    }

    async fn admit_in_turn(&self, sweep: &SweepName, patience: Duration) -> Result<Slot, Refusal> {
        let slot = tokio::time::timeout(patience, self.admission.for_a_sweep(sweep)).await;
        if self.is_stopping() {
            return Err(Refusal::ShuttingDown);
        }
        slot.ok().and_then(Result::ok).ok_or_else(|| self.turned_away())
    }

    fn turned_away(&self) -> Refusal {
        self.metrics.turned_away.inc();
        Refusal::Busy { slots: self.admission.total() }
    }

    fn new_run(&self, plugin: &Plugin, params: String, request: Request) -> Run {
        let now = self.clock.now();
        Run {
            id: RunId::new(now),
            plugin: plugin.metadata.name.clone(),
            version: plugin.metadata.version.to_string(),
            digest: plugin.digest,
            mode: Mode::Check,
            trigger: request.trigger,
            actor: request.actor,
            sweep_run: request.sweep_run,
            params,
            started: now,
            finished: None,
            ending: None,
            usage: Usage::default(),
            log: Vec::new(),
            calls: Vec::new(),
            changes: RunChanges::default(),
        }
    }

    /// Record the start and run it, on a task of its own from the first step: a caller that leaves in between must not
    /// leave a start behind that nothing follows.
    fn see_through(
        &self,
        (work, confirmation): (Executable, Option<Confirmation>),
        run: Arc<Run>,
        key: Option<OnceKey>,
        held: (Slot, Option<Hold>),
        recorded: oneshot::Sender<Result<(), StoreError>>,
        place: Place,
    ) {
        let span = tracing::info_span!("run", run.id = %run.id, plugin.name = %run.plugin);
        let (catalog, store) = (self.catalog.clone(), self.store.clone());
        let (clock, metrics, me) = (self.clock.clone(), self.metrics.clone(), self.me.clone());
        let (rules, replicas) = (self.rules.clone(), self.replica().cloned());
        let work = async move {
            let start = record_start(&*store, Run::clone(&run), key).await;
            let failed = start.is_err();
            // A caller that left meanwhile finds the run under its id.
            let _ = recorded.send(start);
            if failed {
                return;
            }
            metrics.running.inc();
            let ledger = Arc::new(RunLedger {
                store: store.clone(),
                metrics: metrics.clone(),
                run: run.id,
                plugin: run.plugin.clone(),
                undoes: run.changes.undoes,
                freezes: ledger::freezes(&run.changes),
                rules: rules.clone(),
                fence: ledger::fence(&*store, replicas, run.changes.undoes).await,
                begun: Mutex::default(),
            });
            let reel = recordings::reel(&rules.get(), &run);
            // Boxed, as is what follows an apply: this future is moved from hand to hand before it is polled.
            let working = Box::pin(work.run(&catalog, &clock, &run, &place, (ledger, reel)));
            let Ran { mut finished, grants, guest } = working.await;
            let taped = finished.taped.take();
            let mut run = ended(Arc::unwrap_or_clone(run), finished, grants, &*clock);
            metrics.running.dec();
            metrics.ended(&run);
            log_end(&run);
            let mut recording = None;
            if let Some((plugin, ticket)) = guest {
                // Before the caller hears of it: whoever asks again meets the quarantine.
                catalog.settle(ticket, &run).await;
                if let Some(taped) = taped {
                    recording = recordings::pack(&run, &plugin, taped).await;
                }
            }
            let recorded = record_end(&*store, &run, recording).await;
            drop(held);
            if recorded && run.mode == Mode::Apply {
                // What became of each change was recorded as it happened.
                run = store.run(run.id).await.ok().flatten().unwrap_or(run);
                if let Some(runner) = me.upgrade() {
                    Box::pin(runner.follow_up(&mut run, confirmation)).await;
                }
            }
            if recorded {
                place.tell(rules.complete(run));
            }
        };
        tokio::spawn(work.instrument(span));
    }

    /// What comes after an apply.
    async fn follow_up(&self, run: &mut Run, confirmation: Option<Confirmation>) {
        let ((targets, io), announced) = (self.catalog.reach(), run.clone());
        io.spawn(async move { targets.announce(&announced).await });
        self.settle_empty_lease(run).await;
        self.report_lent(run).await;
        self.settle_undone_lease(run).await;
        if let Some(confirmation) = confirmation {
            self.look_after(run, confirmation).await;
        }
        self.give_back_if_asked(run).await;
    }

    /// Let `rules` hold for all changes that are not recorded yet.
    pub fn govern(&self, rules: Rules) {
        self.rules.replace(rules);
    }

    /// The run with what the rules in force ask of the plan that it made.
    pub fn complete(&self, run: Run) -> Run {
        self.rules.complete(run)
    }

    /// True once the agent is about to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Take no more runs, and wait until those under way have ended, for at most `patience`. Tells how many had not.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.stopping.store(true, Ordering::SeqCst);
        self.admission.close();
        match tokio::time::timeout(patience, self.admission.emptied()).await {
            Ok(()) => 0,
            Err(_) => self.under_way(),
        }
    }

    /// How many runs have not ended.
    pub fn under_way(&self) -> usize {
        self.admission.taken()
    }
}

impl Executable {
    /// Do it. A guest's run is taken down by the reel, if there is one.
    async fn run(
        self,
        catalog: &Catalog,
        clock: &Arc<dyn Clock>,
        run: &Run,
        place: &Place,
        (ledger, reel): (Arc<dyn Ledger>, Option<Reel>),
    ) -> Ran {
        match self {
            Self::Guest { plugin, ticket, plan } => {
                let following = plan.map(|plan| (plan, ledger));
                let invocation = Invocation { following, reel, ..invocation(&plugin, run, place) };
                let finished = catalog.engine().run(&plugin.program, invocation).await;
                let grants = if run.mode == Mode::Plan { plugin.grants.digest() } else { plans::no_grants() };
                Ran { finished, grants, guest: Some((plugin, ticket)) }
            }
            Self::Undo { plan, made } => {
                let (targets, io) = catalog.reach();
                let what = match plan {
                    Some(plan) => GivingBack::Apply(plan, ledger),
                    None => GivingBack::Plan(made),
                };
                let undoing = Undoing {
                    what,
                    undone: run.changes.undoes.unwrap_or(run.id),
                    plugin: run.plugin.clone(),
                    targets,
                    clock: clock.clone(),
                    io,
                    cancellation: place.cancellation.clone(),
                    observer: place.feed.clone(),
                };
                Ran { finished: undoing.run().await, grants: plans::no_grants(), guest: None }
            }
        }
    }
}

fn invocation(plugin: &Plugin, run: &Run, place: &Place) -> Invocation {
    Invocation {
        run: run.id,
        mode: run.mode,
        trigger: run.trigger.as_str(),
        started: run.started,
        params: run.params.clone(),
        limits: plugin.limits,
        grants: plugin.grants.clone(),
        plugin: plugin.context.clone(),
        cancellation: place.cancellation.clone(),
        observer: place.feed.clone(),
        following: None,
        reel: None,
    }
}

fn ended(run: Run, finished: Finished, grants: Digest, clock: &dyn Clock) -> Run {
    let planned = finished.planned;
    let run = Run {
        finished: Some(clock.now()),
        ending: Some(finished.ending),
        usage: finished.usage,
        log: finished.log,
        calls: finished.calls,
        ..run
    };
    let plan = plans::plan_of(&run, grants, planned);
    Run { changes: RunChanges { plan, ..run.changes.clone() }, ..run }
}

fn log_end(run: &Run) {
    let status = run.ending.as_ref().map_or("", |ending| ending.status().as_str());
    let failure = match &run.ending {
        Some(crate::domain::Ending::Failed(failure)) => failure.kind.as_str(),
        Some(crate::domain::Ending::Concluded(_)) | None => "",
    };
    let denied = run.calls.iter().filter(|call| matches!(call.decision, crate::domain::Decision::Denied(_))).count();
    let seconds = run.usage.duration.as_secs_f64();
    tracing::info!(status, failure, seconds, calls = run.usage.calls, denied, "run ended");
}

async fn record_start(store: &dyn Store, run: Run, key: Option<OnceKey>) -> Result<(), StoreError> {
    match key {
        Some(key) => store.start_run_once(run, key).await,
        None => store.start_run(run).await,
    }
}

/// Record the end, with patience. A run whose end cannot be recorded stays without one and is found as interrupted.
async fn record_end(store: &dyn Store, run: &Run, recording: Option<KeptRecording>) -> bool {
    let mut pauses = RETRIES.iter();
    loop {
        let finish = match recording.clone() {
            Some(recording) => store.finish_recorded_run(run.clone(), recording).await,
            None => store.finish_run(run.clone()).await,
        };
        match (finish, pauses.next()) {
            (Ok(_), _) => return true,
            (Err(error), Some(pause)) if error.may_pass() => {
                tracing::warn!(%error, "the end of a run is not recorded yet");
                tokio::time::sleep(*pause).await;
            }
            (Err(error), _) => {
                tracing::error!(%error, "the end of a run is lost; it will be shown as interrupted");
                return false;
            }
        }
    }
}
