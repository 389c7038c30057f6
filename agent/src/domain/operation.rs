//! The closed list of everything a plugin can ask the host to do, and whether it reads or changes.

use std::fmt;

use super::System;

/// An interface of the WIT package that the host offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// Messages for humans. Needs no grant.
    Log,
    /// Settings of the plugin. Needs no grant.
    Config,
    /// Memory that outlives a run. Needs no grant.
    State,
    /// Time. Needs no grant.
    Clock,
    /// Looking at a Postgres server.
    Postgres,
    /// Looking at a Redis server.
    Redis,
    /// Looking at a job queue.
    Queue,
    /// Requests that ask for no change.
    Http,
    /// Looking at a Kubernetes cluster.
    Kubernetes,
    /// Changing something on a Postgres server.
    PostgresActions,
    /// Changing something on a Redis server.
    RedisActions,
    /// Changing a job queue.
    QueueActions,
    /// Requests that may change something.
    HttpActions,
    /// Changing something in a Kubernetes cluster.
    KubernetesActions,
}

impl Interface {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Log,
        Self::Config,
        Self::State,
        Self::Clock,
        Self::Postgres,
        Self::Redis,
        Self::Queue,
        Self::Http,
        Self::Kubernetes,
        Self::PostgresActions,
        Self::RedisActions,
        Self::QueueActions,
        Self::HttpActions,
        Self::KubernetesActions,
    ];

    /// Its name in the WIT package.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Config => "config",
            Self::State => "state",
            Self::Clock => "clock",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Queue => "queue",
            Self::Http => "http",
            Self::Kubernetes => "kubernetes",
            Self::PostgresActions => "postgres-actions",
            Self::RedisActions => "redis-actions",
            Self::QueueActions => "queue-actions",
            Self::HttpActions => "http-actions",
            Self::KubernetesActions => "kubernetes-actions",
        }
    }

    /// The interface of that name, if the host offers it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interface| interface.as_str() == name)
    }

    /// The system it reaches; none for the local ones, which every plugin has.
    pub const fn system(self) -> Option<System> {
        match self {
            Self::Log | Self::Config | Self::State | Self::Clock => None,
            Self::Postgres | Self::PostgresActions => Some(System::Postgres),
            Self::Redis | Self::RedisActions => Some(System::Redis),
            Self::Queue | Self::QueueActions => Some(System::Queue),
            Self::Http | Self::HttpActions => Some(System::Http),
            Self::Kubernetes | Self::KubernetesActions => Some(System::Kubernetes),
        }
    }
}

impl Interface {
    /// True when something can be changed through it.
    pub fn acts(self) -> bool {
        Operation::ALL.iter().any(|operation| operation.interface() == self && operation.effect() == Effect::Change)
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether an operation leaves the world outside the plugin as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It looks.
    Read,
    /// It changes something.
    Change,
}

macro_rules! operations {
    ($( $variant:ident = $interface:ident / $function:literal is $effect:ident ),+ $(,)?) => {
        /// A function of an interface that reaches a target.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $(
                #[doc = concat!("`", $function, "` of the interface of the same name.")]
                $variant,
            )+
        }

        impl Operation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The interface it belongs to.
            pub const fn interface(self) -> Interface {
                match self { $(Self::$variant => Interface::$interface),+ }
            }

            /// Its name within the interface, which is also the verb of a grant.
            pub const fn verb(self) -> &'static str {
                match self { $(Self::$variant => $function),+ }
            }

            /// Whether it reads or changes.
            pub const fn effect(self) -> Effect {
                match self { $(Self::$variant => Effect::$effect),+ }
            }
        }
    };
}

