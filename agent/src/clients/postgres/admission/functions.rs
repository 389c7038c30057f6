//! The functions that a plugin's statement may call.
//!
//! Postgres has no mark for harmless functions. Volatility is none: `pg_blocking_pids` is volatile, while `crosstab`
//! and `table_to_xml`, which run a text as SQL, are stable. Rights are none either: two hundred volatile functions are
//! open to everybody, `pg_advisory_lock`, `set_config` and `pg_logical_emit_message` among them, and a read-only
//! transaction stops none of these. What remains is to know each function by name. Two things are true of all of these:
//! they change nothing, in the server, in the session or outside, and they run no text as SQL.
//!
//! Left out although they change nothing: what sleeps, what reads files or settings (`current_setting` shows passwords
//! in custom settings), and what makes a huge value out of a number (`repeat`, `lpad`, `array_fill`).

/// True when a statement may call the function `name` of `pg_catalog`. Names are compared as the parser gives them,
/// folded to lower case unless they were quoted.
pub(super) fn is_allowed(name: &str) -> bool {
    LISTS.iter().any(|list| list.binary_search(&name).is_ok())
}

/// Each in alphabetic order, for the search.
const LISTS: [&[&str]; 10] = [AGGREGATES, WINDOWS, MATHEMATICS, TEXT, TIME, JSON, ARRAYS, CONVERSIONS, SERVER, CATALOG];

#[rustfmt::skip]
const AGGREGATES: &[&str] = &[
    "array_agg", "avg", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "corr", "count", "covar_pop",
    "covar_samp", "every", "json_agg", "json_object_agg", "jsonb_agg", "jsonb_object_agg", "max", "min", "mode",
    "percentile_cont", "percentile_disc", "range_agg", "range_intersect_agg", "regr_avgx", "regr_avgy", "regr_count",
    "regr_intercept", "regr_r2", "regr_slope", "stddev", "stddev_pop", "stddev_samp", "string_agg", "sum", "var_pop",
    "var_samp", "variance",
];

#[rustfmt::skip]
const WINDOWS: &[&str] = &[
    "cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value", "ntile", "percent_rank",
    "rank", "row_number",
];

#[rustfmt::skip]
const MATHEMATICS: &[&str] = &[
    "abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "ceiling", "cos", "degrees", "div", "exp", "floor", "gcd",
    "generate_series", "lcm", "ln", "log", "log10", "mod", "pi", "power", "radians", "round", "scale", "sign", "sin",
    "sqrt", "tan", "trim_scale", "trunc", "width_bucket",
];

#[rustfmt::skip]
const TEXT: &[&str] = &[
    "ascii", "bit_length", "btrim", "char_length", "character_length", "chr", "concat", "concat_ws", "convert_from",
    "decode", "encode", "format", "initcap", "is_normalized", "left", "length", "like_escape", "lower", "ltrim",
    "md5", "normalize", "octet_length", "overlay", "position", "quote_ident", "quote_literal", "quote_nullable",
    "regexp_count", "regexp_instr", "regexp_like", "regexp_match", "regexp_matches", "regexp_replace",
    "regexp_split_to_array", "regexp_split_to_table", "regexp_substr", "replace", "reverse", "right", "rtrim",
    "sha256", "similar_to_escape", "split_part", "starts_with", "string_to_array", "string_to_table", "strpos",
    "substr", "substring", "translate", "upper",
];

#[rustfmt::skip]
const TIME: &[&str] = &[
    "age", "clock_timestamp", "date_bin", "date_part", "date_trunc", "extract", "isfinite", "justify_days",
    "justify_hours", "justify_interval", "make_date", "make_interval", "make_time", "make_timestamp",
    "make_timestamptz", "now", "overlaps", "statement_timestamp", "timezone", "to_char", "to_date", "to_number",
    "to_timestamp", "transaction_timestamp",
];

#[rustfmt::skip]
const JSON: &[&str] = &[
    "json_array_elements", "json_array_elements_text", "json_array_length", "json_build_array", "json_build_object",
    "json_each", "json_each_text", "json_extract_path", "json_extract_path_text", "json_object_keys",
    "json_strip_nulls", "json_to_record", "json_to_recordset", "json_typeof", "jsonb_array_elements",
    "jsonb_array_elements_text", "jsonb_array_length", "jsonb_build_array", "jsonb_build_object", "jsonb_each",
    "jsonb_each_text", "jsonb_extract_path", "jsonb_extract_path_text", "jsonb_object_keys", "jsonb_path_exists",
    "jsonb_path_query", "jsonb_path_query_array", "jsonb_path_query_first", "jsonb_pretty", "jsonb_strip_nulls",
    "jsonb_to_record", "jsonb_to_recordset", "jsonb_typeof", "row_to_json", "to_json", "to_jsonb",
];

