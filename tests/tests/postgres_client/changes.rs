//! Cancelling statements and ending sessions, and which of them stay untouched.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use paramedic::clients::postgres::{Postgres as Client, SessionKey, Settings as Target};
use paramedic::domain::{CallError, ChangeBounds, ChangeCall, DenialReason, Done, Preview, Secret, Severity, Undo};
use paramedic::journal::{Change, Halt, Performed, Settled};
use paramedic::policy::op::{PostgresCancelQuery, PostgresTerminateSession};
use paramedic_tests::postgres::{Database, Postgres, Settings, connect};
use paramedic_tests::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::Client as Session;

use crate::common::{bounded, limits, open, permit, within};

/// The target of `database` with its second login.
fn signaller(database: &Database) -> Arc<Client> {
    with_signal(database, &database.signal().unwrap())
}

fn with_signal(database: &Database, signal: &str) -> Arc<Client> {
    let monitor = Secret::new(database.monitor().unwrap());
    Arc::new(open(Target { signal_url: Some(Secret::new(signal)), ..Target::new(monitor) }))
}

fn key(database: &Database, condition: &str) -> SessionKey {
    let started = "(extract(epoch FROM backend_start) * 1000000)::int8";
    let row = database.sql(&format!("SELECT pid, {started} FROM pg_stat_activity WHERE {condition}")).unwrap();
    let (pid, started_micros) = row.split_once('|').unwrap_or_else(|| panic!("{condition}: {row:?}"));
    SessionKey { pid: pid.parse().unwrap(), started_micros: started_micros.parse().unwrap() }
}

async fn key_of(session: &Session) -> SessionKey {
    let sql = "SELECT pid, (extract(epoch FROM backend_start) * 1000000)::int8 \
               FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    // Nothing is prepared, because its removal would be the session's next step.
    let row = session.query_typed_one(sql, &[]).await.unwrap();
    SessionKey { pid: row.get(0), started_micros: u64::try_from(row.get::<_, i64>(1)).unwrap() }
}

fn terminate(client: &Arc<Client>, key: SessionKey) -> Arc<dyn Change> {
    client.terminate_session(permit::<PostgresTerminateSession>(), key).unwrap()
}

fn cancel(client: &Arc<Client>, key: SessionKey) -> Arc<dyn Change> {
    client.cancel_query(permit::<PostgresCancelQuery>(), key).unwrap()
}

async fn perform(change: &Arc<dyn Change>, planned: &Preview) -> Performed {
    change.perform(planned, &limits(), &Halt::default()).await
}

async fn carry_out(change: &Arc<dyn Change>) -> (Preview, Done) {
    let planned = change.preview(&limits()).await.unwrap();
    match perform(change, &planned).await {
        Performed::Done(done) => (planned, done),
        other => panic!("{other:?}"),
    }
}

/// Waits until the session that fits `condition` is there.
async fn appeared(database: &Database, condition: &str) -> SessionKey {
    wait::until_async(condition, async || {
        let found = database.sql(&format!("SELECT count(*) FROM pg_stat_activity WHERE {condition}"))?;
        Ok((found != "0").then_some(()))
    })
    .await
    .unwrap();
    key(database, condition)
}

/// A session that runs a statement which ends only when it is told to, and the answer to it.
async fn at_work(url: &str, application: &str) -> (SessionKey, Arc<Session>, tokio::task::JoinHandle<Option<String>>) {
    let session = Arc::new(connect(url, application).await.unwrap());
    let key = key_of(&session).await;
    let running = session.clone();
    let task = tokio::spawn(async move {
        let answer = running.batch_execute("SELECT pg_sleep(3600), 'ann@example.org'").await;
        answer.err().map(|error| error.code().map_or("closed", |code| code.code()).to_owned())
    });
    (key, session, task)
}

fn sleeping(key: SessionKey) -> String {
    format!("pid = {} AND state = 'active' AND wait_event = 'PgSleep'", key.pid)
}

/// The refusal of a change, whose session has to be there still.
async fn refused(database: &Database, change: &Arc<dyn Change>) -> String {
    let error = change.preview(&limits()).await.unwrap_err();
    let CallError::Denied(denial) = &error else { panic!("{error}") };
    assert_eq!(denial.reason, DenialReason::OutOfBounds);
    // Nor would a plan that somebody made up be carried out.
    let key: SessionKey = serde_json::from_str(&change.call().arguments).unwrap();
    let made_up = Preview {
        summary: String::new(),
        objects: 1,
        differences: vec![],
        ground: vec![],
        scope: "{}".to_owned(),
        undo: Undo::Impossible(String::new()),
        doubt: None,
        notes: vec![],
    };
    let performed = perform(change, &made_up).await;
    assert!(matches!(&performed, Performed::Nothing(CallError::Denied(_))), "{performed:?}");
    let still = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {}", key.pid);
    assert_eq!(database.sql(&still).unwrap(), "1");
    denial.message.clone()
}

