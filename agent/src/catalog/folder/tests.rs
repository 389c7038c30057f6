use std::io::Write;
use std::os::unix::fs::symlink;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

struct Place {
    root: tempfile::TempDir,
    folder: Folder,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().to_owned(), 100);
        Self { root, folder }
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.root.path().join(name), bytes).unwrap();
    }

    /// What a look finds: each plugin with its component, or with the step that it did not pass.
    fn look(&mut self) -> Vec<(String, String)> {
        let told = |delivery: Result<Delivery, PluginError>| match delivery {
            Ok(delivery) => String::from_utf8(delivery.component.to_vec()).unwrap(),
            Err(error) => format!("not {}", error.step().as_str()),
        };
        self.folder.read().into_iter().map(|found| (found.plugin.to_string(), told(found.delivery))).collect()
    }

    /// Do what the kubelet does when a ConfigMap changed.
    fn swap(&self, stamp: &str, files: &[(&str, &[u8])]) {
        let root = self.root.path();
        fs::create_dir(root.join(stamp)).unwrap();
        for (name, bytes) in files {
            fs::write(root.join(stamp).join(name), bytes).unwrap();
            let link = root.join(name);
            if fs::symlink_metadata(&link).is_err() {
                symlink(Path::new(DATA).join(name), link).unwrap();
            }
        }
        symlink(stamp, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join(DATA)).unwrap();
    }
}

fn found(plugin: &str, told: &str) -> (String, String) {
    (plugin.to_owned(), told.to_owned())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_new_or_changed_is_found_once() {
    let mut place = Place::new();
    assert!(place.look().is_empty());
    place.write("pg-a.wasm", b"one");
    place.write("pg-b.wasm.gz", &gzip(b"two"));
    assert_eq!(place.look(), [found("pg-a", "one"), found("pg-b", "two")]);
    assert!(place.look().is_empty());
    place.write("pg-a.wasm", b"another");
    assert_eq!(place.look(), [found("pg-a", "another")]);
    // A signature that comes later is a change too.
    place.write("pg-b.wasm.minisig", b"signed");
    let again = place.folder.read();
    assert_eq!(again[0].delivery.as_ref().unwrap().signature.as_deref(), Some("signed"));
    fs::remove_file(place.root.path().join("pg-a.wasm")).unwrap();
    assert!(place.look().is_empty());
}

#[test]
fn a_swap_of_the_kubelet_is_seen_as_a_whole() {
    let mut place = Place::new();
    place.swap("..2026_03_01", &[("pg-a.wasm", b"one"), ("pg-b.wasm", b"two")]);
    assert_eq!(place.look(), [found("pg-a", "one"), found("pg-b", "two")]);
    assert!(place.look().is_empty());
    place.swap("..2026_03_02", &[("pg-a.wasm", b"three"), ("pg-b.wasm", b"two")]);
    // Both are other files now; that one has the same bytes is found out by its digest.
    assert_eq!(place.look(), [found("pg-a", "three"), found("pg-b", "two")]);
}

#[test]
fn a_link_of_the_kubelet_that_leads_out_of_the_folder_is_not_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("pg-a.wasm"), b"stranger").unwrap();
    let mut place = Place::new();
    for target in [elsewhere.path(), Path::new("/"), Path::new("..")] {
        symlink(target, place.root.path().join(DATA)).unwrap();
        assert!(place.look().is_empty(), "{target:?}");
        assert!(place.folder.trouble.as_ref().unwrap().ends_with("`..data` leads out of the folder"));
        fs::remove_file(place.root.path().join(DATA)).unwrap();
    }
}

