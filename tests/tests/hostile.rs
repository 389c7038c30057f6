//! Guests that do their worst: each ends with its own named failure, leaves nothing behind, and harms nobody beside it.
//!
//! How late a guest is stopped is a figure for the benchmark. Here the bound is generous, so that a busy machine does not
//! make it fail.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests may fail as tests do")]

mod support;

#[path = "support/damage.rs"]
mod damage;
#[path = "hostile/damaged.rs"]
mod damaged;
#[path = "hostile/handwritten.rs"]
mod handwritten;

use std::sync::Arc;
use std::time::{Duration, Instant};

use handwritten::{ANSWER, Handwritten, OUTCOME, SPIN};
use paramedic::domain::{Decision, DenialReason, Ending, FailureKind, Limits, Operation};
use paramedic::engine::{Allocation, LoadError, Settings};
use paramedic_tests::components;
use serde_json::{Value, json};
use support::{Loaded, Stage, details, failure, limits, postgres, settings, verdict};

/// How far a run may be past its deadline here.
const LATE: Duration = Duration::from_secs(2);

/// Long enough that nobody reaches it: the case has to end for its own reason.
const LONG: Duration = Duration::from_secs(60);

/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

/// What a guest is told to do, how long it has, and how that has to end.
type Case = (Value, Duration, FailureKind, &'static str);

fn misbehaviours() -> Vec<Case> {
    let what = |word: &str| json!({ "do": word });
    let answer = |wrong: Value| json!({ "do": "answer", "wrong": wrong });
    vec![
        (what("spin"), SHORT, FailureKind::Deadline, "reached its deadline"),
        (json!({ "do": "sleep", "seconds": 3600 }), SHORT, FailureKind::Deadline, "reached its deadline"),
        (
            json!({ "do": "sleep-in-host", "seconds": 3600.0 }),
            LONG,
            FailureKind::HostCall,
            "sleeping 3600 s would pass the deadline",
        ),
        (what("allocate"), LONG, FailureKind::Memory, "more memory than its limit `memory`"),
        (what("recurse"), LONG, FailureKind::Stack, "deeper than the stack"),
        (what("flood-log"), LONG, FailureKind::Log, "after its budget was used up"),
        (what("flood-output"), LONG, FailureKind::Log, "after its budget was used up"),
        (what("flood-line"), LONG, FailureKind::Log, "after its budget was used up"),
        (what("remember"), LONG, FailureKind::Calls, "calling the host after its budget"),
        (json!({ "do": "long-message", "bytes": 8 << 20 }), LONG, FailureKind::Data, "more data at once"),
        (json!({ "do": "panic", "message": "the disk is on fire" }), LONG, FailureKind::Trap, "the disk is on fire"),
        (
            json!({ "do": "panic-after-a-flood", "message": "the disk is on fire" }),
            LONG,
            FailureKind::Trap,
            "the disk is on fire",
        ),
        (what("trap"), LONG, FailureKind::Trap, "unreachable"),
        (what("exit"), LONG, FailureKind::Exit, "left with exit status"),
        (json!({ "do": "fail", "message": "no idea" }), LONG, FailureKind::Plugin, "no idea"),
        (json!({ "do": "refuse-params", "message": "3 is odd" }), LONG, FailureKind::BadParams, "3 is odd"),
        (answer(json!({ "with": "details", "bytes": 16 << 20 })), LONG, FailureKind::Data, "more data at once"),
        (
            answer(json!({ "with": "details", "bytes": 300 << 10 })),
            LONG,
            FailureKind::InvalidOutcome,
            "the limit `outcome` allows",
        ),
        (
            answer(json!({ "with": "params", "text": "{oops" })),
            LONG,
            FailureKind::InvalidOutcome,
            "the parameters of the suggestion `noop` are no JSON object",
        ),
        (answer(json!({ "with": "not-a-number" })), LONG, FailureKind::InvalidOutcome, "not finite"),
        (answer(json!({ "with": "ragged-table" })), LONG, FailureKind::InvalidOutcome, "a row of 1 cells"),
        (answer(json!({ "with": "no-summary" })), LONG, FailureKind::InvalidOutcome, "the summary has 0 bytes"),
        (answer(json!({ "with": "tables", "count": 21 })), LONG, FailureKind::InvalidOutcome, "21 findings"),
        (
            answer(json!({ "with": "files", "paths": ["a.txt", "../../etc/passwd"], "more": 0 })),
            LONG,
            FailureKind::InvalidOutcome,
            "the files of the outcome are refused: the path `../../etc/passwd` is refused",
        ),
        (
            answer(json!({ "with": "files", "paths": ["a.txt", "a.txt"], "more": 0 })),
            LONG,
            FailureKind::InvalidOutcome,
            "the path `a.txt` is that of another file",
        ),
        (
            answer(json!({ "with": "files", "paths": [], "more": 501 })),
            LONG,
            FailureKind::InvalidOutcome,
            "there are 501 files; at most 500 are kept",
        ),
        (
            answer(json!({ "with": "files", "paths": [], "more": 100_000 })),
            LONG,
            FailureKind::Data,
            "more data at once",
        ),
    ]
}

#[tokio::test]
async fn each_guest_that_misbehaves_ends_with_its_own_named_failure() {
    misbehave_on(&settings()).await;
}

#[tokio::test]
async fn the_limits_hold_where_instances_are_not_pooled() {
    misbehave_on(&Settings { allocation: Allocation::OnDemand, ..settings() }).await;
}

async fn misbehave_on(settings: &Settings) {
    let stage = Stage::with(settings);
    let trouble = stage.guest("trouble").await;
    let noop = stage.guest("noop").await;
    for (params, deadline, kind, message) in misbehaviours() {
        fails(&stage, &trouble, &params, limits(deadline), kind, message).await;
        is_fine(&stage, &noop).await;
    }
}

/// Run a guest that has to fail in that way, in time, and without leaving anything.
async fn fails(stage: &Stage, guest: &Loaded, params: &Value, limits: Limits, kind: FailureKind, message: &str) {
    let began = Instant::now();
    let finished = stage.run(guest, params, limits).await;
    let (took, told) = (began.elapsed(), finished.usage.duration);
    let failure = failure(finished);
    assert_eq!(failure.kind, kind, "{params}: {}", failure.message);
    assert!(failure.message.contains(message), "{params}: {}", failure.message);
    assert!(failure.message.len() < 5_000, "{params}: a message of {} bytes", failure.message.len());
    assert!(took < limits.deadline + LATE, "{params}: ended after {took:?}");
    if kind == FailureKind::Deadline {
        assert!(told >= limits.deadline, "{params}: stopped after {told:?}");
    }
    assert_eq!(stage.running(), 0, "{params}: something is left");
}

async fn is_fine(stage: &Stage, noop: &Loaded) {
    let outcome = verdict(stage.run(noop, &json!({}), limits(LONG)).await);
    assert_eq!(outcome.summary, "nothing to do");
}

#[tokio::test]
async fn a_flooded_log_keeps_its_beginning_and_counts_the_rest() {
    let stage = Stage::new();
    let trouble = stage.guest("trouble").await;
    for flood in ["flood-log", "flood-output", "flood-line"] {
        let finished = stage.run(&trouble, &json!({ "do": flood }), limits(LONG)).await;
        let bytes: usize = finished.log.iter().map(|line| line.message.len()).sum();
        assert!(finished.log.len() <= Limits::DEFAULT.log_lines as usize, "{flood}: {}", finished.log.len());
        assert!(bytes <= Limits::DEFAULT.log_bytes, "{flood}: {bytes} bytes");
        assert!(finished.log.iter().take(10).all(|line| line.message.contains("again") || line.message.contains("on")));
        assert!(finished.usage.dropped_log_lines > 100, "{flood}: {}", finished.usage.dropped_log_lines);
    }
}

#[tokio::test]
async fn the_memory_that_a_guest_took_is_told_and_never_more_than_its_limit() {
    let stage = Stage::new();
    let trouble = stage.guest("trouble").await;
    let small = Limits { memory_bytes: 8 << 20, ..limits(LONG) };
    for limits in [small, limits(LONG)] {
        let finished = stage.run(&trouble, &json!({ "do": "allocate" }), limits).await;
        let used = usize::try_from(finished.usage.memory_bytes).unwrap();
        assert!(used <= limits.memory_bytes && used > limits.memory_bytes / 2, "{used} of {}", limits.memory_bytes);
    }
}

#[tokio::test]
async fn a_guest_that_calls_the_host_100_000_times_is_ended_after_a_few_hundred() {
    let stage = Stage::new();
    let caller = stage.try_guest("caller", postgres(&[Operation::PostgresInspect])).await.unwrap();
    let calls = |heed: bool| json!({ "target": "not-granted", "times": 100_000, "heed": heed });

    let finished = stage.run(&caller, &calls(false), limits(LONG)).await;
    assert_eq!(finished.usage.calls, Limits::DEFAULT.calls);
    let (denied, exhausted): (Vec<_>, Vec<_>) =
        finished.calls.iter().partition(|call| call.decision == Decision::Denied(DenialReason::NotGranted));
    assert_eq!(denied.len(), Limits::DEFAULT.calls as usize);
    assert!(!exhausted.is_empty() && exhausted.len() < 50, "{}", exhausted.len());
    let failure = failure(finished);
    assert_eq!(failure.kind, FailureKind::Calls);
    assert!(failure.message.contains("calling the host after its budget"), "{}", failure.message);

    let heeded = details(stage.run(&caller, &calls(true), limits(LONG)).await);
    assert_eq!(heeded, json!({ "denied": Limits::DEFAULT.calls, "exhausted": 1 }));
}

/// What is wrong with a component written by hand, and how its run has to end.
type Oddity<'a> = (&'a str, Handwritten<'a>, FailureKind, &'a str);

