//! What does the cluster warn of? Events come one for each object, so that one missing Secret makes as many as there are pods; what
//! they have in common is the reason and the kind of object.

mod params;

pub use params::Params;

use paramedic_sdk::kubernetes::{self, Event, EventList};
use paramedic_sdk::{
    Context, Description, Failure, Metric, Outcome, Plugin, Status, Suggestion, Table, cells, clock, human, judge,
};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// The check.
pub struct K8sEvents;

paramedic_sdk::export!(K8sEvents);

impl Plugin for K8sEvents {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Warnings of the cluster")
            .about(include_str!("about.md"))
            .runbook("#issue-503-service-unavailable")
            .needs("kubernetes/list-events", "{target}", "to group warnings by reason")
            .time_limit(15.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let list = kubernetes::list_events(&params.target, params.object.as_deref())?;
        Ok(judge_events(&list, &params))
    }
}

/// Warnings of one reason about objects of one kind.
struct Group<'a> {
    reason: &'a str,
    kind: &'a str,
    times: u64,
    objects: BTreeSet<&'a str>,
    newest: &'a Event,
}

fn judge_events(list: &EventList, params: &Params) -> Outcome {
    let groups = groups(&list.events, params);
    let times = groups.iter().map(|group| group.times).fold(0, u64::saturating_add);
    let least = if list.truncated { "at least " } else { "" };
    let sentence = format!("{least}{}", sentence(&groups, times, params));
    let mut outcome = Outcome::ok(sentence.clone());
    outcome.find(judge(times as f64, &params.warning, &params.critical), sentence.clone());
    if list.truncated {
        let read = list.events.len();
        outcome.find(Status::Unknown, format!("{sentence}; {read} events were read, and there are more"));
        outcome.note(format!(
            "**Only {read} events were read**, in no order of time, because there are more than the agent reads: newer ones can be among \
             those that were not. With `object` the cluster gives only those about one."
        ));
    }
    outcome.metric(Metric::count("warnings", times).limits(&params.warning, &params.critical));
    outcome.metric(Metric::count("warning_reasons", groups.len() as u64));
    let objects: BTreeSet<&str> = groups.iter().flat_map(|group| group.objects.iter().copied()).collect();
    outcome.metric(Metric::count("objects_warned_of", objects.len() as u64));
    if groups.iter().any(|group| group.kind == "Pod" && matches!(group.reason, "BackOff" | "Unhealthy" | "Failed")) {
        suggest(&mut outcome, params);
    }
    show(&mut outcome, &groups, params.limit);
    outcome
}

/// The groups, the one that was seen most often first.
fn groups<'a>(events: &'a [Event], params: &Params) -> Vec<Group<'a>> {
    let mut groups = BTreeMap::<(&str, &str), Group>::new();
    for event in events.iter().filter(|event| is_wanted(event, params)) {
        let kind = event.object.split_once('/').map_or(event.object.as_str(), |(kind, _)| kind);
        let reason = event.reason.as_str();
        let empty = || Group { reason, kind, times: 0, objects: BTreeSet::new(), newest: event };
        let group = groups.entry((reason, kind)).or_insert_with(empty);
        group.times = group.times.saturating_add(event.count.into());
        group.objects.insert(&event.object);
        if event.last_seen > group.newest.last_seen {
            group.newest = event;
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| (Reverse(group.times), Reverse(group.newest.last_seen)));
    groups
}

fn is_wanted(event: &Event, params: &Params) -> bool {
    event.severity == "Warning" && clock::age(event.last_seen) <= params.since && !params.ignore.contains(&event.reason)
}

fn sentence(groups: &[Group], times: u64, params: &Params) -> String {
    let about =
        params.object.as_ref().map_or_else(String::new, |object| format!(" about {}", human::shorten(object, 80)));
    let (warnings, since) = (human::plural(times, "warning"), human::duration(params.since));
    let text = format!("{warnings} of {}{about} in the last {since}", params.target);
    let Some(most) = groups.first() else { return text };
    let share = if groups.len() == 1 { "all".to_owned() } else { most.times.to_string() };
    format!("{text}, {share} of them {}", most.in_words())
}

impl Group<'_> {
    fn in_words(&self) -> String {
        let (reason, message) = (human::shorten(self.reason, 60), human::shorten(&self.newest.message, 120));
        let about = match self.objects.len() {
            1 => human::shorten(&self.newest.object, 80),
            many => human::plural(many as u64, &human::shorten(self.kind, 40).to_lowercase()),
        };
        format!("{reason} about {about}: \"{message}\"")
    }
}

fn suggest(outcome: &mut Outcome, params: &Params) {
    let target = json!({ "target": params.target });
    let why = "It tells which pods are not ready, and what keeps them; give it the labels of the application.";
    outcome.suggest(Suggestion::new("k8s-pods", target, why).confidence(0.4));
}

fn show(outcome: &mut Outcome, groups: &[Group], limit: usize) {
    let columns = ["reason", "kind", "objects", "times", "newest", "newest object", "newest message"];
    let mut table = Table::new("Warnings by reason", columns);
    for group in groups.iter().take(limit) {
        let newest = format!("{} ago", human::duration(clock::age(group.newest.last_seen)));
        let Group { reason, kind, times, objects, .. } = group;
        let (object, message) = (&group.newest.object, &group.newest.message);
        table.row(cells![reason, kind, objects.len(), times, newest, object, message]);
    }
    outcome.table(table);
    if groups.len() > limit {
        outcome.note(format!("The table has {limit} of {} groups.", groups.len()));
    }
}
