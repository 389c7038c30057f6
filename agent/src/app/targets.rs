//! Builds the clients of all configured targets. Nothing connects yet.
//!
//! When the configuration is read again, a target with the same settings keeps its client, and thereby its connections.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::sync::Arc;

use anyhow::Context;

use crate::clients::http::{Credential, Http};
use crate::clients::kubernetes::{self, Access, Kubernetes, Seal};
use crate::clients::postgres::Postgres;
use crate::clients::queue::{Library, Queue};
use crate::clients::redis::Redis;
use crate::clients::{http, postgres, queue, resp};
use crate::config;
use crate::domain::{Secret, TargetName};
use crate::host::Targets;

/// The clients of `targets`.
pub(super) fn build(targets: &config::Targets, seal: &Arc<Seal>) -> anyhow::Result<Targets> {
    rebuild(targets, seal, &config::Targets::default(), &Targets::default())
}

/// The clients of `targets`; those of `before`, which were configured as `configured`, where nothing is different.
pub(super) fn rebuild(
    targets: &config::Targets,
    seal: &Arc<Seal>,
    configured: &config::Targets,
    before: &Targets,
) -> anyhow::Result<Targets> {
    let same_server =
        |target: &config::QueueTarget| targets.redis.get(&target.redis) == configured.redis.get(&target.redis);
    let postgres = |name: &TargetName, target: &_| Some(target) == configured.postgres.get(name);
    let redis = |name: &TargetName, target: &config::RedisTarget| {
        Some(target) == configured.redis.get(name) && queue_keys(target, targets) == queue_keys(target, configured)
    };
    let queue = |name: &TargetName, target: &_| Some(target) == configured.queue.get(name) && same_server(target);
    let http = |name: &TargetName, target: &_| Some(target) == configured.http.get(name);
    let kubernetes = |name: &TargetName, target: &_| Some(target) == configured.kubernetes.get(name);
    Ok(Targets {
        postgres: each(&targets.postgres, "postgres", (&before.postgres, postgres), postgres_client)?,
        redis: each(&targets.redis, "redis", (&before.redis, redis), |name, target| {
            redis_client(name, target, targets)
        })?,
        queue: each(&targets.queue, "queue", (&before.queue, queue), |name, target| {
            queue_client(name, target, targets)
        })?,
        http: each(&targets.http, "http", (&before.http, http), http_client)?,
        kubernetes: each(&targets.kubernetes, "kubernetes", (&before.kubernetes, kubernetes), |name, target| {
            kubernetes_client(name, target, seal)
        })?,
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
    let defaults = postgres::Settings::new(target.url.clone());
    let settings = postgres::Settings {
        signal_url: target.signal_url.clone(),
        protected: target.protected.clone().unwrap_or_else(|| defaults.protected.clone()),
        connections: target.pool,
        allow_superuser: target.allow_superuser,
        tls_root: target.ca.clone().map(String::into_bytes),
        ..defaults
    };
    Ok(Postgres::new(name, settings)?)
}

fn redis_client(name: TargetName, target: &config::RedisTarget, targets: &config::Targets) -> anyhow::Result<Redis> {
    let settings = resp::Settings { authorities: target.ca.clone(), ..resp::Settings::new(target.url.clone()) };
    Ok(Redis::new(name, settings)?.protecting(queue_keys(target, targets)))
}

/// What the keys of all queues on the same server begin with, whichever login and database they are reached by.
fn queue_keys(target: &config::RedisTarget, targets: &config::Targets) -> Vec<String> {
    let is_same = |queue: &&config::QueueTarget| {
        targets.redis.get(&queue.redis).is_some_and(|server| address(&server.url) == address(&target.url))
    };
    targets.queue.values().filter(is_same).map(|queue| format!("{}:{}:", queue.prefix, queue.name)).collect()
}

/// Host and port of a server; the whole text of a URL that is none.
fn address(url: &Secret) -> (String, u16) {
    const PORT: u16 = 6379;
    let parsed = url::Url::parse(url.expose());
    let address = parsed.ok().and_then(|url| Some((url.host_str()?.to_ascii_lowercase(), url.port().unwrap_or(PORT))));
    address.unwrap_or_else(|| (url.expose().to_owned(), PORT))
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
    let credential =
        |(name, value): &(::http::HeaderName, Secret)| Credential::Header { name: name.clone(), value: value.clone() };
    let inverse = |inverse: &config::HttpInverse| http::Inverse {
        request: (inverse.method.clone(), inverse.path.clone()),
        undo: (inverse.undo_method.clone(), inverse.undo_path.clone()),
    };
    let settings = http::Settings {
        inverses: target.inverses.iter().map(inverse).collect(),
        credentials: target.headers.iter().map(credential).collect(),
        allow_private: target.allow_private,
        ca: target.ca.clone(),
        ..http::Settings::new(target.base_url.clone())
    };
    Ok(Http::new(name, settings)?)
}

fn kubernetes_client(
    name: TargetName,
    target: &config::KubernetesTarget,
    seal: &Arc<Seal>,
) -> anyhow::Result<Kubernetes> {
    let access = match &target.kubeconfig {
        Some(text) => Access::Kubeconfig { text: text.clone(), context: target.context.clone() },
        None => Access::InCluster,
    };
    let settings = kubernetes::Settings { namespace: target.namespace.clone(), access, seal: seal.clone() };
    Ok(Kubernetes::new(name, settings)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> config::RedisTarget {
        config::RedisTarget { url: Secret::new(url), ca: None }
    }

    #[test]
    fn the_keys_of_queues_on_the_same_server_are_protected_however_it_is_reached() {
        let queue = |redis: &str, name: &str| config::QueueTarget {
            redis: redis.parse().unwrap(),
            prefix: "bull".to_owned(),
            name: name.to_owned(),
            library: config::QueueLibrary::BullMq(5),
        };
        let targets = config::Targets {
            redis: BTreeMap::from([
                ("jobs".parse().unwrap(), server("redis://queue:secret@cache.internal:6379/1")),
                ("far".parse().unwrap(), server("redis://far.internal")),
            ]),
            queue: BTreeMap::from([
                ("email".parse().unwrap(), queue("jobs", "email")),
                ("bills".parse().unwrap(), queue("far", "bills")),
            ]),
            ..config::Targets::default()
        };
        for url in ["redis://cache.internal", "rediss://other:x@CACHE.internal:6379/0"] {
            assert_eq!(queue_keys(&server(url), &targets), ["bull:email:"], "{url}");
        }
        assert_eq!(queue_keys(&server("redis://cache.internal:6380"), &targets), [""; 0]);
    }
}
