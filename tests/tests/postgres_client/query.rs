//! A plugin's own SQL that is as it should be, and its limits.

use std::time::{Duration, Instant};

use paramedic::clients::postgres::{Postgres as Client, Value};
use paramedic::domain::{CallError, CallLimits};
use paramedic::policy::op;
use paramedic_tests::postgres::{Database, Postgres};
use paramedic_tests::wait;

use crate::common::{client, limits, permit, query, query_with, remote, text, within};

fn database() -> (Database, Client) {
    let database = Postgres::shared().unwrap().database().unwrap();
    let client = client(&database.monitor().unwrap());
    (database, client)
}

#[tokio::test]
async fn every_case_arrives_and_what_has_none_is_text() {
    let (database, client) = database();
    database.sql("CREATE TYPE mood AS ENUM ('calm', 'tense'); CREATE DOMAIN port AS int").unwrap();
    let table: &[(&str, &str, Value)] = &[
        ("NULL::int", "int4", Value::Null),
        ("true", "bool", Value::Boolean(true)),
        ("-7::smallint", "int2", Value::Integer(-7)),
        ("9007199254740993", "int8", text("9007199254740993")),
        ("0.1::real", "float4", Value::Float(0.1)),
        ("1e308::float8 / 3", "float8", Value::Float(1e308 / 3.0)),
        ("'NaN'::float8", "float8", text("NaN")),
        ("1.50", "numeric", text("1.50")),
        ("'ü'::varchar", "varchar", text("ü")),
        ("'\\x00ff'::bytea", "bytea", Value::Bytes(vec![0, 255])),
        ("'2026-03-01 04:14:15.9265+01'::timestamptz", "timestamptz", Value::Instant(1_772_334_855_926)),
        ("'2026-03-01 03:14:15'::timestamp", "timestamp", Value::Instant(1_772_334_855_000)),
        ("'2026-03-01'::date", "date", Value::Instant(1_772_323_200_000)),
        ("'infinity'::timestamptz", "timestamptz", text("infinity")),
        ("'1 day 02:00'::interval", "interval", text("1 day 02:00:00")),
        ("'{\"a\": [1]}'::jsonb", "jsonb", Value::Json("{\"a\": [1]}".to_owned())),
        ("ARRAY[1, NULL]", "_int4", text("{1,NULL}")),
        ("'10.0.0.1/8'::inet", "inet", text("10.0.0.1/8")),
        ("'0/3000148'::pg_lsn", "pg_lsn", text("0/3000148")),
        ("'tense'::mood", "mood", text("tense")),
        ("'5432'::port", "int4", Value::Integer(5432)),
        ("ROW(1, 'a')", "record", text("(1,a)")),
    ];
    // Twice, because the driver looks up types once for each connection.
    for _ in 0..2 {
        for (expression, kind, expected) in table {
            let answer = query(&client, &format!("SELECT {expression} AS it")).await.unwrap();
            assert_eq!((answer.columns[0].name.as_str(), answer.columns[0].type_name.as_str()), ("it", *kind));
            assert_eq!(answer.rows, [[expected.clone()]], "{expression}");
        }
    }
}

#[tokio::test]
async fn settings_of_the_role_change_neither_form_nor_meaning() {
    let (database, _) = database();
    let url = database.login("odd", "IN ROLE pg_read_all_stats").unwrap();
    for setting in [
        "DateStyle = 'German'",
        "TimeZone = 'Asia/Kathmandu'",
        "bytea_output = 'escape'",
        "extra_float_digits = -15",
        "IntervalStyle = 'iso_8601'",
        "standard_conforming_strings = off",
        "statement_timeout = 1",
        "default_transaction_isolation = 'serializable'",
        "search_path = 'public, pg_catalog'",
    ] {
        database.sql(&format!("ALTER ROLE {}_odd SET {setting}", database.name())).unwrap();
    }
    let client = client(&url);
    let sql = "SELECT '2026-03-01 00:00+00'::timestamptz, '\\x01'::bytea, 0.1::float8 + 0.2, '1 day'::interval, '\\'";
    let answer = query(&client, sql).await;
    // A statement timeout of one millisecond can hit the login itself; the other settings are what this is about.
    let answer = match answer {
        Err(CallError::TimedOut(_)) => {
            database.sql(&format!("ALTER ROLE {}_odd RESET statement_timeout", database.name())).unwrap();
            query(&client, sql).await
        }
        other => other,
    };
    let expected =
        [Value::Instant(1_772_323_200_000), Value::Bytes(vec![1]), Value::Float(0.1 + 0.2), text("1 day"), text("\\")];
    assert_eq!(answer.unwrap().rows, [expected]);
}

