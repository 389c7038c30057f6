//! Whole files: good ones, hostile ones; in `damaged` those that chance makes, in `refusals` the bad ones, in `samples` those that we publish.

mod damaged;
mod intake;
mod refusals;
pub(super) mod samples;

use std::env::VarError;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::domain::{Digest, Limits, Missed, Operation, Overlap, Rate, Role, Secret, System, TargetName, TokenKey};

/// Every secret of these tests holds this word, so that a leak is seen.
const LEAK: &str = "hunter2";

const DIGEST: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

const OTHER_DIGEST: &str = "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7";

fn token_key() -> TokenKey {
    TokenKey::new(Secret::new(env("TOKEN_KEY").unwrap())).unwrap()
}

fn env(name: &str) -> Result<String, VarError> {
    match name {
        "PG" => Ok("postgres://watch:hunter2@db.internal/app".to_owned()),
        "REDIS" => Ok("redis://watch:hunter2@cache.internal".to_owned()),
        "KEY" => Ok("Bearer hunter2".to_owned()),
        "TOKEN_KEY" => Ok("hunter2 and more, as long as a key has to be".to_owned()),
        "EMPTY" => Ok(String::new()),
        "BREAK" => Ok("hunter2\nX-Evil: 1".to_owned()),
        "BYTES" => Err(VarError::NotUnicode("hunter2".into())),
        _ => Err(VarError::NotPresent),
    }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("paramedic.yaml"), &env)
}

/// What the file earns, one problem a line, without the file's name.
fn problems_of(text: &str) -> Vec<String> {
    let error = parse(text).expect_err(text).to_string();
    error.lines().map(|line| line.strip_prefix("paramedic.yaml:").expect(line).to_owned()).collect()
}

fn target(name: &str) -> TargetName {
    name.parse().unwrap()
}

