//! A component as the body of a request: streamed into a file without a name, within limits of size and time.
//!
//! It is not kept in memory while it arrives, because whoever sends slowly would hold it there. Compressed ones are
//! decompressed on the way, so that what the limit bounds is what would be compiled. The file is gone with its handle,
//! also after a crash.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::App;
use super::problem::ApiError;
use crate::catalog::MAX_SIGNATURE;
use crate::domain::{Digest, cut_bytes};

/// Uploads at the same time; more are turned away.
const MAX_UPLOADS: usize = 4;

/// How long the next piece of a body may take.
const PIECE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a whole body may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Longest value of a header that is quoted in a refusal, in bytes.
const MAX_QUOTED: usize = 100;

/// The signature: the file that minisign made, as base64.
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("paramedic-signature");

/// The digest that the uncompressed component is meant to have.
pub(super) const DIGEST: HeaderName = HeaderName::from_static("paramedic-digest");

/// Where uploads lie until they were looked at, and how large they may be.
pub struct Uploads {
    folder: PathBuf,
    max_bytes: u64,
    places: Arc<Semaphore>,
}

impl Uploads {
    /// Uploads in files without names in `folder`.
    pub fn new(folder: PathBuf, max_bytes: u64) -> Self {
        Self { folder, max_bytes, places: Arc::new(Semaphore::new(MAX_UPLOADS)) }
    }
}

/// A component that arrived.
pub(super) struct Upload {
    pub(super) component: Arc<[u8]>,
    pub(super) signature: Option<String>,
    pub(super) digest: Option<Digest>,
    /// Held until it was looked at: so many components are in memory at most.
    pub(super) place: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain,
    Gzip,
}

impl FromRequest<Arc<App>> for Upload {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let uploads = &app.parts.uploads;
        let headers = request.headers();
        refuse_other_types(headers)?;
        let encoding = encoding(headers)?;
        refuse_declared_size(headers, uploads.max_bytes)?;
        let (signature, digest) = (signature(headers)?, digest(headers)?);
        let place = uploads.places.clone().try_acquire_owned().map_err(|_| ApiError::TooManyUploads(MAX_UPLOADS))?;
        let received = tokio::time::timeout(PATIENCE, receive(request.into_body(), encoding, uploads)).await;
        let component = received.map_err(|_| ApiError::BodyTooSlow { seconds: PATIENCE.as_secs() })??;
        Ok(Self { component, signature, digest, place })
    }
}

fn refuse_other_types(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(CONTENT_TYPE).map_or(b"nothing".as_slice(), |value| value.as_bytes());
    let given = String::from_utf8_lossy(given);
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/wasm" {
        return Ok(());
    }
    Err(ApiError::NotWasm(cut_bytes(&given, MAX_QUOTED).to_owned()))
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let Some(given) = headers.get(CONTENT_ENCODING) else { return Ok(Encoding::Plain) };
    match given.as_bytes().trim_ascii().to_ascii_lowercase().as_slice() {
        b"identity" => Ok(Encoding::Plain),
        b"gzip" | b"x-gzip" => Ok(Encoding::Gzip),
        _ => Err(ApiError::UnsupportedEncoding(quoted(given.as_bytes()))),
    }
}

/// A body that says it is too large is refused before a byte of it is read. It may also lie, or say nothing.
fn refuse_declared_size(headers: &HeaderMap, limit: u64) -> Result<(), ApiError> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match declared {
        Some(length) if length > limit => Err(ApiError::ComponentTooLarge { limit }),
        Some(_) | None => Ok(()),
    }
}

fn signature(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(given) = headers.get(SIGNATURE) else { return Ok(None) };
    let refuse = |message: &str| Err(ApiError::InvalidHeader { name: SIGNATURE, message: message.to_owned() });
    let given = given.as_bytes().trim_ascii();
    if given.len() > MAX_SIGNATURE * 2 {
        return refuse("it is longer than any signature of minisign");
    }
    match BASE64_STANDARD.decode(given).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => Ok(Some(text)),
        None => refuse("expected the file that minisign made, as base64 in one line: `base64 -w0 FILE.minisig`"),
    }
}

