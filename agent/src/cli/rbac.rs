//! `paramedic rbac`: the Role that the grants in force need, as YAML for `kubectl apply`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use crate::domain::TargetName;
use crate::policy::rbac::{Needs, Rule};

/// Name of the Role and of its binding.
const NAME: &str = "paramedic";

/// Longest line of a comment.
const WIDTH: usize = 116;

/// `paramedic rbac`.
#[derive(Args, Debug)]
pub struct Rbac {
    /// The configuration.
    #[arg(long, short, value_name = "FILE", env = "PARAMEDIC_CONFIG", default_value = "paramedic.yaml")]
    pub config: PathBuf,
    /// The service account that the agent has.
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "paramedic/paramedic")]
    pub service_account: ServiceAccount,
    /// Only for this target; needed where the targets are in several clusters.
    #[arg(long, value_name = "NAME")]
    pub target: Option<TargetName>,
    /// Ask the clusters what the agent may really do, and name what is missing and what nothing needs; exits with 0 if both are
    /// nothing, 1 if it may do more than it needs, 2 if something is missing or cannot be asked.
    #[arg(long, conflicts_with = "service_account")]
    pub check: bool,
}

/// A service account, written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    namespace: String,
    name: String,
}

/// Why a text is no service account.
#[derive(Debug, thiserror::Error)]
#[error("a service account is written with its namespace before it, such as paramedic/paramedic")]
pub struct NoServiceAccount;

impl FromStr for ServiceAccount {
    type Err = NoServiceAccount;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |text: &str| {
            let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
            (1..=253).contains(&text.len()) && text.bytes().all(is_inner)
        };
        let (namespace, name) = text.split_once('/').ok_or(NoServiceAccount)?;
        let is_one = is_name(namespace) && is_name(name);
        is_one.then(|| Self { namespace: namespace.to_owned(), name: name.to_owned() }).ok_or(NoServiceAccount)
    }
}

/// The Role for what is needed in a namespace by `targets`, and its binding; a comment where nothing is.
pub fn role(targets: &[TargetName], namespace: &str, needs: &Needs, account: &ServiceAccount) -> String {
    let targets: Vec<String> = targets.iter().map(|target| format!("kubernetes/{target}")).collect();
    let targets = targets.join(", ");
    if needs.is_empty() {
        return format!("# {targets}: nothing is granted, so no Role is needed.\n");
    }
    let rules: String = needs.rules().iter().map(rule).collect();
    let ServiceAccount { namespace: home, name } = account;
    format!(
        "---
# {targets}, printed by `paramedic rbac` for the grants in force.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {NAME}
  namespace: \"{namespace}\"
rules:
{rules}---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {NAME}
  namespace: \"{namespace}\"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {NAME}
subjects:
  - kind: ServiceAccount
    name: \"{name}\"
    namespace: \"{home}\"
"
    )
}

/// What lets the agent ask the API server about callers (`auth.kubernetes`): the ClusterRole that every cluster has for that, which is
/// these two rights and no other. The binding has the name of the account, because several agents of a cluster need one each.
pub fn delegation(account: &ServiceAccount) -> String {
    let ServiceAccount { namespace: home, name } = account;
    format!(
        "---
# auth.kubernetes, printed by `paramedic rbac`: create tokenreviews.authentication.k8s.io and
#   subjectaccessreviews.authorization.k8s.io, to ask whose a token is and what its owner may do.
# Wider than a namespace: these are questions to the whole cluster. They read no object.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: \"{NAME}:{home}:{name}:auth-delegator\"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: \"system:auth-delegator\"
subjects:
  - kind: ServiceAccount
    name: \"{name}\"
    namespace: \"{home}\"
"
    )
}

