//! What happened since the last run: writes refused for lack of memory, keys evicted. The server only counts since its
//! start, so the counts of the last run are remembered.

use crate::Params;
use paramedic_sdk::redis::Info;
use paramedic_sdk::{Instant, Metric, Outcome, Status, Threshold, clock, human, judge as judge_value, state, unit};
use serde::{Deserialize, Serialize};

/// Counts that are older say nothing about now.
const REMEMBERED_SECONDS: f64 = 24.0 * 3600.0;

/// The counters of one run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Seen {
    at: Instant,
    refused: f64,
    evicted: f64,
}

pub(crate) fn judge(outcome: &mut Outcome, stats: &Info, errors: &Info, params: &Params) {
    let seen = Seen {
        at: clock::now(),
        refused: errors.part("errorstat_OOM", "count").unwrap_or(0.0),
        evicted: stats.number("evicted_keys").unwrap_or(0.0),
    };
    let before: Option<Seen> = state::exchange(&format!("counters/{}", params.target), &seen, REMEMBERED_SECONDS);
    judge_refusals(outcome, &seen, before.as_ref(), &params.target);
    if let Some(before) = before {
        judge_evictions(outcome, &seen, &before, params);
    }
    outcome.metric(Metric::new("writes_refused", seen.refused, unit::COUNT));
}

/// A counter that fell was reset, so all of it is new.
fn growth(before: f64, now: f64) -> f64 {
    if now < before { now } else { now - before }
}

fn judge_refusals(outcome: &mut Outcome, seen: &Seen, before: Option<&Seen>, target: &str) {
    match before.map(|before| (growth(before.refused, seen.refused), clock::age(before.at))) {
        Some((new, since)) if new > 0.0 => {
            let (writes, since) = (human::plural(new as u64, "write"), human::duration(since));
            outcome.find(Status::Critical, format!("{target} refused {writes} for lack of memory in the last {since}"));
        }
        None if seen.refused > 0.0 => {
            let writes = human::plural(seen.refused as u64, "write");
            outcome.find(Status::Warning, format!("{target} has refused {writes} for lack of memory since it started"));
        }
        Some(_) | None => {}
    }
}

fn judge_evictions(outcome: &mut Outcome, seen: &Seen, before: &Seen, params: &Params) {
    let elapsed = clock::age(before.at);
    if elapsed <= 0.0 {
        return;
    }
    let rate = growth(before.evicted, seen.evicted) / elapsed;
    let warning = &params.evictions_warning_per_second;
    let text = format!("{} evicts {rate:.1} keys each second", params.target);
    outcome.find(judge_value(rate, warning, &Threshold::never()), text);
    let metric = Metric::new("evictions_per_second", rate, unit::PER_SECOND);
    outcome.metric(metric.limits(warning, &Threshold::never()));
}
