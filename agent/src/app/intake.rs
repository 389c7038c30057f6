//! The settings of the way in, and the entries of the catalog, from the configuration.

use std::sync::Arc;

use crate::catalog::{Entry, Folder, Intake, Key, Policy, Source, Trust};
use crate::config::{self, Config};
use crate::domain::{Label, PluginName};
use crate::policy::Grants;
use crate::store::{KeepBounds, PluginStore};
use crate::telemetry::Metrics;

/// The way in, with versions kept in `store`.
pub(super) fn intake(config: &Config, store: Arc<dyn PluginStore>, metrics: Arc<Metrics>) -> Intake {
    let config::Quarantine { faults, first, longest } = config.quarantine;
    Intake {
        store,
        metrics,
        max_component_bytes: config.intake.max_component_bytes,
        keep: KeepBounds { versions: config.intake.keep, bytes: config.intake.keep_bytes },
        quarantine: Policy { faults, first, longest },
    }
}

/// The watched folder, if there is one.
pub(super) fn folder(config: &Config) -> Option<Folder> {
    let path = config.intake.folder.clone()?;
    Some(Folder::new(path, config.intake.max_component_bytes))
}

/// What the catalog is told of each plugin.
pub(super) fn entries(config: &Config) -> Vec<Entry> {
    config.plugins.iter().map(|(name, plugin)| entry(config, name, plugin)).collect()
}

fn entry(config: &Config, name: &PluginName, plugin: &config::Plugin) -> Entry {
    let setting = |(name, value): (&String, &String)| Label { name: name.clone(), value: value.clone() };
    Entry {
        name: name.clone(),
        source: match &plugin.source {
            config::Source::File(file) => Source::File(file.clone()),
            config::Source::Folder => Source::Folder,
            config::Source::Upload => Source::Upload,
        },
        trust: trust(&config.signing, plugin.signed_by.as_deref()),
        grants: Arc::new(Grants::new(name.clone(), plugin.grants.clone())),
        defaults: plugin.params.clone(),
        settings: plugin.settings.iter().map(setting).collect(),
        limits: plugin.limits,
    }
}

/// Whoever names keys for a plugin wants its signature, and that of no other key.
fn trust(signing: &config::Signing, signed_by: Option<&[String]>) -> Trust {
    let counts = |key: &&config::SigningKey| signed_by.is_none_or(|names| names.contains(&key.name));
    let key = |key: &config::SigningKey| Key { name: key.name.clone(), key: key.key.clone() };
    Trust {
        keys: signing.keys.iter().filter(counts).map(key).collect(),
        required: signing.required || signed_by.is_some(),
    }
}
