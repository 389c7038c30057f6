//! Decides what a plugin may do, and makes the decision a value.
//!
//! [`Grants`] is what the operator wrote for one plugin. [`decide`] compares one call with it and gives a
//! [`Permit`] or a [`Denial`]. Nothing else makes a `Permit`, and every function of `clients` that reaches a target asks
//! for one that names the operation in its type, so that a host function without a check does not compile.
//!
//! Synchronous and without IO. What has to be compared after asking the target (the keys of a Redis command, the path
//! of a redirect) is compared through the permit: see [`Permit::admit_key`] and [`Permit::admit_path`].

pub mod op;
pub mod rbac;

use std::marker::PhantomData;

pub use op::{ChangeOp, Count, HasKeys, HasPaths, Keys, Op, Paths};

use std::time::Duration;

use crate::domain::{
    Denial, DenialReason, Digest, Grant, Interface, KeyPattern, ObjectKind, Operation, PluginName, Quantity, System,
    TargetName,
};
use op::{Freeing, Handling, Jobs, Limits, Objects, Resources, Sending, Sessions, write_list};

/// Everything that one plugin may do. Empty means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    plugin: PluginName,
    lines: Vec<Grant>,
}

impl Grants {
    /// The grants of `plugin`.
    pub fn new(plugin: PluginName, lines: Vec<Grant>) -> Self {
        Self { plugin, lines }
    }

    /// The lines, as the operator wrote them.
    pub fn lines(&self) -> &[Grant] {
        &self.lines
    }

    /// True when at least one operation of `interface` is granted on some target, or when it needs no grant.
    pub fn covers(&self, interface: Interface) -> bool {
        interface.system().is_none() || self.operations().any(|operation| operation.interface() == interface)
    }

    /// True when `operation` is granted on some target.
    pub fn covers_operation(&self, operation: Operation) -> bool {
        self.operations().any(|granted| granted == operation)
    }

    /// A digest of all of it: equal only for grants that allow the same.
    pub fn digest(&self) -> Digest {
        let lines: Vec<_> = self.lines.iter().map(|line| format!("{line:?}")).collect();
        Digest::of(lines.join("\n").as_bytes())
    }

    /// The line that an operator would add to allow `operation` on `target`.
    pub fn missing_line(&self, operation: Operation, target: &str) -> String {
        missing_line(&self.plugin, &[operation], target)
    }

    fn operations(&self) -> impl Iterator<Item = Operation> {
        self.lines.iter().flat_map(|line| line.operations.iter().copied())
    }
}

/// The line that an operator would add to allow `operations`, all of one interface, to `plugin` on `target`.
pub fn missing_line(plugin: &PluginName, operations: &[Operation], target: &str) -> String {
    let system = operations.first().and_then(|operation| operation.interface().system());
    let system = system.map_or("", System::as_str);
    let verbs: Vec<_> = operations.iter().map(|operation| operation.verb()).collect();
    let mut bounds: Vec<&str> = Vec::new();
    for bound in operations.iter().copied().flat_map(usual_bounds) {
        if !bounds.contains(bound) {
            bounds.push(bound);
        }
    }
    let bounds: String = bounds.iter().map(|bound| format!(", {bound}")).collect();
    format!("plugins.{plugin}.grants: - {{ {system}: {target}, verbs: [{}]{bounds} }}", verbs.join(", "))
}

