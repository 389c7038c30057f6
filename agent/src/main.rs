//! The program: arguments, and the exit code.

use std::path::Path;
use std::process::ExitCode;

use paramedic::cli::{self, Command, Configuration, LogFormat};
use paramedic::config::{self, Config, ConfigError};
use paramedic::{app, telemetry};

fn main() -> ExitCode {
    let arguments = match cli::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match arguments.command {
        Command::Ask(question) => cli::execute(&arguments.connection, question),
        Command::Replay(replay) => cli::replay(&arguments.connection, replay),
        Command::Plugins(plugins) => cli::plugins(&arguments.connection, plugins),
        Command::Audit(audit) => cli::audit(&arguments.connection, audit),
        Command::Token(token) => cli::token(token),
        Command::Serve(serve) => told(self::serve(&serve)),
        Command::Doctor(doctor) => told(self::doctor(&doctor)),
        Command::Probe(probe) => cli::probe(&arguments.connection, probe),
        Command::Rbac(rbac) => told(self::rbac(&rbac)),
        Command::Config(Configuration::Check { config }) => told(check(&config)),
        Command::Config(Configuration::Reload(reload)) => cli::reload(&arguments.connection, reload),
        Command::Config(Configuration::Schema) => cli::print(&format!("{:#}\n", config::schema())),
    }
}

fn serve(arguments: &cli::Serve) -> anyhow::Result<ExitCode> {
    let format = match arguments.log_format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    telemetry::install(format, &arguments.log)?;
    app::forbid_core_dumps()?;
    let start = app::Start::read(&arguments.config)?;
    let runtime = runtime()?;
    let served = runtime.block_on(app::serve(start));
    // All is recorded by now. A component that is still being compiled on a thread of its own is not waited for.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

fn doctor(arguments: &cli::Doctor) -> anyhow::Result<ExitCode> {
    app::forbid_core_dumps()?;
    let config = Config::load(&arguments.config)?;
    let diagnoses = runtime()?.block_on(app::examine(&config))?;
    Ok(cli::report(&diagnoses))
}

fn rbac(arguments: &cli::Rbac) -> anyhow::Result<ExitCode> {
    app::forbid_core_dumps()?;
    let config = Config::load(&arguments.config)?;
    let places = app::places(&config, arguments.target.as_ref())?;
    if arguments.check {
        return Ok(cli::report(&runtime()?.block_on(app::examine_rights(&config, &places))?));
    }
    app::in_one_cluster(&places)?;
    let role =
        |place: &app::Place| cli::role(&place.targets, &place.namespace, &place.needs, &arguments.service_account);
    let roles: String = places.iter().map(role).collect();
    // One is enough: in_one_cluster has refused several clusters.
    let callers = places.iter().any(|place| place.callers).then(|| cli::delegation(&arguments.service_account));
    Ok(cli::print(&(roles + &callers.unwrap_or_default())))
}

fn check(path: &Path) -> anyhow::Result<ExitCode> {
    match Config::load(path) {
        Ok(config) => {
            let (targets, plugins) = (config.targets.count(), config.plugins.len());
            let found = format!("{}: nothing is wrong (targets: {targets}, plugins: {plugins})\n", path.display());
            Ok(cli::print(&found))
        }
        Err(problems @ ConfigError::Invalid { .. }) => {
            eprintln!("{problems}");
            Ok(ExitCode::from(2))
        }
        Err(error) => Err(error.into()),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Say with all its causes why there is nothing to show.
fn told(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("paramedic: {error:#}");
        ExitCode::from(3)
    })
}
