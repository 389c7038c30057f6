//! `plugins.<name>.grants`: one line for each target, with verbs and bounds.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::{ChangeBounds, Effect, Grant, ObjectKind, ObjectPattern, Operation, System, Target};

use super::choices::choose_from;
use super::field::{Field, Mapping};
use super::names::Names;
use super::report::quoted;
use super::units;

const FIELDS: &[&str] = &[
    "postgres",
    "redis",
    "queue",
    "http",
    "kubernetes",
    "verbs",
    "keys",
    "paths",
    "resources",
    "per_run",
    "per_hour",
    "users",
    "applications",
    "min_age",
    "ttl",
    "methods",
    "objects",
    "replicas",
    "variables",
    "images",
    "cpu",
    "memory",
];

/// How many times `per_run` an hour may see where `per_hour` is not given.
const RUNS_AN_HOUR: u64 = 10;

/// Most things that a bound can allow; a number that JSON holds exactly.
pub(super) const MOST: RangeInclusive<u64> = 1..=1_000_000_000;

/// Longest age and time to live that a bound can name.
const AGES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(366 * 86_400);

/// What a verb is bounded by beside its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Keys,
    Paths,
    Resources,
    PerRun,
    PerHour,
    Users,
    Applications,
    MinAge,
    Ttl,
    Methods,
    Objects,
    Replicas,
    Variables,
    Images,
    Cpu,
    Memory,
}

impl Bound {
    /// The field that gives it.
    const fn field(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Paths => "paths",
            Self::Resources => "resources",
            Self::PerRun => "per_run",
            Self::PerHour => "per_hour",
            Self::Users => "users",
            Self::Applications => "applications",
            Self::MinAge => "min_age",
            Self::Ttl => "ttl",
            Self::Methods => "methods",
            Self::Objects => "objects",
            Self::Replicas => "replicas",
            Self::Variables => "variables",
            Self::Images => "images",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }

    /// What to do where it is missing.
    const fn advice(self) -> &'static str {
        match self {
            Self::Keys | Self::Paths | Self::Users | Self::Applications => "add the patterns it may use",
            Self::Resources => "add those that it may look at, such as pods or deployments.apps",
            Self::PerRun | Self::PerHour => "add how many things it may touch",
            Self::MinAge | Self::Ttl => "add the time, such as 10m..1d",
            Self::Methods => "add the methods it may use, such as POST",
            Self::Objects => "add what it may touch, such as deployment/api",
            Self::Replicas => "add the fewest and the most, such as 2..20",
            Self::Variables => "add their names, such as CACHE_TTL, or POOL_MAX=1..50 for a number",
            Self::Images => "add the patterns it may use, such as registry.example.org/api:*",
            Self::Cpu | Self::Memory => "add the least and the most, such as 128Mi..8Gi",
        }
    }
}

/// The bounds that a verb has to have, and those that it can have.
const fn bounds(operation: Operation) -> (&'static [Bound], &'static [Bound]) {
    use Bound::{
        Applications, Cpu, Images, Keys, Memory, Methods, MinAge, Objects, Paths, PerHour, PerRun, Replicas, Resources,
        Ttl, Users, Variables,
    };
    match operation {
        Operation::RedisScan | Operation::RedisUsage | Operation::RedisRead => (&[Keys], &[]),
        Operation::HttpGet | Operation::HttpHead => (&[Paths], &[]),
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
        | Operation::KubernetesListPods
        | Operation::KubernetesGetRollout
        | Operation::KubernetesListEvents
        | Operation::KubernetesListUsage
        | Operation::KubernetesReadLogs
        | Operation::KubernetesReadLog => (&[], &[]),
        Operation::KubernetesGetObject | Operation::KubernetesListObjects => (&[Resources], &[]),
        Operation::PostgresCancelQuery | Operation::PostgresTerminateSession => {
            (&[PerRun], &[PerHour, Users, Applications])
        }
        Operation::RedisRemoveKeys => (&[Keys, PerRun], &[PerHour, MinAge]),
        Operation::RedisExpireKeys => (&[Keys, PerRun, Ttl], &[PerHour, MinAge]),
        Operation::QueuePause | Operation::QueueResume => (&[], &[PerRun, PerHour]),
        Operation::QueueCleanFailed | Operation::QueueRetryFailed => (&[PerRun], &[PerHour, MinAge]),
        Operation::HttpSend => (&[Paths, Methods, PerRun], &[PerHour]),
        Operation::KubernetesScale => (&[Objects, Replicas], &[PerRun, PerHour]),
        Operation::KubernetesRestart | Operation::KubernetesRollback | Operation::KubernetesDetachService => {
            (&[Objects], &[PerRun, PerHour])
        }
        Operation::KubernetesSetEnv | Operation::KubernetesUnsetEnv => (&[Objects, Variables], &[PerRun, PerHour]),
        Operation::KubernetesSetImage => (&[Objects, Images], &[PerRun, PerHour]),
        Operation::KubernetesSetResources => (&[Objects], &[PerRun, PerHour, Cpu, Memory]),
        Operation::KubernetesEvictPod => (&[Objects, PerRun], &[PerHour]),
        Operation::KubernetesRunJob => (&[Objects], &[PerRun, PerHour, Variables]),
    }
}

