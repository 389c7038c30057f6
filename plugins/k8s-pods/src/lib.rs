//! Are the pods of an application ready, and what keeps those that are not? Beside the count it names the reason that the
//! cluster gives, because each has another cure: an image that does not come is not mended by a restart.

mod params;
mod removal;
mod trouble;

pub use params::Params;

use paramedic_sdk::kubernetes::{self, Container, Pod, Rollout};
use paramedic_sdk::{
    Context, Description, Error, Failure, Metric, Outcome, Plugin, Seconds, Status, Suggestion, Table, Workload, cells,
    human, judge, unit,
};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use trouble::Trouble;

#[cfg(test)]
mod tests;

/// A pod that has started or run for so long without being ready will hardly become so by itself.
const PATIENCE_SECONDS: Seconds = 120.0;
/// Names in one sentence.
const NAMES: usize = 3;

/// The check.
pub struct K8sPods;

paramedic_sdk::export!(K8sPods);

impl Plugin for K8sPods {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Pods")
            .about(include_str!("about.md"))
            .runbook("#api-down")
            .needs("kubernetes/list-pods", "{target}", "to see whether pods are ready and what they wait for")
            .can_use("kubernetes/get-rollout", "{target}", "to know how many pods the workload asks for")
            .time_limit(15.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let pods = kubernetes::list_pods(&params.target, &params.labels)?;
        let rollout = ask_rollout(&params).transpose();
        Ok(judge_pods(&pods, rollout, &params))
    }
}

fn ask_rollout(params: &Params) -> Option<Result<Rollout, Error>> {
    let named = params.workload.as_ref()?;
    Some(kubernetes::get_rollout(&Workload::new(&params.target, named.kind, &named.name)))
}

/// The pods that should be ready, and how many of them are.
struct Count {
    ready: u64,
    wanted: u64,
    /// Those that are being removed, beside them.
    going: u64,
}

fn judge_pods(pods: &[Pod], rollout: Result<Option<Rollout>, Error>, params: &Params) -> Outcome {
    // Whatever makes pods has another one made in the place of one that goes.
    let (going, staying): (Vec<&Pod>, Vec<&Pod>) = pods.iter().partition(|pod| pod.removal.is_some());
    let (over, live): (Vec<&Pod>, Vec<&Pod>) = staying.into_iter().partition(|pod| trouble::is_over(pod));
    let known = rollout.as_ref().ok().and_then(Option::as_ref);
    let wanted = known.map_or(live.len() as u64, |rollout| rollout.desired.into());
    let ready = live.iter().filter(|pod| pod.ready).count() as u64;
    let count = Count { ready, wanted, going: going.len() as u64 };
    let mut outcome = Outcome::ok(sentence(&count, params));
    if let Err(error) = &rollout {
        let named = params.workload.as_ref().map(params::Named::in_words).unwrap_or_default();
        outcome.find(Status::Unknown, format!("how many pods {named} asks for is not known: {error}"));
    }
    judge_count(&mut outcome, &count, &live, known.is_some(), params);
    judge_restarts(&mut outcome, &live, params);
    removal::judge(&mut outcome, &going);
    tell_over(&mut outcome, &over);
    if let Some(message) = known.and_then(|rollout| rollout.message.as_deref()) {
        outcome.note(format!("Its rollout is not complete: {}.", human::shorten(message, 200)));
    }
    suggest(&mut outcome, &live, &going, params);
    show(&mut outcome, pods, params.limit);
    outcome
}

fn sentence(count: &Count, params: &Params) -> String {
    let Count { ready, wanted, .. } = count;
    match &params.workload {
        Some(_) if *wanted == 0 && *ready == 0 => format!("no pod of {} is wanted", whose(params)),
        Some(_) => format!("{ready} of {wanted} wanted pods of {} are ready", whose(params)),
        None => format!("{ready} of {wanted} pods of {} are ready", whose(params)),
    }
}

fn whose(params: &Params) -> String {
    match &params.workload {
        Some(named) => named.in_words(),
        None => human::shorten(&params.labels, 80),
    }
}

