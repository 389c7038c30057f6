//! Ways out of a "SELECT-only" login that are known to work without the defences of `query`, and a server on which they
//! would leave traces.

use paramedic_tests::postgres::{Database, Postgres, Settings, connect};
use paramedic_tests::wait;
use tokio_postgres::Client;

/// What each attempt is after, and the statements that try. `{victim}` is the pid of an application's session,
/// `{superuser}` that of a superuser's, `{walsender}` that of the standby's; `{url}` a login that may write.
pub const ATTEMPTS: &[(&str, &[&str])] = &[
    (
        "end the transaction and write",
        &["COMMIT", "ROLLBACK", "END", "SELECT 1; COMMIT", "SELECT 1; COMMIT; INSERT INTO t VALUES (1)"],
    ),
    (
        "make the transaction writable",
        &[
            "SET TRANSACTION READ WRITE",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "SET default_transaction_read_only = off",
        ],
    ),
    (
        "leave through a block",
        &["DO $$ BEGIN COMMIT; SET TRANSACTION READ WRITE; INSERT INTO t VALUES (1); END $$", "CALL p()"],
    ),
    (
        "keep a large object",
        &[
            "SELECT lo_from_bytea(0, '\\x01')",
            "SELECT lo_create(0)",
            "SELECT lo_creat(-1)",
            "SELECT lo_put(1, 0, '\\x01')",
            "SELECT x.lo_create FROM (SELECT 0::oid) s(o), LATERAL abs(0) x",
        ],
    ),
    (
        "free the next statement of its time limit",
        &[
            "SELECT set_config('statement_timeout', '0', false)",
            "SELECT set_config('statement_timeout', '0', true)",
            "SET statement_timeout = 0",
            "SELECT pg_catalog.set_config('lock_timeout', '0', false)",
        ],
    ),
    (
        "leave settings in the session",
        &[
            "SELECT set_config('work_mem', '100GB', false)",
            "SELECT set_config('search_path', 'evil', false)",
            "SELECT set_config('app.user', 'root', false)",
            "SET work_mem = '1GB'",
            "RESET ALL",
        ],
    ),
    (
        "hold an advisory lock",
        &[
            "SELECT pg_advisory_lock(1)",
            "SELECT pg_advisory_lock_shared(1, 2)",
            "SELECT pg_try_advisory_lock(1)",
            "SELECT pg_advisory_xact_lock(1)",
            "SELECT x.pg_advisory_lock FROM abs(1::bigint) x",
        ],
    ),
    (
        "leave things in the session",
        &[
            "SELECT pg_notify('c', 'x')",
            "LISTEN c",
            "NOTIFY c",
            "PREPARE s AS SELECT 1",
            "DECLARE d CURSOR WITH HOLD FOR SELECT 1",
            "SELECT 1 FROM pg_cursors WHERE 1 = (SELECT pg_notify('c', 'x')::text::int)",
        ],
    ),
    (
        "write the log or take a transaction number",
        &[
            "SELECT pg_logical_emit_message(true, 'a', 'b')",
            "SELECT pg_logical_emit_message(false, 'a', 'b')",
            "SELECT pg_export_snapshot()",
            "SELECT pg_current_xact_id()",
            "SELECT txid_current()",
        ],
    ),
    (
        "write through another connection",
        &[
            "SELECT dblink_exec('{url}', 'INSERT INTO t VALUES (1)')",
            "SELECT * FROM dblink('{url}', 'INSERT INTO t VALUES (1) RETURNING 1') AS d(a int)",
            "SELECT dblink_connect('{url}')",
            "SELECT public.dblink_exec('{url}', 'INSERT INTO t VALUES (1)')",
        ],
    ),
    (
        "run a text as SQL",
        &[
            "SELECT query_to_xml('SELECT pg_sleep(0)', true, true, '')",
            "SELECT * FROM ts_stat('SELECT to_tsvector(''a'')')",
            "SELECT * FROM crosstab('SELECT 1, 2, 3') AS c(a int, b int)",
            "SELECT table_to_xml('t', true, true, '')",
            "SELECT cursor_to_xml('c', 1, true, true, '')",
            "SELECT * FROM connectby('t', 'a', 'a', '1', 0) AS c(a int, b int, c int)",
            "SELECT x.ts_stat FROM lower('SELECT to_tsvector(''a'')') x",
        ],
    ),
    (
        "lock a table",
        &["LOCK TABLE t IN ACCESS EXCLUSIVE MODE", "SELECT * FROM t FOR UPDATE", "SELECT * FROM t FOR SHARE"],
    ),
    (
        "end a session of an application",
        &[
            "SELECT pg_terminate_backend({victim})",
            "SELECT pg_cancel_backend({victim})",
            "SELECT x.pg_terminate_backend FROM abs({victim}) x",
            "SELECT ({victim}).pg_terminate_backend",
        ],
    ),
    (
        "end replication",
        &[
            "SELECT pg_terminate_backend(pid) FROM pg_stat_replication",
            "SELECT pid FROM pg_stat_replication r WHERE (r.pid).pg_terminate_backend",
            "SELECT x.pg_terminate_backend FROM abs({walsender}) x",
        ],
    ),
    (
        "end a superuser's session",
        &["SELECT pg_terminate_backend({superuser})", "SELECT x.pg_terminate_backend FROM abs({superuser}) x"],
    ),
    (
        "reach files and programs",
        &[
            "COPY t TO PROGRAM 'touch /tmp/escaped'",
            "COPY (SELECT 1) TO '/tmp/escaped'",
            "COPY t FROM PROGRAM 'echo 1'",
            "SELECT pg_read_file('PG_VERSION')",
            "SELECT pg_ls_dir('.')",
            "SELECT lo_import('/etc/passwd')",
            "SELECT lo_export(1, '/tmp/escaped')",
            "SELECT pg_file_write('escaped', 'x', false)",
            "SELECT pg_read_binary_file('PG_VERSION')",
            "SELECT * FROM pg_stat_file('.')",
            "SELECT x.pg_read_file FROM unnest(ARRAY['PG_VERSION']) x",
            "SELECT x.pg_ls_dir FROM lower('.') x",
            "SELECT ('PG_VERSION'::text).pg_read_file",
            "SELECT \"x\".\"pg_read_file\" FROM lower('PG_VERSION') \"x\"",
            "SELECT 1 FROM lower('.') x ORDER BY x.pg_ls_dir",
            "SELECT 1 FROM lower('/etc/passwd') x WHERE x.lo_import IS NULL",
        ],
    ),
    (
        "steer the server",
        &[
            "SELECT pg_switch_wal()",
            "SELECT pg_reload_conf()",
            "SELECT pg_backup_start('x')",
            "SELECT pg_create_physical_replication_slot('escaped')",
            "SELECT x.pg_create_physical_replication_slot FROM lower('escaped') x",
            "SELECT pg_stat_reset()",
            "CHECKPOINT",
            "LOAD 'auto_explain'",
            "SET log_statement = 'none'",
            "SELECT set_config('log_statement', 'none', false)",
            "ALTER SYSTEM SET work_mem = '1GB'",
            "SELECT pg_rotate_logfile()",
            "SELECT pg_create_restore_point('escaped')",
            "SELECT pg_stat_statements_reset()",
            "SELECT pg_promote()",
            "VACUUM",
        ],
    ),
    (
        "become somebody else",
        &[
            "SET ROLE postgres",
            "SET SESSION AUTHORIZATION postgres",
            "RESET ROLE",
            "SELECT set_config('role', 'postgres', false)",
            "SELECT set_config('session_authorization', 'postgres', true)",
        ],
    ),
    (
        "write in plain sight",
        &[
            "INSERT INTO t VALUES (1)",
            "WITH w AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM w",
            "SELECT * INTO u FROM t",
            "CREATE TEMP TABLE u (a int)",
            "SELECT nextval('s')",
            "SELECT x.nextval FROM (SELECT 's'::regclass) y, LATERAL to_regclass('s') x",
            "SELECT setval('s', 9)",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "TRUNCATE t",
            "DROP TABLE t",
            "GRANT ALL ON t TO PUBLIC",
        ],
    ),
    (
        "see what a monitor need not",
        &[
            "SELECT * FROM pg_ls_waldir()",
            "SELECT current_setting('data_directory')",
            "SHOW ALL",
            "SELECT x.current_setting FROM lower('data_directory') x",
            "SELECT * FROM pg_ls_logdir()",
        ],
    ),
    (
        "waste time",
        &["SELECT pg_sleep(60)", "SELECT x.pg_sleep FROM abs(60::float8) x", "SELECT pg_sleep_for('1 minute')"],
    ),
];