/// Read one grant.
pub(super) fn read(field: &Field<'_>, names: &Names<'_>) -> Option<Grant> {
    let grant = field.mapping(FIELDS)?;
    let (system, name) = system(&grant)?;
    let target = names.target(name, system).map(|name| Target { system, name });
    let operations = grant.required("verbs", |field| verbs(field, system));
    // Bounds are compared with the verbs only when these are known.
    let wanted = operations.as_deref();
    let given = Given { grant: &grant, system, wanted };
    let keys = given.read(Bound::Keys, patterns);
    let paths = given.read(Bound::Paths, patterns);
    let resources = given.read(Bound::Resources, patterns);
    let changes = changes(&given);
    let line = Grant {
        target: target?,
        operations: operations?,
        keys: keys?.unwrap_or_default(),
        paths: paths?.unwrap_or_default(),
        resources: resources?.unwrap_or_default(),
        changes: changes?,
    };
    Some(line)
}

fn changes(given: &Given<'_, '_>) -> Option<ChangeBounds> {
    let count = |field: &Field<'_>| field.whole(MOST);
    let (per_run, per_hour) = (given.read(Bound::PerRun, count), given.read(Bound::PerHour, count));
    let users = given.read(Bound::Users, patterns);
    let applications = given.read(Bound::Applications, patterns);
    let min_age = given.read(Bound::MinAge, |field| field.duration(AGES));
    let ttl = given.read(Bound::Ttl, times);
    let methods = given.read(Bound::Methods, methods);
    let objects = given.read(Bound::Objects, |field| objects(field, given.wanted));
    let replicas = given.read(Bound::Replicas, |field| range(field, "replicas", "2..20"));
    let variables = given.read(Bound::Variables, patterns);
    let images = given.read(Bound::Images, patterns);
    let cpu = given.read(Bound::Cpu, |field| range(field, "amounts", "100m..4"));
    let memory = given.read(Bound::Memory, |field| range(field, "amounts", "128Mi..8Gi"));
    if !given.wanted.is_some_and(|verbs| verbs.iter().any(|verb| verb.effect() == Effect::Change)) {
        return Some(ChangeBounds::default());
    }
    // Only verbs of which one is the natural number can be without it.
    let per_run: u64 = per_run?.unwrap_or(1);
    let per_hour = per_hour?.unwrap_or(per_run.saturating_mul(RUNS_AN_HOUR));
    if per_hour < per_run {
        return given
            .grant
            .field()
            .refuse(format!("`per_hour: {per_hour}` would never let `per_run: {per_run}` happen"));
    }
    Some(ChangeBounds {
        per_run,
        per_hour,
        users: users?.unwrap_or_default(),
        applications: applications?.unwrap_or_default(),
        min_age: min_age?.unwrap_or_default(),
        ttl: ttl?,
        methods: methods?.unwrap_or_default(),
        objects: objects?.unwrap_or_default(),
        replicas: replicas?,
        variables: variables?.unwrap_or_default(),
        images: images?.unwrap_or_default(),
        cpu: cpu?,
        memory: memory?,
    })
}

/// Refuse lines that give one verb on one target two sets of bounds for its changes: which of them counted, nobody could say.
pub(super) fn compare(field: &Field<'_>, lines: Vec<Grant>) -> Option<Vec<Grant>> {
    for (n, line) in lines.iter().enumerate() {
        let before = lines.iter().take(n).filter(|other| other.target == line.target);
        let twice = before
            .flat_map(|other| &other.operations)
            .find(|operation| operation.effect() == Effect::Change && line.operations.contains(operation));
        if let Some(operation) = twice {
            let (verb, target) = (operation.verb(), &line.target);
            return field.refuse(format!("`{verb}` on {target} stands in two lines; its bounds have to stand in one"));
        }
    }
    Some(lines)
}

/// The system of the one target that a grant names.
fn system<'m, 'a>(grant: &'m Mapping<'a>) -> Option<(System, &'m Field<'a>)> {
    let given: Vec<_> =
        System::ALL.into_iter().filter_map(|system| Some((system, grant.get(system.as_str())?))).collect();
    match given.as_slice() {
        [one] => Some(*one),
        [] => grant.field().refuse("a grant names its target; give one of postgres, redis, queue, http, kubernetes"),
        [_, (_, second), ..] => second.refuse("a grant is for one target; write a second grant for this one"),
    }
}

pub(super) fn verbs(field: &Field<'_>, system: System) -> Option<Vec<Operation>> {
    let items = field.items()?;
    if items.is_empty() {
        let choices = choose_from("", Operation::of_system(system).map(Operation::verb));
        return field.refuse(format!("a grant without verbs allows nothing{choices}"));
    }
    let mut operations = Vec::new();
    for item in &items {
        let operation = verb(item, system);
        if operation.is_some() && operations.contains(&operation) {
            item.note("given twice");
        }
        operations.push(operation);
    }
    operations.into_iter().collect()
}

