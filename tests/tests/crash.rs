//! The agent is killed with fifty runs under way, twenty times, always with the same store. What it had answered holds
//! afterwards: every run of which it told is there, every end that somebody read stays as it was read, and what had no
//! end is shown as interrupted. Whoever sends a request again, with the idempotency key that it had, gets the run that it
//! had, and has one where the kill came before there was any.
//!
//! Callers ask without pause until the agent is gone, and write down what they were told. The kill comes after a random
//! number of answers, so that it hits starts, ends and commits alike.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers of tests may fail as tests do"
)]

#[path = "crash/callers.rs"]
mod callers;
#[path = "crash/ledger.rs"]
mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, mpsc};

use anyhow::Context;
use callers::{CALLERS, Caller, ENDLESS_RUNS};
use ledger::Ledger;
use paramedic::clock::SystemClock;
use paramedic::store::{SqliteStore, Store, StoreOptions};
use paramedic_tests::agent;
use paramedic_tests::api::Api;
use paramedic_tests::process::{Server, StopSignal, temporary_directory};
use paramedic_tests::{access, components, http, secret};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

const ROUNDS: usize = 20;

/// Gives the seed of an earlier run again.
const SEED: &str = "PARAMEDIC_CRASH_SEED";

/// The most answers beyond those about the endless runs that a round waits for.
const FURTHER_ANSWERS: usize = 150;

/// An agent that dies without a farewell when it is dropped. Its store stays.
struct Mortal {
    _server: Server,
    api: Api,
}

impl Mortal {
    /// Starts it with what its predecessors left in `folder`.
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let (address, token) = (agent::free_address()?, secret::random());
        let home = temporary_directory("mortal")?;
        let file = home.path().join("paramedic.yaml");
        std::fs::write(home.path().join("token-key"), access::key()).context("cannot write the key")?;
        std::fs::write(&file, configuration(folder, &address, &token)?).context("cannot write the configuration")?;
        let command =
            [agent::program()?, "serve".into(), "--config".into(), file].map(|word| word.display().to_string());
        let ready = |_: &Path| http::status(&address, "/readyz").is_ok_and(|status| status == 200);
        let server = Server::start(home, &command, StopSignal::Kill, ready)?;
        Ok(Mortal { _server: server, api: Api::new(&address, Some(&token)) })
    }
}

fn configuration(folder: &Path, address: &str, token: &str) -> anyhow::Result<String> {
    let configuration = json!({
        "server": { "listen": address, "max_concurrent_runs": 2 * (ENDLESS_RUNS + CALLERS) },
        "auth": access::section("token-key", &[("crash", "responder", token)]),
        "store": { "path": folder.join("paramedic.db") },
        "engine": { "cache": folder.join("cache") },
        // Its runs panic all the time, and that is not what this is about.
        "quarantine": { "faults": 1000, "first": "1s", "longest": "1s" },
        "plugins": {
            "noop": { "source": { "file": components::guest("noop")? } },
            "trouble": { "source": { "file": components::guest("trouble")? }, "limits": { "deadline": "15m" } },
        },
    });
    // JSON is YAML too.
    Ok(configuration.to_string())
}

#[expect(clippy::disallowed_methods, reason = "a seed that failed has to come in from outside")]
fn seed() -> u64 {
    std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random)
}

/// Lets callers ask until `further` answers more than those about the endless runs have come, then kills the agent.
/// Returns all that they were told.
fn ask_until_killed(agent: Mortal, rng: &mut StdRng) -> anyhow::Result<Ledger> {
    let further = rng.random_range(0..=FURTHER_ANSWERS);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            let mut caller = Caller::new(agent.api.clone(), StdRng::from_rng(rng), tell.clone());
            scope.spawn(move || caller.ask_until_nobody_answers());
        }
        drop(tell);
        let mut ledger = Ledger::default();
        let until_the_kill = ledger.listen_until(&told, further);
        // Also when something went wrong, because the callers end with the agent.
        drop(agent);
        ledger.listen_to_the_end(&told);
        until_the_kill.map(|()| ledger)
    })
}

