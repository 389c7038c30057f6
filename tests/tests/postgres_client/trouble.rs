//! Servers that are full, gone, slow, restarted, or that should not be trusted with the login.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use paramedic::clients::postgres::{SessionFilter, Settings as Target, Value};
use paramedic::domain::{CallError, Secret};
use paramedic::policy::op;
use paramedic_tests::postgres::{Postgres, Settings, connect};
use paramedic_tests::wait;
use tokio_postgres::Client as Session;

use crate::common::{client, limits, open, permit, query, remote, unsafe_client, within};
use crate::relay::Relay;

/// Connects as `application` until the server refuses.
async fn take_every_connection(url: &str, application: &str) -> Vec<Session> {
    let mut taken = Vec::new();
    loop {
        match connect(url, application).await {
            Ok(session) => taken.push(session),
            Err(error) => {
                let full = error.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
                assert_eq!(full.map(|code| code.code()), Some("53300"), "{error:#}");
                return taken;
            }
        }
    }
}

#[tokio::test]
async fn with_every_connection_taken_the_kept_one_still_names_who_took_them() {
    let server = Postgres::start(&Settings::default().with("max_connections", "14")).unwrap();
    let database = server.database().unwrap();
    let monitor = database.monitor().unwrap();
    let warm = Arc::new(client(&monitor));
    let cold = client(&monitor);
    warm.inspect(&permit::<op::PostgresInspect>(), &limits()).await.unwrap();
    let taken = take_every_connection(&database.application().unwrap(), "checkout-api").await;

    let seen = warm.inspect(&permit::<op::PostgresInspect>(), &limits()).await.unwrap();
    assert_eq!(seen.connections + seen.reserved_connections, seen.max_connections, "{seen:?}");
    let calls: Vec<_> = (0..12)
        .map(|_| {
            let warm = warm.clone();
            tokio::spawn(async move {
                warm.sessions(&permit::<op::PostgresSessions>(), &limits(), &SessionFilter::default()).await
            })
        })
        .collect();
    for call in calls {
        let sessions = call.await.unwrap().unwrap();
        let leaking = sessions.iter().filter(|session| session.application == "checkout-api").count();
        assert_eq!(leaking, taken.len(), "{sessions:?}");
    }
    let (code, message) = remote(cold.inspect(&permit::<op::PostgresInspect>(), &limits()).await);
    assert_eq!(code, "53300");
    assert!(!message.contains("monitor"), "{message}");
    drop(taken);
    wait::until_async("a slot to become free", async || {
        Ok(cold.inspect(&permit::<op::PostgresInspect>(), &limits()).await.is_ok().then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_call_waits_for_the_login_that_got_the_last_slot() {
    let server = Postgres::start(&Settings::default().with("max_connections", "14")).unwrap();
    let database = server.database().unwrap();
    let mut taken = take_every_connection(&database.application().unwrap(), "checkout-api").await;
    let relay = Relay::start(server.port()).await;
    let monitor = database.monitor().unwrap().replace(&format!(":{}/", server.port()), &format!(":{}/", relay.port()));
    // The first that an unencrypted server says, it says from within its slot.
    let client = Arc::new(client(&format!("{monitor}?sslmode=disable")));
    let call = || {
        let client = client.clone();
        tokio::spawn(async move { client.inspect(&permit::<op::PostgresInspect>(), &limits()).await })
    };

    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'checkout-api'";
    drop(taken.pop());
    wait::until_async("a slot to become free", async || {
        Ok((server.sql(sessions)? == taken.len().to_string()).then_some(()))
    })
    .await
    .unwrap();
    let first = call();
    relay.first_was_answered().await;
    let second = call();
    relay.second_was_closed().await;
    relay.release();
    for call in [first, second] {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_killed_connection_is_replaced_without_a_call_and_without_an_error() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let client = client(&database.monitor().unwrap());
    let own = format!("FROM pg_stat_activity WHERE usename = '{}_monitor'", database.name());
    for _ in 0..5 {
        query(&client, "SELECT 1").await.unwrap();
        database.sql(&format!("SELECT pg_terminate_backend(pid, 5000) {own}")).unwrap();
        // At once: the client may not even have noticed yet.
        assert_eq!(query(&client, "SELECT 1").await.unwrap().rows, [[Value::Integer(1)]]);
    }
    let before = database.sql(&format!("SELECT pid {own}")).unwrap();
    database.sql(&format!("SELECT pg_terminate_backend(pid, 5000) {own}")).unwrap();
    let after = wait::until_async("the keeper", async || {
        let pid = database.sql(&format!("SELECT pid {own}"))?;
        Ok((!pid.is_empty()).then_some(pid))
    })
    .await
    .unwrap();
    assert_ne!(before, after);
}

#[tokio::test]
async fn calls_go_on_after_the_server_crashed_and_recovered() {
    let server = Postgres::start(&Settings::default()).unwrap();
    let database = server.database().unwrap();
    let client = client(&database.monitor().unwrap());
    let pid = query(&client, "SELECT pg_backend_pid()").await.unwrap().rows;
    let [row] = pid.as_slice() else { panic!("{pid:?}") };
    let [Value::Integer(pid)] = row.as_slice() else { panic!("{row:?}") };
    // Durability is off here, and the role has to survive.
    server.sql("CHECKPOINT").unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    // The postmaster ends all sessions and recovers; until then it says that it is starting up.
    wait::until_async("the recovery", async || {
        match client.inspect(&permit::<op::PostgresInspect>(), &limits()).await {
            Ok(_) => Ok(Some(())),
            Err(CallError::Unavailable(_)) => Ok(None),
            Err(CallError::Remote(error)) if error.code == "57P03" && error.retryable => Ok(None),
            Err(other) => anyhow::bail!("{other}"),
        }
    })
    .await
    .unwrap();
    assert_eq!(query(&client, "SELECT 1").await.unwrap().rows, [[Value::Integer(1)]]);
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable_and_its_address_stays_unsaid() {
    let server = Postgres::start(&Settings::default()).unwrap();
    let (database, port) = (server.database().unwrap(), server.port().to_string());
    let client = client(&database.monitor().unwrap());
    client.inspect(&permit::<op::PostgresInspect>(), &limits()).await.unwrap();
    drop(server);
    for _ in 0..2 {
        let error = client.inspect(&permit::<op::PostgresInspect>(), &limits()).await.unwrap_err();
        assert!(matches!(error, CallError::Unavailable(_)), "{error}");
        let text = error.to_string();
        assert!(!text.contains(&port) && !text.contains("127.0.0.1") && !text.contains("monitor"), "{text}");
    }
}

#[tokio::test]
async fn a_refused_login_tells_its_kind_and_no_name() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let monitor = database.monitor().unwrap();
    let (_, after) = monitor.split_once("_monitor:").unwrap();
    let (password, _) = after.split_once('@').unwrap();
    let locked = database.login("locked", "").unwrap();
    database.sql(&format!("ALTER ROLE {}_locked NOLOGIN", database.name())).unwrap();
    for (url, code) in [
        (monitor.replace(password, "guess"), "28P01"),
        (monitor.replace("_monitor:", "_nobody:"), "28P01"),
        (format!("{monitor}_missing"), "3D000"),
        (locked, "28000"),
    ] {
        let (answered, message) = remote(client(&url).inspect(&permit::<op::PostgresInspect>(), &limits()).await);
        assert_eq!(answered, code, "{message}");
        for name in [database.name(), "monitor", "nobody", "127.0.0.1"] {
            assert!(!message.contains(name), "{message}");
        }
    }
    let nowhere = client("postgres://u:p@nowhere.invalid/app");
    let error = nowhere.inspect(&permit::<op::PostgresInspect>(), &limits()).await.unwrap_err();
    assert!(matches!(&error, CallError::Unavailable(text) if !text.contains("nowhere")), "{error}");
}

#[tokio::test]
async fn a_peer_that_says_nothing_costs_no_more_than_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for mode in ["disable", "prefer", "require"] {
        let silent = client(&format!("postgres://u:p@127.0.0.1:{port}/app?sslmode={mode}"));
        let started = Instant::now();
        let limits = within(Duration::from_millis(300));
        let error = silent.inspect(&permit::<op::PostgresInspect>(), &limits).await.unwrap_err();
        assert!(matches!(error, CallError::TimedOut(_)), "{error}");
        let elapsed = started.elapsed();
        assert!((Duration::from_millis(290)..Duration::from_secs(3)).contains(&elapsed), "{elapsed:?}");
    }
    let url = Secret::new(format!("postgres://u:p@127.0.0.1:{port}/app?sslmode=disable"));
    let impatient = open(Target { connect_timeout: Duration::from_millis(100), ..Target::new(url) });
    let error = impatient.inspect(&permit::<op::PostgresInspect>(), &limits()).await.unwrap_err();
    assert!(matches!(&error, CallError::TimedOut(text) if text.contains("login")), "{error}");
}

#[tokio::test]
async fn no_more_connections_are_opened_than_allowed() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let url = Secret::new(database.login("narrow", "CONNECTION LIMIT 2 IN ROLE pg_read_all_stats").unwrap());
    let client = Arc::new(open(Target { connections: 2, ..Target::new(url) }));
    let calls: Vec<_> = (0..20)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { query(&client, &format!("SELECT {n} FROM generate_series(1, 200000)")).await })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap().unwrap().truncated);
    }
}