fn verb(field: &Field<'_>, system: System) -> Option<Operation> {
    let text = field.text()?;
    match Operation::of_system(system).find(|operation| operation.verb() == text) {
        Some(operation) => Some(operation),
        None => {
            let choices = choose_from(text, Operation::of_system(system).map(Operation::verb));
            field.refuse(format!("{} is no verb of {system}{choices}", quoted(text)))
        }
    }
}

/// The bounds of one line, beside the verbs that they are for.
struct Given<'m, 'a> {
    grant: &'m Mapping<'a>,
    system: System,
    wanted: Option<&'m [Operation]>,
}

impl Given<'_, '_> {
    /// Read one bound, which must be there where a verb needs it, and only where a verb can have it. The outer none says that
    /// it was refused.
    fn read<T>(&self, bound: Bound, read: impl Fn(&Field<'_>) -> Option<T>) -> Option<Option<T>> {
        let name = bound.field();
        let has =
            |operation: &Operation| bounds(*operation).0.contains(&bound) || bounds(*operation).1.contains(&bound);
        let needs = |operation: &&Operation| bounds(**operation).0.contains(&bound);
        let bounded: Vec<&str> = Operation::of_system(self.system).filter(has).map(Operation::verb).collect();
        let needing = self.wanted.and_then(|wanted| wanted.iter().find(needs));
        match (self.grant.get(name), needing) {
            (None, Some(verb)) => {
                self.grant.field().refuse(format!("`{}` needs `{name}`; {}", verb.verb(), bound.advice()))
            }
            (None, None) => Some(None),
            (Some(field), _) if bounded.is_empty() => {
                field.refuse(format!("{} has no verb that `{name}` would bound", self.system))
            }
            (Some(field), _) if self.wanted.is_some_and(|wanted| !wanted.iter().any(has)) => {
                field.refuse(format!("none of the verbs is bounded by `{name}`; it is for {}", bounded.join(", ")))
            }
            (Some(field), _) => read(field).map(Some),
        }
    }
}

fn patterns<T: FromStr<Err: Display>>(field: &Field<'_>) -> Option<Vec<T>> {
    if field.items()?.is_empty() {
        return field.refuse("an empty list allows nothing; name the patterns, or leave out the verbs that need them");
    }
    field.all(Field::parsed)
}

/// Read patterns of objects, each of a kind that one of the verbs can touch, and one at least for each verb.
fn objects(field: &Field<'_>, wanted: Option<&[Operation]>) -> Option<Vec<ObjectPattern>> {
    let objects: Vec<ObjectPattern> = patterns(field)?;
    let Some(wanted) = wanted else { return Some(objects) };
    let touching = || wanted.iter().filter(|verb| !verb.object_kinds().is_empty());
    let kinds = |verbs: &[ObjectKind]| verbs.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(idle) =
        objects.iter().find(|object| touching().all(|verb| !verb.object_kinds().contains(&object.kind())))
    {
        return field.refuse(format!("none of the verbs touches a {}, as `{idle}` is", idle.kind()));
    }
    let is_without = |verb: &&Operation| objects.iter().all(|object| !verb.object_kinds().contains(&object.kind()));
    if let Some(verb) = touching().find(is_without) {
        let (verb, kinds) = (verb.verb(), kinds(verb.object_kinds()));
        return field.refuse(format!("`{verb}` has nothing that it could touch; name an object of the kind {kinds}"));
    }
    Some(objects)
}

/// Read `2..20`.
fn range<T: FromStr + PartialOrd>(field: &Field<'_>, what: &str, example: &str) -> Option<(T, T)> {
    let text = field.text()?;
    let ends = text.split_once("..").and_then(|(least, most)| Some((least.parse().ok()?, most.parse().ok()?)));
    match ends {
        Some((least, most)) if least <= most => Some((least, most)),
        _ => field
            .refuse(format!("{} is no range of {what}; write the least and the most, such as {example}", quoted(text))),
    }
}

/// Read `10m..1d`.
fn times(field: &Field<'_>) -> Option<(Duration, Duration)> {
    let text = field.text()?;
    let times = text.split_once("..").and_then(|(least, most)| Some((units::duration(least)?, units::duration(most)?)));
    match times {
        Some((least, most)) if least <= most && !most.is_zero() && AGES.contains(&most) => Some((least, most)),
        _ => field.refuse(format!(
            "{} is no range of times; write the shortest and the longest, such as 10m..1d",
            quoted(text)
        )),
    }
}

fn methods(field: &Field<'_>) -> Option<Vec<String>> {
    if field.items()?.is_empty() {
        return field.refuse("an empty list allows nothing; name the methods, or leave out `send`");
    }
    field.all(method)
}

/// A method that changes something.
pub(super) fn method(field: &Field<'_>) -> Option<String> {
    const METHODS: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];
    let text = field.text()?;
    if METHODS.contains(&text) {
        return Some(text.to_owned());
    }
    field.refuse(format!("{} is no method that changes something{}", quoted(text), choose_from(text, METHODS)))
}