#[tokio::test]
async fn parameters_take_the_types_that_the_statement_gives_them() {
    let (_, client) = database();
    let instant = Value::Instant(1_772_334_855_926);
    let table: &[(&str, Value, Value)] = &[
        ("$1::int + 1", Value::Integer(41), Value::Integer(42)),
        ("$1::numeric + 0.5", Value::Integer(41), text("41.5")),
        ("$1::float8 * 2", Value::Float(0.25), Value::Float(0.5)),
        ("upper($1)", text("it's"), text("IT'S")),
        ("NOT $1", Value::Boolean(true), Value::Boolean(false)),
        ("$1::timestamptz", instant.clone(), instant.clone()),
        ("$1::timestamp", instant.clone(), instant),
        ("$1::bytea", Value::Bytes(vec![0, 1]), Value::Bytes(vec![0, 1])),
        ("$1::jsonb -> 'a'", Value::Json("{\"a\": 1}".to_owned()), Value::Json("1".to_owned())),
        ("now() - $1::interval > now()", text("-1 hour"), Value::Boolean(true)),
        ("$1::text IS NULL", Value::Null, Value::Boolean(true)),
        ("2 = ANY ($1::int[])", text("{1,2}"), Value::Boolean(true)),
    ];
    for (expression, parameter, expected) in table {
        let answer = query_with(&client, &format!("SELECT {expression}"), std::slice::from_ref(parameter)).await;
        assert_eq!(answer.unwrap().rows, [[expected.clone()]], "{expression}");
    }
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_named() {
    let (_, client) = database();
    let table: &[(&str, &[Value], &str)] = &[
        ("SELECT $1::int", &[Value::Boolean(true)], "$1: the case `boolean` does not fit the type int4"),
        ("SELECT $1::int, $2::bool", &[Value::Integer(1), Value::Float(1.0)], "$2: the case `float`"),
        ("SELECT 1", &[Value::Integer(1)], "0 parameters and got 1"),
        ("SELECT $1::int + $2::int", &[Value::Integer(1)], "2 parameters and got 1"),
        ("SELECT $1::text", &[text("a\0b")], "$1 holds a zero byte"),
    ];
    for (sql, params, expected) in table {
        let error = query_with(&client, sql, params).await.unwrap_err();
        assert!(matches!(&error, CallError::Invalid(message) if message.contains(expected)), "{sql}: {error}");
    }
    let (code, message) = remote(query_with(&client, "SELECT $1::int", &[text("many")]).await);
    assert_eq!((code.as_str(), message.contains("integer")), ("22P02", true), "{message}");
}

#[tokio::test]
async fn errors_of_a_statement_reach_its_author_and_leave_the_connection_in_order() {
    let (database, client) = database();
    database.sql("CREATE TABLE private (id int)").unwrap();
    for (sql, code) in [
        ("SELECT missing FROM pg_class", "42703"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT * FROM private", "42501"),
        ("SELECT 1 / (count(*) - count(*)) FROM pg_class", "22012"),
        ("SELECT abs('x'::int)", "22P02"),
    ] {
        let (answered, message) = remote(query(&client, sql).await);
        assert_eq!(answered, code, "{message}");
        assert_eq!(query(&client, "SELECT 1").await.unwrap().rows, [[Value::Integer(1)]]);
    }
    assert_eq!(sessions_of(&database), "1", "all of that on one connection");
}

fn sessions_of(database: &Database) -> String {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}_monitor'", database.name());
    database.sql(&sql).unwrap()
}

#[tokio::test]
async fn a_query_past_the_row_cap_is_cut_and_reported() {
    let (_, client) = database();
    for (rows, truncated) in [(999, false), (1_000, false), (1_001, true), (1_000_000, true)] {
        let answer = query(&client, &format!("SELECT n FROM generate_series(1, {rows}) n")).await.unwrap();
        assert_eq!((answer.rows.len(), answer.truncated), (rows.min(1_000), truncated));
    }
}

#[tokio::test]
async fn an_answer_past_the_size_limit_is_cut_between_rows() {
    let (_, client) = database();
    let small = CallLimits { answer_bytes: 20_000, ..limits() };
    let ask = async |sql: &str| client.query(&permit::<op::PostgresQuery>(), &small, sql, &[]).await;
    let kilobyte = "(SELECT string_agg(md5(m::text), '') FROM generate_series(1, 32) m)";
    let answer = ask(&format!("SELECT {kilobyte} FROM generate_series(1, 40)")).await.unwrap();
    assert!(answer.truncated && (15..20).contains(&answer.rows.len()), "{}", answer.rows.len());
    assert!(answer.rows.iter().all(|row| matches!(&row[0], Value::Text(text) if text.len() == 1024)));

    let megabytes = "SELECT md5(n::text), string_agg(md5(m::text), '') \
                     FROM generate_series(1, 2) n, generate_series(1, 100000) m GROUP BY n";
    let error = ask(megabytes).await.unwrap_err();
    assert!(matches!(error, CallError::TooLarge(_)), "{error}");
    let after_some = "SELECT CASE WHEN n > 3 THEN (SELECT string_agg(md5(m::text), '') FROM generate_series(1, 100000) m) \
                      ELSE 'small' END FROM generate_series(1, 9) n";
    let answer = ask(after_some).await.unwrap();
    assert_eq!((answer.rows.len(), answer.truncated), (3, true));
    assert_eq!(ask("SELECT 1").await.unwrap().rows, [[Value::Integer(1)]]);
}

#[tokio::test]
async fn a_statement_that_runs_too_long_ends_at_the_server() {
    let (database, client) = database();
    let endless = "SELECT count(*) FROM generate_series(1, 100000000000) n";
    let started = Instant::now();
    let limits = within(Duration::from_millis(400));
    let error = client.query(&permit::<op::PostgresQuery>(), &limits, endless, &[]).await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut(_)), "{error}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    no_statement_is_left(&database).await;
}

