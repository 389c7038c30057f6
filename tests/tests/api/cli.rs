//! The command line, as a person or a monitoring system types it.

use std::process::{Command, Output, Stdio};

use paramedic_tests::agent::program;
use paramedic_tests::ports;
use serde_json::Value;

use crate::fixture::{TOKEN, VIEWER_TOKEN, agent};

pub fn paramedic(url: &str, token: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program().unwrap());
    command.env_clear().env("PARAMEDIC_URL", url).env("PARAMEDIC_TOKEN", token);
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Exit code, standard output and standard error.
fn asked(arguments: &[&str]) -> (Option<i32>, String, String) {
    told(paramedic(&agent().url(), TOKEN, arguments))
}

pub fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_verdict_is_the_exit_code() {
    let (code, card, complaint) = asked(&["run", "redis-ping", "-p", "target=cache", "-p", "samples=2"]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""), "{card}");
    assert!(card.starts_with("OK redis-ping: ") && !card.contains('\u{1b}'), "{card:?}");
    let (code, card, _) = asked(&["run", "http-health"]);
    assert_eq!(code, Some(2), "{card}");
    assert!(card.starts_with("CRITICAL http-health: "), "{card}");
    let params = r#"{"do": "fail", "message": "no idea"}"#;
    let (code, card, _) = asked(&["run", "trouble", "--params", params]);
    assert_eq!(code, Some(3), "{card}");
    assert!(card.starts_with("UNKNOWN trouble: no verdict (plugin): "), "{card}");
}

#[test]
fn json_is_for_programs() {
    let (code, text, _) = asked(&["run", "redis-ping", "-p", "target=cache", "-o", "json"]);
    let run: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &run["outcome"]["status"]), (Some(0), &"ok".into()));
    let id = run["id"].as_str().unwrap();
    let (code, text, _) = asked(&["runs", "show", id, "-o", "json"]);
    assert_eq!((code, serde_json::from_str::<Value>(&text).unwrap()), (Some(0), run.clone()));
    let (code, card, _) = asked(&["runs", "show", id]);
    assert!(code == Some(0) && card.contains("\nCalls\n") && card.contains("redis/ping"), "{card}");
    let (code, list, _) = asked(&["runs", "--plugin", "redis-ping", "--since", "1h", "-n", "200"]);
    assert!(code == Some(0) && list.contains(id), "{list}");
}

#[test]
fn a_run_in_the_background_is_told_by_its_id() {
    let arguments = ["run", "trouble", "-p", "do=sleep-in-host", "-p", "seconds=0.3", "--async", "-o", "json"];
    let (code, text, complaint) = asked(&arguments);
    assert_eq!(code, Some(0), "{complaint}");
    let run: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(run["state"], "running");
    crate::settled(&crate::api(), &format!("/v1/runs/{}", run["id"].as_str().unwrap())).unwrap();
}

#[test]
fn a_run_that_is_followed_shows_its_lines_and_then_its_card() {
    let params = r#"{"do": "log-and-wait", "lines": 2, "seconds": 0.2}"#;
    let (code, card, log) = asked(&["run", "trouble", "--params", params, "--follow"]);
    assert_eq!(code, Some(0), "{log}");
    assert!(card.starts_with("OK trouble: slept\n"), "{card}");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].ends_with(" info  plugin: line 1") && lines[1].ends_with(" info  plugin: line 2"), "{log}");
    let (code, text, _) = asked(&["run", "trouble", "--params", params, "--follow", "-o", "json"]);
    let run: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &run["state"]), (Some(0), &"ok".into()));
}

#[test]
fn a_run_is_cancelled_by_its_id() {
    let params = r#"{"do": "sleep-in-host", "seconds": 25.0}"#;
    let (_, text, _) = asked(&["run", "trouble", "--params", params, "--async", "-o", "json"]);
    let run: Value = serde_json::from_str(&text).unwrap();
    let id = run["id"].as_str().unwrap();
    let (code, card, complaint) = asked(&["runs", "cancel", id]);
    assert_eq!(code, Some(0), "{complaint}");
    assert!(card.starts_with("UNKNOWN trouble: no verdict (cancelled): cancelled by `alice`\n"), "{card}");
    let (code, _, complaint) = asked(&["runs", "cancel", id]);
    assert!(code == Some(3) && complaint.contains("has ended (failed), so there is nothing to cancel"), "{complaint}");
}

#[test]
fn a_viewer_is_told_the_role_that_it_takes() {
    let output = paramedic(&agent().url(), VIEWER_TOKEN, &["run", "redis-ping"]);
    let (code, _, complaint) = told(output);
    let expected = "paramedic: this needs the role `responder`; the token of `vera` has the role `viewer`\n";
    assert_eq!((code, complaint.as_str()), (Some(3), expected));
}

#[test]
fn a_key_has_a_run_done_once() {
    let key = paramedic_tests::secret::random();
    let once = || {
        let arguments = ["run", "redis-ping", "-p", "target=cache", "--idempotency-key", &key, "-o", "json"];
        let (code, text, complaint) = asked(&arguments);
        assert_eq!(code, Some(0), "{complaint}");
        serde_json::from_str::<Value>(&text).unwrap()["id"].clone()
    };
    assert_eq!(once(), once());
}

