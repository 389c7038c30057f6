//! Why do containers crash? An exit code says little to most people, so it is put in words; what the container wrote before its
//! end and what the cluster noted of its pod stand beside it.

mod ends;
mod evidence;
mod params;

pub use params::Params;

use ends::End;
use paramedic_sdk::kubernetes::{self, Container, Pod};
use paramedic_sdk::{
    Context, Description, Failure, Metric, Outcome, Plugin, Status, Table, cells, clock, human, judge,
};
use std::cmp::Reverse;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Names in one sentence.
const NAMES: usize = 3;

/// The check.
pub struct K8sCrashes;

paramedic_sdk::export!(K8sCrashes);

impl Plugin for K8sCrashes {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Crashed containers")
            .about(include_str!("about.md"))
            .runbook("#issue-503-service-unavailable")
            .needs("kubernetes/list-pods", "{target}", "to see which containers ended, and how")
            .can_use("kubernetes/read-log", "{target}", "to show what they wrote before their end")
            .can_use("kubernetes/list-events", "{target}", "to show what the cluster noted of their pods")
            .time_limit(20.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let mut pods = kubernetes::list_pods(&params.target, &params.labels)?;
        if let Some(name) = &params.pod {
            pods.retain(|pod| pod.name == *name);
        }
        Ok(judge_pods(&pods, &params))
    }
}

fn judge_pods(pods: &[Pod], params: &Params) -> Outcome {
    let which = which(params);
    if pods.is_empty() {
        let text = format!("there is no pod of {which}, so nothing is known of its containers");
        return Outcome::found(Status::Unknown, text);
    }
    let mut ends: Vec<End> = pods.iter().flat_map(ends::of_pod).collect();
    ends.sort_by_key(|end| (Reverse(end.is_down), Reverse(end.container.restarts)));
    let (recent, old): (Vec<&End>, Vec<&End>) = ends.iter().partition(|end| is_recent(end, params));
    let lately = if old.is_empty() { String::new() } else { format!(" in the last {}", human::duration(params.since)) };
    let count = human::plural(pods.len() as u64, "pod");
    let mut outcome = Outcome::ok(format!("no container of {count} of {which} ended by a fault{lately}"));
    let last_words = evidence::show(&mut outcome, &recent, params);
    judge_ends(&mut outcome, &recent, last_words.as_deref(), params);
    outcome.metric(Metric::count("containers_ended_longer_ago", old.len() as u64));
    show(&mut outcome, &ends, params.limit);
    tell_memory(&mut outcome, &recent);
    outcome
}

fn which(params: &Params) -> String {
    let labels = human::shorten(&params.labels, 80);
    params.pod.as_ref().map_or_else(|| labels.clone(), |name| format!("{labels} named {}", human::shorten(name, 63)))
}

/// One whose time is not known counts as recent: better an old one too many than a new one too few.
fn is_recent(end: &End, params: &Params) -> bool {
    end.is_down || end.at.is_none_or(|at| clock::age(at) <= params.since)
}

fn judge_ends(outcome: &mut Outcome, recent: &[&End], last_words: Option<&str>, params: &Params) {
    let count = recent.len() as u64;
    let down = recent.iter().filter(|end| end.is_down).count() as u64;
    let by_count = judge(count as f64, &params.warning, &params.critical);
    let by_down = if params.down_critical.alerts(down as f64) { Status::Critical } else { Status::Ok };
    for (number, alike) in by_cause(recent).into_iter().enumerate() {
        let said = last_words
            .filter(|_| number == 0)
            .map_or_else(String::new, |line| format!("; its last line was \"{}\"", human::shorten(line, 120)));
        outcome.find(by_count.max(by_down), format!("{}{said}", accuse(&alike)));
    }
    outcome.metric(Metric::count("containers_ended", count).limits(&params.warning, &params.critical));
    let out_of_memory = recent.iter().filter(|end| end.is_out_of_memory()).count() as u64;
    outcome.metric(Metric::count("containers_out_of_memory", out_of_memory));
    let never = paramedic_sdk::Threshold::never();
    outcome.metric(Metric::count("containers_down", down).limits(&never, &params.down_critical));
}

/// Ends of the same container by the same cause in several pods, in the order of the first of each.
fn by_cause<'a>(recent: &[&'a End<'a>]) -> Vec<Vec<&'a End<'a>>> {
    let mut places = BTreeMap::<(&str, String), usize>::new();
    let mut groups: Vec<Vec<&End>> = Vec::new();
    for end in recent {
        let place = *places.entry((&end.container.name, end.in_words())).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(end),
            None => groups.push(vec![end]),
        }
    }
    groups
}

fn accuse(alike: &[&End]) -> String {
    let Some(first) = alike.first() else { return String::new() };
    let restarts = alike.iter().map(|end| u64::from(end.container.restarts)).sum();
    let who = if alike.len() == 1 {
        first.place()
    } else {
        let names: Vec<String> = alike.iter().take(NAMES).map(|end| human::shorten(&end.pod.name, 63)).collect();
        let more = if alike.len() > NAMES { ", …" } else { "" };
        let container = human::shorten(&first.container.name, 63);
        format!("{container} of {} pods ({}{more})", alike.len(), names.join(", "))
    };
    let newest = alike.iter().filter_map(|end| end.at).max();
    let ago = newest.map_or_else(String::new, |at| format!(" {} ago", human::duration(clock::age(at))));
    let times = human::plural(restarts, "restart");
    let now = match alike.iter().all(|end| end.is_down) {
        true if first.is_init => "keeps its pod from starting",
        true => "is down",
        false => "runs again",
    };
    format!("{who} {}{ago}, {times}, {now}", first.in_words())
}

fn show(outcome: &mut Outcome, ends: &[End], limit: usize) {
    let columns = ["pod", "container", "restarts", "how it ended", "when", "now", "memory limit", "node"];
    let mut table = Table::new("Containers that ended", columns);
    for end in ends.iter().take(limit) {
        let when = end.at.map_or_else(String::new, |at| format!("{} ago", human::duration(clock::age(at))));
        let now = if end.is_down { "down" } else { "runs" };
        let (memory, node) = (end.memory().unwrap_or("none"), end.pod.node.as_deref().unwrap_or_default());
        let Container { name, restarts, .. } = end.container;
        table.row(cells![end.pod.name, name, restarts, end.in_words(), when, now, memory, node]);
    }
    outcome.table(table);
    if ends.len() > limit {
        outcome.note(format!("The table has {limit} of {} containers, those that are down first.", ends.len()));
    }
}

fn tell_memory(outcome: &mut Outcome, recent: &[&End]) {
    let out = recent.iter().filter(|end| end.is_out_of_memory());
    let Some(limit) = out.map(|end| end.memory()).max() else { return };
    outcome.note(match limit {
        Some(limit) => format!(
            "If it needs more memory than {}, `k8s-set-resources` can raise the limit of its workload; if it needed less \
             before, something in it grows.",
            human::shorten(limit, 20)
        ),
        None => "A container without a limit of its own takes what its node has; `k8s-set-resources` can give it one.".to_owned(),
    });
}
