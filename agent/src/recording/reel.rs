//! Takes down what a guest is told, and plays it again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::source::Source;
use super::{Answer, Call, Dials, MAX_BYTES, Readings, Recording, Refused};
use crate::domain::CallError;

/// What a call costs beside its texts.
const PER_CALL: usize = 100;

/// Goes along with one run. What it plays is taken down as well, so that the two can be compared.
pub struct Reel {
    seed: [u8; 32],
    dials: Dials,
    calls: Vec<Call>,
    /// By which call of the recording each was answered.
    answered_by: Vec<Option<usize>>,
    room: usize,
    is_cut: bool,
    source: Option<Source>,
    /// The call of the recording that answers the one under way.
    current: Option<usize>,
    slept: Duration,
    has_ended: bool,
}

/// What was taken down of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taped {
    /// Where its random numbers began.
    pub seed: String,
    /// What its clocks showed.
    pub clocks: BTreeMap<String, Readings>,
    /// Its calls in order; none where it was cut.
    pub calls: Vec<Call>,
    /// By which call of the recording each was answered, in a replay.
    pub answered_by: Vec<Option<usize>>,
    /// True where there was more than fits.
    pub cut: bool,
    /// True for a replay that came to the call in which the run ended.
    pub has_ended: bool,
}

/// What a recording has for a call.
#[derive(Debug)]
pub enum Played {
    /// This is what the guest was told.
    Told(Result<Value, CallError>),
    /// The run ended in it.
    Over,
    /// Nobody asked that.
    Unknown,
}

impl Reel {
    /// Take down a run whose random numbers begin at `seed`.
    pub fn taking(seed: [u8; 32]) -> Self {
        Self::new(seed, Dials::taking(), None)
    }

    /// Play a recording. Its seed has been written by [`Reel::taped`]; of another one the digits that can be read are taken.
    pub fn playing(recording: &Recording) -> Self {
        let source = Source::new(recording.calls.clone());
        Self::new(from_hex(&recording.seed), Dials::showing(&recording.clocks), Some(source))
    }

    fn new(seed: [u8; 32], dials: Dials, source: Option<Source>) -> Self {
        // What is played was small enough once, and nothing of a replay is kept.
        let room = if source.is_some() { usize::MAX } else { MAX_BYTES };
        Self {
            seed,
            dials,
            calls: Vec::new(),
            answered_by: Vec::new(),
            room,
            is_cut: false,
            source,
            current: None,
            slept: Duration::ZERO,
            has_ended: false,
        }
    }

    /// True when nothing is reached, and all answers come from a recording.
    pub const fn is_playing(&self) -> bool {
        self.source.is_some()
    }

    /// The clocks that the guest sees.
    pub const fn dials(&self) -> &Dials {
        &self.dials
    }

    /// Where its random numbers begin.
    pub const fn seed(&self) -> [u8; 32] {
        self.seed
    }

    /// A call begins. In a replay its answer is looked for.
    pub fn ask(&mut self, operation: &str, target: &str, arguments: &Value) {
        if let Some(source) = &mut self.source {
            self.current = source.find(operation, target, arguments);
        }
    }

    /// What the recording has for the call under way.
    pub fn play(&mut self) -> Played {
        let found = self.current.zip(self.source.as_ref()).and_then(|(place, source)| source.answer(place));
        match found {
            None => Played::Unknown,
            Some((Answer::Ok(answer), _)) => Played::Told(Ok(answer.clone())),
            Some((Answer::Error(refused), _)) => match refused.error() {
                Some(error) => Played::Told(Err(error)),
                None => Played::Unknown,
            },
            Some((Answer::None, _)) => {
                self.has_ended = true;
                Played::Over
            }
        }
    }

    /// What came beside the receipt that was played last.
    pub fn play_beside(&self) -> Option<Value> {
        let (_, beside) = self.source.as_ref()?.answer((*self.answered_by.last()?)?)?;
        beside.cloned()
    }

    /// Sleep for that long without losing the time. False when that would pass the deadline.
    pub fn sleep(&mut self, pause: Duration, deadline: Duration) -> bool {
        let slept = self.slept.saturating_add(pause);
        let is_in_time = slept < deadline;
        if is_in_time {
            self.slept = slept;
        }
        is_in_time
    }

    /// Take down a call that was answered with that JSON.
    pub fn answered(&mut self, operation: &str, target: &str, arguments: Value, answer: &str) {
        let size = answer.len();
        match serde_json::from_str(answer) {
            Ok(answer) => self.keep(operation, target, arguments, Answer::Ok(answer), size),
            // Nothing that was just written as JSON cannot be read; were it so, the recording would not be whole.
            Err(_) => self.cut(),
        }
    }

    /// Take down a call that failed.
    pub fn refused(&mut self, operation: &str, target: &str, arguments: Value, error: &CallError) {
        self.keep(operation, target, arguments, Answer::Error(Refused::from(error)), error.to_string().len());
    }

    /// Take down the call in which the run ended.
    pub fn unanswered(&mut self, operation: &str, target: &str, arguments: Value) {
        self.keep(operation, target, arguments, Answer::None, 0);
    }

    /// Take down what came beside the receipt of the last call.
    pub fn beside(&mut self, value: &impl Serialize) {
        let Ok(value) = serde_json::to_value(value) else { return self.cut() };
        self.take_room(value.to_string().len());
        if let Some(call) = self.calls.last_mut() {
            call.beside = Some(value);
        }
    }

    fn keep(&mut self, operation: &str, target: &str, arguments: Value, answer: Answer, size: usize) {
        let answered_by = self.current.take();
        let texts = operation.len() + target.len() + size + arguments.to_string().len();
        self.take_room(texts.saturating_add(PER_CALL));
        if self.is_cut {
            return;
        }
        let (operation, target) = (operation.to_owned(), target.to_owned());
        self.calls.push(Call { operation, target, arguments, answer, beside: None });
        self.answered_by.push(answered_by);
    }

    fn take_room(&mut self, size: usize) {
        match self.room.checked_sub(size) {
            Some(room) => self.room = room,
            None => self.cut(),
        }
    }

    /// What is left of it would say something else than what happened.
    fn cut(&mut self) {
        self.is_cut = true;
        self.calls = Vec::new();
        self.answered_by = Vec::new();
    }

    /// What was taken down.
    pub fn taped(self) -> Taped {
        let (clocks, is_whole) = self.dials.take();
        Taped {
            seed: to_hex(&self.seed),
            clocks,
            calls: self.calls,
            answered_by: self.answered_by,
            cut: self.is_cut || !(is_whole || self.source.is_some()),
            has_ended: self.has_ended,
        }
    }
}

fn to_hex(seed: &[u8; 32]) -> String {
    seed.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> [u8; 32] {
    let mut seed = [0; 32];
    for (byte, pair) in seed.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or_default();
    }
    seed
}
