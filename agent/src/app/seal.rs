//! The key beside the store, with which values are sealed that records must not show.
//!
//! It is in a file of its own so that a copy of the store, or what is exported of it, opens nothing.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::clients::kubernetes::{KEY_BYTES, Seal};

/// The seal of the agent whose store is at `store`. Its key is made where there is none.
pub(super) fn of_store(store: &Path) -> anyhow::Result<Seal> {
    let mut path = store.as_os_str().to_owned();
    path.push(".key");
    let path = PathBuf::from(path);
    load(&path).with_context(|| format!("cannot use the key in {}", path.display()))
}

/// A seal whose key is nowhere else, for a process that records nothing.
pub(super) fn of_nobody() -> Seal {
    Seal::new(&rand::random())
}

fn load(path: &Path) -> anyhow::Result<Seal> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?.to_vec(),
        read => read?,
    };
    let Ok(key) = <[u8; KEY_BYTES]>::try_from(bytes) else {
        bail!(
            "it is not {KEY_BYTES} bytes long: put the right one there, or remove it, and values that were sealed with it are lost"
        );
    };
    Ok(Seal::new(&key))
}

/// A new key, whole or not at all. Nobody but the agent's user can read it.
fn make(path: &Path) -> anyhow::Result<[u8; KEY_BYTES]> {
    let key: [u8; KEY_BYTES] = rand::random();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_for_the_agent_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store.db");
        of_store(&store).unwrap();
        let path = folder.path().join("store.db.key");
        let key = fs::read(&path).unwrap();
        of_store(&store).unwrap();
        assert_eq!((key.len(), fs::read(&path).unwrap()), (KEY_BYTES, key));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        let refused = format!("{:#}", of_store(&store).err().unwrap());
        assert!(refused.contains("store.db.key") && refused.contains("32 bytes"), "{refused}");
    }
}