/// What a grant of the operation needs beside target and verb; the operator puts in what is wanted.
const fn usual_bounds(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::RedisScan | Operation::RedisUsage | Operation::RedisRead => &["keys: [\"…\"]"],
        Operation::RedisRemoveKeys => &["keys: [\"…\"]", "per_run: 1000"],
        Operation::RedisExpireKeys => &["keys: [\"…\"]", "per_run: 1000", "ttl: 10m..1d"],
        Operation::HttpGet | Operation::HttpHead => &["paths: [\"/…\"]"],
        Operation::HttpSend => &["paths: [\"/…\"]", "methods: [POST]", "per_run: 1"],
        Operation::KubernetesGetObject | Operation::KubernetesListObjects => &["resources: [pods]"],
        Operation::KubernetesScale => &["objects: [deployment/…]", "replicas: 2..20"],
        Operation::KubernetesRestart | Operation::KubernetesRollback => &["objects: [deployment/…]"],
        Operation::KubernetesSetEnv | Operation::KubernetesUnsetEnv => {
            &["objects: [deployment/…]", "variables: [\"…\"]"]
        }
        Operation::KubernetesSetImage => &["objects: [deployment/…]", "images: [\"…\"]"],
        Operation::KubernetesSetResources => &["objects: [deployment/…]", "cpu: 100m..4", "memory: 128Mi..8Gi"],
        Operation::KubernetesEvictPod => &["objects: [\"pod/…\"]", "per_run: 1"],
        Operation::KubernetesRunJob => &["objects: [cronjob/…]"],
        Operation::KubernetesDetachService => &["objects: [service/…]"],
        Operation::PostgresCancelQuery | Operation::PostgresTerminateSession => &["per_run: 5"],
        Operation::QueueCleanFailed | Operation::QueueRetryFailed => &["per_run: 1000"],
        Operation::PostgresInspect
        | Operation::PostgresSessions
        | Operation::PostgresStatements
        | Operation::PostgresReplication
        | Operation::PostgresQuery
        | Operation::RedisPing
        | Operation::RedisInfo
        | Operation::RedisSlowLog
        | Operation::QueueInspect
        | Operation::QueueListFailures
        | Operation::QueuePause
        | Operation::QueueResume
        | Operation::KubernetesListPods
        | Operation::KubernetesGetRollout
        | Operation::KubernetesListEvents
        | Operation::KubernetesListUsage
        | Operation::KubernetesReadLogs
        | Operation::KubernetesReadLog => &[],
    }
}

/// The right to perform the operation `O` on one target within bounds. Only [`decide`] makes one.
#[derive(Clone, Debug)]
pub struct Permit<O: Op> {
    target: TargetName,
    bounds: O::Bounds,
    operation: PhantomData<O>,
}

/// Compare a call with the grants. Lines for the same operation and target add up.
///
/// A target that does not exist and one that was not granted read alike, so that names cannot be probed.
pub fn decide<O: Op>(grants: &Grants, target: &str) -> Result<Permit<O>, Denial> {
    let mut lines = grants
        .lines
        .iter()
        .filter(|line| line.target.name.as_str() == target && line.operations.contains(&O::OPERATION))
        .peekable();
    match lines.peek() {
        Some(first) => {
            let target = first.target.name.clone();
            Ok(Permit { target, bounds: O::bounds(lines), operation: PhantomData })
        }
        None => Err(refuse(grants, O::OPERATION, target)),
    }
}

/// The denial of an operation of which nothing is granted, whatever the target.
pub fn refuse(grants: &Grants, operation: Operation, target: &str) -> Denial {
    let target: String = target.chars().take(64).collect();
    Denial {
        operation: operation.to_string(),
        target: written(operation, &target),
        reason: DenialReason::NotGranted,
        message: format!("not granted; to allow it add {}", grants.missing_line(operation, &target)),
    }
}

/// The right to give back a change that the host itself made and recorded. It rests on that record, not on the grants: what
/// was taken away from the plugin since can be given back all the same. For the journal's undo alone.
pub fn permit_undo<O: ChangeOp>(target: &TargetName) -> Permit<O> {
    Permit { target: target.clone(), bounds: O::undoing(), operation: PhantomData }
}

/// The target as grants and records write it, such as `postgres/main`.
fn written(operation: Operation, target: &str) -> String {
    format!("{}/{target}", operation.interface().system().map_or("", System::as_str))
}

impl<O: Op> Permit<O> {
    /// The target that it is for.
    pub fn target(&self) -> &TargetName {
        &self.target
    }

    fn out_of_bounds(&self, message: String) -> Denial {
        Denial {
            operation: O::OPERATION.to_string(),
            target: written(O::OPERATION, self.target.as_str()),
            reason: DenialReason::OutOfBounds,
            message,
        }
    }
}

