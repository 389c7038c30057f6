//! What our own statements tell.

use paramedic::clients::postgres::{SessionFilter, StatementFilter, StatementOrder};
use paramedic::domain::{CallError, Severity};
use paramedic::policy::op;
use paramedic_tests::postgres::{Postgres, Settings, connect, connect_many};
use paramedic_tests::wait;

use crate::common::{client, limits, permit, query, remote, unsafe_client};

fn everything() -> StatementFilter {
    StatementFilter { order: StatementOrder::Total, min_mean: 0.0, limit: 500, window: None }
}

#[tokio::test]
async fn inspect_tells_version_role_and_slots() {
    let settings = Settings::default().with("max_connections", "20").with("superuser_reserved_connections", "4");
    let server = Postgres::start(&settings).unwrap();
    let database = server.database().unwrap();
    let _app = connect_many(&database.application().unwrap(), "app", 3).await.unwrap();
    let client = client(&database.monitor().unwrap());
    let seen = client.inspect(&permit::<op::PostgresInspect>(), &limits()).await.unwrap();
    assert_eq!(seen.version / 10_000, server.major());
    assert_eq!((seen.in_recovery, seen.max_connections, seen.reserved_connections), (false, 20, 4));
    assert_eq!((seen.connections, seen.replay_lag), (4, None));
}

#[tokio::test]
async fn sessions_name_who_waits_for_whom_and_hide_values() {
    let database = Postgres::shared().unwrap().database().unwrap();
    database.sql("CREATE TABLE stock (id int, note text); INSERT INTO stock VALUES (1)").unwrap();
    let app = database.application().unwrap();
    database.sql("GRANT ALL ON stock TO PUBLIC").unwrap();
    let holder = connect(&app, "holder").await.unwrap();
    holder.batch_execute("BEGIN; UPDATE stock SET note = 'ann@example.org' WHERE id = 1").await.unwrap();
    let waiter = connect(&app, "waiter").await.unwrap();
    let waiting = tokio::spawn(async move { waiter.batch_execute("UPDATE stock SET note = 'bob' WHERE id = 1").await });
    let client = client(&database.monitor().unwrap());
    let of_app = SessionFilter { user: Some(format!("{}_app", database.name())), ..SessionFilter::default() };
    let sessions = wait::until_async("the waiter to wait", async || {
        let sessions = client.sessions(&permit::<op::PostgresSessions>(), &limits(), &of_app).await?;
        Ok(sessions.iter().any(|session| !session.blocked_by.is_empty()).then_some(sessions))
    })
    .await
    .unwrap();

    let [first, second] = sessions.as_slice() else { panic!("{sessions:?}") };
    assert_eq!((first.application.as_str(), first.state.as_str()), ("holder", "idle in transaction"));
    assert_eq!(first.query, "BEGIN …");
    assert!(sessions.iter().all(|session| session.transaction_age.is_some() && session.query_age.is_some()));
    assert_eq!((first.client.as_deref(), first.database.as_str()), (Some("127.0.0.1"), database.name()));
    assert!(first.transaction_age.is_some() && first.key.started_micros > 1_600_000_000_000_000);
    assert_eq!((second.application.as_str(), second.state.as_str()), ("waiter", "active"));
    assert_eq!(second.blocked_by, [first.key.pid]);
    assert_eq!(second.query, "UPDATE stock SET note = ? WHERE id = ?");
    assert!(second.wait.as_ref().is_some_and(|wait| wait.starts_with("Lock:")), "{:?}", second.wait);
    assert!(first.query_age >= second.query_age, "the oldest statement comes first");

    for (filter, expected) in [
        (SessionFilter { state: Some("active".to_owned()), ..of_app.clone() }, 1),
        (SessionFilter { min_query_age: Some(3600.0), ..of_app.clone() }, 0),
        (SessionFilter { min_state_age: Some(3600.0), ..of_app.clone() }, 0),
        (SessionFilter { min_query_age: Some(0.0), min_state_age: Some(0.0), ..of_app.clone() }, 2),
    ] {
        let sessions = client.sessions(&permit::<op::PostgresSessions>(), &limits(), &filter).await.unwrap();
        assert_eq!(sessions.len(), expected, "{filter:?}");
    }
    holder.batch_execute("ROLLBACK").await.unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_agents_own_sessions_are_left_out_and_impostors_are_not() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let _impostor = connect(&database.application().unwrap(), "paramedic").await.unwrap();
    let client = client(&database.monitor().unwrap());
    let sessions =
        client.sessions(&permit::<op::PostgresSessions>(), &limits(), &SessionFilter::default()).await.unwrap();
    let here: Vec<_> = sessions.iter().filter(|session| session.database == database.name()).collect();
    assert_eq!(here.len(), 1, "{here:?}");
    assert_eq!(here[0].user, format!("{}_app", database.name()));
    assert_eq!((here[0].transaction_age, here[0].wait.as_deref()), (None, Some("Client:ClientRead")));
}

