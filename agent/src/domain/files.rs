//! Files that an outcome carries, to be had as one archive.
//!
//! A plugin wrote them, so nothing about them is believed: their paths end up on the disk of whoever unpacks the archive, on
//! any system, and their text on a terminal.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use super::cut_bytes;

/// Most files, and most things that are told to be missing.
const MAX_FILES: usize = 500;
const MAX_MISSING: usize = 500;

/// Longest path, in bytes.
const MAX_PATH: usize = 200;

/// Longest sentence about a file or about what is missing, in bytes.
const MAX_SENTENCE: usize = 1024;

/// What the agent itself adds to an archive.
pub const MANIFEST: &str = "MANIFEST.json";

/// Files, and what is not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The files, in the order of their paths.
    pub kept: Vec<File>,
    /// What could not be had.
    pub missing: Vec<Missing>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it lies in the archive.
    pub path: FilePath,
    /// All that is in it.
    pub text: String,
    /// What was left out of it, in words; none when it is whole.
    pub cut: Option<String>,
}

/// Something that could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What it is.
    pub part: String,
    /// Why there is none.
    pub why: String,
}

/// The path of a file in an archive: relative, and the same on every system. Folders and names consist of ASCII letters, digits,
/// `.`, `-` and `_`, and none begins with a dot, so that none leads out of the archive or hides in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

/// Why files are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFiles {
    /// A path that leads elsewhere, or is none on some system.
    #[error(
        "the path `{path}` is refused; expected a relative one of 1 to {MAX_PATH} letters, digits, `.`, `-`, `_` and `/`, in which \
         no folder and no name begins with a dot"
    )]
    Path {
        /// The path.
        path: String,
    },
    /// Two files that would lie at the same place, on some systems at least.
    #[error("the path `{path}` is that of another file, or of a folder")]
    Twice {
        /// The later path.
        path: String,
    },
    /// More than are kept.
    #[error("there are {count} {what}; at most {most} are kept")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A sentence that is a text.
    #[error("what is said about `{subject}` has {bytes} bytes; at most {MAX_SENTENCE} are kept")]
    Sentence {
        /// What it is about.
        subject: String,
        /// Its length.
        bytes: usize,
    },
}

impl Files {
    /// Files that fit together.
    pub fn new(mut kept: Vec<File>, missing: Vec<Missing>) -> Result<Self, InvalidFiles> {
        at_most("files", kept.len(), MAX_FILES)?;
        at_most("missing parts", missing.len(), MAX_MISSING)?;
        for file in &kept {
            short(file.path.as_str(), file.cut.as_deref().unwrap_or_default())?;
        }
        for Missing { part, why } in &missing {
            short(part, part)?;
            short(part, why)?;
        }
        kept.sort_by(|one, other| one.path.cmp(&other.path));
        apart(&kept)?;
        Ok(Self { kept, missing })
    }

    /// True when there is nothing to put into an archive.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.missing.is_empty()
    }
}

/// Refuse paths that would be one place: the same, or one of them a folder of another. Some systems do not tell letters by
/// their case.
fn apart(files: &[File]) -> Result<(), InvalidFiles> {
    let (mut names, mut folders) = (HashSet::new(), HashSet::new());
    names.insert(MANIFEST.to_ascii_lowercase());
    for file in files {
        let path = file.path.as_str().to_ascii_lowercase();
        folders.extend(path.match_indices('/').map(|(at, _)| cut_bytes(&path, at).to_owned()));
        if !names.insert(path) {
            return Err(InvalidFiles::Twice { path: file.path.to_string() });
        }
    }
    match files.iter().find(|file| folders.contains(&file.path.as_str().to_ascii_lowercase())) {
        Some(file) => Err(InvalidFiles::Twice { path: file.path.to_string() }),
        None if folders.contains(&MANIFEST.to_ascii_lowercase()) => {
            Err(InvalidFiles::Twice { path: MANIFEST.to_owned() })
        }
        None => Ok(()),
    }
}