fn digest(headers: &HeaderMap) -> Result<Option<Digest>, ApiError> {
    let Some(given) = headers.get(DIGEST) else { return Ok(None) };
    let digest = given.to_str().ok().and_then(|text| text.trim().parse().ok());
    digest.map(Some).ok_or_else(|| ApiError::InvalidHeader {
        name: DIGEST,
        message: format!(
            "expected `sha256:` and 64 hexadecimal digits, the digest of the uncompressed component, not `{}`",
            quoted(given.as_bytes())
        ),
    })
}

fn quoted(bytes: &[u8]) -> String {
    cut_bytes(&String::from_utf8_lossy(bytes), MAX_QUOTED).to_owned()
}

/// Take the body piece by piece. Writing, decompressing and reading back happen on a thread that may block; it holds a
/// few pieces at most.
async fn receive(body: Body, encoding: Encoding, uploads: &Uploads) -> Result<Arc<[u8]>, ApiError> {
    let (pieces, arriving) = mpsc::channel(4);
    let (folder, max_bytes) = (uploads.folder.clone(), uploads.max_bytes);
    let writing = tokio::task::spawn_blocking(move || {
        let file = tempfile::tempfile_in(folder).map_err(Failed::Disk)?;
        write(Bounded { file, left: max_bytes }, encoding, arriving)
    });
    let sent = send(body, pieces).await;
    let written = writing.await.map_err(|error| ApiError::Panicked(error.to_string()))?;
    match (written, sent) {
        // The writer knows better why nobody takes pieces any more.
        (Err(Failed::TooLarge), _) => Err(ApiError::ComponentTooLarge { limit: max_bytes }),
        (Err(Failed::Disk(error)), _) => Err(ApiError::UploadNotStored(error)),
        (_, Err(error)) => Err(error),
        (Err(Failed::Broken(error)), Ok(())) => Err(ApiError::NotGzip(error)),
        (Ok(component), Ok(())) => Ok(component),
    }
}

/// Hand the pieces on until the body or the interest in it ends.
async fn send(mut body: Body, pieces: mpsc::Sender<Bytes>) -> Result<(), ApiError> {
    loop {
        let piece = tokio::time::timeout(PIECE_PATIENCE, body.frame()).await;
        match piece.map_err(|_| ApiError::BodyTooSlow { seconds: PIECE_PATIENCE.as_secs() })? {
            None => return Ok(()),
            Some(Err(error)) => return Err(ApiError::BodyBroken(error)),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if pieces.send(data).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

enum Failed {
    TooLarge,
    Broken(io::Error),
    Disk(io::Error),
}

/// A file that takes so many bytes and no more.
struct Bounded<W> {
    file: W,
    left: u64,
}

/// Carries the reason through a library that only knows errors of input and output.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("it is too large")]
    TooLarge,
    #[error("it cannot be written")]
    Disk(#[source] io::Error),
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(io::Error::other(Refused::TooLarge));
        }
        let written = self.file.write(bytes).map_err(|error| io::Error::other(Refused::Disk(error)))?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|cause| cause.downcast_ref::<Refused>()) {
            Some(Refused::TooLarge) => Self::TooLarge,
            Some(Refused::Disk(_)) => Self::Disk(error),
            None => Self::Broken(error),
        }
    }
}

fn write<W: Read + Seek + Write>(
    mut file: Bounded<W>,
    encoding: Encoding,
    mut arriving: mpsc::Receiver<Bytes>,
) -> Result<Arc<[u8]>, Failed> {
    let file = match encoding {
        Encoding::Plain => {
            while let Some(piece) = arriving.blocking_recv() {
                file.write_all(&piece)?;
            }
            file.file
        }
        Encoding::Gzip => {
            let mut decoder = MultiGzDecoder::new(file);
            while let Some(piece) = arriving.blocking_recv() {
                decoder.write_all(&piece)?;
            }
            decoder.finish()?.file
        }
    };
    read_back(file).map_err(Failed::Disk)
}

fn read_back(mut file: impl Read + Seek) -> io::Result<Arc<[u8]>> {
    file.seek(SeekFrom::Start(0))?;
    let mut component = Vec::new();
    file.read_to_end(&mut component)?;
    Ok(component.into())
}