#[test]
fn every_field_reaches_its_setting() {
    let config = parse(&format!(
        r#"
server: {{ listen: "[::1]:80", max_body_bytes: 64KiB, max_concurrent_runs: 7 }}
auth:
  key: {{ env: TOKEN_KEY }}
  rate: {{ per_minute: 60, burst: 5 }}
  tokens:
    - {{ name: alice, role: responder, expires: 2026-12-31T19:00:00+01:00, hmac: {DIGEST}, rate: {{ burst: 9 }} }}
    - {{ name: bob, role: admin, hmac: {OTHER_DIGEST} }}
store: {{ path: data/runs.db, retain: {{ age: 12h, size: 2MiB }} }}
engine: {{ cache: /var/cache/paramedic, guest_threads: 3 }}
targets:
  postgres: {{ main: {{ url: {{ env: PG }}, pool: 9, allow_superuser: true }} }}
  redis: {{ cache: {{ url: {{ env: REDIS }} }} }}
  queue:
    email: {{ redis: cache, prefix: app, name: mails, bullmq: 6 }}
    old: {{ redis: cache, name: old, bull: 4 }}
  http: {{ api: {{ base_url: "https://api.example.org/v1", headers: {{ Authorization: {{ env: KEY }} }}, allow_private: true }} }}
plugins:
  probe:
    source: {{ file: ./plugins/probe.wasm }}
    grants:
      - {{ postgres: main, verbs: [inspect, query] }}
      - {{ redis: cache, verbs: [ping, scan], keys: ["cache:*"] }}
      - {{ queue: email, verbs: [list-failures] }}
      - {{ http: api, verbs: [get], paths: [/health, "/status/**"] }}
    params: {{ threshold_ms: 100, deep: [1, null, {{ x: 1.5 }}], text: "5" }}
    settings: {{ region: eu }}
    limits: {{ deadline: 1m, memory: 8MiB, table_elements: 5, calls: 4, answer: 3, total_answer: 1KiB, log_lines: 2,
              log: 4KiB, params: 1KiB, outcome: 2KiB }}
"#
    ))
    .unwrap();

    assert_eq!(config.server.listen, "[::1]:80".parse().unwrap());
    assert_eq!((config.server.max_body_bytes, config.server.max_concurrent_runs), (65_536, 7));
    let rate = Rate { per_minute: 60, burst: 5 };
    let alice = Token {
        name: "alice".into(),
        role: Role::Responder,
        expires: Some("2026-12-31T18:00:00Z".parse().unwrap()),
        digest: Digest::of(b"hello"),
        rate: Rate { burst: 9, ..rate },
    };
    let bob = Token { name: "bob".into(), role: Role::Admin, expires: None, digest: Digest::of(b"world"), rate };
    assert_eq!(config.auth, Auth { key: Some(token_key()), tokens: vec![alice, bob], kubernetes: None });
    assert_eq!(config.store.path, Path::new("data/runs.db"));
    assert_eq!(config.store.retain, Retain { age: Duration::from_secs(43_200), size_bytes: 2 << 20 });
    assert_eq!(config.engine, Engine { cache: "/var/cache/paramedic".into(), guest_threads: 3 });

    let targets = &config.targets;
    let main = &targets.postgres[&target("main")];
    assert_eq!(main.url.expose(), "postgres://watch:hunter2@db.internal/app");
    assert!(main.pool == 9 && main.allow_superuser);
    assert_eq!(targets.redis[&target("cache")].url.expose(), "redis://watch:hunter2@cache.internal");
    let email = &targets.queue[&target("email")];
    assert_eq!((email.redis.as_str(), email.prefix.as_str(), email.name.as_str()), ("cache", "app", "mails"));
    assert_eq!(email.library, QueueLibrary::BullMq(6));
    assert_eq!(targets.queue[&target("old")].prefix, "bull");
    assert_eq!(targets.queue[&target("old")].library, QueueLibrary::Bull(4));
    let api = &targets.http[&target("api")];
    assert_eq!(api.base_url.as_str(), "https://api.example.org/v1");
    assert_eq!(api.headers, [(http::header::AUTHORIZATION, Secret::new("Bearer hunter2"))]);
    assert!(api.allow_private && api.ca.is_none());

    let probe = &config.plugins[&"probe".parse().unwrap()];
    assert_eq!(probe.source, Source::File("./plugins/probe.wasm".into()));
    let granted: Vec<String> =
        probe.grants.iter().map(|grant| format!("{} {:?}", grant.target, grant.operations)).collect();
    assert_eq!(
        granted,
        [
            "postgres/main [PostgresInspect, PostgresQuery]",
            "redis/cache [RedisPing, RedisScan]",
            "queue/email [QueueListFailures]",
            "http/api [HttpGet]"
        ]
    );
    assert_eq!(probe.grants[1].keys, ["cache:*".parse().unwrap()]);
    assert_eq!(probe.grants[3].paths, ["/health".parse().unwrap(), "/status/**".parse().unwrap()]);
    assert_eq!(
        serde_json::Value::Object(probe.params.clone()),
        json!({ "threshold_ms": 100, "deep": [1, null, { "x": 1.5 }], "text": "5" })
    );
    assert_eq!(probe.settings, BTreeMap::from([("region".to_owned(), "eu".to_owned())]));
    assert_eq!(
        probe.limits,
        Limits {
            deadline: Duration::from_secs(60),
            memory_bytes: 8 << 20,
            table_elements: 5,
            calls: 4,
            answer_bytes: 3,
            total_answer_bytes: 1024,
            log_lines: 2,
            log_bytes: 4096,
            params_bytes: 1024,
            outcome_bytes: 2048,
        }
    );
}

#[test]
fn what_is_not_said_has_a_default_and_allows_nothing() {
    for text in ["", "# nothing\n", "server:\nauth:\nplugins:\ntargets: {}\n"] {
        let config = parse(text).expect(text);
        assert_eq!(config.server.listen, "127.0.0.1:7117".parse().unwrap());
        assert!(config.auth == Auth::default() && config.plugins.is_empty() && config.targets == Targets::default());
        assert_eq!(config.store.path, Path::new("paramedic.db"));
        assert_eq!(config.engine.cache, Path::new("cache"));
    }
    let config = parse("plugins: { probe: { source: { file: probe.wasm } } }").unwrap();
    let probe = &config.plugins[&"probe".parse().unwrap()];
    assert!(probe.grants.is_empty() && probe.params.is_empty() && probe.settings.is_empty());
    assert_eq!(probe.limits, Limits::DEFAULT);
}

