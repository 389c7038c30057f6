//! The throwaway servers are what the other tests take them for.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use paramedic_tests::bullmq::{Bullmq, Job, Version};
use paramedic_tests::http::{self, Endpoint};
use paramedic_tests::postgres::{self, Postgres, Settings};
use paramedic_tests::redis::Redis;
use paramedic_tests::wait;

#[tokio::test]
async fn the_monitor_role_sees_other_peoples_sessions_and_may_not_end_them() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let _leak = postgres::connect_many(&database.application().unwrap(), "checkout-api", 3).await.unwrap();
    let monitor = postgres::connect(&database.monitor().unwrap(), "monitor").await.unwrap();
    let sessions = "SELECT pid FROM pg_stat_activity WHERE application_name = 'checkout-api' AND datname = $1";
    let pids: Vec<i32> =
        monitor.query(sessions, &[&database.name()]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(pids.len(), 3);
    let refusal = monitor.query("SELECT pg_terminate_backend($1)", &[&pids[0]]).await.unwrap_err();
    assert_eq!(refusal.code().unwrap().code(), "42501");
    let signal = postgres::connect(&database.signal().unwrap(), "signal").await.unwrap();
    let row = signal.query_one("SELECT pg_terminate_backend($1)", &[&pids[0]]).await.unwrap();
    assert!(row.get::<_, bool>(0));
}

#[tokio::test]
async fn a_wrong_password_is_refused_even_for_the_superuser() {
    let server = Postgres::shared().unwrap();
    let url = format!("postgres://postgres:guess@127.0.0.1:{}/postgres", server.port());
    let error = postgres::connect(&url, "guesser").await.unwrap_err();
    assert!(format!("{error:#}").contains("password authentication failed"), "{error:#}");
}

#[test]
fn the_shared_server_tracks_statements_and_a_private_one_need_not() {
    let database = Postgres::shared().unwrap().database().unwrap();
    database.track_statements().unwrap();
    database.sql("SELECT 4711").unwrap();
    let tracked = database.sql("SELECT count(*) > 0 FROM pg_stat_statements WHERE query = 'SELECT $1'").unwrap();
    assert_eq!(tracked, "t");

    let settings = Settings::default().with("max_connections", "12").without_statements();
    let private = Postgres::start(&settings).unwrap();
    assert_eq!(private.sql("SHOW max_connections").unwrap(), "12");
    let database = private.database().unwrap();
    database.track_statements().unwrap();
    let error = database.sql("SELECT count(*) FROM pg_stat_statements").unwrap_err().to_string();
    assert!(error.contains("must be loaded via shared_preload_libraries"), "{error}");
}

#[test]
fn a_standby_follows_its_primary() {
    let primary = Postgres::start(&Settings::default()).unwrap();
    let standby = primary.standby().unwrap();
    assert_eq!(standby.sql("SELECT pg_is_in_recovery()").unwrap(), "t");
    primary.sql("CREATE TABLE told AS SELECT 'by the primary' AS what").unwrap();
    wait::until("the table to arrive", || {
        let arrived = standby.sql("SELECT to_regclass('told') IS NOT NULL")? == "t";
        Ok(arrived.then_some(()))
    })
    .unwrap();
    assert_eq!(standby.sql("SELECT what FROM told").unwrap(), "by the primary");
}