#[tokio::test]
async fn a_session_at_work_is_ended_and_its_client_hears_of_it() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let (key, session, task) = at_work(&database.application().unwrap(), "checkout-api").await;
    appeared(&database, &sleeping(key)).await;
    let change = terminate(&signaller(&database), key);

    let planned = change.preview(&limits()).await.unwrap();
    let begins = format!("end session {} of checkout-api (role {}_app): active for ", key.pid, database.name());
    assert!(planned.summary.starts_with(&begins), "{}", planned.summary);
    assert_eq!(planned.objects, 1);
    let [difference] = planned.differences.as_slice() else { panic!("{:?}", planned.differences) };
    assert_eq!(difference.before.as_deref(), Some("active, running SELECT pg_sleep(?), ?"));
    assert_eq!(difference.after.as_deref(), Some("ended"));
    assert!(!format!("{planned:?}").contains("ann@"), "{planned:?}");
    assert!(matches!(&planned.undo, Undo::Impossible(why) if why.contains("connect again")));
    assert!(!session.is_closed(), "a preview ends nothing");
    assert_eq!(change.settle(&planned, &limits()).await, Settled::NotDone);

    let Performed::Done(done) = perform(&change, &planned).await else { panic!() };
    assert_eq!((done.objects, done.incomplete, done.inverse), (1, None, None));
    assert_eq!(done.differences, planned.differences);
    // The answer is the server's last word, unless the end of the connection was read first.
    let heard = task.await.unwrap();
    assert!(matches!(heard.as_deref(), Some("57P01" | "closed")), "{heard:?}");
    assert!(matches!(change.settle(&planned, &limits()).await, Settled::Done(done) if done.objects == 1));

    let again = change.preview(&limits()).await.unwrap();
    assert!(!again.is_needed() && again.summary == format!("session {} is over", key.pid), "{again:?}");
    assert!(matches!(perform(&change, &planned).await, Performed::Done(done) if done.objects == 0));
}

#[tokio::test]
async fn a_transaction_that_nobody_ends_is_rolled_back_and_whoever_waited_goes_on() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let app = database.application().unwrap();
    let holder = connect(&app, "holder").await.unwrap();
    holder.batch_execute("CREATE TABLE stock (id int, n int); INSERT INTO stock VALUES (1, 1)").await.unwrap();
    holder.batch_execute("BEGIN").await.unwrap();
    holder.batch_execute("UPDATE stock SET n = 2 WHERE id = 1").await.unwrap();
    let waiter = connect(&app, "waiter").await.unwrap();
    let waiting = tokio::spawn(async move { waiter.batch_execute("UPDATE stock SET n = n + 10").await });
    let here = format!("datname = '{}' AND application_name", database.name());
    appeared(&database, &format!("{here} = 'waiter' AND wait_event_type = 'Lock'")).await;
    let held = key(&database, &format!("{here} = 'holder'"));
    let client = signaller(&database);

    let cancelled = cancel(&client, held).preview(&limits()).await.unwrap();
    assert!(!cancelled.is_needed() && cancelled.summary.ends_with("runs no statement"), "{cancelled:?}");
    assert!(cancelled.notes[0].contains("only ending the session"), "{cancelled:?}");
    let (planned, done) = carry_out(&terminate(&client, held)).await;
    assert!(planned.summary.contains(": idle in transaction for "), "{}", planned.summary);
    assert_eq!(
        planned.differences[0].before.as_deref(),
        Some("idle in transaction, after UPDATE stock SET n = ? WHERE id = ?")
    );
    assert_eq!(
        planned.notes,
        ["its open transaction is rolled back, and what it did is lost", "one session waits for its locks"]
    );
    assert_eq!((done.objects, done.incomplete), (1, None));
    waiting.await.unwrap().unwrap();
    assert_eq!(database.sql("SELECT n FROM stock").unwrap(), "11");
}

