//! Everything that can be wrong with a version, while the plugin is at work.

use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minisign::KeyPair;
use paramedic_tests::wait;
use serde_json::{Value, json};

use crate::fixture::{Agent, Harbour, guest, gzip, noop, over_asking, problem};

/// The header with a signature of `component` as `comment`.
fn signed(pair: &KeyPair, component: &[u8], comment: &str) -> String {
    let signature = minisign::sign(None, &pair.sk, component, Some(comment), None).unwrap().into_string();
    format!("paramedic-signature: {}", BASE64_STANDARD.encode(signature))
}

/// What one delivery earns: its status, its kind of problem, its step, and words of its detail.
type Case<'a> = (&'a str, Vec<u8>, Vec<String>, u16, &'a str, &'a str, &'a str);

fn refused(agent: &Agent, (what, component, fields, status, kind, step, words): &Case<'_>) {
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let answer = agent.put("trouble", "0.2.0", component, &fields);
    let told = problem(&answer, *status, kind);
    let told_step = told["step"].as_str().unwrap_or_default();
    assert_eq!(told_step, *step, "{what}: {told}");
    assert!(told["detail"].as_str().unwrap().contains(words), "{what}: {told}");
}

#[test]
fn whatever_is_wrong_with_a_version_disturbs_none_of_fifty_runs_and_is_told_in_its_own_words() {
    let (release, stranger) =
        (KeyPair::generate_unencrypted_keypair().unwrap(), KeyPair::generate_unencrypted_keypair().unwrap());
    let harbour = Harbour::new();
    let agent = harbour.agent(&format!(
        "signing: {{ keys: {{ release: {} }} }}\nintake: {{ max_component: 2MiB }}\n\
         plugins: {{ trouble: {{ source: upload, signed_by: [release], limits: {{ deadline: 10m }} }} }}",
        release.pk.to_base64()
    ));
    let old = guest("trouble", "0.1.0");
    let delivered = agent.put("trouble", "0.1.0", &old, &[&signed(&release, &old, "trouble 0.1.0")]);
    assert_eq!(delivered.status, 200, "{}", delivered.body);

    // Fifty runs that go on until all of this is over.
    let body = json!({"plugin": "trouble", "params": {"do": "sleep-in-host", "seconds": 25.0}});
    let started: Vec<String> = (0..50)
        .map(|_| agent.api.run(&body, &["prefer: respond-async"]).unwrap())
        .inspect(|answer| assert_eq!(answer.status, 202, "{}", answer.body))
        .map(|answer| answer.field("location").to_owned())
        .collect();

    let new = guest("trouble", "0.2.0");
    let good = || vec![signed(&release, &new, "trouble 0.2.0")];
    let sign = |component: &[u8]| vec![signed(&release, component, "trouble 0.2.0")];
    let (broken, text) = (new[..new.len() / 2].to_vec(), b"#!/bin/sh\n".to_vec());
    let (large, other) = (vec![0; 3 << 20], noop("0.2.0"));
    let bomb = gzip(&vec![0; 50 << 20]);
    let compressed = |fields: Vec<String>| [fields, vec!["content-encoding: gzip".to_owned()]].concat();
    let cases: Vec<Case<'_>> = vec![
        (
            "broken",
            broken.clone(),
            sign(&broken),
            422,
            "version-refused",
            "imports",
            "not a valid WebAssembly component",
        ),
        (
            "no component",
            text.clone(),
            sign(&text),
            422,
            "version-refused",
            "imports",
            "not a valid WebAssembly component",
        ),
        ("oversized", large, vec![], 413, "body-too-large", "size", "more than 2097152 bytes"),
        ("a bomb", bomb, compressed(vec![]), 413, "body-too-large", "size", "more than 2097152 bytes"),
        ("no gzip", new.clone(), compressed(good()), 400, "incomplete-body", "decompress", "decompressed as gzip"),
        (
            "unsigned",
            new.clone(),
            vec![],
            422,
            "version-refused",
            "signature",
            "it is not signed, and has to be by `release`",
        ),
        (
            "signed by a stranger",
            new.clone(),
            vec![signed(&stranger, &new, "trouble 0.2.0")],
            422,
            "version-refused",
            "signature",
            "signed with another key than `release`",
        ),
        (
            "signed before it was changed",
            paramedic_tests::components::with_note(&new, "afterwards"),
            good(),
            422,
            "version-refused",
            "signature",
            "the component or its signature was changed",
        ),
        (
            "signed as another plugin",
            new.clone(),
            vec![signed(&release, &new, "noop 0.2.0")],
            422,
            "version-refused",
            "signature",
            "minisign -S -t 'trouble VERSION'",
        ),
        (
            "signed as another version",
            new.clone(),
            vec![signed(&release, &new, "trouble 0.2.1")],
            422,
            "version-refused",
            "signature",
            "its signature is for version 0.2.1, and it calls itself 0.2.0",
        ),
        ("another plugin", other.clone(), sign(&other), 422, "version-refused", "identity", "calls itself `noop`"),
        (
            "another version",
            guest("trouble", "0.3.0"),
            sign(&guest("trouble", "0.3.0")),
            422,
            "version-refused",
            "identity",
            "it was sent as version 0.2.0 and calls itself 0.3.0",
        ),
        (
            "not what was sent",
            new.clone(),
            [good(), vec![format!("paramedic-digest: sha256:{}", "00".repeat(32))]].concat(),
            422,
            "version-refused",
            "digest",
            "send it again",
        ),
        (
            "no signature at all",
            new.clone(),
            vec!["paramedic-signature: ***".to_owned()],
            400,
            "invalid-header",
            "",
            "base64",
        ),
    ];
    for case in &cases {
        refused(&agent, case);
    }
    // One that asks for more is kept, and the old one goes on.
    let greedy = over_asking::greedy("0.2.0");
    let waits = agent.put("trouble", "0.2.0", &greedy, &[&sign(&greedy)[0]]);
    let told = waits.json().unwrap();
    assert_eq!((waits.status, &told["state"], &told["version"]), (202, &json!("waiting"), &json!("0.2.0")), "{told}");
    assert!(
        told["reason"]
            .as_str()
            .unwrap()
            .ends_with("add plugins.trouble.grants: - { postgres: <target>, verbs: [inspect] }"),
        "{told}"
    );

    let plugin = agent.plugin("trouble");
    assert_eq!(
        (&plugin["state"], &plugin["version"], &plugin["signer"]),
        (&json!("active"), &json!("0.1.0"), &json!("release"))
    );
    let candidates = plugin["candidates"].as_array().unwrap();
    assert!(candidates.len() == 5 && candidates[0]["waits"] == true, "{plugin}");
    let metrics = agent.metrics();
    for (step, count) in
        [("size", 2), ("decompress", 1), ("signature", 5), ("digest", 1), ("identity", 2), ("imports", 3)]
    {
        let line = format!("paramedic_plugin_versions_refused_total{{plugin=\"trouble\",step=\"{step}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    assert!(metrics.contains("paramedic_runs_in_flight 50\n"), "they were all still there: {metrics}");

    // The good one after them serves the next run, and those under way end as they began.
    assert_eq!(agent.put("trouble", "0.2.0", &new, &[&good()[0]]).json().unwrap()["state"], "active");
    let quick = json!({"do": "sleep-in-host", "seconds": 0.0});
    assert_eq!(agent.run("trouble", &quick).json().unwrap()["version"], "0.2.0");
    for location in started {
        let run = ended(&agent, &location);
        assert_eq!((&run["state"], &run["version"]), (&json!("ok"), &json!("0.1.0")), "{run}");
    }
    assert_eq!(agent.cli(&["plugins", "rollback", "trouble"]).0, 0);
    assert_eq!(agent.run("trouble", &quick).json().unwrap()["version"], "0.1.0");
    assert_eq!(agent.plugin("trouble").get("candidates"), None);
}

fn ended(agent: &Agent, location: &str) -> Value {
    wait::until("a run to end", || {
        let run = agent.api.get(location, &[])?.json()?;
        Ok(Some(run).filter(|run| run["state"] != "running"))
    })
    .unwrap()
}

#[test]
fn a_plugin_that_is_not_configured_is_refused_unread_with_the_lines_to_add() {
    let agent = Harbour::new().agent("plugins: { noop: { source: upload } }");
    let told = problem(&agent.put("pg-outbox", "0.1.0", &noop("0.1.0"), &[]), 404, "plugin-not-configured");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("plugins:\n  pg-outbox:\n    source: upload\n    grants: []\n"), "{detail}");
    // Nothing of it was counted or kept.
    assert!(!agent.metrics().contains("pg-outbox"));
}

