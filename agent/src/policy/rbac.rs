//! What the grants need of a cluster: the rights that its own access control (RBAC) has to give the agent.
//!
//! ```text
//! grant line ─► operation ─► rights ─► merged for a namespace ─► rules of a Role
//! ```
//!
//! The rights of an operation stand in one `match` over all of them, beside the requests that `clients::kubernetes` makes for it:
//! whoever adds an operation has to say what it needs. RBAC knows verbs, resources and names, and nothing of replicas, images or
//! variables; where a right allows more than the grant, it carries a note that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::{Grant, Interface, ObjectKind, ObjectPattern, Operation, PluginName, System, TargetName};

/// One thing that an account may do in a namespace, as RBAC words it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The API group; empty for the core.
    pub group: String,
    /// The plural, with a subresource behind `/`.
    pub resource: String,
    /// The verb.
    pub verb: &'static str,
    /// The one object that it is for; none for all of them.
    pub name: Option<String>,
}

/// What asks for a right, and what the right allows beyond that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// The operations that break without it, of each plugin.
    pub users: BTreeMap<PluginName, BTreeSet<Operation>>,
    /// Whether the agent itself needs it, to be one of several replicas.
    pub replicas: bool,
    /// In which way it is wider than the grants.
    pub wider: BTreeSet<String>,
}

/// What the grants need in one namespace of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs(BTreeMap<Right, Reason>);

/// A rule of a Role, with the reasons for each of its verbs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The API group; empty for the core.
    pub group: String,
    /// The resources.
    pub resources: Vec<String>,
    /// The objects that it is for; empty for all of them.
    pub names: Vec<String>,
    /// The verbs.
    pub verbs: BTreeMap<&'static str, Reason>,
}

/// As `kubectl auth can-i` takes it, such as `patch deployments.apps/scale api`.
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, full_name(&self.group, &self.resource))?;
        self.name.iter().try_for_each(|name| write!(f, " {name}"))
    }
}

/// A resource with its group, such as `pods/log` or `deployments.apps/scale`.
pub fn full_name(group: &str, resource: &str) -> String {
    match (group, resource.split_once('/')) {
        ("", _) => resource.to_owned(),
        (_, None) => format!("{resource}.{group}"),
        (_, Some((plural, subresource))) => format!("{plural}.{group}/{subresource}"),
    }
}

/// The plugins, each with its verbs, such as `k8s-pods (list-pods, get-rollout)`.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (plugin, operations)) in self.users.iter().enumerate() {
            let verbs: Vec<&str> = operations.iter().map(|operation| operation.verb()).collect();
            let separator = if n == 0 { "" } else { ", " };
            write!(f, "{separator}{plugin} ({})", verbs.join(", "))?;
        }
        match (self.replicas, self.users.is_empty()) {
            (true, true) => f.write_str("the agent itself, to be one of several replicas"),
            (true, false) => f.write_str(", and the agent itself, to be one of several replicas"),
            (false, _) => Ok(()),
        }
    }
}