#[test]
fn relative_paths_begin_at_the_directory_of_the_file() {
    let text = "store: { path: ./a.db }\nengine: { cache: /c }\nplugins: { p: { source: { file: ../p.wasm } } }";
    let config = Config::parse(text, Path::new("/etc/paramedic/paramedic.yaml"), &env).unwrap();
    assert_eq!(config.store.path, Path::new("/etc/paramedic/a.db"));
    assert_eq!(config.engine.cache, Path::new("/c"));
    let source = &config.plugins[&"p".parse().unwrap()].source;
    let Source::File(file) = source else { panic!("{source:?}") };
    assert_eq!(file, Path::new("/etc/paramedic/../p.wasm"));
}

/// One target of each system; it takes one line.
const TARGETS: &str = "targets: { postgres: { main: { url: { env: PG } } }, redis: { cache: { url: { env: REDIS } } }, \
                       queue: { email: { redis: cache, name: email, bullmq: 5 } }, http: { api: { base_url: \"http://api\" } }, kubernetes: { prod: { namespace: shop } } }\n";

#[test]
fn each_operation_can_be_granted_with_the_bounds_it_needs() {
    for operation in Operation::ALL.iter().copied() {
        let system = operation.interface().system().unwrap();
        let name = match system {
            System::Postgres => "main",
            System::Redis => "cache",
            System::Queue => "email",
            System::Http => "api",
            System::Kubernetes => "prod",
        };
        let forms = [
            "",
            ", keys: [a]",
            ", paths: [/a]",
            ", resources: [pods]",
            ", per_run: 1, users: [a]",
            ", keys: [a], per_run: 1",
            ", keys: [a], per_run: 1, ttl: 1m..1h",
            ", per_run: 1, min_age: 1m",
            ", paths: [/a], methods: [POST], per_run: 1",
            ", objects: [deployment/a], replicas: 1..3",
            ", objects: [deployment/a]",
            ", objects: [deployment/a, daemonset/a], variables: [A]",
            ", objects: [statefulset/a], images: [\"a:*\"]",
            ", objects: [pod/a], per_run: 1",
            ", objects: [cronjob/a]",
            ", objects: [service/a]",
        ];
        let accepted = forms.map(|bounds| {
            let grant = format!("{{ {system}: {name}, verbs: [{}]{bounds} }}", operation.verb());
            parse(&format!("{TARGETS}plugins: {{ p: {{ source: {{ file: p }}, grants: [{grant}] }} }}")).is_ok()
        });
        assert_eq!(accepted.iter().filter(|ok| **ok).count(), 1, "{operation} takes exactly one form: {accepted:?}");
    }
}

#[test]
fn twins_among_the_tokens_are_refused() {
    let other = Digest::of(b"other").hex();
    let token = |name: &str, digest: &str| format!("  - {{ name: {name}, role: viewer, hmac: {digest} }}\n");
    let tokens = [token("a", DIGEST), token("b", DIGEST), token("a", &other)].concat();
    let text = format!("auth:\n  key: {{ env: TOKEN_KEY }}\n  tokens:\n{tokens}");
    assert_eq!(
        problems_of(&text),
        [
            "5:5: auth.tokens[1]: this token is that of auth.tokens[0] too",
            "6:5: auth.tokens[2]: `a` is the name of auth.tokens[0] too",
        ]
    );
}