#[tokio::test]
async fn a_cancelled_statement_leaves_its_session_connected() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let (key, session, task) = at_work(&database.application().unwrap(), "checkout-api").await;
    appeared(&database, &sleeping(key)).await;
    let change = cancel(&signaller(&database), key);
    let planned = change.preview(&limits()).await.unwrap();
    assert!(planned.summary.starts_with(&format!("cancel the statement of session {} of checkout-api", key.pid)));
    assert!(matches!(&planned.undo, Undo::Impossible(why) if why.contains("run again")));
    assert_eq!(change.settle(&planned, &limits()).await, Settled::NotDone);
    let Performed::Done(done) = perform(&change, &planned).await else { panic!() };
    assert_eq!((done.objects, done.incomplete), (1, None));
    assert_eq!(task.await.unwrap().as_deref(), Some("57014"));
    assert!(matches!(change.settle(&planned, &limits()).await, Settled::Done(_)));
    session.batch_execute("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn a_number_that_was_given_out_again_is_another_session() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let (key, session, _task) = at_work(&database.application().unwrap(), "checkout-api").await;
    appeared(&database, &sleeping(key)).await;
    let client = signaller(&database);
    let planned = terminate(&client, key).preview(&limits()).await.unwrap();
    for started_micros in [key.started_micros - 1, key.started_micros + 1] {
        let other = terminate(&client, SessionKey { started_micros, ..key });
        assert!(!other.preview(&limits()).await.unwrap().is_needed());
        assert!(matches!(perform(&other, &planned).await, Performed::Done(done) if done.objects == 0));
    }
    assert!(!session.is_closed());
}

#[tokio::test]
async fn a_session_that_went_on_since_the_plan_is_a_conflict() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let session = connect(&database.application().unwrap(), "checkout-api").await.unwrap();
    let key = key_of(&session).await;
    let client = signaller(&database);
    let change = terminate(&client, key);
    for (before, after, about) in [
        // Idle, and idle again after the same statement.
        ("SELECT 1", "SELECT 1", "start of the statement"),
        ("SELECT 1", "BEGIN", "state"),
        ("SELECT 1", "SELECT 1", "start of the statement"),
        ("SELECT 1", "COMMIT", "state"),
        ("SELECT 1", "SET application_name = 'other'", "application"),
    ] {
        session.batch_execute(before).await.unwrap();
        let planned = change.preview(&limits()).await.unwrap();
        session.batch_execute(after).await.unwrap();
        let performed = perform(&change, &planned).await;
        let Performed::Nothing(CallError::Conflict(moved)) = &performed else { panic!("{after}: {performed:?}") };
        assert!(moved.contains(&format!("{about} was ")) && moved.contains(", is "), "{moved}");
    }
    session.batch_execute("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn a_cancel_does_not_hit_the_statement_after_the_one_it_is_for() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let url = database.application().unwrap();
    let (key, session, first) = at_work(&url, "checkout-api").await;
    appeared(&database, &sleeping(key)).await;
    let client = signaller(&database);
    let change = cancel(&client, key);
    let planned = change.preview(&limits()).await.unwrap();
    let (_, done) = carry_out(&change).await;
    assert_eq!(done.objects, 1);
    first.await.unwrap();
    let second = tokio::spawn({
        let session = session.clone();
        async move { session.batch_execute("SELECT pg_sleep(3600), 'ann@example.org'").await }
    });
    appeared(&database, &sleeping(key)).await;
    let performed = perform(&change, &planned).await;
    assert!(
        matches!(&performed, Performed::Nothing(CallError::Conflict(moved)) if moved.contains("start of the statement")),
        "{performed:?}"
    );
    assert!(!second.is_finished());
}

#[tokio::test]
async fn a_superuser_and_a_role_that_replicates_are_left_alone() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let client = signaller(&database);
    let superuser = connect(&database.superuser_url(), "psql").await.unwrap();
    let told = refused(&database, &terminate(&client, key_of(&superuser).await)).await;
    assert!(told.contains("a superuser"), "{told}");
    let copier = connect(&database.login("copier", "REPLICATION").unwrap(), "psql").await.unwrap();
    let told = refused(&database, &terminate(&client, key_of(&copier).await)).await;
    assert!(told.contains("REPLICATION"), "{told}");
}

