//! `paramedic plugins push`.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use flate2::read::MultiGzDecoder;

use crate::api::shape;
use crate::cli::client::{AskError, Client, Upload};
use crate::cli::output::Format;
use crate::domain::Digest;

/// Most bytes that are read of a file: more than any agent takes, so that it is the agent who says what is too large.
const MAX_FILE: u64 = 64 << 20;

/// Deliver a version of a plugin.
#[derive(Args, Debug)]
pub(super) struct Push {
    /// The component: a `.wasm`, or a `.wasm.gz`.
    file: PathBuf,
    /// The plugin; without it the name of the file says which, with `_` read as `-`.
    #[arg(long)]
    name: Option<String>,
    /// The version that it has to be; without it the component says which.
    #[arg(long, value_name = "VERSION")]
    expect: Option<String>,
    /// The signature; without it FILE.minisig, if there is one.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// How the outcome is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

impl Push {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let name = match self.name {
            Some(name) => name,
            None => plugin_name(&self.file).ok_or_else(|| {
                AskError::Params(format!("{}: its name says no plugin; give --name", self.file.display()))
            })?,
        };
        let signature = signature(&self.file, self.signature.as_deref())?;
        let (bytes, is_gzip, digest) = component(&self.file)?;
        let upload = Upload { bytes, is_gzip, digest: digest.map(|digest| digest.to_string()), signature };
        let path = ["v1", "plugins", &name, "versions"];
        let delivered: shape::Delivered = match &self.expect {
            Some(version) => client.put(&[&path[..], &[version]].concat(), upload).await?,
            None => client.push(&path, upload).await?,
        };
        super::told(self.output, &delivered)
    }
}

/// `target/…/pg_outbox.wasm` is what cargo makes of the plugin `pg-outbox`.
fn plugin_name(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let stem = stem.strip_suffix(".wasm")?;
    Some(stem.replace('_', "-"))
}

/// The bytes to send, whether they are compressed, and the digest of the component itself. One that cannot be
/// decompressed is the agent's to refuse.
fn component(file: &Path) -> Result<(Vec<u8>, bool, Option<Digest>), AskError> {
    let bytes = read(file)?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        let digest = Digest::of(&bytes);
        return Ok((bytes, false, Some(digest)));
    }
    let mut component = Vec::new();
    let read = MultiGzDecoder::new(bytes.as_slice()).take(MAX_FILE).read_to_end(&mut component);
    let digest = read.ok().filter(|length| (*length as u64) < MAX_FILE).map(|_| Digest::of(&component));
    Ok((bytes, true, digest))
}

/// The signature as a header carries it: that of the file that was named, or of the one that lies beside the component.
fn signature(file: &Path, named: Option<&Path>) -> Result<Option<String>, AskError> {
    if let Some(named) = named {
        return Ok(Some(BASE64_STANDARD.encode(read(named)?)));
    }
    let text = file.to_string_lossy();
    let beside = format!("{}.minisig", text.strip_suffix(".gz").unwrap_or(&text));
    match std::fs::read(&beside) {
        Ok(signature) => Ok(Some(BASE64_STANDARD.encode(signature))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AskError::Params(format!("{beside}: {error}"))),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, AskError> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|opened| opened.take(MAX_FILE).read_to_end(&mut bytes));
    read.map_err(|error| AskError::Params(format!("{}: {error}", file.display())))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn the_name_of_a_file_says_which_plugin_it_is() {
        for (file, name) in [
            ("target/wasm32-wasip2/release/pg_outbox.wasm", Some("pg-outbox")),
            ("pg-outbox.wasm.gz", Some("pg-outbox")),
            ("noop.wasm", Some("noop")),
            ("noop", None),
            ("noop.tar.gz", None),
            ("..", None),
        ] {
            assert_eq!(plugin_name(Path::new(file)).as_deref(), name, "{file}");
        }
    }

    #[test]
    fn the_digest_is_that_of_the_component_whether_or_not_it_is_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, gzip) = (folder.path().join("a.wasm"), folder.path().join("a.wasm.gz"));
        std::fs::write(&plain, b"\0asm").unwrap();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(b"\0asm").unwrap();
        std::fs::write(&gzip, encoder.finish().unwrap()).unwrap();
        let digest = Some(Digest::of(b"\0asm"));
        assert_eq!(component(&plain).unwrap(), (b"\0asm".to_vec(), false, digest));
        let (bytes, is_gzip, found) = component(&gzip).unwrap();
        assert_eq!((bytes, is_gzip, found), (std::fs::read(&gzip).unwrap(), true, digest));
        // The beginning of one, which the agent will refuse.
        std::fs::write(&gzip, [0x1f, 0x8b, 8]).unwrap();
        assert_eq!(component(&gzip).unwrap(), (vec![0x1f, 0x8b, 8], true, None));
    }

    #[test]
    fn a_signature_beside_the_component_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        assert_eq!(signature(&file, None).unwrap(), None);
        std::fs::write(folder.path().join("a.wasm.minisig"), "beside").unwrap();
        std::fs::write(folder.path().join("other"), "named").unwrap();
        let beside = Some(BASE64_STANDARD.encode("beside"));
        assert_eq!(signature(&file, None).unwrap(), beside);
        assert_eq!(signature(&folder.path().join("a.wasm.gz"), None).unwrap(), beside);
        let named = signature(&file, Some(&folder.path().join("other"))).unwrap();
        assert_eq!(named, Some(BASE64_STANDARD.encode("named")));
        assert!(signature(&file, Some(&folder.path().join("none"))).is_err());
    }
}
