//! Components that are damaged at random: each is refused in words, or it is a plugin like any other and ends within its
//! limits. `just fuzz` does this for longer.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use paramedic::engine::{LoadError, Settings};
use paramedic_tests::components;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::FileFailurePersistence;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::damage::{Damage, damaged, damages};
use crate::support::{Stage, limits, settings};

/// Longer than any guest here needs, and short enough for those that loop.
const SHORT: Duration = Duration::from_millis(200);

/// What a linker and a text format know; as good as any to mislead a parser.
const WORDS: &[&str] =
    &["\0asm\r\0\x01\0", "\0asm\x01\0\0\0", "paramedic:plugin/plugin@0.1.0", "\u{7f}\u{7f}\u{7f}", "noop"];

/// One engine for all cases: a case that harmed it would be noticed by the next.
fn stage() -> &'static (Runtime, Stage) {
    static STAGE: OnceLock<(Runtime, Stage)> = OnceLock::new();
    STAGE.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let stage = runtime.block_on(async { Stage::with(&Settings { slots: 2, ..settings() }) });
        (runtime, stage)
    })
}

fn sample() -> &'static [u8] {
    static NOOP: OnceLock<Vec<u8>> = OnceLock::new();
    NOOP.get_or_init(|| std::fs::read(components::guest("noop").unwrap()).unwrap())
}

/// Load it and, if that works, run it. Nothing is asked of the result but that there is one, and that nothing is left: so one at
/// a time, on the engine that all cases share.
fn try_out(component: &[u8]) -> Result<(), LoadError> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (runtime, stage) = stage();
    runtime.block_on(async {
        let loaded = stage.load("noop", component, Vec::new()).await?;
        stage.run(&loaded, &json!({}), limits(SHORT)).await;
        assert_eq!(stage.running(), 0, "something is left");
        Ok(())
    })
}

fn is_in_words(error: &LoadError) -> bool {
    let text = error.to_string();
    !text.is_empty() && text.len() < 4_000
}

fn refused_in_words_or_run(component: &[u8]) -> Result<(), TestCaseError> {
    if let Err(error) = try_out(component) {
        prop_assert!(is_in_words(&error), "{}", error);
    }
    Ok(())
}

/// Any byte, or one that means something in many places: numbers at the edge, `loop`, `br`, `call`, `memory.grow`.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), select(&[0x00, 0x01, 0x7f, 0x80, 0xff, 0x03, 0x0c, 0x10, 0x11, 0x40][..])]
}

/// Seeds of findings are kept beside this file, which belongs to no crate of its own. A quarter of the usual number of cases, because
/// many compile a component.
fn kept() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.div_ceil(4),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..usual
    }
}

proptest! {
    #![proptest_config(kept())]

    #[test]
    fn a_damaged_component_is_refused_in_words_or_runs_like_any_other(harm in damages(WORDS)) {
        refused_in_words_or_run(&damaged(sample(), &harm))?;
    }

    /// Where no length changes, more of the damage gets past the parsers, into the compiler and into what runs.
    #[test]
    fn a_component_with_other_bytes_is_refused_in_words_or_runs_like_any_other(
        changes in proptest::collection::vec((any::<Index>(), byte()), 1..6)
    ) {
        let mut component = sample().to_vec();
        for (at, byte) in changes {
            component[at.index(sample().len())] = byte;
        }
        refused_in_words_or_run(&component)?;
    }

    #[test]
    fn bytes_that_only_begin_like_a_component_are_refused_in_words(rest in proptest::collection::vec(any::<u8>(), 0..300)) {
        let component = [b"\0asm\r\0\x01\0".as_slice(), &rest].concat();
        prop_assert!(try_out(&component).is_err_and(|error| is_in_words(&error)));
    }
}

#[test]
fn what_is_not_damaged_runs() {
    assert!(try_out(&damaged(sample(), &[])).is_ok());
    let nothing: &[Damage] = &[];
    assert_eq!(damaged(b"abc", nothing), b"abc");
}