operations! {
    PostgresInspect = Postgres / "inspect" is Read,
    PostgresSessions = Postgres / "sessions" is Read,
    PostgresStatements = Postgres / "statements" is Read,
    PostgresReplication = Postgres / "replication" is Read,
    PostgresQuery = Postgres / "query" is Read,
    RedisPing = Redis / "ping" is Read,
    RedisInfo = Redis / "info" is Read,
    RedisScan = Redis / "scan" is Read,
    RedisUsage = Redis / "usage" is Read,
    RedisSlowLog = Redis / "slow-log" is Read,
    RedisRead = Redis / "read" is Read,
    QueueInspect = Queue / "inspect" is Read,
    QueueListFailures = Queue / "list-failures" is Read,
    HttpGet = Http / "get" is Read,
    HttpHead = Http / "head" is Read,
    KubernetesGetObject = Kubernetes / "get-object" is Read,
    KubernetesListObjects = Kubernetes / "list-objects" is Read,
    KubernetesListPods = Kubernetes / "list-pods" is Read,
    KubernetesGetRollout = Kubernetes / "get-rollout" is Read,
    KubernetesListEvents = Kubernetes / "list-events" is Read,
    KubernetesListUsage = Kubernetes / "list-usage" is Read,
    KubernetesReadLogs = Kubernetes / "read-logs" is Read,
    KubernetesReadLog = Kubernetes / "read-log" is Read,
    PostgresCancelQuery = PostgresActions / "cancel-query" is Change,
    PostgresTerminateSession = PostgresActions / "terminate-session" is Change,
    RedisRemoveKeys = RedisActions / "remove-keys" is Change,
    RedisExpireKeys = RedisActions / "expire-keys" is Change,
    QueuePause = QueueActions / "pause" is Change,
    QueueResume = QueueActions / "resume" is Change,
    QueueCleanFailed = QueueActions / "clean-failed" is Change,
    QueueRetryFailed = QueueActions / "retry-failed" is Change,
    HttpSend = HttpActions / "send" is Change,
    KubernetesScale = KubernetesActions / "scale" is Change,
    KubernetesRestart = KubernetesActions / "restart" is Change,
    KubernetesRollback = KubernetesActions / "rollback" is Change,
    KubernetesSetEnv = KubernetesActions / "set-env" is Change,
    KubernetesUnsetEnv = KubernetesActions / "unset-env" is Change,
    KubernetesSetImage = KubernetesActions / "set-image" is Change,
    KubernetesSetResources = KubernetesActions / "set-resources" is Change,
    KubernetesEvictPod = KubernetesActions / "evict-pod" is Change,
    KubernetesRunJob = KubernetesActions / "run-job" is Change,
    KubernetesDetachService = KubernetesActions / "detach-service" is Change,
}

impl Operation {
    /// The operation written `interface/function`.
    pub fn from_name(name: &str) -> Option<Self> {
        let (interface, verb) = name.split_once('/')?;
        Self::ALL.iter().copied().find(|known| known.interface().as_str() == interface && known.verb() == verb)
    }

    /// The operations that a grant on a target of `system` can list.
    pub fn of_system(system: System) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |operation| operation.interface().system() == Some(system))
    }
}

/// Written `interface/function`, such as `postgres/query`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.interface(), self.verb())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_names_one_operation_of_its_system() {
        for system in System::ALL {
            let mut verbs: Vec<_> = Operation::of_system(system).map(Operation::verb).collect();
            let count = verbs.len();
            verbs.sort_unstable();
            verbs.dedup();
            assert!(count > 0 && verbs.len() == count, "{system}");
        }
    }

    #[test]
    fn a_written_operation_is_read_back() {
        for operation in Operation::ALL {
            assert_eq!(Operation::from_name(&operation.to_string()), Some(*operation));
        }
        assert_eq!(Operation::from_name("postgres/terminate-session"), None);
    }

    #[test]
    fn only_interfaces_named_actions_change_anything() {
        for operation in Operation::ALL {
            let named_so = operation.interface().as_str().ends_with("-actions");
            assert_eq!(operation.effect() == Effect::Change, named_so, "{operation}");
        }
    }
}
