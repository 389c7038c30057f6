//! `paramedic archive`: saves the files that a run left.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::client::{AskError, Client};
use super::output;

/// Save the files of a run as one tar.gz.
#[derive(Args, Debug)]
pub struct Archive {
    /// Id of the run.
    run: String,
    /// Where it is saved; - for standard output.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Archive {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        if self.output != Path::new("-") {
            save(client, &self.run, &self.output).await?;
            return Ok(0);
        }
        let mut out = std::io::stdout().lock();
        if out.is_terminal() {
            return Err(AskError::Params("an archive is nothing for a terminal: name a file with -o".to_owned()));
        }
        let bytes = get(client, &self.run).await?;
        out.write_all(&bytes).and_then(|()| out.flush()).map_err(AskError::Output)?;
        Ok(0)
    }
}

async fn get(client: &Client, run: &str) -> Result<Vec<u8>, AskError> {
    client.bytes(&["v1", "runs", run, "archive"]).await
}

/// Save the archive of a run at `path`, whole or not at all, for its owner alone.
pub(super) async fn save(client: &Client, run: &str, path: &Path) -> Result<(), AskError> {
    let bytes = get(client, run).await?;
    write(&bytes, path).map_err(|source| AskError::Save { path: path.to_owned(), source })?;
    output::note(&format!("saved {} bytes to {}", bytes.len(), path.display()));
    Ok(())
}

fn write(bytes: &[u8], path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_archive_takes_the_place_of_what_was_there_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.tar.gz");
        std::fs::write(&path, "of yesterday").unwrap();
        write(b"of today", &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"of today");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write(b"", &folder.path().join("none/state.tar.gz")).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
