//! The cards of sweeps and of their runs.

use super::WIDTH;
use super::page::{Page, Paint, Tone};
use super::quantity::seconds;
use super::table::table;
use super::text::{clip, one_line, pad, width};
use crate::api::shape::{CheckResult, Schedule, Sweep, SweepEvent, SweepList, SweepRun, SweepSummary};

/// The card of a list of sweeps: the confirmed state of each, and what is behind it where that is not ok.
pub fn sweeps(list: &SweepList, paint: Paint) -> String {
    let mut page = Page::new(paint);
    if list.sweeps.is_empty() {
        page.line("no sweeps are configured");
        return page.into_text();
    }
    let states = list.sweeps.iter().map(|sweep| width(&one_line(state(sweep)))).max().unwrap_or(0);
    let names = list.sweeps.iter().map(|sweep| width(&one_line(&sweep.name))).max().unwrap_or(0);
    for sweep in &list.sweeps {
        let word = page.tone(Tone::of(state(sweep)), pad(&one_line(state(sweep)), states));
        page.line(format!("{word}  {}  {}", pad(&one_line(&sweep.name), names), told(sweep)));
        for check in troubles(sweep) {
            page.line(format!("    {}", fitted(check, WIDTH - 4)));
        }
    }
    page.into_text()
}

/// The card of one sweep.
pub fn sweep(sweep: &Sweep, paint: Paint) -> String {
    let mut page = Page::new(paint);
    let summary = &sweep.summary;
    let word = page.tone(Tone::of(state(summary)), one_line(state(summary)).to_uppercase());
    page.line(format!("{word} {}: {}", one_line(&summary.name), told(summary)));
    if let Some(last) = &summary.last {
        checks(&mut page, &last.checks);
    }
    for silence in &summary.silences {
        let (until, who) = (one_line(&silence.expires), one_line(&silence.creator));
        page.line(clip(&format!("silenced until {until} by {who}: {}", one_line(&silence.reason)), WIDTH));
    }
    events(&mut page, &sweep.events);
    runs(&mut page, &sweep.runs);
    if let Some(next) = &sweep.next_page {
        let more = page.tone(Tone::Faint, format!("older: --cursor {}", one_line(next)));
        page.line(more);
    }
    page.into_text()
}

/// The card of one run of a sweep.
pub fn sweep_run(run: &SweepRun, paint: Paint) -> String {
    let mut page = Page::new(paint);
    let word = page.tone(Tone::of(run_state(run)), one_line(run_state(run)).to_uppercase());
    page.line(format!("{word} {}: {}", one_line(&run.sweep), counts(run)));
    checks(&mut page, &run.checks);
    page.gap();
    let (actor, started) = (one_line(&run.actor), one_line(&run.started));
    let slot = run.slot.as_ref().map_or(String::new(), |slot| format!(", for the slot {}", one_line(slot)));
    let facts = format!("run {} of {}: for {actor} at {started}{slot}", one_line(&run.id), one_line(&run.sweep));
    let facts = page.tone(Tone::Faint, facts);
    page.line(facts);
    page.into_text()
}

/// The confirmed state; `pending` before there is one.
fn state(sweep: &SweepSummary) -> &str {
    sweep.state.status.as_ref().map_or("pending", |status| status.as_str())
}

fn run_state(run: &SweepRun) -> &str {
    run.status.as_ref().map_or(run.state.as_str(), |status| status.as_str())
}

