//! The command line: what can be typed, and the commands that ask a running agent.
//!
//! `serve`, `doctor` and `rbac --check` need what the agent is made of, and `config` and `rbac` its configuration, so `main` sees to them; everything else is a question to an agent,
//! asked over the same HTTP API that everybody has. This module knows the API's shapes and cards and nothing of what is
//! behind them.
//!
//! A token is not an argument, because arguments can be read by everybody on the machine: it comes from the variable
//! `PARAMEDIC_TOKEN` or from a file.

mod archive;
mod audit;
mod client;
mod configuration;
mod doctor;
mod follow;
mod freeze;
mod leases;
mod output;
mod plans;
mod plugins;
mod probe;
mod rbac;
mod replay;
mod run;
mod runs;
mod silence;
mod sweeps;
mod token;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use doctor::report;
pub use rbac::{Rbac, ServiceAccount, delegation, role};

use crate::clock::SystemClock;
use client::{AskError, Client};

/// Exit code of everything that could not be done. Monitoring systems read it as "unknown".
const UNKNOWN: u8 = 3;

/// Answers incidents with sandboxed WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "paramedic", version, about, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// Which agent is asked, and by whom.
    #[command(flatten)]
    pub connection: Connection,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// Which agent is asked, and by whom.
#[derive(Args, Debug)]
pub struct Connection {
    /// Address of the agent.
    #[arg(long, global = true, value_name = "URL", env = "PARAMEDIC_URL", default_value = "http://127.0.0.1:7117")]
    server: String,
    /// File with the token; without it the variable PARAMEDIC_TOKEN holds it.
    #[arg(long, global = true, value_name = "FILE", env = "PARAMEDIC_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Certificates in PEM that are trusted instead of the system's, for an agent with TLS.
    #[arg(long, global = true, value_name = "FILE", env = "PARAMEDIC_CA")]
    ca: Option<PathBuf>,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent.
    Serve(Serve),
    /// Try every target and every plugin, and say what is wrong and how to mend it.
    Doctor(Doctor),
    /// Ask whether an agent lives or is ready, without a token; exits with 0 if so, and with 3 if not.
    Probe(probe::Probe),
    /// Print the smallest Role of Kubernetes for what is granted, or compare it with what the agent may really do.
    Rbac(Rbac),
    /// Look at the configuration, or have the agent read it again.
    #[command(subcommand)]
    Config(Configuration),
    /// Look whether the records are as they were recorded, or take them elsewhere.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Run a recorded run again without touching anything; exits with 0 if it acts the same, 1 if not, 3 if it could not be run.
    Replay(replay::Replay),
    /// List plugins, or show one; deliver, compare, test and activate versions.
    Plugins(plugins::Plugins),
    /// Make tokens, and the digests by which the agent knows them.
    Token(token::Token),
    /// Everything that is asked of a running agent.
    #[command(flatten)]
    Ask(Question),
}

/// `paramedic serve`.
#[derive(Args, Debug)]
pub struct Serve {
    /// The configuration.
    #[arg(long, short, value_name = "FILE", env = "PARAMEDIC_CONFIG", default_value = "paramedic.yaml")]
    pub config: PathBuf,
    /// What is logged, such as `info` or `info,paramedic=debug`.
    #[arg(long, value_name = "FILTER", env = "PARAMEDIC_LOG", default_value = "info")]
    pub log: String,
    /// How a log line looks.
    #[arg(long, value_name = "FORMAT", env = "PARAMEDIC_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `paramedic doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// The configuration.
    #[arg(long, short, value_name = "FILE", env = "PARAMEDIC_CONFIG", default_value = "paramedic.yaml")]
    pub config: PathBuf,
}

/// `paramedic config`.
#[derive(Debug, Subcommand)]
pub enum Configuration {
    /// Say everything that is wrong with the configuration, as the agent would at its start; exits with 2 if anything is.
    Check {
        /// The configuration.
        #[arg(long, short, value_name = "FILE", env = "PARAMEDIC_CONFIG", default_value = "paramedic.yaml")]
        config: PathBuf,
    },
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Have a running agent read its configuration again, and say what was different; exits with 3 if it is refused.
    Reload(configuration::Reload),
}

