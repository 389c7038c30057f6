//! The clients of all configured targets.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clients::http::Http;
use crate::clients::kubernetes::Kubernetes;
use crate::clients::postgres::Postgres;
use crate::clients::queue::Queue;
use crate::clients::redis::Redis;
use crate::domain::{CallError, TargetName};
use crate::policy::{Op, Permit};

/// The client of each target, by system and name.
#[derive(Default)]
pub struct Targets {
    /// Postgres servers.
    pub postgres: HashMap<TargetName, Arc<Postgres>>,
    /// Redis servers.
    pub redis: HashMap<TargetName, Arc<Redis>>,
    /// Job queues.
    pub queue: HashMap<TargetName, Arc<Queue>>,
    /// Web services.
    pub http: HashMap<TargetName, Arc<Http>>,
    /// Namespaces of Kubernetes clusters.
    pub kubernetes: HashMap<TargetName, Arc<Kubernetes>>,
}

/// The client that a permit is for. The configuration refuses grants on targets that do not exist, so an absent one
/// means that the two were loaded apart.
pub(super) fn client<'a, O: Op, C>(
    clients: &'a HashMap<TargetName, Arc<C>>,
    permit: &Permit<O>,
) -> Result<&'a Arc<C>, CallError> {
    clients
        .get(permit.target())
        .ok_or_else(|| CallError::NotFound(format!("the target {} is not configured", permit.target())))
}
