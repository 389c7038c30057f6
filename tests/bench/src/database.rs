//! Measures 14 to 16: a guest's query, and twenty checks that wait for the database.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use paramedic::clients::postgres;
use paramedic::domain::{ChangeBounds, Grant, Operation, Secret, System, Target, TargetName};
use paramedic::engine::Allocation;
use paramedic::host::Targets;
use paramedic_tests::postgres::{Postgres, Settings, connect};
use serde_json::json;

use crate::plugins::Subject;
use crate::report::{Report, Row, Unit};
use crate::samples::{Samples, micros, millis};
use crate::{Bench, plugins};

const ROUNDS: usize = 10;
const QUERIES: usize = 60;
const SWEEPS: usize = 3;
const CHECKS: usize = 20;

/// Twenty milliseconds in which the connection is taken. Plugins may not call `pg_sleep`; what a view does is up to those who
/// made it.
const VIEW: &str = "CREATE VIEW waiting AS SELECT pg_sleep(0.02)::text AS slept";

/// The pools: as many connections as there are checks, and fewer.
const WIDE: (&str, usize) = ("wide", 20);
const NARROW: (&str, usize) = ("narrow", 8);

/// Measure and report.
pub fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let server = Postgres::start(&Settings::default())?;
    let database = server.database()?;
    database.sql(VIEW)?;
    let url = database.login("bench", "CONNECTION LIMIT 40 IN ROLE pg_read_all_stats")?;
    database.sql(&format!("GRANT SELECT ON waiting TO {}_bench", database.name()))?;

    let settings = plugins::settings(Allocation::Pooled);
    let mut entry = plugins::entry("query", paramedic_tests::components::guest("query")?, grants()?)?;
    entry.limits.calls = 10;
    let io = bench.agent.handle().clone();
    let catalog = bench.agent.block_on(plugins::catalog(&settings, io, targets(&url)?, vec![entry]))?;
    let subject = |target: &str, sql: &str| Subject::new(&catalog, "query", json!({ "target": target, "sql": sql }));

    queries(bench, &url, server.psql(), &subject(WIDE.0, "select 1")?, report)?;
    let waiting = "select slept from public.waiting";
    sweeps(bench, &subject(WIDE.0, waiting)?, &subject(NARROW.0, waiting)?, report)
}

fn grants() -> anyhow::Result<Vec<Grant>> {
    let grant = |name: &str| {
        let target = Target { system: System::Postgres, name: name.parse()? };
        Ok(Grant {
            target,
            operations: vec![Operation::PostgresQuery],
            keys: Vec::new(),
            paths: Vec::new(),
            resources: Vec::new(),
            changes: ChangeBounds::default(),
        })
    };
    [WIDE.0, NARROW.0].into_iter().map(grant).collect()
}

fn targets(url: &str) -> anyhow::Result<Targets> {
    let mut clients = HashMap::new();
    for (name, connections) in [WIDE, NARROW] {
        let name: TargetName = name.parse()?;
        let settings = postgres::Settings { connections, ..postgres::Settings::new(Secret::new(url)) };
        clients.insert(name.clone(), Arc::new(postgres::Postgres::new(name, settings)?));
    }
    Ok(Targets { postgres: clients, ..Targets::default() })
}

/// `select 1` on a kept connection, through a guest, and through `psql`.
fn queries(bench: &Bench, url: &str, psql: &Path, guest: &Subject, report: &mut Report) -> anyhow::Result<()> {
    let raw = bench.agent.block_on(connect(url, "bench"))?;
    bench.agent.block_on(guest.succeed("1 rows"))?;
    let (mut raws, mut guests, mut psqls) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bench.agent.block_on(async {
            for _ in 0..QUERIES {
                let began = Instant::now();
                raw.simple_query("select 1").await?;
                raws.push(micros(began.elapsed()));
            }
            for _ in 0..QUERIES {
                let began = Instant::now();
                guest.succeed("1 rows").await?;
                guests.push(micros(began.elapsed()));
            }
            anyhow::Ok(())
        })?;
        for _ in 0..2 {
            psqls.push(psql_once(psql, url)?);
        }
    }
    let [raw, guest, psql] = [Samples::of(raws)?, Samples::of(guests)?, Samples::of(psqls)?];
    let figures = json!({ "raw us": raw.summary(), "guest us": guest.summary(), "psql us": psql.summary() });
    let row = Row::ratio(14, "guest's query over raw pooled query", Unit::Micros, (raw.median(), guest.median()));
    report.add(row.at_most(2.8).raw(figures.clone()));
    let row = Row::ratio(15, "psql -c over guest's query", Unit::Micros, (psql.median(), guest.median()));
    report.add(row.inverted().at_least(25.0).raw(figures));
    Ok(())
}

fn psql_once(psql: &Path, url: &str) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut command = Command::new(psql);
    command.args(["--no-psqlrc", "--dbname", url, "--command", "select 1"]);
    let status = command.stdout(Stdio::null()).status().context("cannot run psql")?;
    ensure!(status.success(), "psql ended with {status}");
    Ok(micros(began.elapsed()))
}

/// Checks that each hold a connection for a while: one, and twenty at once.
fn sweeps(bench: &Bench, wide: &Subject, narrow: &Subject, report: &mut Report) -> anyhow::Result<()> {
    for subject in [wide, narrow] {
        sweep(bench, subject, CHECKS)?;
    }
    let (mut one, mut all, mut few) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for _ in 0..SWEEPS {
            one.push(sweep(bench, wide, 1)?);
            all.push(sweep(bench, wide, CHECKS)?);
            few.push(sweep(bench, narrow, CHECKS)?);
        }
    }
    let [one, all, few] = [Samples::of(one)?, Samples::of(all)?, Samples::of(few)?];
    let figures =
        json!({ "one ms": one.summary(), "20 connections ms": all.summary(), "8 connections ms": few.summary() });
    let row = Row::ratio(16, "20 waiting checks over one, 20 connections", Unit::Millis, (one.median(), all.median()));
    report.add(row.at_most(1.3).raw(figures.clone()));
    let row = Row::ratio(16, "the same, 8 connections", Unit::Millis, (one.median(), few.median()));
    report.add(row.at_most(3.5).raw(figures));
    Ok(())
}

fn sweep(bench: &Bench, check: &Subject, checks: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    let run = |_| {
        let check = check.clone();
        bench.agent.spawn(async move { check.succeed("1 rows").await })
    };
    let runs: Vec<_> = (0..checks).map(run).collect();
    let ended = bench.agent.block_on(try_join_all(runs)).context("a check panicked")?;
    ended.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    Ok(millis(began.elapsed()))
}