#[test]
fn a_token_that_was_made_by_the_command_line_is_let_in() {
    let home = paramedic_tests::agent::Home::new().unwrap();
    home.write("token-key", "0123456789abcdef0123456789abcdef\n").unwrap();
    let key = home.path().join("token-key").display().to_string();
    let arguments = ["token", "new", "--name", "carol", "--role", "viewer", "--expires", "1d", "--key-file", &key];
    let (code, printed, complaint) = told(paramedic("", "", &arguments));
    assert_eq!(code, Some(0), "{complaint}");
    let [_, token, _, entry] = printed.lines().collect::<Vec<_>>().try_into().unwrap();
    let address = paramedic_tests::agent::free_address().unwrap();
    let configuration =
        format!("server: {{ listen: \"{address}\" }}\nauth:\n  key: {{ file: token-key }}\n  tokens:\n  {entry}\n");
    let agent = paramedic_tests::agent::Agent::start(home, &configuration, &address).unwrap();
    assert_eq!(agent.api(Some(token)).get("/v1/runs", &[]).unwrap().status, 200);
    assert_eq!(agent.api(Some(&token[1..])).get("/v1/runs", &[]).unwrap().status, 401);
}

#[test]
fn plugins_are_listed_and_shown() {
    let (code, list, _) = asked(&["plugins"]);
    assert_eq!(code, Some(0));
    assert!(
        list.lines().any(|line| line.starts_with("failed  pg-connections") && line.contains("add plugins.")),
        "{list}"
    );
    let (code, card, _) = asked(&["plugins", "redis-ping"]);
    assert_eq!(code, Some(0));
    assert!(card.starts_with("ACTIVE redis-ping: "), "{card}");
    assert!(card.contains("{ redis: cache, verbs: [ping, info, slow-log] }"), "{card}");
}

#[test]
fn a_refusal_is_told_in_plain_words_and_means_unknown() {
    for (arguments, expected) in [
        (&["run", "redis-pnig"] as &[&str], "paramedic: no plugin is named `redis-pnig`; did you mean redis-ping?\n"),
        (&["runs", "--state", "broken"], "paramedic: the query is not understood\n  state: there is no such state"),
        (&["runs", "show", "1"], "paramedic: there is no run `1`"),
        (&["run", "pg-slow-queries", "-p", "limit=500"], "\n  /params/limit: 500 is greater than the maximum of 100\n"),
        (&["run", "pg-connections"], "add plugins.pg-connections.grants: - { postgres: "),
        (&["run"], "error: the following required arguments were not provided"),
    ] {
        let (code, printed, complaint) = asked(arguments);
        assert_eq!((code, printed.as_str()), (Some(3), ""), "{arguments:?}: {complaint}");
        assert!(complaint.contains(expected), "{arguments:?}: {complaint}");
    }
}

#[test]
fn an_agent_that_cannot_be_asked_means_unknown() {
    let nobody = format!("http://127.0.0.1:{}", ports::free().unwrap());
    for (url, token, expected) in [
        (nobody.as_str(), TOKEN, "Connection refused"),
        (&agent().url(), "wrong", "paramedic: the token is not one of those configured"),
        (&agent().url(), "", "paramedic: no token: set PARAMEDIC_TOKEN"),
        ("nonsense", TOKEN, "`nonsense` is no address of an agent"),
    ] {
        let (code, _, complaint) = told(paramedic(url, token, &["run", "redis-ping"]));
        assert_eq!(code, Some(3), "{complaint}");
        assert!(complaint.contains(expected) && !complaint.contains(TOKEN), "{complaint}");
    }
}

#[test]
fn a_configuration_is_judged_without_an_agent() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        let file = folder.path().join("paramedic.yaml");
        std::fs::write(&file, text).unwrap();
        told(paramedic("", "", &["config", "check", "--config", file.to_str().unwrap()]))
    };
    let good = "targets: { redis: { a: { url: { file: url } } } }";
    std::fs::write(folder.path().join("url"), "redis://h").unwrap();
    let (code, found, complaint) = check(good);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert!(found.ends_with("paramedic.yaml: nothing is wrong (targets: 1, plugins: 0)\n"), "{found}");
    let (code, found, complaint) = check("server: { lisen: x }\nplugins: { p: {} }");
    assert_eq!((code, found.as_str()), (Some(2), ""));
    assert!(complaint.contains("paramedic.yaml:1:11: server.lisen: there is no such field"), "{complaint}");
    assert!(complaint.contains("paramedic.yaml:2:15: plugins.p: `source` is missing"), "{complaint}");
    let (code, _, complaint) = told(paramedic("", "", &["config", "check", "--config", "/nowhere/at/all"]));
    assert!(code == Some(3) && complaint.contains("cannot read the configuration /nowhere/at/all"), "{complaint}");
    let (code, schema, _) = told(paramedic("", "", &["config", "schema"]));
    assert_eq!((code, &serde_json::from_str::<Value>(&schema).unwrap()["title"]), (Some(0), &"paramedic.yaml".into()));
}
