//! The Job as its object tells it, and what it wrote.

use paramedic_sdk::kubernetes::{self, LogQuery};
use paramedic_sdk::{Error, Table, cells, human};
use serde::Deserialize;

const RESOURCE: &str = "jobs.batch";

/// How a Job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It is at work, with a word on how far.
    AtWork(String),
    Complete,
    /// It ended without success, with the reason.
    Failed(String),
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    active: u64,
    ready: u64,
    failed: u64,
    conditions: Vec<Condition>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
    message: String,
}

pub(crate) fn look(target: &str, job: &str) -> Result<State, Error> {
    let json = kubernetes::get_object(target, RESOURCE, job)?;
    let object: Object = serde_json::from_str(&json)
        .map_err(|error| Error::Other(format!("what the cluster tells of the job is not understood: {error}")))?;
    Ok(of(&object.status))
}

/// `SuccessCriteriaMet` and `FailureTarget` announce the end while pods still run; only these two are the end.
fn of(status: &Status) -> State {
    let condition = |kind: &str| status.conditions.iter().find(|one| one.kind == kind && one.status == "True");
    if condition("Complete").is_some() {
        return State::Complete;
    }
    if let Some(Condition { reason, message, .. }) = condition("Failed") {
        return State::Failed(human::shorten(&format!("{reason}: {message}"), 200));
    }
    let Status { active, ready, failed, .. } = status;
    let failures =
        if *failed > 0 { format!(", {} failed before", human::plural(*failed, "pod")) } else { String::new() };
    State::AtWork(match (active, ready) {
        (0, _) => format!("no pod of it is there{failures}"),
        (_, 0) => format!("its pod starts{failures}"),
        (..) => format!("its pod runs{failures}"),
    })
}

/// The last lines that its pods wrote.
pub(crate) fn log(target: &str, job: &str, lines: u32) -> Result<Table, Error> {
    let page = kubernetes::read_logs(target, &format!("job-name={job}"), &LogQuery::last(lines, lines))?;
    let mut table = Table::new("Last lines of the job", ["pod", "line"]);
    for line in &page.lines {
        table.row(cells![line.pod, human::shorten(&line.text, 300)]);
    }
    Ok(table.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_last_condition_is_the_end() {
        let state = |status| {
            let object: Object = serde_json::from_value(json!({ "kind": "Job", "status": status })).unwrap();
            of(&object.status)
        };
        let condition =
            |kind: &str, status: &str| json!({ "type": kind, "status": status, "reason": "Why", "message": "so" });
        let at_work = |words: &str| State::AtWork(words.to_owned());
        let table = [
            (json!({}), at_work("no pod of it is there")),
            (json!({ "active": 1 }), at_work("its pod starts")),
            (json!({ "active": 1, "ready": 1, "failed": 2 }), at_work("its pod runs, 2 pods failed before")),
            (
                json!({ "active": 1, "ready": 1, "conditions": [condition("SuccessCriteriaMet", "True")] }),
                at_work("its pod runs"),
            ),
            (json!({ "active": 1, "conditions": [condition("FailureTarget", "True")] }), at_work("its pod starts")),
            (json!({ "active": 1, "conditions": [condition("Complete", "False")] }), at_work("its pod starts")),
            (
                json!({ "conditions": [condition("SuccessCriteriaMet", "True"), condition("Complete", "True")] }),
                State::Complete,
            ),
            (
                json!({ "conditions": [condition("FailureTarget", "True"), condition("Failed", "True")] }),
                State::Failed("Why: so".to_owned()),
            ),
        ];
        for (status, expected) in table {
            assert_eq!(state(status.clone()), expected, "{status}");
        }
    }
}
