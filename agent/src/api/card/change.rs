//! What a run would change, and what it changed, as one reads a diff.

use super::page::{Page, Tone};
use super::text::one_line;
use crate::api::shape::{Change, ChangedField, Plan};

/// Most changes of a card; the JSON has them all.
const MAX_CHANGES: usize = 40;

/// The plan, and the command that applies it.
pub(super) fn plan(page: &mut Page, plan: &Plan) {
    if plan.changes.is_empty() {
        return;
    }
    let count = plan.changes.len();
    page.section(&format!("Plan: {}, until {}", counted(count, "change"), one_line(&plan.expires)));
    for change in plan.changes.iter().take(MAX_CHANGES) {
        page.line(format!("  {}. {} on {}", change.position, one_line(&change.summary), one_line(&change.target)));
        differences(page, &change.differences);
        for note in &change.notes {
            page.line(format!("       {}", one_line(note)));
        }
        let (tone, word) = if change.reversible { (Tone::Good, "undo") } else { (Tone::Warning, "no undo") };
        let word = page.tone(tone, word);
        page.line(format!("       {word}: {}", one_line(&change.undo)));
    }
    rest(page, count);
    let digest = page.tone(Tone::Faint, format!("  {}", one_line(&plan.digest)));
    page.line(digest);
    let missing = approvals(page, plan);
    page.section("Next");
    if missing {
        // What the one who reads this may not do is left to somebody else.
        let command = page.tone(Tone::Command, format!("paramedic approve {}", one_line(&plan.id)));
        page.line(format!("  {command}"));
    }
    let command = page.tone(Tone::Command, format!("paramedic apply {}", one_line(&plan.id)));
    page.line(format!("  {command}"));
}

/// Who approved a plan. Tells whether somebody else has to.
fn approvals(page: &mut Page, plan: &Plan) -> bool {
    let (given, needed) = (plan.approvals.len(), usize::try_from(plan.approvals_needed).unwrap_or(usize::MAX));
    if given == 0 && needed == 0 {
        return false;
    }
    page.section(&format!("Approved by {given} of {needed}"));
    for approval in &plan.approvals {
        page.line(format!("  {} at {}", one_line(&approval.actor), one_line(&approval.time)));
    }
    if given < needed {
        let line = page.tone(Tone::Warning, "  it needs people who did not ask for it");
        page.line(line);
    }
    given < needed
}

/// That somebody went past the guards, where nobody can miss it.
pub(super) fn break_glass(page: &mut Page, reason: Option<&str>, actor: &str) {
    let Some(reason) = reason else { return };
    let line = format!("!!! BREAK-GLASS by {}, past all guards: {}", one_line(actor), one_line(reason));
    let line = page.tone(Tone::Bad, line);
    page.line(line);
}

/// What was changed, and the command that gives it back.
pub(super) fn changes(page: &mut Page, run: &str, changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    page.section("Changed");
    for change in changes.iter().take(MAX_CHANGES) {
        let fate = change.fate.as_ref().map_or("under way", |fate| fate.as_str());
        let word = page.tone(tone(fate), one_line(fate));
        page.line(format!(
            "  {}. {word}: {} on {}",
            change.position,
            one_line(&change.summary),
            one_line(&change.target)
        ));
        differences(page, &change.differences);
        if let Some(reason) = &change.reason {
            page.line(format!("       {}", one_line(reason)));
        }
        if let Some(by) = &change.undone_by {
            page.line(format!("       given back by run {}", one_line(by)));
        }
    }
    rest(page, changes.len());
    if changes.iter().any(|change| change.reversible && change.undone_by.is_none()) {
        page.section("Next");
        let command = page.tone(Tone::Command, format!("paramedic undo {}", one_line(run)));
        page.line(format!("  {command}"));
    }
}

fn differences(page: &mut Page, differences: &[ChangedField]) {
    for difference in differences {
        let field = one_line(&difference.field);
        if let Some(before) = &difference.before {
            let line = page.tone(Tone::Bad, format!("- {field}: {}", one_line(before)));
            page.line(format!("     {line}"));
        }
        if let Some(after) = &difference.after {
            let line = page.tone(Tone::Good, format!("+ {field}: {}", one_line(after)));
            page.line(format!("     {line}"));
        }
    }
}

fn rest(page: &mut Page, all: usize) {
    if all > MAX_CHANGES {
        let line = page.tone(Tone::Faint, format!("  … and {} more changes; the JSON has them all", all - MAX_CHANGES));
        page.line(line);
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn tone(fate: &str) -> Tone {
    match fate {
        "applied" => Tone::Good,
        "unchanged" => Tone::Faint,
        "conflict" => Tone::Warning,
        "failed" => Tone::Bad,
        _ => Tone::Doubtful,
    }
}
