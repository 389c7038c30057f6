//! Runs components: compiled once, a fresh instance for each run, bounded in everything.
//!
//! ```text
//! bytes ─► artefact on disk, if there is one ─► imports, judge ─► else one compilation at a time ─► link ─► Program
//! Program + Invocation ─► slot ─► Store, instance, `run` ─► ending, usage, log, calls
//! ```
//!
//! A guest begins on the thread of whoever runs it. An epoch ticks every millisecond: one that has computed for longer than
//! that goes on in a runtime for guests with lower priority, where it shares a lane with its like and yields at every tick.
//!
//! Knows the host, policy, domain and the clock; never the API, scheduler, store or catalog.

mod artefacts;
mod cancel;
mod ending;
mod lane;
mod metadata;
mod outcome;
mod program;
mod ticker;
mod undo;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

pub use artefacts::CacheError;
pub use cancel::{Cancellation, Canceller, cancellation};
pub use program::{Examined, Finished, Invocation, LoadError, Program};
pub use undo::{GivingBack, Undoing, settle};

use crate::domain::Limits;
use crate::host::linker::Linkers;
pub use crate::journal::{Intent, IntentError, Ledger, Observer, Unobserved};
use artefacts::Artefacts;
use lane::Lane;
use ticker::Ticker;

/// Wasm stack of a guest, in bytes. Python and JavaScript interpreters recurse, and 512 KiB is what wasmtime itself
/// gives by default.
const WASM_STACK: usize = 512 << 10;

/// Native stack of a guest's fiber: the wasm stack and room for host functions.
const FIBER_STACK: usize = WASM_STACK + (1 << 20);

/// Plugins that describe themselves at the same time. They have slots of their own, so that loading many plugins takes none
/// from runs.
const DESCRIBERS: u32 = 4;

/// Memory of a slot that is kept between runs where the kernel can tell which pages were dirtied; covers what a usual
/// guest dirties, so that most runs change no page tables.
const KEPT_WITH_SCAN: usize = 1 << 20;

/// The same on kernels without PAGEMAP_SCAN (before Linux 6.7), where resetting has to touch all of it.
const KEPT_WITHOUT_SCAN: usize = 64 << 10;

/// Memory of a table that is kept between runs and cleared by hand: eight thousand elements, where a usual guest has a few
/// hundred. To give their page back to the kernel costs more than all else in a short run, and holds up the other threads.
const KEPT_OF_TABLE: usize = 64 << 10;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Runs at the same time.
    pub slots: u32,
    /// Threads for guests. At least two, or a guest that computes would hold up all others.
    pub threads: usize,
    /// Directory of compiled components; none to compile at every start.
    pub cache: Option<PathBuf>,
    /// Whether instances come from a pool. `OnDemand` is for machines that limit address space, and for comparison.
    pub allocation: Allocation,
}

/// Where instances come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// From slots that are set up once; on demand where the address space does not suffice.
    Pooled,
    /// Memory is mapped and unmapped for each run.
    OnDemand,
}

