//! What stands in the place of an interface of which nothing is granted: functions that answer `denied`, and nothing behind them.
//!
//! A component names all that it imports, and cannot be linked without it, though it may do well without a part of it: one that
//! captures the state of four systems is of use where there are three. For such a part nothing of the host is linked. These
//! functions are made from the names of operations alone; they are given neither a client nor a permit, and know no way to
//! either. Which interfaces they may stand for is decided by [`super::Imports::judge`] and by the catalog, and one that changes
//! something is never among them.

use wasmtime::component::{Linker, Val};

use super::RunState;
use crate::domain::{CallError, Denial, DenialReason, Interface, Operation};

/// Link the functions of `interface` as refusals.
pub(super) fn link(linker: &mut Linker<RunState>, interface: Interface) -> wasmtime::Result<()> {
    let mut instance = linker.instance(&format!("paramedic:plugin/{interface}@0.1.0"))?;
    for operation in Operation::ALL.iter().copied().filter(|operation| operation.interface() == interface) {
        instance.func_new(operation.verb(), move |mut store, _, arguments, results| {
            let state = store.data_mut();
            state.enter()?;
            let error = state.journal.refuse_absent(operation, target(arguments))?;
            if let Some(result) = results.first_mut() {
                *result = Val::Result(Err(Some(Box::new(encode(error)))));
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The target that a call names, which is its first argument or a field of it.
fn target(arguments: &[Val]) -> &str {
    match arguments.first() {
        Some(Val::String(target)) => target,
        Some(Val::Record(fields)) => {
            let field = fields.iter().find(|(name, _)| name == "target");
            match field {
                Some((_, Val::String(target))) => target,
                _ => "",
            }
        }
        _ => "",
    }
}

/// The error as the WIT package spells it.
fn encode(error: CallError) -> Val {
    let case = |name: &str, value: Val| Val::Variant(name.to_owned(), Some(Box::new(value)));
    match error {
        CallError::Denied(denial) => case("denied", record(denial)),
        CallError::Exhausted(message) => case("exhausted", Val::String(message)),
        // A refusal is one of the two above.
        other => case("other", Val::String(other.to_string())),
    }
}

fn record(denial: Denial) -> Val {
    let reason = match denial.reason {
        DenialReason::NotGranted => "not-granted",
        DenialReason::OutOfBounds => "out-of-bounds",
        DenialReason::NotInPlan => "not-in-plan",
        DenialReason::Frozen => "frozen",
    };
    let field = |name: &str, value: Val| (name.to_owned(), value);
    Val::Record(vec![
        field("operation", Val::String(denial.operation)),
        field("target", Val::String(denial.target)),
        field("reason", Val::Enum(reason.to_owned())),
        field("message", Val::String(denial.message)),
    ])
}
