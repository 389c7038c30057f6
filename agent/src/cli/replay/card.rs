//! What a replay found, as one reads a diff.

use serde_json::Value;

use crate::api::card::{Page, Paint, Tone, clean_line};
use crate::replay::{CallDifference, ChangeDifference, EndDifference, How, Report};

/// Most lines of one kind; the JSON has them all.
const MAX_LINES: usize = 40;

/// Longest arguments or value in a line, in characters.
const MAX_TEXT: usize = 160;

/// One replay.
pub(super) fn report(report: &Report, paint: Paint) -> String {
    let mut page = Page::new(paint);
    let (tone, word) = if report.same { (Tone::Good, "SAME") } else { (Tone::Warning, "DIFFERENT") };
    let word = page.tone(tone, word);
    page.line(format!("{word}  {}", headline(report)));
    let run = page.tone(Tone::Faint, format!("{} run {}, nothing was reached", report.mode, report.run));
    page.line(run);
    differences(&mut page, report);
    page.into_text()
}

/// Plugin, versions and what was the same, in one line.
pub(super) fn headline(report: &Report) -> String {
    let (then, now) = (&report.recorded, &report.replayed);
    let versions = match (then.version == now.version, then.component == now.component) {
        (_, true) => clean_line(&then.version),
        (true, false) => format!("{} → another build of it", clean_line(&then.version)),
        (false, false) => format!("{} → {}", clean_line(&then.version), clean_line(&now.version)),
    };
    let calls = counted(report.same_calls, "call");
    let changes = counted(report.same_changes, "change");
    let (plugin, end) = (clean_line(&report.plugin), end(&report.ending));
    let alike = if report.same { "" } else { " as then" };
    format!("{plugin} {versions}: {calls} and {changes}{alike}, {end}")
}

fn end(ending: &Value) -> String {
    let text = |pointer: &str| ending.pointer(pointer).and_then(Value::as_str).map(clean_line);
    text("/status").or_else(|| Some(format!("failed ({})", text("/failure/kind")?))).unwrap_or_default()
}

/// Everything that is not as it was.
pub(super) fn differences(page: &mut Page, report: &Report) {
    if !report.changes.is_empty() || report.reordered {
        page.section("Changes");
        if report.reordered {
            let line = page.tone(Tone::Warning, "  ~ they are asked for in another order");
            page.line(line);
        }
        listed(page, report.changes.iter(), change, 0);
    }
    let calls: Vec<_> = report.calls.iter().filter(|call| !is_told_as_change(report, call)).collect();
    if !calls.is_empty() {
        page.section("Calls");
        listed(page, calls.into_iter(), call, 0);
    }
    if !report.end.is_empty() {
        page.section("Outcome");
        ends(page, &report.end);
    }
}

/// An outcome where there was a failure, or the other way round, has nothing in common with it: the verdicts tell enough.
fn ends(page: &mut Page, all: &[EndDifference]) {
    let is_verdict =
        |end: &&EndDifference| matches!(end.field.as_str(), "status" | "summary" | "failure.kind" | "failure.message");
    let failed =
        |end: &EndDifference| end.field == "failure.kind" && (end.recorded.is_none() || end.replayed.is_none());
    if all.iter().any(failed) {
        let left_out = all.iter().filter(|end| !is_verdict(end)).count();
        listed(page, all.iter().filter(is_verdict), field, left_out);
    } else {
        listed(page, all.iter(), field, 0);
    }
}

fn is_told_as_change(report: &Report, call: &CallDifference) -> bool {
    let arguments = call.replayed.as_ref().or(call.recorded.as_ref());
    matches!(call.how, How::New | How::Gone)
        && report
            .changes
            .iter()
            .any(|change| change.operation == call.operation && Some(&change.arguments) == arguments)
}

/// What there is of one kind, with how much more there is beside what was left out already.
fn listed<'a, T: 'a>(page: &mut Page, all: impl Iterator<Item = &'a T>, each: fn(&mut Page, &T), left_out: usize) {
    let all: Vec<&T> = all.collect();
    all.iter().take(MAX_LINES).for_each(|one| each(page, one));
    let more = all.len().saturating_sub(MAX_LINES) + left_out;
    if more > 0 {
        let line = page.tone(Tone::Faint, format!("  … and {more} more; the JSON has them all"));
        page.line(line);
    }
}

fn change(page: &mut Page, change: &ChangeDifference) {
    let asked = asked(&change.operation, &change.target, Some(&change.arguments));
    match change.how {
        How::Gone => {
            let what = change
                .summary
                .as_deref()
                .map_or(asked, |summary| format!("{} on {}", clean_line(summary), clean_line(&change.target)));
            minus(page, &what);
        }
        How::New | How::OtherArguments | How::OtherAnswer => plus(page, &asked),
    }
}

fn call(page: &mut Page, call: &CallDifference) {
    let then = || asked(&call.operation, &call.target, call.recorded.as_ref());
    let now = || asked(&call.operation, &call.target, call.replayed.as_ref());
    match call.how {
        How::Gone => minus(page, &then()),
        How::New => plus(page, &now()),
        How::OtherArguments => {
            minus(page, &then());
            plus(page, &now());
        }
        How::OtherAnswer => {
            let line = page.tone(Tone::Warning, format!("  ~ {}", now()));
            page.line(line);
        }
    }
    if let Some(error) = &call.error {
        page.line(format!("      {}", clean_line(error)));
    }
}

fn field(page: &mut Page, difference: &EndDifference) {
    let shown = |value: &Value| match value {
        Value::String(text) => cut(&clean_line(text)),
        other => cut(&other.to_string()),
    };
    if let Some(then) = &difference.recorded {
        minus(page, &format!("{}: {}", clean_line(&difference.field), shown(then)));
    }
    if let Some(now) = &difference.replayed {
        plus(page, &format!("{}: {}", clean_line(&difference.field), shown(now)));
    }
}

fn asked(operation: &str, target: &str, arguments: Option<&Value>) -> String {
    let on = if target.is_empty() { String::new() } else { format!(" on {}", clean_line(target)) };
    let arguments = arguments.map(Value::to_string).filter(|text| text != "{}").unwrap_or_default();
    format!("{}{on} {}", clean_line(operation), cut(&clean_line(&arguments)))
}

fn minus(page: &mut Page, text: &str) {
    let line = page.tone(Tone::Bad, format!("  - {}", text.trim_end()));
    page.line(line);
}

fn plus(page: &mut Page, text: &str) {
    let line = page.tone(Tone::Good, format!("  + {}", text.trim_end()));
    page.line(line);
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
