//! The watched folder: a plain one, or a volume that the kubelet fills from a ConfigMap or a Secret.
//!
//! The kubelet writes a new folder `..<stamp>` and renames the link `..data` to it, so the names of the plugins never
//! change and get no event of their own. Whatever event comes is therefore only a reason to look at everything once:
//!
//! ```text
//!  any event ─► 300 ms of quiet ─► resolve `..data` once ─► read what is new or changed below it ─► deliver
//!  every 60 s ──────────────────────────────┘
//! ```
//!
//! In a plain folder a file that is still being written is read, refused and read again when it is whole; who wants to
//! spare that writes under a name that ends in `.tmp` and renames. A file that disappears changes nothing: the version
//! that it brought stays until another one comes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, watch};

use super::intake::{Delivery, at_most, beside};
use super::signing::MAX_SIGNATURE;
use super::{Catalog, PluginError, SignatureError, Source, Undelivered};
use crate::domain::{FileMark, Origin, PluginName};

/// How long nothing may happen before the folder is looked at: a swap is several events, and a copy many.
const QUIET: Duration = Duration::from_millis(300);

/// How long events may go on before it is looked at all the same.
const IMPATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked at without an event. Network volumes give none, and there is a limit to watches.
const RESCAN: Duration = Duration::from_secs(60);

/// Most entries that are looked at.
const MAX_ENTRIES: usize = 1000;

/// The link of the kubelet.
const DATA: &str = "..data";

/// A folder in which new versions appear.
pub struct Folder {
    path: PathBuf,
    max_bytes: u64,
    /// What was read already.
    seen: BTreeMap<PluginName, Marks>,
    /// Names that were complained about already.
    strange: Vec<String>,
    /// What was wrong with the folder the last time.
    trouble: Option<String>,
}

/// What tells whether files were changed, without reading them.
type Marks = Vec<Option<FileMark>>;

/// The files of one plugin.
#[derive(Debug, Default)]
struct Files {
    plain: Option<PathBuf>,
    gzip: Option<PathBuf>,
}

/// What the folder holds for one plugin.
struct Found {
    plugin: PluginName,
    delivery: Result<Delivery, PluginError>,
}

impl Folder {
    /// The folder at `path`, not looked at yet. No component in it may have more bytes than that.
    pub fn new(path: PathBuf, max_bytes: u64) -> Self {
        Self { path, max_bytes, seen: BTreeMap::new(), strange: Vec::new(), trouble: None }
    }

    /// Look once, and deliver what is new or changed.
    pub async fn look(&mut self, catalog: &Catalog) {
        let mut folder = std::mem::replace(self, Self::new(PathBuf::new(), 0));
        let read = tokio::task::spawn_blocking(move || {
            let found = folder.read();
            (folder, found)
        });
        let found = match read.await {
            Ok((folder, found)) => {
                *self = folder;
                found
            }
            Err(error) => {
                tracing::error!(%error, "looking at the folder of plugins ended in a defect of the agent");
                return;
            }
        };
        for Found { plugin, delivery } in found {
            deliver(catalog, &plugin, delivery).await;
        }
    }

    /// Everything that is new or changed since the last time.
    fn read(&mut self) -> Vec<Found> {
        let files = match self.files() {
            Ok(files) => files,
            Err(error) => {
                self.complain(format!("{}: {error}", self.path.display()));
                return Vec::new();
            }
        };
        self.trouble = None;
        self.seen.retain(|name, _| files.contains_key(name));
        files.into_iter().filter_map(|(name, files)| self.read_plugin(name, &files)).collect()
    }