#[tokio::test]
async fn protected_applications_are_left_alone_and_the_operator_names_them() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let app = database.application().unwrap();
    let client = signaller(&database);
    let dump = connect(&app, "pg_dump").await.unwrap();
    let told = refused(&database, &terminate(&client, key_of(&dump).await)).await;
    assert!(told.contains("`pg_dump` matches `pg_dump` in the target's `protected`"), "{told}");
    let migration = connect(&app, "gh-ost-7").await.unwrap();
    let signal_url = Some(Secret::new(database.signal().unwrap()));
    let url = Secret::new(database.monitor().unwrap());
    let own = Target { signal_url, protected: vec!["gh-ost*".parse().unwrap()], ..Target::new(url) };
    let own = Arc::new(open(own));
    let told = refused(&database, &terminate(&own, key_of(&migration).await)).await;
    assert!(told.contains("`gh-ost-7` matches `gh-ost*`"), "{told}");
    let (_, done) = carry_out(&terminate(&own, key_of(&dump).await)).await;
    assert_eq!(done.objects, 1, "the operator's list takes the place of the agent's");
}

#[tokio::test]
async fn the_agents_own_sessions_and_those_of_agents_like_it_are_left_alone() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let client = signaller(&database);
    let app = database.application().unwrap();
    let idle = connect(&app, "idle").await.unwrap();
    terminate(&client, key_of(&idle).await).preview(&limits()).await.unwrap();
    let own = key(&database, &format!("usename = '{}_signal'", database.name()));
    let told = refused(&database, &terminate(&client, own)).await;
    assert!(told.contains("the agent's own"), "{told}");
    let impostor = connect(&app, "paramedic").await.unwrap();
    let told = refused(&database, &terminate(&client, key_of(&impostor).await)).await;
    assert!(told.contains("the agent's own"), "{told}");
}

#[tokio::test]
async fn an_index_in_the_making_is_left_alone() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let app = database.application().unwrap();
    let holder = connect(&app, "holder").await.unwrap();
    holder.batch_execute("CREATE TABLE orders (id int)").await.unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE orders").await.unwrap();
    let maker = connect(&app, "maker").await.unwrap();
    let key = key_of(&maker).await;
    let made = tokio::spawn(async move { maker.batch_execute("/* v7 */ create index on orders (id)").await });
    appeared(&database, &format!("pid = {} AND wait_event_type = 'Lock'", key.pid)).await;
    let client = signaller(&database);
    for change in [terminate(&client, key), cancel(&client, key)] {
        let told = refused(&database, &change).await;
        assert!(told.contains("it runs CREATE"), "{told}");
    }
    holder.batch_execute("ROLLBACK").await.unwrap();
    made.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_walsender_and_a_background_process_are_left_alone() {
    let server = Postgres::start(&Settings::default().with("autovacuum_naptime", "1")).unwrap();
    let _standby = server.standby().unwrap();
    let database = server.database().unwrap();
    let client = signaller(&database);
    for kind in ["walsender", "checkpointer", "autovacuum launcher"] {
        let key = appeared(&database, &format!("backend_type = '{kind}'")).await;
        let told = refused(&database, &terminate(&client, key)).await;
        assert!(told.contains(&format!("of the kind `{kind}`")), "{told}");
    }
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn log_that_is_shipped_by_a_role_of_its_own_is_left_alone() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let server = Postgres::shared().unwrap();
    let url = database.login("shipper", "REPLICATION").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let program = server.psql().with_file_name("pg_receivewal");
    let arguments = ["--no-loop", "--no-sync", "--dbname", &url, "--directory"];
    let shipping = Command::new(program)
        .args(arguments)
        .arg(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _shipping = Running(shipping);
    let key = appeared(&database, &format!("usename = '{}_shipper' AND state = 'active'", database.name())).await;
    let told = refused(&database, &terminate(&signaller(&database), key)).await;
    assert!(told.contains("of the kind `walsender`"), "{told}");
}

#[tokio::test]
async fn an_autovacuum_worker_is_left_alone() {
    let settings = Settings::default()
        .with("autovacuum_naptime", "1")
        .with("autovacuum_vacuum_threshold", "1")
        .with("autovacuum_vacuum_cost_delay", "100")
        .with("autovacuum_vacuum_cost_limit", "1");
    let server = Postgres::start(&settings).unwrap();
    let database = server.database().unwrap();
    database.sql("CREATE TABLE t AS SELECT n, repeat('x', 500) FROM generate_series(1, 20000) n").unwrap();
    database.sql("DELETE FROM t WHERE n % 2 = 0").unwrap();
    let worker = "backend_type = 'autovacuum worker' AND query LIKE 'autovacuum: VACUUM%public.t%'";
    let key = appeared(&database, worker).await;
    let told = refused(&database, &terminate(&signaller(&database), key)).await;
    assert!(told.contains("`autovacuum worker`"), "{told}");
}

#[tokio::test]
async fn a_grant_for_some_sessions_does_not_cover_others() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let (key, session, _task) = at_work(&database.application().unwrap(), "checkout-api").await;
    appeared(&database, &sleeping(key)).await;
    let client = signaller(&database);
    let change = |users: &[&str], applications: &[&str]| {
        let parse = |patterns: &[&str]| patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
        let bounds = ChangeBounds {
            per_run: 1,
            users: parse(users),
            applications: parse(applications),
            ..ChangeBounds::default()
        };
        client.terminate_session(bounded(bounds), key).unwrap()
    };
    let told = refused(&database, &change(&["batch*"], &[])).await;
    assert!(told.contains("the role `"), "{told}");
    let told = refused(&database, &change(&["*_app"], &["report-*"])).await;
    assert!(told.contains("the application `checkout-api`"), "{told}");
    assert!(!session.is_closed());
    let (_, done) = carry_out(&change(&["*_app"], &["checkout-*"])).await;
    assert_eq!(done.objects, 1);
}

