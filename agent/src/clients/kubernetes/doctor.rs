//! What is wrong with a cluster as a target: told to its operator, never to a plugin.

use super::Kubernetes;
use super::rights::{self, Surplus};
use crate::domain::{CallError, Diagnosis, Severity};
use crate::policy::rbac::{Needs, Reason, Right};

const APPLY: &str = "apply what `paramedic rbac` prints, with the agent's own account in `--service-account`";
const TRIM: &str =
    "take it out of the Roles that are bound to the agent's account, unless something else needs it there";
const REACH: &str = "look at `kubeconfig`, or at the pod's service account, and at the way to the API server";

pub(super) async fn examine(cluster: &Kubernetes, needs: &Needs) -> Vec<Diagnosis> {
    let asked = async { Ok::<_, CallError>((rights::missing(cluster, needs).await?, rights::held(cluster).await?)) };
    let (missing, held) = match asked.await {
        Ok(found) => found,
        Err(error) => return vec![say(cluster, Severity::Error, error.to_string(), Some(REACH))],
    };
    let mut report: Vec<Diagnosis> = missing.iter().map(|(right, reason)| lack(cluster, right, reason)).collect();
    report.extend(rights::surplus(&held.rules, needs).iter().map(|surplus| excess(cluster, surplus)));
    if missing.is_empty() {
        report.push(say(cluster, Severity::Ok, all_there(cluster, needs), None));
    }
    if !held.is_all {
        let message = "the cluster cannot list all that the agent may do, so there may be more than is needed";
        report.push(say(cluster, Severity::Ok, message.to_owned(), None));
    }
    report
}

/// Whether the agent may ask about callers, which no Role of a namespace gives.
pub(super) async fn examine_reviews(cluster: &Kubernetes) -> Vec<Diagnosis> {
    let missing = match rights::missing_reviews(cluster).await {
        Ok(missing) => missing,
        Err(error) => return vec![say(cluster, Severity::Error, error.to_string(), Some(REACH))],
    };
    if missing.is_empty() {
        let message = "the agent may ask the cluster about callers (auth.kubernetes)";
        return vec![say(cluster, Severity::Ok, message.to_owned(), None)];
    }
    let lack = |resource: &String| {
        let message = format!(
            "the agent may not create {resource} in the cluster; without that nobody can ask with a token of the cluster \
             (auth.kubernetes)"
        );
        say(cluster, Severity::Error, message, Some(APPLY))
    };
    missing.iter().map(lack).collect()
}

fn lack(cluster: &Kubernetes, right: &Right, reason: &Reason) -> Diagnosis {
    let place = &cluster.namespace;
    let message = format!("the agent may not {right} in the namespace {place}; without that break: {reason}");
    say(cluster, Severity::Error, message, Some(APPLY))
}

fn excess(cluster: &Kubernetes, surplus: &Surplus) -> Diagnosis {
    let place = &cluster.namespace;
    let message = format!("the agent may {surplus} in the namespace {place}, which nothing that is granted needs");
    say(cluster, Severity::Warning, message, Some(TRIM))
}

fn all_there(cluster: &Kubernetes, needs: &Needs) -> String {
    let place = &cluster.namespace;
    match needs.rights().count() {
        0 => format!("the cluster answers; nothing is granted in the namespace {place}"),
        1 => format!("the agent has the one right that it needs in the namespace {place}"),
        count => format!("the agent has all {count} rights that it needs in the namespace {place}"),
    }
}

fn say(cluster: &Kubernetes, severity: Severity, message: String, remedy: Option<&str>) -> Diagnosis {
    Diagnosis { severity, subject: format!("kubernetes/{}", cluster.name), message, remedy: remedy.map(str::to_owned) }
}
