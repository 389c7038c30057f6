//! `paramedic doctor`: tries every target and every plugin, and says in one line each what is wrong and how to mend it.

use std::sync::Arc;

use futures_util::future::join_all;

use super::callers::TargetReviewer;
use crate::api::Reviewer;
use crate::catalog::{Catalog, Source, Surroundings};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Token};
use crate::domain::{Diagnosis, Identity, PluginVerb, Severity, Timestamp};
use crate::engine::Engine;
use crate::host::NoMemory;
use crate::store::KeepsNothing;

/// Examine what `config` names. Nothing is changed and the store is not opened, so this can run beside the agent.
pub async fn examine(config: &Config) -> anyhow::Result<Vec<Diagnosis>> {
    let targets = Arc::new(super::targets::build(&config.targets, &Arc::new(super::seal::of_nobody()))?);
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
    report.extend(super::rbac::compare(&super::rbac::places(config, None)?, &targets.kubernetes).await);
    report.extend(tokens(config, SystemClock.now()));
    report.extend(callers(config, &targets).await);
    report.extend(plugins(config, targets).await?);
    Ok(report)
}

fn tokens(config: &Config, now: Timestamp) -> Vec<Diagnosis> {
    if config.auth.is_nobody() {
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
    let expired = config.auth.tokens.iter().filter_map(|token| Some((token, token.expires.filter(|at| *at <= now)?)));
    let diagnosis = |(token, at): (&Token, Timestamp)| Diagnosis {
        severity: Severity::Warning,
        subject: format!("auth/{}", token.name),
        message: format!("the token expired at {at} and is refused"),
        remedy: Some("make another with `paramedic token new`, or remove the entry".to_owned()),
    };
    expired.map(diagnosis).collect()
}

/// Whether the cluster that knows callers answers when it is asked about them: about a token that is nobody's, and about nobody. Each
/// question takes a right of its own.
async fn callers(config: &Config, targets: &crate::host::Targets) -> Vec<Diagnosis> {
    let asked = config.auth.kubernetes.as_ref();
    let asked = asked.and_then(|callers| Some((callers, targets.kubernetes.get(&callers.target)?)));
    let Some((callers, client)) = asked else { return Vec::new() };
    let reviewer = TargetReviewer(client.clone());
    let nobody = Identity { username: "system:anonymous".to_owned(), ..Identity::default() };
    let whose = reviewer.identify("e30.e30.e30", &callers.audience).await.err();
    let may = reviewer.permits(&nobody, PluginVerb::Get, None).await.err();
    let subject = || "auth/kubernetes".to_owned();
    let wrong: Vec<Diagnosis> = [whose, may]
        .into_iter()
        .flatten()
        .map(|error| Diagnosis {
            severity: Severity::Error,
            subject: subject(),
            message: error.to_string(),
            remedy: Some(
                "bind the ClusterRole system:auth-delegator to the agent's service account, as `paramedic rbac` prints it"
                    .to_owned(),
            ),
        })
        .collect();
    if !wrong.is_empty() {
        return wrong;
    }
    vec![Diagnosis {
        severity: Severity::Ok,
        subject: subject(),
        message: format!("the cluster of kubernetes/{} can be asked about callers", callers.target),
        remedy: None,
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
    let way_in = super::intake::intake(config, Arc::new(KeepsNothing), Arc::default());
    let catalog = Catalog::with(way_in, engine, surroundings, super::intake::entries(config));
    catalog.load_all().await;
    if let Some(mut folder) = super::intake::folder(config) {
        folder.look(&catalog).await;
    }
    let mut report: Vec<_> = catalog.list().iter().map(|(entry, state)| plugin(entry, state)).collect();
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
        Some(crate::catalog::State::Loading | crate::catalog::State::Failed(_) | crate::catalog::State::Absent)
        | None => None,
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
            remedy: Some(error.remedy(&entry.source)),
        },
        State::Absent => Diagnosis {
            severity: Severity::Ok,
            subject,
            message: match entry.source {
                Source::File(_) | Source::Folder => "no version lies in the folder".to_owned(),
                Source::Upload => "its versions are pushed to the agent, which keeps them".to_owned(),
            },
            remedy: Some(format!("ask the agent: paramedic plugins {}", entry.name)),
        },
        State::Loading => Diagnosis {
            severity: Severity::Error,
            subject,
            message: "it was not loaded".to_owned(),
            remedy: Some("see the log of the agent".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn said(auth: &str, now: Timestamp) -> Vec<(Severity, String)> {
        let environment = |_: &str| Ok("0123456789abcdef0123456789abcdef".to_owned());
        let config = Config::parse(auth, Path::new("paramedic.yaml"), &environment).unwrap();
        tokens(&config, now).into_iter().map(|found| (found.severity, found.subject)).collect()
    }

    #[test]
    fn tokens_that_are_missing_or_have_expired_are_told() {
        let now: Timestamp = "2026-03-01T03:14:15Z".parse().unwrap();
        assert_eq!(said("", now), [(Severity::Error, "auth".to_owned())]);
        let digest = "ab".repeat(32);
        let (good, old) = ("2026-03-01T03:14:16Z", "2026-03-01T03:14:15Z");
        let auth = format!(
            "auth:\n  key: {{ env: K }}\n  tokens:\n    - {{ name: good, role: viewer, expires: {good}, hmac: {digest} }}\n    \
             - {{ name: old, role: viewer, expires: {old}, hmac: {} }}\n",
            "cd".repeat(32)
        );
        assert_eq!(said(&auth, now), [(Severity::Warning, "auth/old".to_owned())]);
    }
}