#[test]
fn loopback_in_any_spelling_is_local_and_the_rest_needs_a_word() {
    for address in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(parse(&format!("server: {{ listen: \"{address}\" }}")).is_ok(), "{address}");
    }
    for address in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
        assert!(parse(&format!("server: {{ listen: \"{address}\" }}")).is_err(), "{address}");
        assert!(parse(&format!("server: {{ listen: \"{address}\", allow_remote: true }}")).is_ok(), "{address}");
        let tls = "tls: { certificate: { file: tls.crt }, key: { file: tls.key } }";
        assert!(parse(&format!("server: {{ listen: \"{address}\", {tls} }}")).is_ok(), "{address}");
    }
}

#[test]
fn anchors_spare_repetition() {
    let config = parse(
        "plugins:\n  a: { source: { file: a }, limits: &small { calls: 5, deadline: 1s } }\n  \
         b: { source: { file: b }, limits: *small }\n  c: { source: { file: c }, limits: { <<: *small, calls: 6 } }\n",
    )
    .unwrap();
    let calls: Vec<u32> = config.plugins.values().map(|plugin| plugin.limits.calls).collect();
    assert_eq!(calls, [5, 5, 6]);
    assert!(config.plugins.values().all(|plugin| plugin.limits.deadline == Duration::from_secs(1)));
}

#[test]
fn secrets_come_from_files_without_their_last_newline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("paramedic.yaml");
    fs::write(directory.path().join("pg"), "postgres://u:hunter2@h/d\r\n").unwrap();
    fs::write(directory.path().join("redis"), "redis://:hunter2\n@h\n\n").unwrap();
    fs::write(directory.path().join("ca.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    fs::write(
        &path,
        "targets:\n  postgres: { a: { url: { file: pg }, ca: { file: ca.pem } } }\n  redis: { a: { url: { file: ./redis }, ca: { file: ca.pem } } }\n  \
         http: { a: { base_url: \"https://h\", ca: { file: ca.pem } } }\n",
    )
    .unwrap();
    let targets = Config::load(&path).unwrap().targets;
    assert_eq!(targets.postgres[&target("a")].url.expose(), "postgres://u:hunter2@h/d");
    assert_eq!(targets.redis[&target("a")].url.expose(), "redis://:hunter2\n@h\n");
    let authorities =
        [&targets.postgres[&target("a")].ca, &targets.redis[&target("a")].ca, &targets.http[&target("a")].ca];
    assert!(authorities.iter().all(|ca| ca.as_deref() == Some("-----BEGIN CERTIFICATE-----\n")), "{authorities:?}");
}

#[test]
fn files_that_cannot_be_meant_are_refused_with_their_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("paramedic.yaml");
    fs::write(directory.path().join("large"), vec![b'x'; (1 << 20) + 1]).unwrap();
    fs::write(directory.path().join("bytes"), b"redis://hunter2\xff").unwrap();
    fs::write(directory.path().join("key.pem"), "-----BEGIN PRIVATE KEY-----\nhunter2").unwrap();
    fs::write(
        &path,
        "targets:\n  redis: { a: { url: { file: large } }, b: { url: { file: bytes } }, c: { url: { file: . } } }\n  \
         http: { a: { base_url: \"https://h\", ca: { file: key.pem } } }\n",
    )
    .unwrap();
    let message = Config::load(&path).unwrap_err().to_string();
    let said = |text: &str| assert!(message.contains(text), "{message}");
    said("targets.redis.a.url.file: `");
    said("large` is larger than 1 MiB");
    said("bytes` cannot be read: it is not UTF-8");
    said("targets.redis.c.url.file: `");
    said("targets.http.a.ca: what this leads to holds no certificate in PEM");
    assert!(!message.contains(LEAK), "{message}");

    assert!(matches!(Config::load(&directory.path().join("none")), Err(ConfigError::Unreadable { .. })));
    assert!(matches!(Config::load(&directory.path().join("bytes")), Err(ConfigError::Unreadable { .. })));
    assert!(matches!(Config::load(&directory.path().join("large")), Err(ConfigError::TooLarge { .. })));
}

#[test]
fn the_environment_is_that_of_the_process() {
    assert!(environment("PATH").is_ok_and(|path| !path.is_empty()));
    assert_eq!(environment("PARAMEDIC_TEST_OF_A_MISSING_VARIABLE"), Err(VarError::NotPresent));
}

