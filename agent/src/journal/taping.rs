//! The journal of a run that is recorded or replayed: where calls are taken down, and where their answers come from instead of
//! a target.
//!
//! Budget, decision and record are those of every run. What is missing in a replay is the one step in which a client is
//! called.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::changes::Receipt;
use super::{Arguments, Journal, Opening, Stop};
use crate::domain::CallError;
use crate::recording::{Dial, Dials, Played, Reel, Taped};

impl Journal {
    /// The same journal, whose calls are taken down, or answered by a recording, or both.
    pub fn recorded_by(self, reel: Option<Reel>) -> Self {
        Self { reel: reel.map(Box::new), ..self }
    }

    /// No arguments yet. Where they will be needed whole, they are kept whole.
    pub fn arguments(&self) -> Arguments {
        if self.reel.is_some() { Arguments::recorded() } else { Arguments::none() }
    }

    /// True when nothing is reached, and all answers come from a recording.
    pub fn is_replayed(&self) -> bool {
        self.reel.as_ref().is_some_and(|reel| reel.is_playing())
    }

    /// The clocks of a guest that is recorded or replayed, and the beginning of its random numbers.
    pub fn dials(&self) -> Option<(&Dials, [u8; 32])> {
        self.reel.as_ref().map(|reel| (reel.dials(), reel.seed()))
    }

    /// What was taken down. Calls are not any more, afterwards.
    pub fn take_taped(&mut self) -> Option<Taped> {
        self.reel.take().map(|reel| reel.taped())
    }

    /// The time of day, in milliseconds since 1970.
    pub fn now(&self) -> u64 {
        let now = || self.clock.now().as_millis();
        self.reel.as_ref().map_or_else(now, |reel| reel.dials().read(Dial::Now, now))
    }

    /// How long the run still has.
    pub fn remaining(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let Some(reel) = &self.reel else { return left };
        let elapsed = reel
            .dials()
            .read(Dial::Elapsed, || u64::try_from(self.allowed.saturating_sub(left).as_millis()).unwrap_or(u64::MAX));
        self.allowed.saturating_sub(Duration::from_millis(elapsed))
    }

    /// Sleep. False at once when that would pass the deadline. A replay passes the time without losing it.
    pub async fn sleep(&mut self, pause: Duration) -> bool {
        if let Some(reel) = self.reel.as_mut().filter(|reel| reel.is_playing()) {
            return reel.sleep(pause, self.allowed);
        }
        match Instant::now().checked_add(pause).filter(|end| *end < self.deadline) {
            Some(end) => {
                tokio::time::sleep_until(end.into()).await;
                true
            }
            None => false,
        }
    }

    /// Carry out a call that reaches no target, such as one to the plugin's memory. It counts against a budget of its own and
    /// leaves no record.
    pub async fn local<T, C>(
        &mut self,
        operation: &str,
        arguments: impl FnOnce() -> Value,
        call: C,
    ) -> Result<Result<T, CallError>, Stop>
    where
        T: Serialize + DeserializeOwned,
        C: AsyncFnOnce() -> Result<T, CallError>,
    {
        if let Err(spent) = self.count_local()? {
            return Ok(Err(spent));
        }
        let Some(reel) = &mut self.reel else { return Ok(call().await) };
        let arguments = arguments();
        reel.ask(operation, "", &arguments);
        let answered = if !reel.is_playing() {
            call().await
        } else if let Some(answered) = told(reel.play()) {
            answered
        } else {
            reel.unanswered(operation, "", arguments);
            return Err(Stop::Unanswered);
        };
        match &answered {
            Ok(answer) => reel.answered(operation, "", arguments, &json(answer)),
            Err(error) => reel.refused(operation, "", arguments, error),
        }
        Ok(answered)
    }

    /// What came beside the receipt of the last change: taken down, or the same as then.
    pub fn beside<T: Serialize + DeserializeOwned>(&mut self, value: Option<T>) -> Option<T> {
        let Some(reel) = &mut self.reel else { return value };
        let value = if reel.is_playing() {
            reel.play_beside().and_then(|value| serde_json::from_value(value).ok())
        } else {
            value
        };
        if let Some(value) = &value {
            reel.beside(value);
        }
        value
    }

    /// What the recording has for the call that was opened; none when the run ended in it.
    pub(super) fn replayed<T: DeserializeOwned>(&mut self) -> Option<Result<T, CallError>> {
        self.reel.as_mut().and_then(|reel| told(reel.play()))
    }

    /// A change in a replay: its receipt is the one of then, under the number that the call has now.
    pub(super) fn replay_change(&mut self, opening: Opening) -> Result<Result<Receipt, CallError>, Stop> {
        match self.replayed::<Receipt>() {
            None => {
                self.break_off(opening);
                Err(Stop::Unanswered)
            }
            Some(Ok(receipt)) => self.settle(opening, Ok(Receipt { sequence: self.next_sequence(), ..receipt })),
            Some(Err(error)) => self.settle(opening, Err(error)),
        }
    }

    /// A call begins. In a replay its answer is looked for here, before anything is decided, so that what is refused again is
    /// known to have been asked before.
    pub(super) fn tape_question(&mut self, opening: &mut Opening) {
        let Some(reel) = &mut self.reel else { return };
        opening.whole = opening.arguments.take_whole().unwrap_or_default();
        reel.ask(&opening.operation, &opening.target, &opening.whole);
    }

    /// A call was answered.
    pub(super) fn tape_answer(&mut self, opening: &mut Opening, answer: &str) {
        if let Some(reel) = &mut self.reel {
            reel.answered(&opening.operation, &opening.target, std::mem::take(&mut opening.whole), answer);
        }
    }

    /// A call failed.
    pub(super) fn tape_error(&mut self, opening: &mut Opening, error: &CallError) {
        if let Some(reel) = &mut self.reel {
            reel.refused(&opening.operation, &opening.target, std::mem::take(&mut opening.whole), error);
        }
    }

    /// The run ends in a call.
    pub(super) fn tape_end(&mut self, opening: &mut Opening) {
        if let Some(reel) = &mut self.reel {
            reel.unanswered(&opening.operation, &opening.target, std::mem::take(&mut opening.whole));
        }
    }
}

/// What the guest is told; none when the run ended there. What nobody asked before has no answer, and the guest may cope.
fn told<T: DeserializeOwned>(played: Played) -> Option<Result<T, CallError>> {
    let unknown = |why: String| CallError::Unavailable(format!("the recording has no answer to this: {why}"));
    match played {
        Played::Over => None,
        Played::Unknown => Some(Err(unknown("it was not asked then".to_owned()))),
        Played::Told(Err(error)) => Some(Err(error)),
        Played::Told(Ok(value)) => Some(serde_json::from_value(value).map_err(|error| unknown(error.to_string()))),
    }
}

/// Answers are plain data, which always has a form in JSON.
pub(super) fn json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap_or_default()
}

#[cfg(test)]
mod tests;
