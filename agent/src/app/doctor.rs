//! `paramedic doctor`: tries every target and every plugin, and says in one line each what is wrong and how to mend it.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::catalog::{Catalog, Surroundings};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::domain::{Diagnosis, Severity};
use crate::engine::Engine;
use crate::host::NoMemory;

/// Examine what `config` names. Nothing is changed and the store is not opened, so this can run beside the agent.
pub async fn examine(config: &Config) -> anyhow::Result<Vec<Diagnosis>> {
    let targets = Arc::new(super::targets::build(&config.targets)?);
    let mut report = Vec::new();
    for client in targets.postgres.values() {
        report.extend(client.diagnose().await);
    }
    for client in targets.redis.values() {
        report.extend(client.diagnose().await);
    }
    for client in targets.queue.values() {
        report.extend(client.diagnose().await);
    }
    report.extend(join_all(targets.http.values().map(|client| client.diagnose())).await.into_iter().flatten());
    report.extend(tokens(config));
    report.extend(plugins(config, targets).await?);
    Ok(report)
}

fn tokens(config: &Config) -> Vec<Diagnosis> {
    if !config.tokens.is_empty() {
        return Vec::new();
    }
    vec![Diagnosis {
        severity: Severity::Error,
        subject: "auth".to_owned(),
        message: "no token is configured, so nobody could ask anything".to_owned(),
        remedy: Some(
            "make one with `openssl rand -hex 32` and put the output of `printf %s \"$TOKEN\" | sha256sum` \
             into auth.tokens as `{ name: you, sha256: … }`"
                .to_owned(),
        ),
    }]
}

async fn plugins(config: &Config, targets: Arc<crate::host::Targets>) -> anyhow::Result<Vec<Diagnosis>> {
    let engine = Arc::new(Engine::new(&super::engine_settings(config))?);
    let surroundings = Surroundings {
        targets,
        memory: Arc::new(NoMemory),
        clock: Arc::new(SystemClock),
        io: tokio::runtime::Handle::current(),
    };
    let catalog = Catalog::new(engine, surroundings, super::entries(config));
    catalog.load_all().await;
    let mut report: Vec<_> = catalog.list().map(|(entry, state)| plugin(entry, &state)).collect();
    report.extend(config.sweeps.iter().map(|(name, sweep)| self::sweep(&catalog, name, sweep)));
    Ok(report)
}

/// Whether the parameters of a sweep's checks fit; only the plugins know.
fn sweep(catalog: &Catalog, name: &crate::domain::SweepName, sweep: &crate::config::Sweep) -> Diagnosis {
    let refused = sweep.checks.iter().find_map(|check| match catalog.get(&check.plugin) {
        Some(crate::catalog::State::Active(plugin)) => {
            let error = plugin.params(check.params.clone()).err()?;
            Some(format!("{}: {}", check.plugin, super::sweeps::params_refused(&error)))
        }
        // That is told of the plugin.
        Some(crate::catalog::State::Loading | crate::catalog::State::Failed(_)) | None => None,
    });
    let subject = format!("sweep/{name}");
    match refused {
        None => Diagnosis {
            severity: Severity::Ok,
            subject,
            message: format!("its {} checks have parameters that fit", sweep.checks.len()),
            remedy: None,
        },
        Some(message) => Diagnosis {
            severity: Severity::Error,
            subject,
            message,
            remedy: Some(format!("correct the `params` of this check in sweeps.{name}.checks")),
        },
    }
}

fn plugin(entry: &crate::catalog::Entry, state: &crate::catalog::State) -> Diagnosis {
    use crate::catalog::State;
    let subject = format!("plugin/{}", entry.name);
    match state {
        State::Active(plugin) => Diagnosis {
            severity: Severity::Ok,
            subject,
            message: format!("version {} can run", plugin.metadata.version),
            remedy: None,
        },
        State::Failed(error) => Diagnosis {
            severity: Severity::Error,
            subject,
            message: error.chain(),
            remedy: Some(error.remedy(&entry.file)),
        },
        State::Loading => Diagnosis {
            severity: Severity::Error,
            subject,
            message: "it was not loaded".to_owned(),
            remedy: Some("see the log of the agent".to_owned()),
        },
    }
}