#[tokio::test]
async fn components_that_no_compiler_would_produce_end_with_their_own_named_failure() {
    let grow = "(loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1)))) unreachable";
    let swell = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    let elsewhere = details_at(1 << 30, 10);
    let too_long = details_at(0, i32::MAX);
    let no_text = details_at(2048, 4);
    let bad_case = format!("(i32.store8 (i32.const {OUTCOME}) (i32.const 9)) (i32.const {OUTCOME})");
    let overlapping = overlapping_tables();
    let table: Vec<Oddity> = vec![
        (
            "a table that grows",
            Handwritten { definitions: "(table $t 1 funcref)", run: grow, ..Handwritten::default() },
            FailureKind::Tables,
            "larger tables than its limit `table_elements`",
        ),
        (
            "a table that is too large from the start",
            Handwritten { definitions: "(table 50000 funcref)", ..Handwritten::default() },
            FailureKind::Tables,
            "larger tables than its limit `table_elements`",
        ),
        (
            "a memory that grows",
            Handwritten { run: swell, ..Handwritten::default() },
            FailureKind::Memory,
            "more memory than its limit `memory`",
        ),
        (
            "a memory that is too large from the start",
            Handwritten { memory: r#"(memory (export "memory") 2000)"#, ..Handwritten::default() },
            FailureKind::Memory,
            "more memory than its limit `memory`",
        ),
        (
            "a gigabyte of cells that share one text",
            Handwritten { memory: r#"(memory (export "memory") 2)"#, run: &overlapping, ..Handwritten::default() },
            FailureKind::Data,
            "more data at once",
        ),
        (
            "a text outside the memory",
            Handwritten { run: &elsewhere, ..Handwritten::default() },
            FailureKind::Trap,
            "out of bounds",
        ),
        (
            "a text longer than the memory",
            Handwritten { run: &too_long, ..Handwritten::default() },
            FailureKind::Trap,
            "out of bounds",
        ),
        (
            "bytes that are no text",
            Handwritten {
                definitions: r#"(data (i32.const 2048) "\ff\fe\fd\fc")"#,
                run: &no_text,
                ..Handwritten::default()
            },
            FailureKind::Trap,
            "invalid utf-8",
        ),
        (
            "a case that there is not",
            Handwritten { run: &bad_case, ..Handwritten::default() },
            FailureKind::Trap,
            "discriminant",
        ),
        (
            "memory for the parameters outside the memory",
            Handwritten { allocate: "(i32.const 0x7fffff00)", ..Handwritten::default() },
            FailureKind::Trap,
            "beyond end of memory",
        ),
        (
            "a start that never ends",
            Handwritten { definitions: "(func $s (loop (br 0))) (start $s)", ..Handwritten::default() },
            FailureKind::Deadline,
            "reached its deadline",
        ),
        (
            "an allocation that never ends",
            Handwritten { allocate: SPIN, ..Handwritten::default() },
            FailureKind::Deadline,
            "reached its deadline",
        ),
        (
            "tidying up that never ends",
            Handwritten { after: SPIN, ..Handwritten::default() },
            FailureKind::Deadline,
            "reached its deadline",
        ),
        (
            "recursion while tidying up",
            Handwritten { definitions: "(func $down (call $down))", after: "(call $down)", ..Handwritten::default() },
            FailureKind::Stack,
            "deeper than the stack",
        ),
    ];
    let stage = Stage::new();
    let noop = stage.guest("noop").await;
    let sound = stage.load("handwritten", &Handwritten::default().component(), vec![]).await.unwrap();
    assert_eq!(verdict(stage.run(&sound, &json!({}), limits(LONG)).await).summary, "fine");
    for (what, component, kind, message) in table {
        let guest = stage.load("handwritten", &component.component(), vec![]).await.unwrap();
        let deadline = if kind == FailureKind::Deadline { SHORT } else { LONG };
        fails(&stage, &guest, &json!({ "case": what }), limits(deadline), kind, message).await;
        is_fine(&stage, &noop).await;
    }
}

/// Body of `run` whose details are that many bytes at that address.
fn details_at(address: i32, length: i32) -> String {
    format!(
        "(i32.store8 (i32.const 144) (i32.const 1))
        (i32.store (i32.const 148) (i32.const {address}))
        (i32.store (i32.const 152) (i32.const {length}))
        {ANSWER}"
    )
}

/// Body of `run` whose one table has 18 rows of 1,000 cells of 60,000 bytes: a gigabyte for the host, in the 128 KiB of
/// the guest, because all rows share their cells and all cells their text.
fn overlapping_tables() -> String {
    let (text, cells, rows, table) = (4096, 66_000, 80_000, 90_000);
    let fill = |base: i32, count: i32, address: i32, length: i32| {
        format!(
            "(local.set $i (i32.const {base}))
            (loop
                (i32.store (local.get $i) (i32.const {address}))
                (i32.store offset=4 (local.get $i) (i32.const {length}))
                (local.set $i (i32.add (local.get $i) (i32.const 8)))
                (br_if 0 (i32.lt_u (local.get $i) (i32.const {}))))",
            base + count * 8
        )
    };
    let (all_cells, all_rows) = (fill(cells, 1000, text, 60_000), fill(rows, 18, cells, 1000));
    format!(
        "{all_cells}
        {all_rows}
        (i32.store (i32.const {}) (i32.const {rows}))
        (i32.store (i32.const {}) (i32.const 18))
        (i32.store (i32.const 164) (i32.const {table}))
        (i32.store (i32.const 168) (i32.const 1))
        {ANSWER}",
        table + 16,
        table + 20
    )
}

#[tokio::test]
async fn a_guest_cannot_hoard_things_of_the_host() {
    let stage = Stage::new();
    let hoarder = Handwritten {
        imports: r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration"
            (func $timer (param i64) (result i32)))"#,
        run: "(loop (drop (call $timer (i64.const 1000000000000))) (br 0)) unreachable",
        ..Handwritten::default()
    };
    let hoarder = stage.load("hoarder", &hoarder.component_with_timers(), vec![]).await.unwrap();
    fails(&stage, &hoarder, &json!({}), limits(LONG), FailureKind::Trap, "resource table").await;
}

#[tokio::test]
async fn a_component_that_asks_for_much_leaves_the_others_their_share() {
    let stage = Arc::new(Stage::with(&Settings { slots: 3, ..settings() }));
    let noop = stage.guest("noop").await;
    let spinner = Handwritten { definitions: "(table 1 funcref)", run: SPIN, ..Handwritten::default() };
    let mut component = spinner.component();
    let mut greediest = None;
    // As many memories and tables as are let in.
    let refused = loop {
        match stage.load("greedy", &component, vec![]).await {
            Ok(loaded) => greediest = Some(loaded),
            Err(error) => break error,
        }
        handwritten::instantiate_once_more(&mut component);
    };
    assert!(matches!(refused, LoadError::Compile(_)), "{refused:?}");
    let spinners = spin(&stage, &Arc::new(greediest.unwrap()), json!({}), 2).await;
    is_fine(&stage, &noop).await;
    assert_eq!(stage.running(), spinners.len());
}

#[tokio::test]
async fn a_description_that_never_ends_keeps_a_plugin_from_loading_and_nothing_else() {
    let stage = Stage::new();
    let noop = stage.guest("noop").await;
    let endless = Handwritten { describe: SPIN, ..Handwritten::default() };
    let endless = stage.load("endless", &endless.component(), vec![]).await.unwrap();
    let error = stage
        .engine
        .describe(&endless.program, endless.context.clone(), &Limits::DEFAULT)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("`describe` failed: "), "{error}");
    assert!(error.contains("deadline") || error.contains("no answer within"), "{error}");
    assert_eq!(stage.running(), 0);
    is_fine(&stage, &noop).await;
}

