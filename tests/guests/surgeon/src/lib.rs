//! Makes one change, whichever it is told, and then looks at something that has nothing to do with it.

use paramedic_sdk::http::Request;
use paramedic_sdk::postgres::SessionKey;
use paramedic_sdk::{
    Context, Description, Error, Failure, Outcome, Plugin, Receipt, Risk, Workload, WorkloadKind, http, kubernetes,
    postgres, queue, redis,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of surgeon.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What it changes.
    change: Change,
}

/// A change; its target is the one for its system.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "do", deny_unknown_fields)]
enum Change {
    /// Cancel what a session runs.
    Cancel {
        /// Process number of the session.
        pid: i32,
        /// When it started, in microseconds since 1970.
        started: u64,
    },
    /// End a session.
    Terminate {
        /// Process number of the session.
        pid: i32,
        /// When it started, in microseconds since 1970.
        started: u64,
    },
    /// Remove keys.
    Remove {
        /// The pattern.
        pattern: String,
    },
    /// Let keys expire.
    Expire {
        /// The pattern.
        pattern: String,
    },
    /// Pause the queue.
    Pause,
    /// Resume it.
    Resume,
    /// Remove failed jobs.
    Clean,
    /// Retry failed jobs.
    Retry,
    /// Send a request.
    Send,
    /// Give a Deployment another number of replicas.
    Scale {
        /// Its name.
        deployment: String,
        /// The number.
        replicas: u32,
    },
}

/// The mitigation.
pub struct Surgeon;

paramedic_sdk::export!(Surgeon);

impl Plugin for Surgeon {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation("surgeon", env!("CARGO_PKG_VERSION"), "Makes one change", Risk::High)
            .needs("redis-actions/remove-keys", "cache", "to make it")
            .time_limit(120.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let receipt = params.change.make()?;
        params.change.look()?;
        Ok(Outcome::ok(format!("{:?}: {}", receipt.disposition, receipt.summary)))
    }
}

impl Change {
    fn make(&self) -> Result<Receipt, Error> {
        let keys = |pattern: &str| redis::Selection { pattern: pattern.to_owned(), min_idle: None, limit: 100 };
        let jobs = queue::Selection { min_age: 0.0, job_name: None, reason: None, limit: 100 };
        match self {
            Self::Cancel { pid, started } => postgres::cancel_query("main", key(*pid, *started)),
            Self::Terminate { pid, started } => postgres::terminate_session("main", key(*pid, *started)),
            Self::Remove { pattern } => redis::remove_keys("cache", &keys(pattern)),
            Self::Expire { pattern } => redis::expire_keys("cache", &keys(pattern), 3600.0),
            Self::Pause => queue::pause("email"),
            Self::Resume => queue::resume("email"),
            Self::Clean => queue::clean_failed("email", &jobs),
            Self::Retry => queue::retry_failed("email", &jobs),
            Self::Send => http::send("POST", &Request::new("hook", "/maintenance"), b"{}").map(|sent| sent.receipt),
            Self::Scale { deployment, replicas } => {
                kubernetes::scale(&Workload::new("prod", WorkloadKind::Deployment, deployment), *replicas)
            }
        }
    }

    /// Ask the same server for something with the word `after` in it.
    fn look(&self) -> Result<(), Error> {
        match self {
            Self::Cancel { .. } | Self::Terminate { .. } => postgres::query("main", "SELECT 'after'", &[]).map(drop),
            Self::Send => http::get(&Request::new("hook", "/after")).map(drop),
            Self::Scale { .. } => kubernetes::list_pods("prod", "after").map(drop),
            Self::Remove { .. } | Self::Expire { .. } | Self::Pause | Self::Resume | Self::Clean | Self::Retry => {
                redis::scan("cache", "after*", None, 1).map(drop)
            }
        }
    }
}

fn key(pid: i32, started: u64) -> SessionKey {
    SessionKey { pid, started_micros: started }
}
