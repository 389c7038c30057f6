//! Restore a database to a point in time: the operator's own Job does it, into a database of its own, and is followed to its end.

mod job;
mod moment;
mod params;

use job::State;
use paramedic_sdk::{
    Context, Description, Error, Failure, Instant, Label, Outcome, Plugin, Receipt, Risk, Seconds, Status, check_time,
    clock, human, kubernetes, log,
};
use params::Params;

#[cfg(test)]
mod tests;

/// Between the first two looks; later ones are further apart.
const SHORTEST_PAUSE: Seconds = 1.0;
const LONGEST_PAUSE: Seconds = 5.0;

/// The mitigation.
pub struct PgRestorePitr;

paramedic_sdk::export!(PgRestorePitr);

impl Plugin for PgRestorePitr {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            "Restore to a point in time",
            Risk::High,
        )
        .about(include_str!("about.md"))
        .runbook("#data-recovery")
        .needs("kubernetes-actions/run-job", "{target}", "to start the Job that restores")
        .needs("kubernetes/get-object", "{target}", "to follow the Job to its end")
        .can_use("kubernetes/read-logs", "{target}", "to keep the last lines that the Job wrote")
        .time_limit(900.0)
    }

    fn run(context: &Context, params: Params) -> Result<Outcome, Failure> {
        check_time(context, "follow_for", params.follow_for)?;
        check_target_time(&params.target_time)?;
        let Params { target, cron_job, target_time, .. } = &params;
        let variable = Label { name: params.variable.clone(), value: target_time.clone() };
        let change = kubernetes::run_job(target, cron_job, &[variable]);
        if !change.as_ref().is_ok_and(Receipt::is_applied) {
            let nothing = "nothing to do: the job of this plan was started already";
            return Ok(Outcome::of_change(change, |_| String::new(), nothing));
        }
        let job = change.as_ref().ok().and_then(|receipt| receipt.text("job")).unwrap_or_default();
        let (status, sentence) = follow(&job, &params);
        let mut outcome = Outcome::of_change(change, |_| sentence.clone(), "");
        outcome.find(status, sentence);
        keep_log(&mut outcome, &job, &params);
        Ok(outcome)
    }
}

fn check_target_time(text: &str) -> Result<(), Failure> {
    let bad = |what: &str| Err(Failure::BadParams(format!("`target_time` {what}")));
    match moment::parse(text) {
        None => bad("is no point in time in RFC 3339, such as 2026-03-01T03:25:00Z"),
        Some(moment) if moment > clock::now() => bad("is in the future"),
        Some(_) => Ok(()),
    }
}

/// How the Job ended, or how it stood at last.
enum End {
    Is(State),
    Unseen(Error),
}

fn follow(job: &str, params: &Params) -> (Status, String) {
    let began = clock::now();
    let end = watch(began, job, params);
    let took = human::duration(clock::age(began));
    let Params { target, target_time, .. } = params;
    match end {
        End::Is(State::Complete) => {
            let words = "look into what it made, for nothing that runs was replaced";
            (Status::Ok, format!("job {job} of {target} restored to {target_time} within {took}: {words}"))
        }
        End::Is(State::Failed(why)) => (Status::Critical, format!("job {job} of {target} failed after {took}: {why}")),
        End::Is(State::AtWork(how)) => {
            let words = format!("is still at work after {took} ({how}), and goes on by itself");
            (Status::Warning, format!("job {job} of {target} {words}"))
        }
        End::Unseen(error) => {
            (Status::Unknown, format!("job {job} of {target} was started, and how it goes is not known: {error}"))
        }
    }
}

fn watch(began: Instant, job: &str, params: &Params) -> End {
    let mut told = String::new();
    loop {
        let age = clock::age(began);
        let is_over = age >= params.follow_for || clock::remaining() < 2.0 * LONGEST_PAUSE;
        match job::look(&params.target, job) {
            Ok(State::AtWork(how)) => {
                if how != told {
                    log::progress(0, 0, &format!("job {job}: {how}"));
                    told.clone_from(&how);
                }
                if is_over {
                    return End::Is(State::AtWork(how));
                }
            }
            Ok(ended) => return End::Is(ended),
            Err(error) if is_over || error.is_ours() || matches!(error, Error::NotFound(_)) => {
                return End::Unseen(error);
            }
            Err(error) => log::warn(&format!("cannot look at job {job}: {error}")),
        }
        let left = (params.follow_for - age).max(0.1);
        if let Err(error) = clock::sleep((age / 20.0).clamp(SHORTEST_PAUSE, LONGEST_PAUSE).min(left)) {
            return End::Unseen(error);
        }
    }
}

fn keep_log(outcome: &mut Outcome, job: &str, params: &Params) {
    outcome.note(format!("Its whole log is that of the pods with the label `job-name={job}`."));
    if params.lines == 0 {
        return;
    }
    match job::log(&params.target, job, params.lines) {
        Ok(table) => outcome.table(table),
        Err(error) => outcome.note(format!("Its last lines could not be read: {error}.")),
    }
}
