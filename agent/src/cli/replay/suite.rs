//! `paramedic plugins test`: a folder of recordings, each run again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{DIFFERENT, card, files, replayer};
use crate::api::card::{Page, Paint, Tone, clean_line};
use crate::cli::UNKNOWN;
use crate::cli::client::AskError;
use crate::cli::output::{self, Format};
use crate::replay::{Candidate, Replayer, Report};

/// Run each recording of a folder again.
#[derive(Args, Debug)]
pub(in crate::cli) struct Suite {
    /// Folder with recordings, `*.json`.
    folder: PathBuf,
    /// The component; without it the one that lies in the folder under the name of the plugin, `pg-ready.wasm`.
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// How the outcome is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

/// What became of one recording.
#[derive(Serialize)]
struct Case {
    /// Its file.
    file: String,
    /// What was found, if it could be run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
    /// Why it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What became of all of them.
#[derive(Serialize)]
struct Cases {
    same: usize,
    different: usize,
    failed: usize,
    recordings: Vec<Case>,
}

impl Suite {
    pub(in crate::cli) async fn execute(self) -> Result<u8, AskError> {
        let (found, replayer) = (recordings(&self.folder)?, replayer()?);
        let mut components = Components { folder: &self.folder, named: self.plugin.as_deref(), known: BTreeMap::new() };
        let mut cases = Vec::new();
        for file in found {
            cases.push(case(&replayer, &mut components, &file).await);
        }
        let cases = Cases::of(cases);
        output::answer(self.output, &cases, text)?;
        Ok(match (cases.failed, cases.different) {
            (0, 0) => 0,
            (0, _) => DIFFERENT,
            (_, _) => UNKNOWN,
        })
    }
}

impl Cases {
    fn of(recordings: Vec<Case>) -> Self {
        let count = |is: fn(&Report) -> bool| {
            recordings.iter().filter_map(|case| case.report.as_ref()).filter(|r| is(r)).count()
        };
        let (same, different) = (count(|report| report.same), count(|report| !report.same));
        Self { same, different, failed: recordings.len() - same - different, recordings }
    }
}

/// The recordings of a folder, by name.
fn recordings(folder: &Path) -> Result<Vec<PathBuf>, AskError> {
    let entries = std::fs::read_dir(folder).map_err(|error| files::at(folder, &error.to_string()))?;
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    if found.is_empty() {
        return Err(files::at(
            folder,
            "there is no recording; `paramedic runs recording RUN > FOLDER/NAME.json` saves one",
        ));
    }
    found.sort_unstable();
    Ok(found)
}

/// The components that were read so far. One is compiled once for all its recordings.
struct Components<'a> {
    folder: &'a Path,
    named: Option<&'a Path>,
    known: BTreeMap<PathBuf, Candidate>,
}

impl Components<'_> {
    fn of(&mut self, plugin: &str) -> Result<&mut Candidate, AskError> {
        let file = self.named.map_or_else(|| self.folder.join(format!("{plugin}.wasm")), Path::to_owned);
        match self.known.entry(file) {
            std::collections::btree_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let component = files::component(place.key())?;
                Ok(place.insert(Candidate::new(component)))
            }
        }
    }
}

async fn case(replayer: &Replayer, components: &mut Components<'_>, file: &Path) -> Case {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    match replayed(replayer, components, file).await {
        Ok(report) => Case { file: name, report: Some(report), error: None },
        Err(error) => Case { file: name, report: None, error: Some(error) },
    }
}

async fn replayed(replayer: &Replayer, components: &mut Components<'_>, file: &Path) -> Result<Report, String> {
    let recording = files::recording(file).map_err(|error| error.to_string())?;
    let candidate = components.of(recording.plugin.as_str()).map_err(|error| error.to_string())?;
    replayer.replay(&recording, candidate).await.map_err(|error| files::chain(&error))
}

fn text(cases: &Cases, paint: Paint) -> String {
    let mut page = Page::new(paint);
    for case in &cases.recordings {
        let (tone, word, line) = match (&case.report, &case.error) {
            (Some(report), _) if report.same => (Tone::Good, "ok       ", card::headline(report)),
            (Some(report), _) => (Tone::Warning, "different", card::headline(report)),
            (None, error) => (Tone::Bad, "failed   ", clean_line(error.as_deref().unwrap_or_default())),
        };
        let word = page.tone(tone, word);
        page.line(format!("{word}  {}  {line}", clean_line(&case.file)));
        if let Some(report) = case.report.as_ref().filter(|report| !report.same) {
            card::differences(&mut page, report);
            page.gap();
        }
    }
    page.gap();
    let Cases { same, different, failed, .. } = cases;
    page.line(format!("{same} the same, {different} different, {failed} could not be run"));
    page.into_text()
}
