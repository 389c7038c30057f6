//! Writing and reading the document. Its digest is taken over all else in it, with the names in order and nothing between
//! them, so that it does not matter how a tool has laid it out.

use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Map, Value};

use super::{FORMAT, MAX_BYTES, Recording};
use crate::domain::Digest;

/// Most bytes of a document that are read: what a recording can have, and room for how it is laid out.
const MAX_READ: u64 = 16 * MAX_BYTES as u64;

/// A document as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// gzip.
    pub bytes: Vec<u8>,
    /// Size of what is in it.
    pub size: u64,
}

/// Why something is no recording that can be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It is not compressed as it should be, or has no end.
    #[error("it cannot be unpacked")]
    Gzip(#[source] io::Error),
    /// It is no JSON.
    #[error("it is no JSON: {0}")]
    NotJson(serde_json::Error),
    /// It is something else.
    #[error("it has no `format`, so it is no recording of a run")]
    NoRecording,
    /// Another version of the agent made it.
    #[error(
        "it has the format {found}, and this version of paramedic reads {FORMAT}: record the run again, or use the version that recorded it"
    )]
    Format {
        /// What it says.
        found: Value,
    },
    /// It was changed.
    #[error(
        "it is not as it was recorded: its digest is {is}, and it says {says}; one that you changed on purpose has no `digest`"
    )]
    Changed {
        /// What it should be.
        says: String,
        /// What it is.
        is: Digest,
    },
    /// It says what no recording says.
    #[error("it is no recording of a run: {0}")]
    Shape(serde_json::Error),
}

/// The document, compressed.
pub fn pack(recording: &Recording) -> io::Result<Packed> {
    let text = text(recording)?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes())?;
    Ok(Packed { bytes: gzip.finish()?, size: text.len() as u64 })
}

/// The document as it was before it was compressed.
pub fn unpack(bytes: &[u8]) -> Result<String, RecordingError> {
    let mut text = String::new();
    GzDecoder::new(bytes).take(MAX_READ).read_to_string(&mut text).map_err(RecordingError::Gzip)?;
    Ok(text)
}

/// Read a document that may have come from anywhere.
pub fn read(text: &[u8]) -> Result<Recording, RecordingError> {
    let mut document: Map<String, Value> = serde_json::from_slice(text).map_err(RecordingError::NotJson)?;
    match document.get("format") {
        None => return Err(RecordingError::NoRecording),
        Some(found) if found.as_u64() != Some(u64::from(FORMAT)) => {
            return Err(RecordingError::Format { found: found.clone() });
        }
        Some(_) => {}
    }
    let says = document.remove("digest");
    let document = Value::Object(document);
    if let Some(says) = says {
        let is = digest(&document);
        if says.as_str() != Some(is.to_string().as_str()) {
            let says = says.as_str().map_or_else(|| says.to_string(), str::to_owned);
            return Err(RecordingError::Changed { says: crate::domain::cut_bytes(&says, 80).to_owned(), is });
        }
    }
    serde_json::from_value(document).map_err(RecordingError::Shape)
}

fn text(recording: &Recording) -> io::Result<String> {
    let mut document = serde_json::to_value(recording)?;
    let digest = digest(&document).to_string();
    if let Value::Object(names) = &mut document {
        names.insert("digest".to_owned(), Value::String(digest));
    }
    Ok(document.to_string())
}

/// Objects keep their names in order.
fn digest(document: &Value) -> Digest {
    Digest::of(document.to_string().as_bytes())
}
