//! What the host keeps for one instance, from its start to its end.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::context::TokioContext;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::bindings::paramedic::plugin::types;
use super::limiter::Limiter;
use super::overlay::Overlay;
use super::stdio::Capture;
use super::{Memory, RunLog, Targets, time};
use crate::clock::Clock;
use crate::domain::{CallError, CallLimits, Difference, Label, Limits, PluginName};
use crate::journal::{Arguments, Change, Disposition, Journal, Receipt, Stop};
use crate::policy::{ChangeOp, Op, Permit};

/// Whether an instance may reach the interfaces of the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The instance runs.
    Open,
    /// The instance describes itself, and any call ends it.
    Describing,
}

/// Most things of WASI (streams, timers, sockets that go nowhere) that an instance can hold at a time. A standard library
/// holds a dozen; each costs memory of the host, so that a guest which only ever makes new ones has to end.
const MAX_RESOURCES: usize = 1_000;

/// What all runs of one plugin share.
pub struct PluginContext {
    /// The plugin.
    pub name: PluginName,
    /// What the `config` interface answers, sorted by name.
    pub settings: Vec<Label>,
    /// What the `state` interface reads and writes.
    pub memory: Arc<dyn Memory>,
    /// The clients of all targets; the permit says which one.
    pub targets: Arc<Targets>,
    /// The recorded clock.
    pub clock: Arc<dyn Clock>,
    /// Where clients do their work. Guests have threads of their own, and a connection that lived on those would wait for
    /// whatever guest is computing there.
    pub io: tokio::runtime::Handle,
}

/// The host's side of one instance.
pub struct RunState {
    /// What the plugin's runs share.
    pub plugin: Arc<PluginContext>,
    /// Decides, counts and records every call to a target.
    pub journal: Journal,
    /// What the `state` interface reads and writes.
    pub(super) memory: Arc<dyn Memory>,
    /// The log of the run.
    pub log: RunLog,
    /// Bounds memory and tables.
    pub limiter: Limiter,
    gate: Gate,
    wasi: WasiCtx,
    table: ResourceTable,
    streams: [Capture; 2],
}

impl RunState {
    /// The state of an instance. WASI is inert: clocks and random numbers, output to the log, and nothing else; no
    /// environment, arguments, input, directories or sockets.
    pub fn new(plugin: Arc<PluginContext>, journal: Journal, limits: &Limits, gate: Gate) -> Self {
        let log = RunLog::new(plugin.clock.clone(), limits, journal.observer().clone());
        let streams = [Capture::stdout(log.clone()), Capture::stderr(log.clone())];
        let [stdout, stderr] = streams.clone();
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(stdout).stderr(stderr).max_random_size(64 << 10).allow_tcp(false).allow_udp(false);
        time::set(&mut wasi, &plugin.clock, journal.dials());
        let wasi = wasi.build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let memory: Arc<dyn Memory> =
            if journal.makes_a_plan() { Arc::new(Overlay::new(plugin.memory.clone())) } else { plugin.memory.clone() };
        Self { plugin, journal, memory, log, limiter: Limiter::new(limits), gate, wasi, table, streams }
    }

    /// Write out what the guest left without a line end.
    pub fn finish_streams(&self) {
        self.streams.iter().for_each(Capture::finish);
    }

    /// Let a call to an interface of the package through. Every host function begins with it or with
    /// [`RunState::read`].
    pub(super) fn enter(&self) -> Result<(), Stop> {
        match self.gate {
            Gate::Open => Ok(()),
            Gate::Describing => Err(Stop::Describing),
        }
    }

    /// The arguments of a call, none yet.
    pub(super) fn arguments(&self) -> Arguments {
        self.journal.arguments()
    }

    /// Carry out a call that reads a target, and encode what it answered.
    pub(super) async fn read<O, T, W, C>(
        &mut self,
        target: &str,
        arguments: Arguments,
        encode: fn(T) -> W,
        call: C,
    ) -> wasmtime::Result<Result<W, types::Error>>
    where
        O: Op,
        T: Serialize + DeserializeOwned,
        C: AsyncFnOnce(&Targets, Permit<O>, CallLimits) -> Result<T, CallError>,
    {
        self.enter()?;
        let (targets, io) = (self.plugin.targets.clone(), self.plugin.io.clone());
        let answered = self
            .journal
            .read::<O, T, _>(target, arguments, async |permit, limits| {
                TokioContext::new(call(&targets, permit, limits), io).await
            })
            .await?;
        Ok(answered.map(encode).map_err(types::Error::from))
    }
}

impl RunState {
    /// Carry out a call that changes a target, as far as the run's mode lets it.
    pub(super) async fn change<O, M>(
        &mut self,
        target: &str,
        arguments: Arguments,
        make: M,
    ) -> wasmtime::Result<Result<types::Receipt, types::Error>>
    where
        O: ChangeOp,
        M: FnOnce(&Targets, Permit<O>) -> Result<Arc<dyn Change>, CallError>,
    {
        self.enter()?;
        let targets = self.plugin.targets.clone();
        let receipt = self.journal.change::<O, _>(target, arguments, |permit| make(&targets, permit)).await?;
        Ok(receipt.map(types::Receipt::from).map_err(types::Error::from))
    }
}

impl From<Receipt> for types::Receipt {
    fn from(receipt: Receipt) -> Self {
        let change = |difference: Difference| types::Change {
            field: difference.field,
            before: difference.before,
            after: difference.after,
        };
        Self {
            sequence: receipt.sequence,
            disposition: match receipt.disposition {
                Disposition::Applied => types::Disposition::Applied,
                Disposition::Planned => types::Disposition::Planned,
                Disposition::Unchanged => types::Disposition::Unchanged,
            },
            summary: receipt.summary,
            changes: receipt.differences.into_iter().map(change).collect(),
            reversible: receipt.reversible,
            answer: receipt.answer,
        }
    }
}

impl WasiView for RunState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
