//! The life of plugins in the whole agent: pushed, refused, signed, waiting, rolled back, held back, and there again after
//! a restart.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

#[path = "shipping/fixture.rs"]
mod fixture;
#[path = "shipping/folder.rs"]
mod folder;
#[path = "shipping/quarantine.rs"]
mod quarantine;
#[path = "shipping/refusals.rs"]
mod refusals;

use fixture::{Harbour, noop, over_asking, problem};
use paramedic_tests::components;
use serde_json::json;

const NOOP: &str = "plugins: { noop: { source: upload } }";

#[test]
fn a_plugin_is_pushed_and_run_without_a_restart() {
    let harbour = Harbour::new();
    let agent = harbour.agent(NOOP);
    let early = agent.run("noop", &json!({}));
    assert!(problem(&early, 409, "plugin-not-active")["detail"].as_str().unwrap().contains("paramedic plugins push"));

    let (code, card, complaint) = agent.cli(&["plugins", "push", &harbour.file("noop.wasm", &noop("0.1.0"))]);
    assert_eq!((code, complaint.as_str()), (0, ""));
    assert_eq!(card, "ACTIVE noop 0.1.0: it runs from now on\n");
    assert_eq!(agent.verdict("noop")["version"], "0.1.0");

    let (code, card, _) =
        agent.cli(&["plugins", "push", &harbour.file("noop.wasm.gz", &fixture::gzip(&noop("0.2.0")))]);
    assert_eq!((code, card.as_str()), (0, "ACTIVE noop 0.2.0: it runs from now on, in place of 0.1.0\n"));
    assert_eq!(agent.verdict("noop")["version"], "0.2.0");
    let plugin = agent.plugin("noop");
    assert_eq!((&plugin["origin"], &plugin["delivered_by"]), (&json!("upload"), &json!("alice")), "{plugin}");
}

#[test]
fn the_same_again_is_nothing_and_other_bytes_under_one_version_are_refused() {
    let harbour = Harbour::new();
    let agent = harbour.agent(NOOP);
    let one = noop("0.1.0");
    assert_eq!(agent.put("noop", "0.1.0", &one, &[]).json().unwrap()["state"], "active");
    let again = agent.put("noop", "0.1.0", &one, &[]);
    assert_eq!((again.status, &again.json().unwrap()["state"]), (200, &json!("unchanged")));
    let other = components::with_note(&one, "built on a Tuesday");
    let told = problem(&agent.put("noop", "0.1.0", &other, &[]), 409, "version-exists");
    assert!(told["detail"].as_str().unwrap().ends_with("give the new one a new version"), "{told}");
    // Also where the sender does not say which version it is.
    let pushed =
        agent.api.send("POST", "/v1/plugins/noop/versions", &["content-type: application/wasm"], &other).unwrap();
    problem(&pushed, 409, "version-exists");
    assert_eq!(agent.verdict("noop")["version"], "0.1.0");
    assert_eq!(agent.put("noop", "0.2.0", &noop("0.2.0"), &[]).json().unwrap()["previous"], "0.1.0");
    // A sender that tries again after somebody went on does not turn the clock back.
    let late = agent.put("noop", "0.1.0", &one, &[]).json().unwrap();
    assert_eq!((&late["state"], &agent.verdict("noop")["version"]), (&json!("kept"), &json!("0.2.0")));
}