#[rustfmt::skip]
const ARRAYS: &[&str] = &[
    "array_append", "array_cat", "array_dims", "array_length", "array_lower", "array_ndims", "array_position",
    "array_positions", "array_prepend", "array_remove", "array_replace", "array_to_json", "array_to_string",
    "array_upper", "cardinality", "daterange", "int4range", "int8range", "isempty", "lower_inc", "lower_inf",
    "num_nonnulls", "num_nulls", "numrange", "range_merge", "tsrange", "tstzrange", "unnest", "upper_inc",
    "upper_inf",
];

/// Besides being of use, many of these share their names with columns, and `t.host` reads like a call of `host`.
#[rustfmt::skip]
const CONVERSIONS: &[&str] = &[
    "abbrev", "area", "bool", "box", "bpchar", "broadcast", "center", "char", "cidr", "circle", "date", "diameter",
    "family", "float4", "float8", "height", "host", "hostmask", "inet_merge", "inet_same_family", "int2", "int4",
    "int8", "interval", "line", "lseg", "macaddr", "masklen", "money", "name", "netmask", "network", "npoints",
    "numeric", "oid", "path", "point", "polygon", "radius", "regclass", "set_masklen", "slope", "text", "time",
    "timestamp", "timestamptz", "timetz", "to_hex", "varchar", "width", "xid", "xml",
];

/// What tells of the server and its sessions.
#[rustfmt::skip]
const SERVER: &[&str] = &[
    "current_database", "current_schema", "current_schemas", "mxid_age", "pg_backend_pid", "pg_blocking_pids",
    "pg_conf_load_time", "pg_current_wal_flush_lsn", "pg_current_wal_insert_lsn", "pg_current_wal_lsn",
    "pg_database_size", "pg_get_replication_slots", "pg_is_in_recovery", "pg_is_wal_replay_paused",
    "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn", "pg_last_xact_replay_timestamp", "pg_postmaster_start_time",
    "pg_safe_snapshot_blocking_pids", "pg_size_bytes", "pg_size_pretty", "pg_stat_get_backend_idset",
    "pg_stat_get_snapshot_timestamp", "pg_tablespace_size", "pg_wal_lsn_diff", "pg_walfile_name", "version",
];

/// What tells of tables, indexes and rights.
#[rustfmt::skip]
const CATALOG: &[&str] = &[
    "col_description", "format_type", "has_any_column_privilege", "has_column_privilege", "has_database_privilege",
    "has_function_privilege", "has_schema_privilege", "has_sequence_privilege", "has_table_privilege",
    "has_tablespace_privilege", "has_type_privilege", "obj_description", "pg_collation_for", "pg_column_size",
    "pg_encoding_to_char", "pg_get_constraintdef", "pg_get_expr", "pg_get_indexdef", "pg_get_partkeydef",
    "pg_get_userbyid", "pg_get_viewdef", "pg_has_role", "pg_index_column_has_property", "pg_indexes_size",
    "pg_partition_ancestors", "pg_partition_root", "pg_partition_tree", "pg_relation_size", "pg_sequence_last_value",
    "pg_table_is_visible", "pg_table_size", "pg_total_relation_size", "pg_typeof", "shobj_description", "to_regclass",
    "to_regnamespace", "to_regrole", "to_regtype",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_sorted_and_nothing_is_listed_twice() {
        for list in LISTS {
            assert!(list.is_sorted_by(|a, b| a < b), "{list:?}");
        }
        let mut all: Vec<_> = LISTS.concat();
        let before = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), before);
    }

    #[test]
    fn what_acts_or_runs_text_as_sql_is_not_listed() {
        #[rustfmt::skip]
        let dangerous = [
            "set_config", "current_setting", "pg_terminate_backend", "pg_cancel_backend", "pg_sleep", "pg_sleep_for",
            "pg_sleep_until", "query_to_xml", "table_to_xml", "cursor_to_xml", "database_to_xml", "schema_to_xml",
            "ts_stat", "crosstab", "connectby", "xpath_table", "dblink", "dblink_exec", "lo_create", "lo_from_bytea",
            "lo_import", "lo_export", "lo_get", "pg_read_file", "pg_read_binary_file", "pg_ls_dir", "pg_stat_file",
            "pg_advisory_lock", "pg_try_advisory_lock", "pg_notify", "nextval", "setval", "txid_current",
            "pg_current_xact_id", "pg_export_snapshot", "pg_logical_emit_message", "pg_stat_reset", "pg_reload_conf",
            "pg_rotate_logfile", "pg_switch_wal", "pg_promote", "pg_backup_start", "pg_create_restore_point",
            "pg_create_physical_replication_slot", "pg_stat_statements_reset", "pg_log_backend_memory_contexts",
            "pg_file_write", "repeat", "lpad", "rpad", "array_fill", "setseed", "ts_rewrite",
            "pg_import_system_collations",
        ];
        for name in dangerous {
            assert!(!is_allowed(name), "{name}");
        }
    }
}
