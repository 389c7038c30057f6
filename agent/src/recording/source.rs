//! Which recorded call answers one that is made again.

use serde_json::Value;

use super::{Answer, Call};

/// The calls of a recording, each of which answers once.
pub(super) struct Source {
    calls: Vec<(Call, Use)>,
    /// The place behind the last one that answered.
    next: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Waits,
    Answered,
}

impl Source {
    pub(super) fn new(calls: Vec<Call>) -> Self {
        Self { calls: calls.into_iter().map(|call| (call, Use::Waits)).collect(), next: 0 }
    }

    /// The place of the call that answers this one: the next that asks for the same; otherwise one that was passed over, when
    /// a new version asks in another order.
    pub(super) fn find(&mut self, operation: &str, target: &str, arguments: &Value) -> Option<usize> {
        let place = self.waiting(|call| call.asks(operation, target, arguments)).or_else(|| {
            let key = written_key(operation, arguments)?;
            self.waiting(|call| call.operation == operation && written_key(operation, &call.arguments) == Some(key))
        })?;
        if let Some((_, used)) = self.calls.get_mut(place) {
            *used = Use::Answered;
        }
        self.next = self.next.max(place + 1);
        Some(place)
    }

    /// What the call at that place was answered, and what came beside it.
    pub(super) fn answer(&self, place: usize) -> Option<(&Answer, Option<&Value>)> {
        self.calls.get(place).map(|(call, _)| (&call.answer, call.beside.as_ref()))
    }

    fn waiting(&self, is: impl Fn(&Call) -> bool) -> Option<usize> {
        let mut ahead = (self.next..self.calls.len()).chain(0..self.next);
        ahead.find(|place| self.calls.get(*place).is_some_and(|(call, used)| *used == Use::Waits && is(call)))
    }
}

/// The key that a write to the memory of a plugin is about. Another value under the same key is remembered as well as the one
/// before, and the difference is told.
fn written_key<'a>(operation: &str, arguments: &'a Value) -> Option<&'a Value> {
    matches!(operation, "state/put" | "state/swap").then(|| arguments.get("key"))?
}
