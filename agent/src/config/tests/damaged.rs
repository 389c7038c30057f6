//! Files that are damaged at random: each gives a configuration within its bounds, or problems that say where and what.
//! `just fuzz` does this for longer.

use std::sync::OnceLock;

use jiff::civil::datetime;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// A sweep with every field and a plugin with every kind of grant, one field a line, beside what we publish.
const FULL: &str = r#"
server:
  listen: "127.0.0.1:7117"
  max_body_bytes: 1MiB
  max_concurrent_runs: 64
auth:
  key: { env: TOKEN_KEY }
  rate: { per_minute: 60, burst: 5 }
  tokens:
    - name: alice
      role: responder
      expires: 2026-12-31T19:00:00+01:00
      hmac: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
targets:
  postgres: { main: { url: { env: PG }, pool: 9, allow_superuser: true } }
  redis: { cache: { url: { env: REDIS } } }
  queue: { email: { redis: cache, prefix: app, name: mails, bullmq: 6 } }
  http:
    api:
      base_url: "https://api.example.org/v1"
      headers: { Authorization: { env: KEY } }
plugins:
  probe:
    source: { file: ./plugins/probe.wasm }
    grants:
      - { postgres: main, verbs: [inspect, query] }
      - { redis: cache, verbs: [ping, scan], keys: ["cache:*"] }
      - { queue: email, verbs: [list-failures] }
      - { http: api, verbs: [get], paths: [/health, "/status/**"] }
    params: { threshold_ms: 100, deep: [1, null, { x: 1.5 }], text: "5" }
    settings: { region: eu }
    limits: &small
      deadline: 1m
      memory: 8MiB
      calls: 4
  other: { source: { file: other.wasm }, limits: *small }
scheduler: { max_parallel: 5, max_parallel_per_target: 2 }
sweeps:
  health:
    cron: "*/5 8-17 * * MON-FRI"
    timezone: Europe/Berlin
    splay: 20s
    overlap: replace
    missed: once
    starting_deadline: 2m
    checks: [probe, { plugin: other, params: { samples: 2 } }]
    failure_threshold: 4
    success_threshold: 2
    reminder_interval: 2h
    low_flap_threshold: 10
    high_flap_threshold: 40
    max_parallel: 3
    max_parallel_per_target: 1
  short:
    every: 90s
    splay: 30s
    checks: [probe]
"#;

/// Values that stand in the wrong place, are out of bounds or mean something to YAML.
const ODD: &[&str] = &[
    "",
    "~",
    "null",
    "true",
    "yes",
    "0",
    "-0",
    "-1",
    "1.5",
    "1e3",
    "0x10",
    "0o7",
    ".inf",
    ".nan",
    "18446744073709551616",
    "99999999999999999999d",
    "0s",
    "1ms",
    "30d",
    "31d",
    "1 h",
    "1h30m",
    "2GiB",
    "1MB",
    "2026-02-30T00:00:00Z",
    "\"60 * * * *\"",
    "\"0 0 31 2 *\"",
    "\"@every 5m\"",
    "\"* * * * *\"",
    "Mars/Base",
    "Etc/Unknown",
    "queue",
    "skip",
    "[]",
    "{}",
    "[[[[]]]]",
    "{ a: { b: { c: 1 } } }",
    "[probe, probe]",
    "probe",
    "nobody",
    "&a",
    "*small",
    "*nothing",
    "!!binary aGk=",
    "!odd 1",
    "|",
    ">-",
    "\"\\u0000\"",
    "\"\\x1b[31m\"",
    "\"a: b\"",
    "'it''s'",
    "\"open",
    "{ env: PG }",
    "{ env: NOBODY }",
    "{ env: EMPTY }",
    "{ env: BYTES }",
    "{ file: /nowhere }",
    "../../etc/passwd",
    "redis://:hunter2@h",
    "\"postgres://u:hunter2@h/d?x=%zz\"",
    "<<: *small",
    "? a",
    "- 1",
    "---",
    "...",
    "# nothing",
];

/// What is done to a file whose lines are one field each.
#[derive(Clone, Debug)]
enum Harm {
    Drop,
    Double,
    Indent(usize),
    Outdent,
    Value(String),
    Rename(String),
    Text(usize, usize, String),
}

fn odd_value() -> impl Strategy<Value = String> {
    let made = "[0-9]{1,20}(ms|s|m|h|d|B|KiB|MiB|GiB)?|\"[0-9*/,?@A-Z -]{0,24}\"|[a-z][a-z0-9-]{0,70}";
    prop_oneof![select(ODD).prop_map(ToOwned::to_owned), made]
}

