//! Loads a component into a [`Program`], and runs it.

use std::any::Any;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinHandle};
use wasmtime::Store;
use wasmtime::component::Component;

use super::cancel::Cancellation;
use super::lane::Place;
use super::ticker::Ticking;
use super::{Engine, ending, metadata, outcome, until};
use crate::domain::{
    CallRecord, Digest, Ending, FailureKind, Interface, Limits, LogLine, Metadata, Mode, Plan, PlannedChange, RunId,
    Timestamp, Usage,
};
use crate::host::bindings::exports::paramedic::plugin::plugin as wit;
use crate::host::bindings::{Everything, EverythingPre};
use crate::host::linker::Links;
use crate::host::{Gate, Imports, ImportsError, PluginContext, RunState};
use crate::journal::{Changes, Journal, Ledger, Observer};
use crate::policy::Grants;
use crate::recording::{Reel, Taped};

/// Longest time for `describe`. It must not do anything, so this is generous.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(5);

/// How much later than the run itself its guest is dropped. A host call that reaches the deadline ends by itself first, and so
/// stands in the record.
const RECORDING: Duration = Duration::from_millis(2);

/// A component that is compiled and linked, and can be instantiated at once. Cheap to copy.
#[derive(Clone)]
pub struct Program {
    pre: EverythingPre<RunState>,
    digest: Digest,
    imports: Imports,
    absent: BTreeSet<Interface>,
}

impl Program {
    /// Digest of the component.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What it imports.
    pub fn imports(&self) -> &Imports {
        &self.imports
    }

    /// The interfaces that it imports and of which nothing is granted. Whoever lets it run has to know that it can do without.
    pub fn absent(&self) -> &BTreeSet<Interface> {
        &self.absent
    }
}

/// A component whose imports were read.
pub struct Examined {
    component: Arc<[u8]>,
    digest: Digest,
    imports: Imports,
    /// If it was compiled before.
    compiled: Option<Component>,
}

impl Examined {
    /// What it imports.
    pub fn imports(&self) -> &Imports {
        &self.imports
    }
}

