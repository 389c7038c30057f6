//! What was captured so far, what was not, and how it is made to fit.

use paramedic_sdk::{Error, File, Files, clock};

/// Time that is kept back to pack what there is, in seconds.
const RESERVE: f64 = 2.0;

/// Bytes that a file takes beside its path and its text, and that a missing part takes beside its words: both with room for a
/// sentence, and the latter for its row in a table.
const FILE_BYTES: usize = 250;
const MISSING_BYTES: usize = 400;

/// Bytes for everything else of the outcome.
const REST_BYTES: usize = 4 << 10;

/// What was captured so far.
#[derive(Default)]
pub struct Capture {
    /// What begins with what matters most.
    lists: Vec<File>,
    /// What ends with it.
    logs: Vec<File>,
    missing: Vec<(String, String)>,
    captured: usize,
    /// Why nothing more is asked for.
    over: Option<String>,
}

impl Capture {
    /// Ask for a part. What cannot be had is missing, and so is everything after the run has used up what it may.
    pub fn ask<T>(&mut self, part: &str, call: impl FnOnce() -> Result<T, Error>) -> Option<T> {
        match self.attempt(call) {
            Ok(answer) => {
                self.captured += 1;
                Some(answer)
            }
            Err(why) => {
                self.miss(part, &why);
                None
            }
        }
    }

    /// The same for a part of a part: why there is none is left to whoever asks.
    pub fn attempt<T>(&mut self, call: impl FnOnce() -> Result<T, Error>) -> Result<T, String> {
        if self.over.is_none() && clock::remaining() < RESERVE {
            self.over = Some("the time of the run was used up before".to_owned());
        }
        if let Some(why) = &self.over {
            return Err(why.clone());
        }
        call().map_err(|error| {
            if let Error::Exhausted(text) = &error {
                self.over = Some(format!("the run had used up what it may: {text}"));
            }
            error.to_string()
        })
    }

    /// A part of which there is only a piece at a time was had.
    pub fn had(&mut self) {
        self.captured += 1;
    }

    /// Parts that were had.
    pub fn captured(&self) -> usize {
        self.captured
    }

    /// Say why a part is missing.
    pub fn miss(&mut self, part: &str, why: &str) {
        self.missing.push((part.to_owned(), why.to_owned()));
        self.lists.push(File::whole(format!("{part}.missing.txt"), format!("This is missing: {why}\n")));
    }

    /// Keep a file whose beginning matters most.
    pub fn list(&mut self, file: File) {
        self.lists.push(file);
    }

    /// Keep a file whose end matters most.
    pub fn log(&mut self, file: File) {
        self.logs.push(file);
    }

    /// All of it in so many bytes. Lists get three fifths of the room, or what logs leave; within both the long ones are cut
    /// first, so that none is lost because another is long.
    pub fn pack(self, bytes: usize) -> Files {
        let of_files = self.lists.iter().chain(&self.logs).map(|file| file.path.len() + FILE_BYTES);
        let of_missing = self.missing.iter().map(|(part, why)| 2 * (part.len() + File::size_of(why)) + MISSING_BYTES);
        let room = bytes.saturating_sub(REST_BYTES + of_files.sum::<usize>() + of_missing.sum::<usize>());
        let for_lists = (room / 5 * 3).max(room.saturating_sub(size(&self.logs)));
        let level = level(&self.lists, for_lists);
        let lists: Vec<File> = self.lists.into_iter().map(|file| file.keep_first(level)).collect();
        let level = self::level(&self.logs, room.saturating_sub(size(&lists)));
        let logs = self.logs.into_iter().map(|file| file.keep_last(level));
        let mut files = Files::new();
        lists.into_iter().chain(logs).for_each(|file| files.add(file));
        self.missing.iter().for_each(|(part, why)| files.miss(part, why));
        files
    }
}

fn size(files: &[File]) -> usize {
    files.iter().map(|file| File::size_of(&file.text)).sum()
}

/// How long each of the files may be, so that all of them fit into the room.
fn level(files: &[File], room: usize) -> usize {
    let mut sizes: Vec<usize> = files.iter().map(|file| File::size_of(&file.text)).collect();
    sizes.sort_unstable();
    let (mut room, mut left) = (room, sizes.len());
    for size in sizes {
        let share = room / left;
        if size > share {
            return share;
        }
        (room, left) = (room - size, left - 1);
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: usize) -> File {
        File::whole(path, "0123456\n".repeat(lines))
    }

    #[test]
    fn long_files_are_cut_before_short_ones_and_all_of_it_fits() {
        let mut capture = Capture::default();
        capture.list(file("short.jsonl", 10));
        capture.list(file("long.jsonl", 9000));
        capture.log(file("long.log", 9000));
        capture.log(file("short.log", 10));
        capture.miss("redis/cache", &"why \"not\"? ".repeat(20));
        let files = capture.pack(50_000);
        let size = files.size();
        assert!((30_000..=50_000).contains(&size), "{size}");
        let cut: Vec<_> = files.all().iter().filter(|file| file.cut.is_some()).map(|file| file.path.as_str()).collect();
        assert_eq!(cut, ["long.jsonl", "long.log"]);
        let of = |path: &str| files.all().iter().find(|file| file.path == path).unwrap().text.len();
        assert!(
            of("long.jsonl") > of("long.log") && of("long.log") > 10_000,
            "{} {}",
            of("long.jsonl"),
            of("long.log")
        );
    }

    #[test]
    fn logs_get_what_lists_leave_and_the_other_way_round() {
        let mut few = Capture::default();
        few.list(file("a", 10));
        few.log(file("b", 5000));
        assert!(few.pack(50_000).all()[1].text.len() > 38_000);
        let mut few = Capture::default();
        few.list(file("a", 5000));
        few.log(file("b", 10));
        assert!(few.pack(50_000).all()[0].text.len() > 38_000);
    }
}