impl<O: Op<Bounds: HasKeys>> Permit<O> {
    /// Compare one key with the granted patterns.
    pub fn admit_key(&self, key: &[u8]) -> Result<(), Denial> {
        if self.covers_key(key) {
            return Ok(());
        }
        let shown: String = String::from_utf8_lossy(key).chars().take(100).collect();
        Err(self.out_of_bounds(format!("the grant covers the keys {}, not `{shown}`", self.bounds.keys())))
    }

    /// True when one of the granted patterns matches `key`.
    pub fn covers_key(&self, key: &[u8]) -> bool {
        self.bounds.keys().0.iter().any(|pattern| pattern.matches(key))
    }
}

impl<O: Op<Bounds: HasPaths>> Permit<O> {
    /// Compare a normalised path, without its query, with the granted patterns.
    pub fn admit_path(&self, path: &str) -> Result<(), Denial> {
        let paths = self.bounds.paths();
        if paths.0.iter().any(|pattern| pattern.matches(path)) {
            return Ok(());
        }
        let shown: String = path.chars().take(100).collect();
        Err(self.out_of_bounds(format!("the grant covers the paths {paths}, not `{shown}`")))
    }
}

impl<O: Op<Bounds = Resources>> Permit<O> {
    /// Compare a resource of Kubernetes with the granted ones.
    pub fn admit_resource(&self, resource: &str) -> Result<(), Denial> {
        if self.bounds.0.iter().any(|granted| granted.as_str() == resource) {
            return Ok(());
        }
        let (resources, shown) = (&self.bounds, cut(resource));
        Err(self.out_of_bounds(format!("the grant covers the resources {resources}, not `{shown}`")))
    }
}

impl<O: ChangeOp> Permit<O> {
    /// How much of it a run and an hour may do.
    pub fn count(&self) -> Count {
        O::count(&self.bounds)
    }
}

impl<O: Op<Bounds = Sessions>> Permit<O> {
    /// Compare a session's role and the name that its application gave itself with the grant.
    pub fn admit_session(&self, user: &str, application: &str) -> Result<(), Denial> {
        let covers = |patterns: &[KeyPattern], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text.as_bytes()))
        };
        if !covers(&self.bounds.users, user) {
            return Err(self.out_of_bounds(format!("the grant does not cover sessions of the role `{}`", cut(user))));
        }
        if !covers(&self.bounds.applications, application) {
            let message = format!("the grant does not cover sessions of the application `{}`", cut(application));
            return Err(self.out_of_bounds(message));
        }
        Ok(())
    }
}

impl<O: Op<Bounds = Sessions>> Permit<O> {
    /// The refusal of a session that nothing may end, whatever the grants say.
    pub fn protected(&self, rule: impl std::fmt::Display) -> Denial {
        self.out_of_bounds(format!("the session is protected: {rule}"))
    }
}

impl<O: Op<Bounds = Freeing>> Permit<O> {
    /// Refuse a selection of keys that may have been used more recently than the grant allows.
    pub fn admit_idle(&self, min_idle: Duration) -> Result<(), Denial> {
        self.at_least(min_idle, self.bounds.min_idle, "keys that were not used for")
    }

    /// Refuse a time to live that the grant does not cover.
    pub fn admit_ttl(&self, ttl: Duration) -> Result<(), Denial> {
        match self.bounds.ttl {
            Some((least, most)) if (least..=most).contains(&ttl) => Ok(()),
            Some((least, most)) => {
                Err(self
                    .out_of_bounds(format!("the grant covers a time to live from {least:?} to {most:?}, not {ttl:?}")))
            }
            None => Err(self.out_of_bounds("the grant covers no time to live; it has no `ttl`".to_owned())),
        }
    }
}

impl<O: Op<Bounds = Jobs>> Permit<O> {
    /// Refuse a selection of jobs that may have failed more recently than the grant allows.
    pub fn admit_age(&self, min_age: Duration) -> Result<(), Denial> {
        self.at_least(min_age, self.bounds.min_age, "jobs that failed at least")
    }
}

