//! Give several workloads other numbers of replicas: one plan for all of them, and one undo.

mod params;

use paramedic_sdk::{
    Context, Description, Error, Failure, Outcome, Plugin, Receipt, RemoteError, Risk, Suggestion, Words, Work,
    Workload, cells, kubernetes,
};
use params::Params;
use serde_json::json;

#[cfg(test)]
mod tests;

/// The mitigation.
pub struct ScaleEmergency;

paramedic_sdk::export!(ScaleEmergency);

impl Plugin for ScaleEmergency {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            "Scale in an emergency",
            Risk::Medium,
        )
        .about(include_str!("about.md"))
        .runbook("#high-load")
        .idempotent()
        .needs("kubernetes-actions/scale", "{target}", "to set the numbers of replicas")
        .time_limit(120.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        if let Some(wanted) = params.named_twice() {
            let workload = params.workload(wanted);
            return Err(Failure::BadParams(format!("`workloads` names {workload} twice")));
        }
        let (thing, already) = ("workload", "at its number");
        let words = Words { plain: "scale", past: "scaled", thing, of: &params.target, already };
        let mut work = Work::new(words, ["kind", "name", "replicas"]);
        work.each(
            &params.workloads,
            |wanted| cells![wanted.kind, wanted.name, wanted.replicas],
            |wanted| scale(&params.workload(wanted), wanted.replicas),
        );
        let mut outcome = work.outcome("there is no workload to scale");
        let why = "It tells when the pods are there.";
        outcome.suggest(Suggestion::new("k8s-rollouts", json!({ "target": params.target }), why));
        Ok(outcome)
    }
}

/// A workload that does not exist is a failure: nobody wanted it gone.
fn scale(workload: &Workload, replicas: u32) -> Result<Receipt, Error> {
    kubernetes::scale(workload, replicas).map_err(|error| match error {
        Error::NotFound(message) => {
            let (system, code) = ("kubernetes".to_owned(), "NotFound".to_owned());
            Error::Remote(RemoteError { system, code, message, retryable: false })
        }
        error => error,
    })
}
