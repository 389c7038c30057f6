//! Measure 20: how long it takes until a new version of a plugin has its first result.
//!
//! A component of some 130 KB that no engine has seen before is pushed to the API and run, one request after the other, as
//! `paramedic plugins push` and `run` do it. Every step is in it: upload, digest, compiling, describing, the store.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use paramedic::catalog::{Catalog, Entry, Intake, Source, Surroundings};
use paramedic::clock::SystemClock;
use paramedic::engine::{Allocation, Engine};
use paramedic::host::{NoMemory, Targets};
use paramedic::store::{SqliteStore, StoreOptions};
use paramedic_tests::api::Api;
use paramedic_tests::components;
use serde_json::json;

use crate::report::{Report, Row, Unit};
use crate::samples::{Samples, millis};
use crate::server::{Server, TOKEN};
use crate::{Bench, plugins};

/// Versions that are pushed.
const VERSIONS: u32 = 9;

/// Measure and report.
pub fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let folder = bench.scratch.path().join("ship");
    std::fs::create_dir(&folder)?;
    let clock = Arc::new(SystemClock);
    let store = Arc::new(SqliteStore::open(&folder.join("paramedic.db"), clock.clone(), StoreOptions::default())?);
    let surroundings = Surroundings {
        targets: Arc::new(Targets::default()),
        memory: Arc::new(NoMemory),
        clock,
        io: bench.agent.handle().clone(),
    };
    let engine = Arc::new(Engine::new(&plugins::settings(Allocation::Pooled))?);
    let entry = Entry { source: Source::Upload, ..plugins::entry("noop", folder, Vec::new())? };
    let intake = Intake { store: store.clone(), ..Intake::default() };
    let catalog = Arc::new(Catalog::with(intake, engine, surroundings, vec![entry]));
    bench.agent.block_on(catalog.load_all());
    let server = Server::start(bench, catalog, store)?;

    let noop = std::fs::read(components::guest("noop")?)?;
    let mut times = Vec::new();
    for number in 1..=VERSIONS {
        times.push(ship(server.address(), &components::as_version(&noop, "noop", &format!("0.{number}.0"))?)?);
    }
    let times = Samples::of(times)?;
    let size = noop.len() / 1024;
    let measure = format!("from the push of a component of {size} KiB to its first result");
    let row = Row::absolute(20, &measure, Unit::Millis, times.median());
    report.add(row.at_most(500.0).raw(json!({ "ms": times.values(), "bytes": noop.len() })));
    Ok(())
}

fn ship(address: SocketAddr, component: &[u8]) -> anyhow::Result<f64> {
    let api = Api::new(&address.to_string(), Some(TOKEN));
    let began = Instant::now();
    let pushed = api.send("POST", "/v1/plugins/noop/versions", &["content-type: application/wasm"], component)?;
    ensure!(pushed.status == 200, "the push was refused: {}", pushed.body);
    let run = api.run(&json!({ "plugin": "noop" }), &[])?.json()?;
    let took = millis(began.elapsed());
    let version = pushed.json()?.get("version").cloned().context("a push without a version")?;
    ensure!(run.get("version") == Some(&version) && run.get("state") == Some(&json!("ok")), "another run: {run}");
    Ok(took)
}