/// Harm that leaves values whole, so that a secret in the wrong place is still known for one.
fn orderly() -> impl Strategy<Value = Harm> {
    prop_oneof![
        1 => Just(Harm::Drop),
        1 => Just(Harm::Double),
        1 => (1_usize..5).prop_map(Harm::Indent),
        1 => Just(Harm::Outdent),
        6 => odd_value().prop_map(Harm::Value),
        1 => "[a-z_]{1,8}".prop_map(Harm::Rename),
    ]
}

fn any_harm() -> impl Strategy<Value = Harm> {
    let text =
        (0_usize..80, 0_usize..40, "[ -~\n\t]{0,6}|.{0,6}").prop_map(|(at, cut, text)| Harm::Text(at, cut, text));
    prop_oneof![orderly(), text]
}

fn harmed(sample: &str, harms: &[(Index, Harm)]) -> String {
    let mut lines: Vec<String> = sample.lines().map(ToOwned::to_owned).collect();
    for (at, harm) in harms {
        if !lines.is_empty() {
            let at = at.index(lines.len());
            harm.do_to(&mut lines, at);
        }
    }
    lines.join("\n")
}

impl Harm {
    fn do_to(&self, lines: &mut Vec<String>, at: usize) {
        match self {
            Self::Drop => drop(lines.remove(at)),
            Self::Double => lines.insert(at, lines[at].clone()),
            within => within.do_within(&mut lines[at]),
        }
    }

    fn do_within(&self, line: &mut String) {
        match self {
            Self::Drop | Self::Double => {}
            Self::Indent(by) => line.insert_str(0, &" ".repeat(*by)),
            Self::Outdent => *line = line.strip_prefix(' ').unwrap_or(line).to_owned(),
            Self::Value(value) => {
                if let Some((name, _)) = line.split_once(": ") {
                    *line = format!("{name}: {value}");
                }
            }
            Self::Rename(name) => {
                if let Some((before, value)) = line.split_once(':') {
                    let indent = before.len() - before.trim_start().len();
                    *line = format!("{}{name}:{value}", " ".repeat(indent));
                }
            }
            Self::Text(from, cut, filling) => {
                let from = line.floor_char_boundary(*from);
                line.replace_range(from..line.floor_char_boundary(from + cut), filling);
            }
        }
    }
}

/// Samples that are good in the environment of these tests.
fn samples() -> &'static [String] {
    static SAMPLES: OnceLock<Vec<String>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let published = samples::published().into_iter().filter(|text| parse_anywhere(text).is_ok());
        published.chain([FULL.to_owned()]).collect()
    })
}

/// As [`parse`], where any variable that the samples name leads to a secret.
fn parse_anywhere(text: &str) -> Result<Config, ConfigError> {
    let environment = |name: &str| match name {
        name if name.starts_with("PG") => env("PG"),
        name if name.contains("REDIS") => env("REDIS"),
        "API_AUTHORIZATION" => env("KEY"),
        name if name.ends_with("TOKEN_KEY") => env("TOKEN_KEY"),
        name => env(name),
    };
    Config::parse(text, Path::new("paramedic.yaml"), &environment)
}

/// What every text comes to.
fn understood_or_told(text: &str) -> Result<Result<Config, String>, TestCaseError> {
    match parse_anywhere(text) {
        Ok(config) => {
            within_bounds(&config)?;
            Ok(Ok(config))
        }
        Err(error) => {
            let ConfigError::Invalid { problems, .. } = &error else { panic!("{error}") };
            prop_assert!(!problems.is_empty());
            for problem in problems {
                told(problem, text)?;
            }
            Ok(Err(error.to_string()))
        }
    }
}

