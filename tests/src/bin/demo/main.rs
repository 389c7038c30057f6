//! The demo: real services in real trouble, the agent finding it, and what it does about it.
//!
//! Every step is what an operator would do with curl. With `--once` it ends by itself, with success only if every
//! planted trouble was found and named; otherwise it leaves everything running until Ctrl-C. All servers belong to this
//! process and end with it, however it ends.

mod checks;
mod curl;
mod mitigations;
mod trouble;

use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Context, bail};
use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::{access, components, secret};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use curl::Curl;
use trouble::Troubled;

const CONFIGURATION: &str = include_str!("paramedic.yaml");

/// When the demo ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    ByItself,
    OnSignal,
}

/// What is there once everything has been shown.
struct Shown {
    complaints: Vec<String>,
    agent: Agent,
    troubled: Troubled,
}

fn main() -> anyhow::Result<ExitCode> {
    let end = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => End::OnSignal,
        [once] if once == "--once" => End::ByItself,
        other => bail!("the demo takes --once or nothing, not {}", other.join(" ")),
    };
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let exit = runtime.block_on(run(end));
    // A step under way is not waited for: its server sees the end of this process.
    runtime.shutdown_background();
    exit
}

async fn run(end: End) -> anyhow::Result<ExitCode> {
    let mut interruption = pin!(interruption()?);
    let shown = tokio::select! {
        shown = tokio::spawn(show()) => shown.context("the demo panicked")??,
        () = &mut interruption => return Ok(ExitCode::from(130)),
    };
    if end == End::OnSignal {
        explain(&shown)?;
        interruption.await;
    }
    println!("\n… stopping everything");
    Ok(if shown.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Comes true at Ctrl-C, or when somebody asks the process to end.
fn interruption() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

async fn show() -> anyhow::Result<Shown> {
    let troubled = Troubled::start(|step| println!("… {step}")).await?;
    println!("… starting the agent");
    let token = secret::random();
    let agent = start_agent(&troubled, &token)?;
    println!("… the page is at {}/ and takes the same token", agent.url());
    println!("\n$ URL={} TOKEN={token}", agent.url());
    let curl = Curl::new(&agent, &token);
    let mut complaints = run_checks(&curl)?;
    complaints.extend(mitigations::run(&curl, &troubled)?);
    Ok(Shown { complaints, agent, troubled })
}

fn start_agent(troubled: &Troubled, token: &str) -> anyhow::Result<Agent> {
    let home = Home::new()?;
    home.write("secrets/postgres", &troubled.database.monitor()?)?;
    home.write("secrets/postgres-signal", &troubled.database.signal()?)?;
    home.write("secrets/redis", &troubled.redis.freer("*")?)?;
    home.write("secrets/token-key", access::key())?;
    home.write("secrets/queue", &troubled.redis.queue_user("bull", "email")?)?;
    let plugins = components::target_directory()?.join("plugins");
    let address = agent::free_address()?;
    let configuration = CONFIGURATION
        .replace("@LISTEN@", &address)
        .replace("@TOKEN_HMAC@", &access::digest(token))
        .replace("@SHOP@", &troubled.shop.url())
        .replace("@PLUGINS@", &plugins.display().to_string());
    Agent::start(home, &configuration, &address)
}

/// Runs every check and gives what is wrong with the verdicts.
fn run_checks(curl: &Curl) -> anyhow::Result<Vec<String>> {
    let mut complaints = Vec::new();
    for check in checks::all() {
        curl.show_run(check.plugin, &check.params)?;
        complaints.extend(check.complaint(&curl.newest_run()?));
    }
    println!();
    for complaint in &complaints {
        println!("NOT FOUND: {complaint}");
    }
    if complaints.is_empty() {
        println!("Every planted trouble was found, and its culprit named.");
    }
    Ok(complaints)
}

fn explain(shown: &Shown) -> anyhow::Result<()> {
    let Shown { agent, troubled, .. } = shown;
    println!(
        "
Everything is still running; Ctrl-C stops it. With URL and TOKEN as above, go on in another terminal:

  curl -s -H \"Authorization: Bearer $TOKEN\" $URL/v1/plugins | jq .
  curl -s -H \"Authorization: Bearer $TOKEN\" \"$URL/v1/runs?limit=5\" | jq .
  curl -s -H \"Authorization: Bearer $TOKEN\" $URL/metrics
  PARAMEDIC_URL=$URL PARAMEDIC_TOKEN=$TOKEN {} run pg-connections

To look at the trouble, or to make more of it:

  psql {}
  redis-cli -u {}

The agent's configuration and database are in {}.",
        agent::program()?.display(),
        troubled.database.superuser_url(),
        troubled.redis.admin_url(),
        agent.directory().display(),
    );
    Ok(())
}