/// All runs in the lists of the agent by their ids.
fn listed(api: &Api) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut runs = BTreeMap::new();
    let mut path = "/v1/runs?limit=200".to_owned();
    loop {
        let page = api.get(&path, &[])?.json()?;
        for run in page["runs"].as_array().context("a page without runs")? {
            let id = run["id"].as_str().context("a run without an id")?;
            anyhow::ensure!(runs.insert(id.to_owned(), run.clone()).is_none(), "{id} is listed twice");
        }
        let Some(next) = page["next"].as_str() else { return Ok(runs) };
        path = format!("/v1/runs?limit=200&cursor={next}");
    }
}

/// Holds an agent to what its predecessor told: `before` are the runs that were listed when that one had started.
fn judge(api: &Api, ledger: &Ledger, before: &BTreeMap<String, Value>) -> anyhow::Result<BTreeMap<String, Value>> {
    let running = api.get("/v1/runs?state=running", &[])?.json()?;
    assert_eq!(running["runs"], json!([]), "a run of a dead agent is under way");
    let now = listed(api)?;
    for (id, run) in before {
        assert_eq!(now.get(id), Some(run), "an older run is not what it was");
    }
    let new = now.len() - before.len();
    let requests = ledger.asked.len();
    assert!((ledger.runs.len()..=requests).contains(&new), "{new} runs for {requests} requests");
    for (id, told) in &ledger.runs {
        assert!(now.contains_key(id) && !before.contains_key(id), "{id} is not listed");
        let answer = api.get(&format!("/v1/runs/{id}"), &[])?;
        assert_eq!(answer.status, 200, "{id} was acknowledged and is gone: {}", answer.body);
        told.judge(&answer.json()?);
    }
    ask_again(api, ledger, &now)
}

/// Sends every request again, with its key, whether or not it was answered: afterwards there is one run for each. `before` are
/// the runs that the kill left.
fn ask_again(api: &Api, ledger: &Ledger, before: &BTreeMap<String, Value>) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut answered = BTreeSet::new();
    let mut begun_now = 0;
    // One that nobody has heard of would now begin and not end.
    for asked in ledger.asked.iter().filter(|asked| !asked.endless || ledger.named.contains_key(&asked.key)) {
        let answer = api.run(&asked.body, &[&format!("idempotency-key: {}", asked.key)])?;
        assert_eq!(answer.status, 200, "{asked:?}: {}", answer.body);
        let id = answer.json()?["id"].as_str().context("a run without an id")?.to_owned();
        let replayed = answer.field("idempotency-replayed") == "true";
        assert_eq!(replayed, before.contains_key(&id), "{asked:?}: {}", answer.body);
        assert!(replayed || !ledger.named.contains_key(&asked.key), "an answered request ran again: {asked:?}");
        assert!(ledger.named.get(&asked.key).is_none_or(|named| *named == id), "{asked:?} became {id}");
        assert!(answered.insert(id), "two requests have one run: {asked:?}");
        begun_now += usize::from(!replayed);
    }
    let now = listed(api)?;
    assert_eq!(now.len(), before.len() + begun_now, "asking again made runs that nobody asked for");
    Ok(now)
}

#[test]
fn after_kill_9_every_acknowledged_run_is_there_and_the_unfinished_ones_are_interrupted() {
    let seed = seed();
    eprintln!("{SEED}={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = temporary_directory("crash").unwrap();
    let mut before = BTreeMap::new();
    let mut agent = Mortal::start(folder.path()).unwrap();
    let mut everything = Vec::new();
    for round in 1..=ROUNDS {
        let ledger = ask_until_killed(agent, &mut rng).unwrap();
        agent = Mortal::start(folder.path()).unwrap();
        before = judge(&agent.api, &ledger, &before).unwrap();
        eprintln!("round {round}: {ledger}");
        everything.push(ledger);
    }
    // Nineteen kills later the first rounds are still what they were.
    for (id, told) in everything.iter().flat_map(|ledger| &ledger.runs) {
        told.judge(&agent.api.get(&format!("/v1/runs/{id}"), &[]).unwrap().json().unwrap());
    }
    assert!(everything.iter().any(|ledger| ledger.ends() > 0), "no end was read before a kill");
    drop(agent);
    assert_sound(&folder.path().join("paramedic.db"));
}

/// The file that the last kill left is whole.
#[tokio::main(flavor = "current_thread")]
async fn assert_sound(file: &Path) {
    let store = SqliteStore::open(file, Arc::new(SystemClock), StoreOptions::default()).unwrap();
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    assert_eq!(store.interrupted(), 0, "nothing was asked of the last agent");
    store.close().await.unwrap();
}