/// Runs under way that end with the test.
type Runs = tokio::task::JoinSet<Ending>;

/// Start so many runs that never end by themselves, and wait until they all run.
async fn spin(stage: &Arc<Stage>, guest: &Arc<Loaded>, params: Value, count: usize) -> Runs {
    let mut runs = Runs::new();
    let limits = Limits { calls: u32::MAX, ..limits(Duration::from_secs(600)) };
    for _ in 0..count {
        let (stage, guest, params) = (stage.clone(), guest.clone(), params.clone());
        runs.spawn(async move { stage.run(&guest, &params, limits).await.ending });
    }
    stage.until_running(count).await;
    runs
}

#[tokio::test]
async fn a_healthy_run_ends_beside_ten_that_never_do() {
    let stage = Arc::new(Stage::new());
    let noop = stage.guest("noop").await;
    let trouble = Arc::new(stage.guest("trouble").await);
    let mut spinners = spin(&stage, &trouble, json!({ "do": "spin" }), 10).await;
    for _ in 0..20 {
        is_fine(&stage, &noop).await;
    }
    assert_eq!(stage.running(), 10, "the others were still there");
    spinners.shutdown().await;
    stage.until_running(0).await;
}

#[tokio::test]
async fn nobody_waiting_for_a_run_ends_its_guest_and_then_frees_its_slot() {
    let stage = Arc::new(Stage::new());
    let noop = stage.guest("noop").await;
    let trouble = Arc::new(stage.guest("trouble").await);
    for (params, count) in [
        (json!({ "do": "spin" }), 16),
        (json!({ "do": "sleep", "seconds": 3600 }), 16),
        (json!({ "do": "sleep-in-host", "seconds": 500.0 }), 16),
    ] {
        let mut runs = spin(&stage, &trouble, params, count).await;
        runs.shutdown().await;
        stage.until_running(0).await;
    }
    let mut runs = spin(&stage, &trouble, json!({ "do": "remember" }), 3).await;
    stage.until("a guest to write", async |stage| stage.shelf.writes() > 0).await;
    runs.shutdown().await;
    stage.until_running(0).await;
    let written = stage.shelf.writes();
    is_fine(&stage, &noop).await;
    assert_eq!(stage.shelf.writes(), written, "a guest goes on after its slot was given back");
}

