//! Runs a recording again, with the engine and the limits of every run and nothing to reach: no target, no store, no network.
//!
//! ```text
//! Recording ─► grants, settings, clocks, answers ─┐
//! component ─► judged, compiled, described ───────┴─► engine ─► Taped ─► compared with the recording ─► Report
//! ```
//!
//! Knows the engine and recordings; never the API, the store or a client.

mod compare;
mod report;

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::{Clock, ManualClock};
use crate::domain::{Digest, Grant, Label, Trigger};
use crate::engine::{
    Allocation, Cancellation, Engine, EngineError, Finished, Invocation, LoadError, Program, Settings, Unobserved,
};
use crate::host::{NoMemory, PluginContext, Targets};
use crate::policy::Grants;
use crate::recording::{Line, MAX_BYTES, Recording, Reel, ending};
pub use report::{CallDifference, ChangeDifference, EndDifference, How, Report, Version};

/// Why a recording was not run again. What a guest does in a replay is never such a reason.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is not all of it.
    #[error(
        "the recording of run {run} was cut: the run was told more than the {} MiB that a recording holds",
        MAX_BYTES >> 20
    )]
    Cut {
        /// The run.
        run: String,
    },
    /// Its grants make no sense.
    #[error("the recording has grants that nobody can have: {0}")]
    Grants(String),
    /// The component is another plugin.
    #[error("the recording is of the plugin `{recorded}`, and the component is `{component}`")]
    OtherPlugin {
        /// Whose run it was.
        recorded: String,
        /// Whose component it is.
        component: String,
    },
    /// The component could not have been loaded under the grants of the recording.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Runs recordings again.
pub struct Replayer {
    engine: Engine,
}

/// A component with which recordings are run.
pub struct Candidate {
    component: Arc<[u8]>,
    digest: Digest,
    /// By the digest of the grants: what is not granted is not linked.
    programs: HashMap<Digest, (Program, String)>,
}

impl Candidate {
    /// A component that nothing is known of yet.
    pub fn new(component: Vec<u8>) -> Self {
        let digest = Digest::of(&component);
        Self { component: component.into(), digest, programs: HashMap::new() }
    }

    /// Its digest.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl Replayer {
    /// An engine of its own. Nothing that it compiles is kept.
    pub fn new() -> Result<Self, EngineError> {
        let settings = Settings { slots: 1, threads: 2, cache: None, allocation: Allocation::OnDemand };
        Ok(Self { engine: Engine::new(&settings)? })
    }

    /// Run a recording again with that component, and tell what is different.
    pub async fn replay(&self, recording: &Recording, candidate: &mut Candidate) -> Result<Report, ReplayError> {
        if recording.cut {
            return Err(ReplayError::Cut { run: recording.run.to_string() });
        }
        let lines: Vec<Grant> =
            recording.grants.iter().map(Line::grant).collect::<Result<_, _>>().map_err(ReplayError::Grants)?;
        let grants = Arc::new(Grants::new(recording.plugin.clone(), lines));
        let context = context(recording);
        let (program, version) = self.prepare(recording, candidate, &grants, &context).await?;
        let finished = self.engine.run(&program, invocation(recording, grants, context)).await;
        let Finished { ending: ended, taped, .. } = finished;
        let replayed = Version { version, component: candidate.digest.to_string() };
        Ok(compare::compare(recording, &taped.unwrap_or_default(), ending(&ended), replayed))
    }

    async fn prepare(
        &self,
        recording: &Recording,
        candidate: &mut Candidate,
        grants: &Grants,
        context: &Arc<PluginContext>,
    ) -> Result<(Program, String), ReplayError> {
        if let Some(known) = candidate.programs.get(&grants.digest()) {
            return Ok(known.clone());
        }
        let program = self.engine.load(candidate.component.clone(), grants, &recording.plugin).await?;
        let metadata = self.engine.describe(&program, context.clone(), &recording.limits).await?;
        if metadata.name != recording.plugin {
            let (recorded, component) = (recording.plugin.to_string(), metadata.name.to_string());
            return Err(ReplayError::OtherPlugin { recorded, component });
        }
        let known = (program, metadata.version.to_string());
        candidate.programs.insert(grants.digest(), known.clone());
        Ok(known)
    }
}

fn context(recording: &Recording) -> Arc<PluginContext> {
    let setting = |(name, value): (&String, &String)| Label { name: name.clone(), value: value.clone() };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(recording.started()));
    Arc::new(PluginContext {
        name: recording.plugin.clone(),
        settings: recording.settings.iter().map(setting).collect(),
        memory: Arc::new(NoMemory),
        targets: Arc::new(Targets::default()),
        clock,
        io: tokio::runtime::Handle::current(),
    })
}

fn invocation(recording: &Recording, grants: Arc<Grants>, plugin: Arc<PluginContext>) -> Invocation {
    let trigger = Trigger::ALL.into_iter().find(|known| known.as_str() == recording.trigger);
    Invocation {
        run: recording.run,
        mode: recording.mode,
        trigger: trigger.unwrap_or(Trigger::Manual).as_str(),
        started: recording.started(),
        params: recording.params.to_string(),
        limits: recording.limits,
        grants,
        plugin,
        cancellation: Cancellation::never(),
        observer: Arc::new(Unobserved),
        following: None,
        reel: Some(Reel::playing(recording)),
    }
}