fn judge_count(outcome: &mut Outcome, count: &Count, live: &[&Pod], has_wanted: bool, params: &Params) {
    let troubles = by_trouble(live);
    let told: Vec<String> = troubles.iter().map(|(trouble, pods)| accuse(trouble, pods)).collect();
    let percent = if count.wanted == 0 { 100.0 } else { human::share(count.ready as f64, count.wanted as f64) };
    let missing = count.wanted.saturating_sub(live.len() as u64);
    let sentence = match (told.is_empty(), missing) {
        _ if live.is_empty() && !has_wanted && count.going > 0 => {
            let (pods, are) = (human::plural(count.going, "pod"), if count.going == 1 { "is" } else { "are" });
            format!("{pods} of {} {are} being removed, and there is no other", human::shorten(&params.labels, 80))
        }
        _ if live.is_empty() && !has_wanted => {
            format!(
                "no pod has the labels {}: nothing runs, or the labels are wrong",
                human::shorten(&params.labels, 80)
            )
        }
        (true, 0) => sentence(count, params),
        (true, _) => format!("{}: {missing} not made", sentence(count, params)),
        (false, 0) => format!("{}: {}", sentence(count, params), told.join(", ")),
        (false, _) => format!("{}: {}, {missing} not made", sentence(count, params), told.join(", ")),
    };
    let none = count.ready == 0 && (count.wanted > 0 || !has_wanted);
    let judged = judge(percent, &params.ready_warning, &params.ready_critical);
    outcome.find(if none { Status::Critical } else { judged }, sentence.clone());
    // More are ready than are wanted while a rollout is under way, and one of them can still be stuck.
    let stuck = troubles.keys().any(|trouble| !matches!(trouble, Trouble::Starting { .. } | Trouble::NotReady));
    if judged == Status::Ok && !none && stuck {
        outcome.find(Status::Warning, sentence);
    }
    outcome.metric(Metric::count("pods_ready", count.ready));
    outcome.metric(Metric::count("pods_wanted", count.wanted));
    let metric = Metric::new("pods_ready_percent", percent, unit::PERCENT);
    outcome.metric(metric.limits(&params.ready_warning, &params.ready_critical));
}

/// The pods that are not ready, by what keeps them from it.
fn by_trouble<'a>(live: &[&'a Pod]) -> BTreeMap<Trouble, Vec<&'a str>> {
    let mut troubles = BTreeMap::<Trouble, Vec<&str>>::new();
    for pod in live {
        if let Some(trouble) = trouble::of(pod) {
            troubles.entry(trouble).or_default().push(&pod.name);
        }
    }
    troubles
}

fn accuse(trouble: &Trouble, pods: &[&str]) -> String {
    let shown: Vec<String> = pods.iter().take(NAMES).map(|name| human::shorten(name, 63)).collect();
    let more = if pods.len() > NAMES { ", …" } else { "" };
    let reason = match trouble.reason() {
        reason if reason.is_empty() => reason,
        reason => format!("; {reason}"),
    };
    format!("{} {} ({}{more}{reason})", pods.len(), trouble.in_words(), shown.join(", "))
}

fn judge_restarts(outcome: &mut Outcome, live: &[&Pod], params: &Params) {
    let all = live.iter().flat_map(|pod| at_work(pod).map(move |container| (*pod, container)));
    let most = all.max_by_key(|(_, container)| container.restarts);
    let restarts = most.map_or(0, |(_, container)| container.restarts);
    if let Some((pod, container)) = most {
        let end = match trouble::last_end(container) {
            end if end.is_empty() => String::new(),
            end => format!(", at last after {end}"),
        };
        let times = human::plural(restarts.into(), "time");
        let age = human::duration(pod.age);
        let text = format!("{} was restarted {times} in {age}{end}", place(pod, container));
        outcome.find(judge(restarts.into(), &params.restarts_warning, &params.restarts_critical), text);
    }
    let metric = Metric::count("container_restarts_most", restarts.into());
    outcome.metric(metric.limits(&params.restarts_warning, &params.restarts_critical));
}

/// The containers whose restarts tell something about the pod now: an init container that is done has got over its own.
fn at_work(pod: &Pod) -> impl Iterator<Item = &Container> {
    let holding = pod.held_up_by().filter(|container| !container.sidecar);
    holding.into_iter().chain(pod.lasting_containers())
}

