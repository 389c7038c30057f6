//! Set environment variables of a workload, or remove them, and follow the rollout: what its pods do not start with is given back.

mod params;

use paramedic_sdk::{
    Context, Description, Error, Failure, Follow, Label, Outcome, Plugin, Receipt, Risk, Status, Table, Workload,
    human, kubernetes,
};
use params::Params;

#[cfg(test)]
mod tests;

/// The mitigation.
pub struct K8sSetEnv;

paramedic_sdk::export!(K8sSetEnv);

impl Plugin for K8sSetEnv {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Set variables", Risk::Medium)
            .about(include_str!("about.md"))
            .runbook("#high-load")
            .idempotent()
            .can_use("kubernetes-actions/set-env", "{target}", "to set variables")
            .can_use("kubernetes-actions/unset-env", "{target}", "to remove variables")
            .needs("kubernetes/get-rollout", "{target}", "to see whether the pods become ready with them")
            .time_limit(900.0)
    }

    fn run(context: &Context, params: Params) -> Result<Outcome, Failure> {
        check(&params)?;
        let workload = params.workload();
        let not_ready = params.give_back_if_not_ready.into();
        let follow = Follow { workload: &workload, ready_within: params.ready_within, not_ready };
        follow.check_time(context)?;
        let told = act(&workload, &params);
        Ok(if told.is_applied { follow.to_its_end(told.outcome) } else { told.outcome })
    }
}

fn check(params: &Params) -> Result<(), Failure> {
    if params.set.is_empty() && params.unset.is_empty() {
        return Err(Failure::BadParams("there is neither a variable to `set` nor one to `unset`".to_owned()));
    }
    match params.unset.iter().find(|name| params.set.contains_key(*name)) {
        Some(name) => Err(Failure::BadParams(format!("{} is in `set` and in `unset`", human::shorten(name, 60)))),
        None => Ok(()),
    }
}

/// What became of a change.
struct Told {
    outcome: Outcome,
    is_applied: bool,
}

impl Told {
    fn of(change: Result<Receipt, Error>, done: String, nothing: &str) -> Self {
        let is_applied = change.as_ref().is_ok_and(Receipt::is_applied);
        Self { outcome: Outcome::of_change(change, |_| done, nothing), is_applied }
    }

    /// This and then the other one.
    fn and(self, other: Self) -> Self {
        let sentence = format!("{}; {}", self.outcome.summary(), other.outcome.summary());
        // What is done by half is graver than what is not done at all.
        let status = match other.outcome.status() {
            Status::Ok => self.outcome.status(),
            _ if self.is_applied => Status::Critical,
            status => status.max(self.outcome.status()),
        };
        let mut outcome = Outcome::ok(sentence.clone());
        outcome.find(status, sentence);
        let mut tables = self.outcome.tables().iter().chain(other.outcome.tables()).cloned();
        if let Some(mut table) = tables.next() {
            table.rows.extend(tables.flat_map(|more: Table| more.rows));
            outcome.table(table);
        }
        Self { outcome, is_applied: self.is_applied || other.is_applied }
    }
}

/// Set first. What cannot be set is no reason to remove something.
fn act(workload: &Workload, params: &Params) -> Told {
    let whose = match &params.container {
        Some(container) => format!("{container} in {workload} of {}", params.target),
        None => format!("{workload} of {}", params.target),
    };
    let container = params.container.as_deref();
    let set = || {
        let label = |(name, value): (&String, &String)| Label { name: name.clone(), value: value.clone() };
        let variables: Vec<Label> = params.set.iter().map(label).collect();
        let change = kubernetes::set_env(workload, container, &variables);
        let names = list(params.set.keys());
        Told::of(change, format!("set {names} of {whose}"), &format!("nothing to do: {whose} has {names} set so"))
    };
    let unset = || {
        let change = kubernetes::unset_env(workload, container, &params.unset);
        let names = list(params.unset.iter());
        Told::of(change, format!("removed {names} of {whose}"), &format!("nothing to do: {whose} has no {names}"))
    };
    match (params.set.is_empty(), params.unset.is_empty()) {
        (true, _) => unset(),
        (false, true) => set(),
        (false, false) => match set() {
            told if told.outcome.status() == Status::Ok => told.and(unset()),
            refused => refused,
        },
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    human::shorten(&names.map(String::as_str).collect::<Vec<_>>().join(", "), 120)
}