    /// Once for each trouble, not once a minute.
    fn complain(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::error!(trouble, "the folder of plugins cannot be read");
            self.trouble = Some(trouble);
        }
    }

    /// The files of each plugin, from one moment.
    fn files(&mut self) -> io::Result<BTreeMap<PluginName, Files>> {
        let base = self.base()?;
        let mut files: BTreeMap<PluginName, Files> = BTreeMap::new();
        for entry in fs::read_dir(base)?.take(MAX_ENTRIES) {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') || name.ends_with(".tmp") {
                continue;
            }
            let (stem, is_gzip) = match (name.strip_suffix(".wasm.gz"), name.strip_suffix(".wasm")) {
                (Some(stem), _) => (stem, true),
                (None, Some(stem)) => (stem, false),
                (None, None) => continue,
            };
            let Ok(plugin) = stem.parse::<PluginName>() else {
                self.note_strange(&name);
                continue;
            };
            let place = files.entry(plugin).or_default();
            if is_gzip { place.gzip = Some(path) } else { place.plain = Some(path) }
        }
        Ok(files)
    }

    fn note_strange(&mut self, name: &str) {
        if self.strange.len() < MAX_ENTRIES && !self.strange.iter().any(|known| known == name) {
            tracing::warn!(file = ?name, "a file in the folder of plugins is passed over: this is no name of a plugin");
            self.strange.push(name.to_owned());
        }
    }

    /// Where the files lie: below the kubelet's link if there is one, resolved once, so that all of them are of one
    /// moment. The link must not lead out of the folder.
    fn base(&self) -> io::Result<PathBuf> {
        let folder = self.path.canonicalize()?;
        let data = folder.join(DATA);
        match fs::symlink_metadata(&data) {
            Ok(_) => {
                let base = data.canonicalize()?;
                if base.parent() == Some(&folder) {
                    return Ok(base);
                }
                Err(io::Error::other(format!("`{DATA}` leads out of the folder")))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(folder),
            Err(error) => Err(error),
        }
    }

    fn read_plugin(&mut self, plugin: PluginName, files: &Files) -> Option<Found> {
        let (path, is_gzip) = match files {
            Files { plain: Some(plain), gzip: None } => (plain, false),
            Files { plain: None, gzip: Some(gzip) } => (gzip, true),
            Files { plain: Some(plain), gzip: Some(gzip) } => {
                let marks = marks(&[plain.clone(), gzip.clone()]);
                let name = plugin.clone();
                return self
                    .is_new(&plugin, marks)
                    .then(|| Found { plugin, delivery: Err(PluginError::Ambiguous { name }) });
            }
            Files { plain: None, gzip: None } => return None,
        };
        // The signature is that of the uncompressed bytes, under their name.
        let signature = beside(&path.with_file_name(format!("{plugin}.wasm")), ".minisig");
        let places = [path.clone(), signature];
        let before = marks(&places);
        if self.seen.get(&plugin) == Some(&before) {
            return None;
        }
        let delivery = self.delivery(&places, is_gzip);
        // Somebody is writing: their next event, or the next look, brings us back.
        if marks(&places) != before {
            return None;
        }
        self.seen.insert(plugin.clone(), before);
        Some(Found { plugin, delivery })
    }

    fn is_new(&mut self, plugin: &PluginName, marks: Marks) -> bool {
        if self.seen.get(plugin) == Some(&marks) {
            return false;
        }
        self.seen.insert(plugin.clone(), marks);
        true
    }

    fn delivery(&self, [path, signature]: &[PathBuf; 2], is_gzip: bool) -> Result<Delivery, PluginError> {
        let too_large = || PluginError::TooLarge { limit: self.max_bytes };
        let file = open(path)?;
        let component = if is_gzip {
            at_most(MultiGzDecoder::new(file), self.max_bytes).map_err(PluginError::NotGzip)?
        } else {
            at_most(file, self.max_bytes).map_err(|source| PluginError::Read { path: path.clone(), source })?
        };
        Ok(Delivery {
            component: component.ok_or_else(too_large)?.into(),
            signature: self::signature(signature)?,
            version: None,
            digest: None,
            origin: Origin::Folder,
            actor: None,
        })
    }
}

/// Open a file and nothing else: a pipe under a plugin's name would hold us for ever, and a link could lead anywhere.
fn open(path: &Path) -> Result<File, PluginError> {
    let refuse = |source| PluginError::Read { path: path.to_owned(), source };
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(refuse)?;
    if file.metadata().map_err(refuse)?.is_file() { Ok(file) } else { Err(refuse(io::Error::other("it is no file"))) }
}

