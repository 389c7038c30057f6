//! Operations as types, so that a permit for one cannot be used for another.

use std::fmt;

use std::time::Duration;

use crate::domain::{
    Grant, KeyPattern, ObjectKind, ObjectPattern, Operation, PathPattern, Quantity, Resource, VariablePattern,
};

/// An operation as a type. Implemented here for each [`Operation`] and nowhere else.
pub trait Op: sealed::Sealed + Send + Sync + 'static {
    /// The operation as a value.
    const OPERATION: Operation;

    /// What a grant of it is bounded by; `()` for operations that only a target bounds.
    type Bounds: Clone + fmt::Debug + Send + Sync;

    /// The bounds that several grant lines give together.
    fn bounds<'a>(lines: impl Iterator<Item = &'a Grant>) -> Self::Bounds;
}

/// An operation that changes something.
pub trait ChangeOp: Op {
    /// How much of it a run and an hour may do.
    fn count(bounds: &Self::Bounds) -> Count;

    /// The bounds within which the host gives back what it did itself.
    fn undoing() -> Self::Bounds;
}

mod sealed {
    pub trait Sealed {}
}

/// Key patterns of a permit; none means no key.
#[derive(Clone, Debug)]
pub struct Keys(pub(super) Vec<KeyPattern>);

/// Bounds that have key patterns.
pub trait HasKeys {
    /// The patterns.
    fn keys(&self) -> &Keys;
}

impl HasKeys for Keys {
    fn keys(&self) -> &Keys {
        self
    }
}

impl HasKeys for Freeing {
    fn keys(&self) -> &Keys {
        &self.keys
    }
}

/// Bounds that have path patterns.
pub trait HasPaths {
    /// The patterns.
    fn paths(&self) -> &Paths;
}

impl HasPaths for Paths {
    fn paths(&self) -> &Paths {
        self
    }
}

impl HasPaths for Sending {
    fn paths(&self) -> &Paths {
        &self.paths
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0)
    }
}

/// Path patterns of a permit; none means no path.
#[derive(Clone, Debug)]
pub struct Paths(pub(super) Vec<PathPattern>);

impl fmt::Display for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0)
    }
}

/// Resources of Kubernetes that a permit covers; none means no resource.
#[derive(Clone, Debug)]
pub struct Resources(pub(super) Vec<Resource>);

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0)
    }
}

/// How many things may be touched: sessions, keys, jobs, requests; a switch counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// By one run.
    pub per_run: u64,
    /// By all runs of the plugin within an hour.
    pub per_hour: u64,
}

impl Count {
    const UNBOUNDED: Self = Self { per_run: u64::MAX, per_hour: u64::MAX };

    /// A change verb stands in one line for each target, so that the first line is the only one.
    fn of(lines: &[&Grant]) -> Self {
        let bounds = lines.first().map(|line| &line.changes);
        bounds.map_or(Self { per_run: 0, per_hour: 0 }, |bounds| Self {
            per_run: bounds.per_run,
            per_hour: bounds.per_hour,
        })
    }
}

/// Which sessions a permit covers.
#[derive(Clone, Debug)]
pub struct Sessions {
    count: Count,
    pub(super) users: Vec<KeyPattern>,
    pub(super) applications: Vec<KeyPattern>,
}

/// Which keys a permit covers.
#[derive(Clone, Debug)]
pub struct Freeing {
    count: Count,
    pub(super) keys: Keys,
    pub(super) min_idle: Duration,
    pub(super) ttl: Option<(Duration, Duration)>,
}

/// Which failed jobs a permit covers.
#[derive(Clone, Debug)]
pub struct Jobs {
    count: Count,
    pub(super) min_age: Duration,
}

/// Which requests a permit covers.
#[derive(Clone, Debug)]
pub struct Sending {
    count: Count,
    pub(super) paths: Paths,
    pub(super) methods: Vec<String>,
}