#[tokio::test]
async fn senseless_filters_are_refused() {
    let client = client("postgres://nobody@127.0.0.1:1/none");
    for age in [-1.0, f64::NAN, f64::INFINITY] {
        let filter = SessionFilter { min_query_age: Some(age), ..SessionFilter::default() };
        let error = client.sessions(&permit::<op::PostgresSessions>(), &limits(), &filter).await.unwrap_err();
        assert!(matches!(error, CallError::Invalid(_)), "{error}");
        let filter = StatementFilter { min_mean: age, ..everything() };
        let error = client.statements(&permit::<op::PostgresStatements>(), &limits(), &filter).await.unwrap_err();
        assert!(matches!(error, CallError::Invalid(_)), "{error}");
    }
    for filter in [
        StatementFilter { limit: 0, ..everything() },
        StatementFilter { limit: 501, ..everything() },
        StatementFilter { window: Some(0.0), ..everything() },
        StatementFilter { window: Some(f64::NAN), ..everything() },
    ] {
        let error = client.statements(&permit::<op::PostgresStatements>(), &limits(), &filter).await.unwrap_err();
        assert!(matches!(error, CallError::Invalid(_)), "{error}");
    }
}

#[tokio::test]
async fn a_role_that_sees_only_itself_is_told_what_to_grant() {
    let database = Postgres::shared().unwrap().database().unwrap();
    database.track_statements().unwrap();
    let _other = connect(&database.application().unwrap(), "other").await.unwrap();
    let client = client(&database.login("plain", "").unwrap());
    let sessions = client.sessions(&permit::<op::PostgresSessions>(), &limits(), &SessionFilter::default()).await;
    let statements = client.statements(&permit::<op::PostgresStatements>(), &limits(), &everything()).await;
    for (code, message) in [remote(sessions), remote(statements)] {
        assert_eq!(code, "42501");
        assert!(message.contains("GRANT pg_read_all_stats"), "{message}");
    }
    let seen = client.inspect(&permit::<op::PostgresInspect>(), &limits()).await.unwrap();
    assert!(seen.connections >= 2, "{seen:?}");
}

#[tokio::test]
async fn statements_are_found_wherever_the_extension_lives_and_utility_text_is_hidden() {
    let database = Postgres::shared().unwrap().database().unwrap();
    database.sql("CREATE SCHEMA \"Odd name\"; CREATE EXTENSION pg_stat_statements SCHEMA \"Odd name\"").unwrap();
    let monitor = database.monitor().unwrap();
    let client = client(&monitor);
    let (code, _) = remote(client.statements(&permit::<op::PostgresStatements>(), &limits(), &everything()).await);
    assert_eq!(code, "42501", "the schema is not open to the role yet");
    database.sql("GRANT USAGE ON SCHEMA \"Odd name\" TO PUBLIC").unwrap();
    database.sql("CREATE ROLE leaky PASSWORD 'hunter2'; DROP ROLE leaky").unwrap();
    database.sql("SELECT pg_sleep(0.2), 'secret'").unwrap();

    let all = client.statements(&permit::<op::PostgresStatements>(), &limits(), &everything()).await.unwrap();
    assert!(!format!("{all:?}").contains("hunter2"), "{all:?}");
    assert!(all.iter().any(|statement| statement.query.is_none()), "utility statements are counted without text");
    let shares: f64 = all.iter().map(|statement| statement.share).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{shares}");
    assert!(all.is_sorted_by(|a, b| a.total >= b.total));

    let slow = StatementFilter { min_mean: 0.15, order: StatementOrder::Mean, limit: 10, window: None };
    let slow = client.statements(&permit::<op::PostgresStatements>(), &limits(), &slow).await.unwrap();
    let [sleep] = slow.as_slice() else { panic!("{slow:?}") };
    assert_eq!(sleep.query.as_deref(), Some("SELECT pg_sleep($1), $2"));
    assert_eq!((sleep.calls, sleep.rows, sleep.user.as_str()), (1, 1, "postgres"));
    assert!(sleep.mean >= 0.2 && sleep.mean < 5.0 && sleep.max == Some(sleep.total), "{sleep:?}");
}

