//! Builds the clients of all configured targets. Nothing connects yet.
//!
//! When the configuration is read again, a target with the same settings keeps its client, and thereby its connections.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::sync::Arc;

use anyhow::Context;

use crate::clients::http::{Credential, Http};
use crate::clients::postgres::Postgres;
use crate::clients::queue::{Library, Queue};
use crate::clients::redis::Redis;
use crate::clients::{http, postgres, queue, resp};
use crate::config;
use crate::domain::TargetName;
use crate::host::Targets;

/// The clients of `targets`.
pub(super) fn build(targets: &config::Targets) -> anyhow::Result<Targets> {
    rebuild(targets, &config::Targets::default(), &Targets::default())
}

/// The clients of `targets`; those of `before`, which were configured as `configured`, where nothing is different.
pub(super) fn rebuild(
    targets: &config::Targets,
    configured: &config::Targets,
    before: &Targets,
) -> anyhow::Result<Targets> {
    let same_server =
        |target: &config::QueueTarget| targets.redis.get(&target.redis) == configured.redis.get(&target.redis);
    let postgres = |name: &TargetName, target: &_| Some(target) == configured.postgres.get(name);
    let redis = |name: &TargetName, target: &_| Some(target) == configured.redis.get(name);
    let queue = |name: &TargetName, target: &_| Some(target) == configured.queue.get(name) && same_server(target);
    let http = |name: &TargetName, target: &_| Some(target) == configured.http.get(name);
    Ok(Targets {
        postgres: each(&targets.postgres, "postgres", (&before.postgres, postgres), postgres_client)?,
        redis: each(&targets.redis, "redis", (&before.redis, redis), redis_client)?,
        queue: each(&targets.queue, "queue", (&before.queue, queue), |name, target| {
            queue_client(name, target, targets)
        })?,
        http: each(&targets.http, "http", (&before.http, http), http_client)?,
    })
}

/// A client of each target: the one of before, if it is the same target, or a new one.
fn each<S, C>(
    configured: &BTreeMap<TargetName, S>,
    system: impl Display,
    (before, is_same): (&HashMap<TargetName, Arc<C>>, impl Fn(&TargetName, &S) -> bool),
    build: impl Fn(TargetName, &S) -> anyhow::Result<C>,
) -> anyhow::Result<HashMap<TargetName, Arc<C>>> {
    let client = |name: &TargetName, settings: &S| match before.get(name).filter(|_| is_same(name, settings)) {
        Some(client) => Ok(client.clone()),
        None => build(name.clone(), settings).map(Arc::new).with_context(|| format!("targets.{system}.{name}")),
    };
    configured.iter().map(|(name, settings)| Ok((name.clone(), client(name, settings)?))).collect()
}

fn postgres_client(name: TargetName, target: &config::PostgresTarget) -> anyhow::Result<Postgres> {
    let settings = postgres::Settings {
        connections: target.pool,
        allow_superuser: target.allow_superuser,
        tls_root: target.ca.clone().map(String::into_bytes),
        ..postgres::Settings::new(target.url.clone())
    };
    Ok(Postgres::new(name, settings)?)
}

fn redis_client(name: TargetName, target: &config::RedisTarget) -> anyhow::Result<Redis> {
    let settings = resp::Settings { authorities: target.ca.clone(), ..resp::Settings::new(target.url.clone()) };
    Ok(Redis::new(name, settings)?)
}

fn queue_client(name: TargetName, target: &config::QueueTarget, targets: &config::Targets) -> anyhow::Result<Queue> {
    let server = targets.redis.get(&target.redis).with_context(|| format!("redis: no target {}", target.redis))?;
    let settings = queue::Settings {
        server: resp::Settings { authorities: server.ca.clone(), ..resp::Settings::new(server.url.clone()) },
        prefix: target.prefix.clone(),
        name: target.name.clone(),
        library: match target.library {
            config::QueueLibrary::BullMq(major) => Library::BullMq(major),
            config::QueueLibrary::Bull(major) => Library::Bull(major),
        },
    };
    Ok(Queue::new(name, settings)?)
}

fn http_client(name: TargetName, target: &config::HttpTarget) -> anyhow::Result<Http> {
    let credential = |(name, value): &(::http::HeaderName, crate::domain::Secret)| Credential::Header {
        name: name.clone(),
        value: value.clone(),
    };
    let settings = http::Settings {
        credentials: target.headers.iter().map(credential).collect(),
        allow_private: target.allow_private,
        ca: target.ca.clone(),
        ..http::Settings::new(target.base_url.clone())
    };
    Ok(Http::new(name, settings)?)
}