#[test]
fn a_version_that_only_a_withdrawn_key_signed_does_not_run_again() {
    let (old, new) =
        (KeyPair::generate_unencrypted_keypair().unwrap(), KeyPair::generate_unencrypted_keypair().unwrap());
    let configuration = |keys: &[(&str, &KeyPair)]| {
        let keys: Vec<_> = keys.iter().map(|(name, pair)| format!("{name}: {}", pair.pk.to_base64())).collect();
        format!(
            "signing: {{ required: true, keys: {{ {} }} }}\nplugins: {{ noop: {{ source: upload }} }}",
            keys.join(", ")
        )
    };
    let harbour = Harbour::new();
    let component = noop("0.1.0");
    {
        let agent = harbour.agent(&configuration(&[("old", &old)]));
        let delivered = agent.put("noop", "0.1.0", &component, &[&signed(&old, &component, "noop 0.1.0")]);
        assert_eq!(delivered.status, 200, "{}", delivered.body);
    }
    assert_eq!(harbour.agent(&configuration(&[("old", &old), ("new", &new)])).plugin("noop")["signer"], "old");
    let agent = harbour.agent(&configuration(&[("new", &new)]));
    let plugin = agent.plugin("noop");
    assert_eq!(
        (&plugin["state"], &plugin["reason"]),
        (&json!("failed"), &json!("it is signed with another key than `new`"))
    );
    // The same bytes with a signature that counts are welcome.
    let delivered = agent.put("noop", "0.1.0", &component, &[&signed(&new, &component, "noop 0.1.0")]);
    assert_eq!(delivered.json().unwrap()["state"], "active", "{}", delivered.body);
    assert_eq!(agent.plugin("noop")["signer"], "new");
    drop(agent);
    assert_eq!(harbour.agent(&configuration(&[("new", &new)])).plugin("noop")["state"], "active");
    // Whoever changes keys signs again while both count, and nothing stops.
    let agent = harbour.agent(&configuration(&[("old", &old), ("new", &new)]));
    let resigned = agent.put("noop", "0.1.0", &component, &[&signed(&old, &component, "noop 0.1.0")]);
    assert_eq!((resigned.status, &agent.plugin("noop")["signer"]), (200, &json!("old")), "{}", resigned.body);
    assert_eq!(agent.put("noop", "0.1.0", &component, &[]).status, 422, "unsigned is no way to repeat it");
    drop(agent);
    assert_eq!(harbour.agent(&configuration(&[("old", &old)])).plugin("noop")["signer"], "old");
}

#[test]
fn many_who_push_at_once_leave_one_that_runs_and_all_that_were_taken() {
    let agent = Harbour::new();
    let agent = agent.agent("plugins: { noop: { source: upload } }");
    let versions: Vec<String> = (1..=8).map(|n| format!("0.{n}.0")).collect();
    let taken: Vec<String> = thread::scope(|scope| {
        let pushing: Vec<_> = versions
            .iter()
            .map(|version| {
                let agent = &agent;
                scope.spawn(move || {
                    wait::until("a place for an upload", || {
                        let answer = agent.put("noop", version, &noop(version), &[]);
                        assert!(matches!(answer.status, 200 | 429), "{}", answer.body);
                        Ok((answer.status == 200).then(|| version.clone()))
                    })
                })
            })
            .collect();
        pushing.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    assert_eq!(taken, versions);
    let list = agent.api.get("/v1/plugins/noop/versions", &[]).unwrap().json().unwrap();
    assert_eq!(list["versions"].as_array().unwrap().len(), 8, "{list}");
    assert_eq!(agent.verdict("noop")["version"], list["active"]);
}
