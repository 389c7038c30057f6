//! What the host leaves out of an answer of `kubernetes`, because it was not asked for: pods and objects by their labels, lines of logs
//! by their age, and what a page has no room for. So a test gives what there is, and the plugin gets what it asked for.
//!
//! Where an answer does not tell the labels of its pods, the row of the table has to: one without a selector answers no call that has one.

use super::answers::{Argument, Function};
use super::selector::Selector;
use super::world;
use crate::kubernetes::{LogPage, LogQuery, ObjectPage, ObjectQuery, Pod, PodRef, Usage};
use crate::{Error, Instant};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most objects and most lines of one page.
const MOST_OBJECTS: u32 = 500;
const MOST_LINES: u32 = 5_000;

pub(crate) fn list_objects(function: &Function<ObjectPage>, query: &ObjectQuery) -> Result<ObjectPage, Error> {
    let selector = selector(query.labels.as_deref().unwrap_or_default())?;
    let mut arguments = Vec::new();
    query.write(&mut arguments);
    let mut page = world::ask_page(function, arguments, 0, query.after.as_deref())?;
    page.items.retain(|item| selector == Selector::ALL || is_selected(&selector, item));
    let rest = page.items.split_off(page.items.len().min(query.limit.clamp(1, MOST_OBJECTS) as usize));
    if rest.is_empty() {
        return Ok(page);
    }
    let rest = ObjectPage { items: rest, next: page.next.take() };
    Ok(ObjectPage { next: Some(world::keep(rest)), ..page })
}

fn is_selected(selector: &Selector<'_>, item: &str) -> bool {
    let object: Value = serde_json::from_str(item).unwrap_or_default();
    selector.selects(|name| object.pointer("/metadata/labels").and_then(|labels| labels.get(name)?.as_str()))
}

pub(crate) fn list_pods(function: &Function<Vec<Pod>>, target: &str, labels: &str) -> Result<Vec<Pod>, Error> {
    let selector = selector(labels)?;
    let mut pods = world::ask(function, vec![target.to_owned(), labels.to_owned()])?;
    let label = |pod: &Pod, name: &str| pod.labels.iter().position(|label| label.name == name);
    pods.retain(|pod| {
        selector.selects(|name| label(pod, name).and_then(|n| pod.labels.get(n)).map(|label| label.value.as_str()))
    });
    Ok(pods)
}

pub(crate) fn list_usage(function: &Function<Vec<Usage>>, target: &str, labels: &str) -> Result<Vec<Usage>, Error> {
    selector(labels)?;
    world::ask_of(function, vec![target.to_owned(), labels.to_owned()], words(labels))
}

pub(crate) fn read_logs(
    function: &Function<LogPage>,
    target: &str,
    labels: &str,
    query: &LogQuery,
) -> Result<LogPage, Error> {
    selector(labels)?;
    let mut arguments = vec![target.to_owned(), labels.to_owned()];
    query.write(&mut arguments);
    world::ask_page(function, arguments, words(labels), query.after.as_deref()).map(|page| lines(page, query))
}

pub(crate) fn read_log(function: &Function<LogPage>, pod: &PodRef, query: &LogQuery) -> Result<LogPage, Error> {
    let mut arguments = Vec::new();
    pod.write(&mut arguments);
    query.write(&mut arguments);
    world::ask_page(function, arguments, 0, query.after.as_deref()).map(|page| lines(page, query))
}

fn selector(labels: &str) -> Result<Selector<'_>, Error> {
    Selector::parse(labels).ok_or_else(|| {
        super::remote("kubernetes", "BadRequest", &format!("the API server finds fault with the selector `{labels}`"))
    })
}

/// Words that a row has to have to answer a call with this selector: the target, and the selector itself.
fn words(labels: &str) -> usize {
    if labels.is_empty() { 0 } else { 2 }
}

/// The lines that were asked for, in order of time. Where a container's name is not told, its pod stands for it.
fn lines(mut page: LogPage, query: &LogQuery) -> LogPage {
    page.lines.sort_by_key(|line| line.time);
    let oldest = query.since.map(|seconds| world::now().saturating_sub((seconds.ceil().max(1.0) * 1000.0) as Instant));
    page.lines.retain(|line| line.time.is_none_or(|time| oldest.is_none_or(|oldest| time >= oldest)));
    if let Some(tail) = query.tail {
        let mut left = BTreeMap::<String, u32>::new();
        let mut kept: Vec<bool> = Vec::new();
        for line in page.lines.iter().rev() {
            let left = left.entry(line.pod.clone()).or_insert(tail);
            kept.push(*left > 0);
            *left = left.saturating_sub(1);
        }
        page.lines.retain(|_| kept.pop().unwrap_or(true));
    }
    let rest = page.lines.split_off(page.lines.len().min(query.limit.clamp(1, MOST_LINES) as usize));
    if rest.is_empty() {
        return page;
    }
    let kept = LogPage { lines: rest, ..page.clone() };
    LogPage { next: Some(world::keep(kept)), ..page }
}