/// What the session of the agent itself looks like, from within; all of it must be as after the login.
pub const OWN_SESSION: &str = "SELECT string_agg(name || '=' || reset_val, ',' ORDER BY name), current_user, session_user
    FROM pg_settings WHERE name IN ('work_mem', 'search_path', 'statement_timeout', 'role', 'log_statement', 'app.user')";

/// Leftovers that only the session itself sees.
pub const LEFTOVERS: &str = "SELECT (SELECT count(*) FROM pg_prepared_statements WHERE NOT name LIKE 's%'),
    (SELECT count(*) FROM pg_cursors WHERE is_holdable),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())";

/// Everything that an attempt could have changed. One line, compared before and after.
const FINGERPRINT: &str = "SELECT concat_ws(' | ',
    (SELECT count(*) FROM t), (SELECT last_value || '/' || is_called FROM s),
    (SELECT count(*) FROM pg_largeobject_metadata), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
    (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc),
    (SELECT count(*) FROM pg_stat_replication), (SELECT string_agg(name || setting, ',' ORDER BY name) FROM pg_settings
      WHERE source = 'configuration file'), (SELECT max(stats_reset) FROM pg_stat_database),
    (SELECT pg_postmaster_start_time()), (SELECT pg_conf_load_time()), (SELECT relacl FROM pg_class WHERE relname = 't'),
    (SELECT count(*) FROM pg_stat_activity WHERE pid IN ({victim}, {superuser}, {walsender})),
    (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'paramedic' AND state <> 'idle'),
    (SELECT count(*) FROM pg_ls_dir('.') f WHERE f = 'escaped'))";

