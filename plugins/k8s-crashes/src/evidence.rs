//! What containers wrote before they ended, and what the cluster noted of their pods.

use crate::Params;
use crate::ends::End;
use paramedic_sdk::kubernetes::{self, Event, LogLine, LogPage, LogQuery, PodRef};
use paramedic_sdk::{Error, Outcome, Table, cells, clock, human, log};

/// Events of one pod.
const EVENTS: usize = 8;
/// Of a line that is shown.
const LINE_CHARS: usize = 200;
/// All lines that are shown; an outcome with everything in it has 256 KiB.
const LINES_BYTES: usize = 96 * 1024;

/// Show the evidence of the gravest ends, and give the last line of the first one.
pub(crate) fn show(outcome: &mut Outcome, recent: &[&End], params: &Params) -> Option<String> {
    let gravest = recent.get(..params.details_of.min(recent.len())).unwrap_or_default();
    let last_words = show_lines(outcome, gravest, params);
    show_events(outcome, gravest, params);
    last_words
}

fn show_lines(outcome: &mut Outcome, gravest: &[&End], params: &Params) -> Option<String> {
    let mut last_words = None;
    for (number, end) in gravest.iter().enumerate() {
        match read(end, params) {
            Ok(page) => {
                let lines = page.lines;
                if page.truncated {
                    let place = end.place();
                    outcome.note(format!("{place} wrote lines so long that those right before its end were not read."));
                }
                let last = lines.iter().rev().find(|line| !line.text.trim().is_empty());
                if number == 0 {
                    last_words = last.map(|line| line.text.clone());
                }
                table_of(outcome, end, &lines, LINES_BYTES / gravest.len());
            }
            Err(error) => {
                log::warn(&format!("cannot read the log of {}: {error}", end.place()));
                outcome.note(format!("What {} wrote before its end is not known: {error}.", end.place()));
                if error.is_ours() {
                    break;
                }
            }
        }
    }
    last_words
}

fn read(end: &End, params: &Params) -> Result<LogPage, Error> {
    let query = LogQuery::last(params.lines, params.lines);
    let query = if end.is_last { query } else { query.previous() };
    kubernetes::read_log(&PodRef::of(&params.target, end.pod, &end.container.name), &query)
}

/// The last lines, as many as there is room for.
fn table_of(outcome: &mut Outcome, end: &End, lines: &[LogLine], mut room: usize) {
    if lines.is_empty() {
        outcome.note(format!("{} wrote nothing before its end.", end.place()));
    }
    let mut rows = Vec::new();
    for line in lines.iter().rev() {
        let when = line.time.map_or_else(String::new, |time| format!("{} ago", human::duration(clock::age(time))));
        let text = human::shorten(&line.text, LINE_CHARS);
        let Some(left) = room.checked_sub(when.len() + text.len()) else { break };
        room = left;
        rows.push(cells![when, text]);
    }
    let mut table = Table::new(format!("Last lines of {} before its end", end.place()), ["when", "line"]);
    rows.into_iter().rev().for_each(|row| table.row(row));
    outcome.table(table);
}

fn show_events(outcome: &mut Outcome, gravest: &[&End], params: &Params) {
    let mut pods: Vec<&str> = Vec::new();
    let mut table = Table::new("Events of these pods", ["pod", "seen", "times", "reason", "message"]);
    for end in gravest {
        let name = end.pod.name.as_str();
        if pods.contains(&name) {
            continue;
        }
        pods.push(name);
        match kubernetes::list_events(&params.target, Some(&format!("Pod/{name}"))) {
            Ok(list) => list.events.iter().take(EVENTS).for_each(|event| table.row(row(name, event))),
            Err(error) => {
                log::warn(&format!("cannot list the events of {name}: {error}"));
                outcome.note(format!("What the cluster noted of {} is not known: {error}.", human::shorten(name, 63)));
                if error.is_ours() {
                    break;
                }
            }
        }
    }
    outcome.table(table);
}

fn row(pod: &str, event: &Event) -> [String; 5] {
    let seen = format!("{} ago", human::duration(clock::age(event.last_seen)));
    cells![pod, seen, event.count, event.reason, human::shorten(&event.message, LINE_CHARS)]
}