#[test]
fn a_dropped_postgres_leaves_nothing_behind() {
    let server = Postgres::start(&Settings::default()).unwrap();
    let data = server.sql("SHOW data_directory").unwrap();
    let port = server.port();
    assert!(Path::new(&data).exists());
    drop(server);
    assert!(!Path::new(&data).exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_redis_reader_stays_within_its_pattern_and_the_default_user_is_off() {
    let server = Redis::shared().unwrap();
    let prefix = server.prefix();
    let (mine, other) = (format!("{prefix}a"), "other-people".to_owned());
    server.command::<()>(&["SET", &mine, "1"]).unwrap();
    let client = redis::Client::open(server.reader(&format!("{prefix}*")).unwrap()).unwrap();
    let mut reader = client.get_connection().unwrap();
    let mut ask = |command: &[&str]| redis::cmd(command[0]).arg(&command[1..]).query::<redis::Value>(&mut reader);
    for allowed in [&["GET", &mine][..], &["INFO", "memory"], &["MEMORY", "USAGE", &mine], &["SCAN", "0"]] {
        ask(allowed).unwrap_or_else(|error| panic!("{allowed:?}: {error}"));
    }
    for refused in
        [&["GET", &other][..], &["SET", &mine, "2"], &["KEYS", "*"], &["FLUSHDB"], &["EVAL", "return 1", "0"]]
    {
        let error = ask(refused).unwrap_err();
        assert_eq!(error.code(), Some("NOPERM"), "{refused:?}: {error}");
    }
    let nobody = redis::Client::open(format!("redis://127.0.0.1:{}", server.port())).unwrap();
    let error = nobody.get_connection().and_then(|mut it| redis::cmd("PING").query::<()>(&mut it)).unwrap_err();
    assert_eq!(error.code(), Some("NOAUTH"), "{error}");
}

#[test]
fn a_private_redis_takes_settings() {
    let server = Redis::start(&["--maxmemory", "64mb"]).unwrap();
    let found: BTreeMap<String, String> = server.command(&["CONFIG", "GET", "maxmemory"]).unwrap();
    assert_eq!(found["maxmemory"], (64 << 20).to_string());
}

#[test]
fn every_queue_library_fills_every_state_that_it_has() {
    for version in Version::ALL {
        let redis = Redis::shared().unwrap();
        let queue = format!("email-{}-{}", version.major(), version.is_bull());
        let bullmq = Bullmq::start(version, &redis.admin_url(), "bull", &queue).unwrap();
        bullmq.populate_every_state().unwrap();
        let counts = bullmq.counts().unwrap();
        let empty: Vec<_> = counts.iter().filter(|(_, count)| **count == 0).map(|(state, _)| state.as_str()).collect();
        let expected: &[&str] = if counts.contains_key("paused") { &["paused"] } else { &[] };
        assert_eq!(empty, expected, "{version:?}: {counts:?}");
        assert_eq!(counts.contains_key("prioritized"), version.has_prioritized(), "{version:?}: {counts:?}");
        assert_eq!(counts.contains_key("waiting-children"), !version.is_bull(), "{version:?}: {counts:?}");
    }
}

#[test]
fn pausing_moves_waiting_jobs_in_the_libraries_that_say_so() {
    for version in Version::ALL {
        let redis = Redis::shared().unwrap();
        let queue = format!("pause-{}-{}", version.major(), version.is_bull());
        let bullmq = Bullmq::start(version, &redis.admin_url(), "bull", &queue).unwrap();
        bullmq.add(&[Job::named("welcome").aged(Duration::from_secs(60)), Job::named("bill")]).unwrap();
        bullmq.pause().unwrap();
        assert!(bullmq.is_paused().unwrap());
        let list = if version.moves_paused_jobs() { "paused" } else { "wait" };
        let found: u64 = redis.command(&["LLEN", &format!("bull:{queue}:{list}")]).unwrap();
        assert_eq!(found, 2, "{version:?}");
        bullmq.resume().unwrap();
        assert!(!bullmq.is_paused().unwrap());
        bullmq.obliterate().unwrap();
        assert_eq!(bullmq.counts().unwrap().values().sum::<u64>(), 0, "{version:?}");
    }
}

#[test]
fn a_queue_user_reaches_its_own_queue_only() {
    let server = Redis::shared().unwrap();
    let client = redis::Client::open(server.queue_user("bull", "mine").unwrap()).unwrap();
    let mut user = client.get_connection().unwrap();
    redis::cmd("HSET").arg(&["bull:mine:meta", "paused", "1"]).query::<()>(&mut user).unwrap();
    let error = redis::cmd("HGET").arg(&["bull:other:meta", "paused"]).query::<()>(&mut user).unwrap_err();
    assert_eq!(error.code(), Some("NOPERM"), "{error}");
}

#[test]
fn a_web_endpoint_gives_its_answer_and_keeps_the_question() {
    let endpoint = Endpoint::start("503 Service Unavailable", "no database").unwrap();
    let mut stream = TcpStream::connect(endpoint.url().strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && answer.ends_with("\r\n\r\nno database"));
    assert!(endpoint.requests()[0].starts_with("GET /health HTTP/1.1\r\n"));
    let address = endpoint.url().strip_prefix("http://").unwrap().to_owned();
    assert_eq!(http::status(&address, "/").unwrap(), 503);
    drop(endpoint);
    assert!(http::status(&address, "/").is_err());
}