/// A problem has a place in the file, and a message that a terminal can show.
fn told(problem: &Problem, text: &str) -> Result<(), TestCaseError> {
    // YAML knows more ends of lines than `lines` does, and tells an end that is missing behind the last line.
    let ends = text.chars().filter(|c| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')).count();
    let lines = u64::try_from(ends).unwrap() + 2;
    prop_assert!((1..=lines).contains(&problem.line) && problem.column >= 1, "{:?}", problem);
    prop_assert!(!problem.message.is_empty() && problem.message.chars().count() <= 601, "{:?}", problem);
    prop_assert!(
        !problem.message.contains(char::is_control) && !problem.field.contains(char::is_control),
        "{:?}",
        problem
    );
    Ok(())
}

/// What the rest of the agent relies on without looking again.
fn within_bounds(config: &Config) -> Result<(), TestCaseError> {
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    for sweep in config.sweeps.values() {
        match &sweep.cadence {
            Some(Cadence::Every(period)) => {
                prop_assert!((second..=30 * day).contains(period) && sweep.splay <= *period)
            }
            Some(Cadence::Cron { pattern, .. }) => {
                prop_assert!(pattern.next_from(datetime(2026, 1, 1, 0, 0, 0, 0)).is_some() && sweep.splay <= day);
            }
            None => prop_assert_eq!(sweep.splay, Duration::ZERO),
        }
        prop_assert!(!sweep.checks.is_empty() && sweep.checks.len() <= 200);
        prop_assert!(sweep.checks.iter().all(|check| config.plugins.contains_key(&check.plugin)));
        prop_assert!(sweep.low_flap_threshold <= sweep.high_flap_threshold);
        prop_assert!(sweep.max_parallel >= 1 && sweep.max_parallel_per_target >= 1);
    }
    for grant in config.plugins.values().flat_map(|plugin| &plugin.grants) {
        prop_assert!(!grant.operations.is_empty());
        let name = &grant.target.name;
        let known = match grant.target.system {
            System::Postgres => config.targets.postgres.contains_key(name),
            System::Redis => config.targets.redis.contains_key(name),
            System::Queue => config.targets.queue.contains_key(name),
            System::Http => config.targets.http.contains_key(name),
            System::Kubernetes => config.targets.kubernetes.contains_key(name),
        };
        prop_assert!(known, "{}", grant.target);
    }
    Ok(())
}

/// Each field of the sweep in [`FULL`], with its line.
fn fields_of_a_sweep() -> Vec<(usize, String)> {
    let begin = FULL.lines().position(|line| line == "  health:").unwrap() + 1;
    let lines = FULL.lines().enumerate().skip(begin).take_while(|(_, line)| line.starts_with("    "));
    lines.map(|(at, line)| (at, line.trim().split_once(':').unwrap().0.to_owned())).collect()
}

proptest! {
    #[test]
    fn any_bytes_give_a_configuration_or_problems(bytes in vec(any::<u8>(), 0..400)) {
        let _ = understood_or_told(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn any_yaml_gives_a_configuration_or_problems(text in "([a-z]{1,3}|plugins|targets|redis|grants|verbs|sweeps|every|[0-9]{1,3}|[\\[\\]{}:,&*!|>?'\"#%@ -]|: |\n|\n  |- ){0,60}") {
        let _ = understood_or_told(&text)?;
    }

    #[test]
    fn a_damaged_sample_gives_a_configuration_or_problems(
        sample in select(samples()), harms in vec((any::<Index>(), any_harm()), 1..6)
    ) {
        let _ = understood_or_told(&harmed(&sample, &harms))?;
    }

    /// However the fields of a file are mixed up, what is said of it has no secret.
    #[test]
    fn no_secret_is_told_of_a_sample_whose_fields_are_mixed_up(
        sample in select(samples()), harms in vec((any::<Index>(), orderly()), 1..4)
    ) {
        let told = understood_or_told(&harmed(&sample, &harms))?.err().unwrap_or_default();
        prop_assert!(!told.contains(LEAK), "{}", told);
    }

    /// One bad value is told with its field; nothing else is wrong because of it.
    #[test]
    fn any_value_of_a_sweep_is_taken_or_told_with_its_field(
        (line, field) in select(fields_of_a_sweep()), value in select(ODD).prop_map(ToOwned::to_owned).boxed().prop_union(odd_value().boxed())
    ) {
        // What opens a text, a list or a document reaches beyond its line.
        prop_assume!(!["\"open", "|", ">-", "---", "...", "&a"].contains(&value.as_str()));
        let mut lines: Vec<String> = FULL.lines().map(ToOwned::to_owned).collect();
        Harm::Value(value.clone()).do_to(&mut lines, line);
        let Err(ConfigError::Invalid { problems, .. }) = parse(&lines.join("\n")) else { return Ok(()) };
        for problem in problems {
            prop_assert!(problem.field.is_empty() || problem.field.starts_with("sweeps.health"), "{} {}: {:?}", field, value, problem);
        }
    }
}

#[test]
fn what_is_not_damaged_is_good() {
    assert!(samples().len() > 3, "{}", samples().len());
    assert_eq!(harmed(FULL, &[]), FULL.trim_end_matches('\n'));
    assert!(fields_of_a_sweep().len() == 14, "{:?}", fields_of_a_sweep());
    for sample in samples() {
        understood_or_told(sample).unwrap().unwrap();
    }
}