#[tokio::test]
async fn a_login_that_could_act_as_the_server_is_refused() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let name = database.name();
    let refused = [
        database.superuser_url(),
        database.login("su", "SUPERUSER").unwrap(),
        database.login("may_become", &format!("NOINHERIT IN ROLE {name}_su")).unwrap(),
        database.login("reader", "IN ROLE pg_read_server_files").unwrap(),
        database.login("writer", "NOINHERIT IN ROLE pg_write_server_files").unwrap(),
        database.login("runner", "IN ROLE pg_execute_server_program").unwrap(),
    ];
    for url in refused {
        let error = query(&client(&url), "SELECT 1").await.unwrap_err();
        let CallError::Unavailable(message) = &error else { panic!("{error}") };
        assert!(message.contains("CREATE ROLE") && message.contains("allow_superuser"), "{message}");
        assert_eq!(query(&unsafe_client(&url), "SELECT 1").await.unwrap().rows, [[Value::Integer(1)]]);
    }
    // Stepping down does not help: any statement could step up again.
    let lowered = format!("{}?options=-c%20role%3D{name}_app", database.superuser_url());
    database.application().unwrap();
    let error = query(&client(&lowered), "SELECT 1").await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn encryption_follows_sslmode() {
    let server = Postgres::start(&Settings::default()).unwrap();
    let database = server.database().unwrap();
    let monitor = database.monitor().unwrap();
    let at = |mode: &str| format!("{monitor}?sslmode={mode}");
    let is_encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let plain = query(&client(&at("prefer")), is_encrypted).await.unwrap();
    assert_eq!(plain.rows, [[Value::Boolean(false)]], "this server knows no TLS yet");

    // The server makes its own certificate, since its files belong to another account.
    let make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.crt -days 2 \
                -subj /CN=throwaway -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
                2>/dev/null && chmod 600 server.key";
    server.sql(&format!("COPY (SELECT 1) TO PROGRAM '{make}'")).unwrap();
    server.sql("ALTER SYSTEM SET ssl = on").unwrap();
    server.sql("SELECT pg_reload_conf()").unwrap();
    let root = server.sql("SELECT pg_read_file('server.crt')").unwrap();
    wait::until_async("the server to speak TLS", async || {
        let answer = query(&client(&at("prefer")), is_encrypted).await?;
        Ok((answer.rows == [[Value::Boolean(true)]]).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(query(&client(&at("disable")), is_encrypted).await.unwrap().rows, [[Value::Boolean(false)]]);

    let verified = |mode: &str, root: &str| {
        open(Target { tls_root: Some(root.as_bytes().to_vec()), ..Target::new(Secret::new(at(mode))) })
    };
    for mode in ["require", "verify-full"] {
        assert_eq!(query(&verified(mode, &root), is_encrypted).await.unwrap().rows, [[Value::Boolean(true)]]);
    }
    let other = server.sql(
        "COPY (SELECT 1) TO PROGRAM 'openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.crt -days 2 \
         -subj /CN=other 2>/dev/null'",
    );
    other.unwrap();
    let stranger = server.sql("SELECT pg_read_file('other.crt')").unwrap();
    let error = query(&verified("require", &stranger), is_encrypted).await.unwrap_err();
    assert!(matches!(&error, CallError::Unavailable(text) if text.contains("TLS")), "{error}");
    let misnamed = at("require").replace("127.0.0.1", "localhost");
    let misnamed = open(Target { tls_root: Some(root.into_bytes()), ..Target::new(Secret::new(misnamed)) });
    let error = query(&misnamed, is_encrypted).await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable(_)), "{error}");
}
