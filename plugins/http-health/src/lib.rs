//! Do HTTP endpoints answer as they should? Each is judged by status, body, latency and certificate; one summary names
//! what is worst.

mod endpoint;

use endpoint::{Endpoint, Expectation, Verdict};
use paramedic_sdk::http::{self, Request, Response};
use paramedic_sdk::{
    Context, Description, Error, Failure, Metric, Outcome, Plugin, Seconds, Status, Suggestion, Table, cells, clock,
    human, unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Time that the rest of the run needs.
const RESERVE: Seconds = 0.5;
const DAY: Seconds = 86_400.0;

/// Parameters of http-health.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The endpoints, asked one after the other.
    #[schemars(length(min = 1, max = 20))]
    endpoints: Vec<Endpoint>,
    /// Seconds that one endpoint may take altogether.
    #[schemars(range(min = 0.1, max = 25))]
    timeout_seconds: Seconds,
}

impl Default for Params {
    fn default() -> Self {
        Self { endpoints: vec![Endpoint::of("api")], timeout_seconds: 10.0 }
    }
}

/// The check.
pub struct HttpHealth;

paramedic_sdk::export!(HttpHealth);

impl Plugin for HttpHealth {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "HTTP endpoints are healthy")
            .about(include_str!("about.md"))
            .runbook("#2-diagnosis-15-30-minutes")
            .needs("http/get", "*", "to ask the endpoints that the parameters name")
            .time_limit(30.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        // All parameters are understood before anything is asked.
        let expectations = params.endpoints.iter().map(Expectation::of).collect::<Result<Vec<_>, _>>()?;
        let mut asked = Vec::new();
        for expectation in &expectations {
            asked.push((expectation, ask(expectation.endpoint, params.timeout_seconds)));
        }
        refuse_if_nothing_was_possible(&asked)?;
        Ok(judge_all(asked))
    }
}

/// None if the run's time was used up before.
type Answer = Option<Result<Response, Error>>;

fn ask(endpoint: &Endpoint, timeout: Seconds) -> Answer {
    let timeout = timeout.min(clock::remaining() - RESERVE);
    (timeout > 0.0).then(|| http::get(&Request::new(&endpoint.target, &endpoint.path).timeout(timeout)))
}

/// Where the agent itself stood in the way of every endpoint, its reason is the answer.
fn refuse_if_nothing_was_possible(asked: &[(&Expectation, Answer)]) -> Result<(), Failure> {
    let ours = |answer: &Answer| match answer {
        Some(Err(error)) if error.is_ours() => Some(error.clone()),
        _ => None,
    };
    let all = asked.iter().map(|(_, answer)| ours(answer)).collect::<Option<Vec<_>>>();
    match all.and_then(|errors| errors.into_iter().next()) {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

fn judge_all(asked: Vec<(&Expectation, Answer)>) -> Outcome {
    let verdicts: Vec<Verdict> = asked.into_iter().map(|(expectation, answer)| expectation.judge(answer)).collect();
    let mut outcome = Outcome::ok(fine(&verdicts));
    let failing = verdicts.iter().filter(|verdict| verdict.status() > Status::Ok).count();
    for verdict in &verdicts {
        for (status, sentence) in &verdict.found {
            outcome.find(*status, sentence.clone());
        }
        measure(&mut outcome, verdict);
        suggest(&mut outcome, verdict);
    }
    if verdicts.len() > 1 && failing > 0 {
        outcome.note(format!("{failing} of {} endpoints are not as they should be.", verdicts.len()));
    }
    show(&mut outcome, &verdicts);
    outcome
}

fn fine(verdicts: &[Verdict]) -> String {
    let slowest =
        verdicts.iter().max_by(|one, other| one.latency.unwrap_or(0.0).total_cmp(&other.latency.unwrap_or(0.0)));
    let Some(slowest) = slowest else {
        return "no endpoint was asked".to_owned();
    };
    let (name, took) = (slowest.name(), human::duration(slowest.latency.unwrap_or(0.0)));
    match (verdicts.len(), slowest.code) {
        (1, Some(code)) => format!("{name} answers {code} in {took}"),
        (count, _) => {
            format!("all {} are healthy, the slowest is {name} with {took}", human::plural(count as u64, "endpoint"))
        }
    }
}

fn measure(outcome: &mut Outcome, verdict: &Verdict) {
    let Endpoint { target, path, .. } = verdict.endpoint;
    let labelled = |metric: Metric| metric.label("target", target).label("path", path);
    outcome.metric(labelled(Metric::count("endpoint_healthy", (verdict.status() == Status::Ok).into())));
    if let Some(latency) = verdict.latency {
        let metric = Metric::new("latency_seconds", latency, unit::SECONDS);
        let endpoint = verdict.endpoint;
        outcome.metric(labelled(metric.limits(&endpoint.latency_warning, &endpoint.latency_critical)));
    }
    if let Some(remaining) = verdict.certificate_remaining {
        let metric = Metric::new("certificate_remaining_days", remaining / DAY, unit::DAYS);
        let endpoint = verdict.endpoint;
        outcome
            .metric(labelled(metric.limits(&endpoint.certificate_warning_days, &endpoint.certificate_critical_days)));
    }
}

/// A restart helps a service that is down or fails by itself; it helps neither a certificate nor a wrong path.
fn suggest(outcome: &mut Outcome, verdict: &Verdict) {
    if let Some(workload) = verdict.endpoint.workload.as_ref().filter(|_| verdict.is_down) {
        let reason = format!("{} runs behind {}, which does not serve.", workload.name, verdict.name());
        outcome.suggest(Suggestion::restart(workload, reason).confidence(0.5));
    }
}

fn show(outcome: &mut Outcome, verdicts: &[Verdict]) {
    let mut table = Table::new("Endpoints", ["endpoint", "verdict", "status", "latency", "certificate", "trouble"]);
    for verdict in verdicts {
        let code = verdict.code.map_or_else(String::new, |code| code.to_string());
        let latency = verdict.latency.map_or_else(String::new, human::duration);
        let certificate = verdict.certificate_remaining.map_or_else(String::new, human::duration);
        let trouble = verdict.found.iter().map(|(_, sentence)| sentence.as_str()).collect::<Vec<_>>().join("; ");
        table.row(cells![verdict.name(), verdict.word(), code, latency, certificate, trouble]);
    }
    outcome.table(table);
}
