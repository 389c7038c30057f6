//! What do containers use of what they may? The usage alone tells little: 900 MiB are fine with a limit of 2 GiB and the last
//! minute with one of 1 GiB.

mod share;

use paramedic_sdk::kubernetes::{self, Pod, Usage};
use paramedic_sdk::{
    Context, Description, Error, Failure, Metric, Outcome, Plugin, Status, Table, Threshold, cells, human, judge, unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use share::Share;

#[cfg(test)]
mod tests;

/// Names in one sentence.
const NAMES: usize = 3;

/// Parameters of k8s-top.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Kubernetes target.
    target: String,
    /// Label selector of the pods.
    #[schemars(length(min = 1, max = 1000))]
    labels: String,
    /// Memory of a container before it is a warning, in percent of its limit.
    memory_warning: Threshold,
    /// Memory of a container before it is critical, in percent of its limit.
    memory_critical: Threshold,
    /// Processor use of a container before it is a warning, in percent of its limit.
    cpu_warning: Threshold,
    /// Processor use of a container before it is critical, in percent of its limit.
    cpu_critical: Threshold,
    /// Processor use of a container without a limit before it is a warning, in percent of its request.
    cpu_request_warning: Threshold,
    /// Processor use of a container without a limit before it is critical, in percent of its request.
    cpu_request_critical: Threshold,
    /// Most containers to show.
    #[schemars(range(min = 1, max = 200))]
    limit: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "prod".to_owned(),
            labels: "app=api".to_owned(),
            memory_warning: Threshold::above(80.0),
            memory_critical: Threshold::above(95.0),
            cpu_warning: Threshold::above(90.0),
            cpu_critical: Threshold::never(),
            cpu_request_warning: Threshold::above(200.0),
            cpu_request_critical: Threshold::never(),
            limit: 30,
        }
    }
}

/// The check.
pub struct K8sTop;

paramedic_sdk::export!(K8sTop);

impl Plugin for K8sTop {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Use of containers")
            .about(include_str!("about.md"))
            .runbook("#service-restoration")
            .needs("kubernetes/list-pods", "{target}", "to know the requests and limits of containers")
            .needs("kubernetes/list-usage", "{target}", "to know what containers use")
            .time_limit(15.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        // The pods come first: they tell a cluster that cannot be reached from a metrics server that does not answer.
        let pods = kubernetes::list_pods(&params.target, &params.labels)?;
        if pods.is_empty() {
            let text = format!("no pod has the labels {}, so nothing is measured", labels(&params));
            return Ok(Outcome::found(Status::Unknown, text));
        }
        match kubernetes::list_usage(&params.target, &params.labels) {
            Ok(usage) => Ok(judge_usage(&pods, &usage, &params)),
            Err(error) => unmeasured(error, &params),
        }
    }
}

fn labels(params: &Params) -> String {
    human::shorten(&params.labels, 80)
}

/// That nothing is measured has several causes, and each another cure.
fn unmeasured(error: Error, params: &Params) -> Result<Outcome, Failure> {
    let target = &params.target;
    let (text, cure) = match &error {
        Error::NotFound(_) => (
            format!("what pods of {target} use is not known: the cluster has no metrics server"),
            "Whoever runs the cluster can install one (metrics.k8s.io); `kubectl top` lacks it as well.",
        ),
        Error::Unavailable(_) => (
            format!("what pods of {target} use is not known: the cluster's metrics server does not answer"),
            "Look at its pods, mostly `metrics-server` in the namespace `kube-system`, and at the APIService \
             `v1beta1.metrics.k8s.io`.",
        ),
        _ => return Err(error.into()),
    };
    let mut outcome = Outcome::found(Status::Unknown, text);
    outcome.note(format!("{cure} The agent was told: {error}."));
    Ok(outcome)
}

fn judge_usage(pods: &[Pod], usage: &[Usage], params: &Params) -> Outcome {
    let (shares, missing) = share::of(pods, usage);
    let count = human::plural(shares.len() as u64, "container");
    if shares.is_empty() {
        let text = format!(
            "what pods of {} use is not known: the metrics server answers and has measured none of them yet, as in the \
             first minute or two after a start",
            params.target
        );
        return Outcome::found(Status::Unknown, text);
    }
    // A metric is a finite number, whatever the cluster claims.
    let sum = |used: fn(&Share) -> f64| shares.iter().map(used).sum::<f64>().min(f64::MAX);
    let (cpu, memory) = (sum(|share| share.cpu), sum(|share| share.memory));
    let worst = shares
        .first()
        .and_then(|share| share.memory_in_words())
        .map_or_else(String::new, |words| format!(", most: {words}"));
    let fine =
        format!("{count} of {} use {} cores and {}{worst}", labels(params), share::cores(cpu), human::bytes(memory));
    let mut outcome = Outcome::ok(fine);
    judge_memory(&mut outcome, &shares, params);
    judge_cpu(&mut outcome, &shares, params);
    outcome.metric(Metric::new("cpu_cores", cpu, unit::COUNT));
    outcome.metric(Metric::new("memory_bytes", memory, unit::BYTES));
    tell_unlimited(&mut outcome, &shares);
    if missing > 0 {
        let text = human::plural(missing as u64, "container");
        outcome.note(format!("Of {text} nothing is measured yet; those that have just started are such."));
    }
    show(&mut outcome, &shares, params.limit);
    outcome
}

