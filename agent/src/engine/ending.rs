//! Gives the end of a run its name.

use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

use crate::domain::{Actor, Ending, Failure, FailureKind, cut_bytes};
use crate::host::RunState;
use crate::host::bindings::exports::paramedic::plugin::plugin as wit;
use crate::host::limiter::Refused;
use crate::journal::Stop;

/// What wasmtime says when a guest passes more data than the budget of one call. It has no type of its own; a test
/// with such a guest holds the text.
const TOO_MUCH_DATA: &str = "fuel allocated for hostcalls has been exhausted";

/// The reasons that a plugin gives itself.
pub(super) fn given(failure: wit::Failure) -> Ending {
    let (kind, message) = match failure {
        wit::Failure::BadParams(message) => (FailureKind::BadParams, message),
        wit::Failure::Host(error) => (FailureKind::HostCall, crate::host::describe_error(&error)),
        wit::Failure::Other(message) => (FailureKind::Plugin, message),
    };
    failed(kind, super::outcome::clean(cut_bytes(&message, 4 << 10)))
}

/// The reasons that the engine finds.
pub(super) fn found(error: &wasmtime::Error, state: &RunState) -> Ending {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return stopped(*stop);
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return failed(FailureKind::Exit, with_stderr(format!("the plugin left with exit status {}", exit.0), state));
    }
    // Before the trap: a guest that is refused memory traps a moment later.
    if let Some(refused) = state.limiter.refused() {
        return failed(limit(refused), with_stderr(limit_message(refused).to_owned(), state));
    }
    if format!("{error:#}").contains(TOO_MUCH_DATA) {
        return failed(FailureKind::Data, "the plugin passed more data at once than a run may".to_owned());
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return failed(FailureKind::Capacity, "the engine has no room for another instance".to_owned());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            failed(FailureKind::Stack, "the plugin nested its calls deeper than the stack".to_owned())
        }
        Some(Trap::Interrupt) => stopped(Stop::Deadline),
        Some(trap) => failed(FailureKind::Trap, with_stderr(format!("the plugin trapped: {trap}"), state)),
        // What a guest passed could not be read: a list outside its memory, text that is no UTF-8.
        None => {
            // The outermost message is a backtrace, the innermost says what was wrong.
            let cause = error.root_cause();
            failed(FailureKind::Trap, with_stderr(format!("the plugin broke the calling convention: {cause}"), state))
        }
    }
}

/// A run that the host ended.
pub(super) fn stopped(stop: Stop) -> Ending {
    let kind = match stop {
        Stop::Deadline => FailureKind::Deadline,
        Stop::Calls => FailureKind::Calls,
        Stop::Log => FailureKind::Log,
        Stop::NotInPlan => FailureKind::NotInPlan,
        Stop::Describing => FailureKind::Trap,
        // Told as the end that the recording has.
        Stop::Unanswered => FailureKind::Interrupted,
    };
    failed(kind, stop.to_string())
}

/// A run that somebody ended.
pub(super) fn cancelled(by: &Actor) -> Ending {
    failed(FailureKind::Cancelled, format!("cancelled by `{}`", by.0))
}

pub(super) fn failed(kind: FailureKind, message: String) -> Ending {
    Ending::Failed(Failure { kind, message })
}

const fn limit(refused: Refused) -> FailureKind {
    match refused {
        Refused::Memory => FailureKind::Memory,
        Refused::Tables => FailureKind::Tables,
    }
}

const fn limit_message(refused: Refused) -> &'static str {
    match refused {
        Refused::Memory => "the plugin wanted more memory than its limit `memory`",
        Refused::Tables => "the plugin wanted larger tables than its limit `table_elements`",
    }
}

/// A panic message stands on standard error; without it a trap says nothing.
fn with_stderr(message: String, state: &RunState) -> String {
    match state.log.stderr_tail() {
        Some(tail) => super::outcome::clean(&format!("{message}; its last words: {tail}")),
        None => message,
    }
}