/// Since when, what speaks against it, and when it is looked at next.
fn told(sweep: &SweepSummary) -> String {
    let standing = &sweep.state;
    let since = standing.since.as_ref().map(|since| format!("since {}", one_line(since)));
    let doubt = standing.last.as_ref().filter(|_| standing.streak > 0).map(|last| {
        let times = if standing.streak == 1 { "once".to_owned() } else { format!("{} times", standing.streak) };
        format!("now {} {times}, not confirmed yet", one_line(last.as_str()))
    });
    let flapping = standing.flapping.then(|| format!("flapping ({:.0} % changes)", standing.change_percent));
    let silenced = (!sweep.silences.is_empty()).then(|| "silenced".to_owned());
    let schedule = sweep.schedule.as_ref().map_or_else(|| "runs when asked".to_owned(), schedule);
    let next = match (&sweep.running, &sweep.next) {
        (Some(_), _) => Some("under way".to_owned()),
        (None, Some(next)) => Some(format!("next {}", one_line(next))),
        (None, None) => None,
    };
    let parts = [since, doubt, flapping, silenced, Some(schedule), next];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn schedule(schedule: &Schedule) -> String {
    match (schedule.every_seconds, &schedule.cron, &schedule.timezone) {
        (Some(every), ..) => format!("every {}", seconds(every)),
        (None, Some(cron), Some(zone)) => format!("at {} in {}", one_line(cron), one_line(zone)),
        (None, cron, _) => format!("at {}", one_line(cron.as_deref().unwrap_or("unknown times"))),
    }
}

/// The checks of the last run that were not ok, where the sweep is not ok or in doubt.
fn troubles(sweep: &SweepSummary) -> impl Iterator<Item = &CheckResult> {
    let checks = sweep.last.as_ref().map_or(&[] as &[CheckResult], |run| run.checks.as_slice());
    checks.iter().filter(|check| check.status.as_str() != "ok")
}

/// The line of a check, clipped unless it may hold what an operator would add to the grants.
fn fitted(check: &CheckResult, columns: usize) -> String {
    let line = check_line(check);
    match check.reason.as_ref().map(|reason| reason.as_str()) {
        Some("not_active" | "denied") => line,
        Some(_) | None => clip(&line, columns),
    }
}

fn check_line(check: &CheckResult) -> String {
    let reason = check.reason.as_ref().map_or(String::new(), |reason| format!(" ({})", one_line(reason.as_str())));
    let status = one_line(check.status.as_str());
    format!("{status}{reason} {}: {}", one_line(&check.plugin), one_line(&check.summary))
}

fn checks(page: &mut Page, checks: &[CheckResult]) {
    if checks.is_empty() {
        return;
    }
    page.gap();
    for check in checks {
        let word = one_line(check.status.as_str());
        let line = fitted(check, WIDTH - 2);
        let rest = line.strip_prefix(&word).unwrap_or(&line).to_owned();
        let word = page.tone(Tone::of(&word), &word);
        page.line(format!("  {word}{rest}"));
        if let Some(run) = check.run.as_ref().filter(|_| check.status.as_str() != "ok") {
            let more = page.tone(Tone::Command, format!("      paramedic runs show {}", one_line(run)));
            page.line(more);
        }
    }
}

/// `2 of 3 checks are ok`.
fn counts(run: &SweepRun) -> String {
    if run.status.is_none() {
        return match run.state.as_str() {
            "running" => format!("since {}", one_line(&run.started)),
            state => format!("it was {}", one_line(state)),
        };
    }
    let fine = run.checks.iter().filter(|check| check.status.as_str() == "ok").count();
    format!("{fine} of {} checks are ok", run.checks.len())
}

fn events(page: &mut Page, events: &[SweepEvent]) {
    if events.is_empty() {
        return;
    }
    page.section("What happened");
    let row = |event: &SweepEvent| {
        let states = match &event.from {
            Some(from) => format!("{} -> {}", from.as_str(), event.status.as_str()),
            None => event.status.as_str().to_owned(),
        };
        let muted = event.muted.as_ref().map(|muted| muted.as_str().to_owned()).unwrap_or_default();
        vec![event.time.clone(), event.kind.as_str().replace('_', " "), states, muted]
    };
    let rows: Vec<_> = events.iter().map(row).collect();
    table(&[], &rows).into_iter().for_each(|line| page.line(line));
}

fn runs(page: &mut Page, runs: &[SweepRun]) {
    if runs.is_empty() {
        return;
    }
    page.section("Runs");
    let row = |run: &SweepRun| {
        vec![run.started.clone(), run_state(run).to_owned(), counts(run), run.actor.clone(), run.id.clone()]
    };
    let rows: Vec<_> = runs.iter().map(row).collect();
    table(&[], &rows).into_iter().for_each(|line| page.line(line));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run() -> Value {
        json!({
            "id": "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b", "sweep": "health", "slot": "2026-03-01T03:14:00.000Z",
            "actor": "schedule", "state": "concluded", "status": "critical", "started": "2026-03-01T03:14:07.000Z",
            "finished": "2026-03-01T03:14:07.412Z",
            "checks": [
                {"plugin": "pg-ready", "run": "019a2b3c-4d5e-7f60-8a9b-000000000001", "status": "ok", "summary": "accepts"},
                {"plugin": "redis-ping", "run": "019a2b3c-4d5e-7f60-8a9b-000000000002", "status": "critical", "summary": "no answer\u{1b}[2J"},
                {"plugin": "queue-status", "status": "unknown", "summary": "cannot read /x.wasm", "reason": "not_active"}
            ]
        })
    }

    fn summary(status: &str, streak: u32) -> Value {
        json!({
            "name": "health", "schedule": {"cron": "*/5 * * * *", "timezone": "Europe/Berlin"},
            "state": {"status": status, "since": "2026-03-01T02:40:07.000Z", "last": "critical", "streak": streak,
                      "flapping": false, "change_percent": 5.1},
            "next": "2026-03-01T03:15:00.000Z", "last": run()
        })
    }

    #[test]
    fn a_list_tells_what_is_behind_each_state() {
        let list = serde_json::from_value(json!({ "sweeps": [summary("ok", 2)] })).unwrap();
        let card = sweeps(&list, Paint::Plain);
        let lines: Vec<_> = card.lines().collect();
        assert_eq!(
            lines[0],
            "ok  health  since 2026-03-01T02:40:07.000Z; now critical 2 times, not confirmed yet; \
             at */5 * * * * in Europe/Berlin; next 2026-03-01T03:15:00.000Z"
        );
        assert_eq!(lines[1], "    critical redis-ping: no answer\u{fffd}[2J");
        assert_eq!(lines[2], "    unknown (not_active) queue-status: cannot read /x.wasm");
        assert_eq!(sweeps(&SweepList { sweeps: vec![] }, Paint::Plain), "no sweeps are configured\n");
    }

    #[test]
    fn a_run_shows_its_checks_and_where_to_look_further() {
        let card = sweep_run(&serde_json::from_value(run()).unwrap(), Paint::Plain);
        let expected = "\
CRITICAL health: 1 of 3 checks are ok

  ok pg-ready: accepts
  critical redis-ping: no answer\u{fffd}[2J
      paramedic runs show 019a2b3c-4d5e-7f60-8a9b-000000000002
  unknown (not_active) queue-status: cannot read /x.wasm

run 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b of health: for schedule at 2026-03-01T03:14:07.000Z, for the slot 2026-03-01T03:14:00.000Z
";
        assert_eq!(card, expected);
        let coloured = sweep_run(&serde_json::from_value(run()).unwrap(), Paint::Colours);
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), card);
    }

    #[test]
    fn a_line_to_add_is_not_clipped_and_everything_else_is() {
        let check = |reason: &str| {
            let summary = format!("{} add plugins.pg-ready.grants: - {{ postgres: main }}", "x".repeat(100));
            let check = json!({"plugin": "pg-ready", "status": "unknown", "summary": summary, "reason": reason});
            fitted(&serde_json::from_value(check).unwrap(), WIDTH)
        };
        assert!(check("not_active").ends_with("main }") && check("denied").ends_with("main }"));
        assert!(check("failed").ends_with('…') && width(&check("failed")) <= WIDTH);
    }

    #[test]
    fn one_sweep_is_shown_with_its_history() {
        let mut sweep = summary("critical", 0);
        sweep["runs"] = json!([run()]);
        sweep["next_page"] = json!("019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b");
        sweep["events"] = json!([
            {"time": "2026-03-01T02:40:07.000Z", "kind": "changed", "from": "ok", "status": "critical", "muted": "silenced"}
        ]);
        let card = super::sweep(&serde_json::from_value(sweep).unwrap(), Paint::Plain);
        assert!(card.starts_with("CRITICAL health: since 2026-03-01T02:40:07.000Z; at */5"), "{card}");
        assert!(
            card.contains("\nWhat happened\n  2026-03-01T02:40:07.000Z  changed  ok -> critical  silenced\n"),
            "{card}"
        );
        assert!(
            card.contains("\nRuns\n  2026-03-01T03:14:07.000Z  critical  1 of 3 checks are ok  schedule  019a"),
            "{card}"
        );
        assert!(card.ends_with("older: --cursor 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b\n"), "{card}");
    }
}