fn rule(rule: &Rule) -> String {
    let mut text = String::new();
    for (verb, reason) in &rule.verbs {
        comment(&mut text, &format!("{verb}: {reason}"));
    }
    let wider: BTreeSet<&str> = rule.verbs.values().flat_map(|reason| &reason.wider).map(String::as_str).collect();
    if !wider.is_empty() {
        let notes: Vec<&str> = wider.into_iter().collect();
        comment(&mut text, &format!("Wider than the grants: {}.", notes.join("; ")));
    }
    let verbs: Vec<&str> = rule.verbs.keys().copied().collect();
    let resources: Vec<&str> = rule.resources.iter().map(String::as_str).collect();
    let _ = writeln!(text, "  - apiGroups: {}\n    resources: {}", list(&[&rule.group]), list(&resources));
    if !rule.names.is_empty() {
        let names: Vec<&str> = rule.names.iter().map(String::as_str).collect();
        let _ = writeln!(text, "    resourceNames: {}", list(&names));
    }
    let _ = writeln!(text, "    verbs: {}", list(&verbs));
    text
}

/// What could look like a number or a truth stands in quotes, and so does everything else.
fn list(items: &[&str]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// Lines of a comment, those after the first one indented.
fn comment(out: &mut String, text: &str) {
    let mut line = "  #".to_owned();
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            "  #  ".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChangeBounds, Grant, Operation, PluginName, System, Target};

    fn needs(operations: &[Operation]) -> Needs {
        let plugin: PluginName = "k8s-crashes".parse().unwrap();
        let line = Grant {
            target: Target { system: System::Kubernetes, name: "prod".parse().unwrap() },
            operations: operations.to_vec(),
            keys: vec![],
            paths: vec![],
            resources: vec!["pods".parse().unwrap()],
            changes: ChangeBounds::default(),
        };
        Needs::of(&["prod".parse().unwrap()], [(&plugin, &line)])
    }

    #[test]
    fn a_role_tells_who_needs_each_of_its_rules_and_where_it_is_wider() {
        let needs = needs(&[Operation::KubernetesListEvents, Operation::KubernetesGetObject]);
        let expected = "\
---
# kubernetes/prod, printed by `paramedic rbac` for the grants in force.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: paramedic
  namespace: \"shop\"
rules:
  # list: k8s-crashes (list-events)
  # Wider than the grants: a list is of all in the namespace.
  - apiGroups: [\"\"]
    resources: [\"events\"]
    verbs: [\"list\"]
  # get: k8s-crashes (get-object)
  # Wider than the grants: objects come whole, with the values of environment variables, which the agent leaves out.
  - apiGroups: [\"\"]
    resources: [\"pods\"]
    verbs: [\"get\"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: paramedic
  namespace: \"shop\"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: paramedic
subjects:
  - kind: ServiceAccount
    name: \"agent\"
    namespace: \"ops\"
";
        let account = "ops/agent".parse().unwrap();
        assert_eq!(role(&["prod".parse().unwrap()], "shop", &needs, &account), expected);
    }

    #[test]
    fn the_binding_for_callers_is_one_for_each_account() {
        let printed = delegation(&"ops/agent".parse().unwrap());
        for line in [
            "kind: ClusterRoleBinding",
            "  name: \"paramedic:ops:agent:auth-delegator\"",
            "  name: \"system:auth-delegator\"",
            "    name: \"agent\"",
            "    namespace: \"ops\"",
        ] {
            assert!(printed.lines().any(|printed| printed == line), "{line} is not in: {printed}");
        }
        assert_ne!(printed, delegation(&"shop/agent".parse().unwrap()));
    }

    #[test]
    fn nothing_is_printed_for_a_target_on_which_nothing_is_granted() {
        let account = "ops/agent".parse().unwrap();
        let targets = ["a".parse().unwrap(), "b".parse().unwrap()];
        let expected = "# kubernetes/a, kubernetes/b: nothing is granted, so no Role is needed.\n";
        assert_eq!(role(&targets, "shop", &needs(&[]), &account), expected);
    }

    #[test]
    fn a_service_account_is_written_with_its_namespace() {
        for bad in ["", "paramedic", "/", "a/", "/a", "a/b/c", "A/b", "a/b\"", "a/b c"] {
            assert!(bad.parse::<ServiceAccount>().is_err(), "{bad}");
        }
        assert!("ops/agent.v2".parse::<ServiceAccount>().is_ok());
    }
}
