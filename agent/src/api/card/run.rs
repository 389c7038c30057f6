//! The card of one run.

use super::notation::command;
use super::page::{Page, Paint, Tone};
use super::quantity::{quantity, seconds};
use super::table::table;
use super::text::{clean, clip, one_line};
use super::{WIDTH, change};
use crate::api::shape::{Call, File, Label, LogLine, Metric, Outcome, Run, Suggestion, Table};

/// How much a card tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What one wants to know when a run has just ended.
    Brief,
    /// That, its parameters, all its calls and its log.
    Full,
}

/// Most rows of one table, lines of details, and lines of the log in a brief card and in a full one.
const MAX_ROWS: usize = 40;
const MAX_DETAILS: usize = 60;
const LOG_TAIL: usize = 10;
const MAX_LOG: usize = 500;

/// The card of `run`.
pub fn run(run: &Run, detail: Detail, paint: Paint) -> String {
    let mut page = Page::new(paint);
    headline(&mut page, run);
    change::break_glass(&mut page, run.break_glass.as_deref(), &run.actor);
    if let Some(outcome) = &run.outcome {
        verdict(&mut page, outcome);
    }
    if let Some(outcome) = &run.outcome {
        files(&mut page, &run.id, &outcome.files);
    }
    if let Some(plan) = &run.plan {
        change::plan(&mut page, plan);
    }
    change::changes(&mut page, &run.id, &run.changes);
    afterwards(&mut page, run);
    match detail {
        Detail::Brief => denied(&mut page, &run.calls),
        Detail::Full => {
            params(&mut page, run);
            calls(&mut page, &run.calls);
        }
    }
    match (detail, &run.failure) {
        (Detail::Full, _) => log(&mut page, &run.log, MAX_LOG),
        (Detail::Brief, Some(_)) => log(&mut page, &run.log, LOG_TAIL),
        (Detail::Brief, None) => {}
    }
    footer(&mut page, run, detail);
    page.into_text()
}

/// The line that monitoring systems know: status, what was looked at, verdict.
fn headline(page: &mut Page, run: &Run) {
    let plugin = one_line(&run.plugin);
    let (word, tone, text) = match (&run.outcome, &run.failure) {
        (Some(outcome), _) => {
            let status = outcome.status.as_str();
            (status.to_uppercase(), Tone::of(status), one_line(&outcome.summary))
        }
        (None, Some(failure)) => {
            let text = format!("no verdict ({}): {}", one_line(failure.kind.as_str()), one_line(&failure.message));
            ("UNKNOWN".to_owned(), Tone::Doubtful, text)
        }
        (None, None) => ("RUNNING".to_owned(), Tone::Faint, format!("since {}", one_line(&run.started))),
    };
    let word = page.tone(tone, one_line(&word));
    page.line(format!("{word} {plugin}: {text}"));
}

fn verdict(page: &mut Page, outcome: &Outcome) {
    details(page, outcome.details.as_deref().unwrap_or_default());
    metrics(page, &outcome.metrics);
    for found in &outcome.findings {
        finding(page, found);
    }
    suggestions(page, &outcome.suggestions);
}

fn details(page: &mut Page, details: &str) {
    let details = clean(details.trim());
    if details.is_empty() {
        return;
    }
    page.gap();
    for line in details.lines().take(MAX_DETAILS) {
        page.line(line);
    }
    rest(page, details.lines().count(), MAX_DETAILS, "lines");
}

fn metrics(page: &mut Page, metrics: &[Metric]) {
    if metrics.is_empty() {
        return;
    }
    page.gap();
    let threshold = |word: &str, value: Option<f64>, unit: &str| {
        value.map(|value| format!("{word} {}", quantity(value, unit))).unwrap_or_default()
    };
    let row = |metric: &Metric| {
        vec![
            format!("{}{}", metric.name, dimensions(&metric.labels)),
            quantity(metric.value, &metric.unit),
            threshold("warn", metric.warn, &metric.unit),
            threshold("critical", metric.critical, &metric.unit),
        ]
    };
    let rows: Vec<_> = metrics.iter().take(MAX_ROWS).map(row).collect();
    for line in table(&[], &rows) {
        page.line(line);
    }
    rest(page, metrics.len(), MAX_ROWS, "metrics");
}

