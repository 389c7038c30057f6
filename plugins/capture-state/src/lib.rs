//! What is the state of all of it, now, before somebody does something about it? Pods, events, logs, database activity, Redis and
//! queues as files of one archive. What cannot be had is a file that says so, and does not keep the rest from being captured.

mod capture;
mod kubernetes;
mod lines;
mod params;
mod postgres;
mod queue;
mod redis;

use capture::Capture;
use paramedic_sdk::{Context, Description, Failure, Files, Metric, Outcome, Plugin, Status, Table, cells, human, unit};
use params::Params;

#[cfg(test)]
mod tests;

/// Names in one sentence, and rows of the table of what is missing.
const NAMES: usize = 3;
const ROWS: usize = 40;

/// The check.
pub struct CaptureState;

paramedic_sdk::export!(CaptureState);

impl Plugin for CaptureState {
    type Params = Params;

    fn describe() -> Description {
        let ask =
            |description: Description, (operation, reason): &(&str, &str)| description.can_use(operation, "*", reason);
        let description =
            Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "State of a system as an archive")
                .about(include_str!("about.md"))
                .runbook("#incident-documentation")
                .time_limit(120.0);
        [kubernetes::USES, postgres::USES, redis::USES, queue::USES].concat().iter().fold(description, ask)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        if params.targets().is_empty() {
            let text =
                "name what is to be captured: at least one target of `kubernetes`, `postgres`, `redis` or `queues`";
            return Err(Failure::BadParams(text.to_owned()));
        }
        // What nobody can ask for any more in an hour comes first: logs take longest, and grow while one looks.
        let mut capture = Capture::default();
        params.postgres.iter().for_each(|target| postgres::capture(&mut capture, target, &params));
        params.redis.iter().for_each(|target| redis::capture(&mut capture, target, &params));
        params.queues.iter().for_each(|target| queue::capture(&mut capture, target, &params));
        params.kubernetes.iter().for_each(|target| kubernetes::capture(&mut capture, target, &params));
        Ok(judge(capture, &params))
    }
}

fn judge(capture: Capture, params: &Params) -> Outcome {
    let captured = capture.captured();
    let files = capture.pack(params.max_bytes);
    let bytes: usize = files.all().iter().map(|file| file.text.len()).sum();
    let fine = format!(
        "captured {} of {}: {} of {}",
        human::plural(captured as u64, "part"),
        human::shorten(&params.targets().join(", "), 150),
        human::plural(files.all().len() as u64, "file"),
        human::bytes(bytes as f64)
    );
    let mut outcome = Outcome::ok(fine);
    tell_missing(&mut outcome, captured, &files);
    let cut = files.all().iter().filter(|file| file.cut.is_some()).count() as u64;
    if cut > 0 {
        outcome.note(format!(
            "{} cut; the manifest says what was left out of each. `max_bytes`, `lines` and `since` say how much there is room for.",
            if cut == 1 { "1 file is".to_owned() } else { format!("{cut} files are") }
        ));
    }
    outcome.metric(Metric::count("parts_captured", captured as u64));
    outcome.metric(Metric::count("parts_missing", files.missing().len() as u64));
    outcome.metric(Metric::count("files_cut", cut));
    outcome.metric(Metric::new("captured_bytes", bytes as f64, unit::BYTES));
    outcome.leaving(files)
}

fn tell_missing(outcome: &mut Outcome, captured: usize, files: &Files) {
    let missing = files.missing();
    let Some(first) = missing.first() else { return };
    let why = human::shorten(&first.why, 160);
    if captured == 0 {
        outcome.find(Status::Unknown, format!("nothing could be captured: {}: {why}", first.part));
    } else {
        let others: Vec<&str> = missing.iter().skip(1).take(NAMES).map(|missing| missing.part.as_str()).collect();
        let more = missing.len().saturating_sub(1 + NAMES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let also = if others.is_empty() { String::new() } else { format!("; also {}{more}", others.join(", ")) };
        let all = captured + missing.len();
        outcome.find(
            Status::Warning,
            format!("captured {captured} of {all} parts; missing is {}: {why}{also}", first.part),
        );
    }
    let mut table = Table::new("What is missing", ["part", "why"]);
    missing.iter().take(ROWS).for_each(|missing| table.row(cells![missing.part, missing.why]));
    outcome.table(table);
}