fn at_most(what: &'static str, count: usize, most: usize) -> Result<(), InvalidFiles> {
    if count > most { Err(InvalidFiles::TooMany { what, count, most }) } else { Ok(()) }
}

fn short(subject: &str, sentence: &str) -> Result<(), InvalidFiles> {
    if sentence.len() <= MAX_SENTENCE {
        return Ok(());
    }
    Err(InvalidFiles::Sentence { subject: shown(subject), bytes: sentence.len() })
}

/// As much of a text from outside as a message can quote.
fn shown(text: &str) -> String {
    cut_bytes(text, MAX_PATH).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl FilePath {
    /// The path as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FilePath {
    type Err = InvalidFiles;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
        let named = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
        if text.len() <= MAX_PATH && text.split('/').all(named) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidFiles::Path { path: shown(text) })
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> File {
        File { path: path.parse().unwrap(), text: "text".to_owned(), cut: None }
    }

    fn files(paths: &[&str]) -> Result<Files, InvalidFiles> {
        Files::new(paths.iter().map(|path| file(path)).collect(), vec![])
    }

    #[test]
    fn a_path_stays_within_its_archive_on_every_system() {
        for good in ["a", "a.txt", "kubernetes/prod/logs/api-7f-x/api.previous.log", "A_1/b-2/c.json", "-rf"] {
            assert_eq!(good.parse::<FilePath>().unwrap().as_str(), good);
        }
        let long = "a/".repeat(100) + "b";
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "../../etc/passwd",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            ".ssh/authorized_keys",
            "a/.b",
            "C:\\x",
            "a\\b",
            "C:x",
            "a b",
            "a\nb",
            "a\0",
            "a\u{1b}[2J",
            "ä",
            "a\u{202e}b",
            "~root",
            "a*",
            "CON:",
            &long,
        ] {
            let error = bad.parse::<FilePath>().unwrap_err().to_string();
            assert!(error.starts_with("the path `") && !error.contains('\u{1b}') && error.len() < 500, "{error}");
        }
    }

    #[test]
    fn no_two_files_lie_at_one_place() {
        let sorted: Vec<_> = files(&["b/a", "a", "b.txt", "b/c"]).unwrap().kept.into_iter().map(|f| f.path.0).collect();
        assert_eq!(sorted, ["a", "b.txt", "b/a", "b/c"]);
        for (paths, named) in [
            (&["a", "a"][..], "a"),
            (&["a/b", "A/B"], "a/b"),
            (&["a", "a/b"], "a"),
            (&["a/b/c", "x", "A/b"], "A/b"),
            (&["manifest.JSON"], "manifest.JSON"),
            (&["MANIFEST.json/x"], "MANIFEST.json"),
        ] {
            let error = files(paths).unwrap_err();
            assert_eq!(error, InvalidFiles::Twice { path: named.to_owned() }, "{paths:?}");
        }
    }

    #[test]
    fn there_are_only_so_many_files_and_words_about_them() {
        let many: Vec<_> = (0..=MAX_FILES).map(|number| file(&format!("f{number}"))).collect();
        assert_eq!(
            Files::new(many.clone(), vec![]).unwrap_err().to_string(),
            "there are 501 files; at most 500 are kept"
        );
        let missing = Missing { part: "redis/cache".to_owned(), why: "denied".to_owned() };
        let error = Files::new(vec![], vec![missing.clone(); MAX_MISSING + 1]).unwrap_err().to_string();
        assert_eq!(error, "there are 501 missing parts; at most 500 are kept");
        let wordy = Missing { why: "x".repeat(MAX_SENTENCE + 1), ..missing };
        let error = Files::new(vec![], vec![wordy]).unwrap_err().to_string();
        assert_eq!(error, "what is said about `redis/cache` has 1025 bytes; at most 1024 are kept");
    }
}
