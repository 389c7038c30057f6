//! What a component cannot reach, what it is refused for before it runs, and what every plugin has.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the helpers of tests may fail as tests do"
)]

#[expect(dead_code, reason = "shared with the tests of hostile guests, which need more of it")]
mod support;

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use paramedic::catalog::{self, Catalog, PluginError, State, Surroundings};
use paramedic::clock::SystemClock;
use paramedic::domain::{
    ChangeBounds, Decision, DenialReason, Digest, Grant, Interface, Limits, LogLevel, Operation, System, Target,
};
use paramedic::engine::{Engine, LoadError, Settings};
use paramedic::host::{ImportsError, NoMemory, Targets};
use paramedic::policy::Grants;
use paramedic_tests::components;
use serde_json::{Map, Value, json};
use support::{NOW, Stage, details, failure, limits, postgres, settings, verdict};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn nothing_of_the_machine_can_be_reached() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "hunter2").unwrap();
    // The most that permissions can do to help a guest.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();

    let stage = Stage::new();
    let looker = stage.guest("looker").await;
    let params = json!({ "address": listener.local_addr().unwrap().to_string(), "file": file });
    let found = details(stage.run(&looker, &params, limits(LONG)).await);

    assert_eq!(found["environment"], json!([]));
    assert_eq!(found["arguments"], json!([]));
    assert_eq!(found["input"], "nothing");
    for (place, attempts) in [("files", 8), ("network", 5)] {
        let told = found[place].as_object().unwrap();
        assert_eq!(told.len(), attempts);
        for (attempt, answer) in told {
            assert_ne!(answer, "reached", "{place}: {attempt}");
        }
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "hunter2");
    assert!(!Path::new("/tmp/guest-was-here").exists());
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn an_interface_that_was_not_granted_is_refused_with_the_line_to_add() {
    let stage = Stage::new();
    let others = [Operation::PostgresInspect];
    for (guest, grants, line) in [
        ("query", vec![], "plugins.query.grants: - { postgres: <target>, verbs: [query] }"),
        ("caller", vec![], "plugins.caller.grants: - { postgres: <target>, verbs: [inspect] }"),
    ] {
        let error = stage.try_guest(guest, grants).await.err().unwrap();
        assert!(matches!(error, LoadError::Imports(ImportsError::NotGranted { .. })), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("the component imports `postgres`"), "{text}");
        assert!(text.ends_with(&format!("which is not granted; add {line}")), "{text}");
    }
    // Another verb of the interface lets it load: the call itself is refused then.
    let query = stage.try_guest("query", postgres(&others)).await.unwrap();
    let params = json!({ "target": "main", "sql": "SELECT 1" });
    let refused = details(stage.run(&query, &params, limits(LONG)).await);
    assert_eq!(refused["error"]["kind"], "denied");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("add plugins.query.grants: - { postgres: main, verbs: [query] }"), "{message}");
}

#[tokio::test]
async fn what_only_reads_and_was_not_granted_answers_denied_beside_what_was() {
    let stage = Stage::new();
    let grants = postgres(&[Operation::PostgresInspect]);
    let reticent = stage.try_guest("reticent", grants).await.unwrap();
    assert_eq!(reticent.program.absent().iter().copied().collect::<Vec<_>>(), [Interface::Redis]);
    let finished = stage.run(&reticent, &json!({ "target": "cache" }), limits(LONG)).await;
    let call = &finished.calls[0];
    assert_eq!((call.operation.as_str(), call.target.as_str()), ("redis/info", "redis/cache"));
    assert_eq!(call.decision, Decision::Denied(DenialReason::NotGranted));
    let told = verdict(finished).details.unwrap();
    assert!(told.starts_with("redis/info on redis/cache is denied: "), "{told}");
    assert!(told.contains("add plugins.reticent.grants: - { redis: cache, verbs: [info] }"), "{told}");
    let limits = Limits { calls: 1, ..limits(LONG) };
    let both = json!({ "target": "cache", "database": "main" });
    let spent = failure(stage.run(&reticent, &both, limits).await);
    assert!(spent.message.contains("exhausted"), "a refused call counts: {}", spent.message);
}

