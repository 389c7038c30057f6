//! Builds the clients of all configured targets. Nothing connects yet.

use std::collections::HashMap;
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
    Ok(Targets {
        postgres: each(&targets.postgres, "postgres", postgres_client)?,
        redis: each(&targets.redis, "redis", redis_client)?,
        queue: each(&targets.queue, "queue", |name, target| queue_client(name, target, targets))?,
        http: each(&targets.http, "http", http_client)?,
    })
}

fn each<S, C>(
    configured: &std::collections::BTreeMap<TargetName, S>,
    system: impl Display,
    build: impl Fn(TargetName, &S) -> anyhow::Result<C>,
) -> anyhow::Result<HashMap<TargetName, Arc<C>>> {
    configured
        .iter()
        .map(|(name, settings)| {
            let client = build(name.clone(), settings).with_context(|| format!("targets.{system}.{name}"))?;
            Ok((name.clone(), Arc::new(client)))
        })
        .collect()
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
