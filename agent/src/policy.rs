//! Decides what a plugin may do, and makes the decision a value.
//!
//! [`Grants`] is what the operator wrote for one plugin. [`decide`] compares one call with it and gives a
//! [`Permit`] or a [`Denial`]. Nothing else makes a `Permit`, and every function of `clients` that reaches a target asks
//! for one that names the operation in its type, so that a host function without a check does not compile.
//!
//! Synchronous and without IO. What has to be compared after asking the target (the keys of a Redis command, the path
//! of a redirect) is compared through the permit: see [`Permit::admit_key`] and [`Permit::admit_path`].

pub mod op;

use std::marker::PhantomData;

pub use op::{Keys, Op, Paths};

use crate::domain::{Denial, DenialReason, Grant, Interface, Operation, PluginName, TargetName};

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
    let interface = operations.first().map_or("", |operation| operation.interface().as_str());
    let verbs: Vec<_> = operations.iter().map(|operation| operation.verb()).collect();
    let mut bounds: Vec<_> = operations.iter().copied().filter_map(usual_bound).collect();
    bounds.dedup();
    let bounds: String = bounds.iter().map(|bound| format!(", {bound}")).collect();
    format!("plugins.{plugin}.grants: - {{ {interface}: {target}, verbs: [{}]{bounds} }}", verbs.join(", "))
}

/// What a grant of the operation needs beside target and verb; the operator puts in what is wanted.
const fn usual_bound(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::RedisScan | Operation::RedisUsage | Operation::RedisRead => Some("keys: [\"…\"]"),
        Operation::HttpGet | Operation::HttpHead => Some("paths: [\"/…\"]"),
        Operation::PostgresInspect
        | Operation::PostgresSessions
        | Operation::PostgresStatements
        | Operation::PostgresReplication
        | Operation::PostgresQuery
        | Operation::RedisPing
        | Operation::RedisInfo
        | Operation::RedisSlowLog
        | Operation::QueueInspect
        | Operation::QueueListFailures => None,
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
        None => Err(not_granted::<O>(grants, target)),
    }
}

fn not_granted<O: Op>(grants: &Grants, target: &str) -> Denial {
    let target: String = target.chars().take(64).collect();
    Denial {
        operation: O::OPERATION.to_string(),
        target: format!("{}/{target}", O::OPERATION.interface()),
        reason: DenialReason::NotGranted,
        message: format!("not granted; to allow it add {}", grants.missing_line(O::OPERATION, &target)),
    }
}

impl<O: Op> Permit<O> {
    /// The target that it is for.
    pub fn target(&self) -> &TargetName {
        &self.target
    }

    fn out_of_bounds(&self, message: String) -> Denial {
        Denial {
            operation: O::OPERATION.to_string(),
            target: format!("{}/{}", O::OPERATION.interface(), self.target),
            reason: DenialReason::OutOfBounds,
            message,
        }
    }
}

impl<O: Op<Bounds = Keys>> Permit<O> {
    /// Compare one key with the granted patterns.
    pub fn admit_key(&self, key: &[u8]) -> Result<(), Denial> {
        if self.covers_key(key) {
            return Ok(());
        }
        let shown: String = String::from_utf8_lossy(key).chars().take(100).collect();
        Err(self.out_of_bounds(format!("the grant covers the keys {}, not `{shown}`", self.bounds)))
    }

    /// True when one of the granted patterns matches `key`.
    pub fn covers_key(&self, key: &[u8]) -> bool {
        self.bounds.0.iter().any(|pattern| pattern.matches(key))
    }
}

impl<O: Op<Bounds = Paths>> Permit<O> {
    /// Compare a normalised path, without its query, with the granted patterns.
    pub fn admit_path(&self, path: &str) -> Result<(), Denial> {
        if self.bounds.0.iter().any(|pattern| pattern.matches(path)) {
            return Ok(());
        }
        let shown: String = path.chars().take(100).collect();
        Err(self.out_of_bounds(format!("the grant covers the paths {}, not `{shown}`", self.bounds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{System, Target};

    fn grants(lines: Vec<Grant>) -> Grants {
        Grants::new("probe".parse().unwrap(), lines)
    }

    fn line(system: System, name: &str, operations: &[Operation]) -> Grant {
        Grant {
            target: Target { system, name: name.parse().unwrap() },
            operations: operations.to_vec(),
            keys: vec!["cache:*".parse().unwrap()],
            paths: vec!["/health".parse().unwrap()],
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
    fn a_path_outside_the_grant_is_refused() {
        let grants = grants(vec![line(System::Http, "api", &[Operation::HttpGet])]);
        let permit = decide::<op::HttpGet>(&grants, "api").unwrap();
        assert_eq!(permit.admit_path("/health"), Ok(()));
        assert_eq!(permit.admit_path("/admin").unwrap_err().reason, DenialReason::OutOfBounds);
    }
}