/// Which objects of Kubernetes a permit covers, and what may be done to them.
#[derive(Clone, Debug)]
pub struct Handling {
    count: Count,
    pub(super) objects: Vec<ObjectPattern>,
    pub(super) bounds: Objects,
}

/// What objects may be changed to.
#[derive(Clone, Debug)]
pub(super) enum Objects {
    /// To anything: what the host gives back was so before.
    Any,
    /// Within these bounds.
    Within(Box<Limits>),
}

/// Bounds of what objects may be changed to. What is none is not allowed at all.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) replicas: Option<(u32, u32)>,
    pub(super) variables: Vec<VariablePattern>,
    pub(super) images: Vec<KeyPattern>,
    pub(super) cpu: Option<(Quantity, Quantity)>,
    pub(super) memory: Option<(Quantity, Quantity)>,
}

pub(super) fn write_list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        write!(f, "{separator}`{item}`")?;
    }
    Ok(())
}

macro_rules! ops {
    ($( $name:ident: $bounds:ty = |$lines:ident| $collect:expr; )+) => {$(
        #[doc = concat!("[`Operation::", stringify!($name), "`] as a type.")]
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl sealed::Sealed for $name {}

        impl Op for $name {
            const OPERATION: Operation = Operation::$name;
            type Bounds = $bounds;

            fn bounds<'a>($lines: impl Iterator<Item = &'a Grant>) -> $bounds {
                $collect
            }
        }
    )+};
}

ops! {
    PostgresInspect: () = |_lines| ();
    PostgresSessions: () = |_lines| ();
    PostgresStatements: () = |_lines| ();
    PostgresReplication: () = |_lines| ();
    PostgresQuery: () = |_lines| ();
    RedisPing: () = |_lines| ();
    RedisInfo: () = |_lines| ();
    RedisScan: Keys = |lines| keys(lines);
    RedisUsage: Keys = |lines| keys(lines);
    RedisSlowLog: () = |_lines| ();
    RedisRead: Keys = |lines| keys(lines);
    QueueInspect: () = |_lines| ();
    QueueListFailures: () = |_lines| ();
    HttpGet: Paths = |lines| paths(lines);
    HttpHead: Paths = |lines| paths(lines);
    KubernetesGetObject: Resources = |lines| resources(lines);
    KubernetesListObjects: Resources = |lines| resources(lines);
    KubernetesListPods: () = |_lines| ();
    KubernetesGetRollout: () = |_lines| ();
    KubernetesListEvents: () = |_lines| ();
    KubernetesListUsage: () = |_lines| ();
    KubernetesReadLogs: () = |_lines| ();
    KubernetesReadLog: () = |_lines| ();
}

macro_rules! changes {
    ($( $name:ident: $bounds:ty = |$lines:ident| $collect:expr, undoing $undoing:expr; )+) => {
        ops! { $( $name: $bounds = |lines| { let $lines = &lines.collect::<Vec<_>>()[..]; $collect }; )+ }

        $(impl ChangeOp for $name {
            fn count(bounds: &$bounds) -> Count {
                bounds.count
            }

            fn undoing() -> $bounds {
                $undoing
            }
        })+
    };
}