#[test]
fn versions_are_listed_compared_rolled_back_and_forgotten() {
    let harbour = Harbour::new();
    let agent = harbour.agent(NOOP);
    for version in ["0.1.0", "0.2.0", "0.3.0"] {
        assert_eq!(agent.put("noop", version, &noop(version), &[]).status, 200);
    }
    let (code, list, _) = agent.cli(&["plugins", "versions", "noop"]);
    let rows: Vec<Vec<&str>> = list.lines().skip(1).map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(
        (code, rows),
        (0, vec![vec!["0.3.0", "active"], vec!["0.2.0", "previous"], vec!["0.1.0", "kept"]]),
        "{list}"
    );

    let retitled = components::replaced(&noop("0.4.0"), b"noop0.4.0Nothing", b"noop0.4.0Another").unwrap();
    assert_eq!(agent.put("noop", "0.4.0", &retitled, &[]).status, 200);
    let (code, diff, _) = agent.cli(&["plugins", "diff", "noop", "previous", "active"]);
    assert!(code == 0 && diff.starts_with("noop: from 0.3.0 ("), "{diff}");
    assert!(diff.contains("  - title: Nothing\n  + title: Another\n"), "{diff}");

    let (code, card, _) = agent.cli(&["plugins", "rollback", "noop"]);
    assert_eq!((code, card.as_str()), (0, "ACTIVE noop 0.3.0: it runs from now on, in place of 0.4.0\n"));
    assert_eq!(agent.verdict("noop")["version"], "0.3.0");
    let (_, card, _) = agent.cli(&["plugins", "activate", "noop", "0.1.0"]);
    assert_eq!(card, "ACTIVE noop 0.1.0: it runs from now on, in place of 0.3.0\n");
    let (_, card, _) = agent.cli(&["plugins", "activate", "noop", "0.1.0"]);
    assert_eq!(card, "UNCHANGED noop 0.1.0: it runs already\n");
    let (code, _, complaint) = agent.cli(&["plugins", "activate", "noop", "0.9.0"]);
    assert_eq!(
        (code, complaint.as_str()),
        (3, "paramedic: `noop` has no version `0.9.0`; kept are 0.4.0, 0.3.0, 0.2.0, 0.1.0\n")
    );
    let (code, _, complaint) = agent.cli(&["plugins", "forget", "noop", "0.1.0"]);
    assert_eq!(
        (code, complaint.as_str()),
        (3, "paramedic: version 0.1.0 of `noop` is active; activate another one first\n")
    );
    let (code, list, _) = agent.cli(&["plugins", "forget", "noop", "0.2.0"]);
    assert!(code == 0 && !list.contains("0.2.0"), "{list}");
    // What was forgotten may come again, with other bytes.
    let other = components::with_note(&noop("0.2.0"), "another");
    assert_eq!(agent.put("noop", "0.2.0", &other, &[]).json().unwrap()["state"], "active");
}

#[test]
fn what_was_active_is_active_after_a_restart_and_so_is_a_rollback() {
    let harbour = Harbour::new();
    {
        let agent = harbour.agent(NOOP);
        agent.put("noop", "0.1.0", &noop("0.1.0"), &[]);
        agent.put("noop", "0.2.0", &noop("0.2.0"), &[]);
        assert_eq!(agent.cli(&["plugins", "rollback", "noop"]).0, 0);
    }
    let agent = harbour.agent(NOOP);
    assert_eq!(agent.verdict("noop")["version"], "0.1.0");
    let versions = agent.api.get("/v1/plugins/noop/versions", &[]).unwrap().json().unwrap();
    assert_eq!((&versions["active"], &versions["previous"]), (&json!("0.1.0"), &json!("0.2.0")), "{versions}");
    // Without the artefacts too: what is kept is the component.
    drop(agent);
    std::fs::remove_dir_all(harbour.path().join("cache")).unwrap();
    assert_eq!(harbour.agent(NOOP).verdict("noop")["version"], "0.1.0");
}

