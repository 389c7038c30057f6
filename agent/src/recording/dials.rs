//! What the clocks of a guest show: taken down while it runs, and shown again.
//!
//! All of them count milliseconds. A loop that looks at a clock sees the same one many times, so that readings are kept with
//! how often each was seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Most readings of one clock that are kept. A guest that looks at it more often has a recording that is cut.
const MAX_READINGS: usize = 20_000;

/// What one clock showed, in order, each with how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readings(Vec<(u64, u32)>);

/// The clocks of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dial {
    /// The `clock` interface's time of day.
    Now,
    /// How long the run has taken, by which it is told how long it has left.
    Elapsed,
    /// The time of day that WASI shows.
    Wall,
    /// The clock of WASI that only goes on.
    Monotonic,
}

impl Dial {
    const ALL: [Self; 4] = [Self::Now, Self::Elapsed, Self::Wall, Self::Monotonic];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Elapsed => "elapsed",
            Self::Wall => "wall",
            Self::Monotonic => "monotonic",
        }
    }
}

/// All clocks of one guest. WASI has some of them, and the journal the others.
#[derive(Clone)]
pub struct Dials(Arc<[Mutex<Face>; 4]>);

struct Face {
    taken: Readings,
    is_full: bool,
    /// What is shown instead of the time, the next reading last.
    shown: Option<Vec<(u64, u32)>>,
    last: u64,
}

impl Face {
    fn new(shown: Option<Readings>) -> Self {
        let shown = shown.map(|Readings(mut shown)| {
            shown.reverse();
            shown
        });
        Self { taken: Readings::default(), is_full: false, shown, last: 0 }
    }

    fn read(&mut self, time: impl FnOnce() -> u64) -> u64 {
        let time = match &mut self.shown {
            None => time(),
            Some(shown) => next(shown).unwrap_or_else(|| self.last.saturating_add(1)),
        };
        self.last = time;
        self.take_down(time);
        time
    }

    fn take_down(&mut self, time: u64) {
        let taken = &mut self.taken.0;
        let is_full = taken.len() >= MAX_READINGS;
        match taken.last_mut() {
            Some((last, count)) if *last == time => *count = count.saturating_add(1),
            _ if is_full => self.is_full = true,
            _ => taken.push((time, 1)),
        }
    }
}

/// The next reading. After the last one time goes on a little with each look: a guest that waits for it comes to an end.
fn next(shown: &mut Vec<(u64, u32)>) -> Option<u64> {
    let (time, count) = shown.last_mut()?;
    let now = *time;
    *count = count.saturating_sub(1);
    if *count == 0 {
        shown.pop();
    }
    Some(now)
}

impl Dials {
    /// Clocks whose readings are taken down.
    pub(super) fn taking() -> Self {
        Self(Arc::new(Dial::ALL.map(|_| Mutex::new(Face::new(None)))))
    }

    /// Clocks that show these readings.
    pub(super) fn showing(readings: &BTreeMap<String, Readings>) -> Self {
        let shown = |dial: Dial| readings.get(dial.as_str()).cloned().unwrap_or_default();
        Self(Arc::new(Dial::ALL.map(|dial| Mutex::new(Face::new(Some(shown(dial)))))))
    }

    /// Look at a clock, which shows `time` unless it shows what was taken down.
    pub fn read(&self, dial: Dial, time: impl FnOnce() -> u64) -> u64 {
        let [now, elapsed, wall, monotonic] = &*self.0;
        let face = match dial {
            Dial::Now => now,
            Dial::Elapsed => elapsed,
            Dial::Wall => wall,
            Dial::Monotonic => monotonic,
        };
        face.lock().unwrap_or_else(PoisonError::into_inner).read(time)
    }

    /// What was taken down, and whether that is all.
    pub(super) fn take(&self) -> (BTreeMap<String, Readings>, bool) {
        let mut all = BTreeMap::new();
        let mut is_whole = true;
        for (dial, face) in Dial::ALL.into_iter().zip(&*self.0) {
            let mut face = face.lock().unwrap_or_else(PoisonError::into_inner);
            is_whole &= !face.is_full;
            let taken = std::mem::take(&mut face.taken);
            if !taken.0.is_empty() {
                all.insert(dial.as_str().to_owned(), taken);
            }
        }
        (all, is_whole)
    }
}
