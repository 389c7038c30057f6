//! What is different between two configurations.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::config::{Config, Engine, Intake, Scheduler, Server, Store, Targets};

/// What was added, removed or changed of what a reload puts in force.
pub(super) fn between(before: &Config, after: &Config) -> Vec<String> {
    // Taken apart, so that a new section is not forgotten here. Others hold only after a restart.
    let Config {
        auth,
        signing,
        targets: Targets { postgres, redis, queue, http, kubernetes },
        plugins,
        budgets,
        sweeps,
        store: Store { retain, path: _ },
        server: _,
        engine: _,
        intake: _,
        quarantine: _,
        scheduler: _,
        replicas: _,
    } = before;
    let mut changed = Vec::new();
    let mut whole = |is_same: bool, name: &str| changed.extend((!is_same).then(|| format!("changed {name}")));
    whole(*auth == after.auth, "auth");
    whole(*signing == after.signing, "signing");
    whole(*retain == after.store.retain, "store.retain");
    whole(*budgets == after.budgets, "budgets");
    changed.extend(entries("targets.postgres", postgres, &after.targets.postgres));
    changed.extend(entries("targets.redis", redis, &after.targets.redis));
    changed.extend(entries("targets.queue", queue, &after.targets.queue));
    changed.extend(entries("targets.http", http, &after.targets.http));
    changed.extend(entries("targets.kubernetes", kubernetes, &after.targets.kubernetes));
    changed.extend(entries("plugins", plugins, &after.plugins));
    changed.extend(entries("sweeps", sweeps, &after.sweeps));
    changed
}

fn entries<K: Ord + Display, V: PartialEq>(
    section: &str,
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) -> Vec<String> {
    let gone = before.keys().filter(|name| !after.contains_key(name)).map(|name| format!("removed {section}.{name}"));
    let other = after.iter().filter_map(|(name, value)| match before.get(name) {
        None => Some(format!("added {section}.{name}")),
        Some(former) => (former != value).then(|| format!("changed {section}.{name}")),
    });
    gone.chain(other).collect()
}

/// Settings of `wanted` that are others than the agent was started with, and that belong to what is built only once.
pub(super) fn needs_restart(started: &Config, wanted: &Config) -> Vec<&'static str> {
    let Server { listen, max_body_bytes, max_concurrent_runs, allow_remote, tls } = &started.server;
    let Engine { cache, guest_threads } = &started.engine;
    let Intake { folder, max_component_bytes, keep, keep_bytes } = &started.intake;
    let Scheduler { max_parallel, max_parallel_per_target } = &started.scheduler;
    let settings = [
        ("server.listen", *listen == wanted.server.listen),
        ("server.max_body_bytes", *max_body_bytes == wanted.server.max_body_bytes),
        ("server.max_concurrent_runs", *max_concurrent_runs == wanted.server.max_concurrent_runs),
        ("server.allow_remote", *allow_remote == wanted.server.allow_remote),
        ("server.tls", *tls == wanted.server.tls),
        ("store.path", started.store.path == wanted.store.path),
        ("engine.cache", *cache == wanted.engine.cache),
        ("engine.guest_threads", *guest_threads == wanted.engine.guest_threads),
        ("intake.folder", *folder == wanted.intake.folder),
        ("intake.max_component", *max_component_bytes == wanted.intake.max_component_bytes),
        ("intake.keep", *keep == wanted.intake.keep),
        ("intake.keep_size", *keep_bytes == wanted.intake.keep_bytes),
        ("quarantine", started.quarantine == wanted.quarantine),
        ("scheduler.max_parallel", *max_parallel == wanted.scheduler.max_parallel),
        ("scheduler.max_parallel_per_target", *max_parallel_per_target == wanted.scheduler.max_parallel_per_target),
        ("replicas", started.replicas == wanted.replicas),
    ];
    settings.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        let environment = |_: &str| Ok("redis://cache:6379".to_owned());
        Config::parse(text, Path::new("/etc/paramedic/paramedic.yaml"), &environment).unwrap()
    }

    #[test]
    fn what_is_different_is_named_by_its_path() {
        let before = config(
            "targets: { redis: { cache: { url: { env: CACHE } }, old: { url: { env: OLD } } } }\n\
             plugins: { redis-ping: { source: upload }, redis-memory: { source: upload } }\n\
             server: { listen: 127.0.0.1:7117 }\n",
        );
        let after = config(
            "targets: { redis: { cache: { url: { env: CACHE } } }, http: { api: { base_url: 'https://api.test' } } }\n\
             plugins:\n  redis-ping: { source: upload, grants: [ { redis: cache, verbs: [ping] } ] }\n  redis-memory: { source: upload }\n\
             sweeps: { health: { every: 1m, checks: [ redis-ping ] } }\n\
             store: { retain: { age: 1d } }\n\
             budgets: [ { target: redis/cache, verbs: [remove-keys], per_hour: 100 } ]\n\
             server: { listen: 127.0.0.1:7118 }\n",
        );
        assert_eq!(
            between(&before, &after),
            [
                "changed store.retain",
                "changed budgets",
                "removed targets.redis.old",
                "added targets.http.api",
                "changed plugins.redis-ping",
                "added sweeps.health"
            ]
        );
        assert_eq!(needs_restart(&before, &after), ["server.listen"]);
        assert_eq!(between(&after, &after), [""; 0]);
        assert_eq!(needs_restart(&after, &after), [""; 0]);
    }
}
