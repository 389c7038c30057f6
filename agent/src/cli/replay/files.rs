//! Recordings and components as files.

use std::error::Error;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::cli::client::AskError;
use crate::recording::{self, Recording};

/// Most bytes that are read of a file, and of what is compressed in it: more than any agent takes or gives.
const MAX_FILE: u64 = 64 << 20;

/// The recording in a file.
pub(super) fn recording(file: &Path) -> Result<Recording, AskError> {
    recording::read(&read(file)?).map_err(|error| at(file, &chain(&error)))
}

/// The component in a file, compressed or not.
pub(super) fn component(file: &Path) -> Result<Vec<u8>, AskError> {
    let bytes = read(file)?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut component = Vec::new();
    let read = MultiGzDecoder::new(bytes.as_slice()).take(MAX_FILE).read_to_end(&mut component);
    read.map_err(|error| at(file, &error.to_string()))?;
    Ok(component)
}

fn read(file: &Path) -> Result<Vec<u8>, AskError> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|opened| opened.take(MAX_FILE).read_to_end(&mut bytes));
    read.map_err(|error| at(file, &error.to_string()))?;
    Ok(bytes)
}

pub(super) fn at(file: &Path, what: &str) -> AskError {
    AskError::Params(format!("{}: {what}", file.display()))
}

/// An error with all its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
