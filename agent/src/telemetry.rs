//! Logs and metrics: the names, and the one place that installs a subscriber.

mod changes;
mod configuration;
mod guards;
mod replicas;
mod store;
mod sweeps;
mod targets;

use std::io::IsTerminal;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tracing_subscriber::EnvFilter;

pub use configuration::ConfigurationMetrics;
pub use store::StoreMetrics;

use crate::domain::{Decision, Fate, Helped, Origin, PluginName, Run, Status};

use changes::ChangeMetrics;
use guards::GuardMetrics;
pub use replicas::ReplicaMetrics;
pub use sweeps::{SlotResult, SweepMetrics};
use targets::TargetMetrics;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Log to standard error from now on. `filter` is in the notation of `tracing_subscriber::EnvFilter`, such as
/// `info,paramedic=debug`. Fails when the filter cannot be read or a subscriber is installed already.
pub fn install(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.try_init(),
        // The spans have the current one as their last.
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    }
    .map_err(|error| anyhow::anyhow!(error))
}

/// Everything that `/metrics` shows. Labels are names of configured plugins and tokens and words of fixed lists, so their number is
/// bounded by the configuration.
pub struct Metrics {
    registry: Registry,
    runs: Family<RunLabels, Counter>,
    duration: Family<PluginLabels, Histogram>,
    status: Family<PluginLabels, Gauge>,
    calls: Family<CallLabels, Counter>,
    targets: TargetMetrics,
    changes: ChangeMetrics,
    guards: GuardMetrics,
    /// Runs under way.
    pub running: Gauge,
    /// Runs that were turned away because all slots were taken.
    pub turned_away: Counter,
    /// Plugins by whether they can run.
    pub plugins: Family<StateLabels, Gauge>,
    versions_activated: Family<OriginLabels, Counter>,
    versions_refused: Family<StepLabels, Counter>,
    version_waiting: Family<PluginLabels, Gauge>,
    quarantines: Family<PluginLabels, Counter>,
    quarantined: Family<PluginLabels, Gauge>,
    /// The agent's own database.
    pub store: StoreMetrics,
    /// Sweeps and their slots.
    pub sweeps: SweepMetrics,
    /// The configuration.
    pub configuration: ConfigurationMetrics,
    /// Who leads.
    pub replicas: ReplicaMetrics,
    limited: Family<TokenLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    token: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    plugin: String,
    status: &'static str,
    failure: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OriginLabels {
    plugin: String,
    origin: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    plugin: String,
    step: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    plugin: String,
    operation: String,
    decision: &'static str,
}

/// Label of [`Metrics::plugins`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabels {
    /// `active`, `quarantined`, `loading`, `failed` or `absent`.
    pub state: &'static str,
}