/// Why a component was not loaded. Each has its own words, so that its author knows what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its imports or exports are not those of a plugin that has these grants.
    #[error(transparent)]
    Imports(#[from] ImportsError),
    /// It cannot be compiled.
    #[error("the component cannot be compiled")]
    Compile(#[source] wasmtime::Error),
    /// It cannot be linked.
    #[error("the component cannot be linked")]
    Link(#[source] wasmtime::Error),
    /// `describe` did not answer.
    #[error("`describe` failed: {0}")]
    Describe(String),
    /// `describe` answered nonsense.
    #[error("the plugin's description is not usable: {0}")]
    Description(String),
}

/// Everything that one run needs beside the program.
pub struct Invocation {
    /// The run.
    pub run: RunId,
    /// How changes are treated.
    pub mode: Mode,
    /// What started it, a word.
    pub trigger: &'static str,
    /// When it was recorded as started.
    pub started: Timestamp,
    /// The parameters, a JSON document that was validated against the schema.
    pub params: String,
    /// What it may use; the deadline counts from the call.
    pub limits: Limits,
    /// What it may do.
    pub grants: Arc<Grants>,
    /// What the plugin's runs share.
    pub plugin: Arc<PluginContext>,
    /// Whether somebody wants it to end.
    pub cancellation: Cancellation,
    /// Whoever hears what it does while it does it.
    pub observer: Arc<dyn Observer>,
    /// The plan that it follows, and where it records what it does. None for a run that changes nothing, or makes a plan.
    pub following: Option<(Arc<Plan>, Arc<dyn Ledger>)>,
    /// What takes down what the guest is told, or tells it what another one was told. None for a run of which nothing is kept.
    pub reel: Option<Reel>,
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub ending: Ending,
    /// What it used.
    pub usage: Usage,
    /// Its log.
    pub log: Vec<LogLine>,
    /// Its host calls.
    pub calls: Vec<CallRecord>,
    /// The changes that it would make, if it made a plan.
    pub planned: Vec<PlannedChange>,
    /// What was taken down, if the run had a reel.
    pub taped: Option<Taped>,
}

impl Finished {
    /// A run that ended before its guest began.
    pub fn without_guest(ending: Ending) -> Self {
        Self { ending, usage: Usage::default(), log: Vec::new(), calls: Vec::new(), planned: Vec::new(), taped: None }
    }
}

/// A task that ends when nobody waits for it any more: a guest must not go on after its caller left.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Work that goes on on other threads, and can be taken back between two steps.
struct Lent<T>(Arc<Mutex<Option<BoxFuture<'static, T>>>>);

impl<T: Send + 'static> Lent<T> {
    /// Work, and what to do there. That ends with nothing when the work was taken back.
    fn new(work: BoxFuture<'static, T>) -> (Self, impl Future<Output = Option<T>> + Send + 'static) {
        let lent = Arc::new(Mutex::new(Some(work)));
        let there = lent.clone();
        let steps = poll_fn(move |cx| {
            let mut place = there.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(work) = place.as_mut() else { return Poll::Ready(None) };
            let ended = ready!(work.poll_unpin(cx));
            // Nobody may take back what is done.
            *place = None;
            Poll::Ready(Some(ended))
        });
        (Self(lent), steps)
    }

    /// The work, unless it takes a step just now or is done.
    fn take_back(&self) -> Option<BoxFuture<'static, T>> {
        match self.0.try_lock() {
            Ok(mut place) => place.take(),
            Err(TryLockError::Poisoned(place)) => place.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// An instance under way, with what bounds it.
struct Instance {
    store: Store<RunState>,
    place: Place,
    began: Instant,
    deadline: Instant,
    _ticking: Ticking,
    /// Given back after the store, and not before the guest is really gone, whether or not anybody still waits for it.
    _slot: OwnedSemaphorePermit,
}

impl Engine {
    /// Judge, compile and link a component. What was compiled before is taken from the disk; otherwise one component is
    /// compiled at a time, on a thread of its own.
    pub async fn load(
        &self,
        component: Arc<[u8]>,
        grants: &Grants,
        name: &crate::domain::PluginName,
    ) -> Result<Program, LoadError> {
        let bytes = component.clone();
        let digest = self.aside(move || Digest::of(&bytes)).await.map_err(panicked)?;
        let examined = self.examine(component, digest).await?;
        self.prepare(examined, grants, name).await
    }

    /// Read and validate a component of that digest, without judging what it imports. One that was compiled before was valid
    /// then.
    pub async fn examine(&self, component: Arc<[u8]>, digest: Digest) -> Result<Examined, LoadError> {
        let (artefacts, engine, bytes) = (self.artefacts.clone(), self.wasmtime.clone(), component.clone());
        let read = move || match artefacts.and_then(|artefacts| artefacts.load(&digest)) {
            Some(compiled) => Imports::of_compiled(&engine, &compiled).map(|imports| (imports, Some(compiled))),
            None => Imports::read(&bytes).map(|imports| (imports, None)),
        };
        let (imports, compiled) = self.aside(read).await.map_err(panicked)??;
        Ok(Examined { component, digest, imports, compiled })
    }

    /// Judge a component that was examined, and only then compile and link it.
    pub async fn prepare(
        &self,
        examined: Examined,
        grants: &Grants,
        name: &crate::domain::PluginName,
    ) -> Result<Program, LoadError> {
        let Examined { component, digest, imports, compiled } = examined;
        let absent = imports.judge(name, grants)?;
        let compiled = match compiled {
            Some(compiled) => compiled,
            None => self.compile(component, digest).await?,
        };
        let there = imports.interfaces().filter(|interface| !absent.contains(interface)).collect();
        let linker = self.linkers.holding(Links { there, absent: absent.clone() }).map_err(LoadError::Link)?;
        let pre = linker.instantiate_pre(&compiled).and_then(EverythingPre::new).map_err(LoadError::Link)?;
        Ok(Program { pre, digest, imports, absent })
    }

    /// Do work that computes, or waits for a disk, on a thread of its own. No more at a time than there are processors: they would
    /// not end sooner, and each thread keeps memory for good. What panics there is one plugin's misfortune.
    pub async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        let _turn = self.asides.acquire().await;
        tokio::task::spawn_blocking(work).await
    }

    async fn compile(&self, component: Arc<[u8]>, digest: Digest) -> Result<Component, LoadError> {
        let _turn = self.compiler.acquire().await;
        let (artefacts, engine) = (self.artefacts.clone(), self.wasmtime.clone());
        let compile = move || {
            let compiled = Component::new(&engine, &component)?;
            if let Some(artefacts) = artefacts {
                artefacts.keep(&digest, &compiled);
            }
            Ok(compiled)
        };
        // For minutes, so it takes no turn from work that is shorter.
        tokio::task::spawn_blocking(compile).await.map_err(panicked)?.map_err(LoadError::Compile)
    }

    /// Ask the plugin what it is, on an instance that reaches nothing: any call to an interface of the package ends it.
    /// It has the memory and tables of `limits`: an interpreter needs them to say its name, too.
    pub async fn describe(
        &self,
        program: &Program,
        plugin: Arc<PluginContext>,
        limits: &Limits,
    ) -> Result<Metadata, LoadError> {
        let limits = Limits { deadline: DESCRIBE_DEADLINE, ..*limits };
        let nothing = Arc::new(Grants::new(plugin.name.clone(), Vec::new()));
        let slot = self.describers.clone().acquire_owned().await;
        let slot = slot.map_err(|_| LoadError::Describe("the engine is shutting down".to_owned()))?;
        let journal = journal(nothing, &plugin, &limits);
        let instance = self.instance(plugin, journal, &limits, Gate::Describing, slot);
        let (pre, place) = (program.pre.clone(), instance.place.clone());
        let described = self.see_through(&place, describe(pre, instance)).await;
        let described = described.unwrap_or_else(|defect| Err(defect.to_string())).map_err(LoadError::Describe)?;
        metadata::decode(described).map_err(LoadError::Description)
    }

    /// Run a program to its end. Never takes longer than the deadline in `invocation`, and ends with the caller: dropping
    /// the future ends the guest and its host calls. So does the cancellation, which leaves what was done until then in the
    /// record.
    pub async fn run(&self, program: &Program, mut invocation: Invocation) -> Finished {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            let message = "every slot of the engine is taken".to_owned();
            return Finished::without_guest(ending::failed(FailureKind::Capacity, message));
        };
        let limits = invocation.limits;
        let plugin = invocation.plugin.clone();
        let journal = journal(invocation.grants.clone(), &plugin, &limits)
            .observed_by(invocation.observer.clone())
            .treating(invocation.changes())
            .recorded_by(invocation.reel.take());
        let instance = self.instance(plugin, journal, &limits, Gate::Open, slot);
        let (pre, place) = (program.pre.clone(), instance.place.clone());
        match self.see_through(&place, run(pre, instance, invocation)).await {
            Ok(finished) => finished,
            Err(error) => {
                tracing::error!(%error, "a run ended in a defect of the agent");
                let message = "a defect of the agent; its log has the cause".to_owned();
                Finished::without_guest(ending::failed(FailureKind::Internal, message))
            }
        }
    }

    fn instance(
        &self,
        plugin: Arc<PluginContext>,
        journal: Journal,
        limits: &Limits,
        gate: Gate,
        slot: OwnedSemaphorePermit,
    ) -> Instance {
        let (began, deadline) = (Instant::now(), journal.deadline());
        let mut store = Store::new(&self.wasmtime, RunState::new(plugin, journal, limits, gate));
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.outcome_bytes.saturating_mul(2).max(1 << 20));
        store.set_epoch_deadline(1);
        let place = self.lane.enter(deadline);
        let at_tick = place.clone();
        store.epoch_deadline_callback(move |_| at_tick.tick());
        Instance { store, place, began, deadline, _ticking: self.ticker.run(), _slot: slot }
    }

    /// Drive the work of a guest to its end: here for as long as the guest is quick, because changing threads costs more
    /// than most runs, on the guests' threads once it is slow, and here again when its time is over: all that is left is to
    /// end it, which on a busy machine would wait there for as long as guests give way.
    async fn see_through<T: Send + 'static>(
        &self,
        place: &Place,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Defect> {
        let mut work = AssertUnwindSafe(work).catch_unwind().boxed();
        let ended = poll_fn(|cx| match work.poll_unpin(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if place.is_slow() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        let result = match (ended.await, &self.guests) {
            (Some(result), _) => result,
            (None, Some(guests)) => elsewhere(guests, place, work).await?,
            (None, None) => work.await,
        };
        result.map_err(|panic| Defect::panicked(&*panic))
    }
}

/// Do work on the guests' threads until the deadline of its place, and what is left of it here.
async fn elsewhere<T: Send + 'static>(
    guests: &tokio::runtime::Runtime,
    place: &Place,
    work: BoxFuture<'static, T>,
) -> Result<T, Defect> {
    let (lent, steps) = Lent::new(work);
    let mut there = AbortOnDrop(guests.spawn(steps));
    if let Ok(ended) = tokio::time::timeout_at(until(place.deadline()), &mut there.0).await {
        return ended.map_err(Defect::Aborted)?.ok_or(Defect::Lost);
    }
    match lent.take_back() {
        Some(work) => Ok(work.await),
        None => (&mut there.0).await.map_err(Defect::Aborted)?.ok_or(Defect::Lost),
    }
}

/// What is the agent's own fault, and ends one run.
#[derive(Debug, thiserror::Error)]
enum Defect {
    #[error("it panicked: {0}")]
    Panicked(String),
    #[error("the threads of guests are gone")]
    Aborted(#[source] JoinError),
    #[error("its work was lost")]
    Lost,
}

impl Defect {
    fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
        Self::Panicked(text.unwrap_or("without a message").to_owned())
    }
}

/// The journal of a run that begins now.
fn journal(grants: Arc<Grants>, plugin: &PluginContext, limits: &Limits) -> Journal {
    Journal::new(grants, plugin.clock.clone(), limits, Instant::now() + limits.deadline)
}

fn panicked(error: JoinError) -> LoadError {
    LoadError::Compile(wasmtime::Error::new(error))
}

async fn describe(pre: EverythingPre<RunState>, mut instance: Instance) -> Result<wit::Metadata, String> {
    let described = instance.place.drive(async {
        let plugin = pre.instantiate_async(&mut instance.store).await?;
        plugin.paramedic_plugin_plugin().call_describe(&mut instance.store).await
    });
    let answer = tokio::time::timeout_at(until(instance.deadline), described).await;
    instance.store.data().finish_streams();
    match answer {
        Ok(Ok(metadata)) => Ok(metadata),
        Ok(Err(error)) => match ending::found(&error, instance.store.data()) {
            Ending::Failed(failure) => Err(failure.message),
            Ending::Concluded(_) => Err(error.to_string()),
        },
        Err(_) => Err(format!("no answer within {} s", DESCRIBE_DEADLINE.as_secs())),
    }
}

async fn run(pre: EverythingPre<RunState>, mut instance: Instance, invocation: Invocation) -> Finished {
    let context = run_context(&invocation);
    let running = instance.place.drive(async {
        let plugin: Everything = pre.instantiate_async(&mut instance.store).await?;
        plugin.paramedic_plugin_plugin().call_run(&mut instance.store, &context, &invocation.params).await
    });
    let called = tokio::time::timeout_at(until(instance.deadline + RECORDING), running);
    let called = tokio::select! {
        // A guest that ends in the same moment has ended by itself.
        biased;
        called = called => Ok(called),
        by = invocation.cancellation.clone().requested() => Err(by),
    };
    instance.store.data().finish_streams();
    let ending = match called {
        Ok(Ok(Ok(Ok(outcome)))) => outcome::concluded(outcome, &invocation.limits),
        Ok(Ok(Ok(Err(failure)))) => ending::given(failure),
        Ok(Ok(Err(error))) => ending::found(&error, instance.store.data()),
        Ok(Err(_)) => ending::stopped(crate::journal::Stop::Deadline),
        Err(by) => ending::cancelled(&by),
    };
    instance.store.data_mut().journal.conclude().await;
    finish(instance, ending)
}

impl Invocation {
    fn changes(&self) -> Changes {
        let io = self.plugin.io.clone();
        match (self.mode, &self.following) {
            (Mode::Plan, _) => Changes::plan(io),
            (Mode::Apply, Some((plan, ledger))) => Changes::follow(plan.clone(), ledger.clone(), io),
            (Mode::Check, _) | (Mode::Apply, None) => Changes::Refuse,
        }
    }
}

fn finish(mut instance: Instance, ending: Ending) -> Finished {
    let duration = instance.began.elapsed();
    let state = instance.store.data_mut();
    let (log, dropped_log_lines) = state.log.take();
    let usage = Usage {
        duration,
        memory_bytes: state.limiter.memory_bytes() as u64,
        calls: state.journal.calls(),
        answer_bytes: state.journal.answer_bytes(),
        dropped_log_lines,
    };
    let planned = state.journal.take_planned();
    let calls = state.journal.take_records();
    Finished { ending, usage, log, calls, planned, taped: state.journal.take_taped() }
}

fn run_context(invocation: &Invocation) -> wit::RunContext {
    wit::RunContext {
        run_id: invocation.run.to_string(),
        incident_id: None,
        trigger: invocation.trigger.to_owned(),
        mode: match invocation.mode {
            Mode::Check => wit::Mode::Check,
            Mode::Plan => wit::Mode::Plan,
            Mode::Apply => wit::Mode::Apply,
        },
        started: invocation.started.as_millis(),
        time_limit: invocation.limits.deadline.as_secs_f64(),
        labels: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::engine::lane::Lane;

    /// The threads of guests, of which there is one and which is taken until the other part is dropped.
    fn busy() -> (tokio::runtime::Runtime, mpsc::Sender<()>) {
        let guests = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (free, taken) = mpsc::channel::<()>();
        let (told, tell) = mpsc::channel();
        guests.spawn(async move {
            told.send(()).unwrap();
            let _ = taken.recv();
        });
        tell.recv().unwrap();
        (guests, free)
    }

    #[tokio::test]
    async fn work_whose_time_is_over_ends_although_no_thread_of_guests_comes_to_it() {
        let (guests, free) = busy();
        let place = Lane::new(2).enter(Instant::now());
        assert_eq!(elsewhere(&guests, &place, async { 7 }.boxed()).await.unwrap(), 7);
        drop(free);
        guests.shutdown_background();
    }

    #[tokio::test]
    async fn work_is_done_once_whoever_comes_to_its_end() {
        let (lent, steps) = Lent::new(async { 7 }.boxed());
        assert_eq!(steps.await, Some(7));
        assert!(lent.take_back().is_none());
        let (lent, steps) = Lent::new(async { 7 }.boxed());
        assert_eq!(lent.take_back().unwrap().await, 7);
        assert_eq!(steps.await, None);
    }
}
