//! `targets`: the systems that plugins may be granted, with the credentials for them.

use std::collections::BTreeMap;

use url::Url;

use crate::domain::{Secret, TargetName};

/// All targets, by system and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Postgres servers.
    pub postgres: BTreeMap<TargetName, PostgresTarget>,
    /// Redis servers.
    pub redis: BTreeMap<TargetName, RedisTarget>,
    /// Job queues.
    pub queue: BTreeMap<TargetName, QueueTarget>,
    /// Web services.
    pub http: BTreeMap<TargetName, HttpTarget>,
}

/// A Postgres server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresTarget {
    /// Connection URL with the login of least privilege.
    pub url: Secret,
    /// Most connections that the agent opens.
    pub pool: usize,
    /// True when the operator insists on a login with a superuser's rights.
    pub allow_superuser: bool,
}

/// A Redis server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisTarget {
    /// Connection URL with the agent's own ACL user.
    pub url: Secret,
}

/// A job queue in a Redis server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueTarget {
    /// The Redis target that holds it; one of [`Targets::redis`].
    pub redis: TargetName,
    /// Prefix of its keys.
    pub prefix: String,
    /// Name of the queue.
    pub name: String,
    /// Library that its producers and workers use.
    pub library: QueueLibrary,
}

/// A queue library with its major version. The versions keep their jobs differently, and what the data says of them is
/// only a hint, so the operator names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueLibrary {
    /// BullMQ, 3 to 6.
    BullMq(u8),
    /// Bull, 4.
    Bull(u8),
}

/// A web service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// Origin and base path: `http` or `https`, without credentials, query and fragment.
    pub base_url: Url,
    /// Header fields that the host adds to each request; each name once.
    pub headers: Vec<(http::HeaderName, Secret)>,
    /// True when its addresses may be private ones.
    pub allow_private: bool,
    /// Certificates, in PEM, to trust in addition to the system's.
    pub ca: Option<String>,
}
