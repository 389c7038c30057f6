//! Whether a plugin's statement may run: one SELECT, made of known parts, calling known functions.
//!
//! The statement is parsed by Postgres' own grammar and its whole tree is walked. Each kind of node has to be on a list,
//! so that what a later grammar adds is refused until someone has thought about it.
//!
//! Functions are called in three notations. `f(x)` and the grammar's own forms (`EXTRACT`, `SUBSTRING … FROM`) are calls
//! in the tree, and checked here. `x.f` and `(x).f` look like columns in the tree, and the server takes them for calls
//! of one argument when there is no such column: `SELECT x.pg_read_file FROM unnest(ARRAY['…']) x` reads a file. Only
//! the server knows the columns and the functions, so those names are handed on as [`Admitted::dotted`], for a check
//! in the same transaction (see [`GUARD`]). Operators, casts and views can call functions too, but only such as
//! somebody with rights in the database put behind them; there the role is the defence.

mod functions;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value as Json;

use crate::domain::CallError;

/// Longest statement. Parsing time grows with it.
const SQL_BYTES: usize = 16 << 10;

/// How many verdicts are remembered. A plugin asks the same few things at each run.
const REMEMBERED: usize = 256;

/// The schema whose functions and operators may be named with their schema.
const CATALOG: &str = "pg_catalog";

/// Fails when one of the names in `$1` is a function that `x.name` could call: visible, and content with one argument.
/// The failure carries the name and, what matters, aborts the transaction before the plugin's statement comes to run.
pub(super) const GUARD: &str = "\
SELECT ('function ' || proname)::int4 FROM pg_catalog.pg_proc
WHERE proname = ANY ($1) AND prokind <> 'p' AND pronargs >= 1 AND pronargs - pronargdefaults <= 1
  AND proargtypes[0] <> 'pg_catalog.internal'::pg_catalog.regtype AND pg_catalog.pg_function_is_visible(oid)";

/// Kinds of nodes that a statement may consist of.
const NODES: [&str; 49] = [
    "AArrayExpr",
    "AConst",
    "AExpr",
    "AIndices",
    "AIndirection",
    "AStar",
    "Alias",
    "BitString",
    "BoolExpr",
    "Boolean",
    "BooleanTest",
    "Boolval",
    "Bsval",
    "CaseExpr",
    "CaseWhen",
    "CoalesceExpr",
    "CollateClause",
    "ColumnDef",
    "ColumnRef",
    "CommonTableExpr",
    "CtecycleClause",
    "CtesearchClause",
    "Float",
    "FuncCall",
    "Fval",
    "GroupingFunc",
    "GroupingSet",
    "Integer",
    "Ival",
    "JoinExpr",
    "List",
    "MinMaxExpr",
    "NamedArgExpr",
    "NullTest",
    "ParamRef",
    "RangeFunction",
    "RangeSubselect",
    "RangeVar",
    "ResTarget",
    "RowExpr",
    "SelectStmt",
    "SortBy",
    "SqlvalueFunction",
    "String",
    "SubLink",
    "Sval",
    "TypeCast",
    "TypeName",
    "WindowDef",
];

/// What is left to check of a statement that may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Admitted {
    /// Names behind a dot that would be calls of unlisted functions if they were no columns.
    pub(super) dotted: Vec<String>,
}

/// Judges statements, and remembers those that may run.
#[derive(Default)]
pub(super) struct Gate(Mutex<HashMap<String, Arc<Admitted>>>);