changes! {
    PostgresCancelQuery: Sessions = |lines| sessions(lines), undoing SESSIONS;
    PostgresTerminateSession: Sessions = |lines| sessions(lines), undoing SESSIONS;
    RedisRemoveKeys: Freeing = |lines| freeing(lines), undoing any_key();
    RedisExpireKeys: Freeing = |lines| freeing(lines), undoing any_key();
    QueuePause: Jobs = |lines| jobs(lines), undoing ANY_JOB;
    QueueResume: Jobs = |lines| jobs(lines), undoing ANY_JOB;
    QueueCleanFailed: Jobs = |lines| jobs(lines), undoing ANY_JOB;
    QueueRetryFailed: Jobs = |lines| jobs(lines), undoing ANY_JOB;
    HttpSend: Sending = |lines| sending(lines), undoing any_request();
    KubernetesScale: Handling = |lines| handling(lines), undoing any_object();
    KubernetesRestart: Handling = |lines| handling(lines), undoing any_object();
    KubernetesRollback: Handling = |lines| handling(lines), undoing any_object();
    KubernetesSetEnv: Handling = |lines| handling(lines), undoing any_object();
    KubernetesUnsetEnv: Handling = |lines| handling(lines), undoing any_object();
    KubernetesSetImage: Handling = |lines| handling(lines), undoing any_object();
    KubernetesSetResources: Handling = |lines| handling(lines), undoing any_object();
    KubernetesEvictPod: Handling = |lines| handling(lines), undoing any_object();
    KubernetesRunJob: Handling = |lines| handling(lines), undoing any_object();
    KubernetesDetachService: Handling = |lines| handling(lines), undoing any_object();
}

const SESSIONS: Sessions = Sessions { count: Count::UNBOUNDED, users: Vec::new(), applications: Vec::new() };

const ANY_JOB: Jobs = Jobs { count: Count::UNBOUNDED, min_age: Duration::ZERO };

fn sessions(lines: &[&Grant]) -> Sessions {
    let bounds = lines.first().map(|line| line.changes.clone()).unwrap_or_default();
    Sessions { count: Count::of(lines), users: bounds.users, applications: bounds.applications }
}

fn freeing(lines: &[&Grant]) -> Freeing {
    let bounds = lines.first().map(|line| line.changes.clone()).unwrap_or_default();
    let keys = keys(lines.iter().copied());
    Freeing { count: Count::of(lines), keys, min_idle: bounds.min_age, ttl: bounds.ttl }
}

fn any_key() -> Freeing {
    let any = "*".parse().into_iter().collect();
    Freeing {
        count: Count::UNBOUNDED,
        keys: Keys(any),
        min_idle: Duration::ZERO,
        ttl: Some((Duration::ZERO, Duration::MAX)),
    }
}

fn jobs(lines: &[&Grant]) -> Jobs {
    let min_age = lines.first().map(|line| line.changes.min_age).unwrap_or_default();
    Jobs { count: Count::of(lines), min_age }
}

fn sending(lines: &[&Grant]) -> Sending {
    let methods = lines.iter().flat_map(|line| line.changes.methods.iter().cloned()).collect();
    Sending { count: Count::of(lines), paths: paths(lines.iter().copied()), methods }
}

fn any_request() -> Sending {
    let any = "/**".parse().into_iter().collect();
    let methods = ["POST", "PUT", "PATCH", "DELETE"].map(str::to_owned).to_vec();
    Sending { count: Count::UNBOUNDED, paths: Paths(any), methods }
}

fn handling(lines: &[&Grant]) -> Handling {
    let bounds = lines.first().map(|line| line.changes.clone()).unwrap_or_default();
    let limits = Limits {
        replicas: bounds.replicas,
        variables: bounds.variables,
        images: bounds.images,
        cpu: bounds.cpu,
        memory: bounds.memory,
    };
    Handling { count: Count::of(lines), objects: bounds.objects, bounds: Objects::Within(Box::new(limits)) }
}

fn any_object() -> Handling {
    let objects = ObjectKind::ALL.iter().filter_map(|kind| format!("{kind}/*").parse().ok()).collect();
    Handling { count: Count::UNBOUNDED, objects, bounds: Objects::Any }
}

fn keys<'a>(lines: impl Iterator<Item = &'a Grant>) -> Keys {
    Keys(lines.flat_map(|line| line.keys.iter().cloned()).collect())
}

fn resources<'a>(lines: impl Iterator<Item = &'a Grant>) -> Resources {
    Resources(lines.flat_map(|line| line.resources.iter().cloned()).collect())
}

fn paths<'a>(lines: impl Iterator<Item = &'a Grant>) -> Paths {
    Paths(lines.flat_map(|line| line.paths.iter().cloned()).collect())
}
