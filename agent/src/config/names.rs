//! The names of all targets, known before anything refers to them.

use crate::domain::{System, TargetName};

use super::choices::choose_from;
use super::field::{Field, Mapping};
use super::report::quoted;
use super::yaml::Value;

/// Names as written under `targets`, those of broken targets included: a mistake in a target is reported once, there,
/// and not again wherever its name is used.
pub(super) struct Names<'a>(Vec<(System, &'a str)>);

impl<'a> Names<'a> {
    /// Collect the names without judging anything.
    pub(super) fn collect(root: &Mapping<'a>) -> Self {
        let Some(targets) = root.get("targets") else { return Self(Vec::new()) };
        let systems = pairs(targets.value()).flat_map(|(system, targets)| {
            let system = System::ALL.into_iter().find(|known| known.as_str() == system);
            let named = move |(name, _)| system.map(|system| (system, name));
            pairs(targets).filter_map(named)
        });
        Self(systems.collect())
    }

    /// The target of `system` that `field` names.
    pub(super) fn target(&self, field: &Field<'_>, system: System) -> Option<TargetName> {
        self.named(field, system, field.text()?)
    }

    /// The target of `system` that `field` names as `text`.
    pub(super) fn named(&self, field: &Field<'_>, system: System, text: &str) -> Option<TargetName> {
        let known: Vec<&str> = self.0.iter().filter(|(kind, _)| *kind == system).map(|(_, name)| *name).collect();
        if known.contains(&text) {
            // A bad name is reported where the target is configured.
            return text.parse().ok();
        }
        if known.is_empty() {
            return field.refuse(format!("there is no {system} target {}; `targets.{system}` is empty", quoted(text)));
        }
        if text.contains('*') {
            let choices = choose_from("", known);
            return field.refuse(format!("{} is no target: each is named by itself{choices}", quoted(text)));
        }
        let choices = choose_from(text, known);
        field.refuse(format!("there is no {system} target {}{choices}", quoted(text)))
    }
}

fn pairs(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let pairs = match value {
        Value::Mapping(pairs) => pairs.as_slice(),
        Value::Nothing | Value::Boolean(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => &[],
    };
    pairs.iter().map(|(key, node)| (key.name.as_str(), &node.value))
}