impl Needs {
    /// What `grants` need on `targets`, which all are the same namespace of the same cluster.
    pub fn of<'a>(targets: &[TargetName], grants: impl IntoIterator<Item = (&'a PluginName, &'a Grant)>) -> Self {
        let mut found = BTreeMap::<Right, Reason>::new();
        let here = |line: &Grant| line.target.system == System::Kubernetes && targets.contains(&line.target.name);
        for (plugin, line) in grants.into_iter().filter(|(_, line)| here(line)) {
            for operation in &line.operations {
                for (right, wider) in rights(*operation, line).into_iter().chain(note(*operation)) {
                    let reason = found.entry(right).or_default();
                    reason.users.entry(plugin.clone()).or_default().insert(*operation);
                    reason.wider.extend(wider);
                }
            }
        }
        Self(without_covered(found))
    }

    /// The same with what replicas need there, which share these two objects.
    #[must_use]
    pub fn with_replicas(mut self, lease: &str, state: &str) -> Self {
        for (group, resource, name) in [("coordination.k8s.io", "leases", lease), ("", "configmaps", state)] {
            for verb in ["get", "patch"] {
                let (group, resource, name) = (group.to_owned(), resource.to_owned(), Some(name.to_owned()));
                self.0.entry(Right { group, resource, verb, name }).or_default().replicas = true;
            }
        }
        Self(without_covered(self.0))
    }

    /// True where no right is needed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each right with its reason. None of them is covered by another one.
    pub fn rights(&self) -> impl Iterator<Item = (&Right, &Reason)> {
        self.0.iter()
    }

    /// True when the account needs `verb` on the resource, for the object of that name or for all.
    pub fn cover(&self, group: &str, resource: &str, verb: &str, name: Option<&str>) -> bool {
        self.0.keys().any(|right| {
            let is_same = right.group == group && right.resource == resource && right.verb == verb;
            is_same && (right.name.is_none() || right.name.as_deref() == name)
        })
    }

    /// The fewest rules that give these rights and no other.
    pub fn rules(&self) -> Vec<Rule> {
        let mut by_verb = BTreeMap::<(&str, &str, &str), (BTreeSet<&str>, Reason)>::new();
        for (right, reason) in &self.0 {
            let (names, merged) = by_verb.entry((&right.group, &right.resource, right.verb)).or_default();
            names.extend(right.name.as_deref());
            merged.join(reason);
        }
        let mut by_names = BTreeMap::<(&str, &str, BTreeSet<&str>), BTreeMap<&'static str, Reason>>::new();
        for right in self.0.keys() {
            let key = (right.group.as_str(), right.resource.as_str(), right.verb);
            if let Some((names, reason)) = by_verb.remove(&key) {
                by_names.entry((key.0, key.1, names)).or_default().insert(right.verb, reason);
            }
        }
        let mut rules: Vec<Rule> = Vec::new();
        for ((group, resource, names), verbs) in by_names {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let alike = |rule: &&mut Rule| rule.group == group && rule.names == names && rule.verbs == verbs;
            match rules.iter_mut().find(alike) {
                Some(rule) => rule.resources.push(resource.to_owned()),
                None => {
                    rules.push(Rule { group: group.to_owned(), resources: vec![resource.to_owned()], names, verbs })
                }
            }
        }
        rules
    }
}

impl Reason {
    fn join(&mut self, other: &Self) {
        for (plugin, operations) in &other.users {
            self.users.entry(plugin.clone()).or_default().extend(operations);
        }
        self.replicas |= other.replicas;
        self.wider.extend(other.wider.iter().cloned());
    }
}

/// A right for one object is part of the same right for all of them.
fn without_covered(mut found: BTreeMap<Right, Reason>) -> BTreeMap<Right, Reason> {
    let named: Vec<Right> = found.keys().filter(|right| right.name.is_some()).cloned().collect();
    for right in named {
        let whole = Right { name: None, ..right.clone() };
        if !found.contains_key(&whole) {
            continue;
        }
        if let (Some(part), Some(reason)) = (found.remove(&right), found.get_mut(&whole)) {
            reason.join(&part);
        }
    }
    found
}

const LIST: &str = "a list is of all in the namespace";
const WHOLE: &str = "objects come whole, with the values of environment variables, which the agent leaves out";
const PATCH: &str =
    "this is the right to run any image as any service account of the namespace, and to read its Secrets through it";
const JOBS: &str =
    "a new Job has a new name, and may run any image as any service account of the namespace and read its Secrets";
const REPLICAS: &str = "RBAC knows no bounds of replicas";
const SELECTOR: &str = "this is the right to lead the traffic of the Service to any pod of the namespace";
const NOTES: &str = "an Event can be written about any object of the namespace";
const LOGS: &str = "pods have other names each time, so these are all logs of the namespace, unfiltered and unmasked";