fn judge_memory(outcome: &mut Outcome, shares: &[Share], params: &Params) {
    let (warning, critical) = (&params.memory_warning, &params.memory_critical);
    find_worst(outcome, shares, Share::memory_of_limit, Share::memory_in_words, warning, critical);
    let most = shares.iter().filter_map(Share::memory_of_limit).fold(0.0, f64::max);
    outcome.metric(Metric::new("memory_limit_percent_most", most, unit::PERCENT).limits(warning, critical));
}

fn judge_cpu(outcome: &mut Outcome, shares: &[Share], params: &Params) {
    let (warning, critical) = (&params.cpu_warning, &params.cpu_critical);
    find_worst(outcome, shares, Share::cpu_of_limit, Share::cpu_in_words, warning, critical);
    let most = shares.iter().filter_map(Share::cpu_of_limit).fold(0.0, f64::max);
    outcome.metric(Metric::new("cpu_limit_percent_most", most, unit::PERCENT).limits(warning, critical));
    let (warning, critical) = (&params.cpu_request_warning, &params.cpu_request_critical);
    let unlimited = |share: &Share| share.cpu_of_request().filter(|_| share.cpu_of_limit().is_none());
    find_worst(outcome, shares, unlimited, Share::cpu_in_words, warning, critical);
}

/// Name those above a limit by their names, the worst of them with its numbers.
fn find_worst<'a>(
    outcome: &mut Outcome,
    shares: &[Share<'a>],
    percent: impl Fn(&Share<'a>) -> Option<f64>,
    words: impl Fn(&Share<'a>) -> Option<String>,
    warning: &Threshold,
    critical: &Threshold,
) {
    for status in [Status::Critical, Status::Warning] {
        let mut found: Vec<(&Share<'a>, f64)> = shares
            .iter()
            .filter_map(|share| Some((share, percent(share)?)))
            .filter(|(_, percent)| judge(*percent, warning, critical) == status)
            .collect();
        found.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let Some((first, others)) = found.split_first() else { continue };
        let names: Vec<String> = others.iter().take(NAMES).map(|(share, _)| share.place()).collect();
        let more = if others.len() > NAMES { format!(" and {} more", others.len() - NAMES) } else { String::new() };
        let also = if names.is_empty() { String::new() } else { format!("; so do {}{more}", names.join(", ")) };
        outcome.find(status, format!("{}{also}", words(first.0).unwrap_or_default()));
    }
}

fn tell_unlimited(outcome: &mut Outcome, shares: &[Share]) {
    let unlimited: Vec<&Share> = shares.iter().filter(|share| share.memory_limit.is_none()).collect();
    if let Some(first) = unlimited.first() {
        let count = human::plural(unlimited.len() as u64, "container");
        outcome.note(format!(
            "{count} without a limit of memory, such as {}, which uses {}.",
            first.place(),
            human::bytes(first.memory)
        ));
    }
    outcome.metric(Metric::count("containers_without_memory_limit", unlimited.len() as u64));
}

fn show(outcome: &mut Outcome, shares: &[Share], limit: usize) {
    let columns = ["pod", "container", "cores", "of request", "of limit", "memory", "of request", "of limit"];
    let mut table = Table::new("Use of containers", columns);
    let percent = |share: Option<f64>| share.map_or_else(|| "none".to_owned(), human::percent);
    for share in shares.iter().take(limit) {
        table.row(cells![
            share.pod,
            share.container,
            share::cores(share.cpu),
            percent(share.cpu_of_request()),
            percent(share.cpu_of_limit()),
            human::bytes(share.memory),
            percent(share.memory_of_request()),
            percent(share.memory_of_limit()),
        ]);
    }
    outcome.table(table);
    if shares.len() > limit {
        outcome.note(format!(
            "The table has {limit} of {} containers, those nearest to their limits first.",
            shares.len()
        ));
    }
}
