//! `budgets`: how much all plugins together may change.

use crate::domain::{Budget, Effect, Operation, System, Target};

use super::choices::choose_from;
use super::field::{Field, Mapping};
use super::grants::{MOST, verbs};
use super::names::Names;
use super::report::quoted;

/// Read `budgets`.
pub(super) fn read(root: &Mapping<'_>, names: &Names<'_>) -> Option<Vec<Budget>> {
    let Some(field) = root.get("budgets") else { return Some(Vec::new()) };
    field.all(|item| budget(item, names))
}

fn budget(field: &Field<'_>, names: &Names<'_>) -> Option<Budget> {
    let budget = field.mapping(&["target", "verbs", "per_hour"])?;
    let target = budget.required("target", |field| target(field, names));
    // Verbs are compared with the system only when that is known.
    let operations = budget.required("verbs", |field| changes(field, target.as_ref()?.system));
    let per_hour = budget.required("per_hour", |field| field.whole(MOST));
    Some(Budget { target: target?, operations: operations?, per_hour: per_hour? })
}

fn target(field: &Field<'_>, names: &Names<'_>) -> Option<Target> {
    let text = field.text()?;
    match text.parse::<Target>() {
        Ok(target) => {
            let name = names.named(field, target.system, target.name.as_str())?;
            Some(Target { system: target.system, name })
        }
        Err(error) => field.refuse(format!("{} is no target: {error}", quoted(text))),
    }
}

/// What only looks is not counted.
fn changes(field: &Field<'_>, system: System) -> Option<Vec<Operation>> {
    let changes = Operation::of_system(system).filter(|operation| operation.effect() == Effect::Change);
    let choices = choose_from("", changes.map(Operation::verb));
    if field.items()?.is_empty() {
        return field.refuse(format!("a budget without verbs counts nothing{choices}"));
    }
    let operations = verbs(field, system)?;
    let Some(looks) = operations.iter().find(|operation| operation.effect() != Effect::Change) else {
        return Some(operations);
    };
    field.refuse(format!("`{}` changes nothing, and a budget counts changes{choices}", looks.verb()))
}
