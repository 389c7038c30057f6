//! Every known way out of a "SELECT-only" login, taken by a guest program: the client refuses each on behalf of the
//! guest, whatever the login, and nothing of it is left behind.

use serde_json::{Value, json};

use crate::attempts::{ATTEMPTS, LEFTOVERS, OWN_SESSION, Scene};
use crate::fixture::{Paramedic, Secrets, guest, plugins};

/// What came of a statement, as the guest saw it.
fn query(paramedic: &Paramedic, target: &str, sql: &str) -> Value {
    let run = paramedic.run("query", &json!({ "target": target, "sql": sql }));
    assert_eq!(run["state"], "ok", "{run}");
    let [call] = run["calls"].as_array().unwrap().as_slice() else { panic!("{run}") };
    // The grant is not what stands in the way.
    assert_eq!((&call["operation"], &call["decision"]), (&json!("postgres/query"), &json!("permitted")), "{run}");
    serde_json::from_str(run["outcome"]["details"].as_str().unwrap()).unwrap()
}

async fn attempt_all(scene: &Scene, paramedic: &Paramedic, target: &str) {
    let own = query(paramedic, target, OWN_SESSION);
    assert!(own["rows"].is_array(), "{own}");
    for (aim, statements) in ATTEMPTS {
        let before = scene.fingerprint().await;
        for statement in *statements {
            let refused = query(paramedic, target, &scene.fill(statement));
            assert_eq!(refused["error"]["kind"], "invalid", "{target}: {aim}: {statement}: {refused}");
        }
        assert_eq!(scene.fingerprint().await, before, "{target}: {aim}");
        assert_eq!(query(paramedic, target, OWN_SESSION), own, "{target}: {aim}");
        assert_eq!(query(paramedic, target, LEFTOVERS)["rows"], json!([[0, 0, 0]]), "{target}: {aim}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_known_escape_gets_a_guest_out_of_its_query() {
    let scene = Scene::set().await;
    let (secrets, database) = (Secrets::new(), scene.database());
    let targets = json!({ "postgres": {
        "monitor": { "url": secrets.put("monitor", &database.monitor().unwrap()) },
        "signal": { "url": secrets.put("signal", &database.signal().unwrap()) },
        "superuser": { "url": secrets.put("superuser", &database.superuser_url()), "allow_superuser": true },
    } });
    let logins = ["monitor", "signal", "superuser"];
    let grants = Value::from_iter(logins.map(|target| json!({ "postgres": target, "verbs": ["query"] })));
    let paramedic = Paramedic::start(&targets, &plugins([guest("query", &grants)]), "warn");
    for target in logins {
        attempt_all(&scene, &paramedic, target).await;
    }
    scene.assert_sessions_go_on().await;
}