/// The rights that `operation` needs within the bounds of its line, each with what it allows beyond them.
fn rights(operation: Operation, line: &Grant) -> Vec<(Right, Vec<String>)> {
    match operation {
        Operation::PostgresInspect
        | Operation::PostgresSessions
        | Operation::PostgresStatements
        | Operation::PostgresReplication
        | Operation::PostgresQuery
        | Operation::RedisPing
        | Operation::RedisInfo
        | Operation::RedisScan
        | Operation::RedisUsage
        | Operation::RedisSlowLog
        | Operation::RedisRead
        | Operation::QueueInspect
        | Operation::QueueListFailures
        | Operation::HttpGet
        | Operation::HttpHead
        | Operation::PostgresCancelQuery
        | Operation::PostgresTerminateSession
        | Operation::RedisRemoveKeys
        | Operation::RedisExpireKeys
        | Operation::QueuePause
        | Operation::QueueResume
        | Operation::QueueCleanFailed
        | Operation::QueueRetryFailed
        | Operation::HttpSend => Vec::new(),
        Operation::KubernetesGetObject => of_resources(line, "get", &[WHOLE]),
        Operation::KubernetesListObjects => of_resources(line, "list", &[LIST, WHOLE]),
        Operation::KubernetesListPods => vec![list_pods()],
        Operation::KubernetesGetRollout => {
            ["deployments", "statefulsets", "daemonsets"].map(|kind| all("apps", kind, "get", &[WHOLE])).to_vec()
        }
        Operation::KubernetesListEvents => vec![all("", "events", "list", &[LIST])],
        Operation::KubernetesListUsage => vec![all("metrics.k8s.io", "pods", "list", &[LIST])],
        Operation::KubernetesReadLogs => vec![list_pods(), all("", "pods/log", "get", &[LOGS])],
        // The pod is looked at where the plugin says which of that name it means.
        Operation::KubernetesReadLog => {
            vec![all("", "pods", "get", &[WHOLE]), all("", "pods/log", "get", &[LOGS])]
        }
        Operation::KubernetesScale => {
            let own = of_objects(operation, line, &[("", "get", WHOLE), ("/scale", "patch", REPLICAS)]);
            // Whose the replicas are, and how many pods there is room for.
            let around = [("autoscaling", "horizontalpodautoscalers"), ("", "resourcequotas")];
            own.into_iter().chain(around.map(|(group, resource)| all(group, resource, "list", &[LIST]))).collect()
        }
        Operation::KubernetesRestart
        | Operation::KubernetesSetEnv
        | Operation::KubernetesUnsetEnv
        | Operation::KubernetesSetImage
        | Operation::KubernetesSetResources => of_objects(operation, line, TEMPLATE),
        Operation::KubernetesRollback => {
            let mut rights = of_objects(operation, line, TEMPLATE);
            for object in touched(operation, line) {
                let revisions =
                    if object.kind() == ObjectKind::Deployment { "replicasets" } else { "controllerrevisions" };
                rights.push(all("apps", revisions, "list", &[LIST, WHOLE]));
            }
            rights
        }
        Operation::KubernetesEvictPod => {
            of_objects(operation, line, &[("", "get", WHOLE), ("/eviction", "create", "")])
        }
        Operation::KubernetesRunJob => {
            let own = of_objects(operation, line, &[("", "get", WHOLE)]);
            // It is looked for where the answer to its creation was lost.
            let jobs = [all("batch", "jobs", "create", &[JOBS]), all("batch", "jobs", "get", &[WHOLE])];
            own.into_iter().chain(jobs).collect()
        }
        Operation::KubernetesDetachService => {
            let own = of_objects(operation, line, &[("", "get", ""), ("", "patch", SELECTOR)]);
            own.into_iter().chain([all("discovery.k8s.io", "endpointslices", "list", &[LIST])]).collect()
        }
    }
}

/// What changing the template of a workload takes.
const TEMPLATE: &[Asked] = &[("", "get", WHOLE), ("", "patch", PATCH)];