#[tokio::test]
async fn a_window_counts_only_what_was_spent_in_it() {
    let database = Postgres::shared().unwrap().database().unwrap();
    database.track_statements().unwrap();
    database.sql("SELECT pg_sleep(0.3), 'before'::text").unwrap();
    let client = client(&database.monitor().unwrap());
    let filter = StatementFilter { min_mean: 0.05, window: Some(1.0), ..everything() };
    let app = connect(&database.application().unwrap(), "app").await.unwrap();
    let (permit, limits) = (permit::<op::PostgresStatements>(), limits());
    let (during, busy) = tokio::join!(client.statements(&permit, &limits, &filter), async {
        // Both ends of the window see it, or only the later one: in either case it is spent inside.
        for _ in 0..8 {
            app.batch_execute("SELECT pg_sleep(0.1), 'during'").await?;
        }
        Ok::<_, tokio_postgres::Error>(())
    });
    busy.unwrap();
    let during = during.unwrap();
    let [statement] = during.as_slice() else { panic!("{during:?}") };
    assert_eq!(statement.query.as_deref(), Some("SELECT pg_sleep($1), $2"));
    assert_eq!(statement.user, format!("{}_app", database.name()));
    assert!((1..=8).contains(&statement.calls) && statement.mean >= 0.1, "{statement:?}");
    assert!(statement.share > 0.9 && statement.max.is_none(), "{statement:?}");

    let long = StatementFilter { window: Some(600.0), ..everything() };
    let error = client.statements(&permit, &limits, &long).await.unwrap_err();
    assert!(matches!(error, CallError::Invalid(_)), "{error}");
}

#[tokio::test]
async fn a_missing_and_an_unloaded_extension_are_told_apart() {
    let server = Postgres::start(&Settings::default().without_statements()).unwrap();
    let database = server.database().unwrap();
    let client = client(&database.monitor().unwrap());
    let ask = async || client.statements(&permit::<op::PostgresStatements>(), &limits(), &everything()).await;
    let missing = ask().await.unwrap_err().to_string();
    assert!(missing.starts_with("not found: ") && missing.contains("CREATE EXTENSION"), "{missing}");
    database.track_statements().unwrap();
    let unloaded = ask().await.unwrap_err().to_string();
    assert!(unloaded.starts_with("not found: ") && unloaded.contains("shared_preload_libraries"), "{unloaded}");
    let found = client.diagnose().await;
    assert!(found.iter().any(|one| one.message.contains("did not load it")), "{found:?}");
}

