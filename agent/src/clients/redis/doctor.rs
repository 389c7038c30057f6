//! What is wrong with a Redis target: told to its operator, never to a plugin.

use super::super::resp::doctor::{Examination, Excess};
use super::super::resp::{Command, Server};
use super::{USAGE_SAMPLES, commands};
use crate::domain::Diagnosis;

/// First version that tells the keys of a command together with what it does to them.
const READ_NEEDS: u32 = 7;

/// What the verbs other than `read` send, and who we are.
const BASE_RULES: &str = "+ping +info +scan +type +memory|usage +pttl +slowlog|get +time +acl|whoami";

/// The line that makes a user with just the rights that the verbs need.
pub(super) fn rules() -> String {
    let listed =
        commands::list::LIST.iter().map(|spec| format!("+{}", spec.name.to_ascii_lowercase().replace(' ', "|")));
    let new = listed.filter(|rule| !BASE_RULES.split(' ').any(|base| base == rule));
    let read: Vec<String> = new.collect();
    format!(
        "ACL SETUSER paramedic reset on >PASSWORD ~PREFIX:* {BASE_RULES} +command|getkeysandflags {}",
        read.join(" ")
    )
}

/// What freeing memory sends beyond looking.
const ACTING: &str = "+unlink +pexpireat +persist";

/// The line that makes a user with just the rights that looking and freeing memory take.
pub(super) fn acting_rules() -> String {
    format!("{} {ACTING}", rules())
}

pub(super) async fn examine(server: &Server) -> Vec<Diagnosis> {
    let mut examination = Examination::new(server);
    let rules = rules();
    let Some((greeting, user)) = examination.login(&rules).await else { return examination.finish() };
    if greeting.major() < READ_NEEDS {
        examination.warn(
            format!("`read` needs Redis {READ_NEEDS}, which tells the keys of a command; this is {}", greeting.version),
            "upgrade the server, or do without the verb `read`",
        );
    }
    let key = format!("paramedic:doctor:{:016x}", rand::random::<u64>());
    let mut probes = of_verbs(&key);
    probes.extend(commands::list::LIST.iter().map(|spec| spec.probe(&key)));
    let refused = examination.refused(&probes).await;
    if refused.is_empty() {
        examination.well("every command that the verbs need is allowed");
    } else {
        let grants: Vec<String> = refused.iter().map(|name| format!("+{name}")).collect();
        let message = format!("the login may not run {}; verbs that need it fail", refused.join(", "));
        examination.warn(message, format!("ACL SETUSER {user} {}", grants.join(" ")));
    }
    examination.excess(&excesses(&key), &rules).await;
    examination.finish()
}

fn of_verbs(key: &str) -> Vec<Command> {
    vec![
        Command::new("PING"),
        Command::new("INFO").arg("server"),
        Command::new("SCAN").arg("0").arg("COUNT").arg("1"),
        Command::new("TYPE").arg(key),
        Command::new("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").number(USAGE_SAMPLES),
        Command::new("PTTL").arg(key),
        Command::new("SLOWLOG").arg("GET").arg("0"),
        Command::new("TIME"),
        Command::new("COMMAND").arg("GETKEYSANDFLAGS").arg("GET").arg(key),
    ]
}

/// None of them would do anything if it ran: the key exists nowhere.
fn excesses(key: &str) -> [Excess; 5] {
    [
        Excess { what: "write and delete keys", command: Command::new("UNLINK").arg(key) },
        Excess { what: "run scripts", command: Command::new("EVAL").arg("return 1").arg("0") },
        Excess { what: "list all keys at once", command: Command::new("KEYS").arg(key) },
        Excess { what: "see the configuration", command: Command::new("CONFIG").arg("GET").arg(key) },
        Excess { what: "administer users", command: Command::new("ACL").arg("USERS") },
    ]
}