#[tokio::test]
async fn what_changes_something_is_never_there_without_a_grant() {
    let stage = Stage::new();
    for (plugin, system, operation, line) in [
        (
            "pg-terminate-idle",
            System::Postgres,
            Operation::PostgresSessions,
            "postgres: <target>, verbs: [terminate-session]",
        ),
        (
            "k8s-rollout-restart",
            System::Kubernetes,
            Operation::KubernetesGetRollout,
            "kubernetes: <target>, verbs: [restart]",
        ),
    ] {
        let component = std::fs::read(components::plugin(plugin).unwrap()).unwrap();
        let mut grants = postgres(&[operation]);
        grants[0].target.system = system;
        let error = stage.load(plugin, &component, grants).await.err().unwrap();
        assert!(matches!(error, LoadError::Imports(ImportsError::NotGranted { .. })), "{error}");
        let text = error.to_string();
        assert!(text.contains("-actions`") && text.contains(line), "{text}");
    }
}

/// A component that exports an empty `plugin` and has those further parts.
fn component(parts: &str) -> Vec<u8> {
    let text = format!(
        r#"(component {parts}
            (instance $plugin)
            (export "paramedic:plugin/plugin@0.1.0" (instance $plugin)))"#
    );
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn what_no_plugin_gets_is_refused_by_its_name_before_anything_is_compiled() {
    let not_offered = |name: &str| format!("the component imports `{name}`, which is not offered to plugins");
    let other_version = |name: &str| format!("`{name}` is of a version that this agent does not offer; it offers 0.1");
    let import = |name: &str| component(&format!(r#"(import "{name}" (instance))"#));
    // After a nested component and module, where a reader that loses count would not look any more.
    let hidden = component(
        r#"(core module) (component (component) (core module)) (core module)
        (import "wasi:http/outgoing-handler@0.2.0" (instance))"#,
    );
    let exported =
        |name: &str| wat::parse_str(format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#)).unwrap();
    let no_plugin = "the component does not export `paramedic:plugin/plugin@0.1`".to_owned();
    let core_module = "a core WebAssembly module, not a component; build it for wasm32-wasip2".to_owned();
    let invalid = || "not a valid WebAssembly component".to_owned();
    let table: Vec<(Vec<u8>, String)> = vec![
        (import("wasi:http/types@0.2.0"), not_offered("wasi:http/types@0.2.0")),
        (import("wasi:http/outgoing-handler@0.2.0"), not_offered("wasi:http/outgoing-handler@0.2.0")),
        (hidden, not_offered("wasi:http/outgoing-handler@0.2.0")),
        (import("wasi:keyvalue/store@0.2.0"), not_offered("wasi:keyvalue/store@0.2.0")),
        (import("wasi:clocksmith/x@0.2.0"), not_offered("wasi:clocksmith/x@0.2.0")),
        (import("somebody:else/things@1.0.0"), not_offered("somebody:else/things@1.0.0")),
        (component(r#"(import "host" (func))"#), not_offered("host")),
        (import("paramedic:plugin/shell@0.1.0"), not_offered("paramedic:plugin/shell@0.1.0")),
        (import("paramedic:plugin/log"), not_offered("paramedic:plugin/log")),
        (component(r#"(import "paramedic:plugin/log@0.1.0" (func))"#), not_offered("paramedic:plugin/log@0.1.0")),
        (import("paramedic:plugin/log@0.2.0"), other_version("paramedic:plugin/log@0.2.0")),
        (import("paramedic:plugin/types@1.0.0"), other_version("paramedic:plugin/types@1.0.0")),
        (exported("paramedic:plugin/plugin@0.2.0"), other_version("paramedic:plugin/plugin@0.2.0")),
        (exported("paramedic:plugin/plugins@0.1.0"), no_plugin.clone()),
        (wat::parse_str("(component)").unwrap(), no_plugin),
        (wat::parse_str("(module)").unwrap(), core_module),
        (b"#!/bin/sh\nrm -rf /\n".to_vec(), invalid()),
        (Vec::new(), invalid()),
    ];
    let stage = Stage::new();
    for (bytes, expected) in table {
        let error = stage.load("stranger", &bytes, vec![]).await.err().expect(&expected);
        assert!(matches!(error, LoadError::Imports(_)), "{error:?}");
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn a_component_cut_off_anywhere_is_refused() {
    let stage = Stage::new();
    let whole = std::fs::read(components::guest("noop").unwrap()).unwrap();
    for tenth in 1..10 {
        let part = &whole[..whole.len() * tenth / 10];
        let error = stage.load("noop", part, vec![]).await.err().unwrap();
        assert!(matches!(error, LoadError::Imports(ImportsError::Invalid(_))), "{error:?}");
    }
}

#[tokio::test]
async fn what_was_compiled_before_imports_what_its_bytes_say() {
    let cache = tempfile::tempdir().unwrap();
    let settings = || Settings { cache: Some(cache.path().join("compiled")), ..settings() };
    for (guest, grants) in [
        ("noop", vec![]),
        ("query", postgres(&[Operation::PostgresQuery])),
        ("reticent", postgres(&[Operation::PostgresInspect])),
    ] {
        let component: Arc<[u8]> = std::fs::read(components::guest(guest).unwrap()).unwrap().into();
        let (digest, name) = (Digest::of(&component), guest.parse().unwrap());
        let before = Engine::new(&settings()).unwrap();
        let read = before.examine(component, digest).await.unwrap();
        let imports = read.imports().clone();
        before.prepare(read, &Grants::new(name, grants), &guest.parse().unwrap()).await.unwrap();
        // Nothing is read of the bytes any more.
        let known = Engine::new(&settings()).unwrap().examine(Arc::from([]), digest).await.unwrap();
        assert_eq!(*known.imports(), imports);
    }
}

#[tokio::test]
async fn a_plugin_interface_without_its_functions_is_refused() {
    let error = Stage::new().load("hollow", &component(""), vec![]).await.err().unwrap();
    assert!(matches!(error, LoadError::Link(_)), "{error:?}");
}

#[tokio::test]
async fn describing_reaches_nothing() {
    let stage = Stage::new();
    let chatty = stage.guest("chatty-describe").await;
    let error = stage.engine.describe(&chatty.program, chatty.context.clone(), &Limits::DEFAULT).await.unwrap_err();
    assert_eq!(error.to_string(), "`describe` failed: `describe` called the host");
    let noop = stage.guest("noop").await;
    let metadata = stage.engine.describe(&noop.program, noop.context.clone(), &Limits::DEFAULT).await.unwrap();
    assert_eq!((metadata.name.as_str(), metadata.title.as_str()), ("noop", "Nothing"));
}

/// How loading the guest program of that name ends when it is configured under `name` with these grants.
async fn configured(name: &str, file: PathBuf, grants: Vec<Grant>) -> Result<(), String> {
    let engine = Arc::new(Engine::new(&settings()).unwrap());
    let surroundings = Surroundings {
        targets: Arc::new(Targets::default()),
        memory: Arc::new(NoMemory),
        clock: Arc::new(SystemClock),
        io: tokio::runtime::Handle::current(),
    };
    let plugin: paramedic::domain::PluginName = name.parse().unwrap();
    let entry = catalog::Entry {
        name: plugin.clone(),
        source: catalog::Source::File(file),
        trust: catalog::Trust::default(),
        grants: Arc::new(Grants::new(plugin.clone(), grants)),
        defaults: Map::new(),
        settings: vec![],
        limits: Limits::DEFAULT,
    };
    let catalog = Catalog::new(engine, surroundings, vec![entry]);
    catalog.load_all().await;
    match catalog.get(&plugin).unwrap() {
        State::Active(_) => Ok(()),
        State::Failed(error) => {
            assert!(!matches!(*error, PluginError::Internal(_)));
            Err(error.to_string())
        }
        State::Loading | State::Absent => panic!("it was not loaded"),
    }
}

#[tokio::test]
async fn a_plugin_that_asks_for_more_than_its_grants_is_told_each_missing_line() {
    let guest = || components::guest("over-asking").unwrap();
    let refused = configured("over-asking", guest(), postgres(&[Operation::PostgresInspect])).await;
    let lines =
        "its grants lack what it needs; add plugins.over-asking.grants: - { postgres: <target>, verbs: [query] }";
    assert_eq!(refused, Err(lines.to_owned()));
    let both = [Operation::PostgresInspect, Operation::PostgresQuery];
    assert_eq!(configured("over-asking", guest(), postgres(&both)).await, Ok(()));
    assert_eq!(
        configured("innocent", guest(), postgres(&both)).await,
        Err("it is configured as `innocent` and calls itself `over-asking`".to_owned())
    );
}

#[tokio::test]
async fn a_plugin_that_does_not_say_that_it_can_do_without_gets_nothing_without() {
    let guest = || components::guest("reticent").unwrap();
    let refused = configured("reticent", guest(), postgres(&[Operation::PostgresInspect])).await;
    let line = "the component imports `redis` (info), which is not granted; add plugins.reticent.grants: - { redis: <target>, \
                verbs: [info] }";
    assert_eq!(refused, Err(line.to_owned()));
    // Postgres it says it can do without.
    let mut grants = postgres(&[Operation::RedisInfo]);
    grants[0].target = Target { system: System::Redis, name: "cache".parse().unwrap() };
    assert_eq!(configured("reticent", guest(), grants).await, Ok(()));
}

#[tokio::test]
async fn what_calls_itself_a_check_has_no_way_to_act_whatever_it_was_granted() {
    let target = Target { system: System::Queue, name: "email".parse().unwrap() };
    let changes = ChangeBounds { per_run: 1, per_hour: 1, ..ChangeBounds::default() };
    let grant = Grant {
        target,
        operations: vec![Operation::QueuePause],
        keys: vec![],
        paths: vec![],
        resources: vec![],
        changes,
    };
    let refused = configured("imposter", components::guest("imposter").unwrap(), vec![grant]).await.unwrap_err();
    let expected = "it says that it is a check, and imports `queue-actions`, with which it could change something";
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn every_plugin_has_its_own_memory_settings_time_and_log() {
    let stage = Stage::new();
    let locals = stage.guest("locals").await;
    let params = json!({ "key": "seen" });
    let first = stage.run(&locals, &params, limits(LONG)).await;
    let log: Vec<_> = first.log.iter().map(|line| (line.source.as_str(), line.level, line.message.as_str())).collect();
    let lines = [
        ("plugin", LogLevel::Warn, "hello"),
        ("progress", LogLevel::Info, "half way"),
        ("stdout", LogLevel::Info, "to standard output"),
        ("stderr", LogLevel::Error, "to standard error, without a line end"),
    ];
    assert_eq!(log, lines);
    let first = details(first);
    let memory = |before: Value| {
        json!({
            "before": before, "grew": true, "late": { "Err": "conflict: the key has another revision" },
            "kept": "second", "keys": ["seen"], "removed": [false, true, true],
            "unusable": { "Err": "invalid: a key has 1 to 256 bytes, not 0" },
        })
    };
    assert_eq!(first["memory"], memory(Value::Null));
    assert_eq!((&first["settings"], &first["setting"]), (&json!([["team", "storage"]]), &json!("storage")));
    assert_eq!(first["absent"], Value::Null);
    assert_eq!(first["now"], NOW.as_millis());
    assert_eq!(first["standard_now"], NOW.as_millis());
    let remaining = first["remaining"].as_f64().unwrap();
    assert!(remaining > 0.0 && remaining <= LONG.as_secs_f64(), "{remaining}");
    assert_eq!(first["slept"], true);
    assert_eq!(first["slept_too_long"]["Err"], "timed out: sleeping 1000000 s would pass the deadline of the run");
    assert_eq!(first["slept_backwards"]["Err"], "invalid: duration is -1; expected seconds, finite and not negative");

    // A later run remembers, and starts afresh in everything else.
    let second = details(stage.run(&locals, &params, limits(LONG)).await);
    assert_eq!(second["memory"], memory(json!("second")));
    assert_ne!(second["random"], first["random"]);

    // Another plugin of the same component remembers nothing of it.
    let component = std::fs::read(components::guest("locals").unwrap()).unwrap();
    let other = stage.load("other", &component, vec![]).await.unwrap();
    assert_eq!(details(stage.run(&other, &params, limits(LONG)).await)["memory"], memory(Value::Null));
}

/// The files of compiled components below a directory.
fn artefacts(cache: &Path) -> Vec<PathBuf> {
    let below =
        |path: &Path| -> Vec<PathBuf> { std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect() };
    below(cache).iter().flat_map(|engine| below(engine)).collect()
}

/// Load a component on a new engine and tell the title that the program gives itself.
async fn title_after_loading(component: &[u8], cache: &Path) -> String {
    let stage = Stage::with(&Settings { cache: Some(cache.to_owned()), ..settings() });
    let loaded = stage.load("noop", component, vec![]).await.unwrap();
    stage.engine.describe(&loaded.program, loaded.context.clone(), &Limits::DEFAULT).await.unwrap().title
}

fn noop() -> Vec<u8> {
    std::fs::read(components::guest("noop").unwrap()).unwrap()
}

/// The guest program `noop` with another title.
fn renamed_noop() -> Vec<u8> {
    let (old, new) = (b"Nothing", b"Another");
    let mut component = noop();
    let places: Vec<usize> =
        component.windows(old.len()).enumerate().filter(|(_, text)| text == old).map(|(place, _)| place).collect();
    assert_eq!(places.len(), 1, "the title stands at {places:?}");
    component[places[0]..][..new.len()].copy_from_slice(new);
    component
}

#[tokio::test]
async fn a_component_is_compiled_once_and_taken_from_the_disk_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    assert_eq!(title_after_loading(&noop(), &cache).await, "Nothing");
    let files = artefacts(&cache);
    assert_eq!(files.len(), 1, "{files:?}");
    let written = std::fs::metadata(&files[0]).unwrap().modified().unwrap();

    assert_eq!(title_after_loading(&noop(), &cache).await, "Nothing");
    assert_eq!(artefacts(&cache), files);
    assert_eq!(std::fs::metadata(&files[0]).unwrap().modified().unwrap(), written, "it was compiled again");

    // What stands on the disk is what runs: with the code of another component in its place, that one answers.
    let elsewhere = folder.path().join("elsewhere");
    assert_eq!(title_after_loading(&renamed_noop(), &elsewhere).await, "Another");
    std::fs::copy(&artefacts(&elsewhere)[0], &files[0]).unwrap();
    assert_eq!(title_after_loading(&noop(), &cache).await, "Another");
}

#[tokio::test]
async fn a_damaged_or_foreign_artefact_is_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    assert_eq!(title_after_loading(&noop(), &cache).await, "Nothing");
    let file = artefacts(&cache).remove(0);
    let good = std::fs::read(&file).unwrap();
    for damage in [&b"not native code"[..], &[], &good[..good.len() / 2]] {
        std::fs::write(&file, damage).unwrap();
        assert_eq!(title_after_loading(&noop(), &cache).await, "Nothing");
        assert_eq!(std::fs::read(&file).unwrap().len(), good.len());
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(title_after_loading(&noop(), &cache).await, "Nothing");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}
