//! A server of which an application has taken every connection.

use paramedic_tests::postgres::{Database, Postgres, Settings, connect};
use paramedic_tests::wait;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::fixture::{Paramedic, Secrets, plugin, plugins};

const LEAK: &str = "leaky-app";

/// Connects as the application until the server refuses.
async fn take_every_connection(url: &str) -> Vec<Client> {
    let mut taken = Vec::new();
    loop {
        match connect(url, LEAK).await {
            Ok(session) => taken.push(session),
            Err(error) => {
                let full = error.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
                assert_eq!(full.map(|code| code.code()), Some("53300"), "{error:#}");
                return taken;
            }
        }
    }
}

/// Ends the agent's sessions. A superuser gets in by the connections that are reserved for such cases.
fn end_the_agents_sessions(database: &Database) {
    let ended = database
        .sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'paramedic'");
    assert_eq!(ended.unwrap(), "t", "the agent had one connection");
}

/// How many connections of the application the check found, which has to be alarmed and to name it first.
#[track_caller]
fn accused(run: &Value) -> u64 {
    let outcome = &run["outcome"];
    assert_eq!(run["state"], "critical", "{run}");
    assert!(outcome["summary"].as_str().unwrap().contains(LEAK), "{outcome}");
    let cure = outcome["suggestions"].as_array().unwrap().iter().find(|cure| cure["params"]["applications"][0] == LEAK);
    assert!(cure.is_some(), "no cure for {LEAK}: {outcome}");
    let tables = outcome["findings"].as_array().unwrap();
    let table = tables.iter().find(|table| table["title"] == "Connections by application").unwrap();
    let worst = &table["rows"][0];
    assert_eq!(worst[0], LEAK, "{table}");
    worst[2].as_str().map_or_else(|| worst[2].as_u64(), |count| count.parse().ok()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_connection_taken_the_check_names_the_application_that_took_them() {
    let server = Postgres::start(&Settings::default().with("max_connections", "12")).unwrap();
    let database = server.database().unwrap();
    let (monitor, application) = (database.monitor().unwrap(), database.application().unwrap());
    let secrets = Secrets::new();
    let targets = json!({ "postgres": { "main": { "url": secrets.put("main", &monitor) } } });
    let grants = json!([{ "postgres": "main", "verbs": ["inspect", "sessions"] }]);
    let paramedic = Paramedic::start(&targets, &plugins([plugin("pg-connections", &grants)]), "info");
    let check = || paramedic.run("pg-connections", &json!({}));
    assert_eq!(check()["state"], "ok");

    let mut taken = take_every_connection(&application).await;
    assert_eq!(accused(&check()), taken.len() as u64);
    eprintln!("{}", check()["outcome"]["summary"]);

    // The agent loses its connection and takes the slot that this makes free.
    end_the_agents_sessions(&database);
    assert_eq!(accused(&check()), taken.len() as u64);

    // It loses it again, and the application is faster.
    let name = database.name();
    database.sql(&format!("ALTER ROLE {name}_monitor CONNECTION LIMIT 0")).unwrap();
    end_the_agents_sessions(&database);
    taken.extend(take_every_connection(&application).await);
    database.sql(&format!("ALTER ROLE {name}_monitor CONNECTION LIMIT 5")).unwrap();
    let run = check();
    assert_eq!(run["state"], "critical", "{run}");
    let summary = run["outcome"]["summary"].as_str().unwrap();
    assert!(summary.starts_with("every connection of main is taken"), "{summary}");

    // One connection less, and the agent is there again.
    drop(taken.pop());
    let run = wait::until("the agent to find the free slot", || {
        let run = check();
        Ok(run["outcome"]["summary"].as_str().unwrap().contains(LEAK).then_some(run))
    });
    assert_eq!(accused(&run.unwrap()), taken.len() as u64);
}