/// Why the engine cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refused the settings.
    #[error("cannot set up the WebAssembly engine")]
    Wasmtime(#[source] wasmtime::Error),
    /// The directory of artefacts is not safe or not usable.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The guests' threads cannot be started.
    #[error("cannot start the threads of guests")]
    Threads(#[source] std::io::Error),
}

/// The engine. Dropping it ends its threads; runs under way end with it.
pub struct Engine {
    wasmtime: wasmtime::Engine,
    linkers: Linkers,
    artefacts: Option<Arc<Artefacts>>,
    compiler: Semaphore,
    asides: Semaphore,
    slots: Arc<Semaphore>,
    describers: Arc<Semaphore>,
    lane: Lane,
    ticker: Arc<Ticker>,
    guests: Option<tokio::runtime::Runtime>,
}

impl Engine {
    /// Set up the engine and start its threads.
    pub fn new(settings: &Settings) -> Result<Self, EngineError> {
        let wasmtime = wasmtime_engine(settings)?;
        let threads = settings.threads.max(2);
        let artefacts =
            settings.cache.as_deref().map(|path| Artefacts::open(path, &wasmtime)).transpose()?.map(Arc::new);
        let guests = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("guest")
            // Those who wake a guest are mostly elsewhere, and a turn takes a millisecond: their word is looked for at each turn.
            .global_queue_interval(1)
            .event_interval(1)
            .on_thread_start(lower_priority)
            .enable_time()
            .build()
            .map_err(EngineError::Threads)?;
        Ok(Self {
            linkers: Linkers::new(wasmtime.clone()),
            artefacts,
            compiler: Semaphore::new(1),
            asides: Semaphore::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get)),
            slots: Arc::new(Semaphore::new(settings.slots as usize)),
            describers: Arc::new(Semaphore::new(DESCRIBERS as usize)),
            lane: Lane::new(threads),
            ticker: Arc::new(Ticker::start(&wasmtime).map_err(EngineError::Threads)?),
            guests: Some(guests),
            wasmtime,
        })
    }

    /// Instances that could start now.
    pub fn free_slots(&self) -> usize {
        self.slots.available_permits()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A runtime must not be dropped where it would block; guests that still run are abandoned with it.
        if let Some(guests) = self.guests.take() {
            guests.shutdown_background();
        }
    }
}

fn wasmtime_engine(settings: &Settings) -> Result<wasmtime::Engine, EngineError> {
    if settings.allocation == Allocation::Pooled {
        match wasmtime::Engine::new(&config(pool(settings.slots.saturating_add(DESCRIBERS)))) {
            Ok(engine) => return Ok(engine),
            // `ulimit -v` is the usual reason: the pool reserves address space, though little memory.
            Err(error) => {
                tracing::warn!(%error, "no address space for a pool of instances; each run maps its own, which is slower");
            }
        }
    }
    wasmtime::Engine::new(&config(InstanceAllocationStrategy::OnDemand)).map_err(EngineError::Wasmtime)
}

fn config(allocation: InstanceAllocationStrategy) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK)
        .wasm_component_model(true)
        // Nobody reads them: a failure is told by its kind and by what the plugin wrote. Without, what is compiled is smaller by
        // a sixth, and sooner there.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .native_unwind_info(false)
        .allocation_strategy(allocation);
    config
}

/// The slots of [`Allocation::Pooled`], so that a bare run can be compared on the same ones.
pub fn pool(slots: u32) -> InstanceAllocationStrategy {
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_stacks(slots)
        // The totals are what all slots can ask for together, so that no component takes the share of another. Components
        // bring an adapter or a few libraries; interpreters bring more.
        .max_core_instances_per_component(64)
        .total_core_instances(slots.saturating_mul(64))
        .max_memories_per_component(2)
        .total_memories(slots.saturating_mul(2))
        .max_tables_per_component(16)
        .total_tables(slots.saturating_mul(16))
        .table_elements(Limits::CEILING.table_elements)
        .table_keep_resident(KEPT_OF_TABLE)
        .max_memory_size(Limits::CEILING.memory_bytes)
        .linear_memory_keep_resident(if scan { KEPT_WITH_SCAN } else { KEPT_WITHOUT_SCAN })
        .pagemap_scan(Enabled::Auto);
    InstanceAllocationStrategy::Pooling(pool)
}

/// How far guests that compute for long give way to the API and to the clients. Farther, and on a machine that is busy with
/// requests the one that is on a thread at its deadline waits too long for the processor to notice.
const NICE: i32 = 3;

/// Guests give way. Not being allowed to is no reason not to run.
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "guest threads keep the normal priority");
    }
}

/// A time that `tokio` understands.
fn until(deadline: Instant) -> tokio::time::Instant {
    deadline.into()
}