impl Gate {
    /// Judges `sql`. New statements are parsed on a thread for blocking work: a hostile one takes milliseconds.
    pub(super) async fn admit(&self, sql: &str) -> Result<Arc<Admitted>, CallError> {
        if let Some(admitted) = self.remembered().get(sql) {
            return Ok(Arc::clone(admitted));
        }
        let owned = sql.to_owned();
        let judged = tokio::task::spawn_blocking(move || admit(&owned)).await;
        let admitted = Arc::new(judged.map_err(|error| {
            tracing::error!(%error, "the parser of statements failed");
            CallError::Invalid("the statement cannot be parsed".to_owned())
        })??);
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(sql.to_owned(), Arc::clone(&admitted));
        Ok(admitted)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Admitted>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn admit(sql: &str) -> Result<Admitted, CallError> {
    if sql.len() > SQL_BYTES {
        return invalid(format!("a statement has at most {SQL_BYTES} bytes"));
    }
    let parsed = pg_query::parse(sql, 0).or_else(|error| invalid(unparsable(&error)))?;
    let [statement] = parsed.protobuf.stmts.as_slice() else {
        return invalid(format!("a query is one statement, not {}", parsed.protobuf.stmts.len()));
    };
    let tree = serde_json::to_value(&statement.stmt).or_else(|error| invalid(error.to_string()))?;
    if tree.pointer("/node/SelectStmt").is_none() {
        return invalid("a query is a SELECT, VALUES or TABLE, with or without WITH".to_owned());
    }
    let mut walk = Walk::default();
    walk.value(&tree)?;
    Ok(Admitted { dotted: walk.dotted.into_iter().collect() })
}

fn invalid<T>(message: String) -> Result<T, CallError> {
    Err(CallError::Invalid(message))
}

fn unparsable(error: &pg_query::Error) -> String {
    match error {
        pg_query::Error::Parse(message) => format!("the statement cannot be parsed: {message}"),
        pg_query::Error::Decode(_) => "the statement is nested too deeply".to_owned(),
        other => format!("the statement cannot be parsed: {other}"),
    }
}

/// Tells which of the guarded names the server refused with `message`.
pub(super) fn refused_name(admitted: &Admitted, message: &str) -> CallError {
    let refused = admitted.dotted.iter().find(|name| message.contains(&format!("function {name}\"")));
    let name = refused.or(admitted.dotted.first()).map_or("", String::as_str);
    CallError::Invalid(format!(
        "`.{name}` would call the function `{name}`, which is not on the list of functions that a query may call, if \
         there is no such column; write a column without its table"
    ))
}

#[derive(Default)]
struct Walk {
    dotted: BTreeSet<String>,
}

impl Walk {
    fn value(&mut self, value: &Json) -> Result<(), CallError> {
        match value {
            Json::Array(items) => items.iter().try_for_each(|item| self.value(item)),
            Json::Object(fields) => fields.iter().try_for_each(|(name, value)| self.field(name, value)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Ok(()),
        }
    }

    /// Kinds of nodes begin with a capital, names of fields do not.
    fn field(&mut self, name: &str, value: &Json) -> Result<(), CallError> {
        match name {
            "into_clause" if !value.is_null() => return invalid("SELECT INTO makes a table".to_owned()),
            "locking_clause" if !is_empty(value) => {
                return invalid("FOR UPDATE and FOR SHARE lock rows".to_owned());
            }
            "use_op" if !is_empty(value) => return invalid("ORDER BY … USING is not supported".to_owned()),
            "oper_name" => operator(value)?,
            _ if name.starts_with(|first: char| first.is_ascii_uppercase()) => self.node(name, value)?,
            _ => {}
        }
        self.value(value)
    }

    fn node(&mut self, kind: &str, node: &Json) -> Result<(), CallError> {
        if NODES.binary_search(&kind).is_err() {
            return invalid(format!("a query may not contain what the parser calls `{kind}`"));
        }
        match kind {
            "FuncCall" => function(&node["funcname"]),
            "AExpr" => operator(&node["name"]),
            "ColumnRef" => {
                let names = names(&node["fields"]);
                self.dot(names.iter().skip(1).next_back());
                Ok(())
            }
            "AIndirection" => {
                let names = names(&node["indirection"]);
                names.iter().for_each(|name| self.dot(Some(name)));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn dot(&mut self, name: Option<&String>) {
        if let Some(name) = name.filter(|name| !functions::is_allowed(name)) {
            self.dotted.insert(name.clone());
        }
    }
}

fn is_empty(list: &Json) -> bool {
    list.as_array().is_none_or(Vec::is_empty)
}

/// The names in a list of nodes; whatever is no name, such as `*`, is left out.
fn names(list: &Json) -> Vec<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| Some(item.pointer("/node/String/sval")?.as_str()?.to_owned())).collect()
}

fn function(name: &Json) -> Result<(), CallError> {
    let names = names(name);
    let allowed = match names.as_slice() {
        [name] => functions::is_allowed(name),
        [schema, name] => schema == CATALOG && functions::is_allowed(name),
        _ => false,
    };
    if allowed {
        return Ok(());
    }
    invalid(format!("the function `{}` is not on the list of functions that a query may call", names.join(".")))
}

fn operator(name: &Json) -> Result<(), CallError> {
    let names = names(name);
    match names.as_slice() {
        [schema, _] if schema != CATALOG => {
            invalid(format!("the operator `{}` is not the server's own", names.join(".")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(sql: &str) -> String {
        match admit(sql) {
            Err(CallError::Invalid(message)) => message,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn the_kinds_of_nodes_are_sorted_for_the_search() {
        assert!(NODES.is_sorted());
    }

    #[test]
    fn statements_that_only_read_are_admitted() {
        for sql in [
            "select 1",
            "SELECT 1;",
            "VALUES (1, 'a'), (2, NULL)",
            "TABLE orders",
            "SELECT count(*) FILTER (WHERE state = 'active') FROM pg_stat_activity GROUP BY 1 HAVING count(*) > $1",
            "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 9) SELECT sum(n) FROM t",
            "WITH RECURSIVE t AS (SELECT 1 a UNION SELECT a FROM t) CYCLE a SET c USING p SELECT * FROM t",
            "SELECT extract(epoch FROM now() - '1 day'::interval), current_user, CURRENT_TIMESTAMP AT TIME ZONE 'UTC'",
            "SELECT a.x, rank() OVER (PARTITION BY y ORDER BY z ROWS 3 PRECEDING) FROM a LEFT JOIN b USING (x) LIMIT 3",
            "SELECT * FROM generate_series(1, 3) WITH ORDINALITY AS g(n, o), LATERAL (SELECT g.n) s WHERE n IN (1, 2)",
            "SELECT coalesce(a, b), nullif(a, b), greatest(a, b), CASE WHEN a THEN 1 ELSE 2 END, (ARRAY[1,2])[1], ROW(1,2)",
            "SELECT 'pg_class'::regclass, CAST(1 AS text), 'x' COLLATE \"C\", a IS NULL, b IS NOT TRUE, B'101', 1.5",
            "SELECT pg_catalog.pg_size_pretty(pg_database_size(datname)) FROM pg_database WHERE datname LIKE 'a\\_%'",
            "SELECT * FROM jsonb_to_recordset('[]') AS r(a int, b text)",
            "SELECT make_interval(days => 3), EXISTS (SELECT 1), 1 = ANY (SELECT 2), 1 OPERATOR(pg_catalog.+) 2",
            "SELECT a, grouping(a) FROM t GROUP BY GROUPING SETS ((a), ()) ORDER BY a DESC NULLS LAST",
            "SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY x) FROM t",
            "SELECT DISTINCT ON (a) a, string_agg(b, ',' ORDER BY b) FROM ONLY s.t GROUP BY a ORDER BY a FETCH FIRST 3 ROWS WITH TIES",
        ] {
            assert!(admit(sql).is_ok(), "{sql}: {:?}", admit(sql));
        }
    }

    #[test]
    fn statements_that_do_more_than_read_are_refused() {
        for sql in [
            "",
            ";",
            "COMMIT",
            "SET work_mem = '1GB'",
            "SET TRANSACTION READ WRITE",
            "DO $$ BEGIN COMMIT; END $$",
            "INSERT INTO t VALUES (1)",
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
            "COPY t TO PROGRAM 'sh'",
            "LOCK TABLE t",
            "CALL p()",
            "EXECUTE s",
            "EXPLAIN ANALYZE SELECT 1",
            "SHOW all",
            "LISTEN c",
            "NOTIFY c",
            "PREPARE s AS SELECT 1",
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            "VACUUM",
            "CREATE TABLE t (a int)",
            "CHECKPOINT",
            "LOAD 'x'",
            "SELECT 1; SELECT 2",
            "SELECT 1; COMMIT",
        ] {
            refusal(sql);
        }
        for (sql, word) in [
            ("SELECT * INTO t FROM s", "INTO"),
            ("SELECT 1 UNION SELECT 1 INTO t", "INTO"),
            ("SELECT * FROM t FOR UPDATE", "FOR UPDATE"),
            ("SELECT * FROM (SELECT * FROM t FOR NO KEY UPDATE) s", "FOR UPDATE"),
            ("WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", "DeleteStmt"),
            ("SELECT (WITH i AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a FROM i)", "InsertStmt"),
            ("SELECT * FROM t TABLESAMPLE evil(1)", "RangeTableSample"),
            ("SELECT xmlelement(name a)", "XmlExpr"),
            ("SELECT * FROM xmltable('/a' PASSING '<a/>' COLUMNS b text)", "RangeTableFunc"),
            ("SELECT 1 OPERATOR(public.+) 2", "public.+"),
            ("SELECT 1 OPERATOR(public.=) ANY (SELECT 2)", "public.="),
            ("SELECT a FROM t ORDER BY a USING <", "USING"),
            ("SELECT\0 1", "parsed"),
        ] {
            let message = refusal(sql);
            assert!(message.contains(word), "{sql}: {message}");
        }
    }

    #[test]
    fn a_function_off_the_list_is_named_wherever_it_stands() {
        for (sql, name) in [
            ("SELECT pg_sleep(1)", "pg_sleep"),
            ("SELECT pg_catalog.pg_sleep(1)", "pg_catalog.pg_sleep"),
            ("SELECT public.lower('A')", "public.lower"),
            ("SELECT db.pg_catalog.lower('A')", "db.pg_catalog.lower"),
            ("SELECT \"LOWER\"('A')", "LOWER"),
            ("SELECT * FROM pg_ls_dir('.')", "pg_ls_dir"),
            ("SELECT * FROM ROWS FROM (generate_series(1, 2), pg_ls_waldir()) r", "pg_ls_waldir"),
            ("SELECT 1 WHERE set_config('role', 'none', true) IS NULL", "set_config"),
            ("SELECT 1 ORDER BY nextval('s')", "nextval"),
            ("SELECT 1 LIMIT lo_create(0)", "lo_create"),
            ("SELECT count(*) FILTER (WHERE pg_notify('a', 'b') IS NULL)", "pg_notify"),
            ("SELECT sum(1) OVER (PARTITION BY txid_current())", "txid_current"),
            ("SELECT sum(1) OVER w FROM t WINDOW w AS (ORDER BY pg_advisory_lock(1))", "pg_advisory_lock"),
            ("SELECT ARRAY[query_to_xml('x', true, true, '')]", "query_to_xml"),
            ("SELECT CASE WHEN ts_stat('SELECT 1') IS NULL THEN 1 END", "ts_stat"),
            ("SELECT (ARRAY[1])[pg_terminate_backend(1)::int]", "pg_terminate_backend"),
            ("VALUES (dblink_exec('', ''))", "dblink_exec"),
            ("WITH a AS (SELECT crosstab('SELECT 1')) TABLE a", "crosstab"),
            ("SELECT 1 FROM a JOIN b ON pg_export_snapshot() IS NULL", "pg_export_snapshot"),
            ("SELECT 1 GROUP BY ROLLUP (pg_reload_conf())", "pg_reload_conf"),
            ("SELECT * FROM LATERAL (SELECT pg_read_file('x')) s", "pg_read_file"),
            ("SELECT upper(lower(current_setting('x')))", "current_setting"),
            ("SELECT percentile_cont(pg_sleep(1)) WITHIN GROUP (ORDER BY 1)", "pg_sleep"),
            ("SELECT 1 UNION ALL (SELECT 2 EXCEPT SELECT pg_backend_memory_contexts())", "pg_backend_memory_contexts"),
            ("SELECT ('a' || repeat('b', 3))::text", "repeat"),
            ("SELECT U&\"pg\\005fsleep\"(1)", "pg_sleep"),
            ("SELECT U&\"pg!005fsleep\" UESCAPE '!' (1)", "pg_sleep"),
            ("SELECT pg_sleep/* c */ -- d\n (1)", "pg_sleep"),
            ("SELECT '\\', pg_sleep(1), '\\'", "pg_sleep"),
            ("SELECT E'\\'', pg_sleep(1) --'", "pg_sleep"),
        ] {
            let message = refusal(sql);
            assert!(message.contains(&format!("`{name}`")), "{sql}: {message}");
        }
    }

    #[test]
    fn names_behind_a_dot_are_handed_on_unless_they_are_listed() {
        let table: &[(&str, &[&str])] = &[
            ("SELECT a, a.b, s.a.c, x.* FROM a", &["b", "c"]),
            ("SELECT x.pg_read_file FROM unnest(ARRAY['/etc/passwd']) x", &["pg_read_file"]),
            ("SELECT (pid).pg_sleep, ((x).y).pg_ls_dir FROM t", &["pg_ls_dir", "pg_sleep", "y"]),
            ("SELECT 1 FROM t ORDER BY t.lo_unlink", &["lo_unlink"]),
            ("SELECT x.U&\"pg\\005fsleep\" FROM x", &["pg_sleep"]),
            ("SELECT t.name, t.count, t.lower FROM t", &[]),
        ];
        for (sql, dotted) in table {
            assert_eq!(admit(sql).unwrap().dotted, *dotted, "{sql}");
        }
    }

    #[test]
    fn deep_and_long_statements_are_refused_without_harm() {
        for sql in [
            format!("SELECT 1{}", "+1".repeat(4_000)),
            format!("SELECT {}1", "NOT ".repeat(3_000)),
            format!("{}SELECT 1{}", "SELECT * FROM (".repeat(800), ") x".repeat(800)),
            format!("SELECT ARRAY{}1{}", "[".repeat(4_000), "]".repeat(4_000)),
            format!("SELECT '{}'", "x".repeat(SQL_BYTES)),
            "(".repeat(16_000),
        ] {
            refusal(&sql);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_brings_the_parser_down(sql in "(SELECT )?[a-z0-9 ().,;'\"$*=+-]{0,60}") {
            let _ = admit(&sql);
        }
    }

    #[tokio::test]
    async fn a_verdict_is_remembered_and_a_refusal_is_not() {
        let gate = Gate::default();
        let first = gate.admit("SELECT a.b FROM a").await.unwrap();
        let second = gate.admit("SELECT a.b FROM a").await.unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert!(gate.admit("COMMIT").await.is_err());
        assert_eq!(gate.remembered().len(), 1);
    }
}
