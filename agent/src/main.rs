//! The program: arguments, and the exit code.

use std::process::ExitCode;

use paramedic::cli::{self, Command, LogFormat};
use paramedic::config::Config;
use paramedic::{app, telemetry};

fn main() -> ExitCode {
    let arguments = match cli::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match arguments.command {
        Command::Ask(question) => cli::execute(&arguments.connection, question),
        Command::Token(token) => cli::token(token),
        Command::Serve(serve) => told(self::serve(&serve)),
        Command::Doctor(doctor) => told(self::doctor(&doctor)),
    }
}

fn serve(arguments: &cli::Serve) -> anyhow::Result<ExitCode> {
    let format = match arguments.log_format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    telemetry::install(format, &arguments.log)?;
    let config = Config::load(&arguments.config)?;
    let runtime = runtime()?;
    let served = runtime.block_on(app::serve(config));
    // All is recorded by now. A component that is still being compiled on a thread of its own is not waited for.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

fn doctor(arguments: &cli::Doctor) -> anyhow::Result<ExitCode> {
    let config = Config::load(&arguments.config)?;
    let diagnoses = runtime()?.block_on(app::examine(&config))?;
    Ok(cli::report(&diagnoses))
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