/// What is asked of a running agent.
#[derive(Debug, Subcommand)]
pub enum Question {
    /// Run a plugin; exits with 0 for ok, 1 for warning, 2 for critical, 3 for unknown.
    Run(run::Run),
    /// List what a mitigation would change, and change nothing.
    Plan(plans::Plan),
    /// Carry out a plan; exits with 0 for ok, 1 for warning, 2 for critical, 3 for unknown or when nothing was done.
    Apply(plans::Apply),
    /// Agree with a plan that somebody else asked for.
    Approve(plans::Approve),
    /// Give back what a run changed.
    Undo(plans::Undo),
    /// Have nothing changed for a while: all, a target, or by a plugin. What was changed can still be undone.
    Freeze(freeze::Freeze),
    /// List what is frozen.
    Freezes(freeze::Freezes),
    /// Lift a freeze.
    Unfreeze(freeze::Unfreeze),
    /// List what is given back by itself, and when; extend or end that.
    Leases(leases::Leases),
    /// List runs, show one, or end one.
    Runs(runs::Runs),
    /// Save the files that a run left, such as one of `capture-state`.
    Archive(archive::Archive),
    /// Run a sweep now; exits with 0 for ok, 1 for warning, 2 for critical, 3 for unknown.
    Sweep(sweeps::Sweep),
    /// List sweeps and how they stand, or show one with its history.
    Sweeps(sweeps::Sweeps),
    /// Say that somebody knows: nobody needs to hear of a sweep for a while.
    Silence(silence::Silence),
}

/// Read the arguments. What is not understood has been told when this answers with an exit code, which is that of
/// "unknown": a monitoring system must not take a slip of the finger for a critical verdict.
pub fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        // There is nobody left to tell if even this cannot be printed.
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(UNKNOWN) } else { ExitCode::SUCCESS }
    })
}

/// Print what needs no agent.
pub fn print(text: &str) -> ExitCode {
    match output::print(&mut anstream::stdout().lock(), text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&AskError::Output(error));
            ExitCode::from(UNKNOWN)
        }
    }
}

/// Make a token or a digest, print it, and tell the exit code.
pub fn token(token: token::Token) -> ExitCode {
    match token.execute(&SystemClock) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            ExitCode::from(UNKNOWN)
        }
    }
}

/// Ask an agent, print the answer, and tell the exit code.
pub fn execute(connection: &Connection, question: Question) -> ExitCode {
    ask(connection, async |client| match question {
        Question::Run(run) => run.execute(&client).await,
        Question::Plan(plan) => plan.execute(&client).await,
        Question::Apply(apply) => apply.execute(&client).await,
        Question::Approve(approve) => approve.execute(&client).await,
        Question::Undo(undo) => undo.execute(&client).await,
        Question::Freeze(freeze) => freeze.execute(&client).await,
        Question::Freezes(freezes) => freezes.execute(&client).await,
        Question::Unfreeze(unfreeze) => unfreeze.execute(&client).await,
        Question::Leases(leases) => leases.execute(&client).await,
        Question::Runs(runs) => runs.execute(&client).await,
        Question::Archive(archive) => archive.execute(&client).await,
        Question::Sweep(sweep) => sweep.execute(&client).await,
        Question::Sweeps(sweeps) => sweeps.execute(&client).await,
        Question::Silence(silence) => silence.execute(&client).await,
    })
}

/// Look after the chain of records, print what was found, and tell the exit code.
pub fn audit(connection: &Connection, audit: audit::Audit) -> ExitCode {
    match audit.needs_no_agent() {
        Ok(check) => ExitCode::from(check.execute().unwrap_or_else(|error| {
            output::complain(&format_args!("cannot read the export: {error}"));
            UNKNOWN
        })),
        Err(audit) => ask(connection, async |client| audit.execute(&client).await),
    }
}

/// Run a recorded run again, print what was found, and tell the exit code.
pub fn replay(connection: &Connection, replay: replay::Replay) -> ExitCode {
    alone(async || replay.execute(connection).await)
}

/// Look at plugins, or after them, print what was found, and tell the exit code.
pub fn plugins(connection: &Connection, plugins: plugins::Plugins) -> ExitCode {
    match plugins.needs_no_agent() {
        Ok(suite) => alone(async || suite.execute().await),
        Err(plugins) => ask(connection, async |client| plugins.execute(&client).await),
    }
}

/// Ask how an agent is, and tell the exit code.
pub fn probe(connection: &Connection, probe: probe::Probe) -> ExitCode {
    alone(async || probe.execute(connection).await)
}

/// Have an agent read its configuration again, print what was different, and tell the exit code.
pub fn reload(connection: &Connection, reload: configuration::Reload) -> ExitCode {
    ask(connection, async |client| reload.execute(&client).await)
}

fn ask(connection: &Connection, question: impl AsyncFnOnce(Client) -> Result<u8, AskError>) -> ExitCode {
    alone(async || question(Client::new(connection)?).await)
}

/// Do something, and tell the exit code.
fn alone(deed: impl AsyncFnOnce() -> Result<u8, AskError>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = match runtime {
        Ok(runtime) => runtime.block_on(deed()),
        Err(error) => Err(AskError::Runtime(error)),
    };
    let code = answer.unwrap_or_else(|error| {
        output::complain(&error);
        UNKNOWN
    });
    ExitCode::from(code)
}

#[cfg(test)]
mod tests;