fn dimensions(labels: &[Label]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
    format!("{{{}}}", pairs.join(","))
}

fn finding(page: &mut Page, found: &Table) {
    page.section(&one_line(&found.title));
    let rows = found.rows.get(..MAX_ROWS.min(found.rows.len())).unwrap_or_default();
    let lines = table(&found.columns, rows);
    for (index, line) in lines.iter().enumerate() {
        let line = if index == 0 { page.tone(Tone::Faint, line) } else { line.clone() };
        page.line(line);
    }
    rest(page, found.rows.len(), MAX_ROWS, "rows");
}

/// What was left out is said, not hidden.
fn rest(page: &mut Page, all: usize, shown: usize, what: &str) {
    if all > shown {
        let line = page.tone(Tone::Faint, format!("  … and {} more {what}; the JSON has them all", all - shown));
        page.line(line);
    }
}

fn suggestions(page: &mut Page, suggestions: &[Suggestion]) {
    if suggestions.is_empty() {
        return;
    }
    page.section("Next");
    for suggestion in suggestions {
        let command = page.tone(Tone::Command, one_line(&command(&suggestion.plugin, &suggestion.params)));
        page.line(format!("  {command}"));
        page.line(format!("      {}", one_line(&suggestion.reason)));
    }
}

/// How to have the files, which a card has no room for.
fn files(page: &mut Page, id: &str, files: &[File]) {
    if files.is_empty() {
        return;
    }
    page.section("Files");
    let size = quantity(lossy(files.iter().map(|file| file.size).sum()), "By");
    let count = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
    let cut = files.iter().filter(|file| file.cut.is_some()).count();
    let cut = if cut == 0 { String::new() } else { format!(", {cut} of them cut") };
    let command = page.tone(Tone::Command, one_line(&format!("paramedic archive {id} -o FILE")));
    page.line(format!("  {count}, {size}{cut}: {command}"));
}

/// Whether it helped, and when it is given back by itself.
fn afterwards(page: &mut Page, run: &Run) {
    let helped = run.help.as_ref().map(|help| match help.verdict.as_str() {
        "helped" => (Tone::Good, "it helped: the check is better than before"),
        "no_change" => (Tone::Warning, "the check says the same as before"),
        "worse" => (Tone::Bad, "the check is worse than before"),
        _ => (Tone::Doubtful, "whether it helped is not known"),
    });
    if helped.is_none() && run.lease.is_none() {
        return;
    }
    page.section("Afterwards");
    if let (Some((tone, text)), Some(help)) = (helped, &run.help) {
        let text = page.tone(tone, text);
        let after = help.after.as_deref().unwrap_or(&help.before);
        page.line(format!("  {text} (run {})", one_line(after)));
    }
    if let Some(lease) = &run.lease {
        page.line(format!("  {}", super::leases::line(lease)));
    }
}

/// Calls that the host refused. Not clipped: the text holds the line that an operator would add.
fn denied(page: &mut Page, calls: &[Call]) {
    let mut denied = calls.iter().filter(|call| call.decision.as_str() != "permitted").peekable();
    if denied.peek().is_none() {
        return;
    }
    page.section("Denied");
    let all = denied.clone().count();
    for call in denied.take(MAX_ROWS) {
        let what = format!("{} on {}", one_line(&call.operation), one_line(&call.target));
        let reason = one_line(call.error.as_deref().unwrap_or_else(|| call.decision.as_str()));
        // The usual reason begins with what was refused.
        let line = if reason.starts_with(&what) { reason } else { format!("{what}: {reason}") };
        page.line(format!("  {line}"));
    }
    rest(page, all, MAX_ROWS, "calls");
}