#[test]
fn no_secret_is_printed() {
    let text = "targets:\n  postgres: { main: { url: { env: PG } } }\n  redis: { cache: { url: { env: REDIS } } }\n  \
                http: { api: { base_url: \"http://h\", headers: { Authorization: { env: KEY } } } }\n";
    let config = parse(text).unwrap();
    assert!(!format!("{config:?}").contains(LEAK));
}

/// Every way of putting a secret where it does not belong, in any value of an otherwise good file.
#[test]
fn no_message_shows_a_secret_that_stands_in_the_wrong_place() {
    let url = "redis://:hunter2@h";
    let shapes = [
        "\"X\"",
        "[\"X\"]",
        "{ \"X\": 1 }",
        "{ env: \"X\" }",
        "!X",
        "*X",
        "{ file: { \"X\": 1 } }",
        "\"X\\q\"",
        "X: X",
    ];
    let places = [
        "targets: { redis: { a: { url: @ } } }",
        "targets: { redis: { a: @ } }",
        "targets: { redis: @ }",
        "targets: { redis: { @: 1 } }",
        "targets: { http: { a: { base_url: @, headers: { Authorization: @ }, ca: @ } } }",
        "targets: { queue: { a: { redis: @, name: a, bullmq: @ } } }",
        "plugins: { p: { source: { file: p }, grants: [ { redis: @, verbs: [@] } ], settings: @ } }",
        "plugins: { @: 1 }",
        "auth: { key: @, rate: @, tokens: [ { name: @, role: @, expires: @, hmac: @, rate: @ } ] }",
        "auth: { kubernetes: { target: @, audience: @, rate: @ } }",
        "auth: { kubernetes: @ }",
        "signing: { keys: { k: @ }, required: @ }",
        "signing: { keys: { @: 1 } }",
        "plugins: { p: { source: @, signed_by: @ } }",
        "plugins: { p: { source: upload, signed_by: [@] } }",
        "intake: { keep: @ }",
    ];
    for place in places {
        for shape in shapes {
            let text = place.replace('@', &shape.replace('X', url));
            if let Err(error) = parse(&text) {
                assert!(!format!("{error} {error:?}").contains(LEAK), "{text}\n{error}");
            }
        }
    }
    for shape in
        ["hunter2", "!hunter2", "*hunter2", "[hunter2]", "{ hunter2: 1 }", "\"hunter2\\q\"", "%hunter2", "\"hunter2"]
    {
        for place in ["targets: { redis: { a: { url: @ } } }", "auth: { key: @, tokens: [ { name: a, hmac: @ } ] }"] {
            let error = parse(&place.replace('@', shape)).expect_err(shape);
            assert!(!format!("{error} {error:?}").contains(LEAK), "{shape}\n{error}");
        }
    }
}

#[test]
fn those_whom_a_cluster_knows_need_no_token_in_the_file() {
    let read = |callers: &str| {
        parse(&format!(
            "auth: {{ rate: {{ burst: 7 }}, kubernetes: {callers} }}\ntargets: {{ kubernetes: {{ prod: {{ namespace: shop }} }} }}"
        ))
    };
    let callers =
        |audience: &str, rate| Some(ClusterCallers { target: target("prod"), audience: audience.to_owned(), rate });
    let rate = Rate { per_minute: Rate::DEFAULT.per_minute, burst: 7 };
    let auth = read("{ target: prod }").unwrap().auth;
    assert_eq!((auth.is_nobody(), auth.kubernetes), (false, callers("paramedic", rate)));
    let whole = "{ target: prod, audience: https://paramedic.example.org, rate: { per_minute: 9 } }";
    let auth = read(whole).unwrap().auth;
    assert_eq!(auth.kubernetes, callers("https://paramedic.example.org", Rate { per_minute: 9, ..rate }));
    for (wrong, expected) in [
        ("{}", "auth.kubernetes: `target` is missing"),
        (
            "{ target: prd }",
            "auth.kubernetes.target: there is no kubernetes target `prd`; choose from prod (did you mean `prod`?)",
        ),
        (
            "{ target: prod, audience: 'a b' }",
            "auth.kubernetes.audience: an audience has at most 253 signs of ASCII, and no spaces",
        ),
        (
            "{ target: prod, audience: https://kubernetes.default.svc }",
            "auth.kubernetes.audience: every pod has a token for this",
        ),
        ("{ target: prod, audiences: [a] }", "auth.kubernetes.audiences: there is no such field"),
    ] {
        let told = read(wrong).unwrap_err().to_string();
        assert!(told.contains(expected), "{wrong}: {told}");
    }
}

