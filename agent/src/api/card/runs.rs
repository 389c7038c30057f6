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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::card::text::width;

    fn page() -> RunPage {
        let run = |state: &str, plugin: &str| {
            json!({
                "id": "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b", "plugin": plugin, "version": "0.1.0", "digest": "",
                "mode": "check", "trigger": "manual", "actor": "alice", "state": state,
                "started": "2026-03-01T03:14:15.926Z",
                "usage": {
                    "duration_seconds": 0.0253, "memory_bytes": 0, "calls": 0, "answer_bytes": 0,
                    "dropped_log_lines": 0
                }
            })
        };
        let mut concluded = run("critical", "pg-connections");
        concluded["outcome"] = json!({"status": "critical", "summary": "45 of 47 are used"});
        concluded["finished"] = json!("2026-03-01T03:14:15.951Z");
        let mut failed = run("failed", "redis-ping");
        failed["failure"] = json!({"kind": "deadline", "message": "it took too long ".repeat(20)});
        let runs = [concluded, failed, run("running", "http-health")];
        serde_json::from_value(json!({"runs": runs, "next": "00ff"})).unwrap()
    }

    #[test]
    fn each_run_is_shown_with_its_verdict_and_an_id_to_copy() {
        let card = runs(&page(), Paint::Plain);
        let lines: Vec<_> = card.lines().collect();
        assert_eq!(lines[0], "  started                   state     plugin             time  id");
        assert_eq!(
            lines[1],
            "  2026-03-01T03:14:15.926Z  critical  pg-connections  25.3 ms  019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b"
        );
        assert_eq!(lines[2], "      45 of 47 are used");
        assert!(lines[4].starts_with("      no verdict (deadline): it took too long") && lines[4].ends_with('…'));
        assert_eq!(lines[6], "      under way, for alice");
        assert_eq!(lines.last(), Some(&"older: --cursor 00ff"));
        assert!(lines.iter().all(|line| width(line) <= WIDTH));
        let coloured = runs(&page(), Paint::Colours);
        assert!(coloured.contains("\u{1b}[31mcritical\u{1b}[0m"), "{coloured:?}");
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), card);
        assert_eq!(runs(&RunPage { runs: vec![], next: None }, Paint::Plain), "no runs\n");
    }
}