impl<O: Op<Bounds = Sending>> Permit<O> {
    /// Compare a method with the granted ones.
    pub fn admit_method(&self, method: &str) -> Result<(), Denial> {
        if self.bounds.methods.iter().any(|granted| granted == method) {
            return Ok(());
        }
        let granted = self.bounds.methods.join(", ");
        Err(self.out_of_bounds(format!("the grant covers the methods {granted}, not `{}`", cut(method))))
    }
}

impl<O: Op<Bounds = Handling>> Permit<O> {
    /// Compare an object with the grant.
    pub fn admit_object(&self, kind: ObjectKind, name: &str) -> Result<(), Denial> {
        if self.bounds.objects.iter().any(|pattern| pattern.matches(kind, name)) {
            return Ok(());
        }
        let granted = Listed(&self.bounds.objects);
        Err(self.out_of_bounds(format!("the grant covers the objects {granted}, not `{kind}/{}`", cut(name))))
    }

    /// Compare a number of replicas with the granted range.
    pub fn admit_replicas(&self, replicas: u32) -> Result<(), Denial> {
        let Some(limits) = self.limits() else { return Ok(()) };
        match limits.replicas {
            Some((least, most)) if (least..=most).contains(&replicas) => Ok(()),
            Some((least, most)) => {
                Err(self.out_of_bounds(format!("the grant covers {least} to {most} replicas, not {replicas}")))
            }
            None => Err(self.out_of_bounds("the grant covers no number of replicas; it has no `replicas`".to_owned())),
        }
    }

    /// Compare an environment variable and what it would be set to, nothing where it would be removed, with the grant.
    pub fn admit_variable(&self, name: &str, value: Option<&str>) -> Result<(), Denial> {
        let Some(limits) = self.limits() else { return Ok(()) };
        if limits.variables.iter().any(|pattern| pattern.matches(name, value)) {
            return Ok(());
        }
        let granted = Listed(&limits.variables);
        let set = if value.is_some() { "with that value" } else { "to be removed" };
        Err(self.out_of_bounds(format!("the grant covers the variables {granted}, not `{}` {set}", cut(name))))
    }

    /// Compare an image with the granted patterns.
    pub fn admit_image(&self, image: &str) -> Result<(), Denial> {
        let Some(limits) = self.limits() else { return Ok(()) };
        if limits.images.iter().any(|pattern| pattern.matches(image.as_bytes())) {
            return Ok(());
        }
        Err(self.out_of_bounds(format!("the grant covers the images {}, not `{}`", Listed(&limits.images), cut(image))))
    }

    /// Compare an amount of a resource, such as `memory`, with the granted range.
    pub fn admit_quantity(&self, resource: &str, quantity: Quantity) -> Result<(), Denial> {
        let Some(limits) = self.limits() else { return Ok(()) };
        let granted = match resource {
            "cpu" => limits.cpu,
            "memory" => limits.memory,
            _ => None,
        };
        match granted {
            Some((least, most)) if (least..=most).contains(&quantity) => Ok(()),
            Some((least, most)) => {
                Err(self.out_of_bounds(format!("the grant covers {least} to {most} of {resource}, not {quantity}")))
            }
            None => Err(self.out_of_bounds(format!("the grant does not cover the resource {}", cut(resource)))),
        }
    }

    /// None where anything goes.
    fn limits(&self) -> Option<&Limits> {
        match &self.bounds.bounds {
            Objects::Any => None,
            Objects::Within(limits) => Some(limits),
        }
    }
}

/// A list in words.
struct Listed<'a, T>(&'a [T]);

impl<T: std::fmt::Display> std::fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { f.write_str("none") } else { write_list(f, self.0) }
    }
}

impl<O: Op> Permit<O> {
    fn at_least(&self, asked: Duration, granted: Duration, what: &str) -> Result<(), Denial> {
        if asked >= granted {
            return Ok(());
        }
        Err(self.out_of_bounds(format!("the grant covers {what} {granted:?}, and {asked:?} was asked for")))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChangeBounds, Target};