#[tokio::test]
async fn a_dropped_call_leaves_no_statement_behind() {
    let (database, client) = database();
    let client = std::sync::Arc::new(client);
    let endless = "SELECT count(*) FROM generate_series(1, 100000000000) n";
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { query(&client, endless).await })
        })
        .collect();
    let running = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}_monitor' AND state = 'active'",
        database.name()
    );
    wait::until_async("the statements to run", async || Ok((database.sql(&running)? == "3").then_some(())))
        .await
        .unwrap();
    for call in calls {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    no_statement_is_left(&database).await;
    assert_eq!(query(&client, "SELECT 1").await.unwrap().rows, [[Value::Integer(1)]]);
}

async fn no_statement_is_left(database: &Database) {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}_monitor' AND state <> 'idle'",
        database.name()
    );
    wait::until_async("the statements to end", async || Ok((database.sql(&sql)? == "0").then_some(()))).await.unwrap();
}

#[tokio::test]
async fn columns_behind_a_dot_work_and_functions_behind_a_dot_do_not() {
    let (database, client) = database();
    database
        .sql(
            "CREATE TABLE job (id int, attempts int, host text); INSERT INTO job VALUES (1, 3, 'a'); \
             GRANT SELECT ON job TO PUBLIC; \
             CREATE FUNCTION wipe(job) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        )
        .unwrap();
    let sql =
        "SELECT j.id, j.attempts, j.host, a.pid > 0 FROM job j, pg_stat_activity a WHERE a.pid = pg_backend_pid()";
    let answer = query(&client, sql).await.unwrap();
    assert_eq!(answer.rows, [[Value::Integer(1), Value::Integer(3), text("a"), Value::Boolean(true)]]);
    for sql in ["SELECT j.wipe FROM job j", "SELECT (j).wipe FROM job j", "SELECT (j.id).pg_sleep FROM job j"] {
        let error = query(&client, sql).await.unwrap_err();
        assert!(matches!(&error, CallError::Invalid(message) if message.contains("would call")), "{sql}: {error}");
    }
}
