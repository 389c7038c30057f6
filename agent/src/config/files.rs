//! The files that a configuration came from, and whether they are other ones by now.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::FileMark;

/// Files as they were at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, Option<FileMark>>);

impl Files {
    /// Note a file as it is, before it is read: what becomes of it afterwards is a difference.
    pub(super) fn note(&mut self, path: PathBuf) {
        let mark = mark(&path);
        self.0.entry(path).or_insert(mark);
    }

    /// The same files as they are now.
    pub fn now(&self) -> Self {
        Self(self.0.keys().map(|path| (path.clone(), mark(path))).collect())
    }
}

/// None for a file that is not there. Where a link leads is what counts: the kubelet swaps whole folders.
fn mark(path: &Path) -> Option<FileMark> {
    fs::metadata(path).ok().as_ref().map(FileMark::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_another_one_when_it_is_written_swapped_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(place(version)).unwrap();
            fs::write(place(version).join("secret"), "same").unwrap();
        }
        std::os::unix::fs::symlink("..1", place("..data")).unwrap();
        std::os::unix::fs::symlink("..data/secret", place("secret")).unwrap();
        let mut files = Files::default();
        files.note(place("secret"));
        files.note(place("missing"));
        assert_eq!(files.now(), files);

        std::os::unix::fs::symlink("..2", place("..data_tmp")).unwrap();
        fs::rename(place("..data_tmp"), place("..data")).unwrap();
        let swapped = files.now();
        assert_ne!(swapped, files);
        fs::write(place("missing"), "there").unwrap();
        let there = swapped.now();
        assert_ne!(there, swapped);
        fs::remove_file(place("missing")).unwrap();
        assert_eq!(there.now(), swapped);
    }
}