#[test]
fn a_large_or_deep_file_is_refused_quickly() {
    let begin = Instant::now();
    let wide = format!("targets: [{}]", "{},".repeat(300_000));
    let deep = "a: ".to_owned() + &"[".repeat(100_000);
    let doubled = "a: 1\n".repeat(90_000);
    let long = format!("plugins: {{ p: {{ source: {{ file: p }}, grants: [{{ redis: {} }}] }} }}", "x".repeat(900_000));
    for text in [wide, deep, doubled, long] {
        let message = parse(&text).unwrap_err().to_string();
        assert!(message.len() < 100_000, "{}", message.len());
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn every_field_of_a_sweep_reaches_its_setting() {
    let config = parse(
        r#"
plugins: { pg-ready: { source: { file: a } }, redis-ping: { source: { file: b } } }
scheduler: { max_parallel: 5, max_parallel_per_target: 2 }
sweeps:
  health:
    { cron: "*/5 8-17 * * MON-FRI", timezone: Europe/Berlin, splay: 20s, overlap: replace, missed: once,
      starting_deadline: 2m, checks: [pg-ready, { plugin: redis-ping, params: { target: cache, samples: 2 } }],
      failure_threshold: 4, success_threshold: 2, reminder_interval: 2h, low_flap_threshold: 10, high_flap_threshold: 40,
      max_parallel: 3, max_parallel_per_target: 1 }
  short: { every: 90s, checks: [pg-ready] }
  on-demand: { checks: [pg-ready] }
"#,
    )
    .unwrap();
    assert_eq!(config.scheduler, Scheduler { max_parallel: 5, max_parallel_per_target: 2 });
    let sweep = |name: &str| &config.sweeps[&name.parse().unwrap()];
    let params = json!({"target": "cache", "samples": 2}).as_object().unwrap().clone();
    let check = |plugin: &str, params| Check { plugin: plugin.parse().unwrap(), params };
    let expected = Sweep {
        cadence: Some(Cadence::Cron {
            pattern: "*/5 8-17 * * MON-FRI".parse().unwrap(),
            zone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap(),
        }),
        splay: Duration::from_secs(20),
        overlap: Overlap::Replace,
        missed: Missed::Once,
        starting_deadline: Duration::from_secs(120),
        checks: vec![check("pg-ready", serde_json::Map::new()), check("redis-ping", params)],
        failure_threshold: 4,
        success_threshold: 2,
        reminder_interval: Some(Duration::from_secs(7200)),
        low_flap_threshold: 10,
        high_flap_threshold: 40,
        max_parallel: 3,
        max_parallel_per_target: 1,
    };
    assert_eq!(*sweep("health"), expected);
    let short = sweep("short");
    assert_eq!(short.cadence, Some(Cadence::Every(Duration::from_secs(90))));
    assert_eq!((short.splay, short.overlap, short.missed), (Duration::from_secs(90), Overlap::Skip, Missed::Skip));
    assert_eq!((short.failure_threshold, short.success_threshold, short.reminder_interval), (3, 1, None));
    assert_eq!((short.low_flap_threshold, short.high_flap_threshold), (25, 30));
    assert_eq!((sweep("on-demand").cadence.as_ref(), sweep("on-demand").splay), (None, Duration::ZERO));
}
