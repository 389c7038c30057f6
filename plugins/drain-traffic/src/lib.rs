//! Take the pods of a Service out of its traffic, and wait for what can be seen of that: its endpoints are gone.

mod endpoints;
mod params;

use paramedic_sdk::{
    Context, Description, Error, Failure, Outcome, Plugin, Receipt, Risk, Status, check_time, clock, human, kubernetes,
    log,
};
use params::Params;

#[cfg(test)]
mod tests;

/// Between two looks at the endpoints.
const PAUSE_SECONDS: f64 = 1.0;

/// The mitigation.
pub struct DrainTraffic;

paramedic_sdk::export!(DrainTraffic);

impl Plugin for DrainTraffic {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Drain the traffic", Risk::High)
            .about(include_str!("about.md"))
            .runbook("#automation-scripts")
            .idempotent()
            .needs(
                "kubernetes-actions/detach-service",
                "{target}",
                "to take the pods out of the traffic of the Service",
            )
            .can_use("kubernetes/list-objects", "{target}", "to see when its endpoints are gone")
            .time_limit(120.0)
    }

    fn run(context: &Context, params: Params) -> Result<Outcome, Failure> {
        check_time(context, "gone_within", params.gone_within)?;
        let Params { target, service, .. } = &params;
        let change = kubernetes::detach_service(target, service);
        if !change.as_ref().is_ok_and(Receipt::is_applied) {
            let nothing = format!("nothing to do: service {service} of {target} is detached from its pods already");
            return Ok(Outcome::of_change(change, |_| String::new(), &nothing));
        }
        let end = wait(&params);
        let done = |_: &Receipt| format!("detached service {service} of {target} from its pods{}", end.in_words());
        let mut outcome = Outcome::of_change(change, done, "");
        if let End::Left(count) = end {
            let count = human::plural(count as u64, "endpoint");
            let sentence = format!(
                "detached service {service} of {target} from its pods, but {count} still took traffic after {}",
                human::duration(params.gone_within)
            );
            outcome.find(Status::Critical, sentence);
        }
        outcome.note(
            "New connections go nowhere. **Connections that were open stay open, and nobody can see from here when they end**: a \
             client that keeps one goes on to be served.",
        );
        outcome.note(format!(
            "Nothing of the Service is served until its selector is given back: `paramedic undo {}`.",
            context.run_id
        ));
        Ok(outcome)
    }
}

/// How the wait for the endpoints ended.
enum End {
    /// After so many seconds.
    Gone(f64),
    /// So many were there at last.
    Left(usize),
    Unseen(Error),
}

impl End {
    fn in_words(&self) -> String {
        match self {
            Self::Gone(seconds) => format!("; its endpoints were gone after {}", human::duration(*seconds)),
            Self::Left(_) => String::new(),
            Self::Unseen(error) => format!("; whether its endpoints are gone was not seen: {error}"),
        }
    }
}

fn wait(params: &Params) -> End {
    let began = clock::now();
    let mut told = None;
    loop {
        let age = clock::age(began);
        let is_over = age >= params.gone_within;
        match endpoints::count(&params.target, &params.service) {
            Ok(0) => return End::Gone(age),
            Ok(count) if is_over => return End::Left(count),
            Ok(count) => {
                let first = *told.get_or_insert(count);
                tell(first, count);
            }
            Err(error) if is_over || error.is_ours() => return End::Unseen(error),
            Err(error) => log::warn(&format!("cannot look at the endpoints: {error}")),
        }
        if let Err(error) = clock::sleep(PAUSE_SECONDS) {
            return End::Unseen(error);
        }
    }
}

fn tell(first: usize, count: usize) {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let words = format!("{} left", human::plural(count as u64, "endpoint"));
    log::progress(number(first.saturating_sub(count)), number(first), &words);
}