/// A primary with a standby, and sessions that attempts may try to end.
pub struct Scene {
    database: Database,
    victim: Session,
    superuser: Session,
    walsender: String,
    writer: String,
    _standby: Postgres,
    server: Postgres,
}

struct Session {
    client: Client,
    pid: String,
}

impl Session {
    async fn open(url: &str, application: &str) -> Self {
        let client = connect(url, application).await.unwrap();
        let pid = pid(&client).await;
        Session { client, pid }
    }
}

impl Scene {
    pub async fn set() -> Self {
        let server = Postgres::start(&Settings::default()).unwrap();
        let standby = server.standby().unwrap();
        let database = server.database().unwrap();
        database.track_statements().unwrap();
        database
            .sql(
                "CREATE TABLE t (a int); CREATE SEQUENCE s; GRANT SELECT ON t TO PUBLIC; \
                 CREATE PROCEDURE p() LANGUAGE sql AS 'INSERT INTO t VALUES (1)'; \
                 CREATE EXTENSION dblink; CREATE EXTENSION tablefunc; CREATE EXTENSION adminpack",
            )
            .unwrap();
        let writer = database.application().unwrap();
        let victim = Session::open(&writer, "victim").await;
        let superuser = Session::open(&database.superuser_url(), "superuser").await;
        let walsender = wait::until("the standby to stream", || {
            let pid = server.sql("SELECT pid FROM pg_stat_replication WHERE state = 'streaming'")?;
            Ok((!pid.is_empty()).then_some(pid))
        })
        .unwrap();
        let scene = Scene { database, victim, superuser, walsender, writer, _standby: standby, server };
        scene.assert_column_notation_calls_functions().await;
        scene
    }

    /// The notation that looks like a column does call functions when nobody stands in the way.
    async fn assert_column_notation_calls_functions(&self) {
        let sql = "SELECT x.pg_read_file FROM unnest(ARRAY['PG_VERSION']) x";
        let version: String = self.superuser.client.query_one(sql, &[]).await.unwrap().get(0);
        assert_eq!(version.trim(), self.server.major().to_string());
    }

    /// The database, for logins of its own.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// A statement with what it is about.
    pub fn fill(&self, sql: &str) -> String {
        sql.replace("{victim}", &self.victim.pid)
            .replace("{superuser}", &self.superuser.pid)
            .replace("{walsender}", &self.walsender)
            .replace("{url}", &self.writer)
    }

    /// Equal as long as nothing was changed.
    pub async fn fingerprint(&self) -> String {
        self.superuser.client.query_one(&self.fill(FINGERPRINT), &[]).await.unwrap().get(0)
    }

    /// Panics if a session is not the same as before.
    pub async fn assert_sessions_go_on(&self) {
        assert_eq!(pid(&self.victim.client).await, self.victim.pid, "the victim's session is the same as before");
        assert_eq!(pid(&self.superuser.client).await, self.superuser.pid);
    }
}

async fn pid(session: &Client) -> String {
    session.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get::<_, i32>(0).to_string()
}