    fn grants(lines: Vec<Grant>) -> Grants {
        Grants::new("probe".parse().unwrap(), lines)
    }

    fn line(system: System, name: &str, operations: &[Operation]) -> Grant {
        Grant {
            target: Target { system, name: name.parse().unwrap() },
            operations: operations.to_vec(),
            keys: vec!["cache:*".parse().unwrap()],
            paths: vec!["/health".parse().unwrap()],
            resources: vec!["pods".parse().unwrap()],
            changes: ChangeBounds::default(),
        }
    }

    /// Ask for an operation by value; the match has to grow with the list of operations.
    fn ask(grants: &Grants, operation: Operation, target: &str) -> Result<(), Denial> {
        fn drop_permit<O: Op>(result: Result<Permit<O>, Denial>) -> Result<(), Denial> {
            result.map(drop)
        }
        match operation {
            Operation::PostgresInspect => drop_permit(decide::<op::PostgresInspect>(grants, target)),
            Operation::PostgresSessions => drop_permit(decide::<op::PostgresSessions>(grants, target)),
            Operation::PostgresStatements => drop_permit(decide::<op::PostgresStatements>(grants, target)),
            Operation::PostgresReplication => drop_permit(decide::<op::PostgresReplication>(grants, target)),
            Operation::PostgresQuery => drop_permit(decide::<op::PostgresQuery>(grants, target)),
            Operation::RedisPing => drop_permit(decide::<op::RedisPing>(grants, target)),
            Operation::RedisInfo => drop_permit(decide::<op::RedisInfo>(grants, target)),
            Operation::RedisScan => drop_permit(decide::<op::RedisScan>(grants, target)),
            Operation::RedisUsage => drop_permit(decide::<op::RedisUsage>(grants, target)),
            Operation::RedisSlowLog => drop_permit(decide::<op::RedisSlowLog>(grants, target)),
            Operation::RedisRead => drop_permit(decide::<op::RedisRead>(grants, target)),
            Operation::QueueInspect => drop_permit(decide::<op::QueueInspect>(grants, target)),
            Operation::QueueListFailures => drop_permit(decide::<op::QueueListFailures>(grants, target)),
            Operation::HttpGet => drop_permit(decide::<op::HttpGet>(grants, target)),
            Operation::HttpHead => drop_permit(decide::<op::HttpHead>(grants, target)),
            Operation::PostgresCancelQuery => drop_permit(decide::<op::PostgresCancelQuery>(grants, target)),
            Operation::PostgresTerminateSession => drop_permit(decide::<op::PostgresTerminateSession>(grants, target)),
            Operation::RedisRemoveKeys => drop_permit(decide::<op::RedisRemoveKeys>(grants, target)),
            Operation::RedisExpireKeys => drop_permit(decide::<op::RedisExpireKeys>(grants, target)),
            Operation::QueuePause => drop_permit(decide::<op::QueuePause>(grants, target)),
            Operation::QueueResume => drop_permit(decide::<op::QueueResume>(grants, target)),
            Operation::QueueCleanFailed => drop_permit(decide::<op::QueueCleanFailed>(grants, target)),
            Operation::QueueRetryFailed => drop_permit(decide::<op::QueueRetryFailed>(grants, target)),
            Operation::KubernetesScale => drop_permit(decide::<op::KubernetesScale>(grants, target)),
            Operation::KubernetesRestart => drop_permit(decide::<op::KubernetesRestart>(grants, target)),
            Operation::KubernetesRollback => drop_permit(decide::<op::KubernetesRollback>(grants, target)),
            Operation::KubernetesSetEnv => drop_permit(decide::<op::KubernetesSetEnv>(grants, target)),
            Operation::KubernetesUnsetEnv => drop_permit(decide::<op::KubernetesUnsetEnv>(grants, target)),
            Operation::KubernetesSetImage => drop_permit(decide::<op::KubernetesSetImage>(grants, target)),
            Operation::KubernetesSetResources => drop_permit(decide::<op::KubernetesSetResources>(grants, target)),
            Operation::KubernetesEvictPod => drop_permit(decide::<op::KubernetesEvictPod>(grants, target)),
            Operation::KubernetesRunJob => drop_permit(decide::<op::KubernetesRunJob>(grants, target)),
            Operation::KubernetesDetachService => drop_permit(decide::<op::KubernetesDetachService>(grants, target)),
            Operation::HttpSend => drop_permit(decide::<op::HttpSend>(grants, target)),
            Operation::KubernetesGetObject => drop_permit(decide::<op::KubernetesGetObject>(grants, target)),
            Operation::KubernetesListObjects => drop_permit(decide::<op::KubernetesListObjects>(grants, target)),
            Operation::KubernetesListPods => drop_permit(decide::<op::KubernetesListPods>(grants, target)),
            Operation::KubernetesGetRollout => drop_permit(decide::<op::KubernetesGetRollout>(grants, target)),
            Operation::KubernetesListEvents => drop_permit(decide::<op::KubernetesListEvents>(grants, target)),
            Operation::KubernetesListUsage => drop_permit(decide::<op::KubernetesListUsage>(grants, target)),
            Operation::KubernetesReadLogs => drop_permit(decide::<op::KubernetesReadLogs>(grants, target)),
            Operation::KubernetesReadLog => drop_permit(decide::<op::KubernetesReadLog>(grants, target)),
        }
    }