fn params(page: &mut Page, run: &Run) {
    page.section("Again");
    let command = page.tone(Tone::Command, one_line(&command(&run.plugin, &run.params)));
    page.line(format!("  {command}"));
}

fn calls(page: &mut Page, calls: &[Call]) {
    if calls.is_empty() {
        return;
    }
    page.section("Calls");
    let columns = ["#", "call", "target", "time", "answer", "decision"].map(str::to_owned);
    let row = |call: &Call| {
        vec![
            call.sequence.to_string(),
            call.operation.clone(),
            call.target.clone(),
            seconds(call.duration_seconds),
            quantity(lossy(call.answer_bytes), "By"),
            call.decision.as_str().to_owned(),
        ]
    };
    let rows: Vec<_> = calls.iter().take(MAX_ROWS).map(row).collect();
    let lines = table(&columns, &rows);
    let errors = std::iter::once(None).chain(calls.iter().map(|call| call.error.as_deref()));
    for (line, error) in lines.iter().zip(errors) {
        page.line(line);
        if let Some(error) = error {
            page.line(format!("      {}", one_line(error)));
        }
    }
    rest(page, calls.len(), MAX_ROWS, "calls");
}

/// The last `most` lines.
fn log(page: &mut Page, lines: &[LogLine], most: usize) {
    if lines.is_empty() {
        return;
    }
    let skipped = lines.len().saturating_sub(most);
    let heading =
        if skipped == 0 { "Log".to_owned() } else { format!("Log, the last {most} of {} lines", lines.len()) };
    page.section(&heading);
    for line in lines.iter().skip(skipped) {
        let text = logged(page, line);
        page.line(format!("  {text}"));
    }
}

/// One line of a log by itself, as it stands in a card.
pub fn log_line(line: &LogLine, paint: Paint) -> String {
    let mut page = Page::new(paint);
    let text = logged(&page, line);
    page.line(text);
    page.into_text()
}

fn logged(page: &Page, line: &LogLine) -> String {
    let level = page.tone(Tone::of(line.level.as_str()), format!("{:5}", one_line(line.level.as_str())));
    let (time, source) = (one_line(time_of_day(&line.time)), one_line(line.source.as_str()));
    let mut text = clean(line.message.trim_end()).replace('\n', "\n      ");
    text.extend(line.fields.iter().map(|f| format!(" {}={}", one_line(&f.name), one_line(&f.value))));
    format!("{time} {level} {source}: {text}")
}

/// `03:14:15.926` of an RFC 3339 time; the whole where it is none.
fn time_of_day(time: &str) -> &str {
    time.get(11..23).unwrap_or(time)
}

fn footer(page: &mut Page, run: &Run, detail: Detail) {
    page.gap();
    let usage = &run.usage;
    let calls = match usage.calls {
        1 => "1 call".to_owned(),
        calls => format!("{calls} calls"),
    };
    let used = match run.finished {
        None => "under way".to_owned(),
        Some(_) => format!(
            "{}, {calls}, {} of memory",
            seconds(usage.duration_seconds),
            quantity(lossy(usage.memory_bytes), "By")
        ),
    };
    let (actor, started) = (one_line(&run.actor), one_line(&run.started));
    let facts = format!("run {} of {} {}: {used}; for {actor} at {started}", run.id, run.plugin, run.version);
    let dropped = (usage.dropped_log_lines > 0).then(|| format!("{} log lines were dropped", usage.dropped_log_lines));
    let more = match detail {
        Detail::Brief => format!("more: paramedic runs show {}", run.id),
        Detail::Full => format!("everything: paramedic runs show {} -o json", run.id),
    };
    for line in [Some(facts), dropped, Some(more)].into_iter().flatten() {
        let line = page.tone(Tone::Faint, clip(&one_line(&line), WIDTH + 40));
        page.line(line);
    }
}

/// Sizes for people; what is lost beyond 2⁵³ is not seen.
#[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
fn lossy(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests;