#[tokio::test]
async fn a_login_that_may_not_signal_is_told_what_it_lacks() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let (key, session, _task) = at_work(&database.application().unwrap(), "checkout-api").await;
    appeared(&database, &sleeping(key)).await;
    let looks = database.login("looks", "IN ROLE pg_read_all_stats").unwrap();
    let change = terminate(&with_signal(&database, &looks), key);
    let planned = change.preview(&limits()).await.unwrap();
    let performed = perform(&change, &planned).await;
    let Performed::Nothing(CallError::Remote(error)) = &performed else { panic!("{performed:?}") };
    assert_eq!(error.code, "42501");
    assert!(error.message.contains("pg_signal_backend") && error.message.contains("superusers"), "{error}");

    let blind = database.login("blind", "IN ROLE pg_signal_backend").unwrap();
    let error = terminate(&with_signal(&database, &blind), key).preview(&limits()).await.unwrap_err();
    assert!(matches!(&error, CallError::Remote(error) if error.message.contains("GRANT pg_read_all_stats")), "{error}");
    assert!(!session.is_closed());
}

#[tokio::test]
async fn a_target_without_the_second_login_says_how_to_add_it() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let client = Arc::new(open(Target::new(Secret::new(database.monitor().unwrap()))));
    let key = SessionKey { pid: 4711, started_micros: 1_772_334_855_926_535 };
    let error = client.terminate_session(permit(), key).err().unwrap();
    let CallError::Unavailable(message) = &error else { panic!("{error}") };
    assert!(message.contains("pg_signal_backend") && message.contains("targets.postgres.main.signal_url"), "{message}");

    let powerful = with_signal(&database, &database.superuser_url());
    let error = terminate(&powerful, key).preview(&limits()).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Unavailable(text) if text.contains("superuser") && text.contains("paramedic_signal")),
        "{error}"
    );
    let elsewhere = database.signal().unwrap().replace("127.0.0.1", "db.internal");
    let url = Secret::new(database.monitor().unwrap());
    let settings = Target { signal_url: Some(Secret::new(elsewhere)), ..Target::new(url) };
    let error = Client::new("main".parse().unwrap(), settings).err().unwrap();
    assert!(error.to_string().contains("same host and port"), "{error}");
}

#[tokio::test]
async fn a_recorded_change_is_made_again_from_its_arguments_alone() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let client = signaller(&database);
    let key = SessionKey { pid: 4711, started_micros: 1_772_334_855_926_535 };
    for change in [terminate(&client, key), cancel(&client, key)] {
        let call = change.call();
        assert_eq!(call.arguments, r#"{"pid":4711,"started_micros":1772334855926535}"#);
        assert_eq!(client.recorded(&call).unwrap().call(), call);
        for arguments in [
            "",
            "{}",
            r#"{"pid":1}"#,
            r#"{"pid":4711,"started_micros":1,"force":true}"#,
            r#"{"pid":-1,"started_micros":1}"#,
        ] {
            let call = ChangeCall { arguments: arguments.to_owned(), ..call.clone() };
            assert!(matches!(client.recorded(&call).err(), Some(CallError::Invalid(_))), "{arguments}");
        }
    }
}