#[test]
fn hostile_names_and_things_that_are_no_files_are_passed_over_or_refused() {
    let mut place = Place::new();
    let root = place.root.path().to_owned();
    for name in [
        ".hidden.wasm",
        "half.wasm.tmp",
        "..pg.wasm",
        "UPPER.wasm",
        "a b.wasm",
        "a\u{1b}[2J.wasm",
        "-x.wasm",
        ".wasm",
        "readme.txt",
        "x.wasm.bak",
        "wasm",
        "é.wasm",
        "a..b.wasm",
        ".wasm.gz",
    ] {
        place.write(name, b"stranger");
    }
    place.write(&format!("{}.wasm", "a".repeat(200)), b"stranger");
    assert!(place.look().is_empty());
    assert!(place.folder.strange.iter().any(|name| name == "UPPER.wasm"), "{:?}", place.folder.strange);
    assert!(place.folder.strange.len() <= 10, "what is meant for others is no reason to complain");

    fs::create_dir(root.join("folder.wasm")).unwrap();
    symlink("/etc/passwd", root.join("link.wasm")).unwrap();
    symlink("nowhere", root.join("dangling.wasm")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe.wasm"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let refused = ["dangling", "folder", "link", "pipe"].map(|name| found(name, "not read"));
    assert_eq!(place.look(), refused);
    assert!(place.look().is_empty(), "once is enough");
}

#[test]
fn sizes_hold_also_for_what_is_compressed() {
    let mut place = Place::new();
    place.write("long.wasm", &[b'x'; 101]);
    place.write("bomb.wasm.gz", &gzip(&vec![0; 10 << 20]));
    place.write("broken.wasm.gz", &gzip(b"whole")[..12]);
    place.write("liar.wasm.gz", b"not gzip at all");
    place.write("fits.wasm", &[b'x'; 100]);
    let expected = [
        found("bomb", "not size"),
        found("broken", "not decompress"),
        found("fits", &"x".repeat(100)),
        found("liar", "not decompress"),
        found("long", "not size"),
    ];
    assert_eq!(place.look(), expected);
}

#[test]
fn two_files_for_one_plugin_are_told_and_neither_is_taken() {
    let mut place = Place::new();
    place.write("pg-a.wasm", b"one");
    place.write("pg-a.wasm.gz", &gzip(b"two"));
    assert_eq!(place.look(), [found("pg-a", "not read")]);
    assert!(place.look().is_empty());
    fs::remove_file(place.root.path().join("pg-a.wasm.gz")).unwrap();
    assert_eq!(place.look(), [found("pg-a", "one")]);
}

#[test]
fn a_folder_that_is_not_there_yet_is_no_reason_to_stop() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = Folder::new(root.path().join("later"), 100);
    assert!(folder.read().is_empty() && folder.trouble.is_some());
    fs::create_dir(root.path().join("later")).unwrap();
    fs::write(root.path().join("later/pg-a.wasm"), b"one").unwrap();
    assert_eq!(folder.read().len(), 1);
    assert_eq!(folder.trouble, None);
}

/// The real watch of the operating system, up to the notice that something happened.
#[tokio::test]
async fn a_swap_and_a_write_are_noticed_and_reading_is_not() {
    let place = Place::new();
    let happened = Arc::new(Notify::new());
    let mut watching = Watching::default();
    watching.keep(place.root.path(), &happened);
    happened.notified().await;
    let notice = async || tokio::time::timeout(Duration::from_secs(30), happened.notified()).await.unwrap();
    place.write("pg-a.wasm", b"one");
    notice().await;
    until_quiet(&happened).await;
    assert_eq!(fs::read(place.root.path().join("pg-a.wasm")).unwrap(), b"one");
    fs::read_dir(place.root.path()).unwrap().for_each(drop);
    let quiet = tokio::time::timeout(Duration::from_millis(200), happened.notified()).await;
    assert!(quiet.is_err(), "reading woke the watch");
    place.swap("..1", &[("pg-b.wasm", b"two")]);
    notice().await;
    // Another folder in the same place is watched in its turn.
    let path = place.root.path().to_owned();
    fs::rename(&path, path.with_extension("old")).unwrap();
    fs::create_dir(&path).unwrap();
    watching.keep(&path, &happened);
    until_quiet(&happened).await;
    fs::write(path.join("pg-c.wasm"), b"three").unwrap();
    notice().await;
    fs::remove_dir_all(path.with_extension("old")).unwrap();
}
