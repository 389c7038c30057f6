//! Ways out of a "SELECT-only" login that are known to work without the defences of `query`: as a monitor and as a
//! superuser, each is refused, and nothing of it is left behind.

use paramedic::clients::postgres::{Postgres as Client, Value};
use paramedic::domain::CallError;
use paramedic_tests::postgres::Postgres;

use crate::attempts::{ATTEMPTS, LEFTOVERS, OWN_SESSION, Scene};
use crate::common::{client, query, unsafe_client};

async fn attempt_all(scene: &Scene, client: &Client) {
    let own = query(client, OWN_SESSION).await.unwrap();
    for (aim, statements) in ATTEMPTS {
        let before = scene.fingerprint().await;
        for statement in *statements {
            let sql = scene.fill(statement);
            let error = query(client, &sql).await.unwrap_err();
            assert!(matches!(error, CallError::Invalid(_)), "{aim}: {sql}: {error}");
        }
        assert_eq!(scene.fingerprint().await, before, "{aim}");
        assert_eq!(query(client, OWN_SESSION).await.unwrap(), own, "{aim}");
        let leftovers = query(client, LEFTOVERS).await.unwrap().rows;
        assert_eq!(leftovers, [[Value::Integer(0), Value::Integer(0), Value::Integer(0)]], "{aim}");
    }
}

#[tokio::test]
async fn every_known_escape_is_refused_and_leaves_nothing_behind() {
    let scene = Scene::set().await;
    attempt_all(&scene, &client(&scene.database().monitor().unwrap())).await;
    attempt_all(&scene, &client(&scene.database().signal().unwrap())).await;
    attempt_all(&scene, &unsafe_client(&scene.database().superuser_url())).await;
    scene.assert_sessions_go_on().await;
}

#[tokio::test]
async fn what_a_monitor_need_not_see_is_not_seen_through_views_either() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let client = client(&database.monitor().unwrap());
    for sql in ["SELECT * FROM pg_authid", "SELECT * FROM pg_hba_file_rules", "SELECT * FROM pg_user_mapping"] {
        let error = query(&client, sql).await.unwrap_err();
        assert!(matches!(&error, CallError::Remote(error) if error.code == "42501"), "{sql}: {error}");
    }
    let hidden = "SELECT count(*) FROM pg_settings WHERE name IN ('primary_conninfo', 'data_directory', 'hba_file')";
    assert_eq!(query(&client, hidden).await.unwrap().rows, [[Value::Integer(0)]]);
}