/// A way to a server that is cut off once a signal has passed.
struct Severing {
    port: u16,
    signals: Arc<AtomicUsize>,
}

impl Severing {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, signals) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let seen = signals.clone();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(pass(near, far, seen.clone()));
            }
        });
        Self { port, signals }
    }

    fn at(&self, server: u16, url: &str) -> Secret {
        Secret::new(url.replace(&format!(":{server}/"), &format!(":{}/", self.port)) + "?sslmode=disable")
    }
}

/// A signal still reaches the server, whose answer reaches nobody.
async fn pass(near: TcpStream, far: TcpStream, signals: Arc<AtomicUsize>) {
    let (mut from_client, mut to_client) = near.into_split();
    let (mut from_server, mut to_server) = far.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
        let sent = bytes.get(..read).unwrap();
        let is_signal = sent.windows(20).any(|word| word == b"pg_terminate_backend");
        if is_signal {
            signals.fetch_add(1, Ordering::SeqCst);
            back.abort();
        }
        if to_server.write_all(sent).await.is_err() || is_signal {
            break;
        }
    }
    // Until the server has read it all; the client is gone by then.
    drop(from_client);
    drop(back.await);
    drop(to_server.shutdown().await);
}

#[tokio::test]
async fn a_signal_whose_answer_is_lost_is_unknown_until_somebody_looks() {
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let (key, _session, task) = at_work(&database.application().unwrap(), "checkout-api").await;
    appeared(&database, &sleeping(key)).await;
    let relay = Severing::start(server.port()).await;
    let monitor = relay.at(server.port(), &database.monitor().unwrap());
    let signal_url = Some(relay.at(server.port(), &database.signal().unwrap()));
    let change = terminate(&Arc::new(open(Target { signal_url, ..Target::new(monitor) })), key);
    let planned = change.preview(&limits()).await.unwrap();
    let performed = perform(&change, &planned).await;
    assert!(matches!(performed, Performed::Unknown(CallError::Unavailable(_))), "{performed:?}");
    assert_eq!(relay.signals.load(Ordering::SeqCst), 1, "it is sent once");
    // Here it did arrive.
    let heard = task.await.unwrap();
    assert!(matches!(heard.as_deref(), Some("57P01" | "closed")), "{heard:?}");
    wait::until_async("the session to end", async || {
        Ok(matches!(change.settle(&planned, &limits()).await, Settled::Done(_)).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(relay.signals.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_doctor_looks_at_the_second_login() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let (name, signal) = (database.name(), database.signal().unwrap());
    let table = [
        (signal.clone(), Severity::Ok, format!("{name}_signal may end sessions")),
        (
            database.login("looks", "IN ROLE pg_read_all_stats").unwrap(),
            Severity::Error,
            format!("GRANT pg_signal_backend TO {name}_looks;"),
        ),
        (
            database.login("blind", "IN ROLE pg_signal_backend").unwrap(),
            Severity::Error,
            format!("GRANT pg_read_all_stats TO {name}_blind;"),
        ),
        (database.superuser_url(), Severity::Error, "superuser".to_owned()),
        (format!("{signal}_missing"), Severity::Error, "correct the database".to_owned()),
    ];
    for (url, severity, words) in table {
        let found = with_signal(&database, &url).diagnose().await;
        let told =
            found.iter().find(|one| one.message.starts_with("signal_url: ")).unwrap_or_else(|| panic!("{found:?}"));
        assert_eq!(told.severity, severity, "{told:?}");
        assert!(format!("{} {:?}", told.message, told.remedy).contains(&words), "{words}: {told:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_gone_between_plan_and_change_is_not_known_to_have_ended_anything() {
    let server = Postgres::start(&Settings::default()).unwrap();
    let database = server.database().unwrap();
    let (key, _session, _task) = at_work(&database.application().unwrap(), "checkout-api").await;
    appeared(&database, &sleeping(key)).await;
    let change = terminate(&signaller(&database), key);
    let planned = change.preview(&limits()).await.unwrap();
    drop(server);
    let performed = change.perform(&planned, &within(Duration::from_secs(5)), &Halt::default()).await;
    assert!(matches!(performed, Performed::Nothing(CallError::Unavailable(_))), "{performed:?}");
    let settled = change.settle(&planned, &within(Duration::from_secs(5))).await;
    assert!(
        matches!(&settled, Settled::Unknown(where_to_look) if where_to_look.contains("pg_stat_activity")),
        "{settled:?}"
    );
}