fn signature(path: &Path) -> Result<Option<String>, PluginError> {
    let file = match open(path) {
        Ok(file) => file,
        Err(PluginError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes =
        at_most(file, MAX_SIGNATURE as u64).map_err(|source| PluginError::Read { path: path.to_owned(), source })?;
    let bytes = bytes.ok_or(SignatureError::TooLong)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn marks(paths: &[PathBuf]) -> Marks {
    paths.iter().map(|path| fs::symlink_metadata(path).ok().as_ref().map(FileMark::from)).collect()
}

async fn deliver(catalog: &Catalog, plugin: &PluginName, delivery: Result<Delivery, PluginError>) {
    let delivered = match delivery {
        Ok(delivery) => catalog.deliver(plugin, delivery).await,
        Err(error) => return catalog.folder_failed(plugin, error),
    };
    match delivered {
        // What became of it was logged, counted and is shown.
        Ok(_) | Err(Undelivered::Refused { .. }) => {}
        Err(error) => tracing::warn!(plugin.name = %plugin, %error, "a version in the folder is not taken"),
    }
}

impl Catalog {
    /// A file of the folder brings nothing that could be looked at.
    fn folder_failed(&self, plugin: &PluginName, error: PluginError) {
        match self.find(plugin) {
            Some(slot) if slot.entry().source == Source::Folder => self.unreadable(&slot, Origin::Folder, error),
            Some(_) | None => {
                tracing::warn!(plugin.name = %plugin, error = error.chain(), "a file in the folder is passed over");
            }
        }
    }
}

/// Look whenever something happens in the folder, until `stopping` becomes true. `again` asks to look also at what was seen
/// already: there may be plugins now for which it was not before.
pub async fn watch_folder(
    mut folder: Folder,
    catalog: Arc<Catalog>,
    again: Arc<Notify>,
    mut stopping: watch::Receiver<bool>,
) {
    let happened = Arc::new(Notify::new());
    let mut watching = Watching::default();
    loop {
        watching.keep(&folder.path, &happened);
        let wake = async {
            tokio::select! {
                () = happened.notified() => until_quiet(&happened).await,
                () = again.notified() => folder.seen.clear(),
                () = tokio::time::sleep(RESCAN) => {}
            }
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = wake => {}
        }
        folder.look(&catalog).await;
    }
}

/// Wait until nothing has happened for a while.
async fn until_quiet(happened: &Notify) {
    let quiet = async { while tokio::time::timeout(QUIET, happened.notified()).await.is_ok() {} };
    // Somebody who writes without end must not keep the others waiting.
    let _ = tokio::time::timeout(IMPATIENCE, quiet).await;
}

/// The watch on a folder, made again when the folder is another one.
#[derive(Default)]
struct Watching {
    watcher: Option<RecommendedWatcher>,
    identity: Option<(u64, u64)>,
    complained: bool,
}

impl Watching {
    /// Watch the folder itself, not what is below it: events there tell of files half written and of our own reading.
    fn keep(&mut self, path: &Path, happened: &Arc<Notify>) {
        let identity = fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        if self.watcher.is_some() && self.identity == identity {
            return;
        }
        match watch(path, happened.clone()) {
            Ok(watcher) => {
                (self.watcher, self.identity, self.complained) = (Some(watcher), identity, false);
                // What happened before we watched.
                happened.notify_one();
            }
            Err(error) => {
                self.watcher = None;
                if !std::mem::replace(&mut self.complained, true) {
                    tracing::warn!(%error, "the folder of plugins cannot be watched; it is looked at every minute");
                }
            }
        }
    }
}

fn watch(path: &Path, happened: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let on_event = move |event: notify::Result<notify::Event>| match event {
        // Our own reading; to answer it would never end.
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
        Ok(_) | Err(_) => happened.notify_one(),
    };
    let mut watcher = notify::recommended_watcher(on_event)?;
    watcher.watch(path, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests;
