//! Files that a plugin leaves beside its verdict, for one archive: see [`crate::Outcome::leaving`].
//!
//! They travel as one JSON document in the label `files` of the outcome, and so count against its size. The agent refuses an outcome
//! with a path that leads out of the archive, and keeps the text as it is but for control characters.

use serde::Serialize;

/// The label that has them.
pub(crate) const FILES: &str = "files";

/// What the agent takes.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) const MAX_FILES: usize = 500;
#[cfg(not(target_arch = "wasm32"))]
const MAX_PATH: usize = 200;

/// Longest sentence about a file, in bytes, and in characters, each of which has at most four.
const MAX_SENTENCE: usize = 1024;

/// Files, and what is not among them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Files {
    files: Vec<File>,
    missing: Vec<Missing>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct File {
    /// Where it lies in the archive: a relative path of ASCII letters, digits, `.`, `-`, `_` and `/`, in which nothing begins with
    /// a dot.
    pub path: String,
    /// All that is in it.
    pub text: String,
    /// What was left out of it, in words; none when it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
}

/// Something that could not be had.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Missing {
    /// What it is.
    pub part: String,
    /// Why there is none.
    pub why: String,
}

impl Files {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Add a file.
    pub fn add(&mut self, file: File) {
        self.files.push(file);
    }

    /// Say that something could not be had, and why. Whoever unpacks the archive finds that in its manifest.
    pub fn miss(&mut self, part: &str, why: &str) {
        let line = |text: &str| crate::human::shorten(text, MAX_SENTENCE / 4);
        self.missing.push(Missing { part: line(part), why: line(why) });
    }

    /// The files.
    pub fn all(&self) -> &[File] {
        &self.files
    }

    /// What could not be had.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// True when there is neither a file nor anything that is missing.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.missing.is_empty()
    }

    /// Bytes that all of it takes of the outcome.
    pub fn size(&self) -> usize {
        if self.is_empty() { 0 } else { self.to_json().len() }
    }

    pub(crate) fn to_json(&self) -> String {
        // Texts and lists of texts, which can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl File {
    /// A file that has all that there is.
    pub fn whole(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into(), cut: None }
    }

    /// Bytes that a text takes of the outcome, where line ends and quotes count double.
    pub fn size_of(text: &str) -> usize {
        text.chars().map(size_of_char).sum()
    }

    /// The first lines of the text that take at most so many bytes of the outcome. What was cut is said.
    #[must_use]
    pub fn keep_first(self, bytes: usize) -> Self {
        self.keep(bytes, End::First)
    }

    /// The last lines of the text that take at most so many bytes of the outcome. What was cut is said.
    #[must_use]
    pub fn keep_last(self, bytes: usize) -> Self {
        self.keep(bytes, End::Last)
    }

    fn keep(mut self, bytes: usize, end: End) -> Self {
        if Self::size_of(&self.text) <= bytes {
            return self;
        }
        let lines: Vec<&str> = self.text.split_inclusive('\n').collect();
        let fits = |used: &mut usize, line: &str| {
            *used += Self::size_of(line);
            *used <= bytes
        };
        let mut used = 0;
        let kept = match end {
            End::First => lines.iter().take_while(|line| fits(&mut used, line)).count(),
            End::Last => lines.iter().rev().take_while(|line| fits(&mut used, line)).count(),
        };
        let (word, range) = match end {
            End::First => ("first", 0..kept),
            End::Last => ("last", lines.len() - kept..lines.len()),
        };
        let left = format!("the {word} {kept} of {} lines, because there is no room for more", lines.len());
        self.cut = Some(self.cut.map_or_else(|| left.clone(), |before| format!("{before}; of these {left}")));
        self.text = lines.get(range).unwrap_or_default().concat();
        self
    }
}

/// Which end of a text matters.
enum End {
    First,
    Last,
}

/// Bytes of a character within a JSON text.
fn size_of_char(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if u32::from(c) < 0x20 => 6,
        c => c.len_utf8(),
    }
}

/// What the agent would refuse in these files.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn faults(files: &Files) -> Vec<String> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    let named = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    let fine = |path: &str| path.len() <= MAX_PATH && path.split('/').all(named);
    let mut paths: Vec<String> = files.files.iter().map(|file| file.path.to_ascii_lowercase()).collect();
    paths.push("manifest.json".to_owned());
    paths.sort_unstable();
    let mut faults = Vec::new();
    faults.extend(files.files.iter().filter(|file| !fine(&file.path)).map(|file| format!("the path {}", file.path)));
    for (one, other) in paths.iter().zip(paths.iter().skip(1)) {
        if one == other || other.starts_with(&format!("{one}/")) {
            faults.push(format!("the paths {one} and {other}"));
        }
    }
    if files.files.len() > MAX_FILES || files.missing.len() > MAX_FILES {
        faults.push(format!("more than {MAX_FILES} files or missing parts"));
    }
    let sentences = files.files.iter().filter_map(|file| file.cut.as_deref());
    if sentences.into_iter().any(|sentence| sentence.len() > MAX_SENTENCE) {
        faults.push(format!("a sentence of more than {MAX_SENTENCE} bytes"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_cut_between_lines_and_says_so() {
        let file = File::whole("a.log", "one\ntwo\nthree\n");
        assert_eq!(file.clone().keep_last(99), file);
        let last = file.clone().keep_last(12);
        assert_eq!(last.text, "two\nthree\n");
        assert_eq!(last.cut.as_deref(), Some("the last 2 of 3 lines, because there is no room for more"));
        let first = last.keep_first(5);
        assert_eq!(first.text, "two\n");
        let twice = "the last 2 of 3 lines, because there is no room for more; of these the first 1 of 2 lines, because there \
                     is no room for more";
        assert_eq!(first.cut.as_deref(), Some(twice));
        assert_eq!(file.keep_last(3).text, "");
    }

    #[test]
    fn paths_that_the_agent_refuses_are_found() {
        let mut files = Files::new();
        for path in ["a/b.txt", "a/c", "x-1_2.log"] {
            files.add(File::whole(path, ""));
        }
        files.miss("redis/cache", "denied:\nno");
        assert_eq!((faults(&files), files.missing()[0].why.as_str()), (vec![], "denied: no"));
        for path in ["../a", "/a", "a//b", ".a", "a b", "A/B.TXT", "a", "a/c/d", "MANIFEST.json"] {
            let mut files = files.clone();
            files.add(File::whole(path, ""));
            assert_eq!(faults(&files).len(), 1, "{path}: {:?}", faults(&files));
        }
    }

    proptest! {
        #[test]
        fn the_size_of_a_text_is_that_of_its_json(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(File::size_of(&text) + 2, json.len());
        }

        #[test]
        fn a_cut_text_fits(lines in prop::collection::vec("[a-z\"\\\\é]{0,9}", 0..9), bytes in 0_usize..60) {
            let file = File::whole("a", lines.join("\n"));
            for cut in [file.clone().keep_first(bytes), file.clone().keep_last(bytes)] {
                prop_assert!(File::size_of(&cut.text) <= bytes);
                prop_assert_eq!(cut.cut.is_none(), cut.text == file.text);
            }
        }
    }
}
