//! The cards of plugins.

use serde_json::Value;

use super::page::{Page, Paint, Tone};
use super::quantity::{quantity, seconds};
use super::table::table;
use super::text::{clean, one_line, pad, width};
use crate::api::shape::{Grant, Limits, Plugin, PluginList, PluginSummary};

/// The card of a list of plugins.
pub fn plugins(list: &PluginList, paint: Paint) -> String {
    let mut page = Page::new(paint);
    if list.plugins.is_empty() {
        page.line("no plugins are configured");
        return page.into_text();
    }
    let widest = |cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0);
    let names = widest(&mut list.plugins.iter().map(|plugin| width(&one_line(&plugin.name))));
    let states = widest(&mut list.plugins.iter().map(|plugin| width(plugin.state.as_str())));
    for plugin in &list.plugins {
        let state = page.tone(Tone::of(plugin.state.as_str()), pad(&one_line(plugin.state.as_str()), states));
        page.line(format!("{state}  {}  {}", pad(&one_line(&plugin.name), names), told(plugin)));
    }
    page.into_text()
}

/// What a plugin is, or why it cannot run. The reason is not clipped: it may hold the line that an operator would add.
fn told(plugin: &PluginSummary) -> String {
    match (&plugin.reason, &plugin.title, &plugin.version) {
        (Some(reason), _, _) => one_line(reason),
        (None, Some(title), Some(version)) => format!("{} ({})", one_line(title), one_line(version)),
        (None, _, _) => String::new(),
    }
}

/// The card of one plugin.
pub fn plugin(plugin: &Plugin, paint: Paint) -> String {
    let mut page = Page::new(paint);
    let summary = &plugin.summary;
    let state = one_line(summary.state.as_str());
    let word = page.tone(Tone::of(&state), state.to_uppercase());
    page.line(format!("{word} {}: {}", one_line(&summary.name), told(summary)));
    if let Some(description) = &plugin.description {
        page.gap();
        clean(description.trim()).lines().for_each(|line| page.line(line));
    }
    super::version::candidates(&mut page, &plugin.candidates);
    params(&mut page, plugin);
    grants(&mut page, plugin);
    limits(&mut page, &plugin.limits);
    if let (Some(digest), Some(loaded)) = (&summary.digest, &plugin.loaded) {
        page.gap();
        let line = format!("{}, loaded at {}{}", one_line(digest), one_line(loaded), whence(plugin));
        let line = page.tone(Tone::Faint, line);
        page.line(line);
    }
    page.into_text()
}

/// Where the component came from, as far as there is something to say.
fn whence(plugin: &Plugin) -> String {
    let by = plugin.delivered_by.as_ref().map(|actor| format!(", pushed by {}", one_line(actor)));
    let signed = plugin.signer.as_ref().map(|signer| format!(", signed by {}", one_line(signer)));
    [by, signed].into_iter().flatten().collect()
}

fn params(page: &mut Page, plugin: &Plugin) {
    let properties = plugin.params_schema.as_ref().and_then(|schema| schema.get("properties")?.as_object());
    let Some(properties) = properties.filter(|properties| !properties.is_empty()) else { return };
    page.section("Parameters");
    let rows: Vec<_> = properties.iter().map(|(name, schema)| param(plugin, name, schema)).collect();
    table(&[], &rows).into_iter().for_each(|line| page.line(line));
}

/// Name, type, what holds if it is not given, and what it is.
fn param(plugin: &Plugin, name: &str, schema: &Value) -> Vec<String> {
    let required = plugin.params_schema.as_ref().and_then(|schema| schema.get("required")?.as_array());
    let is_required = required.is_some_and(|names| names.iter().any(|required| required == name));
    let default = match (plugin.params.get(name), schema.get("default")) {
        (Some(value), _) => format!("= {value} (configured)"),
        (None, Some(value)) => format!("= {value}"),
        (None, None) if is_required => "required".to_owned(),
        (None, None) => String::new(),
    };
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
    vec![name.to_owned(), kind(schema), default, text("description").to_owned()]
}

fn kind(schema: &Value) -> String {
    match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            let kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            kinds.collect::<Vec<_>>().join(" or ")
        }
        Some(_) | None => String::new(),
    }
}

fn grants(page: &mut Page, plugin: &Plugin) {
    page.section("Grants");
    if plugin.grants.is_empty() {
        page.line("  none");
    }
    for grant in &plugin.grants {
        page.line(format!("  {}", one_line(&line(grant))));
    }
    for request in &plugin.capabilities {
        let need = if request.optional { "would like" } else { "needs" };
        let (operation, target) = (one_line(&request.operation), one_line(&request.target));
        let reason = one_line(&request.reason);
        let request = page.tone(Tone::Faint, format!("  {need} {operation} on {target}: {reason}"));
        page.line(request);
    }
}

/// A grant as it stands in the configuration.
fn line(grant: &Grant) -> String {
    let list = |name: &str, patterns: &[String]| match patterns {
        [] => String::new(),
        patterns => format!(", {name}: [{}]", patterns.iter().map(|p| format!("{p:?}")).collect::<Vec<_>>().join(", ")),
    };
    let (system, target) = grant.target.split_once('/').unwrap_or(("target", &grant.target));
    let (keys, paths) = (list("keys", &grant.keys), list("paths", &grant.paths));
    format!("{{ {system}: {target}, verbs: [{}]{keys}{paths} }}", grant.verbs.join(", "))
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
fn limits(page: &mut Page, limits: &Limits) {
    page.section("Limits of a run");
    let size = |bytes: u64| quantity(bytes as f64, "By");
    page.line(format!(
        "  {}, {} of memory, {} calls with answers of {} each and {} together, log of {} lines and {}",
        seconds(limits.deadline_seconds),
        size(limits.memory_bytes),
        limits.calls,
        size(limits.answer_bytes),
        size(limits.total_answer_bytes),
        limits.log_lines,
        size(limits.log_bytes),
    ));
}

#[cfg(test)]
mod tests;