#[tokio::test]
async fn a_run_without_a_free_slot_is_refused_by_name() {
    let stage = Arc::new(Stage::with(&Settings { slots: 2, ..settings() }));
    let noop = stage.guest("noop").await;
    let trouble = Arc::new(stage.guest("trouble").await);
    let mut spinners = spin(&stage, &trouble, json!({ "do": "spin" }), 2).await;
    let failure = failure(stage.run(&noop, &json!({}), limits(LONG)).await);
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Capacity, "every slot of the engine is taken"));
    spinners.shutdown().await;
    stage.until_running(0).await;
    is_fine(&stage, &noop).await;
}

#[test]
fn each_guest_program_has_a_scenario() {
    let tests = components::workspace().join("tests");
    let mut scenarios = String::new();
    for file in std::fs::read_dir(tests.join("tests")).unwrap() {
        let path = file.unwrap().path();
        let parts = path.is_dir().then(|| std::fs::read_dir(&path).unwrap().map(|part| part.unwrap().path()));
        for path in parts.into_iter().flatten().chain([path.clone()]) {
            if path.extension().is_some_and(|extension| extension == "rs") {
                scenarios.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let guests = std::fs::read_dir(tests.join("guests")).unwrap().map(|folder| folder.unwrap().file_name());
    let names: Vec<String> = guests.map(|name| name.into_string().unwrap()).collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(scenarios.contains(&format!("guest(\"{name}\"")), "no test loads the guest program `{name}`");
    }
}
