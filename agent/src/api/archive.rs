//! The files of a run as one `tar.gz`, with a manifest that tells where they come from.
//!
//! The same run gives the same bytes: files lie in the order of their paths, belong to nobody in particular, and are as old as
//! the end of the run. So two people who hold an archive can tell by its digest that they hold the same one.

use std::collections::BTreeSet;
use std::io::Write;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;

use super::problem::{ApiError, Problems};
use super::runs::{recorded, run_id};
use super::{Segment, Shared};
use crate::domain::{Digest, Ending, File, Files, MANIFEST, Outcome, Run};

const GZIP: HeaderValue = HeaderValue::from_static("application/gzip");
const DIGEST: HeaderName = HeaderName::from_static("paramedic-digest");

/// The form of the manifest.
const FORMAT: u32 = 1;

/// The files of a run, in one archive.
///
/// Some plugins, such as `capture-state`, leave files beside their verdict. They are in one folder, with a `MANIFEST.json` of the
/// agent's own: which run it was, each file with its size and digest, and what is missing and why. The same run gives the same
/// bytes.
#[utoipa::path(
    get, path = "/v1/runs/{id}/archive", operation_id = "getArchive", tag = "runs",
    params(("id" = String, Path, description = "Id of the run.")),
    responses(
        (status = 200, description = "The archive, a tar that is compressed by gzip.", headers(
            ("Paramedic-Digest" = String, description = "`sha256:` and the digest of the archive.")
        ), body = Vec<u8>, content_type = "application/gzip"),
        Problems
    )
)]
pub(super) async fn show(State(app): Shared, Segment(id): Segment) -> Result<Response, ApiError> {
    let run = recorded(&app, run_id(&id)?).await?;
    let (id, name) = (run.id, folder(&run));
    let packed = tokio::task::spawn_blocking(move || pack(run)).await;
    let bytes = packed.map_err(|error| ApiError::Panicked(error.to_string()))?.map_err(|error| match error {
        PackError::NoFiles { has_ended, run } => ApiError::NoFiles { id, plugin: run.plugin, has_ended },
        PackError::Write(source) => ApiError::NotPacked { id, source },
    })?;
    let named = HeaderValue::from_str(&format!("attachment; filename=\"{name}.tar.gz\""));
    let digest = HeaderValue::from_str(&Digest::of(&bytes).to_string());
    let named = named.map(|named| (CONTENT_DISPOSITION, named));
    let digest = digest.map(|digest| (DIGEST, digest));
    let headers: HeaderMap = named.into_iter().chain(digest).chain([(CONTENT_TYPE, GZIP)]).collect();
    Ok((headers, bytes).into_response())
}

/// Why there is no archive.
enum PackError {
    NoFiles { has_ended: bool, run: Box<Run> },
    Write(std::io::Error),
}

/// The one folder of an archive, so that unpacking it leaves nothing lying about.
fn folder(run: &Run) -> String {
    format!("{}-{}", run.plugin, run.id)
}

/// The archive of a run.
fn pack(run: Run) -> Result<Vec<u8>, PackError> {
    let outcome = match &run.ending {
        Some(Ending::Concluded(outcome)) if !outcome.files.is_empty() => outcome,
        ending => {
            let has_ended = ending.is_some();
            return Err(PackError::NoFiles { has_ended, run: Box::new(run) });
        }
    };
    let manifest = manifest(&run, outcome).map_err(|error| PackError::Write(error.into()))?;
    write(&run, &manifest, &outcome.files).map_err(PackError::Write)
}

fn write(run: &Run, manifest: &str, files: &Files) -> std::io::Result<Vec<u8>> {
    let (folder, end) = (folder(run), run.finished.unwrap_or(run.started).as_millis() / 1000);
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let texts = files.kept.iter().map(|file| (file.path.as_str(), file.text.as_str()));
    for (path, text) in std::iter::once((MANIFEST, manifest)).chain(texts) {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mtime(end);
        // What a system did is not for everybody on the machine where it is unpacked.
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, format!("{folder}/{path}"), text.as_bytes())?;
    }
    let mut bytes = archive.into_inner()?.finish()?;
    bytes.flush()?;
    Ok(bytes)
}

/// What is in an archive, and where it comes from.
#[derive(Serialize)]
struct Manifest<'a> {
    format: u32,
    run: String,
    plugin: &'a str,
    version: &'a str,
    component: String,
    status: &'a str,
    summary: &'a str,
    started: String,
    finished: Option<String>,
    /// What the plugin looked at, as far as it was let.
    targets: BTreeSet<&'a str>,
    params: Value,
    files: Vec<Listed<'a>>,
    missing: Vec<Absent<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    path: &'a str,
    size: usize,
    sha256: String,
    /// What was left out of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<&'a str>,
}

#[derive(Serialize)]
struct Absent<'a> {
    part: &'a str,
    why: &'a str,
}

fn manifest(run: &Run, outcome: &Outcome) -> serde_json::Result<String> {
    let listed = |file: &File| Digest::of(file.text.as_bytes()).hex();
    let listed: Vec<_> = outcome.files.kept.iter().map(|file| (file, listed(file))).collect();
    let manifest = Manifest {
        format: FORMAT,
        run: run.id.to_string(),
        plugin: run.plugin.as_str(),
        version: &run.version,
        component: run.digest.to_string(),
        status: outcome.status.as_str(),
        summary: &outcome.summary,
        started: run.started.to_string(),
        finished: run.finished.map(|at| at.to_string()),
        targets: run.calls.iter().map(|call| call.target.as_str()).collect(),
        params: serde_json::from_str(&run.params).unwrap_or_default(),
        files: listed
            .into_iter()
            .map(|(file, sha256)| Listed {
                path: file.path.as_str(),
                size: file.text.len(),
                sha256,
                cut: file.cut.as_deref(),
            })
            .collect(),
        missing: outcome
            .files
            .missing
            .iter()
            .map(|missing| Absent { part: &missing.part, why: &missing.why })
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&manifest)? + "\n")
}