/// What is asked of an object: the subresource, the verb, and what that allows beyond the grant.
type Asked = (&'static str, &'static str, &'static str);

/// The patterns of the line that the operation is for.
fn touched(operation: Operation, line: &Grant) -> impl Iterator<Item = &ObjectPattern> {
    line.changes.objects.iter().filter(move |object| operation.object_kinds().contains(&object.kind()))
}

/// Rights on the objects of the line, by name where it names them.
fn of_objects(operation: Operation, line: &Grant, asked: &[Asked]) -> Vec<(Right, Vec<String>)> {
    let mut rights = Vec::new();
    for object in touched(operation, line) {
        let (group, plural) = place(object.kind());
        let pattern = object.name().is_none().then(|| {
            format!("names can be listed and not described, so that what is granted on `{object}` is for all {plural}")
        });
        for (subresource, verb, wider) in asked {
            let resource = format!("{plural}{subresource}");
            let right = Right { group: group.to_owned(), resource, verb, name: object.name().map(str::to_owned) };
            let wider = [*wider].into_iter().filter(|note| !note.is_empty()).map(str::to_owned);
            rights.push((right, wider.chain(pattern.clone()).collect()));
        }
    }
    rights
}

/// Group and plural of a kind.
const fn place(kind: ObjectKind) -> (&'static str, &'static str) {
    match kind {
        ObjectKind::Deployment => ("apps", "deployments"),
        ObjectKind::StatefulSet => ("apps", "statefulsets"),
        ObjectKind::DaemonSet => ("apps", "daemonsets"),
        ObjectKind::Pod => ("", "pods"),
        ObjectKind::CronJob => ("batch", "cronjobs"),
        ObjectKind::Service => ("", "services"),
    }
}

/// What a run changed is noted on the object, where `kubectl describe` shows it.
fn note(operation: Operation) -> Option<(Right, Vec<String>)> {
    let is_noted = operation.interface() == Interface::KubernetesActions;
    is_noted.then(|| all("events.k8s.io", "events", "create", &[NOTES]))
}

fn list_pods() -> (Right, Vec<String>) {
    all("", "pods", "list", &[LIST, WHOLE])
}

/// A right for all objects of a resource.
fn all(group: &str, resource: &str, verb: &'static str, wider: &[&str]) -> (Right, Vec<String>) {
    let right = Right { group: group.to_owned(), resource: resource.to_owned(), verb, name: None };
    (right, wider.iter().map(|note| (*note).to_owned()).collect())
}

/// A right for the resources that the line names.
fn of_resources(line: &Grant, verb: &'static str, wider: &[&str]) -> Vec<(Right, Vec<String>)> {
    let parts =
        line.resources.iter().map(|resource| resource.as_str().split_once('.').unwrap_or((resource.as_str(), "")));
    parts.map(|(plural, group)| all(group, plural, verb, wider)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChangeBounds, Target};

    fn line(operations: &[Operation]) -> Grant {
        Grant {
            target: Target { system: System::Kubernetes, name: "prod".parse().unwrap() },
            operations: operations.to_vec(),
            keys: vec![],
            paths: vec![],
            resources: ["pods", "deployments.apps"].map(|resource| resource.parse().unwrap()).to_vec(),
            changes: ChangeBounds {
                objects: OBJECTS.map(|object| object.parse().unwrap()).to_vec(),
                ..Default::default()
            },
        }
    }

    const OBJECTS: [&str; 6] =
        ["deployment/api", "deployment/worker", "statefulset/redis-*", "pod/api-*", "cronjob/restore", "service/web"];

    fn needs(lines: &[(&str, Grant)]) -> Needs {
        let plugins: Vec<PluginName> = lines.iter().map(|(plugin, _)| plugin.parse().unwrap()).collect();
        let targets = ["prod".parse().unwrap()];
        Needs::of(&targets, plugins.iter().zip(lines).map(|(plugin, (_, line))| (plugin, line)))
    }

    /// A rule as one line, such as `get,list apps/deployments,statefulsets [api]`.
    fn written(needs: &Needs) -> Vec<String> {
        let write = |rule: &Rule| {
            let verbs: Vec<&str> = rule.verbs.keys().copied().collect();
            let names = if rule.names.is_empty() { String::new() } else { format!(" [{}]", rule.names.join(",")) };
            format!("{} {}/{}{names}", verbs.join(","), rule.group, rule.resources.join(","))
        };
        needs.rules().iter().map(write).collect()
    }

    /// The rules of an operation by itself.
    fn expected(operation: Operation) -> &'static [&'static str] {
        match operation {
            Operation::KubernetesGetObject => &["get /pods", "get apps/deployments"],
            Operation::KubernetesListObjects => &["list /pods", "list apps/deployments"],
            Operation::KubernetesListPods => &["list /pods"],
            Operation::KubernetesGetRollout => &["get apps/daemonsets,deployments,statefulsets"],
            Operation::KubernetesListEvents => &["list /events"],
            Operation::KubernetesListUsage => &["list metrics.k8s.io/pods"],
            Operation::KubernetesReadLogs => &["list /pods", "get /pods/log"],
            Operation::KubernetesReadLog => &["get /pods", "get /pods/log"],
            Operation::KubernetesScale => &[
                "list /resourcequotas",
                "get apps/deployments [api,worker]",
                "patch apps/deployments/scale [api,worker]",
                "get apps/statefulsets",
                "patch apps/statefulsets/scale",
                "list autoscaling/horizontalpodautoscalers",
                "create events.k8s.io/events",
            ],
            Operation::KubernetesRestart
            | Operation::KubernetesSetEnv
            | Operation::KubernetesUnsetEnv
            | Operation::KubernetesSetImage
            | Operation::KubernetesSetResources => &[
                "get,patch apps/deployments [api,worker]",
                "get,patch apps/statefulsets",
                "create events.k8s.io/events",
            ],
            Operation::KubernetesRollback => &[
                "list apps/controllerrevisions,replicasets",
                "get,patch apps/deployments [api,worker]",
                "get,patch apps/statefulsets",
                "create events.k8s.io/events",
            ],
            Operation::KubernetesEvictPod => &["get /pods", "create /pods/eviction", "create events.k8s.io/events"],
            Operation::KubernetesRunJob => {
                &["get batch/cronjobs [restore]", "create,get batch/jobs", "create events.k8s.io/events"]
            }
            Operation::KubernetesDetachService => {
                &["get,patch /services [web]", "list discovery.k8s.io/endpointslices", "create events.k8s.io/events"]
            }
            _ => &[],
        }
    }

    #[test]
    fn each_operation_needs_its_own_rules_and_no_other() {
        for operation in Operation::ALL {
            let found = needs(&[("probe", line(&[*operation]))]);
            assert_eq!(written(&found), expected(*operation), "{operation}");
            let is_of_a_cluster = operation.interface().system() == Some(System::Kubernetes);
            assert_eq!(!found.is_empty(), is_of_a_cluster, "{operation}");
        }
    }

    #[test]
    fn what_several_plugins_need_is_merged_with_the_reasons_of_each() {
        let merged = needs(&[
            ("k8s-pods", line(&[Operation::KubernetesListPods, Operation::KubernetesGetRollout])),
            ("k8s-rollouts", line(&[Operation::KubernetesListObjects, Operation::KubernetesGetRollout])),
        ]);
        let expected = ["list /pods", "get apps/daemonsets,statefulsets", "get,list apps/deployments"];
        assert_eq!(written(&merged), expected);
        let reason = &merged.rules()[0].verbs["list"];
        let users: Vec<String> = reason.users.iter().map(|(plugin, verbs)| format!("{plugin}: {verbs:?}")).collect();
        assert_eq!(users, ["k8s-pods: {KubernetesListPods}", "k8s-rollouts: {KubernetesListObjects}"]);
        assert!(reason.wider.contains(LIST) && reason.wider.contains(WHOLE), "{reason:?}");
    }

    #[test]
    fn a_pattern_is_for_all_objects_of_its_kind_and_a_note_says_so() {
        let found = needs(&[("k8s-restart", line(&[Operation::KubernetesRestart]))]);
        let notes = |rule: &Rule| rule.verbs["patch"].wider.clone();
        let rules = found.rules();
        let [deployments, sets, _events] = rules.as_slice() else { panic!("{rules:?}") };
        assert_eq!(notes(deployments), BTreeSet::from([PATCH.to_owned()]));
        assert!(notes(sets).iter().any(|note| note.contains("`statefulset/redis-*`")), "{sets:?}");
    }

    #[test]
    fn other_targets_and_other_systems_need_nothing_here() {
        let mut elsewhere = line(&[Operation::KubernetesListPods]);
        elsewhere.target.name = "staging".parse().unwrap();
        let mut other = line(&[Operation::PostgresInspect]);
        other.target.system = System::Postgres;
        assert!(needs(&[("probe", elsewhere), ("probe", other)]).is_empty());
    }

    #[test]
    fn a_right_for_all_covers_the_one_for_a_name_and_keeps_its_reason() {
        let right = |name: Option<&str>| Right {
            group: "apps".to_owned(),
            resource: "deployments".to_owned(),
            verb: "get",
            name: name.map(str::to_owned),
        };
        let reason = |plugin: &str| Reason {
            replicas: false,
            users: BTreeMap::from([(plugin.parse().unwrap(), BTreeSet::from([Operation::KubernetesGetRollout]))]),
            wider: BTreeSet::new(),
        };
        let named = BTreeMap::from([(right(Some("api")), reason("a")), (right(Some("worker")), reason("b"))]);
        let both = named.clone().into_iter().chain([(right(None), reason("c"))]).collect();
        let (named, both) = (Needs(without_covered(named)), Needs(without_covered(both)));
        assert_eq!(written(&named), ["get apps/deployments [api,worker]"]);
        assert_eq!(written(&both), ["get apps/deployments"]);
        assert_eq!(both.rules()[0].verbs["get"].users.len(), 3);
        let covers = |needs: &Needs, name| needs.cover("apps", "deployments", "get", name);
        assert!(covers(&both, None) && covers(&both, Some("billing")) && covers(&named, Some("api")));
        assert!(!covers(&named, None) && !covers(&named, Some("billing")));
    }
}