fn place(pod: &Pod, container: &Container) -> String {
    format!("{}/{}", human::shorten(&pod.name, 63), human::shorten(&container.name, 63))
}

/// Pods that were evicted stay in the list until somebody removes them.
fn tell_over(outcome: &mut Outcome, over: &[&Pod]) {
    let mut reasons = BTreeMap::<&str, u64>::new();
    for pod in over {
        *reasons.entry(pod.reason.as_deref().unwrap_or(&pod.phase)).or_default() += 1;
    }
    if !reasons.is_empty() {
        let told = reasons.iter().take(5).map(|(reason, count)| format!("{count} {}", human::shorten(reason, 40)));
        outcome.note(format!("Not counted, because they are over: {}.", told.collect::<Vec<_>>().join(", ")));
    }
}

fn suggest(outcome: &mut Outcome, live: &[&Pod], going: &[&Pod], params: &Params) {
    if outcome.status() <= Status::Unknown {
        return;
    }
    let troubles: Vec<(&Pod, Trouble)> = live.iter().filter_map(|pod| Some((*pod, trouble::of(pod)?))).collect();
    if was_restarted(live, params) || troubles.iter().any(|(_, trouble)| trouble.is_crash()) {
        let same = json!({ "target": params.target, "labels": params.labels });
        let why = "It tells how the containers ended and what they wrote before.";
        outcome.suggest(Suggestion::new("k8s-crashes", same, why).confidence(0.8));
    }
    let lacks = troubles.iter().any(|(pod, trouble)| trouble.lacks_something() || hangs_at_its_start(pod, trouble));
    if lacks || going.iter().any(|pod| removal::is_late(pod)) {
        let why = "The cluster's events tell what is missing.";
        let target = json!({ "target": params.target });
        outcome.suggest(Suggestion::new("k8s-events", target, why).confidence(0.7));
    }
    let hanging = |(pod, trouble): &&(&Pod, Trouble)| *trouble == Trouble::NotReady && pod.age > PATIENCE_SECONDS;
    let hanging = troubles.iter().filter(hanging).count() as u64;
    if let Some(workload) = params.suggested().filter(|_| hanging > 0) {
        let pods = human::plural(hanging, "running pod");
        let why = format!("{pods} did not become ready, which a fresh start may mend.");
        outcome.suggest(Suggestion::restart(&workload, why).confidence(0.4));
    }
}

fn was_restarted(live: &[&Pod], params: &Params) -> bool {
    let mut restarts = live.iter().flat_map(|pod| at_work(pod)).map(|container| f64::from(container.restarts));
    restarts.any(|count| params.restarts_warning.alerts(count) || params.restarts_critical.alerts(count))
}

/// A volume that cannot be mounted keeps a pod at its start, and only events tell.
fn hangs_at_its_start(pod: &Pod, trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Starting { .. }) && pod.age > PATIENCE_SECONDS
}

fn show(outcome: &mut Outcome, pods: &[Pod], limit: usize) {
    let restarts = |pod: &Pod| at_work(pod).map(|container| u64::from(container.restarts)).sum::<u64>();
    let is_fine = |pod: &Pod| (pod.ready || pod.removal.is_some() || trouble::is_over(pod)) && !removal::is_late(pod);
    let mut sorted: Vec<&Pod> = pods.iter().collect();
    sorted.sort_by_key(|pod| (is_fine(pod), Reverse(restarts(pod))));
    let mut table = Table::new("Pods", ["pod", "ready", "restarts", "status", "last end", "node", "age"]);
    for pod in sorted.iter().take(limit) {
        let ready = pod.lasting_containers().filter(|container| container.ready).count();
        let ready = format!("{ready}/{}", pod.lasting_containers().count());
        let ends: Vec<String> = at_work(pod).map(trouble::last_end).filter(|end| !end.is_empty()).collect();
        let node = pod.node.as_deref().unwrap_or_default();
        let age = human::duration(pod.age);
        table.row(cells![pod.name, ready, restarts(pod), pod.status, ends.join(", "), node, age]);
    }
    outcome.table(table);
    if pods.len() > limit {
        outcome.note(format!("The table has {limit} of {} pods, those in trouble first.", pods.len()));
    }
}
