//! Measures 26 to 28: what it costs that a change is planned, compared and recorded, and what others feel of a large one.
//!
//! All of it against the real program and a Redis of its own.

mod clearing;
mod ward;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use paramedic::clients::redis::{KeySelection, Redis as Client, Settings};
use paramedic::domain::{CallLimits, ChangeBounds, Grant, Operation, Secret, System, Target};
use paramedic::journal::{Change, Halt, Performed};
use paramedic::policy::op::RedisRemoveKeys;
use paramedic::policy::{Grants, decide};
use serde_json::{Value, json};

use crate::Bench;
use crate::api::Appended;
use crate::report::{Report, Row, Unit};
use crate::samples::{Samples, micros};
use ward::Ward;

/// Changes of the longer of two runs; the shorter one makes a single one, so that the difference is what a change costs.
const CHANGES: u32 = 100;

/// Pairs of runs.
const ROUNDS: usize = 15;

/// Measure and report.
pub fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let ward = Ward::start(&bench.scratch.path().join("changes"))?;
    overhead(bench, &ward, report)?;
    clearing::measure(&ward, report)
}

/// The same key is removed by the agent as its plan says, and by the client alone with two records as plain files.
fn overhead(bench: &Bench, ward: &Ward, report: &mut Report) -> anyhow::Result<()> {
    let client = client(ward)?;
    let mut appended = Appended::new(&bench.scratch.path().join("recorded"))?;
    let (mut floors, mut agents) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        agents.push((by_agent(ward, CHANGES)? - by_agent(ward, 1)?) / f64::from(CHANGES - 1));
        ward.set_keys("one:", CHANGES)?;
        let began = Instant::now();
        for number in 1..=CHANGES {
            appended.one()?;
            bench.agent.block_on(by_client(&client, &key(number)))?;
            appended.one()?;
        }
        floors.push(micros(began.elapsed()) / f64::from(CHANGES));
    }
    let (floors, agents) = (Samples::of(floors)?, Samples::of(agents)?);
    let measure = "a change of a plan that is applied / by its client, with two appended pages";
    let row = Row::ratio(26, measure, Unit::Micros, (floors.median(), agents.median()));
    report.add(row.at_most(1.3).raw(json!({ "client": floors.values(), "agent": agents.values() })));
    Ok(())
}

fn key(number: u32) -> String {
    format!("one:{number}")
}

/// Microseconds that a run takes which removes so many keys, one after the other.
fn by_agent(ward: &Ward, changes: u32) -> anyhow::Result<f64> {
    ward.set_keys("one:", changes)?;
    let remove = |number| json!({ "do": "remove", "target": "cache", "pattern": key(number), "limit": 1 });
    let asks: Vec<Value> = (1..=changes).map(remove).collect();
    let plan = ward.plan("mutineer", &json!({ "first": asks }))?;
    let began = Instant::now();
    let run = ward.apply(&plan)?;
    let took = micros(began.elapsed());
    let applied = run.get("changes").and_then(Value::as_array).into_iter().flatten();
    let applied = applied.filter(|change| change.get("fate") == Some(&json!("applied"))).count();
    ensure!(applied == changes as usize, "{applied} of {changes} changes were made: {run}");
    Ok(took)
}

fn client(ward: &Ward) -> anyhow::Result<Arc<Client>> {
    let settings = Settings::new(Secret::new(ward.url()));
    Ok(Arc::new(Client::new("cache".parse()?, settings)?))
}

/// What the journal has the client do, without the journal: it looks, and does what it saw.
async fn by_client(client: &Arc<Client>, key: &str) -> anyhow::Result<()> {
    let grant = Grant {
        target: Target { system: System::Redis, name: "cache".parse()? },
        operations: vec![Operation::RedisRemoveKeys],
        keys: vec!["*".parse()?],
        paths: Vec::new(),
        resources: Vec::new(),
        changes: ChangeBounds { per_run: 1, per_hour: 1, ..ChangeBounds::default() },
    };
    let grants = Grants::new("bench".parse()?, vec![grant]);
    let permit = decide::<RedisRemoveKeys>(&grants, "cache").ok().context("it was granted above")?;
    let selection = KeySelection { pattern: key.to_owned(), min_idle: None, limit: 1 };
    let change: Arc<dyn Change> = client.remove_keys(permit, selection)?;
    let limits = CallLimits { deadline: Instant::now() + Duration::from_secs(10), answer_bytes: 1 << 20 };
    let preview = change.preview(&limits).await?;
    match change.perform(&preview, &limits, &Halt::default()).await {
        Performed::Done(done) if done.objects == 1 => Ok(()),
        other => bail!("the key was not removed: {other:?}"),
    }
}
