//! `plugins`: where each comes from, what it may do and how much it may use.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::domain::{Approvers, Grant, Limits, PluginName, Recordings};

use super::choices::choose_from;
use super::field::{Field, Mapping};
use super::intake::{Intake, Signing};
use super::limits;
use super::names::Names;
use super::report::quoted;
use super::sources::Sources;
use super::{grants, yaml};

/// How long a plugin may have to leave a target alone.
const COOLDOWNS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 60 * 60);

/// One plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// The component.
    pub source: Source,
    /// Names of the keys of which one has to have signed it; none where `signing` alone decides.
    pub signed_by: Option<Vec<String>>,
    /// What it may do. Empty means nothing.
    pub grants: Vec<Grant>,
    /// Whether somebody else has to approve its plans.
    pub approval: Approvers,
    /// How long it leaves a target alone that it has changed.
    pub cooldown: Option<Duration>,
    /// Which of its runs are recorded.
    pub recordings: Recordings,
    /// Parameters that hold where a request names none.
    pub params: Map<String, Value>,
    /// What the `config` interface answers.
    pub settings: BTreeMap<String, String>,
    /// What a run may use.
    pub limits: Limits,
}

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file on this machine.
    File(PathBuf),
    /// The watched folder, under the plugin's name.
    Folder,
    /// Whoever may push it over the API.
    Upload,
}

/// What a plugin may refer to. What could not be read is none, and was told where it stands.
pub(super) struct Surroundings<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) intake: Option<&'a Intake>,
    pub(super) signing: Option<&'a Signing>,
}

/// Read `plugins`.
pub(super) fn read(
    root: &Mapping<'_>,
    around: &Surroundings<'_>,
    sources: &Sources<'_>,
) -> Option<BTreeMap<PluginName, Plugin>> {
    let Some(field) = root.get("plugins") else { return Some(BTreeMap::new()) };
    let read: Vec<_> = field
        .entries()?
        .iter()
        .map(|entry| (entry.parsed::<PluginName>(), Plugin::read(&entry.value, around, sources)))
        .collect();
    read.into_iter().map(|(name, plugin)| Some((name?, plugin?))).collect()
}

impl Plugin {
    fn read(field: &Field<'_>, around: &Surroundings<'_>, sources: &Sources<'_>) -> Option<Self> {
        let plugin = field.mapping(&[
            "source",
            "signed_by",
            "grants",
            "approval",
            "cooldown",
            "recordings",
            "params",
            "settings",
            "limits",
        ])?;
        let source = plugin.required("source", |field| Source::read(field, around, sources));
        let signed_by = plugin.or("signed_by", None, |field| match around.signing {
            Some(signing) => signing.names(field).map(Some),
            None => Some(None),
        });
        let grants = plugin.or("grants", Vec::new(), |field| {
            grants::compare(field, field.all(|item| grants::read(item, around.names))?)
        });
        let approval = plugin.or("approval", Approvers::None, approvers);
        let cooldown = plugin.or("cooldown", None, |field| field.duration(COOLDOWNS).map(Some));
        let recordings = plugin.or("recordings", Recordings::default(), recordings);
        let limits = limits::read(&plugin);
        let most = limits.map_or(usize::MAX, |limits| limits.params_bytes);
        let params = plugin.or("params", Map::new(), |field| params(field, most));
        let settings = plugin.or("settings", BTreeMap::new(), settings);
        Some(Self {
            source: source?,
            signed_by: signed_by?,
            grants: grants?,
            approval: approval?,
            cooldown: cooldown?,
            recordings: recordings?,
            params: params?,
            settings: settings?,
            limits: limits?,
        })
    }
}

impl Source {
    fn read(field: &Field<'_>, around: &Surroundings<'_>, sources: &Sources<'_>) -> Option<Self> {
        let yaml::Value::Text(word) = field.value() else {
            return field.mapping(&["file"])?.required("file", |file| sources.path(file)).map(Self::File);
        };
        match word.as_str() {
            "upload" => Some(Self::Upload),
            "folder" if around.intake.is_some_and(|intake| intake.folder.is_none()) => {
                field.refuse("`intake.folder` says which folder that is, and is missing")
            }
            "folder" => Some(Self::Folder),
            word => {
                let choices = choose_from(word, ["upload", "folder"]);
                field.refuse(format!("{} is no source{choices}, or write `{{ file: PATH }}`", quoted(word)))
            }
        }
    }
}

fn approvers(field: &Field<'_>) -> Option<Approvers> {
    let word = field.text()?;
    match Approvers::ALL.into_iter().find(|known| known.as_str() == word) {
        Some(approvers) => Some(approvers),
        None => {
            let choices = choose_from(word, Approvers::ALL.map(Approvers::as_str));
            field.refuse(format!("{} is no number of approvals{choices}", quoted(word)))
        }
    }
}

fn recordings(field: &Field<'_>) -> Option<Recordings> {
    let word = field.text()?;
    match Recordings::ALL.into_iter().find(|known| known.as_str() == word) {
        Some(recordings) => Some(recordings),
        None => {
            let choices = choose_from(word, Recordings::ALL.map(Recordings::as_str));
            field.refuse(format!("{} does not say which runs are recorded{choices}", quoted(word)))
        }
    }
}

fn params(field: &Field<'_>, most: usize) -> Option<Map<String, Value>> {
    let params = object(field)?;
    let length = Value::Object(params.clone()).to_string().len();
    if length > most {
        return field.refuse(format!("as JSON these are {length} bytes; the limit `params` allows {most}"));
    }
    Some(params)
}

/// A mapping as the parameters of a run.
pub(super) fn object(field: &Field<'_>) -> Option<Map<String, Value>> {
    let read: Vec<_> = field.entries()?.iter().map(|entry| (entry.name(), json(&entry.value))).collect();
    read.into_iter().map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn json(field: &Field<'_>) -> Option<Value> {
    match field.value() {
        yaml::Value::Nothing => Some(Value::Null),
        yaml::Value::Boolean(value) => Some(Value::Bool(*value)),
        yaml::Value::Number(number) => Some(Value::Number(number.clone())),
        yaml::Value::Text(text) => Some(Value::String(text.clone())),
        yaml::Value::List(_) => field.all(json).map(Value::Array),
        yaml::Value::Mapping(_) => object(field).map(Value::Object),
    }
}

fn settings(field: &Field<'_>) -> Option<BTreeMap<String, String>> {
    let mut settings = Vec::new();
    for entry in field.entries()? {
        if entry.name().is_empty() || entry.name().len() > 64 || entry.name().chars().any(char::is_control) {
            entry.note(format!("{} is no name of a setting: use 1 to 64 characters", quoted(entry.name())));
        }
        settings.push(entry.value.text().map(|text| (entry.name().to_owned(), text.to_owned())));
    }
    settings.into_iter().collect()
}
