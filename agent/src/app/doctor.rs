//! `paramedic doctor`: tries every target and every plugin, and says in one line each what is wrong and how to mend it.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::catalog::{Catalog, Surroundings};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Token};
use crate::domain::{Diagnosis, Severity, Timestamp};
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
    if config.auth.tokens.is_empty() {
        return vec![Diagnosis {
            severity: Severity::Error,
            subject: "auth".to_owned(),
            message: "no token is configured, so nobody could ask anything".to_owned(),
            remedy: Some(
                "put the output of `openssl rand -hex 32` into a file, name it in auth.key, and put the entry that \
                 `paramedic token new` prints into auth.tokens"
                    .to_owned(),
            ),
        }];
    }
    let now = SystemClock.now();
    let expired = config.auth.tokens.iter().filter_map(|token| Some((token, token.expires.filter(|at| *at <= now)?)));
    let diagnosis = |(token, at): (&Token, Timestamp)| Diagnosis {
        severity: Severity::Warning,
        subject: format!("auth/{}", token.name),
        message: format!("the token expired at {at} and is refused"),
        remedy: Some("make another with `paramedic token new`, or remove the entry".to_owned()),
    };
    expired.map(diagnosis).collect()
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
    Ok(catalog.list().map(|(entry, state)| plugin(entry, &state)).collect())
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
