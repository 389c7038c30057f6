//! The card of a list of runs.

use super::WIDTH;
use super::page::{Page, Paint, Tone};
use super::quantity::seconds;
use super::table::table;
use super::text::{clip, one_line};
use crate::api::shape::{RunPage, RunSummary};

/// The card of `page`.
pub fn runs(runs: &RunPage, paint: Paint) -> String {
    let mut page = Page::new(paint);
    if runs.runs.is_empty() {
        page.line("no runs");
        return page.into_text();
    }
    let columns = ["started", "state", "plugin", "time", "id"].map(str::to_owned);
    let rows: Vec<_> = runs.runs.iter().map(row).collect();
    let mut lines = table(&columns, &rows).into_iter();
    let heading = page.tone(Tone::Faint, lines.next().unwrap_or_default());
    page.line(heading);
    for (line, run) in lines.zip(&runs.runs) {
        let state = one_line(run.state.as_str());
        // The state is the first word in lower case: the time before it has no letters but T and Z.
        page.line(line.replacen(&state, &page.tone(Tone::of(&state), &state), 1));
        page.line(format!("      {}", clip(&one_line(&verdict(run)), WIDTH - 6)));
    }
    if let Some(next) = &runs.next {
        let more = page.tone(Tone::Faint, format!("older: --cursor {}", one_line(next)));
        page.gap();
        page.line(more);
    }
    page.into_text()
}

fn row(run: &RunSummary) -> Vec<String> {
    let time = run.finished.as_ref().map(|_| seconds(run.usage.duration_seconds));
    let state = run.state.as_str().to_owned();
    vec![run.started.clone(), state, run.plugin.clone(), time.unwrap_or_default(), run.id.clone()]
}

fn verdict(run: &RunSummary) -> String {
    match (&run.outcome, &run.failure) {
        (Some(outcome), _) => outcome.summary.clone(),
        (None, Some(failure)) => format!("no verdict ({}): {}", failure.kind.as_str(), failure.message),
        (None, None) => format!("under way, for {}", run.actor),
    }
}
