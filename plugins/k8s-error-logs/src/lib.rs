//! Which errors are in the logs, and how often? A thousand lines that say the same are one trouble, so they are grouped by what
//! they say.

mod groups;
mod shape;

use groups::Group;
use paramedic_sdk::kubernetes::{self, LogLine, LogQuery};
use paramedic_sdk::{
    Context, Description, Error, Failure, Metric, Outcome, Plugin, Seconds, Status, Table, Threshold, cells, clock,
    human, judge, log,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Words that loggers write before errors, and those of errors that are not logged but thrown.
const PATTERN: &str = r"(?i)\b(error|fatal|panic|exception)\b";
/// Pages of one run. Each makes the agent read the logs anew.
const PAGES: usize = 8;

/// Parameters of k8s-error-logs.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Kubernetes target.
    target: String,
    /// Label selector of the pods.
    #[schemars(length(min = 1, max = 1000))]
    labels: String,
    /// Regular expression that an error line matches.
    #[schemars(length(min = 1, max = 1000))]
    pattern: String,
    /// Seconds to look back.
    #[schemars(range(min = 1, max = 604_800))]
    since: Seconds,
    /// Error lines before it is a warning.
    warning: Threshold,
    /// Error lines before it is critical.
    critical: Threshold,
    /// Most lines to read, the oldest first.
    #[schemars(range(min = 1, max = 20_000))]
    lines: u32,
    /// Most groups to show.
    #[schemars(range(min = 1, max = 100))]
    limit: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "prod".to_owned(),
            labels: "app=api".to_owned(),
            pattern: PATTERN.to_owned(),
            since: 3600.0,
            warning: Threshold::above(10.0),
            critical: Threshold::above(500.0),
            lines: 5000,
            limit: 15,
        }
    }
}

/// The check.
pub struct K8sErrorLogs;

paramedic_sdk::export!(K8sErrorLogs);

impl Plugin for K8sErrorLogs {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Errors in logs")
            .about(include_str!("about.md"))
            .runbook("#2-diagnosis-15-30-minutes")
            .needs("kubernetes/read-logs", "{target}", "to group lines of errors by what they say")
            .can_use("kubernetes/list-pods", "{target}", "to tell an application without errors from none at all")
            .time_limit(30.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let read = read(&params)?;
        Ok(judge_lines(&read, &params))
    }
}

/// Lines, and why there are no more of them if there are.
struct Read {
    lines: Vec<LogLine>,
    cut: Option<String>,
    /// A log was longer than the agent reads of one, and its newest lines were not looked at.
    truncated: bool,
}

fn read(params: &Params) -> Result<Read, Failure> {
    let (mut lines, mut after, mut truncated) = (Vec::new(), None, false);
    for _ in 0..PAGES {
        let left = params.lines.saturating_sub(u32::try_from(lines.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        let query = LogQuery { since: Some(params.since), tail: None, after: after.take(), ..LogQuery::last(0, left) };
        let page = match kubernetes::read_logs(&params.target, &params.labels, &query.matching(&params.pattern)) {
            Ok(page) => page,
            Err(Error::Invalid(text)) if lines.is_empty() => return Err(Failure::BadParams(text)),
            Err(error) if lines.is_empty() => return Err(error.into()),
            // What was read so far is worth telling.
            Err(error) => {
                log::warn(&format!("cannot read on in the logs of {}: {error}", params.labels));
                return Ok(Read { lines, cut: Some(format!("the rest could not be read: {error}")), truncated });
            }
        };
        let is_empty = page.lines.is_empty();
        lines.extend(page.lines);
        truncated |= page.truncated;
        after = page.next;
        if after.is_none() || is_empty {
            break;
        }
    }
    let count = lines.len();
    let cut = after.map(|_| format!("only the oldest {count} lines were read; a shorter `since` shows the newest"));
    Ok(Read { lines, cut, truncated })
}

fn judge_lines(read: &Read, params: &Params) -> Outcome {
    let groups = groups::of(&read.lines);
    let count = read.lines.len() as u64;
    let mut outcome = Outcome::ok(sentence(read, &groups, params));
    outcome.find(judge(count as f64, &params.warning, &params.critical), sentence(read, &groups, params));
    if read.truncated {
        let text = format!("{}; of a log only the oldest 4 MiB were read", sentence(read, &groups, params));
        outcome.find(Status::Unknown, text);
        outcome.note(
            "**The newest lines of at least one log were not read**: it has more than 4 MiB in this time, and is read from its beginning. \
             A shorter `since` shows them.",
        );
    }
    if count == 0 {
        doubt(&mut outcome, params);
    }
    outcome.metric(Metric::count("error_lines", count).limits(&params.warning, &params.critical));
    outcome.metric(Metric::count("error_shapes", groups.len() as u64));
    let pods: std::collections::BTreeSet<&str> = read.lines.iter().map(|line| line.pod.as_str()).collect();
    outcome.metric(Metric::count("pods_with_errors", pods.len() as u64));
    show(&mut outcome, &groups, params.limit);
    if let Some(cut) = &read.cut {
        outcome.note(format!("**There are more lines than these**: {cut}."));
    }
    outcome
}

fn sentence(read: &Read, groups: &[Group], params: &Params) -> String {
    let least = if read.cut.is_some() || read.truncated { "at least " } else { "" };
    let lines = human::plural(read.lines.len() as u64, "error line");
    let since = human::duration(params.since);
    let text = format!("{least}{lines} of {} in the last {since}", human::shorten(&params.labels, 80));
    match groups.first() {
        None => text,
        Some(most) if groups.len() == 1 => format!("{text}, all of them {}", most.in_words()),
        Some(most) => {
            let kinds = human::plural(groups.len() as u64, "kind");
            format!("{text}, of {kinds}; {} of them {}", most.count, most.in_words())
        }
    }
}

/// Where nobody writes there are no errors either.
fn doubt(outcome: &mut Outcome, params: &Params) {
    match kubernetes::list_pods(&params.target, &params.labels) {
        Ok(pods) if pods.is_empty() => {
            let labels = human::shorten(&params.labels, 80);
            outcome.find(Status::Unknown, format!("no pod has the labels {labels}, so no log was read"));
        }
        Ok(_) => {}
        Err(error) => {
            log::warn(&format!("cannot list the pods of {}: {error}", params.target));
            outcome.note(format!("Whether there are pods that could have written errors is not known: {error}."));
        }
    }
}

fn show(outcome: &mut Outcome, groups: &[Group], limit: usize) {
    let mut table = Table::new("Errors by what they say", ["lines", "newest", "pods", "shape", "newest line"]);
    for group in groups.iter().take(limit) {
        let newest = group.newest.map_or_else(String::new, |at| format!("{} ago", human::duration(clock::age(at))));
        table.row(cells![group.count, newest, group.pods_in_words(), group.shape, group.sample]);
    }
    outcome.table(table);
    if groups.len() > limit {
        let rest: u64 = groups.iter().skip(limit).map(|group| group.count).sum();
        let more = human::plural((groups.len() - limit) as u64, "more kind");
        outcome.note(format!("{more} with {} in all.", human::plural(rest, "line")));
    }
}
