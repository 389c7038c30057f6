//! Which sections of `INFO` there are, and which of their fields a plugin may see.
//!
//! `INFO` tells files, addresses and ports of the server and of its peers beside the figures. Two sections are mixed so
//! thoroughly that only listed fields pass; the others hold figures, and a list names the exceptions.

use super::Field;
use crate::domain::CallError;

/// A section and what passes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    name: &'static str,
    passes: Passes,
}

#[derive(Clone, Copy, Debug)]
enum Passes {
    /// These fields.
    Only(&'static [&'static str]),
    /// All but the [`HIDDEN`] ones.
    Figures,
}

const SERVER: &[&str] = &[
    "redis_version",
    "valkey_version",
    "server_name",
    "redis_mode",
    "server_mode",
    "arch_bits",
    "multiplexing_api",
    "server_time_usec",
    "uptime_in_seconds",
    "uptime_in_days",
    "hz",
    "configured_hz",
    "io_threads_active",
];

const REPLICATION: &[&str] = &[
    "role",
    "master_link_status",
    "master_last_io_seconds_ago",
    "master_sync_in_progress",
    "master_sync_total_bytes",
    "master_sync_read_bytes",
    "master_sync_left_bytes",
    "master_sync_last_io_seconds_ago",
    "master_link_down_since_seconds",
    "slave_read_repl_offset",
    "slave_repl_offset",
    "slave_priority",
    "slave_read_only",
    "replica_announced",
    "connected_slaves",
    "min_slaves_good_slaves",
    "master_failover_state",
    "master_repl_offset",
    "second_repl_offset",
    "repl_backlog_active",
    "repl_backlog_size",
    "repl_backlog_first_byte_offset",
    "repl_backlog_histlen",
];

/// Not shown whatever section they turn up in.
const HIDDEN: &[&str] = &[
    "executable",
    "config_file",
    "os",
    "run_id",
    "process_id",
    "tcp_port",
    "master_host",
    "master_port",
    "master_replid",
    "master_replid2",
    "availability_zone",
];

const SECTIONS: &[Section] = &[
    Section { name: "server", passes: Passes::Only(SERVER) },
    Section { name: "clients", passes: Passes::Figures },
    Section { name: "memory", passes: Passes::Figures },
    Section { name: "persistence", passes: Passes::Figures },
    Section { name: "stats", passes: Passes::Figures },
    Section { name: "replication", passes: Passes::Only(REPLICATION) },
    Section { name: "cpu", passes: Passes::Figures },
    Section { name: "commandstats", passes: Passes::Figures },
    Section { name: "latencystats", passes: Passes::Figures },
    Section { name: "errorstats", passes: Passes::Figures },
    Section { name: "cluster", passes: Passes::Figures },
    Section { name: "keyspace", passes: Passes::Figures },
];

impl Section {
    /// The section of that name, as `INFO` spells it.
    pub(super) fn named(name: &str) -> Result<Self, CallError> {
        SECTIONS.iter().copied().find(|section| section.name == name).ok_or_else(|| {
            let names: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
            CallError::Invalid(format!("no section that can be read; choose one of {}", names.join(", ")))
        })
    }

    pub(super) fn name(self) -> &'static str {
        self.name
    }

    /// The fields of the server's text that pass.
    pub(super) fn fields(self, text: &str) -> Vec<Field> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once(':')).filter_map(|(name, value)| self.field(name, value)).collect()
    }

    fn field(self, name: &str, value: &str) -> Option<Field> {
        let field = |value: String| Field { name: name.to_owned(), value };
        if HIDDEN.contains(&name) || name.starts_with("listener") {
            return None;
        }
        match self.passes {
            Passes::Figures => Some(field(value.to_owned())),
            Passes::Only(names) if names.contains(&name) => Some(field(value.to_owned())),
            Passes::Only(_) if self.name == "replication" && is_replica(name) => Some(field(without_address(value))),
            Passes::Only(_) => None,
        }
    }
}

/// True for `slave0`, `slave1` and so on.
fn is_replica(name: &str) -> bool {
    let number = name.strip_prefix("slave").or_else(|| name.strip_prefix("replica"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `ip=10.0.0.7,port=6379,state=online,offset=42,lag=1` as `state=online,offset=42,lag=1`.
fn without_address(value: &str) -> String {
    let is_figure = |part: &&str| ["state=", "offset=", "lag=", "type="].iter().any(|name| part.starts_with(name));
    value.split(',').filter(is_figure).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(section: &str, text: &str) -> Vec<(String, String)> {
        let fields = Section::named(section).unwrap().fields(text);
        fields.into_iter().map(|field| (field.name, field.value)).collect()
    }

    #[test]
    fn figures_pass_and_places_do_not() {
        let server = "# Server\r\nredis_version:7.0.15\r\nos:Linux 6.1 x86_64\r\nprocess_id:7\r\ntcp_port:6379\r\n\
             uptime_in_seconds:42\r\nexecutable:/usr/bin/redis-server\r\nconfig_file:/etc/redis/redis.conf\r\n\
             listener0:name=tcp,bind=10.0.0.1,port=6379\r\nsomething_new:/srv/secret\r\n";
        let expected = [("redis_version", "7.0.15"), ("uptime_in_seconds", "42")];
        assert_eq!(fields("server", server), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn replicas_lose_their_addresses_and_keep_their_state() {
        let text = "role:master\r\nconnected_slaves:1\r\n\
             slave0:ip=10.0.0.7,port=6379,state=online,offset=42,lag=1\r\nmaster_host:10.0.0.1\r\n\
             master_replid:0123\r\nslave_note:10.0.0.9\r\n";
        let expected = [("role", "master"), ("connected_slaves", "1"), ("slave0", "state=online,offset=42,lag=1")];
        assert_eq!(fields("replication", text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn only_listed_sections_can_be_asked_for() {
        for bad in ["", "all", "everything", "default", "modules", "Memory", "memory ", "memory\r\nserver", "debug"] {
            let error = Section::named(bad).unwrap_err();
            assert!(matches!(&error, CallError::Invalid(text) if text.contains("keyspace")), "{bad}: {error:?}");
        }
    }

    #[test]
    fn hidden_fields_are_hidden_in_every_section() {
        for section in SECTIONS {
            for name in HIDDEN {
                assert!(section.fields(&format!("{name}:x")).is_empty(), "{name} in {}", section.name);
            }
        }
    }
}