    #[test]
    fn each_operation_is_refused_without_its_own_grant() {
        for operation in Operation::ALL.iter().copied() {
            let system = operation.interface().system().unwrap();
            let others: Vec<_> = Operation::of_system(system).filter(|other| *other != operation).collect();
            let nothing = grants(vec![]);
            let all_others = grants(vec![line(system, "main", &others)]);
            let other_target = grants(vec![line(system, "other", &[operation])]);
            let granted = grants(vec![line(system, "main", &[operation])]);

            for refused in [nothing, all_others, other_target] {
                let denial = ask(&refused, operation, "main").unwrap_err();
                assert_eq!(denial.reason, DenialReason::NotGranted);
                assert_eq!(denial.operation, operation.to_string());
                let missing = format!("{}: main, verbs: [{}]", system, operation.verb());
                assert!(denial.message.contains(&missing), "{}", denial.message);
            }
            assert_eq!(ask(&granted, operation, "main"), Ok(()), "{operation}");
        }
    }

    #[test]
    fn the_line_to_add_has_the_bounds_that_its_verbs_need() {
        let line = |operations: &[Operation]| missing_line(&"probe".parse().unwrap(), operations, "main");
        let redis = [Operation::RedisInfo, Operation::RedisScan, Operation::RedisUsage];
        let expected = "plugins.probe.grants: - { redis: main, verbs: [info, scan, usage], keys: [\"…\"] }";
        assert_eq!(line(&redis), expected);
        let expected = "plugins.probe.grants: - { http: main, verbs: [get], paths: [\"/…\"] }";
        assert_eq!(line(&[Operation::HttpGet]), expected);
        let expected = "plugins.probe.grants: - { queue: main, verbs: [inspect] }";
        assert_eq!(line(&[Operation::QueueInspect]), expected);
    }

    #[test]
    fn hostile_spellings_of_a_target_are_refused_and_cut() {
        let grants = grants(vec![line(System::Postgres, "main", &[Operation::PostgresQuery])]);
        let long = "m".repeat(10_000);
        for name in ["", "*", "Main", "main ", "main\0", "main/../main", "ma%69n", "ｍain", long.as_str()] {
            let denial = decide::<op::PostgresQuery>(&grants, name).unwrap_err();
            assert!(denial.message.len() < 300, "{}", denial.message);
        }
    }

    #[test]
    fn bounds_of_several_lines_add_up_and_hold() {
        let mut sessions = line(System::Redis, "cache", &[Operation::RedisRead]);
        sessions.keys = vec!["session:*".parse().unwrap()];
        let grants = grants(vec![line(System::Redis, "cache", &[Operation::RedisRead]), sessions]);
        let permit = decide::<op::RedisRead>(&grants, "cache").unwrap();
        assert!(permit.admit_key(b"cache:1").is_ok() && permit.admit_key(b"session:1").is_ok());
        let denial = permit.admit_key(b"queue:1").unwrap_err();
        assert_eq!(denial.reason, DenialReason::OutOfBounds);
        assert_eq!(denial.message, "the grant covers the keys `cache:*`, `session:*`, not `queue:1`");
    }