#[test]
fn a_file_is_as_the_configuration_says_and_its_last_good_version_outlives_it() {
    let harbour = Harbour::new();
    let configuration =
        format!("plugins: {{ noop: {{ source: {{ file: \"{}\" }} }} }}", harbour.file("noop.wasm", &noop("0.1.0")));
    let told = problem(&harbour.agent(&configuration).put("noop", "0.2.0", &noop("0.2.0"), &[]), 409, "other-source");
    assert_eq!(
        told["detail"],
        "`noop` comes from a file; to take it from here, write `source: upload` in the configuration"
    );
    // Whoever builds beside the agent need not count up.
    harbour.file("noop.wasm", &components::with_note(&noop("0.1.0"), "another build"));
    let agent = harbour.agent(&configuration);
    assert_eq!(agent.plugin("noop")["state"], "active");
    drop(agent);
    for (what, bytes) in [("half of it", noop("0.2.0")[..9999].to_vec()), ("nothing", Vec::new())] {
        harbour.file("noop.wasm", &bytes);
        let agent = harbour.agent(&configuration);
        assert_eq!(agent.verdict("noop")["version"], "0.1.0", "{what}");
        let plugin = agent.plugin("noop");
        assert_eq!(
            (&plugin["state"], &plugin["candidates"][0]["step"]),
            (&json!("active"), &json!("imports")),
            "{plugin}"
        );
    }
    std::fs::remove_file(harbour.path().join("noop.wasm")).unwrap();
    let agent = harbour.agent(&configuration);
    assert_eq!(agent.verdict("noop")["version"], "0.1.0");
    assert_eq!(agent.plugin("noop")["candidates"][0]["step"], "read");
    drop(agent);
    harbour.file("noop.wasm", &noop("0.2.0"));
    let agent = harbour.agent(&configuration);
    assert_eq!(agent.verdict("noop")["version"], "0.2.0");
    // A rollback holds until something else lies there.
    assert_eq!(agent.cli(&["plugins", "rollback", "noop"]).0, 0);
    drop(agent);
    assert_eq!(harbour.agent(&configuration).verdict("noop")["version"], "0.1.0");
    harbour.file("noop.wasm", &noop("0.3.0"));
    assert_eq!(harbour.agent(&configuration).verdict("noop")["version"], "0.3.0");
}

#[test]
fn a_version_that_asks_for_more_waits_for_its_lines_while_the_old_one_serves() {
    let configuration = |verbs: &str| {
        format!(
            "plugins: {{ over-asking: {{ source: upload, params: {{ target: main }}, grants: [ {{ postgres: main, verbs: [{verbs}] }}, \
             {{ redis: cache, verbs: [slow-log] }} ] }} }}"
        )
    };
    let harbour = Harbour::new();
    let agent = harbour.agent(&configuration("inspect"));
    assert_eq!(agent.put("over-asking", "0.1.0", &over_asking::modest("0.1.0"), &[]).status, 200);
    let (code, card, _) =
        agent.cli(&["plugins", "push", &harbour.file("over_asking.wasm", &over_asking::greedy("0.2.0"))]);
    let line = "add plugins.over-asking.grants: - { postgres: main, verbs: [query] }";
    assert_eq!((code, card), (1, format!("WAITING over-asking 0.2.0: its grants lack what it needs; {line}\n")));
    let plugin = agent.plugin("over-asking");
    assert_eq!((&plugin["state"], &plugin["version"]), (&json!("active"), &json!("0.1.0")), "{plugin}");
    assert_eq!((&plugin["candidates"][0]["waits"], &plugin["candidates"][0]["step"]), (&json!(true), &json!("grants")));
    assert!(agent.metrics().contains("paramedic_plugin_version_waiting{plugin=\"over-asking\"} 1\n"));
    let (_, diff, _) = agent.cli(&["plugins", "diff", "over-asking", "active", "waiting"]);
    assert!(diff.contains("Asks for\n") && diff.contains("+ postgres/query on {target}: needs it"), "{diff}");
    let (code, card, _) = agent.cli(&["plugins", "activate", "over-asking", "waiting"]);
    assert!(code == 1 && card.contains(line), "{card}");

    // A restart without the line changes nothing; with it the version that waited runs.
    drop(agent);
    let agent = harbour.agent(&configuration("inspect"));
    assert_eq!(agent.plugin("over-asking")["version"], "0.1.0");
    assert_eq!(agent.plugin("over-asking")["candidates"][0]["waits"], true);
    drop(agent);
    let agent = harbour.agent(&configuration("inspect, query"));
    let plugin = agent.plugin("over-asking");
    assert_eq!((&plugin["version"], plugin.get("candidates")), (&json!("0.2.0"), None), "{plugin}");
    assert!(agent.metrics().contains("paramedic_plugin_version_waiting{plugin=\"over-asking\"} 0\n"));
    // With the line taken away again it does not run, and says why; the one before can be chosen.
    drop(agent);
    let agent = harbour.agent(&configuration("inspect"));
    let plugin = agent.plugin("over-asking");
    assert!(plugin["state"] == "failed" && plugin["reason"].as_str().unwrap().contains(line), "{plugin}");
    assert_eq!(agent.cli(&["plugins", "rollback", "over-asking"]).0, 0);
    assert_eq!(agent.plugin("over-asking")["version"], "0.1.0");
}