#[tokio::test]
async fn replication_is_seen_from_both_ends() {
    let primary = Postgres::start(&Settings::default()).unwrap();
    let database = primary.database().unwrap();
    let monitor = database.monitor().unwrap();
    primary.sql("SELECT pg_create_physical_replication_slot('forgotten', true)").unwrap();
    let standby = primary.standby().unwrap();
    let here = client(&monitor);
    let there = client(&monitor.replace(&primary.port().to_string(), &standby.port().to_string()));
    database.sql("CREATE TABLE filler AS SELECT generate_series(1, 20000) n").unwrap();

    let ask = async |client: &paramedic::clients::postgres::Postgres| {
        client.replication(&permit::<op::PostgresReplication>(), &limits()).await
    };
    let (primary_state, standby_state) = wait::until_async("the standby to catch up", async || {
        let (primary, standby) = (ask(&here).await?, ask(&there).await?);
        let caught_up = primary.standbys.iter().any(|one| one.lag_bytes == 0 && one.state == "streaming");
        Ok((caught_up && primary.position == standby.position).then_some((primary, standby)))
    })
    .await
    .unwrap();
    assert_eq!((primary_state.timeline, standby_state.timeline), (1, 1));
    assert_eq!((primary_state.receiving, primary_state.replay_backlog), (None, None));
    assert!(primary_state.retained_bytes.unwrap() > 100_000, "{primary_state:?}");
    let [seen] = primary_state.standbys.as_slice() else { panic!("{primary_state:?}") };
    assert_eq!((seen.sync.as_str(), seen.lag), ("async", Some(0.0)));
    assert_eq!((standby_state.receiving, standby_state.replay_backlog), (Some(true), Some(0)));
    assert!(standby_state.standbys.is_empty() && standby_state.retained_bytes.is_none(), "{standby_state:?}");

    let seen = there.inspect(&permit::<op::PostgresInspect>(), &limits()).await.unwrap();
    assert_eq!((seen.in_recovery, seen.replay_lag), (true, Some(0.0)));
    let rows = query(&there, "SELECT count(*) FROM pg_class WHERE relname = 'filler'").await.unwrap().rows;
    assert_eq!(rows, [[paramedic::clients::postgres::Value::Integer(1)]]);
    let setting = "SELECT setting FROM pg_settings WHERE name = 'primary_conninfo'";
    assert_eq!(query(&there, setting).await.unwrap().rows, Vec::<Vec<_>>::new(), "the role must not see the password");

    drop(primary);
    let orphan = wait::until_async("the standby to notice", async || {
        let state = ask(&there).await?;
        Ok((state.receiving == Some(false)).then_some(state))
    })
    .await
    .unwrap();
    assert_eq!(orphan.timeline, 1);
    let seen = there.inspect(&permit::<op::PostgresInspect>(), &limits()).await.unwrap();
    assert!(seen.replay_lag.unwrap() > 0.0, "without its primary it cannot say that it is up to date: {seen:?}");
}

#[tokio::test]
async fn the_doctor_finds_nothing_wrong_with_the_recommended_role() {
    let database = Postgres::shared().unwrap().database().unwrap();
    database.track_statements().unwrap();
    let found = client(&database.monitor().unwrap()).diagnose().await;
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.severity, one.subject.as_str(), &one.remedy), (Severity::Ok, "postgres/main", &None));
}

#[tokio::test]
async fn the_doctor_names_each_fault_with_its_cure() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let name = database.name();
    let monitor = database.monitor().unwrap();
    let table = [
        (database.login("plain", "CONNECTION LIMIT 5").unwrap(), format!("GRANT pg_read_all_stats TO {name}_plain;")),
        (
            database.login("endless", "IN ROLE pg_read_all_stats").unwrap(),
            format!("ALTER ROLE {name}_endless CONNECTION LIMIT 5;"),
        ),
        (
            database.login("few", "CONNECTION LIMIT 2 IN ROLE pg_read_all_stats").unwrap(),
            format!("ALTER ROLE {name}_few CONNECTION LIMIT 5;"),
        ),
        (
            database.login("nosy", "CONNECTION LIMIT 5 IN ROLE pg_monitor").unwrap(),
            format!("REVOKE pg_monitor, pg_read_all_settings FROM {name}_nosy;"),
        ),
        (database.signal().unwrap(), format!("REVOKE pg_signal_backend FROM {name}_signal;")),
        (database.login("maker", "CONNECTION LIMIT 5 CREATEROLE").unwrap(), "NOCREATEROLE".to_owned()),
        (monitor.clone(), "CREATE EXTENSION pg_stat_statements;".to_owned()),
        (database.superuser_url(), "CREATE ROLE paramedic_monitor".to_owned()),
        (monitor.replace("_monitor:", "_monitor:x"), "pg_hba.conf".to_owned()),
    ];
    for (url, cure) in table {
        let found = client(&url).diagnose().await;
        let cured = found.iter().any(|one| format!("{} {:?}", one.message, one.remedy).contains(&cure));
        assert!(cured, "{cure}: {found:?}");
        assert!(found.iter().all(|one| one.severity != Severity::Ok), "{found:?}");
    }
    let found = unsafe_client(&database.superuser_url()).diagnose().await;
    assert!(found.iter().any(|one| one.message.contains("allow_superuser")), "{found:?}");
}
