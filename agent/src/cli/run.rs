//! `paramedic run`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use super::UNKNOWN;
use super::client::{AskError, Client};
use super::follow::{Followed, follow};
use super::output::{self, Format};
use super::{archive, watch};
use crate::api::card::{self, Detail};
use crate::api::shape;

/// Largest file of parameters: the most that an agent takes.
const MAX_PARAMS: u64 = 64 << 20;

/// Exit code of a command that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Run a plugin.
#[derive(Args, Debug)]
pub struct Run {
    /// The plugin.
    plugin: String,
    #[command(flatten)]
    asked: Params,
    /// Do not wait for the end.
    #[arg(long = "async")]
    in_background: bool,
    /// Print what the plugin writes while it runs, to standard error.
    #[arg(long, conflicts_with = "in_background")]
    follow: bool,
    /// Run it again and again, every so many seconds, and show its newest card in place; for checks alone. Ctrl-C ends it with
    /// the exit code of the last verdict.
    #[arg(
        long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = watch::USUAL, value_parser = watch::interval,
        conflicts_with_all = ["in_background", "follow", "idempotency_key", "archive"]
    )]
    watch: Option<Duration>,
    /// Save the files that the run leaves as one tar.gz, as `paramedic archive` does.
    #[arg(long, value_name = "FILE", conflicts_with = "in_background")]
    archive: Option<PathBuf>,
    /// Run once, however often it is asked for with this key within a day.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// How the run is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

/// Parameters of a plugin.
#[derive(Args, Debug)]
pub(super) struct Params {
    /// A parameter. The value is JSON where it reads as JSON, else text.
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = assignment)]
    param: Vec<(String, Value)>,
    /// All parameters as a JSON object, or @FILE that holds one, or @- for standard input; --param goes over them.
    #[arg(long, value_name = "JSON|@FILE")]
    params: Option<String>,
}

impl Params {
    /// All of them together.
    pub(super) fn read(self) -> Result<Map<String, Value>, AskError> {
        let mut all = self.params.as_deref().map(params).transpose()?.unwrap_or_default();
        all.extend(self.param);
        Ok(all)
    }

    /// True when none was given.
    pub(super) fn is_empty(&self) -> bool {
        self.param.is_empty() && self.params.is_none()
    }
}

fn assignment(text: &str) -> Result<(String, Value), String> {
    card::assignment(text).ok_or_else(|| "expected KEY=VALUE".to_owned())
}

impl Run {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        if self.archive.as_deref() == Some(Path::new("-")) {
            let hint =
                "--archive takes a file, because the card goes to standard output; `paramedic archive RUN -o -` prints";
            return Err(AskError::Params(format!("{hint} the files of a run that has ended")));
        }
        let request = shape::RunRequest { plugin: self.plugin, params: self.asked.read()?, mode: None };
        if let Some(every) = self.watch {
            return watch::watch(client, &request, every, self.output).await;
        }
        let headers = [
            ("Prefer", (self.in_background || self.follow).then_some("respond-async")),
            ("Idempotency-Key", self.idempotency_key.as_deref()),
        ];
        let mut run: shape::Run = client.post(&["v1", "runs"], &headers, &request).await?;
        if self.follow {
            if follow(client, &run.id).await? == Followed::Left {
                output::complain(&format_args!("the run goes on; `paramedic runs cancel {}` ends it", run.id));
                return Ok(INTERRUPTED);
            }
            run = client.get(&["v1", "runs", &run.id], &[]).await?;
        }
        output::answer(self.output, &run, |run, paint| card::run(run, Detail::Brief, paint))?;
        if let Some(path) = &self.archive {
            archive::save(client, &run.id, path).await?;
        }
        Ok(if self.in_background { 0 } else { code(&run) })
    }
}

/// Exit code of a monitoring plugin.
pub(super) fn code(run: &shape::Run) -> u8 {
    exit_code(run.outcome.as_ref().map(|outcome| &outcome.status))
}

/// The exit code of a verdict, or of none.
pub(super) fn exit_code(status: Option<&shape::Status>) -> u8 {
    match status.map(shape::Status::as_str) {
        Some("ok") => 0,
        Some("warning") => 1,
        Some("critical") => 2,
        Some(_) | None => UNKNOWN,
    }
}

fn params(text: &str) -> Result<Map<String, Value>, AskError> {
    let refuse = |why: String| AskError::Params(format!("--params: {why}"));
    let json = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some("-") => read(std::io::stdin()).map_err(|error| refuse(format!("standard input: {error}")))?,
        Some(path) => std::fs::File::open(path).and_then(read).map_err(|error| refuse(format!("{path}: {error}")))?,
    };
    serde_json::from_str(&json).map_err(|error| refuse(format!("expected a JSON object: {error}")))
}

fn read(source: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    source.take(MAX_PARAMS).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(outcome: Value) -> shape::Run {
        let mut run = json!({
            "id": "", "plugin": "", "version": "", "digest": "", "mode": "check", "trigger": "manual", "actor": "",
            "state": "running", "params": {}, "started": "", "calls": [], "log": [],
            "usage": {
                "duration_seconds": 0, "memory_bytes": 0, "calls": 0, "answer_bytes": 0, "dropped_log_lines": 0
            }
        });
        run["outcome"] = outcome;
        serde_json::from_value(run).unwrap()
    }

    #[test]
    fn a_verdict_becomes_the_exit_code_of_a_monitoring_plugin() {
        for (status, expected) in [("ok", 0), ("warning", 1), ("critical", 2), ("unknown", 3), ("new-word", 3)] {
            let outcome = json!({
                "status": status, "summary": "", "metrics": [], "findings": [], "suggestions": [], "labels": []
            });
            assert_eq!(code(&run(outcome)), expected, "{status}");
        }
        assert_eq!(code(&run(json!(null))), 3);
    }

    #[test]
    fn parameters_come_from_the_command_line_or_a_file() {
        assert_eq!(Value::Object(params("{\"a\": 1}").unwrap()), json!({"a": 1}));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"b\": [2]}").unwrap();
        assert_eq!(Value::Object(params(&format!("@{}", file.path().display())).unwrap()), json!({"b": [2]}));
        for (bad, expected) in [
            ("[1]", "--params: expected a JSON object: invalid type: sequence"),
            ("{", "--params: expected a JSON object: EOF"),
            ("@/nowhere/at/all", "--params: /nowhere/at/all: No such file"),
        ] {
            let error = params(bad).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
