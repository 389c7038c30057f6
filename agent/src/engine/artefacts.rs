//! Compiled components on disk.
//!
//! An artefact is native code: whoever can write it runs as the agent. So the directory is used only if nobody but the
//! agent can write to it, a file only if the agent owns it, and its name holds the digest of the component and the
//! engine's own hash of version and settings, so that a changed component, engine or setting never meets an old file.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use wasmtime::component::Component;

use crate::domain::{Digest, Digesting};

/// Why a directory is not used for artefacts.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be made or looked at.
    #[error("cannot use {} for compiled components", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else could put native code there.
    #[error("{} {problem}; compiled components are native code, so only the agent's user may write there", path.display())]
    Unsafe {
        /// The directory or file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The directory of artefacts of one engine.
pub(super) struct Artefacts {
    directory: PathBuf,
    engine: wasmtime::Engine,
}

impl Artefacts {
    /// Use `root`, which is made if it does not exist.
    pub(super) fn open(root: &Path, engine: &wasmtime::Engine) -> Result<Self, CacheError> {
        let directory = root.join(engine_key(engine));
        for path in [root, &directory] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|source| CacheError::Io { path: path.to_owned(), source })?;
            check_directory(path)?;
        }
        if let Some(parent) = fs::canonicalize(root).ok().as_deref().and_then(Path::parent) {
            check_parent(parent)?;
        }
        Ok(Self { directory, engine: engine.clone() })
    }

    /// The component of that digest, if it was compiled before. Whatever is wrong with the file, the answer is none and it
    /// is compiled again.
    pub(super) fn load(&self, digest: &Digest) -> Option<Component> {
        let path = self.path(digest);
        if !path.exists() {
            return None;
        }
        if let Err(error) = check_file(&path) {
            tracing::warn!(%error, "a compiled component is not used");
            return None;
        }
        #[expect(
            unsafe_code,
            reason = "the file is native code that this agent compiled: the directory and the file belong to its user \
                      and nobody else can write them (checked above and when the directory was opened)"
        )]
        let loaded = unsafe { Component::deserialize_file(&self.engine, &path) };
        loaded
            .inspect_err(|error| tracing::warn!(%error, path = %path.display(), "a compiled component is damaged"))
            .ok()
    }

    /// Keep a component. Failing to is no reason not to run it.
    pub(super) fn keep(&self, digest: &Digest, component: &Component) {
        let kept = component.serialize().map_err(std::io::Error::other).and_then(|code| self.write(digest, &code));
        if let Err(error) = kept {
            tracing::warn!(%error, "a compiled component is not kept and will be compiled again");
        }
    }

    /// Whole or not at all: a file that was cut off by a crash must not be taken for an artefact.
    fn write(&self, digest: &Digest, code: &[u8]) -> std::io::Result<()> {
        let path = self.path(digest);
        let partial = path.with_extension(format!("{}.partial", std::process::id()));
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)
            .and_then(|mut file| file.write_all(code).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&partial, &path));
        if written.is_err() {
            // It may not exist, and nothing reads it if it does.
            let _ = fs::remove_file(&partial);
        }
        written
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{}.cwasm", digest.hex()))
    }
}

/// The engine's version and settings as a file name.
fn engine_key(engine: &wasmtime::Engine) -> String {
    /// Gives everything that is hashed to SHA-256: the standard library's hash is 64 bits and may change.
    #[derive(Default)]
    struct Sha256Hasher(Digesting);
    impl Hasher for Sha256Hasher {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Sha256Hasher::default();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.digest().hex()
}

fn check_directory(path: &Path) -> Result<(), CacheError> {
    let metadata = inspect(path)?;
    let problem = if metadata.file_type().is_symlink() {
        "is a symbolic link"
    } else if !metadata.is_dir() {
        "is not a directory"
    } else if metadata.uid() != rustix::process::geteuid().as_raw() {
        "belongs to another user"
    } else if metadata.mode() & 0o022 != 0 {
        "can be written by others"
    } else {
        return Ok(());
    };
    Err(CacheError::Unsafe { path: path.to_owned(), problem })
}

/// Whoever can rename the directory can replace it.
fn check_parent(path: &Path) -> Result<(), CacheError> {
    let metadata = inspect(path)?;
    let owner = metadata.uid();
    let (shared, sticky) = (metadata.mode() & 0o022 != 0, metadata.mode() & 0o1000 != 0);
    let problem = if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        "belongs to another user"
    } else if shared && !sticky {
        "can be written by others"
    } else {
        return Ok(());
    };
    Err(CacheError::Unsafe { path: path.to_owned(), problem })
}

fn check_file(path: &Path) -> Result<(), CacheError> {
    let metadata = inspect(path)?;
    let problem = if !metadata.is_file() {
        "is not a file"
    } else if metadata.uid() != rustix::process::geteuid().as_raw() {
        "belongs to another user"
    } else if metadata.mode() & 0o022 != 0 {
        "can be written by others"
    } else {
        return Ok(());
    };
    Err(CacheError::Unsafe { path: path.to_owned(), problem })
}

/// Facts of the thing itself, not of what a link points to.
fn inspect(path: &Path) -> Result<fs::Metadata, CacheError> {
    fs::symlink_metadata(path).map_err(|source| CacheError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn engine() -> wasmtime::Engine {
        wasmtime::Engine::default()
    }

    /// The smallest component there is: magic number, version 13, layer 1.
    fn empty_component(engine: &wasmtime::Engine) -> (Digest, Component) {
        let bytes = b"\0asm\x0d\0\x01\0";
        (Digest::of(bytes), Component::new(engine, bytes).unwrap())
    }

    #[test]
    fn an_artefact_comes_back_and_a_damaged_one_does_not() {
        let root = tempfile::tempdir().unwrap();
        let engine = engine();
        let artefacts = Artefacts::open(&root.path().join("cache"), &engine).unwrap();
        let (digest, component) = empty_component(&engine);
        assert!(artefacts.load(&digest).is_none());
        artefacts.keep(&digest, &component);
        assert!(artefacts.load(&digest).is_some());

        fs::write(artefacts.path(&digest), b"not native code").unwrap();
        assert!(artefacts.load(&digest).is_none());
    }

    #[test]
    fn a_file_that_others_can_write_is_not_loaded() {
        let root = tempfile::tempdir().unwrap();
        let engine = engine();
        let artefacts = Artefacts::open(root.path(), &engine).unwrap();
        let (digest, component) = empty_component(&engine);
        artefacts.keep(&digest, &component);
        let path = artefacts.path(&digest);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        assert!(artefacts.load(&digest).is_none());
    }

    #[test]
    fn a_directory_that_others_can_write_or_swap_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let shared = root.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
        let inside = shared.join("cache");
        let link = root.path().join("link");
        fs::create_dir(root.path().join("real")).unwrap();
        std::os::unix::fs::symlink(root.path().join("real"), &link).unwrap();
        for (path, problem) in [
            (&shared, "can be written by others"),
            (&inside, "can be written by others"),
            (&link, "is a symbolic link"),
        ] {
            let refused = Artefacts::open(path, &engine()).err().expect("refused").to_string();
            assert!(refused.contains(problem), "{refused}");
        }
    }
}