    #[test]
    fn a_resource_outside_the_grant_is_refused_and_a_secret_always() {
        let grants = grants(vec![line(System::Kubernetes, "prod", &[Operation::KubernetesGetObject])]);
        let permit = decide::<op::KubernetesGetObject>(&grants, "prod").unwrap();
        assert_eq!(permit.admit_resource("pods"), Ok(()));
        for other in ["secrets", "pods/log", "Pods", "pods ", "deployments.apps", ""] {
            assert_eq!(permit.admit_resource(other).unwrap_err().reason, DenialReason::OutOfBounds, "{other}");
        }
    }

    #[test]
    fn an_object_is_changed_within_its_bounds_alone() {
        let changes = ChangeBounds {
            per_run: 1,
            objects: vec!["deployment/api".parse().unwrap()],
            replicas: Some((2, 20)),
            variables: vec!["POOL_MAX=1..50".parse().unwrap()],
            images: vec!["example.invalid/api:*".parse().unwrap()],
            memory: Some(("128Mi".parse().unwrap(), "8Gi".parse().unwrap())),
            ..ChangeBounds::default()
        };
        let line = Grant { changes, ..line(System::Kubernetes, "prod", &[Operation::KubernetesScale]) };
        let permit = decide::<op::KubernetesScale>(&grants(vec![line]), "prod").unwrap();
        assert_eq!(permit.admit_object(ObjectKind::Deployment, "api"), Ok(()));
        assert_eq!((permit.admit_replicas(2), permit.admit_replicas(20)), (Ok(()), Ok(())));
        assert_eq!(permit.admit_variable("POOL_MAX", Some("50")), Ok(()));
        assert_eq!(permit.admit_image("example.invalid/api:2"), Ok(()));
        assert_eq!(permit.admit_quantity("memory", "2Gi".parse().unwrap()), Ok(()));
        let one: Quantity = "1".parse().unwrap();
        let table = [
            (permit.admit_object(ObjectKind::StatefulSet, "api"), "objects `deployment/api`, not `statefulset/api`"),
            (permit.admit_replicas(1), "2 to 20 replicas, not 1"),
            (permit.admit_replicas(21), "2 to 20 replicas, not 21"),
            (permit.admit_variable("POOL_MAX", Some("51")), "not `POOL_MAX` with that value"),
            (permit.admit_variable("OTHER", None), "not `OTHER` to be removed"),
            (permit.admit_image("other.invalid/api:2"), "images `example.invalid/api:*`, not"),
            (permit.admit_quantity("memory", "9Gi".parse().unwrap()), "128Mi to 8Gi of memory, not 9Gi"),
            (permit.admit_quantity("cpu", one), "does not cover the resource cpu"),
        ];
        for (decided, expected) in table {
            let denial = decided.unwrap_err();
            assert_eq!(denial.reason, DenialReason::OutOfBounds);
            assert!(denial.message.contains(expected), "{}", denial.message);
        }
        // What the host gives back was so before, whatever is granted now.
        let undo = permit_undo::<op::KubernetesScale>(&"prod".parse().unwrap());
        assert_eq!((undo.admit_object(ObjectKind::Deployment, "any"), undo.admit_replicas(0)), (Ok(()), Ok(())));
    }

    #[test]
    fn a_path_outside_the_grant_is_refused() {
        let grants = grants(vec![line(System::Http, "api", &[Operation::HttpGet])]);
        let permit = decide::<op::HttpGet>(&grants, "api").unwrap();
        assert_eq!(permit.admit_path("/health"), Ok(()));
        assert_eq!(permit.admit_path("/admin").unwrap_err().reason, DenialReason::OutOfBounds);
    }
}