/// From a run that asks nothing, over one query, to the ceiling of a deadline.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("paramedic");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the agent", build);
        let metrics = Self {
            runs: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            status: Family::default(),
            calls: Family::default(),
            targets: TargetMetrics::register(&mut registry),
            changes: ChangeMetrics::register(&mut registry),
            guards: GuardMetrics::register(&mut registry),
            running: Gauge::default(),
            turned_away: Counter::default(),
            plugins: Family::default(),
            versions_activated: Family::default(),
            versions_refused: Family::default(),
            version_waiting: Family::default(),
            quarantines: Family::default(),
            quarantined: Family::default(),
            store: StoreMetrics::register(&mut registry),
            limited: Family::default(),
            sweeps: SweepMetrics::register(&mut registry),
            configuration: ConfigurationMetrics::register(&mut registry),
            replicas: ReplicaMetrics::register(&mut registry),
            registry: Registry::default(),
        };
        registry.register("runs", "Runs that ended, by verdict and failure", metrics.runs.clone());
        registry.register_with_unit("run_duration", "Time in the guest", Unit::Seconds, metrics.duration.clone());
        registry.register(
            "plugin_status",
            "Last verdict of a plugin: 0 ok, 1 warning, 2 critical, 3 unknown",
            metrics.status.clone(),
        );
        registry.register("host_calls", "Calls of plugins to targets, by decision", metrics.calls.clone());
        registry.register("runs_in_flight", "Runs under way", metrics.running.clone());
        registry.register("runs_turned_away", "Runs refused because all slots were taken", metrics.turned_away.clone());
        registry.register("plugins", "Plugins by state", metrics.plugins.clone());
        registry.register(
            "plugin_versions_activated",
            "Versions of plugins that became active, by where they came from",
            metrics.versions_activated.clone(),
        );
        registry.register(
            "plugin_versions_refused",
            "Versions of plugins that were not taken, by the step that they did not pass",
            metrics.versions_refused.clone(),
        );
        registry.register(
            "plugin_version_waiting",
            "1 while a version of a plugin waits for its grants",
            metrics.version_waiting.clone(),
        );
        registry.register(
            "plugin_quarantines",
            "Times that a plugin was put in quarantine",
            metrics.quarantines.clone(),
        );
        registry.register("plugin_quarantined", "1 while a plugin is in quarantine", metrics.quarantined.clone());
        registry.register("requests_limited", "Requests of a token beyond its rate", metrics.limited.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Count a run that ended.
    pub fn ended(&self, run: &Run) {
        let Some(ending) = &run.ending else { return };
        let plugin = run.plugin.to_string();
        let failure = match ending {
            crate::domain::Ending::Concluded(_) => "",
            crate::domain::Ending::Failed(failure) => failure.kind.as_str(),
        };
        let status: Status = ending.status();
        self.runs.get_or_create(&RunLabels { plugin: plugin.clone(), status: status.as_str(), failure }).inc();
        let labels = PluginLabels { plugin: plugin.clone() };
        self.duration.get_or_create(&labels).observe(run.usage.duration.as_secs_f64());
        self.status.get_or_create(&labels).set(i64::from(status.code()));
        for call in &run.calls {
            let decision = Decision::as_str(call.decision);
            let labels = CallLabels { plugin: plugin.clone(), operation: call.operation.clone(), decision };
            self.calls.get_or_create(&labels).inc();
            self.targets.called(call);
        }
    }

    /// Count what became of a change.
    pub fn changed(&self, plugin: &PluginName, operation: &str, target: &str, fate: &Fate) {
        self.changes.changed(plugin, operation, target, fate);
    }

    /// Count whether an apply helped.
    pub fn helped(&self, plugin: &PluginName, verdict: Helped) {
        self.changes.helped(plugin, verdict);
    }

    /// Count an apply that `guard`, a word of a fixed list, refused.
    pub fn apply_refused(&self, guard: &'static str) {
        self.guards.refused(guard);
    }

    /// Count an apply past all guards.
    pub fn glass_broken(&self, plugin: &PluginName) {
        self.guards.broken(plugin);
    }

    /// Count a version that became active.
    pub fn version_activated(&self, plugin: &PluginName, origin: Origin) {
        let labels = OriginLabels { plugin: plugin.to_string(), origin: origin.as_str() };
        self.versions_activated.get_or_create(&labels).inc();
    }

    /// Count a version that was not taken because of `step`, a word of a closed list.
    pub fn version_refused(&self, plugin: &PluginName, step: &'static str) {
        self.versions_refused.get_or_create(&StepLabels { plugin: plugin.to_string(), step }).inc();
    }

    /// Show whether a version waits for its grants.
    pub fn version_waits(&self, plugin: &PluginName, waits: bool) {
        let labels = PluginLabels { plugin: plugin.to_string() };
        self.version_waiting.get_or_create(&labels).set(i64::from(waits));
    }

    /// Count a plugin that was put in quarantine.
    pub fn quarantine_began(&self, plugin: &PluginName) {
        self.quarantines.get_or_create(&PluginLabels { plugin: plugin.to_string() }).inc();
    }

    /// Show whether a plugin is in quarantine.
    pub fn quarantined(&self, plugin: &PluginName, is: bool) {
        self.quarantined.get_or_create(&PluginLabels { plugin: plugin.to_string() }).set(i64::from(is));
    }

    /// Show no more how a plugin stands: it is configured no more.
    pub fn forget_plugin(&self, plugin: &PluginName) {
        let labels = PluginLabels { plugin: plugin.to_string() };
        for shown in [&self.status, &self.version_waiting, &self.quarantined] {
            shown.remove(&labels);
        }
    }

    /// Count a request that came too soon after others with the same token.
    pub fn rate_limited(&self, token: &str) {
        self.limited.get_or_create(&TokenLabels { token: token.to_owned() }).inc();
    }

    /// The text of `/metrics`, in the OpenMetrics 1.0 format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
