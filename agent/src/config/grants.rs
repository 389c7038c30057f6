//! `plugins.<name>.grants`: one line for each target, with verbs and bounds.

use std::fmt::Display;
use std::str::FromStr;

use crate::domain::{Grant, Operation, System, Target};

use super::choices::choose_from;
use super::field::{Field, Mapping};
use super::names::Names;
use super::report::quoted;

const FIELDS: &[&str] = &["postgres", "redis", "queue", "http", "verbs", "keys", "paths"];

/// What an operation is bounded by beside its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Target,
    Keys,
    Paths,
}

const fn bound(operation: Operation) -> Bound {
    match operation {
        Operation::RedisScan | Operation::RedisUsage | Operation::RedisRead => Bound::Keys,
        Operation::HttpGet | Operation::HttpHead => Bound::Paths,
        Operation::PostgresInspect
        | Operation::PostgresSessions
        | Operation::PostgresStatements
        | Operation::PostgresReplication
        | Operation::PostgresQuery
        | Operation::RedisPing
        | Operation::RedisInfo
        | Operation::RedisSlowLog
        | Operation::QueueInspect
        | Operation::QueueListFailures => Bound::Target,
    }
}

/// Read one grant.
pub(super) fn read(field: &Field<'_>, names: &Names<'_>) -> Option<Grant> {
    let grant = field.mapping(FIELDS)?;
    let (system, name) = system(&grant)?;
    let target = names.target(name, system).map(|name| Target { system, name });
    let operations = grant.required("verbs", |field| verbs(field, system));
    // Bounds are compared with the verbs only when these are known.
    let wanted = operations.as_deref();
    let keys = patterns(&grant, "keys", Bound::Keys, system, wanted);
    let paths = patterns(&grant, "paths", Bound::Paths, system, wanted);
    Some(Grant { target: target?, operations: operations?, keys: keys?, paths: paths? })
}

/// The system of the one target that a grant names.
fn system<'m, 'a>(grant: &'m Mapping<'a>) -> Option<(System, &'m Field<'a>)> {
    let given: Vec<_> =
        System::ALL.into_iter().filter_map(|system| Some((system, grant.get(system.as_str())?))).collect();
    match given.as_slice() {
        [one] => Some(*one),
        [] => grant.field().refuse("a grant names its target; give one of postgres, redis, queue, http"),
        [_, (_, second), ..] => second.refuse("a grant is for one target; write a second grant for this one"),
    }
}

fn verbs(field: &Field<'_>, system: System) -> Option<Vec<Operation>> {
    let items = field.items()?;
    if items.is_empty() {
        let choices = choose_from("", Operation::of_system(system).map(Operation::verb));
        return field.refuse(format!("a grant without verbs allows nothing{choices}"));
    }
    let mut operations = Vec::new();
    for item in &items {
        let operation = verb(item, system);
        if operation.is_some() && operations.contains(&operation) {
            item.note("given twice");
        }
        operations.push(operation);
    }
    operations.into_iter().collect()
}

fn verb(field: &Field<'_>, system: System) -> Option<Operation> {
    let text = field.text()?;
    match Operation::of_system(system).find(|operation| operation.verb() == text) {
        Some(operation) => Some(operation),
        None => {
            let choices = choose_from(text, Operation::of_system(system).map(Operation::verb));
            field.refuse(format!("{} is no verb of {system}{choices}", quoted(text)))
        }
    }
}

/// Read the patterns in the field `name`, which must be there exactly if a verb is bounded by them.
fn patterns<T: FromStr<Err: Display>>(
    grant: &Mapping<'_>,
    name: &str,
    kind: Bound,
    system: System,
    operations: Option<&[Operation]>,
) -> Option<Vec<T>> {
    let bounded: Vec<&str> =
        Operation::of_system(system).filter(|operation| bound(*operation) == kind).map(Operation::verb).collect();
    let needing = operations.map(|operations| {
        operations.iter().find(|operation| bound(**operation) == kind).map(|operation| operation.verb())
    });
    match (grant.get(name), needing) {
        (None, Some(Some(verb))) => {
            grant.field().refuse(format!("`{verb}` needs `{name}`; add the patterns it may use"))
        }
        (None, Some(None) | None) => Some(Vec::new()),
        (Some(field), _) if bounded.is_empty() => {
            field.refuse(format!("{system} has no verb that `{name}` would bound"))
        }
        (Some(field), Some(None)) => {
            field.refuse(format!("none of the verbs is bounded by `{name}`; it is for {}", bounded.join(", ")))
        }
        (Some(field), Some(Some(_)) | None) => given_patterns(field),
    }
}

fn given_patterns<T: FromStr<Err: Display>>(field: &Field<'_>) -> Option<Vec<T>> {
    if field.items()?.is_empty() {
        return field.refuse("an empty list allows nothing; name the patterns, or leave out the verbs that need them");
    }
    field.all(Field::parsed)
}
